//! The comparison at the end of a batch.

use rayon::prelude::*;

use super::WeakKeyGate;
use super::part;
use super::sample::Sample;
use crate::batch::finish;
use crate::batch::{BatchError, BlockRecord, OpenJob};
use crate::crypto::rsa::{Exponent, GcdProduct, GcdTree, PrimeTag, RsaPublic};
use crate::output::WeakKeys;
use crate::store::StoreError;
use crate::store::pool::PoolError;
use crate::store::primes::{BatchName, Entry, HistoryError};
use crate::store::sort::{Merge, Sorted, Sorter};

/// Bytes of a record that is sorted: a tag and whose it is.
const RECORD: usize = PrimeTag::LEN + 8;
/// Repeats that a message names.
const SHOWN: usize = 10;
/// Owners of one prime that are kept.
const OWNERS: usize = 3;
/// The upper bits of an owner's number say what kind it is; positions have none of them.
const ISSUER: u64 = 1 << 62;
const POOL: u64 = 2 << 62;

/// Whose a prime is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// The card at a position.
    Card(u64),
    /// A key of the issuer, by its place.
    Issuer(u64),
    /// A key of the pool, by its place.
    Pool(u64),
    /// A card of an earlier batch.
    Earlier(BatchName),
}

impl Owner {
    fn read(number: u64) -> Self {
        match number {
            POOL.. => Self::Pool(number ^ POOL),
            ISSUER.. => Self::Issuer(number ^ ISSUER),
            _ => Self::Card(number),
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Card(n) => n,
            Self::Issuer(n) => n | ISSUER,
            Self::Pool(n) => n | POOL,
            Self::Earlier(_) => 0,
        }
    }
}

/// Takes the parts of all blocks, then compares.
pub(in crate::batch) struct Check<'a> {
    open: &'a OpenJob,
    gate: Option<Working<'a>>,
}

struct Working<'a> {
    gate: &'a WeakKeyGate<'a>,
    sorter: Sorter<'a, RECORD>,
    sample: Sample,
    found: WeakKeys,
}

impl<'a> Check<'a> {
    pub(in crate::batch) fn start(
        open: &'a OpenJob,
        gate: Option<&'a WeakKeyGate<'a>>,
    ) -> Result<Self, BatchError> {
        let work = |gate: &'a WeakKeyGate<'a>| {
            let sorter = Sorter::new(&open.store, &open.layout.scratch("primes"), gate.memory)?;
            Ok::<_, BatchError>(Working {
                gate,
                sorter,
                sample: Sample::new(gate.sample),
                found: WeakKeys::default(),
            })
        };
        Ok(Self { open, gate: gate.map(work).transpose()? })
    }

    /// The keys of a block.
    pub(in crate::batch) fn add(&mut self, record: &BlockRecord) -> Result<(), BatchError> {
        let (Some(working), Some(keys)) = (&mut self.gate, &record.keys) else { return Ok(()) };
        let damaged = || BatchError::Refused("the primes of a committed block cannot be read".to_owned());
        working.gate.must_match(record)?;
        let bytes = finish::part(self.open, record, &keys.file)?;
        for key in part::read(&bytes).ok_or_else(damaged)? {
            working.push(key.primes, Owner::Card(key.position))?;
            working.found.primes = working.found.primes.saturating_add(2);
            if !key.modulus.is_empty() {
                let [p, _] = key.primes;
                working.sample.add(p, key.position, key.modulus);
            }
        }
        Ok(())
    }

    /// Compares all; what was looked at, unless there was nothing.
    ///
    /// # Errors
    /// [`BatchError::Refused`] when a prime is met more than once.
    pub(in crate::batch) fn end(self) -> Result<Option<WeakKeys>, BatchError> {
        let Some(mut working) = self.gate else { return Ok(None) };
        working.add_others()?;
        let Working { gate, sorter, sample, mut found } = working;
        let sorted = sorter.finish()?;
        found.history = primes(self.open, gate, &sorted)?;
        sorted.remove()?;
        found.moduli = moduli(gate, sample)?;
        let nothing = found.primes == 0 && found.issuer == 0 && found.moduli == 0;
        Ok((!nothing).then_some(found))
    }
}

impl Working<'_> {
    fn push(&mut self, tags: [PrimeTag; 2], owner: Owner) -> Result<(), StoreError> {
        for tag in tags {
            let mut record = [0; RECORD];
            let bytes = tag.to_bytes().into_iter().chain(owner.number().to_be_bytes());
            record.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            self.sorter.push(record)?;
        }
        Ok(())
    }

    /// The issuer's own keys and the pool's.
    fn add_others(&mut self) -> Result<(), BatchError> {
        for (n, (_, tags)) in self.gate.issuer.iter().enumerate() {
            self.push(*tags, Owner::Issuer(n as u64))?;
            self.found.issuer = self.found.issuer.saturating_add(2);
        }
        let Some(pool) = self.gate.pool else { return Ok(()) };
        let mut n = 0_u64;
        let (key, sum) = (self.gate.key, &mut 0_u64);
        pool.prime_tags(key, |tags| {
            self.push(tags, Owner::Pool(n)).map_err(BatchError::from)?;
            n = n.saturating_add(1);
            *sum = sum.saturating_add(2);
            Ok::<_, BatchError>(())
        })?;
        self.found.pool = *sum;
        Ok(())
    }
}

/// Every prime against every other and against those of earlier batches: how many these are.
fn primes(open: &OpenJob, gate: &WeakKeyGate<'_>, sorted: &Sorted<'_, RECORD>) -> Result<u64, BatchError> {
    let record = |bytes: Result<[u8; RECORD], StoreError>| {
        let bytes = bytes?;
        let tag = PrimeTag::from_bytes(bytes.first_chunk().copied().unwrap_or_default());
        let number = u64::from_be_bytes(bytes.last_chunk().copied().unwrap_or_default());
        Ok::<_, BatchError>((tag, Owner::read(number)))
    };
    let mine = BatchName::of(&open.job.batch);
    let (mut last, mut earlier) = (None::<Entry>, 0_u64);
    let mut all: Merge<'_, (PrimeTag, Owner), BatchError> = Merge::new();
    all.add(sorted.records()?.map(record))?;
    if let Some(history) = &gate.history {
        let cards = sorted.records()?.map(record).filter_map(|next| match next {
            Ok((tag, Owner::Card(_))) => Some(Ok(tag)),
            Ok(_) => None,
            Err(e) => Some(Err(e)),
        });
        // Written before it is compared: of two batches side by side one sees the other's.
        history.write(&open.job.batch, cards)?;
        // Its own entries, of this run or an earlier one, are no repeats, and an entry may stand twice.
        let entries = history.entries()?.filter_map(|entry| match entry {
            Ok(entry) if entry.batch == mine || last.replace(entry) == Some(entry) => None,
            Ok(Entry { tag, batch }) => {
                earlier = earlier.saturating_add(1);
                Some(Ok((tag, Owner::Earlier(batch))))
            }
            Err(e) => Some(Err(e.into())),
        });
        all.add(entries)?;
    }
    let mut repeats = Repeats::default();
    for next in all {
        let (tag, owner) = next?;
        repeats.next(tag, owner);
    }
    repeats.settle();
    if repeats.count > 0 {
        let primes = if repeats.count == 1 { "a prime was" } else { "primes were" };
        let shown: Vec<String> = repeats.shown.iter().map(|owners| named(gate, owners)).collect();
        return Err(refused(format!("{} {primes} met more than once: {}", repeats.count, shown.join("; "))));
    }
    if let Some(history) = &gate.history {
        history.tidy()?;
    }
    Ok(earlier)
}

fn refused(what: String) -> BatchError {
    BatchError::Refused(format!(
        "weak RSA keys: {what}. The batch is not signed: make no card of this folder (docs/weak-keys.md says what to do)"
    ))
}

fn named(gate: &WeakKeyGate<'_>, owners: &[Owner]) -> String {
    let name = |owner: &Owner| match owner {
        Owner::Card(position) => format!("position {position}"),
        Owner::Issuer(n) => usize::try_from(*n)
            .ok()
            .and_then(|n| gate.issuer.get(n))
            .map_or_else(|| "an issuer key".to_owned(), |(name, _)| name.clone()),
        Owner::Pool(_) => "a key of the pool".to_owned(),
        Owner::Earlier(batch) => format!("an earlier batch ({batch}…)"),
    };
    owners.iter().map(name).collect::<Vec<_>>().join(" with ")
}

/// Equal tags among sorted ones.
#[derive(Default)]
struct Repeats {
    current: Option<PrimeTag>,
    owners: Vec<Owner>,
    count: u64,
    shown: Vec<Vec<Owner>>,
}

impl Repeats {
    fn next(&mut self, tag: PrimeTag, owner: Owner) {
        if self.current != Some(tag) {
            self.settle();
            self.current = Some(tag);
        }
        if self.owners.len() < OWNERS {
            self.owners.push(owner);
        }
    }

    /// The current tag is over. Keys of earlier batches alone are none of this batch's.
    fn settle(&mut self) {
        let is_ours = self.owners.iter().any(|owner| !matches!(owner, Owner::Earlier(_)));
        if self.owners.len() > 1 && is_ours {
            self.count = self.count.saturating_add(1);
            if self.shown.len() < SHOWN {
                self.shown.push(std::mem::take(&mut self.owners));
            }
        }
        self.owners.clear();
    }
}

/// The batch gcd of the sample and of the moduli whose primes are not known: how many went through it.
fn moduli(gate: &WeakKeyGate<'_>, sample: Sample) -> Result<u64, BatchError> {
    let cards = sample.into_keys().map(|(position, modulus)| (format!("position {position}"), modulus));
    let (names, moduli): (Vec<String>, Vec<Vec<u8>>) = cards.chain(gate.moduli.iter().cloned()).unzip();
    let keys: crate::error::Result<Vec<RsaPublic>> =
        moduli.iter().map(|modulus| RsaPublic::new(modulus, &Exponent::THREE.to_bytes())).collect();
    let keys = keys.map_err(|_| BatchError::Internal("a modulus is not one"))?;
    let shared = share_factors(&keys.iter().collect::<Vec<_>>());
    let shared = shared.map_err(|_| BatchError::Internal("a modulus is zero"))?;
    let found: Vec<&str> =
        names.iter().zip(shared).filter(|(_, shared)| *shared).map(|(n, _)| n.as_str()).collect();
    if found.is_empty() {
        return Ok(keys.len() as u64);
    }
    let shown: Vec<&str> = found.iter().take(SHOWN).copied().collect();
    Err(refused(format!("{} moduli share a prime: {}", found.len(), shown.join(", "))))
}

/// For each modulus whether it shares a factor with another one: [`shared_factors`](crate::crypto::rsa::shared_factors) in
/// the threads of the batch.
fn share_factors(moduli: &[&RsaPublic]) -> crate::error::Result<Vec<bool>> {
    let trees: crate::error::Result<Vec<GcdTree>> =
        moduli.par_chunks(GcdTree::share(moduli.len())).map(GcdTree::of).collect();
    let trees = trees?;
    let products: Vec<GcdProduct> = trees.iter().map(GcdTree::product).collect();
    let shared = trees.into_par_iter().enumerate().map(|(place, tree)| tree.shared(place, &products));
    Ok(shared.collect::<Vec<_>>().into_iter().flatten().collect())
}

impl From<HistoryError> for BatchError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(e) => Self::Store(e),
            HistoryError::Random(e) => Self::Lost(e),
            HistoryError::Damaged(_) | HistoryError::OtherKey(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<PoolError> for BatchError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Store(e) => Self::Store(e),
            PoolError::Keys(e) => Self::Lost(e),
            other => Self::Refused(other.to_string()),
        }
    }
}

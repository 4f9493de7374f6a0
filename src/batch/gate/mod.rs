//! The weak-key gate: before the manifest is signed, every prime is compared with every other, exactly.
//!
//! Each RSA key leaves a trace when its card is prepared: the keyed tags of p and q ([`PrimeTagKey`]). A block's attempt
//! writes them beside its statuses, and its record lists that part. At the end the tags of all blocks, of the issuer's own
//! keys and of the pool are sorted in bounded memory and merged with those of earlier batches
//! ([`PrimeHistory`]): equal tags stand side by side then.
//!
//! Moduli whose primes nobody here knows (keys in a token, CA keys), and a random sample of the cards', go through the
//! batch gcd ([`shared_factors`](crate::crypto::rsa::shared_factors)). The sample is the cards with the smallest tags of p:
//! a choice that nobody can foresee, and that needs neither the number of cards nor all moduli at hand.
//!
//! A batch with a repeat is refused, and refused again when it is resumed: what it was made of stays as it was.

mod check;
mod part;
mod sample;

use std::sync::Mutex;

use crate::bytes::hex_upper;
use crate::crypto::rng::Seed;
use crate::crypto::rsa::{PrimeTag, PrimeTagKey};
use crate::keys::{KeyRef, KeySource};
use crate::secret::Secret;
use crate::store::pool::PoolSupply;
use crate::store::primes::PrimeHistory;
use crate::store::sort;

pub(super) use check::Check;
pub use part::KeysPart;
pub(super) use part::write;
use sample::Threshold;

use super::{BatchError, BlockRecord, OpenJob};

/// Moduli of cards that go through the batch gcd.
pub const SAMPLE: usize = 20_000;

/// Name of the tag key in the work folder.
const KEY_FILE: &str = "prime-tag-key";

/// Where the key of the tags comes from: the same one for all runs of a batch.
#[derive(Clone, Copy)]
pub enum TagKeyFrom<'a> {
    /// From the ledger's key, so that batches can be compared.
    Ledger(&'a dyn KeySource, KeyRef),
    /// From a fixed seed.
    Seed(&'a Seed),
    /// Drawn for this batch and kept in its work folder.
    Job,
}

impl std::fmt::Debug for TagKeyFrom<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ledger(..) => "Ledger",
            Self::Seed(_) => "Seed",
            Self::Job => "Job",
        })
    }
}

/// The key of the tags of a batch.
///
/// # Errors
/// [`BatchError::Lost`] when the key source or the random numbers fail; files.
pub fn tag_key(job: &OpenJob, from: TagKeyFrom<'_>) -> Result<PrimeTagKey, BatchError> {
    const CONTEXT: &[u8] = b"emv-dataprep/prime-tag-key/1";
    let bytes = match from {
        TagKeyFrom::Ledger(source, key) => {
            let macs = source.hmac_sha256(key, &[CONTEXT]).map_err(BatchError::Lost)?;
            macs.first()
                .map(|mac| Secret::copy_of(mac))
                .ok_or(BatchError::Internal("a tag key is missing"))?
        }
        TagKeyFrom::Seed(seed) => Secret::copy_of(&seed.keyed_digest(&[CONTEXT])),
        TagKeyFrom::Job => {
            let path = job.layout.scratch(KEY_FILE);
            match job.store.read(&path)? {
                Some(bytes) => Secret::new(bytes),
                None => {
                    let drawn = Seed::from_os().map_err(BatchError::Lost)?.keyed_digest(&[CONTEXT]);
                    let drawn = Secret::copy_of(&drawn);
                    job.store.create_folders(&job.layout.work())?;
                    job.store.publish(&job.layout.scratch("prime-tag-key.new"), &path, drawn.expose())?;
                    drawn
                }
            }
        }
    };
    PrimeTagKey::new(bytes).map_err(|_| BatchError::Refused(format!("{KEY_FILE}: is damaged")))
}

/// What the keys of a batch are compared with.
pub struct WeakKeyGate<'a> {
    key: &'a PrimeTagKey,
    issuer: Vec<(String, [PrimeTag; 2])>,
    moduli: Vec<(String, Vec<u8>)>,
    pool: Option<&'a PoolSupply<'a>>,
    history: Option<PrimeHistory>,
    memory: usize,
    sample: usize,
    threshold: Mutex<Threshold>,
}

impl std::fmt::Debug for WeakKeyGate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakKeyGate").field("history", &self.history).finish_non_exhaustive()
    }
}

impl<'a> WeakKeyGate<'a> {
    /// Compares the keys of a batch with each other.
    #[must_use]
    pub fn new(key: &'a PrimeTagKey) -> Self {
        Self {
            key,
            issuer: Vec::new(),
            moduli: Vec::new(),
            pool: None,
            history: None,
            memory: sort::MEMORY,
            sample: SAMPLE,
            threshold: Mutex::new(Threshold::new(SAMPLE)),
        }
    }

    /// And with a key of the issuer whose primes are known, by its name for people.
    pub fn issuer_key(&mut self, name: String, primes: [PrimeTag; 2]) {
        self.issuer.push((name, primes));
    }

    /// And with a key whose primes are not known. A modulus counts once, however many names it has.
    pub fn modulus(&mut self, name: String, modulus: &[u8]) {
        let zeros = modulus.iter().take_while(|b| **b == 0).count();
        let bare = modulus.get(zeros..).unwrap_or_default();
        if !bare.is_empty() && self.moduli.iter().all(|(_, known)| known != bare) {
            self.moduli.push((name, bare.to_vec()));
        }
    }

    /// And with all keys that the pool still has.
    pub const fn pool(&mut self, pool: &'a PoolSupply<'a>) {
        self.pool = Some(pool);
    }

    /// And with the keys of earlier batches; those of this one are added to them.
    pub fn history(&mut self, history: PrimeHistory) {
        self.history = Some(history);
    }

    /// Whether the tags of a committed block are under this gate's key.
    pub(super) fn must_match(&self, record: &BlockRecord) -> Result<(), BatchError> {
        match &record.keys {
            Some(part) if part.check != hex_upper(&self.key.check_value()) => {
                Err(BatchError::Refused(format!(
                    "the batch in this folder was started with another ledger, with another ledger key, or its {KEY_FILE} \
                 is gone"
                )))
            }
            _ => Ok(()),
        }
    }

    /// With other bounds: bytes of memory for the sort, moduli of cards for the batch gcd.
    #[must_use]
    pub fn bounds(mut self, memory: usize, sample: usize) -> Self {
        (self.memory, self.sample) = (memory, sample);
        self.threshold = Mutex::new(Threshold::new(sample));
        self
    }
}

//! Keys out of the pool, for [`crate::prepare`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::claim::{Claim, damaged};
use super::segment::{Origin, RawKey};
use super::{Pool, PoolError, Result, Work};
use crate::crypto::rng::Purpose;
use crate::crypto::rsa::{KeySpec, RsaPrivate, Sampling};
use crate::prepare::RsaKeySupply;

/// Ready keys of a pool: a [`RsaKeySupply`] for one process, its threads together.
///
/// It claims a segment when it needs one, hands its keys out one by one, and gives back what is left when it is closed
/// or dropped. A damaged segment is passed over; [`PoolSupply::close`] tells of it.
///
/// A server fills the pool in quiet hours and passes one supply to every [`Context`](crate::prepare::Context):
///
/// ```
/// # use std::sync::atomic::AtomicBool;
/// # use emv_dataprep::crypto::{backend::Backend, rng::Purpose, rsa::{Exponent, KeySpec}};
/// # use emv_dataprep::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
/// # use emv_dataprep::{prepare::RsaKeySupply, secret::Secret, store::Store};
/// use emv_dataprep::store::pool::{Fill, NoFillProgress, Pool, PoolSupply};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # let mut ring = SoftwareRing::new(Backend::Portable);
/// # let name = KeyRef::new(KeyUse::Pool, KeyIndex(1));
/// # ring.add_clear(name, KeyAlgorithm::Aes256, Secret::new((1..33).collect()), KeyAttributes::default())?;
/// let spec = KeySpec::new(512, Exponent::F4)?; // a test's size; cards have 1024 bits and more
/// let stop = AtomicBool::new(false);
/// let pool = Pool::new(folder, Store::default(), &ring)?;
/// let (backend, progress) = (Backend::detect(), &NoFillProgress);
/// pool.fill(&Fill { spec, count: 2, threads: 0, backend, stop: &stop, progress })?;
///
/// let supply = PoolSupply::open(pool)?; // Context { supply: Some(&supply), … }
/// let key = supply.take(1, Purpose::IccKey, spec).ok_or("an empty pool")?;
/// assert_eq!(key.public().bits(), 512);
/// assert!(supply.close().is_empty()); // the other key goes back
/// # Ok(())
/// # }
/// ```
pub struct PoolSupply<'a> {
    pub(super) pool: Pool<'a>,
    work: Work,
    state: Mutex<State>,
}

/// Keys of one size and exponent.
struct Held {
    spec: KeySpec,
    keys: Vec<Burnt>,
}

/// A key that is burnt, and the file that it was in.
type Burnt = (RawKey, PathBuf);

#[derive(Default)]
struct State {
    /// Keys of claimed segments that nobody has yet, with the file that they were in.
    held: BTreeMap<(usize, u32), Held>,
    /// Segments that are not to be looked at again.
    passed: BTreeSet<String>,
    /// What went wrong.
    notes: Vec<PoolError>,
    /// Set when the pool's folder fails: nothing more is claimed.
    shut: bool,
}

impl std::fmt::Debug for PoolSupply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolSupply").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<'a> PoolSupply<'a> {
    /// Clears up after processes that died and stands ready.
    ///
    /// # Errors
    /// [`PoolError::Store`].
    pub fn open(pool: Pool<'a>) -> Result<Self> {
        pool.sweep()?;
        let work = pool.work()?;
        Ok(Self { pool, work, state: Mutex::default() })
    }

    /// Seals what nobody took as new segments: everything that went wrong since it was opened.
    #[must_use]
    pub fn close(self) -> Vec<PoolError> {
        self.give_back();
        std::mem::take(&mut self.lock().notes)
    }

    fn give_back(&self) {
        let mut state = self.lock();
        for (_, Held { spec, keys }) in std::mem::take(&mut state.held) {
            let keys: Vec<RawKey> = keys.into_iter().map(|(key, _)| key).collect();
            for part in keys.chunks(super::SEGMENT as usize) {
                // A part that cannot be sealed again is lost.
                if let Err(e) = self.pool.publish(&self.work, spec, Origin::Returned, part) {
                    state.notes.push(e);
                }
            }
        }
    }

    /// A key that nobody had, burnt already.
    fn next(&self, spec: KeySpec) -> Option<Burnt> {
        let mut state = self.lock();
        let name = (spec.bits(), spec.exponent().get());
        if let Some(key) = state.held.get_mut(&name).and_then(|held| held.keys.pop()) {
            return Some(key);
        }
        if state.shut {
            return None;
        }
        match self.claim(&mut state, spec) {
            Ok(keys) => {
                let held = state.held.entry(name).or_insert_with(|| Held { spec, keys: Vec::new() });
                held.keys.extend(keys);
                held.keys.pop()
            }
            Err(e) => {
                state.shut = true;
                state.notes.push(e);
                None
            }
        }
    }

    /// The keys of the next segment that is ready and good; none when there is none.
    fn claim(&self, state: &mut State, spec: KeySpec) -> Result<Vec<Burnt>> {
        for id in self.pool.ready_ids(spec)? {
            if state.passed.contains(&id) {
                continue;
            }
            match self.pool.claim(&self.work, spec, &id) {
                Ok(Claim::Ours(opened)) => {
                    let path = self.pool.burnt(spec).join(&id);
                    return Ok(opened.keys.into_iter().map(|key| (key, path.clone())).collect());
                }
                Ok(Claim::Gone) => {}
                Err(e @ PoolError::Segment { .. }) => {
                    state.passed.insert(id);
                    state.notes.push(e);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Vec::new())
    }

    /// What `of` says of each key that is held.
    pub(super) fn held_keys<T>(&self, of: impl Fn(&RawKey) -> T) -> Vec<T> {
        self.lock().held.values().flat_map(|held| &held.keys).map(|(key, _)| of(key)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RsaKeySupply for PoolSupply<'_> {
    fn take(&self, _: u64, purpose: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let for_card = matches!(purpose, Purpose::IccKey | Purpose::PinEncipherKey);
        // Keys of the pool are drawn from windows: who must have another sampling gets fresh ones.
        if !for_card || spec.sampling() != Sampling::Windows {
            return None;
        }
        loop {
            let (raw, path) = self.next(spec)?;
            match raw.build(spec) {
                Ok(key) => return Some(key),
                Err(e) => self.lock().notes.push(damaged(&path)(e)),
            }
        }
    }
}

impl Drop for PoolSupply<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

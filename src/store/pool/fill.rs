//! Making keys ahead.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::segment::{Origin, RawKey, SEGMENT};
use super::{Pool, PoolError, Result};
use crate::crypto::backend::Backend;
use crate::crypto::rng::{CardStream, Purpose, Seed};
use crate::crypto::rsa::{self, KeySpec};

/// Keys that one thread makes together: enough for the lanes of a backend.
const TOGETHER: usize = 16;

/// How keys are made for the pool.
#[derive(Clone, Copy)]
pub struct Fill<'a> {
    /// Size and exponent.
    pub spec: KeySpec,
    /// How many.
    pub count: u64,
    /// Threads; 0 takes one for each core.
    pub threads: usize,
    /// Which kernels work.
    pub backend: Backend,
    /// Becomes true when making is to stop: what is made by then is sealed.
    pub stop: &'a AtomicBool,
    /// Is told of every segment.
    pub progress: &'a dyn FillProgress,
}

impl std::fmt::Debug for Fill<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill").field("spec", &self.spec).field("count", &self.count).finish_non_exhaustive()
    }
}

/// Is told how filling goes on.
pub trait FillProgress: Sync {
    /// So many keys are sealed and durable.
    fn sealed(&self, keys: u64);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFillProgress;

impl FillProgress for NoFillProgress {
    fn sealed(&self, _: u64) {}
}

impl Pool<'_> {
    /// Makes keys and seals them into the pool, segment by segment, each from a fresh seed of the operating system. When
    /// it returns, all of them are durable.
    ///
    /// # Errors
    /// [`PoolError`]; segments that are sealed by then stay.
    pub fn fill(&self, fill: &Fill<'_>) -> Result<u64> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(fill.threads).build();
        let threads = threads.map_err(|_| PoolError::Threads)?;
        self.sweep()?;
        let work = self.work()?;
        let mut made = 0_u64;
        while made < fill.count {
            let wanted = fill.count.saturating_sub(made).min(SEGMENT);
            let keys = threads.install(|| generate(fill, wanted))?;
            self.publish(&work, fill.spec, Origin::Made, &keys)?;
            made = made.saturating_add(keys.len() as u64);
            fill.progress.sealed(made);
            if (keys.len() as u64) < wanted {
                return Err(PoolError::Interrupted { made });
            }
        }
        Ok(made)
    }
}

/// So many keys, or fewer when asked to stop.
fn generate(fill: &Fill<'_>, wanted: u64) -> Result<Vec<RawKey>> {
    let seed = Seed::from_os().map_err(PoolError::Keys)?;
    let stream = |i: u64| seed.named_stream(&i.to_be_bytes(), Purpose::PoolKey);
    let streams: Vec<CardStream> = (0..wanted).map(stream).collect();
    let made: Result<Vec<Vec<RawKey>>> = streams
        .par_chunks(TOGETHER)
        .map(|streams| {
            if fill.stop.load(Ordering::Relaxed) {
                return Ok(Vec::new());
            }
            let jobs: Vec<(KeySpec, &CardStream)> = streams.iter().map(|s| (fill.spec, s)).collect();
            let keys = rsa::generate_batch(fill.backend, &jobs).into_iter();
            keys.map(|key| key.map(|k| RawKey::of(&k)).map_err(PoolError::Keys)).collect()
        })
        .collect();
    Ok(made?.into_iter().flatten().collect())
}

use std::path::PathBuf;

use crate::error::Error;
use crate::store::StoreError;

/// What is wrong with a pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// `keys.toml` has no key to seal the pool with.
    #[error("keys.toml has no key of use pool, which seals the pool")]
    NoKey,
    /// A segment, or one of its keys, is damaged: the others go on.
    #[error("pool segment {}: {error}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Error,
    },
    /// A file of the pool.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The key source or the random numbers are lost, or a key could not be made.
    #[error("{0}")]
    Keys(Error),
    /// No work folder could be had.
    #[error("the pool's folder is busy")]
    Busy,
    /// The threads cannot be started.
    #[error("the threads cannot be started")]
    Threads,
    /// Somebody asked to stop; what is sealed stays.
    #[error("stopped; {made} keys were made and are in the pool")]
    Interrupted {
        /// Keys that this call made and sealed.
        made: u64,
    },
}

//! A pool of ready RSA keys: made ahead, sealed, each used for one card.
//!
//! # In the pool's folder
//!
//! | path | holds |
//! |---|---|
//! | `<bits>-<exponent>/ready/<id>` | a segment: up to [`SEGMENT`] keys, sealed |
//! | `<bits>-<exponent>/burnt/<id>` | what is left of a segment that was claimed: its size, no key |
//! | `.work-*` | files that are being written by a process that lives |
//!
//! # A segment
//!
//! One line of JSON, then ciphertext and tag: A256GCM under a segment key of its own, which stands in the line as an
//! X9.143 key block under a `pool` key of `keys.toml`. The line is authenticated with the ciphertext. The plaintext is
//! p ‖ q of each key.
//!
//! # A key is burnt before it is used, and never used twice
//!
//! A process claims a whole segment:
//! 1. it reads `ready/<id>` and opens it; a segment that does not open is left where it is, and named;
//! 2. it links `ready/<id>` to `burnt/<id>`, which fails when that name is taken, and syncs the folder;
//! 3. it removes `ready/<id>` and syncs the folder;
//! 4. it writes what is left over `burnt/<id>`: the wrapped segment key is gone with it;
//! 5. only now does it hand out the first key.
//!
//! Of two processes one wins the link. A kill before step 2 leaves the segment ready; a kill at any later point leaves
//! it burnt, for the name in `burnt/` stays, and a segment that came back (a copy, a restored folder) meets it. The
//! keys of a segment whose holder dies are lost, never used again. A holder that ends in order seals the keys that it
//! did not hand out as a new segment, with another id and another segment key; nothing it handed out is among them.
//!
//! A pool is not backed up: whoever restores the folder whole brings keys back that were used.

mod claim;
mod error;
mod fill;
mod segment;
mod status;
mod supply;
mod tags;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::{FolderLock, LockOutcome, Store};
use crate::bytes::hex_upper;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::rsa::{Exponent, KeySpec};
use crate::keys::{KeyRef, KeySource, KeyUse};

pub use error::PoolError;
pub use fill::{Fill, FillProgress, NoFillProgress};
pub use segment::SEGMENT;
pub use status::{PoolStatus, Shelf};
pub use supply::PoolSupply;

/// Result of an operation on the pool.
pub type Result<T> = std::result::Result<T, PoolError>;

/// Tries at a work folder of one's own.
const TRIES: usize = 16;

/// The pool of one issuer.
pub struct Pool<'a> {
    root: PathBuf,
    store: Store,
    source: &'a dyn KeySource,
    key: KeyRef,
}

impl std::fmt::Debug for Pool<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("root", &self.root).field("key", &self.key).finish_non_exhaustive()
    }
}

impl<'a> Pool<'a> {
    /// The pool in a folder, which may be absent yet. New segments are sealed with the `pool` key of the highest
    /// index; those that are there open with the key that they name.
    ///
    /// # Errors
    /// [`PoolError::NoKey`] if `source` has no `pool` key.
    pub fn new(root: &Path, store: Store, source: &'a dyn KeySource) -> Result<Self> {
        let keys = source.keys();
        let key = keys.iter().map(|k| k.key).filter(|k| k.usage == KeyUse::Pool).max_by_key(|k| k.index);
        let key = key.ok_or(PoolError::NoKey)?;
        Ok(Self { root: root.to_owned(), store, source, key })
    }

    fn shelf(&self, spec: KeySpec) -> PathBuf {
        self.root.join(format!("{}-{}", spec.bits(), spec.exponent().get()))
    }

    fn ready(&self, spec: KeySpec) -> PathBuf {
        self.shelf(spec).join("ready")
    }

    fn burnt(&self, spec: KeySpec) -> PathBuf {
        self.shelf(spec).join("burnt")
    }

    /// Every size and exponent that has a folder.
    fn specs(&self) -> Result<Vec<KeySpec>> {
        let spec = |name: &std::ffi::OsString| {
            let (bits, exponent) = name.to_str()?.split_once('-')?;
            let exponent = Exponent::new(exponent.parse().ok()?).ok()?;
            KeySpec::new(bits.parse().ok()?, exponent).ok()
        };
        let mut specs: Vec<KeySpec> = self.store.list(&self.root)?.iter().filter_map(spec).collect();
        specs.sort_by_key(|s| (s.bits(), s.exponent().get()));
        Ok(specs)
    }

    /// A folder for files that this process writes, locked while it lives.
    fn work(&self) -> Result<Work> {
        self.store.create_folders(&self.root)?;
        for _ in 0..TRIES {
            let path = self.root.join(format!(".work-{}", fresh_id()?));
            self.store.create_folders(&path)?;
            // Somebody who clears up may have come between; then there is another name.
            if let Ok(LockOutcome::Held(lock)) = FolderLock::take(&path)
                && self.store.exists(&path)
            {
                return Ok(Work { path, store: self.store.clone(), _lock: lock });
            }
        }
        Err(PoolError::Busy)
    }

    /// Clears up after processes that died: their work folders, and key material in segments that they had claimed.
    fn sweep(&self) -> Result<()> {
        for name in self.store.list(&self.root)? {
            let path = self.root.join(&name);
            if name.to_str().is_some_and(|n| n.starts_with(".work-"))
                && let Ok(LockOutcome::Held(_lock)) = FolderLock::take(&path)
            {
                self.store.remove_folder(&path)?;
            }
        }
        let work = self.work()?;
        for spec in self.specs()? {
            self.wipe_burnt(spec, &work)?;
        }
        Ok(())
    }
}

/// A folder of temporary files; it goes with its holder.
#[derive(Debug)]
struct Work {
    path: PathBuf,
    store: Store,
    _lock: FolderLock,
}

impl Work {
    /// A name for a temporary file.
    fn file(&self, id: &str) -> PathBuf {
        self.path.join(id)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = self.store.remove_folder(&self.path);
    }
}

/// An id that nothing else has: 128 random bits.
fn fresh_id() -> Result<String> {
    let mut rng = Seed::from_os().map_err(PoolError::Keys)?.named_stream(b"id", Purpose::PoolSegment).rng();
    Ok(hex_upper(&rng.bytes::<16>()))
}

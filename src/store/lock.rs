use std::fs::{File, TryLockError};
use std::path::Path;

use super::{Result, Step, StoreError};

/// An exclusive lock on a folder, held by this process until it is dropped or the process ends, however it ends.
///
/// No lock file stands in the folder: the folder itself is locked (`flock(2)`).
#[derive(Debug)]
pub struct FolderLock {
    _folder: File,
}

/// What became of the wish for a lock.
#[derive(Debug)]
pub enum LockOutcome {
    /// The folder is ours.
    Held(FolderLock),
    /// Another process works on it.
    Busy,
}

impl FolderLock {
    /// Locks a folder without waiting.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be opened or locked.
    pub fn take(path: &Path) -> Result<LockOutcome> {
        let folder = File::open(path).map_err(StoreError::at(Step::Lock, path))?;
        match folder.try_lock() {
            Ok(()) => Ok(LockOutcome::Held(Self { _folder: folder })),
            Err(TryLockError::WouldBlock) => Ok(LockOutcome::Busy),
            Err(TryLockError::Error(e)) => Err(StoreError::at(Step::Lock, path)(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(first, LockOutcome::Held(_)));
        assert!(matches!(FolderLock::take(folder.path()).unwrap(), LockOutcome::Busy));
        drop(first);
        assert!(matches!(FolderLock::take(folder.path()).unwrap(), LockOutcome::Held(_)));
        assert_eq!(FolderLock::take(&folder.path().join("none")).unwrap_err().step, Step::Lock);
    }
}

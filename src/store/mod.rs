//! Durable files: written, synced, linked or renamed into place, and an exclusive lock on a folder.
//!
//! A file is whole or absent under its final name: its bytes are written and synced under a name of their own, and
//! one `link(2)` or `rename(2)` gives it the final name. A failed sync is final: nobody tries it a second time,
//! because the operating system may have dropped the pages that it could not write.
//!
//! All of it goes through [`Disk`], so that tests can make every single operation fail.

pub mod audit;
mod disk;
mod error;
pub mod ledger;
mod lock;
pub mod pool;
pub mod primes;
mod read;
pub mod sort;

pub use disk::{Disk, DiskFile, OsDisk};
pub use error::{Step, StoreError};
pub use lock::{FolderLock, LockOutcome};
pub use read::FileReader;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::crypto::hash::Sha256Stream;

/// Result of an operation on files.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Durable operations over a [`Disk`].
#[derive(Clone, Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Arc::new(OsDisk))
    }
}

/// What a file that was written holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// How many bytes.
    pub bytes: u64,
}

impl Store {
    /// Operations over this disk.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// Writes a new file from the parts one after the other and syncs it. An existing file is never touched.
    ///
    /// # Errors
    /// [`StoreError`] naming the step that failed.
    pub fn write_new<P: AsRef<[u8]>>(
        &self,
        path: &Path,
        parts: impl IntoIterator<Item = P>,
    ) -> Result<Written> {
        let mut writer = self.start(path)?;
        for part in parts {
            writer.write(part.as_ref())?;
        }
        writer.finish()
    }

    /// Starts a new file that is written piece by piece.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be created, also when it exists.
    pub fn start(&self, path: &Path) -> Result<FileWriter> {
        let file = self.disk.create_new(path).map_err(StoreError::at(Step::Create, path))?;
        let written = Sha256Stream::default();
        Ok(FileWriter {
            file,
            path: path.to_owned(),
            digest: written,
            bytes: 0,
            buffer: Zeroizing::new(Vec::with_capacity(GATHER)),
        })
    }

    /// Adds bytes to the end of a file, which is created if it is absent, and syncs it and its folder.
    ///
    /// # Errors
    /// [`StoreError`]: a part of the bytes may have reached the file.
    pub fn append(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let is_new = !self.exists(path);
        let mut file = self.disk.append(path).map_err(StoreError::at(Step::Create, path))?;
        file.write(bytes).map_err(StoreError::at(Step::Write, path))?;
        file.sync().map_err(StoreError::at(Step::Sync, path))?;
        if is_new { self.sync_parent(path) } else { Ok(()) }
    }

    /// Gives a file a second name, never over an existing one. The folder of the new name is synced.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::exists`] says whether the name was taken.
    pub fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.link(from, to).map_err(StoreError::at(Step::Link, to))?;
        self.sync_parent(to)
    }

    /// Moves a file to its final name. The folder is not synced: [`Store::sync_folder`] follows for many at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to).map_err(StoreError::at(Step::Rename, to))
    }

    /// Writes a file under a temporary name, syncs it, moves it to `path` and syncs the folder.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn publish(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> Result<Written> {
        self.remove_file(temporary)?;
        let written = self.write_new(temporary, [bytes])?;
        self.rename(temporary, path)?;
        self.sync_parent(path)?;
        Ok(written)
    }

    /// Makes a folder and those above it that are absent, and syncs the folder above each new one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create_folders(&self, path: &Path) -> Result<()> {
        if path.as_os_str().is_empty() || self.disk.is_folder(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_folders(parent)?;
        }
        match self.disk.create_folder(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::at(Step::CreateFolder, path)(e));
            }
            _ => {}
        }
        self.sync_parent(path)
    }

    /// Syncs a folder: the names in it are durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sync_folder(&self, path: &Path) -> Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.disk.sync_folder(path).map_err(StoreError::at(Step::SyncFolder, path))
    }

    /// Reads a whole file; `None` if it is absent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match self.disk.read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::at(Step::Read, path)(e)),
        }
    }

    /// Opens a file to read it piece by piece; `None` if it is absent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(&self, path: &Path) -> Result<Option<FileReader>> {
        match self.disk.open(path) {
            Ok(file) => Ok(Some(FileReader::new(file, path))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::at(Step::Read, path)(e)),
        }
    }

    /// Names in a folder, sorted; none if the folder is absent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        match self.disk.list(path) {
            Ok(mut names) => {
                names.sort();
                Ok(names)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(StoreError::at(Step::List, path)(e)),
        }
    }

    /// Whether something has this name.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    /// Removes a file; an absent one is fine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        match self.disk.remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::at(Step::Remove, path)(e)),
            _ => Ok(()),
        }
    }

    /// Writes zeros over a file, syncs it, removes it and syncs its folder; an absent one is fine.
    ///
    /// A disk that writes elsewhere (flash, a copy-on-write file system, a snapshot) may keep the old bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn destroy_file(&self, path: &Path) -> Result<()> {
        match self.disk.overwrite(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::at(Step::Write, path)(e)),
            Ok(()) => self.remove_file(path)?,
        }
        self.sync_parent(path)
    }

    /// Removes a folder with all that is in it; an absent one is fine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_folder(&self, path: &Path) -> Result<()> {
        match self.disk.remove_folder(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::at(Step::Remove, path)(e)),
            _ => Ok(()),
        }
    }

    fn sync_parent(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }
}

/// A new file that grows piece by piece and counts only once it is finished.
pub struct FileWriter {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    digest: Sha256Stream,
    bytes: u64,
    /// Card lines of a test issuer may be in clear.
    buffer: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileWriter({} bytes)", self.bytes)
    }
}

/// Pieces are gathered to about this size before they go to the disk.
const GATHER: usize = 64 * 1024;

impl FileWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`StoreError`]: a full disk, for one.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.digest.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.buffer.len().saturating_add(bytes.len()) > GATHER {
            self.flush()?;
        }
        // What does not fit goes by itself: a buffer that grows leaves copies behind.
        if bytes.len() > GATHER {
            return self.file.write(bytes).map_err(StoreError::at(Step::Write, &self.path));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Syncs the file; its digest.
    ///
    /// # Errors
    /// [`StoreError`]: a failed sync is final.
    pub fn finish(mut self) -> Result<Written> {
        self.flush()?;
        self.file.sync().map_err(StoreError::at(Step::Sync, &self.path))?;
        Ok(Written { sha256: self.digest.digest(), bytes: self.bytes })
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.write(&self.buffer).map_err(StoreError::at(Step::Write, &self.path))?;
            self.buffer.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;

    #[test]
    fn a_file_is_written_once_and_its_digest_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::default();
        let path = folder.path().join("a");
        let written = store.write_new(&path, ["ab", "cd"]).unwrap();
        assert_eq!(written, Written { sha256: sha256(&[b"abcd"]), bytes: 4 });
        assert_eq!(store.read(&path).unwrap().unwrap(), b"abcd");
        let again = store.write_new(&path, ["x"]).unwrap_err();
        assert!(again.exists());
        assert_eq!(store.read(&path).unwrap().unwrap(), b"abcd");
    }

    #[test]
    fn a_link_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::default();
        let [a, b, c] = ["a", "b", "c"].map(|n| folder.path().join(n));
        store.write_new(&a, ["first"]).unwrap();
        store.write_new(&b, ["second"]).unwrap();
        store.link(&a, &c).unwrap();
        let e = store.link(&b, &c).unwrap_err();
        assert!(e.exists());
        assert_eq!((e.step, e.path.as_path()), (Step::Link, c.as_path()));
        assert_eq!(store.read(&c).unwrap().unwrap(), b"first");
    }

    #[test]
    fn a_full_disk_is_named_with_its_step() {
        let store = Store::default();
        if !store.exists(Path::new("/dev/full")) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut writer = FileWriter {
            file: Box::new(file),
            path,
            digest: Sha256Stream::default(),
            bytes: 0,
            buffer: Zeroizing::new(Vec::with_capacity(GATHER)),
        };
        let e = writer.write(&vec![0; GATHER + 1]).unwrap_err();
        assert_eq!(e.step, Step::Write);
        assert_eq!(e.source.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_destroyed_file_is_zeros_wherever_it_is_still_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::default();
        let [a, b] = ["a", "b"].map(|n| folder.path().join(n));
        store.write_new(&a, [vec![0x55; 5000]]).unwrap();
        store.link(&a, &b).unwrap();
        store.destroy_file(&a).unwrap();
        store.destroy_file(&a).unwrap();
        assert!(!store.exists(&a));
        assert_eq!(store.read(&b).unwrap().unwrap(), vec![0; 5000]);
    }

    #[test]
    fn folders_are_made_and_removed_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::default();
        let deep = folder.path().join("a/b/c");
        store.create_folders(&deep).unwrap();
        store.create_folders(&deep).unwrap();
        store.write_new(&deep.join("f"), ["x"]).unwrap();
        assert_eq!(store.list(&deep).unwrap(), ["f"]);
        store.remove_folder(&folder.path().join("a")).unwrap();
        store.remove_folder(&folder.path().join("a")).unwrap();
        assert_eq!(store.list(&deep).unwrap(), Vec::<OsString>::new());
        assert!(store.read(&deep).unwrap().is_none());
    }
}

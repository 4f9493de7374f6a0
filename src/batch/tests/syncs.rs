use std::path::PathBuf;
use std::sync::Mutex;

use super::*;

/// A disk on which one sync fails, and which notes every path that is synced.
#[derive(Debug, Default)]
struct Syncs {
    fails_at: usize,
    seen: Mutex<Vec<PathBuf>>,
}

impl Syncs {
    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(path.to_owned());
        if seen.len() == self.fails_at { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct SyncDisk(Arc<Syncs>);

#[derive(Debug)]
struct SyncFile(Box<dyn DiskFile>, PathBuf, Arc<Syncs>);

impl DiskFile for SyncFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.2.sync(&self.1)
    }
}

impl Disk for SyncDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SyncFile(OsDisk.create_new(path)?, path.to_owned(), Arc::clone(&self.0))))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SyncFile(OsDisk.append(path)?, path.to_owned(), Arc::clone(&self.0))))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.0.sync(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_folder(path)
    }
}

/// A sync that fails ends the run: the operating system may have dropped what it could not write, and a second sync of
/// the same file would say that all is well.
#[test]
fn a_failed_sync_is_final() {
    let folder = fresh();
    Run { block: 8, ..Run::new(folder.path()) }.go().unwrap();
    let expected = tree(folder.path());
    let mut fails_at = 1;
    loop {
        let folder = fresh();
        let root = folder.path().join("out");
        let syncs = Arc::new(Syncs { fails_at, ..Syncs::default() });
        let store = Store::new(Arc::new(SyncDisk(Arc::clone(&syncs))));
        let error = match (Run { block: 8, store, ..Run::new(&root) }).go() {
            Err(BatchError::Store(error)) => error,
            Err(other) => panic!("sync {fails_at}: {other}"),
            Ok(_) => break,
        };
        assert!(matches!(error.step, crate::store::Step::Sync | crate::store::Step::SyncFolder), "{error}");
        assert_eq!(BatchError::from(error).exit(), Exit::Stopped);
        let seen = syncs.seen.lock().unwrap();
        let failed = &seen[fails_at - 1];
        // Other blocks that are under way may sync the folder that they share with it; a file is never tried again.
        if !failed.is_dir() {
            assert_eq!(seen.iter().filter(|path| *path == failed).count(), 1, "sync {fails_at}: {failed:?}");
        }
        drop(seen);
        Run { block: 8, ..Run::new(&root) }.go().unwrap();
        assert_eq!(tree(&root), expected, "sync {fails_at}");
        fails_at += 1;
    }
    assert!(fails_at > 30, "only {fails_at} syncs");
}

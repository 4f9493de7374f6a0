use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Result, Step, StoreError};

/// Bytes that are read at a time.
const BUFFER: usize = 64 * 1024;

/// A file that is read piece by piece.
pub struct FileReader {
    file: BufReader<Box<dyn Read + Send>>,
    path: PathBuf,
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileReader({})", self.path.display())
    }
}

impl FileReader {
    pub(super) fn new(file: Box<dyn Read + Send>, path: &Path) -> Self {
        Self { file: BufReader::with_capacity(BUFFER, file), path: path.to_owned() }
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next `N` bytes; `None` at the end of the file.
    ///
    /// # Errors
    /// [`StoreError`] of step [`Step::Read`], also when the file ends inside the piece.
    pub fn piece<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        let mut piece = [0; N];
        let mut filled = 0;
        while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.error(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error(e)),
            }
        }
        Ok(Some(piece))
    }

    fn error(&self, error: io::Error) -> StoreError {
        StoreError::at(Step::Read, &self.path)(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn pieces_up_to_the_end_and_never_half_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let (store, path) = (Store::default(), folder.path().join("a"));
        assert!(store.open(&path).unwrap().is_none());
        store.write_new(&path, ["abcdefg"]).unwrap();
        let mut reader = store.open(&path).unwrap().unwrap();
        assert_eq!(reader.piece::<3>().unwrap().unwrap(), *b"abc");
        assert_eq!(reader.piece::<4>().unwrap().unwrap(), *b"defg");
        assert!(reader.piece::<1>().unwrap().is_none());
        let mut reader = store.open(&path).unwrap().unwrap();
        assert!(reader.piece::<5>().unwrap().is_some());
        let e = reader.piece::<5>().unwrap_err();
        assert_eq!((e.step, e.source.kind(), e.path), (Step::Read, io::ErrorKind::UnexpectedEof, path));
    }
}

//! Sorting records of one size in bounded memory.
//!
//! Records gather in memory; when the bound is reached they are sorted and written to the work folder as a run. At the
//! end the runs and what is in memory are merged while they are read. More than [`FAN_IN`] runs are first merged into
//! fewer, so that few files are open at a time. The order is that of the bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::{FileReader, Result, Store};

/// Runs that are merged at a time.
pub const FAN_IN: usize = 32;

/// Bytes of records in memory, unless said otherwise: 64 MiB.
pub const MEMORY: usize = 64 << 20;

/// Takes records in any order.
///
/// ```
/// use emv_dataprep::store::{Store, sort::Sorter};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let store = Store::default();
/// let mut sorter = Sorter::<2>::new(&store, &folder.path().join("work"), 4)?; // two records in memory
/// for record in [*b"cc", *b"aa", *b"dd", *b"bb", *b"aa"] {
///     sorter.push(record)?;
/// }
/// let sorted = sorter.finish()?;
/// assert_eq!(sorted.records()?.collect::<Result<Vec<_>, _>>()?, [*b"aa", *b"aa", *b"bb", *b"cc", *b"dd"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sorter<'a, const N: usize> {
    runs: Runs<'a>,
    most: usize,
    buffer: Vec<[u8; N]>,
    count: u64,
}

/// Records in order; they can be read more than once.
#[derive(Debug)]
pub struct Sorted<'a, const N: usize> {
    runs: Runs<'a>,
    rest: Vec<[u8; N]>,
    count: u64,
}

/// The runs in a work folder.
#[derive(Debug)]
struct Runs<'a> {
    store: &'a Store,
    folder: PathBuf,
    paths: Vec<PathBuf>,
    named: u64,
}

impl<'a, const N: usize> Sorter<'a, N> {
    /// Sorts in a work folder of its own, whose contents go, with at most `memory` bytes of records in memory.
    ///
    /// # Errors
    /// [`super::StoreError`] if the folder cannot be made.
    pub fn new(store: &'a Store, folder: &Path, memory: usize) -> Result<Self> {
        store.remove_folder(folder)?;
        store.create_folders(folder)?;
        let most = memory.checked_div(N).unwrap_or(0).max(1);
        let runs = Runs { store, folder: folder.to_owned(), paths: Vec::new(), named: 0 };
        Ok(Self { runs, most, buffer: Vec::new(), count: 0 })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`super::StoreError`] when a run cannot be written.
    pub fn push(&mut self, record: [u8; N]) -> Result<()> {
        if self.buffer.len() >= self.most {
            self.buffer.sort_unstable();
            self.runs.write(self.buffer.drain(..).map(Ok))?;
        }
        if self.buffer.len() == self.buffer.capacity() {
            // Room doubles, but never beyond the bound.
            let more = self.buffer.len().clamp(64, self.most.max(64));
            self.buffer.reserve_exact(more.min(self.most.saturating_sub(self.buffer.len())));
        }
        self.buffer.push(record);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// All records in order.
    ///
    /// # Errors
    /// [`super::StoreError`] when runs cannot be merged.
    pub fn finish(mut self) -> Result<Sorted<'a, N>> {
        self.buffer.sort_unstable();
        while self.runs.paths.len() > FAN_IN {
            let some: Vec<PathBuf> = self.runs.paths.drain(..FAN_IN).collect();
            let merged = self.runs.read::<N>(&some)?;
            self.runs.write(merged)?;
            for path in some {
                self.runs.store.remove_file(&path)?;
            }
        }
        Ok(Sorted { runs: self.runs, rest: self.buffer, count: self.count })
    }
}

impl<const N: usize> Sorted<'_, N> {
    /// How many records.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records from the first on.
    ///
    /// # Errors
    /// [`super::StoreError`] when a run cannot be opened.
    pub fn records(&self) -> Result<Merge<'_, [u8; N], super::StoreError>> {
        let mut merge = self.runs.read::<N>(&self.runs.paths)?;
        merge.add(self.rest.iter().copied().map(Ok))?;
        Ok(merge)
    }

    /// Removes the runs.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub fn remove(self) -> Result<()> {
        self.runs.store.remove_folder(&self.runs.folder)
    }
}

impl Runs<'_> {
    fn write<const N: usize>(&mut self, records: impl Iterator<Item = Result<[u8; N]>>) -> Result<()> {
        let path = self.folder.join(self.named.to_string());
        self.named = self.named.saturating_add(1);
        let mut writer = self.store.start(&path)?;
        for record in records {
            writer.write(&record?)?;
        }
        writer.finish()?;
        self.paths.push(path);
        Ok(())
    }

    fn read<const N: usize>(&self, paths: &[PathBuf]) -> Result<Merge<'static, [u8; N], super::StoreError>> {
        let mut merge = Merge::new();
        for path in paths {
            let reader = self.store.open(path)?.ok_or_else(|| {
                super::StoreError::at(super::Step::Read, path)(std::io::ErrorKind::NotFound.into())
            })?;
            merge.add(Pieces { reader })?;
        }
        Ok(merge)
    }
}

/// The records of a file.
struct Pieces<const N: usize> {
    reader: FileReader,
}

impl<const N: usize> Iterator for Pieces<N> {
    type Item = Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.piece().transpose()
    }
}

/// Sorted sequences as one; equal values in the order in which their sequences were added.
pub struct Merge<'a, T, E> {
    sources: Vec<Box<dyn Iterator<Item = std::result::Result<T, E>> + 'a>>,
    heads: BinaryHeap<Reverse<(T, usize)>>,
}

impl<T, E> std::fmt::Debug for Merge<'_, T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Merge({} sequences)", self.sources.len())
    }
}

impl<T: Ord, E> Default for Merge<'_, T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, T: Ord, E> Merge<'a, T, E> {
    /// Of no sequence.
    #[must_use]
    pub const fn new() -> Self {
        Self { sources: Vec::new(), heads: BinaryHeap::new() }
    }

    /// Adds a sorted sequence.
    ///
    /// # Errors
    /// What its first value fails with.
    pub fn add(
        &mut self,
        mut source: impl Iterator<Item = std::result::Result<T, E>> + 'a,
    ) -> std::result::Result<(), E> {
        if let Some(first) = source.next().transpose()? {
            self.heads.push(Reverse((first, self.sources.len())));
            self.sources.push(Box::new(source));
        }
        Ok(())
    }
}

impl<T: Ord, E> Iterator for Merge<'_, T, E> {
    type Item = std::result::Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let at = head.0.1;
        // What comes next of the same sequence takes the place of what goes: one step of the heap, not two.
        match self.sources.get_mut(at).and_then(Iterator::next) {
            Some(Ok(next)) => {
                let Reverse((value, _)) = std::mem::replace(&mut *head, Reverse((next, at)));
                Some(Ok(value))
            }
            Some(Err(e)) => Some(Err(e)),
            None => {
                let Reverse((value, _)) = std::collections::binary_heap::PeekMut::pop(head);
                Some(Ok(value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;
    use proptest::prelude::*;

    fn sort<const N: usize>(records: &[[u8; N]], memory: usize, folder: &Path) -> Vec<[u8; N]> {
        let store = Store::default();
        let mut sorter = Sorter::new(&store, folder, memory).unwrap();
        records.iter().for_each(|r| sorter.push(*r).unwrap());
        let sorted = sorter.finish().unwrap();
        assert_eq!(sorted.len(), records.len() as u64);
        let once: Vec<_> = sorted.records().unwrap().map(std::result::Result::unwrap).collect();
        assert_eq!(sorted.records().unwrap().map(std::result::Result::unwrap).collect::<Vec<_>>(), once);
        sorted.remove().unwrap();
        assert!(!folder.exists());
        once
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_sorts_as_memory_does(
            records in proptest::collection::vec(any::<[u8; 3]>(), 0..400),
            memory in 1_usize..600,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut expected = records.clone();
            expected.sort_unstable();
            prop_assert_eq!(sort(&records, memory, &folder.path().join("w")), expected);
        }
    }

    #[test]
    fn a_million_records_in_a_small_memory() {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::default();
        let memory = 256 << 10;
        let mut sorter = Sorter::<24>::new(&store, &folder.path().join("w"), memory).unwrap();
        let mut sum = 0_u64;
        for i in 0..1_000_000_u64 {
            let mut record = [0; 24];
            let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            record[..8].copy_from_slice(&mixed.to_be_bytes());
            record[16..].copy_from_slice(&i.to_be_bytes());
            sum = sum.wrapping_add(mixed);
            sorter.push(record).unwrap();
            assert!(sorter.buffer.capacity() * 24 <= memory);
        }
        let sorted = sorter.finish().unwrap();
        assert!(sorted.runs.paths.len() <= FAN_IN);
        let (mut last, mut count) = ([0; 24], 0);
        for record in sorted.records().unwrap() {
            let record = record.unwrap();
            assert!(record >= last);
            sum = sum.wrapping_sub(u64::from_be_bytes(record[..8].try_into().unwrap()));
            (last, count) = (record, count + 1);
        }
        assert_eq!((count, sum), (1_000_000, 0));
    }

    #[test]
    fn a_run_that_was_cut_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::default();
        let work = folder.path().join("w");
        let mut sorter = Sorter::<32>::new(&store, &work, 64).unwrap();
        (0..9_u8).for_each(|i| sorter.push(sha256(&[&[i]])).unwrap());
        let sorted = sorter.finish().unwrap();
        let run = std::fs::OpenOptions::new().write(true).open(work.join("0")).unwrap();
        run.set_len(50).unwrap();
        assert!(sorted.records().unwrap().any(|r| r.is_err()));
        std::fs::remove_file(work.join("1")).unwrap();
        assert!(sorted.records().is_err());
    }
}

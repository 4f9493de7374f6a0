//! The tags of the primes of earlier batches, kept beside the ledger: a prime that comes back is found.
//!
//! # In the folder `<ledger>.primes`
//!
//! | name | holds |
//! |---|---|
//! | `<id>-<entries>.run` | a run: entries in rising order |
//! | `.<batch>`, `.merging` | a run that is being written |
//!
//! A run is a header (format, check value of the tag key), entries of 24 bytes (the tag, and the first eight bytes of the
//! batch id), 24 bytes FF, and the SHA-256 of all before. A batch writes one run, durably, before it looks for repeats
//! and before its manifest: of two batches that run side by side at least one sees the other's.
//!
//! # Merging
//!
//! Eight runs of about the same size become one, so that an entry is written again a few times in its life and few runs
//! stand beside each other. The merged run is durable before its parts go. A kill in between leaves entries twice, which
//! counts as once: an entry says which batch it is of. So a batch that is taken up again also knows its own entries,
//! wherever they are by then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::sort::Merge;
use super::{FileReader, FolderLock, LockOutcome, Store, StoreError};
use crate::bytes::hex_upper;
use crate::crypto::hash::Sha256Stream;
use crate::crypto::rng::Seed;
use crate::crypto::rsa::{PrimeTag, PrimeTagKey};
use crate::error::Error;

/// Bytes of an entry.
const ENTRY: usize = PrimeTag::LEN + BATCH;
/// Bytes of a batch's name in an entry.
const BATCH: usize = 8;
/// Format of a run, filled to 24 bytes.
const FORMAT: [u8; 24] = *b"emv-dataprep/primes/1\n\0\0";
/// What stands after the last entry.
const END: [u8; ENTRY] = [0xFF; ENTRY];
/// Runs of one size that become one.
const TIER: usize = 8;
/// Times that runs are opened anew when another process merges them meanwhile.
const TRIES: usize = 16;

/// The first eight bytes of a batch id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchName([u8; BATCH]);

impl BatchName {
    /// Of a batch id in hexadecimal.
    #[must_use]
    pub fn of(batch: &str) -> Self {
        let bytes = crate::bytes::from_hex(batch).unwrap_or_else(|_| batch.as_bytes().to_vec());
        let mut name = [0; BATCH];
        name.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Self(name)
    }
}

impl std::fmt::Display for BatchName {
    /// As the batch id begins.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex_upper(&self.0))
    }
}

/// A prime of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its tag.
    pub tag: PrimeTag,
    /// The batch.
    pub batch: BatchName,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        let bytes = self.tag.to_bytes().into_iter().chain(self.batch.0);
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        out
    }

    fn from_bytes(bytes: [u8; ENTRY]) -> Self {
        let (tag, batch) = (bytes.first_chunk().copied(), bytes.last_chunk().copied());
        Self {
            tag: PrimeTag::from_bytes(tag.unwrap_or_default()),
            batch: BatchName(batch.unwrap_or_default()),
        }
    }
}

/// What the history cannot do.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A run is not as it was written.
    #[error("{}: this run of the history of primes is damaged", .0.display())]
    Damaged(PathBuf),
    /// A run was made under another tag key.
    #[error("{}: this run of the history of primes was made with another ledger key", .0.display())]
    OtherKey(PathBuf),
    /// No random numbers.
    #[error("{0}")]
    Random(Error),
}

type Result<T> = std::result::Result<T, HistoryError>;

/// The history of one ledger.
#[derive(Debug)]
pub struct PrimeHistory {
    store: Store,
    folder: PathBuf,
    check: [u8; 8],
}

impl PrimeHistory {
    /// The history in a folder, which may be absent yet.
    #[must_use]
    pub fn new(store: Store, folder: &Path, key: &PrimeTagKey) -> Self {
        Self { store, folder: folder.to_owned(), check: key.check_value() }
    }

    /// Where the history of a ledger stands.
    #[must_use]
    pub fn beside(ledger: &Path) -> PathBuf {
        let mut name = ledger.as_os_str().to_owned();
        name.push(".primes");
        PathBuf::from(name)
    }

    /// Writes the run of a batch, durably; a run that it wrote before is replaced. The tags come in rising order.
    ///
    /// # Errors
    /// [`HistoryError::Store`], or what `tags` fails with.
    pub fn write<E: From<HistoryError>>(
        &self,
        batch: &str,
        tags: impl Iterator<Item = std::result::Result<PrimeTag, E>>,
    ) -> std::result::Result<(), E> {
        self.store.create_folders(&self.folder).map_err(HistoryError::from)?;
        let name = BatchName::of(batch);
        let entries = tags.map(|tag| tag.map(|tag| Entry { tag, batch: name }));
        self.write_run(&self.folder.join(format!(".{batch}")), batch, entries)
    }

    /// Every entry, in rising order; what stands twice comes twice.
    ///
    /// # Errors
    /// [`HistoryError`]; what is found to be damaged later comes with the entries.
    pub fn entries(&self) -> Result<Merge<'static, Entry, HistoryError>> {
        for _ in 0..TRIES {
            if let Some(runs) = self.open_all()? {
                return merge(runs);
            }
        }
        Err(HistoryError::Damaged(self.folder.clone()))
    }

    /// Merges runs of about the same size, unless another process does.
    ///
    /// # Errors
    /// [`HistoryError`]: nothing is lost.
    pub fn tidy(&self) -> Result<()> {
        if !self.store.exists(&self.folder) {
            return Ok(());
        }
        let LockOutcome::Held(_lock) = FolderLock::take(&self.folder)? else { return Ok(()) };
        loop {
            let mut tiers: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
            for (path, entries) in self.runs()? {
                tiers.entry(entries.max(1).ilog(TIER as u64)).or_default().push(path);
            }
            let Some(mut some) = tiers.into_values().find(|paths| paths.len() >= TIER) else { return Ok(()) };
            some.truncate(TIER);
            let opened: Result<Vec<Run>> =
                some.iter().map(|path| self.open(path)?.ok_or_else(|| gone(path))).collect();
            let seed = Seed::from_os().map_err(HistoryError::Random)?;
            let id = hex_upper(seed.keyed_digest(&[b"run"]).get(..16).unwrap_or_default());
            self.write_run(&self.folder.join(".merging"), &id, merge(opened?)?)?;
            for path in some {
                self.store.remove_file(&path)?;
            }
            self.store.sync_folder(&self.folder)?;
        }
    }

    /// Writes entries in rising order, equal ones once, under a name that tells how many there are.
    fn write_run<E: From<HistoryError>>(
        &self,
        temporary: &Path,
        id: &str,
        entries: impl Iterator<Item = std::result::Result<Entry, E>>,
    ) -> std::result::Result<(), E> {
        let store = |e: StoreError| E::from(HistoryError::Store(e));
        self.store.remove_file(temporary).map_err(store)?;
        let mut writer = self.store.start(temporary).map_err(store)?;
        let mut digest = Sha256Stream::default();
        let mut write = |bytes: &[u8]| {
            digest.update(bytes);
            writer.write(bytes)
        };
        write(&FORMAT).map_err(store)?;
        write(&self.check).map_err(store)?;
        let (mut last, mut count) = (None, 0_u64);
        for entry in entries {
            let entry = entry?;
            if last.replace(entry) != Some(entry) {
                write(&entry.to_bytes()).map_err(store)?;
                count = count.saturating_add(1);
            }
        }
        write(&END).map_err(store)?;
        writer.write(&digest.digest()).map_err(store)?;
        writer.finish().map_err(store)?;
        self.store.rename(temporary, &self.folder.join(format!("{id}-{count}.run"))).map_err(store)?;
        self.store.sync_folder(&self.folder).map_err(store)
    }

    /// The runs with how many entries they have.
    fn runs(&self) -> Result<Vec<(PathBuf, u64)>> {
        let run = |name: std::ffi::OsString| {
            let (_, entries) = name.to_str()?.strip_suffix(".run")?.rsplit_once('-')?;
            Some((self.folder.join(&name), entries.parse().ok()?))
        };
        Ok(self.store.list(&self.folder)?.into_iter().filter_map(run).collect())
    }

    /// All runs; `None` if one went while they were opened: then it stands in another one.
    fn open_all(&self) -> Result<Option<Vec<Run>>> {
        self.runs()?.iter().map(|(path, _)| self.open(path)).collect()
    }

    fn open(&self, path: &Path) -> Result<Option<Run>> {
        let Some(reader) = self.store.open(path)? else { return Ok(None) };
        let mut run = Run { reader, digest: Sha256Stream::default(), last: None, ended: false };
        if run.piece::<24>()? != FORMAT {
            return Err(HistoryError::Damaged(path.to_owned()));
        }
        if run.piece::<8>()? != self.check {
            return Err(HistoryError::OtherKey(path.to_owned()));
        }
        Ok(Some(run))
    }
}

fn merge(runs: Vec<Run>) -> Result<Merge<'static, Entry, HistoryError>> {
    let mut merge = Merge::new();
    for run in runs {
        merge.add(run)?;
    }
    Ok(merge)
}

fn gone(path: &Path) -> HistoryError {
    StoreError::at(super::Step::Read, path)(std::io::ErrorKind::NotFound.into()).into()
}

/// A run that is being read; its order and its digest are looked at on the way.
struct Run {
    reader: FileReader,
    digest: Sha256Stream,
    last: Option<Entry>,
    ended: bool,
}

impl Run {
    fn piece<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.reader.piece::<N>() {
            Ok(Some(piece)) => {
                self.digest.update(&piece);
                Ok(piece)
            }
            Err(e) if e.source.kind() != std::io::ErrorKind::UnexpectedEof => Err(e.into()),
            _ => Err(self.damaged()),
        }
    }

    fn entry(&mut self) -> Result<Option<Entry>> {
        let piece = self.piece::<ENTRY>()?;
        if piece == END {
            let digest = self.digest.digest();
            let whole = self.piece::<32>()? == digest && matches!(self.reader.piece::<1>(), Ok(None));
            return if whole { Ok(None) } else { Err(self.damaged()) };
        }
        let entry = Entry::from_bytes(piece);
        if self.last.is_some_and(|last| last >= entry) {
            return Err(self.damaged());
        }
        self.last = Some(entry);
        Ok(Some(entry))
    }

    fn damaged(&self) -> HistoryError {
        HistoryError::Damaged(self.reader.path().to_owned())
    }
}

impl Iterator for Run {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use std::collections::BTreeSet;

    fn key(byte: u8) -> PrimeTagKey {
        PrimeTagKey::new(Secret::copy_of(&[byte; 32])).unwrap()
    }

    fn tag(n: u64) -> PrimeTag {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        PrimeTag::from_bytes(bytes)
    }

    fn batch(n: u64) -> String {
        format!("{n:032X}").chars().rev().collect()
    }

    fn write(history: &PrimeHistory, n: u64, tags: impl Iterator<Item = u64>) {
        history.write::<HistoryError>(&batch(n), tags.map(|t| Ok(tag(t)))).unwrap();
    }

    fn all(history: &PrimeHistory) -> Result<Vec<Entry>> {
        history.entries()?.collect()
    }

    #[test]
    fn runs_are_merged_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let history = PrimeHistory::new(Store::default(), &folder.path().join("l.primes"), &key(1));
        assert_eq!(all(&history).unwrap(), []);
        history.tidy().unwrap();
        let mut expected = BTreeSet::new();
        for n in 0..100 {
            write(&history, n, (0..n % 5).map(|t| t * 1000 + n));
            expected.extend(
                (0..n % 5).map(|t| Entry { tag: tag(t * 1000 + n), batch: BatchName::of(&batch(n)) }),
            );
            history.tidy().unwrap();
            let runs = history.runs().unwrap().len();
            assert!(runs < 3 * TIER, "{runs} runs after {n} batches");
        }
        assert_eq!(all(&history).unwrap(), expected.iter().copied().collect::<Vec<_>>());
        // A batch that is taken up again writes its run anew: nothing new is known.
        write(&history, 99, (0..4).map(|t| t * 1000 + 99));
        let again: BTreeSet<_> = all(&history).unwrap().into_iter().collect();
        assert_eq!(again, expected);
    }

    #[test]
    fn a_run_with_one_changed_byte_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("l.primes");
        let history = PrimeHistory::new(Store::default(), &folder, &key(1));
        write(&history, 1, 0..3);
        let path = history.runs().unwrap().remove(0).0;
        let good = std::fs::read(&path).unwrap();
        assert_eq!(good.len(), 32 + 4 * 24 + 32);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            match all(&history).unwrap_err() {
                HistoryError::Damaged(p) | HistoryError::OtherKey(p) => assert_eq!(p, path),
                other => panic!("{other}"),
            }
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(all(&history).is_err(), "cut at {at}");
        }
        std::fs::write(&path, [&good[..], &[0]].concat()).unwrap();
        assert!(all(&history).is_err());
        std::fs::write(&path, &good).unwrap();
        assert_eq!(all(&history).unwrap().len(), 3);
        let other = PrimeHistory::new(Store::default(), &folder, &key(2));
        assert!(matches!(all(&other), Err(HistoryError::OtherKey(_))));
    }
}

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::*;
use crate::bytes::hex_upper;
use crate::crypto::hash::sha256;
use crate::crypto::rng::{Purpose, Seed};
use crate::error::Result;
use crate::order::RawOrder;
use crate::output::{CheckResult, Label, Manifest, PoolCounts, Sealer, StatusLine, Verification};
use crate::prepare::{ErrorCode, Rejection, RsaTrace};
use crate::profile::{Channel, DestinationId};
use crate::store::{Disk, DiskFile, OsDisk, Store, StoreError};

mod gate_tests;
mod machines;
mod syncs;

const ORDERS: u64 = 23;

/// Lines that carry what they were drawn from; some orders are refused, some panic, some use a cardId again.
struct Fake {
    home: DestinationId,
    /// Whether a second witness counts cards.
    witness: bool,
    /// Told before each chunk: lets a test stop the batch in the middle.
    on_chunk: Box<dyn Fn() + Sync>,
    /// What the card at a position leaves of its RSA keys.
    rsa: Box<dyn Fn(u64) -> Vec<RsaTrace> + Sync>,
}

impl Fake {
    fn new() -> Self {
        Self {
            home: "HOST".parse().unwrap(),
            witness: false,
            on_chunk: Box::new(|| ()),
            rsa: Box::new(|_| Vec::new()),
        }
    }
}

impl Pipeline for Fake {
    type Request = u64;
    type Block = (u64, std::sync::Mutex<Verification>);

    fn parse(&self, order: &RawOrder) -> (Head, Result<u64, Rejection>) {
        let position = order.position();
        let name = if position % 10 == 9 { 2 } else { position };
        let channel = Channel::ALL[(position % 3) as usize];
        let head = Head {
            position,
            card_id: Some(format!("c-{name}").parse().unwrap()),
            issuer_request_id: None,
            channel: Some(channel),
            destination: Some(format!("D{}", position % 3).parse().unwrap()),
        };
        let bad = position % 7 == 3;
        (head, if bad { Err(Rejection::value("cardData.pan", "bad")) } else { Ok(position) })
    }

    fn carrier_place(&self, position: &u64) -> Option<crate::card::CardId> {
        // Two orders for one place, in blocks that lie apart.
        matches!(position, 4 | 18).then(|| "place-1".parse().unwrap())
    }

    fn begin(&self, _: &Seed, block: BlockNumber) -> Result<Self::Block> {
        Ok((block.0, std::sync::Mutex::default()))
    }

    fn prepare(
        &self,
        seed: &Seed,
        block: &Self::Block,
        requests: &[u64],
    ) -> Result<Vec<Result<Made, Rejection>>> {
        (self.on_chunk)();
        let one = |position: &u64| {
            assert!(position % 11 != 5, "a card that panics, with 4111111111111111 in its message");
            let draw = seed.card_stream(*position, &"c".parse().unwrap(), Purpose::Pin).rng().bytes::<8>();
            let line = |kind: &str| {
                Zeroizing::new(
                    format!(
                        "{{\"kind\":\"{kind}\",\"position\":{position},\"draw\":\"{}\"}}",
                        hex_upper(&draw)
                    )
                    .into_bytes(),
                )
            };
            Ok(Made {
                channel: Channel::ALL[(position % 3) as usize],
                destination: format!("D{}", position % 3).parse().unwrap(),
                profile: format!("p{}", position % 2),
                card: line("card"),
                mailer: position.is_multiple_of(2).then(|| ("MAIL".parse().unwrap(), line("mailer"))),
                issuer_return: line("return"),
                pool: PoolCounts { used: position % 2, fresh: 1 },
                rsa: (self.rsa)(*position),
            })
        };
        let made = requests.iter().map(one).collect();
        for _ in requests {
            block.1.lock().unwrap().card([("even", CheckResult::Passed)]);
        }
        Ok(made)
    }

    fn verification(&self, block: &Self::Block) -> Option<Verification> {
        self.witness.then(|| block.1.lock().unwrap().clone())
    }

    fn issuer_return(&self) -> &DestinationId {
        &self.home
    }
}

struct Envelope;

impl Sealer for Envelope {
    fn seal(&self, to: &DestinationId, label: &Label, plaintext: &[u8], seed: &Seed) -> Result<String> {
        let key = hex_upper(&seed.keyed_digest(&[plaintext])[..4]);
        Ok(format!("{to} {label:?} {key} {}", hex_upper(plaintext)))
    }
}

struct Run<'a> {
    root: &'a Path,
    resume: Resume,
    threads: usize,
    block: usize,
    seed: Option<u8>,
    orders: u64,
    sealed: bool,
    store: Store,
    stop: &'a AtomicBool,
    fake: Fake,
    gate: Option<&'a WeakKeyGate<'a>>,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Run<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            resume: Resume::Yes,
            threads: 2,
            block: 5,
            seed: Some(1),
            orders: ORDERS,
            sealed: true,
            store: Store::default(),
            stop: &NEVER,
            fake: Fake::new(),
            gate: None,
        }
    }

    fn go(self) -> Result<Manifest, BatchError> {
        let text: String = (1..=self.orders).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        let seed = self.seed.map(|s| Seed::fixed([s; 32]));
        let description = Description {
            engine: "test 1".into(),
            started: "2026-01-01T00:00:00Z".into(),
            start_is_fixed: false,
            configuration: [7; 32],
            seed_commitment: seed.as_ref().map(Job::seed_commitment),
            plain: !self.sealed,
            block: self.block as u64,
            input: seed.as_ref().map(|_| sha256(&[text.as_bytes()])),
        };
        let id = || Job::batch_id(seed.as_ref(), &description.configuration, description.input);
        let key = || Ok(Some("the key of the job\n".to_owned()));
        let job = open_with_key(self.root, self.store, self.resume, &description, id, key)?;
        if let Some(done) = &job.finished {
            job.clean()?;
            return Ok(done.clone());
        }
        let input = Input::new(Box::new(Cursor::new(text.into_bytes())), self.block)?;
        let settings = Settings {
            threads: self.threads,
            seed: seed.as_ref(),
            sealer: self.sealed.then_some(&Envelope as &dyn Sealer),
            stop: self.stop,
            progress: &NoProgress,
            ledger: None,
            gate: self.gate,
        };
        let facts = Facts {
            trust: crate::output::Trust::default(),
            engine_sha256: None,
            environment: "test".into(),
            configuration: Vec::new(),
            keys: Vec::new(),
            keys_from: KeysFrom::Fresh,
            audit: crate::output::AuditRecord::default(),
            signer: None,
            now: Box::new(|| "2026-01-01T00:00:09Z".into()),
        };
        run(&job, &self.fake, input, &settings, &facts)
    }
}

/// Every file below; without the report, which holds times, and what the manifest says of it.
fn tree(root: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut files = all_files(root);
    files.remove(OsString::from(Layout::REPORT).as_os_str());
    if let Some(bytes) = files.get_mut(OsString::from(Layout::MANIFEST).as_os_str()) {
        let mut manifest = Manifest::read(bytes).unwrap();
        manifest.files.retain(|f| f.path != Layout::REPORT);
        *bytes = manifest.to_json().into_bytes();
    }
    files
}

/// Every file below.
fn all_files(root: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
                out.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

fn fresh() -> tempfile::TempDir {
    // Memory, where the machine has it: these tests are about order, not about a disk.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn undisturbed() -> BTreeMap<OsString, Vec<u8>> {
    let folder = fresh();
    Run::new(folder.path()).go().unwrap();
    tree(folder.path())
}

#[test]
fn every_order_has_one_outcome_and_every_file_its_digest() {
    let folder = fresh();
    let root = folder.path().join("new/out");
    let manifest = Run { resume: Resume::No, ..Run::new(&root) }.go().unwrap();
    let status = std::fs::read_to_string(root.join("status.jsonl")).unwrap();
    let lines: Vec<_> = status.lines().map(|l| StatusLine::read(l).unwrap()).collect();
    assert_eq!(lines.iter().map(|l| l.position).collect::<Vec<_>>(), (1..=ORDERS).collect::<Vec<_>>());
    let code = |position: usize| lines[position - 1].error_code.as_deref();
    assert_eq!(code(1), None);
    assert_eq!(code(3), Some("FIELD_INVALID_VALUE"));
    assert_eq!((code(9), lines[8].field.as_deref()), (Some("FIELD_INVALID_VALUE"), Some("cardId")));
    assert_eq!(code(19), Some("FIELD_INVALID_VALUE"));
    let place = Some("order.cardCarrierConfig.multiCardOrder");
    assert_eq!((code(18), lines[17].field.as_deref()), (Some("FIELD_INVALID_VALUE"), place));
    assert_eq!((code(5), code(16)), (Some(ErrorCode::InternalError.name()), Some("INTERNAL_ERROR")));
    // A panic takes nobody with it, and nothing of its message is told.
    assert_eq!((code(4), code(6)), (None, None));
    assert!(!status.contains("4111"));
    let rejected = std::fs::read_to_string(root.join("rejected.jsonl")).unwrap();
    assert_eq!(rejected.lines().count() as u64, manifest.counts.rejected);
    assert_eq!(manifest.counts.orders, ORDERS);
    assert_eq!(manifest.counts.prepared + manifest.counts.rejected, ORDERS);
    assert_eq!(manifest.counts.by_channel.values().sum::<u64>(), manifest.counts.prepared);
    let files = all_files(&root);
    assert_eq!(files.len(), manifest.files.len() + 1);
    for file in &manifest.files {
        let bytes = &files[&OsString::from(&file.path)];
        assert_eq!((hex_upper(&sha256(&[bytes])), bytes.len() as u64), (file.sha256.clone(), file.bytes));
    }
    let cards = manifest.files.iter().filter(|f| f.path.starts_with("prepared/")).map(|f| f.cards);
    assert_eq!(cards.sum::<u64>(), manifest.counts.prepared);
    // A finished folder is not taken a second time without asking, and asking changes nothing.
    assert_eq!(Run { resume: Resume::No, ..Run::new(&root) }.go().unwrap_err().exit(), Exit::Usage);
    assert_eq!(Run::new(&root).go().unwrap(), manifest);
    assert_eq!(all_files(&root), files);
}

#[test]
fn neither_threads_nor_blocks_change_a_byte() {
    let expected = undisturbed();
    for threads in [1, 7] {
        let folder = fresh();
        Run { threads, ..Run::new(folder.path()) }.go().unwrap();
        assert_eq!(tree(folder.path()), expected, "{threads} threads");
    }
    // Block sizes cut the files elsewhere; their lines are the same.
    let lines = |block: usize| {
        let folder = fresh();
        Run { block, sealed: false, ..Run::new(folder.path()) }.go().unwrap();
        let mut out: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, bytes) in tree(folder.path()) {
            let name = name.to_str().unwrap();
            if !matches!(name, "batch.json" | "job.json") {
                let stem = name.trim_end_matches(|c: char| !c.is_ascii_alphabetic() || ".jsonl".contains(c));
                out.entry(stem.to_owned()).or_default().extend(bytes);
            }
        }
        out
    };
    let expected = lines(1);
    for block in [4, 1000] {
        assert_eq!(lines(block), expected, "blocks of {block}");
    }
}

/// A disk that dies, or hiccups once, at one operation.
#[derive(Debug)]
struct Failing {
    left: AtomicU64,
    dies: bool,
}

impl Failing {
    fn step(&self) -> io::Result<()> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n.saturating_sub(1)));
        match left {
            Ok(1) => {
                if self.dies {
                    self.left.store(1, Ordering::SeqCst);
                } else {
                    self.left.store(u64::MAX, Ordering::SeqCst);
                }
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct FailingFile(Box<dyn DiskFile>, Arc<Failing>);

#[derive(Debug)]
struct FailingDisk(Arc<Failing>);

impl Disk for FailingDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.step()?;
        Ok(Box::new(FailingFile(OsDisk.create_new(path)?, Arc::clone(&self.0))))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.step()?;
        Ok(Box::new(FailingFile(OsDisk.append(path)?, Arc::clone(&self.0))))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.rename(from, to)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.sync_folder(path)
    }

    fn overwrite(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.overwrite(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        OsDisk.remove_folder(path)
    }
}

impl DiskFile for FailingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Half of it reaches the disk.
        self.1.step().inspect_err(|_| {
            let _ = self.0.write(&bytes[..bytes.len() / 2]);
        })?;
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.step()?;
        self.0.sync()
    }
}

pub(super) fn failing(at: u64, dies: bool) -> Store {
    Store::new(Arc::new(FailingDisk(Arc::new(Failing { left: AtomicU64::new(at), dies }))))
}

/// Runs with a failure at every operation in turn, resumes each, and looks at the result.
fn with_every_failure(dies: bool, seed: Option<u8>, look: impl Fn(&Path, u64)) {
    let mut at = 1;
    loop {
        let folder = fresh();
        let root = folder.path().join("out");
        let run = Run { block: 8, seed, store: failing(at, dies), ..Run::new(&root) };
        match run.go() {
            Err(BatchError::Store(StoreError { source, .. })) => {
                assert_eq!(source.kind(), io::ErrorKind::StorageFull, "operation {at}");
            }
            Err(other) => panic!("operation {at}: {other}"),
            Ok(_) => break,
        }
        Run { block: 8, seed, ..Run::new(&root) }.go().unwrap();
        look(&root, at);
        at += 1;
    }
    assert!(at > 40, "only {at} operations");
}

#[test]
fn a_failure_at_every_operation_is_resumed_to_the_same_bytes() {
    let folder = fresh();
    Run { block: 8, ..Run::new(folder.path()) }.go().unwrap();
    let expected = tree(folder.path());
    for dies in [false, true] {
        with_every_failure(dies, Some(1), |root, at| assert_eq!(tree(root), expected, "operation {at}"));
    }
}

#[test]
fn card_mailer_and_return_of_a_block_come_from_one_attempt() {
    with_every_failure(true, None, |root, at| {
        let mut draws: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        let mut cards = 0;
        for (name, bytes) in tree(root) {
            if !name.to_str().unwrap().ends_with(".jwe") {
                continue;
            }
            let text = String::from_utf8(bytes).unwrap();
            for sealed in text.lines() {
                let plain = crate::bytes::from_hex(sealed.rsplit(' ').next().unwrap()).unwrap();
                for line in String::from_utf8(plain).unwrap().lines() {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    cards += u64::from(line["kind"] == "card");
                    let position = line["position"].as_u64().unwrap();
                    draws.entry(position).or_default().push(line["draw"].to_string());
                }
            }
        }
        let manifest = Manifest::read(&std::fs::read(root.join("batch.json")).unwrap()).unwrap();
        assert_eq!((cards, draws.len() as u64), (manifest.counts.prepared, cards), "operation {at}");
        for (position, draws) in draws {
            assert_eq!(draws.len() as u64, 2 + u64::from(position.is_multiple_of(2)));
            assert!(draws.iter().all(|d| *d == draws[0]), "operation {at}, position {position}");
        }
    });
}

#[test]
fn a_stop_ends_at_a_block_boundary_and_resumes() {
    let expected = undisturbed();
    for chunks in 1..=4 {
        let folder = fresh();
        let stop = Arc::new(AtomicBool::new(false));
        let left = AtomicU64::new(chunks);
        let raised = Arc::clone(&stop);
        let mut fake = Fake::new();
        fake.on_chunk = Box::new(move || {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                raised.store(true, Ordering::SeqCst);
            }
        });
        let first = Run { threads: 1, block: 1, stop: &stop, fake, ..Run::new(folder.path()) }.go();
        assert!(matches!(first, Err(BatchError::Interrupted)), "{first:?}");
        assert_eq!(BatchError::Interrupted.exit(), Exit::Stopped);
        assert!(!folder.path().join("batch.json").exists());
        let before = std::fs::read_dir(folder.path().join(".job/records")).unwrap().count();
        Run { block: 1, ..Run::new(folder.path()) }.go().unwrap();
        // The report of what was resumed tells so, and counts all of the batch.
        let report = std::fs::read_to_string(folder.path().join(Layout::REPORT)).unwrap();
        assert!(
            before > 0 && report.contains(&format!("{before} orders had been committed by earlier runs"))
        );
        assert!(report.contains(&format!("{} orders in ", ORDERS as usize - before)));
        assert!(report.contains("<b>23</b>orders") && report.contains("<td>p0</td><td class=\"n\">"));
        let after = tree(folder.path());
        assert_eq!(
            after["status.jsonl".as_ref() as &std::ffi::OsStr],
            expected["status.jsonl".as_ref() as &std::ffi::OsStr]
        );
    }
}

#[test]
fn a_batch_is_not_completed_with_something_else() {
    let refused = |seed: Option<u8>, change: fn(&mut Run<'_>)| {
        let folder = fresh();
        // Blocks of one order: some are committed by then, and some are not.
        let dead = Run { seed, block: 1, store: failing(150, true), ..Run::new(folder.path()) }.go();
        assert!(matches!(dead, Err(BatchError::Store(_))), "{dead:?}");
        let mut again = Run { seed, block: 1, ..Run::new(folder.path()) };
        change(&mut again);
        let error = again.go().unwrap_err();
        assert_eq!(error.exit(), Exit::Refused, "{error}");
        // It was refused and not touched: the right one still completes it.
        Run { seed, block: 1, ..Run::new(folder.path()) }.go().unwrap();
    };
    refused(Some(1), |r| r.seed = Some(2));
    refused(Some(1), |r| r.seed = None);
    refused(Some(1), |r| r.orders = ORDERS - 1);
    refused(Some(1), |r| r.sealed = false);
    refused(Some(1), |r| r.block = 6);
    // Without a seed the input is not known before it is read: the records know it.
    refused(None, |r| r.orders = 2);
}

#[test]
fn a_folder_is_worked_on_by_one() {
    let folder = fresh();
    let lock = crate::store::FolderLock::take(folder.path()).unwrap();
    let second = Run::new(folder.path()).go();
    assert!(matches!(second, Err(BatchError::Busy)));
    drop(lock);
    Run::new(folder.path()).go().unwrap();
}

#[test]
fn a_folder_with_something_else_is_left_alone() {
    let folder = fresh();
    std::fs::write(folder.path().join("mine"), "x").unwrap();
    for resume in [Resume::No, Resume::Yes] {
        assert_eq!(Run { resume, ..Run::new(folder.path()) }.go().unwrap_err().exit(), Exit::Usage);
    }
    assert_eq!(tree(folder.path()).len(), 1);
}

#[test]
fn an_empty_input_is_a_batch_too() {
    let folder = fresh();
    let manifest = Run { orders: 0, ..Run::new(folder.path()) }.go().unwrap();
    assert_eq!(manifest.counts, crate::output::Counts::default());
    assert_eq!(std::fs::read(folder.path().join("rejected.jsonl")).unwrap(), b"");
    assert_eq!(std::fs::read(folder.path().join("status.jsonl")).unwrap(), b"");
}

/// What the witness found stands in the records, so a batch that is taken up again forgets none of it.
#[test]
fn what_was_read_back_survives_a_resume() {
    let with_witness = || Fake { witness: true, ..Fake::new() };
    let folder = fresh();
    let whole = Run { block: 1, fake: with_witness(), ..Run::new(folder.path()) }.go().unwrap();
    let found = whole.verification.unwrap();
    assert_eq!(
        (found.cards, found.failed, found.checks["even"].passed),
        (whole.counts.prepared, 0, found.cards)
    );
    let folder = fresh();
    let dead =
        Run { block: 1, fake: with_witness(), store: failing(200, true), ..Run::new(folder.path()) }.go();
    assert!(matches!(dead, Err(BatchError::Store(_))), "{dead:?}");
    let committed = std::fs::read_dir(folder.path().join(".job/records")).unwrap().count();
    assert!((1..ORDERS as usize).contains(&committed));
    // The rest without the witness: the manifest tells of the cards that were read.
    let rest = Run { block: 1, ..Run::new(folder.path()) }.go().unwrap().verification.unwrap();
    assert!(rest.cards > 0 && rest.cards < found.cards, "{} of {}", rest.cards, found.cards);
    let folder = fresh();
    assert_eq!(Run::new(folder.path()).go().unwrap().verification, None);
}

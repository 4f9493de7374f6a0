use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::bytes::hex_upper;
use crate::crypto::ed25519::Ed25519Private;
use crate::crypto::hash::sha256;
use crate::output::report::{Causes, Envelope, Report, Step};
use crate::output::{
    AuditRecord, Counts, FileDigest, FileRecord, InputRecord, KeyRecord, MANIFEST_FORMAT, Manifest,
    PoolCounts, RejectedLine, Trust, Verification,
};
use crate::store::FileWriter;

use super::attempt::read_record;
use super::gate::Check;
use super::watch::Watch;
use super::{BatchError, BlockNumber, BlockRecord, Layout, OpenJob, WeakKeyGate};

/// What the manifest says beside the batch itself.
pub struct Facts {
    /// SHA-256 of the program.
    pub engine_sha256: Option<String>,
    /// `test` or `production`.
    pub environment: String,
    /// Every configuration file.
    pub configuration: Vec<FileDigest>,
    /// Every key.
    pub keys: Vec<KeyRecord>,
    /// What the batch rests on beside its keys.
    pub trust: Trust,
    /// Where RSA keys of cards come from.
    pub keys_from: KeysFrom,
    /// The audit log as it stands.
    pub audit: AuditRecord,
    /// Who answers for the manifest.
    pub signer: Option<Ed25519Private>,
    /// The clock, RFC 3339.
    pub now: Box<dyn Fn() -> String + Send + Sync>,
}

/// Where the RSA keys of cards come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeysFrom {
    /// Each is made with its card.
    #[default]
    Fresh,
    /// From the pool as long as it has some.
    Pool,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Facts({})", self.environment)
    }
}

/// Removes attempts that no record names: what a kill left.
pub(super) fn discard_dead_attempts(job: &OpenJob, gate: Option<&WeakKeyGate<'_>>) -> Result<(), BatchError> {
    let OpenJob { layout, store, job: described, .. } = job;
    store.create_folders(&layout.records())?;
    store.create_folders(&layout.attempts())?;
    let mut committed = BTreeSet::new();
    for number in record_numbers(job)? {
        if let Some(record) = read_record(store, layout, &described.batch, number)? {
            gate.map_or(Ok(()), |gate| gate.must_match(&record))?;
            committed.insert(record.attempt);
        }
    }
    for name in store.list(&layout.attempts())? {
        if !name.to_str().is_some_and(|n| committed.contains(n)) {
            store.remove_folder(&layout.attempts().join(name))?;
        }
    }
    // What was linked before a kill is made durable before anything is built on it.
    store.sync_folder(&layout.records())?;
    Ok(())
}

fn record_numbers(job: &OpenJob) -> Result<Vec<BlockNumber>, BatchError> {
    let names = job.store.list(&job.layout.records())?;
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(".json")?.parse().ok();
    Ok(names.iter().filter_map(number).map(BlockNumber).collect())
}

/// A part of a committed block that stays in its attempt's folder, checked against the record.
pub(super) fn part(job: &OpenJob, record: &BlockRecord, file: &FileRecord) -> Result<Vec<u8>, BatchError> {
    let path = job.layout.attempt(&record.attempt).join(&file.path);
    let bytes = job.store.read(&path)?;
    bytes.filter(|b| hex_upper(&sha256(&[b])) == file.sha256).ok_or_else(|| {
        BatchError::Refused(format!("{}: differs from what its block's record says", path.display()))
    })
}

/// What a run knows at its end.
pub(super) struct Ended<'a> {
    /// Blocks of the input.
    pub(super) blocks: u64,
    /// Its orders.
    pub(super) orders: u64,
    /// Its digest.
    pub(super) digest: [u8; 32],
    /// How the run goes.
    pub(super) watch: &'a Watch,
    /// What its RSA keys are compared with.
    pub(super) gate: Option<&'a WeakKeyGate<'a>>,
}

/// Assembles statuses, rejections, the report and the manifest from the records, and removes the work folder.
pub(super) fn finish(open: &OpenJob, ended: &Ended<'_>, facts: &Facts) -> Result<Manifest, BatchError> {
    let Ended { blocks, orders, digest, .. } = *ended;
    let OpenJob { job, layout, store, .. } = open;
    let input = hex_upper(&digest);
    let beyond = record_numbers(open)?.iter().any(|n| n.0 >= blocks);
    if beyond || !job.may_have_read(&digest) {
        return Err(super::run::other_input());
    }
    let mut status = Assembly::start(open, Layout::STATUS)?;
    let mut rejected = Assembly::start(open, Layout::REJECTED)?;
    let mut counts = Counts::default();
    let mut pool = PoolCounts::default();
    let mut verification: Option<Verification> = None;
    let mut files = Vec::new();
    let mut causes = Causes::default();
    let mut by_profile: BTreeMap<String, u64> = BTreeMap::new();
    let mut folders = BTreeSet::new();
    let mut keys = Check::start(open, ended.gate)?;
    for number in (0..blocks).map(BlockNumber) {
        let record = read_record(store, layout, &job.batch, number)?
            .ok_or(BatchError::Internal("a block was not committed"))?;
        counts.add(&record.counts);
        pool.add(record.pool);
        keys.add(&record)?;
        if let Some(part) = &record.verification {
            verification.get_or_insert_default().add(part);
        }
        status.add(&part(open, &record, &record.status)?, record.status.cards)?;
        let lines = part(open, &record, &record.rejected)?;
        tell_causes(&mut causes, &lines)?;
        rejected.add(&lines, record.rejected.cards)?;
        for (profile, cards) in record.by_profile {
            let n = by_profile.entry(profile).or_default();
            *n = n.saturating_add(cards);
        }
        for file in record.files {
            folders.extend(layout.file(&file.path).parent().map(PathBuf::from));
            files.push(file);
        }
    }
    if counts.orders != orders {
        return Err(BatchError::Internal("orders and statuses differ in number"));
    }
    let weak_keys = ended.watch.step(Step::WeakKeys, || keys.end())?;
    // The renames of all blocks become durable at once, before anything says that they are.
    for folder in folders {
        store.sync_folder(&folder)?;
    }
    files.push(status.finish(open)?);
    files.push(rejected.finish(open)?);
    let job_text = store.read(&layout.file(Layout::JOB))?.unwrap_or_default();
    files.push(FileRecord {
        path: Layout::JOB.to_owned(),
        sha256: hex_upper(&sha256(&[&job_text])),
        bytes: job_text.len() as u64,
        cards: 0,
    });
    if let Some(key) = &open.key {
        files.push(FileRecord {
            path: Layout::KEY.to_owned(),
            sha256: hex_upper(&sha256(&[key])),
            bytes: key.len() as u64,
            cards: 0,
        });
    }
    let ended_at = (facts.now)();
    let report = Report {
        engine: &job.engine,
        batch: &job.batch,
        environment: &facts.environment,
        started: &job.started,
        ended: &ended_at,
        input: &input,
        envelope: if job.plain { Envelope::Plain } else { Envelope::Sealed },
        counts: &counts,
        by_destination: &by_destination(&files),
        by_profile: &by_profile,
        pool,
        weak_keys,
        verification: verification.as_ref(),
        keys: &facts.keys,
        causes: &causes,
        run: &ended.watch.record(),
    };
    let html = report.to_html();
    let path = layout.file(Layout::REPORT);
    let written = store.publish(&layout.scratch(Layout::REPORT), &path, html.as_bytes())?;
    files.push(FileRecord {
        path: Layout::REPORT.to_owned(),
        sha256: hex_upper(&written.sha256),
        bytes: written.bytes,
        cards: 0,
    });
    store.sync_folder(layout.root())?;
    files.sort();
    counts.by_destination = by_destination(&files)
        .into_iter()
        .map(|((channel, id), cards)| (format!("{channel}/{id}"), cards))
        .collect();
    counts.by_profile = by_profile;
    let mut manifest = Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        engine: job.engine.clone(),
        engine_sha256: facts.engine_sha256.clone(),
        batch: job.batch.clone(),
        environment: facts.environment.clone(),
        started: job.started.clone(),
        ended: ended_at,
        input: InputRecord { sha256: input, orders },
        configuration: facts.configuration.clone(),
        keys: facts.keys.clone(),
        key_source: facts.trust.key_source.clone(),
        accepted: facts.trust.accepted.clone(),
        officers: facts.trust.officers.clone(),
        seed_commitment: job.seed_commitment.clone(),
        counts,
        // A batch that was completed without its pool says what it took from it before.
        pool: (facts.keys_from == KeysFrom::Pool || pool.used > 0).then_some(pool),
        weak_keys,
        verification,
        files,
        audit: facts.audit.clone(),
        manifest_sha256: String::new(),
        signature: None,
    };
    if let Some(signer) = &facts.signer {
        manifest.sign(signer);
    }
    let text = manifest.to_json();
    store.publish(&layout.scratch("batch.json"), &layout.file(Layout::MANIFEST), text.as_bytes())?;
    clean(open)?;
    Manifest::read(text.as_bytes()).map_err(|_| BatchError::Internal("the manifest cannot be read back"))
}

/// Counts the causes of a block's rejections.
fn tell_causes(causes: &mut Causes, lines: &[u8]) -> Result<(), BatchError> {
    let damaged = || BatchError::Refused("a committed rejection cannot be read".to_owned());
    for line in std::str::from_utf8(lines).map_err(|_| damaged())?.lines() {
        causes.add(RejectedLine::read(line).map_err(|_| damaged())?);
    }
    Ok(())
}

/// Cards by channel and destination: `prepared/<channel>/<destination>/…`.
fn by_destination(files: &[FileRecord]) -> BTreeMap<(String, String), u64> {
    let mut cards: BTreeMap<(String, String), u64> = BTreeMap::new();
    for file in files {
        let mut parts = file.path.split('/');
        if let (Some("prepared"), Some(channel), Some(destination)) =
            (parts.next(), parts.next(), parts.next())
        {
            let n = cards.entry((channel.to_owned(), destination.to_owned())).or_default();
            *n = n.saturating_add(file.cards);
        }
    }
    cards
}

/// Removes the work folder of a batch whose manifest is written.
pub(super) fn clean(open: &OpenJob) -> Result<(), BatchError> {
    open.store.remove_folder(&open.layout.work())?;
    open.store.sync_folder(open.layout.root())?;
    Ok(())
}

/// A file put together from the parts of all blocks.
struct Assembly {
    writer: FileWriter,
    name: &'static str,
    lines: u64,
}

impl Assembly {
    fn start(open: &OpenJob, name: &'static str) -> Result<Self, BatchError> {
        let path = open.layout.scratch(name);
        open.store.remove_file(&path)?;
        Ok(Self { writer: open.store.start(&path)?, name, lines: 0 })
    }

    fn add(&mut self, part: &[u8], lines: u64) -> Result<(), BatchError> {
        self.lines = self.lines.saturating_add(lines);
        Ok(self.writer.write(part)?)
    }

    fn finish(self, open: &OpenJob) -> Result<FileRecord, BatchError> {
        let written = self.writer.finish()?;
        open.store.rename(&open.layout.scratch(self.name), &open.layout.file(self.name))?;
        Ok(FileRecord {
            path: self.name.to_owned(),
            sha256: hex_upper(&written.sha256),
            bytes: written.bytes,
            cards: self.lines,
        })
    }
}

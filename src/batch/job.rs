use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bytes::hex_upper;
use crate::crypto::hash::sha256;
use crate::crypto::rng::Seed;
use crate::error::ErrorKind;
use crate::output::Manifest;
use crate::store::{FolderLock, LockOutcome, Store};

use super::wipe::wiping;
use super::{BatchError, Layout};

const FORMAT: &str = "emv-dataprep/job/1";

/// Whether a batch that was left unfinished may be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The output folder must be absent or empty.
    No,
    /// Whatever a kill left is completed.
    Yes,
}

/// What a batch is started with: everything that its bytes depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name and version of the engine.
    pub engine: String,
    /// Start, RFC 3339. A batch that is completed keeps its own.
    pub started: String,
    /// Whether the start was asked for; then it must be that of the batch that is completed.
    pub start_is_fixed: bool,
    /// Digest of the configuration.
    pub configuration: [u8; 32],
    /// Commitment to a fixed seed.
    pub seed_commitment: Option<[u8; 32]>,
    /// Whether the outer envelope is left out.
    pub plain: bool,
    /// Positions in a block.
    pub block: u64,
    /// SHA-256 of the input, when it is known before it is read.
    pub input: Option<[u8; 32]>,
}

/// `job.json`: what a batch was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    format: String,
    /// Name and version of the engine.
    pub engine: String,
    /// Batch id.
    pub batch: String,
    /// Start, RFC 3339.
    pub started: String,
    /// Digest of the configuration.
    pub configuration: String,
    /// Commitment to a fixed seed.
    pub seed_commitment: Option<String>,
    /// Whether the outer envelope is left out.
    pub plain: bool,
    /// Positions in a block.
    pub block: u64,
    /// SHA-256 of the input, when it was known before it was read.
    pub input: Option<String>,
    /// SHA-256 of `job.key`; absent for a job without a data key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// An output folder that is ours, with its job.
#[derive(Debug)]
pub struct OpenJob {
    /// The job.
    pub job: Job,
    /// The manifest of a batch that is finished already.
    pub finished: Option<Manifest>,
    /// The contents of `job.key`, for a job with a data key.
    pub key: Option<Vec<u8>>,
    pub(super) layout: Layout,
    pub(super) store: Store,
    pub(super) _lock: FolderLock,
}

impl OpenJob {
    /// Names in the output folder.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether a block is committed.
    ///
    /// # Errors
    /// [`BatchError::Store`].
    pub fn has_records(&self) -> Result<bool, BatchError> {
        let records = self.layout.records();
        Ok(self.store.exists(&records) && !self.store.list(&records)?.is_empty())
    }

    /// Removes what a kill after the manifest left behind.
    ///
    /// # Errors
    /// [`BatchError::Store`].
    pub fn clean(&self) -> Result<(), BatchError> {
        super::finish::clean(self)
    }
}

/// Whether a batch may start in this folder: without `resume` it must be absent or empty.
///
/// # Errors
/// [`BatchError::Usage`]; files.
pub fn check_folder(root: &Path, store: &Store, resume: Resume) -> Result<(), BatchError> {
    if resume == Resume::No && !store.list(root)?.is_empty() {
        return Err(BatchError::Usage(format!(
            "{}: the output folder is not empty; --resume completes an unfinished batch",
            root.display()
        )));
    }
    Ok(())
}

/// Takes the output folder and finds or writes its job.
///
/// `batch_id` is called for a new job.
///
/// # Errors
/// [`BatchError::Usage`] for a folder with contents and no `resume`; [`BatchError::Refused`] when it holds a batch that
/// was started with something else; [`BatchError::Busy`]; files.
pub fn open(
    root: &Path,
    store: Store,
    resume: Resume,
    description: &Description,
    batch_id: impl FnOnce() -> Result<String, BatchError>,
) -> Result<OpenJob, BatchError> {
    open_with_key(root, store, resume, description, batch_id, || Ok(None))
}

/// As [`open`]; `job_key` makes the contents of `job.key` for a new job ([`super::JobKey::seal`]).
///
/// # Errors
/// As [`open`]; [`BatchError::Refused`] for a job whose `job.key` is missing or another one.
pub fn open_with_key(
    root: &Path,
    store: Store,
    resume: Resume,
    description: &Description,
    batch_id: impl FnOnce() -> Result<String, BatchError>,
    job_key: impl FnOnce() -> Result<Option<String>, BatchError>,
) -> Result<OpenJob, BatchError> {
    let layout = Layout::new(root);
    check_folder(root, &store, resume)?;
    store.create_folders(root)?;
    let lock = match FolderLock::take(root)? {
        LockOutcome::Held(lock) => lock,
        LockOutcome::Busy => return Err(BatchError::Busy),
    };
    if let Some(bytes) = store.read(&layout.file(Layout::JOB))? {
        let job = Job::read(&bytes)?;
        if wiping(root, &store)?.is_some() {
            return Err(BatchError::Refused(format!("{}: this job was wiped", root.display())));
        }
        description.must_match(&job)?;
        let finished = match store.read(&layout.file(Layout::MANIFEST))? {
            Some(bytes) => Some(
                Manifest::read(&bytes)
                    .map_err(|e| BatchError::Refused(format!("{}: {e}", Layout::MANIFEST)))?,
            ),
            None => None,
        };
        // The records go only after the manifest has come: without both, nobody knows which attempt the files here are of.
        if finished.is_none() && !store.exists(&layout.records()) {
            let message = format!(
                "{}: the records of its blocks are gone; prepare into another folder",
                root.display()
            );
            return Err(BatchError::Refused(message));
        }
        let key = key_of(&job, &layout, &store)?;
        return Ok(OpenJob { job, finished, key, layout, store, _lock: lock });
    }
    // Nothing was committed before job.json: only the work folder and the key of a start that died may be here.
    if store.list(root)?.iter().any(|name| name != Layout::WORK && name != Layout::KEY) {
        return Err(BatchError::Usage(format!("{}: the folder holds something else", root.display())));
    }
    store.remove_folder(&layout.work())?;
    store.remove_file(&layout.file(Layout::KEY))?;
    let mut job = Job::new(description, batch_id()?);
    let key = job_key()?.map(String::into_bytes);
    job.key = key.as_ref().map(|bytes| hex_upper(&sha256(&[bytes])));
    store.create_folders(&layout.records())?;
    store.create_folders(&layout.attempts())?;
    if let Some(bytes) = &key {
        store.publish(&layout.scratch(Layout::KEY), &layout.file(Layout::KEY), bytes)?;
    }
    store.publish(&layout.scratch("job.json"), &layout.file(Layout::JOB), job.to_json().as_bytes())?;
    Ok(OpenJob { job, finished: None, key, layout, store, _lock: lock })
}

/// The contents of `job.key`, which must be those that the job was started with.
fn key_of(job: &Job, layout: &Layout, store: &Store) -> Result<Option<Vec<u8>>, BatchError> {
    let Some(digest) = &job.key else { return Ok(None) };
    let path = layout.file(Layout::KEY);
    match store.read(&path)? {
        Some(bytes) if hex_upper(&sha256(&[&bytes])) == *digest => Ok(Some(bytes)),
        Some(_) => Err(BatchError::Refused(format!(
            "{}: is not the key that this job was started with; put the job's own back",
            path.display()
        ))),
        None => Err(BatchError::Refused(format!(
            "{}: the key of this job is missing: it was wiped or removed; prepare into another folder",
            path.display()
        ))),
    }
}

impl Description {
    fn must_match(&self, job: &Job) -> Result<(), BatchError> {
        let hex = |digest: Option<[u8; 32]>| digest.map(|d| hex_upper(&d));
        let input_differs = matches!((hex(self.input), &job.input), (Some(now), Some(then)) if now != *then);
        let other = if self.engine != job.engine {
            "another version of this program"
        } else if hex_upper(&self.configuration) != job.configuration {
            "another configuration"
        } else if hex(self.seed_commitment) != job.seed_commitment {
            "another seed"
        } else if self.plain != job.plain {
            "another choice of --plain"
        } else if self.block != job.block {
            "another --block"
        } else if self.start_is_fixed && self.started != job.started {
            "another --now"
        } else if input_differs {
            "another input"
        } else {
            return Ok(());
        };
        Err(BatchError::Refused(format!("the batch in this folder was started with {other}")))
    }
}

impl Job {
    fn new(description: &Description, batch: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            engine: description.engine.clone(),
            batch,
            started: description.started.clone(),
            configuration: hex_upper(&description.configuration),
            seed_commitment: description.seed_commitment.map(|d| hex_upper(&d)),
            plain: description.plain,
            block: description.block,
            input: description.input.map(|d| hex_upper(&d)),
            key: None,
        }
    }

    /// Whether an input of this digest may be the batch's: when it was not known before it was read, any may.
    pub(super) fn may_have_read(&self, digest: &[u8; 32]) -> bool {
        self.input.as_ref().is_none_or(|known| *known == hex_upper(digest))
    }

    fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads the job of an output folder.
    ///
    /// # Errors
    /// [`BatchError::Refused`] for anything else.
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        let job: Result<Self, _> = serde_json::from_slice(bytes);
        let good = job.ok().filter(|j| j.format == FORMAT);
        good.ok_or_else(|| {
            let error = crate::error::Error::new(ErrorKind::Format("a job of this version"));
            BatchError::Refused(format!("{}: {error}", Layout::JOB))
        })
    }

    /// A batch id: with a fixed seed it follows from seed, configuration and input, else it is drawn.
    ///
    /// # Errors
    /// [`BatchError::Lost`] without random numbers.
    pub fn batch_id(
        fixed: Option<&Seed>,
        configuration: &[u8; 32],
        input: Option<[u8; 32]>,
    ) -> Result<String, BatchError> {
        let digest = match fixed {
            Some(seed) => {
                seed.keyed_digest(&[b"emv-dataprep/batch-id/1", configuration, &input.unwrap_or_default()])
            }
            None => Seed::from_os().map_err(BatchError::Lost)?.keyed_digest(&[b"emv-dataprep/batch-id/1"]),
        };
        Ok(hex_upper(digest.get(..16).unwrap_or_default()))
    }

    /// What tells one fixed seed from another without telling the seed.
    #[must_use]
    pub fn seed_commitment(seed: &Seed) -> [u8; 32] {
        seed.keyed_digest(&[b"emv-dataprep/seed-commitment/1"])
    }
}

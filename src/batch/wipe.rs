//! The end of a job: its data key is destroyed, its files go.

use std::path::Path;

use crate::output::Manifest;
use crate::store::audit::{self, AuditLog, Entry, Event};
use crate::store::{FolderLock, LockOutcome, Store};

use super::{BatchError, BlockRecord, Job, Layout};

/// Folders of a job whose files hold card data, sealed or not.
const FOLDERS: [&str; 4] = ["prepared", "pin-mailers", "issuer-return", Layout::WORK];

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has no manifest.
    Unfinished,
    /// It has its manifest.
    Finished,
    /// Somebody began to wipe it, and a kill or a failure came between: wiping it again completes that.
    HalfWiped,
    /// Its key and its card data are gone.
    Wiped,
}

impl JobState {
    /// The word in lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Finished => "finished",
            Self::HalfWiped => "half-wiped",
            Self::Wiped => "wiped",
        }
    }
}

/// What an output folder says of its job.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// `job.json`.
    pub job: Job,
    /// The manifest, when the batch is finished.
    pub manifest: Option<Manifest>,
    /// How far it is.
    pub state: JobState,
    /// The entry of the audit log that tells of the wiping.
    pub wiped: Option<Entry>,
    /// Orders: of the manifest, else of the blocks that are committed.
    pub orders: u64,
}

impl JobRecord {
    /// Reads the job of a folder; `None` when it holds none. Nothing is locked.
    ///
    /// # Errors
    /// [`BatchError::Refused`] for a damaged `job.json` or manifest; files.
    pub fn read(root: &Path, store: &Store) -> Result<Option<Self>, BatchError> {
        let layout = Layout::new(root);
        let Some(text) = store.read(&layout.file(Layout::JOB))? else { return Ok(None) };
        let job = Job::read(&text)?;
        let manifest = match store.read(&layout.file(Layout::MANIFEST))? {
            None => None,
            Some(text) => Some(
                Manifest::read(&text)
                    .map_err(|e| BatchError::Refused(format!("{}: {e}", Layout::MANIFEST)))?,
            ),
        };
        let last = wiping(root, store)?;
        let state = match (last.as_ref().map(|e| e.event), &manifest) {
            (Some(Event::BatchWiped), _) => JobState::Wiped,
            (Some(_), _) => JobState::HalfWiped,
            (None, Some(_)) => JobState::Finished,
            (None, None) => JobState::Unfinished,
        };
        let orders = match &manifest {
            Some(manifest) => manifest.counts.orders,
            None => committed(&layout, store)?,
        };
        Ok(Some(Self { job, manifest, state, wiped: last, orders }))
    }
}

/// Orders of the blocks that are committed.
fn committed(layout: &Layout, store: &Store) -> Result<u64, BatchError> {
    let mut orders = 0_u64;
    for name in store.list(&layout.records())? {
        if let Some(text) = store.read(&layout.records().join(name))?
            && let Ok(record) = BlockRecord::read(&text)
        {
            orders = orders.saturating_add(record.counts.orders);
        }
    }
    Ok(orders)
}

/// The last entry of a folder's audit log that tells of its wiping. A log that is damaged tells nothing.
pub(super) fn wiping(root: &Path, store: &Store) -> Result<Option<Entry>, BatchError> {
    let (log, head) = (root.join(AuditLog::LOG), root.join(AuditLog::HEAD));
    let (Some(log), Some(head)) = (store.read(&log)?, store.read(&head)?) else { return Ok(None) };
    let entries = audit::check(&log, &head, None).unwrap_or_default();
    Ok(entries.into_iter().rfind(|e| matches!(e.event, Event::WipeStarted | Event::BatchWiped)))
}

/// A job that is being wiped: its folder is locked.
#[derive(Debug)]
pub struct Wipe {
    record: JobRecord,
    layout: Layout,
    store: Store,
    _lock: FolderLock,
}

impl Wipe {
    /// Takes the folder of a job.
    ///
    /// # Errors
    /// [`BatchError::Refused`] for a folder without a job; [`BatchError::Busy`] while somebody works on it; files.
    pub fn open(root: &Path, store: Store) -> Result<Self, BatchError> {
        let no_job = || BatchError::Refused(format!("{}: holds no job", root.display()));
        if !store.exists(root) {
            return Err(no_job());
        }
        let lock = match FolderLock::take(root)? {
            LockOutcome::Held(lock) => lock,
            LockOutcome::Busy => return Err(BatchError::Busy),
        };
        let record = JobRecord::read(root, &store)?.ok_or_else(no_job)?;
        Ok(Self { record, layout: Layout::new(root), store, _lock: lock })
    }

    /// The job as it stood.
    #[must_use]
    pub const fn record(&self) -> &JobRecord {
        &self.record
    }

    /// Destroys the data key, then removes every file that holds card data. Each step is durable before the next; what is
    /// gone already is passed over, so that it can be done again after a kill.
    ///
    /// # Errors
    /// [`BatchError::Store`].
    pub fn destroy(&self) -> Result<(), BatchError> {
        self.store.destroy_file(&self.layout.file(Layout::KEY))?;
        for folder in FOLDERS {
            self.store.remove_folder(&self.layout.file(folder))?;
        }
        Ok(self.store.sync_folder(self.layout.root())?)
    }

    /// Removes what [`Wipe::destroy`] leaves: manifest, statuses, rejections, report, audit log. `job.json` goes last, so that
    /// a folder that a kill left is still known as a job. The folder itself goes when nothing else is in it;
    /// whether it did.
    ///
    /// # Errors
    /// [`BatchError::Store`].
    pub fn remove_rest(&self) -> Result<bool, BatchError> {
        let rest = [
            Layout::REPORT,
            Layout::STATUS,
            Layout::REJECTED,
            AuditLog::LOG,
            AuditLog::HEAD,
            // After the log: a folder that has neither cannot pass for one of a batch that was never finished.
            Layout::MANIFEST,
        ];
        for name in rest {
            self.store.remove_file(&self.layout.file(name))?;
        }
        let root = self.layout.root();
        self.store.sync_folder(root)?;
        self.store.remove_file(&self.layout.file(Layout::JOB))?;
        self.store.sync_folder(root)?;
        let is_empty = self.store.list(root)?.is_empty();
        if is_empty {
            self.store.remove_folder(root)?;
        }
        Ok(is_empty)
    }
}

#[cfg(test)]
#[path = "wipe_tests.rs"]
mod tests;

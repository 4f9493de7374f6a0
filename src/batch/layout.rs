use std::path::{Path, PathBuf};

use super::BlockNumber;

/// Names in an output folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Name of the work folder: gone when the batch is done.
    pub const WORK: &'static str = ".job";
    /// Name of the job's description.
    pub const JOB: &'static str = "job.json";
    /// Name of the job's wrapped data key.
    pub const KEY: &'static str = "job.key";
    /// Name of the manifest.
    pub const MANIFEST: &'static str = "batch.json";
    /// Name of the statuses.
    pub const STATUS: &'static str = "status.jsonl";
    /// Name of the report for people.
    pub const REPORT: &'static str = "report.html";
    /// Name of the rejections.
    pub const REJECTED: &'static str = "rejected.jsonl";

    /// Of this output folder.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The output folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it, as the manifest writes it.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The work folder.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.join(Self::WORK)
    }

    /// A file in the work folder.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.work().join("records")
    }

    /// The record of a block.
    #[must_use]
    pub fn record(&self, block: BlockNumber) -> PathBuf {
        self.records().join(format!("{block}.json"))
    }

    /// The attempts.
    #[must_use]
    pub fn attempts(&self) -> PathBuf {
        self.work().join("attempts")
    }

    /// The folder of one attempt.
    #[must_use]
    pub fn attempt(&self, name: &str) -> PathBuf {
        self.attempts().join(name)
    }
}

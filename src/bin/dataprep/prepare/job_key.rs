//! The data key of the job: made with it, read back when it is completed.

use emv_dataprep::batch::{BatchError, JobKey, Layout, OpenJob};
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::output::RecordMacKey;

use crate::failure::Failure;
use crate::issuer_dir::{IssuerDir, OpenKeys};

/// Production works with a job key; a test issuer may have none.
pub(super) fn require(dir: &IssuerDir, keys: &OpenKeys) -> Result<(), Failure> {
    if dir.is_test() || JobKey::wrapping(keys.module.source()).is_some() {
        return Ok(());
    }
    Err(Failure::refused("keys.toml has no key of use job: nothing would tie a record to its order"))
}

/// The contents of `job.key` for a new job.
pub(super) fn make(keys: &OpenKeys, seed: Option<&Seed>) -> Result<Option<String>, BatchError> {
    let made = JobKey::draw(seed).and_then(|key| key.seal(keys.module.source(), seed));
    made.map_err(BatchError::Lost)
}

/// The key of the records' MACs of a job that is open.
pub(super) fn macs(job: &OpenJob, keys: &OpenKeys) -> Result<Option<RecordMacKey>, Failure> {
    let Some(text) = &job.key else { return Ok(None) };
    let path = job.layout().file(Layout::KEY);
    let key = JobKey::open(keys.module.source(), text);
    let key = key.map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
    Ok(Some(RecordMacKey::of_job(key.secret())))
}

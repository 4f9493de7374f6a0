//! The audit log of an output folder, as `prepare` keeps it.

use std::path::Path;

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::output::{AuditRecord, Manifest};
use emv_dataprep::store::Store;
use emv_dataprep::store::audit::{AuditError, AuditLog, Event, Text};

use crate::failure::Failure;

/// The audit log of one run.
pub struct Journal<'a>(AuditLog<'a>);

impl<'a> Journal<'a> {
    /// Opens the log of an output folder, or begins one.
    pub fn open(
        store: &'a Store,
        folder: &Path,
        signer: Option<&'a Ed25519Private>,
        who: Text,
        clock: fn() -> String,
    ) -> Result<Self, Failure> {
        Ok(Self(AuditLog::open(store, folder, signer, who, clock)?))
    }

    /// Adds an entry.
    pub fn add(
        &mut self,
        event: Event,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Failure> {
        Ok(self.0.add(event, facts)?)
    }

    /// The end of the batch, once.
    pub fn finished(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        if self.0.last_event() == Some(Event::BatchFinished) {
            return Ok(());
        }
        let counts = &manifest.counts;
        self.add(
            Event::BatchFinished,
            [
                ("manifest", manifest.manifest_sha256.clone()),
                ("input", manifest.input.sha256.clone()),
                ("orders", counts.orders.to_string()),
                ("prepared", counts.prepared.to_string()),
                ("rejected", counts.rejected.to_string()),
            ],
        )
    }

    /// What the manifest says of the log.
    pub fn record(&self) -> AuditRecord {
        let (entries, digest) = self.0.state();
        AuditRecord { entries, sha256: hex_upper(digest) }
    }
}

/// Who runs this: the name that was given, or the user id of the process.
pub fn who(operator: Option<&Text>) -> Result<Text, Failure> {
    if let Some(operator) = operator {
        return Ok(operator.clone());
    }
    // Not of /proc/self: it is root's once the process is not dumpable.
    #[cfg(unix)]
    let name = format!("user id {}", rustix::process::getuid().as_raw());
    #[cfg(not(unix))]
    let name = "unknown user".to_owned();
    Ok(name.parse::<Text>()?)
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            changed @ AuditError::Changed { .. } => Self::refused(changed.to_string()),
        }
    }
}

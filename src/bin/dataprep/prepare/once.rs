//! What was prepared before: the ledger.

use std::path::PathBuf;

use emv_dataprep::batch::{BatchError, LedgerTags};
use emv_dataprep::keys::{KeyRef, KeySource as _, KeyUse};
use emv_dataprep::store::ledger::Ledger;

use super::Args;
use crate::failure::Failure;
use crate::issuer_dir::{IssuerDir, OpenKeys};

/// The ledger that the command line or `issuer.toml` names.
pub(super) fn ledger(args: &Args, dir: &IssuerDir) -> Result<Option<Ledger>, Failure> {
    let Some(path) = args.ledger.clone().or_else(|| ledger_of(dir)) else {
        if dir.is_test() {
            return Ok(None);
        }
        return Err(Failure::refused("no ledger: name one in issuer.toml or with --ledger"));
    };
    Ok(Some(Ledger::open(&path).map_err(BatchError::from)?))
}

/// The ledger that `issuer.toml` names.
pub fn ledger_of(dir: &IssuerDir) -> Option<PathBuf> {
    dir.issuer.ledger().file.as_ref().map(|file| dir.root.join(file))
}

pub(super) fn tags<'a>(dir: &'a IssuerDir, keys: &'a OpenKeys) -> Result<LedgerTags<'a>, Failure> {
    let config = dir.issuer.ledger();
    let key = KeyRef::new(KeyUse::Ledger, config.key);
    let source = keys.module.source();
    // Asked now, so that a missing key stops the start and not the first block.
    source
        .hmac_sha256(key, &[b""])
        .map_err(|e| Failure::refused(format!("the ledger needs key {key}: {e}")))?;
    Ok(LedgerTags { source, key, reissue: &config.reissue })
}

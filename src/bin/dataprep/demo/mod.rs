//! `dataprep demo`: a test issuer, a thousand orders, all of them prepared and verified.

mod folder;
mod issuer;
mod keys;
mod orders;
mod people;
mod scheme;

use std::path::Path;

use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::error::Error;
pub(crate) use folder::{DemoFolder, FolderError};
pub(crate) use issuer::TestIssuer;

/// The seed of every demo that names none: anybody can make the same keys.
pub(crate) const SEED: [u8; 32] = *b"emv-dataprep demo: not a secret!";

/// The time at which the demo plays.
pub(crate) const NOW: &str = "2026-01-15T00:00:00Z";

/// Orders of the demo.
pub(crate) const ORDERS: u64 = 1000;

/// Why there is no test issuer.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// The folder.
    Folder(FolderError),
    /// Its contents.
    Make(Error),
}

impl std::fmt::Display for DemoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(e) => e.fmt(f),
            Self::Make(e) => e.fmt(f),
        }
    }
}

/// Whether orders are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// A thousand orders.
    WithOrders,
    /// The issuer directory and its secrets only.
    IssuerOnly,
}

/// Writes the test issuer into `dir`. `progress` is told each step.
pub(crate) fn write(
    dir: &Path,
    seed: [u8; 32],
    contents: Contents,
    progress: &mut dyn FnMut(&str),
) -> Result<DemoFolder, DemoError> {
    let folder = DemoFolder::take(dir).map_err(DemoError::Folder)?;
    let orders = if contents == Contents::WithOrders { ORDERS } else { 0 };
    let made = TestIssuer::make(&Seed::fixed(seed), orders, progress).map_err(DemoError::Make)?;
    folder.write(&made).map_err(DemoError::Folder)?;
    Ok(folder)
}

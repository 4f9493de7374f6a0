use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BatchError;
use crate::card::CardId;
use crate::error::{ErrorKind, Result};
use crate::output::{Counts, FileRecord, PoolCounts, Verification};

use super::KeysPart;

const FORMAT: &str = "emv-dataprep/record/1";

/// The record that commits one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockRecord {
    format: String,
    /// Batch id.
    pub batch: String,
    /// Number of the block.
    pub block: u64,
    /// Folder of the attempt that made it.
    pub attempt: String,
    /// Running digest of the input up to the end of the block.
    pub input: String,
    /// Places on shared carriers that its orders name, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<u64, String>,
    /// Counts of the block.
    pub counts: Counts,
    /// Where the RSA keys of its cards come from.
    #[serde(default)]
    pub pool: PoolCounts,
    /// What the second witness found on its cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Its cards by profile.
    #[serde(default)]
    pub by_profile: BTreeMap<String, u64>,
    /// Files with their final names; in the attempt's folder they have the number that is their place here.
    pub files: Vec<FileRecord>,
    /// The block's part of `status.jsonl`.
    pub status: FileRecord,
    /// The block's part of `rejected.jsonl`.
    pub rejected: FileRecord,
    /// What it tells of its RSA keys, if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysPart>,
}

/// The parts of a record that its attempt knows.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) batch: String,
    pub(super) block: u64,
    pub(super) attempt: String,
    pub(super) input: String,
    pub(super) places: BTreeMap<u64, String>,
    pub(super) counts: Counts,
    pub(super) pool: PoolCounts,
    pub(super) verification: Option<Verification>,
    pub(super) by_profile: BTreeMap<String, u64>,
    pub(super) files: Vec<FileRecord>,
    pub(super) status: FileRecord,
    pub(super) rejected: FileRecord,
    pub(super) keys: Option<KeysPart>,
}

impl BlockRecord {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            batch,
            block,
            attempt,
            input,
            places,
            counts,
            pool,
            verification,
            by_profile,
            files,
            status,
            rejected,
            keys,
        } = parts;
        Self {
            format: FORMAT.to_owned(),
            batch,
            block,
            attempt,
            input,
            places,
            counts,
            pool,
            verification,
            by_profile,
            files,
            status,
            rejected,
            keys,
        }
    }

    /// The places on shared carriers, read back: a block that is committed need not be parsed again.
    pub(super) fn places(&self) -> std::result::Result<Vec<(u64, CardId)>, BatchError> {
        let place = |(position, id): (&u64, &String)| Some((*position, id.parse().ok()?));
        let places: Option<Vec<_>> = self.places.iter().map(place).collect();
        places.ok_or_else(|| BatchError::Refused("a committed record cannot be read".to_owned()))
    }

    /// The record as it is written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything else.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let record: Self = serde_json::from_slice(bytes).map_err(|_| ErrorKind::Format("a block record"))?;
        if record.format != FORMAT {
            return Err(ErrorKind::Unsupported("this format of block record").into());
        }
        Ok(record)
    }
}

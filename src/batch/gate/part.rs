//! The part of a block that tells of its RSA keys.
//!
//! One entry a key: tags of p and q, position (eight bytes), length of the modulus (two bytes) and the modulus, which is
//! left out unless the key may be in the sample for the batch gcd.

use std::path::Path;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::WeakKeyGate;
use crate::batch::BatchError;
use crate::batch::attempt::Outcome;
use crate::bytes::hex_upper;
use crate::crypto::rsa::PrimeTag;
use crate::output::FileRecord;
use crate::store::Store;

/// Name of the part.
const NAME: &str = "primes";
/// Bytes of an entry without modulus.
const ENTRY: usize = 2 * PrimeTag::LEN + 8 + 2;

/// A block's part about its RSA keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysPart {
    /// Check value of the tag key.
    pub check: String,
    /// The file; its cards are keys.
    pub file: FileRecord,
}

/// Writes the part of a block that has RSA keys.
pub(in crate::batch) fn write(
    gate: &WeakKeyGate<'_>,
    store: &Store,
    folder: &Path,
    outcomes: &[Outcome],
) -> Result<Option<KeysPart>, BatchError> {
    let mut entries = Vec::new();
    let mut keys = 0_u64;
    {
        let mut threshold = gate.threshold.lock().unwrap_or_else(PoisonError::into_inner);
        for (outcome, made) in outcomes {
            for trace in made.iter().flat_map(|made| &made.rsa) {
                let [p, q] = trace.primes;
                let modulus: &[u8] = if threshold.lets_through(p) { &trace.modulus } else { &[] };
                let length = u16::try_from(modulus.len())
                    .map_err(|_| BatchError::Internal("a modulus is too long"))?;
                entries.extend_from_slice(&p.to_bytes());
                entries.extend_from_slice(&q.to_bytes());
                entries.extend_from_slice(&outcome.position.to_be_bytes());
                entries.extend_from_slice(&length.to_be_bytes());
                entries.extend_from_slice(modulus);
                keys = keys.saturating_add(1);
            }
        }
    }
    if keys == 0 {
        return Ok(None);
    }
    let written = store.write_new(&folder.join(NAME), [&entries])?;
    let file = FileRecord {
        path: NAME.to_owned(),
        sha256: hex_upper(&written.sha256),
        bytes: written.bytes,
        cards: keys,
    };
    Ok(Some(KeysPart { check: hex_upper(&gate.key.check_value()), file }))
}

/// A key as its block's part tells of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) primes: [PrimeTag; 2],
    pub(super) position: u64,
    /// Empty unless the key may be in the sample.
    pub(super) modulus: &'a [u8],
}

/// Reads a part back; `None` for anything else.
pub(super) fn read(mut bytes: &[u8]) -> Option<Vec<Key<'_>>> {
    let mut keys = Vec::with_capacity(bytes.len() / ENTRY);
    while !bytes.is_empty() {
        let (p, rest) = bytes.split_first_chunk()?;
        let (q, rest) = rest.split_first_chunk()?;
        let (position, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (modulus, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        keys.push(Key {
            primes: [PrimeTag::from_bytes(*p), PrimeTag::from_bytes(*q)],
            position: u64::from_be_bytes(*position),
            modulus,
        });
        bytes = rest;
    }
    Some(keys)
}

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bytes::{array_from_hex, hex_upper};
use crate::crypto::ed25519::{Ed25519Private, Ed25519Public};
use crate::crypto::hash::sha256;
use crate::error::{Error, ErrorKind, Result};

const HEAD_FORMAT: &str = "emv-dataprep/audit-head/1";
const HEAD_CONTEXT: &str = "emv-dataprep/audit-head/1";
const ENTRY_CONTEXT: &str = "emv-dataprep/audit-entry/1";

/// Digest that the first entry names as the one before it.
pub(super) const GENESIS: [u8; 32] = [0; 32];

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A batch was started.
    BatchStarted,
    /// A batch that had stopped was taken up again.
    BatchResumed,
    /// A run ended before the batch did.
    BatchStopped,
    /// The manifest was written.
    BatchFinished,
    /// An entry that a kill had cut short was removed.
    LogRepaired,
    /// The data key of the job is about to be destroyed, and its files removed.
    WipeStarted,
    /// The data key of the job was destroyed and its files removed.
    BatchWiped,
    /// The ledger is about to forget the cards of a batch that was never finished.
    LedgerReleased,
    /// A key was loaded into `keys.toml`.
    KeyImported,
    /// A key was given out under a key of another party.
    KeyExported,
    /// A key was given a day from which it serves no new card.
    KeyRetired,
    /// Every key was put under another key-block protection key.
    KeysRewrapped,
}

/// A name or a reason that a person gives: 1 to 200 printable characters, and no run of 12 digits or more, which could be
/// a card number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Text {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let length = text.chars().count();
        if !(1..=200).contains(&length) {
            return Err(ErrorKind::Length { expected: "1 to 200", found: length, unit: "characters" }.into());
        }
        if text.chars().any(char::is_control) {
            return Err(ErrorKind::Format("printable text").into());
        }
        let mut run = 0_u32;
        for c in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
            run = if c.is_numeric() { run.saturating_add(1) } else { 0 };
            if run >= 12 {
                return Err(ErrorKind::Value("12 digits and more could be a card number").into());
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, from 1.
    pub entry: u64,
    /// When, RFC 3339.
    pub time: String,
    /// What happened.
    pub event: Event,
    /// Who made it happen.
    pub who: String,
    /// Digests, counts, reasons.
    pub facts: BTreeMap<String, String>,
    /// Digest of the entry before; zeros for the first.
    pub previous: String,
    /// SHA-256 of this entry with an empty text in this place.
    pub digest: String,
}

impl Entry {
    /// The entry that follows one with this number and digest.
    pub(super) fn new(
        (number, previous): (u64, &[u8; 32]),
        time: String,
        event: Event,
        who: &Text,
        facts: BTreeMap<String, String>,
    ) -> Self {
        let mut entry = Self {
            entry: number.saturating_add(1),
            time,
            event,
            who: who.as_str().to_owned(),
            facts,
            previous: hex_upper(previous),
            digest: String::new(),
        };
        entry.digest = hex_upper(&entry.computed());
        entry
    }

    /// Its line, without line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line: every byte must be as [`Entry::to_json`] writes it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for another form, [`ErrorKind::Value`] for an entry that was changed.
    pub fn read(line: &[u8]) -> Result<Self> {
        let entry: Self =
            serde_json::from_slice(line).map_err(|_| ErrorKind::Format("an entry of an audit log"))?;
        if entry.to_json().as_bytes() != line || hex_upper(&entry.computed()) != entry.digest {
            return Err(ErrorKind::Value("the entry was changed").into());
        }
        Ok(entry)
    }

    fn computed(&self) -> [u8; 32] {
        let bare = Self { digest: String::new(), ..self.clone() };
        sha256(&[ENTRY_CONTEXT.as_bytes(), &[0], bare.to_json().as_bytes()])
    }
}

/// The head: how many entries, the digest of the last one, and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    format: String,
    /// How many entries.
    pub entries: u64,
    /// Digest of the last.
    pub digest: String,
    /// The signer's public key; null for a log without a signer.
    pub public_key: Option<String>,
    /// Its signature (RFC 8032) over entries (8 bytes, big-endian) ‖ digest.
    pub signature: Option<String>,
}

impl Head {
    pub(super) fn new(entries: u64, digest: &[u8; 32], signer: Option<&Ed25519Private>) -> Self {
        let signature = signer.map(|key| hex_upper(&key.sign(HEAD_CONTEXT, &signed(entries, digest))));
        Self {
            format: HEAD_FORMAT.to_owned(),
            entries,
            digest: hex_upper(digest),
            public_key: signer.map(|key| key.public().to_string()),
            signature,
        }
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads the document: every byte must be as [`Head::to_json`] writes it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let head: Option<Self> = serde_json::from_slice(bytes).ok();
        let good = head.filter(|h| h.format == HEAD_FORMAT && h.to_json().as_bytes() == bytes);
        good.ok_or_else(|| ErrorKind::Format("the head of an audit log").into())
    }

    /// Whether this key signed it.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for a head without signature, [`ErrorKind::Crypto`] for one of another key.
    pub fn check_signature(&self, key: &Ed25519Public) -> Result<()> {
        let signature = self.signature.as_ref().ok_or(ErrorKind::Missing("the signature of the head"))?;
        if self.public_key.as_deref() != Some(key.to_string().as_str()) {
            return Err(ErrorKind::Crypto("the head is signed by another key").into());
        }
        let value = array_from_hex(signature)?;
        if hex_upper(&value) != *signature {
            return Err(ErrorKind::Format("upper-case hexadecimal").into());
        }
        key.verify(HEAD_CONTEXT, &signed(self.entries, &array_from_hex(&self.digest)?), &value)
    }
}

fn signed(entries: u64, digest: &[u8; 32]) -> Vec<u8> {
    [&entries.to_be_bytes()[..], digest].concat()
}

/// Checks a log against its head: every entry whole and in its place, none missing, none too many.
///
/// The key that must have signed the head comes from elsewhere; without one, the head's signature is not looked at, and
/// anybody can have made both files.
///
/// # Errors
/// What is wrong, with the number of the line.
pub fn check(log: &[u8], head: &[u8], key: Option<&Ed25519Public>) -> Result<Vec<Entry>> {
    let head = Head::read(head)?;
    if let Some(key) = key {
        head.check_signature(key)?;
    }
    let (entries, last, rest) = chain(log)?;
    if !rest.is_empty() {
        return Err(ErrorKind::Value("the log ends in the middle of an entry").into());
    }
    if entries.len() as u64 != head.entries || hex_upper(&last) != head.digest {
        return Err(ErrorKind::Value("the log and its head differ").into());
    }
    Ok(entries)
}

/// The whole entries of a log, each following the one before. The head is not looked at, and what a kill cut short at the
/// end is left out.
///
/// # Errors
/// What is wrong, with the number of the line.
pub fn entries(log: &[u8]) -> Result<Vec<Entry>> {
    chain(log).map(|(entries, ..)| entries)
}

/// The whole entries of a log, the digest of the last, and what follows the last line end.
pub(super) fn chain(log: &[u8]) -> Result<(Vec<Entry>, [u8; 32], &[u8])> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut last = GENESIS;
    let mut rest = log;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let (line, after) = rest.split_at(end);
        let number = (entries.len() as u64).saturating_add(1);
        let at = |e: Error| e.at(format!("line {number}"));
        let entry = Entry::read(line).map_err(at)?;
        if entry.entry != number || entry.previous != hex_upper(&last) {
            return Err(at(ErrorKind::Value("the entry does not follow the one before it").into()));
        }
        last = array_from_hex(&entry.digest).map_err(at)?;
        entries.push(entry);
        rest = after.get(1..).unwrap_or_default();
    }
    Ok((entries, last, rest))
}

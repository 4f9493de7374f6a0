use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::file::{OfficerName, Officers, Role};
use crate::bytes::{array_from_hex, hex_upper};
use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Private;
use crate::crypto::hash::sha256;
use crate::error::{Error, ErrorKind, Result};
use crate::profile::Files;

const FORMAT: &str = "emv-dataprep/officer-signature/1";
const CONTEXT: &str = "emv-dataprep/issuer-directory/1";

/// The state of an issuer directory: each file with its SHA-256. Its digest is what officers sign, and what `job.json`
/// and the manifest call the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryState {
    files: BTreeMap<String, String>,
    sequence: u64,
}

/// What became of a file between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is new.
    Added,
    /// It has other bytes.
    Changed,
    /// It is gone.
    Removed,
}

impl Change {
    /// A word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

impl DirectoryState {
    /// The state of these files, whose `issuer.toml` has this sequence.
    #[must_use]
    pub fn of(files: &Files, sequence: u64) -> Self {
        let digest = |(path, bytes): (&String, &Vec<u8>)| (path.clone(), hex_upper(&sha256(&[bytes])));
        Self { files: files.iter().map(digest).collect(), sequence }
    }

    /// SHA-256 over a line `digest path` for each file, in the order of the paths.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let lines: String = self.files.iter().map(|(path, sha)| format!("{sha} {path}\n")).collect();
        sha256(&[lines.as_bytes()])
    }

    /// `sequence` of `issuer.toml`.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What differs from an earlier state, by path.
    #[must_use]
    pub fn since(&self, earlier: &BTreeMap<String, String>) -> Vec<(Change, String)> {
        let mut out: Vec<(Change, String)> = Vec::new();
        for (path, digest) in &self.files {
            match earlier.get(path) {
                None => out.push((Change::Added, path.clone())),
                Some(before) if before != digest => out.push((Change::Changed, path.clone())),
                Some(_) => {}
            }
        }
        let gone = earlier.keys().filter(|path| !self.files.contains_key(*path));
        out.extend(gone.map(|path| (Change::Removed, path.clone())));
        out.sort_by(|a, b| a.1.cmp(&b.1));
        out
    }
}

/// One officer's signature over a state: a file of its own in the folder `.signatures` of the issuer directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfficerSignature {
    format: String,
    officer: String,
    date: String,
    sequence: u64,
    digest: String,
    files: BTreeMap<String, String>,
    signature: String,
}

impl OfficerSignature {
    /// The folder of signatures in an issuer directory. A hidden one is no configuration.
    pub const FOLDER: &'static str = ".signatures";

    /// Signs a state.
    #[must_use]
    pub fn new(name: &OfficerName, key: &Ed25519Private, date: &str, state: &DirectoryState) -> Self {
        let mut made = Self {
            format: FORMAT.to_owned(),
            officer: name.to_string(),
            date: date.to_owned(),
            sequence: state.sequence,
            digest: hex_upper(&state.digest()),
            files: state.files.clone(),
            signature: String::new(),
        };
        made.signature = hex_upper(&key.sign(CONTEXT, &made.statement()));
        made
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads the document: every byte must be as [`OfficerSignature::to_json`] writes it. The signature is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for another form, [`ErrorKind::Value`] when the list of files is not that of its digest.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let read: Option<Self> = serde_json::from_slice(bytes).ok();
        let good = read.filter(|s| s.format == FORMAT && s.to_json().as_bytes() == bytes);
        let good = good.ok_or(ErrorKind::Format("an officer's signature"))?;
        let state = DirectoryState { files: good.files.clone(), sequence: good.sequence };
        if hex_upper(&state.digest()) != good.digest {
            return Err(ErrorKind::Value("the list of files is not that of the digest").into());
        }
        Ok(good)
    }

    /// Who signed, as the document says.
    #[must_use]
    pub fn officer(&self) -> &str {
        &self.officer
    }

    /// When, as the document says.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// `sequence` of the state that was signed.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The state that was signed: path and SHA-256.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// The digest of that state.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The name of the file that it stands in.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.json", self.officer.to_ascii_lowercase())
    }

    /// Purpose (the context), officer, date, sequence and digest, each with its end: nothing can be moved from one to
    /// another.
    fn statement(&self) -> Vec<u8> {
        let Self { officer, date, sequence, digest, .. } = self;
        format!("officer {officer}\ndate {date}\nsequence {sequence}\ndigest {digest}\n").into_bytes()
    }

    /// Whether an officer of the file signed this state.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for an officer who does not count on that day or a signature over another state,
    /// [`ErrorKind::Crypto`] for one that is not the officer's.
    pub fn check(&self, officers: &Officers, state: &DirectoryState, today: CardDate) -> Result<OfficerName> {
        let name: OfficerName = self.officer.parse()?;
        let at = |e: Error| e.at(name.to_string());
        let officer = officers.who_may(&name, Role::Configuration, today)?;
        if self.date.chars().any(char::is_control) {
            return Err(at(ErrorKind::Format("a date").into()));
        }
        if self.digest != hex_upper(&state.digest()) || self.sequence != state.sequence {
            return Err(at(ErrorKind::Value("signed another state of the issuer directory").into()));
        }
        let value = array_from_hex(&self.signature).map_err(at)?;
        if hex_upper(&value) != self.signature {
            return Err(at(ErrorKind::Format("upper-case hexadecimal").into()));
        }
        officer.key.verify(CONTEXT, &self.statement(), &value).map_err(at)?;
        Ok(officer.name.clone())
    }
}

/// A state that enough officers have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who.
    pub officers: Vec<OfficerName>,
    /// The sequence of the state.
    pub sequence: u64,
}

/// Why a state is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How many distinct officers have signed it.
    pub found: usize,
    /// How many must have.
    pub threshold: usize,
    /// What is wrong with the other signatures.
    pub reasons: Vec<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { found, threshold, reasons } = self;
        write!(f, "{found} of {threshold} officers have signed this state of the issuer directory")?;
        reasons.iter().try_for_each(|reason| write!(f, "; {reason}"))
    }
}

impl Officers {
    /// Whether enough distinct officers have signed a state, on this day.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn accept(
        &self,
        state: &DirectoryState,
        signatures: &[OfficerSignature],
        today: CardDate,
    ) -> std::result::Result<Signed, Refusal> {
        let mut names = BTreeSet::new();
        let mut reasons = Vec::new();
        for signature in signatures {
            match signature.check(self, state, today) {
                Ok(name) => {
                    names.insert(name);
                }
                Err(e) => reasons.push(e.to_string()),
            }
        }
        let threshold = self.threshold();
        if names.len() >= threshold {
            return Ok(Signed { officers: names.into_iter().collect(), sequence: state.sequence });
        }
        Err(Refusal { found: names.len(), threshold, reasons })
    }
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::chain::{self, Entry, Event, GENESIS, Head, Text};
use crate::bytes::{array_from_hex, hex_upper};
use crate::crypto::ed25519::Ed25519Private;
use crate::error::Error;
use crate::store::{Store, StoreError};

/// Why an audit log cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Its files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was changed: nothing is added to it.
    #[error("{}: {error}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Error,
    },
}

/// A log that entries are added to. One process at a time: its folder is locked by the caller.
#[derive(Debug)]
pub struct AuditLog<'a> {
    store: &'a Store,
    path: PathBuf,
    signer: Option<&'a Ed25519Private>,
    who: Text,
    clock: fn() -> String,
    entries: u64,
    last: [u8; 32],
    last_event: Option<Event>,
}

impl<'a> AuditLog<'a> {
    /// Name of the log in an output folder.
    pub const LOG: &'static str = "audit.jsonl";
    /// Name of its head.
    pub const HEAD: &'static str = "audit-head.json";

    /// Opens the log of a folder, or begins one.
    ///
    /// A kill between the log and its head leaves the head one entry behind: the entry is whole and follows the one that
    /// the head names, so the head is made again. A kill inside an entry leaves a part of one, which is
    /// removed; the log says so.
    ///
    /// # Errors
    /// [`AuditError::Changed`] for a log that is not what its head says; files.
    pub fn open(
        store: &'a Store,
        folder: &Path,
        signer: Option<&'a Ed25519Private>,
        who: Text,
        clock: fn() -> String,
    ) -> Result<Self, AuditError> {
        let path = folder.join(Self::LOG);
        let mut log = Self { store, path, signer, who, clock, entries: 0, last: GENESIS, last_event: None };
        // Names under which a kill left a file that was to replace another.
        for name in [&log.path, &log.head()] {
            store.remove_file(&name.with_extension("new"))?;
        }
        let text = store.read(&log.path)?.unwrap_or_default();
        let head = store.read(&log.head())?;
        let changed = |error: Error| AuditError::Changed { path: log.path.clone(), error };
        let (entries, last, rest) = chain::chain(&text).map_err(changed)?;
        let head = match head {
            None => Head::new(0, &GENESIS, None),
            Some(bytes) => Head::read(&bytes).map_err(changed)?,
        };
        if let (Some(key), true) = (signer, head.entries > 0) {
            head.check_signature(&key.public()).map_err(changed)?;
        }
        let behind = entries
            .last()
            .is_some_and(|e| e.entry == head.entries.saturating_add(1) && e.previous == head.digest);
        let agrees = entries.len() as u64 == head.entries && hex_upper(&last) == head.digest;
        if !agrees && !behind {
            return Err(changed(crate::error::ErrorKind::Value("the log and its head differ").into()));
        }
        log.entries = entries.len() as u64;
        log.last = last;
        log.last_event = entries.last().map(|e| e.event);
        if !rest.is_empty() {
            let kept = text.get(..text.len().saturating_sub(rest.len())).unwrap_or_default();
            store.publish(&log.path.with_extension("new"), &log.path, kept)?;
            let bytes = rest.len().to_string();
            log.add(Event::LogRepaired, [("bytes", bytes)])?;
        } else if behind {
            log.write_head()?;
        }
        Ok(log)
    }

    /// The last event.
    #[must_use]
    pub const fn last_event(&self) -> Option<Event> {
        self.last_event
    }

    /// How many entries there are, and the digest of the last.
    #[must_use]
    pub const fn state(&self) -> (u64, &[u8; 32]) {
        (self.entries, &self.last)
    }

    /// Adds an entry, durably: the log first, then its head.
    ///
    /// # Errors
    /// [`AuditError::Store`].
    pub fn add(
        &mut self,
        event: Event,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), AuditError> {
        let facts: BTreeMap<String, String> = facts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let entry = Entry::new((self.entries, &self.last), (self.clock)(), event, &self.who, facts);
        let digest = array_from_hex(&entry.digest);
        let digest = digest.map_err(|error| AuditError::Changed { path: self.path.clone(), error })?;
        self.store.append(&self.path, format!("{}\n", entry.to_json()).as_bytes())?;
        (self.entries, self.last, self.last_event) = (entry.entry, digest, Some(event));
        self.write_head()
    }

    fn head(&self) -> PathBuf {
        self.path.with_file_name(Self::HEAD)
    }

    fn write_head(&self) -> Result<(), AuditError> {
        let head = Head::new(self.entries, &self.last, self.signer);
        let path = self.head();
        self.store.publish(&path.with_extension("new"), &path, head.to_json().as_bytes())?;
        Ok(())
    }
}

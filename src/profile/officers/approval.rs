use serde::{Deserialize, Serialize};

use super::file::{OfficerName, Officers, Role};
use crate::bytes::{array_from_hex, hex_upper};
use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Private;
use crate::crypto::hash::sha256;
use crate::error::{Error, ErrorKind, Result};

const FORMAT: &str = "emv-dataprep/approval/1";
const CONTEXT: &str = "emv-dataprep/approval/1";

/// Which restart of which batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Batch id.
    pub batch: String,
    /// SHA-256 of the input; `None` when it was not known before it was read (standard input).
    pub input: Option<String>,
    /// Which restart: 1 for the first.
    pub count: u64,
}

/// An officer's word that a stopped batch may go on: once, before a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    format: String,
    officer: String,
    batch: String,
    input: Option<String>,
    restart: u64,
    until: String,
    signature: String,
}

impl Approval {
    /// Signs an approval. `until` is RFC 3339.
    #[must_use]
    pub fn new(officer: &OfficerName, key: &Ed25519Private, restart: &Restart, until: &str) -> Self {
        let mut made = Self {
            format: FORMAT.to_owned(),
            officer: officer.to_string(),
            batch: restart.batch.clone(),
            input: restart.input.clone(),
            restart: restart.count,
            until: until.to_owned(),
            signature: String::new(),
        };
        made.signature = hex_upper(&key.sign(CONTEXT, made.statement().as_bytes()));
        made
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads the document: every byte must be as [`Approval::to_json`] writes it, so that one approval has one digest. The
    /// signature is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Format`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let read: Option<Self> = serde_json::from_slice(bytes).ok();
        let good = read.filter(|a| a.format == FORMAT && a.to_json().as_bytes() == bytes);
        good.ok_or_else(|| ErrorKind::Format("an approval").into())
    }

    /// Until when it holds, RFC 3339.
    #[must_use]
    pub fn until(&self) -> &str {
        &self.until
    }

    /// What stands for this approval in the audit log: SHA-256 over what was signed. A second signature over the same
    /// words is no second approval.
    #[must_use]
    pub fn digest(&self) -> String {
        hex_upper(&sha256(&[CONTEXT.as_bytes(), &[0], self.statement().as_bytes()]))
    }

    fn statement(&self) -> String {
        let Self { officer, batch, input, restart, until, .. } = self;
        let input = input.as_deref().unwrap_or("null");
        format!("officer {officer}\nbatch {batch}\ninput {input}\nrestart {restart}\nuntil {until}\n")
    }

    /// Whether an officer other than the operator approves this restart. Whether its end time has passed is for whoever has
    /// a clock.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for another batch, input or count, for an officer who does not count on that day and for the
    /// operator's own word; [`ErrorKind::Crypto`] for a signature that is not the officer's.
    pub fn check(
        &self,
        officers: &Officers,
        operator: &str,
        restart: &Restart,
        today: CardDate,
    ) -> Result<OfficerName> {
        let wrong = |why: &'static str| Err(Error::new(ErrorKind::Value(why)));
        let texts = [&self.officer, &self.batch, self.input.as_ref().unwrap_or(&self.batch), &self.until];
        if texts.into_iter().any(|text| text.chars().any(char::is_control)) {
            return Err(ErrorKind::Format("an approval").into());
        }
        let name: OfficerName = self.officer.parse()?;
        let officer = officers.who_may(&name, Role::Resume, today)?;
        if officer.name.is(operator) {
            return wrong("the operator cannot approve: another officer must");
        }
        if self.batch != restart.batch {
            return wrong("the approval is for another batch");
        }
        if self.input != restart.input {
            return wrong("the approval is for another input");
        }
        if self.restart != restart.count {
            return wrong("the approval is for another restart of this batch");
        }
        let value = array_from_hex(&self.signature)?;
        if hex_upper(&value) != self.signature {
            return Err(ErrorKind::Format("upper-case hexadecimal").into());
        }
        officer.key.verify(CONTEXT, self.statement().as_bytes(), &value)?;
        Ok(officer.name.clone())
    }
}

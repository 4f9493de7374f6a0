//! Formats for bureaus: other forms of a prepared card, each with a writer and a reader that gives the same value back.
//!
//! | format | holds | form |
//! |---|---|---|
//! | [`cps`] | the chip | records of EMV CPS, binary |
//! | [`apdu`] | the chip as commands | text, one command a line |
//! | [`dgi_lines`] | the chip as DGIs | text, `DGIxxxx=HEX` |
//! | [`chip_json`] | the chip | JSON Lines: what the three above say, in one shape |
//! | [`template`] | what a layout names | records of a personalization machine |
//!
//! Secret DGIs stand under the transport key in all of them. `docs/formats.md` describes each.

pub mod apdu;
pub mod chip_json;
mod chip_text;
pub mod dgi_lines;
pub mod template;

use super::CardLine;
use crate::keys::{CipherMode, KeyRef, KeyUse, TransportName};
use crate::perso::record::{ChipApplication, ChipCard, TransportReference};
use crate::perso::session::{ApplicationData, PersonalizationData};

/// Records of EMV CPS: the writer and the reader live beside the record itself.
pub mod cps {
    pub use crate::perso::record::{CpsRecord, CpsSettings, RecordMacKey, read_records};
}

impl CardLine {
    /// The chip of the card alone: what a personalization session and the chip formats need.
    #[must_use]
    pub fn chip(&self) -> ChipCard {
        let application = |a: &crate::prepare::PreparedApplication| ChipApplication {
            aid: a.aid.clone(),
            dgis: a.dgis.clone(),
        };
        ChipCard {
            reference: Some(self.card_id.as_str().to_owned()),
            position: Some(self.position),
            masked_pan: Some(self.masked_pan.clone()),
            transport: Some(TransportReference::from(&self.transport_key)),
            applications: self.applications.iter().map(application).collect(),
        }
    }

    /// What a personalization session needs of the card. `mode` is how the destination's transport key enciphers
    /// ([`crate::profile::TransportKeyConfig`]): a card line does not say it.
    #[must_use]
    pub fn personalization(&self, mode: CipherMode) -> PersonalizationData {
        let application = |a: &crate::prepare::PreparedApplication| ApplicationData {
            aid: a.aid.clone(),
            dgis: a.dgis.clone(),
        };
        PersonalizationData {
            card_reference: self.card_id.clone(),
            not_after: self.not_after,
            transport: TransportName {
                key: KeyRef::new(KeyUse::Transport, self.transport_key.index),
                wrapped: self.transport_key.wrapped.clone(),
                mode,
                kcv: Some(self.transport_key.kcv.clone()),
            },
            applications: self.applications.iter().map(application).collect(),
        }
    }
}

#[cfg(test)]
mod tests;

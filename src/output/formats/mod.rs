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

pub(super) use chip_text::{mode, mode_name};

use super::CardLine;
use crate::perso::record::{ChipApplication, ChipCard, TransportReference};

/// Records of EMV CPS: the writer and the reader live beside the record itself.
pub mod cps {
    pub use crate::perso::record::{CpsRecord, CpsSettings, RecordMacKey, read_records};
}

impl CardLine {
    /// The chip of the card alone: what the chip formats hold.
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
            transport: Some(TransportReference {
                mode: self.transport_mode,
                ..TransportReference::from(&self.transport_key)
            }),
            applications: self.applications.iter().map(application).collect(),
        }
    }
}

#[cfg(test)]
mod tests;

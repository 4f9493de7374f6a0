//! The checks, grouped by what they look at. Each writes its outcomes to the findings.

pub(super) mod chip;
pub(super) mod keys;
pub(super) mod objects;
pub(super) mod oda;
pub(super) mod record_mac;
pub(super) mod script;
pub(super) mod stripe;

use crate::card::Pin;
use crate::secret::Secret;

use super::chip::Chip;
use super::crt::Private;
use super::derive::Digits;
use super::keys::{CardContext, Keys, Transport};
use super::line::CardLine;
use super::oda::Certified;
use super::tracks::Track;

/// A card with everything that was read of it.
pub(super) struct Card<'a> {
    pub(super) line: &'a CardLine,
    pub(super) chips: Vec<Chip<'a>>,
    pub(super) keys: &'a Keys,
    pub(super) context: &'a CardContext,
    pub(super) transport: Option<Transport<'a>>,
    pub(super) track1: Option<Track>,
    pub(super) track2: Option<Track>,
    /// The card's PAN: the stripe's, else the print's, else the chip's.
    pub(super) pan: Option<Digits>,
}

impl<'a> Card<'a> {
    pub(super) fn payment(&self) -> impl Iterator<Item = &Chip<'a>> {
        self.chips.iter().filter(|c| c.kind == super::chip::Kind::Payment)
    }

    /// A stripe track, track 2 first.
    pub(super) fn track(&self) -> Option<&Track> {
        self.track2.as_ref().or(self.track1.as_ref())
    }
}

/// Keys of one application, deciphered from a DGI of card keys.
pub(super) struct CardKeys {
    pub(super) dgi: u16,
    pub(super) aes: bool,
    pub(super) keys: Vec<Secret>,
}

/// What the checks found out on the way, for later checks.
#[derive(Default)]
pub(super) struct Learned {
    /// Of the application that is looked at.
    pub(super) card_keys: Vec<CardKeys>,
    /// The key that the host derives for application cryptograms of this application.
    pub(super) host_key: Option<Secret>,
    pub(super) reference_pin: Option<Pin>,
    pub(super) certificates: Vec<Certified>,
    pub(super) issuers: Vec<Certified>,
    /// Of the application that is looked at.
    pub(super) private: Option<Private>,
}

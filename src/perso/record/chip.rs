use std::fmt;

use crate::emv::Aid;
use crate::issuer::{ProtectMode, TransportKeyInfo};
use crate::keys::{KeyAlgorithm, KeyIndex};
use crate::perso::ProtectedDgiSet;

/// The chip of one card as a personalization device gets it: what every format of chip data carries.
///
/// A format that has no place for a member gives `None` when it is read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChipCard {
    /// The issuer's name for the card.
    pub reference: Option<String>,
    /// 1-based count of the order in its input.
    pub position: Option<u64>,
    /// First six and last four digits of the PAN.
    pub masked_pan: Option<String>,
    /// The key of the secret DGIs; `None` where no DGI is secret and the format says nothing of it.
    pub transport: Option<TransportReference>,
    /// Applications, in the order of personalization.
    pub applications: Vec<ChipApplication>,
}

impl fmt::Debug for ChipCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChipCard")
            .field("reference", &self.reference)
            .field("pan", &self.masked_pan)
            .field("transport", &self.transport)
            .field("applications", &self.applications)
            .finish()
    }
}

/// One application instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipApplication {
    /// Instance AID: the application to SELECT.
    pub aid: Aid,
    /// Its DGIs, in order.
    pub dgis: ProtectedDgiSet,
}

/// What a record says of the transport key of its secret DGIs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportReference {
    /// Index of the static key, or of the key that wraps a per-block key.
    pub index: Option<KeyIndex>,
    /// Algorithm and length.
    pub algorithm: Option<KeyAlgorithm>,
    /// Key check value, upper-case hexadecimal.
    pub kcv: Option<String>,
    /// A per-block key's X9.143 block.
    pub wrapped: Option<String>,
    /// How values are enciphered.
    pub mode: Option<ProtectMode>,
}

impl From<&TransportKeyInfo> for TransportReference {
    /// Everything but the mode, which stands beside it.
    fn from(info: &TransportKeyInfo) -> Self {
        Self {
            index: Some(info.index),
            algorithm: Some(info.algorithm),
            kcv: Some(info.kcv.clone()),
            wrapped: info.wrapped.clone(),
            mode: None,
        }
    }
}

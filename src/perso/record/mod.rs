//! The personalization record of EMV CPS (1.1, section 3; 2.0 the same): what a data-preparation system hands to a
//! personalization device for the chip of one card.
//!
//! ```text
//! [MIC] [LCCA]                                     module identifier, decimal count of the bytes that follow
//! VNL  L2 { L2 { L1 CRN  STATUSCOLL  NUMBERPID {L1 PID}  NUMBERAID {L1 AID} }        section 2
//!           L2 { 3a.1  L1 { L1 AID  L1 TKDATA }    one section 3 for each application
//!                3a.2  L2 { L1 IDOWNER  L2 {processing step} }
//!                3b    L2 LOGDATA
//!                3c    L2 { TAG BER-length {DGI} }
//!                3d    L1 MAC data } … }
//! ```
//!
//! The text of CPS is licensed. The framing here is what a public issuing system writes; each byte that no public source
//! confirms is a setting of [`CpsSettings`], with that system's value as the default.

mod build;
mod chip;
mod framing;
mod mac;
mod settings;
mod wire;

pub use chip::{ChipApplication, ChipCard, TransportReference};
pub use mac::{RecordMac, RecordMacKey};
pub(crate) use settings::words;
pub use settings::{
    CardReference, CipherModeCodes, CplcUpdate, CpsSettings, EncipheredList, KeyIdentifier, ListFraming,
    MacSpan, OwnerId, SecurityLevel,
};
pub use wire::{
    CpsRecord, DataBlock, DeviceInstructions, ProcessingStep, RecordApplication, TransportEntry, read_records,
};

#[cfg(test)]
mod tests;

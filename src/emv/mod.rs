//! EMV data: tags and their names, BER-TLV, data object lists, files and records, the static data that
//! certificates sign. EMV 4.4 Books 1 to 3.
//!
//! Bytes are built canonically and read strictly. Nothing here holds a key; types that may hold a card value
//! have a Debug text of their own that names only tags and lengths.
#![deny(clippy::arithmetic_side_effects)]

mod afl;
mod aid;
mod aip;
mod cvm;
pub mod describe;
mod dol;
pub mod names;
mod record;
mod static_data;
mod tag;
pub mod tlv;
pub mod tree;

pub use afl::{Afl, AflEntry, AflRecord, OdaUse};
pub use aid::Aid;
pub use aip::{Aip, AipFlag};
pub use cvm::{CvmList, CvmRule, OnFailure};
pub use dol::{Dol, DolEntry};
pub use names::{Format, Sensitivity, TagInfo};
pub use record::{Record, Sfi};
pub use static_data::{SdaTagList, StaticData};
pub use tag::{Tag, TagClass};

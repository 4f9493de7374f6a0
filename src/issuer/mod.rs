//! Card cryptography, named as the standards name it.
//!
//! One file per algorithm, each with its calculation on a key in hand; [`SecurityModule`] is what data preparation
//! asks, and [`KeyModule`] answers it over any [`KeySource`](crate::keys::KeySource), a slice of cards at a time.
//! American Express CSC is not here: no published values exist to prove it with.

pub mod ceremony;
pub mod cryptogram;
pub mod cvc3;
pub mod cvv;
pub mod decimal;
pub mod ecc;
pub mod ibm3624;
pub mod icc_key;
mod key_module;
mod module;
pub mod oda;
pub mod pin;
pub mod pin_block;
pub mod pvv;
pub mod script;
pub mod session_key;

pub use key_module::KeyModule;
pub use module::{
    CardKeys, CardKeysJob, CvvJob, DerivationOption, DigitValue, ExportPinJob, HeldPin, ImportPinJob,
    IvCvc3Job, NaturalPinJob, PinBlockFormat, PinBlockJob, ProtectMode, PvvJob, ReferencePinJob,
    SecurityModule, TransportKey, TransportKeyInfo,
};

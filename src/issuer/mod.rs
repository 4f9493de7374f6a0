//! Card cryptography, named as the standards name it.

mod module;

pub use module::{
    CardKeys, CardKeysJob, CvvJob, DerivationOption, DigitValue, HeldPin, IvCvc3Job, NaturalPinJob,
    PinBlockFormat, PinBlockJob, ProtectMode, PvvJob, SecurityModule, TransportKey, TransportKeyInfo,
};

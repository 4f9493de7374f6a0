//! Keys by use and index, their check values, and the source that is asked to work with them.
#![deny(clippy::arithmetic_side_effects)]

mod card_session;
mod components;
mod diversify;
pub mod jwe;
mod jwk;
mod jwk_set;
pub mod jws;
mod kcv;
mod known;
mod name;
mod published;
mod ring;
mod session;
mod signing_jwk;
mod source;
mod strict_json;
pub mod tr31;

pub use card_session::{
    BaseKeys, CardKeys, CardSession, CardSessionRequest, CipherMode, EncipheredKey, Refill, SecureChannel,
    TransportName,
};
pub use components::{Parity, combine_components};
pub use diversify::{ChannelKey, Diversification};
pub use jwk::{PrivateJwk, PublicJwk};
pub use kcv::{Kcv, KcvMethod};
pub use known::{is_known_test_key, is_standard_test_key};
pub use name::{CvvKind, KeyAlgorithm, KeyIndex, KeyRef, KeyUse};
pub use published::{is_known_test_jwk, is_known_test_rsa, is_known_test_signer};
pub(crate) use ring::data_key_header;
pub use ring::{KeyAttributes, KeyEntry, SoftwareRing};
pub use session::{Scp02Key, Scp03Cryptogram, Scp03Key};
pub use signing_jwk::SigningPublicJwk;
pub use source::{KeyInfo, KeySource, OdaKeyInfo};

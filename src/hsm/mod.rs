//! Keys that stay in a hardware token, reached by PKCS#11 (version 2.40): the second [`KeySource`](crate::keys::KeySource).
//!
//! [`TokenApi`] is the little that is asked of a token: data calls on keys that are found by label. [`Token`] builds the
//! key source over it, so that a double can stand for the hardware in tests. `Pkcs11` is the one over a PKCS#11 library
//! (feature `pkcs11`).
//!
//! Only data calls are made (`CKM_DES3_ECB`, `CKM_AES_ECB`, `CKM_SHA256_HMAC`, `CKM_RSA_X_509`), because this is what
//! all tokens have; what a call returns is worked on in the program. Whole chunks of cards go in one call.
#![deny(clippy::arithmetic_side_effects)]

mod api;
mod import;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod token;

pub use api::{Mechanism, Object, ObjectKind, Permission, TokenApi};
pub use import::{generate_oda, import_oda, import_symmetric};
#[cfg(feature = "pkcs11")]
pub use pkcs11::Pkcs11;
pub use token::{Token, TokenProtectionKey, label, left_label, oda_label};

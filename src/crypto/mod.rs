//! Primitives and their batch kernels: the only users of the cipher crates.
//!
//! Keys come in as [`crate::secret::Secret`]; nothing here knows what a key is for.

pub mod aead;
pub mod aes;
pub mod backend;
pub mod ecsdsa;
pub mod ed25519;
pub mod hash;
pub mod mac;
pub mod rng;
pub mod rsa;
pub mod tdes;

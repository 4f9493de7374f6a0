//! Offline data authentication with RSA (EMV 4.4 Book 2, sections 5 and 6, annexes A2.1 and B2.1): what is signed, and
//! what a signature recovers to.
//!
//! The issuing side makes a [`SignBlock`], has a security module sign it, and confirms the signature with
//! [`SignBlock::confirm`]. The other direction ([`IssuerCertificate::verify`], [`IccCertificate::verify`],
//! [`verify_ssad`], [`sdad`]) reads what cards and certification authorities give.
//!
//! Only hash algorithm 01 (SHA-1) and public key algorithm 01 (RSA) exist here.

mod ca;
mod frame;
mod icc_certificate;
mod issuer_certificate;
mod length;
pub mod sdad;
mod ssad;
#[cfg(test)]
mod tests;

pub(crate) use ca::checksum_of;
pub use ca::{CaKeyIndex, CaPublicKey, Rid};
pub use frame::SignBlock;
pub(crate) use icc_certificate::key_certificate_block;
pub use icc_certificate::{
    CertifiedIccKey, IccCertificate, IccKeyData, IccKeyKind, icc_certificate_block, pin_certificate_block,
};
pub(crate) use issuer_certificate::self_certificate_block;
pub use issuer_certificate::{
    CertifiedIssuerKey, IssuerCertificate, IssuerKeyData, issuer_certificate_block,
};
pub use length::{
    MAX_CA_MODULUS, MAX_ISSUER_MODULUS, cda_max_icc_modulus, check_issuer_certifies, check_modulus_order,
};
pub use ssad::{Dac, RecoveredSsad, recover_ssad, ssad_block, verify_ssad};

use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Result};

/// Certificate serial number: three bytes, unique per certifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateSerial(pub [u8; 3]);

impl std::fmt::Display for CertificateSerial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::bytes::hex_upper(&self.0))
    }
}

/// Hash algorithm indicator 01 (SHA-1) and public key algorithm indicator 01 (RSA).
const ALGORITHMS: [u8; 2] = [0x01, 0x01];

/// A public key as EMV allows it: the top bit of the modulus set, exponent 03 or 010001.
///
/// # Errors
/// [`ErrorKind::Value`] for another key, [`ErrorKind::Length`] for a modulus that is too long.
pub fn check_public_key(modulus: &[u8], exponent: &[u8]) -> Result<RsaPublic> {
    if !matches!(*exponent, [0x03] | [0x01, 0x00, 0x01]) {
        return Err(ErrorKind::Value("the public exponent is neither 3 nor 65537").into());
    }
    if modulus.len() > MAX_CA_MODULUS {
        let found = modulus.len();
        return Err(ErrorKind::Length { expected: "at most 248", found, unit: "bytes" }.into());
    }
    if modulus.first().is_none_or(|b| *b < 0x80) {
        return Err(ErrorKind::Value("the top bit of the modulus is not set").into());
    }
    RsaPublic::new(modulus, exponent)
}

/// One byte for a length that certificates hold in one byte.
fn length_byte(len: usize) -> Result<u8> {
    u8::try_from(len)
        .map_err(|_| ErrorKind::Length { expected: "at most 248", found: len, unit: "bytes" }.into())
}

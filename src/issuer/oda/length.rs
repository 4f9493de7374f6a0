//! Length rules (EMV 4.4 Book 2, 5.1, 6.1 and annex D; the numbers follow from record and response sizes).

use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Result};

/// Longest modulus of a certification authority: its certificate fills a record of 254 bytes (`70 81 FB 90 81 F8 …`).
pub const MAX_CA_MODULUS: usize = 248;

/// Longest modulus of an issuer that certifies ICC keys: `70 81 L 9F46 81 NI …` in a record of 254 bytes.
pub const MAX_ISSUER_MODULUS: usize = 247;

/// Longest ICC modulus with CDA: the response of GENERATE AC (`77 81 L`, 9F27, 9F36, 9F10 of `iad_len` bytes, 9F4B) has
/// 256 bytes at most.
///
/// ```
/// assert_eq!(emv_dataprep::issuer::oda::cda_max_icc_modulus(32), 205);
/// ```
#[must_use]
pub const fn cda_max_icc_modulus(iad_len: usize) -> usize {
    // 77 81 L; 9F27 01 xx; 9F36 02 xxxx; 9F10 len; 9F4B 81 len.
    let around = 3 + 4 + 5 + 3 + 4;
    256_usize.saturating_sub(around).saturating_sub(iad_len)
}

/// Checks that certificates of ICC keys under this issuer key fit a record: for keys when they are loaded.
///
/// # Errors
/// [`ErrorKind::Length`] for a modulus over [`MAX_ISSUER_MODULUS`].
pub fn check_issuer_certifies(issuer: &RsaPublic) -> Result<()> {
    let found = issuer.len();
    if found <= MAX_ISSUER_MODULUS {
        Ok(())
    } else {
        Err(ErrorKind::Length { expected: "at most 247", found, unit: "bytes" }.into())
    }
}

/// Checks that a certified key is not longer than the key that signs its certificate.
///
/// # Errors
/// [`ErrorKind::Length`] if it is.
pub fn check_modulus_order(signer: &RsaPublic, certified: &RsaPublic) -> Result<()> {
    let found = certified.len();
    if found <= signer.len() {
        Ok(())
    } else {
        Err(ErrorKind::Length { expected: "at most those of the signing modulus", found, unit: "bytes" }
            .into())
    }
}

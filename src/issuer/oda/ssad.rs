use super::frame::{self, Frame, SignBlock};
use crate::bytes::Cursor;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};

/// Format of signed static application data.
const FORMAT: u8 = 0x03;

/// Data authentication code (9F45): two bytes chosen by the issuer, recovered by the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dac(pub [u8; 2]);

/// The block of the signed static application data, tag 93 (EMV 4.4 Book 2, table 3).
///
/// # Errors
/// [`ErrorKind::Length`] for an issuer modulus that has no room, [`ErrorKind::Value`] for one that is no EMV key.
pub fn ssad_block(issuer: &RsaPublic, dac: Dac, static_data: &[u8]) -> Result<SignBlock> {
    super::check_public_key(issuer.modulus(), issuer.exponent()).at("issuer public key")?;
    let [d0, d1] = dac.0;
    frame::build(issuer.len(), &[FORMAT, 0x01, d0, d1], &[], &[static_data])
}

/// What tag 93 recovers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredSsad {
    /// Data authentication code.
    pub dac: Dac,
    /// The hash result inside.
    pub hash: [u8; 20],
    /// All recovered bytes.
    pub recovered: Vec<u8>,
}

/// Recovers and checks tag 93 (EMV 4.4 Book 2, 5.4).
///
/// # Errors
/// [`ErrorKind::Length`] or [`ErrorKind::Crypto`] for a signature that is not this issuer's or is over other data.
pub fn verify_ssad(issuer: &RsaPublic, tag_93: &[u8], static_data: &[u8]) -> Result<RecoveredSsad> {
    let (frame, found) = recover_frame(issuer, tag_93)?;
    frame.check_hash(&[static_data]).at("signed static application data")?;
    Ok(found)
}

/// As [`verify_ssad`] without the hash: what it says is not authenticated.
///
/// # Errors
/// As [`verify_ssad`].
pub fn recover_ssad(issuer: &RsaPublic, tag_93: &[u8]) -> Result<RecoveredSsad> {
    recover_frame(issuer, tag_93).map(|(_, found)| found)
}

fn recover_frame(issuer: &RsaPublic, tag_93: &[u8]) -> Result<(Frame, RecoveredSsad)> {
    let frame = Frame::recover(issuer, tag_93, FORMAT).at("signed static application data")?;
    let mut c = Cursor::new(frame.body());
    let [_format, hash_algorithm] = c.array::<2>()?;
    if hash_algorithm != 0x01 {
        return Err(ErrorKind::Unsupported("the hash algorithm of the signature").into());
    }
    let dac = Dac(c.array()?);
    if c.rest().iter().any(|b| *b != 0xBB) {
        return Err(ErrorKind::Crypto("the fill of the signed static application data is wrong").into());
    }
    let (hash, recovered) = (frame.hash(), frame.block().to_vec());
    Ok((frame, RecoveredSsad { dac, hash, recovered }))
}

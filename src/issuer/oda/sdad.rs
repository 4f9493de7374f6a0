//! Signed dynamic application data (9F4B): made by the card, verified here for test tools (EMV 4.4 Book 2, 6.5, 6.6).

use std::fmt;

use super::frame::{self, Frame, SignBlock};
use super::length_byte;
use crate::bytes::Cursor;
use crate::crypto::hash::sha1;
use crate::crypto::mac::equal;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};

/// Format of signed dynamic application data.
const FORMAT: u8 = 0x05;

/// What tag 9F4B recovers to. The dynamic data of CDA hold a cryptogram: Debug tells lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveredSdad {
    /// ICC dynamic data, as long as its length byte says.
    pub dynamic_data: Vec<u8>,
    /// The hash result inside.
    pub hash: [u8; 20],
    /// All recovered bytes.
    pub recovered: Vec<u8>,
}

impl fmt::Debug for RecoveredSdad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveredSdad({} bytes of dynamic data)", self.dynamic_data.len())
    }
}

/// ICC dynamic data of CDA (EMV 4.4 Book 2, table 19).
#[derive(Clone, PartialEq, Eq)]
pub struct CdaDynamicData {
    /// ICC dynamic number, 2 to 8 bytes.
    pub dynamic_number: Vec<u8>,
    /// Cryptogram information data (9F27).
    pub cid: u8,
    /// Application cryptogram (9F26).
    pub cryptogram: [u8; 8],
    /// Transaction data hash code.
    pub transaction_hash: [u8; 20],
}

impl fmt::Debug for CdaDynamicData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CdaDynamicData(CID {:02X})", self.cid)
    }
}

/// Recovers and checks tag 9F4B over `terminal_data`: for DDA the values of the DDOL, for CDA the unpredictable number,
/// for fDDA version 01 the unpredictable number, amount, currency and tag 9F69 (version 00: the first alone).
///
/// # Errors
/// [`ErrorKind::Length`] or [`ErrorKind::Crypto`] for a signature that is not this card's or is over other data.
pub fn verify(icc: &RsaPublic, tag_9f4b: &[u8], terminal_data: &[u8]) -> Result<RecoveredSdad> {
    read(icc, tag_9f4b, terminal_data).at("signed dynamic application data")
}

fn read(icc: &RsaPublic, tag_9f4b: &[u8], terminal_data: &[u8]) -> Result<RecoveredSdad> {
    let frame = Frame::recover(icc, tag_9f4b, FORMAT)?;
    frame.check_hash(&[terminal_data])?;
    let mut c = Cursor::new(frame.body());
    let [_format, hash_algorithm, len] = c.array::<3>()?;
    if hash_algorithm != 0x01 {
        return Err(ErrorKind::Unsupported("the hash algorithm of the signature").into());
    }
    let dynamic_data = c.take(usize::from(len))?.to_vec();
    if c.rest().iter().any(|b| *b != 0xBB) {
        return Err(ErrorKind::Crypto("the fill is wrong").into());
    }
    Ok(RecoveredSdad { dynamic_data, hash: frame.hash(), recovered: frame.block().to_vec() })
}

/// The block that a card signs: for virtual cards of tests.
///
/// # Errors
/// [`ErrorKind::Length`] if the modulus has no room for the dynamic data.
pub fn block(icc: &RsaPublic, dynamic_data: &[u8], terminal_data: &[u8]) -> Result<SignBlock> {
    let mut head = vec![FORMAT, 0x01, length_byte(dynamic_data.len())?];
    head.extend_from_slice(dynamic_data);
    frame::build(icc.len(), &head, &[], &[terminal_data])
}

/// The ICC dynamic number of DDA's dynamic data: a length byte and 2 to 8 bytes.
///
/// # Errors
/// [`ErrorKind::Format`] for another form, [`ErrorKind::Truncated`] if the data end early.
pub fn dynamic_number(dynamic_data: &[u8]) -> Result<&[u8]> {
    let mut c = Cursor::new(dynamic_data);
    number(&mut c)
}

impl CdaDynamicData {
    /// From the recovered dynamic data.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`], [`ErrorKind::Trailing`] or [`ErrorKind::Format`] for another form.
    pub fn parse(dynamic_data: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(dynamic_data);
        let dynamic_number = number(&mut c)?.to_vec();
        let (cid, cryptogram, transaction_hash) = (c.u8()?, c.array()?, c.array()?);
        c.finish()?;
        Ok(Self { dynamic_number, cid, cryptogram, transaction_hash })
    }

    /// Checks the transaction data hash code against [`transaction_hash`].
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if it differs.
    pub fn check_transaction(&self, expected: &[u8; 20]) -> Result<()> {
        if equal(&self.transaction_hash, expected) {
            Ok(())
        } else {
            Err(ErrorKind::Crypto("the transaction data hash code differs").into())
        }
    }
}

/// Transaction data hash code: SHA-1 over the values of the PDOL, CDOL1 and (second GENERATE AC) CDOL2, then the data
/// objects of the response in their order, without 9F4B.
#[must_use]
pub fn transaction_hash(pdol: &[u8], cdol1: &[u8], cdol2: &[u8], response: &[u8]) -> [u8; 20] {
    sha1(&[pdol, cdol1, cdol2, response])
}

fn number<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8]> {
    let len = usize::from(c.u8()?);
    if !(2..=8).contains(&len) {
        return Err(ErrorKind::Format("an ICC dynamic number of 2 to 8 bytes").into());
    }
    c.take(len)
}

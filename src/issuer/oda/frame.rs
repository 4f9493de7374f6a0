//! The frame that all RSA structures of EMV share: `6A ‖ format ‖ … ‖ hash ‖ BC` (EMV 4.4 Book 2, A2.1).

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::hash::sha1;
use crate::crypto::mac::equal;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Result};

/// First byte of every structure.
const HEADER: u8 = 0x6A;
/// Last byte of every structure.
const TRAILER: u8 = 0xBC;
/// Fill of unused room.
const FILL: u8 = 0xBB;
/// Bytes of the hash and the trailer.
const TAIL: usize = 21;

/// What is signed, and what of a public key found no room in it.
///
/// Holds card data (the PAN of an ICC certificate): Debug tells lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct SignBlock {
    block: Zeroizing<Vec<u8>>,
    remainder: Vec<u8>,
}

impl SignBlock {
    /// The block for the raw private operation, as long as the signing modulus.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// The public key remainder (tags 92, 9F48, 9F2F). Empty: the tag is absent.
    #[must_use]
    pub fn remainder(&self) -> &[u8] {
        &self.remainder
    }

    /// Issuance check: recovers `signature` with the signer's public key and compares it with what was to be signed.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if it differs in any byte.
    pub fn confirm(&self, signer: &RsaPublic, signature: &[u8]) -> Result<()> {
        if equal(&Zeroizing::new(signer.apply(signature)?), &self.block) {
            Ok(())
        } else {
            Err(ErrorKind::Crypto("the signature does not recover to what was signed").into())
        }
    }
}

impl fmt::Debug for SignBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignBlock({} bytes, remainder {})", self.block.len(), self.remainder.len())
    }
}

/// A frame of `n` bytes around `head` (format byte first) and `key`, of which the leftmost bytes go in and the rest
/// becomes the remainder. The hash covers everything before it but the header, then the remainder and `hashed`.
///
/// # Errors
/// [`ErrorKind::Length`] if `n` has no room for `head`.
pub(super) fn build(n: usize, head: &[u8], key: &[u8], hashed: &[&[u8]]) -> Result<SignBlock> {
    let fixed = head.len().saturating_add(TAIL).saturating_add(1);
    let room = n.checked_sub(fixed).ok_or(ErrorKind::Length {
        expected: "a modulus with room for the structure",
        found: n,
        unit: "bytes",
    })?;
    let (inside, remainder) = key.split_at_checked(room).unwrap_or((key, &[]));
    let mut block = Zeroizing::new(Vec::with_capacity(n));
    block.push(HEADER);
    block.extend_from_slice(head);
    block.extend_from_slice(inside);
    block.resize(n.saturating_sub(TAIL), FILL);
    let body = block.get(1..).unwrap_or_default();
    let hash = sha1(&[&[body, remainder], hashed].concat());
    block.extend_from_slice(&hash);
    block.push(TRAILER);
    Ok(SignBlock { block, remainder: remainder.to_vec() })
}

/// A recovered frame: header, trailer and format are right, the hash is not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Frame {
    block: Zeroizing<Vec<u8>>,
}

impl Frame {
    /// Recovers `signature`.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless it is as long as the modulus, [`ErrorKind::Crypto`] if header, trailer or format
    /// are wrong.
    pub(super) fn recover(signer: &RsaPublic, signature: &[u8], format: u8) -> Result<Self> {
        let block = Zeroizing::new(signer.apply(signature)?);
        match *block.as_slice() {
            [HEADER, found, .., TRAILER] if found == format && block.len() > TAIL => Ok(Self { block }),
            _ => Err(ErrorKind::Crypto("header, trailer or format of the recovered data are wrong").into()),
        }
    }

    /// All recovered bytes.
    pub(super) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Format byte up to the last byte before the hash.
    pub(super) fn body(&self) -> &[u8] {
        self.block.get(1..self.block.len().saturating_sub(TAIL)).unwrap_or_default()
    }

    /// The hash result.
    pub(super) fn hash(&self) -> [u8; 20] {
        let end = self.block.len().saturating_sub(1);
        let hash = self.block.get(end.saturating_sub(20)..end).unwrap_or_default();
        hash.try_into().unwrap_or_default()
    }

    /// Checks the hash over the body and `hashed`.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if it differs.
    pub(super) fn check_hash(&self, hashed: &[&[u8]]) -> Result<()> {
        let computed = sha1(&[&[self.body()], hashed].concat());
        if equal(&computed, &self.hash()) {
            Ok(())
        } else {
            Err(ErrorKind::Crypto("the hash of the recovered data differs").into())
        }
    }
}

/// The public key inside a certificate: `key_len` bytes, of which `inside` holds the leftmost or all and fill, and
/// `remainder` the rest.
///
/// # Errors
/// [`ErrorKind::Crypto`] if the remainder has not exactly the length that is missing, the fill is not BB, or exponent
/// and modulus are no EMV key.
pub(super) fn key_from_parts(
    inside: &[u8],
    key_len: usize,
    remainder: &[u8],
    exponent_len: usize,
    exponent: &[u8],
) -> Result<RsaPublic> {
    let wrong = || ErrorKind::Crypto("modulus, remainder and exponent do not fit the certificate");
    let (left, fill) = inside.split_at_checked(key_len).unwrap_or((inside, &[]));
    let whole = [left, remainder].concat();
    if whole.len() != key_len || exponent.len() != exponent_len || fill.iter().any(|b| *b != FILL) {
        return Err(wrong().into());
    }
    super::check_public_key(&whole, exponent)
}

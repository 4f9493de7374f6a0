//! Message authentication codes: ISO/IEC 9797-1 algorithms 1 and 3 over DES, CMAC over AES and TDES.

use cmac::{Cmac, KeyInit, Mac};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::tdes::{BLOCK, TdesKey, xor};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Padding of ISO/IEC 9797-1, section 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: zeros to a whole block; nothing is added to whole blocks, one zero block to no data.
    Zeros,
    /// Method 2: a byte 80, then zeros to a whole block; always at least one byte.
    Bit,
    /// Method 3: zeros to a whole block, and before the data one block that holds its length in bits.
    Length,
}

impl Padding {
    /// `data`, padded to whole blocks of `block` bytes.
    #[must_use]
    pub fn pad(self, data: &[u8], block: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len().saturating_add(block.saturating_mul(2)));
        if self == Self::Length {
            let bits = (data.len() as u128).saturating_mul(8).to_be_bytes();
            out.resize(block.saturating_sub(bits.len()), 0);
            out.extend_from_slice(bits.get(bits.len().saturating_sub(block)..).unwrap_or(&bits));
        }
        out.extend_from_slice(data);
        if self == Self::Bit {
            out.push(0x80);
        }
        let no_data = data.is_empty() && self != Self::Bit;
        if no_data || !out.len().is_multiple_of(block) {
            let full = out.len().checked_div(block).unwrap_or(0).saturating_add(1).saturating_mul(block);
            out.resize(full, 0);
        }
        out
    }
}

/// Takes padding method 2 off again.
///
/// # Errors
/// [`ErrorKind::Crypto`] if the data does not end in 80 and zeros.
pub fn strip_bit_padding(data: &[u8]) -> Result<&[u8]> {
    let end = data.iter().rposition(|b| *b != 0).ok_or(ErrorKind::Crypto("no padding"))?;
    match data.split_at_checked(end) {
        Some((head, [0x80, ..])) => Ok(head),
        _ => Err(ErrorKind::Crypto("no padding").into()),
    }
}

/// MAC algorithm 3 ("retail MAC") of ISO/IEC 9797-1: single DES CBC with K1, then D(K2), E(K1). Eight bytes.
#[must_use]
pub fn retail_mac(key: &TdesKey, iv: [u8; BLOCK], padding: Padding, data: &[u8]) -> [u8; BLOCK] {
    let padded = Zeroizing::new(padding.pad(data, BLOCK));
    let last = padded.as_chunks::<BLOCK>().0.iter().fold(iv, |chain, b| key.left_encrypt(xor(*b, chain)));
    key.left_encrypt(key.middle_decrypt(last))
}

/// MAC algorithm 1 of ISO/IEC 9797-1 with TDES as the block cipher: the last CBC block. Eight bytes.
#[must_use]
pub fn tdes_cbc_mac(key: &TdesKey, iv: [u8; BLOCK], padding: Padding, data: &[u8]) -> [u8; BLOCK] {
    let padded = Zeroizing::new(padding.pad(data, BLOCK));
    padded.as_chunks::<BLOCK>().0.iter().fold(iv, |chain, b| key.encrypt_block(xor(*b, chain)))
}

/// CMAC over AES (SP 800-38B, RFC 4493) of the parts one after the other. 16 bytes.
///
/// # Errors
/// [`ErrorKind::Length`] unless `key` is 16, 24 or 32 bytes.
pub fn cmac_aes(key: &Secret, parts: &[&[u8]]) -> Result<[u8; 16]> {
    fn run<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<cmac::digest::CtOutput<M>> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        parts.iter().for_each(|p| mac.update(p));
        Some(mac.finalize())
    }
    let k = key.expose();
    let out: Option<[u8; 16]> = match k.len() {
        16 => run::<Cmac<aes::Aes128>>(k, parts).map(|m| m.into_bytes().into()),
        24 => run::<Cmac<aes::Aes192>>(k, parts).map(|m| m.into_bytes().into()),
        32 => run::<Cmac<aes::Aes256>>(k, parts).map(|m| m.into_bytes().into()),
        _ => None,
    };
    out.ok_or_else(|| ErrorKind::Length { expected: "16, 24 or 32", found: k.len(), unit: "bytes" }.into())
}

/// CMAC over TDES (SP 800-38B) of the parts one after the other. Eight bytes.
///
/// # Errors
/// [`ErrorKind::Length`] unless `key` is 16 or 24 bytes.
pub fn cmac_tdes(key: &Secret, parts: &[&[u8]]) -> Result<[u8; BLOCK]> {
    fn run<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<cmac::digest::CtOutput<M>> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        parts.iter().for_each(|p| mac.update(p));
        Some(mac.finalize())
    }
    let k = key.expose();
    let out: Option<[u8; BLOCK]> = match k.len() {
        16 => run::<Cmac<des::TdesEde2>>(k, parts).map(|m| m.into_bytes().into()),
        24 => run::<Cmac<des::TdesEde3>>(k, parts).map(|m| m.into_bytes().into()),
        _ => None,
    };
    out.ok_or_else(|| ErrorKind::Length { expected: "16 or 24", found: k.len(), unit: "bytes" }.into())
}

/// Whether two MACs are equal, in constant time. Different lengths are different.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_of_empty_and_whole_blocks() {
        assert_eq!(Padding::Zeros.pad(&[], 8), [0; 8]);
        assert_eq!(Padding::Zeros.pad(&[1; 8], 8), [1; 8]);
        assert_eq!(Padding::Bit.pad(&[1; 8], 8).len(), 16);
        assert_eq!(Padding::Length.pad(&[1; 3], 8), [0, 0, 0, 0, 0, 0, 0, 24, 1, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(Padding::Length.pad(&[1; 8], 8).len(), 16);
        assert_eq!(strip_bit_padding(&Padding::Bit.pad(&[1; 8], 8)).unwrap(), [1; 8]);
        assert!(strip_bit_padding(&[0; 8]).is_err());
    }

    #[test]
    fn sp_800_38b_example() {
        let key = Secret::new(hex::decode("2B7E151628AED2A6ABF7158809CF4F3C").unwrap());
        let message = hex::decode("6BC1BEE22E409F96E93D7E117393172A").unwrap();
        assert_eq!(
            hex::encode_upper(cmac_aes(&key, &[&message]).unwrap()),
            "070A16B46B4D4144F79BDD9DD04A287C"
        );
    }
}

//! AES (FIPS 197): single blocks, ECB and CBC without padding, keys of 128, 192 and 256 bits.

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};

use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Bytes of an AES block.
pub const BLOCK: usize = 16;

enum Cipher {
    K128(Aes128),
    K192(Aes192),
    K256(Aes256),
}

/// An AES key with its schedule.
pub struct AesKey(Cipher);

impl AesKey {
    /// Expands a key.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless 16, 24 or 32 bytes.
    pub fn new(key: &Secret) -> Result<Self> {
        Self::from_bytes(key.expose())
    }

    /// As [`AesKey::new`], from bytes that the caller keeps and wipes.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless 16, 24 or 32 bytes.
    pub fn from_bytes(key: &[u8]) -> Result<Self> {
        let wrong = |_| ErrorKind::Length { expected: "16, 24 or 32", found: key.len(), unit: "bytes" };
        Ok(Self(match key.len() {
            16 => Cipher::K128(Aes128::new_from_slice(key).map_err(wrong)?),
            24 => Cipher::K192(Aes192::new_from_slice(key).map_err(wrong)?),
            _ => Cipher::K256(Aes256::new_from_slice(key).map_err(wrong)?),
        }))
    }

    /// One block, enciphered.
    #[must_use]
    pub fn encrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut b = Block::<Aes128>::from(block);
        match &self.0 {
            Cipher::K128(c) => c.encrypt_block(&mut b),
            Cipher::K192(c) => c.encrypt_block(&mut b),
            Cipher::K256(c) => c.encrypt_block(&mut b),
        }
        b.into()
    }

    /// One block, deciphered.
    #[must_use]
    pub fn decrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut b = Block::<Aes128>::from(block);
        match &self.0 {
            Cipher::K128(c) => c.decrypt_block(&mut b),
            Cipher::K192(c) => c.decrypt_block(&mut b),
            Cipher::K256(c) => c.decrypt_block(&mut b),
        }
        b.into()
    }

    /// ECB over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of 16 bytes.
    pub fn encrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        for_each_block(data, |b| *b = self.encrypt_block(*b))
    }

    /// ECB over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of 16 bytes.
    pub fn decrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        for_each_block(data, |b| *b = self.decrypt_block(*b))
    }

    /// Counter mode (SP 800-38A, 6.5) over data of any length, in place: the counter is the whole block, big-endian,
    /// from `start` upwards. It is its own inverse.
    pub fn apply_ctr(&self, start: [u8; BLOCK], data: &mut [u8]) {
        let mut counter = u128::from_be_bytes(start);
        for part in data.chunks_mut(BLOCK) {
            let stream = self.encrypt_block(counter.to_be_bytes());
            part.iter_mut().zip(stream).for_each(|(d, s)| *d ^= s);
            counter = counter.wrapping_add(1);
        }
    }

    /// CBC over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of 16 bytes.
    pub fn encrypt_cbc(&self, iv: [u8; BLOCK], data: &mut [u8]) -> Result<()> {
        let mut chain = iv;
        for_each_block(data, |b| {
            chain = self.encrypt_block(xor(*b, chain));
            *b = chain;
        })
    }

    /// CBC over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of 16 bytes.
    pub fn decrypt_cbc(&self, iv: [u8; BLOCK], data: &mut [u8]) -> Result<()> {
        let mut chain = iv;
        for_each_block(data, |b| {
            let cipher = *b;
            *b = xor(self.decrypt_block(cipher), chain);
            chain = cipher;
        })
    }
}

impl std::fmt::Debug for AesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AesKey")
    }
}

/// Two blocks, exclusive or.
#[must_use]
pub fn xor(a: [u8; BLOCK], b: [u8; BLOCK]) -> [u8; BLOCK] {
    (u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)).to_ne_bytes()
}

fn for_each_block(data: &mut [u8], mut step: impl FnMut(&mut [u8; BLOCK])) -> Result<()> {
    let found = data.len();
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
    if !rest.is_empty() {
        return Err(ErrorKind::Length { expected: "a multiple of 16", found, unit: "bytes" }.into());
    }
    for block in blocks {
        step(block);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fips_197_appendix_b() {
        let key = AesKey::from_bytes(&hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap()).unwrap();
        let block: [u8; 16] = hex::decode("3243f6a8885a308d313198a2e0370734").unwrap().try_into().unwrap();
        assert_eq!(hex::encode(key.encrypt_block(block)), "3925841d02dc09fbdc118597196a0b32");
    }

    /// SP 800-38A, F.5.1: two blocks, the second counter follows the first.
    #[test]
    fn counter_mode() {
        let key = AesKey::from_bytes(&hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap()).unwrap();
        let start: [u8; 16] = hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap().try_into().unwrap();
        let plain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
        let mut data = hex::decode(plain).unwrap();
        key.apply_ctr(start, &mut data);
        assert_eq!(hex::encode(&data), "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff");
        key.apply_ctr(start, &mut data);
        assert_eq!(hex::encode(&data), plain);
    }

    proptest! {
        #[test]
        fn decipher_undoes_encipher(size in prop::sample::select(vec![16_usize, 24, 32]), fill: [u8; 32], iv: [u8; 16], blocks in 0_usize..5) {
            let key = AesKey::from_bytes(&fill[..size]).unwrap();
            let plain = fill.repeat(5)[..blocks * 16].to_vec();
            let mut data = plain.clone();
            key.encrypt_cbc(iv, &mut data).unwrap();
            key.decrypt_cbc(iv, &mut data).unwrap();
            prop_assert_eq!(&data, &plain);
            key.encrypt_ecb(&mut data).unwrap();
            key.decrypt_ecb(&mut data).unwrap();
            prop_assert_eq!(&data, &plain);
        }
    }
}

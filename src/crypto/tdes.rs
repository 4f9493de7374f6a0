//! DES and TDES (FIPS 46-3, SP 800-67): single blocks, ECB and CBC without padding, key parity, weak keys.
//!
//! The `des` crate works with tables, so its timing depends on the data where caches are shared.

use des::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2, TdesEde3};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Bytes of a DES block.
pub const BLOCK: usize = 8;

enum Cipher {
    Two(TdesEde2),
    Three(TdesEde3),
}

/// A TDES key with its schedule: 16 bytes (K1 ‖ K2) or 24 (K1 ‖ K2 ‖ K3), of any parity.
pub struct TdesKey {
    cipher: Cipher,
    left: Des,
    middle: Des,
}

impl TdesKey {
    /// Expands a key.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless 16 or 24 bytes.
    pub fn new(key: &Secret) -> Result<Self> {
        Self::from_bytes(key.expose())
    }

    /// As [`TdesKey::new`], from bytes that the caller keeps and wipes.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless 16 or 24 bytes.
    pub fn from_bytes(key: &[u8]) -> Result<Self> {
        let wrong = || ErrorKind::Length { expected: "16 or 24", found: key.len(), unit: "bytes" };
        let cipher = match key.len() {
            16 => Cipher::Two(TdesEde2::new_from_slice(key).map_err(|_| wrong())?),
            24 => Cipher::Three(TdesEde3::new_from_slice(key).map_err(|_| wrong())?),
            _ => return Err(wrong().into()),
        };
        let part = |from: usize| {
            let to = from.saturating_add(BLOCK);
            key.get(from..to).and_then(|k| Des::new_from_slice(k).ok()).ok_or_else(wrong)
        };
        Ok(Self { cipher, left: part(0)?, middle: part(BLOCK)? })
    }

    /// One block, enciphered.
    #[must_use]
    pub fn encrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut b = Block::<Des>::from(block);
        match &self.cipher {
            Cipher::Two(c) => c.encrypt_block(&mut b),
            Cipher::Three(c) => c.encrypt_block(&mut b),
        }
        b.into()
    }

    /// One block, deciphered.
    #[must_use]
    pub fn decrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut b = Block::<Des>::from(block);
        match &self.cipher {
            Cipher::Two(c) => c.decrypt_block(&mut b),
            Cipher::Three(c) => c.decrypt_block(&mut b),
        }
        b.into()
    }

    /// Single DES with K1: the inner steps of CVV and of MAC algorithm 3.
    #[must_use]
    pub fn left_encrypt(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut b = Block::<Des>::from(block);
        self.left.encrypt_block(&mut b);
        b.into()
    }

    /// Single DES with K2, deciphering: the output transformation of MAC algorithm 3.
    #[must_use]
    pub fn middle_decrypt(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut b = Block::<Des>::from(block);
        self.middle.decrypt_block(&mut b);
        b.into()
    }

    /// ECB over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of eight bytes.
    pub fn encrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        for_each_block(data, |b| *b = self.encrypt_block(*b))
    }

    /// ECB over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of eight bytes.
    pub fn decrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        for_each_block(data, |b| *b = self.decrypt_block(*b))
    }

    /// CBC over whole blocks, in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `data` is a multiple of eight bytes.
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
    /// [`ErrorKind::Length`] unless `data` is a multiple of eight bytes.
    pub fn decrypt_cbc(&self, iv: [u8; BLOCK], data: &mut [u8]) -> Result<()> {
        let mut chain = iv;
        for_each_block(data, |b| {
            let cipher = *b;
            *b = xor(self.decrypt_block(cipher), chain);
            chain = cipher;
        })
    }
}

impl std::fmt::Debug for TdesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TdesKey")
    }
}

/// Single DES, for algorithms that name it and for published vectors; no key of this project is a single DES key.
///
/// # Errors
/// [`ErrorKind::Length`] unless `key` is eight bytes.
pub fn des_encrypt_block(key: &[u8], block: [u8; BLOCK]) -> Result<[u8; BLOCK]> {
    let mut b = Block::<Des>::from(block);
    single(key)?.encrypt_block(&mut b);
    Ok(b.into())
}

/// The inverse of [`des_encrypt_block`].
///
/// # Errors
/// [`ErrorKind::Length`] unless `key` is eight bytes.
pub fn des_decrypt_block(key: &[u8], block: [u8; BLOCK]) -> Result<[u8; BLOCK]> {
    let mut b = Block::<Des>::from(block);
    single(key)?.decrypt_block(&mut b);
    Ok(b.into())
}

fn single(key: &[u8]) -> Result<Des> {
    Des::new_from_slice(key)
        .map_err(|_| ErrorKind::Length { expected: "8", found: key.len(), unit: "bytes" }.into())
}

/// Sets the low bit of each byte so that the byte has odd parity (SP 800-67, 3.2).
pub fn adjust_parity(key: &mut [u8]) {
    for b in key {
        *b = with_odd_parity(*b);
    }
}

/// Whether every byte has odd parity.
#[must_use]
pub fn has_odd_parity(key: &[u8]) -> bool {
    key.iter().fold(true, |odd, b| odd & (b.count_ones() % 2 == 1))
}

const fn with_odd_parity(b: u8) -> u8 {
    let high = b & 0xFE;
    high | (1 ^ (high.count_ones() % 2) as u8)
}

/// Whether any eight-byte part is a weak or semi-weak DES key, parity bits left aside (SP 800-67, 3.3.2). Every part is
/// compared with the whole list, whatever it is.
#[must_use]
pub fn has_weak_part(key: &[u8]) -> bool {
    let found = key.as_chunks::<BLOCK>().0.iter().fold(0, |found, part| {
        WEAK.iter().fold(found, |found, weak| {
            let difference = part.iter().zip(weak).fold(0, |d, (a, b)| d | ((a ^ b) & 0xFE));
            found | difference.ct_eq(&0).unwrap_u8()
        })
    });
    found == 1
}

/// The four weak keys, then the six pairs of semi-weak keys.
const WEAK: [[u8; BLOCK]; 16] = [
    [0x01; 8],
    [0xFE; 8],
    [0xE0, 0xE0, 0xE0, 0xE0, 0xF1, 0xF1, 0xF1, 0xF1],
    [0x1F, 0x1F, 0x1F, 0x1F, 0x0E, 0x0E, 0x0E, 0x0E],
    [0x01, 0x1F, 0x01, 0x1F, 0x01, 0x0E, 0x01, 0x0E],
    [0x1F, 0x01, 0x1F, 0x01, 0x0E, 0x01, 0x0E, 0x01],
    [0x01, 0xE0, 0x01, 0xE0, 0x01, 0xF1, 0x01, 0xF1],
    [0xE0, 0x01, 0xE0, 0x01, 0xF1, 0x01, 0xF1, 0x01],
    [0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE],
    [0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01],
    [0x1F, 0xE0, 0x1F, 0xE0, 0x0E, 0xF1, 0x0E, 0xF1],
    [0xE0, 0x1F, 0xE0, 0x1F, 0xF1, 0x0E, 0xF1, 0x0E],
    [0x1F, 0xFE, 0x1F, 0xFE, 0x0E, 0xFE, 0x0E, 0xFE],
    [0xFE, 0x1F, 0xFE, 0x1F, 0xFE, 0x0E, 0xFE, 0x0E],
    [0xE0, 0xFE, 0xE0, 0xFE, 0xF1, 0xFE, 0xF1, 0xFE],
    [0xFE, 0xE0, 0xFE, 0xE0, 0xFE, 0xF1, 0xFE, 0xF1],
];

/// Whether any eight-byte part is one of the 48 possibly weak DES keys, which give four round keys instead of sixteen
/// (SP 800-67, 3.3.2), parity bits left aside. They are no reason to refuse a key; people are told.
///
/// They are the keys whose register halves C and D (FIPS 46-3, PC-1) repeat a pattern of four bits with an even number
/// of ones, weak and semi-weak ones apart: there both patterns repeat after two. The time depends on the length alone.
#[must_use]
pub fn has_possibly_weak_part(key: &[u8]) -> bool {
    let found = key.as_chunks::<BLOCK>().0.iter().fold(Choice::from(0), |found, part| {
        let spread = |bit: u8, mask: u8| mask & 0_u8.wrapping_sub(bit & 1);
        let (left, right) = part.split_at(4);
        // Of each byte one bit enters C and one D; the others must say the same.
        let (mut c, mut d, mut differs) = (0_u8, 0_u8, 0_u8);
        for (a, b) in left.iter().zip(right) {
            let (in_c, in_d) = (a >> 7, a >> 1);
            differs |= (a & 0xFE) ^ (spread(in_c, 0xE0) | spread(in_d, 0x1E));
            differs |= (b & 0xFE) ^ (spread(in_c, 0xF0) | spread(in_d, 0x0E));
            c = c << 1 | in_c & 1;
            d = d << 1 | in_d & 1;
        }
        let odd = |n: u8| (n ^ n >> 1 ^ n >> 2 ^ n >> 3) & 1;
        let after_two = |n: u8| (n ^ n >> 2) & 3;
        differs |= odd(c) | odd(d);
        found | (differs.ct_eq(&0) & !(after_two(c) | after_two(d)).ct_eq(&0))
    });
    found.into()
}

/// Two blocks, exclusive or.
#[must_use]
pub fn xor(a: [u8; BLOCK], b: [u8; BLOCK]) -> [u8; BLOCK] {
    (u64::from_ne_bytes(a) ^ u64::from_ne_bytes(b)).to_ne_bytes()
}

fn for_each_block(data: &mut [u8], mut step: impl FnMut(&mut [u8; BLOCK])) -> Result<()> {
    let found = data.len();
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
    if !rest.is_empty() {
        return Err(ErrorKind::Length { expected: "a multiple of 8", found, unit: "bytes" }.into());
    }
    for block in blocks {
        step(block);
    }
    Ok(())
}

/// Twice eight bytes of one key: a derived double-length key before it becomes a [`Secret`].
pub type DoubleLength = Zeroizing<[u8; 16]>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_kcv_of_the_best_known_test_key() {
        let key = TdesKey::from_bytes(&hex::decode("0123456789ABCDEFFEDCBA9876543210").unwrap()).unwrap();
        assert_eq!(key.encrypt_block([0; 8])[..3], [0x08, 0xD7, 0xB4]);
    }

    #[test]
    fn parity_is_odd_and_leaves_seven_bits() {
        for b in 0..=255_u8 {
            let mut key = [b];
            adjust_parity(&mut key);
            assert!(has_odd_parity(&key));
            assert_eq!(key[0] & 0xFE, b & 0xFE);
        }
    }

    /// Among all keys made of the bytes of weak keys. `tests/second_computation.rs` counts round keys.
    #[test]
    fn the_possibly_weak_keys_are_forty_eight() {
        const FIRST: [u8; 4] = [0x01, 0x1F, 0xE0, 0xFE];
        const LAST: [u8; 4] = [0x01, 0x0E, 0xF1, 0xFE];
        let mut found = 0;
        for n in 0..1_usize << 16 {
            let at = |i: usize| n >> (2 * i) & 3;
            let key: [u8; 8] = std::array::from_fn(|i| if i < 4 { FIRST[at(i)] } else { LAST[at(i)] });
            if has_possibly_weak_part(&key) {
                assert!(!has_weak_part(&key) && has_odd_parity(&key));
                found += 1;
            }
        }
        assert_eq!(found, 48);
        // From the printed list.
        for hex in [
            "1F1F01010E0E0101",
            "011F1F01010E0E01",
            "E0E00101F1F10101",
            "FEFE0101FEFE0101",
            "FEE01F01FEF10E01",
            "E0FE1F01F1FE0E01",
            "1FFEE0010EFEF101",
            "FE1FE001FE0EF101",
            "01E0E00101F1F101",
            "FEFEE0E0FEFEF1F1",
        ] {
            let key = hex::decode(hex).unwrap();
            assert!(has_possibly_weak_part(&key), "{hex}");
            assert!(
                has_possibly_weak_part(&[vec![0x13; 8], key.iter().map(|b| b ^ 1).collect()].concat()),
                "{hex}"
            );
        }
        assert!(WEAK.iter().all(|key| !has_possibly_weak_part(key)));
        assert!(!has_possibly_weak_part(&[0x13; 24]));
    }

    #[test]
    fn a_weak_part_is_found_whatever_its_parity_bits() {
        assert!(has_weak_part(&[0x00; 8]));
        assert!(has_weak_part(&[[0x13; 8], [0xFF; 8]].concat()));
        assert!(!has_weak_part(&[0x13; 16]));
    }

    proptest! {
        #[test]
        fn decipher_undoes_encipher(key in prop::collection::vec(any::<u8>(), 16..=16), iv: [u8; 8], data in prop::collection::vec(any::<u8>(), 0..10)) {
            let key = TdesKey::from_bytes(&key).unwrap();
            let mut padded = data.repeat(8);
            let plain = padded.clone();
            key.encrypt_cbc(iv, &mut padded).unwrap();
            key.decrypt_cbc(iv, &mut padded).unwrap();
            prop_assert_eq!(&padded, &plain);
            key.encrypt_ecb(&mut padded).unwrap();
            key.decrypt_ecb(&mut padded).unwrap();
            prop_assert_eq!(&padded, &plain);
        }

        #[test]
        fn three_part_key_with_k3_equal_to_k1_is_the_two_part_key(k1: [u8; 8], k2: [u8; 8], block: [u8; 8]) {
            let two = TdesKey::from_bytes(&[k1, k2].concat()).unwrap();
            let three = TdesKey::from_bytes(&[k1, k2, k1].concat()).unwrap();
            prop_assert_eq!(two.encrypt_block(block), three.encrypt_block(block));
        }
    }
}

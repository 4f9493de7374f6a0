//! Each primitive beside a second computation that shares no code with it (`tests/plain`): the same random cases in
//! every run. How many: `plain::cases`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;

use std::collections::BTreeSet;

use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::mac::{Padding, cmac_aes, cmac_tdes, retail_mac, tdes_cbc_mac};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::crypto::{hash, tdes};
use emv_dataprep::secret::Secret;
use plain::cases::each;

#[test]
fn des_and_tdes() {
    each("tdes", |draw| {
        let len = draw.one_of(&[16, 24]);
        let (key, block) = (draw.bytes(len), draw.bytes(8));
        let cipher = TdesKey::from_bytes(&key).unwrap();
        let block8 = block.clone().try_into().unwrap();
        assert_eq!(cipher.encrypt_block(block8).to_vec(), plain::des::tdes_encrypt(&key, &block));
        assert_eq!(cipher.decrypt_block(block8).to_vec(), plain::des::tdes_decrypt(&key, &block));
        let single = tdes::des_encrypt_block(&key[..8], block8).unwrap();
        assert_eq!(single.to_vec(), plain::des::encrypt(&key[..8], &block));
        assert_eq!(cipher.left_encrypt(block8), single);
        assert_eq!(cipher.middle_decrypt(block8).to_vec(), plain::des::decrypt(&key[8..16], &block));
    });
}

#[test]
fn tdes_over_whole_blocks() {
    each("tdes-modes", |draw| {
        let (key, iv, blocks) = (draw.bytes(16), draw.array::<8>(), 1 + draw.below(3) as usize);
        let data = draw.bytes(8 * blocks);
        let cipher = TdesKey::from_bytes(&key).unwrap();
        let mut cbc = data.clone();
        cipher.encrypt_cbc(iv, &mut cbc).unwrap();
        assert_eq!(cbc, plain::cbc(8, |b| plain::des::tdes_encrypt(&key, b), &iv, &data));
        cipher.decrypt_cbc(iv, &mut cbc).unwrap();
        assert_eq!(cbc, data);
        cipher.encrypt_ecb(&mut cbc).unwrap();
        assert_eq!(cbc[..8], plain::des::tdes_encrypt(&key, &data[..8]));
    });
}

#[test]
fn aes() {
    each("aes", |draw| {
        let len = draw.one_of(&[16, 24, 32]);
        let (key, block) = (draw.bytes(len), draw.bytes(16));
        let cipher = AesKey::from_bytes(&key).unwrap();
        let block16 = block.clone().try_into().unwrap();
        assert_eq!(cipher.encrypt_block(block16).to_vec(), plain::aes::encrypt(&key, &block));
        assert_eq!(cipher.decrypt_block(block16).to_vec(), plain::aes::decrypt(&key, &block));
        let (iv, data) = (draw.array::<16>(), draw.bytes(32));
        let mut cbc = data.clone();
        cipher.encrypt_cbc(iv, &mut cbc).unwrap();
        assert_eq!(cbc, plain::cbc(16, |b| plain::aes::encrypt(&key, b), &iv, &data));
        let mut counted = data.clone();
        cipher.apply_ctr(iv, &mut counted);
        let next = u128::from_be_bytes(iv).wrapping_add(1).to_be_bytes();
        let stream = [plain::aes::encrypt(&key, &iv), plain::aes::encrypt(&key, &next)].concat();
        assert_eq!(counted, plain::xor(&data, &stream));
    });
}

#[test]
fn macs() {
    each("macs", |draw| {
        let (two, long, aes) = (draw.bytes(16), draw.one_of(&[16, 24]), draw.one_of(&[16, 24, 32]));
        let (tdes_key, aes_key, message) = (draw.bytes(long), draw.bytes(aes), draw.up_to(40));
        let key = TdesKey::from_bytes(&two).unwrap();
        let retail = retail_mac(&key, [0; 8], Padding::Bit, &message).to_vec();
        assert_eq!(retail, plain::retail_mac(&two, &message));
        let chained = tdes_cbc_mac(&key, [0; 8], Padding::Zeros, &message).to_vec();
        assert_eq!(chained, plain::tdes_cbc_mac(&two, &message));
        let got = cmac_tdes(&Secret::copy_of(&tdes_key), &[&message]).unwrap().to_vec();
        assert_eq!(got, plain::cmac(8, |b| plain::des::tdes_encrypt(&tdes_key, b), &message));
        let got = cmac_aes(&Secret::copy_of(&aes_key), &[&message]).unwrap().to_vec();
        assert_eq!(got, plain::cmac(16, |b| plain::aes::encrypt(&aes_key, b), &message));
    });
}

#[test]
fn hashes() {
    each("hashes", |draw| {
        let (key, message) = (draw.up_to(100), draw.up_to(200));
        assert_eq!(hash::sha1(&[&message]).to_vec(), plain::sha::sha1(&message));
        assert_eq!(hash::sha256(&[&message]).to_vec(), plain::sha::sha256(&message));
        let got = hash::hmac_sha256(&Secret::copy_of(&key), &[&message]);
        assert_eq!(got.to_vec(), plain::sha::hmac_sha256(&key, &message));
    });
}

/// Parity, counted bit by bit; weak parts, looked for in the list of SP 800-67 with the parity bits set odd.
#[test]
fn parity_and_weak_keys() {
    const WEAK: [u64; 16] = [
        0x0101_0101_0101_0101,
        0xFEFE_FEFE_FEFE_FEFE,
        0xE0E0_E0E0_F1F1_F1F1,
        0x1F1F_1F1F_0E0E_0E0E,
        0x011F_011F_010E_010E,
        0x1F01_1F01_0E01_0E01,
        0x01E0_01E0_01F1_01F1,
        0xE001_E001_F101_F101,
        0x01FE_01FE_01FE_01FE,
        0xFE01_FE01_FE01_FE01,
        0x1FE0_1FE0_0EF1_0EF1,
        0xE01F_E01F_F10E_F10E,
        0x1FFE_1FFE_0EFE_0EFE,
        0xFE1F_FE1F_FE0E_FE0E,
        0xE0FE_E0FE_F1FE_F1FE,
        0xFEE0_FEE0_FEF1_FEF1,
    ];
    each("parity", |draw| {
        let mut key = draw.bytes(16);
        if draw.below(2) == 1 {
            // A weak part with parity bits of its own, or one bit away from one.
            let weak = draw.one_of(&WEAK) ^ (draw.next() & 0x0101_0101_0101_0101);
            let bit = if draw.below(2) == 1 { 1 << draw.below(64) } else { 0 };
            let at = draw.one_of(&[0, 8]);
            key[at..at + 8].copy_from_slice(&(weak ^ bit).to_be_bytes());
        }
        let odd: Vec<u8> = key
            .iter()
            .map(|b| {
                let ones = (1..8).filter(|i| b >> i & 1 == 1).count();
                (b & 0xFE) | u8::from(ones % 2 == 0)
            })
            .collect();
        let mut adjusted = key.clone();
        tdes::adjust_parity(&mut adjusted);
        assert_eq!(adjusted, odd);
        assert_eq!(tdes::has_odd_parity(&key), key == odd);
        let parts = odd.chunks(8).map(|p| u64::from_be_bytes(p.try_into().unwrap()));
        assert_eq!(tdes::has_weak_part(&key), parts.into_iter().any(|p| WEAK.contains(&p)));
    });
}

/// Every possibly weak key has four round keys, counted in a key schedule of its own; one changed bit makes more.
#[test]
fn possibly_weak_keys_have_four_round_keys() {
    const BYTES: [(u8, u8); 4] = [(0x01, 0x01), (0x1F, 0x0E), (0xE0, 0xF1), (0xFE, 0xFE)];
    let count = |key: &[u8]| plain::des::round_keys(key).into_iter().collect::<BTreeSet<_>>().len();
    let mut found = 0;
    for n in 0..256_usize {
        let of = |i: usize| BYTES[n >> (2 * (i % 4)) & 3];
        let key: [u8; 8] = std::array::from_fn(|i| if i < 4 { of(i).0 } else { of(i).1 });
        let is_weak = tdes::has_weak_part(&key);
        assert_eq!(is_weak, count(&key) <= 2, "{key:02X?}");
        if tdes::has_possibly_weak_part(&key) {
            found += 1;
            assert_eq!(count(&key), 4, "{key:02X?}");
            let mut other = key;
            other[n % 8] ^= 0x08;
            assert!(count(&other) > 4 && !tdes::has_possibly_weak_part(&other));
        }
    }
    assert_eq!(found, 48);
}

//! Each primitive and codec beside a second computation that shares no code with it (`tests/plain`): random cases,
//! the same ones in every run. `CASES` (an environment variable) asks for more than 10,000.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;

use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::mac::{Padding, cmac_aes, cmac_tdes, retail_mac};
use emv_dataprep::crypto::rng::{Purpose, Seed, StreamRng};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::crypto::{hash, tdes};
use emv_dataprep::keys::tr31::{Algorithm, Header, Mode, Usage, Version, wrap_with_pad};
use emv_dataprep::secret::Secret;

fn cases() -> u32 {
    std::env::var("CASES").ok().map_or(10_000, |n| n.parse().unwrap())
}

/// Random cases of one test, named so that no two tests draw the same.
fn each(name: &str, mut case: impl FnMut(&mut Draw)) {
    let mut draw = Draw(Seed::fixed([0x5A; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer).rng());
    (0..cases()).for_each(|_| case(&mut draw));
}

struct Draw(StreamRng);

impl Draw {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.0.fill(&mut out);
        out
    }

    fn one_of(&mut self, of: &[usize]) -> usize {
        of[self.0.below(u32::try_from(of.len()).unwrap()).unwrap() as usize]
    }

    fn up_to(&mut self, len: u32) -> Vec<u8> {
        let len = self.0.below(len).unwrap() as usize;
        self.bytes(len)
    }
}

#[test]
fn des_and_tdes() {
    each("tdes", |draw| {
        let len = draw.one_of(&[16, 24]);
        let (key, block) = (draw.bytes(len), draw.bytes(8));
        let cipher = TdesKey::from_bytes(&key).unwrap();
        let block8 = block.clone().try_into().unwrap();
        assert_eq!(cipher.encrypt_block(block8).to_vec(), plain::des::tdes_encrypt(&key, &block));
        assert_eq!(cipher.decrypt_block(block8).to_vec(), plain::des::tdes_decrypt(&key, &block));
        assert_eq!(cipher.left_encrypt(block8).to_vec(), plain::des::encrypt(&key[..8], &block));
        assert_eq!(cipher.middle_decrypt(block8).to_vec(), plain::des::decrypt(&key[8..16], &block));
        let single = tdes::des_encrypt_block(&key[..8], block8).unwrap();
        assert_eq!(single.to_vec(), plain::des::encrypt(&key[..8], &block));
    });
}

#[test]
fn aes() {
    each("aes", |draw| {
        let len = draw.one_of(&[16, 24, 32]);
        let (key, block) = (draw.bytes(len), draw.bytes(16));
        let cipher = AesKey::from_bytes(&key).unwrap();
        let got = cipher.encrypt_block(block.clone().try_into().unwrap());
        assert_eq!(got.to_vec(), plain::aes::encrypt(&key, &block));
        assert_eq!(cipher.decrypt_block(got).to_vec(), block);
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

#[test]
fn key_blocks() {
    each("tr31", |draw| {
        let version = if draw.one_of(&[0, 1]) == 0 { Version::B } else { Version::D };
        let (sizes, block): (&[usize], _) =
            if version == Version::B { (&[16, 24], 8) } else { (&[16, 24, 32], 16) };
        let (kbpk_len, key_len) = (draw.one_of(sizes), draw.one_of(&[16, 24]));
        let (kbpk, key) = (draw.bytes(kbpk_len), draw.bytes(key_len));
        let pad = draw.bytes(block * 3 - (key_len + 2) % block);
        let header = Header::new(version, Usage::D0, Algorithm::TDEA, Mode::ANY);
        let got = wrap_with_pad(&Secret::copy_of(&kbpk), &header, &Secret::copy_of(&key), &pad).unwrap();
        assert_eq!(got, plain::key_block(&kbpk, &got[..16], &key, &pad));
    });
}

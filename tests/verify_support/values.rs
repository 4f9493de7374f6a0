//! Values of a card, computed plainly.

use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::hash::sha1;
use emv_dataprep::crypto::mac::cmac_aes;
use emv_dataprep::crypto::rsa::{Exponent, RsaPrivate};
use emv_dataprep::crypto::tdes::{TdesKey, adjust_parity};
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::{
    CaPublicKey, CardContext, Derivation, ExpiryOrder, IssuerReturn, Keys, OuterPinBlock,
};

use super::{CA, Spec, Tk};

pub const RID: [u8; 5] = [0xA0, 0, 0, 0, 3];
pub const AID: &str = "A0000000031010";
pub const EXP: &str = "2906";
pub const IMKS: [(&str, u8); 3] = [("imk-ac", 0x21), ("imk-smi", 0x43), ("imk-smc", 0x65)];
pub const CVK: [u8; 16] =
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];
pub const PVK: [u8; 16] = [0x76; 16];
pub const PIN_ENCRYPTION_KEY: [u8; 16] = [0x3E, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
pub const PIN: &str = "4071";

pub fn hex(bytes: &[u8]) -> String {
    emv_dataprep::bytes::hex_upper(bytes)
}

pub fn unhex(text: &str) -> Vec<u8> {
    emv_dataprep::bytes::from_hex(text).unwrap()
}

pub fn rsa(primes: [&str; 2], e: Exponent) -> RsaPrivate {
    RsaPrivate::from_primes(&unhex(primes[0]), &unhex(primes[1]), e).unwrap()
}

/// TLV from text: tag, value.
pub fn tlv(tag: &str, value: &[u8]) -> Vec<u8> {
    let mut out = unhex(tag);
    match value.len() {
        n @ 0..128 => out.push(n as u8),
        n @ 128..256 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(value);
    out
}

fn decimalize(block: [u8; 8], n: usize) -> String {
    let text = hex(&block);
    let digits = text.chars().filter(char::is_ascii_digit);
    let letters = text.chars().filter(char::is_ascii_alphabetic).map(|c| char::from(c as u8 - b'A' + b'0'));
    digits.chain(letters).take(n).collect()
}

fn imk(seed: u8, option: Derivation) -> Vec<u8> {
    let mut key: Vec<u8> = (0..16).map(|i| seed.wrapping_mul(i + 3) ^ 0x5A).collect();
    if option != Derivation::OptionC {
        adjust_parity(&mut key);
    }
    key
}

pub fn pad80(value: &[u8], block: usize) -> Vec<u8> {
    let mut out = value.to_vec();
    out.push(0x80);
    out.resize(out.len().div_ceil(block) * block, 0);
    out
}

/// The issuer's side of one card.
pub struct Issuing {
    pub spec: Spec,
    pub pan: String,
}

impl Issuing {
    pub fn new(spec: &Spec) -> Self {
        let sum = |text: &str| -> u32 {
            let twice = |d: u32| if d > 4 { 2 * d - 9 } else { 2 * d };
            let digits = text.bytes().rev().map(|b| u32::from(b & 15)).enumerate();
            digits.map(|(i, d)| if i % 2 == 1 { twice(d) } else { d }).sum()
        };
        let pan = (0..10).map(|d| format!("{}{d}", spec.body)).find(|p| sum(p) % 10 == 0).unwrap();
        Self { spec: spec.clone(), pan }
    }

    /// PAN as format cn.
    pub fn pan_cn(&self) -> Vec<u8> {
        unhex(&format!("{}{}", self.pan, if self.pan.len() % 2 == 1 { "F" } else { "" }))
    }

    pub fn cvv(&self, expiry: &str, code: &str) -> String {
        let d = unhex(&format!("{:0<32}", format!("{}{expiry}{code}", self.pan)));
        let key = TdesKey::from_bytes(&CVK).unwrap();
        let mut block = key.left_encrypt(d[..8].try_into().unwrap());
        for (b, x) in block.iter_mut().zip(&d[8..]) {
            *b ^= x;
        }
        decimalize(key.encrypt_block(block), 3)
    }

    pub fn pvv(&self) -> String {
        let n = self.pan.len();
        let tsp = format!("{}1{PIN}", &self.pan[n - 12..n - 1]);
        decimalize(TdesKey::from_bytes(&PVK).unwrap().encrypt_block(unhex(&tsp).try_into().unwrap()), 4)
    }

    fn card_key(&self, seed: u8) -> Vec<u8> {
        let imk = imk(seed, self.spec.option);
        let x = format!("{}{}", self.pan, self.spec.psn);
        if self.spec.option == Derivation::OptionC {
            let y: [u8; 16] = unhex(&format!("{x:0>32}")).try_into().unwrap();
            return AesKey::from_bytes(&imk).unwrap().encrypt_block(y).to_vec();
        }
        let digits = if self.spec.option == Derivation::OptionB && self.pan.len() > 16 {
            let packed = unhex(&if x.len() % 2 == 1 { format!("0{x}") } else { x });
            let hash = hex(&sha1(&[&packed]));
            let low: String = hash.chars().filter(char::is_ascii_digit).collect();
            assert!(low.len() >= 16, "this PAN would need the second pass");
            low[..16].to_owned()
        } else {
            let padded = format!("{x:0>16}");
            padded[padded.len() - 16..].to_owned()
        };
        let y: [u8; 8] = unhex(&digits).try_into().unwrap();
        let key = TdesKey::from_bytes(&imk).unwrap();
        let mut out = key.encrypt_block(y).to_vec();
        out.extend(key.encrypt_block(y.map(|b| b ^ 0xFF)));
        adjust_parity(&mut out);
        out
    }

    /// AC, SMI and SMC keys, and their check values.
    pub fn card_keys(&self) -> (Vec<u8>, Vec<u8>) {
        let keys: Vec<Vec<u8>> = IMKS.iter().map(|(_, seed)| self.card_key(*seed)).collect();
        let kcv = |k: &Vec<u8>| match self.spec.option {
            Derivation::OptionC => AesKey::from_bytes(k).unwrap().encrypt_block([1; 16])[..3].to_vec(),
            _ => TdesKey::from_bytes(k).unwrap().encrypt_block([0; 8])[..3].to_vec(),
        };
        (keys.concat(), keys.iter().flat_map(kcv).collect())
    }

    pub fn block(&self) -> usize {
        if matches!(self.spec.transport, Tk::Tdes2 | Tk::Tdes3) { 8 } else { 16 }
    }

    pub fn transport_key(&self) -> Vec<u8> {
        let len = match self.spec.transport {
            Tk::Tdes2 | Tk::Aes128 => 16,
            Tk::Tdes3 => 24,
            Tk::Aes256 => 32,
        };
        (0..len).map(|i: u8| i.wrapping_mul(37) ^ 0x15).collect()
    }

    pub fn transport_name(&self) -> &'static str {
        match self.spec.transport {
            Tk::Tdes2 => "TDES-2KEY",
            Tk::Tdes3 => "TDES-3KEY",
            Tk::Aes128 => "AES-128",
            Tk::Aes256 => "AES-256",
        }
    }

    pub fn transport_kcv(&self) -> Vec<u8> {
        let key = self.transport_key();
        if self.block() == 8 {
            return TdesKey::from_bytes(&key).unwrap().encrypt_block([0; 8])[..3].to_vec();
        }
        cmac_aes(&Secret::new(key), &[&[0; 16]]).unwrap()[..5].to_vec()
    }

    pub fn under_tk(&self, value: &[u8]) -> Vec<u8> {
        let mut out = value.to_vec();
        let key = self.transport_key();
        match (self.block(), self.spec.cbc) {
            (8, false) => TdesKey::from_bytes(&key).unwrap().encrypt_ecb(&mut out),
            (8, true) => TdesKey::from_bytes(&key).unwrap().encrypt_cbc([0; 8], &mut out),
            (_, false) => AesKey::from_bytes(&key).unwrap().encrypt_ecb(&mut out),
            (_, true) => AesKey::from_bytes(&key).unwrap().encrypt_cbc([0; 16], &mut out),
        }
        .unwrap();
        out
    }

    fn pin_block(&self, format: u8) -> Vec<u8> {
        let n = self.pan.len();
        let mut block = match format {
            0 => {
                let field = unhex(&format!("04{PIN}FFFFFFFFFF"));
                let pan =
                    unhex(&format!("0000{}", &format!("{:0>13}", self.pan)[n.max(13) - 13..n.max(13) - 1]));
                field.iter().zip(pan).map(|(a, b)| a ^ b).collect::<Vec<u8>>()
            }
            _ => unhex(&format!("14{PIN}1A2B3C4D5E")),
        };
        TdesKey::from_bytes(&PIN_ENCRYPTION_KEY).unwrap().encrypt_ecb(&mut block).unwrap();
        block
    }

    pub fn keys(&self) -> Keys {
        let ca = rsa(CA, Exponent::THREE);
        let mut keys = Keys::default();
        keys.add("transport", 0x01, Secret::new(self.transport_key()));
        for (name, seed) in IMKS {
            keys.add(name, 0x02, Secret::new(imk(seed, self.spec.option)));
        }
        keys.add("cvk", 0x03, Secret::copy_of(&CVK));
        keys.add("pvk", 0x04, Secret::copy_of(&PVK));
        keys.set_pvki(0x04, 1);
        keys.add("pin", 0x05, Secret::copy_of(&PIN_ENCRYPTION_KEY));
        keys.add("mailer", 0x06, Secret::copy_of(&PIN_ENCRYPTION_KEY));
        keys.add_ca(CaPublicKey {
            rid: RID,
            index: 0x92,
            modulus: ca.public().modulus().to_vec(),
            exponent: vec![3],
            checksum: Some(sha1(&[&RID, &[0x92], ca.public().modulus(), &[3]])),
            expires: None,
        });
        keys
    }

    pub fn context(&self, serials: Vec<[u8; 3]>) -> CardContext {
        let block = |format, usage, index| OuterPinBlock {
            format,
            usage,
            key_index: Some(index),
            block: self.pin_block(format),
        };
        CardContext {
            today: Some(emv_dataprep::card::CardDate::from_yymmdd("260501").unwrap()),
            derivation_index: Some(2),
            derivation: Some(self.spec.option),
            cvk_index: Some(3),
            pvk_index: Some(4),
            cvv2_order: Some(ExpiryOrder::Mmyy),
            service_code: Some("201".into()),
            track1_pattern: Some("000000|cvv|000000".into()),
            track2_pattern: Some("pvki|pvv|cvv".into()),
            chip_track2_pattern: Some("pvki|pvv|cvv".into()),
            issuer_return: Some(IssuerReturn {
                psn: Some(self.spec.psn.into()),
                pvv: Some(self.pvv().into()),
                pvki: Some(1),
                pin_block: Some(block(0, "pin", 5)),
                serials,
                ..Default::default()
            }),
            mailer: Some(block(1, "mailer", 6)),
            ..Default::default()
        }
    }

    pub fn chip_track2(&self) -> Vec<u8> {
        let text = format!("{}D{EXP}2011{}{}", self.pan, self.pvv(), self.cvv(EXP, "999"));
        unhex(&if text.len() % 2 == 1 { format!("{text}F") } else { text })
    }
}

/// A certificate and its remainder.
pub fn certificate(
    signer: &RsaPrivate,
    format: u8,
    subject: &[u8],
    subject_key: &RsaPrivate,
    expiry: [u8; 2],
    serial: u8,
    static_data: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let n = signer.public().len();
    let (modulus, exponent) = (subject_key.public().modulus(), subject_key.public().exponent());
    let mut block = vec![0x6A, format];
    block.extend_from_slice(subject);
    block.extend(expiry);
    block.extend([0, 0, serial, 1, 1, modulus.len() as u8, exponent.len() as u8]);
    let room = n - block.len() - 21;
    let (left, remainder) = modulus.split_at(room.min(modulus.len()));
    block.extend_from_slice(left);
    block.resize(n - 21, 0xBB);
    let hash = sha1(&[&block[1..], remainder, exponent, static_data]);
    block.extend(hash);
    block.push(0xBC);
    (signer.apply(&block).unwrap(), remainder.to_vec())
}

pub fn ssad(signer: &RsaPrivate, static_data: &[u8]) -> Vec<u8> {
    let mut block = vec![0x6A, 3, 1, 0xDA, 0xC0];
    block.resize(signer.public().len() - 21, 0xBB);
    let hash = sha1(&[&block[1..], static_data]);
    block.extend(hash);
    block.push(0xBC);
    signer.apply(&block).unwrap()
}

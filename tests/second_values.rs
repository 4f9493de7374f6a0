//! Every card value computed a second time by plain code that shares nothing with the library (`tests/plain`): 10,000
//! random cases for each algorithm, the same ones in every run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;
mod words;

use emv_dataprep::card::{Pan, Pin, Psn};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::decimal::DecimalizationTable;
use emv_dataprep::issuer::session_key::{self, Tree};
use emv_dataprep::issuer::{
    DerivationOption, PinBlockFormat, cryptogram, cvc3, cvv, ibm3624, icc_key, pin_block, pvv,
};
use emv_dataprep::secret::Secret;
use words::des::{encrypt as des, parity, retail_mac, tdes};

/// Random cases of each algorithm; the environment variable `CASES` asks for more.
fn count() -> usize {
    std::env::var("CASES").ok().map_or(10_000, |n| n.parse().unwrap())
}

/// A small generator of test inputs (xorshift64*): the same cases in every run.
struct Cases(u64);

impl Cases {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 8) % bound
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    fn digits(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Decimalization on text: decimal digits first, then letters less ten.
fn decimalize(text: &str, count: usize) -> String {
    let digits = text.chars().filter(char::is_ascii_digit);
    let letters = text.chars().filter(|c| !c.is_ascii_digit()).map(|c| ((c as u8 - b'A') + b'0') as char);
    digits.chain(letters).take(count).collect()
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

fn pan_text(cases: &mut Cases) -> String {
    let len = 12 + cases.below(8) as usize;
    cases.digits(len)
}

fn pin(text: &str) -> Pin {
    Pin::from_digits(&text.bytes().map(|b| b - b'0').collect::<Vec<_>>()).unwrap()
}

/// PAN and PSN on text, as A1.4 of Book 2 says it.
fn plain_y(option: DerivationOption, pan: &str, psn: &str) -> String {
    let x = format!("{pan}{psn}");
    match option {
        DerivationOption::C => format!("{x:0>32}"),
        DerivationOption::B if pan.len() > 16 => {
            let even = if x.len() % 2 == 1 { format!("0{x}") } else { x };
            decimalize(&hex(&plain::sha::sha1(&unhex(&even))), 16)
        }
        _ => format!("{x:0>16}")[x.len().max(16) - 16..].to_owned(),
    }
}

fn plain_icc_key(option: DerivationOption, imk: &[u8], pan: &str, psn: &str) -> Vec<u8> {
    let y = unhex(&plain_y(option, pan, psn));
    if option == DerivationOption::C {
        let y: [u8; 16] = y.try_into().unwrap();
        let both = [plain::aes::encrypt(imk, &y), plain::aes::encrypt(imk, &y.map(|b| !b))].concat();
        return both[..imk.len()].to_vec();
    }
    let mut key = [tdes(imk, word(&y)).to_be_bytes(), tdes(imk, !word(&y)).to_be_bytes()].concat();
    parity(&mut key);
    key
}

#[test]
fn the_two_plain_des_agree() {
    let mut cases = Cases(0xDE5);
    for _ in 0..100 {
        let (key, block) = (cases.bytes(16), cases.next());
        assert_eq!(tdes(&key, block), word(&plain::des::tdes_encrypt(&key, &block.to_be_bytes())));
    }
}

#[test]
fn icc_master_keys() {
    let mut cases = Cases(0x1CC1);
    for option in [DerivationOption::A, DerivationOption::B, DerivationOption::C] {
        for _ in 0..count() {
            let (pan, psn) = (pan_text(&mut cases), cases.digits(2));
            let len = if option == DerivationOption::C { 16 + 8 * cases.below(3) as usize } else { 16 };
            let imk = cases.bytes(len);
            let psn_type: Psn = psn.parse().unwrap();
            let pan_type = Pan::without_check(&pan).unwrap();
            let got = icc_key::derive(option, &Secret::copy_of(&imk), &pan_type, psn_type).unwrap();
            assert_eq!(hex(got.expose()), hex(&plain_icc_key(option, &imk, &pan, &psn)), "{option:?}");
        }
    }
}

#[test]
fn card_verification_values() {
    let mut cases = Cases(0xC77);
    for _ in 0..count() {
        let (pan, expiry, code) = (pan_text(&mut cases), cases.digits(4), cases.digits(3));
        let key = cases.bytes(16);
        let d = unhex(&format!("{:0<32}", format!("{pan}{expiry}{code}")));
        let t = tdes(&key, des(&key[..8], word(&d)) ^ word(&d[8..]));
        let want = decimalize(&hex(&t.to_be_bytes()), 3);
        let expiry: [u8; 4] = expiry.bytes().map(|b| b - b'0').collect::<Vec<_>>().try_into().unwrap();
        let cvk = TdesKey::from_bytes(&key).unwrap();
        let pan = Pan::without_check(&pan).unwrap();
        let got = cvv::compute(&cvk, &pan, expiry, code.parse().unwrap(), cvv::DIGITS).unwrap();
        assert_eq!(got.to_text().as_str(), want);
    }
}

#[test]
fn pin_verification_values_natural_pins_and_offsets() {
    let mut cases = Cases(0x9FF);
    let table_text = "9876543210123456";
    let table: DecimalizationTable = table_text.parse().unwrap();
    for _ in 0..count() {
        let (pan, pvki) = (pan_text(&mut cases), cases.below(10) as u8);
        let len = 4 + cases.below(9) as usize;
        let pin_text = cases.digits(len);
        let key = cases.bytes(16);
        let pvk = TdesKey::from_bytes(&key).unwrap();
        let tsp = format!("{}{pvki}{}", &pan[pan.len() - 12..pan.len() - 1], &pin_text[..4]);
        let v = hex(&tdes(&key, word(&unhex(&tsp))).to_be_bytes());
        let got = pvv::compute(&pvk, &Pan::without_check(&pan).unwrap(), pvki, &pin(&pin_text)).unwrap();
        assert_eq!(got.to_text().as_str(), decimalize(&v, 4));

        let data: [u8; 8] = cases.bytes(8).try_into().unwrap();
        let e = hex(&tdes(&key, word(&data)).to_be_bytes());
        let natural: String = e
            .chars()
            .take(len)
            .map(|c| table_text.as_bytes()[c.to_digit(16).unwrap() as usize] as char)
            .collect();
        let got = ibm3624::natural_pin(&pvk, data, &table, len).unwrap();
        assert_eq!(got, pin(&natural));
        let offset: String = pin_text
            .bytes()
            .zip(natural.bytes())
            .map(|(p, n)| char::from(b'0' + (10 + p - n) % 10))
            .collect();
        assert_eq!(ibm3624::offset(&got, &pin(&pin_text)).unwrap().to_text().as_str(), offset);
    }
}

#[test]
fn pin_blocks() {
    let mut cases = Cases(0x9B10);
    let mut fill = Seed::fixed([8; 32]).named_stream(b"fill", Purpose::ReturnPinFill).rng();
    for _ in 0..count() {
        let pan_text = pan_text(&mut cases);
        let pan = Pan::without_check(&pan_text).unwrap();
        let len = 4 + cases.below(9) as usize;
        let pin_text = cases.digits(len);
        let held = pin(&pin_text);
        let account = word(&unhex(&format!(
            "{:0>16}",
            &pan_text[pan_text.len().saturating_sub(13)..pan_text.len() - 1]
        )));
        let mut block =
            |format| u64::from_be_bytes(*pin_block::clear_block(format, &held, &pan, &mut fill).unwrap());
        let padded = |control: u8| word(&unhex(&format!("{:F<16}", format!("{control}{len:X}{pin_text}"))));
        assert_eq!(block(PinBlockFormat::Iso0), padded(0) ^ account);
        assert_eq!(block(PinBlockFormat::Iso2), padded(2));
        let one = hex(&block(PinBlockFormat::Iso1).to_be_bytes());
        assert!(one.starts_with(&format!("1{len:X}{pin_text}")));
        let three = hex(&(block(PinBlockFormat::Iso3) ^ account).to_be_bytes());
        let (head, filler) = three.split_at(2 + len);
        assert_eq!(head, format!("3{len:X}{pin_text}"));
        assert!(filler.chars().all(|c| ('A'..='F').contains(&c)));

        let random: [u8; 8] = cases.bytes(8).try_into().unwrap();
        let key_len = 16 + 8 * cases.below(3) as usize;
        let key = cases.bytes(key_len);
        let field: [u8; 16] =
            unhex(&format!("{:A<16}{}", format!("4{len:X}{pin_text}"), hex(&random))).try_into().unwrap();
        let m = pan_text.len() - 12;
        let pan_field = unhex(&format!("{:0<32}", format!("{m}{pan_text}")));
        let mut middle = plain::aes::encrypt(&key, &field);
        middle.iter_mut().zip(pan_field).for_each(|(a, b)| *a ^= b);
        let aes = AesKey::from_bytes(&key).unwrap();
        let got = pin_block::iso4_encrypt(
            &aes,
            &pin_block::iso4_pin_field(&held, random),
            &pin_block::iso4_pan_field(&pan),
        );
        assert_eq!(got.to_vec(), plain::aes::encrypt(&key, &middle));
    }
}

#[test]
fn session_keys_and_cryptograms() {
    let mut cases = Cases(0x5E55);
    for case in 0..count() {
        let key = cases.bytes(16);
        let mk = Secret::copy_of(&key);
        let r: [u8; 8] = cases.bytes(8).try_into().unwrap();
        let f = |third: u64| (word(&r) & !(0xFF << 40)) | (third << 40);
        let mut sk = [tdes(&key, f(0xF0)).to_be_bytes(), tdes(&key, f(0x0F)).to_be_bytes()].concat();
        parity(&mut sk);
        assert_eq!(session_key::common_tdes(&mk, r).unwrap().expose(), sk);

        let count = cases.below(70) as usize;
        let data = cases.bytes(count);
        let cipher = TdesKey::from_bytes(&key).unwrap();
        for (padding, first) in [(Padding::Bit, Some(0x80)), (Padding::Zeros, None)] {
            let mut padded = data.clone();
            padded.extend(first);
            while padded.is_empty() || !padded.len().is_multiple_of(8) {
                padded.push(0);
            }
            let want = retail_mac(&key, &padded).to_be_bytes();
            assert_eq!(cryptogram::application_cryptogram(&cipher, padding, &data), want);
            if padding == Padding::Bit {
                assert_eq!(cvc3::ivcvc3(&cipher, &data), want[6..]);
            }
        }

        let arc: [u8; 2] = cases.bytes(2).try_into().unwrap();
        let x = word(&r) ^ (u64::from(u16::from_be_bytes(arc)) << 48);
        assert_eq!(cryptogram::arpc_method_1(&cipher, r, arc), tdes(&key, x).to_be_bytes());

        let (iv, un): ([u8; 2], [u8; 4]) =
            (cases.bytes(2).try_into().unwrap(), cases.bytes(4).try_into().unwrap());
        let block = word(&[iv.as_slice(), &un, &arc].concat());
        let want = format!("{:05}", tdes(&key, block) & 0xFFFF);
        assert_eq!(cvc3::cvc3(&cipher, iv, un, arc).to_text().as_str(), want);

        // The tree takes up to 32 operations a case: a tenth of the cases.
        if case % 10 == 0 {
            let iv: [u8; 16] = cases.bytes(16).try_into().unwrap();
            for (tree, height, branch) in [(Tree::Height8, 8, 4), (Tree::Height16, 16, 2)] {
                let want = plain_tree(&key, u16::from_be_bytes(arc), height, branch, &iv);
                assert_eq!(session_key::emv2000(&mk, arc, tree, iv).unwrap().expose(), want);
            }
        }
    }
}

/// The key tree as the annex defines it: the keys from the root to the leaf, the initial value before them.
fn plain_tree(mk: &[u8], atc: u16, height: u32, branch: u16, iv: &[u8]) -> Vec<u8> {
    let mut path = vec![iv.to_vec(), mk.to_vec()];
    for level in 1..=height {
        let step = u64::from(u32::from(atc) / u32::from(branch).pow(height - level) % u32::from(branch));
        let (above, parent) = (&path[path.len() - 2], &path[path.len() - 1]);
        let left = tdes(parent, word(above) ^ step);
        let right = tdes(parent, word(&above[8..]) ^ step ^ 0xF0);
        path.push([left.to_be_bytes(), right.to_be_bytes()].concat());
    }
    let (leaf, above) = (&path[path.len() - 1], &path[path.len() - 3]);
    let mut key: Vec<u8> = leaf.iter().zip(above).map(|(a, b)| a ^ b).collect();
    parity(&mut key);
    key
}

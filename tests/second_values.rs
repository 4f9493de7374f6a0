//! Every card value computed a second time by plain code that shares nothing with the library (`tests/plain`,
//! `tests/words`): the same random cases in every run. How many: `plain::cases`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;
mod words;

use emv_dataprep::card::{Expiry, Pan, Pin, Psn};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::cvv::ExpiryOrder;
use emv_dataprep::issuer::decimal::DecimalizationTable;
use emv_dataprep::issuer::ibm3624::ValidationLayout;
use emv_dataprep::issuer::{DerivationOption, PinBlockFormat, cvc3, cvv, ibm3624, icc_key, pin_block, pvv};
use emv_dataprep::secret::Secret;
use plain::cases::{Cases, each, hex, unhex};
use words::des::{encrypt as des, parity, retail_mac, tdes, tdes_decrypt};

/// Decimalization on text: decimal digits first, then letters less ten.
fn decimalize(text: &str, count: usize) -> String {
    let digits = text.chars().filter(char::is_ascii_digit);
    let letters = text.chars().filter(|c| !c.is_ascii_digit()).map(|c| ((c as u8 - b'A') + b'0') as char);
    digits.chain(letters).take(count).collect()
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

fn pin(text: &str) -> Pin {
    Pin::from_digits(&text.bytes().map(|b| b - b'0').collect::<Vec<_>>()).unwrap()
}

fn four(text: &str) -> [u8; 4] {
    text.bytes().map(|b| b - b'0').collect::<Vec<_>>().try_into().unwrap()
}

fn pan(text: &str) -> Pan {
    Pan::without_check(text).unwrap()
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
        let not: Vec<u8> = y.iter().map(|b| !b).collect();
        let both = [plain::aes::encrypt(imk, &y), plain::aes::encrypt(imk, &not)].concat();
        return both[..imk.len()].to_vec();
    }
    let mut key = [tdes(imk, word(&y)).to_be_bytes(), tdes(imk, !word(&y)).to_be_bytes()].concat();
    parity(&mut key);
    key
}

fn icc_keys(name: &str, option: DerivationOption, lengths: &[usize]) {
    each(name, |cases| {
        let (pan_text, psn) = (cases.pan(), cases.digits(2));
        let len = cases.one_of(lengths);
        let imk = cases.bytes(len);
        let secret = Secret::copy_of(&imk);
        let got = icc_key::derive(option, &secret, &pan(&pan_text), psn.parse().unwrap()).unwrap();
        assert_eq!(hex(got.expose()), hex(&plain_icc_key(option, &imk, &pan_text, &psn)), "{option:?}");
        let absent = icc_key::derive(option, &secret, &pan(&pan_text), Psn::default()).unwrap();
        assert_eq!(absent.expose(), plain_icc_key(option, &imk, &pan_text, "00"));
    });
}

#[test]
fn the_two_plain_des_agree() {
    let mut cases = Cases::new("two-des");
    for _ in 0..100 {
        let (key, block) = (cases.bytes(16), cases.next());
        assert_eq!(tdes(&key, block), word(&plain::des::tdes_encrypt(&key, &block.to_be_bytes())));
        assert_eq!(tdes_decrypt(&key, tdes(&key, block)), block);
    }
}

#[test]
fn icc_master_keys_by_option_a() {
    icc_keys("mk-a", DerivationOption::A, &[16]);
}

#[test]
fn icc_master_keys_by_option_b() {
    icc_keys("mk-b", DerivationOption::B, &[16]);
}

/// Option B hashes PANs of 17 to 19 digits only; these are all such, so that the second pass comes too.
#[test]
fn icc_master_keys_by_option_b_of_long_pans() {
    let mut second_passes = 0;
    each("mk-b-long", |cases| {
        let len = 17 + cases.below(3) as usize;
        let (pan_text, psn, imk) = (cases.digits(len), cases.digits(2), cases.bytes(16));
        let got = icc_key::derive(
            DerivationOption::B,
            &Secret::copy_of(&imk),
            &pan(&pan_text),
            psn.parse().unwrap(),
        );
        let want = plain_icc_key(DerivationOption::B, &imk, &pan_text, &psn);
        assert_eq!(hex(got.unwrap().expose()), hex(&want));
        let x = format!("{pan_text}{psn}");
        let even = if x.len() % 2 == 1 { format!("0{x}") } else { x };
        let hash = hex(&plain::sha::sha1(&unhex(&even)));
        second_passes += usize::from(hash.chars().filter(char::is_ascii_digit).count() < 16);
    });
    // About one in 900.
    assert!(plain::cases::count() < 10_000 || second_passes > 0);
}

#[test]
fn icc_master_keys_by_option_c() {
    icc_keys("mk-c", DerivationOption::C, &[16, 24, 32]);
}

fn plain_cvv(key: &[u8], pan: &str, expiry: &str, code: &str, count: usize) -> String {
    let d = unhex(&format!("{:0<32}", format!("{pan}{expiry}{code}")));
    let t = tdes(key, des(&key[..8], word(&d)) ^ word(&d[8..]));
    decimalize(&hex(&t.to_be_bytes()), count)
}

#[test]
fn card_verification_values() {
    each("cvv", |cases| {
        let (pan_text, expiry, code) = (cases.pan(), cases.digits(4), cases.digits(3));
        let (key, count) = (cases.bytes(16), cases.one_of(&[3, 3, 3, 4, 5, 8, 16]));
        let cvk = TdesKey::from_bytes(&key).unwrap();
        let got = cvv::compute(&cvk, &pan(&pan_text), four(&expiry), code.parse().unwrap(), count).unwrap();
        assert_eq!(got.to_text().as_str(), plain_cvv(&key, &pan_text, &expiry, &code, count));
    });
}

/// CVV1, iCVV, CVV2 in both orders of the expiry: one card, one key, four values.
#[test]
fn icvv_and_cvv2() {
    each("icvv-cvv2", |cases| {
        let (pan_text, key) = (cases.pan(), cases.bytes(16));
        let (year, month) = (cases.digits(2), format!("{:02}", 1 + cases.below(12)));
        let expiry = Expiry::from_yymm(&format!("{year}{month}")).unwrap();
        let cvk = TdesKey::from_bytes(&key).unwrap();
        let code = cases.digits(3);
        for (order, text) in
            [(ExpiryOrder::Yymm, format!("{year}{month}")), (ExpiryOrder::Mmyy, format!("{month}{year}"))]
        {
            for code in [code.as_str(), "999", "000"] {
                let digits = order.digits(expiry);
                let got = cvv::compute(&cvk, &pan(&pan_text), digits, code.parse().unwrap(), cvv::DIGITS);
                assert_eq!(got.unwrap().to_text().as_str(), plain_cvv(&key, &pan_text, &text, code, 3));
            }
        }
    });
}

#[test]
fn dynamic_cvv() {
    each("dcvv", |cases| {
        let (pan_text, atc, expiry) = (cases.pan(), cases.digits(4), cases.digits(4));
        let (code, key) = (cases.digits(3), cases.bytes(16));
        let mk = TdesKey::from_bytes(&key).unwrap();
        let got = cvv::dcvv(&mk, &pan(&pan_text), four(&atc), four(&expiry), code.parse().unwrap()).unwrap();
        let replaced = format!("{atc}{}", &pan_text[4..]);
        assert_eq!(got.to_text().as_str(), plain_cvv(&key, &replaced, &expiry, &code, 3));
    });
}

/// Static data of track 1 (text) and of track 2 (digits), from the issuer master key to the card's value.
#[test]
fn cvc3_of_both_tracks() {
    each("cvc3", |cases| {
        let (imk, pan_text, psn) = (cases.bytes(16), cases.pan(), cases.digits(2));
        let kd = plain_icc_key(DerivationOption::A, &imk, &pan_text, &psn);
        let (option, card) = (DerivationOption::A, pan(&pan_text));
        let derived = icc_key::derive(option, &Secret::copy_of(&imk), &card, psn.parse().unwrap()).unwrap();
        let cipher = TdesKey::new(&derived).unwrap();
        let (expiry, code) = (cases.digits(4), cases.digits(3));
        let room = 13 - cases.below(5) as usize;
        let discretionary = cases.digits(room);
        let mut track_2 = format!("{pan_text}D{expiry}{code}{discretionary}");
        if track_2.len() % 2 == 1 {
            track_2.push('F');
        }
        let track_1 = format!("B{pan_text}^DOE/JANE^{expiry}{code}{discretionary}");
        let (un, atc): ([u8; 4], [u8; 2]) = (unhex(&cases.digits(8)).try_into().unwrap(), cases.array());
        for data in [track_1.into_bytes(), unhex(&track_2)] {
            let mut padded = data.clone();
            padded.push(0x80);
            while !padded.len().is_multiple_of(8) {
                padded.push(0);
            }
            let iv = retail_mac(&kd, &padded) & 0xFFFF;
            let got = cvc3::ivcvc3(&cipher, &data);
            assert_eq!(u64::from(u16::from_be_bytes(got)), iv);
            let block =
                iv << 48 | u64::from(u32::from_be_bytes(un)) << 16 | u64::from(u16::from_be_bytes(atc));
            let want = format!("{:05}", tdes(&kd, block) & 0xFFFF);
            assert_eq!(cvc3::cvc3(&cipher, got, un, atc).to_text().as_str(), want);
        }
    });
}

#[test]
fn pin_verification_values() {
    each("pvv", |cases| {
        let (pan_text, pvki, pin_text) = (cases.pan(), cases.below(10) as u8, cases.pin());
        let key = cases.bytes(16);
        let pvk = TdesKey::from_bytes(&key).unwrap();
        let tsp = format!("{}{pvki}{}", &pan_text[pan_text.len() - 12..pan_text.len() - 1], &pin_text[..4]);
        let v = hex(&tdes(&key, word(&unhex(&tsp))).to_be_bytes());
        let got = pvv::compute(&pvk, &pan(&pan_text), pvki, &pin(&pin_text)).unwrap();
        assert_eq!(got.to_text().as_str(), decimalize(&v, 4));
    });
}

fn plain_natural(key: &[u8], data: &[u8], table: &str, len: usize) -> String {
    let e = hex(&tdes(key, word(data)).to_be_bytes());
    let digit = |c: char| table.as_bytes()[c.to_digit(16).unwrap() as usize] as char;
    e.chars().take(len).map(digit).collect()
}

#[test]
fn natural_pins_and_offsets() {
    each("3624", |cases| {
        let (pan_text, pin_text) = (cases.pan(), cases.pin());
        let len = pin_text.len();
        let (key, table_text) = (cases.bytes(16), cases.digits(16));
        let table: DecimalizationTable = table_text.parse().unwrap();
        let pvk = TdesKey::from_bytes(&key).unwrap();
        let pad = cases.below(16) as u8;
        let account = &pan_text[pan_text.len().saturating_sub(13)..pan_text.len() - 1];
        let (layout, text) = match cases.below(3) {
            0 => {
                let pads = format!("{pad:X}").repeat(4);
                (ValidationLayout::RightmostTwelve { pad }, format!("{account:0>12}{pads}"))
            }
            1 => {
                let kept = &pan_text[pan_text.len().saturating_sub(16)..];
                (ValidationLayout::RightmostSixteen, format!("{kept:0>16}"))
            }
            _ => {
                let first = cases.below(6) as usize;
                let count = 1 + cases.below(pan_text.len().min(16) as u64 - first as u64) as usize;
                let pads = format!("{pad:X}").repeat(16 - count);
                let layout = ValidationLayout::Slice { first: first as u8, count: count as u8, pad };
                (layout, format!("{}{pads}", &pan_text[first..first + count]))
            }
        };
        let data = layout.apply(&pan(&pan_text)).unwrap();
        assert_eq!(hex(&data), text);
        let natural = plain_natural(&key, &data, &table_text, len);
        let got = ibm3624::natural_pin(&pvk, data, &table, len).unwrap();
        assert_eq!(got, pin(&natural));
        let digits = pin_text.bytes().zip(natural.bytes());
        let offset: String = digits.map(|(p, n)| char::from(b'0' + (10 + p - n) % 10)).collect();
        let found = ibm3624::offset(&got, &pin(&pin_text)).unwrap();
        assert_eq!(found.to_text().as_str(), offset);
        assert_eq!(ibm3624::pin_from_offset(&got, &found).unwrap(), pin(&pin_text));
    });
}

fn account(pan: &str) -> u64 {
    word(&unhex(&format!("{:0>16}", &pan[pan.len().saturating_sub(13)..pan.len() - 1])))
}

#[test]
fn pin_blocks() {
    let mut fill = Seed::fixed([8; 32]).named_stream(b"fill", Purpose::ReturnPinFill).rng();
    each("pin-blocks", |cases| {
        let (pan_text, pin_text) = (cases.pan(), cases.pin());
        let (card, held, len) = (pan(&pan_text), pin(&pin_text), pin_text.len());
        let account = account(&pan_text);
        let mut block =
            |format| u64::from_be_bytes(*pin_block::clear_block(format, &held, &card, &mut fill).unwrap());
        let padded = |control: u8| word(&unhex(&format!("{:F<16}", format!("{control}{len:X}{pin_text}"))));
        assert_eq!(block(PinBlockFormat::Iso0), padded(0) ^ account);
        assert_eq!(block(PinBlockFormat::Iso2), padded(2));
        let one = hex(&block(PinBlockFormat::Iso1).to_be_bytes());
        assert!(one.starts_with(&format!("1{len:X}{pin_text}")));
        let three = hex(&(block(PinBlockFormat::Iso3) ^ account).to_be_bytes());
        let (head, filler) = three.split_at(2 + len);
        assert_eq!(head, format!("3{len:X}{pin_text}"));
        assert!(filler.chars().all(|c| ('A'..='F').contains(&c)));
    });
}

/// What a block holds, on text: a PIN, or nothing.
fn plain_read(field: &str, control: char, filler: &str) -> Option<String> {
    let mut walk = field.chars();
    let (found, len) = (walk.next()?, walk.next()?.to_digit(16)? as usize);
    if found != control || !(4..=12).contains(&len) {
        return None;
    }
    let (digits, rest) = field[2..].split_at(len);
    let good =
        digits.chars().all(|c| c.is_ascii_digit()) && rest.chars().take(14 - len).all(|c| filler.contains(c));
    good.then(|| digits.to_owned())
}

/// Good blocks, and blocks with one nibble changed: the same PIN or the same refusal.
#[test]
fn reading_pin_blocks() {
    const FORMATS: [(PinBlockFormat, char, &str); 4] = [
        (PinBlockFormat::Iso0, '0', "F"),
        (PinBlockFormat::Iso1, '1', "0123456789ABCDEF"),
        (PinBlockFormat::Iso2, '2', "F"),
        (PinBlockFormat::Iso3, '3', "ABCDEF"),
    ];
    let (mut read, mut refused) = (0, 0);
    each("read-pin-blocks", |cases| {
        let (pan_text, pin_text) = (cases.pan(), cases.pin());
        for (format, control, filler) in FORMATS {
            let mut field = format!("{control}{:X}{pin_text}", pin_text.len());
            while field.len() < 16 {
                field.push(char::from(filler.as_bytes()[cases.below(filler.len() as u64) as usize]));
            }
            if cases.below(2) == 1 {
                let at = cases.below(16) as usize;
                field.replace_range(at..=at, &format!("{:X}", cases.below(16)));
            }
            let mask = if matches!(control, '0' | '3') { account(&pan_text) } else { 0 };
            let block = (word(&unhex(&field)) ^ mask).to_be_bytes();
            let got = pin_block::read_clear_block(format, &block, &pan(&pan_text));
            let want = plain_read(&field, control, filler);
            assert_eq!(got.as_ref().ok(), want.as_deref().map(pin).as_ref(), "{format:?}");
            if want.is_some() { read += 1 } else { refused += 1 }
        }
    });
    assert!(read > 0 && refused > 0);
}

#[test]
fn pin_blocks_of_format_4_both_ways() {
    let (mut read, mut refused) = (0, 0);
    each("pin-block-4", |cases| {
        let (pan_text, pin_text) = (cases.pan(), cases.pin());
        let len = pin_text.len();
        let (random, key_len): ([u8; 8], _) = (cases.array(), cases.one_of(&[16, 24, 32]));
        let key = cases.bytes(key_len);
        let mut left = format!("{:A<16}", format!("4{len:X}{pin_text}"));
        let field = unhex(&format!("{left}{}", hex(&random)));
        let pan_field = unhex(&format!("{:0<32}", format!("{}{pan_text}", pan_text.len() - 12)));
        let encipher = |field: &[u8]| {
            plain::aes::encrypt(&key, &plain::xor(&plain::aes::encrypt(&key, field), &pan_field))
        };
        let aes = AesKey::from_bytes(&key).unwrap();
        let card_field = pin_block::iso4_pan_field(&pan(&pan_text));
        assert_eq!(card_field.as_slice(), pan_field);
        let held = pin_block::iso4_pin_field(&pin(&pin_text), random);
        assert_eq!(held.as_slice(), field);
        assert_eq!(pin_block::iso4_encrypt(&aes, &held, &card_field).to_vec(), encipher(&field));
        // Back again, half of them with one nibble changed.
        if cases.below(2) == 1 {
            let at = cases.below(16) as usize;
            left.replace_range(at..=at, &format!("{:X}", cases.below(16)));
        }
        let block: [u8; 16] = encipher(&unhex(&format!("{left}{}", hex(&random)))).try_into().unwrap();
        let got = pin_block::read_iso4_pin_field(&pin_block::iso4_decrypt(&aes, &block, &card_field));
        let want = plain_read(&left, '4', "A");
        assert_eq!(got.as_ref().ok(), want.as_deref().map(pin).as_ref());
        if want.is_some() { read += 1 } else { refused += 1 }
    });
    assert!(read > 0 && refused > 0);
}

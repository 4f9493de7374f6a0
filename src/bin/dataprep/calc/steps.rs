//! Steps that several calculators go through.

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Pan, Psn};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::hash::sha1;
use emv_dataprep::crypto::mac::{Padding, retail_mac};
use emv_dataprep::crypto::tdes::{TdesKey, xor};
use emv_dataprep::error::ErrorKind;
use emv_dataprep::issuer::decimal::{decimalize, nibbles};
use emv_dataprep::issuer::{DerivationOption, icc_key};
use emv_dataprep::keys::{KcvMethod, KeyAlgorithm};
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use crate::failure::Failure;

/// Decimal digits as text.
pub fn text_of(digits: &[u8]) -> String {
    digits.iter().map(|d| char::from(b'0'.wrapping_add(*d))).collect()
}

/// The first eight bytes.
pub fn eight(bytes: &[u8]) -> Result<[u8; 8], Failure> {
    let head = bytes.first_chunk::<8>().copied();
    head.ok_or_else(|| ErrorKind::Internal("a block of eight bytes").into())
        .map_err(|e: emv_dataprep::error::Error| e.into())
}

/// Both passes of the decimalization of CVV and PVV, and the digits that are kept.
pub fn decimal(
    answer: &mut Answer,
    clause: &'static str,
    block: &[u8; 8],
    count: usize,
    name: &str,
) -> Result<(), Failure> {
    let all = nibbles(block);
    let decimals: Vec<u8> = all.iter().copied().filter(|n| *n < 10).collect();
    let letters: Vec<u8> = all.iter().copied().filter_map(|n| n.checked_sub(10)).collect();
    let shown: String = all.iter().filter(|n| **n >= 10).map(|n| format!("{n:X}")).collect();
    answer.step(
        Step::new("First pass: the decimal digits of the block, left to right", clause)
            .with("block", hex_upper(block))
            .gives("digits", text_of(&decimals)),
    );
    let needed = count > decimals.len();
    let words =
        if needed { "Second pass: the letters less ten, left to right" } else { "Second pass: not needed" };
    let mut second = Step::new(words, clause).with("letters", shown);
    second = second.gives("digits", if needed { text_of(&letters) } else { "-".to_owned() });
    answer.step(second);
    let value = decimalize(&all, count)?;
    answer.step(
        Step::new(format!("The first {count} digits"), clause)
            .with(
                "both passes",
                format!("{}{}", text_of(&decimals), if needed { text_of(&letters) } else { String::new() }),
            )
            .gives(name, value.to_text().as_str()),
    );
    Ok(())
}

/// TDES or AES by the length that the option takes.
pub fn imk_algorithm(option: DerivationOption, len: usize) -> Result<KeyAlgorithm, Failure> {
    Ok(match (option, len) {
        (DerivationOption::C, 16) => KeyAlgorithm::Aes128,
        (DerivationOption::C, 24) => KeyAlgorithm::Aes192,
        (DerivationOption::C, 32) => KeyAlgorithm::Aes256,
        (DerivationOption::A | DerivationOption::B, 16) => KeyAlgorithm::Tdes2,
        (DerivationOption::A | DerivationOption::B, 24) => KeyAlgorithm::Tdes3,
        (DerivationOption::C, _) => {
            return Err(Failure::refused("option C takes an AES key of 16, 24 or 32 bytes"));
        }
        _ => return Err(Failure::refused("a TDES key of 16 or 24 bytes is needed here")),
    })
}

/// The ICC master key, step by step.
pub fn icc_master_key(
    answer: &mut Answer,
    option: DerivationOption,
    imk: &Secret,
    pan: &Pan,
    psn: Psn,
) -> Result<Secret, Failure> {
    let algorithm = imk_algorithm(option, imk.len())?;
    let block = icc_key::derivation_block(option, pan, psn);
    derivation_block(answer, option, pan, psn, block.expose());
    let clause = clause(option);
    let mut z = Vec::new();
    block.append_inputs(algorithm, &mut z)?;
    let inputs = hex_upper(&z);
    if algorithm.is_tdes() {
        TdesKey::new(imk)?.encrypt_ecb(&mut z)?;
    } else {
        AesKey::new(imk)?.encrypt_ecb(&mut z)?;
    }
    let z = Secret::new(z);
    let what = if algorithm == KeyAlgorithm::Aes128 { "Y" } else { "Y, then Y with all bits inverted" };
    answer.step(
        Step::new(format!("Encipher {what} under the issuer master key, ECB"), clause)
            .with("issuer master key", hex_upper(imk.expose()))
            .with("input", inputs)
            .gives("Z", hex_upper(z.expose())),
    );
    let mk = icc_key::derive(option, imk, pan, psn)?;
    let words = if algorithm.is_tdes() {
        "Both halves, the last bit of each byte set for odd parity"
    } else {
        "The leftmost bits, as many as the issuer master key has; no parity"
    };
    answer.step(
        Step::new(words, clause)
            .with("Z", hex_upper(z.expose()))
            .gives("ICC master key", hex_upper(mk.expose())),
    );
    Ok(mk)
}

const fn clause(option: DerivationOption) -> &'static str {
    match option {
        DerivationOption::A => "EMV 4.4 Book 2, A1.4.1 option A",
        DerivationOption::B => "EMV 4.4 Book 2, A1.4.2 option B",
        DerivationOption::C => "EMV 4.4 Book 2, A1.4.3 option C",
    }
}

/// How `Y` comes from PAN and PSN.
fn derivation_block(answer: &mut Answer, option: DerivationOption, pan: &Pan, psn: Psn, y: &[u8]) {
    let pan_text = pan.to_text();
    let x = format!("{}{psn}", pan_text.as_str());
    let clause = clause(option);
    answer.step(
        Step::new("X = PAN, then PAN sequence number (absent: 00)", clause)
            .with("PAN", pan_text.as_str())
            .with("PSN", psn.to_string())
            .gives("X", x.clone()),
    );
    let value = hex_upper(y);
    if option != DerivationOption::B || pan.len() <= 16 {
        let (words, count) = match option {
            DerivationOption::A => ("Y = the rightmost 16 digits of X, padded left with zeros", 16),
            DerivationOption::B => ("Y = as option A, for the PAN has at most 16 digits", 16),
            DerivationOption::C => ("Y = X padded left with zeros to 32 digits", 32),
        };
        answer.step(
            Step::new(words, clause)
                .with("X", format!("{x} ({} digits, {count} wanted)", x.len()))
                .gives("Y", value),
        );
        return;
    }
    let even = if x.len().is_multiple_of(2) { x } else { format!("0{x}") };
    let packed = emv_dataprep::bytes::from_hex(&even).unwrap_or_default();
    let hash = sha1(&[&packed]);
    answer.step(
        Step::new("SHA-1 of X as bytes, an odd number of digits with a zero before it", clause)
            .with("bytes", even)
            .gives("SHA-1", hex_upper(&hash)),
    );
    let all = nibbles(&hash);
    let decimals: Vec<u8> = all.iter().copied().filter(|n| *n < 10).collect();
    let letters: Vec<u8> = all.iter().copied().filter_map(|n| n.checked_sub(10)).collect();
    let second = if decimals.len() < 16 { text_of(&letters) } else { "not needed".to_owned() };
    answer.step(
        Step::new("Y = the first 16 decimal digits; if there are fewer, then its letters as A to 0, B to 1 and so on", clause)
            .with("first pass", text_of(&decimals))
            .with("second pass", second)
            .gives("Y", value),
    );
}

/// MAC algorithm 3, block by block. The value is the library's.
pub fn mac3(answer: &mut Answer, key: &TdesKey, padding: Padding, data: &[u8], name: &str) -> [u8; 8] {
    const CLAUSE: &str = "ISO/IEC 9797-1 MAC algorithm 3; EMV 4.4 Book 2, A1.2.1";
    let padded = padding.pad(data, 8);
    let words = match padding {
        Padding::Zeros => "Pad with zeros to whole blocks (method 1); whole blocks stay as they are",
        Padding::Bit => "Pad with 80 and zeros to whole blocks (method 2), always at least one byte",
        Padding::Length => "Pad with zeros and put the length in bits before (method 3)",
    };
    answer.step(Step::new(words, CLAUSE).with("data", in_blocks(data)).gives("padded", in_blocks(&padded)));
    let blocks = padded.as_chunks::<8>().0;
    let mut chain = [0; 8];
    for (number, block) in (1..).zip(blocks) {
        let input = xor(*block, chain);
        chain = key.left_encrypt(input);
        answer.step(
            Step::new(
                format!(
                    "Block {number} of {}: exclusive-or the block before, encipher with K1 (single DES)",
                    blocks.len()
                ),
                CLAUSE,
            )
            .with("block", hex_upper(block))
            .with("exclusive-or", hex_upper(&input))
            .gives(format!("H{number}"), hex_upper(&chain)),
        );
    }
    let deciphered = key.middle_decrypt(chain);
    answer.step(
        Step::new("Decipher the last one with K2", CLAUSE)
            .with("last", hex_upper(&chain))
            .gives("D(K2)", hex_upper(&deciphered)),
    );
    let mac = key.left_encrypt(deciphered);
    answer.step(
        Step::new("Encipher with K1", CLAUSE)
            .with("D(K2)", hex_upper(&deciphered))
            .gives(name, hex_upper(&mac)),
    );
    // The same from the library's own function; a difference would be caught by `Answer::ends_in`.
    retail_mac(key, [0; 8], padding, data)
}

/// Bytes in groups of eight.
pub fn in_blocks(data: &[u8]) -> String {
    if data.is_empty() {
        return "(none)".to_owned();
    }
    data.chunks(8).map(hex_upper).collect::<Vec<_>>().join(" ")
}

/// Key check value of a derived key, by the usual method.
pub fn kcv(key: &Secret, tdes: bool) -> Result<String, Failure> {
    let algorithm = match (tdes, key.len()) {
        (true, 24) => KeyAlgorithm::Tdes3,
        (true, _) => KeyAlgorithm::Tdes2,
        (false, 16) => KeyAlgorithm::Aes128,
        (false, 24) => KeyAlgorithm::Aes192,
        (false, _) => KeyAlgorithm::Aes256,
    };
    Ok(KcvMethod::usual(algorithm).compute(key, algorithm)?.to_string())
}

/// The longest check value, eight bytes, by the usual method.
pub fn long_kcv(key: &Secret, tdes: bool) -> Result<String, Failure> {
    Ok(if tdes {
        hex_upper(&TdesKey::new(key)?.encrypt_block([0; 8]))
    } else {
        let mac = emv_dataprep::crypto::mac::cmac_aes(key, &[&[0; 16]])?;
        hex_upper(&eight(&mac)?)
    })
}

/// As many characters of `long` as `given` has.
pub fn cut(long: &str, given: &str) -> Result<String, Failure> {
    let head = long.get(..given.len()).map(str::to_owned);
    head.ok_or_else(|| Failure::usage("the given value is longer than the computed one"))
}

/// AES-CMAC, block by block, and its leftmost eight bytes.
pub fn cmac_eight(answer: &mut Answer, key: &Secret, data: &[u8], name: &str) -> Result<(), Failure> {
    const CLAUSE: &str = "NIST SP 800-38B, RFC 4493; EMV 4.4 Book 2, A1.2.2";
    let cipher = AesKey::new(key)?;
    let l = cipher.encrypt_block([0; 16]);
    let k1 = doubled(l);
    let k2 = doubled(k1);
    answer.step(
        Step::new("Subkeys: L = E(zeros), K1 = L doubled, K2 = K1 doubled", CLAUSE)
            .with("key", hex_upper(key.expose()))
            .with("L", hex_upper(&l))
            .gives("K1 K2", format!("{} {}", hex_upper(&k1), hex_upper(&k2))),
    );
    let whole = !data.is_empty() && data.len().is_multiple_of(16);
    let padded = if whole { data.to_vec() } else { Padding::Bit.pad(data, 16) };
    let words = if whole {
        "Whole blocks: no padding, the last one with K1"
    } else {
        "Pad with 80 and zeros, the last block with K2"
    };
    let shown = padded.chunks(16).map(hex_upper).collect::<Vec<_>>().join(" ");
    answer.step(Step::new(words, CLAUSE).with("data", in_blocks(data)).gives("blocks", shown));
    let blocks = padded.as_chunks::<16>().0;
    let mut chain = [0; 16];
    for (number, block) in (1..).zip(blocks) {
        let mut input = emv_dataprep::crypto::aes::xor(*block, chain);
        let last = number == blocks.len();
        if last {
            input = emv_dataprep::crypto::aes::xor(input, if whole { k1 } else { k2 });
        }
        chain = cipher.encrypt_block(input);
        let words = if last {
            "exclusive-or the block before and the subkey, encipher"
        } else {
            "exclusive-or the block before, encipher"
        };
        answer.step(
            Step::new(format!("Block {number} of {}: {words}", blocks.len()), CLAUSE)
                .with("block", hex_upper(block))
                .with("exclusive-or", hex_upper(&input))
                .gives(format!("C{number}"), hex_upper(&chain)),
        );
    }
    answer.step(
        Step::new("The leftmost eight bytes", CLAUSE)
            .with("MAC", hex_upper(&chain))
            .gives(name, hex_upper(&eight(&chain)?)),
    );
    Ok(())
}

/// Doubling in GF(2^128).
fn doubled(block: [u8; 16]) -> [u8; 16] {
    let number = u128::from_be_bytes(block);
    let reduction = if number >> 127 == 1 { 0x87 } else { 0 };
    ((number << 1) ^ reduction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calc::card_key::{Diversifier, Session, explain_session};
    use emv_dataprep::issuer::cryptogram::application_cryptogram_aes;
    use proptest::prelude::*;

    proptest! {
        /// The steps of MACs lead to what the library computes.
        #[test]
        fn steps_of_macs(key: [u8; 16], data in prop::collection::vec(any::<u8>(), 0..70)) {
            let secret = Secret::copy_of(&key);
            let tdes = TdesKey::new(&secret).unwrap();
            for padding in [Padding::Zeros, Padding::Bit] {
                let mut answer = Answer::new("test");
                let mac = mac3(&mut answer, &tdes, padding, &data, "MAC");
                prop_assert!(answer.ends_in(&hex_upper(&mac)).is_ok());
            }
            let mut answer = Answer::new("test");
            prop_assert!(cmac_eight(&mut answer, &secret, &data, "MAC").is_ok());
            let mac = application_cryptogram_aes(&secret, &data).unwrap();
            prop_assert!(answer.ends_in(&hex_upper(&mac)).is_ok());
        }

        /// Both passes lead to the digits.
        #[test]
        fn steps_of_decimalization(block: [u8; 8], count in 1_usize..=16) {
            let mut answer = Answer::new("test");
            prop_assert!(decimal(&mut answer, "-", &block, count, "value").is_ok());
            let value = decimalize(&nibbles(&block), count).unwrap();
            prop_assert!(answer.ends_in(&value.to_text()).is_ok());
        }

        /// Session keys: `explain_session` itself refuses steps that lead elsewhere.
        #[test]
        fn steps_of_session_keys(key: [u8; 32], atc: [u8; 2], un: [u8; 4], ac: [u8; 8], iv: [u8; 16]) {
            let with = Diversifier { atc: Some(atc), un: Some(un), cryptogram: Some(ac), iv };
            let short = Secret::copy_of(&key[..16]);
            for session in [
                Session::Mk, Session::Csk, Session::CskAes, Session::Skd, Session::CskSm, Session::VisaSm, Session::CskSmAes,
                Session::Tree8, Session::Tree16,
            ] {
                prop_assert!(explain_session(&mut Answer::new("test"), session, &short, &with).is_ok());
            }
            for len in [24, 32] {
                let long = Secret::copy_of(&key[..len]);
                for session in [Session::CskAes, Session::CskSmAes] {
                    prop_assert!(explain_session(&mut Answer::new("test"), session, &long, &with).is_ok());
                }
            }
        }

        /// ICC master keys of every option and PAN length, and both passes of option B.
        #[test]
        fn steps_of_icc_master_keys(key: [u8; 32], pan in "[0-9]{12,19}", psn in "[0-9]{2}") {
            let (pan, psn) = (Pan::without_check(&pan).unwrap(), psn.parse().unwrap());
            for (option, len) in [
                (DerivationOption::A, 16), (DerivationOption::A, 24), (DerivationOption::B, 16), (DerivationOption::B, 24),
                (DerivationOption::C, 16), (DerivationOption::C, 24), (DerivationOption::C, 32),
            ] {
                let mut answer = Answer::new("test");
                let mk = icc_master_key(&mut answer, option, &Secret::copy_of(&key[..len]), &pan, psn);
                let mk = mk.ok().map(|k| hex_upper(k.expose())).unwrap_or_default();
                prop_assert!(answer.ends_in(&mk).is_ok());
            }
        }
    }
}

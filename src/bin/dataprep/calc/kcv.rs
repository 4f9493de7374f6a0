use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::tdes::{TdesKey, has_odd_parity, has_possibly_weak_part, has_weak_part};
use emv_dataprep::keys::{KcvMethod, KeyAlgorithm, KeyUse, is_known_test_key};
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::search::Found;
use super::source::KeyArgs;
use super::steps;
use crate::failure::Failure;

/// Key check values of a key by every method
#[derive(clap::Args)]
#[command(
    after_help = "A check value says nothing without its method: three are in use for AES keys alone.\n\n\
Example: dataprep calc kcv --test-key 0123456789ABCDEFFEDCBA9876543210"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    /// A check value to compare with (4 to 16 hexadecimal digits): says by which method it is right, exit code 3 if by none
    #[arg(long, value_name = "HEX")]
    check: Option<String>,
}

/// The input that a method enciphers, and its clause.
const fn about(method: KcvMethod) -> (&'static str, &'static str) {
    match method {
        KcvMethod::Tdes => ("TDES ECB of eight zero bytes, leftmost 3 bytes", "ANSI X9.24-1, ISO 11568"),
        KcvMethod::AesCmac => {
            ("AES CMAC of sixteen zero bytes, leftmost 5 bytes", "ANSI X9.24-1:2017, X9.143")
        }
        KcvMethod::AesEcb => ("AES ECB of sixteen zero bytes, leftmost 3 bytes", "older host modules"),
        KcvMethod::AesGp => {
            ("AES ECB of sixteen bytes 01, leftmost 3 bytes", "GlobalPlatform Amendment D, PUT KEY")
        }
        KcvMethod::TdesCmac => ("TDES CMAC of eight zero bytes, leftmost 5 bytes", "ANSI X9.143, optional"),
        KcvMethod::Hmac => {
            ("HMAC-SHA-256 of no data, leftmost 3 bytes", "this program; no standard names one")
        }
        _ => ("a method of its own", "-"),
    }
}

/// The algorithm that a method takes for a key of this length.
const fn algorithm(method: KcvMethod, len: usize) -> Option<KeyAlgorithm> {
    match (method, len) {
        (KcvMethod::Tdes | KcvMethod::TdesCmac, 16) => Some(KeyAlgorithm::Tdes2),
        (KcvMethod::Tdes | KcvMethod::TdesCmac, 24) => Some(KeyAlgorithm::Tdes3),
        (KcvMethod::AesCmac | KcvMethod::AesEcb | KcvMethod::AesGp, 16) => Some(KeyAlgorithm::Aes128),
        (KcvMethod::AesCmac | KcvMethod::AesEcb | KcvMethod::AesGp, 24) => Some(KeyAlgorithm::Aes192),
        (KcvMethod::AesCmac | KcvMethod::AesEcb | KcvMethod::AesGp, 32) => Some(KeyAlgorithm::Aes256),
        (KcvMethod::Hmac, 32) => Some(KeyAlgorithm::Hmac),
        _ => None,
    }
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("kcv");
    let given = args.check.as_deref().map(|c| arguments::hex("check", c)).transpose()?;
    if given.as_ref().is_some_and(|g| !(2..=8).contains(&g.len())) {
        return Err(arguments::wrong("check", "a check value of 2 to 8 bytes"));
    }
    let loaded = args.key.load(&args.common, KeyUse::ALL)?;
    let key = &loaded.key;
    answer.result("key", format!("{} bytes", key.len()));
    let mut right = Vec::new();
    let mut all = Vec::new();
    for method in KcvMethod::ALL {
        let Some(algorithm) = algorithm(*method, key.len()) else { continue };
        let kcv = method.compute(key, algorithm)?;
        if let Some(step) = step(*method, key, &kcv.to_string())? {
            answer.step(step);
            answer.ends_in(&kcv.to_string())?;
        }
        answer.result(method.name(), kcv.to_string());
        all.push(kcv.to_string());
        if let Some(given) = &given
            && method.verify(key, algorithm, &emv_dataprep::keys::Kcv::new(given)?).is_ok()
        {
            right.push(method.name());
        }
    }
    if all.is_empty() {
        return Err(Failure::refused("a key has 16, 24 or 32 bytes"));
    }
    notes(key, &mut answer);
    if let Some(given) = given {
        let given = hex_upper(&given);
        if right.is_empty() {
            let none = Found { mistakes: Vec::new(), tried: all.len(), chance: None };
            answer.check(&given, &all.join(" or "), || none);
        } else {
            answer.note(format!("{given} is the check value by {}", right.join(" and ")));
            answer.check(&given, &given, || Found { mistakes: Vec::new(), tried: 0, chance: None });
        }
    }
    Ok(answer)
}

/// The block operation of a method; CMAC and HMAC are one step as they stand.
fn step(method: KcvMethod, key: &Secret, kcv: &str) -> Result<Option<Step>, Failure> {
    let (words, clause) = about(method);
    let step = Step::new(words, clause).with("key", hex_upper(key.expose()));
    let whole = match method {
        KcvMethod::Tdes => hex_upper(&TdesKey::new(key)?.encrypt_block([0; 8])),
        KcvMethod::AesEcb => hex_upper(&AesKey::new(key)?.encrypt_block([0; 16])),
        KcvMethod::AesGp => hex_upper(&AesKey::new(key)?.encrypt_block([1; 16])),
        KcvMethod::AesCmac => hex_upper(&emv_dataprep::crypto::mac::cmac_aes(key, &[&[0; 16]])?),
        KcvMethod::TdesCmac => hex_upper(&emv_dataprep::crypto::mac::cmac_tdes(key, &[&[0; 8]])?),
        _ => return Ok(None),
    };
    let head = steps::cut(&whole, kcv)?;
    Ok(Some(step.with("whole result", whole).gives("KCV", head)))
}

fn notes(key: &Secret, answer: &mut Answer) {
    if is_known_test_key(key) {
        answer.note("the key is a published test key or a pattern");
    }
    if matches!(key.len(), 16 | 24) {
        if !has_odd_parity(key.expose()) {
            answer.note("as a DES key it has not odd parity; the check value does not depend on it");
        }
        if has_weak_part(key.expose()) {
            answer.note("as a DES key a part of it is weak or semi-weak");
        }
        if has_possibly_weak_part(key.expose()) {
            answer.note(
                "as a DES key a part of it is possibly weak: it gives four round keys instead of sixteen",
            );
        }
        let same = |a: &[u8], b: &[u8]| a.iter().zip(b).fold(0, |d, (x, y)| d | ((x ^ y) & 0xFE)) == 0;
        let parts: Vec<&[u8]> = key.expose().chunks(8).collect();
        if parts.windows(2).any(|pair| matches!(pair, [a, b] if same(a, b))) {
            answer.note("as a DES key two neighbouring parts are equal: it is single DES");
        }
    }
}

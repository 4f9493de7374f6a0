//! Kinds of `cvv.json`, `cvc3.json`, `pvv.json`, `icc_mk.json`.

use crate::card::{Pan, Pin, Psn};
use crate::crypto::tdes::TdesKey;
use crate::issuer::{DerivationOption, DigitValue, cvc3, cvv, decimal, icc_key, pvv};
use crate::keys::{KcvMethod, KeyAlgorithm};

use super::case::{Case, Computed, Outcome, Trouble};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "cvv" | "icvv" | "cvv2" | "cvv_second_pass" => card_value(case),
        "cavv_3ds1" => cavv(case),
        "dcvv" => dcvv(case),
        "decimalize" => decimalize(case),
        "pvv" | "pvv_second_pass" | "pvv_long_pin" => visa_pvv(case),
        "cvc3" => mastercard_cvc3(case),
        "cvc3_from_iv" => cvc3_from_iv(case),
        "icc_mk_a" => icc_mk(case, DerivationOption::A),
        "icc_mk_b" | "icc_mk_b_second_pass" => icc_mk(case, DerivationOption::B),
        "icc_mk_c" | "icc_mk_c_nonstandard_imk_len" => icc_mk(case, DerivationOption::C),
        _ => return None,
    })
}

/// Values 0 to 9 of a text of digits.
pub(super) fn digits(case: &Case<'_>, name: &str) -> Result<Vec<u8>, Trouble> {
    let wrong = || Trouble::Record(format!("input {name} is not decimal digits"));
    let digit = |c: char| c.to_digit(10).and_then(|d| u8::try_from(d).ok());
    case.text(name)?.chars().map(|c| digit(c).ok_or_else(wrong)).collect()
}

pub(super) fn some_digits<const N: usize>(case: &Case<'_>, name: &str) -> Result<[u8; N], Trouble> {
    digits(case, name)?
        .try_into()
        .map_err(|_| Trouble::Record(format!("input {name} has not the right number of digits")))
}

pub(super) fn pan(case: &Case<'_>) -> Result<Pan, Trouble> {
    Ok(Pan::without_check(case.text("pan")?)?)
}

pub(super) fn tdes(case: &Case<'_>, name: &str) -> Result<TdesKey, Trouble> {
    Ok(TdesKey::new(&case.secret(name)?)?)
}

/// An absent PSN is an empty text.
pub(super) fn psn(case: &Case<'_>) -> Result<Psn, Trouble> {
    match case.text("psn")? {
        "" => Ok(Psn::default()),
        text => Ok(text.parse()?),
    }
}

pub(super) fn option(case: &Case<'_>) -> Result<DerivationOption, Trouble> {
    match case.text("derivation")? {
        "A" => Ok(DerivationOption::A),
        "B" => Ok(DerivationOption::B),
        "C" => Ok(DerivationOption::C),
        _ => Err(Trouble::Record("input derivation is not A, B or C".to_owned())),
    }
}

fn text(value: &DigitValue) -> String {
    value.to_text().as_str().to_owned()
}

fn service_code(text: &str) -> Result<crate::card::ServiceCode, Trouble> {
    Ok(text.parse()?)
}

fn card_value(case: &Case<'_>) -> Outcome {
    let blocks =
        cvv::blocks(&pan(case)?, some_digits(case, "expiry")?, service_code(case.text("service_code")?)?)?;
    let count = if case.has("digits") { case.int("digits")? } else { 3 };
    let last = cvv::last_block(&tdes(case, "cvk")?, &blocks);
    let value = cvv::value(&last, usize::try_from(count).unwrap_or(usize::MAX))?;
    Ok(Computed::new().text("cvv", text(&value)).hex("block", &last))
}

fn cavv(case: &Case<'_>) -> Outcome {
    let code = service_code(&format!("{}{}", case.text("auth_result")?, case.text("second_factor")?))?;
    let number = some_digits(case, "unpredictable_number")?;
    let value = cvv::compute(&tdes(case, "cvk")?, &pan(case)?, number, code, cvv::DIGITS)?;
    Ok(Computed::new().text("cavv", text(&value)))
}

fn dcvv(case: &Case<'_>) -> Outcome {
    let pan = pan(case)?;
    let key = icc_key::derive(option(case)?, &case.secret("imk")?, &pan, psn(case)?)?;
    let (atc, expiry) = (some_digits(case, "atc_digits")?, some_digits(case, "expiry")?);
    let code = service_code(case.text("service_code")?)?;
    let value = cvv::dcvv(&TdesKey::new(&key)?, &pan, atc, expiry, code)?;
    Ok(Computed::new().text("dcvv", text(&value)).hex("icc_mk", key.expose()))
}

fn decimalize(case: &Case<'_>) -> Outcome {
    let count = usize::try_from(case.int("digits")?).unwrap_or(usize::MAX);
    let value = decimal::decimalize(&hex_digits(case)?, count)?;
    Ok(Computed::new().text("decimal", text(&value)))
}

/// Hexadecimal digits of the input `hex`, of any count.
pub(super) fn hex_digits(case: &Case<'_>) -> Result<Vec<u8>, Trouble> {
    let wrong = || Trouble::Record("input hex is not hexadecimal".to_owned());
    let digit = |c: char| c.to_digit(16).and_then(|d| u8::try_from(d).ok());
    case.text("hex")?.chars().map(|c| digit(c).ok_or_else(wrong)).collect()
}

fn visa_pvv(case: &Case<'_>) -> Outcome {
    let [pvki] = some_digits(case, "pvki")?;
    let tsp = pvv::tsp(&pan(case)?, pvki, &Pin::from_digits(&digits(case, "pin")?)?)?;
    let block = tdes(case, "pvk")?.encrypt_block(*tsp);
    let value = pvv::value(&block)?;
    Ok(Computed::new().text("pvv", text(&value)).hex("tsp", tsp.as_slice()).hex("block", &block))
}

fn mastercard_cvc3(case: &Case<'_>) -> Outcome {
    let key = icc_key::derive(option(case)?, &case.secret("imk_cvc3")?, &pan(case)?, psn(case)?)?;
    let cipher = TdesKey::new(&key)?;
    let iv = cvc3::ivcvc3(&cipher, &case.hex("track_data_hex")?);
    let all = text(&cvc3::cvc3(&cipher, iv, case.array("un")?, case.array("atc")?));
    let count = usize::try_from(case.int("digits")?).unwrap_or(usize::MAX);
    let kept = all.get(all.len().saturating_sub(count)..).unwrap_or_default().to_owned();
    Ok(Computed::new()
        .text("cvc3", kept)
        .text("cvc3_5", all)
        .hex("ivcvc3", &iv)
        .hex("icc_mk_cvc3", key.expose()))
}

fn cvc3_from_iv(case: &Case<'_>) -> Outcome {
    let key = tdes(case, "icc_mk_cvc3")?;
    let value = cvc3::cvc3(&key, case.array("ivcvc3")?, case.array("un")?, case.array("atc")?);
    Ok(Computed::new().text("cvc3", text(&value)))
}

fn icc_mk(case: &Case<'_>, option: DerivationOption) -> Outcome {
    let (imk, pan) = (case.secret("imk")?, digits(case, "pan")?);
    let len = if case.has("mk_length") { case.int("mk_length")? } else { imk.len() as u64 };
    let algorithm = match (option, len) {
        (DerivationOption::C, 16) => KeyAlgorithm::Aes128,
        (DerivationOption::C, 24) => KeyAlgorithm::Aes192,
        (DerivationOption::C, 32) => KeyAlgorithm::Aes256,
        (_, 16) => KeyAlgorithm::Tdes2,
        _ => return Err(Trouble::Record("no master key has this length".to_owned())),
    };
    let psn = psn(case)?;
    let block = icc_key::derivation_block_of_digits(option, &pan, psn);
    let key = icc_key::derive_from_block(&imk, algorithm, &block)?;
    let method = if algorithm.is_tdes() { KcvMethod::Tdes } else { KcvMethod::AesCmac };
    let kcv = method.of_bytes(&key)?;
    Ok(Computed::new()
        .hex("icc_mk", key.expose())
        .hex("y", block.expose())
        .hex("sha1", &hashed(&pan, psn))
        .hex_prefix("kcv", kcv.bytes())
        .hex_prefix("published_kcv", kcv.bytes()))
}

/// SHA-1 of PAN ‖ PSN, as option B takes it.
fn hashed(pan: &[u8], psn: Psn) -> [u8; 20] {
    let mut all = [pan, &psn.digits()].concat();
    if !all.len().is_multiple_of(2) {
        all.insert(0, 0);
    }
    crate::crypto::hash::sha1(&[&crate::bytes::pack_digits(&all, 0)])
}

//! Kinds of `session_keys.json`, `cryptograms.json`.

use crate::card::Pin;
use crate::crypto::mac::Padding;
use crate::crypto::tdes::TdesKey;
use crate::issuer::cryptogram::{
    self, AcSession, CryptogramVersion, application_cryptogram, application_cryptogram_aes,
};
use crate::issuer::pin_block::clear_block_with_fill;
use crate::issuer::script::{self, DataEncipherment, ScriptContext};
use crate::issuer::session_key::{self, Tree};
use crate::issuer::{PinBlockFormat, icc_key};
use crate::keys::KcvMethod;
use crate::secret::Secret;

use super::case::{Case, Computed, Outcome, Trouble};
use super::issuer::{digits, option, pan, psn, tdes};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "csk_tdes" => csk_tdes(case),
        "csk_aes" => csk_aes(case),
        "mc_skd" => mc_skd(case),
        "visa_sm_sk" => visa_sm(case),
        "emv2000_tree" => tree(case),
        "arqc" => arqc(case),
        "arqc_visa" => arqc_visa(case),
        "ac_mac" => ac_mac(case),
        "ac_aes_cmac8" => ac_aes(case),
        "arpc1" => arpc1(case),
        "arpc2" => arpc2(case),
        "script_pin_change" => script_pin_change(case),
        _ => return None,
    })
}

fn session(key: &Secret, method: KcvMethod) -> Outcome {
    let kcv = method.of_bytes(key)?;
    Ok(Computed::new()
        .hex("sk", key.expose())
        .hex_without_parity("published_without_parity_adjust", key.expose())
        .hex_prefix("kcv", kcv.bytes())
        .hex_prefix("published_kcv", kcv.bytes()))
}

fn csk_tdes(case: &Case<'_>) -> Outcome {
    session(&session_key::common_tdes(&case.secret("mk")?, case.array("r")?)?, KcvMethod::Tdes)
}

fn csk_aes(case: &Case<'_>) -> Outcome {
    session(&session_key::common_aes(&case.secret("mk")?, case.array("r")?)?, KcvMethod::AesCmac)
}

fn mc_skd(case: &Case<'_>) -> Outcome {
    let (atc, un) = (case.array("atc")?, case.array("un")?);
    let key = session_key::mastercard(&case.secret("mk")?, atc, un)?;
    Ok(session(&key, KcvMethod::Tdes)?.hex("r", &session_key::diversifier_mastercard(atc, un)))
}

fn visa_sm(case: &Case<'_>) -> Outcome {
    let key = session_key::visa_secure_messaging(&case.secret("mk")?, case.array("atc")?)?;
    session(&key, KcvMethod::Tdes)
}

fn tree(case: &Case<'_>) -> Outcome {
    let shape = match (case.int("height")?, case.int("branch")?) {
        (8, 4) => Tree::Height8,
        (16, 2) => Tree::Height16,
        _ => return Err(Trouble::Record("no tree has this shape".to_owned())),
    };
    let key = session_key::emv2000(&case.secret("mk")?, case.array("atc")?, shape, case.array("iv")?)?;
    session(&key, KcvMethod::Tdes)
}

fn padding(case: &Case<'_>) -> Result<Padding, Trouble> {
    match case.int("padding")? {
        1 => Ok(Padding::Zeros),
        2 => Ok(Padding::Bit),
        _ => Err(Trouble::Record("input padding is not 1 or 2".to_owned())),
    }
}

fn cryptogram(case: &Case<'_>, mk: &Secret, how: AcSession, padding: Padding) -> Outcome {
    let atc = case.array("atc")?;
    let sk = match how {
        AcSession::MasterKey => mk.duplicate(),
        AcSession::CommonTdes => session_key::common_tdes(mk, session_key::diversifier_tdes(atc))?,
        AcSession::Mastercard => session_key::mastercard(mk, atc, case.array("un")?)?,
        AcSession::CommonAes => session_key::common_aes(mk, session_key::diversifier_aes(atc))?,
    };
    let data = case.hex("data")?;
    let ac = match how {
        AcSession::CommonAes => application_cryptogram_aes(&sk, &data)?,
        _ => application_cryptogram(&TdesKey::new(&sk)?, padding, &data),
    };
    Ok(Computed::new().hex("ac", &ac).hex("icc_mk", mk.expose()).hex("sk", sk.expose()))
}

fn arqc(case: &Case<'_>) -> Outcome {
    let mk = icc_key::derive(option(case)?, &case.secret("imk")?, &pan(case)?, psn(case)?)?;
    let how = match case.text("session")? {
        "none" => AcSession::MasterKey,
        "mc" => AcSession::Mastercard,
        "csk" => AcSession::CommonTdes,
        _ => return Err(Trouble::Record("input session is not none, mc or csk".to_owned())),
    };
    cryptogram(case, &mk, how, padding(case)?)
}

/// The record names the version by its decimal number; the choices of the version must be those that it states.
fn arqc_visa(case: &Case<'_>) -> Outcome {
    let version = match case.text("cvn")? {
        "10" => CryptogramVersion::Visa0A,
        "17" => CryptogramVersion::Visa11,
        "18" => CryptogramVersion::Visa12,
        _ => return Err(Trouble::Record("input cvn is not known".to_owned())),
    };
    if version.padding() != padding(case)? {
        return Err(Trouble::Record("the cryptogram version pads in another way".to_owned()));
    }
    let derivation = crate::issuer::DerivationOption::A;
    let mk = icc_key::derive(derivation, &case.secret("imk")?, &pan(case)?, psn(case)?)?;
    cryptogram(case, &mk, version.session(), version.padding())
}

fn ac_mac(case: &Case<'_>) -> Outcome {
    let ac = application_cryptogram(&tdes(case, "sk")?, padding(case)?, &case.hex("data")?);
    Ok(Computed::new().hex("ac", &ac))
}

fn ac_aes(case: &Case<'_>) -> Outcome {
    let ac = application_cryptogram_aes(&case.secret("sk")?, &case.hex("data")?)?;
    Ok(Computed::new().hex("ac", &ac))
}

fn arpc1(case: &Case<'_>) -> Outcome {
    let arpc = cryptogram::arpc_method_1(&tdes(case, "sk")?, case.array("arqc")?, case.array("arc")?);
    Ok(Computed::new().hex("arpc", &arpc))
}

fn arpc2(case: &Case<'_>) -> Outcome {
    let (arqc, csu) = (case.array("arqc")?, case.array("csu")?);
    let arpc = cryptogram::arpc_method_2(&tdes(case, "sk")?, arqc, csu, &case.hex("prop_auth_data")?)?;
    Ok(Computed::new().hex("arpc", &arpc))
}

fn script_pin_change(case: &Case<'_>) -> Outcome {
    let pin = Pin::from_digits(&digits(case, "pin")?)?;
    let block = clear_block_with_fill(PinBlockFormat::Iso2, pin.expose(), &[], &[0xF; 14])?;
    let data = script::encipher(&tdes(case, "sk_smc")?, DataEncipherment::Plain, block.as_slice())?;
    let context = ScriptContext::Transaction { atc: case.array("atc")?, cryptogram: case.array("ac")? };
    let header = case.array("header")?;
    let mac = script::mac(&tdes(case, "sk_smi")?, header, context, &data, 8)?;
    Ok(Computed::new()
        .hex("encrypted_pin", &data)
        .hex("mac", &mac)
        .hex("mac_input", &script::mac_input(header, context, &data)))
}

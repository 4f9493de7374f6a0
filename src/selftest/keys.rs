//! Kinds of `kcv.json`, `tr31.json`, `scp.json`.

use serde_json::{Value, json};

use crate::bytes::from_hex;
use crate::crypto::tdes::TdesKey;
use crate::keys::{
    ChannelKey, Diversification, KcvMethod, Parity, PrivateJwk, PublicJwk, Scp02Key, Scp03Key,
    combine_components, jwe, tr31,
};
use crate::secret::Secret;

use super::case::{Case, Computed, Outcome, Trouble};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "kcv_tdes" => kcv(case, KcvMethod::Tdes),
        "kcv_tdes_cmac" => kcv(case, KcvMethod::TdesCmac),
        "kcv_aes_cmac" => kcv(case, KcvMethod::AesCmac),
        "kcv_aes_ecb" => kcv(case, KcvMethod::AesEcb),
        "kcv_aes_gp" => kcv(case, KcvMethod::AesGp),
        "key_components_xor" => key_components_xor(case),
        "cps_kmc_diversify_emv" => diversify(case, Diversification::EmvCps, "kmc", KcvMethod::Tdes),
        "visa2_diversify" => diversify(case, Diversification::Visa2, "master", KcvMethod::Tdes),
        "kdf3_diversify" => diversify(case, Diversification::Kdf3, "master", KcvMethod::AesGp),
        "scp02_session_key" => scp02_session_key(case),
        "scp02_key_encrypt" => scp02_key_encrypt(case),
        "scp03_session_key" => scp03_session_key(case),
        "tr31_unwrap" => tr31_unwrap(case),
        "tr31_kbpk_derive" => tr31_kbpk_derive(case),
        "tr31_reject" => case.secret("kbpk").and_then(|k| refusal(tr31::unwrap(&k, case.text("keyblock")?))),
        "tr31_header_reject" => case.text("header").and_then(|h| refusal(h.parse::<tr31::Header>())),
        "ecdh_es_concat_kdf" => ecdh_es(case),
        _ => return None,
    })
}

fn kcv(case: &Case<'_>, method: KcvMethod) -> Outcome {
    Ok(Computed::new().hex_prefix("kcv", method.of_bytes(&case.secret("key")?)?.bytes()))
}

fn key_components_xor(case: &Case<'_>) -> Outcome {
    let texts = case.texts("components")?;
    let parts = texts.iter().map(|t| from_hex(t).map(Secret::new)).collect::<Result<Vec<_>, _>>()?;
    key_and_kcv(&combine_components(&parts, Parity::Keep)?, KcvMethod::Tdes)
}

fn key_and_kcv(key: &Secret, method: KcvMethod) -> Outcome {
    Ok(Computed::new().hex("key", key.expose()).hex_prefix("kcv", method.of_bytes(key)?.bytes()))
}

fn diversify(case: &Case<'_>, method: Diversification, master: &str, kcv: KcvMethod) -> Outcome {
    let key = match case.text("key")? {
        "ENC" => ChannelKey::Enc,
        "MAC" => ChannelKey::Mac,
        "DEK" => ChannelKey::Dek,
        _ => return Err(no_such_key()),
    };
    key_and_kcv(&method.derive(&case.secret(master)?, &case.hex("kdd")?, key)?, kcv)
}

fn scp02_session_key(case: &Case<'_>) -> Outcome {
    let key = match case.text("key")? {
        "ENC" => Scp02Key::Enc,
        "MAC" | "CMAC" => Scp02Key::CMac,
        "RMAC" => Scp02Key::RMac,
        "DEK" => Scp02Key::Dek,
        _ => return Err(no_such_key()),
    };
    same_constant(case, &key.constant())?;
    key_and_kcv(&key.derive(&case.secret("static_key")?, case.array("sequence")?)?, KcvMethod::Tdes)
}

fn scp02_key_encrypt(case: &Case<'_>) -> Outcome {
    let dek = Scp02Key::Dek.derive(&case.secret("static_dek")?, case.array("sequence")?)?;
    let mut data = case.hex("key")?;
    TdesKey::new(&dek)?.encrypt_ecb(&mut data)?;
    Ok(Computed::new().hex("encrypted", &data).hex("session_dek", dek.expose()))
}

fn scp03_session_key(case: &Case<'_>) -> Outcome {
    let key = match case.text("key")? {
        "ENC" => Scp03Key::Enc,
        "MAC" => Scp03Key::Mac,
        "RMAC" => Scp03Key::RMac,
        _ => return Err(no_such_key()),
    };
    same_constant(case, &[key.constant()])?;
    key_and_kcv(&key.derive(&case.secret("static_key")?, &case.hex("context")?)?, KcvMethod::AesGp)
}

fn no_such_key() -> Trouble {
    Trouble::Record("input key names no key of this kind".to_owned())
}

/// The record names its key twice, by name and by constant: both must mean the same key.
fn same_constant(case: &Case<'_>, ours: &[u8]) -> Result<(), Trouble> {
    if case.hex("constant")? == ours {
        Ok(())
    } else {
        Err(Trouble::Record("input constant is not the constant of this key".to_owned()))
    }
}

/// No value: only the refusal counts.
fn refusal<T>(result: Result<T, crate::error::Error>) -> Outcome {
    result?;
    Ok(Computed::new())
}

fn tr31_unwrap(case: &Case<'_>) -> Outcome {
    let (kbpk, block) = (case.secret("kbpk")?, case.text("keyblock")?);
    let opened = tr31::open(&kbpk, block)?;
    let header = &opened.header;
    let blocks: Vec<Value> =
        header.optional_blocks().iter().map(|o| json!({"id": o.id(), "data": o.data()})).collect();
    let again = tr31::wrap_with_pad(&kbpk, header, &opened.key, &opened.pad)?;
    let payload = opened.key.len().saturating_add(opened.pad.len()).saturating_add(2);
    let payload = payload.saturating_add(header.version().mac_len()).saturating_mul(2);
    Ok(Computed::new()
        .hex("key", opened.key.expose())
        .hex("pad", &opened.pad)
        .text("version", header.version().to_string())
        .text("usage", header.usage().to_string())
        .text("algorithm", header.algorithm().to_string())
        .text("mode_of_use", header.mode().to_string())
        .text("key_version", header.key_version())
        .text("exportability", char::from(header.exportability().letter()).to_string())
        .text("header", header.encode(payload)?)
        .json("optional_blocks", Value::Array(blocks))
        .bool("rewrap_equal", again == block))
}

fn tr31_kbpk_derive(case: &Case<'_>) -> Outcome {
    let version = match case.text("version")? {
        "A/C" => tr31::Version::A,
        "B" => tr31::Version::B,
        "D" => tr31::Version::D,
        _ => return Err(Trouble::Record("input version is not A/C, B or D".to_owned())),
    };
    let keys = tr31::derive(&case.secret("kbpk")?, version)?;
    Ok(Computed::new().hex("kbek", keys.kbek.expose()).hex("kbak", keys.kbak.expose()))
}

/// RFC 7518, 4.6: the JWK of one side with its private part, the public JWK of the other.
fn ecdh_es(case: &Case<'_>) -> Outcome {
    let key = PrivateJwk::from_json(case.text("private_jwk")?.as_bytes())?;
    let peer = PublicJwk::from_json(case.text("public_jwk")?.as_bytes())?;
    let bits = u16::try_from(case.int("bits")?)
        .map_err(|_| Trouble::Record("input bits is too large".to_owned()))?;
    let (apu, apv) = (case.text("apu")?.as_bytes(), case.text("apv")?.as_bytes());
    let derived = jwe::agree(&key, &peer, case.text("algorithm")?, apu, apv, bits)?;
    Ok(Computed::new().hex("key", derived.expose()))
}

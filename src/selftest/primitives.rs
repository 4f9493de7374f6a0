//! Kinds of `aes.json`, `tdes.json`, `cmac.json`, and hash functions.

use crate::crypto::ed25519::Ed25519Private;
use crate::crypto::mac::{self, Padding};
use crate::crypto::{aead, aes::AesKey, hash, tdes};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

use super::case::{Case, Computed, Outcome, Trouble, texts};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "aes_ecb" => aes_ecb(case),
        "des_ecb" => des_ecb(case),
        "tdes2_ecb" => tdes_ecb(case, 16),
        "tdes3_ecb" => tdes_ecb(case, 24),
        "des_weak_keys" => des_weak_keys(case),
        "des_parity_adjust" => des_parity_adjust(case),
        "aes_cmac" => cmac(case, |key, msg| Ok(mac::cmac_aes(key, &[msg])?.to_vec())),
        "tdes_cmac" => cmac(case, |key, msg| Ok(mac::cmac_tdes(key, &[msg])?.to_vec())),
        "aes_cmac_verify" => aes_cmac_verify(case),
        "retail_mac" => iso_9797(case, mac::retail_mac),
        "tdes_cbc_mac" => iso_9797(case, mac::tdes_cbc_mac),
        "aes_ctr_booke" => aes_ctr(case),
        "sha1" => case.hex("msg").map(|m| Computed::new().hex("digest", &hash::sha1(&[&m]))),
        "sha256" => case.hex("msg").map(|m| Computed::new().hex("digest", &hash::sha256(&[&m]))),
        "hmac_sha256" => hmac_sha256(case),
        "aes_gcm" => aes_gcm(case),
        "ed25519_sign" => ed25519_sign(case),
        _ => return None,
    })
}

fn aes_ecb(case: &Case<'_>) -> Outcome {
    let (key, plain) = (AesKey::new(&case.secret("key")?)?, case.hex("plaintext")?);
    let mut data = plain.clone();
    key.encrypt_ecb(&mut data)?;
    let cipher = data.clone();
    key.decrypt_ecb(&mut data)?;
    inverse(data == plain)?;
    Ok(Computed::new().hex("ciphertext", &cipher))
}

/// Record encryption of EMV Contactless Book E: counter mode from a given starting value.
fn aes_ctr(case: &Case<'_>) -> Outcome {
    let (key, start) = (AesKey::new(&case.secret("key")?)?, case.array("sv")?);
    let mut data = case.hex("plaintext")?;
    key.apply_ctr(start, &mut data);
    Ok(Computed::new().hex("ciphertext", &data))
}

fn des_ecb(case: &Case<'_>) -> Outcome {
    let (key, plain) = (case.hex("key")?, case.array("plaintext")?);
    let cipher = tdes::des_encrypt_block(&key, plain)?;
    inverse(tdes::des_decrypt_block(&key, cipher)? == plain)?;
    Ok(Computed::new().hex("ciphertext", &cipher))
}

fn tdes_ecb(case: &Case<'_>, key_len: usize) -> Outcome {
    let (secret, plain) = (case.secret("key")?, case.hex("plaintext")?);
    if secret.len() != key_len {
        return Err(Trouble::Record("input key has another length than the kind says".to_owned()));
    }
    let key = tdes::TdesKey::new(&secret)?;
    let mut data = plain.clone();
    key.encrypt_ecb(&mut data)?;
    let cipher = data.clone();
    key.decrypt_ecb(&mut data)?;
    inverse(data == plain)?;
    Ok(Computed::new().hex("ciphertext", &cipher))
}

fn inverse(holds: bool) -> Result<()> {
    if holds { Ok(()) } else { Err(ErrorKind::Internal("deciphering does not undo enciphering").into()) }
}

/// The property: a weak key enciphers twice to the same block, and so do the two keys of a semi-weak pair. Our
/// own list must name each of them, and there are sixteen.
fn des_weak_keys(case: &Case<'_>) -> Outcome {
    let wrong = || Trouble::Record("input semi_weak_pairs is not pairs of texts".to_owned());
    let mut pairs: Vec<(&str, &str)> = case.texts("weak")?.into_iter().map(|k| (k, k)).collect();
    for pair in case.value("semi_weak_pairs")?.as_array().ok_or_else(wrong)? {
        let [a, b] = *texts(pair).ok_or_else(wrong)? else { return Err(wrong()) };
        pairs.push((a, b));
    }
    let block = [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF];
    let mut holds = pairs.len() == 10;
    for (a, b) in pairs {
        let (a, b) = (crate::bytes::from_hex(a)?, crate::bytes::from_hex(b)?);
        let twice = tdes::des_encrypt_block(&a, tdes::des_encrypt_block(&b, block)?)?;
        holds &= twice == block && tdes::has_weak_part(&a) && tdes::has_weak_part(&b);
    }
    Ok(Computed::new().holds("property", holds))
}

fn des_parity_adjust(case: &Case<'_>) -> Outcome {
    let mut key = case.hex("key")?;
    tdes::adjust_parity(&mut key);
    Ok(Computed::new().hex("key", &key))
}

fn cmac(case: &Case<'_>, compute: fn(&Secret, &[u8]) -> Result<Vec<u8>>) -> Outcome {
    let tag = compute(&case.secret("key")?, &case.hex("msg")?)?;
    Ok(Computed::new().hex_prefix("tag", &tag))
}

fn aes_cmac_verify(case: &Case<'_>) -> Outcome {
    let tag = mac::cmac_aes(&case.secret("key")?, &[&case.hex("msg")?])?;
    Ok(Computed::new().bool("valid", mac::equal(&tag, &case.hex("tag")?)))
}

type IsoMac = fn(&tdes::TdesKey, [u8; tdes::BLOCK], Padding, &[u8]) -> [u8; tdes::BLOCK];

fn iso_9797(case: &Case<'_>, compute: IsoMac) -> Outcome {
    let padding = match case.int("padding")? {
        1 => Padding::Zeros,
        2 => Padding::Bit,
        3 => Padding::Length,
        _ => return Err(Trouble::Record("input padding is not 1, 2 or 3".to_owned())),
    };
    let key = tdes::TdesKey::new(&case.secret("key")?)?;
    Ok(Computed::new().hex("mac", &compute(&key, [0; tdes::BLOCK], padding, &case.hex("msg")?)))
}

/// AES-256-GCM, sealed and opened again.
fn aes_gcm(case: &Case<'_>) -> Outcome {
    let (key, iv) = (case.secret("key")?, case.array("iv")?);
    let (header, plain) = (case.hex("aad")?, case.hex("plaintext")?);
    let sealed = aead::seal(&key, iv, &header, &plain)?;
    inverse(aead::open(&key, iv, &header, &sealed)?.expose() == plain)?;
    let (data, tag) = sealed.split_at_checked(plain.len()).unwrap_or_default();
    Ok(Computed::new().hex("ciphertext", data).hex("tag", tag))
}

/// A signature over `context ‖ 00 ‖ message`, verified again.
fn ed25519_sign(case: &Case<'_>) -> Outcome {
    let key = Ed25519Private::from_seed(&case.secret("seed")?)?;
    let (context, msg) = (case.text("context")?, case.hex("msg")?);
    let signature = key.sign(context, &msg);
    key.public().verify(context, &msg, &signature)?;
    Ok(Computed::new().hex("public_key", &key.public().to_bytes()).hex("signature", &signature))
}

fn hmac_sha256(case: &Case<'_>) -> Outcome {
    let tag = hash::hmac_sha256(&case.secret("key")?, &[&case.hex("msg")?]);
    Ok(Computed::new().hex("tag", &tag))
}

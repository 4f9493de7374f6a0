//! Kinds of `ecc.json`.

use crate::crypto::aes::AesKey;
use crate::crypto::ecsdsa::{EcCurve, EcPrivate};
use crate::issuer::ecc;

use super::case::{Case, Computed, Outcome, Trouble};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "ecc_issuer_cert_sign" | "ecc_icc_cert_sign" => sign(case),
        "aes_ctr_booke" => counter_mode(case),
        _ => return None,
    })
}

/// The signature must also verify with the public key alone.
fn sign(case: &Case<'_>) -> Outcome {
    let curve = match (case.text("curve")?, case.text("hash")?) {
        ("P-256", "sha256") => EcCurve::P256,
        ("P-521", "sha512") => EcCurve::P521,
        _ => return Err(Trouble::Record("no suite has this curve and hash".to_owned())),
    };
    let key = EcPrivate::new(curve, &case.secret("private_key")?)?;
    let message = case.hex("to_be_signed")?;
    let signature = key.sign_with(&message, &case.secret("k")?)?;
    key.public().verify(&message, &signature)?;
    Ok(Computed::new()
        .hex("signature", &signature)
        .hex("certificate", &[message.as_slice(), &signature].concat())
        .hex("signer_public_x", key.public().x())
        .hex("signer_public_y", &key.public().y()?))
}

fn counter_mode(case: &Case<'_>) -> Outcome {
    let key = AesKey::new(&case.secret("key")?)?;
    let cipher = ecc::aes_ctr(&key, case.array("sv")?, &case.hex("plaintext")?);
    Ok(Computed::new().hex("ciphertext", &cipher))
}

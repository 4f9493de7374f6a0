//! Kinds of `ecc.json`.

use crate::crypto::ecsdsa::{EcsdsaPrivate, EcsdsaPublic, Suite};

use super::case::{Case, Computed, Outcome, Trouble};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "ecc_issuer_cert_sign" | "ecc_icc_cert_sign" => certificate(case),
        _ => return None,
    })
}

/// The signature over a certificate's fields with the nonce given, then the whole certificate; the signature
/// verifies under the x-coordinate alone.
fn certificate(case: &Case<'_>) -> Outcome {
    let suite = match (case.text("curve")?, case.text("hash")?) {
        ("P-256", "sha256") => Suite::P256,
        ("P-521", "sha512") => Suite::P521,
        _ => return Err(Trouble::Record("inputs curve and hash are no suite".to_owned())),
    };
    let key = EcsdsaPrivate::new(suite, &case.secret("private_key")?)?;
    let message = case.hex("to_be_signed")?;
    let signature = key.sign_with_nonce(&case.secret("k")?, &message)?;
    EcsdsaPublic::from_x(suite, key.public().x())?.verify(&message, &signature)?;
    Ok(Computed::new()
        .hex("signature", &signature)
        .hex("certificate", &[message, signature.clone()].concat())
        .hex("signer_public_x", key.public().x())
        .hex("signer_public_y", key.public().y()))
}

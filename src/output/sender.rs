//! Who sent a sealed file: inside the envelope stands a compact JWS of the issuer's output key.
//!
//! The envelope's header says `cty` JWS then. The JWS says what the envelope's header says (batch, file, line, cards),
//! and for whom the envelope was made (`to`, the thumbprint of the recipient's key): what one recipient got cannot be
//! put into an envelope for another, or under another file's name.

use serde_json::{Map, Value};

use crate::crypto::ed25519::Ed25519Private;
use crate::error::{ErrorKind, Result};
use crate::keys::{PublicJwk, SigningPublicJwk, jws};
use crate::secret::Secret;

/// `cty` of an envelope whose contents are signed.
const CONTENT: &str = "JWS";
/// `typ` of the signature: one made for anything else is none of a sealed file.
const TYP: &str = "emv-dataprep-sealed+jws";

/// Whose signature is asked for when a sealed file is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Senders {
    /// Nobody's: an unsigned file is taken, and of a signed one only the form is checked.
    Anyone,
    /// One of these keys'. An unsigned file is refused, and so is one that another key signed.
    Only(Vec<SigningPublicJwk>),
}

/// The contents of an envelope: signed, and `cty` added to its header.
pub(super) fn sign(
    signer: &Ed25519Private,
    to: &PublicJwk,
    header: &mut Map<String, Value>,
    plaintext: &[u8],
) -> Result<Secret> {
    let mut members = header.clone();
    members.insert("to".to_owned(), Value::from(to.thumbprint()));
    header.insert("cty".to_owned(), Value::from(CONTENT));
    jws::sign(signer, TYP, &members, plaintext)
}

/// The contents of an opened envelope, and the `kid` of who signed them. `header` is the envelope's; what is left in it
/// is the label.
pub(super) fn open(
    senders: &Senders,
    to: &PublicJwk,
    header: &mut Map<String, Value>,
    contents: Secret,
) -> Result<(Secret, Option<String>)> {
    match header.remove("cty") {
        None if *senders == Senders::Anyone => return Ok((contents, None)),
        None => return Err(ErrorKind::Crypto("the contents are not signed").into()),
        Some(cty) if cty == CONTENT => {}
        Some(_) => return Err(ErrorKind::Unsupported("contents of this type").into()),
    }
    let signed = jws::Signed::read(contents.expose(), TYP)?;
    let kid = signed.kid().to_owned();
    let (mut members, payload) = match senders {
        Senders::Anyone => signed.unverified(),
        Senders::Only(keys) => {
            let key = keys.iter().find(|key| key.kid() == kid);
            let key = key.ok_or(ErrorKind::Crypto("the contents are signed by another sender"))?;
            signed.verify(key)?
        }
    };
    if members.remove("to") != Some(Value::from(to.thumbprint())) {
        return Err(ErrorKind::Value("the contents were signed for another recipient").into());
    }
    if members != *header {
        return Err(ErrorKind::Value("the contents were signed for another file, batch or line").into());
    }
    Ok((payload, Some(kid)))
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;

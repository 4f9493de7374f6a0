//! Compact JWS (RFC 7515) with EdDSA on Ed25519 (RFC 8037): who sent what stands in an envelope.
//!
//! ECDH-ES proves no sender. What is sealed is therefore signed first: header and payload are authenticated by the
//! sender's key, and the envelope goes around them. Only this form is read: a header says `alg` EdDSA, `kid`, `typ` and
//! private members, and nothing else.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};

use super::signing_jwk::SigningPublicJwk;
use super::strict_json;
use crate::crypto::ed25519::Ed25519Private;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Bytes of a protected header that is read.
const MAX_HEADER: usize = 4096;
/// Bytes of a signature.
const SIGNATURE: usize = 64;
/// The algorithm (RFC 8037, 3.1).
const ALG: &str = "EdDSA";

/// The registered header members (RFC 7515, 4.1; RFC 7797): no private one has such a name, and no header that is read
/// has one of them beside `alg`, `kid` and `typ`.
const REGISTERED: [&str; 12] =
    ["alg", "kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

/// Signs `payload`. `private_members` stand in the protected header beside `alg`, `kid` (the key's thumbprint) and
/// `typ`. The result holds the payload in base64url, so it is as secret as that.
///
/// # Errors
/// [`ErrorKind::Value`] for a private member by a registered name; [`ErrorKind::Length`] for a header above 4 KiB.
///
/// ```
/// use emv_dataprep::crypto::ed25519::Ed25519Private;
/// use emv_dataprep::keys::{SigningPublicJwk, jws};
/// use emv_dataprep::secret::Secret;
/// let key = Ed25519Private::from_seed(&Secret::copy_of(&[1; 32]))?;
/// let signed = jws::sign(&key, "example", &serde_json::Map::new(), b"a card")?;
/// let read = jws::Signed::read(signed.expose(), "example")?;
/// let sender = SigningPublicJwk::new(key.public());
/// assert_eq!(read.kid(), sender.kid());
/// assert_eq!(read.verify(&sender)?.1.expose(), b"a card");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn sign(
    key: &Ed25519Private,
    typ: &str,
    private_members: &Map<String, Value>,
    payload: &[u8],
) -> Result<Secret> {
    if REGISTERED.iter().any(|name| private_members.contains_key(*name)) {
        return Err(ErrorKind::Value("a private header member has a registered name").into());
    }
    let mut header = private_members.clone();
    header.insert("alg".to_owned(), json!(ALG));
    header.insert("kid".to_owned(), json!(SigningPublicJwk::new(key.public()).kid()));
    header.insert("typ".to_owned(), json!(typ));
    let header = Value::Object(header).to_string();
    if header.len() > MAX_HEADER {
        return Err(ErrorKind::Length { expected: "at most 4096", found: header.len(), unit: "bytes" }.into());
    }
    let first = Base64UrlUnpadded::encoded_len(header.as_bytes());
    let second = Base64UrlUnpadded::encoded_len(payload);
    let third = Base64UrlUnpadded::encoded_len(&[0; SIGNATURE]);
    let too_long = || Error::new(ErrorKind::Internal("a signed text of this length"));
    let signed = first.checked_add(1).and_then(|n| n.checked_add(second)).ok_or_else(too_long)?;
    let len = signed.checked_add(1).and_then(|n| n.checked_add(third)).ok_or_else(too_long)?;
    Secret::filled(len, |out| {
        let (input, rest) = out.split_at_mut_checked(signed).ok_or_else(too_long)?;
        let (head, body) = input.split_at_mut_checked(first).ok_or_else(too_long)?;
        write(header.as_bytes(), head)?;
        let (dot, body) = body.split_first_mut().ok_or_else(too_long)?;
        *dot = b'.';
        write(payload, body)?;
        let signature = key.sign_plain(input);
        let (dot, rest) = rest.split_first_mut().ok_or_else(too_long)?;
        *dot = b'.';
        write(&signature, rest)
    })
}

fn write(bytes: &[u8], out: &mut [u8]) -> Result<()> {
    let written = Base64UrlUnpadded::encode(bytes, out);
    written.map(|_| ()).map_err(|_| ErrorKind::Internal("base64url of this length").into())
}

/// A compact JWS whose form is good. Nothing is verified before [`Signed::verify`].
pub struct Signed<'a> {
    /// What is signed: header and payload in base64url.
    input: &'a [u8],
    kid: String,
    private_members: Map<String, Value>,
    payload: Secret,
    signature: [u8; SIGNATURE],
}

impl<'a> Signed<'a> {
    /// Reads the compact form.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless there are three parts in base64url without padding, a header of at most 4 KiB with
    /// `alg` EdDSA, a `kid`, the given `typ` and no other registered member (so no `crit`, no `b64`, no key of its own),
    /// no member twice, and a signature of 64 bytes.
    pub fn read(compact: &'a [u8], typ: &str) -> Result<Self> {
        Self::parts(compact, typ).ok_or_else(|| ErrorKind::Format("a compact JWS of this program").into())
    }

    fn parts(compact: &'a [u8], typ: &str) -> Option<Self> {
        let last = compact.iter().rposition(|b| *b == b'.')?;
        let (input, signature) = (compact.get(..last)?, compact.get(last.checked_add(1)?..)?);
        let first = input.iter().position(|b| *b == b'.')?;
        let (header, payload) = (input.get(..first)?, input.get(first.checked_add(1)?..)?);
        if header.len() > MAX_HEADER.saturating_mul(2) {
            return None;
        }
        let header = decoded(header)?;
        if header.len() > MAX_HEADER {
            return None;
        }
        let mut members = strict_json::object(header.expose()).ok()?;
        let mut text = |name: &str| match members.remove(name)? {
            Value::String(text) => Some(text),
            _ => None,
        };
        if text("alg")? != ALG || text("typ")? != typ {
            return None;
        }
        let kid = text("kid")?;
        if REGISTERED.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        Some(Self {
            input,
            kid,
            private_members: members,
            payload: decoded(payload)?,
            signature: decoded(signature)?.expose().try_into().ok()?,
        })
    }

    /// The `kid` that the header names.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private header members and the payload, if the signature is this key's and the header names it.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] otherwise.
    pub fn verify(self, key: &SigningPublicJwk) -> Result<(Map<String, Value>, Secret)> {
        if self.kid != key.kid() {
            return Err(ErrorKind::Crypto("the signature is another key's").into());
        }
        key.key().verify_plain(self.input, &self.signature)?;
        Ok((self.private_members, self.payload))
    }

    /// The private header members and the payload, by whomever. For readers that know no sender.
    #[must_use]
    pub fn unverified(self) -> (Map<String, Value>, Secret) {
        (self.private_members, self.payload)
    }
}

impl std::fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed(by {:?}, {} bytes)", self.kid, self.payload.len())
    }
}

/// The bytes of one part, in a buffer that is wiped.
fn decoded(part: &[u8]) -> Option<Secret> {
    // Four characters are three bytes, and a rest of two or three is one or two.
    let len = part.len().checked_mul(3)? / 4;
    let decode = |out: &mut [u8]| match Base64UrlUnpadded::decode(part, out) {
        Ok(read) if read.len() == len => Ok(()),
        _ => Err(()),
    };
    Secret::filled(len, decode).ok()
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;

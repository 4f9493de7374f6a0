use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::{PublicKey, SecretKey};
use serde_json::{Map, Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::strict_json;
use crate::crypto::hash::sha256;
use crate::crypto::rng::StreamRng;
use crate::error::{ErrorKind, Place, Result};

/// Bytes of a coordinate and of a private key on P-256.
const FIELD: usize = 32;

/// A public key on P-256 as a JSON Web Key (RFC 7517, RFC 7518 section 6.2), with the `kid` that names it.
///
/// ```
/// use emv_dataprep::keys::PublicJwk;
/// // RFC 7518, appendix C: Bob's key.
/// let text = r#"{"kty":"EC","crv":"P-256","kid":"bob","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
///   "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;
/// let key = PublicJwk::from_json(text.as_bytes())?;
/// assert_eq!(key.kid(), "bob");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicJwk {
    kid: String,
    pub(super) point: PublicKey,
}

impl PublicJwk {
    /// Reads a public JWK. Members that this use does not need are ignored (RFC 7517, section 4).
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless it is one JSON object with `kty` EC, `crv` P-256, `kid` of 1 to 128
    /// characters, and `x` and `y` of a point on the curve; [`ErrorKind::KeyUsage`] for a `use`, `alg` or `key_ops` of
    /// another purpose; [`ErrorKind::KeyRefused`] for a key that carries its private part.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let mut members = strict_json::object(text)?;
        let private = take_private(&mut members).is_some();
        if private {
            return Err(ErrorKind::KeyRefused("a private key where a public one is expected").into());
        }
        Self::from_members(&members)
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self> {
        let text = |name: &str| members.get(name).map(|v| v.as_str().unwrap_or("\0"));
        if text("use").is_some_and(|u| u != "enc")
            || text("alg").is_some_and(|a| a != "ECDH-ES")
            || !members.get("key_ops").is_none_or(derives)
        {
            return Err(ErrorKind::KeyUsage.into());
        }
        let kid = text("kid").filter(|k| (1..=128).contains(&k.chars().count()) && *k != "\0");
        let kid = kid.ok_or(ErrorKind::Missing("kid"))?.to_owned();
        Ok(Self { kid, point: point(members)? })
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut members = point_members(&self.point);
        members.insert("kid".to_owned(), json!(self.kid));
        Value::Object(members).to_string()
    }

    /// SHA-256 over the required members in their order (RFC 7638): 43 characters of base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // serde_json keeps members in the order of their names: the order that the RFC asks for.
        let text = Value::Object(point_members(&self.point)).to_string();
        Base64UrlUnpadded::encode_string(&sha256(&[text.as_bytes()]))
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicJwk({:?})", self.kid)
    }
}

/// A private key on P-256 as a JSON Web Key. Wiped when dropped.
pub struct PrivateJwk {
    public: PublicJwk,
    pub(super) secret: SecretKey,
}

impl PrivateJwk {
    /// Reads a private JWK; the public part must be the one of `d`.
    ///
    /// # Errors
    /// As [`PublicJwk::from_json`]; [`ErrorKind::Missing`] without `d`; [`ErrorKind::KeyRefused`] if `d` is not a
    /// private key on the curve or belongs to another public key.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let mut members = strict_json::object(text)?;
        let d = take_private(&mut members).ok_or(ErrorKind::Missing("d"))?;
        let public = PublicJwk::from_members(&members)?;
        let refused = || ErrorKind::KeyRefused("d is not a private key on P-256");
        let mut bytes = Zeroizing::new([0; FIELD]);
        let read = Base64UrlUnpadded::decode(d.as_bytes(), bytes.as_mut_slice()).map_err(|_| refused())?;
        if read.len() != FIELD {
            return Err(refused().into());
        }
        let secret = SecretKey::from_slice(bytes.as_slice()).map_err(|_| refused())?;
        if secret.public_key() != public.point {
            return Err(ErrorKind::KeyRefused("d is of another public key").into());
        }
        Ok(Self { public, secret })
    }

    /// A fresh key from `rng`, named by its thumbprint.
    #[must_use]
    pub fn generate(rng: &mut StreamRng) -> Self {
        let secret = random_secret(rng);
        let mut public = PublicJwk { kid: String::new(), point: secret.public_key() };
        public.kid = public.thumbprint();
        Self { public, secret }
    }

    /// The same key by another name.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `kid` is 1 to 128 characters.
    pub fn with_kid(mut self, kid: &str) -> Result<Self> {
        let found = kid.chars().count();
        if !(1..=128).contains(&found) {
            return Err(ErrorKind::Length { expected: "1 to 128", found, unit: "characters" }.into());
        }
        kid.clone_into(&mut self.public.kid);
        Ok(self)
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// The key as one line of JSON, wiped when dropped: for the file of its holder.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut secret = self.secret.to_bytes();
        let d = Zeroizing::new(Base64UrlUnpadded::encode_string(&secret));
        secret.as_mut_slice().zeroize();
        let public = self.public.to_json();
        let open = public.strip_suffix('}').unwrap_or(&public);
        let mut out = Zeroizing::new(String::with_capacity(open.len().saturating_add(64)));
        out.push_str(open);
        out.push_str(",\"d\":\"");
        out.push_str(&d);
        out.push_str("\"}");
        out
    }
}

impl fmt::Debug for PrivateJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateJwk({:?})", self.public.kid)
    }
}

/// A private key: 32 bytes of `rng`, drawn again for the numbers outside 1 to n - 1.
pub(super) fn random_secret(rng: &mut StreamRng) -> SecretKey {
    loop {
        let bytes = Zeroizing::new(rng.bytes::<FIELD>());
        if let Ok(secret) = SecretKey::from_slice(bytes.as_slice()) {
            return secret;
        }
    }
}

/// `crv`, `kty`, `x`, `y` of a point.
pub(super) fn point_members(point: &PublicKey) -> Map<String, Value> {
    let bytes = point.to_sec1_bytes();
    // 04 ‖ x ‖ y: p256 does not compress unless asked.
    let part = |from: usize| {
        let to = from.saturating_add(FIELD);
        Base64UrlUnpadded::encode_string(bytes.get(from..to).unwrap_or_default())
    };
    let mut members = Map::new();
    members.insert("crv".to_owned(), json!("P-256"));
    members.insert("kty".to_owned(), json!("EC"));
    members.insert("x".to_owned(), json!(part(1)));
    members.insert("y".to_owned(), json!(part(FIELD.saturating_add(1))));
    members
}

/// The point of `kty`, `crv`, `x`, `y`; it is on the curve and not at infinity.
pub(super) fn point(members: &Map<String, Value>) -> Result<PublicKey> {
    let text = |name: &'static str| members.get(name).and_then(Value::as_str).ok_or(ErrorKind::Missing(name));
    if text("kty")? != "EC" || text("crv")? != "P-256" {
        return Err(ErrorKind::Unsupported("a key type other than EC on P-256").into());
    }
    let mut sec1 = [0_u8; 65];
    let (tag, xy) = sec1.split_at_mut(1);
    let (x, y) = xy.split_at_mut(FIELD);
    tag.fill(4);
    for (name, out) in [("x", x), ("y", y)] {
        let read = Base64UrlUnpadded::decode(text(name)?, out).map(<[u8]>::len);
        if read.ok() != Some(FIELD) {
            return Err(ErrorKind::Format("32 bytes in base64url")).at(name);
        }
    }
    PublicKey::from_sec1_bytes(&sec1)
        .map_err(|_| ErrorKind::KeyRefused("the point is not on the curve").into())
}

/// Whether `key_ops` allows key agreement only (RFC 7517, 4.3). Many exporters leave it empty for a public key, which
/// by itself does nothing.
fn derives(operations: &Value) -> bool {
    let known = |op: &Value| op == "deriveKey" || op == "deriveBits";
    let once = |ops: &Vec<Value>| ops.len() < 2 || (ops.len() == 2 && ops.first() != ops.last());
    operations.as_array().is_some_and(|ops| ops.iter().all(known) && once(ops))
}

/// Takes `d` out of the members; the text is wiped when dropped.
fn take_private(members: &mut Map<String, Value>) -> Option<Zeroizing<String>> {
    match members.remove("d")? {
        Value::String(d) => Some(Zeroizing::new(d)),
        _ => Some(Zeroizing::new(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};

    fn rng() -> StreamRng {
        Seed::fixed([3; 32]).named_stream(b"jwk", Purpose::TestIssuer).rng()
    }

    const BOB: &str = r#"{"kty":"EC","crv":"P-256","kid":"bob","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#;

    #[test]
    fn what_is_written_is_read() {
        let key = PrivateJwk::generate(&mut rng());
        let again = PrivateJwk::from_json(key.to_json().as_bytes()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(*again.to_json(), *key.to_json());
        assert_eq!(PublicJwk::from_json(key.public().to_json().as_bytes()).unwrap(), *key.public());
        assert_eq!(key.public().kid().len(), 43);
        assert_eq!(key.with_kid("other").unwrap().public().kid(), "other");
    }

    /// RFC 7518 appendix C: d belongs to x and y.
    #[test]
    fn a_published_key_is_read() {
        let bob = PrivateJwk::from_json(BOB.as_bytes()).unwrap();
        let read: Value = serde_json::from_str(&bob.to_json()).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(BOB).unwrap());
    }

    #[test]
    fn strict_reading() {
        assert!(PublicJwk::from_json(BOB.as_bytes()).is_err(), "a private key is no public key");
        let change = |from: &str, to: &str| {
            assert!(BOB.contains(from));
            PrivateJwk::from_json(BOB.replace(from, to).as_bytes()).map(|_| ())
        };
        assert!(change("\"bob\"", "\"alice\"").is_ok());
        assert!(
            change("\"kid\":\"bob\"", "\"kid\":\"bob\",\"use\":\"enc\",\"alg\":\"ECDH-ES\",\"x5c\":[]")
                .is_ok()
        );
        for ops in ["[]", r#"["deriveKey"]"#, r#"["deriveBits","deriveKey"]"#] {
            assert!(
                change("\"kid\":\"bob\"", &format!("\"kid\":\"bob\",\"key_ops\":{ops}")).is_ok(),
                "{ops}"
            );
        }
        for (from, to) in [
            ("\"kid\":\"bob\"", "\"kid\":\"bob\",\"use\":\"sig\""),
            ("\"kid\":\"bob\"", "\"kid\":\"bob\",\"alg\":\"ES256\""),
            ("\"kid\":\"bob\"", "\"kid\":\"bob\",\"kid\":\"bob\""),
            ("\"kid\":\"bob\",", ""),
            ("\"bob\"", "\"\""),
            ("\"bob\"", "7"),
            ("EC", "RSA"),
            ("P-256", "P-384"),
            ("\"kid\":\"bob\"", "\"kid\":\"bob\",\"key_ops\":[\"sign\"]"),
            ("\"kid\":\"bob\"", "\"kid\":\"bob\",\"key_ops\":[\"deriveKey\",\"deriveKey\"]"),
            ("\"kid\":\"bob\"", "\"kid\":\"bob\",\"key_ops\":\"deriveKey\""),
            ("_PxMQ", "_PxMR"),
            ("_PxMQ", "_PxM"),
            ("_PxMQ", "_PxMQ="),
            ("weNJ", "xeNJ"),
            ("fUqdw", "fUqd"),
            ("VEmDZ", "WEmDZ"),
            (
                r#""d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw""#,
                r#""d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#,
            ),
            (r#""d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw""#, r#""d":7"#),
        ] {
            assert!(change(from, to).is_err(), "{from} as {to}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_members_are_read_or_refused(x in "[A-Za-z0-9_-]{40,46}", kid in ".{0,5}", bytes: Vec<u8>) {
            let text = json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": x, "d": x}).to_string();
            proptest::prop_assert!(PrivateJwk::from_json(text.as_bytes()).is_err());
            proptest::prop_assert!(PublicJwk::from_json(&bytes).is_err());
        }
    }

    #[test]
    fn debug_shows_the_name_only() {
        let bob = PrivateJwk::from_json(BOB.as_bytes()).unwrap();
        assert_eq!(format!("{bob:?} {:?}", bob.public()), "PrivateJwk(\"bob\") PublicJwk(\"bob\")");
    }
}

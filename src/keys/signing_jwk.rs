use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};

use super::strict_json;
use crate::crypto::ed25519::Ed25519Public;
use crate::crypto::hash::sha256;
use crate::error::{ErrorKind, Result};

/// An Ed25519 public key as a JSON Web Key (RFC 8037, section 2), named by its thumbprint: who sends sealed files.
///
/// ```
/// use emv_dataprep::keys::SigningPublicJwk;
/// // RFC 8037, appendix A.2 and A.3.
/// let text = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let key = SigningPublicJwk::from_json(text.as_bytes())?;
/// assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SigningPublicJwk {
    kid: String,
    key: Ed25519Public,
}

impl SigningPublicJwk {
    /// The JWK of a key.
    #[must_use]
    pub fn new(key: Ed25519Public) -> Self {
        // serde_json keeps members in the order of their names: the order that RFC 7638 asks for.
        let text = Value::Object(members(&key)).to_string();
        Self { kid: Base64UrlUnpadded::encode_string(&sha256(&[text.as_bytes()])), key }
    }

    /// Reads a public JWK. Members that this use does not need are ignored (RFC 7517, section 4).
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless it is one JSON object with `kty` OKP, `crv` Ed25519 and `x` of a good key;
    /// [`ErrorKind::Value`] for a `kid` that is not its thumbprint (RFC 7638); [`ErrorKind::KeyUsage`] for a `use`,
    /// `alg` or `key_ops` of another purpose; [`ErrorKind::KeyRefused`] for a key that carries its private part.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let mut members = strict_json::object(text)?;
        if let Some(private) = members.remove("d") {
            if let Value::String(text) = private {
                drop(zeroize::Zeroizing::new(text));
            }
            return Err(ErrorKind::KeyRefused("a private key where a public one is expected").into());
        }
        let text = |name: &str| members.get(name).map(|v| v.as_str().unwrap_or("\0"));
        if text("kty") != Some("OKP") || text("crv") != Some("Ed25519") {
            return Err(ErrorKind::Unsupported("a key type other than OKP on Ed25519").into());
        }
        let operations = members.get("key_ops").map(|ops| ops == &json!(["verify"]));
        if text("use").is_some_and(|u| u != "sig")
            || text("alg").is_some_and(|a| a != "EdDSA" && a != "Ed25519")
            || operations == Some(false)
        {
            return Err(ErrorKind::KeyUsage.into());
        }
        let mut bytes = [0; 32];
        let x = text("x").ok_or(ErrorKind::Missing("x"))?;
        let read = Base64UrlUnpadded::decode(x, &mut bytes).map(<[u8]>::len);
        if read.ok() != Some(bytes.len()) {
            return Err(ErrorKind::Format("32 bytes in base64url").into());
        }
        let key = Self::new(Ed25519Public::from_bytes(&bytes)?);
        if text("kid").is_some_and(|kid| kid != key.kid) {
            return Err(ErrorKind::Value("kid: the key's thumbprint is expected").into());
        }
        Ok(key)
    }

    /// Its thumbprint (RFC 7638, RFC 8037 appendix A.3): 43 characters of base64url.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &Ed25519Public {
        &self.key
    }

    /// The key as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut members = members(&self.key);
        members.insert("alg".to_owned(), json!("EdDSA"));
        members.insert("kid".to_owned(), json!(self.kid));
        members.insert("use".to_owned(), json!("sig"));
        Value::Object(members).to_string()
    }
}

impl fmt::Debug for SigningPublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningPublicJwk({:?})", self.kid)
    }
}

fn members(key: &Ed25519Public) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("crv".to_owned(), json!("Ed25519"));
    members.insert("kty".to_owned(), json!("OKP"));
    members.insert("x".to_owned(), json!(Base64UrlUnpadded::encode_string(&key.to_bytes())));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.2.
    const PUBLISHED: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn what_is_written_is_read() {
        let key = SigningPublicJwk::from_json(PUBLISHED.as_bytes()).unwrap();
        assert_eq!(SigningPublicJwk::from_json(key.to_json().as_bytes()).unwrap(), key);
        assert_eq!(format!("{key:?}"), format!("SigningPublicJwk({:?})", key.kid()));
    }

    #[test]
    fn strict_reading() {
        let with = |more: &str| {
            SigningPublicJwk::from_json(PUBLISHED.replacen('{', &format!("{{{more},"), 1).as_bytes())
        };
        for good in [
            r#""kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k""#,
            r#""use":"sig","alg":"EdDSA","key_ops":["verify"]"#,
            r#""alg":"Ed25519","x5c":[]"#,
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            r#""kid":"mine""#,
            r#""kid":7"#,
            r#""use":"enc""#,
            r#""alg":"HS256""#,
            r#""key_ops":["sign"]"#,
            r#""key_ops":"verify""#,
            r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#,
            r#""kty":"OKP""#,
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
        for (from, to) in
            [("OKP", "EC"), ("Ed25519", "X25519"), ("HURo", "HUR"), ("HURo", "HURo="), ("\"x\"", "\"y\"")]
        {
            let changed = PUBLISHED.replace(from, to);
            assert!(SigningPublicJwk::from_json(changed.as_bytes()).is_err(), "{changed}");
        }
        // The identity: anybody could sign.
        let weak = PUBLISHED
            .replace("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", &format!("AQ{}", "A".repeat(41)));
        assert!(SigningPublicJwk::from_json(weak.as_bytes()).is_err());
    }
}

use serde_json::Value;

use super::jwk::PublicJwk;
use super::strict_json;
use crate::error::{ErrorKind, Result};

/// Most keys of a set that are looked at.
const MOST: usize = 100;

impl PublicJwk {
    /// Chooses a key out of what a partner hands over: one public JWK, or a JWK set `{"keys":[…]}` (RFC 7517, section 5).
    ///
    /// Keys of a set for another purpose (another `kty`, `crv`, `use`, `alg` or `key_ops`) are passed over, as the RFC
    /// asks. Without `kid` exactly one must be left.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything else than a JWK or a set; [`ErrorKind::Missing`] if no key is left;
    /// [`ErrorKind::Duplicate`] if more than one is; [`ErrorKind::KeyRefused`] if any key carries its private part:
    /// then the file came by a wrong way.
    ///
    /// ```
    /// use emv_dataprep::keys::PublicJwk;
    /// let set = br#"{"keys":[{"kty":"oct","kid":"other","k":"AA"},
    ///   {"kty":"EC","crv":"P-256","kid":"bob","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
    ///    "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}]}"#;
    /// assert_eq!(PublicJwk::choose(set, Some("bob"))?.kid(), "bob");
    /// assert!(PublicJwk::choose(set, Some("alice")).is_err());
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn choose(text: &[u8], kid: Option<&str>) -> Result<Self> {
        let mut members = strict_json::object(text)?;
        let Some(keys) = members.remove("keys") else {
            let key = Self::from_json(text)?;
            return if kid.is_none_or(|kid| kid == key.kid()) {
                Ok(key)
            } else {
                Err(ErrorKind::Missing("a key of this kid").into())
            };
        };
        let Value::Array(keys) = keys else { return Err(ErrorKind::Format("a JWK set").into()) };
        if keys.len() > MOST {
            return Err(ErrorKind::Length { expected: "at most 100", found: keys.len(), unit: "keys" }.into());
        }
        let mut found: Option<Self> = None;
        for key in keys {
            let text = zeroize::Zeroizing::new(key.to_string());
            let key = match Self::from_json(text.as_bytes()) {
                Ok(key) => key,
                Err(e) if matches!(e.kind(), ErrorKind::KeyRefused(_)) => return Err(e),
                Err(_) => continue,
            };
            if kid.is_none_or(|kid| kid == key.kid()) && found.replace(key).is_some() {
                return Err(ErrorKind::Duplicate("a key that could be meant").into());
            }
        }
        found.ok_or_else(|| ErrorKind::Missing("a key of this kid for ECDH-ES on P-256").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::keys::PrivateJwk;

    fn made(kid: &str) -> PrivateJwk {
        let mut rng = Seed::fixed([5; 32]).named_stream(kid.as_bytes(), Purpose::TestIssuer).rng();
        PrivateJwk::generate(&mut rng).with_kid(kid).unwrap()
    }

    fn set(keys: &[&str]) -> String {
        format!(r#"{{"keys":[{}],"issuer":"x"}}"#, keys.join(","))
    }

    #[test]
    fn a_key_is_chosen_by_its_kid() {
        let (a, b) = (made("a").public().to_json(), made("b").public().to_json());
        let signing = b.replace("\"kid\":\"b\"", "\"kid\":\"a\",\"use\":\"sig\"");
        let other = r#"{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"}"#;
        let both = set(&[&a, &signing, other, &b]);
        let choose = |text: &str, kid| PublicJwk::choose(text.as_bytes(), kid);
        assert_eq!(choose(&both, Some("a")).unwrap(), *made("a").public());
        assert_eq!(choose(&both, Some("b")).unwrap(), *made("b").public());
        assert_eq!(
            *choose(&both, Some("c")).unwrap_err().kind(),
            ErrorKind::Missing("a key of this kid for ECDH-ES on P-256")
        );
        assert_eq!(
            *choose(&both, None).unwrap_err().kind(),
            ErrorKind::Duplicate("a key that could be meant")
        );
        assert_eq!(choose(&set(&[&a, other]), None).unwrap(), *made("a").public());
        assert!(choose(&set(&[&a, &a]), Some("a")).is_err(), "a kid that stands twice");
        assert_eq!(choose(&a, None).unwrap(), *made("a").public());
        assert!(choose(&a, Some("b")).is_err());
        for bad in [r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[7]}"#, "[]", r#"{"keys":[],"keys":[]}"#] {
            assert!(choose(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_private_key_in_a_public_set_is_refused() {
        let (a, b) = (made("a").public().to_json(), made("b").to_json());
        let error = PublicJwk::choose(set(&[&a, &b]).as_bytes(), Some("a")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::KeyRefused(_)));
    }

    #[test]
    fn a_long_set_is_refused() {
        let a = made("a").public().to_json();
        let many = vec!["{}"; 99];
        assert!(PublicJwk::choose(set(&[&many[..], &[&a]].concat()).as_bytes(), None).is_ok());
        let many = vec!["{}"; 100];
        assert!(PublicJwk::choose(set(&[&many[..], &[&a]].concat()).as_bytes(), None).is_err());
    }
}

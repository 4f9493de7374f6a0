//! `[key_source]` of `issuer.toml`: where the issuer's keys do their work.

use serde::Deserialize;
use toml::Spanned;

use super::finding::Source;

/// Where the issuer's keys do their work, and the token that is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySourceConfig {
    /// What works.
    pub kind: KeySourceKind,
    /// The token: always there for [`KeySourceKind::Pkcs11`].
    pub token: Option<TokenConfig>,
}

/// What works with the issuer's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySourceKind {
    /// The memory of the program.
    #[default]
    Software,
    /// A token behind a PKCS#11 library.
    Pkcs11,
}

impl KeySourceKind {
    /// The word in `issuer.toml` and the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

/// How a token is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// Path of the PKCS#11 library.
    pub library: String,
    /// The token's label.
    pub token: String,
    /// Where its user PIN stands.
    pub pin: PinFrom,
}

/// Where the PIN of a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinFrom {
    /// A file that its owner alone may read; relative to the issuer directory.
    File(String),
    /// A file descriptor that is open when the program starts: `fd:N`.
    Descriptor(u32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeySource {
    kind: Spanned<String>,
    library: Option<String>,
    token: Option<Spanned<String>>,
    pin: Option<Spanned<String>>,
}

/// Reads the table.
pub(super) fn key_source(source: &mut Source<'_>, raw: Spanned<RawKeySource>) -> Option<KeySourceConfig> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    let kind = match raw.kind.get_ref().as_str() {
        "software" => KeySourceKind::Software,
        "pkcs11" => KeySourceKind::Pkcs11,
        _ => {
            source.error(raw.kind.span().start, "key-source", "kind: software or pkcs11");
            return None;
        }
    };
    let token = match (raw.library, raw.token, raw.pin) {
        (Some(library), Some(token), Some(pin)) => {
            // CK_TOKEN_INFO has 32 bytes for it, filled with blanks.
            let text = token.get_ref();
            if text.is_empty() || text.len() > 32 || text.ends_with(' ') {
                source.error(token.span().start, "key-source", "token: 1 to 32 bytes, no blank at the end");
            }
            let from = match pin.get_ref().strip_prefix("fd:").map(str::parse) {
                None => PinFrom::File(pin.get_ref().clone()),
                Some(Ok(number)) => PinFrom::Descriptor(number),
                Some(Err(_)) => {
                    source.error(pin.span().start, "key-source", "pin: a file, or fd:N");
                    return None;
                }
            };
            Some(TokenConfig { library, token: token.into_inner(), pin: from })
        }
        (None, None, None) if kind == KeySourceKind::Software => None,
        _ => {
            source.error(
                at,
                "key-source",
                "library, token and pin stand together; kind = \"pkcs11\" needs them",
            );
            return None;
        }
    };
    Some(KeySourceConfig { kind, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        key_source: Spanned<RawKeySource>,
    }

    fn read(text: &str) -> (Option<KeySourceConfig>, usize) {
        let text = format!("[key_source]\n{text}");
        let mut findings = Vec::new();
        let mut source = Source::new("issuer.toml", text.as_bytes(), &mut findings).unwrap();
        let file: File = source.parse().unwrap();
        let config = key_source(&mut source, file.key_source);
        (config, findings.len())
    }

    #[test]
    fn a_token_is_named_whole_or_not_at_all() {
        let whole = "library = \"/usr/lib/softhsm/libsofthsm2.so\"\ntoken = \"issuer\"\n";
        let (config, findings) = read(&format!("kind = \"pkcs11\"\n{whole}pin = \"../secrets/token.pin\""));
        let config = config.unwrap();
        assert_eq!((config.kind, findings), (KeySourceKind::Pkcs11, 0));
        assert_eq!(config.token.unwrap().pin, PinFrom::File("../secrets/token.pin".to_owned()));
        let (config, _) = read(&format!("kind = \"software\"\n{whole}pin = \"fd:3\""));
        assert_eq!(config.unwrap().token.unwrap().pin, PinFrom::Descriptor(3));
        assert_eq!(read("kind = \"software\"").0, Some(KeySourceConfig::default()));
        for bad in [
            "kind = \"hsm\"".to_owned(),
            "kind = \"pkcs11\"".to_owned(),
            format!("kind = \"pkcs11\"\n{whole}"),
            format!("kind = \"pkcs11\"\n{whole}pin = \"fd:x\""),
        ] {
            assert_eq!(read(&bad), (None, 1), "{bad}");
        }
        let long =
            "kind = \"pkcs11\"\nlibrary = \"x\"\npin = \"y\"\ntoken = \"123456789012345678901234567890123\"";
        assert_eq!(read(long).1, 1);
    }
}

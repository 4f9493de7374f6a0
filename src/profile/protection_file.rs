//! Where the key-block protection key comes from: members of `[secrets]` in `issuer.toml`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::finding::Source;
use super::issuer::Environment;
use super::key_source_file::TokenConfig;
use crate::error::{Error, ErrorKind};
use crate::keys::tr31::BlockCipher;
use crate::keys::{Kcv, KeyAlgorithm};

/// The risk that `accept` names: key components typed at this machine.
pub(super) const CLEAR_COMPONENTS: &str = "clear-components";

/// Where a key-block protection key (or a key-encryption key of another party) comes from.
///
/// ```
/// use emv_dataprep::profile::ProtectionSource;
/// assert_eq!("fd:3".parse::<ProtectionSource>()?, ProtectionSource::Descriptor(3));
/// assert_eq!("components:3".parse::<ProtectionSource>()?, ProtectionSource::Components(3));
/// assert_eq!("../kbpk.hex".parse::<ProtectionSource>()?, ProtectionSource::File("../kbpk.hex".to_owned()));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtectionSource {
    /// A file that only its owner may read, in hexadecimal. Its path is relative to the issuer directory.
    File(String),
    /// `fd:N`: a file descriptor that this process inherits, read to its end, in hexadecimal.
    Descriptor(u32),
    /// `env:NAME`: an environment variable, in hexadecimal. Test issuers only.
    Environment(String),
    /// `components`, `components:2` or `components:3`: that many components, typed at a terminal by different officers.
    Components(u8),
    /// `pkcs11:LABEL` or `pkcs11:object=LABEL`: a key of the token that `[key_source]` names. A PIN is no part of it.
    Token(String),
}

impl FromStr for ProtectionSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(number) = text.strip_prefix("fd:") {
            let number = number.parse().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit()));
            return number
                .map(Self::Descriptor)
                .ok_or_else(|| ErrorKind::Format("fd: and a file descriptor").into());
        }
        if let Some(name) = text.strip_prefix("env:") {
            let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let name = good.then(|| Self::Environment(name.to_owned()));
            return name.ok_or_else(|| ErrorKind::Format("env: and the name of a variable").into());
        }
        if text.starts_with("pkcs11:") {
            if text.contains("pin-value") {
                return Err(ErrorKind::Value("a token's PIN does not stand in a URI").into());
            }
            return Ok(Self::Token(text.to_owned()));
        }
        match text {
            "" => Err(ErrorKind::Missing("the place of the key").into()),
            "components" | "components:2" => Ok(Self::Components(2)),
            "components:3" => Ok(Self::Components(3)),
            other if other.starts_with("components:") => {
                Err(ErrorKind::Format("components:2 or components:3").into())
            }
            path => Ok(Self::File(path.to_owned())),
        }
    }
}

impl fmt::Display for ProtectionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Descriptor(number) => write!(f, "fd:{number}"),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Components(count) => write!(f, "components:{count}"),
            Self::Token(uri) => f.write_str(uri),
        }
    }
}

/// What the configuration says of a key-block protection key. No secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Where it comes from.
    pub source: ProtectionSource,
    /// Algorithm and length; without it, AES by the length.
    pub algorithm: Option<KeyAlgorithm>,
    /// The check value that it must have: TDES as `tdes`, AES as `aes-cmac`.
    pub kcv: Option<Kcv>,
    /// The token of [`ProtectionSource::Token`]: the one of `[key_source]`.
    pub token: Option<TokenConfig>,
}

impl Protection {
    /// A key of this source, of which nothing else is known.
    #[must_use]
    pub const fn from_source(source: ProtectionSource) -> Self {
        Self { source, algorithm: None, kcv: None, token: None }
    }

    /// Its cipher: AES unless the algorithm says otherwise.
    #[must_use]
    pub fn cipher(&self) -> BlockCipher {
        if self.algorithm.is_some_and(KeyAlgorithm::is_tdes) { BlockCipher::Tdes } else { BlockCipher::Aes }
    }

    /// Whether a source may be used: an environment variable by a test issuer only, typed components by one that
    /// `accepts` them or is a test issuer.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] with the reason.
    pub fn permitted(
        source: &ProtectionSource,
        environment: Environment,
        accepted: bool,
    ) -> Result<(), Error> {
        if environment == Environment::Test {
            return Ok(());
        }
        match source {
            ProtectionSource::Environment(_) => {
                Err(ErrorKind::Value("a key in an environment variable is for test issuers").into())
            }
            ProtectionSource::Components(_) if !accepted => {
                Err(ErrorKind::Value("clear components need accept = [\"clear-components\"]").into())
            }
            _ => Ok(()),
        }
    }
}

/// Members of a key-block protection key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProtection {
    key_block_protection_key: Spanned<String>,
    key_block_protection_kcv: Option<Spanned<String>>,
    key_block_protection_algorithm: Option<Spanned<String>>,
}

impl RawProtection {
    pub(super) const fn new(
        key: Spanned<String>,
        kcv: Option<Spanned<String>>,
        algorithm: Option<Spanned<String>>,
    ) -> Self {
        Self {
            key_block_protection_key: key,
            key_block_protection_kcv: kcv,
            key_block_protection_algorithm: algorithm,
        }
    }
}

/// Reads the members; `None` with findings when they are wrong.
pub(super) fn read(
    source: &mut Source<'_>,
    environment: Environment,
    accepts_components: bool,
    raw: &RawProtection,
) -> Option<Protection> {
    let place: ProtectionSource = source.value("key_block_protection_key", &raw.key_block_protection_key)?;
    let at = raw.key_block_protection_key.span().start;
    if let Err(e) = Protection::permitted(&place, environment, accepts_components) {
        source.error(at, "protection-key", e.to_string());
    }
    if matches!(place, ProtectionSource::Components(_)) && raw.key_block_protection_kcv.is_none() {
        source.error(at, "protection-key", "components need key_block_protection_kcv: it shows a wrong one");
    }
    let algorithm = match &raw.key_block_protection_algorithm {
        None => None,
        Some(text) => {
            use KeyAlgorithm::{Aes128, Aes192, Aes256, Tdes2, Tdes3};
            let found =
                [Tdes2, Tdes3, Aes128, Aes192, Aes256].into_iter().find(|a| a.name() == text.get_ref());
            if found.is_none() {
                let message =
                    "key_block_protection_algorithm: TDES-2KEY, TDES-3KEY, AES-128, AES-192 or AES-256";
                source.error(text.span().start, "value", message);
            }
            found
        }
    };
    let kcv = raw.key_block_protection_kcv.as_ref().and_then(|text| {
        let kcv = source.value::<Kcv>("key_block_protection_kcv", text)?;
        if kcv.bytes().len() < 3 {
            source.error(text.span().start, "value", "key_block_protection_kcv: three bytes or more");
        }
        Some(kcv)
    });
    Some(Protection { source: place, algorithm, kcv, token: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_they_are_written() {
        for text in
            ["a/b.hex", "fd:0", "env:KBPK_1", "components:2", "components:3", "pkcs11:token=a;object=b"]
        {
            assert_eq!(text.parse::<ProtectionSource>().unwrap().to_string(), text);
        }
        for wrong in ["", "fd:", "fd:-1", "fd:+1", "fd:x", "env:", "env:A B", "components:1", "components:4"]
        {
            assert!(wrong.parse::<ProtectionSource>().is_err(), "{wrong}");
        }
        assert!("pkcs11:object=b?pin-value=1234".parse::<ProtectionSource>().is_err());
    }

    #[test]
    fn who_may_use_which() {
        let of = |text: &str, environment, accepted| {
            Protection::permitted(&text.parse().unwrap(), environment, accepted).is_ok()
        };
        use Environment::{Production, Test};
        assert!(of("env:A", Test, false) && !of("env:A", Production, true));
        assert!(of("components", Test, false) && !of("components", Production, false));
        assert!(of("components", Production, true));
        for text in ["kbpk.hex", "fd:3", "pkcs11:object=a"] {
            assert!(of(text, Production, false), "{text}");
        }
    }
}

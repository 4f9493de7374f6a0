//! The issuer's keys in a token.

use std::path::Path;

use emv_dataprep::crypto::rsa::{Exponent, RsaPublic};
use emv_dataprep::keys::{KeyIndex, KeySource};
use emv_dataprep::profile::TokenConfig;

use super::IssuerDir;
use super::protection::Protecting;
use crate::failure::Failure;

/// The token that `issuer.toml` names.
pub fn config(dir: &IssuerDir) -> Result<&TokenConfig, Failure> {
    let named = dir.issuer.key_source().token.as_ref();
    named.ok_or_else(|| Failure::refused("issuer.toml names no token under [key_source]"))
}

/// The label in `pkcs11:LABEL`, or in a URI with `object` (RFC 7512) that names this token or none.
pub fn object_of<'a>(name: &'a str, token: &str) -> Option<&'a str> {
    let path = name.strip_prefix("pkcs11:")?;
    if !path.contains('=') {
        return Some(path);
    }
    let value = |wanted: &str| {
        path.split(';').find_map(|part| part.split_once('=').filter(|(k, _)| *k == wanted)).map(|(_, v)| v)
    };
    value("object").filter(|_| value("token").is_none_or(|named| named == token))
}

/// The issuer's keys in the token, found and checked.
#[cfg(feature = "pkcs11")]
pub fn open(dir: &IssuerDir) -> Result<Box<dyn KeySource>, Failure> {
    with_feature::open(dir, with_feature::login(&dir.root, config(dir)?, with_feature::Pkcs11::open)?)
}

/// What a program without PKCS#11 says.
#[cfg(not(feature = "pkcs11"))]
pub fn open(dir: &IssuerDir) -> Result<Box<dyn KeySource>, Failure> {
    config(dir)?;
    Err(without_feature())
}

/// Makes an issuer RSA key in the token.
#[cfg(feature = "pkcs11")]
pub fn generate(
    dir: &IssuerDir,
    index: KeyIndex,
    bits: usize,
    exponent: Exponent,
) -> Result<RsaPublic, Failure> {
    with_feature::generate(dir, index, bits, exponent)
}

/// What a program without PKCS#11 says.
#[cfg(not(feature = "pkcs11"))]
pub fn generate(dir: &IssuerDir, _: KeyIndex, _: usize, _: Exponent) -> Result<RsaPublic, Failure> {
    config(dir)?;
    Err(without_feature())
}

/// One issuer RSA key in the token, also one without a certificate.
#[cfg(feature = "pkcs11")]
pub fn open_oda(dir: &IssuerDir, index: KeyIndex) -> Result<Box<dyn KeySource>, Failure> {
    with_feature::open_oda(dir, index)
}

/// What a program without PKCS#11 says.
#[cfg(not(feature = "pkcs11"))]
pub fn open_oda(dir: &IssuerDir, _: KeyIndex) -> Result<Box<dyn KeySource>, Failure> {
    config(dir)?;
    Err(without_feature())
}

/// The key-block protection key of this label in a token.
#[cfg(feature = "pkcs11")]
pub fn protection_key(root: &Path, config: &TokenConfig, label: &str) -> Result<Protecting, Failure> {
    with_feature::protection_key(root, config, label)
}

/// What a program without PKCS#11 says.
#[cfg(not(feature = "pkcs11"))]
pub fn protection_key(_: &Path, _: &TokenConfig, _: &str) -> Result<Protecting, Failure> {
    Err(without_feature())
}

#[cfg(not(feature = "pkcs11"))]
pub fn without_feature() -> Failure {
    Failure::refused("[key_source]: this program is built without PKCS#11 (cargo build --features pkcs11)")
}

#[cfg(feature = "pkcs11")]
pub use with_feature::{failure, login, open as open_with};

#[cfg(feature = "pkcs11")]
mod with_feature {
    use std::path::{Path, PathBuf};

    use emv_dataprep::crypto::rsa::{Exponent, RsaPublic};
    use emv_dataprep::error::{Error, Result};
    pub use emv_dataprep::hsm::Pkcs11;
    use emv_dataprep::hsm::{Token, TokenProtectionKey, generate_oda};
    use emv_dataprep::keys::{KeyIndex, KeySource};
    use emv_dataprep::profile::{PinFrom, TokenConfig};
    use emv_dataprep::secret::Secret;

    use super::super::IssuerDir;
    use super::super::keys::refuse_other_key;
    use super::super::protection::Protecting;
    use super::super::read::{read_bounded, read_secret};
    use crate::failure::Failure;

    /// A token that does not answer is of the environment; everything else a person must look at.
    pub fn failure(config: &TokenConfig, error: &Error) -> Failure {
        let message = format!("token {}: {error}", config.token);
        if error.stops_batch() { Failure::stopped(message) } else { Failure::refused(message) }
    }

    /// Loads the library and logs in.
    pub fn login(
        root: &Path,
        config: &TokenConfig,
        open: impl FnOnce(&Path, &str, &Secret) -> Result<Pkcs11>,
    ) -> std::result::Result<Pkcs11, Failure> {
        let text = match &config.pin {
            PinFrom::File(path) => read_secret(&root.join(path))?,
            PinFrom::Descriptor(number) => {
                Secret::new(read_bounded(&PathBuf::from(format!("/dev/fd/{number}")))?)
            }
        };
        let pin = Secret::copy_of(text.expose().trim_ascii());
        open(Path::new(&config.library), &config.token, &pin).map_err(|e| failure(config, &e))
    }

    /// A protection key that is asked to encipher.
    pub(super) fn protection_key(
        root: &Path,
        config: &TokenConfig,
        label: &str,
    ) -> std::result::Result<Protecting, Failure> {
        let api = login(root, config, Pkcs11::open)?;
        let key = TokenProtectionKey::find(api, label).map_err(|e| failure(config, &e))?;
        Ok(Box::new(key))
    }

    /// Makes an issuer RSA key.
    pub(super) fn generate(
        dir: &IssuerDir,
        index: KeyIndex,
        bits: usize,
        exponent: Exponent,
    ) -> std::result::Result<RsaPublic, Failure> {
        let config = super::config(dir)?;
        let api = login(&dir.root, config, Pkcs11::open_to_import)?;
        generate_oda(&api, index, bits, exponent).map_err(|e| failure(config, &e))
    }

    /// Finds one issuer RSA key.
    pub(super) fn open_oda(
        dir: &IssuerDir,
        index: KeyIndex,
    ) -> std::result::Result<Box<dyn KeySource>, Failure> {
        let config = super::config(dir)?;
        let api = login(&dir.root, config, Pkcs11::open)?;
        let token = Token::open(api, &[], [index]).map_err(|e| failure(config, &e))?;
        Ok(Box::new(token))
    }

    /// Finds and checks every key.
    pub fn open(dir: &IssuerDir, api: Pkcs11) -> std::result::Result<Box<dyn KeySource>, Failure> {
        let config = super::config(dir)?;
        let oda = dir.issuer.oda_keys().map(|oda| oda.index);
        let token = Token::open(api, dir.issuer.key_entries(), oda).map_err(|e| failure(config, &e))?;
        for oda in dir.issuer.oda_keys() {
            refuse_other_key(oda, &token.oda_info(oda.index)?.modulus, &format!("token {}", config.token))?;
        }
        Ok(Box::new(token))
    }
}

#[cfg(test)]
mod tests {
    use super::object_of;

    #[test]
    fn a_label_or_the_object_of_a_uri_of_this_token() {
        for (name, label) in [
            ("pkcs11:kbpk", Some("kbpk")),
            ("pkcs11:object=kbpk", Some("kbpk")),
            ("pkcs11:token=demo;object=kbpk", Some("kbpk")),
            ("pkcs11:token=other;object=kbpk", None),
            ("pkcs11:token=demo", None),
            ("kbpk", None),
        ] {
            assert_eq!(object_of(name, "demo"), label, "{name}");
        }
    }
}

//! The key-block protection key, from wherever `issuer.toml` says.

use std::io::Read;
use std::path::Path;

use emv_dataprep::error::ErrorKind;
use emv_dataprep::keys::tr31::{self, ProtectionKey};
use emv_dataprep::keys::{KeyAlgorithm, KeyEntry, is_known_test_key};
use emv_dataprep::profile::{Environment, Protection, ProtectionSource};
use emv_dataprep::secret::Secret;
use zeroize::Zeroizing;

use super::read::{read_bounded, read_hex_secret, secret_from_hex};
use super::token;
use crate::components;
use crate::failure::Failure;

/// A key that is asked to work.
pub type Protecting = Box<dyn ProtectionKey>;

/// Opens a protection key and checks its length and check value. Paths are relative to `root`.
pub fn open(root: &Path, protection: &Protection, environment: Environment) -> Result<Protecting, Failure> {
    let named = |what: String| Failure::refused(format!("{}: {what}", protection.source));
    let secret = match &protection.source {
        ProtectionSource::File(path) => read_hex_secret(&root.join(path))?,
        ProtectionSource::Descriptor(number) => read_descriptor(*number)?,
        ProtectionSource::Environment(name) => {
            let text = std::env::var(name).map(Zeroizing::new);
            let text = text.map_err(|_| named("is not set".to_owned()))?;
            secret_from_hex(text.as_bytes()).ok_or_else(|| named("is not a key in hexadecimal".to_owned()))?
        }
        ProtectionSource::Components(count) => components::typed(*count, protection)?,
        ProtectionSource::Token(name) => {
            let config = protection.token.as_ref();
            let config = config.ok_or_else(|| named("[key_source] names no token".to_owned()))?;
            let label = token::object_of(name, &config.token);
            let label = label.ok_or_else(|| named(format!("is no object of token {}", config.token)))?;
            return checked(token::protection_key(root, config, label)?, protection);
        }
    };
    if environment == Environment::Production && is_known_test_key(&secret) {
        return Err(named("is a published test key".to_owned()));
    }
    checked(Box::new(secret), protection)
}

/// The key, if it is what the configuration says of it.
fn checked(key: Protecting, protection: &Protection) -> Result<Protecting, Failure> {
    let named = |what: &str| Failure::refused(format!("{}: {what}", protection.source));
    let fits = match protection.algorithm {
        None => matches!(key.key_len(), 16 | 24 | 32),
        Some(algorithm) => algorithm != KeyAlgorithm::Hmac && key.key_len() == algorithm.key_len(),
    };
    if !fits {
        return Err(named("has not the length of a key-block protection key of its algorithm"));
    }
    if let Some(kcv) = &protection.kcv {
        key.verify_kcv(protection.cipher(), kcv).map_err(|e| named(&e.to_string()))?;
    }
    Ok(key)
}

fn read_descriptor(number: u32) -> Result<Secret, Failure> {
    let text = Secret::new(read_bounded(Path::new(&format!("/dev/fd/{number}")))?);
    secret_from_hex(text.expose())
        .ok_or_else(|| Failure::refused(format!("fd:{number}: is not a key in hexadecimal")))
}

/// The protection key that opens these entries, and whether it is the next one: between `keys rotate` and the change of
/// `issuer.toml` that follows, the key blocks are under the next key already.
pub fn open_fitting<'a>(
    root: &Path,
    (current, next): (&Protection, Option<&Protection>),
    environment: Environment,
    mut entries: impl Iterator<Item = &'a KeyEntry>,
) -> Result<(Protecting, Which), Failure> {
    let key = open(root, current, environment)?;
    let (Some(next), Some(entry)) = (next, entries.next()) else { return Ok((key, Which::Current)) };
    if opens(&key, entry) {
        return Ok((key, Which::Current));
    }
    let next = open(root, next, environment)?;
    // A block that neither opens is reported under the current one.
    if opens(&next, entry) { Ok((next, Which::Next)) } else { Ok((key, Which::Current)) }
}

/// Which of two protection keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Current,
    Next,
}

/// Whether the block of an entry is authentic under a key.
pub fn opens(key: &Protecting, entry: &KeyEntry) -> bool {
    match tr31::unwrap(key, &entry.block) {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), ErrorKind::Crypto(_) | ErrorKind::Length { .. }),
    }
}

/// Words of standard input or a file, at most 64 KiB: a key block.
pub fn read_block(path: &Path) -> Result<String, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(1 << 16).read_to_end(&mut bytes);
        read.map_err(|e| Failure::stopped(format!("read standard input: {e}")))?;
        bytes
    } else {
        read_bounded(path)?
    };
    let text = String::from_utf8(bytes).map_err(|_| Failure::refused("the key block is not text"))?;
    Ok(text.trim().to_owned())
}

//! Who seals and signs what leaves, and whose signature is asked for.

use std::path::PathBuf;

use emv_dataprep::crypto::ed25519::{Ed25519Private, Ed25519Public};
use emv_dataprep::keys::SigningPublicJwk;
use emv_dataprep::output::{Recipients, Senders};
use emv_dataprep::profile::SecretKind;

use super::IssuerDir;
use super::read::{read_bounded, read_hex_secret};
use crate::failure::Failure;

/// A sender's public key on the command line.
#[derive(Clone, Debug)]
pub enum Signer {
    /// 64 hexadecimal digits.
    Key(Ed25519Public),
    /// The file of a public JWK (OKP, Ed25519).
    File(PathBuf),
}

impl std::str::FromStr for Signer {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Ed25519Public::from_hex(text).map_or_else(|_| Self::File(text.into()), Self::Key))
    }
}

impl Signer {
    fn read(&self) -> Result<SigningPublicJwk, Failure> {
        match self {
            Self::Key(key) => Ok(SigningPublicJwk::new(*key)),
            Self::File(path) => SigningPublicJwk::from_json(&read_bounded(path)?)
                .map_err(|e| Failure::refused(format!("{}: {e}", path.display()))),
        }
    }
}

/// Whose signature is asked for: the issuer's output key and those that are given; anyone's without both.
pub fn senders(dir: Option<&IssuerDir>, given: &[Signer]) -> Result<Senders, Failure> {
    let mut keys = given.iter().map(Signer::read).collect::<Result<Vec<_>, _>>()?;
    keys.extend(dir.and_then(|d| d.issuer.output_signing_public_key()).map(|k| SigningPublicJwk::new(*k)));
    Ok(if keys.is_empty() { Senders::Anyone } else { Senders::Only(keys) })
}

impl IssuerDir {
    /// The destinations' public keys, with the key that signs what is sealed for them.
    pub fn recipients(&self) -> Result<Recipients, Failure> {
        let mut recipients = Recipients::of(&self.issuer)?;
        if let Some(key) = self.output_signing_key()? {
            recipients.sign_with(key);
        }
        Ok(recipients)
    }

    fn output_signing_key(&self) -> Result<Option<Ed25519Private>, Failure> {
        let file = self.issuer.secret_files().iter().find(|f| f.kind == SecretKind::OutputSigning);
        let (Some(file), Some(public)) = (file, self.issuer.output_signing_public_key()) else {
            return Ok(None);
        };
        let path = self.root.join(&file.path);
        let at = |words: String| Failure::refused(format!("{}: {words}", path.display()));
        let key = Ed25519Private::from_seed(&read_hex_secret(&path)?).map_err(|e| at(e.to_string()))?;
        if key.public() != *public {
            return Err(at("is not the key of output_signing_public_key in issuer.toml".to_owned()));
        }
        Ok(Some(key))
    }
}

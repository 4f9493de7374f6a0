//! An issuer directory on disk: its text files, its secrets, its keys.

mod keys;
mod output;
pub mod protection;
mod read;
pub mod token;

use std::path::{Path, PathBuf};

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::output::FileDigest;
use emv_dataprep::profile::officers::Signed;
use emv_dataprep::profile::{Environment, Files, Finding, Issuer, Level};

use crate::failure::Failure;
use crate::production;

pub use keys::{IN_TOKEN, OpenKeys, signing_key};
pub use output::{Signer, senders};
use read::read_files;
pub use read::{
    KEY_LOG, der_of, read_bounded, read_hex_secret, read_private_jwk, read_secret, secret_from_hex,
};

/// An issuer directory whose configuration is good.
pub struct IssuerDir {
    pub root: PathBuf,
    pub files: Files,
    pub issuer: Issuer,
    /// Which officers have signed it; none when nobody asked.
    pub signed: Option<Signed>,
}

impl IssuerDir {
    /// Reads and checks a directory for work: a production issuer's must be signed by its officers.
    pub fn load(root: &Path) -> Result<Self, Failure> {
        let mut dir = Self::read(root)?;
        dir.signed = production::admit(&dir)?;
        Ok(dir)
    }

    /// Reads and checks a directory for those who are to sign it.
    pub fn read(root: &Path) -> Result<Self, Failure> {
        let files = read_files(root)?;
        let issuer = Issuer::load(&files).map_err(|findings| {
            let errors = findings.iter().filter(|f| f.level == Level::Error);
            let mut text = format!("{}: the configuration is refused", root.display());
            for finding in errors {
                text.push_str(&format!("\n  {finding}"));
            }
            Failure::refused(text)
        })?;
        Ok(Self { root: root.to_owned(), files, issuer, signed: None })
    }

    /// Whether keys and cards are test ones.
    pub fn is_test(&self) -> bool {
        self.issuer.environment() == Environment::Test
    }

    /// Refuses what only a test issuer may ask for.
    pub fn only_for_test(&self, what: &str) -> Result<(), Failure> {
        if self.is_test() {
            return Ok(());
        }
        Err(Failure::refused(format!("{what} is for an issuer whose environment is test")))
    }

    /// Issuer certificates and CA keys that have ended or end soon.
    pub fn ending(&self, today: CardDate) -> Vec<Finding> {
        let (_, findings) = Issuer::check(&self.files, Some(today));
        findings.into_iter().filter(|f| ["ca-key", "issuer-certificate"].contains(&f.code)).collect()
    }

    /// SHA-256 of every configuration file.
    pub fn digests(&self) -> Vec<FileDigest> {
        let digest = |(path, bytes): (&String, &Vec<u8>)| FileDigest {
            path: path.clone(),
            sha256: hex_upper(&sha256(&[bytes])),
        };
        self.files.iter().map(digest).collect()
    }
}

/// Reads and checks a directory for `check`: every finding.
pub fn findings(root: &Path, today: CardDate) -> Result<(Option<IssuerDir>, Vec<Finding>), Failure> {
    let files = read_files(root)?;
    let (issuer, findings) = Issuer::check(&files, Some(today));
    Ok((issuer.map(|issuer| IssuerDir { root: root.to_owned(), files, issuer, signed: None }), findings))
}

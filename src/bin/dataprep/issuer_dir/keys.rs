//! The keys of an issuer directory, opened.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::EnvelopeKeys;
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::ed25519::{Ed25519Private, Ed25519Public};
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::crypto::rsa::RsaPrivate;
use emv_dataprep::issuer::KeyModule;
use emv_dataprep::keys::{KeyIndex, KeyRef, KeySource, PrivateJwk, SoftwareRing};
use emv_dataprep::output::{KeyRecord, OfficersRecord, Trust};
use emv_dataprep::profile::{KeySourceKind, OdaKey, SecretKind};
use emv_dataprep::secret::{Secret, wipe_stack};
use emv_dataprep::store::Store;
use emv_dataprep::store::pool::Pool;

use super::protection::{self, Protecting};
use super::read::{der_of, read_bounded, read_hex_secret, read_secret};
use super::{IssuerDir, token};
use crate::failure::Failure;
use crate::production;

/// The issuer's keys, opened: in memory or in a token.
pub struct OpenKeys {
    pub module: KeyModule<Box<dyn KeySource>>,
    pub envelopes: EnvelopeKeys,
    /// The keys with a possibly weak DES part; nobody can tell of keys in a token.
    pub possibly_weak: Vec<KeyRef>,
}

/// What stands as `private_key` in `oda.toml` of a key that a token made.
pub const IN_TOKEN: &str = "pkcs11";

impl IssuerDir {
    /// The key-block protection key.
    pub fn kbpk(&self) -> Result<Protecting, Failure> {
        let which = (self.issuer.protection(), self.issuer.next_protection());
        let entries = self.issuer.key_entries().iter();
        let found = protection::open_fitting(&self.root, which, self.issuer.environment(), entries)?;
        Ok(found.0)
    }

    /// The key that signs manifests and audit logs, if the issuer has one.
    pub fn signing_key(&self) -> Result<Option<Ed25519Private>, Failure> {
        let file = self.issuer.secret_files().iter().find(|f| f.kind == SecretKind::Signing);
        let (Some(file), Some(public)) = (file, self.issuer.signing_public_key()) else { return Ok(None) };
        signing_key(&self.root.join(&file.path), public).map(Some)
    }

    /// Opens every key block, issuer RSA key and envelope key; or finds the keys in the token that `issuer.toml` names.
    pub fn open_keys(&self, backend: Backend) -> Result<OpenKeys, Failure> {
        let mut possibly_weak = Vec::new();
        let source: Box<dyn KeySource> = match self.issuer.key_source().kind {
            KeySourceKind::Software => {
                let ring = self.software_ring(backend)?;
                production::admit_keys(self, ring.name(), ring.known_test_keys())?;
                possibly_weak.extend(ring.possibly_weak_keys());
                Box::new(ring)
            }
            KeySourceKind::Pkcs11 => token::open(self)?,
        };
        let mut envelopes = EnvelopeKeys::default();
        for file in self.issuer.secret_files() {
            if let SecretKind::Envelope { kid, until } = &file.kind {
                let path = self.root.join(&file.path);
                let text = read_secret(&path)?;
                let key = PrivateJwk::from_json(text.expose());
                if let Ok(key) = &key {
                    production::refuse_known_jwk(self, key.public())?;
                }
                let added = key.and_then(|key| envelopes.add_until(kid, key, *until));
                added.map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
            }
        }
        // What comes next (threads, their queues) has unused room, into which the stack would leave its bytes.
        wipe_stack();
        Ok(OpenKeys { module: KeyModule::new(source), envelopes, possibly_weak })
    }

    /// The keys of all blocks and files in memory.
    pub fn software_ring(&self, backend: Backend) -> Result<SoftwareRing, Failure> {
        let kbpk = self.kbpk()?;
        let mut ring = SoftwareRing::new(backend);
        for entry in self.issuer.key_entries() {
            ring.load(&kbpk, entry).map_err(|e| Failure::refused(format!("keys.toml: {e}")))?;
        }
        if !self.is_test()
            && let Some(key) = ring.known_test_keys().next()
        {
            return Err(Failure::refused(format!("keys.toml: key {key} is a published test key")));
        }
        for (index, key) in self.issuer_rsa_keys()? {
            ring.add_oda(index, key)?;
        }
        Ok(ring)
    }

    /// The issuer RSA keys out of their files.
    pub fn issuer_rsa_keys(&self) -> Result<Vec<(KeyIndex, RsaPrivate)>, Failure> {
        let mut found = Vec::new();
        let in_token = |oda: &&OdaKey| oda.private_key_file.ends_with(&format!("/{IN_TOKEN}"));
        let is_token = self.issuer.key_source().kind == KeySourceKind::Pkcs11;
        // A key that a token made is in no file.
        for oda in self.issuer.oda_keys().filter(|oda| !(is_token && in_token(oda))) {
            let path = self.root.join(&oda.private_key_file);
            let key = self.oda_private_key(&path)?;
            refuse_other_key(oda, key.public().modulus(), &path.display().to_string())?;
            found.push((oda.index, key));
        }
        Ok(found)
    }

    /// An issuer RSA key under the password of this issuer.
    pub fn oda_private_key(&self, path: &Path) -> Result<RsaPrivate, Failure> {
        let file = self.issuer.secret_files().iter().find(|f| f.kind == SecretKind::OdaPassword);
        let file = file.ok_or_else(|| Failure::refused("issuer.toml names no oda_password"))?;
        let password = read_secret(&self.root.join(&file.path))?;
        let password = Secret::copy_of(password.expose().trim_ascii());
        let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", path.display()));
        let der = der_of(&read_bounded(path)?)
            .ok_or_else(|| Failure::refused(format!("{}: is not PEM or DER", path.display())))?;
        RsaPrivate::from_pkcs8_encrypted(&der, &password).map_err(at)
    }

    /// The pool of ready RSA keys.
    pub fn pool<'a>(&self, keys: &'a OpenKeys) -> Result<Pool<'a>, Failure> {
        Ok(Pool::new(&self.pool_folder(), Store::default(), keys.module.source())?)
    }

    /// The pool's folder.
    pub fn pool_folder(&self) -> PathBuf {
        self.root.join(self.issuer.pool_folder())
    }

    /// What a batch rests on, for the manifest.
    pub fn trust(&self, keys: &OpenKeys) -> Trust {
        let officers = self.signed.as_ref().map(|signed| OfficersRecord {
            digest: hex_upper(&production::state(self).digest()),
            sequence: signed.sequence,
            names: signed.officers.iter().map(ToString::to_string).collect(),
        });
        Trust {
            key_source: Some(keys.module.source().name().to_owned()),
            accepted: self.issuer.accepted().map(str::to_owned).collect(),
            officers,
        }
    }

    /// Every key for the manifest.
    pub fn key_records(&self, keys: &OpenKeys) -> Vec<KeyRecord> {
        let from = keys.module.source();
        let source = from.name();
        let mut records: Vec<KeyRecord> = from
            .keys()
            .into_iter()
            .map(|info| KeyRecord {
                usage: info.key.usage.to_string(),
                index: info.key.index.to_string(),
                kcv: info.kcv,
                source: source.to_owned(),
            })
            .collect();
        for index in self.issuer.oda_keys().map(|oda| oda.index) {
            if let Ok(info) = from.oda_info(index) {
                let digest = sha256(&[&info.modulus]);
                records.push(KeyRecord {
                    usage: "oda".to_owned(),
                    index: index.to_string(),
                    kcv: hex_upper(digest.get(..3).unwrap_or_default()),
                    source: source.to_owned(),
                });
            }
        }
        records.sort();
        records
    }
}

/// Refuses an issuer RSA key whose certificates are for another one.
pub(super) fn refuse_other_key(oda: &OdaKey, modulus: &[u8], place: &str) -> Result<(), Failure> {
    if oda.certificates.iter().any(|c| c.key.modulus() != modulus) {
        let index = oda.index;
        return Err(Failure::refused(format!("{place}: a certificate of oda/{index} is for another key")));
    }
    Ok(())
}

/// The private key of a file, which must be that of `public`.
pub fn signing_key(path: &Path, public: &Ed25519Public) -> Result<Ed25519Private, Failure> {
    let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", path.display()));
    let key = Ed25519Private::from_seed(&read_hex_secret(path)?).map_err(at)?;
    if key.public() != *public {
        return Err(Failure::refused(format!(
            "{}: is not the key of signing_public_key in issuer.toml",
            path.display()
        )));
    }
    Ok(key)
}

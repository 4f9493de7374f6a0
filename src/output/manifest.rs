use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bytes::{array_from_hex, hex_upper};
use crate::crypto::ed25519::{Ed25519Private, Ed25519Public};
use crate::crypto::hash::sha256;
use crate::error::{ErrorKind, Result};
use crate::output::OfficersRecord;
use crate::output::WeakKeys;

use super::Verification;

/// Value of the member `format`.
pub const MANIFEST_FORMAT: &str = "emv-dataprep/batch/1";

/// `batch.json`: what went into a batch and what came out. Written last, so that a folder without it is an unfinished
/// batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// Name and version of the engine.
    pub engine: String,
    /// SHA-256 of the program that wrote the manifest; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_sha256: Option<String>,
    /// Batch id: in the protected header of every sealed file.
    pub batch: String,
    /// `test` or `production`.
    pub environment: String,
    /// Start, RFC 3339: the day of all expiry checks.
    pub started: String,
    /// End, RFC 3339.
    pub ended: String,
    /// The input.
    pub input: InputRecord,
    /// Every configuration file that was read.
    pub configuration: Vec<FileDigest>,
    /// Every key that was loaded.
    pub keys: Vec<KeyRecord>,
    /// Which key source worked with them. Absent in manifests of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_source: Option<String>,
    /// Risks that the issuer accepts by name. Absent without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// Who has signed the configuration; absent when nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub officers: Option<OfficersRecord>,
    /// Commitment to a fixed seed; null without one.
    pub seed_commitment: Option<String>,
    /// Counts.
    pub counts: Counts,
    /// RSA keys of the prepared cards; absent when the batch used no pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolCounts>,
    /// What the search for weak RSA keys looked at; absent when there was no RSA key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weak_keys: Option<WeakKeys>,
    /// What the second witness found while the batch was prepared; absent when nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Every file of the batch but this one.
    pub files: Vec<FileRecord>,
    /// How many entries the audit log had before the manifest was written, and the digest of the last.
    pub audit: AuditRecord,
    /// SHA-256 of this document with an empty text in this place and without signature.
    pub manifest_sha256: String,
    /// Who answers for the manifest; null for an issuer without signing key.
    pub signature: Option<SignatureRecord>,
}

/// The audit log as it stood when the manifest was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// How many entries.
    pub entries: u64,
    /// Digest of the last.
    pub sha256: String,
}

/// An Ed25519 signature (RFC 8032).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignatureRecord {
    /// The signer's public key: 32 bytes, hexadecimal.
    pub public_key: String,
    /// The signature over the 32 bytes of the digest: 64 bytes, hexadecimal.
    pub value: String,
}

/// What a manifest's signature is for.
const SIGNATURE_CONTEXT: &str = "emv-dataprep/manifest/1";

/// The input of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    /// SHA-256 of its bytes as they came.
    pub sha256: String,
    /// How many orders.
    pub orders: u64,
}

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Path in the issuer directory.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// A key that was loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Its use.
    #[serde(rename = "use")]
    pub usage: String,
    /// Its index.
    pub index: String,
    /// Its check value; for an issuer RSA key the first three bytes of the SHA-256 of its modulus.
    pub kcv: String,
    /// Which key source works with it.
    pub source: String,
}

/// Counts of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Orders.
    pub orders: u64,
    /// Cards prepared.
    pub prepared: u64,
    /// Orders rejected.
    pub rejected: u64,
    /// Orders that an earlier batch prepared: nothing is made for them again. Absent without.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: u64,
    /// Cards prepared, by channel.
    pub by_channel: BTreeMap<String, u64>,
    /// Orders rejected, by errorCode.
    pub by_error: BTreeMap<String, u64>,
    /// Cards prepared, by `channel/destination`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_destination: BTreeMap<String, u64>,
    /// Cards prepared, by profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_profile: BTreeMap<String, u64>,
}

/// Where the RSA keys of a batch come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolCounts {
    /// Keys out of the pool.
    pub used: u64,
    /// Keys made in the batch.
    pub fresh: u64,
}

impl PoolCounts {
    /// Adds the counts of a part.
    pub fn add(&mut self, part: Self) {
        self.used = self.used.saturating_add(part.used);
        self.fresh = self.fresh.saturating_add(part.fresh);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A file of the batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Path in the output folder.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// How many cards (mailers, returns, lines) it tells of.
    pub cards: u64,
}

impl Counts {
    /// Adds the counts of a part.
    pub fn add(&mut self, part: &Self) {
        self.orders = self.orders.saturating_add(part.orders);
        self.prepared = self.prepared.saturating_add(part.prepared);
        self.rejected = self.rejected.saturating_add(part.rejected);
        self.repeated = self.repeated.saturating_add(part.repeated);
        for (whole, part) in [
            (&mut self.by_channel, &part.by_channel),
            (&mut self.by_error, &part.by_error),
            (&mut self.by_destination, &part.by_destination),
            (&mut self.by_profile, &part.by_profile),
        ] {
            for (name, count) in part {
                let sum = whole.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }
}

impl Manifest {
    /// The document, for people and programs; `manifest_sha256` is computed anew.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut whole = self.clone();
        whole.manifest_sha256 = hex_upper(&self.digest());
        whole.text()
    }

    fn digest(&self) -> [u8; 32] {
        let bare = Self { manifest_sha256: String::new(), signature: None, ..self.clone() };
        sha256(&[bare.text().as_bytes()])
    }

    /// Signs the document as it stands.
    pub fn sign(&mut self, key: &Ed25519Private) {
        let value = hex_upper(&key.sign(SIGNATURE_CONTEXT, &self.digest()));
        self.signature = Some(SignatureRecord { public_key: key.public().to_string(), value });
    }

    /// Whether this key signed the document.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for an unsigned one, [`ErrorKind::Crypto`] for the signature of another key or another
    /// document.
    pub fn check_signature(&self, key: &Ed25519Public) -> Result<()> {
        let signature = self.signature.as_ref().ok_or(ErrorKind::Missing("the signature of the manifest"))?;
        if signature.public_key != key.to_string() {
            return Err(ErrorKind::Crypto("the manifest is signed by another key").into());
        }
        let value = array_from_hex(&signature.value)?;
        if hex_upper(&value) != signature.value {
            return Err(ErrorKind::Format("upper-case hexadecimal").into());
        }
        key.verify(SIGNATURE_CONTEXT, &self.digest(), &value)
    }

    /// Reads a document back: every byte must be as [`Manifest::to_json`] writes it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for another form, [`ErrorKind::Value`] for one that was changed.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|_| ErrorKind::Format("a batch manifest"))?;
        if manifest.format != MANIFEST_FORMAT {
            return Err(ErrorKind::Unsupported("this format of manifest").into());
        }
        if manifest.to_json().as_bytes() != bytes {
            return Err(ErrorKind::Value("the manifest was changed").into());
        }
        Ok(manifest)
    }

    fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut counts = Counts::default();
        let part = Counts {
            orders: 3,
            prepared: 2,
            rejected: 1,
            repeated: 0,
            by_channel: [("THALES".to_owned(), 2)].into(),
            by_error: [("CRYPTO_ERROR".to_owned(), 1)].into(),
            by_destination: [("THALES/THALES".to_owned(), 2)].into(),
            by_profile: [("visa".to_owned(), 2)].into(),
        };
        counts.add(&part);
        counts.add(&part);
        Manifest {
            format: MANIFEST_FORMAT.into(),
            engine: "emv-dataprep 0".into(),
            engine_sha256: Some("04".into()),
            batch: "B".into(),
            environment: "test".into(),
            started: "2026-01-01T00:00:00Z".into(),
            ended: "2026-01-01T00:00:01Z".into(),
            input: InputRecord { sha256: "00".into(), orders: 6 },
            configuration: vec![FileDigest { path: "issuer.toml".into(), sha256: "01".into() }],
            keys: vec![KeyRecord {
                usage: "cvk".into(),
                index: "01".into(),
                kcv: "ABCDEF".into(),
                source: "software".into(),
            }],
            key_source: Some("software".into()),
            accepted: vec!["software-key-source".into()],
            officers: Some(OfficersRecord { digest: "04".into(), sequence: 1, names: vec!["ann".into()] }),
            seed_commitment: None,
            counts,
            pool: Some(PoolCounts { used: 3, fresh: 1 }),
            weak_keys: Some(WeakKeys { primes: 4, issuer: 2, pool: 0, history: 6, moduli: 3, repeats: 0 }),
            verification: None,
            files: vec![FileRecord { path: "status.jsonl".into(), sha256: "02".into(), bytes: 9, cards: 6 }],
            audit: AuditRecord { entries: 1, sha256: "03".into() },
            manifest_sha256: String::new(),
            signature: None,
        }
    }

    #[test]
    fn counts_add_up() {
        let counts = manifest().counts;
        assert_eq!((counts.orders, counts.prepared, counts.rejected), (6, 4, 2));
        assert_eq!((counts.by_channel["THALES"], counts.by_error["CRYPTO_ERROR"]), (4, 2));
        assert_eq!((counts.by_destination["THALES/THALES"], counts.by_profile["visa"]), (4, 4));
    }

    #[test]
    fn a_batch_without_a_pool_tells_nothing_of_one() {
        let text = manifest().to_json();
        assert!(text.contains("\"pool\": {\n    \"used\": 3,\n    \"fresh\": 1\n  },"), "{text}");
        let none = Manifest { pool: None, weak_keys: None, ..manifest() }.to_json();
        assert!(!none.contains("pool"));
        assert_eq!(Manifest::read(none.as_bytes()).unwrap().pool, None);
    }

    #[test]
    fn every_changed_byte_of_a_signed_manifest_is_seen() {
        let key = |byte| Ed25519Private::from_seed(&crate::secret::Secret::copy_of(&[byte; 32])).unwrap();
        let (mine, other) = (key(1), key(2));
        let mut signed = manifest();
        assert!(signed.check_signature(&mine.public()).is_err());
        signed.sign(&mine);
        let text = signed.to_json();
        Manifest::read(text.as_bytes()).unwrap().check_signature(&mine.public()).unwrap();
        assert!(signed.check_signature(&other.public()).is_err());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let passes = Manifest::read(&bytes).and_then(|m| m.check_signature(&mine.public()));
            assert!(passes.is_err(), "byte {at}");
        }
        let mut again = signed.clone();
        again.counts.orders += 1;
        assert!(again.check_signature(&mine.public()).is_err());
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let text = manifest().to_json();
        let back = Manifest::read(text.as_bytes()).unwrap();
        assert_eq!(Manifest { manifest_sha256: String::new(), ..back }, manifest());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(Manifest::read(&bytes).is_err(), "byte {at}");
        }
        assert!(Manifest::read(format!("{text}\n").as_bytes()).is_err());
    }
}

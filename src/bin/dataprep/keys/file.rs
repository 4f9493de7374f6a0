//! `keys.toml` on disk while it is worked on: one process at a time, the log first, then the file.

use std::path::{Path, PathBuf};

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::crypto::rng::{Purpose, Seed, StreamRng};
use emv_dataprep::error::Error;
use emv_dataprep::keys::tr31::{Header, Mode, Policy, Usage, Version};
use emv_dataprep::keys::{KeyIndex, KeyRef, KeyUse, SoftwareRing};
use emv_dataprep::profile::{Environment, Finding, KeySettings, KeyState, KeysFile};
use emv_dataprep::secret::Secret;
use emv_dataprep::store::audit::{AuditLog, Event, Text};
use emv_dataprep::store::{FolderLock, LockOutcome, Store};

use super::Where;
use crate::failure::Failure;
use crate::issuer_dir::protection::{self, Protecting, Which};
use crate::issuer_dir::{KEY_LOG, read_bounded, signing_key};
use crate::journal;
use crate::prepare::Start;

/// The parts of an issuer directory that keys need: the rest may be what a key is still missing from.
pub struct KeyDir {
    root: PathBuf,
    pub settings: KeySettings,
    pub file: KeysFile,
}

impl KeyDir {
    /// Reads `issuer.toml` and `keys.toml`.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        let settings = KeySettings::read(&read_bounded(&root.join("issuer.toml"))?);
        let settings = settings.map_err(|findings| refused(&findings))?;
        let path = root.join("keys.toml");
        let bytes = if path.exists() { read_bounded(&path)? } else { b"version = 1\n".to_vec() };
        let file = KeysFile::read(&bytes).map_err(|findings| refused(&findings))?;
        Ok(Self { root: root.to_owned(), settings, file })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn is_test(&self) -> bool {
        self.settings.environment == Environment::Test
    }

    /// The protection key under which the file's key blocks are.
    pub fn kbpk(&self) -> Result<Kbpk, Failure> {
        let which = (&self.settings.protection, self.settings.next.as_ref());
        let entries = self.file.keys().iter().map(|k| &k.entry);
        let (key, which) = protection::open_fitting(&self.root, which, self.settings.environment, entries)?;
        let config = match (which, &self.settings.next) {
            (Which::Next, Some(next)) => next,
            _ => &self.settings.protection,
        };
        Ok(Kbpk { key, version: version_of(config.cipher()), which })
    }

    /// Loads every key of a file: what is written will load.
    pub fn load(file: &KeysFile, kbpk: &Protecting) -> Result<SoftwareRing, Error> {
        let mut ring = SoftwareRing::new(Backend::Portable);
        for line in file.keys() {
            ring.load(kbpk, &line.entry)?;
        }
        Ok(ring)
    }

    /// The key-encryption key of another party: a `transport` key whose block says that it wraps keys (K0 or K1).
    pub fn transport(
        &self,
        kbpk: &Protecting,
        index: KeyIndex,
        modes: &[Mode],
    ) -> Result<(Secret, Version), Failure> {
        let name = KeyRef::new(KeyUse::Transport, index);
        let named = |what: &str| Failure::refused(format!("key {name}: {what}"));
        let line = self.file.find(name).ok_or_else(|| named("keys.toml has no such key"))?;
        if line.dates.state(Start::now()?.today) != KeyState::Active {
            return Err(named("it is retired or expired"));
        }
        let imported = Policy::for_use(KeyUse::Transport).import(kbpk, &line.entry.block);
        let imported = imported.map_err(|e| named(&e.to_string()))?;
        line.entry
            .kcv_method
            .verify(&imported.key, imported.algorithm, &line.entry.kcv)
            .map_err(|e| named(&e.to_string()))?;
        if ![Usage::K0, Usage::K1].contains(&imported.header.usage()) {
            return Err(named("its key block does not let it wrap keys (usage K0 or K1)"));
        }
        if !modes.contains(&imported.header.mode()) {
            return Err(named("its key block does not let it work in this direction"));
        }
        let version = if imported.algorithm.is_tdes() { Version::B } else { Version::D };
        Ok((imported.key, version))
    }
}

/// The key-block protection key in use, and the version of its blocks.
pub struct Kbpk {
    pub key: Protecting,
    pub version: Version,
    pub which: Which,
}

pub const fn version_of(cipher: emv_dataprep::keys::tr31::BlockCipher) -> Version {
    match cipher {
        emv_dataprep::keys::tr31::BlockCipher::Tdes => Version::B,
        emv_dataprep::keys::tr31::BlockCipher::Aes => Version::D,
    }
}

/// An issuer directory that nobody else changes meanwhile.
pub struct Change {
    pub dir: KeyDir,
    who: Text,
    _lock: FolderLock,
}

impl Change {
    pub fn begin(place: &Where) -> Result<Self, Failure> {
        let lock = match FolderLock::take(&place.issuer)? {
            LockOutcome::Held(lock) => lock,
            LockOutcome::Busy => {
                return Err(Failure::stopped("another process works on this issuer directory"));
            }
        };
        let dir = KeyDir::open(&place.issuer)?;
        let operator = place.operator.as_ref().map(|t| t.parse::<Text>()).transpose();
        let operator = operator.map_err(|e| Failure::usage(format!("--operator: {e}")))?;
        if operator.is_none() && !dir.is_test() {
            return Err(Failure::usage("--operator is needed: the key log names who changes keys"));
        }
        let who = journal::who(operator.as_ref())?;
        Ok(Self { dir, who, _lock: lock })
    }

    /// Writes an entry of the key log, durably.
    pub fn log(
        &self,
        event: Event,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Failure> {
        let root = self.dir.root();
        let folder = root.join(KEY_LOG);
        let store = Store::default();
        store.create_folders(&folder)?;
        let settings = &self.dir.settings;
        let signer = match (&settings.signing_key, &settings.signing_public_key) {
            (Some(path), Some(public)) => Some(signing_key(&root.join(path), public)?),
            _ => None,
        };
        let mut log = AuditLog::open(&store, &folder, signer.as_ref(), self.who.clone(), clock)?;
        Ok(log.add(event, facts)?)
    }

    /// Logs the change, then puts the new file in the place of the old one with one rename. A kill between the two leaves
    /// the old file, and a log whose last entry names another: `keys check` tells.
    pub fn publish(
        &self,
        new: &KeysFile,
        event: Event,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Failure> {
        let path = self.dir.root().join("keys.toml");
        if path.is_symlink() {
            return Err(Failure::refused(format!("{}: is a link; change the file itself", path.display())));
        }
        let facts = facts.into_iter().chain([("before", digest(&self.dir.file)), (KEYS, digest(new))]);
        self.log(event, facts)?;
        let store = Store::default();
        let temporary = self.dir.root().join(".keys.toml.new");
        store.remove_file(&temporary)?;
        store.write_new(&temporary, [new.text()])?;
        // Whoever could read the old file can read the new one.
        if let Ok(meta) = std::fs::metadata(&path) {
            let set = std::fs::set_permissions(&temporary, meta.permissions());
            set.map_err(|e| Failure::stopped(format!("{}: {e}", temporary.display())))?;
        }
        store.rename(&temporary, &path)?;
        store.sync_folder(self.dir.root())?;
        Ok(())
    }
}

/// The fact of a log entry that holds the digest of the file after the change.
pub const KEYS: &str = "keys";

/// SHA-256 of the file's text.
pub fn digest(file: &KeysFile) -> String {
    hex_upper(&sha256(&[file.text().as_bytes()]))
}

/// What a log entry says of a key.
pub fn facts_of(key: KeyRef, kcv: &str, block: &Header) -> Vec<(&'static str, String)> {
    vec![
        ("key", super::shown(key)),
        ("kcv", kcv.to_owned()),
        ("keyBlock", format!("{} {} {}", block.version(), block.usage(), block.mode())),
    ]
}

/// Fill of key blocks.
pub fn fill(purpose: &'static str) -> Result<StreamRng, Failure> {
    Ok(Seed::from_os()?.named_stream(purpose.as_bytes(), Purpose::TestIssuer).rng())
}

fn clock() -> String {
    Start::now().map(|start| start.text).unwrap_or_default()
}

fn refused(findings: &[Finding]) -> Failure {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Failure::refused(lines.join("\n  "))
}

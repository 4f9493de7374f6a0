//! An issuer directory on disk: its text files, its secrets, its keys.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use emv_dataprep::batch::EnvelopeKeys;
use emv_dataprep::bytes::{from_hex, hex_upper};
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::crypto::rsa::RsaPrivate;
use emv_dataprep::issuer::KeyModule;
use emv_dataprep::keys::{KeySource, PrivateJwk, SoftwareRing};
use emv_dataprep::output::{FileDigest, KeyRecord};
use emv_dataprep::profile::{Environment, Files, Finding, Issuer, Level, SecretKind};
use emv_dataprep::secret::Secret;
use emv_dataprep::store::Store;
use emv_dataprep::store::pool::Pool;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Bytes of a configuration file.
const MOST_BYTES: u64 = 4 << 20;
/// Files of an issuer directory.
const MOST_FILES: usize = 10_000;

/// An issuer directory whose configuration is good.
pub struct IssuerDir {
    pub root: PathBuf,
    pub files: Files,
    pub issuer: Issuer,
}

/// The issuer's keys, opened.
pub struct OpenKeys {
    pub module: KeyModule<SoftwareRing>,
    pub envelopes: EnvelopeKeys,
}

impl IssuerDir {
    /// Reads and checks a directory.
    pub fn load(root: &Path) -> Result<Self, Failure> {
        let files = read_files(root)?;
        let issuer = Issuer::load(&files).map_err(|findings| {
            let errors = findings.iter().filter(|f| f.level == Level::Error);
            let mut text = format!("{}: the configuration is refused", root.display());
            for finding in errors {
                text.push_str(&format!("\n  {finding}"));
            }
            Failure::refused(text)
        })?;
        Ok(Self { root: root.to_owned(), files, issuer })
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

    /// SHA-256 of every configuration file.
    pub fn digests(&self) -> Vec<FileDigest> {
        let digest = |(path, bytes): (&String, &Vec<u8>)| FileDigest {
            path: path.clone(),
            sha256: hex_upper(&sha256(&[bytes])),
        };
        self.files.iter().map(digest).collect()
    }

    /// The key-block protection key.
    pub fn kbpk(&self) -> Result<Secret, Failure> {
        let file = self.issuer.secret_files().iter().find(|f| f.kind == SecretKind::KeyBlockProtection);
        let file = file.ok_or_else(|| Failure::refused("issuer.toml names no key-block protection key"))?;
        read_hex_secret(&self.root.join(&file.path))
    }

    /// The key that signs manifests and audit logs, if the issuer has one.
    pub fn signing_key(&self) -> Result<Option<Ed25519Private>, Failure> {
        let file = self.issuer.secret_files().iter().find(|f| f.kind == SecretKind::Signing);
        let (Some(file), Some(public)) = (file, self.issuer.signing_public_key()) else { return Ok(None) };
        let path = self.root.join(&file.path);
        let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", path.display()));
        let key = Ed25519Private::from_seed(&read_hex_secret(&path)?).map_err(at)?;
        if key.public() != *public {
            return Err(Failure::refused(format!(
                "{}: is not the key of signing_public_key in issuer.toml",
                path.display()
            )));
        }
        Ok(Some(key))
    }

    /// Opens every key block, issuer RSA key and envelope key.
    pub fn open_keys(&self, backend: Backend) -> Result<OpenKeys, Failure> {
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
        self.open_oda(&mut ring)?;
        let mut envelopes = EnvelopeKeys::default();
        for file in self.issuer.secret_files() {
            if let SecretKind::Envelope { kid } = &file.kind {
                let path = self.root.join(&file.path);
                let text = read_secret(&path)?;
                let key = PrivateJwk::from_json(text.expose());
                let added = key.and_then(|key| envelopes.add(kid, key));
                added.map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
            }
        }
        Ok(OpenKeys { module: KeyModule::new(ring), envelopes })
    }

    fn open_oda(&self, ring: &mut SoftwareRing) -> Result<(), Failure> {
        let mut keys = self.issuer.oda_keys().peekable();
        if keys.peek().is_none() {
            return Ok(());
        }
        let file = self.issuer.secret_files().iter().find(|f| f.kind == SecretKind::OdaPassword);
        let file = file.ok_or_else(|| Failure::refused("issuer.toml names no oda_password"))?;
        let password = read_secret(&self.root.join(&file.path))?;
        let password = Secret::copy_of(password.expose().trim_ascii());
        for oda in keys {
            let path = self.root.join(&oda.private_key_file);
            let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", path.display()));
            let der = der_of(&read_bounded(&path)?)
                .ok_or_else(|| Failure::refused(format!("{}: is not PEM or DER", path.display())))?;
            let key = RsaPrivate::from_pkcs8_encrypted(&der, &password).map_err(at)?;
            if oda.certificates.iter().any(|c| c.key.modulus() != key.public().modulus()) {
                return Err(Failure::refused(format!(
                    "{}: a certificate of oda/{} is for another key",
                    path.display(),
                    oda.index
                )));
            }
            ring.add_oda(oda.index, key)?;
        }
        Ok(())
    }

    /// The pool of ready RSA keys.
    pub fn pool<'a>(&self, keys: &'a OpenKeys) -> Result<Pool<'a>, Failure> {
        Ok(Pool::new(&self.pool_folder(), Store::default(), keys.module.source())?)
    }

    /// The pool's folder.
    pub fn pool_folder(&self) -> PathBuf {
        self.root.join(self.issuer.pool_folder())
    }

    /// Every key for the manifest.
    pub fn key_records(&self, keys: &OpenKeys) -> Vec<KeyRecord> {
        let ring = keys.module.source();
        let source = ring.name();
        let mut records: Vec<KeyRecord> = ring
            .keys()
            .into_iter()
            .map(|info| KeyRecord {
                usage: info.key.usage.to_string(),
                index: info.key.index.to_string(),
                kcv: info.kcv,
                source: source.to_owned(),
            })
            .collect();
        for index in ring.oda_keys() {
            if let Ok(info) = ring.oda_info(index) {
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

/// Reads and checks a directory for `check`: every finding.
pub fn findings(root: &Path, today: CardDate) -> Result<(Option<IssuerDir>, Vec<Finding>), Failure> {
    let files = read_files(root)?;
    let (issuer, findings) = Issuer::check(&files, Some(today));
    Ok((issuer.map(|issuer| IssuerDir { root: root.to_owned(), files, issuer }), findings))
}

/// All text files of a directory by their paths in it. Hidden files, folders `secrets` and the key pool are no
/// configuration.
fn read_files(root: &Path) -> Result<Files, Failure> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |e: std::io::Error| Failure::refused(format!("read {}: {e}", path.display()))
    };
    let real_root = root.canonicalize().map_err(at(root))?;
    let mut files = Files::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let name = entry.map_err(at(&path))?.file_name();
            let Some(text) = name.to_str() else {
                return Err(Failure::refused(format!("{}: a name that is not UTF-8", path.display())));
            };
            let is_pool = text == "pool" && folder.as_os_str().is_empty();
            if text.starts_with('.') || text == "secrets" || is_pool {
                continue;
            }
            let relative = folder.join(text);
            let full = root.join(&relative);
            let real = full.canonicalize().map_err(at(&full))?;
            if !real.starts_with(&real_root) {
                return Err(Failure::refused(format!(
                    "{}: leads out of the issuer directory",
                    full.display()
                )));
            }
            if real.is_dir() {
                // A link to a folder above would go round for ever.
                if full.is_symlink() {
                    return Err(Failure::refused(format!("{}: a link to a folder", full.display())));
                }
                folders.push(relative);
                continue;
            }
            let parts: Vec<_> = relative.iter().map(|p| p.to_string_lossy()).collect();
            files.insert(parts.join("/"), read_bounded(&full)?);
            if files.len() > MOST_FILES {
                return Err(Failure::refused(format!("{}: more than {MOST_FILES} files", root.display())));
            }
        }
    }
    Ok(files)
}

/// A file of at most 4 MiB, whatever it is (a device has no end).
pub fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let at = |e: std::io::Error| Failure::refused(format!("read {}: {e}", path.display()));
    let file = fs::File::open(path).map_err(at)?;
    // Room for all of it at once: a buffer that grows leaves copies of a secret behind.
    let len = file.metadata().map_err(at)?.len().min(MOST_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default().saturating_add(1024));
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(at)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Failure::refused(format!("{}: is larger than 4 MiB", path.display())));
    }
    Ok(bytes)
}

/// A secret file: nobody but its owner may read it.
pub fn read_secret(path: &Path) -> Result<Secret, Failure> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let meta = fs::metadata(path);
        let meta = meta.map_err(|e| Failure::refused(format!("read {}: {e}", path.display())))?;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(Failure::refused(format!(
                "{}: others may read this secret; set its mode to 0600",
                path.display()
            )));
        }
    }
    Ok(Secret::new(read_bounded(path)?))
}

/// A key in a secret file, as hexadecimal.
pub fn read_hex_secret(path: &Path) -> Result<Secret, Failure> {
    let text = read_secret(path)?;
    secret_from_hex(text.expose())
        .ok_or_else(|| Failure::refused(format!("{}: is not a key in hexadecimal", path.display())))
}

/// A key from hexadecimal text with white space around it.
pub fn secret_from_hex(text: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let bytes = from_hex(text).ok().filter(|b| !b.is_empty())?;
    Some(Secret::new(bytes))
}

/// A private JWK for `open` and `verify`.
pub fn read_private_jwk(path: &Path) -> Result<PrivateJwk, Failure> {
    let text = read_secret(path)?;
    PrivateJwk::from_json(text.expose()).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))
}

/// DER from DER or PEM.
fn der_of(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = bytes.trim_ascii();
    if !text.starts_with(b"-----BEGIN ") {
        return Some(Zeroizing::new(bytes.to_vec()));
    }
    let text = std::str::from_utf8(text).ok()?;
    let body: Zeroizing<String> = Zeroizing::new(text.lines().filter(|l| !l.starts_with("-----")).collect());
    let body = Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect::<String>());
    Base64::decode_vec(&body).ok().map(Zeroizing::new)
}

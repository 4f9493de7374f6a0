//! `oda/XX/` of a key that waits for a certificate.

use std::path::{Path, PathBuf};

use emv_dataprep::crypto::rsa::{RsaPrivate, RsaPublic};
use emv_dataprep::keys::{KeyIndex, KeySource};
use emv_dataprep::profile::SecretKind;
use emv_dataprep::secret::Secret;
use emv_dataprep::store::Store;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::failure::Failure;
use crate::issuer_dir::{IN_TOKEN, IssuerDir, read_secret, token};

/// File of the private key of a key that is made or adopted here.
pub(super) const PRIVATE_KEY: &str = "issuer-key.der";
const PENDING: &str = "pending.toml";
const CERTIFIED: &str = "oda.toml";

/// `pending.toml`: a key that waits for its first certificate, or for more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) version: u32,
    /// RID of the scheme.
    pub(super) rid: String,
    /// File name in the same folder.
    pub(super) private_key: String,
    pub(super) bits: usize,
    pub(super) exponent: u32,
    /// When, RFC 3339.
    pub(super) created: String,
    #[serde(default, rename = "request", skip_serializing_if = "Vec::is_empty")]
    pub(super) requests: Vec<Sent>,
}

/// A request that was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// The digits that the PANs begin with.
    pub(super) identifier: String,
    /// Month after which the certificate should end, YYMM.
    pub(super) expiry: String,
    /// `pkcs10` or `template`.
    pub(super) form: String,
    /// SHA-256 of the file.
    pub(super) sha256: String,
    /// When, RFC 3339.
    pub(super) at: String,
}

/// The folder of one index.
pub(super) struct Folder {
    pub(super) dir: IssuerDir,
    pub(super) index: KeyIndex,
    pub(super) path: PathBuf,
    pub(super) store: Store,
}

impl Folder {
    pub(super) fn of(place: &Place) -> Result<Self, Failure> {
        let dir = IssuerDir::read(&place.issuer)?;
        let path = dir.root.join("oda").join(place.index.to_string());
        Ok(Self { dir, index: place.index, path, store: Store::default() })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn is_certified(&self) -> bool {
        self.store.exists(&self.file(CERTIFIED))
    }

    pub(super) fn pending(&self) -> Result<Option<Pending>, Failure> {
        read_pending(&self.store, &self.path)
    }

    pub(super) fn write_pending(&self, pending: &Pending) -> Result<(), Failure> {
        let text =
            toml::to_string(pending).map_err(|_| Failure::refused("pending.toml cannot be written"))?;
        self.publish(PENDING, text.as_bytes())
    }

    pub(super) fn remove_pending(&self) -> Result<(), Failure> {
        self.store.remove_file(&self.file(PENDING))?;
        Ok(self.store.sync_folder(&self.path)?)
    }

    pub(super) fn write_certified(&self, text: &str) -> Result<(), Failure> {
        self.publish(CERTIFIED, text.as_bytes())
    }

    pub(super) fn certified_text(&self) -> Result<Option<String>, Failure> {
        let Some(bytes) = self.store.read(&self.file(CERTIFIED))? else { return Ok(None) };
        let text = String::from_utf8(bytes);
        text.map(Some)
            .map_err(|_| Failure::refused(format!("{}: is not text", self.file(CERTIFIED).display())))
    }

    /// A whole file or none, in the place of what stood there.
    pub(super) fn publish(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.store.create_folders(&self.path)?;
        self.store.publish(&self.file(&format!(".{name}.new")), &self.file(name), bytes)?;
        Ok(())
    }

    /// The file name of the private key.
    pub(super) fn private_key_name(&self) -> Result<String, Failure> {
        if let Some(oda) = self.dir.issuer.oda(self.index) {
            return Ok(oda.private_key_file.rsplit('/').next().unwrap_or_default().to_owned());
        }
        match self.pending()? {
            Some(pending) => Ok(pending.private_key),
            None => Err(Failure::refused(format!(
                "{}: there is no key: dataprep issuer-key new makes one",
                self.path.display()
            ))),
        }
    }

    /// The key, out of its file or in its token.
    pub(super) fn key(&self) -> Result<IssuerKey, Failure> {
        let name = self.private_key_name()?;
        if name != IN_TOKEN {
            return Ok(IssuerKey::File(self.dir.oda_private_key(&self.file(&name))?));
        }
        let token = token::open_oda(&self.dir, self.index)?;
        let info = token.oda_info(self.index)?;
        let public = RsaPublic::new(&info.modulus, &info.exponent)?;
        Ok(IssuerKey::Token { token, index: self.index, public })
    }
}

/// An issuer key that signs its own request.
pub(super) enum IssuerKey {
    File(RsaPrivate),
    Token { token: Box<dyn KeySource>, index: KeyIndex, public: RsaPublic },
}

impl IssuerKey {
    pub(super) fn public(&self) -> &RsaPublic {
        match self {
            Self::File(key) => key.public(),
            Self::Token { public, .. } => public,
        }
    }

    /// The raw private operation on a block as long as the modulus.
    pub(super) fn apply(&self, block: &[u8]) -> Result<Vec<u8>, Failure> {
        match self {
            Self::File(key) => Ok(key.apply(block)?),
            Self::Token { token, index, .. } => {
                let signed = token.rsa_private(*index, &[block.to_vec()])?;
                signed.into_iter().next().ok_or_else(|| Failure::refused("the token gave no signature"))
            }
        }
    }

    /// The public exponent as a number.
    pub(super) fn exponent(&self) -> u32 {
        self.public().exponent().iter().fold(0, |e, b| e << 8 | u32::from(*b))
    }
}

/// `pending.toml` of a folder.
pub(super) fn read_pending(store: &Store, folder: &Path) -> Result<Option<Pending>, Failure> {
    let path = folder.join(PENDING);
    let Some(bytes) = store.read(&path)? else { return Ok(None) };
    let pending: Option<Pending> =
        std::str::from_utf8(&bytes).ok().and_then(|text| toml::from_str(text).ok());
    let pending = pending.filter(|p| p.version == 1 && !p.private_key.contains(['/', '\\']));
    pending.map(Some).ok_or_else(|| Failure::refused(format!("{}: cannot be read", path.display())))
}

/// The password of the issuer's RSA keys; made when the file that `issuer.toml` names does not exist yet.
pub(super) fn password(dir: &IssuerDir, store: &Store) -> Result<Secret, Failure> {
    let file = dir.issuer.secret_files().iter().find(|f| f.kind == SecretKind::OdaPassword);
    let file = file.ok_or_else(|| Failure::refused("issuer.toml names no oda_password"))?;
    let path = dir.root.join(&file.path);
    if !store.exists(&path) {
        let random = emv_dataprep::crypto::rng::Seed::from_os()?;
        let word = zeroize::Zeroizing::new(random.keyed_digest(&[b"emv-dataprep/oda-password/1"]));
        let text = zeroize::Zeroizing::new(emv_dataprep::bytes::hex_upper(word.as_slice()));
        if let Some(parent) = path.parent() {
            store.create_folders(parent)?;
        }
        let temporary = path.with_extension("new");
        store.publish(&temporary, &path, text.as_bytes())?;
    }
    let text = read_secret(&path)?;
    Ok(Secret::copy_of(text.expose().trim_ascii()))
}

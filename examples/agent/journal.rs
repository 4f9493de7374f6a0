//! What the agent must not forget: the session's state, and which chip a card was claimed for. Neither is secret.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use emv_dataprep::bytes::{array_from_hex, hex_upper};
use emv_dataprep::perso::channel::KeyData;
use emv_dataprep::perso::session::Claim;

/// In a folder when one is given; otherwise in memory, which is enough for a card that is made for this run alone.
pub(crate) struct Journal {
    files: Option<(PathBuf, PathBuf)>,
    state: Option<Vec<u8>>,
    claim: Option<KeyData>,
}

impl Journal {
    pub(crate) fn open(folder: Option<&Path>, card: &str) -> std::io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self { files: None, state: None, claim: None }) };
        fs::create_dir_all(folder)?;
        // A card reference may hold anything.
        let name = hex_upper(card.as_bytes());
        let (state, claim) = (folder.join(format!("{name}.state")), folder.join(format!("{name}.claim")));
        let read = |path: &Path| match fs::read(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        };
        let of_chip = |text: Vec<u8>| {
            let text = String::from_utf8(text).ok();
            let chip = text.and_then(|text| array_from_hex(text.trim()).ok()).map(KeyData);
            chip.ok_or_else(|| {
                std::io::Error::other(format!("{}: this is no claim of a chip", claim.display()))
            })
        };
        Ok(Self {
            state: read(&state)?,
            claim: read(&claim)?.map(of_chip).transpose()?,
            files: Some((state, claim)),
        })
    }

    pub(crate) fn state(&self) -> Option<&[u8]> {
        self.state.as_deref()
    }

    pub(crate) const fn claim(&self) -> Option<KeyData> {
        self.claim
    }

    /// Before anything goes to the card.
    pub(crate) fn keep(&mut self, state: Vec<u8>) -> std::io::Result<()> {
        if self.state.as_ref() == Some(&state) {
            return Ok(());
        }
        if let Some((path, _)) = &self.files {
            write(path, &state)?;
        }
        self.state = Some(state);
        Ok(())
    }

    /// Before the first secret goes to the card.
    pub(crate) fn claimed(&mut self, claim: &Claim) -> std::io::Result<()> {
        if let Some((_, path)) = &self.files {
            write(path, claim.key_data.to_string().as_bytes())?;
        }
        self.claim = Some(claim.key_data);
        Ok(())
    }

    /// What was begun is not to be gone on with: the card is personalized, or begins anew on another chip.
    pub(crate) fn forget_state(&mut self) -> std::io::Result<()> {
        self.state = None;
        match self.files.as_ref().map(|(path, _)| fs::remove_file(path)) {
            Some(Err(e)) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Whole or not at all, and on the disk when it returns.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

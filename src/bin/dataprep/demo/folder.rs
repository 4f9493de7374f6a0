//! The one folder that the demo writes.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::issuer::{Files, TestIssuer};

/// Says that a folder is ours.
const MARKER: &str = ".emv-dataprep-demo";
const MARKER_TEXT: &str =
    "This folder was written by `dataprep demo`, which replaces its contents when it is run again.\n";
/// What a run of the demo leaves beside the marker.
const OURS: [&str; 4] = ["issuer", "secrets", "orders.jsonl", "out"];

/// Why the folder cannot be written.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// It holds something that is not ours.
    NotOurs(PathBuf),
    /// The operating system refuses.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for FolderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotOurs(path) => {
                write!(f, "{} is not empty and was not written by demo: name another folder", path.display())
            }
            Self::Io(path, e) => write!(f, "{}: {e}", path.display()),
        }
    }
}

/// A folder that is absent, empty or ours.
#[derive(Debug)]
pub(crate) struct DemoFolder(PathBuf);

impl DemoFolder {
    /// Makes the folder, or takes one that is empty or ours; what an earlier run left there is removed.
    pub(crate) fn take(path: &Path) -> Result<Self, FolderError> {
        let at = |e| FolderError::Io(path.to_owned(), e);
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path).map_err(at)?,
            Err(e) => return Err(at(e)),
            // A link would lead the demo out of the folder that it names.
            Ok(meta) if !meta.is_dir() => return Err(FolderError::NotOurs(path.to_owned())),
            Ok(_) => {}
        }
        let marker = path.join(MARKER);
        let is_empty = fs::read_dir(path).map_err(at)?.next().is_none();
        let is_ours = fs::symlink_metadata(&marker).is_ok_and(|m| m.is_file());
        if !is_empty && !is_ours {
            return Err(FolderError::NotOurs(path.to_owned()));
        }
        if !is_ours {
            write(&marker, MARKER_TEXT.as_bytes(), 0o644)?;
        }
        for name in OURS {
            remove(&path.join(name))?;
        }
        Ok(Self(path.to_owned()))
    }

    /// Writes issuer directory, secrets and orders.
    pub(crate) fn write(&self, made: &TestIssuer) -> Result<(), FolderError> {
        write_all(&self.issuer(), &made.files, 0o644)?;
        write_all(&self.secrets(), &made.secrets, 0o600)?;
        if !made.orders.is_empty() {
            write(&self.orders(), &made.orders, 0o600)?;
        }
        Ok(())
    }

    /// The issuer directory.
    pub(crate) fn issuer(&self) -> PathBuf {
        self.0.join("issuer")
    }

    /// The folder of secrets.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// The orders.
    pub(crate) fn orders(&self) -> PathBuf {
        self.0.join("orders.jsonl")
    }

    /// The result of `prepare`.
    pub(crate) fn out(&self) -> PathBuf {
        self.0.join("out")
    }
}

fn remove(path: &Path) -> Result<(), FolderError> {
    let at = |e| FolderError::Io(path.to_owned(), e);
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(at(e)),
        // A link is removed itself, never followed.
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).map_err(at),
        Ok(_) => fs::remove_file(path).map_err(at),
    }
}

fn write_all(folder: &Path, files: &Files, mode: u32) -> Result<(), FolderError> {
    for (name, bytes) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| FolderError::Io(parent.to_owned(), e))?;
        }
        write(&path, bytes, mode)?;
    }
    Ok(())
}

/// Writes a file that does not exist yet.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FolderError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|e| FolderError::Io(path.to_owned(), e))
}

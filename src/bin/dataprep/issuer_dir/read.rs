//! Files of an issuer directory and secrets, read from disk.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use emv_dataprep::bytes::from_hex;
use emv_dataprep::keys::PrivateJwk;
use emv_dataprep::profile::Files;
use emv_dataprep::secret::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Bytes of a configuration file.
const MOST_BYTES: u64 = 4 << 20;
/// Files of an issuer directory.
const MOST_FILES: usize = 10_000;

/// Folder of the log of changes to `keys.toml`.
pub const KEY_LOG: &str = "key-log";

/// All text files of a directory by their paths in it. Hidden files, folders `secrets`, the key pool and the key log are
/// no configuration.
pub(super) fn read_files(root: &Path) -> Result<Files, Failure> {
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
            let is_kept = matches!(text, "pool" | KEY_LOG) && folder.as_os_str().is_empty();
            if text.starts_with('.') || text == "secrets" || is_kept {
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
pub(super) fn der_of(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = bytes.trim_ascii();
    if !text.starts_with(b"-----BEGIN ") {
        return Some(Zeroizing::new(bytes.to_vec()));
    }
    let text = std::str::from_utf8(text).ok()?;
    let body: Zeroizing<String> = Zeroizing::new(text.lines().filter(|l| !l.starts_with("-----")).collect());
    let body = Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect::<String>());
    Base64::decode_vec(&body).ok().map(Zeroizing::new)
}

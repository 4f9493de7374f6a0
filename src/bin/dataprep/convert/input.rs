//! The bytes to convert: a file in clear, or a sealed one that is opened.

use std::path::Path;

use emv_dataprep::output::{self, Senders};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::issuer_dir;

/// What a file says, and the batch it belongs to.
pub(super) struct Given {
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) batch: String,
}

pub(super) fn clear(path: &Path) -> Result<Given, Failure> {
    Ok(Given { text: bytes(path)?, batch: "convert".to_owned() })
}

pub(super) fn sealed(path: &Path, key: &Path, senders: &Senders) -> Result<Given, Failure> {
    let bytes = bytes(path)?;
    let key = issuer_dir::read_private_jwk(key)?;
    let at = |words: String| Failure::refused(format!("{}: {words}", path.display()));
    let sealed = std::str::from_utf8(&bytes).map_err(|_| at("is no sealed file".to_owned()))?;
    let opened = output::open_from(&key, sealed, senders).map_err(|e| at(e.to_string()))?;
    if Path::new(&opened.file).file_name() != path.file_name() {
        return Err(at(format!("the file was sealed as {}", opened.file)));
    }
    Ok(Given { text: opened.text, batch: opened.batch })
}

fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::refused(format!("read {}: {e}", path.display())))?;
    Ok(Zeroizing::new(bytes))
}

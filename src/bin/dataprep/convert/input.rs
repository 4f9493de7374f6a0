//! The bytes to convert: a file in clear, or a sealed one that is opened.

use std::path::Path;

use emv_dataprep::output;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::issuer_dir;

/// What a file says, and the batch it belongs to.
pub(super) struct Given {
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) batch: String,
}

pub(super) fn read(path: &Path, key: Option<&Path>) -> Result<Given, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::refused(format!("read {}: {e}", path.display())))?;
    let bytes = Zeroizing::new(bytes);
    let Some(key) = key else {
        return Ok(Given { text: bytes, batch: "convert".to_owned() });
    };
    let key = issuer_dir::read_private_jwk(key)?;
    let at = |words: String| Failure::refused(format!("{}: {words}", path.display()));
    let sealed = std::str::from_utf8(&bytes).map_err(|_| at("is no sealed file".to_owned()))?;
    let opened = output::open(&key, sealed).map_err(|e| at(e.to_string()))?;
    if Path::new(&opened.file).file_name() != path.file_name() {
        return Err(at(format!("the file was sealed as {}", opened.file)));
    }
    Ok(Given { text: opened.text, batch: opened.batch })
}

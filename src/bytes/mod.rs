//! Bytes as the standards write them: a cursor, upper-case hexadecimal, binary-coded decimal.

mod bcd;
mod cursor;

pub use bcd::{digits_from_bcd, pack_digits};
pub use cursor::Cursor;

use crate::error::{ErrorKind, Result};

/// Upper-case hexadecimal, two characters a byte.
///
/// ```
/// assert_eq!(emv_dataprep::bytes::hex_upper(&[0x9F, 0x10]), "9F10");
/// ```
#[must_use]
pub fn hex_upper(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// Bytes from hexadecimal of either case, without separators.
///
/// # Errors
/// [`ErrorKind::Format`] unless `text` is an even number of hexadecimal digits.
///
/// ```
/// assert_eq!(emv_dataprep::bytes::from_hex("9f10")?, [0x9F, 0x10]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn from_hex(text: &str) -> Result<Vec<u8>> {
    hex::decode(text).map_err(|_| ErrorKind::Format("an even number of hexadecimal digits").into())
}

/// A fixed number of bytes from hexadecimal.
///
/// # Errors
/// [`ErrorKind::Format`] unless `text` is exactly `2 N` hexadecimal digits.
pub fn array_from_hex<const N: usize>(text: &str) -> Result<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(text, &mut out).map_err(|_| ErrorKind::Format("hexadecimal of the right length"))?;
    Ok(out)
}

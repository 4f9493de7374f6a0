use crate::error::{ErrorKind, Result};

/// Packs decimal digits two a byte; an odd last nibble is `pad` (EMV format "cn": `0xF`).
///
/// EMV 4.4 Book 3, section 4.3. `digits` are values 0 to 9, one a byte; `pad` is a nibble.
///
/// ```
/// use emv_dataprep::bytes::pack_digits;
/// assert_eq!(pack_digits(&[1, 2, 3], 0xF), [0x12, 0x3F]);
/// ```
#[must_use]
pub fn pack_digits(digits: &[u8], pad: u8) -> Vec<u8> {
    digits
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => (high << 4) | (low & 0x0F),
            [high] => (high << 4) | (pad & 0x0F),
            _ => 0,
        })
        .collect()
}

/// Digits of packed decimal, values 0 to 9, up to trailing `F` nibbles.
///
/// # Errors
/// [`ErrorKind::Format`] for a nibble of A to E, or a digit after an `F`.
///
/// ```
/// use emv_dataprep::bytes::digits_from_bcd;
/// assert_eq!(digits_from_bcd(&[0x12, 0x3F])?, [1, 2, 3]);
/// assert!(digits_from_bcd(&[0x1F, 0x23]).is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn digits_from_bcd(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut digits = Vec::with_capacity(bytes.len().saturating_mul(2));
    let mut ended = false;
    for nibble in bytes.iter().flat_map(|b| [b >> 4, b & 0x0F]) {
        match nibble {
            0..=9 if !ended => digits.push(nibble),
            0xF => ended = true,
            _ => return Err(ErrorKind::Format("packed decimal digits").into()),
        }
    }
    Ok(digits)
}

//! Visa PIN verification value (PVV).
//!
//! The transformed security parameter (TSP) is the eleven rightmost PAN digits without the check digit, the PIN
//! verification key index and the first four PIN digits. PVV = the first four decimalized digits of `TDES(PVK)[TSP]`.

use zeroize::Zeroizing;

use super::DigitValue;
use super::decimal::{decimalize, nibbles};
use crate::bytes::pack_digits;
use crate::card::{Pan, Pin};
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};

/// Digits of a PVV.
pub const DIGITS: usize = 4;

/// Transformed security parameter: 16 digits, 8 bytes. Only the first four digits of a longer PIN enter.
///
/// `pvki` is the PIN verification key index, one digit (1 to 6 by Visa's rule; 0 and 7 to 9 are computed alike).
///
/// # Errors
/// [`ErrorKind::Value`] for an index above 9.
pub fn tsp(pan: &Pan, pvki: u8, pin: &Pin) -> Result<Zeroizing<[u8; 8]>> {
    if pvki > 9 {
        return Err(ErrorKind::Value("the PIN verification key index is one digit").into());
    }
    let pan = pan.digits();
    let end = pan.len().saturating_sub(1);
    let account = pan.get(end.saturating_sub(11)..end).unwrap_or_default();
    let mut digits = Zeroizing::new([0_u8; 16]);
    let entering = account.iter().chain(std::iter::once(&pvki)).chain(pin.expose().iter().take(4));
    for (slot, d) in digits.iter_mut().zip(entering) {
        *slot = *d;
    }
    let packed = Zeroizing::new(pack_digits(digits.as_slice(), 0));
    let mut out = Zeroizing::new([0; 8]);
    for (slot, b) in out.iter_mut().zip(packed.iter()) {
        *slot = *b;
    }
    Ok(out)
}

/// The PVV from the enciphered TSP.
///
/// # Errors
/// None for eight bytes; the signature is that of decimalization.
pub fn value(enciphered: &[u8; 8]) -> Result<DigitValue> {
    decimalize(&nibbles(enciphered), DIGITS)
}

/// A PVV under a key in hand. An issuer with a key source uses [`SecurityModule::pvv`](super::SecurityModule::pvv).
///
/// # Errors
/// [`ErrorKind::Value`] for an index above 9.
///
/// ```
/// use emv_dataprep::card::{Pan, Pin};
/// use emv_dataprep::crypto::tdes::TdesKey;
/// use emv_dataprep::{bytes, issuer::pvv};
/// let pvk = TdesKey::from_bytes(&bytes::from_hex("0123456789ABCDEFFEDCBA9876543210")?)?;
/// let pan = Pan::without_check("1122334455667788")?;
/// let pvv = pvv::compute(&pvk, &pan, 1, &Pin::from_digits(&[4, 5, 2, 4])?)?;
/// assert_eq!(pvv.to_text().as_str(), "8523");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn compute(pvk: &TdesKey, pan: &Pan, pvki: u8, pin: &Pin) -> Result<DigitValue> {
    value(&pvk.encrypt_block(*tsp(pan, pvki, pin)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_pass() {
        let pvk = TdesKey::from_bytes(&hex::decode("0E1C25E53B6D7A0E079210A4191A627F").unwrap()).unwrap();
        let pan = Pan::without_check("4904338508250084").unwrap();
        let tsp = tsp(&pan, 2, &Pin::from_digits(&[7, 3, 1, 9]).unwrap()).unwrap();
        assert_eq!(hex::encode_upper(*tsp), "3385082500827319");
        let block = pvk.encrypt_block(*tsp);
        assert_eq!(hex::encode_upper(block), "AED8DAFEBE4A9EBC");
        assert_eq!(value(&block).unwrap().to_text().as_str(), "8490");
    }

    #[test]
    fn digits_after_the_fourth_do_not_enter_and_the_index_is_one_digit() {
        let pan = Pan::without_check("476173900101").unwrap();
        let short = tsp(&pan, 7, &Pin::from_digits(&[1, 2, 3, 4]).unwrap()).unwrap();
        let long = tsp(&pan, 7, &Pin::from_digits(&[1, 2, 3, 4, 5, 6]).unwrap()).unwrap();
        assert_eq!(short, long);
        assert_eq!(hex::encode_upper(*short), "4761739001071234");
        assert!(tsp(&pan, 10, &Pin::from_digits(&[1, 2, 3, 4]).unwrap()).is_err());
    }
}

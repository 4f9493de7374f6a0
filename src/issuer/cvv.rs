//! Card verification values: CVV, CVC, iCVV, CVV2 and dCVV, one calculation with different inputs.
//!
//! The calculation is Visa's (CVV) and Mastercard's (CVC) alike. `D` = PAN ‖ expiry ‖ service code, padded right with
//! zeros to 32 digits, two blocks `B1` and `B2`. With the key pair `KA ‖ KB`: `T = TDES(DES(KA)[B1] ⊕ B2)`, then
//! decimalization: decimal digits of `T` from left to right, then its letters less ten.
//!
//! The order of the expiry digits is the caller's choice: YYMM for stripe and chip; for CVV2 issuers differ.

use zeroize::Zeroizing;

use super::DigitValue;
use super::decimal::{decimalize, nibbles};
use crate::bytes::pack_digits;
use crate::card::{Expiry, Pan, ServiceCode};
use crate::crypto::tdes::{TdesKey, xor};
use crate::error::{ErrorKind, Result};

/// Digits of a CVV on cards.
pub const DIGITS: usize = 3;

/// In which order the expiry enters the calculation. For CVV2 a product says it; there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpiryOrder {
    /// Year, then month: stripe, chip, Mastercard CVC2 as a rule.
    Yymm,
    /// Month, then year: Visa CVV2 as a rule.
    Mmyy,
}

impl ExpiryOrder {
    /// Four digits, values 0 to 9, as they enter the calculation.
    #[must_use]
    pub const fn digits(self, expiry: Expiry) -> [u8; 4] {
        match self {
            Self::Yymm => expiry.yymm_digits(),
            Self::Mmyy => expiry.mmyy_digits(),
        }
    }
}

/// `B1` and `B2` of one card. They hold PAN digits.
pub type Blocks = Zeroizing<[[u8; 8]; 2]>;

/// `B1` and `B2` from PAN, four expiry digits (values 0 to 9, in their order) and service code.
///
/// # Errors
/// [`ErrorKind::Format`] for an expiry digit above 9.
pub fn blocks(pan: &Pan, expiry: [u8; 4], service_code: ServiceCode) -> Result<Blocks> {
    if expiry.iter().any(|d| *d > 9) {
        return Err(ErrorKind::Format("four decimal expiry digits").into());
    }
    let mut digits = Zeroizing::new([0_u8; 32]);
    let entering = pan.digits().iter().chain(&expiry).chain(service_code.digits());
    for (slot, d) in digits.iter_mut().zip(entering) {
        *slot = *d;
    }
    let packed = Zeroizing::new(pack_digits(digits.as_slice(), 0));
    let mut out = Zeroizing::new([[0; 8]; 2]);
    for (block, bytes) in out.iter_mut().zip(packed.as_chunks::<8>().0) {
        *block = *bytes;
    }
    Ok(out)
}

/// The first `count` digits of the value from the last cipher block `T`: three on cards, up to sixteen.
///
/// # Errors
/// [`ErrorKind::Length`] for more than sixteen.
pub fn value(t: &[u8; 8], count: usize) -> Result<DigitValue> {
    decimalize(&nibbles(t), count)
}

/// The last cipher block `T`, under a key in hand.
#[must_use]
pub fn last_block(cvk: &TdesKey, blocks: &Blocks) -> [u8; 8] {
    let [b1, b2] = **blocks;
    cvk.encrypt_block(xor(cvk.left_encrypt(b1), b2))
}

/// A CVV of `count` digits under a key in hand. An issuer with a key source uses
/// [`SecurityModule::cvv`](super::SecurityModule::cvv).
///
/// Service code 999 gives the iCVV, 000 the CVV2.
///
/// # Errors
/// [`ErrorKind::Format`] for an expiry digit above 9, [`ErrorKind::Length`] for more than sixteen digits.
///
/// ```
/// use emv_dataprep::card::Pan;
/// use emv_dataprep::crypto::tdes::TdesKey;
/// use emv_dataprep::{bytes, issuer::cvv};
/// let cvk = TdesKey::from_bytes(&bytes::from_hex("0123456789ABCDEFFEDCBA9876543210")?)?;
/// let pan = Pan::without_check("4123456789012")?;
/// let cvv = cvv::compute(&cvk, &pan, [8, 7, 0, 1], "101".parse()?, cvv::DIGITS)?;
/// assert_eq!(cvv.to_text().as_str(), "370");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn compute(
    cvk: &TdesKey,
    pan: &Pan,
    expiry: [u8; 4],
    service_code: ServiceCode,
    count: usize,
) -> Result<DigitValue> {
    value(&last_block(cvk, &blocks(pan, expiry, service_code)?), count)
}

/// The dCVV of Visa's contactless magnetic-stripe mode (no longer issued): as the CVV, under the card's own key
/// (ICC master key for application cryptograms), the first four PAN digits replaced by four decimal digits of the
/// application transaction counter.
///
/// # Errors
/// [`ErrorKind::Format`] for an expiry or counter digit above 9.
pub fn dcvv(
    icc_key: &TdesKey,
    pan: &Pan,
    atc: [u8; 4],
    expiry: [u8; 4],
    service_code: ServiceCode,
) -> Result<DigitValue> {
    let mut text = pan.to_text();
    if atc.iter().any(|d| *d > 9) {
        return Err(ErrorKind::Format("four decimal counter digits").into());
    }
    let counter: String = atc.iter().map(|d| char::from(b'0'.wrapping_add(*d))).collect();
    text.replace_range(..4, &counter);
    compute(icc_key, &Pan::without_check(&text)?, expiry, service_code, DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> TdesKey {
        TdesKey::from_bytes(&hex::decode(hex).unwrap()).unwrap()
    }

    #[test]
    fn second_pass() {
        let cvk = key("D9017FFBD920A28CF24A67C415750226");
        let pan = Pan::without_check("4889683344104303").unwrap();
        let b = blocks(&pan, [2, 7, 1, 2], "101".parse().unwrap()).unwrap();
        let t = last_block(&cvk, &b);
        assert_eq!(hex::encode_upper(t), "DD3ADFABAEEADA8A");
        assert_eq!(value(&t, 3).unwrap().to_text().as_str(), "383");
    }

    #[test]
    fn order_of_the_expiry_matters() {
        let e = Expiry::from_yymm("2906").unwrap();
        assert_eq!(ExpiryOrder::Yymm.digits(e), [2, 9, 0, 6]);
        assert_eq!(ExpiryOrder::Mmyy.digits(e), [0, 6, 2, 9]);
    }

    #[test]
    fn dcvv_of_jpos() {
        let mk = key("DCE992BCE398C264F7858AFD4C4A324A");
        let pan = Pan::without_check("1234567890123456").unwrap();
        let got = dcvv(&mk, &pan, [3, 2, 1, 0], [1, 3, 1, 0], "226".parse().unwrap()).unwrap();
        assert_eq!(got.to_text().as_str(), "422");
        assert!(dcvv(&mk, &pan, [3, 2, 1, 10], [1, 3, 1, 0], "226".parse().unwrap()).is_err());
    }

    #[test]
    fn longest_pan_fills_26_digits() {
        let pan = Pan::without_check("1234567890123456789").unwrap();
        let b = blocks(&pan, [2, 9, 0, 6], "201".parse().unwrap()).unwrap();
        assert_eq!(hex::encode_upper(b.as_flattened()), "12345678901234567892906201000000");
        assert!(blocks(&pan, [2, 9, 0, 10], "201".parse().unwrap()).is_err());
    }
}

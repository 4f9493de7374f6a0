//! CVC3 of Mastercard's contactless magnetic-stripe mode.
//!
//! `KDCVC3` is the ICC master key of the issuer master key for CVC3. IVCVC3 of a track is the last two bytes of the
//! MAC (ISO/IEC 9797-1 algorithm 3, padding method 2) over its static data: for track 2 the value of tag 9F6B, for
//! track 1 that of tag 56, dynamic positions at zero. The card then computes
//! `TDES(KDCVC3)[IVCVC3 ‖ unpredictable number ‖ ATC]` and gives the last two bytes as a decimal number.

use super::DigitValue;
use crate::crypto::mac::{Padding, retail_mac};
use crate::crypto::tdes::TdesKey;

/// IVCVC3 of a track's static data.
///
/// ```
/// use emv_dataprep::crypto::tdes::TdesKey;
/// use emv_dataprep::{bytes, issuer::cvc3};
/// let kd = TdesKey::from_bytes(&bytes::from_hex("DCE992BCE398C264F7858AFD4C4A324A")?)?;
/// let track = bytes::from_hex("1234567890123456D12012061000110000000F")?;
/// let iv = cvc3::ivcvc3(&kd, &track);
/// assert_eq!(iv, [0xCD, 0x76]);
/// let cvc3 = cvc3::cvc3(&kd, iv, [0x00, 0x00, 0x27, 0x10], [0x27, 0x10]);
/// assert_eq!(cvc3.to_text().as_str(), "39464");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn ivcvc3(kd_cvc3: &TdesKey, track: &[u8]) -> [u8; 2] {
    let [.., high, low] = retail_mac(kd_cvc3, [0; 8], Padding::Bit, track);
    [high, low]
}

/// CVC3 as the card computes it: five decimal digits, leading zeros kept. A track carries the rightmost of them.
///
/// `un` is the unpredictable number (four bytes, binary-coded decimal), `atc` the application transaction counter
/// (two bytes, binary; zeros where the profile leaves it out).
#[must_use]
pub fn cvc3(kd_cvc3: &TdesKey, ivcvc3: [u8; 2], un: [u8; 4], atc: [u8; 2]) -> DigitValue {
    let ([i0, i1], [u0, u1, u2, u3], [a0, a1]) = (ivcvc3, un, atc);
    let [.., high, low] = kd_cvc3.encrypt_block([i0, i1, u0, u1, u2, u3, a0, a1]);
    let number = u16::from_be_bytes([high, low]);
    let digits = [10_000, 1_000, 100, 10, 1].map(|power: u16| {
        let digit = number.checked_div(power).unwrap_or(0) % 10;
        u8::try_from(digit).unwrap_or(0)
    });
    DigitValue::new(digits.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_zero_is_kept() {
        let kd = TdesKey::from_bytes(&hex::decode("A7D9257CA198923BD0A452467CECC87F").unwrap()).unwrap();
        let got = cvc3(&kd, [0xCD, 0x76], [0x84, 0x95, 0x85, 0x48], [0, 1]);
        assert_eq!(got.to_text().as_str(), "08803");
    }
}

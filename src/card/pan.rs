use std::fmt;

use zeroize::Zeroizing;

use crate::bytes::pack_digits;
use crate::error::{Error, ErrorKind, Result};

/// Primary account number: 12 to 19 decimal digits, the last of them a right Luhn check digit.
///
/// ISO/IEC 7812-1. Debug and Display mask it (first six, last four); [`Pan::digits`] is the way to all of it.
/// Wiped when dropped.
///
/// ```
/// use emv_dataprep::card::Pan;
/// let pan: Pan = "4761739001010010".parse()?;
/// assert_eq!(pan.to_string(), "476173******0010");
/// assert!("4761739001010011".parse::<Pan>().is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pan {
    // On the heap: a PAN that moves would leave a copy behind.
    digits: Zeroizing<Box<[u8]>>,
    len: u8,
}

impl Pan {
    /// Fewest digits of a PAN.
    pub const MIN_DIGITS: usize = 12;
    /// Most digits of a PAN (ISO/IEC 7812-1).
    pub const MAX_DIGITS: usize = 19;

    /// A PAN from ASCII digits whose check digit is not looked at: published vectors and peers' test PANs.
    /// Orders go through [`str::parse`].
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything but digits, [`ErrorKind::Length`] outside 12 to 19.
    pub fn without_check(text: &str) -> Result<Self> {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ErrorKind::Format("decimal digits").into());
        }
        let found = text.len();
        if !(Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&found) {
            return Err(ErrorKind::Length { expected: "12 to 19", found, unit: "digits" }.into());
        }
        let mut digits = Zeroizing::new(Box::<[u8]>::from([0; 19]));
        for (slot, b) in digits.iter_mut().zip(text.bytes()) {
            *slot = b.wrapping_sub(b'0');
        }
        Ok(Self { digits, len: u8::try_from(found).unwrap_or(0) })
    }

    /// All digits, values 0 to 9, most significant first.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many digits (12 to 19).
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Never: a PAN has digits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// All digits as ASCII text, wiped when dropped.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(19));
        for d in self.digits() {
            text.push(char::from(b'0'.wrapping_add(*d)));
        }
        text
    }

    /// Format "cn" of tag 5A: two digits a byte, an odd count padded right with `F` (EMV 4.4 Book 3, 4.3).
    #[must_use]
    pub fn to_cn(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(pack_digits(self.digits(), 0xF))
    }

    /// First six and last four digits, asterisks between: the form people may read.
    #[must_use]
    pub fn masked(&self) -> String {
        let hidden_to = self.len().saturating_sub(4);
        self.digits()
            .iter()
            .enumerate()
            .map(|(i, d)| if (6..hidden_to).contains(&i) { '*' } else { char::from(b'0'.wrapping_add(*d)) })
            .collect()
    }

    /// Whether the PAN begins with the digits of `iin`.
    #[must_use]
    pub fn begins_with(&self, iin: &Iin) -> bool {
        self.digits().starts_with(iin.digits())
    }
}

impl std::str::FromStr for Pan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let pan = Self::without_check(text)?;
        if luhn_sum(pan.digits()).is_multiple_of(10) {
            Ok(pan)
        } else {
            Err(ErrorKind::Value("wrong Luhn check digit").into())
        }
    }
}

impl fmt::Display for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pan({})", self.masked())
    }
}

/// Luhn sum, check digit included (ISO/IEC 7812-1, annex B): a right PAN gives a multiple of ten.
fn luhn_sum(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| match (i % 2, u32::from(*d)) {
            (0, d) => d,
            (_, d) if d < 5 => d.wrapping_mul(2),
            (_, d) => d.wrapping_mul(2).wrapping_sub(9),
        })
        .sum()
}

/// Issuer identification number: the 3 to 8 digits that a PAN begins with (issuer identifier of the issuer
/// public key certificate, EMV 4.4 Book 2, table 6).
///
/// ```
/// use emv_dataprep::card::Iin;
/// let iin: Iin = "476173".parse()?;
/// assert_eq!(iin.to_field(), [0x47, 0x61, 0x73, 0xFF]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iin {
    digits: [u8; 8],
    len: u8,
}

impl Iin {
    /// The digits, values 0 to 9.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Four bytes, two digits each, padded right with `F`.
    #[must_use]
    pub fn to_field(&self) -> [u8; 4] {
        let packed = pack_digits(self.digits(), 0xF);
        let mut field = [0xFF; 4];
        for (slot, b) in field.iter_mut().zip(packed) {
            *slot = b;
        }
        field
    }

    /// From the four bytes of a certificate.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless 3 to 8 digits, then `F` only.
    pub fn from_field(field: [u8; 4]) -> Result<Self> {
        Self::from_digits(&crate::bytes::digits_from_bcd(&field)?)
    }

    fn from_digits(found: &[u8]) -> Result<Self> {
        if !(3..=8).contains(&found.len()) {
            return Err(ErrorKind::Length { expected: "3 to 8", found: found.len(), unit: "digits" }.into());
        }
        let mut digits = [0; 8];
        for (slot, d) in digits.iter_mut().zip(found) {
            *slot = *d;
        }
        Ok(Self { digits, len: u8::try_from(found.len()).unwrap_or(0) })
    }
}

impl std::str::FromStr for Iin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ErrorKind::Format("decimal digits").into());
        }
        Self::from_digits(&text.bytes().map(|b| b.wrapping_sub(b'0')).collect::<Vec<_>>())
    }
}

impl fmt::Display for Iin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().iter().try_for_each(|d| write!(f, "{d}"))
    }
}

impl fmt::Debug for Iin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iin({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debug_and_display_mask() {
        let pan: Pan =
            "6228000100001117".parse().unwrap_or_else(|_| Pan::without_check("6228000100001117").unwrap());
        assert_eq!(format!("{pan:?} {pan}"), "Pan(622800******1117) 622800******1117");
    }

    #[test]
    fn odd_length_is_padded_with_f() {
        let pan = Pan::without_check("1234567890123").unwrap();
        assert_eq!(pan.to_cn().as_slice(), [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x3F]);
    }

    proptest! {
        #[test]
        fn exactly_one_check_digit_is_right(body in "[0-9]{11,18}") {
            let right = (0..10).filter(|d| format!("{body}{d}").parse::<Pan>().is_ok()).count();
            prop_assert_eq!(right, 1);
        }

        #[test]
        fn a_single_wrong_digit_is_found(body in "[0-9]{11,18}", at in 0_usize..11, add in 1_u8..10) {
            let check = (0..10).find(|d| format!("{body}{d}").parse::<Pan>().is_ok()).unwrap();
            let mut text = format!("{body}{check}").into_bytes();
            text[at] = b'0' + (text[at] - b'0' + add) % 10;
            prop_assert!(String::from_utf8(text).unwrap().parse::<Pan>().is_err());
        }
    }
}

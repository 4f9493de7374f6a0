//! Decimalization: from hexadecimal digits of a cipher block to decimal digits, in constant time.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

use super::DigitValue;
use crate::error::{ErrorKind, Result};

/// The hexadecimal digits of `bytes`, values 0 to 15, left to right.
#[must_use]
pub fn nibbles(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().flat_map(|b| [b >> 4, b & 0x0F]).collect())
}

/// The first `count` decimal digits of `nibbles`: those below ten from left to right, then, if these do not suffice
/// (second pass), the others less ten from left to right.
///
/// The rule of CVV and PVV. The work does not depend on the values.
///
/// # Errors
/// [`ErrorKind::Length`] if there are fewer nibbles than digits wanted.
///
/// ```
/// use emv_dataprep::issuer::decimal::{decimalize, nibbles};
/// // Two decimal digits only: the second pass gives the third one.
/// assert_eq!(decimalize(&nibbles(&[0xB3, 0xAB, 0xAF, 0xDF, 0x8B, 0xAA, 0xAA, 0xAA]), 3)?.expose(), [3, 8, 1]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn decimalize(nibbles: &[u8], count: usize) -> Result<DigitValue> {
    let (Ok(wanted), Ok(_)) = (u8::try_from(count), u8::try_from(nibbles.len())) else {
        return Err(
            ErrorKind::Length { expected: "at most 255", found: nibbles.len(), unit: "digits" }.into()
        );
    };
    if nibbles.len() < count {
        let found = nibbles.len();
        return Err(
            ErrorKind::Length { expected: "at least as many as wanted", found, unit: "digits" }.into()
        );
    }
    let decimals = nibbles.iter().fold(0_u8, |n, v| n.wrapping_add(is_decimal(*v).unwrap_u8()));
    let mut out = vec![0_u8; usize::from(wanted)];
    let (mut next_decimal, mut next_letter) = (0_u8, decimals);
    for nibble in nibbles {
        let decimal = is_decimal(*nibble);
        let place = u8::conditional_select(&next_letter, &next_decimal, decimal);
        let value = u8::conditional_select(&nibble.wrapping_sub(10), nibble, decimal);
        for (slot, at) in out.iter_mut().zip(0_u8..) {
            slot.conditional_assign(&value, at.ct_eq(&place));
        }
        next_decimal = next_decimal.wrapping_add(decimal.unwrap_u8());
        next_letter = next_letter.wrapping_add(1 ^ decimal.unwrap_u8());
    }
    Ok(DigitValue::new(out))
}

fn is_decimal(nibble: u8) -> Choice {
    nibble.ct_lt(&10)
}

/// A decimalization table of IBM 3624: which decimal digit stands for each of the sixteen hexadecimal ones.
///
/// Treat it as authenticated data: whoever can exchange the table can learn PINs from the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalizationTable([u8; 16]);

impl DecimalizationTable {
    /// `0123456789012345`: the usual one.
    pub const DEFAULT: Self = Self([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5]);

    /// From sixteen values 0 to 9.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for any other value.
    pub fn new(digits: [u8; 16]) -> Result<Self> {
        if digits.iter().all(|d| *d < 10) {
            Ok(Self(digits))
        } else {
            Err(ErrorKind::Format("a decimalization table of sixteen decimal digits").into())
        }
    }

    /// Refuses a table with fewer than eight different digits, or one digit more than four times (PCI PIN, HSM
    /// vendors' rule against PIN inference): for configuration. The algorithm itself takes any table.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the table breaks the rule.
    pub fn check_diversity(self) -> Result<Self> {
        let count = |d: u8| self.0.iter().filter(|v| **v == d).count();
        let different = (0..10).filter(|d| count(*d) > 0).count();
        if different >= 8 && (0..10).all(|d| count(d) <= 4) {
            Ok(self)
        } else {
            Err(ErrorKind::Value("the decimalization table uses too few different digits").into())
        }
    }

    /// The sixteen digits, values 0 to 9.
    #[must_use]
    pub const fn digits(&self) -> &[u8; 16] {
        &self.0
    }

    /// Each nibble through the table. The whole table is read for each, so the work does not depend on the values.
    #[must_use]
    pub fn apply(&self, nibbles: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; nibbles.len()]);
        for (slot, nibble) in out.iter_mut().zip(nibbles) {
            for (entry, at) in self.0.iter().zip(0_u8..) {
                slot.conditional_assign(entry, at.ct_eq(nibble));
            }
        }
        out
    }
}

impl std::str::FromStr for DecimalizationTable {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes: [u8; 16] = text
            .as_bytes()
            .try_into()
            .map_err(|_| ErrorKind::Format("a decimalization table of sixteen decimal digits"))?;
        Self::new(bytes.map(|b| b.wrapping_sub(b'0')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule as its sentence says it, with branches.
    fn plain(nibbles: &[u8], count: usize) -> Vec<u8> {
        let decimals = nibbles.iter().filter(|n| **n < 10).copied();
        let letters = nibbles.iter().filter(|n| **n >= 10).map(|n| n - 10);
        decimals.chain(letters).take(count).collect()
    }

    #[test]
    fn published_values() {
        for (hex, count, want) in [
            ("EF11CD12", 3, "111"),
            ("DEADBEEF", 8, "34031445"),
            ("B3ABAFDF8B2683C7", 3, "382"),
            ("EFADCFFFBDADECABFBB", 4, "4503"),
        ] {
            let nibbles: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
            assert_eq!(decimalize(&nibbles, count).unwrap().to_text().as_str(), want);
        }
        assert!(decimalize(&[1, 2], 3).is_err());
    }

    #[test]
    fn tables_are_checked() {
        assert!("012345678901234A".parse::<DecimalizationTable>().is_err());
        assert!("0123456789".parse::<DecimalizationTable>().is_err());
        let flat: DecimalizationTable = "0000000000000000".parse().unwrap();
        assert!(flat.check_diversity().is_err());
        let crowded: DecimalizationTable = "0000012345678912".parse().unwrap();
        assert!(crowded.check_diversity().is_err());
        assert!(DecimalizationTable::DEFAULT.check_diversity().is_ok());
    }

    #[test]
    fn a_table_of_an_old_manual() {
        let table: DecimalizationTable = "8351296477461538".parse().unwrap();
        let out = table.apply(&nibbles(&hex::decode("E5C1BD67B66AE7C6").unwrap()));
        assert_eq!(DigitValue::new(out.to_vec()).to_text().as_str(), "3913656466643416");
    }

    proptest! {
        #[test]
        fn the_constant_time_walk_is_the_plain_rule(n in prop::collection::vec(0_u8..16, 0..40), count in 0_usize..20) {
            prop_assume!(count <= n.len());
            prop_assert_eq!(decimalize(&n, count).unwrap().expose().to_vec(), plain(&n, count));
        }
    }
}

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::{ErrorKind, Result};

/// A PIN of 4 to 12 decimal digits (ISO 9564-1). Redacted, compared in constant time, wiped when dropped.
pub struct Pin {
    // On the heap: a PIN that moves would leave a copy behind.
    digits: Zeroizing<Box<[u8]>>,
    len: u8,
}

impl Pin {
    /// Fewest digits.
    pub const MIN_DIGITS: usize = 4;
    /// Most digits.
    pub const MAX_DIGITS: usize = 12;

    /// From values 0 to 9. The refusal is the same whatever is wrong.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] unless 4 to 12 values of 0 to 9.
    pub fn from_digits(digits: &[u8]) -> Result<Self> {
        let good_length = (Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&digits.len());
        let all_decimal = digits.iter().fold(true, |ok, d| ok & (*d < 10));
        if !(good_length & all_decimal) {
            return Err(ErrorKind::Crypto("not a PIN").into());
        }
        let mut pin =
            Self { digits: Zeroizing::new(Box::new([0; 12])), len: u8::try_from(digits.len()).unwrap_or(0) };
        for (slot, d) in pin.digits.iter_mut().zip(digits) {
            *slot = *d;
        }
        Ok(pin)
    }

    /// The digits, values 0 to 9. Every call is a place to review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many digits.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Never: a PIN has digits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// A second copy, on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { digits: self.digits.clone(), len: self.len }
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        (self.len.ct_eq(&other.len) & self.digits.ct_eq(&other.digits)).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_neither_digits_nor_length() {
        assert_eq!(format!("{:?}", Pin::from_digits(&[1, 2, 3, 4, 5]).unwrap()), "Pin(****)");
    }

    #[test]
    fn lengths_and_digits_are_checked() {
        assert!(Pin::from_digits(&[1; 3]).is_err());
        assert!(Pin::from_digits(&[1; 13]).is_err());
        assert!(Pin::from_digits(&[1, 2, 3, 10]).is_err());
        assert_eq!(Pin::from_digits(&[9; 12]).unwrap().expose(), [9; 12]);
    }
}

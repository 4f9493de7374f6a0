//! IBM 3624: natural PIN and offset.
//!
//! `E = TDES(PVK)[validation data]`; each hexadecimal digit of `E` through the decimalization table; the natural PIN
//! is the leftmost digits. Offset digit = (PIN digit − natural digit) mod 10. A single DES key `K` is the TDES key
//! `K ‖ K`.

use zeroize::Zeroizing;

use super::DigitValue;
use super::decimal::{DecimalizationTable, nibbles};
use crate::bytes::pack_digits;
use crate::card::{Pan, Pin};
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};

/// How 16 hexadecimal digits of validation data come from a PAN: the issuer's choice, held with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidationLayout {
    /// The twelve rightmost PAN digits without the check digit, then `pad` four times.
    RightmostTwelve {
        /// One hexadecimal digit, 0 to 15.
        pad: u8,
    },
    /// The sixteen rightmost PAN digits, check digit included, shorter PANs padded left with zeros.
    RightmostSixteen,
    /// `count` PAN digits from the zero-based position `first`, then `pad` up to sixteen digits.
    Slice {
        /// Position of the first digit, from zero.
        first: u8,
        /// How many digits, 1 to 16.
        count: u8,
        /// One hexadecimal digit, 0 to 15.
        pad: u8,
    },
}

impl ValidationLayout {
    /// Eight bytes of validation data of one card.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for a pad above 15 or a slice that the PAN does not hold.
    ///
    /// ```
    /// use emv_dataprep::card::Pan;
    /// use emv_dataprep::issuer::ibm3624::ValidationLayout;
    /// let pan = Pan::without_check("1122334455667788")?;
    /// let slice = ValidationLayout::Slice { first: 1, count: 14, pad: 1 };
    /// assert_eq!(slice.apply(&pan)?, [0x12, 0x23, 0x34, 0x45, 0x56, 0x67, 0x78, 0x11]);
    /// let twelve = ValidationLayout::RightmostTwelve { pad: 0xF };
    /// assert_eq!(twelve.apply(&pan)?, [0x23, 0x34, 0x45, 0x56, 0x67, 0x78, 0xFF, 0xFF]);
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn apply(self, pan: &Pan) -> Result<[u8; 8]> {
        let digits = pan.digits();
        let len = digits.len();
        let (kept, pad) = match self {
            Self::RightmostTwelve { pad } => {
                // A twelve-digit PAN has eleven before its check digit; a zero stands before them.
                let end = len.saturating_sub(1);
                (left_zeros(digits.get(end.saturating_sub(12)..end).unwrap_or_default(), 12), pad)
            }
            Self::RightmostSixteen => {
                (left_zeros(digits.get(len.saturating_sub(16)..).unwrap_or_default(), 16), 0)
            }
            Self::Slice { first, count, pad } => {
                let from = usize::from(first);
                let slice = digits
                    .get(from..from.saturating_add(usize::from(count)))
                    .filter(|s| (1..=16).contains(&s.len()))
                    .ok_or(ErrorKind::Value("the PAN does not hold the digits of the validation data"))?;
                (Zeroizing::new(slice.to_vec()), pad)
            }
        };
        if pad > 0xF {
            return Err(ErrorKind::Value("the pad of the validation data is one hexadecimal digit").into());
        }
        let mut whole = Zeroizing::new([pad; 16]);
        for (slot, d) in whole.iter_mut().zip(kept.iter()) {
            *slot = *d;
        }
        let packed = Zeroizing::new(pack_digits(whole.as_slice(), 0));
        let mut out = [0; 8];
        for (slot, b) in out.iter_mut().zip(packed.iter()) {
            *slot = *b;
        }
        Ok(out)
    }
}

fn left_zeros(digits: &[u8], count: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(vec![0; count]);
    let skip = count.saturating_sub(digits.len());
    for (slot, d) in out.iter_mut().skip(skip).zip(digits) {
        *slot = *d;
    }
    out
}

/// The natural PIN of `len` digits from the enciphered validation data.
///
/// # Errors
/// [`ErrorKind::Length`] for a length outside 4 to 12.
pub fn natural_from_block(enciphered: &[u8; 8], table: &DecimalizationTable, len: usize) -> Result<Pin> {
    if !(Pin::MIN_DIGITS..=Pin::MAX_DIGITS).contains(&len) {
        return Err(ErrorKind::Length { expected: "4 to 12", found: len, unit: "digits" }.into());
    }
    let digits = table.apply(&nibbles(enciphered));
    Pin::from_digits(digits.get(..len).unwrap_or_default())
}

/// The natural PIN under a key in hand. An issuer with a key source uses
/// [`SecurityModule::natural_pin`](super::SecurityModule::natural_pin).
///
/// # Errors
/// [`ErrorKind::Length`] for a length outside 4 to 12.
pub fn natural_pin(
    pvk: &TdesKey,
    validation_data: [u8; 8],
    table: &DecimalizationTable,
    len: usize,
) -> Result<Pin> {
    let enciphered = Zeroizing::new(pvk.encrypt_block(validation_data));
    natural_from_block(&enciphered, table, len)
}

/// The offset that leads from the natural PIN to `pin`: digit by digit, without carry, as many digits as the PIN.
///
/// # Errors
/// [`ErrorKind::Length`] unless both PINs have the same length.
pub fn offset(natural: &Pin, pin: &Pin) -> Result<DigitValue> {
    same_length(natural, pin.len())?;
    let digits = pin.expose().iter().zip(natural.expose());
    Ok(DigitValue::new(digits.map(|(p, n)| mod_ten(p.wrapping_add(10).wrapping_sub(*n))).collect()))
}

/// The PIN at `offset` from the natural PIN. A shorter offset belongs to the rightmost digits.
///
/// # Errors
/// [`ErrorKind::Length`] for an offset longer than the PIN.
pub fn pin_from_offset(natural: &Pin, offset: &DigitValue) -> Result<Pin> {
    let start = natural.len().checked_sub(offset.expose().len()).ok_or(ErrorKind::Length {
        expected: "at most those of the PIN",
        found: offset.expose().len(),
        unit: "digits",
    })?;
    let mut digits = Zeroizing::new(natural.expose().to_vec());
    for (slot, o) in digits.iter_mut().skip(start).zip(offset.expose()) {
        *slot = mod_ten(slot.wrapping_add(*o));
    }
    Pin::from_digits(&digits)
}

fn same_length(natural: &Pin, found: usize) -> Result<()> {
    if natural.len() == found {
        Ok(())
    } else {
        Err(ErrorKind::Length { expected: "those of the natural PIN", found, unit: "digits" }.into())
    }
}

/// `v mod 10` for 0 to 19, without a division whose time could depend on the value.
fn mod_ten(v: u8) -> u8 {
    use subtle::{ConditionallySelectable, ConstantTimeLess};
    u8::conditional_select(&v.wrapping_sub(10), &v, v.ct_lt(&10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(hex: &str) -> TdesKey {
        TdesKey::from_bytes(&hex::decode(hex).unwrap()).unwrap()
    }

    fn pin(text: &str) -> Pin {
        Pin::from_digits(&text.bytes().map(|b| b - b'0').collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_pin_and_offset_of_the_atalla_manual() {
        // Single DES key 3333333333333333 as K ‖ K.
        let pvk = key("33333333333333333333333333333333");
        let pan = Pan::without_check("123456123456").unwrap();
        let data = ValidationLayout::Slice { first: 0, count: 12, pad: 0xF }.apply(&pan).unwrap();
        assert_eq!(hex::encode_upper(data), "123456123456FFFF");
        let natural = natural_pin(&pvk, data, &DecimalizationTable::DEFAULT, 4).unwrap();
        assert_eq!(natural, pin("8281"));
        assert_eq!(offset(&natural, &pin("1234")).unwrap().to_text().as_str(), "3053");
    }

    #[test]
    fn layouts() {
        let short = Pan::without_check("476173900101").unwrap();
        assert_eq!(
            hex::encode_upper(ValidationLayout::RightmostTwelve { pad: 0xF }.apply(&short).unwrap()),
            "047617390010FFFF"
        );
        assert_eq!(
            hex::encode_upper(ValidationLayout::RightmostSixteen.apply(&short).unwrap()),
            "0000476173900101"
        );
        assert!(ValidationLayout::Slice { first: 0, count: 13, pad: 0 }.apply(&short).is_err());
        assert!(ValidationLayout::Slice { first: 0, count: 0, pad: 0 }.apply(&short).is_err());
        assert!(ValidationLayout::RightmostTwelve { pad: 16 }.apply(&short).is_err());
    }

    #[test]
    fn a_short_offset_belongs_to_the_right() {
        let pin = pin_from_offset(&pin("123456"), &DigitValue::new(vec![1, 0, 0, 9])).unwrap();
        assert_eq!(pin.expose(), [1, 2, 4, 4, 5, 5]);
        assert!(pin_from_offset(&pin, &DigitValue::new(vec![0; 7])).is_err());
    }

    #[test]
    fn lengths() {
        let pvk = key("33333333333333334444444444444444");
        assert!(natural_pin(&pvk, [0; 8], &DecimalizationTable::DEFAULT, 3).is_err());
        assert!(natural_pin(&pvk, [0; 8], &DecimalizationTable::DEFAULT, 13).is_err());
        assert!(offset(&pin("1234"), &pin("12345")).is_err());
    }

    proptest! {
        #[test]
        fn the_offset_leads_to_the_pin(k: [u8; 16], data: [u8; 8], digits in prop::collection::vec(0_u8..10, 4..=12)) {
            let pvk = TdesKey::from_bytes(&k).unwrap();
            let chosen = Pin::from_digits(&digits).unwrap();
            let natural = natural_pin(&pvk, data, &DecimalizationTable::DEFAULT, digits.len()).unwrap();
            let offset = offset(&natural, &chosen).unwrap();
            prop_assert_eq!(pin_from_offset(&natural, &offset).unwrap(), chosen);
        }
    }
}

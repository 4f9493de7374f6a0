use crate::error::{Error, ErrorKind, Result};

/// Service code: three digits (ISO/IEC 7813, tag 5F30).
///
/// ```
/// use emv_dataprep::card::ServiceCode;
/// let code: ServiceCode = "201".parse()?;
/// assert_eq!(code.to_tag_value(), [0x02, 0x01]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceCode([u8; 3]);

impl ServiceCode {
    /// `999`: the service code of the iCVV.
    pub const ICVV: Self = Self([9, 9, 9]);
    /// `000`: the service code of the CVV2.
    pub const CVV2: Self = Self([0, 0, 0]);

    /// The digits, values 0 to 9.
    #[must_use]
    pub const fn digits(&self) -> &[u8; 3] {
        &self.0
    }

    /// Two bytes, "n 3": a leading zero nibble.
    #[must_use]
    pub const fn to_tag_value(self) -> [u8; 2] {
        let [a, b, c] = self.0;
        [a, (b << 4) | c]
    }
}

impl std::str::FromStr for ServiceCode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match *text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_digit) => {
                Ok(Self([a, b, c].map(|d| d.wrapping_sub(b'0'))))
            }
            _ => Err(ErrorKind::Format("three decimal digits").into()),
        }
    }
}

impl std::fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|d| write!(f, "{d}"))
    }
}

/// PAN sequence number: two digits (tag 5F34). Absent means `00` in every derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Psn(u8);

impl Psn {
    /// The two digits, values 0 to 9.
    #[must_use]
    pub const fn digits(self) -> [u8; 2] {
        [self.0 / 10, self.0 % 10]
    }

    /// One binary-coded byte (tag 5F34).
    #[must_use]
    pub const fn bcd(self) -> u8 {
        ((self.0 / 10) << 4) | (self.0 % 10)
    }
}

impl std::str::FromStr for Psn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => {
                Ok(Self(a.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(b.wrapping_sub(b'0'))))
            }
            _ => Err(ErrorKind::Format("two decimal digits").into()),
        }
    }
}

impl std::fmt::Display for Psn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

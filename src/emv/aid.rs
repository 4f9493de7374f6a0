use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Application identifier: 5 to 16 bytes, the first five of them the RID (ISO/IEC 7816-4; EMV 4.4 Book 1, 12.2.1).
///
/// ```
/// use emv_dataprep::emv::Aid;
/// let aid: Aid = "A0000000031010".parse()?;
/// assert_eq!(aid.rid(), [0xA0, 0x00, 0x00, 0x00, 0x03]);
/// assert_eq!(Aid::ppse().as_bytes(), b"2PAY.SYS.DDF01");
/// assert!("A000".parse::<Aid>().is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aid(Vec<u8>);

impl Aid {
    /// From its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] outside 5 to 16 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        if !(5..=16).contains(&bytes.len()) {
            return Err(ErrorKind::Length {
                expected: "5 to 16",
                found: bytes.len(),
                unit: "bytes of an AID",
            }
            .into());
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The payment system environment `1PAY.SYS.DDF01` (EMV 4.4 Book 1, 12.2.2).
    #[must_use]
    pub fn pse() -> Self {
        Self(b"1PAY.SYS.DDF01".to_vec())
    }

    /// The proximity payment system environment `2PAY.SYS.DDF01` (EMV Contactless Book B, 3.3).
    #[must_use]
    pub fn ppse() -> Self {
        Self(b"2PAY.SYS.DDF01".to_vec())
    }

    /// All bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Registered application provider identifier: the first five bytes.
    #[must_use]
    pub fn rid(&self) -> &[u8] {
        self.0.get(..5).unwrap_or_default()
    }
}

impl std::str::FromStr for Aid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(&crate::bytes::from_hex(text)?)
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::bytes::hex_upper(&self.0))
    }
}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aid({self})")
    }
}

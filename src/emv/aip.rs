use std::fmt;

use crate::error::{ErrorKind, Result};

/// Application interchange profile, tag 82: two bytes of flags (EMV 4.4 Book 3, Annex C1).
///
/// ```
/// use emv_dataprep::emv::{Aip, AipFlag};
/// let aip = Aip::of(&[AipFlag::Dda, AipFlag::CardholderVerification, AipFlag::TerminalRiskManagement]);
/// assert_eq!(aip.to_bytes(), [0x38, 0x00]);
/// assert!(aip.has(AipFlag::Dda) && !aip.has(AipFlag::Cda));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aip(u16);

macro_rules! aip_flags {
    ($($(#[$doc:meta])* $variant:ident = $mask:literal, $text:literal;)*) => {
        /// A bit of the application interchange profile.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AipFlag { $($(#[$doc])* $variant,)* }

        impl AipFlag {
            /// Every flag, byte 1 bit 8 first.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its bit in the two bytes.
            #[must_use]
            pub const fn mask(self) -> u16 {
                match self { $(Self::$variant => $mask,)* }
            }

            /// What it says, in the standard's words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

aip_flags! {
    /// Byte 1 bit 8 (EMV 4.4).
    Xda = 0x8000, "XDA supported";
    /// Byte 1 bit 7.
    Sda = 0x4000, "SDA supported";
    /// Byte 1 bit 6.
    Dda = 0x2000, "DDA supported";
    /// Byte 1 bit 5.
    CardholderVerification = 0x1000, "cardholder verification is supported";
    /// Byte 1 bit 4.
    TerminalRiskManagement = 0x0800, "terminal risk management is to be performed";
    /// Byte 1 bit 3.
    IssuerAuthentication = 0x0400, "issuer authentication is supported";
    /// Byte 1 bit 2 (EMV Contactless Book C-2).
    OnDeviceCvm = 0x0200, "on device cardholder verification is supported";
    /// Byte 1 bit 1.
    Cda = 0x0100, "CDA supported";
    /// Byte 2 bit 8 (EMV Contactless Book C-2).
    EmvMode = 0x0080, "EMV mode is supported";
    /// Byte 2 bit 1 (EMV Contactless Book C-2).
    RelayResistance = 0x0001, "relay resistance protocol is supported";
}

impl Aip {
    /// From the two bytes of tag 82.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// From the value of tag 82.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless it has two bytes.
    pub fn parse(value: &[u8]) -> Result<Self> {
        let bytes = <[u8; 2]>::try_from(value).map_err(|_| ErrorKind::Length {
            expected: "2",
            found: value.len(),
            unit: "bytes",
        })?;
        Ok(Self::from_bytes(bytes))
    }

    /// The profile with these flags.
    #[must_use]
    pub fn of(flags: &[AipFlag]) -> Self {
        Self(flags.iter().fold(0, |bits, f| bits | f.mask()))
    }

    /// The two bytes of tag 82.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// Whether the flag is set.
    #[must_use]
    pub const fn has(self, flag: AipFlag) -> bool {
        self.0 & flag.mask() != 0
    }

    /// Whether it announces offline data authentication of any kind with RSA or EC keys.
    #[must_use]
    pub const fn has_oda(self) -> bool {
        self.has(AipFlag::Sda) || self.has(AipFlag::Dda) || self.has(AipFlag::Cda) || self.has(AipFlag::Xda)
    }
}

impl fmt::Display for Aip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for Aip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aip({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_profiles() {
        // 7C00: SDA, DDA, CVM, TRM, issuer authentication; 5C00 the same without DDA.
        let aip = Aip::parse(&[0x7C, 0x00]).unwrap();
        let set: Vec<_> = AipFlag::ALL.iter().filter(|f| aip.has(**f)).copied().collect();
        assert_eq!(Aip::of(&set), aip);
        assert_eq!(set.len(), 5);
        assert!(!Aip::from_bytes([0x5C, 0]).has(AipFlag::Dda));
        assert!(!Aip::from_bytes([0x1C, 0]).has_oda());
        assert!(Aip::parse(&[0]).is_err());
        assert_eq!(aip.to_string(), "7C00");
    }
}

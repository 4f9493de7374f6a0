use std::fmt;

use crate::bytes::Cursor;
use crate::error::{Error, ErrorKind, Result};

/// A BER-TLV tag of one to three bytes (EMV 4.4 Book 3, Annex B1).
///
/// A first byte with its five low bits set announces further bytes; bit 8 of a further byte announces one more.
///
/// ```
/// use emv_dataprep::emv::Tag;
/// let tag: Tag = "9f10".parse()?;
/// assert_eq!(tag.to_string(), "9F10");
/// assert_eq!(tag, Tag::new(0x9F10)?);
/// assert!(!tag.is_constructed());
/// assert!("9F".parse::<Tag>().is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub(super) u32);

/// Class of a tag: bits 8 and 7 of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagClass {
    /// 00: universal.
    Universal,
    /// 01: application.
    Application,
    /// 10: context specific.
    ContextSpecific,
    /// 11: private.
    Private,
}

impl Tag {
    /// A tag from its bytes, big-endian in an integer: `0x9F10`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless the bytes are one whole tag of at most three bytes.
    pub fn new(value: u32) -> Result<Self> {
        let bytes = value.to_be_bytes();
        let skip = bytes.iter().position(|b| *b != 0).ok_or(ErrorKind::Format("a tag"))?;
        Self::from_bytes(bytes.get(skip..).unwrap_or_default())
    }

    /// A tag from exactly its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless the bytes are one whole tag of at most three bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let tag = Self::read(&mut cursor).map_err(|_| ErrorKind::Format("a tag"))?;
        cursor.finish().map_err(|_| ErrorKind::Format("one tag"))?;
        Ok(tag)
    }

    /// The next tag of `cursor`.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] at the end, [`ErrorKind::Format`] for 00 and for a tag of more than three bytes.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let first = cursor.u8()?;
        if first == 0 {
            return Err(ErrorKind::Format("a tag").into());
        }
        let mut value = u32::from(first);
        if first & 0x1F == 0x1F {
            let second = cursor.u8()?;
            value = (value << 8) | u32::from(second);
            if second & 0x80 != 0 {
                let third = cursor.u8()?;
                value = (value << 8) | u32::from(third);
                if third & 0x80 != 0 {
                    return Err(ErrorKind::Format("a tag of at most three bytes").into());
                }
            }
        }
        Ok(Self(value))
    }

    /// The bytes as an integer, big-endian.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// How many bytes (1 to 3).
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a tag has bytes
    pub const fn len(self) -> usize {
        match self.0 {
            0..=0xFF => 1,
            0x100..=0xFFFF => 2,
            _ => 3,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let bytes = self.0.to_be_bytes();
        bytes.get(4_usize.saturating_sub(self.len())..).unwrap_or_default().to_vec()
    }

    const fn first_byte(self) -> u8 {
        let [_, b1, b2, b3] = self.0.to_be_bytes();
        match self.len() {
            1 => b3,
            2 => b2,
            _ => b1,
        }
    }

    /// Whether the value is a list of TLV objects itself (bit 6 of the first byte).
    #[must_use]
    pub const fn is_constructed(self) -> bool {
        self.first_byte() & 0x20 != 0
    }

    /// Its class.
    #[must_use]
    pub const fn class(self) -> TagClass {
        match self.first_byte() >> 6 {
            0 => TagClass::Universal,
            1 => TagClass::Application,
            2 => TagClass::ContextSpecific,
            _ => TagClass::Private,
        }
    }
}

impl std::str::FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = crate::bytes::from_hex(text).map_err(|_| ErrorKind::Format("a tag in hexadecimal"))?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::bytes::hex_upper(&self.to_bytes()))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_are_and_are_not_tags() {
        for good in ["5A", "9F10", "9F8201", "BF0C", "70", "9F00", "DFEE12"] {
            let tag: Tag = good.parse().unwrap();
            assert_eq!(tag.to_string(), good);
            assert_eq!(tag.to_bytes().len(), tag.len());
            assert_eq!(Tag::new(tag.value()).unwrap(), tag);
        }
        for bad in ["", "00", "9F", "9F81", "9F8181", "9F818101", "5A5A", "9F1001", "G1", "5"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert!(Tag::new(0).is_err());
        assert!(Tag::new(0x9F10_0000).is_err());
    }

    #[test]
    fn class_and_form() {
        assert!(Tag(0x70).is_constructed() && Tag(0xBF0C).is_constructed() && !Tag(0x9F10).is_constructed());
        assert_eq!(Tag(0x5A).class(), TagClass::Application);
        assert_eq!(Tag(0x9F10).class(), TagClass::ContextSpecific);
        assert_eq!(Tag(0xDF8101).class(), TagClass::Private);
        assert_eq!(format!("{:?}", Tag(0x9F10)), "Tag(9F10)");
    }
}

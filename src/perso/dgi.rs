use std::fmt;

use crate::bytes::Cursor;
use crate::emv::Sfi;
use crate::error::{Error, ErrorKind, Place, Result};

/// Data grouping identifier: two bytes (CPS 1.1 and 2.0, 3.2).
///
/// ```
/// use emv_dataprep::{emv::Sfi, perso::DgiTag};
/// let tag: DgiTag = "8000".parse()?;
/// assert_eq!(tag, DgiTag(0x8000));
/// assert_eq!(DgiTag::for_record(Sfi::new(2)?, 1)?.to_string(), "0201");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DgiTag(pub u16);

impl DgiTag {
    /// Application common internal data (CPS Annex A, table A-17).
    pub const COMMON_INTERNAL_DATA: Self = Self(0x3000);
    /// Application internal data.
    pub const INTERNAL_DATA: Self = Self(0x3001);
    /// Completion of the personalization: carried by the last STORE DATA alone.
    pub const COMPLETION: Self = Self(0x7FFF);
    /// ICC master keys (table A-2).
    pub const CARD_KEYS: Self = Self(0x8000);
    /// Further ICC master keys, such as those of the contactless interface.
    pub const CARD_KEYS_2: Self = Self(0x8001);
    /// Reference PIN block (table A-4).
    pub const REFERENCE_PIN: Self = Self(0x8010);
    /// ICC private exponent.
    pub const ICC_EXPONENT: Self = Self(0x8101);
    /// ICC modulus.
    pub const ICC_MODULUS: Self = Self(0x8103);
    /// ICC key, q⁻¹ mod p; 8202 to 8205 follow: d mod (q-1), d mod (p-1), q, p.
    pub const ICC_CRT_QINV: Self = Self(0x8201);
    /// ICC PIN-encipherment key, q⁻¹ mod p; 8302 to 8305 follow.
    pub const ICC_PIN_CRT_QINV: Self = Self(0x8301);
    /// Key check values of 8000 (table A-3).
    pub const CARD_KEY_KCVS: Self = Self(0x9000);
    /// Key check values of 8001.
    pub const CARD_KEY_KCVS_2: Self = Self(0x9001);
    /// PIN try counter and limit.
    pub const PIN_TRY_COUNTER: Self = Self(0x9010);
    /// SELECT response, contact or common (table A-14).
    pub const SELECT_RESPONSE: Self = Self(0x9102);
    /// SELECT response, contactless.
    pub const SELECT_RESPONSE_CONTACTLESS: Self = Self(0x9103);
    /// GET PROCESSING OPTIONS response, contact.
    pub const GPO_RESPONSE: Self = Self(0x9104);

    /// The grouping of a record: SFI, then record number.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for record number 0 or 255.
    pub fn for_record(sfi: Sfi, number: u8) -> Result<Self> {
        if number == 0 || number == 255 {
            return Err(ErrorKind::Value("a record number is 1 to 254").into());
        }
        Ok(Self(u16::from_be_bytes([sfi.get(), number])))
    }

    /// The record of an EMV file (SFI 1 to 10) that the grouping is.
    #[must_use]
    pub fn emv_record(self) -> Option<(Sfi, u8)> {
        let [high, number] = self.0.to_be_bytes();
        Sfi::new(high).ok().filter(|sfi| sfi.is_emv_file()).map(|sfi| (sfi, number))
    }

    /// Whether CPS keeps the number for processing that is independent of the application (7FF0 to 7FFE), or it is 0000
    /// or FFFF. An application's data may not use it.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        matches!(self.0, 0x0000 | 0xFFFF | 0x7FF0..=0x7FFE)
    }
}

impl std::str::FromStr for DgiTag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = crate::bytes::array_from_hex(text)
            .map_err(|_| ErrorKind::Format("a DGI: four hexadecimal digits"))?;
        Ok(Self(u16::from_be_bytes(bytes)))
    }
}

impl fmt::Display for DgiTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for DgiTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DgiTag({self})")
    }
}

/// One data grouping in bytes that were read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dgi<'a> {
    /// Identifier.
    pub tag: DgiTag,
    /// Value, verbatim.
    pub value: &'a [u8],
}

impl fmt::Debug for Dgi<'_> {
    /// Identifier and length; the value may hold card values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dgi({}, {} bytes)", self.tag, self.value.len())
    }
}

/// The length field of a grouping: one byte up to 254, else `FF` and two bytes (CPS 3.2). It is not a BER length.
///
/// # Errors
/// [`ErrorKind::Length`] above 65535.
///
/// ```
/// use emv_dataprep::perso::dgi_length;
/// assert_eq!(dgi_length(0x80)?, [0x80]);
/// assert_eq!(dgi_length(431)?, [0xFF, 0x01, 0xAF]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn dgi_length(len: usize) -> Result<Vec<u8>> {
    if let Ok(short @ 0..=0xFE) = u8::try_from(len) {
        return Ok(vec![short]);
    }
    let long = u16::try_from(len).map_err(|_| ErrorKind::Length {
        expected: "at most 65535",
        found: len,
        unit: "bytes of a DGI",
    })?;
    let [high, low] = long.to_be_bytes();
    Ok(vec![0xFF, high, low])
}

/// One grouping: identifier, length, value.
///
/// # Errors
/// [`ErrorKind::Length`] for a value of more than 65535 bytes.
pub fn encode_dgi(tag: DgiTag, value: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len().saturating_add(5));
    push_dgi(&mut out, tag, value)?;
    Ok(out)
}

/// Appends one grouping: at most five bytes and its value.
pub(super) fn push_dgi(out: &mut Vec<u8>, tag: DgiTag, value: &[u8]) -> Result<()> {
    out.extend_from_slice(&tag.0.to_be_bytes());
    out.extend_from_slice(&dgi_length(value.len()).at_with(|| format!("DGI {tag}"))?);
    out.extend_from_slice(value);
    Ok(())
}

/// Reads the next grouping of `cursor`.
///
/// # Errors
/// [`ErrorKind::Truncated`] if it ends early, [`ErrorKind::Format`] for a three-byte length below 255.
pub fn read_dgi<'a>(cursor: &mut Cursor<'a>) -> Result<Dgi<'a>> {
    let tag = DgiTag(cursor.u16()?);
    let place = || format!("DGI {tag}");
    let len = match cursor.u8().at_with(place)? {
        0xFF => {
            let long = cursor.u16().at_with(place)?;
            if long < 0xFF {
                return Err(Error::new(ErrorKind::Format("a DGI length in its shortest form")).at(place()));
            }
            usize::from(long)
        }
        short => usize::from(short),
    };
    Ok(Dgi { tag, value: cursor.take(len).at_with(place)? })
}

/// All groupings of `bytes`, one after the other.
///
/// # Errors
/// As [`read_dgi`].
pub fn parse_dgis(bytes: &[u8]) -> Result<Vec<Dgi<'_>>> {
    let mut cursor = Cursor::new(bytes);
    let mut out = Vec::new();
    while !cursor.is_empty() {
        out.push(read_dgi(&mut cursor)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_at_the_edges() {
        // GlobalPlatformPro TestTLV.java (Len.ext), and the edges around them.
        for (len, hex) in [
            (0, "00"),
            (127, "7F"),
            (128, "80"),
            (254, "FE"),
            (255, "FF00FF"),
            (256, "FF0100"),
            (65535, "FFFFFF"),
        ] {
            assert_eq!(crate::bytes::hex_upper(&dgi_length(len).unwrap()), hex);
        }
        assert!(dgi_length(65536).is_err());
    }

    #[test]
    fn a_published_grouping() {
        // Public test of a CPS writer: A5 template of 42 bytes under 9102.
        let value = crate::bytes::from_hex(
            "A528500A4D4153544552434152448701019F1101015F2D046B6F656E9F120B43495449204D4153544552",
        )
        .unwrap();
        let bytes = encode_dgi(DgiTag::SELECT_RESPONSE, &value).unwrap();
        assert_eq!(bytes[..5], [0x91, 0x02, 0x2A, 0xA5, 0x28]);
        assert_eq!(parse_dgis(&bytes).unwrap(), [Dgi { tag: DgiTag(0x9102), value: &value }]);
    }

    #[test]
    fn refusals() {
        for hex in ["80", "8000", "800002AA", "8000FF", "8000FF0001AA", "8000FF00FE"] {
            assert!(parse_dgis(&crate::bytes::from_hex(hex).unwrap()).is_err(), "{hex}");
        }
        for text in ["800", "80000", "80G0", ""] {
            assert!(text.parse::<DgiTag>().is_err(), "{text}");
        }
        assert!(DgiTag::for_record(Sfi::new(1).unwrap(), 0).is_err());
    }

    #[test]
    fn records_and_reserved_numbers() {
        let sfi = Sfi::new(10).unwrap();
        assert_eq!(DgiTag::for_record(sfi, 3).unwrap(), DgiTag(0x0A03));
        assert_eq!(DgiTag(0x0A03).emv_record(), Some((sfi, 3)));
        assert_eq!(DgiTag(0x0D01).emv_record(), None);
        assert!(
            DgiTag(0x7FF0).is_reserved() && DgiTag(0x7FFE).is_reserved() && !DgiTag::COMPLETION.is_reserved()
        );
        let dgi = Dgi { tag: DgiTag(0x0101), value: &[0x47, 0x61] };
        assert_eq!(format!("{dgi:?}"), "Dgi(0101, 2 bytes)");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            sets in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..600)), 0..5)
        ) {
            let mut bytes = Vec::new();
            for (tag, value) in &sets {
                bytes.extend(encode_dgi(DgiTag(*tag), value).unwrap());
            }
            let back: Vec<_> = parse_dgis(&bytes).unwrap().iter().map(|d| (d.tag.0, d.value.to_vec())).collect();
            prop_assert_eq!(back, sets);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(dgis) = parse_dgis(&bytes) {
                let again: Vec<u8> = dgis.iter().flat_map(|d| encode_dgi(d.tag, d.value).unwrap()).collect();
                prop_assert_eq!(again, bytes);
            }
        }
    }
}

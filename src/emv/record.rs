use std::fmt;

use zeroize::Zeroizing;

use super::{Tag, tlv};
use crate::error::{Error, ErrorKind, Place, Result};

/// Short file identifier: 1 to 30 (EMV 4.4 Book 1, 10.1.4; Book 3, 5.3.2.2).
///
/// 1 to 10 are EMV files whose records are a template 70; 11 to 20 belong to the payment system, 21 to 30 to the
/// issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sfi(u8);

impl Sfi {
    /// A short file identifier.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] outside 1 to 30.
    pub fn new(value: u8) -> Result<Self> {
        if (1..=30).contains(&value) {
            Ok(Self(value))
        } else {
            Err(ErrorKind::Value("a short file identifier is 1 to 30").into())
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether its records are a template 70 (1 to 10).
    #[must_use]
    pub const fn is_emv_file(self) -> bool {
        self.0 <= 10
    }
}

impl fmt::Display for Sfi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One record of a linear file, as READ RECORD returns it: 1 to 254 bytes. Wiped when dropped.
///
/// In SFI 1 to 10 it is one template 70 (EMV 4.4 Book 3, 7.1); in SFI 11 to 30 it is taken verbatim.
///
/// ```
/// use emv_dataprep::emv::{Record, Sfi, Tag};
/// let record = Record::build(Sfi::new(1)?, 1, &[(Tag::new(0x5F34)?, &[1])])?;
/// assert_eq!(record.bytes(), [0x70, 0x04, 0x5F, 0x34, 0x01, 0x01]);
/// assert_eq!(record.authenticated_bytes(), [0x5F, 0x34, 0x01, 0x01]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    sfi: Sfi,
    number: u8,
    bytes: Zeroizing<Vec<u8>>,
}

impl Record {
    /// Most bytes of a record, template tag and length included.
    pub const MAX_LEN: usize = 254;

    /// A record from its data objects, which are put into a template 70.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for record number 0 or an SFI above 10 (use [`Record::verbatim`]),
    /// [`ErrorKind::Duplicate`] for a tag that stands twice, [`ErrorKind::Length`] if the record has more than
    /// 254 bytes. The place names the record.
    pub fn build(sfi: Sfi, number: u8, objects: &[(Tag, &[u8])]) -> Result<Self> {
        let place = || format!("record {number} of SFI {sfi}");
        if !sfi.is_emv_file() {
            return Err(Error::new(ErrorKind::Value("a template 70 belongs to SFI 1 to 10")).at(place()));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some((tag, _)) = objects.iter().find(|(tag, _)| !seen.insert(*tag)) {
            return Err(Error::new(ErrorKind::Duplicate("a tag")).at(format!("tag {tag}")).at(place()));
        }
        Self::verbatim(sfi, number, tlv::template(Tag::RECORD_TEMPLATE, objects))
    }

    /// A record whose bytes stand already.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] outside 1 to 254 bytes, [`ErrorKind::Value`] for record number 0 or 255, and in SFI
    /// 1 to 10 whatever keeps the bytes from being one template 70 of readable objects. The place names the record.
    pub fn verbatim(sfi: Sfi, number: u8, bytes: Vec<u8>) -> Result<Self> {
        let bytes = Zeroizing::new(bytes);
        Self::check(sfi, number, &bytes).at_with(|| format!("record {number} of SFI {sfi}"))?;
        Ok(Self { sfi, number, bytes })
    }

    fn check(sfi: Sfi, number: u8, bytes: &[u8]) -> Result<()> {
        if number == 0 || number == 255 {
            return Err(ErrorKind::Value("a record number is 1 to 254").into());
        }
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            return Err(ErrorKind::Length { expected: "1 to 254", found: bytes.len(), unit: "bytes" }.into());
        }
        if sfi.is_emv_file() {
            let outer = tlv::parse_one(bytes, tlv::Rules::Ber)?;
            if outer.tag != Tag::RECORD_TEMPLATE {
                return Err(ErrorKind::Value("a record of SFI 1 to 10 is a template 70").into());
            }
            tlv::tree(outer.value, tlv::Rules::Ber)?;
        }
        Ok(())
    }

    /// Its file.
    #[must_use]
    pub const fn sfi(&self) -> Sfi {
        self.sfi
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// The record as READ RECORD returns it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What of it enters the static data to be authenticated (EMV 4.4 Book 3, 10.3): the value of template 70 in SFI 1
    /// to 10, the whole record in SFI 11 to 30.
    #[must_use]
    pub fn authenticated_bytes(&self) -> &[u8] {
        if !self.sfi.is_emv_file() {
            return &self.bytes;
        }
        tlv::parse_one(&self.bytes, tlv::Rules::Ber).map_or(&[], |outer| outer.value)
    }
}

impl fmt::Debug for Record {
    /// Where it stands and how long it is; its bytes hold card values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record(SFI {}, number {}, {} bytes)", self.sfi, self.number, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(value: u32) -> Tag {
        Tag::new(value).unwrap()
    }

    #[test]
    fn a_248_byte_certificate_just_fits() {
        let sfi = Sfi::new(2).unwrap();
        // 70 81FB 90 81F8 …: the longest issuer certificate fills its record alone.
        let full = Record::build(sfi, 1, &[(tag(0x90), &[0x6A; 248])]).unwrap();
        assert_eq!(full.bytes().len(), 254);
        assert_eq!(full.bytes()[..6], [0x70, 0x81, 0xFB, 0x90, 0x81, 0xF8]);
        let error = Record::build(sfi, 1, &[(tag(0x90), &[0x6A; 249])]).unwrap_err();
        assert_eq!(error.to_string(), "record 1 of SFI 2: 255 bytes where 1 to 254 are expected");
    }

    #[test]
    fn refusals() {
        let sfi = Sfi::new(1).unwrap();
        assert!(Sfi::new(0).is_err() && Sfi::new(31).is_err());
        assert!(Record::build(sfi, 0, &[]).is_err());
        assert!(Record::build(Sfi::new(11).unwrap(), 1, &[]).is_err());
        assert!(Record::build(sfi, 1, &[(tag(0x5A), &[1]), (tag(0x5A), &[2])]).is_err());
        assert!(Record::verbatim(sfi, 1, vec![0x71, 0]).is_err());
        assert!(Record::verbatim(sfi, 1, vec![0x70, 2, 0x5A, 3]).is_err());
        assert!(Record::verbatim(sfi, 1, vec![0x70, 0, 0]).is_err());
        assert!(Record::verbatim(Sfi::new(11).unwrap(), 1, vec![0x71, 0]).is_ok());
    }

    #[test]
    fn debug_names_no_byte() {
        let record = Record::build(Sfi::new(1).unwrap(), 1, &[(tag(0x5A), &[0x47, 0x61])]).unwrap();
        assert_eq!(format!("{record:?}"), "Record(SFI 1, number 1, 6 bytes)");
    }
}

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::{Afl, Aip, OdaUse, Record};
use crate::error::{Error, ErrorKind, Result};

/// Static data authentication tag list, tag 9F4A: absent, or exactly the tag of the AIP (EMV 4.4 Book 3, 10.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdaTagList {
    /// The card has no 9F4A.
    Absent,
    /// 9F4A is `82`: the AIP is signed as well.
    Aip,
}

impl SdaTagList {
    /// From the value of 9F4A, if the card has it.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] unless it is exactly 82: a terminal ends offline data authentication for any other.
    pub fn parse(value: Option<&[u8]>) -> Result<Self> {
        match value {
            None => Ok(Self::Absent),
            Some([0x82]) => Ok(Self::Aip),
            Some(_) => Err(Error::new(ErrorKind::Value("the SDA tag list is exactly 82")).at("tag 9F4A")),
        }
    }
}

/// Static data to be authenticated: what the SSAD and the ICC certificate sign (EMV 4.4 Book 2, 5.1 and 6.1; Book 3,
/// 10.3).
///
/// It is the signed records in the order of the file locator, their bytes verbatim, then the AIP if the tag list
/// names it. It depends on the interface when AFL or AIP do.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticData(Zeroizing<Vec<u8>>);

impl StaticData {
    /// Most bytes that are signed here: room for terminals' buffers, not a rule of the standard.
    pub const MAX_LEN: usize = 2048;

    /// Collects the signed records that `afl` names out of `records`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for a signed record that is not among `records`, [`ErrorKind::Duplicate`] for one that
    /// is there twice, [`ErrorKind::Length`] for more than 2048 bytes.
    ///
    /// ```
    /// use emv_dataprep::emv::{Afl, Aip, Record, SdaTagList, Sfi, StaticData, Tag};
    /// let record = Record::build(Sfi::new(1)?, 1, &[(Tag::new(0x5F34)?, &[1])])?;
    /// let afl = Afl::parse(&[0x08, 1, 1, 1])?;
    /// let data = StaticData::build(&afl, &[record], Aip::from_bytes([0x38, 0]), SdaTagList::Aip)?;
    /// assert_eq!(data.as_bytes(), [0x5F, 0x34, 0x01, 0x01, 0x38, 0x00]);
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn build(afl: &Afl, records: &[Record], aip: Aip, sda_tag_list: SdaTagList) -> Result<Self> {
        let mut by_place = BTreeMap::new();
        for r in records {
            if by_place.insert((r.sfi(), r.number()), r).is_some() {
                return Err(Error::new(ErrorKind::Duplicate("a record")).at(format!(
                    "record {} of SFI {}",
                    r.number(),
                    r.sfi()
                )));
            }
        }
        // Room for all that may be signed: a vector that grows leaves the PAN behind.
        let room = records.iter().map(|r| r.bytes().len()).sum::<usize>().saturating_add(2);
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        for r in afl.records().filter(|r| r.oda == OdaUse::Signed) {
            let record = by_place.get(&(r.sfi, r.number)).ok_or_else(|| {
                Error::new(ErrorKind::Missing("a signed record"))
                    .at(format!("record {} of SFI {}", r.number, r.sfi))
            })?;
            out.extend_from_slice(record.authenticated_bytes());
        }
        if sda_tag_list == SdaTagList::Aip {
            out.extend_from_slice(&aip.to_bytes());
        }
        if out.len() > Self::MAX_LEN {
            return Err(Error::new(ErrorKind::Length {
                expected: "at most 2048",
                found: out.len(),
                unit: "bytes of static data",
            }));
        }
        Ok(Self(out))
    }

    /// The bytes to be authenticated.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for StaticData {
    /// Its length; the bytes hold the PAN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticData({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emv::Sfi;

    fn record(sfi: u8, number: u8, hex: &str) -> Record {
        Record::verbatim(Sfi::new(sfi).unwrap(), number, crate::bytes::from_hex(hex).unwrap()).unwrap()
    }

    #[test]
    fn order_of_the_locator_verbatim_bytes_and_whole_proprietary_records() {
        let records = [
            record(11, 1, "7003AABBCC"),
            record(1, 2, "70055F34020102"),
            // A length in a longer form is signed as it stands.
            record(1, 1, "7081045F340101"),
            record(2, 1, "7003500141"),
        ];
        // SFI 2 first, then SFI 1 records 1 and 2 of which one is signed, then SFI 11.
        let afl = Afl::parse(&crate::bytes::from_hex("10010101080102015801010100").unwrap()[..12]).unwrap();
        let data = StaticData::build(&afl, &records, Aip::from_bytes([0x38, 0]), SdaTagList::Absent).unwrap();
        assert_eq!(crate::bytes::hex_upper(data.as_bytes()), "5001415F3401017003AABBCC");
        assert_eq!(format!("{data:?}"), "StaticData(12 bytes)");
    }

    #[test]
    fn a_public_card() {
        // PBOC test profile: AFL 08010100 10010200 18010201 20010300 signs record 0301 alone.
        let afl = Afl::parse(&crate::bytes::from_hex("18010101").unwrap()).unwrap();
        let r = record(3, 1, "701B5A0862280001000011175F24033012315F25039507019F08020030");
        let data = StaticData::build(&afl, &[r], Aip::from_bytes([0x7C, 0]), SdaTagList::Aip).unwrap();
        assert_eq!(
            crate::bytes::hex_upper(data.as_bytes()),
            "5A0862280001000011175F24033012315F25039507019F080200307C00"
        );
    }

    #[test]
    fn refusals() {
        let aip = Aip::from_bytes([0x38, 0]);
        let afl = Afl::parse(&[8, 1, 1, 1]).unwrap();
        assert!(StaticData::build(&afl, &[], aip, SdaTagList::Absent).is_err());
        let twice = [record(1, 1, "7000"), record(1, 1, "7000")];
        assert!(StaticData::build(&afl, &twice, aip, SdaTagList::Absent).is_err());
        assert!(SdaTagList::parse(Some(&[0x82, 0x5A])).is_err());
        assert!(SdaTagList::parse(Some(&[])).is_err());
        assert_eq!(SdaTagList::parse(Some(&[0x82])).unwrap(), SdaTagList::Aip);
    }
}

use std::collections::BTreeSet;

use super::{Record, Sfi};
use crate::error::{Error, ErrorKind, Result};

/// One entry of the application file locator: records `first` to `last` of a file, the first `signed` of which
/// take part in offline data authentication (EMV 4.4 Book 3, 10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AflEntry {
    /// File.
    pub sfi: Sfi,
    /// First record, from 1.
    pub first: u8,
    /// Last record.
    pub last: u8,
    /// How many records from `first` on are signed.
    pub signed: u8,
}

/// Whether a record takes part in offline data authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OdaUse {
    /// It is part of the static data to be authenticated.
    Signed,
    /// It is only read.
    Unsigned,
}

/// A record that the file locator names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AflRecord {
    /// File.
    pub sfi: Sfi,
    /// Record number.
    pub number: u8,
    /// Whether it is signed.
    pub oda: OdaUse,
}

/// Application file locator, tag 94: 1 to 63 entries of four bytes (EMV 4.4 Book 3, 10.2 and Annex A).
///
/// ```
/// use emv_dataprep::emv::Afl;
/// let afl = Afl::parse(&[0x08, 1, 1, 0, 0x18, 1, 2, 1])?;
/// assert_eq!(afl.records().count(), 3);
/// assert_eq!(afl.encode(), [0x08, 1, 1, 0, 0x18, 1, 2, 1]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Afl(Vec<AflEntry>);

impl Afl {
    /// A file locator from its entries, in the order in which a terminal reads.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for none or more than 63, [`ErrorKind::Value`] for a first record of 0, a last before the
    /// first, or more signed records than records, [`ErrorKind::Duplicate`] for a record named twice.
    pub fn new(entries: Vec<AflEntry>) -> Result<Self> {
        if entries.is_empty() || entries.len() > 63 {
            return Err(
                ErrorKind::Length { expected: "1 to 63", found: entries.len(), unit: "AFL entries" }.into()
            );
        }
        for (i, e) in entries.iter().enumerate() {
            let fail = |kind| Err(Error::new(kind).at(format!("AFL entry {}", i.saturating_add(1))));
            if e.first == 0 {
                return fail(ErrorKind::Value("the first record is 0"));
            }
            if e.last < e.first || e.last == 255 {
                return fail(ErrorKind::Value("the last record is before the first, or 255"));
            }
            if e.signed > e.last.saturating_sub(e.first).saturating_add(1) {
                return fail(ErrorKind::Value("more records are signed than there are"));
            }
        }
        let afl = Self(entries);
        let mut seen = BTreeSet::new();
        for r in afl.records() {
            if !seen.insert((r.sfi, r.number)) {
                return Err(Error::new(ErrorKind::Duplicate("a record"))
                    .at(format!("record {} of SFI {}", r.number, r.sfi))
                    .at("AFL"));
            }
        }
        Ok(afl)
    }

    /// A file locator that names the records given, in their order: neighbours of one file share an entry as long as no
    /// signed record follows an unsigned one.
    ///
    /// # Errors
    /// As [`Afl::new`].
    pub fn of_records(records: impl IntoIterator<Item = AflRecord>) -> Result<Self> {
        let mut entries: Vec<AflEntry> = Vec::new();
        for r in records {
            let signed = u8::from(r.oda == OdaUse::Signed);
            if let Some(e) = entries.last_mut() {
                let all_signed = e.signed == e.last.saturating_sub(e.first).saturating_add(1);
                if e.sfi == r.sfi && e.last.checked_add(1) == Some(r.number) && (all_signed || signed == 0) {
                    e.last = r.number;
                    e.signed = e.signed.saturating_add(signed);
                    continue;
                }
            }
            entries.push(AflEntry { sfi: r.sfi, first: r.number, last: r.number, signed });
        }
        Self::new(entries)
    }

    /// Reads the value of tag 94.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless the length is a multiple of four, [`ErrorKind::Value`] for an SFI outside 1 to 30
    /// or low bits set beside it, and as [`Afl::new`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (chunks, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(
                ErrorKind::Length { expected: "a multiple of 4", found: bytes.len(), unit: "bytes" }.into()
            );
        }
        let entries = chunks.iter().map(|[file, first, last, signed]| {
            if file & 0x07 != 0 {
                return Err(ErrorKind::Value("bits 3 to 1 beside the SFI of an AFL entry are 0").into());
            }
            Ok(AflEntry { sfi: Sfi::new(file >> 3)?, first: *first, last: *last, signed: *signed })
        });
        Self::new(entries.collect::<Result<_>>()?)
    }

    /// The value of tag 94.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|e| [e.sfi.get() << 3, e.first, e.last, e.signed]).collect()
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[AflEntry] {
        &self.0
    }

    /// Every record that it names, in reading order.
    pub fn records(&self) -> impl Iterator<Item = AflRecord> + '_ {
        self.0.iter().flat_map(|e| {
            (e.first..=e.last).map(|number| {
                let signed = number.saturating_sub(e.first) < e.signed;
                AflRecord { sfi: e.sfi, number, oda: if signed { OdaUse::Signed } else { OdaUse::Unsigned } }
            })
        })
    }

    /// Says that the records are exactly those that it names, apart from order.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for a record that it names and that is not there, [`ErrorKind::Unknown`] for one that
    /// it does not name. The place names the record.
    pub fn check_records(&self, records: &[Record]) -> Result<()> {
        let named: BTreeSet<_> = self.records().map(|r| (r.sfi, r.number)).collect();
        let there: BTreeSet<_> = records.iter().map(|r| (r.sfi(), r.number())).collect();
        let at = |(sfi, number): &(Sfi, u8)| format!("record {number} of SFI {sfi}");
        if let Some(r) = named.difference(&there).next() {
            return Err(Error::new(ErrorKind::Missing("a record that the AFL names")).at(at(r)));
        }
        if let Some(r) = there.difference(&named).next() {
            return Err(Error::new(ErrorKind::Unknown("to the AFL, this record")).at(at(r)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_in_reading_order_with_their_part_in_oda() {
        // A public contact layout: 08010100 10010200 18010201 20010300.
        let bytes = crate::bytes::from_hex("08010100100102001801020120010300").unwrap();
        let afl = Afl::parse(&bytes).unwrap();
        let text: Vec<_> = afl.records().map(|r| (r.sfi.get(), r.number, r.oda == OdaUse::Signed)).collect();
        assert_eq!(
            text,
            [
                (1, 1, false),
                (2, 1, false),
                (2, 2, false),
                (3, 1, true),
                (3, 2, false),
                (4, 1, false),
                (4, 2, false),
                (4, 3, false)
            ]
        );
        assert_eq!(Afl::of_records(afl.records()).unwrap(), afl);
    }

    #[test]
    fn refusals() {
        for hex in [
            "",
            "080101",
            "08000100",
            "08020100",
            "08010102",
            "00010100",
            "F8010100",
            "09010100",
            "0801010008010100",
            "0801FF00",
        ] {
            assert!(Afl::parse(&crate::bytes::from_hex(hex).unwrap()).is_err(), "{hex}");
        }
    }

    #[test]
    fn records_and_locator_name_each_other() {
        let sfi = Sfi::new(1).unwrap();
        let r = |n| Record::build(sfi, n, &[]).unwrap();
        let afl = Afl::parse(&[8, 1, 2, 0]).unwrap();
        assert!(afl.check_records(&[r(2), r(1)]).is_ok());
        assert!(afl.check_records(&[r(1)]).unwrap_err().to_string().starts_with("record 2 of SFI 1: "));
        assert!(
            afl.check_records(&[r(1), r(2), r(3)])
                .unwrap_err()
                .to_string()
                .starts_with("record 3 of SFI 1: ")
        );
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(afl) = Afl::parse(&bytes) {
                prop_assert_eq!(afl.encode(), bytes);
            }
        }
    }
}

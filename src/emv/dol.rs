use std::fmt;

use super::{Format, Tag, names};
use crate::bytes::Cursor;
use crate::error::{Error, ErrorKind, Result};

/// One entry of a data object list: a tag and how many bytes of it are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DolEntry {
    /// Tag.
    pub tag: Tag,
    /// Bytes asked for.
    pub len: u8,
}

/// Data object list: PDOL 9F38, CDOL1 8C, CDOL2 8D, DDOL 9F49, TDOL 97, log format 9F4F (EMV 4.4 Book 3, 5.4).
///
/// ```
/// use emv_dataprep::emv::Dol;
/// let dol: Dol = "9F02069F37049F1A02".parse()?;
/// assert_eq!(dol.total_len(), 12);
/// let data = dol.fill(|tag, _| (tag.to_string() == "9F1A").then(|| vec![0x02, 0x50]));
/// assert_eq!(data, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x50]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dol(Vec<DolEntry>);

impl Dol {
    /// Most bytes of a list, and of the data that it asks for.
    pub const MAX_LEN: usize = 252;

    /// A list from its entries.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] if the list has more than 252 bytes.
    pub fn new(entries: Vec<DolEntry>) -> Result<Self> {
        let dol = Self(entries);
        let found = dol.encode().len();
        if found > Self::MAX_LEN {
            return Err(ErrorKind::Length { expected: "at most 252", found, unit: "bytes of a DOL" }.into());
        }
        Ok(dol)
    }

    /// Reads the value of a list.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] or [`ErrorKind::Truncated`] unless it is whole entries, and as [`Dol::new`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut entries = Vec::new();
        while !cursor.is_empty() {
            entries.push(DolEntry { tag: Tag::read(&mut cursor)?, len: cursor.u8()? });
        }
        Self::new(entries)
    }

    /// The value of the list.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for e in &self.0 {
            out.extend_from_slice(&e.tag.to_bytes());
            out.push(e.len);
        }
        out
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[DolEntry] {
        &self.0
    }

    /// Bytes of data that it asks for.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.0.iter().fold(0, |sum, e| sum.saturating_add(usize::from(e.len)))
    }

    /// Whether it asks for this tag.
    #[must_use]
    pub fn contains(&self, tag: Tag) -> bool {
        self.0.iter().any(|e| e.tag == tag)
    }

    /// The data that it asks for, each value cut or padded by the rules of 5.4.
    ///
    /// A value that `value` does not give, and a constructed tag, becomes zeros. A value too long loses bytes on the
    /// left if its format is n, else on the right; one too short gains zeros on the left if its format is n, `FF` on the
    /// right if it is cn, else zeros on the right.
    #[must_use]
    pub fn fill(&self, mut value: impl FnMut(Tag, usize) -> Option<Vec<u8>>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.total_len());
        for e in &self.0 {
            let len = usize::from(e.len);
            let given = if e.tag.is_constructed() { None } else { value(e.tag, len) };
            match given {
                Some(v) => out.extend_from_slice(&fit(v, names::format_of(e.tag), len)),
                None => out.resize(out.len().saturating_add(len), 0),
            }
        }
        out
    }
}

fn fit(mut value: Vec<u8>, format: Format, len: usize) -> Vec<u8> {
    let excess = value.len().saturating_sub(len);
    let lacking = len.saturating_sub(value.len());
    match format {
        Format::Numeric => {
            value.drain(..excess);
            let mut out = vec![0; lacking];
            out.append(&mut value);
            out
        }
        Format::CompressedNumeric => {
            value.resize(len, 0xFF);
            value
        }
        _ => {
            value.resize(len, 0);
            value
        }
    }
}

impl std::str::FromStr for Dol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(&crate::bytes::from_hex(text)?)
    }
}

impl fmt::Display for Dol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::bytes::hex_upper(&self.encode()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_the_schemes_lists() {
        // Visa CDOL1 asks for 29 bytes; Mastercard's for 43, and for 66 with 9F2103 9F7C14.
        let visa: Dol = "9F02069F03069F1A0295055F2A029A039C019F3704".parse().unwrap();
        assert_eq!(visa.total_len(), 29);
        let mastercard: Dol =
            "9F02069F03069F1A0295055F2A029A039C019F37049F35019F45029F4C089F34039F21039F7C14".parse().unwrap();
        assert_eq!(mastercard.total_len(), 66);
        assert_eq!(visa.to_string(), "9F02069F03069F1A0295055F2A029A039C019F3704");
    }

    #[test]
    fn values_are_cut_and_padded_by_format() {
        let one = |dol: &str, value: &[u8]| dol.parse::<Dol>().unwrap().fill(|_, _| Some(value.to_vec()));
        // n: amount.
        assert_eq!(one("9F0206", &[0x12, 0x34]), [0, 0, 0, 0, 0x12, 0x34]);
        assert_eq!(one("9F0201", &[0x12, 0x34]), [0x34]);
        // cn: PAN.
        assert_eq!(one("5A04", &[0x12, 0x34]), [0x12, 0x34, 0xFF, 0xFF]);
        assert_eq!(one("5A01", &[0x12, 0x34]), [0x12]);
        // b: unpredictable number.
        assert_eq!(one("9F3704", &[0x12, 0x34]), [0x12, 0x34, 0, 0]);
        assert_eq!(one("9F3701", &[0x12, 0x34]), [0x12]);
        // constructed: zeros whatever there is.
        assert_eq!(one("BF0C02", &[0x12, 0x34]), [0, 0]);
    }

    #[test]
    fn refusals() {
        for hex in ["9F", "9F02", "9F3704A5", "00"] {
            assert!(hex.parse::<Dol>().is_err(), "{hex}");
        }
        assert!(Dol::parse(&[0x9A, 1].repeat(127)).is_err());
        assert_eq!(Dol::parse(&[]).unwrap().total_len(), 0);
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(dol) = Dol::parse(&bytes) {
                prop_assert_eq!(dol.encode(), bytes);
                prop_assert_eq!(dol.fill(|_, len| Some(vec![1; len ^ 1])).len(), dol.total_len());
            }
        }
    }
}

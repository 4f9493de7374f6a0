//! BER-TLV as EMV uses it (EMV 4.4 Book 3, Annex B): canonical encoding, strict and lenient reading.
//!
//! [`parse`] takes what a personalization engine may write: definite lengths in their shortest form, a length
//! field of at most three bytes, no filler. [`Rules::Ber`] reads what cards and tools in the field also write:
//! longer length forms and 00 filler between objects.

use std::fmt;

use zeroize::Zeroizing;

use super::Tag;
use crate::bytes::Cursor;
use crate::error::{Error, ErrorKind, Place, Result};

/// Templates within templates that [`tree`] follows.
const MAX_DEPTH: usize = 16;

/// How lengths and filler are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Shortest length form, length field of one to three bytes, no filler.
    Canonical,
    /// Any definite length form of up to five bytes, and 00 bytes between objects.
    Ber,
}

/// One data object: its tag, and its value within the bytes that were read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Tag.
    pub tag: Tag,
    /// Value, verbatim.
    pub value: &'a [u8],
}

impl fmt::Debug for Tlv<'_> {
    /// Tag and length; a value may be a card value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tlv({}, {} bytes)", self.tag, self.value.len())
    }
}

/// The length field for `len` bytes, in its shortest form.
///
/// ```
/// use emv_dataprep::emv::tlv;
/// assert_eq!(tlv::length(127), [0x7F]);
/// assert_eq!(tlv::length(128), [0x81, 0x80]);
/// assert_eq!(tlv::length(256), [0x82, 0x01, 0x00]);
/// ```
#[must_use]
pub fn length(len: usize) -> Vec<u8> {
    if let Ok(short @ 0..=0x7F) = u8::try_from(len) {
        return vec![short];
    }
    let bytes = len.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
    let mut out = vec![0x80 | u8::try_from(significant.len()).unwrap_or(0x7F)];
    out.extend_from_slice(&significant);
    out
}

/// One data object, canonical.
///
/// ```
/// use emv_dataprep::emv::{Tag, tlv};
/// assert_eq!(tlv::encode(Tag::new(0x9F36)?, &[0, 0]), [0x9F, 0x36, 0x02, 0x00, 0x00]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn encode(tag: Tag, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len().saturating_add(8));
    push(&mut out, tag, value);
    out
}

/// Appends one data object to `out`.
pub fn push(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    out.extend_from_slice(&tag.to_bytes());
    out.extend_from_slice(&length(value.len()));
    out.extend_from_slice(value);
}

/// A template: `tag` around the objects given, in their order.
///
/// ```
/// use emv_dataprep::emv::{Tag, tlv};
/// let (t70, t5f34) = (Tag::new(0x70)?, Tag::new(0x5F34)?);
/// assert_eq!(tlv::template(t70, &[(t5f34, &[1])]), [0x70, 4, 0x5F, 0x34, 1, 1]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn template(tag: Tag, objects: &[(Tag, &[u8])]) -> Vec<u8> {
    // Room for all of it: a vector that grows leaves card values behind.
    let room = objects.iter().map(|(_, value)| value.len().saturating_add(8)).sum();
    let mut inner = Zeroizing::new(Vec::with_capacity(room));
    for (tag, value) in objects {
        push(&mut inner, *tag, value);
    }
    encode(tag, &inner)
}

/// Reads the next data object of `cursor`.
///
/// # Errors
/// [`ErrorKind::Format`] for a tag or length that the rules do not allow, [`ErrorKind::Truncated`] if the value
/// ends early. The place names the tag.
pub fn read<'a>(cursor: &mut Cursor<'a>, rules: Rules) -> Result<Tlv<'a>> {
    let tag = Tag::read(cursor)?;
    let len = read_length(cursor, rules).at_with(|| format!("tag {tag}"))?;
    let value = cursor.take(len).at_with(|| format!("tag {tag}"))?;
    Ok(Tlv { tag, value })
}

fn read_length(cursor: &mut Cursor<'_>, rules: Rules) -> Result<usize> {
    let first = cursor.u8()?;
    if first < 0x80 {
        return Ok(usize::from(first));
    }
    let count = usize::from(first & 0x7F);
    let most = if rules == Rules::Canonical { 2 } else { 4 };
    if count == 0 || count > most {
        return Err(ErrorKind::Format("a definite length field of the allowed size").into());
    }
    let bytes = cursor.take(count)?;
    let len = bytes.iter().fold(0_usize, |acc, b| (acc << 8) | usize::from(*b));
    if rules == Rules::Canonical && length(len).len() != count.saturating_add(1) {
        return Err(ErrorKind::Format("a length in its shortest form").into());
    }
    Ok(len)
}

/// The data objects of some bytes, one after the other. After an error it ends.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    cursor: Cursor<'a>,
    rules: Rules,
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Tlv<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rules == Rules::Ber && self.cursor.peek() == Some(0) {
            self.cursor.u8().ok()?;
        }
        if self.cursor.is_empty() {
            return None;
        }
        let next = read(&mut self.cursor, self.rules);
        if next.is_err() {
            self.cursor.rest();
        }
        Some(next)
    }
}

/// An iterator over the data objects of `bytes`.
#[must_use]
pub const fn objects(bytes: &[u8], rules: Rules) -> Objects<'_> {
    Objects { cursor: Cursor::new(bytes), rules }
}

/// All data objects of `bytes`, one level, canonical.
///
/// # Errors
/// As [`read`].
///
/// ```
/// use emv_dataprep::emv::tlv;
/// let objects = tlv::parse(&[0x5F, 0x34, 1, 1, 0x9F, 0x36, 2, 0, 7])?;
/// assert_eq!(objects[1].tag.to_string(), "9F36");
/// assert_eq!(objects[1].value, [0, 7]);
/// assert!(tlv::parse(&[0x9C, 0x81, 0x01, 0xFF]).is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Vec<Tlv<'_>>> {
    objects(bytes, Rules::Canonical).collect()
}

/// All data objects of `bytes`, one level, by the rules given.
///
/// # Errors
/// As [`read`].
pub fn parse_with(bytes: &[u8], rules: Rules) -> Result<Vec<Tlv<'_>>> {
    objects(bytes, rules).collect()
}

/// The one data object that `bytes` are.
///
/// # Errors
/// As [`read`], and [`ErrorKind::Trailing`] if bytes are left.
pub fn parse_one(bytes: &[u8], rules: Rules) -> Result<Tlv<'_>> {
    let mut cursor = Cursor::new(bytes);
    let tlv = read(&mut cursor, rules)?;
    cursor.finish()?;
    Ok(tlv)
}

/// The value of the first object with this tag on the top level of `bytes`.
///
/// # Errors
/// As [`read`].
pub fn find(bytes: &[u8], tag: Tag) -> Result<Option<&[u8]>> {
    for object in objects(bytes, Rules::Canonical) {
        let object = object?;
        if object.tag == tag {
            return Ok(Some(object.value));
        }
    }
    Ok(None)
}

/// A data object with the objects within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Tag and value.
    pub tlv: Tlv<'a>,
    /// The objects of a constructed value; none for a primitive one.
    pub children: Vec<Node<'a>>,
}

impl Node<'_> {
    /// This object and all within it, outermost first: `(depth, object)`.
    #[must_use]
    pub fn flatten(&self) -> Vec<(usize, Tlv<'_>)> {
        let mut out = Vec::new();
        self.flatten_into(0, &mut out);
        out
    }

    fn flatten_into<'s>(&'s self, depth: usize, out: &mut Vec<(usize, Tlv<'s>)>) {
        out.push((depth, self.tlv));
        for child in &self.children {
            child.flatten_into(depth.saturating_add(1), out);
        }
    }
}

/// All data objects of `bytes`, with those within constructed ones.
///
/// # Errors
/// As [`read`], and [`ErrorKind::Value`] for templates nested more than 16 deep.
pub fn tree(bytes: &[u8], rules: Rules) -> Result<Vec<Node<'_>>> {
    tree_below(bytes, rules, MAX_DEPTH)
}

fn tree_below(bytes: &[u8], rules: Rules, depth: usize) -> Result<Vec<Node<'_>>> {
    let deeper =
        depth.checked_sub(1).ok_or_else(|| Error::new(ErrorKind::Value("templates nest too deep")))?;
    objects(bytes, rules)
        .map(|object| {
            let tlv = object?;
            let children = if tlv.tag.is_constructed() {
                tree_below(tlv.value, rules, deeper).at_with(|| format!("tag {}", tlv.tag))?
            } else {
                Vec::new()
            };
            Ok(Node { tlv, children })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tag(value: u32) -> Tag {
        Tag::new(value).unwrap()
    }

    #[test]
    fn lengths_at_the_edges() {
        // BER short and long forms, restated from ISO/IEC 8825-1, 8.1.3.
        for (len, hex) in
            [(0, "00"), (127, "7F"), (128, "8180"), (255, "81FF"), (65535, "82FFFF"), (65536, "83010000")]
        {
            assert_eq!(crate::bytes::hex_upper(&length(len)), hex);
        }
    }

    #[test]
    fn strict_reading_refuses_what_lenient_reading_takes() {
        for hex in ["9C8100", "9C8101FF", "9C820001FF", "9C8400000001FF", "009C00", "9C0000"] {
            let bytes = crate::bytes::from_hex(hex).unwrap();
            assert!(parse(&bytes).is_err(), "{hex}");
            assert_eq!(parse_with(&bytes, Rules::Ber).unwrap().len(), 1, "{hex}");
        }
        for hex in ["9F", "9C", "9C81", "9C01", "9C0200", "9C80FF0000", "9C850000000001FF"] {
            let bytes = crate::bytes::from_hex(hex).unwrap();
            assert!(parse_with(&bytes, Rules::Ber).is_err(), "{hex}");
        }
    }

    #[test]
    fn a_tree_says_where_it_breaks() {
        let bytes = [0xE0, 0x02, 0x9C, 0x81];
        assert!(parse(&bytes).is_ok());
        assert!(tree(&bytes, Rules::Canonical).unwrap_err().to_string().starts_with("tag E0: tag 9C: "));
        let mut deep = vec![0x9C, 0x00];
        for _ in 0..20 {
            deep = encode(tag(0xE0), &deep);
        }
        assert!(tree(&deep, Rules::Canonical).is_err());
    }

    #[test]
    fn debug_names_no_value() {
        let bytes = [0x5A, 2, 0x47, 0x61];
        assert_eq!(format!("{:?}", parse(&bytes).unwrap()), "[Tlv(5A, 2 bytes)]");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            values in proptest::collection::vec(
                (prop_oneof![Just(0x5A_u32), Just(0x9F10), Just(0x70), Just(0x9F8201)],
                 proptest::collection::vec(any::<u8>(), 0..300)), 0..6)
        ) {
            let mut bytes = Vec::new();
            for (t, v) in &values {
                push(&mut bytes, tag(*t), v);
            }
            let back: Vec<_> = parse(&bytes).unwrap().iter().map(|o| (o.tag.value(), o.value.to_vec())).collect();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(nodes) = tree(&bytes, Rules::Canonical) {
                let again: Vec<u8> = nodes.iter().flat_map(|n| encode(n.tlv.tag, n.tlv.value)).collect();
                prop_assert_eq!(again, bytes.clone());
            }
            let _ = tree(&bytes, Rules::Ber);
        }
    }
}

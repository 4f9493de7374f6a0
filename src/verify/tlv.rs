//! BER-TLV as EMV uses it (Book 3, annex B), read strictly: no padding bytes, shortest lengths. Written for this
//! module alone, so that a fault of the encoder on the other side is seen.

/// One data object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Object<'a> {
    pub(super) tag: u32,
    pub(super) value: &'a [u8],
}

/// Reads one tag; gives it and the rest.
pub(super) fn split_tag(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut tag = u32::from(*first);
    if *first == 0 || *first == 0xFF {
        return None;
    }
    if first & 0x1F == 0x1F {
        for n in 0..3 {
            let (next, tail) = rest.split_first()?;
            // At most three bytes in all; the number does not begin with zero bits.
            if n == 2 || (n == 0 && *next == 0x80) {
                return None;
            }
            rest = tail;
            tag = tag << 8 | u32::from(*next);
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    Some((tag, rest))
}

fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [n @ 0..=0x7F, rest @ ..] => Some((usize::from(*n), rest)),
        [0x81, n @ 0x80..=0xFF, rest @ ..] => Some((usize::from(*n), rest)),
        [0x82, hi @ 1..=0xFF, lo, rest @ ..] => Some((usize::from(*hi) << 8 | usize::from(*lo), rest)),
        _ => None,
    }
}

/// All objects of `bytes`, one level.
pub(super) fn objects(mut bytes: &[u8]) -> Option<Vec<Object<'_>>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (tag, rest) = split_tag(bytes)?;
        let (len, rest) = split_length(rest)?;
        let (value, rest) = rest.split_at_checked(len)?;
        out.push(Object { tag, value });
        bytes = rest;
    }
    Some(out)
}

/// Whether an object holds objects.
pub(super) fn is_constructed(tag: u32) -> bool {
    let first = [24, 16, 8, 0].into_iter().map(|s| tag >> s & 0xFF).find(|b| *b != 0);
    first.is_some_and(|b| b & 0x20 != 0)
}

/// The value of the only object of `bytes`, which has this tag.
pub(super) fn only(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    match objects(bytes)?.as_slice() {
        [one] if one.tag == tag => Some(one.value),
        _ => None,
    }
}

/// Entries of a data object list: tag and length (Book 3, 5.4).
pub(super) fn dol(mut bytes: &[u8]) -> Option<Vec<(u32, u8)>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (tag, rest) = split_tag(bytes)?;
        let (len, rest) = rest.split_first()?;
        out.push((tag, *len));
        bytes = rest;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_forms() {
        assert!(only(&[0x70, 0x02, 0x57, 0x00], 0x70).is_some());
        assert!(only(&[0x70, 0x81, 0x02, 0x57, 0x00], 0x70).is_none(), "a longer length than needed");
        assert!(objects(&[0x9F, 0x10, 0x01, 0xAA, 0x00]).is_none(), "padding");
        assert!(objects(&[0x5A, 0x02, 0x01]).is_none(), "ends early");
        assert!(objects(&[0x9F, 0x80, 0x01, 0x00]).is_none(), "a tag number with leading zero bits");
        assert!(objects(&[0xDF, 0x81, 0x82, 0x03, 0x00]).is_none(), "a tag of four bytes");
        assert_eq!(objects(&[0xBF, 0x0C, 0x00, 0xDF, 0x81, 0x01, 0x00]).unwrap().len(), 2);
        assert!(is_constructed(0xBF0C) && is_constructed(0x70) && !is_constructed(0x9F10));
    }

    #[test]
    fn published_cdol() {
        // EMV Book 3 style list: amount, country, unpredictable number.
        let list = dol(&[0x9F, 0x02, 0x06, 0x9F, 0x1A, 0x02, 0x9F, 0x37, 0x04]).unwrap();
        assert_eq!(list, [(0x9F02, 6), (0x9F1A, 2), (0x9F37, 4)]);
        assert!(dol(&[0x9F, 0x02]).is_none());
    }
}

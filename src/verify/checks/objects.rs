//! Single objects: where they may stand, their form, and data object lists.

use super::super::chip::Path;
use super::super::derive::nibbles;
use super::super::report::{CheckName, Findings};
use super::super::tlv;
use crate::card::CardDate;

/// Whether an object may stand in a record or a GPO response: EMV's own (Book 3, annex A), those that kernels define
/// (9F50 to 9F7F), and private ones of two bytes.
pub(super) fn belongs(tag: u32) -> bool {
    matches!(
        tag,
        0x56 | 0x57
            | 0x5A
            | 0x5F20
            | 0x5F24
            | 0x5F25
            | 0x5F28
            | 0x5F2D
            | 0x5F30
            | 0x5F34
            | 0x5F50
            | 0x5F53..=0x5F56
            | 0x42
            | 0x82
            | 0x8C..=0x90
            | 0x92..=0x94
            | 0x97
            | 0x9F05
            | 0x9F07
            | 0x9F08
            | 0x9F0B..=0x9F10
            | 0x9F14
            | 0x9F19
            | 0x9F1F
            | 0x9F20
            | 0x9F23..=0x9F27
            | 0x9F2D..=0x9F2F
            | 0x9F32
            | 0x9F36
            | 0x9F3B
            | 0x9F42..=0x9F44
            | 0x9F46..=0x9F4B
            | 0x9F50..=0x9F7F
            | 0xDF01..=0xDFFF
            | 0x00DF_8000..=0x00DF_FFFF
    )
}

/// Length that a terminal's data object has, where it is fixed; `None` for one that no terminal has.
fn terminal_object(tag: u32, len: u8) -> bool {
    match tag {
        0x9C | 0x9F35 | 0x9F39 | 0x9F22 | 0x9F53 | 0x9F7A => len == 1,
        0x8A | 0x9B | 0x9F09 | 0x9F15 | 0x9F1A | 0x9F3C | 0x9F45 | 0x5F2A => len == 2,
        0x9A | 0x9F21 | 0x9F33 | 0x9F34 => len == 3,
        0x81 | 0x9F04 | 0x9F1B | 0x9F37 | 0x9F3A | 0x9F66 => len == 4,
        0x95 | 0x9F40 => len == 5,
        0x9F01..=0x9F03 => len == 6,
        0x9F1C | 0x9F1D | 0x9F1E | 0x9F4C => (1..=8).contains(&len),
        0x91 => (8..=16).contains(&len),
        0x9F16 => len == 15,
        0x98 | 0x9F7C => len == 20,
        0x9F06 => (5..=16).contains(&len),
        0x9F41 => (2..=4).contains(&len),
        0x9F4E | 0x9F50..=0x9F7F => len > 0,
        _ => false,
    }
}

/// Reads a data object list (Book 3, 5.4); what is wrong goes to `found`.
pub(super) fn data_object_list(value: &[u8], found: &mut Findings) -> Option<Vec<(u32, u8)>> {
    const NAME: CheckName = CheckName::Dol;
    let Some(list) = tlv::dol(value) else {
        found.fail(NAME, "a data object list is not tags and lengths");
        return None;
    };
    let mut tags: Vec<_> = list.iter().map(|(tag, _)| *tag).collect();
    tags.sort_unstable();
    let twice = tags.windows(2).any(|w| w.first() == w.last());
    found.require(NAME, !list.is_empty() && !twice, "a data object list is empty or names an object twice");
    let total: usize = list.iter().map(|(_, len)| usize::from(*len)).sum();
    found.require(NAME, total <= 252, "a data object list asks for more than a command carries");
    let known = list.iter().all(|(tag, len)| terminal_object(*tag, *len));
    found.require(NAME, known, "a data object list asks for an object or length that no terminal has");
    Some(list)
}

/// Data object lists of a path.
pub(in super::super) fn dols(path: &Path<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::Dol;
    let lists = [(0x8C, true, false), (0x8D, true, true), (0x9F49, true, false), (0x97, false, false)];
    for (tag, wants_number, wants_response) in lists {
        let Some(value) = path.get(tag) else { continue };
        let Some(list) = data_object_list(value, found) else { continue };
        let has = |tag| list.iter().any(|(t, _)| *t == tag);
        if wants_number {
            found.require(NAME, has(0x9F37), "a data object list without the unpredictable number 9F37");
        }
        if wants_response {
            found.require(NAME, has(0x8A), "CDOL2 without the authorisation response code 8A");
        }
        // The least set of an application cryptogram (Book 2, table 26); a CDOL2 that begins it has all of it.
        let least = [0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37];
        if tag == 0x8C || tag == 0x8D && least.iter().filter(|t| has(**t)).count() > 3 {
            let all = least.iter().all(|t| has(*t));
            found.require(NAME, all, "a CDOL lacks an object of the least set for cryptograms");
        }
    }
}

/// Length and format of objects whose form EMV fixes (Book 3, annex A).
pub(super) fn object_form(tag: u32, value: &[u8], found: &mut Findings) {
    let numeric = |digits: usize| {
        let n = nibbles(value);
        let pad = n.len().checked_sub(digits);
        pad.and_then(|p| n.split_at_checked(p)).is_some_and(|(zeros, rest)| {
            zeros.len() < 2 && zeros.iter().all(|d| *d == 0) && rest.iter().all(|d| *d < 10)
        })
    };
    let date = || {
        let text: String = nibbles(value).iter().map(|n| char::from(b'0'.wrapping_add(*n))).collect();
        CardDate::from_yymmdd(&text).is_ok()
    };
    let letters = |from: u8, to: u8| value.iter().all(|b| (from..=to).contains(b));
    let good = match tag {
        0x50 => {
            (1..=16).contains(&value.len())
                && value.iter().all(|b| b.is_ascii_alphanumeric() || *b == b' ' || b"./-".contains(b))
        }
        0x57 => (1..=19).contains(&value.len()),
        0x5A => (1..=10).contains(&value.len()),
        0x5F20 => (2..=26).contains(&value.len()) && letters(0x20, 0x7E),
        0x9F0B => (27..=45).contains(&value.len()) && letters(0x20, 0x7E),
        0x5F24 | 0x5F25 => date(),
        0x5F28 | 0x5F30 | 0x9F42 | 0x9F1A | 0x5F2A | 0x9F51 | 0x9F57 => value.len() == 2 && numeric(3),
        0x5F2D => (2..=8).contains(&value.len()) && value.len().is_multiple_of(2) && letters(b'a', b'z'),
        0x5F34 => value.len() == 1 && numeric(2),
        0x82 | 0x9F07 | 0x9F08 | 0x9F6C => value.len() == 2,
        0x87 => matches!(value, [b] if b & 0x70 == 0),
        0x8E => cvm_rules(value).is_some(),
        0x8F | 0x9F14 | 0x9F23 => value.len() == 1,
        0x9F0D..=0x9F0F => value.len() == 5,
        0x9F11 => matches!(value, [1..=10]),
        0x9F32 | 0x9F47 | 0x9F2E => matches!(value, [3] | [1, 0, 1]),
        0x9F36 => value == [0, 0],
        0x9F44 => matches!(value, [0..=9]),
        0x9F24 => value.len() == 29 && value.iter().all(u8::is_ascii_alphanumeric),
        0x9F10 => (1..=32).contains(&value.len()),
        0x9F19 => value.len() == 6,
        0x9F4D | 0x9F4F | 0x9F49 => !value.is_empty(),
        _ => true,
    };
    found.require(CheckName::MandatoryData, good, "an object has a form that EMV does not allow");
}

/// Rules of a CVM list: method, condition (Book 3, 10.5 and C3).
pub(super) fn cvm_rules(list: &[u8]) -> Option<Vec<[u8; 2]>> {
    let (_, rules) = list.split_at_checked(8)?;
    let (rules, rest) = rules.as_chunks::<2>();
    let legal = rules.iter().all(|[method, condition]| {
        let method = method & 0xBF;
        matches!(method, 0..=5 | 0x1E..=0x3F) && matches!(condition, 0..=9 | 0x80..)
    });
    (rest.is_empty() && !rules.is_empty() && list.len() <= 252 && legal).then(|| rules.to_vec())
}

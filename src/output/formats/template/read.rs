//! The bytes of a record to its values.

use zeroize::Zeroizing;

use super::values::text;
use super::write::{characters, checksum, grouped};
use super::{FieldValue, Values};
use crate::bytes::{Cursor, hex_upper};
use crate::error::{ErrorKind, Place, Result};
use crate::output::reader::upper_hex;
use crate::profile::format::{Align, Charset, Content, Encoding, Extent, Field, RecordTemplate};

pub(super) fn read_record(
    cursor: &mut Cursor<'_>,
    fields: &[Field],
    template: &RecordTemplate,
) -> Result<Values> {
    let charset = template.charset;
    let mut values = Values::new();
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let mut lengths: Vec<(usize, u64)> = Vec::new();
    let mut rest: Vec<(usize, u64)> = Vec::new();
    for (field, at) in fields.iter().zip(0_usize..) {
        let place = || format!("field {}", field.name);
        let counted = lengths.iter().find(|(of, _)| *of == at).map(|(_, len)| *len);
        let bytes = take_field(cursor, field.extent, counted, charset).at_with(place)?;
        match &field.content {
            Content::Text(literal) => {
                same(bytes, &characters(literal, charset)?, "another text than the template's")
                    .at_with(place)?;
            }
            Content::Bytes(literal) => {
                same(bytes, literal, "other bytes than the template's").at_with(place)?;
            }
            Content::Value { encoding, group, .. } => {
                let value = read_value(bytes, *encoding, *group, field.extent, charset).at_with(place)?;
                values.push((field.name.clone(), value));
            }
            Content::LengthOf(of, encoding) => {
                lengths.push((*of, read_number(bytes, *encoding, charset).at_with(place)?));
            }
            Content::LengthOfRest(encoding) => {
                rest.push((at, read_number(bytes, *encoding, charset).at_with(place)?));
            }
            Content::Checksum { kind, first, last, encoding } => {
                let sum = checksum(*kind, parts.get(*first..=*last).unwrap_or_default());
                let sum = match encoding {
                    Encoding::Hex => characters(&hex_upper(&sum), charset)?,
                    _ => Zeroizing::new(sum),
                };
                same(bytes, &sum, "the checksum is wrong").at_with(place)?;
            }
        }
        parts.push(Zeroizing::new(bytes.to_vec()));
    }
    for (of, len) in lengths {
        if parts.get(of).is_none_or(|part| part.len() as u64 != len) {
            return Err(ErrorKind::Value("a length is wrong").into());
        }
    }
    for (at, len) in rest {
        let after = parts.get(at.saturating_add(1)..).unwrap_or_default();
        if after.iter().map(|p| p.len() as u64).sum::<u64>() != len {
            return Err(ErrorKind::Value("the length of the rest is wrong").into());
        }
    }
    let end = cursor.take(template.record_end.len()).at("end of the record")?;
    same(end, &template.record_end, "other bytes than the template's").at("end of the record")?;
    Ok(values)
}

fn same(found: &[u8], expected: &[u8], what: &'static str) -> Result<()> {
    if found == expected { Ok(()) } else { Err(ErrorKind::Value(what).into()) }
}

/// The bytes of a field; with [`Extent::Until`] its end among them.
fn take_field<'a>(
    cursor: &mut Cursor<'a>,
    extent: Extent,
    counted: Option<u64>,
    charset: Charset,
) -> Result<&'a [u8]> {
    match extent {
        Extent::Width(width) | Extent::Padded { width, .. } => cursor.take(width),
        Extent::Counted => {
            let len = counted.ok_or(ErrorKind::Missing("the length of the field"))?;
            cursor.take(usize::try_from(len).map_err(|_| ErrorKind::Value("a length is wrong"))?)
        }
        Extent::Until(end) => {
            let end = charset.byte(end).ok_or(ErrorKind::Internal("an end outside of the character set"))?;
            let mut ahead = cursor.clone();
            let at = ahead.rest().iter().position(|b| *b == end);
            let at = at.ok_or(ErrorKind::Missing("the end of the field"))?;
            cursor.take(at.saturating_add(1))
        }
    }
}

fn read_text(bytes: &[u8], charset: Charset) -> Result<Zeroizing<String>> {
    let mut out = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(2)));
    for byte in bytes {
        out.push(charset.char(*byte).ok_or(ErrorKind::Value("a byte outside of the character set"))?);
    }
    Ok(out)
}

fn read_value(
    bytes: &[u8],
    encoding: Encoding,
    group: u8,
    extent: Extent,
    charset: Charset,
) -> Result<FieldValue> {
    if let (Encoding::Binary, Extent::Counted) = (encoding, extent) {
        return Ok(FieldValue::Bytes(Zeroizing::new(bytes.to_vec())));
    }
    if matches!(extent, Extent::Width(_)) {
        return Ok(FieldValue::Number(read_number(bytes, encoding, charset)?));
    }
    let whole = read_text(bytes, charset)?;
    let value = match extent {
        Extent::Until(_) => {
            whole.char_indices().next_back().and_then(|(at, _)| whole.get(..at)).unwrap_or_default()
        }
        Extent::Padded { align: Align::Left, pad, .. } => whole.trim_end_matches(pad),
        Extent::Padded { align: Align::Right, pad, .. } => whole.trim_start_matches(pad),
        Extent::Width(_) | Extent::Counted => &whole,
    };
    if encoding == Encoding::Hex {
        return Ok(FieldValue::Bytes(Zeroizing::new(upper_hex(value)?)));
    }
    if group == 0 {
        return Ok(text(value));
    }
    let plain = Zeroizing::new(value.replace(' ', ""));
    if *grouped(&plain, group)? != value {
        return Err(ErrorKind::Format("grouped text").into());
    }
    Ok(text(&plain))
}

fn read_number(bytes: &[u8], encoding: Encoding, charset: Charset) -> Result<u64> {
    let wrong = || ErrorKind::Format("a number");
    if encoding == Encoding::Binary {
        return Ok(bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b)));
    }
    let text = read_text(bytes, charset)?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong().into());
    }
    text.parse().map_err(|_| wrong().into())
}

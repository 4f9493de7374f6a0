//! Values to the bytes of a record.

use zeroize::Zeroizing;

use super::{FieldValue, Values};
use crate::bytes::hex_upper;
use crate::error::{ErrorKind, Place, Result};
use crate::profile::format::{Align, Charset, Checksum, Content, Encoding, Extent, Field};

pub(super) fn encode_record(
    fields: &[Field],
    values: &Values,
    charset: Charset,
) -> Result<Zeroizing<Vec<u8>>> {
    // First what stands by itself, then lengths, which need the others, then checksums, which need lengths.
    let mut values = values.iter();
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::with_capacity(fields.len());
    for field in fields {
        let part = match &field.content {
            Content::Text(literal) => characters(literal, charset),
            Content::Bytes(bytes) => Ok(Zeroizing::new(bytes.clone())),
            Content::Value { encoding, group, .. } => match values.next() {
                Some((name, value)) if *name == field.name => {
                    encode_value(value, *encoding, *group, field.extent, charset)
                }
                _ => Err(ErrorKind::Missing("the value of the field").into()),
            },
            Content::LengthOf(..) | Content::LengthOfRest(_) | Content::Checksum { .. } => {
                let Extent::Width(width) = field.extent else {
                    return Err(ErrorKind::Internal("a computed field without a width").into());
                };
                Ok(Zeroizing::new(vec![0; width]))
            }
        };
        parts.push(part.at_with(|| format!("field {}", field.name))?);
    }
    for (field, at) in fields.iter().zip(0_usize..) {
        let number = match &field.content {
            Content::LengthOf(of, encoding) => parts.get(*of).map(|part| (part.len(), *encoding)),
            Content::LengthOfRest(encoding) => {
                let rest = parts.get(at.saturating_add(1)..).unwrap_or_default();
                Some((rest.iter().map(|p| p.len()).sum(), *encoding))
            }
            _ => None,
        };
        if let (Some((number, encoding)), Some(slot)) = (number, parts.get_mut(at)) {
            *slot = encode_number(number as u64, encoding, slot.len(), charset)
                .at_with(|| format!("field {}", field.name))?;
        }
    }
    for (field, at) in fields.iter().zip(0_usize..) {
        if let Content::Checksum { kind, first, last, encoding } = &field.content {
            let sum = checksum(*kind, parts.get(*first..=*last).unwrap_or_default());
            let sum = match encoding {
                Encoding::Hex => characters(&hex_upper(&sum), charset)?,
                _ => Zeroizing::new(sum),
            };
            if let Some(slot) = parts.get_mut(at) {
                *slot = sum;
            }
        }
    }
    let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
    for part in &parts {
        out.extend_from_slice(part);
    }
    Ok(out)
}

pub(super) fn characters(value: &str, charset: Charset) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(value.len().saturating_add(1)));
    for c in value.chars() {
        out.push(charset.byte(c).ok_or(ErrorKind::Value("a character outside of the character set"))?);
    }
    Ok(out)
}

fn encode_value(
    value: &FieldValue,
    encoding: Encoding,
    group: u8,
    extent: Extent,
    charset: Charset,
) -> Result<Zeroizing<Vec<u8>>> {
    match (value, extent) {
        (FieldValue::Number(number), Extent::Width(width)) => {
            encode_number(*number, encoding, width, charset)
        }
        (FieldValue::Text(value), _) => fit(&grouped(value.expose(), group)?, extent, charset),
        (FieldValue::Bytes(bytes), _) if encoding == Encoding::Hex => {
            fit(&Zeroizing::new(hex_upper(bytes)), extent, charset)
        }
        (FieldValue::Bytes(bytes), Extent::Counted) => Ok(bytes.clone()),
        _ => Err(ErrorKind::Internal("a value of another kind than its field").into()),
    }
}

/// A space after every `group` characters.
pub(super) fn grouped(value: &str, group: u8) -> Result<Zeroizing<String>> {
    let group = usize::from(group);
    if group == 0 {
        return Ok(Zeroizing::new(value.to_owned()));
    }
    if value.contains(' ') {
        return Err(ErrorKind::Value("grouped text has no spaces of its own").into());
    }
    let mut out = Zeroizing::new(String::with_capacity(value.len().saturating_mul(2)));
    for (c, at) in value.chars().zip(0_usize..) {
        if at > 0 && at.is_multiple_of(group) {
            out.push(' ');
        }
        out.push(c);
    }
    Ok(out)
}

fn fit(value: &str, extent: Extent, charset: Charset) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = characters(value, charset)?;
    match extent {
        Extent::Counted => {}
        Extent::Until(end) => {
            if value.contains(end) {
                return Err(ErrorKind::Value("the character that ends the field stands in the value").into());
            }
            out.extend(charset.byte(end));
        }
        Extent::Padded { width, align, pad } => {
            let found = out.len();
            let Some(missing) = width.checked_sub(found) else {
                return Err(ErrorKind::Length { expected: "the width", found, unit: "characters" }.into());
            };
            let edge = match align {
                Align::Left => value.ends_with(pad),
                Align::Right => value.starts_with(pad),
            };
            if edge {
                return Err(ErrorKind::Value(
                    "the character that fills the field stands at the value's edge",
                )
                .into());
            }
            let filler = vec![charset.byte(pad).unwrap_or_default(); missing];
            let mut filled = Zeroizing::new(Vec::with_capacity(width));
            match align {
                Align::Left => {
                    filled.extend_from_slice(&out);
                    filled.extend_from_slice(&filler);
                }
                Align::Right => {
                    filled.extend_from_slice(&filler);
                    filled.extend_from_slice(&out);
                }
            }
            return Ok(filled);
        }
        Extent::Width(_) => return Err(ErrorKind::Internal("text without an end").into()),
    }
    Ok(out)
}

fn encode_number(
    number: u64,
    encoding: Encoding,
    width: usize,
    charset: Charset,
) -> Result<Zeroizing<Vec<u8>>> {
    let too_large = ErrorKind::Value("a number that its field cannot hold");
    if encoding == Encoding::Binary {
        let bytes = number.to_be_bytes();
        let (zeros, low) =
            bytes.split_at_checked(bytes.len().saturating_sub(width)).ok_or(too_large.clone())?;
        if zeros.iter().any(|b| *b != 0) {
            return Err(too_large.into());
        }
        return Ok(Zeroizing::new(low.to_vec()));
    }
    let digits = format!("{number:0width$}");
    if digits.len() > width {
        return Err(too_large.into());
    }
    characters(&digits, charset)
}

pub(super) fn checksum(kind: Checksum, parts: &[Zeroizing<Vec<u8>>]) -> Vec<u8> {
    let bytes = parts.iter().flat_map(|p| p.iter().copied());
    match kind {
        Checksum::Lrc => vec![bytes.fold(0, |sum, b| sum ^ b)],
        Checksum::Sum8 => vec![bytes.fold(0_u8, u8::wrapping_add)],
        Checksum::Crc16 => {
            let crc = bytes.fold(0xFFFF_u16, |crc, b| {
                (0..8).fold(crc ^ (u16::from(b) << 8), |crc, _| {
                    if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
                })
            });
            crc.to_be_bytes().to_vec()
        }
        Checksum::Crc32 => {
            let crc = bytes.fold(u32::MAX, |crc, b| {
                (0..8).fold(crc ^ u32::from(b), |crc, _| {
                    if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xEDB8_8320 }
                })
            });
            (!crc).to_be_bytes().to_vec()
        }
    }
}

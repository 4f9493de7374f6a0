//! Lengths of the record: one byte, two bytes, and the BER length of the IC data.

use crate::bytes::Cursor;
use crate::error::{ErrorKind, Place, Result};

/// Appends one length byte and the value.
pub(super) fn put1(out: &mut Vec<u8>, value: &[u8], what: &'static str) -> Result<()> {
    let found = value.len();
    let len = u8::try_from(found);
    let len =
        len.map_err(|_| ErrorKind::Length { expected: "at most 255", found, unit: "bytes" }).at(what)?;
    out.push(len);
    out.extend_from_slice(value);
    Ok(())
}

/// Appends two length bytes and the value.
pub(super) fn put2(out: &mut Vec<u8>, value: &[u8], what: &'static str) -> Result<()> {
    let found = value.len();
    let len = u16::try_from(found);
    let len =
        len.map_err(|_| ErrorKind::Length { expected: "at most 65535", found, unit: "bytes" }).at(what)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// Reads one length byte and the value.
pub(super) fn take1<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<Cursor<'a>> {
    let len = cursor.u8().at(what)?;
    Ok(Cursor::new(cursor.take(usize::from(len)).at(what)?))
}

/// Reads two length bytes and the value.
pub(super) fn take2<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<Cursor<'a>> {
    let len = cursor.u16().at(what)?;
    Ok(Cursor::new(cursor.take(usize::from(len)).at(what)?))
}

/// Appends a BER length in its shortest form and the value.
pub(super) fn put_ber(out: &mut Vec<u8>, value: &[u8], what: &'static str) -> Result<()> {
    let found = value.len();
    let len = u16::try_from(found);
    let len =
        len.map_err(|_| ErrorKind::Length { expected: "at most 65535", found, unit: "bytes" }).at(what)?;
    match len.to_be_bytes() {
        [0, short @ 0..=0x7F] => out.push(short),
        [0, long] => out.extend_from_slice(&[0x81, long]),
        [high, low] => out.extend_from_slice(&[0x82, high, low]),
    }
    out.extend_from_slice(value);
    Ok(())
}

/// Reads a BER length in its shortest form and the value.
pub(super) fn take_ber<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<Cursor<'a>> {
    let longer = ErrorKind::Format("a BER length in its shortest form");
    let len = match cursor.u8().at(what)? {
        short @ 0..=0x7F => usize::from(short),
        0x81 => match cursor.u8().at(what)? {
            0..=0x7F => return Err(longer).at(what),
            long => usize::from(long),
        },
        0x82 => match cursor.u16().at(what)? {
            0..=0xFF => return Err(longer).at(what),
            long => usize::from(long),
        },
        _ => return Err(ErrorKind::Format("a BER length of at most three bytes")).at(what),
    };
    Ok(Cursor::new(cursor.take(len).at(what)?))
}

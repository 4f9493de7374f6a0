//! PIN blocks of ISO 9564-1, formats 0 to 4, both ways.
//!
//! Formats 0 to 3 are eight bytes in clear before one TDES block; format 4 is two AES operations:
//! `AES(K)[ AES(K)[PIN field] ⊕ PAN field ]`. Reading works without branches on the contents and refuses everything
//! with one error, so that an answer tells nothing about a PIN.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess};
use zeroize::Zeroizing;

use super::PinBlockFormat;
use crate::bytes::pack_digits;
use crate::card::{Pan, Pin};
use crate::crypto::aes::{self, AesKey};
use crate::crypto::rng::StreamRng;
use crate::crypto::tdes::xor;
use crate::error::{Error, ErrorKind, Result};

/// Eight bytes of a PIN block in clear.
pub type ClearBlock = Zeroizing<[u8; 8]>;

/// The PIN block of formats 0 to 3, in clear. Fill is drawn for formats 1 and 3 only.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for format 4, which is not one block under one operation: see [`iso4_pin_field`].
///
/// ```
/// use emv_dataprep::card::{Pan, Pin};
/// use emv_dataprep::crypto::rng::{Purpose, Seed};
/// use emv_dataprep::issuer::{PinBlockFormat, pin_block};
/// let mut fill = Seed::fixed([0; 32]).named_stream(b"doc", Purpose::ReturnPinFill).rng();
/// let pan = Pan::without_check("5555555551234567")?;
/// let block = pin_block::clear_block(PinBlockFormat::Iso0, &Pin::from_digits(&[1, 2, 3, 4])?, &pan, &mut fill)?;
/// assert_eq!(*block, [0x04, 0x12, 0x61, 0xAA, 0xAA, 0xED, 0xCB, 0xA9]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn clear_block(format: PinBlockFormat, pin: &Pin, pan: &Pan, fill: &mut StreamRng) -> Result<ClearBlock> {
    let mut nibbles = Zeroizing::new([0xF_u8; 14]);
    match format {
        PinBlockFormat::Iso0 | PinBlockFormat::Iso2 => {}
        PinBlockFormat::Iso1 => fill_below(16, 0, nibbles.as_mut_slice(), fill),
        PinBlockFormat::Iso3 => fill_below(6, 10, nibbles.as_mut_slice(), fill),
        PinBlockFormat::Iso4 => return Err(ErrorKind::Unsupported("format 4 as one TDES block").into()),
    }
    clear_block_with_fill(format, pin.expose(), pan.digits(), &nibbles)
}

/// As [`clear_block`], the fourteen fill nibbles given; those that the PIN covers are not used. For published vectors.
pub(crate) fn clear_block_with_fill(
    format: PinBlockFormat,
    pin: &[u8],
    pan: &[u8],
    fill: &[u8; 14],
) -> Result<ClearBlock> {
    let control = match format {
        PinBlockFormat::Iso0 => 0,
        PinBlockFormat::Iso1 => 1,
        PinBlockFormat::Iso2 => 2,
        PinBlockFormat::Iso3 => 3,
        PinBlockFormat::Iso4 => 4,
    };
    let len = u8::try_from(pin.len()).ok().filter(|l| *l <= 12);
    let len = len.ok_or(ErrorKind::Length { expected: "at most 12", found: pin.len(), unit: "digits" })?;
    let mut nibbles = Zeroizing::new([0_u8; 16]);
    let [first, second, rest @ ..] = &mut *nibbles;
    (*first, *second) = (control, len);
    *rest = *fill;
    for (slot, d) in rest.iter_mut().zip(pin) {
        *slot = *d;
    }
    let field = packed::<8>(nibbles.as_slice());
    Ok(match format {
        PinBlockFormat::Iso0 | PinBlockFormat::Iso3 => Zeroizing::new(xor(*field, *pan_field(pan))),
        _ => field,
    })
}

/// The PIN of a block of formats 0 to 3 in clear.
///
/// # Errors
/// [`ErrorKind::Crypto`], always the same one, for a wrong control field, length, digit or filler.
pub fn read_clear_block(format: PinBlockFormat, block: &[u8; 8], pan: &Pan) -> Result<Pin> {
    read_clear_block_of_digits(format, block, pan.digits())
}

/// As [`read_clear_block`], from PAN digits of any count.
pub(crate) fn read_clear_block_of_digits(format: PinBlockFormat, block: &[u8; 8], pan: &[u8]) -> Result<Pin> {
    let (control, filler, field) = match format {
        PinBlockFormat::Iso0 => (0, Filler::F, Zeroizing::new(xor(*block, *pan_field(pan)))),
        PinBlockFormat::Iso1 => (1, Filler::Any, Zeroizing::new(*block)),
        PinBlockFormat::Iso2 => (2, Filler::F, Zeroizing::new(*block)),
        PinBlockFormat::Iso3 => (3, Filler::Letters, Zeroizing::new(xor(*block, *pan_field(pan)))),
        PinBlockFormat::Iso4 => return Err(refusal()),
    };
    read_field(control, filler, &field)
}

/// The PIN field of format 4: `4 L P…P A…A` and eight random bytes.
///
/// ISO 9564-1:2017, 9.4.2.2.
#[must_use]
pub fn iso4_pin_field(pin: &Pin, random: [u8; 8]) -> Zeroizing<[u8; 16]> {
    iso4_pin_field_of_digits(pin.expose(), random).unwrap_or_default()
}

/// As [`iso4_pin_field`], from up to twelve digits.
pub(crate) fn iso4_pin_field_of_digits(pin: &[u8], random: [u8; 8]) -> Result<Zeroizing<[u8; 16]>> {
    let left = clear_block_with_fill(PinBlockFormat::Iso4, pin, &[], &[0xA; 14])?;
    let mut out = Zeroizing::new([0; 16]);
    for (slot, b) in out.iter_mut().zip(left.iter().chain(&random)) {
        *slot = *b;
    }
    Ok(out)
}

/// The PAN field of format 4: a nibble that counts the digits above twelve, the PAN, zeros.
///
/// ISO 9564-1:2017, 9.4.2.3.
#[must_use]
pub fn iso4_pan_field(pan: &Pan) -> Zeroizing<[u8; 16]> {
    iso4_pan_field_of_digits(pan.digits())
}

/// As [`iso4_pan_field`]; fewer than twelve digits are padded left with zeros.
pub(crate) fn iso4_pan_field_of_digits(pan: &[u8]) -> Zeroizing<[u8; 16]> {
    let mut nibbles = Zeroizing::new([0_u8; 32]);
    let above = u8::try_from(pan.len().saturating_sub(12)).unwrap_or(0);
    let zeros = 12_usize.saturating_sub(pan.len());
    let entering = std::iter::once(&above).chain(std::iter::repeat_n(&0, zeros)).chain(pan);
    for (slot, d) in nibbles.iter_mut().zip(entering) {
        *slot = *d;
    }
    packed(nibbles.as_slice())
}

/// A format 4 block under an AES key in hand.
#[must_use]
pub fn iso4_encrypt(key: &AesKey, pin_field: &[u8; 16], pan_field: &[u8; 16]) -> [u8; 16] {
    key.encrypt_block(aes::xor(key.encrypt_block(*pin_field), *pan_field))
}

/// The PIN field out of a format 4 block under an AES key in hand; see [`read_iso4_pin_field`].
#[must_use]
pub fn iso4_decrypt(key: &AesKey, block: &[u8; 16], pan_field: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    Zeroizing::new(key.decrypt_block(aes::xor(key.decrypt_block(*block), *pan_field)))
}

/// The PIN of a format 4 PIN field.
///
/// # Errors
/// [`ErrorKind::Crypto`], always the same one.
pub fn read_iso4_pin_field(field: &[u8; 16]) -> Result<Pin> {
    let mut left = Zeroizing::new([0; 8]);
    for (slot, b) in left.iter_mut().zip(field) {
        *slot = *b;
    }
    read_field(4, Filler::A, &left)
}

/// The one answer to every block that holds no PIN.
pub(super) fn refusal() -> Error {
    ErrorKind::Crypto("the PIN block holds no PIN of this format").into()
}

#[derive(Clone, Copy)]
enum Filler {
    Any,
    F,
    A,
    Letters,
}

impl Filler {
    fn allows(self, nibble: u8) -> Choice {
        match self {
            Self::Any => Choice::from(1),
            Self::F => nibble.ct_eq(&0xF),
            Self::A => nibble.ct_eq(&0xA),
            Self::Letters => nibble.ct_gt(&9),
        }
    }
}

/// Control nibble, length, digits and filler of one field, every nibble looked at whatever the others are.
fn read_field(control: u8, filler: Filler, field: &[u8; 8]) -> Result<Pin> {
    let nibbles = super::decimal::nibbles(field);
    let mut walk = nibbles.iter().copied();
    let found_control = walk.next().unwrap_or(0);
    let len = walk.next().unwrap_or(0);
    let mut good = found_control.ct_eq(&control) & len.ct_gt(&3) & len.ct_lt(&13);
    let mut digits = Zeroizing::new([0_u8; 12]);
    for (at, nibble) in (0_u8..).zip(walk) {
        let is_pin = at.ct_lt(&len);
        good &= Choice::conditional_select(&filler.allows(nibble), &nibble.ct_lt(&10), is_pin);
        if let Some(slot) = digits.get_mut(usize::from(at)) {
            *slot = nibble;
        }
    }
    if bool::from(good) {
        Pin::from_digits(digits.get(..usize::from(len)).unwrap_or_default()).map_err(|_| refusal())
    } else {
        Err(refusal())
    }
}

/// `0000` and the twelve rightmost PAN digits without the check digit (formats 0 and 3).
fn pan_field(pan: &[u8]) -> ClearBlock {
    let end = pan.len().saturating_sub(1);
    let kept = pan.get(end.saturating_sub(12)..end).unwrap_or_default();
    let mut nibbles = Zeroizing::new([0_u8; 16]);
    let skip = 16_usize.saturating_sub(kept.len());
    for (slot, d) in nibbles.iter_mut().skip(skip).zip(kept) {
        *slot = *d;
    }
    packed(nibbles.as_slice())
}

fn packed<const N: usize>(nibbles: &[u8]) -> Zeroizing<[u8; N]> {
    let bytes = Zeroizing::new(pack_digits(nibbles, 0));
    let mut out = Zeroizing::new([0; N]);
    for (slot, b) in out.iter_mut().zip(bytes.iter()) {
        *slot = *b;
    }
    out
}

/// Random nibbles of `count` values from `first`, without bias.
fn fill_below(count: u8, first: u8, nibbles: &mut [u8], rng: &mut StreamRng) {
    // The largest multiple of `count` that a byte holds: 252 for six, 256 (so every byte) for sixteen.
    let limit = 256_u16.saturating_sub(256_u16.checked_rem(u16::from(count)).unwrap_or(0));
    for slot in nibbles {
        let value = loop {
            let [byte] = rng.bytes::<1>();
            if u16::from(byte) < limit {
                break byte.checked_rem(count).unwrap_or(0);
            }
        };
        *slot = first.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use proptest::prelude::*;

    fn pan(text: &str) -> Pan {
        Pan::without_check(text).unwrap()
    }

    fn pin(text: &str) -> Pin {
        Pin::from_digits(&text.bytes().map(|b| b - b'0').collect::<Vec<_>>()).unwrap()
    }

    fn rng(seed: u8) -> StreamRng {
        Seed::fixed([seed; 32]).named_stream(b"fill", Purpose::ReturnPinFill).rng()
    }

    #[test]
    fn published_blocks() {
        let p = pan("5555555551234567");
        let block = |f, d: &str| hex::encode_upper(*clear_block(f, &pin(d), &p, &mut rng(0)).unwrap());
        assert_eq!(block(PinBlockFormat::Iso0, "1234567890"), "0A1261032D82CBA9");
        assert_eq!(block(PinBlockFormat::Iso2, "123456789012"), "2C123456789012FF");
    }

    #[test]
    fn the_ep2_example_of_format_4() {
        let key = AesKey::from_bytes(&hex::decode("00112233445566778899AABBCCDDEEFF").unwrap()).unwrap();
        let field = iso4_pin_field(&pin("1234"), [0xFF; 8]);
        let pan_field = iso4_pan_field(&pan("1234567890123456789"));
        assert_eq!(hex::encode_upper(*field), "441234AAAAAAAAAAFFFFFFFFFFFFFFFF");
        assert_eq!(hex::encode_upper(*pan_field), "71234567890123456789000000000000");
        let block = iso4_encrypt(&key, &field, &pan_field);
        assert_eq!(hex::encode_upper(block), "28B41FDDD29B743E93124BD8E32D921E");
        assert_eq!(read_iso4_pin_field(&iso4_decrypt(&key, &block, &pan_field)).unwrap(), pin("1234"));
    }

    #[test]
    fn published_refusals_are_all_the_same() {
        let p = pan("5555555551234567");
        for (format, block) in [
            (PinBlockFormat::Iso0, "241261AAAAEDCBA9"),
            (PinBlockFormat::Iso0, "021261AAAAEDCBA9"),
            (PinBlockFormat::Iso0, "041261AAAAEDCBAA"),
            (PinBlockFormat::Iso2, "041234FFFFFFFFFF"),
            (PinBlockFormat::Iso2, "22123456789012FF"),
            (PinBlockFormat::Iso2, "2C123456789012CF"),
        ] {
            let block: [u8; 8] = hex::decode(block).unwrap().try_into().unwrap();
            assert_eq!(read_clear_block(format, &block, &p).unwrap_err(), refusal());
        }
        assert_eq!(read_clear_block(PinBlockFormat::Iso4, &[0; 8], &p).unwrap_err(), refusal());
    }

    #[test]
    fn every_length_nibble_but_4_to_12_is_refused() {
        for len in 0..16_u8 {
            let mut block = [0x11_u8; 8];
            block[0] = 0x10 | len;
            let read = read_clear_block(PinBlockFormat::Iso1, &block, &pan("4761739001010010"));
            assert_eq!(read.is_ok(), (4..=12).contains(&len));
        }
    }

    #[test]
    fn fill_of_format_3_is_letters_and_of_format_1_anything() {
        let mut seen = [0_u32; 16];
        let mut one = [0_u32; 16];
        let mut r = rng(5);
        for _ in 0..1_000 {
            let mut n = [0; 10];
            fill_below(6, 10, &mut n, &mut r);
            n.iter().for_each(|v| seen[usize::from(*v)] += 1);
            fill_below(16, 0, &mut n, &mut r);
            n.iter().for_each(|v| one[usize::from(*v)] += 1);
        }
        assert_eq!(seen[..10], [0; 10]);
        assert!(seen[10..].iter().all(|n| (1_500..1_850).contains(n)), "{seen:?}");
        assert!(one.iter().all(|n| (500..750).contains(n)), "{one:?}");
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(digits in prop::collection::vec(0_u8..10, 4..=12), p in "[0-9]{12,19}", seed: u8, key: [u8; 16], random: [u8; 8]) {
            let (pin, pan) = (Pin::from_digits(&digits).unwrap(), pan(&p));
            for format in [PinBlockFormat::Iso0, PinBlockFormat::Iso1, PinBlockFormat::Iso2, PinBlockFormat::Iso3] {
                let block = clear_block(format, &pin, &pan, &mut rng(seed)).unwrap();
                prop_assert_eq!(&read_clear_block(format, &block, &pan).unwrap(), &pin);
            }
            let key = AesKey::from_bytes(&key).unwrap();
            let pan_field = iso4_pan_field(&pan);
            let block = iso4_encrypt(&key, &iso4_pin_field(&pin, random), &pan_field);
            prop_assert_eq!(&read_iso4_pin_field(&iso4_decrypt(&key, &block, &pan_field)).unwrap(), &pin);
        }

        #[test]
        fn any_block_is_read_or_refused_alike(block: [u8; 8], p in "[0-9]{12,19}") {
            for format in [PinBlockFormat::Iso0, PinBlockFormat::Iso1, PinBlockFormat::Iso2, PinBlockFormat::Iso3] {
                if let Err(e) = read_clear_block(format, &block, &pan(&p)) {
                    prop_assert_eq!(e, refusal());
                }
            }
        }
    }
}

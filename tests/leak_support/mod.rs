//! What is looked for where nothing secret may be: values in every form in which they could stand.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::HashMap;

/// Bytes by which a needle is found: near its end, since PANs of an issuer begin alike.
const TAIL: usize = 6;
/// Bits of the filter that most places of a haystack do not pass.
const FILTER_BITS: u32 = 23;

/// Values in every form in which they could stand, with what they are.
#[derive(Default)]
pub struct Needles {
    tails: HashMap<[u8; TAIL], Vec<u32>>,
    /// Form, kind, how it is written; and where in the form the bytes end by which it is found.
    forms: Vec<(Vec<u8>, &'static str, &'static str, usize)>,
    filter: Vec<u64>,
    skipped: Vec<&'static str>,
}

impl Needles {
    pub fn new() -> Self {
        Self { filter: vec![0; 1 << (FILTER_BITS - 6)], ..Self::default() }
    }

    /// Values of this kind are not looked for.
    pub fn skip(&mut self, kind: &'static str) {
        self.skipped.push(kind);
    }

    pub fn len(&self) -> usize {
        self.forms.len()
    }

    fn slot(tail: [u8; 4]) -> (usize, u64) {
        let mixed = u32::from_le_bytes(tail).wrapping_mul(0x9E37_79B1) >> (32 - FILTER_BITS);
        ((mixed >> 6) as usize, 1 << (mixed & 63))
    }

    /// One form of a value. Forms that are too short, or one byte again and again, say nothing.
    fn form(&mut self, kind: &'static str, how: &'static str, bytes: &[u8]) {
        if bytes.len() < TAIL || bytes.iter().all(|b| *b == bytes[0]) {
            return;
        }
        let (end, tail) = self.telling(bytes);
        let (word, bit) = Self::slot(*tail.last_chunk().unwrap());
        self.filter[word] |= bit;
        let at = u32::try_from(self.forms.len()).unwrap();
        let known = self.tails.entry(tail).or_default();
        if known.iter().all(|i| self.forms[*i as usize].0 != bytes) {
            known.push(at);
            self.forms.push((bytes.to_vec(), kind, how, end));
        }
    }

    /// The last bytes of a form that are its own: zeros and fill stand everywhere, and at the end of many forms.
    fn telling(&self, bytes: &[u8]) -> (usize, [u8; TAIL]) {
        let windows = bytes.array_windows::<TAIL>().enumerate().rev().map(|(at, w)| (at + TAIL, *w));
        let mut rare = windows.clone().filter(|(_, w)| {
            let distinct = (1..TAIL).filter(|i| !w[..*i].contains(&w[*i])).count() + 1;
            distinct >= 3 && self.tails.get(w).is_none_or(|known| known.len() < 8)
        });
        let last = windows.clone().next().unwrap();
        rare.next().unwrap_or(last)
    }

    /// Bytes: as they are, in hexadecimal, in base64 and base64url at each alignment.
    pub fn bytes(&mut self, kind: &'static str, value: &[u8]) {
        self.form(kind, "bytes", value);
        self.form(kind, "hex, upper case", hex::encode_upper(value).as_bytes());
        self.form(kind, "hex, lower case", hex::encode(value).as_bytes());
        for shift in 0..3 {
            for url in [false, true] {
                self.base64(kind, "base64", &base64_inside(value, shift, url));
            }
        }
    }

    /// Sealed files are base64 by the megabyte: what is shorter stands in them by chance.
    fn base64(&mut self, kind: &'static str, how: &'static str, text: &str) {
        if text.len() >= 9 {
            self.form(kind, how, text.as_bytes());
        }
    }

    /// A number: as [`Self::bytes`], and with its bytes turned round, as the words of a big integer stand in memory.
    pub fn number(&mut self, kind: &'static str, value: &[u8]) {
        self.bytes(kind, value);
        let turned: Vec<u8> = value.iter().rev().copied().collect();
        self.form(kind, "little-endian", &turned);
        // A part from the middle: words of other widths, and copies of a part.
        if value.len() >= 48 {
            self.form(kind, "a part", &value[16..32]);
            let turned: Vec<u8> = value[16..32].iter().rev().copied().collect();
            self.form(kind, "a part, little-endian", &turned);
        }
    }

    /// A DES or AES key: as [`Self::bytes`], and each half of 8 bytes.
    pub fn key(&mut self, kind: &'static str, value: &[u8]) {
        self.bytes(kind, value);
        if value.len() > 8 {
            value.chunks_exact(8).for_each(|half| self.bytes(kind, half));
        }
    }

    /// Decimal digits: as text, one a byte, packed, and those in hexadecimal and base64.
    pub fn digits(&mut self, kind: &'static str, text: &str) {
        self.bytes(kind, text.as_bytes());
        let digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
        self.form(kind, "a digit a byte", &digits);
        let mut padded = digits.clone();
        if padded.len() % 2 == 1 {
            padded.push(0xF);
        }
        let packed: Vec<u8> = padded.chunks(2).map(|d| d[0] << 4 | d[1]).collect();
        self.form(kind, "packed", &packed);
        self.form(kind, "packed, hex", hex::encode_upper(&packed).as_bytes());
        for shift in 0..3 {
            self.base64(kind, "packed, base64", &base64_inside(&packed, shift, false));
        }
    }

    /// Bytes as a derived Debug writes them.
    pub fn debug_list(&mut self, kind: &'static str, value: &[u8]) {
        let list: Vec<String> = value.iter().map(u8::to_string).collect();
        self.form(kind, "a list of numbers", list.join(", ").as_bytes());
    }

    /// Text: as UTF-8, in hexadecimal, in base64.
    pub fn text(&mut self, kind: &'static str, text: &str) {
        self.bytes(kind, text.as_bytes());
    }

    /// The first needle in `bytes`: where it ends, what it is and in which form.
    pub fn find(&self, bytes: &[u8]) -> Option<(usize, &'static str, &'static str)> {
        for (start, tail) in bytes.array_windows::<TAIL>().enumerate() {
            let (word, bit) = Self::slot([tail[2], tail[3], tail[4], tail[5]]);
            if self.filter[word] & bit == 0 {
                continue;
            }
            for i in self.tails.get(tail).into_iter().flatten() {
                let (form, kind, how, end) = &self.forms[*i as usize];
                let Some(from) = (start + TAIL).checked_sub(*end) else { continue };
                if bytes[from..].starts_with(form) && !self.skipped.contains(kind) {
                    return Some((from + form.len(), kind, how));
                }
            }
        }
        None
    }
}

/// The characters that `value` certainly has in base64 when `shift` bytes stand before it.
fn base64_inside(value: &[u8], shift: usize, url: bool) -> String {
    use base64ct::Encoding as _;
    let mut padded = vec![0; shift];
    padded.extend_from_slice(value);
    let whole = padded.len() / 3 * 3;
    let encode = if url { base64ct::Base64Url::encode_string } else { base64ct::Base64::encode_string };
    let text = encode(&padded[..whole]);
    // The first characters hold bits of what stands before.
    text.get([0, 2, 3][shift]..).unwrap_or_default().to_owned()
}

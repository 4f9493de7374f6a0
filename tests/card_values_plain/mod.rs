//! Plain ciphers and hash, written from the standards' tables, slow and simple: the second computation beside the
//! library's. Nothing of the library or of its cipher crates is used here.

pub(crate) mod aes;
pub(crate) mod des;
pub(crate) mod sha1;

/// A small generator of test inputs (xorshift64*): the same cases in every run.
pub(crate) struct Cases(pub(crate) u64);

impl Cases {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 8) % bound
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    pub(crate) fn digits(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

/// Hexadecimal text of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// Bytes of hexadecimal text.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Decimalization on text: decimal digits first, then letters less ten.
pub(crate) fn decimalize(text: &str, count: usize) -> String {
    let digits = text.chars().filter(char::is_ascii_digit);
    let letters = text.chars().filter(|c| !c.is_ascii_digit()).map(|c| ((c as u8 - b'A') + b'0') as char);
    digits.chain(letters).take(count).collect()
}

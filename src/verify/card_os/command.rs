//! Command APDUs as the card reads them (ISO/IEC 7816-4, 5.1), short lengths only, and status words.

use std::fmt;

use zeroize::Zeroizing;

/// Status bytes SW1 SW2 of a response (ISO/IEC 7816-4, 5.6; GPCS 11.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// 9000: done.
    pub const DONE: Self = Self(0x9000);
    /// 6300: authentication of the host failed.
    pub const AUTHENTICATION_FAILED: Self = Self(0x6300);
    /// 6700: wrong length.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// 6881: logical channel not supported.
    pub const NO_LOGICAL_CHANNEL: Self = Self(0x6881);
    /// 6982: security status not satisfied.
    pub const SECURITY: Self = Self(0x6982);
    /// 6985: conditions of use not satisfied.
    pub const CONDITIONS: Self = Self(0x6985);
    /// 6A80: incorrect values in the data field.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// 6A81: function not supported.
    pub const NO_FUNCTION: Self = Self(0x6A81);
    /// 6A82: application not found.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// 6A83: record not found.
    pub const NO_RECORD: Self = Self(0x6A83);
    /// 6A86: incorrect P1 or P2.
    pub const WRONG_P1_P2: Self = Self(0x6A86);
    /// 6A88: referenced data not found.
    pub const NO_DATA: Self = Self(0x6A88);
    /// 6D00: instruction not supported.
    pub const NO_INSTRUCTION: Self = Self(0x6D00);
    /// 6E00: class not supported.
    pub const NO_CLASS: Self = Self(0x6E00);
    /// 9484: algorithm not supported (PUT KEY).
    pub const NO_ALGORITHM: Self = Self(0x9484);
    /// 9485: invalid key check value (PUT KEY).
    pub const WRONG_KCV: Self = Self(0x9485);

    /// Whether a response with these bytes carries a response MAC: 9000, 62xx, 63xx.
    pub(super) const fn is_answered(self) -> bool {
        self.0 == 0x9000 || matches!(self.0 >> 8, 0x62 | 0x63)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// What a command comes to: response data, or the status word that refuses it.
pub(super) type Answer = Result<Vec<u8>, StatusWord>;

/// One command, taken apart.
pub(super) struct Command {
    pub(super) cla: u8,
    pub(super) ins: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    /// The data field; wiped, it may hold what a channel deciphered.
    pub(super) data: Zeroizing<Vec<u8>>,
}

impl Command {
    /// Reads a command of case 1 to 4 with short lengths.
    pub(super) fn read(apdu: &[u8]) -> Result<Self, StatusWord> {
        let (header, body) = apdu.split_first_chunk::<4>().ok_or(StatusWord::WRONG_LENGTH)?;
        let [cla, ins, p1, p2] = *header;
        let data = match body {
            [] | [_] => &[][..],
            [0, ..] => return Err(StatusWord::WRONG_LENGTH),
            [lc, rest @ ..] => match rest.split_at_checked(usize::from(*lc)) {
                Some((data, [] | [_])) => data,
                _ => return Err(StatusWord::WRONG_LENGTH),
            },
        };
        Ok(Self { cla, ins, p1, p2, data: Zeroizing::new(data.to_vec()) })
    }

    /// CLA INS P1 P2 as one number.
    pub(super) const fn header(&self) -> [u8; 4] {
        [self.cla, self.ins, self.p1, self.p2]
    }

    /// P1 P2 as one number: the tag of GET DATA.
    pub(super) const fn p1_p2(&self) -> u16 {
        u16::from_be_bytes([self.p1, self.p2])
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({}, {} bytes)", hex::encode_upper(self.header()), self.data.len())
    }
}

/// Tag, shortest length, value.
pub(super) fn tlv(tag: u32, value: &[u8]) -> Vec<u8> {
    let bytes = tag.to_be_bytes();
    let skip = bytes.iter().take(3).take_while(|b| **b == 0).count();
    let mut out = bytes.get(skip..).unwrap_or_default().to_vec();
    let len = value.len();
    let [.., high, low] = len.to_be_bytes();
    match len {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_cases() {
        let len = |apdu: &[u8]| Command::read(apdu).map(|c| c.data.len());
        assert_eq!(len(&[0, 0xA4, 4, 0]), Ok(0));
        assert_eq!(len(&[0, 0xA4, 4, 0, 0]), Ok(0));
        assert_eq!(len(&[0, 0xA4, 4, 0, 2, 1, 2]), Ok(2));
        assert_eq!(len(&[0, 0xA4, 4, 0, 2, 1, 2, 0]), Ok(2));
        for bad in [
            &[0, 0xA4, 4][..],
            &[0, 0xA4, 4, 0, 2, 1],
            &[0, 0xA4, 4, 0, 1, 1, 0, 0],
            &[0, 0, 0, 0, 0, 0, 1, 9],
        ] {
            assert_eq!(len(bad), Err(StatusWord::WRONG_LENGTH));
        }
    }

    #[test]
    fn debug_shows_no_data() {
        let command = Command::read(&[0x80, 0xE2, 0x60, 1, 3, 0xAB, 0xCD, 0xEF]).unwrap();
        assert_eq!(format!("{command:?} {:?}", StatusWord::NO_DATA), "Command(80E26001, 3 bytes) 6A88");
    }

    #[test]
    fn objects_have_the_shortest_length() {
        assert_eq!(tlv(0x84, &[1]), [0x84, 1, 1]);
        assert_eq!(tlv(0xBF0C, &[]), [0xBF, 0x0C, 0]);
        assert_eq!(tlv(0x90, &[7; 128])[..3], [0x90, 0x81, 0x80]);
        assert_eq!(tlv(0x90, &[7; 256])[..4], [0x90, 0x82, 1, 0]);
    }
}

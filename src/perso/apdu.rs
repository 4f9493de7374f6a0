//! Command and response APDUs (ISO/IEC 7816-3, 12.1; 7816-4, 5.1), short lengths.

use std::fmt;

use zeroize::Zeroizing;

use crate::bytes::{Cursor, hex_upper};
use crate::emv::Aid;
use crate::error::{ErrorKind, Result};

/// Most data bytes of a command with a short length.
pub const MAX_DATA: usize = 255;

/// A command APDU of case 1 to 4 with short lengths. Its data may hold card values: redacted in Debug, wiped when dropped.
///
/// ```
/// use emv_dataprep::perso::apdu::CommandApdu;
/// let get_data = CommandApdu::parse(&[0x80, 0xCA, 0x00, 0xCF, 0x00])?;
/// assert_eq!((get_data.le(), get_data.data().len()), (Some(0), 0));
/// assert_eq!(get_data.to_bytes(), [0x80, 0xCA, 0x00, 0xCF, 0x00]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CommandApdu {
    header: [u8; 4],
    data: Zeroizing<Vec<u8>>,
    le: Option<u8>,
}

impl CommandApdu {
    /// From `CLA INS P1 P2`, data (none: no Lc), and Le as its byte stands on the wire (00: 256).
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for more than 255 data bytes.
    pub fn new(header: [u8; 4], data: Vec<u8>, le: Option<u8>) -> Result<Self> {
        if data.len() > MAX_DATA {
            return Err(
                ErrorKind::Length { expected: "0 to 255", found: data.len(), unit: "data bytes" }.into()
            );
        }
        Ok(Self { header, data: Zeroizing::new(data), le })
    }

    /// SELECT by name, first occurrence, with Le 00. No AID: the issuer security domain.
    #[must_use]
    pub fn select(aid: Option<&Aid>) -> Self {
        let data = aid.map(|a| a.as_bytes().to_vec()).unwrap_or_default();
        Self { header: [0x00, 0xA4, 0x04, 0x00], data: Zeroizing::new(data), le: Some(0) }
    }

    /// Reads a command. `CLA INS P1 P2 00` is case 2 with Le 00.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] or [`ErrorKind::Trailing`] if lengths do not fit; [`ErrorKind::Unsupported`] for an extended
    /// length.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes);
        let header = c.array()?;
        let (data, le) = match c.remaining() {
            0 => (Vec::new(), None),
            1 => (Vec::new(), Some(c.u8()?)),
            _ => {
                let lc = c.u8()?;
                if lc == 0 {
                    return Err(ErrorKind::Unsupported("an extended length").into());
                }
                let data = c.take(usize::from(lc))?.to_vec();
                let le = if c.is_empty() { None } else { Some(c.u8()?) };
                c.finish()?;
                (data, le)
            }
        };
        Ok(Self { header, data: Zeroizing::new(data), le })
    }

    /// The bytes for the card.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len().saturating_add(6));
        out.extend_from_slice(&self.header);
        if !self.data.is_empty() {
            out.push(self.lc());
            out.extend_from_slice(&self.data);
        }
        out.extend(self.le);
        out
    }

    /// `CLA INS P1 P2`.
    #[must_use]
    pub const fn header(&self) -> [u8; 4] {
        self.header
    }

    /// Class byte.
    #[must_use]
    pub const fn cla(&self) -> u8 {
        let [cla, ..] = self.header;
        cla
    }

    /// Instruction byte.
    #[must_use]
    pub const fn ins(&self) -> u8 {
        let [_, ins, ..] = self.header;
        ins
    }

    /// The data field.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Lc as a byte; 00 for no data.
    #[must_use]
    pub fn lc(&self) -> u8 {
        u8::try_from(self.data.len()).unwrap_or(u8::MAX)
    }

    /// Le as its byte stands on the wire (00: 256).
    #[must_use]
    pub const fn le(&self) -> Option<u8> {
        self.le
    }

    /// The same command with another Le: after status word 6Cxx.
    #[must_use]
    pub fn with_le(&self, le: Option<u8>) -> Self {
        Self { header: self.header, data: self.data.clone(), le }
    }
}

impl fmt::Debug for CommandApdu {
    /// Header and length of the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandApdu({}, {} bytes)", hex_upper(&self.header), self.data.len())
    }
}

/// Status word SW1 SW2 (ISO/IEC 7816-4, 5.1.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Normal processing.
    pub const SUCCESS: Self = Self(0x9000);
    /// Referenced data, application or key not found; STORE DATA: unknown DGI.
    pub const NOT_FOUND: Self = Self(0x6A88);

    /// Whether processing was normal: 9000.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }

    /// Whether processing was completed, with or without a warning: 9000, 62xx, 63xx.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        matches!(self.0, 0x9000 | 0x6200..=0x63FF)
    }

    /// 61xx: the response waits for GET RESPONSE with this Le (00: 256 or more).
    #[must_use]
    pub const fn response_waits(self) -> Option<u8> {
        let [sw1, sw2] = self.0.to_be_bytes();
        if sw1 == 0x61 { Some(sw2) } else { None }
    }

    /// 6Cxx: the command is to be sent again with this Le.
    #[must_use]
    pub const fn exact_le(self) -> Option<u8> {
        let [sw1, sw2] = self.0.to_be_bytes();
        if sw1 == 0x6C { Some(sw2) } else { None }
    }

    /// What the standards say it means, in plain words, for the commands of personalization.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            0x9000 => "done",
            0x6100..=0x61FF => "done, more data waits",
            0x6283 => "the application or card is locked",
            0x6300 => "authentication failed",
            0x6200..=0x63FF => "warning",
            0x6400 => "execution error",
            0x6581 => "memory failure",
            0x6700 => "wrong length",
            0x6881 => "logical channel is not supported",
            0x6882 => "secure messaging is not supported",
            0x6982 => "security status is not satisfied",
            0x6983 => "authentication is blocked",
            0x6985 => "conditions of use are not satisfied",
            0x6999 => "the application could not be selected",
            0x6A80 => "wrong data",
            0x6A81 => "the function is not supported",
            0x6A82 => "the application or file is not there",
            0x6A84 => "not enough memory",
            0x6A86 => "wrong P1 or P2",
            0x6A88 => "the data or key referred to is not there",
            0x6C00..=0x6CFF => "wrong Le",
            0x6D00 => "the instruction is not supported",
            0x6E00 => "the class is not supported",
            0x6F00 => "no precise diagnosis",
            _ => "no meaning in the standards",
        }
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusWord({self})")
    }
}

/// A response APDU. Its data may hold card values: redacted in Debug, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseApdu {
    data: Zeroizing<Vec<u8>>,
    status: StatusWord,
}

impl ResponseApdu {
    /// From data and status word.
    #[must_use]
    pub fn new(data: Vec<u8>, status: StatusWord) -> Self {
        Self { data: Zeroizing::new(data), status }
    }

    /// Reads a response: data, then SW1 SW2.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] for less than two bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let cut = bytes.split_last_chunk::<2>();
        let (data, sw) = cut.ok_or(ErrorKind::Truncated { needed: 2, left: bytes.len() })?;
        Ok(Self::new(data.to_vec(), StatusWord(u16::from_be_bytes(*sw))))
    }

    /// The bytes as the card gave them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.data.to_vec();
        out.extend_from_slice(&self.status.0.to_be_bytes());
        out
    }

    /// The data field.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The status word.
    #[must_use]
    pub const fn status(&self) -> StatusWord {
        self.status
    }
}

impl fmt::Debug for ResponseApdu {
    /// Length of the data and status word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseApdu({} bytes, {})", self.data.len(), self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_cases() {
        for (hex, data, le) in [
            ("80F22002", 0, None),
            ("80CA006600", 0, Some(0)),
            ("80E2800003112233", 3, None),
            ("00A4040005A00000000300", 5, Some(0)),
        ] {
            let bytes = hex::decode(hex).unwrap();
            let apdu = CommandApdu::parse(&bytes).unwrap();
            assert_eq!((apdu.data().len(), apdu.le()), (data, le), "{hex}");
            assert_eq!(apdu.to_bytes(), bytes);
        }
        assert_eq!(CommandApdu::select(None).to_bytes(), [0x00, 0xA4, 0x04, 0x00, 0x00]);
        for hex in ["80F220", "80E2800003112233445566", "80E28000031122", "80E28000000003112233"] {
            assert!(CommandApdu::parse(&hex::decode(hex).unwrap()).is_err(), "{hex}");
        }
        assert!(CommandApdu::new([0; 4], vec![0; 256], None).is_err());
    }

    #[test]
    fn debug_shows_no_data() {
        let pan = hex::decode("4761739001010010").unwrap();
        let command = CommandApdu::new([0x80, 0xE2, 0x80, 0], pan.clone(), Some(0)).unwrap();
        assert_eq!(format!("{command:?}"), "CommandApdu(80E28000, 8 bytes)");
        let response = ResponseApdu::new(pan, StatusWord::NOT_FOUND);
        assert_eq!(format!("{response:?}"), "ResponseApdu(8 bytes, 6A88)");
    }

    #[test]
    fn status_words() {
        let read = |hex: &str| ResponseApdu::parse(&hex::decode(hex).unwrap());
        assert_eq!(read("9000").unwrap().status(), StatusWord::SUCCESS);
        assert_eq!(read("01026110").unwrap().status().response_waits(), Some(0x10));
        assert_eq!(read("6C1C").unwrap().status().exact_le(), Some(0x1C));
        assert!(StatusWord(0x6310).is_completed() && !StatusWord(0x6400).is_completed());
        assert!(read("90").is_err());
    }

    proptest! {
        #[test]
        fn commands_read_back(header: [u8; 4], data in proptest::collection::vec(any::<u8>(), 0..=255), le: Option<u8>) {
            let command = CommandApdu::new(header, data, le).unwrap();
            prop_assert_eq!(CommandApdu::parse(&command.to_bytes()).unwrap(), command);
        }
    }
}

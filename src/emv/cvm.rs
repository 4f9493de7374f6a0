use std::fmt;

use crate::bytes::Cursor;
use crate::error::{ErrorKind, Result};

/// What a terminal does when a method fails (bit 7 of the first byte of a rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Cardholder verification fails.
    Fail,
    /// The next rule is applied.
    ApplyNext,
}

/// One cardholder verification rule (EMV 4.4 Book 3, Annex C3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CvmRule {
    /// Method: bits 6 to 1 of the first byte.
    pub method: u8,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// Condition: the second byte.
    pub condition: u8,
}

impl CvmRule {
    /// Whether the card checks the PIN itself: plaintext or enciphered offline PIN, alone or with a signature.
    #[must_use]
    pub const fn is_offline_pin(self) -> bool {
        matches!(self.method, 1 | 3 | 4 | 5)
    }

    /// Whether the offline PIN reaches the card enciphered under an RSA key.
    #[must_use]
    pub const fn is_enciphered_pin(self) -> bool {
        matches!(self.method, 4 | 5)
    }

    /// The method in the standard's words.
    #[must_use]
    pub const fn method_text(self) -> &'static str {
        match self.method {
            0x00 => "fail CVM processing",
            0x01 => "plaintext PIN verified by the ICC",
            0x02 => "enciphered PIN verified online",
            0x03 => "plaintext PIN verified by the ICC and signature",
            0x04 => "enciphered PIN verified by the ICC",
            0x05 => "enciphered PIN verified by the ICC and signature",
            0x06 => "facial biometric verified offline (by the ICC)",
            0x07 => "facial biometric verified online",
            0x08 => "finger biometric verified offline (by the ICC)",
            0x09 => "finger biometric verified online",
            0x0A => "palm biometric verified offline (by the ICC)",
            0x0B => "palm biometric verified online",
            0x0C => "iris biometric verified offline (by the ICC)",
            0x0D => "iris biometric verified online",
            0x0E => "voice biometric verified offline (by the ICC)",
            0x0F => "voice biometric verified online",
            0x1E => "signature (paper)",
            0x1F => "no CVM required",
            0x10..=0x1D => "reserved for use by the standard",
            0x20..=0x2F => "reserved for use by the payment system",
            _ => "reserved for use by the issuer",
        }
    }

    /// The condition in the standard's words.
    #[must_use]
    pub const fn condition_text(self) -> &'static str {
        match self.condition {
            0x00 => "always",
            0x01 => "if unattended cash",
            0x02 => "if not unattended cash, not manual cash and not purchase with cashback",
            0x03 => "if the terminal supports the CVM",
            0x04 => "if manual cash",
            0x05 => "if purchase with cashback",
            0x06 => "if in the application currency and under amount X",
            0x07 => "if in the application currency and over amount X",
            0x08 => "if in the application currency and under amount Y",
            0x09 => "if in the application currency and over amount Y",
            0x0A..=0x7F => "condition reserved for use by the standard",
            _ => "condition reserved for use by payment systems",
        }
    }
}

impl fmt::Display for CvmRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = match self.on_failure {
            OnFailure::Fail => "else fail",
            OnFailure::ApplyNext => "else apply the next",
        };
        write!(f, "{}, {}, {then}", self.method_text(), self.condition_text())
    }
}

/// Cardholder verification method list, tag 8E: two amounts and the rules in their order (EMV 4.4 Book 3, 10.5, Annex
/// C3).
///
/// ```
/// use emv_dataprep::emv::CvmList;
/// let list: CvmList = "000000000000000042035E031F00".parse()?;
/// assert_eq!(list.rules.len(), 3);
/// assert_eq!(list.rules[0].method_text(), "enciphered PIN verified online");
/// assert!(!list.rules.iter().any(|r| r.is_offline_pin()));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CvmList {
    /// Amount X, in the minor unit of the application currency.
    pub amount_x: u32,
    /// Amount Y.
    pub amount_y: u32,
    /// The rules, first to last.
    pub rules: Vec<CvmRule>,
}

impl CvmList {
    /// Reads the value of tag 8E.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless it has 10 to 252 bytes and whole rules, [`ErrorKind::Value`] for bit 8 of a method
    /// (reserved).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < 10 || bytes.len() > 252 || !bytes.len().is_multiple_of(2) {
            return Err(ErrorKind::Length {
                expected: "10 to 252, an even number,",
                found: bytes.len(),
                unit: "bytes of a CVM list",
            }
            .into());
        }
        let mut cursor = Cursor::new(bytes);
        let amount_x = u32::from_be_bytes(cursor.array()?);
        let amount_y = u32::from_be_bytes(cursor.array()?);
        let mut rules = Vec::new();
        while !cursor.is_empty() {
            let [first, condition] = cursor.array()?;
            if first & 0x80 != 0 {
                return Err(ErrorKind::Value("bit 8 of a cardholder verification method is 0").into());
            }
            let on_failure = if first & 0x40 == 0 { OnFailure::Fail } else { OnFailure::ApplyNext };
            rules.push(CvmRule { method: first & 0x3F, on_failure, condition });
        }
        Ok(Self { amount_x, amount_y, rules })
    }

    /// The value of tag 8E.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.amount_x.to_be_bytes());
        out.extend_from_slice(&self.amount_y.to_be_bytes());
        for r in &self.rules {
            let next = if r.on_failure == OnFailure::ApplyNext { 0x40 } else { 0 };
            out.push((r.method & 0x3F) | next);
            out.push(r.condition);
        }
        out
    }

    /// Whether any rule has the card check the PIN.
    #[must_use]
    pub fn has_offline_pin(&self) -> bool {
        self.rules.iter().any(|r| r.is_offline_pin())
    }

    /// Whether any rule enciphers the PIN for the card.
    #[must_use]
    pub fn has_enciphered_pin(&self) -> bool {
        self.rules.iter().any(|r| r.is_enciphered_pin())
    }
}

impl std::str::FromStr for CvmList {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(&crate::bytes::from_hex(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_public_list_in_words() {
        // From a Mastercard test card (binaryfoo/emv-bertlv, contactless-mastercard): 5E03 1F03.
        let list: CvmList = "00000000000000005E031F03".parse().unwrap();
        let words: Vec<_> = list.rules.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "signature (paper), if the terminal supports the CVM, else apply the next",
                "no CVM required, if the terminal supports the CVM, else fail"
            ]
        );
        let offline: CvmList = "000000000000000042014403410302001F00".parse().unwrap();
        assert!(offline.has_offline_pin() && offline.has_enciphered_pin());
    }

    #[test]
    fn refusals() {
        for hex in
            ["", "0000000000000000", "00000000000000001F", "00000000000000001F0000", "00000000000000009F00"]
        {
            assert!(hex.parse::<CvmList>().is_err(), "{hex}");
        }
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(list) = CvmList::parse(&bytes) {
                prop_assert_eq!(list.encode(), bytes);
            }
        }
    }
}

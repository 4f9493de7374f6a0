use std::fmt;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::bytes::{array_from_hex, hex_upper};
use crate::crypto::hash::hmac_sha256;
use crate::error::{ErrorKind, Result};
use crate::prepare::{CardRequest, CarriedNames, SensitiveText};
use crate::secret::Secret;

/// `recordMac` of a line: what ties a finished card, its PIN mailer and its issuer return to their order.
///
/// HMAC-SHA-256 under a key that is derived from the data key of the job. It stands inside the sealed lines only: a
/// digest that everybody could compute would say whether a guessed PAN is right.
///
/// ```
/// use emv_dataprep::output::RecordMac;
/// let mac = RecordMac::from_hex(&"0A".repeat(32))?;
/// assert_eq!(mac.to_string(), "0A".repeat(32));
/// assert!(RecordMac::from_hex(&"0a".repeat(32)).is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecordMac([u8; 32]);

impl RecordMac {
    /// From 64 upper-case hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self> {
        let mac = Self(array_from_hex(text)?);
        if mac.to_string() != text {
            return Err(ErrorKind::Format("upper-case hexadecimal").into());
        }
        Ok(mac)
    }
}

impl fmt::Display for RecordMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_upper(&self.0))
    }
}

impl fmt::Debug for RecordMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordMac(***)")
    }
}

impl Serialize for RecordMac {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The MACs of the three lines of one card. Each has a label of its own, so that a mailer and a card that lie side by
/// side do not show that they belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMacs {
    /// Of the card line.
    pub card: RecordMac,
    /// Of the PIN-mailer line.
    pub mailer: RecordMac,
    /// Of the issuer-return line.
    pub issuer_return: RecordMac,
}

/// Makes the MACs of a job's records.
#[derive(Debug)]
pub struct RecordMacKey(Secret);

const KEY: &[u8] = b"emv-dataprep/record-mac/1";

impl RecordMacKey {
    /// The key of the job with this data key (32 bytes).
    #[must_use]
    pub fn of_job(data_key: &Secret) -> Self {
        Self(Secret::copy_of(Zeroizing::new(hmac_sha256(data_key, &[KEY])).as_slice()))
    }

    /// The MACs of an order's lines, from the parsed order alone: nothing that was prepared goes in.
    ///
    /// Each is over a label, the position (8 bytes), cardId, PAN, expiry (YYMM), PAN sequence number, then for the card
    /// and the return the encoded name, the printed name and its second line, for the mailer the name on the letter.
    /// Every field stands behind its length in four bytes; a name that nothing carries is empty. Trailing spaces
    /// of names do not count. The batch id is not among them: with a seed, lines do not depend on how the input was packed.
    #[must_use]
    pub fn macs(&self, request: &CardRequest, names: &CarriedNames) -> RecordMacs {
        let data = &request.data;
        let (pan, expiry) = (data.pan.to_text(), Zeroizing::new(data.expiry.yymm()));
        let psn = data.psn.unwrap_or_default().to_string();
        let position = request.position.to_be_bytes();
        let id = request.card_id.as_str().as_bytes();
        let name = |name: &'_ Option<SensitiveText>| -> Zeroizing<Vec<u8>> {
            let text = name.as_ref().map_or("", SensitiveText::expose);
            Zeroizing::new(text.trim_end_matches(' ').as_bytes().to_vec())
        };
        let [encoded, printed, second, letter] =
            [&names.encoded, &names.printed, &names.second, &names.letter].map(name);
        let who = [&position[..], id, pan.as_bytes(), expiry.as_bytes(), psn.as_bytes()];
        let mac = |label: &[u8], names: &[&[u8]]| {
            let mut parts = Vec::with_capacity(20);
            let fields = || [label].into_iter().chain(who).chain(names.iter().copied());
            let lengths: Vec<[u8; 4]> =
                fields().map(|f| u32::try_from(f.len()).unwrap_or(u32::MAX).to_be_bytes()).collect();
            for (length, field) in lengths.iter().zip(fields()) {
                parts.extend([length.as_slice(), field]);
            }
            RecordMac(hmac_sha256(&self.0, &parts))
        };
        let on_card: [&[u8]; 3] = [&encoded, &printed, &second];
        RecordMacs {
            card: mac(b"card", &on_card),
            mailer: mac(b"mailer", &[&letter]),
            issuer_return: mac(b"return", &on_card),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told() {
        let key = RecordMacKey::of_job(&Secret::copy_of(&[0x41; 32]));
        let text = format!("{:?} {key:?}", RecordMac([0x41; 32]));
        assert_eq!(text, "RecordMac(***) RecordMacKey(Secret(32 bytes))");
    }

    #[test]
    fn only_64_upper_case_digits_are_read() {
        let text = "0A".repeat(31);
        for bad in [text.clone(), format!("{text}0A0A"), format!("{text}0a"), format!("{text}0G")] {
            assert!(RecordMac::from_hex(&bad).is_err(), "{bad}");
        }
        assert!(RecordMac::from_hex(&format!("{text}0A")).is_ok());
    }
}

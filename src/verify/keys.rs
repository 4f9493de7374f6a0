//! Keys and facts that reach the witness as arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::card::CardDate;
use crate::crypto::hash::sha1;
use crate::secret::Secret;

use super::line::{CardText, TransportAlgorithm, TransportMode, optional_text, record_mac, text};

/// A certification authority public key as a terminal holds it (EMV 4.4 Book 2, 11.2.1).
#[derive(Clone, PartialEq, Eq)]
pub struct CaPublicKey {
    /// Registered application provider identifier.
    pub rid: [u8; 5],
    /// Certification authority public key index (tag 8F).
    pub index: u8,
    /// Modulus, big-endian.
    pub modulus: Vec<u8>,
    /// Exponent, big-endian.
    pub exponent: Vec<u8>,
    /// SHA-1 of RID, index, modulus and exponent, when it came with the key.
    pub checksum: Option<[u8; 20]>,
    /// Last day of the key, when it is known.
    pub expires: Option<CardDate>,
}

impl CaPublicKey {
    /// Whether the checksum that came with the key is right; a key without one is taken.
    #[must_use]
    pub fn checksum_is_right(&self) -> bool {
        let made = sha1(&[&self.rid, &[self.index], &self.modulus, &self.exponent]);
        self.checksum.is_none_or(|given| given == made)
    }
}

impl fmt::Debug for CaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaPublicKey({} {:02X})", hex::encode_upper(self.rid), self.index)
    }
}

/// Keys of an issuer that a check may use. A check whose key is absent is not applicable.
///
/// ```
/// use emv_dataprep::secret::Secret;
/// use emv_dataprep::verify::Keys;
/// let mut keys = Keys::default();
/// keys.add("imk-ac", 0x01, Secret::copy_of(&[0x11; 16]));
/// assert_eq!(format!("{keys:?}"), "Keys([\"imk-ac 01\"], 0 CA keys)");
/// ```
#[derive(Default)]
pub struct Keys {
    symmetric: BTreeMap<(String, u8), Secret>,
    pvki: BTreeMap<u8, u8>,
    ca: Vec<CaPublicKey>,
    job: Option<Secret>,
}

impl Keys {
    /// Says the data key of the job, under whose MAC key the records stand.
    pub fn set_job(&mut self, data_key: Secret) {
        self.job = Some(data_key);
    }

    pub(super) const fn job(&self) -> Option<&Secret> {
        self.job.as_ref()
    }

    /// Adds a symmetric key under its use in `keys.toml` (`imk-ac`, `cvk`, `pvk`, `pin`, `mailer`, `transport`) and
    /// its index. A `cvk` that serves one value only has the use `cvk:cvv1`, `cvk:icvv` or `cvk:cvv2`.
    pub fn add(&mut self, usage: &str, index: u8, key: Secret) {
        self.symmetric.insert((usage.to_owned(), index), key);
    }

    /// Says the PIN verification key index digit (PVKI) of the `pvk` key at `index`.
    pub fn set_pvki(&mut self, index: u8, pvki: u8) {
        self.pvki.insert(index, pvki);
    }

    /// Adds a certification authority public key.
    pub fn add_ca(&mut self, key: CaPublicKey) {
        self.ca.push(key);
    }

    pub(super) fn get(&self, usage: &str, index: u8) -> Option<&Secret> {
        self.symmetric.get(&(usage.to_owned(), index))
    }

    pub(super) fn pvki_of(&self, index: u8) -> Option<u8> {
        self.pvki.get(&index).copied()
    }

    /// The keys of a use at the index that is known, or at every index.
    pub(super) fn candidates(&self, usage: &str, index: Option<u8>) -> Vec<(u8, &Secret)> {
        let all =
            self.symmetric.iter().filter(|((name, at), _)| name == usage && index.is_none_or(|i| i == *at));
        all.map(|((_, at), key)| (*at, key)).collect()
    }

    pub(super) fn has_ca(&self) -> bool {
        !self.ca.is_empty()
    }

    pub(super) fn ca_keys(&self, rid: &[u8], index: u8) -> Vec<&CaPublicKey> {
        self.ca.iter().filter(|k| k.rid == rid && k.index == index).collect()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            self.symmetric.keys().map(|(name, index)| format!("{name} {index:02X}")).collect();
        write!(f, "Keys({names:?}, {} CA keys)", self.ca.len())
    }
}

/// How an ICC master key comes from an issuer master key (EMV 4.4 Book 2, A1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// A1.4.1: TDES.
    OptionA,
    /// A1.4.2: TDES, hashed for PANs of more than 16 digits.
    OptionB,
    /// A1.4.3: AES.
    OptionC,
}

/// Order of year and month where a CVV2 is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryOrder {
    /// Year, month.
    Yymm,
    /// Month, year.
    Mmyy,
}

/// A value that the order gave and that therefore cannot be derived again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    /// `cvv1` of the card data.
    Cvv1,
    /// `cvv2` of the card data.
    Cvv2,
    /// `pvv` of the card data.
    Pvv,
    /// A whole track of `trackData`.
    Track,
    /// `encodedName` of the card data.
    EncodedName,
}

/// A PIN block that stands outside the card: in the issuer's return or in a PIN mailer.
pub struct OuterPinBlock {
    /// ISO 9564-1 format, 0 to 4.
    pub format: u8,
    /// Use of the key (`pin`, `mailer`).
    pub usage: &'static str,
    /// Index of the key; every loaded one is tried when it is not known.
    pub key_index: Option<u8>,
    /// The enciphered block.
    pub block: Vec<u8>,
}

impl OuterPinBlock {
    /// Reads a PIN-mailer line; gives its reference and the block.
    ///
    /// # Errors
    /// What is missing or has another form.
    pub fn read_mailer(line: &str) -> Result<(String, Self), &'static str> {
        let json = object(line)?;
        let format = json.get("pinBlockFormat").and_then(Value::as_u64);
        let block = Self {
            format: format.and_then(|f| u8::try_from(f).ok()).ok_or("pinBlockFormat is not a number")?,
            usage: "mailer",
            key_index: Some(index(text(&json, "keyIndex")?)?),
            block: bytes(text(&json, "pinBlock")?)?,
        };
        Ok((text(&json, "reference")?.to_owned(), block))
    }
}

impl fmt::Debug for OuterPinBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OuterPinBlock(format {}, {})", self.format, self.usage)
    }
}

/// What a PIN mailer says beside its PIN.
#[derive(Default)]
pub struct Letter {
    /// The name on it.
    pub name: Option<CardText>,
    /// What ties it to its order.
    pub record_mac: Option<[u8; 32]>,
}

impl Letter {
    /// Reads a PIN-mailer line.
    ///
    /// # Errors
    /// What has another form.
    pub fn read(line: &Map<String, Value>) -> Result<Self, &'static str> {
        Ok(Self { name: optional_text(line, "name")?, record_mac: record_mac(line)? })
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter(***)")
    }
}

/// What the host gets back for one card.
#[derive(Default)]
pub struct IssuerReturn {
    /// PAN sequence number, two digits.
    pub psn: Option<String>,
    /// PVV, four digits.
    pub pvv: Option<CardText>,
    /// PVKI, one digit.
    pub pvki: Option<u8>,
    /// PIN block for the host.
    pub pin_block: Option<OuterPinBlock>,
    /// Serial numbers of the card's ICC certificates, three bytes each; empty when they are not named.
    pub serials: Vec<[u8; 3]>,
    /// Reference of the card's PIN mailer.
    pub mailer_reference: Option<String>,
    /// What ties the record to its order.
    pub record_mac: Option<[u8; 32]>,
}

impl IssuerReturn {
    /// Reads a line of the issuer's return; gives the position of the order and the record.
    ///
    /// # Errors
    /// What is missing or has another form.
    pub fn read(line: &str) -> Result<(u64, Self), &'static str> {
        let json = object(line)?;
        let position = json.get("position").and_then(Value::as_u64).ok_or("position is not a number")?;
        let pvki = match json.get("pvki") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let digit = value.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| *n < 10);
                Some(digit.ok_or("pvki is not a digit")?)
            }
        };
        let pin_block = match json.get("pinBlock") {
            None | Some(Value::Null) => None,
            Some(Value::Object(block)) => {
                let format = block.get("format").and_then(Value::as_u64);
                Some(OuterPinBlock {
                    format: format.and_then(|f| u8::try_from(f).ok()).ok_or("format is not a number")?,
                    usage: "pin",
                    key_index: Some(index(text(block, "keyIndex")?)?),
                    block: bytes(text(block, "value")?)?,
                })
            }
            Some(_) => return Err("pinBlock is not an object"),
        };
        let mut serials = Vec::new();
        for serial in json.get("certificateSerials").and_then(Value::as_array).into_iter().flatten() {
            let serial = bytes(serial.as_str().ok_or("a serial is not text")?)?;
            serials.push(serial.try_into().map_err(|_| "a serial is not three bytes")?);
        }
        Ok((
            position,
            Self {
                psn: optional_text(&json, "psn")?.map(|t| t.to_string()),
                pvv: optional_text(&json, "pvv")?,
                pvki,
                pin_block,
                serials,
                mailer_reference: optional_text(&json, "mailerReference")?.map(|t| t.to_string()),
                record_mac: record_mac(&json)?,
            },
        ))
    }
}

fn object(line: &str) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_str(line) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err("the line is not a JSON object"),
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    hex::decode(text).map_err(|_| "a value is not hexadecimal")
}

fn index(text: &str) -> Result<u8, &'static str> {
    match bytes(text)?.as_slice() {
        [index] => Ok(*index),
        _ => Err("keyIndex is not two hexadecimal digits"),
    }
}

impl fmt::Debug for IssuerReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerReturn({} serials)", self.serials.len())
    }
}

/// What the caller knows of a card beside its line. Everything is optional: what is not known is searched among the
/// keys that are loaded where a search proves as much, and left out otherwise.
#[derive(Default)]
pub struct CardContext {
    /// The day of the batch, for expiry checks.
    pub today: Option<CardDate>,
    /// `derivationKeyIndex` of the order.
    pub derivation_index: Option<u8>,
    /// How ICC master keys are derived; all options are tried when it is not known.
    pub derivation: Option<Derivation>,
    /// Which issuer master keys (their uses) stand in which DGI, in order. Empty: `8000` = `imk-ac`, `imk-smi`, `imk-smc`.
    pub card_keys: BTreeMap<u16, Vec<String>>,
    /// `cvKeyIndex` of the order.
    pub cvk_index: Option<u8>,
    /// `pvKeyIndex` of the order.
    pub pvk_index: Option<u8>,
    /// Expiry order of the CVV2; both are tried when it is not known.
    pub cvv2_order: Option<ExpiryOrder>,
    /// Service code of the product, three digits.
    pub service_code: Option<String>,
    /// Discretionary data of track 1 as the product writes it (`000000|cvv|000000`; tokens `cvv`, `pvv`, `pvki`).
    pub track1_pattern: Option<String>,
    /// Discretionary data of track 2.
    pub track2_pattern: Option<String>,
    /// Discretionary data of the chip's track 2 equivalent (tag 57); `cvv` is the iCVV there.
    pub chip_track2_pattern: Option<String>,
    /// Values that the order gave.
    pub given: BTreeSet<Given>,
    /// The host's record of this card.
    pub issuer_return: Option<IssuerReturn>,
    /// The PIN mailer's block.
    pub mailer: Option<OuterPinBlock>,
    /// The rest of the PIN mailer.
    pub letter: Option<Letter>,
    /// Whether the return at this card's position names another card.
    pub return_of_another: bool,
    /// The transport key itself, when it is a per-block key that the caller has unwrapped.
    pub transport_key: Option<Secret>,
}

impl fmt::Debug for CardContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardContext").field("today", &self.today).finish_non_exhaustive()
    }
}

/// A transport key that is ready to decipher.
pub(super) struct Transport<'a> {
    pub(super) key: &'a Secret,
    pub(super) algorithm: TransportAlgorithm,
    /// What the card line says of it.
    pub(super) mode: Option<TransportMode>,
}

impl Transport<'_> {
    /// The modes to try.
    pub(super) fn modes(&self) -> impl Iterator<Item = TransportMode> + use<> {
        let said = self.mode;
        [TransportMode::Ecb, TransportMode::Cbc].into_iter().filter(move |m| said.is_none_or(|s| s == *m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_told() {
        let mut keys = Keys::default();
        keys.add("pvk", 2, Secret::copy_of(b"SECRETSECRETSECR"));
        let block = OuterPinBlock { format: 0, usage: "pin", key_index: None, block: vec![0xAB; 8] };
        let issuer_return = IssuerReturn {
            pvv: Some(CardText::new("1234".into())),
            pin_block: Some(block),
            ..Default::default()
        };
        let context = CardContext { issuer_return: Some(issuer_return), ..Default::default() };
        let text = format!("{keys:?} {context:?} {:?} {:?}", context.issuer_return, context.mailer);
        for secret in ["SECRET", "1234", "ABAB", "171"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn lines_of_return_and_mailer() {
        let line = r#"{"position":3,"cardId":"c","psn":"01","pvki":1,"pvv":"1234","certificateSerials":["0000A1"],
            "pinBlock":{"format":0,"keyIndex":"0A","value":"0123456789ABCDEF"},"mailerReference":"m-3"}"#;
        let (position, read) = IssuerReturn::read(line).unwrap();
        assert_eq!((position, read.pvki, read.serials.as_slice()), (3, Some(1), &[[0, 0, 0xA1]][..]));
        assert_eq!(read.pin_block.as_ref().unwrap().key_index, Some(0x0A));
        assert!(IssuerReturn::read(&line.replace("0000A1", "00A1")).is_err());
        assert!(IssuerReturn::read(&line.replace("\"pvki\":1", "\"pvki\":10")).is_err());
        let line = r#"{"reference":"m-3","pinBlock":"0123456789ABCDEF","pinBlockFormat":1,"keyIndex":"06","keyKcv":"000000"}"#;
        let (reference, block) = OuterPinBlock::read_mailer(line).unwrap();
        assert_eq!((reference.as_str(), block.format, block.block.len()), ("m-3", 1, 8));
        assert!(OuterPinBlock::read_mailer("[]").is_err());
    }

    #[test]
    fn the_checksum_covers_every_part_of_a_ca_key() {
        // The checksum covers RID, index, modulus and exponent: each changes it.
        let key = |f: fn(&mut CaPublicKey)| {
            let mut key = CaPublicKey {
                rid: [0xA0, 0, 0, 0, 3],
                index: 1,
                modulus: vec![0xC7; 128],
                exponent: vec![3],
                checksum: None,
                expires: None,
            };
            key.checksum = Some(sha1(&[&key.rid, &[1], &[0xC7; 128], &[3]]));
            f(&mut key);
            key.checksum_is_right()
        };
        assert!(key(|_| ()));
        assert!(!key(|k| k.rid[4] = 4));
        assert!(!key(|k| k.index = 2));
        assert!(!key(|k| k.modulus[9] ^= 1));
        assert!(!key(|k| k.exponent = vec![1, 0, 1]));
    }
}

//! One prepared card as its destination reads it: a JSON line of design form `emv-dataprep/card/1`.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::card::CardDate;

/// Where an application is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// ISO/IEC 7816 contacts.
    Contact,
    /// ISO/IEC 14443.
    Contactless,
}

/// How the value of a DGI stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// In clear.
    None,
    /// Under the transport key.
    Transport,
}

/// Algorithm of a transport key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportAlgorithm {
    /// TDES with a key of this many bytes (16 or 24).
    Tdes(usize),
    /// AES with a key of this many bytes (16, 24 or 32).
    Aes(usize),
}

impl TransportAlgorithm {
    /// Bytes of a block.
    #[must_use]
    pub const fn block(self) -> usize {
        match self {
            Self::Tdes(_) => 8,
            Self::Aes(_) => 16,
        }
    }

    /// Bytes of a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Tdes(n) | Self::Aes(n) => n,
        }
    }
}

/// How a value stands under a transport key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportMode {
    /// Each block by itself.
    Ecb,
    /// Chained, initial value zero.
    Cbc,
}

/// `transportKey` of a card line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportKeyName {
    /// Index of the static key, or of the key that wraps a per-block key.
    pub index: u8,
    /// Key check value, 3 to 16 bytes.
    pub kcv: Vec<u8>,
    /// Algorithm and length.
    pub algorithm: TransportAlgorithm,
    /// How it enciphers; a line without it may mean either.
    pub mode: Option<TransportMode>,
    /// X9.143 block of a per-block key.
    pub wrapped: Option<String>,
}

/// A data grouping (EMV CPS, 3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Dgi {
    /// Its two-byte name.
    pub tag: u16,
    /// Its value, or the cryptogram of it.
    pub value: Zeroizing<Vec<u8>>,
    /// Which of both.
    pub protection: Protection,
}

impl fmt::Debug for Dgi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dgi({:04X}, {} bytes, {:?})", self.tag, self.value.len(), self.protection)
    }
}

/// One step of a personalization script.
#[derive(Clone, PartialEq, Eq)]
pub enum ScriptStep {
    /// A command as it is sent.
    Apdu(Zeroizing<Vec<u8>>),
    /// DGIs that the personalization device enciphers again, then sends by STORE DATA.
    StoreData {
        /// First P1.
        p1: u8,
        /// First P2.
        p2: u8,
        /// The DGIs, in order.
        dgis: Vec<u16>,
    },
}

impl fmt::Debug for ScriptStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apdu(bytes) => write!(f, "Apdu({} bytes)", bytes.len()),
            Self::StoreData { p1, p2, dgis } => {
                write!(f, "StoreData({p1:02X}, {p2:02X}, {} DGIs)", dgis.len())
            }
        }
    }
}

/// One application of the chip. PSE and PPSE are applications.
#[derive(Clone, PartialEq, Eq)]
pub struct Application {
    /// Application identifier (or the name of the PSE or PPSE).
    pub aid: Vec<u8>,
    /// Where it is reached.
    pub interfaces: Vec<Interface>,
    /// Its data groupings, in the order of personalization.
    pub dgis: Vec<Dgi>,
    /// Its script, if one was asked for.
    pub script: Option<Vec<ScriptStep>>,
}

impl Application {
    /// The DGI of this name.
    #[must_use]
    pub fn dgi(&self, tag: u16) -> Option<&Dgi> {
        self.dgis.iter().find(|d| d.tag == tag)
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Application({}, {} DGIs)", hex::encode_upper(&self.aid), self.dgis.len())
    }
}

/// Text of a card that people must not read: wiped when dropped, redacted.
pub type CardText = Zeroizing<String>;

/// Tracks of the stripe, without sentinels and LRC.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Magstripe {
    /// Track 1 (format B), from the format code on.
    pub track1: Option<CardText>,
    /// Track 2, `=` as the separator.
    pub track2: Option<CardText>,
    /// Track 3.
    pub track3: Option<CardText>,
}

impl fmt::Debug for Magstripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Magstripe(***)")
    }
}

/// What is printed or embossed, as far as checks know it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Print {
    /// PAN, with or without spaces.
    pub pan: Option<CardText>,
    /// Cardholder name.
    pub name: Option<CardText>,
    /// Its second line.
    pub second_name: Option<CardText>,
    /// Expiry: MM/YY, MM/YYYY, MMYY or YYMM.
    pub expiry: Option<CardText>,
    /// CVV2.
    pub cvv2: Option<CardText>,
}

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Print(***)")
    }
}

/// One prepared card.
#[derive(Clone, PartialEq, Eq)]
pub struct CardLine {
    /// 1-based position of the order in its batch.
    pub position: u64,
    /// D1's card id.
    pub card_id: String,
    /// The issuer's correlation key.
    pub issuer_request_id: Option<String>,
    /// First six and last four digits of the PAN.
    pub masked_pan: String,
    /// THALES, CENTRAL or INSTANT.
    pub channel: String,
    /// Id of the destination.
    pub destination: String,
    /// Card product.
    pub product: String,
    /// Chip profile.
    pub profile: String,
    /// The last day on which it may be personalized; absent in lines of before that member.
    pub not_after: Option<CardDate>,
    /// The key that the secret DGIs are under.
    pub transport_key: Option<TransportKeyName>,
    /// The chip's applications.
    pub applications: Vec<Application>,
    /// The stripe.
    pub magstripe: Magstripe,
    /// The print.
    pub print: Print,
    /// The name on the card carrier.
    pub carrier_name: Option<CardText>,
    /// What ties the line to its order; absent when the job has no data key.
    pub record_mac: Option<[u8; 32]>,
}

impl fmt::Debug for CardLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardLine")
            .field("position", &self.position)
            .field("card_id", &self.card_id)
            .field("applications", &self.applications)
            .finish_non_exhaustive()
    }
}

/// The `format` member of a card line.
pub const FORMAT: &str = "emv-dataprep/card/1";

type Read<T> = Result<T, &'static str>;

impl CardLine {
    /// Reads one line. Unknown members are tolerated.
    ///
    /// # Errors
    /// What is missing or has another form, as the reason of check `form`.
    pub fn read(line: &str) -> Result<Self, &'static str> {
        let mut json: Value = serde_json::from_str(line).map_err(|_| "the line is not JSON")?;
        let card = json.as_object().ok_or("the line is not an object").and_then(read_card);
        wipe(&mut json);
        card
    }
}

/// Wipes every text of a JSON value.
pub(super) fn wipe(json: &mut Value) {
    match json {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn read_card(json: &Map<String, Value>) -> Read<CardLine> {
    if text(json, "format")? != FORMAT {
        return Err("format is not emv-dataprep/card/1");
    }
    let position = json.get("position").and_then(Value::as_u64).filter(|n| *n > 0);
    let channel = text(json, "channel")?;
    if !["THALES", "CENTRAL", "INSTANT"].contains(&channel) {
        return Err("channel is not THALES, CENTRAL or INSTANT");
    }
    let magstripe = member(json, "magstripe").and_then(optional_object)?;
    let print = member(json, "print").and_then(optional_object)?;
    let transport = member(json, "transportKey").and_then(optional_object)?;
    let chip = member(json, "chip")?.as_object().ok_or("chip is not an object")?;
    let mut applications = Vec::new();
    for item in array(chip, "applications")? {
        applications.push(read_application(item.as_object().ok_or("an application is not an object")?)?);
    }
    for required in ["carrier", "packaging", "shipment"] {
        member(json, required)?;
    }
    Ok(CardLine {
        position: position.ok_or("position is not a count from 1")?,
        card_id: name(json, "cardId")?,
        issuer_request_id: optional_text(json, "issuerRequestId")?.map(|t| t.to_string()),
        masked_pan: text(json, "maskedPan")?.to_owned(),
        channel: channel.to_owned(),
        destination: name(json, "destination")?,
        product: name(json, "product")?,
        profile: name(json, "profile")?,
        not_after: match optional_text(json, "notAfter")? {
            None => None,
            Some(day) => Some(CardDate::from_iso(&day).map_err(|_| "notAfter is not a day")?),
        },
        transport_key: transport.map(read_transport).transpose()?,
        applications,
        magstripe: match magstripe {
            None => Magstripe::default(),
            Some(m) => Magstripe {
                track1: optional_text(m, "track1")?,
                track2: optional_text(m, "track2")?,
                track3: optional_text(m, "track3")?,
            },
        },
        print: match print {
            None => Print::default(),
            Some(p) => Print {
                pan: optional_text(p, "pan")?,
                name: optional_text(p, "name")?,
                second_name: optional_text(p, "secondName")?,
                expiry: optional_text(p, "expiry")?,
                cvv2: optional_text(p, "cvv2")?,
            },
        },
        carrier_name: match member(json, "carrier").and_then(optional_object)? {
            None => None,
            Some(carrier) => optional_text(carrier, "name")?,
        },
        record_mac: record_mac(json)?,
    })
}

/// The member `recordMac` of a card, a mailer or a return.
pub(super) fn record_mac(json: &Map<String, Value>) -> Read<Option<[u8; 32]>> {
    let Some(text) = optional_text(json, "recordMac")? else { return Ok(None) };
    let bytes = upper_hex(&text)?;
    bytes.as_slice().try_into().map(Some).map_err(|_| "recordMac is not 32 bytes")
}

fn read_transport(json: &Map<String, Value>) -> Read<TransportKeyName> {
    let algorithm = match text(json, "algorithm")? {
        "TDES-2KEY" => TransportAlgorithm::Tdes(16),
        "TDES-3KEY" => TransportAlgorithm::Tdes(24),
        "AES-128" => TransportAlgorithm::Aes(16),
        "AES-192" => TransportAlgorithm::Aes(24),
        "AES-256" => TransportAlgorithm::Aes(32),
        _ => return Err("transportKey.algorithm is not known"),
    };
    let mode = match optional_text(json, "mode")?.as_deref().map(String::as_str) {
        None => None,
        Some("ECB") => Some(TransportMode::Ecb),
        Some("CBC") => Some(TransportMode::Cbc),
        Some(_) => return Err("transportKey.mode is not known"),
    };
    let kcv = upper_hex(text(json, "kcv")?)?;
    match (upper_hex(text(json, "index")?)?.as_slice(), kcv.len()) {
        ([index], 3..=16) => Ok(TransportKeyName {
            index: *index,
            kcv: kcv.to_vec(),
            algorithm,
            mode,
            wrapped: optional_text(json, "wrapped")?.map(|t| t.to_string()),
        }),
        _ => Err("transportKey.index or kcv has another length"),
    }
}

fn read_application(json: &Map<String, Value>) -> Read<Application> {
    let aid = upper_hex(text(json, "aid")?)?.to_vec();
    if !(5..=16).contains(&aid.len()) {
        return Err("an aid is not 5 to 16 bytes");
    }
    let mut interfaces = Vec::new();
    for item in array(json, "interfaces")? {
        let interface = match item.as_str() {
            Some("contact") => Interface::Contact,
            Some("contactless") => Interface::Contactless,
            _ => return Err("an interface is not contact or contactless"),
        };
        if interfaces.contains(&interface) {
            return Err("an interface stands twice");
        }
        interfaces.push(interface);
    }
    if interfaces.is_empty() {
        return Err("an application has no interface");
    }
    let mut dgis = Vec::new();
    for item in array(json, "dgis")? {
        let item = item.as_object().ok_or("a DGI is not an object")?;
        dgis.push(Dgi {
            tag: dgi_tag(text(item, "dgi")?)?,
            value: upper_hex(text(item, "value")?)?,
            protection: match text(item, "protection")? {
                "none" => Protection::None,
                "transport" => Protection::Transport,
                _ => return Err("the protection of a DGI is not none or transport"),
            },
        });
    }
    if dgis.is_empty() {
        return Err("an application has no DGI");
    }
    let script = match json.get("script") {
        None | Some(Value::Null) => None,
        Some(Value::Array(steps)) => Some(steps.iter().map(read_step).collect::<Read<Vec<_>>>()?),
        Some(_) => return Err("a script is not an array"),
    };
    Ok(Application { aid, interfaces, dgis, script })
}

fn read_step(json: &Value) -> Read<ScriptStep> {
    let step = json.as_object().ok_or("a script step is not an object")?;
    match (step.get("apdu"), step.get("storeData")) {
        (Some(Value::String(apdu)), None) => Ok(ScriptStep::Apdu(upper_hex(apdu)?)),
        (None, Some(Value::Object(store))) => {
            if step.get("recipher") != Some(&Value::Bool(true)) {
                return Err("storeData without recipher true");
            }
            let mut dgis = Vec::new();
            for tag in array(store, "dgis")? {
                dgis.push(dgi_tag(tag.as_str().ok_or("a DGI name is not text")?)?);
            }
            Ok(ScriptStep::StoreData { p1: byte(store, "p1")?, p2: byte(store, "p2")?, dgis })
        }
        _ => Err("a script step is neither apdu nor storeData"),
    }
}

/// A byte, as two hexadecimal digits or as a number.
fn byte(json: &Map<String, Value>, key: &'static str) -> Read<u8> {
    let value = match json.get(key) {
        Some(Value::String(text)) => match upper_hex(text)?.as_slice() {
            [b] => Some(*b),
            _ => None,
        },
        Some(Value::Number(n)) => n.as_u64().and_then(|n| u8::try_from(n).ok()),
        _ => None,
    };
    value.ok_or("p1 or p2 is not a byte")
}

fn dgi_tag(text: &str) -> Read<u16> {
    match upper_hex(text)?.as_slice() {
        [high, low] => Ok(u16::from_be_bytes([*high, *low])),
        _ => Err("a DGI name is not four hexadecimal digits"),
    }
}

fn upper_hex(text: &str) -> Read<Zeroizing<Vec<u8>>> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err("hexadecimal is not in upper case");
    }
    hex::decode(text).map(Zeroizing::new).map_err(|_| "a value is not hexadecimal")
}

fn member<'a>(json: &'a Map<String, Value>, key: &'static str) -> Read<&'a Value> {
    json.get(key).ok_or("a required member is missing")
}

fn optional_object(value: &Value) -> Read<Option<&Map<String, Value>>> {
    match value {
        Value::Null => Ok(None),
        Value::Object(members) => Ok(Some(members)),
        _ => Err("a member is not an object"),
    }
}

fn array<'a>(json: &'a Map<String, Value>, key: &'static str) -> Read<&'a Vec<Value>> {
    member(json, key)?.as_array().ok_or("a member is not an array")
}

pub(super) fn text<'a>(json: &'a Map<String, Value>, key: &'static str) -> Read<&'a str> {
    member(json, key)?.as_str().ok_or("a member is not text")
}

fn name(json: &Map<String, Value>, key: &'static str) -> Read<String> {
    let text = text(json, key)?;
    if text.is_empty() { Err("a required member is empty") } else { Ok(text.to_owned()) }
}

pub(super) fn optional_text(json: &Map<String, Value>, key: &'static str) -> Read<Option<CardText>> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Zeroizing::new(text.clone()))),
        Some(_) => Err("a member is not text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"format":"emv-dataprep/card/1","position":1,"cardId":"c-1","issuerRequestId":null,
        "maskedPan":"476173******0010","channel":"CENTRAL","destination":"PC1","product":"p","profile":"q",
        "transportKey":{"index":"01","kcv":"08D7B4","algorithm":"TDES-2KEY"},"future":1,
        "chip":{"applications":[{"aid":"A0000000031010","interfaces":["contact"],
          "dgis":[{"dgi":"8010","value":"0123456789ABCDEF","protection":"transport"}],
          "script":[{"apdu":"00A4040000"},{"storeData":{"p1":"E0","p2":"00","dgis":["8010"]},"recipher":true}]}]},
        "magstripe":{"track1":null,"track2":"4761739001010010=29062010000","track3":null},
        "print":{"pan":"4761739001010010"},"carrier":null,"packaging":null,"shipment":null}"#;

    #[test]
    fn a_small_card_is_read_and_tells_nothing() {
        let card = CardLine::read(SMALL).unwrap();
        let text = format!("{card:?}");
        assert!(text.contains("Dgi(8010, 8 bytes, Transport)") || text.contains("1 DGIs"), "{text}");
        for secret in ["4761739001010010", "0123456789ABCDEF", "2906"] {
            assert!(!text.contains(secret));
        }
        let app = &card.applications[0];
        assert_eq!(format!("{:?}", app.dgis), "[Dgi(8010, 8 bytes, Transport)]");
        assert_eq!(format!("{:?}", app.script), "Some([Apdu(5 bytes), StoreData(E0, 00, 1 DGIs)])");
        assert_eq!(format!("{:?}{:?}", card.magstripe, card.print), "Magstripe(***)Print(***)");
    }

    #[test]
    fn each_required_member_is_missed() {
        let whole: Value = serde_json::from_str(SMALL).unwrap();
        for key in whole.as_object().unwrap().keys() {
            if key == "future" || key == "issuerRequestId" {
                continue;
            }
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(key);
            assert!(CardLine::read(&less.to_string()).is_err(), "{key}");
        }
    }

    #[test]
    fn wrong_forms_are_refused() {
        for (from, to) in [
            ("card/1", "card/2"),
            ("\"position\":1", "\"notAfter\":\"2027-02-30\",\"position\":1"),
            ("\"position\":1", "\"position\":0"),
            ("ABCDEF", "abcdef"),
            ("\"8010\",\"value\"", "\"80100\",\"value\""),
            ("[\"contact\"]", "[\"contact\",\"contact\"]"),
            ("\"recipher\":true", "\"recipher\":false"),
            ("TDES-2KEY", "DES"),
            ("CENTRAL", "central"),
            ("08D7B4", "08D7"),
        ] {
            assert!(SMALL.contains(from));
            assert!(CardLine::read(&SMALL.replace(from, to)).is_err(), "{from}");
        }
        assert!(CardLine::read("[]").is_err() && CardLine::read("{").is_err());
    }
}

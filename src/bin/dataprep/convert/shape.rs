//! The formats by name, and what leads to what.

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::error::{Error, ErrorKind, Place};
use emv_dataprep::output::CardLine;
use emv_dataprep::output::formats::apdu::{self, ScriptedCard};
use emv_dataprep::output::formats::cps::{CpsRecord, CpsSettings, RecordMacKey, read_records};
use emv_dataprep::output::formats::template::{self, FieldValue, TemplateFile, Values};
use emv_dataprep::output::formats::{chip_json, dgi_lines};
use emv_dataprep::perso::record::ChipCard;
use emv_dataprep::prepare::TransportKeys;
use emv_dataprep::profile::format::FormatFile;
use emv_dataprep::profile::{DestinationId, TransportKeyConfig};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::issuer_dir::IssuerDir;
use crate::prepare;

/// A format by its name on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Json,
    Chip,
    Cps(Option<String>),
    Apdu,
    Dgi,
    Template(String),
    Fields,
}

impl std::str::FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, name) = text.split_once(':').map_or((text, None), |(w, n)| (w, Some(n.to_owned())));
        let name = name.filter(|n| !n.is_empty());
        match (word, name, text.contains(':')) {
            ("json", None, false) => Ok(Self::Json),
            ("chip", None, false) => Ok(Self::Chip),
            ("cps", name @ Some(_), _) | ("cps", name @ None, false) => Ok(Self::Cps(name)),
            ("apdu", None, false) => Ok(Self::Apdu),
            ("dgi", None, false) => Ok(Self::Dgi),
            ("template", Some(name), _) => Ok(Self::Template(name)),
            ("fields", None, false) => Ok(Self::Fields),
            _ => Err("json, chip, cps, cps:NAME, apdu, dgi, template:NAME or fields".to_owned()),
        }
    }
}

impl Shape {
    /// Whether cards in this format can be written in the other: only card lines have all of a card.
    pub fn leads_to(&self, to: &Self) -> Result<(), &'static str> {
        match (self, to) {
            (Self::Fields, _) => Err("fields are for reading a template: --from template:NAME --to fields"),
            (Self::Template(_), Self::Fields) => Ok(()),
            (Self::Template(_), _) => Err("a template gives its fields alone: --to fields"),
            (_, Self::Fields) => Err("fields come from a template: --from template:NAME"),
            (Self::Json, _) | (_, Self::Chip | Self::Cps(_) | Self::Apdu | Self::Dgi) => Ok(()),
            _ => Err("this format holds the chip alone: --to chip, cps, apdu or dgi"),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Cps(name) => name.as_deref(),
            Self::Template(name) => Some(name),
            _ => None,
        }
    }
}

/// Why nothing was converted.
pub enum Stop {
    /// The configuration or the environment.
    Failure(Failure),
    /// The cards.
    Data(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Data(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What came out.
pub struct Made {
    pub bytes: Zeroizing<Vec<u8>>,
    pub cards: usize,
    pub destination: Option<DestinationId>,
}

/// What conversions need from outside.
pub struct Work<'a> {
    pub dir: Option<&'a IssuerDir>,
    pub seed: Seed,
}

/// The cards of a file.
enum Cards {
    Lines(Vec<CardLine>),
    Chips(Vec<ScriptedCard>),
}

impl Work<'_> {
    pub fn convert(&self, bytes: &[u8], from: &Shape, to: &Shape) -> Result<Made, Stop> {
        if let Shape::Template(_) = from {
            let format = self.format(from)?;
            let file = TemplateFile::read(bytes, template::of_format(&format)?)?;
            return Ok(Made { bytes: fields_json(&file), cards: file.cards.len(), destination: None });
        }
        let cards = self.read(bytes, from)?;
        let destination = match &cards {
            Cards::Lines(lines) => one_destination(lines)?,
            Cards::Chips(_) => None,
        };
        let count = match &cards {
            Cards::Lines(lines) => lines.len(),
            Cards::Chips(chips) => chips.len(),
        };
        let bytes = self.write(cards, to, destination.as_ref())?;
        Ok(Made { bytes, cards: count, destination })
    }

    fn format(&self, shape: &Shape) -> Result<FormatFile, Stop> {
        let Some(name) = shape.name() else {
            return Ok(FormatFile { id: String::new(), cps: CpsSettings::default(), template: None });
        };
        let dir = self.dir.ok_or_else(|| Failure::usage("a format by NAME needs --issuer"))?;
        let format = dir.issuer.format(name).cloned();
        Ok(format
            .ok_or_else(|| Failure::refused(format!("formats/{name}.toml is not in the issuer directory")))?)
    }

    fn read(&self, bytes: &[u8], from: &Shape) -> Result<Cards, Stop> {
        let text = || std::str::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::Format("UTF-8 text")));
        let chips = |cards: Vec<ChipCard>| -> Result<Cards, Stop> {
            Ok(Cards::Chips(cards.into_iter().map(ScriptedCard::of_chip).collect::<Result<_, _>>()?))
        };
        match from {
            Shape::Json => Ok(Cards::Lines(each_line(text()?, CardLine::read)?)),
            Shape::Chip => chips(each_line(text()?, chip_json::read)?),
            Shape::Dgi => chips(dgi_lines::read(text()?)?),
            Shape::Apdu => Ok(Cards::Chips(apdu::read(text()?)?)),
            Shape::Cps(_) => {
                let settings = self.format(from)?.cps;
                let records = read_records(bytes, &settings)?;
                chips(records.iter().map(|r| r.to_card(&settings)).collect::<Result<_, _>>()?)
            }
            Shape::Template(_) | Shape::Fields => Err(Failure::usage("no cards in this format").into()),
        }
    }

    fn write(
        &self,
        cards: Cards,
        to: &Shape,
        destination: Option<&DestinationId>,
    ) -> Result<Zeroizing<Vec<u8>>, Stop> {
        let mut out = Page::default();
        if let (Cards::Lines(lines), Shape::Json) = (&cards, to) {
            for line in lines {
                out.push(&line.to_json());
                out.push(b"\n");
            }
            return Ok(out.0);
        }
        let mut format = self.format(to)?;
        if let Some(mode) = self.mode_of(destination) {
            format.cps.mode = mode;
        }
        let needs_mac = format.cps.mac.is_some() && matches!(to, Shape::Cps(_) | Shape::Template(_));
        let mac_key = if needs_mac { Some(self.mac_key(destination)?) } else { None };
        if let (Cards::Lines(lines), Shape::Template(_)) = (&cards, to) {
            let layout = template::of_format(&format)?;
            let file = TemplateFile::of_cards(lines, layout, &format.cps, mac_key.as_ref())?;
            return Ok(file.encode(layout)?);
        }
        let chips = match cards {
            Cards::Chips(chips) => chips,
            Cards::Lines(lines) => lines
                .iter()
                .zip(1..)
                .map(|(line, number)| ScriptedCard::of_line(line).at_with(|| format!("card {number}")))
                .collect::<Result<_, _>>()?,
        };
        match to {
            Shape::Apdu => out.push(apdu::header().as_bytes()),
            Shape::Dgi => out.push(dgi_lines::header().as_bytes()),
            _ => {}
        }
        for (scripted, number) in chips.iter().zip(1..) {
            let place = || format!("card {number}");
            let chip = &scripted.card;
            match to {
                Shape::Apdu => out.push(apdu::write(scripted).at_with(place)?.as_bytes()),
                Shape::Dgi => out.push(dgi_lines::write(chip).at_with(place)?.as_bytes()),
                Shape::Cps(_) => {
                    let record = CpsRecord::build(chip, &format.cps, mac_key.as_ref());
                    out.push(&record.and_then(|r| r.encode(&format.cps)).at_with(place)?);
                }
                _ => {
                    out.push(&chip_json::write(chip));
                    out.push(b"\n");
                }
            }
        }
        Ok(out.0)
    }

    /// How the destination's transport key enciphers.
    fn mode_of(&self, destination: Option<&DestinationId>) -> Option<emv_dataprep::issuer::ProtectMode> {
        match self.dir?.issuer.destination(destination?)?.transport? {
            TransportKeyConfig::Static { mode, .. } | TransportKeyConfig::PerBlock { mode, .. } => Some(mode),
        }
    }

    /// A fresh MAC key under the destination's transport key.
    fn mac_key(&self, destination: Option<&DestinationId>) -> Result<RecordMacKey, Stop> {
        let dir = self.dir.ok_or_else(|| Failure::usage("a record MAC needs --issuer"))?;
        let to = destination
            .ok_or_else(|| Failure::refused("a record MAC needs cards that name their destination"))?;
        let keys = dir.open_keys(prepare::backend()?)?;
        let transport = TransportKeys::for_block(&dir.issuer, &keys.module, &self.seed, 0)?;
        let (key, mode) = transport
            .of(to)
            .ok_or_else(|| Failure::refused(format!("destination {to} has no transport key")))?;
        let mut rng = self.seed.named_stream(b"record MAC key", Purpose::TransportKey).rng();
        Ok(RecordMacKey::fresh(&keys.module, key, mode, &mut rng)?)
    }
}

fn each_line<T>(text: &str, read: impl Fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| read(line).at_with(|| format!("line {number}"))).collect()
}

/// The destination of all cards.
fn one_destination(lines: &[CardLine]) -> Result<Option<DestinationId>, Error> {
    let first = lines.first().map(|l| l.destination.clone());
    if lines.iter().any(|l| Some(&l.destination) != first.as_ref()) {
        return Err(ErrorKind::Value("the cards go to different destinations").into());
    }
    Ok(first)
}

/// Bytes that grow without leaving copies behind.
#[derive(Default)]
struct Page(Zeroizing<Vec<u8>>);

impl Page {
    fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

/// The values of a template's file: one line for the header, one a card, one for the trailer.
fn fields_json(file: &TemplateFile) -> Zeroizing<Vec<u8>> {
    let values = |values: &Values| {
        let member = |(name, value): &(String, FieldValue)| {
            let value = match value {
                FieldValue::Text(text) => Value::from(text.expose()),
                FieldValue::Number(number) => Value::from(*number),
                FieldValue::Bytes(bytes) => Value::from(hex_upper(bytes)),
            };
            (name.clone(), value)
        };
        Value::Object(values.iter().map(member).collect::<Map<_, _>>())
    };
    let mut out = Page::default();
    let mut line = |record: &str, fields: &Values| {
        let line = json!({"format": "emv-dataprep/fields/1", "record": record, "fields": values(fields)});
        out.push(Zeroizing::new(line.to_string()).as_bytes());
        out.push(b"\n");
    };
    if !file.header.is_empty() {
        line("header", &file.header);
    }
    for card in &file.cards {
        line("card", card);
    }
    if !file.trailer.is_empty() {
        line("trailer", &file.trailer);
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_name_and_what_leads_to_what() {
        let shape = |text: &str| text.parse::<Shape>();
        assert_eq!(shape("cps"), Ok(Shape::Cps(None)));
        assert_eq!(shape("cps:x"), Ok(Shape::Cps(Some("x".to_owned()))));
        assert_eq!(shape("template:x"), Ok(Shape::Template("x".to_owned())));
        for wrong in ["", "xml", "template", "template:", "cps:", "json:x", "apdu:"] {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
        let leads = |from: &str, to: &str| shape(from).unwrap().leads_to(&shape(to).unwrap()).is_ok();
        for to in ["json", "chip", "cps", "apdu", "dgi", "template:x"] {
            assert!(leads("json", to), "{to}");
        }
        for from in ["chip", "cps", "apdu", "dgi"] {
            assert!(leads(from, "chip") && leads(from, "cps") && leads(from, "apdu") && leads(from, "dgi"));
            assert!(!leads(from, "json") && !leads(from, "template:x") && !leads(from, "fields"));
        }
        assert!(leads("template:x", "fields") && !leads("template:x", "json") && !leads("fields", "fields"));
    }
}

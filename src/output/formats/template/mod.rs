//! Records of a personalization machine by a template ([`crate::profile::format`]): embossing, stripe, print and chip data of
//! one card laid out without code, and read back.

mod read;
mod values;
mod write;

use std::fmt;

use zeroize::Zeroizing;

use super::cps::RecordMacKey;
use crate::bytes::Cursor;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::output::CardLine;
use crate::perso::record::CpsSettings;
use crate::prepare::SensitiveText;
use crate::profile::format::{Content, Extent, Field, FieldSource, FormatFile, Presence, RecordTemplate};
use read::read_record;
use values::value_of;
use write::encode_record;

/// A value that stands in a field.
#[derive(Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Characters; empty: the card has no such value.
    Text(SensitiveText),
    /// A number.
    Number(u64),
    /// Bytes.
    Bytes(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for FieldValue {
    /// Numbers alone; text and bytes may be card values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(***)"),
            Self::Number(n) => write!(f, "Number({n})"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// The values of one record, by the names of their fields, in the order of the template.
pub type Values = Vec<(String, FieldValue)>;

/// What a file of records says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateFile {
    /// Values of the header.
    pub header: Values,
    /// Values of each card.
    pub cards: Vec<Values>,
    /// Values of the trailer.
    pub trailer: Values,
}

impl TemplateFile {
    /// The values that the template takes from cards. `mac_key` as in [`CpsRecord::build`](super::cps::CpsRecord::build).
    ///
    /// # Errors
    /// With card and field as places: [`ErrorKind::Missing`] for a required value that the card lacks; those of
    /// [`CpsRecord::build`](super::cps::CpsRecord::build); [`ErrorKind::Value`] for cards that differ in what the header says of all of them.
    pub fn of_cards(
        cards: &[CardLine],
        template: &RecordTemplate,
        cps: &CpsSettings,
        mac_key: Option<&RecordMacKey>,
    ) -> Result<Self> {
        let values = |fields: &[Field], card: Option<&CardLine>, sequence: u64| -> Result<Values> {
            let mut out = Vec::new();
            for field in fields {
                if let Content::Value { source, presence, .. } = &field.content {
                    let value = match source {
                        FieldSource::Count => FieldValue::Number(cards.len() as u64),
                        FieldSource::Sequence => FieldValue::Number(sequence),
                        _ => value_of(*source, card, cps, mac_key)
                            .at_with(|| format!("field {}", field.name))?,
                    };
                    let is_empty = matches!(&value, FieldValue::Text(text) if text.expose().is_empty());
                    if is_empty && *presence == Presence::Required {
                        let what = ErrorKind::Missing("a value that the template requires");
                        return Err(Error::new(what).at(format!("field {}", field.name)));
                    }
                    out.push((field.name.clone(), value));
                }
            }
            Ok(out)
        };
        let of_file = |fields: &[Field], name: &'static str| -> Result<Values> {
            let found = values(fields, cards.first(), 0).at(name)?;
            for card in cards {
                if values(fields, Some(card), 0).at(name)? != found {
                    return Err(ErrorKind::Value("the cards differ in what stands once in the file"))
                        .at(name);
                }
            }
            Ok(found)
        };
        let records = cards.iter().zip(1_u64..);
        let records = records.map(|(card, number)| {
            values(&template.card, Some(card), number).at_with(|| format!("card {number}"))
        });
        Ok(Self {
            header: of_file(&template.header, "header")?,
            cards: records.collect::<Result<_>>()?,
            trailer: of_file(&template.trailer, "trailer")?,
        })
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// With record and field as places: [`ErrorKind::Length`] for a value that its field cannot hold, [`ErrorKind::Value`] for
    /// one that could not be read back: a character outside of the character set, one that ends the field, or one
    /// that fills it up at the edge.
    pub fn encode(&self, template: &RecordTemplate) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(Vec::new());
        let mut push = |record: Zeroizing<Vec<u8>>| {
            let needed = out.len().saturating_add(record.len()).saturating_add(template.record_end.len());
            if needed > out.capacity() {
                let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
                larger.extend_from_slice(&out);
                out = larger;
            }
            out.extend_from_slice(&record);
            out.extend_from_slice(&template.record_end);
        };
        if !template.header.is_empty() {
            push(encode_record(&template.header, &self.header, template.charset).at("header")?);
        }
        for (values, number) in self.cards.iter().zip(1_u64..) {
            let record = encode_record(&template.card, values, template.charset);
            push(record.at_with(|| format!("card {number}"))?);
        }
        if !template.trailer.is_empty() {
            push(encode_record(&template.trailer, &self.trailer, template.charset).at("trailer")?);
        }
        Ok(out)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// With record and field as places: [`ErrorKind::Value`] for a constant, a length, a count, a sequence or a checksum that
    /// is wrong, [`ErrorKind::Truncated`] and [`ErrorKind::Format`] for what is no such record.
    pub fn read(bytes: &[u8], template: &RecordTemplate) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut out = Self::default();
        if !template.header.is_empty() {
            out.header = read_record(&mut cursor, &template.header, template).at("header")?;
        }
        let trailer = match template.trailer.as_slice() {
            [] => 0,
            fields => fixed_len(fields).saturating_add(template.record_end.len()),
        };
        while cursor.remaining() > trailer {
            let number = out.cards.len().saturating_add(1);
            let place = || format!("card {number}");
            let before = cursor.remaining();
            let values = read_record(&mut cursor, &template.card, template).at_with(place)?;
            if cursor.remaining() == before {
                return Err(Error::new(ErrorKind::Format("a record")).at(place()));
            }
            check_numbers(&template.card, &values, FieldSource::Sequence, number as u64).at_with(place)?;
            out.cards.push(values);
        }
        if !template.trailer.is_empty() {
            out.trailer = read_record(&mut cursor, &template.trailer, template).at("trailer")?;
        }
        cursor.finish()?;
        let count = out.cards.len() as u64;
        check_numbers(&template.header, &out.header, FieldSource::Count, count).at("header")?;
        check_numbers(&template.trailer, &out.trailer, FieldSource::Count, count).at("trailer")?;
        Ok(out)
    }
}

/// The template of a format file.
///
/// # Errors
/// [`ErrorKind::Missing`] if it has none.
pub fn of_format(format: &FormatFile) -> Result<&RecordTemplate> {
    let template = format.template.as_ref().ok_or(ErrorKind::Missing("the template"));
    template.at_with(|| format!("formats/{}.toml", format.id))
}

fn check_numbers(fields: &[Field], values: &Values, wanted: FieldSource, number: u64) -> Result<()> {
    let sources = fields.iter().filter_map(|f| match &f.content {
        Content::Value { source, .. } => Some(*source),
        _ => None,
    });
    for (source, (name, value)) in sources.zip(values) {
        if source == wanted && *value != FieldValue::Number(number) {
            return Err(Error::new(ErrorKind::Value("another number of cards")).at(format!("field {name}")));
        }
    }
    Ok(())
}

/// Bytes of fields that all have a fixed width.
fn fixed_len(fields: &[Field]) -> usize {
    let widths = fields.iter().map(|f| match f.extent {
        Extent::Width(width) | Extent::Padded { width, .. } => width,
        Extent::Until(_) | Extent::Counted => 0,
    });
    widths.sum()
}

#[cfg(test)]
mod tests;

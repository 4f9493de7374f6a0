//! Records of a personalization machine by a template ([`crate::profile::format`]): embossing, stripe, print and chip data of
//! one card laid out without code, and read back.

use std::fmt;

use zeroize::Zeroizing;

use super::cps::{CpsRecord, RecordMacKey};
use super::dgi_lines;
use crate::bytes::{Cursor, hex_upper};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::output::CardLine;
use crate::output::reader::upper_hex;
use crate::perso::record::CpsSettings;
use crate::prepare::{Address, SensitiveText, Shipment};
use crate::profile::format::{
    Align, Charset, Checksum, Content, Encoding, Extent, Field, FieldSource, FormatFile, Presence,
    RecordTemplate,
};

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
    /// The values that the template takes from cards. `mac_key` as in [`CpsRecord::build`].
    ///
    /// # Errors
    /// With card and field as places: [`ErrorKind::Missing`] for a required value that the card lacks; those of
    /// [`CpsRecord::build`]; [`ErrorKind::Value`] for cards that differ in what the header says of all of them.
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

fn value_of(
    source: FieldSource,
    card: Option<&CardLine>,
    cps: &CpsSettings,
    mac_key: Option<&RecordMacKey>,
) -> Result<FieldValue> {
    let Some(card) = card else { return Ok(text("")) };
    Ok(match source {
        FieldSource::Position => FieldValue::Number(card.position),
        FieldSource::ChipCps => {
            let record = CpsRecord::build(&card.chip(), cps, mac_key)?.encode(cps)?;
            FieldValue::Bytes(Zeroizing::new(record))
        }
        FieldSource::ChipDgiLines => {
            FieldValue::Text(SensitiveText::new(dgi_lines::write(&card.chip())?.to_string()))
        }
        other => FieldValue::Text(SensitiveText::new(text_of(other, card).unwrap_or_default())),
    })
}

fn text(value: &str) -> FieldValue {
    FieldValue::Text(SensitiveText::new(value.to_owned()))
}

/// The text of a source; `None` where the card has none. The copy goes into a [`SensitiveText`].
fn text_of(source: FieldSource, card: &CardLine) -> Option<String> {
    use FieldSource as F;
    let own = |t: Option<&str>| t.map(str::to_owned);
    let secret = |t: &Option<SensitiveText>| t.as_ref().map(|t| t.expose().to_owned());
    let print = &card.print;
    let design = print.design.as_ref();
    let carrier = card.carrier.as_ref();
    let line = |at: usize| design.and_then(|d| d.custom_lines.get(at)).cloned();
    let address = address_of(card);
    match source {
        F::Count | F::Sequence | F::Position | F::ChipCps | F::ChipDgiLines => None,
        F::CardId => own(Some(card.card_id.as_str())),
        F::IssuerRequestId => own(card.issuer_request_id.as_ref().map(|i| i.as_str())),
        F::MaskedPan => Some(card.masked_pan.clone()),
        F::Channel => own(Some(card.channel.name())),
        F::Destination => own(Some(card.destination.as_str())),
        F::Product => Some(card.product.clone()),
        F::Profile => Some(card.profile.clone()),
        F::NotAfter => Some(card.not_after.iso()),
        F::TransportKeyIndex => Some(card.transport_key.index.to_string()),
        F::TransportKeyKcv => Some(card.transport_key.kcv.clone()),
        F::TransportKeyWrapped => card.transport_key.wrapped.clone(),
        F::Track1 => secret(&card.magstripe.track1),
        F::Track2 => secret(&card.magstripe.track2),
        F::Track3 => secret(&card.magstripe.track3),
        F::Pan => secret(&print.pan),
        F::Name => secret(&print.name),
        F::SecondName => secret(&print.second_name),
        F::Expiry => secret(&print.expiry),
        F::Cvv2 => secret(&print.cvv2),
        F::MemberId => print.member_id.clone(),
        F::ArtworkId => design.and_then(|d| d.artwork_id.clone()),
        F::CardImage => design.and_then(|d| d.card_image.clone()),
        F::CustomLine1 => line(0),
        F::CustomLine2 => line(1),
        F::CustomLine3 => line(2),
        F::CustomLine4 => line(3),
        F::CarrierId => carrier.map(|c| c.id.clone()),
        F::CarrierLanguage => carrier.and_then(|c| c.config.language.clone()),
        F::CarrierName => carrier.and_then(|c| secret(&c.name)),
        F::PackagingId => card.packaging.as_ref().map(|p| p.id.clone()),
        F::Delivery => card.shipment.as_ref().map(|s| s.delivery.clone()),
        F::Priority => card.shipment.as_ref().and_then(|s| s.priority.clone()),
        F::AddressFirstName => address.and_then(|a| a.first_name.clone()),
        F::AddressLastName => address.map(|a| a.last_name.clone()),
        F::AddressCompany => address.and_then(|a| a.company_name.clone()),
        F::AddressLine1 => address.map(|a| a.line1.clone()),
        F::AddressLine2 => address.and_then(|a| a.line2.clone()),
        F::AddressLine3 => address.and_then(|a| a.line3.clone()),
        F::AddressZipCode => address.map(|a| a.zip_code.clone()),
        F::AddressCity => address.map(|a| a.city.clone()),
        F::AddressState => address.and_then(|a| a.state.clone()),
        F::AddressCountry => address.map(|a| a.country_code.clone()),
    }
}

fn address_of(card: &CardLine) -> Option<&Address> {
    match card.shipment.as_ref()?.shipment.as_ref()? {
        Shipment::Individual { delivery_address } | Shipment::Bulk { delivery_address, .. } => {
            Some(delivery_address)
        }
    }
}

/// Bytes of fields that all have a fixed width.
fn fixed_len(fields: &[Field]) -> usize {
    let widths = fields.iter().map(|f| match f.extent {
        Extent::Width(width) | Extent::Padded { width, .. } => width,
        Extent::Until(_) | Extent::Counted => 0,
    });
    widths.sum()
}

// ---------------------------------------------------------------- writing

fn encode_record(fields: &[Field], values: &Values, charset: Charset) -> Result<Zeroizing<Vec<u8>>> {
    // First what stands by itself, then lengths, which need the others, then checksums, which need lengths.
    let mut values = values.iter();
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::with_capacity(fields.len());
    for field in fields {
        let part = match &field.content {
            Content::Text(literal) => characters(literal, charset),
            Content::Bytes(bytes) => Ok(Zeroizing::new(bytes.clone())),
            Content::Value { encoding, group, .. } => match values.next() {
                Some((name, value)) if *name == field.name => {
                    encode_value(value, *encoding, *group, field.extent, charset)
                }
                _ => Err(ErrorKind::Missing("the value of the field").into()),
            },
            Content::LengthOf(..) | Content::LengthOfRest(_) | Content::Checksum { .. } => {
                let Extent::Width(width) = field.extent else {
                    return Err(ErrorKind::Internal("a computed field without a width").into());
                };
                Ok(Zeroizing::new(vec![0; width]))
            }
        };
        parts.push(part.at_with(|| format!("field {}", field.name))?);
    }
    for (field, at) in fields.iter().zip(0_usize..) {
        let number = match &field.content {
            Content::LengthOf(of, encoding) => parts.get(*of).map(|part| (part.len(), *encoding)),
            Content::LengthOfRest(encoding) => {
                let rest = parts.get(at.saturating_add(1)..).unwrap_or_default();
                Some((rest.iter().map(|p| p.len()).sum(), *encoding))
            }
            _ => None,
        };
        if let (Some((number, encoding)), Some(slot)) = (number, parts.get_mut(at)) {
            *slot = encode_number(number as u64, encoding, slot.len(), charset)
                .at_with(|| format!("field {}", field.name))?;
        }
    }
    for (field, at) in fields.iter().zip(0_usize..) {
        if let Content::Checksum { kind, first, last, encoding } = &field.content {
            let sum = checksum(*kind, parts.get(*first..=*last).unwrap_or_default());
            let sum = match encoding {
                Encoding::Hex => characters(&hex_upper(&sum), charset)?,
                _ => Zeroizing::new(sum),
            };
            if let Some(slot) = parts.get_mut(at) {
                *slot = sum;
            }
        }
    }
    let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
    for part in &parts {
        out.extend_from_slice(part);
    }
    Ok(out)
}

fn characters(value: &str, charset: Charset) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(value.len().saturating_add(1)));
    for c in value.chars() {
        out.push(charset.byte(c).ok_or(ErrorKind::Value("a character outside of the character set"))?);
    }
    Ok(out)
}

fn encode_value(
    value: &FieldValue,
    encoding: Encoding,
    group: u8,
    extent: Extent,
    charset: Charset,
) -> Result<Zeroizing<Vec<u8>>> {
    match (value, extent) {
        (FieldValue::Number(number), Extent::Width(width)) => {
            encode_number(*number, encoding, width, charset)
        }
        (FieldValue::Text(value), _) => fit(&grouped(value.expose(), group)?, extent, charset),
        (FieldValue::Bytes(bytes), _) if encoding == Encoding::Hex => {
            fit(&Zeroizing::new(hex_upper(bytes)), extent, charset)
        }
        (FieldValue::Bytes(bytes), Extent::Counted) => Ok(bytes.clone()),
        _ => Err(ErrorKind::Internal("a value of another kind than its field").into()),
    }
}

/// A space after every `group` characters.
fn grouped(value: &str, group: u8) -> Result<Zeroizing<String>> {
    let group = usize::from(group);
    if group == 0 {
        return Ok(Zeroizing::new(value.to_owned()));
    }
    if value.contains(' ') {
        return Err(ErrorKind::Value("grouped text has no spaces of its own").into());
    }
    let mut out = Zeroizing::new(String::with_capacity(value.len().saturating_mul(2)));
    for (c, at) in value.chars().zip(0_usize..) {
        if at > 0 && at.is_multiple_of(group) {
            out.push(' ');
        }
        out.push(c);
    }
    Ok(out)
}

fn fit(value: &str, extent: Extent, charset: Charset) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = characters(value, charset)?;
    match extent {
        Extent::Counted => {}
        Extent::Until(end) => {
            if value.contains(end) {
                return Err(ErrorKind::Value("the character that ends the field stands in the value").into());
            }
            out.extend(charset.byte(end));
        }
        Extent::Padded { width, align, pad } => {
            let found = out.len();
            let Some(missing) = width.checked_sub(found) else {
                return Err(ErrorKind::Length { expected: "the width", found, unit: "characters" }.into());
            };
            let edge = match align {
                Align::Left => value.ends_with(pad),
                Align::Right => value.starts_with(pad),
            };
            if edge {
                return Err(ErrorKind::Value(
                    "the character that fills the field stands at the value's edge",
                )
                .into());
            }
            let filler = vec![charset.byte(pad).unwrap_or_default(); missing];
            let mut filled = Zeroizing::new(Vec::with_capacity(width));
            match align {
                Align::Left => {
                    filled.extend_from_slice(&out);
                    filled.extend_from_slice(&filler);
                }
                Align::Right => {
                    filled.extend_from_slice(&filler);
                    filled.extend_from_slice(&out);
                }
            }
            return Ok(filled);
        }
        Extent::Width(_) => return Err(ErrorKind::Internal("text without an end").into()),
    }
    Ok(out)
}

fn encode_number(
    number: u64,
    encoding: Encoding,
    width: usize,
    charset: Charset,
) -> Result<Zeroizing<Vec<u8>>> {
    let too_large = ErrorKind::Value("a number that its field cannot hold");
    if encoding == Encoding::Binary {
        let bytes = number.to_be_bytes();
        let (zeros, low) =
            bytes.split_at_checked(bytes.len().saturating_sub(width)).ok_or(too_large.clone())?;
        if zeros.iter().any(|b| *b != 0) {
            return Err(too_large.into());
        }
        return Ok(Zeroizing::new(low.to_vec()));
    }
    let digits = format!("{number:0width$}");
    if digits.len() > width {
        return Err(too_large.into());
    }
    characters(&digits, charset)
}

fn checksum(kind: Checksum, parts: &[Zeroizing<Vec<u8>>]) -> Vec<u8> {
    let bytes = parts.iter().flat_map(|p| p.iter().copied());
    match kind {
        Checksum::Lrc => vec![bytes.fold(0, |sum, b| sum ^ b)],
        Checksum::Sum8 => vec![bytes.fold(0_u8, u8::wrapping_add)],
        Checksum::Crc16 => {
            let crc = bytes.fold(0xFFFF_u16, |crc, b| {
                (0..8).fold(crc ^ (u16::from(b) << 8), |crc, _| {
                    if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
                })
            });
            crc.to_be_bytes().to_vec()
        }
        Checksum::Crc32 => {
            let crc = bytes.fold(u32::MAX, |crc, b| {
                (0..8).fold(crc ^ u32::from(b), |crc, _| {
                    if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xEDB8_8320 }
                })
            });
            (!crc).to_be_bytes().to_vec()
        }
    }
}

// ---------------------------------------------------------------- reading

fn read_record(cursor: &mut Cursor<'_>, fields: &[Field], template: &RecordTemplate) -> Result<Values> {
    let charset = template.charset;
    let mut values = Values::new();
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let mut lengths: Vec<(usize, u64)> = Vec::new();
    let mut rest: Vec<(usize, u64)> = Vec::new();
    for (field, at) in fields.iter().zip(0_usize..) {
        let place = || format!("field {}", field.name);
        let counted = lengths.iter().find(|(of, _)| *of == at).map(|(_, len)| *len);
        let bytes = take_field(cursor, field.extent, counted, charset).at_with(place)?;
        match &field.content {
            Content::Text(literal) => {
                same(bytes, &characters(literal, charset)?, "another text than the template's")
                    .at_with(place)?;
            }
            Content::Bytes(literal) => {
                same(bytes, literal, "other bytes than the template's").at_with(place)?;
            }
            Content::Value { encoding, group, .. } => {
                let value = read_value(bytes, *encoding, *group, field.extent, charset).at_with(place)?;
                values.push((field.name.clone(), value));
            }
            Content::LengthOf(of, encoding) => {
                lengths.push((*of, read_number(bytes, *encoding, charset).at_with(place)?));
            }
            Content::LengthOfRest(encoding) => {
                rest.push((at, read_number(bytes, *encoding, charset).at_with(place)?));
            }
            Content::Checksum { kind, first, last, encoding } => {
                let sum = checksum(*kind, parts.get(*first..=*last).unwrap_or_default());
                let sum = match encoding {
                    Encoding::Hex => characters(&hex_upper(&sum), charset)?,
                    _ => Zeroizing::new(sum),
                };
                same(bytes, &sum, "the checksum is wrong").at_with(place)?;
            }
        }
        parts.push(Zeroizing::new(bytes.to_vec()));
    }
    for (of, len) in lengths {
        if parts.get(of).is_none_or(|part| part.len() as u64 != len) {
            return Err(ErrorKind::Value("a length is wrong").into());
        }
    }
    for (at, len) in rest {
        let after = parts.get(at.saturating_add(1)..).unwrap_or_default();
        if after.iter().map(|p| p.len() as u64).sum::<u64>() != len {
            return Err(ErrorKind::Value("the length of the rest is wrong").into());
        }
    }
    let end = cursor.take(template.record_end.len()).at("end of the record")?;
    same(end, &template.record_end, "other bytes than the template's").at("end of the record")?;
    Ok(values)
}

fn same(found: &[u8], expected: &[u8], what: &'static str) -> Result<()> {
    if found == expected { Ok(()) } else { Err(ErrorKind::Value(what).into()) }
}

/// The bytes of a field; with [`Extent::Until`] its end among them.
fn take_field<'a>(
    cursor: &mut Cursor<'a>,
    extent: Extent,
    counted: Option<u64>,
    charset: Charset,
) -> Result<&'a [u8]> {
    match extent {
        Extent::Width(width) | Extent::Padded { width, .. } => cursor.take(width),
        Extent::Counted => {
            let len = counted.ok_or(ErrorKind::Missing("the length of the field"))?;
            cursor.take(usize::try_from(len).map_err(|_| ErrorKind::Value("a length is wrong"))?)
        }
        Extent::Until(end) => {
            let end = charset.byte(end).ok_or(ErrorKind::Internal("an end outside of the character set"))?;
            let mut ahead = cursor.clone();
            let at = ahead.rest().iter().position(|b| *b == end);
            let at = at.ok_or(ErrorKind::Missing("the end of the field"))?;
            cursor.take(at.saturating_add(1))
        }
    }
}

fn read_text(bytes: &[u8], charset: Charset) -> Result<Zeroizing<String>> {
    let mut out = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(2)));
    for byte in bytes {
        out.push(charset.char(*byte).ok_or(ErrorKind::Value("a byte outside of the character set"))?);
    }
    Ok(out)
}

fn read_value(
    bytes: &[u8],
    encoding: Encoding,
    group: u8,
    extent: Extent,
    charset: Charset,
) -> Result<FieldValue> {
    if let (Encoding::Binary, Extent::Counted) = (encoding, extent) {
        return Ok(FieldValue::Bytes(Zeroizing::new(bytes.to_vec())));
    }
    if matches!(extent, Extent::Width(_)) {
        return Ok(FieldValue::Number(read_number(bytes, encoding, charset)?));
    }
    let whole = read_text(bytes, charset)?;
    let value = match extent {
        Extent::Until(_) => {
            whole.char_indices().next_back().and_then(|(at, _)| whole.get(..at)).unwrap_or_default()
        }
        Extent::Padded { align: Align::Left, pad, .. } => whole.trim_end_matches(pad),
        Extent::Padded { align: Align::Right, pad, .. } => whole.trim_start_matches(pad),
        Extent::Width(_) | Extent::Counted => &whole,
    };
    if encoding == Encoding::Hex {
        return Ok(FieldValue::Bytes(Zeroizing::new(upper_hex(value)?)));
    }
    if group == 0 {
        return Ok(text(value));
    }
    let plain = Zeroizing::new(value.replace(' ', ""));
    if *grouped(&plain, group)? != value {
        return Err(ErrorKind::Format("grouped text").into());
    }
    Ok(text(&plain))
}

fn read_number(bytes: &[u8], encoding: Encoding, charset: Charset) -> Result<u64> {
    let wrong = || ErrorKind::Format("a number");
    if encoding == Encoding::Binary {
        return Ok(bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b)));
    }
    let text = read_text(bytes, charset)?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong().into());
    }
    text.parse().map_err(|_| wrong().into())
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;

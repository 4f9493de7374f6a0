//! D1's CardData: the values of one card, with the issuer's own values used as given.

use super::fields::{Field, Object};
use super::pattern as p;
use super::rules::{ProductRules, Rules};
use super::track;
use crate::card::{CardDate, Expiry, Pan, Psn};
use crate::issuer::{DigitValue, PinBlockFormat};
use crate::keys::{KeyRef, KeyUse};
use crate::prepare::{CardData, OrderPinBlock, Rejection, SensitiveText};
use crate::profile::{Guarded, PinPolicy};
use crate::secret::Secret;

/// Whether `name` must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// The product prints it.
    Printed,
    /// A carrier without an address needs it.
    OnCarrier,
    /// It need not.
    Optional,
}

pub(super) fn read(
    rules: &dyn Rules,
    product: &ProductRules<'_>,
    data: &Object<'_>,
    name_rule: NameRule,
    today: CardDate,
) -> Field<CardData> {
    let pan = pan(data)?;
    if let Some(reason) = rules.forbids(Guarded::Pan(&pan)) {
        return Err(Rejection::value(data.path("pan"), reason));
    }
    let expiry = expiry(data, today)?;
    let name = sensitive(data.matching("name", &p::CARD_NAME)?);
    match (&name, name_rule) {
        (None, NameRule::Printed) => return data.missing("name", "missing: the product prints it"),
        (None, NameRule::OnCarrier) => {
            return data.missing("name", "missing: a card carrier without an address needs it");
        }
        _ => {}
    }
    let second_name = sensitive(data.matching("secondName", &p::CARD_NAME)?);
    let encoded_name = sensitive(data.matching("encodedName", &p::ENCODED_NAME)?);
    let cvv1 = digits(data, "cvv1", 3)?;
    let cvv2 = digits(data, "cvv2", 3)?;
    let pvv = digits(data, "pvv", 4)?;
    let psn = data.text("panSequenceNumber")?.map(str::parse::<Psn>).transpose();
    let psn = psn.map_err(|_| Rejection::format(data.path("panSequenceNumber"), "not two digits"))?;
    let payment_account_reference = sensitive(data.matching("paymentAccountReference", &p::PAR)?);
    let effective_date = effective_date(data, expiry)?;
    let tracks = tracks(data, &pan, expiry)?;
    let [track1, track2, track3] = tracks;
    let pin_block = pin_block(rules, product, data, pvv.is_some())?;
    Ok(CardData {
        pan,
        expiry,
        name,
        second_name,
        encoded_name,
        cvv1,
        cvv2,
        pvv,
        psn,
        payment_account_reference,
        effective_date,
        track1,
        track2,
        track3,
        pin_block,
    })
}

fn sensitive(text: Option<&str>) -> Option<SensitiveText> {
    text.map(|t| SensitiveText::new(t.to_owned()))
}

fn pan(data: &Object<'_>) -> Field<Pan> {
    let Some(text) = data.text("pan")? else { return data.missing("pan", "missing") };
    Pan::without_check(text).map_err(|_| Rejection::value(data.path("pan"), "not 12 to 19 digits"))?;
    text.parse().map_err(|_| Rejection::value(data.path("pan"), "wrong Luhn check digit"))
}

fn expiry(data: &Object<'_>, today: CardDate) -> Field<Expiry> {
    let Some(text) = data.text("exp")? else { return data.missing("exp", "missing") };
    if text.len() != 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Rejection::format(data.path("exp"), "not four digits, YYMM"));
    }
    let reason = match Expiry::from_yymm(text) {
        Ok(expiry) if expiry.covers(today) => return Ok(expiry),
        Ok(_) => "the card has expired",
        Err(_) if matches!(text.get(..2).and_then(|m| m.parse::<u8>().ok()), Some(1..=12)) => {
            "month and year are exchanged: YYMM is expected"
        }
        Err(_) => "the month is not 01 to 12",
    };
    Err(Rejection::value(data.path("exp"), reason))
}

fn digits(data: &Object<'_>, name: &'static str, count: usize) -> Field<Option<DigitValue>> {
    let Some(text) = data.text(name)? else { return Ok(None) };
    if text.len() == count && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Some(DigitValue::new(text.bytes().map(|b| b.wrapping_sub(b'0')).collect())));
    }
    let reason = if count == 3 { "not three digits" } else { "not four digits" };
    Err(Rejection::format(data.path(name), reason))
}

/// YYMMDD, or YYMM for the first day of the month; not after the expiry.
fn effective_date(data: &Object<'_>, expiry: Expiry) -> Field<Option<CardDate>> {
    const NAME: &str = "effectiveDate";
    let Some(text) = data.text(NAME)? else { return Ok(None) };
    if !matches!(text.len(), 4 | 6) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Rejection::format(data.path(NAME), "not YYMMDD or YYMM"));
    }
    let day = match text.len() {
        4 => CardDate::from_yymmdd(&format!("{text}01")),
        _ => CardDate::from_yymmdd(text),
    };
    match day {
        Ok(day) if expiry.covers(day) => Ok(Some(day)),
        Ok(_) => Err(Rejection::value(data.path(NAME), "after the expiry")),
        Err(_) => Err(Rejection::value(data.path(NAME), "there is no such day")),
    }
}

fn tracks(data: &Object<'_>, pan: &Pan, expiry: Expiry) -> Field<[Option<SensitiveText>; 3]> {
    const NAME: &str = "trackData";
    let Some(value) = data.members.get(NAME) else { return Ok([None, None, None]) };
    let object = Object::from(value, data.place.member(NAME))?;
    let read = |name, check: track::Check| {
        let Some(text) = object.text(name)? else { return Ok(None) };
        match check(text, pan, expiry) {
            Ok(track) => Ok(Some(SensitiveText::new(track.to_owned()))),
            Err(track::Fault::Form(reason)) => Err(Rejection::format(object.path(name), reason)),
            Err(track::Fault::OtherCard(reason)) => Err(Rejection::value(object.path(name), reason)),
        }
    };
    Ok([read("track1", track::track1)?, read("track2", track::track2)?, read("track3", track::track3)?])
}

/// `pinBlock {format, keyIndex, value}`: `iso-0`, `iso-1`, `iso-3` (8 bytes) or `iso-4` (16 bytes) under a `pin` key.
///
/// A given PVV stands for the PIN where no PIN is needed; `prepare` knows whether the card needs one.
fn pin_block(
    rules: &dyn Rules,
    product: &ProductRules<'_>,
    data: &Object<'_>,
    pvv_given: bool,
) -> Field<Option<OrderPinBlock>> {
    const NAME: &str = "pinBlock";
    let from_order = matches!(product.pin, PinPolicy::FromOrder);
    let Some(value) = data.members.get(NAME) else {
        if from_order && !pvv_given {
            return data.missing(NAME, "missing: the product takes its PIN from the order");
        }
        return Ok(None);
    };
    let object = Object::from(value, data.place.member(NAME))?;
    if !from_order {
        return Err(Rejection::not_allowed(data.path(NAME), "this product takes no PIN from the order"));
    }
    if let Some(reason) = rules.forbids(Guarded::PinBlock) {
        return Err(Rejection::not_allowed(data.path(NAME), reason));
    }
    let Some(format) = object.text("format")? else { return object.missing("format", "missing") };
    let format = match format.to_ascii_lowercase().as_str() {
        "iso-0" => PinBlockFormat::Iso0,
        "iso-1" => PinBlockFormat::Iso1,
        "iso-3" => PinBlockFormat::Iso3,
        "iso-4" => PinBlockFormat::Iso4,
        _ => return Err(Rejection::value(object.path("format"), "not iso-0, iso-1, iso-3 or iso-4")),
    };
    if !product.pin_block_formats.contains(&format) {
        return Err(Rejection::not_allowed(object.path("format"), "not a format of this product"));
    }
    let Some(key) = object.key_index("keyIndex")? else { return object.missing("keyIndex", "missing") };
    if !rules.has_key(KeyRef::new(KeyUse::Pin, key)) {
        return Err(Rejection::value(object.path("keyIndex"), "no key of this use and index is loaded"));
    }
    let Some(text) = object.text("value")? else { return object.missing("value", "missing") };
    let bytes = if format == PinBlockFormat::Iso4 { 16 } else { 8 };
    let upper = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let block = Secret::filled(bytes, |out| hex::decode_to_slice(text, out));
    match block {
        Ok(block) if upper => Ok(Some(OrderPinBlock { format, key, block })),
        _ => Err(Rejection::format(object.path("value"), "not a PIN block of this format in hexadecimal")),
    }
}

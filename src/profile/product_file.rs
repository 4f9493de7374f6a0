//! `products/*.toml`.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::Channel;
use super::finding::Source;
use super::identifier::Identifiers;
use super::product::{ExpiryOrder, Ibm3624, NameOrder, PinPolicy, PinVerification, PrintField, Product};
use super::track::{Discretionary, Part};
use crate::card::ServiceCode;
use crate::issuer::PinBlockFormat;
use crate::issuer::decimal::DecimalizationTable;
use crate::issuer::ibm3624::ValidationLayout;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    id: Spanned<String>,
    #[serde(default)]
    #[allow(dead_code, reason = "a title for people")]
    title: String,
    channels: Vec<Spanned<String>>,
    profiles: Vec<String>,
    service_code: Spanned<String>,
    track1: Option<Track>,
    track2: Option<Track>,
    track3: Option<Track3>,
    #[serde(default)]
    name: Name,
    #[serde(default)]
    cvv: Cvv,
    pin: Pin,
    print: Print,
    #[serde(default)]
    alpha_card: bool,
    #[serde(default)]
    allowed: Identifiers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Track {
    discretionary: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Track3 {
    template: Spanned<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Name {
    order: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Cvv {
    cvv1_expiry: Option<Spanned<String>>,
    cvv2_expiry: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    policy: Spanned<String>,
    digits: Option<Spanned<u8>>,
    verification: Spanned<String>,
    validation_data: Option<Spanned<String>>,
    decimalization: Option<Spanned<String>>,
    #[serde(default)]
    mailer: bool,
    return_format: Option<Spanned<String>>,
    #[serde(default)]
    block_formats: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Print {
    fields: Vec<Spanned<String>>,
}

/// Most characters of discretionary data that leave room for a 19-digit PAN, expiry and service code on track 2
/// (37 characters without sentinels and LRC: PAN, separator, 4, 3).
const TRACK2_ROOM: usize = 37 - 19 - 1 - 4 - 3;
/// The same for track 1 (76 characters: format code, PAN, two separators, a name of 26, 4, 3).
const TRACK1_ROOM: usize = 76 - 1 - 19 - 2 - 26 - 4 - 3;

/// Reads one product.
pub(super) fn read(source: &mut Source<'_>, stem: &str) -> Option<Product> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    if file.id.get_ref() != stem {
        source.error(file.id.span().start, "id", "id differs from the file's name");
    }
    let channels: BTreeSet<Channel> =
        file.channels.iter().filter_map(|c| source.value("channels", c)).collect();
    let service_code: Option<ServiceCode> = source.value("service_code", &file.service_code);
    let track =
        |source: &mut Source<'_>, track: &Option<Track>, room: usize| -> Option<Option<Discretionary>> {
            let Some(track) = track else { return Some(None) };
            let pattern: Discretionary = source.value("discretionary", &track.discretionary)?;
            if pattern.len() > room {
                let message = format!(
                    "discretionary data of {} characters; {room} fit beside a 19-digit PAN",
                    pattern.len()
                );
                source.error(track.discretionary.span().start, "track", message);
            }
            Some(Some(pattern))
        };
    let track1 = track(source, &file.track1, TRACK1_ROOM);
    let track2 = track(source, &file.track2, TRACK2_ROOM);
    let track3 = match &file.track3 {
        None => None,
        Some(t) => Some(source.value("template", &t.template)?),
    };
    let name_order = match &file.name.order {
        None => NameOrder::GivenFirst,
        Some(text) => match text.get_ref().as_str() {
            "given-first" => NameOrder::GivenFirst,
            "surname-first" => NameOrder::SurnameFirst,
            "as-given" => NameOrder::AsGiven,
            _ => {
                source.error(text.span().start, "value", "order: given-first, surname-first or as-given");
                NameOrder::GivenFirst
            }
        },
    };
    let print: BTreeSet<PrintField> =
        file.print.fields.iter().filter_map(|f| print_field(source, f)).collect();
    let cvv1 = match &file.cvv.cvv1_expiry {
        None => ExpiryOrder::Yymm,
        Some(text) => expiry_order(source, text)?,
    };
    let cvv2 = match &file.cvv.cvv2_expiry {
        None => None,
        Some(text) => Some(expiry_order(source, text)?),
    };
    if print.contains(&PrintField::Cvv2) && cvv2.is_none() {
        source.error(
            0,
            "cvv2",
            "cvv2 is printed, but cvv.cvv2_expiry (YYMM or MMYY) is not given: it has no default",
        );
    }
    let (pin, pin_verification) = pin(source, &file.pin)?;
    let pin_return = match &file.pin.return_format {
        None => None,
        Some(text) => Some(pin_block_format(source, text)?),
    };
    let pin_block_formats: Vec<_> =
        file.pin.block_formats.iter().filter_map(|f| pin_block_format(source, f)).collect();
    let at = file.pin.policy.span().start;
    if pin == PinPolicy::FromOrder && pin_block_formats.is_empty() {
        source.error(at, "pin", "the PIN comes from the order, but block_formats names no PIN block format");
    }
    // A PVV does not give the PIN back; an offset does, to the holder of the key.
    let recoverable = matches!(pin_verification, PinVerification::Offset(_));
    let made_here = matches!(pin, PinPolicy::Random { .. } | PinPolicy::Natural { .. });
    if made_here && pin_return.is_none() && !file.pin.mailer && !recoverable {
        let message = "the product makes a PIN, but neither a mailer nor the issuer return would carry it";
        source.error(at, "pin", message);
    }
    let uses =
        |part: &Part| [&track1, &track2].into_iter().flatten().flatten().any(|pattern| pattern.needs(part));
    if uses(&Part::Pvv) && pin_verification != PinVerification::Pvv {
        source.error(at, "pin", "a track has the token pvv, but the PIN is not verified by PVV");
    }
    Some(Product {
        id: stem.to_owned(),
        channels,
        profiles: file.profiles.into_iter().collect(),
        service_code: service_code?,
        track1: track1?,
        track2: track2?,
        track3,
        name_order,
        cvv2,
        cvv1,
        print,
        pin,
        pin_verification,
        pin_return,
        pin_block_formats,
        pin_mailer: file.pin.mailer,
        alpha_card: file.alpha_card,
        allowed: file.allowed,
    })
}

fn pin(source: &mut Source<'_>, raw: &Pin) -> Option<(PinPolicy, PinVerification)> {
    let at = raw.policy.span().start;
    let digits = match &raw.digits {
        None => 4,
        Some(d) if (4..=12).contains(d.get_ref()) => usize::from(*d.get_ref()),
        Some(d) => {
            source.error(d.span().start, "pin", "digits: 4 to 12");
            return None;
        }
    };
    let policy = match raw.policy.get_ref().as_str() {
        "none" => PinPolicy::None,
        "order" => PinPolicy::FromOrder,
        "random" => PinPolicy::Random { digits },
        "natural" => PinPolicy::Natural { digits },
        _ => {
            source.error(at, "pin", "policy: none, order, random or natural");
            return None;
        }
    };
    let ibm3624 = |source: &mut Source<'_>| -> Option<Ibm3624> {
        let text = raw.validation_data.as_ref();
        let Some(text) = text else {
            source.error(at, "pin", "IBM 3624 needs validation_data");
            return None;
        };
        let Some(validation_data) = validation_layout(text.get_ref()) else {
            let message = "validation_data: right-12-pad-F (12 digits before the check digit, then the pad), right-16, \
                           or slice-FIRST-COUNT-PAD";
            source.error(text.span().start, "pin", message);
            return None;
        };
        let decimalization = match &raw.decimalization {
            None => *DecimalizationTable::DEFAULT.digits(),
            Some(text) => match decimalization_table(text.get_ref()) {
                Ok(table) => *table.digits(),
                Err(e) => {
                    source.error(text.span().start, "pin", format!("decimalization: {e}"));
                    return None;
                }
            },
        };
        Some(Ibm3624 { validation_data, decimalization })
    };
    let verification = match raw.verification.get_ref().as_str() {
        "none" => PinVerification::None,
        "pvv" => PinVerification::Pvv,
        "offset" => PinVerification::Offset(ibm3624(source)?),
        _ => {
            source.error(raw.verification.span().start, "pin", "verification: none, pvv or offset");
            return None;
        }
    };
    if matches!(policy, PinPolicy::Natural { .. }) && !matches!(verification, PinVerification::Offset(_)) {
        source.error(at, "pin", "a natural PIN is verified by offset");
    }
    if policy == PinPolicy::None && raw.mailer {
        source.error(at, "pin", "a mailer without a PIN");
    }
    if policy == PinPolicy::None && raw.return_format.is_some() {
        source.error(at, "pin", "return_format without a PIN");
    }
    Some((policy, verification))
}

/// Sixteen decimal digits, diverse enough (PCI PIN).
fn decimalization_table(text: &str) -> crate::error::Result<DecimalizationTable> {
    let digits: Vec<u8> = text.bytes().map(|b| b.wrapping_sub(b'0')).collect();
    let digits: [u8; 16] =
        digits.try_into().map_err(|_| crate::error::ErrorKind::Format("sixteen decimal digits"))?;
    DecimalizationTable::new(digits)?.check_diversity()
}

/// `right-12-pad-F`, `right-16`, `slice-0-12-F`.
fn validation_layout(text: &str) -> Option<ValidationLayout> {
    let nibble = |t: &str| (t.len() == 1).then(|| u8::from_str_radix(t, 16).ok()).flatten();
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        ["right", "12", "pad", pad] => Some(ValidationLayout::RightmostTwelve { pad: nibble(pad)? }),
        ["right", "16"] => Some(ValidationLayout::RightmostSixteen),
        ["slice", first, count, pad] => Some(ValidationLayout::Slice {
            first: first.parse().ok()?,
            count: count.parse().ok().filter(|n| (1..=16).contains(n))?,
            pad: nibble(pad)?,
        }),
        _ => None,
    }
}

fn print_field(source: &mut Source<'_>, text: &Spanned<String>) -> Option<PrintField> {
    let found = PrintField::ALL.into_iter().find(|f| f.name() == text.get_ref());
    if found.is_none() {
        source.error(text.span().start, "value", "this print field is not known");
    }
    found
}

fn expiry_order(source: &mut Source<'_>, text: &Spanned<String>) -> Option<ExpiryOrder> {
    match text.get_ref().as_str() {
        "YYMM" => Some(ExpiryOrder::Yymm),
        "MMYY" => Some(ExpiryOrder::Mmyy),
        _ => {
            source.error(text.span().start, "value", "YYMM or MMYY");
            None
        }
    }
}

/// Formats in which a PIN may cross a border: 0, 1, 3 and 4 (format 2 stays on the card).
fn pin_block_format(source: &mut Source<'_>, text: &Spanned<String>) -> Option<PinBlockFormat> {
    match text.get_ref().as_str() {
        "iso-0" => Some(PinBlockFormat::Iso0),
        "iso-1" => Some(PinBlockFormat::Iso1),
        "iso-3" => Some(PinBlockFormat::Iso3),
        "iso-4" => Some(PinBlockFormat::Iso4),
        _ => {
            source.error(text.span().start, "value", "iso-0, iso-1, iso-3 or iso-4");
            None
        }
    }
}

//! The stripe (ISO/IEC 7813, ISO/IEC 4909) and the chip's image of it, from the product's patterns.

use zeroize::Zeroizing;

use super::request::{CardData, SensitiveText};
use crate::bytes::pack_digits;
use crate::issuer::DigitValue;
use crate::profile::{Discretionary, Part, Product, Track3Part, TrackTemplate};

/// Values for the tokens of a discretionary-data pattern. No CVV2 is among them.
#[derive(Clone, Copy, Default)]
pub(super) struct Tokens<'a> {
    pub(super) cvv: Option<&'a DigitValue>,
    pub(super) pvv: Option<&'a DigitValue>,
    pub(super) pvki: Option<u8>,
}

/// The filled pattern, decimal digits; `None` when a token has no value.
pub(super) fn discretionary(pattern: &Discretionary, tokens: Tokens<'_>) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(pattern.len()));
    for part in pattern.parts() {
        match part {
            Part::Digits(digits) => text.push_str(digits),
            Part::Cvv => text.push_str(&tokens.cvv?.to_text()),
            Part::Pvv => text.push_str(&tokens.pvv?.to_text()),
            Part::Pvki => text.push(char::from_digit(u32::from(tokens.pvki?), 10)?),
        }
    }
    Some(text)
}

/// Track 1 without sentinels and LRC: `B PAN ^ name ^ YYMM service-code discretionary`.
pub(super) fn track1(data: &CardData, product: &Product, name: &str, rest: &str) -> SensitiveText {
    let mut text = String::with_capacity(79);
    text.push('B');
    text.push_str(&data.pan.to_text());
    text.push('^');
    text.push_str(name);
    text.push('^');
    text.push_str(&data.expiry.yymm());
    text.push_str(&product.service_code.to_string());
    text.push_str(rest);
    SensitiveText::new(text)
}

/// Track 2 without sentinels and LRC: `PAN = YYMM service-code discretionary`.
pub(super) fn track2(data: &CardData, product: &Product, rest: &str) -> SensitiveText {
    let mut text = String::with_capacity(40);
    text.push_str(&data.pan.to_text());
    text.push('=');
    text.push_str(&data.expiry.yymm());
    text.push_str(&product.service_code.to_string());
    text.push_str(rest);
    SensitiveText::new(text)
}

/// Track 3 from the issuer's template.
pub(super) fn track3(data: &CardData, product: &Product, template: &TrackTemplate) -> SensitiveText {
    let mut text = String::with_capacity(104);
    for part in template.parts() {
        match part {
            Track3Part::Literal(literal) => text.push_str(literal),
            Track3Part::Pan => text.push_str(&data.pan.to_text()),
            Track3Part::Expiry => text.push_str(&data.expiry.yymm()),
            Track3Part::Psn => text.push_str(&data.psn.unwrap_or_default().to_string()),
            Track3Part::ServiceCode => text.push_str(&product.service_code.to_string()),
        }
    }
    SensitiveText::new(text)
}

/// Track 2 equivalent data (tag 57, tag 9F6B): PAN, `D`, YYMM, service code, discretionary data, `F` to a whole byte.
pub(super) fn track2_equivalent(data: &CardData, product: &Product, rest: &str) -> Vec<u8> {
    let mut nibbles = Zeroizing::new(Vec::with_capacity(38));
    nibbles.extend_from_slice(data.pan.digits());
    nibbles.push(0xD);
    nibbles.extend(data.expiry.yymm_digits());
    nibbles.extend(product.service_code.digits());
    nibbles.extend(rest.bytes().map(|b| b.wrapping_sub(b'0')));
    pack_digits(&nibbles, 0xF)
}

/// The name between the separators of a track 1 override.
pub(super) fn name_of_track1(track: &SensitiveText) -> Option<SensitiveText> {
    let mut fields = track.expose().split('^');
    let name = fields.nth(1)?;
    super::encoded_name::is_encoded(name).then(|| SensitiveText::new(name.to_owned()))
}

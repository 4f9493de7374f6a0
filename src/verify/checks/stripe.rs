//! Stripe, print and chip against each other; CVV, iCVV and CVV2.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::card::Expiry;

use super::super::derive::{Digits, cvv, digits, nibbles};
use super::super::keys::{ExpiryOrder, Given};
use super::super::line::Interface;
use super::super::oda::good_on;
use super::super::report::{CheckName, Findings};
use super::super::tracks::{Track, is_track3, matches_pattern, track1_data, track2_equivalent, trimmed};
use super::{Card, Learned};

pub(super) fn text_of(digits: &[u8]) -> String {
    digits.iter().map(|d| char::from(b'0'.wrapping_add(*d))).collect()
}

/// `maskedPan`.
pub(in super::super) fn masked_pan(card: &Card<'_>, found: &mut Findings) {
    let Some(pan) = &card.pan else { return };
    let hidden_to = pan.len().saturating_sub(4);
    let masked: String =
        text_of(pan).char_indices().map(|(i, c)| if (6..hidden_to).contains(&i) { '*' } else { c }).collect();
    found.require(CheckName::MaskedPan, masked == card.line.masked_pan, "the masked PAN is not the card's");
}

/// Luhn sum of ISO/IEC 7812-1, annex B.
fn luhn(pan: &[u8]) -> bool {
    let sum: u32 = pan
        .iter()
        .rev()
        .zip([1_u32, 2].into_iter().cycle())
        .map(|(d, times)| u32::from(*d) * times)
        .map(|n| n / 10 + n % 10)
        .sum();
    sum.is_multiple_of(10)
}

/// Form of the tracks, and tracks 1 and 2 against each other.
pub(in super::super) fn tracks(card: &Card<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::Tracks;
    let stripe = &card.line.magstripe;
    if stripe.track1.is_some() {
        found.require(NAME, card.track1.is_some(), "track 1 has not the form of ISO/IEC 7813");
    }
    if stripe.track2.is_some() {
        found.require(NAME, card.track2.is_some(), "track 2 has not the form of ISO/IEC 7813");
    }
    if let Some(track3) = &stripe.track3 {
        found.require(NAME, is_track3(track3), "track 3 has not the form of ISO/IEC 4909");
    }
    for track in [&card.track1, &card.track2].into_iter().flatten() {
        found.require(NAME, luhn(&track.pan), "the check digit of a track's PAN is wrong");
    }
    if let (Some(one), Some(two)) = (&card.track1, &card.track2) {
        found.require(NAME, *one.pan == *two.pan, "tracks 1 and 2 have different PANs");
        found.require(NAME, *one.expiry == *two.expiry, "tracks 1 and 2 have different expiry dates");
        let code = *one.service_code == *two.service_code;
        found.require(NAME, code, "tracks 1 and 2 have different service codes");
    }
}

/// A number "cn": digits up to one or more `F`.
fn cn(value: &[u8]) -> Option<Digits> {
    let all = nibbles(value);
    let end = all.iter().position(|n| *n == 15).unwrap_or(all.len());
    let (head, fill) = all.split_at_checked(end)?;
    let good = head.iter().all(|n| *n < 10) && fill.len() < 2 && fill.iter().all(|n| *n == 15);
    good.then(|| Zeroizing::new(head.to_vec()))
}

/// Everything on the chip that repeats the PAN, expiry, service code or name.
pub(super) struct ChipSide {
    pub(super) pans: Vec<Digits>,
    pub(super) expiries: Vec<Digits>,
    service_codes: Vec<Digits>,
    pub(super) names: Vec<Zeroizing<String>>,
    unreadable: bool,
}

pub(super) fn chip_side(card: &Card<'_>) -> ChipSide {
    let mut side = ChipSide {
        pans: Vec::new(),
        expiries: Vec::new(),
        service_codes: Vec::new(),
        names: Vec::new(),
        unreadable: false,
    };
    for path in card.payment().flat_map(|c| &c.paths) {
        let tracks = [(0x57, false), (0x9F6B, false), (0x56, true)];
        for (tag, is_track1) in tracks {
            let Some(value) = path.get(tag) else { continue };
            // 9F6B is also Visa's card CVM limit (6 bytes) on contactless cards.
            if tag == 0x9F6B && value.len() == 6 {
                continue;
            }
            let track = if is_track1 { track1_data(value) } else { track2_equivalent(value) };
            match track {
                Some(track) => {
                    side.pans.push(track.pan.clone());
                    side.expiries.push(track.expiry.clone());
                    side.service_codes.push(track.service_code.clone());
                    side.names.extend(track.name.clone());
                }
                None => side.unreadable = true,
            }
        }
        if let Some(value) = path.get(0x5A) {
            match cn(value) {
                Some(pan) => side.pans.push(pan),
                None => side.unreadable = true,
            }
        }
        if let Some(value) = path.get(0x5F24) {
            side.expiries.push(Zeroizing::new(nibbles(value).into_iter().take(4).collect()));
        }
        if let Some(value) = path.get(0x5F30) {
            side.service_codes.push(Zeroizing::new(nibbles(value).into_iter().skip(1).collect()));
        }
        for value in [path.get(0x5F20), path.get(0x9F0B)].into_iter().flatten() {
            side.names.push(Zeroizing::new(String::from_utf8_lossy(value).into_owned()));
        }
    }
    side
}

/// Words of a name, upper case.
fn words(name: &str) -> Vec<String> {
    let split = name.split(|c: char| !c.is_ascii_alphanumeric());
    split.filter(|w| !w.is_empty()).map(str::to_ascii_uppercase).collect()
}

/// Whether an encoded name (SURNAME/FIRST, cut at 26) can be that of a printed one. A printed name beyond ASCII is
/// transliterated by rules that are the issuer's own, so it cannot be compared.
fn names_agree(encoded: &str, printed: &str) -> bool {
    if !printed.is_ascii() {
        return true;
    }
    let signs = |b: u8| b.is_ascii_alphanumeric() || b" .,'-/&()".contains(&b);
    if !printed.bytes().all(signs) {
        return false;
    }
    let printed = words(printed);
    words(encoded)
        .iter()
        .all(|w| printed.iter().any(|p| p == w || encoded.len() >= 26 && p.starts_with(w.as_str())))
}

/// A name that stands for "not given" on a contactless interface.
pub(super) fn is_anonymous(name: &str) -> bool {
    matches!(name.trim(), "" | "/")
}

/// Expiry digits YYMM of the print.
pub(super) fn printed_expiry(text: &str) -> Option<Vec<Vec<u8>>> {
    let parts: Vec<&str> = text.split('/').collect();
    let of = |t: &str| digits(t).map(|d| d.to_vec());
    Some(match parts.as_slice() {
        [mm, yy] if mm.len() == 2 && yy.len() == 2 => vec![[of(yy)?, of(mm)?].concat()],
        [mm, yyyy] if mm.len() == 2 && yyyy.len() == 4 => {
            vec![[of(yyyy.strip_prefix("20")?)?, of(mm)?].concat()]
        }
        [four] if four.len() == 4 => {
            let (a, b) = four.split_at_checked(2)?;
            vec![of(four)?, [of(b)?, of(a)?].concat()]
        }
        _ => return None,
    })
}

/// Stripe, print and chip.
pub(in super::super) fn agree(card: &Card<'_>, found: &mut Findings) {
    let side = chip_side(card);
    let has_chip = card.payment().next().is_some();
    let track = card.track();
    let name = card.track1.as_ref().and_then(|t| t.name.as_ref());
    if has_chip {
        const NAME: CheckName = CheckName::StripeChip;
        found.require(NAME, !side.unreadable, "a PAN or track on the chip cannot be read");
        if let Some(track) = track {
            let pans = side.pans.iter().all(|p| **p == *track.pan) && !side.pans.is_empty();
            found.require(NAME, pans, "the chip's PAN is not the stripe's");
            let expiries = side.expiries.iter().all(|e| **e == *track.expiry);
            found.require(NAME, expiries, "the chip's expiry is not the stripe's");
            let codes = side.service_codes.iter().all(|c| **c == *track.service_code);
            found.require(NAME, codes, "the chip's service code is not the stripe's");
        }
        if let Some(name) = name {
            let same = |n: &Zeroizing<String>| is_anonymous(n) || trimmed(n).starts_with(trimmed(name));
            found.require(NAME, side.names.iter().all(same), "the chip's name is not the stripe's");
        }
    }
    let print = &card.line.print;
    let pan = print.pan.as_deref().map(|text| digits(&text.replace(' ', "")));
    let expiry = print.expiry.as_deref().map(|text| printed_expiry(text));
    let given_name = card.context.given.contains(&Given::EncodedName);
    if let Some(track) = track {
        const NAME: CheckName = CheckName::StripePrint;
        if let Some(pan) = &pan {
            let same = pan.as_ref().is_some_and(|p| **p == *track.pan);
            found.require(NAME, same, "the printed PAN is not the stripe's");
        }
        if let Some(expiry) = &expiry {
            let same = expiry.as_ref().is_some_and(|forms| forms.iter().any(|f| **f == **track.expiry));
            found.require(NAME, same, "the printed expiry is not the stripe's");
        }
        if let (Some(name), Some(printed), false) = (name, print.name.as_deref(), given_name) {
            let agree = is_anonymous(name) || names_agree(name, printed);
            found.require(NAME, agree, "the printed name is not the stripe's");
        }
    }
    if has_chip {
        const NAME: CheckName = CheckName::PrintChip;
        if let Some(pan) = &pan {
            let same = pan.as_ref().is_some_and(|p| side.pans.iter().all(|c| **c == **p));
            found.require(NAME, same, "the printed PAN is not the chip's");
        }
        if let Some(expiry) = &expiry {
            let is = |c: &Digits| expiry.as_ref().is_some_and(|forms| forms.iter().any(|f| **f == **c));
            found.require(NAME, side.expiries.iter().all(is), "the printed expiry is not the chip's");
        }
        if let (Some(printed), false) = (print.name.as_deref(), given_name) {
            let agree = side.names.iter().all(|n| is_anonymous(n) || names_agree(n, printed));
            found.require(NAME, agree, "the printed name is not the chip's");
        }
    }
}

/// Digits of ISO/IEC 7813, chip rule, product's code.
pub(in super::super) fn service_code(card: &Card<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::ServiceCode;
    let contact = card.payment().any(|c| c.app.interfaces.contains(&Interface::Contact));
    let mut codes: Vec<Digits> =
        [&card.track1, &card.track2].into_iter().flatten().map(|t| t.service_code.clone()).collect();
    codes.extend(chip_side(card).service_codes);
    for code in codes {
        let [first, second, third] = code.as_slice() else {
            found.fail(NAME, "a service code is not three digits");
            continue;
        };
        let legal = matches!(first, 1 | 2 | 5 | 6 | 7 | 9) && matches!(second, 0 | 2 | 4) && *third < 8;
        found.require(NAME, legal, "a service code has a digit that ISO/IEC 7813 does not know");
        let chip = !contact || matches!(first, 2 | 6);
        found.require(NAME, chip, "the service code does not say that there is a chip");
        if let Some(expected) = &card.context.service_code {
            found.require(NAME, text_of(&code) == *expected, "the service code is not the product's");
        }
    }
}

/// Dates of the card, its certificates and today.
pub(in super::super) fn expiry(card: &Card<'_>, learned: &Learned, found: &mut Findings) {
    const NAME: CheckName = CheckName::Expiry;
    let on_chip = || card.payment().flat_map(|c| &c.paths);
    let from_chip =
        || on_chip().find_map(|p| p.get(0x5F24)).map(|v| nibbles(v).into_iter().take(4).collect());
    let digits: Option<Vec<u8>> = card.track().map(|t| t.expiry.to_vec()).or_else(from_chip);
    let Some(card_expiry) = digits.and_then(|d| Expiry::from_yymm(&text_of(&d)).ok()) else { return };
    found.require(NAME, good_on(card_expiry, card.context.today), "the card has expired");
    for path in on_chip() {
        let (ends, starts) = (path.get(0x5F24), path.get(0x5F25));
        if let Some(ends) = ends {
            let last = card_expiry.last_day().bcd();
            found.require(NAME, ends == last, "5F24 is not the last day of the expiry month");
            // Two-digit years of one century compare as bytes.
            let order = starts.is_none_or(|s| s <= ends);
            found.require(NAME, order, "the effective date 5F25 is after the expiry");
        }
    }
    for issuer in &learned.issuers {
        found.require(NAME, card_expiry <= issuer.expiry, "the card outlives its issuer certificate");
        let good = good_on(issuer.expiry, card.context.today);
        found.require(NAME, good, "the issuer certificate has expired");
    }
    for icc in &learned.certificates {
        found.require(NAME, card_expiry <= icc.expiry, "the card outlives its ICC certificate");
    }
}

/// Candidates of one CVV, from every key that may have made it.
fn made(card: &Card<'_>, only: &str, expiries: &[Vec<u8>], code: &[u8]) -> BTreeSet<String> {
    let Some(pan) = &card.pan else { return BTreeSet::new() };
    let index = card.context.cvk_index;
    let special = card.keys.candidates(&format!("cvk:{only}"), index);
    let general = card.keys.candidates("cvk", index);
    let keys = general.iter().filter(|(at, _)| !special.iter().any(|(s, _)| s == at)).chain(&special);
    let mut out = BTreeSet::new();
    for (_, key) in keys {
        for expiry in expiries {
            out.extend(cvv(key, pan, expiry, code).map(|d| text_of(&d)));
        }
    }
    out
}

/// Whether discretionary data is what the product says with one of the CVVs, or at least holds one of them.
fn carries(card: &Card<'_>, pattern: Option<&str>, found: &str, cvvs: &BTreeSet<String>) -> bool {
    let returned = card.context.issuer_return.as_ref();
    let value_of = |cvv: &str, name: &str| match name {
        "cvv" | "icvv" => Some(cvv.to_owned()),
        "pvv" => returned.and_then(|r| r.pvv.as_deref()).map(|t| t.to_string()),
        "pvki" => returned.and_then(|r| r.pvki).map(|d| d.to_string()),
        _ => None,
    };
    let by_pattern = |cvv: &String| {
        let exact = pattern.and_then(|p| matches_pattern(p, found, |name| value_of(cvv, name)));
        exact.unwrap_or_else(|| found.contains(cvv.as_str()))
    };
    cvvs.iter().any(by_pattern)
}

/// CVV, iCVV, CVV2.
pub(in super::super) fn verification_values(card: &Card<'_>, found: &mut Findings) {
    let given = |value| card.context.given.contains(&value);
    let whole = |t: &Track| (t.expiry.to_vec(), t.service_code.to_vec());
    if !given(Given::Cvv1) && !given(Given::Track) {
        let tracks = [
            (&card.track1, card.context.track1_pattern.as_deref()),
            (&card.track2, card.context.track2_pattern.as_deref()),
        ];
        for (track, pattern) in tracks {
            let Some(track) = track else { continue };
            let (expiry, code) = whole(track);
            let cvvs = made(card, "cvv1", &[expiry], &code);
            if !cvvs.is_empty() {
                let right = carries(card, pattern, &track.discretionary, &cvvs);
                found.require(CheckName::Cvv, right, "the stripe does not carry its CVV");
            }
        }
    }
    let equivalents = card.payment().flat_map(|c| &c.paths).filter_map(|p| p.get(0x57));
    for track in equivalents.filter_map(track2_equivalent) {
        let cvvs = made(card, "icvv", &[track.expiry.to_vec()], &[9, 9, 9]);
        if !cvvs.is_empty() {
            let pattern = card.context.chip_track2_pattern.as_deref();
            let right = carries(card, pattern, &track.discretionary, &cvvs);
            found.require(CheckName::Icvv, right, "the chip does not carry its iCVV");
        }
    }
    if let (Some(printed), Some(track)) = (&card.line.print.cvv2, card.track()) {
        let good = printed.len() == 3 && digits(printed).is_some();
        if !good {
            found.fail(CheckName::Cvv2, "the CVV2 is not three digits");
        }
        if given(Given::Cvv2) {
            return;
        }
        let yymm = track.expiry.to_vec();
        let mmyy: Vec<u8> = yymm.iter().skip(2).chain(yymm.iter().take(2)).copied().collect();
        let orders = match card.context.cvv2_order {
            Some(ExpiryOrder::Yymm) => vec![yymm],
            Some(ExpiryOrder::Mmyy) => vec![mmyy],
            None => vec![yymm, mmyy],
        };
        let cvvs = made(card, "cvv2", &orders, &[0, 0, 0]);
        if !cvvs.is_empty() {
            found.require(
                CheckName::Cvv2,
                cvvs.contains(printed.as_str()),
                "the printed CVV2 is not the card's",
            );
        }
    }
}

//! Values in words: bits, codes, dates and lists decoded, card values masked.
//!
//! [`shown`] gives a value as it may be printed, [`meaning`] what it says. Both hide by default: a PAN keeps its first six
//! and last four digits; track data beyond the PAN, names, and values whose tag is not known are hidden.

mod bits;
mod codes;

use super::{Afl, CvmList, Dol, Format, Sensitivity, Tag, names};
use crate::bytes::hex_upper;

pub use codes::{country_name, currency_name, service_code_words};

/// Whether card values are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// PANs, track data, names and unknown values are hidden.
    Masked,
    /// Values are shown as they stand in the input.
    Unmasked,
}

/// The value as it may be printed: hexadecimal, or masked.
///
/// ```
/// use emv_dataprep::emv::{Tag, describe::{Masking, shown}};
/// let pan = [0x47, 0x61, 0x73, 0x90, 0x01, 0x01, 0x00, 0x10];
/// assert_eq!(shown(Tag::PAN, &pan, Masking::Masked), "476173******0010");
/// assert_eq!(shown(Tag::PAN, &pan, Masking::Unmasked), "4761739001010010");
/// ```
#[must_use]
pub fn shown(tag: Tag, value: &[u8], masking: Masking) -> String {
    if masking == Masking::Unmasked {
        return hex_upper(value);
    }
    match names::lookup(tag).map(|info| (info.sensitivity, info.format)) {
        Some((Sensitivity::Open, _)) => hex_upper(value),
        Some((Sensitivity::Pan, _)) => mask_digits(hex_upper(value).trim_end_matches('F')),
        Some((Sensitivity::Track, Format::Text)) => masked_track_1(value),
        Some((Sensitivity::Track, _)) => masked_track_2(value),
        Some((Sensitivity::Personal | Sensitivity::HoldsPan | Sensitivity::Secret, _)) | None => {
            hidden(value.len())
        }
    }
}

/// Words in place of a value that is not shown.
#[must_use]
pub fn hidden(len: usize) -> String {
    format!("({len} {} hidden)", if len == 1 { "byte" } else { "bytes" })
}

/// First six and last four digits; all of a text shorter than 12 is hidden.
#[must_use]
pub fn mask_digits(digits: &str) -> String {
    let count = digits.chars().count();
    let keep = if count < 12 { (0, 0) } else { (6, 4) };
    let from = count.saturating_sub(keep.1);
    digits.chars().enumerate().map(|(i, c)| if i < keep.0 || i >= from { c } else { '*' }).collect()
}

fn masked_track_2(value: &[u8]) -> String {
    match hex_upper(value).split_once('D') {
        Some((pan, rest)) => format!("{}D{}", mask_digits(pan), "*".repeat(rest.len())),
        None => hidden(value.len()),
    }
}

fn masked_track_1(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    match text.strip_prefix('B').and_then(|t| t.split_once('^')) {
        Some((pan, rest)) => format!("B{}^{}", mask_digits(pan), "*".repeat(rest.chars().count())),
        None => hidden(value.len()),
    }
}

/// What the value says, a line each; nothing if there are no words for it, or if it is hidden.
///
/// ```
/// use emv_dataprep::emv::{Tag, describe::{Masking, meaning}};
/// assert_eq!(meaning(Tag::AIP, &[0x21, 0x00], Masking::Masked), ["DDA supported", "CDA supported"]);
/// assert_eq!(meaning(Tag::EXPIRATION_DATE, &[0x30, 0x12, 0x31], Masking::Masked), ["2030-12-31"]);
/// ```
#[must_use]
pub fn meaning(tag: Tag, value: &[u8], masking: Masking) -> Vec<String> {
    if masking == Masking::Masked && names::lookup(tag).is_none_or(|i| i.sensitivity != Sensitivity::Open) {
        return Vec::new();
    }
    if let Some(table) = bits::table(tag, value.len()) {
        return bits::lines(table, value);
    }
    match tag {
        Tag::CVM_LIST => cvm_list(value),
        Tag::AFL => afl(value),
        Tag::CID => bits::cid(value),
        Tag::FFI => bits::form_factor(value),
        Tag::SERVICE_CODE => numeric(value).map_or_else(Vec::new, codes::service_code_words),
        Tag::ISSUER_COUNTRY_CODE
        | Tag::TERMINAL_COUNTRY_CODE
        | Tag::ISSUER_COUNTRY_CODE_RISK
        | Tag::CRM_COUNTRY_CODE => {
            numeric(value).and_then(codes::country_name).map(str::to_owned).into_iter().collect()
        }
        Tag::APPLICATION_CURRENCY_CODE
        | Tag::TRANSACTION_CURRENCY_CODE
        | Tag::VISA_APPLICATION_CURRENCY_CODE
        | Tag::ACCUMULATOR_1_CURRENCY_CODE
        | Tag::SECONDARY_CURRENCY_CODE => {
            numeric(value).and_then(codes::currency_name).map(str::to_owned).into_iter().collect()
        }
        Tag::APPLICATION_PRIORITY_INDICATOR => priority(value),
        Tag::LOG_ENTRY => log_entry(value),
        Tag::AID | Tag::DF_NAME | Tag::DDF_NAME => text(value),
        Tag::ATC
        | Tag::LAST_ONLINE_ATC
        | Tag::PIN_TRY_COUNTER
        | Tag::PIN_TRY_LIMIT
        | Tag::LCOL
        | Tag::UCOL
        | Tag::ISSUER_KEY_EXPONENT
        | Tag::ICC_KEY_EXPONENT
        | Tag::ICC_PIN_KEY_EXPONENT
        | Tag::SFI => integer(value),
        _ => match names::format_of(tag) {
            Format::Dol => dol(value),
            Format::Date => date(value).into_iter().collect(),
            Format::Text => text(value),
            _ => Vec::new(),
        },
    }
}

fn integer(value: &[u8]) -> Vec<String> {
    if value.len() > 8 || value.is_empty() {
        return Vec::new();
    }
    vec![value.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b)).to_string()]
}

/// Digits of format n as a number.
fn numeric(value: &[u8]) -> Option<u16> {
    hex_upper(value).parse().ok()
}

fn date(value: &[u8]) -> Option<String> {
    let text = hex_upper(value);
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = text.split_at_checked(2)?;
    let (month, day) = rest.split_at_checked(2)?;
    // Years 50 to 99 are 1950 to 1999 (EMV 4.4 Book 4, 6.7.3).
    let century = if year < "50" { "20" } else { "19" };
    Some(format!("{century}{year}-{month}-{day}"))
}

fn text(value: &[u8]) -> Vec<String> {
    let printable = !value.is_empty() && value.iter().all(|b| (0x20..0x7F).contains(b));
    if printable { vec![format!("\"{}\"", String::from_utf8_lossy(value))] } else { Vec::new() }
}

fn dol(value: &[u8]) -> Vec<String> {
    Dol::parse(value).map_or_else(
        |_| vec!["not a data object list".to_owned()],
        |dol| {
            let entries = dol
                .entries()
                .iter()
                .map(|e| format!("{} {} ({} bytes)", e.tag, names::name_of(e.tag), e.len));
            entries.chain([format!("{} bytes of data", dol.total_len())]).collect()
        },
    )
}

fn cvm_list(value: &[u8]) -> Vec<String> {
    CvmList::parse(value).map_or_else(
        |_| vec!["not a CVM list".to_owned()],
        |list| {
            let mut lines = Vec::new();
            if list.amount_x != 0 || list.amount_y != 0 {
                lines.push(format!("amount X {}, amount Y {}", list.amount_x, list.amount_y));
            }
            lines.extend(list.rules.iter().enumerate().map(|(i, r)| format!("{}. {r}", i.saturating_add(1))));
            lines
        },
    )
}

fn afl(value: &[u8]) -> Vec<String> {
    Afl::parse(value).map_or_else(
        |_| vec!["not a file locator".to_owned()],
        |afl| {
            let line = |e: &super::AflEntry| {
                let records = if e.first == e.last {
                    format!("record {}", e.first)
                } else {
                    format!("records {} to {}", e.first, e.last)
                };
                format!("SFI {}, {records}, {} signed", e.sfi, e.signed)
            };
            afl.entries().iter().map(line).collect()
        },
    )
}

fn priority(value: &[u8]) -> Vec<String> {
    let Some(b) = value.first() else { return Vec::new() };
    let mut lines = vec![match b & 0x0F {
        0 => "no priority".to_owned(),
        n => format!("priority {n}"),
    }];
    if b & 0x80 != 0 {
        lines.push("not to be selected without confirmation by the cardholder".to_owned());
    }
    lines
}

fn log_entry(value: &[u8]) -> Vec<String> {
    match value {
        [sfi, count] => vec![format!("SFI {sfi}, {count} records")],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::from_hex;

    fn say(tag: &str, hex: &str) -> Vec<String> {
        meaning(tag.parse().unwrap(), &from_hex(hex).unwrap(), Masking::Masked)
    }

    fn show(tag: &str, hex: &str) -> String {
        shown(tag.parse().unwrap(), &from_hex(hex).unwrap(), Masking::Masked)
    }

    #[test]
    fn card_values_are_masked() {
        assert_eq!(show("5A", "4761739001010010"), "476173******0010");
        // 15 digits, padded with F.
        assert_eq!(show("5A", "371449635398431F"), "371449*****8431");
        assert_eq!(show("57", "4761739001010010D22122011143878089"), "476173******0010D*****************");
        assert_eq!(show("9F6B", "000000010000"), "(6 bytes hidden)");
        // Track 1 of a public PayPass sample card.
        let track_1 = hex_upper(b"B5413123456784800^SUPPLIED/NOT^0906101330003330002222200011110");
        assert_eq!(show("56", &track_1), format!("B541312******4800^{}", "*".repeat(44)));
        for tag in ["9F1F", "9F20", "5F20", "9F0B", "9F24", "DF11", "99"] {
            assert_eq!(show(tag, "3132333435363738393031323334"), "(14 bytes hidden)", "{tag}");
            assert!(say(tag, "3132333435363738393031323334").is_empty(), "{tag}");
        }
        assert_eq!(mask_digits("12345678901"), "***********");
        let name = Tag::CARDHOLDER_NAME;
        assert_eq!(meaning(name, b"DOE/JANE", Masking::Unmasked), ["\"DOE/JANE\""]);
    }

    #[test]
    fn values_in_words() {
        assert_eq!(say("9F07", "FF00").len(), 8);
        assert_eq!(say("9F38", "9F1A02"), ["9F1A Terminal Country Code (2 bytes)", "2 bytes of data"]);
        assert_eq!(
            say("94", "0801010018010301"),
            ["SFI 1, record 1, 0 signed", "SFI 3, records 1 to 3, 1 signed"]
        );
        assert_eq!(say("8E", "00000000000000001F00"), ["1. no CVM required, always, else fail"]);
        assert_eq!(say("5F25", "950701"), ["1995-07-01"]);
        assert_eq!(say("5F28", "0250"), ["France"]);
        assert_eq!(say("9F42", "0978"), ["euro"]);
        assert_eq!(
            say("87", "81"),
            ["priority 1", "not to be selected without confirmation by the cardholder"]
        );
        assert_eq!(say("50", "56495341"), ["\"VISA\""]);
        assert_eq!(say("9F36", "0102"), ["258"]);
        assert_eq!(say("9F4D", "0B0A"), ["SFI 11, 10 records"]);
        assert_eq!(say("84", "325041592E5359532E4444463031"), ["\"2PAY.SYS.DDF01\""]);
        assert_eq!(say("8C", "9F"), ["not a data object list"]);
    }
}

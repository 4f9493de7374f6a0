//! Tables of flags, a row a bit, in the standard's words.

use crate::emv::{AipFlag, Tag};

/// A flag: byte from 1, bit mask, words.
pub(super) type Flag = (usize, u8, &'static str);

/// The flags of a value of `len` bytes.
pub(super) fn table(tag: Tag, len: usize) -> Option<Vec<Flag>> {
    let (flags, bytes): (&[Flag], usize) = match tag {
        Tag::AIP | Tag::AIP_CONTACTLESS => return (len == 2).then(aip),
        Tag::AUC => (AUC, 2),
        Tag::TVR | Tag::IAC_DEFAULT | Tag::IAC_DENIAL | Tag::IAC_ONLINE => (TVR, 5),
        Tag::TSI => (TSI, 2),
        Tag::CTQ => (CTQ, 2),
        Tag::TTQ => (TTQ, 4),
        Tag::TERMINAL_CAPABILITIES => (TERMINAL_CAPABILITIES, 3),
        _ => return None,
    };
    (len == bytes).then(|| flags.to_vec())
}

fn aip() -> Vec<Flag> {
    let flag = |f: &AipFlag| match f.mask().to_be_bytes() {
        [0, low] => (2, low, f.text()),
        [high, _] => (1, high, f.text()),
    };
    AipFlag::ALL.iter().map(flag).collect()
}

/// A line for each flag that is set, and one for bits that have no words.
pub(super) fn lines(table: Vec<Flag>, value: &[u8]) -> Vec<String> {
    let byte = |n: usize| n.checked_sub(1).and_then(|i| value.get(i)).copied().unwrap_or(0);
    let mut out: Vec<String> = table
        .iter()
        .filter(|(n, mask, _)| byte(*n) & mask != 0)
        .map(|(_, _, words)| (*words).to_owned())
        .collect();
    for (i, b) in value.iter().enumerate() {
        let number = i.saturating_add(1);
        let known = table.iter().filter(|(n, _, _)| *n == number).fold(0, |all, (_, mask, _)| all | mask);
        if b & !known != 0 {
            out.push(format!("byte {number}: reserved bits {:02X} are set", b & !known));
        }
    }
    out
}

/// Application usage control (EMV 4.4 Book 3, Annex C2).
const AUC: &[Flag] = &[
    (1, 0x80, "valid for domestic cash transactions"),
    (1, 0x40, "valid for international cash transactions"),
    (1, 0x20, "valid for domestic goods"),
    (1, 0x10, "valid for international goods"),
    (1, 0x08, "valid for domestic services"),
    (1, 0x04, "valid for international services"),
    (1, 0x02, "valid at ATMs"),
    (1, 0x01, "valid at terminals other than ATMs"),
    (2, 0x80, "domestic cashback allowed"),
    (2, 0x40, "international cashback allowed"),
];

/// Terminal verification results (EMV 4.4 Book 3, Annex C5; byte 5 bits 4 to 1: EMV Contactless Book C-2).
const TVR: &[Flag] = &[
    (1, 0x80, "offline data authentication was not performed"),
    (1, 0x40, "SDA failed"),
    (1, 0x20, "ICC data missing"),
    (1, 0x10, "card appears on terminal exception file"),
    (1, 0x08, "DDA failed"),
    (1, 0x04, "CDA failed"),
    (1, 0x02, "SDA selected"),
    (1, 0x01, "XDA selected"),
    (2, 0x80, "ICC and terminal have different application versions"),
    (2, 0x40, "expired application"),
    (2, 0x20, "application not yet effective"),
    (2, 0x10, "requested service not allowed for card product"),
    (2, 0x08, "new card"),
    (3, 0x80, "cardholder verification was not successful"),
    (3, 0x40, "unrecognised CVM"),
    (3, 0x20, "PIN try limit exceeded"),
    (3, 0x10, "PIN entry required and PIN pad not present or not working"),
    (3, 0x08, "PIN entry required, PIN pad present, but PIN was not entered"),
    (3, 0x04, "online CVM captured"),
    (4, 0x80, "transaction exceeds floor limit"),
    (4, 0x40, "lower consecutive offline limit exceeded"),
    (4, 0x20, "upper consecutive offline limit exceeded"),
    (4, 0x10, "transaction selected randomly for online processing"),
    (4, 0x08, "merchant forced transaction online"),
    (5, 0x80, "default TDOL used"),
    (5, 0x40, "issuer authentication failed"),
    (5, 0x20, "script processing failed before final GENERATE AC"),
    (5, 0x10, "script processing failed after final GENERATE AC"),
    (5, 0x08, "relay resistance threshold exceeded"),
    (5, 0x04, "relay resistance time limits exceeded"),
];

/// Transaction status information (EMV 4.4 Book 3, Annex C6).
const TSI: &[Flag] = &[
    (1, 0x80, "offline data authentication was performed"),
    (1, 0x40, "cardholder verification was performed"),
    (1, 0x20, "card risk management was performed"),
    (1, 0x10, "issuer authentication was performed"),
    (1, 0x08, "terminal risk management was performed"),
    (1, 0x04, "script processing was performed"),
];

/// Card transaction qualifiers (EMV Contactless Book C-3, Annex A).
const CTQ: &[Flag] = &[
    (1, 0x80, "online PIN required"),
    (1, 0x40, "signature required"),
    (1, 0x20, "go online if offline data authentication fails and the reader is online capable"),
    (1, 0x10, "switch interface if offline data authentication fails and the reader supports contact chip"),
    (1, 0x08, "go online if the application is expired"),
    (1, 0x04, "switch interface for cash transactions"),
    (1, 0x02, "switch interface for cashback transactions"),
    (2, 0x80, "consumer device CVM performed"),
    (2, 0x40, "card supports issuer update processing at the POS"),
];

/// Terminal transaction qualifiers (EMV Contactless Book A, 5.7; Book C-3).
const TTQ: &[Flag] = &[
    (1, 0x80, "mag-stripe mode supported"),
    (1, 0x20, "EMV mode supported"),
    (1, 0x10, "EMV contact chip supported"),
    (1, 0x08, "offline-only reader"),
    (1, 0x04, "online PIN supported"),
    (1, 0x02, "signature supported"),
    (1, 0x01, "offline data authentication for online authorizations supported"),
    (2, 0x80, "online cryptogram required"),
    (2, 0x40, "CVM required"),
    (2, 0x20, "offline PIN supported (contact chip)"),
    (3, 0x80, "issuer update processing supported"),
    (3, 0x40, "consumer device CVM supported"),
];

/// Terminal capabilities (EMV 4.4 Book 4, Annex A2).
const TERMINAL_CAPABILITIES: &[Flag] = &[
    (1, 0x80, "manual key entry"),
    (1, 0x40, "magnetic stripe"),
    (1, 0x20, "IC with contacts"),
    (2, 0x80, "plaintext PIN for ICC verification"),
    (2, 0x40, "enciphered PIN for online verification"),
    (2, 0x20, "signature"),
    (2, 0x10, "enciphered PIN for offline verification"),
    (2, 0x08, "no CVM required"),
    (3, 0x80, "SDA"),
    (3, 0x40, "DDA"),
    (3, 0x20, "card capture"),
    (3, 0x08, "CDA"),
];

/// Cryptogram information data (EMV 4.4 Book 3, 6.5.5.4).
pub(super) fn cid(value: &[u8]) -> Vec<String> {
    let [b] = value else { return Vec::new() };
    let mut out = vec![match b >> 6 {
        0 => "AAC: declined",
        1 => "TC: approved",
        2 => "ARQC: online authorisation requested",
        _ => "reserved cryptogram type",
    }];
    if b & 0x08 != 0 {
        out.push("advice required");
    }
    match b & 0x07 {
        0 => {}
        1 => out.push("service not allowed"),
        2 => out.push("PIN try limit exceeded"),
        3 => out.push("issuer authentication failed"),
        _ => out.push("reserved reason"),
    }
    out.into_iter().map(str::to_owned).collect()
}

/// Form factor indicator, four bytes (Visa; EMV Contactless Book C-3, Annex A).
pub(super) fn form_factor(value: &[u8]) -> Vec<String> {
    let [first, second, _, _] = value else { return Vec::new() };
    let kind = match first & 0x1F {
        0 => "standard card",
        1 => "mini card",
        2 => "non-card form factor",
        3 => "consumer mobile phone",
        4 => "wrist-worn device",
        _ => "form factor without words here",
    };
    let mut out = vec![format!("{kind}, version {}", first >> 5)];
    let features = [
        (0x80, "passcode capable"),
        (0x40, "signature panel"),
        (0x20, "hologram"),
        (0x10, "CVV2"),
        (0x08, "two-way messaging"),
        (0x04, "cloud based payment credentials"),
        (0x02, "biometric cardholder verification capable"),
    ];
    out.extend(features.iter().filter(|(mask, _)| second & mask != 0).map(|(_, words)| (*words).to_owned()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(tag: Tag, value: &[u8]) -> Vec<String> {
        lines(table(tag, value.len()).unwrap(), value)
    }

    #[test]
    fn no_bit_has_two_meanings() {
        for (tag, len) in [
            (Tag::AIP, 2),
            (Tag::AUC, 2),
            (Tag::TVR, 5),
            (Tag::TSI, 2),
            (Tag::CTQ, 2),
            (Tag::TTQ, 4),
            (Tag::TERMINAL_CAPABILITIES, 3),
        ] {
            let mut seen = std::collections::BTreeSet::new();
            for (n, mask, _) in table(tag, len).unwrap() {
                assert!(mask.count_ones() == 1 && n <= len && seen.insert((n, mask)), "{tag}");
            }
        }
        assert!(table(Tag::TTQ, 2).is_none());
    }

    #[test]
    fn known_values() {
        assert_eq!(
            say(Tag::TVR, &[0x80, 0, 0x20, 0, 0]),
            ["offline data authentication was not performed", "PIN try limit exceeded"]
        );
        assert_eq!(say(Tag::TVR, &[0, 0x01, 0, 0, 0]), ["byte 2: reserved bits 01 are set"]);
        assert_eq!(say(Tag::TSI, &[0xE8, 0]).len(), 4);
        assert_eq!(say(Tag::CTQ, &[0x28, 0x40])[2], "card supports issuer update processing at the POS");
        assert_eq!(cid(&[0x80]), ["ARQC: online authorisation requested"]);
        assert_eq!(cid(&[0x01]), ["AAC: declined", "service not allowed"]);
        assert_eq!(form_factor(&[0x23, 0x8C, 0, 0])[0], "consumer mobile phone, version 1");
        assert_eq!(form_factor(&[0x23, 0x8C, 0, 0]).len(), 4);
    }
}

//! Tests of the virtual card, and the host of a test: it wraps commands with primitives alone.

mod life;
mod published;
mod rules;
mod used;

use super::*;
use crate::crypto::mac::{Padding, retail_mac, tdes_cbc_mac};
use crate::crypto::tdes::TdesKey;

pub(super) const PAYMENT: &str = "A0000000031010";

pub(super) fn hex(text: &str) -> Vec<u8> {
    ::hex::decode(text.replace(' ', "")).unwrap()
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::new(hex(text))
}

pub(super) fn test_key() -> Secret {
    secret("404142434445464748494A4B4C4D4E4F")
}

/// Sends hexadecimal, gives upper-case hexadecimal.
pub(super) fn send(card: &mut VirtualCard, apdu: &str) -> String {
    ::hex::encode_upper(card.transmit(&hex(apdu)))
}

/// A card with SCP02 i=55, the test key thrice, sequence 0001, and these instances.
pub(super) fn card_with(instances: &[&str], change: impl FnOnce(&mut CardConfig)) -> VirtualCard {
    let mut config = CardConfig::new(Protocol::Scp02 { i: 0x55 }, StaticKeys::same(&test_key()));
    config.instances = instances.iter().map(|aid| hex(aid)).collect();
    let module = Module { load_file: hex("A000000333 01"), module: hex("A00000033301 01") };
    config.modules = vec![module];
    change(&mut config);
    VirtualCard::new(config).unwrap()
}

/// A host's end of SCP02, i=15 or 55.
pub(super) struct Host {
    enc: TdesKey,
    mac: TdesKey,
    pub(super) dek: TdesKey,
    last: [u8; 8],
    level: u8,
}

impl Host {
    /// Opens a channel with the selected application at a level of C-MAC and C-DECRYPTION.
    pub(super) fn open(card: &mut VirtualCard, level: u8) -> Self {
        let challenge = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
        let answer = card.transmit(&[&hex("8050000008"), &challenge[..], &[0]].concat());
        assert_eq!(answer.len(), 30);
        let sequence = &answer[12..14];
        let key = |constant: &str| {
            let mut block = [hex(constant), sequence.to_vec(), vec![0; 12]].concat();
            TdesKey::new(&test_key()).unwrap().encrypt_cbc([0; 8], &mut block).unwrap();
            TdesKey::from_bytes(&block).unwrap()
        };
        let mut host = Self { enc: key("0182"), mac: key("0101"), dek: key("0181"), last: [0; 8], level };
        let input = [&answer[12..20], &challenge].concat();
        let cryptogram = tdes_cbc_mac(&host.enc, [0; 8], Padding::Bit, &input);
        let head = [0x84, 0x82, level, 0, 16];
        host.last = retail_mac(&host.mac, [0; 8], Padding::Bit, &[&head[..], &cryptogram].concat());
        let answer = card.transmit(&[&head[..], &cryptogram, &host.last].concat());
        assert_eq!(answer, [0x90, 0], "EXTERNAL AUTHENTICATE");
        host
    }

    /// A command with its secure messaging.
    pub(super) fn wrap(&mut self, apdu: &str) -> Vec<u8> {
        let apdu = hex(apdu);
        let data = apdu.get(5..).unwrap_or_default();
        let lc = u8::try_from(data.len() + 8).unwrap();
        let head = [apdu[0] | 4, apdu[1], apdu[2], apdu[3], lc];
        let icv = self.mac.left_encrypt(self.last);
        self.last = retail_mac(&self.mac, icv, Padding::Bit, &[&head[..], data].concat());
        let mut body = data.to_vec();
        if self.level & 2 != 0 && !body.is_empty() {
            body = Padding::Bit.pad(&body, 8);
            self.enc.encrypt_cbc([0; 8], &mut body).unwrap();
        }
        let lc = u8::try_from(body.len() + 8).unwrap();
        [&head[..4], &[lc], &body, &self.last].concat()
    }

    pub(super) fn send(&mut self, card: &mut VirtualCard, apdu: &str) -> String {
        let wrapped = self.wrap(apdu);
        ::hex::encode_upper(card.transmit(&wrapped))
    }

    /// STORE DATA of one grouping in clear hexadecimal; secret ones are enciphered here.
    pub(super) fn store(&mut self, card: &mut VirtualCard, p1: u8, p2: u8, tag: &str, value: &str) -> String {
        let mut value = hex(value);
        if p1 & 0x60 == 0x60 {
            self.dek.encrypt_ecb(&mut value).unwrap();
        }
        let data = format!("{tag}{:02X}{}", value.len(), ::hex::encode_upper(value));
        self.send(card, &format!("80E2{p1:02X}{p2:02X}{:02X}{data}", data.len() / 2))
    }
}

/// A small payment application, whole: published PBOC values (FCI, keys, check values, PIN, 768-bit key), an AFL that
/// names one record.
pub(super) const WHOLE: [(&str, &str); 12] = [
    ("9102", "A50B500950424F432074657374"),
    ("9104", "82023900940408010100"),
    ("0101", "702B5A0862280001000011175F24033012318C159F02069F03069F1A0295055F2A029A039C019F37048D028A02"),
    ("3000", "9F36020000"),
    (
        "8000",
        "112233440066778811223344550077888B4F854F0831FBF2635A212E4DDDB92A11220044556677881122330055667788",
    ),
    ("9000", "97DCB0CE4E2CB37DF3"),
    ("9010", "0303"),
    ("8010", "241234FFFFFFFFFF"),
    (
        "8201",
        "A682730F9213805749E474FB08D6C00888592B188C7BD6D15CC8643854754ED4C8C32300D1631FF599F744C07C90F1BE",
    ),
    (
        "8202",
        "BB1B1E73C143A4C72B4470CCAE82346BEE3256E87CF548A4E9BCA698C81C52005EA0DE2FCA05053F0F01709EC7B97D73",
    ),
    (
        "8203",
        "24E27767845A44F87728FB3CFA9B528ECB0B3CCD0EF871442F63307AD8ADEFAE704A0136FBCF91A5BD1FEC1AEF6B6AB1",
    ),
    (
        "8204",
        "C8DE1801D80CDFCB0FC2FE4E6C7B1DCB99C9FBED69F4B9EA3EEAD4166BDE9CA582E587A870D7823EF64D73C320F5309F",
    ),
];
/// The last grouping of [`WHOLE`]: prime p.
pub(super) const P: (&str, &str) = (
    "8205",
    "FC03512FED42394B442611AAC061B66523EC90FB6745D31297CA310E1F6833FFFFCC5ED34BF8AC3B52C7AA754FCF298B",
);

/// Selects the payment application, opens a channel and stores all groupings but those left out; gives the answers.
pub(super) fn personalize(
    card: &mut VirtualCard,
    change: impl Fn(&str, &str) -> Option<String>,
) -> Vec<(String, String)> {
    assert!(send(card, &format!("00A4040007{PAYMENT}")).ends_with("9000"));
    let mut host = Host::open(card, 3);
    let all: Vec<_> = WHOLE
        .iter()
        .chain([&P])
        .filter_map(|(tag, value)| Some((tag.to_string(), change(tag, value)?)))
        .collect();
    let mut answers = Vec::new();
    for (n, (tag, value)) in all.iter().enumerate() {
        let last = if n + 1 == all.len() { 0x80 } else { 0 };
        let secret = if tag.starts_with('8') { 0x60 } else { 0 };
        let answer = host.store(card, last | secret, n as u8, tag, value);
        answers.push((tag.clone(), answer));
    }
    answers
}

/// The answers that are not 9000.
pub(super) fn refusals(answers: &[(String, String)]) -> Vec<(&str, &str)> {
    answers.iter().filter(|(_, sw)| sw != "9000").map(|(t, sw)| (t.as_str(), sw.as_str())).collect()
}

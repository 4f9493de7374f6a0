//! Session keys, cryptograms of every version, response cryptograms and issuer scripts, computed a second time by plain
//! code that shares nothing with the library (`tests/plain`, `tests/words`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;
mod words;

use emv_dataprep::card::Pin;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::cryptogram::{self, AcSession, ArpcKey, ArpcMethod, CryptogramVersion};
use emv_dataprep::issuer::script::{self, DataEncipherment, ScriptContext};
use emv_dataprep::issuer::session_key::{self, Tree};
use emv_dataprep::secret::Secret;
use plain::cases::{Cases, each, unhex};
use words::des::{parity, retail_mac, tdes, tdes_cbc};

fn word(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

/// Padding on bytes: with 80 before the zeros or without; nothing is added to whole blocks without.
fn padded(data: &[u8], first: Option<u8>, block: usize) -> Vec<u8> {
    let mut out = data.to_vec();
    out.extend(first);
    while out.is_empty() || !out.len().is_multiple_of(block) {
        out.push(0);
    }
    out
}

fn plain_common(mk: &[u8], r: &[u8]) -> Vec<u8> {
    if mk.len() == 16 && r.len() == 16 {
        return plain::aes::encrypt(mk, r);
    }
    let with = |third: u8| {
        let mut f = r.to_vec();
        f[2] = third;
        f
    };
    if r.len() == 8 {
        let mut key =
            [tdes(mk, word(&with(0xF0))).to_be_bytes(), tdes(mk, word(&with(0x0F))).to_be_bytes()].concat();
        parity(&mut key);
        return key;
    }
    let both = [plain::aes::encrypt(mk, &with(0xF0)), plain::aes::encrypt(mk, &with(0x0F))].concat();
    both[..mk.len()].to_vec()
}

fn cmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    plain::cmac(16, |b| plain::aes::encrypt(key, b), message)
}

#[test]
fn common_session_keys() {
    each("csk", |cases| {
        let mk = cases.bytes(16);
        let (r, un): ([u8; 8], [u8; 4]) = (cases.array(), cases.array());
        let atc: [u8; 2] = cases.array();
        let secret = Secret::copy_of(&mk);
        let got = |key: emv_dataprep::error::Result<Secret>| key.unwrap().expose().to_vec();
        assert_eq!(got(session_key::common_tdes(&secret, r)), plain_common(&mk, &r));
        let of_atc = [&atc[..], &[0; 6]].concat();
        let diversifier = session_key::diversifier_tdes(atc);
        assert_eq!(got(session_key::common_tdes(&secret, diversifier)), plain_common(&mk, &of_atc));
        let mastercard = [&atc[..], &[0; 2], &un].concat();
        assert_eq!(got(session_key::mastercard(&secret, atc, un)), plain_common(&mk, &mastercard));
        let counter = u64::from(u16::from_be_bytes(atc));
        let mut visa =
            [(word(&mk) ^ counter).to_be_bytes(), (word(&mk[8..]) ^ (counter ^ 0xFFFF)).to_be_bytes()]
                .concat();
        parity(&mut visa);
        assert_eq!(got(session_key::visa_secure_messaging(&secret, atc)), visa);
    });
}

#[test]
fn common_session_keys_under_aes() {
    each("csk-aes", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let mk = cases.bytes(len);
        let r: [u8; 16] = cases.array();
        let secret = Secret::copy_of(&mk);
        assert_eq!(session_key::common_aes(&secret, r).unwrap().expose(), plain_common(&mk, &r));
        let atc: [u8; 2] = cases.array();
        let of_atc = [&atc[..], &[0; 14]].concat();
        let got = session_key::common_aes(&secret, session_key::diversifier_aes(atc)).unwrap();
        assert_eq!(got.expose(), plain_common(&mk, &of_atc));
    });
}

/// The key tree as the annex defines it: the keys from the root to the leaf, the initial value before them.
fn plain_tree(mk: &[u8], atc: u16, height: u32, branch: u16, iv: &[u8]) -> Vec<u8> {
    let mut path = vec![iv.to_vec(), mk.to_vec()];
    for level in 1..=height {
        let step = u64::from(u32::from(atc) / u32::from(branch).pow(height - level) % u32::from(branch));
        let (above, parent) = (&path[path.len() - 2], &path[path.len() - 1]);
        let left = tdes(parent, word(above) ^ step);
        let right = tdes(parent, word(&above[8..]) ^ step ^ 0xF0);
        path.push([left.to_be_bytes(), right.to_be_bytes()].concat());
    }
    let (leaf, above) = (&path[path.len() - 1], &path[path.len() - 3]);
    let mut key: Vec<u8> = leaf.iter().zip(above).map(|(a, b)| a ^ b).collect();
    parity(&mut key);
    key
}

fn tree(name: &str, shape: Tree, height: u32, branch: u16) {
    each(name, |cases| {
        let (mk, iv, atc): (Vec<u8>, [u8; 16], [u8; 2]) = (cases.bytes(16), cases.array(), cases.array());
        let want = plain_tree(&mk, u16::from_be_bytes(atc), height, branch, &iv);
        let got = session_key::emv2000(&Secret::copy_of(&mk), atc, shape, iv).unwrap();
        assert_eq!(got.expose(), want);
    });
}

#[test]
fn tree_of_height_8() {
    tree("tree8", Tree::Height8, 8, 4);
}

#[test]
fn tree_of_height_16() {
    tree("tree16", Tree::Height16, 16, 2);
}

/// What each version does, as scheme documents tell it, one row each: the byte, the key of the cryptogram (`mk`, `skd`,
/// `csk`), the padding byte, the part of the issuer application data, ARPC method and key.
type Row = (CryptogramVersion, u8, &'static str, Option<u8>, &'static [(usize, usize)], u8, &'static str);

const VERSIONS: [Row; 10] = [
    (CryptogramVersion::Visa0A, 0x0A, "mk", None, &[(3, 7)], 1, "mk"),
    (CryptogramVersion::Visa11, 0x11, "mk", None, &[(4, 5)], 1, "mk"),
    (CryptogramVersion::Visa12, 0x12, "csk", Some(0x80), &[(0, 18)], 2, "sk"),
    (CryptogramVersion::Visa22, 0x22, "csk", Some(0x80), &[(0, 18)], 2, "sk"),
    (CryptogramVersion::MChip10, 0x10, "skd", Some(0x80), &[(2, 8)], 1, "mk"),
    (CryptogramVersion::MChip11, 0x11, "skd", Some(0x80), &[(2, 8), (10, 18)], 1, "mk"),
    (CryptogramVersion::MChip14, 0x14, "csk", Some(0x80), &[(2, 8)], 1, "sk"),
    (CryptogramVersion::MChip15, 0x15, "csk", Some(0x80), &[(2, 8), (10, 18)], 1, "sk"),
    (CryptogramVersion::CcdA5, 0xA5, "csk", Some(0x80), &[(0, 18)], 2, "sk"),
    (CryptogramVersion::CcdA6, 0xA6, "aes", Some(0x80), &[(0, 18)], 2, "sk"),
];

/// From the ICC master key to the issuer's answer, as the library's choices for the version lead.
fn library(version: CryptogramVersion, mk: &[u8], transaction: &Transaction) -> (Vec<u8>, Vec<u8>) {
    let Transaction { atc, un, data, iad, arc, csu, proprietary } = transaction;
    let secret = Secret::copy_of(mk);
    let all = [data.clone(), version.cryptogram_part(iad).unwrap()].concat();
    if version.session() == AcSession::CommonAes {
        let sk = session_key::common_aes(&secret, session_key::diversifier_aes(*atc)).unwrap();
        let ac = cryptogram::application_cryptogram_aes(&sk, &all).unwrap();
        assert_eq!(version.arpc_method(), ArpcMethod::Two);
        return (ac.to_vec(), cryptogram::arpc_method_2_aes(&sk, ac, *csu, proprietary).unwrap().to_vec());
    }
    let sk = match version.session() {
        AcSession::MasterKey => secret.duplicate(),
        AcSession::Mastercard => session_key::mastercard(&secret, *atc, *un).unwrap(),
        _ => session_key::common_tdes(&secret, session_key::diversifier_tdes(*atc)).unwrap(),
    };
    let ac = cryptogram::application_cryptogram(&TdesKey::new(&sk).unwrap(), version.padding(), &all);
    let key = match version.arpc_key() {
        ArpcKey::SessionKey => TdesKey::new(&sk).unwrap(),
        ArpcKey::MasterKey => TdesKey::new(&secret).unwrap(),
    };
    let arpc = match version.arpc_method() {
        ArpcMethod::One => cryptogram::arpc_method_1(&key, ac, *arc).to_vec(),
        ArpcMethod::Two => cryptogram::arpc_method_2(&key, ac, *csu, proprietary).unwrap().to_vec(),
    };
    (ac.to_vec(), arpc)
}

struct Transaction {
    atc: [u8; 2],
    un: [u8; 4],
    data: Vec<u8>,
    iad: Vec<u8>,
    arc: [u8; 2],
    csu: [u8; 4],
    proprietary: Vec<u8>,
}

impl Transaction {
    fn draw(cases: &mut Cases) -> Self {
        Self {
            atc: cases.array(),
            un: cases.array(),
            data: cases.up_to(50),
            iad: cases.bytes(18),
            arc: cases.array(),
            csu: cases.array(),
            proprietary: cases.up_to(9),
        }
    }
}

#[test]
fn cryptograms_and_responses_of_every_version() {
    assert_eq!(VERSIONS.map(|row| row.0), CryptogramVersion::ALL);
    for (version, byte, session, pad, parts, method, arpc_key) in VERSIONS {
        assert_eq!(version.byte(), byte);
        each(&format!("{version:?}"), |cases| {
            let len = if session == "aes" { cases.one_of(&[16, 24, 32]) } else { 16 };
            let mk = cases.bytes(len);
            let t = Transaction::draw(cases);
            let mut all = t.data.clone();
            parts.iter().for_each(|(from, to)| all.extend(&t.iad[*from..*to]));
            let sk = match session {
                "mk" => mk.clone(),
                "skd" => plain_common(&mk, &[&t.atc[..], &[0, 0], &t.un].concat()),
                "csk" => plain_common(&mk, &[&t.atc[..], &[0; 6]].concat()),
                _ => plain_common(&mk, &[&t.atc[..], &[0; 14]].concat()),
            };
            let mac = |key: &[u8], data: &[u8], pad| {
                if session == "aes" {
                    cmac(key, data)[..8].to_vec()
                } else {
                    retail_mac(key, &padded(data, pad, 8)).to_be_bytes().to_vec()
                }
            };
            let ac = mac(&sk, &all, pad);
            let key = if arpc_key == "mk" { &mk } else { &sk };
            let arpc = if method == 1 {
                let x = word(&ac) ^ (u64::from(u16::from_be_bytes(t.arc)) << 48);
                tdes(key, x).to_be_bytes().to_vec()
            } else {
                mac(key, &[&ac[..], &t.csu, &t.proprietary].concat(), Some(0x80))[..4].to_vec()
            };
            assert_eq!(library(version, &mk, &t), (ac, arpc), "{version:?}");
        });
    }
}

#[test]
fn responses_by_both_methods() {
    each("arpc", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let (key, aes) = (cases.bytes(16), cases.bytes(len));
        let (arqc, arc, csu): ([u8; 8], [u8; 2], [u8; 4]) = (cases.array(), cases.array(), cases.array());
        let proprietary = cases.up_to(9);
        let cipher = TdesKey::from_bytes(&key).unwrap();
        let x = word(&arqc) ^ (u64::from(u16::from_be_bytes(arc)) << 48);
        assert_eq!(cryptogram::arpc_method_1(&cipher, arqc, arc), tdes(&key, x).to_be_bytes());
        let mut block = x.to_be_bytes().to_vec();
        block.resize(16, 0);
        let secret = Secret::copy_of(&aes);
        let got = cryptogram::arpc_method_1_aes(&secret, arqc, arc).unwrap();
        assert_eq!(got, plain::aes::encrypt(&aes, &block)[..8]);
        let message = [&arqc[..], &csu, &proprietary].concat();
        let want = retail_mac(&key, &padded(&message, Some(0x80), 8)).to_be_bytes();
        assert_eq!(cryptogram::arpc_method_2(&cipher, arqc, csu, &proprietary).unwrap(), want[..4]);
        let got = cryptogram::arpc_method_2_aes(&secret, arqc, csu, &proprietary).unwrap();
        assert_eq!(got, cmac(&aes, &message)[..4]);
    });
}

#[test]
fn cryptograms_with_either_padding() {
    each("ac", |cases| {
        let (key, data) = (cases.bytes(16), cases.up_to(70));
        let cipher = TdesKey::from_bytes(&key).unwrap();
        for (padding, first) in [(Padding::Bit, Some(0x80)), (Padding::Zeros, None)] {
            let want = retail_mac(&key, &padded(&data, first, 8)).to_be_bytes();
            assert_eq!(cryptogram::application_cryptogram(&cipher, padding, &data), want);
        }
    });
}

#[test]
fn script_macs() {
    each("script-mac", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let (key, aes, data) = (cases.bytes(16), cases.bytes(len), cases.up_to(40));
        let (header, atc, ac): ([u8; 5], [u8; 2], [u8; 8]) = (cases.array(), cases.array(), cases.array());
        let wanted = 4 + cases.below(5) as usize;
        let (tdes_key, aes_key) = (TdesKey::from_bytes(&key).unwrap(), Secret::copy_of(&aes));
        let in_transaction = ScriptContext::Transaction { atc, cryptogram: ac };
        for (context, message) in [
            (in_transaction, [&header[..], &atc, &ac, &data].concat()),
            (ScriptContext::Command, [&header[..], &data].concat()),
        ] {
            let want = retail_mac(&key, &padded(&message, Some(0x80), 8)).to_be_bytes();
            assert_eq!(script::mac(&tdes_key, header, context, &data, wanted).unwrap(), want[..wanted]);
            let got = script::mac_aes(&aes_key, header, context, &data, wanted).unwrap();
            assert_eq!(got, cmac(&aes, &message)[..wanted]);
        }
        let head: [u8; 4] = cases.array();
        let (chain, long): ([u8; 8], [u8; 16]) = (cases.array(), cases.array());
        let chained = cases.below(2) == 1;
        let message = |block: usize, chain: &[u8]| {
            let mut out = if chained { chain.to_vec() } else { Vec::new() };
            out.extend(padded(&head, Some(0x80), block));
            if !data.is_empty() {
                out.extend(padded(&data, Some(0x80), block));
            }
            out
        };
        let got = script::mac_format_1(&tdes_key, head, &data, chained.then_some(chain), wanted).unwrap();
        assert_eq!(got, retail_mac(&key, &message(8, &chain)).to_be_bytes()[..wanted]);
        let got = script::mac_format_1_aes(&aes_key, head, &data, chained.then_some(long), wanted).unwrap();
        assert_eq!(got, cmac(&aes, &message(16, &long))[..wanted]);
    });
}

#[test]
fn command_data() {
    each("script-data", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let (key, aes, data) = (cases.bytes(16), cases.bytes(len), cases.up_to(40));
        let cipher = TdesKey::from_bytes(&key).unwrap();
        let ecb = |data: &[u8]| -> Vec<u8> {
            data.chunks(8).flat_map(|b| tdes(&key, word(b)).to_be_bytes()).collect()
        };
        let whole = [&data[..data.len() / 8 * 8]].concat();
        assert_eq!(script::encipher(&cipher, DataEncipherment::Plain, &whole).unwrap(), ecb(&whole));
        let visa = padded(&[&[data.len() as u8], &data[..]].concat(), Some(0x80), 8);
        assert_eq!(script::encipher(&cipher, DataEncipherment::Visa, &data).unwrap(), ecb(&visa));
        let always = padded(&data, Some(0x80), 8);
        let ccd = tdes_cbc(&key, &always);
        assert_eq!(script::encipher(&cipher, DataEncipherment::Ccd, &data).unwrap(), ccd);
        let where_needed = if data.len().is_multiple_of(8) { data.clone() } else { always };
        let mastercard = tdes_cbc(&key, &where_needed);
        assert_eq!(script::encipher(&cipher, DataEncipherment::Mastercard, &data).unwrap(), mastercard);
        let want = plain::cbc(16, |b| plain::aes::encrypt(&aes, b), &[0; 16], &padded(&data, Some(0x80), 16));
        assert_eq!(script::encipher_aes(&Secret::copy_of(&aes), &data).unwrap(), want);
    });
}

#[test]
fn pin_change_blocks_of_visa() {
    let pin = |text: &str| Pin::from_digits(&text.bytes().map(|b| b - b'0').collect::<Vec<_>>()).unwrap();
    each("pin-change", |cases| {
        let (mk, new, current) = (cases.bytes(16), cases.pin(), cases.pin());
        let mut block = word(&unhex(&format!("{:F<16}", format!("0{:X}{new}", new.len()))));
        block ^= word(&mk) & 0xFFFF_FFFF;
        let secret = Secret::copy_of(&mk);
        let got = script::visa_pin_change_block(&secret, &pin(&new), None).unwrap();
        assert_eq!(*got, block.to_be_bytes());
        let with = block ^ word(&unhex(&format!("{current:0<16}")));
        let got = script::visa_pin_change_block(&secret, &pin(&new), Some(&pin(&current))).unwrap();
        assert_eq!(*got, with.to_be_bytes());
    });
}

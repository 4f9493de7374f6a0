//! Key check values, key blocks, components and derived keys, computed a second time by plain code that shares nothing
//! with the library (`tests/plain`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;

use emv_dataprep::keys::tr31::{
    Algorithm, Exportability, Header, Mode, OptionalBlock, Usage, Version, unwrap, wrap_with_pad,
};
use emv_dataprep::keys::{
    ChannelKey, Diversification, KcvMethod, KeyAlgorithm, Parity, Scp02Key, Scp03Cryptogram, Scp03Key,
    combine_components,
};
use emv_dataprep::secret::Secret;
use plain::cases::{Cases, each, hex};

fn tdes(key: &[u8], block: &[u8]) -> Vec<u8> {
    plain::des::tdes_encrypt(key, block)
}

fn aes_cmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    plain::cmac(16, |b| plain::aes::encrypt(key, b), message)
}

#[test]
fn key_check_values() {
    each("kcv", |cases| {
        for (algorithm, len) in [
            (KeyAlgorithm::Tdes2, 16),
            (KeyAlgorithm::Tdes3, 24),
            (KeyAlgorithm::Aes128, 16),
            (KeyAlgorithm::Aes192, 24),
            (KeyAlgorithm::Aes256, 32),
            (KeyAlgorithm::Hmac, 32),
        ] {
            let key = cases.bytes(len);
            for method in KcvMethod::ALL {
                let value = match (method, algorithm) {
                    (KcvMethod::Tdes, KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3) => {
                        Some((tdes(&key, &[0; 8]), 3))
                    }
                    (KcvMethod::TdesCmac, KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3) => {
                        Some((plain::cmac(8, |b| tdes(&key, b), &[0; 8]), 5))
                    }
                    (KcvMethod::Hmac, KeyAlgorithm::Hmac) => Some((plain::sha::hmac_sha256(&key, &[]), 3)),
                    (_, KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 | KeyAlgorithm::Hmac) => None,
                    (KcvMethod::AesCmac, _) => Some((aes_cmac(&key, &[0; 16]), 5)),
                    (KcvMethod::AesEcb, _) => Some((plain::aes::encrypt(&key, &[0; 16]), 3)),
                    (KcvMethod::AesGp, _) => Some((plain::aes::encrypt(&key, &[1; 16]), 3)),
                    _ => None,
                };
                let got = method.compute(&Secret::copy_of(&key), algorithm);
                match value {
                    Some((whole, len)) => assert_eq!(got.unwrap().to_string(), hex(&whole[..len])),
                    None => assert!(got.is_err(), "{method} of {algorithm:?}"),
                }
            }
        }
    });
}

struct Block {
    kbpk: Vec<u8>,
    header: Header,
    key: Vec<u8>,
    pad: Vec<u8>,
}

fn draw_block(cases: &mut Cases, version: Version) -> Block {
    let (sizes, block): (&[usize], usize) =
        if version == Version::D { (&[16, 24, 32], 16) } else { (&[16, 24], 8) };
    let kbpk_len = cases.one_of(sizes);
    let kbpk = cases.bytes(kbpk_len);
    let (algorithm, len) =
        cases.one_of(&[(b'T', 16), (b'T', 24), (b'A', 16), (b'A', 24), (b'A', 32), (b'H', 32)]);
    let key = cases.bytes(len);
    let pad_len = block * (1 + cases.below(3) as usize) - (len + 2) % block;
    let pad = cases.bytes(pad_len);
    let usage: Usage = cases
        .one_of(&["E0", "E1", "E2", "E3", "E4", "E6", "C0", "V1", "V2", "P0", "K0", "D0"])
        .parse()
        .unwrap();
    let mode = Mode::from_letter(cases.one_of(b"XGEBDNCV")).unwrap();
    let exportability =
        cases.one_of(&[Exportability::Exportable, Exportability::Not, Exportability::Sensitive]);
    let mut header = Header::new(version, usage, Algorithm::from_letter(algorithm).unwrap(), mode)
        .exportable(exportability)
        .with_key_version(cases.one_of(&[*b"00", *b"12", *b"c1"]).map(|b| b.to_ascii_uppercase()))
        .unwrap();
    for id in ["KS", "TS", "10"].iter().take(cases.below(4) as usize) {
        // Some are longer than 255 characters.
        let len = if cases.below(8) == 0 { 240 + cases.below(40) } else { cases.below(30) };
        let data: String = (0..len).map(|_| char::from(b'A' + cases.below(26) as u8)).collect();
        header = header.with_block(OptionalBlock::new(id, &data).unwrap());
    }
    Block { kbpk, header, key, pad }
}

/// The header as X9.143 writes it, the fill of an optional block `PB` taken from what the library wrote.
fn plain_header(b: &Block, total: usize, got: &str) -> String {
    let mut blocks = String::new();
    let mut count = 0;
    for block in b.header.optional_blocks() {
        let (id, data) = (block.id(), block.data());
        if data.len() + 4 < 256 {
            blocks += &format!("{id}{:02X}{data}", data.len() + 4);
        } else {
            blocks += &format!("{id}0004{:04X}{data}", data.len() + 10);
        }
        count += 1;
    }
    let unit = if b.header.version() == Version::D { 16 } else { 8 };
    if !blocks.len().is_multiple_of(unit) {
        let mut len = unit - blocks.len() % unit;
        while len < 4 {
            len += unit;
        }
        let at = 16 + blocks.len();
        blocks += &format!("PB{len:02X}{}", &got[at + 4..at + len]);
        count += 1;
    }
    format!(
        "{}{total:04}{}{}{}{}{}{count:02}00{blocks}",
        char::from(b.header.version().letter()),
        b.header.usage(),
        char::from(b.header.algorithm().letter()),
        char::from(b.header.mode().letter()),
        b.header.key_version(),
        char::from(b.header.exportability().letter()),
    )
}

fn key_blocks(name: &str, version: Version) {
    each(name, |cases| {
        let b = draw_block(cases, version);
        let (kbpk, key) = (Secret::copy_of(&b.kbpk), Secret::copy_of(&b.key));
        let got = wrap_with_pad(&kbpk, &b.header, &key, &b.pad).unwrap();
        let header = plain_header(&b, got.len(), &got);
        let want = plain::key_block(&b.kbpk, &header, &b.key, &b.pad);
        assert_eq!(got, want);
        // What the plain computation wrote is read: the header is the one that was written, the key the same.
        let (read, found) = unwrap(&kbpk, &want).unwrap();
        assert_eq!(found, key);
        assert_eq!((read.usage(), read.mode(), read.version()), (b.header.usage(), b.header.mode(), version));
        // One changed character, header or not: refused.
        let at = cases.below(want.len() as u64) as usize;
        let mut changed = want.into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        assert!(unwrap(&kbpk, &String::from_utf8(changed).unwrap()).is_err(), "character {at}");
    });
}

#[test]
fn key_blocks_of_version_a() {
    key_blocks("tr31-a", Version::A);
}

#[test]
fn key_blocks_of_version_b() {
    key_blocks("tr31-b", Version::B);
}

#[test]
fn key_blocks_of_version_c() {
    key_blocks("tr31-c", Version::C);
}

#[test]
fn key_blocks_of_version_d() {
    key_blocks("tr31-d", Version::D);
}

#[test]
fn components() {
    each("components", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let parts: Vec<Vec<u8>> = (0..2 + cases.below(3)).map(|_| cases.bytes(len)).collect();
        let secrets: Vec<Secret> = parts.iter().map(|p| Secret::copy_of(p)).collect();
        let whole = parts.iter().skip(1).fold(parts[0].clone(), |key, part| plain::xor(&key, part));
        assert_eq!(combine_components(&secrets, Parity::Keep).unwrap().expose(), whole);
        let odd: Vec<u8> = whole
            .iter()
            .map(|b| b & 0xFE | u8::from((1..8).filter(|i| b >> i & 1 == 1).count() % 2 == 0))
            .collect();
        assert_eq!(combine_components(&secrets, Parity::Adjust).unwrap().expose(), odd);
    });
}

#[test]
fn card_keys_of_the_personalization_site() {
    each("diversify", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let (tdes_master, aes_master) = (cases.bytes(16), cases.bytes(len));
        let data = cases.bytes(10);
        for (n, key) in [(1, ChannelKey::Enc), (2, ChannelKey::Mac), (3, ChannelKey::Dek)] {
            for (method, part) in [
                (Diversification::EmvCps, data[4..].to_vec()),
                (Diversification::Visa2, [&data[..2], &data[4..8]].concat()),
            ] {
                let half = |with: u8| tdes(&tdes_master, &[&part[..], &[with, n]].concat());
                let got = method.derive(&Secret::copy_of(&tdes_master), &data, key).unwrap();
                assert_eq!(got.expose(), [half(0xF0), half(0x0F)].concat(), "{method:?}");
            }
            let counted = |i: u8| aes_cmac(&aes_master, &[&[i, 0, 0, 0, n, 0], &data[..]].concat());
            let want = [counted(1), counted(2)].concat();
            let got = Diversification::Kdf3.derive(&Secret::copy_of(&aes_master), &data, key).unwrap();
            assert_eq!(got.expose(), &want[..len]);
        }
    });
}

#[test]
fn secure_channel_keys() {
    each("scp", |cases| {
        let len = cases.one_of(&[16, 24, 32]);
        let (old, key) = (cases.bytes(16), cases.bytes(len));
        let (sequence, context): ([u8; 2], [u8; 16]) = (cases.array(), cases.array());
        for (constant, which) in [
            (0x0101_u16, Scp02Key::CMac),
            (0x0102, Scp02Key::RMac),
            (0x0181, Scp02Key::Dek),
            (0x0182, Scp02Key::Enc),
        ] {
            let data = [&constant.to_be_bytes()[..], &sequence, &[0; 12]].concat();
            let want = plain::cbc(8, |b| tdes(&old, b), &[0; 8], &data);
            assert_eq!(which.derive(&Secret::copy_of(&old), sequence).unwrap().expose(), want);
        }
        let kdf = |constant: u8, bits: u16, i: u8| {
            let [high, low] = bits.to_be_bytes();
            let label = [&[0; 11][..], &[constant, 0, high, low, i], &context].concat();
            aes_cmac(&key, &label)
        };
        let bits = (len * 8) as u16;
        for (constant, which) in [(4, Scp03Key::Enc), (6, Scp03Key::Mac), (7, Scp03Key::RMac)] {
            let want = [kdf(constant, bits, 1), kdf(constant, bits, 2)].concat();
            let got = which.derive(&Secret::copy_of(&key), &context).unwrap();
            assert_eq!(got.expose(), &want[..len]);
        }
        for (constant, which) in [(0, Scp03Cryptogram::Card), (1, Scp03Cryptogram::Host)] {
            let got = which.compute(&Secret::copy_of(&key), &context).unwrap();
            assert_eq!(got, kdf(constant, 64, 1)[..8]);
        }
    });
}

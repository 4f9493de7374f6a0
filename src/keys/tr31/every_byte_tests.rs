//! Every byte of a key block, changed to every other value, is refused.

use super::*;
use crate::crypto::rng::{Purpose, Seed};
use crate::keys::{KeyAlgorithm, KeyUse};

fn blocks(version: Version) -> (Secret, Vec<String>) {
    let kbpk = match version {
        Version::D => Secret::new((0x40..0x60).collect()),
        _ => Secret::new((0x40..0x58).collect()),
    };
    let block = |id: &str, data: &str| OptionalBlock::new(id, data).unwrap();
    let bare = Header::for_use(KeyUse::ImkAc, KeyAlgorithm::Tdes2, version);
    let headers = [
        bare.clone(),
        bare.clone().exportable(Exportability::Sensitive).with_key_version(*b"12").unwrap(),
        bare.clone().with_block(block("TC", "20260615120000Z")),
        bare.clone()
            .with_block(block("KC", "0008D7B4"))
            .with_block(block("KP", "0108D7B4FB62"))
            .with_block(block("LB", "Issuer master key, set 1"))
            .with_block(block("TS", "20260615120000Z")),
        bare.with_block(block("CT", &"00MIIB".repeat(43))),
    ];
    let mut rng = Seed::fixed([0x31; 32]).named_stream(b"every byte", Purpose::TestIssuer).rng();
    let key = Secret::new(crate::bytes::from_hex("4C37C8319D76ADAB58D9431543C2165B").unwrap());
    let wrapped = headers.iter().map(|header| wrap(&kbpk, header, &key, &mut rng).unwrap());
    let blocks: Vec<String> = wrapped.collect();
    for block in &blocks {
        assert_eq!(unwrap(&kbpk, block).unwrap().1, key);
    }
    (kbpk, blocks)
}

/// Bytes that are no ASCII can make text only together; one of them alone is no text, so no key block.
fn is_refused(kbpk: &Secret, block: &[u8]) -> bool {
    std::str::from_utf8(block).map_or(true, |text| unwrap(kbpk, text).is_err())
}

fn every_changed_byte_is_refused(version: Version) {
    let (kbpk, blocks) = blocks(version);
    for block in blocks {
        let mut bytes = block.into_bytes();
        for at in 0..bytes.len() {
            let right = bytes[at];
            for value in (0..=u8::MAX).filter(|v| *v != right) {
                bytes[at] = value;
                assert!(is_refused(&kbpk, &bytes), "{version}: byte {at} from {right:02X} to {value:02X}");
            }
            bytes[at] = right;
        }
        assert!(!is_refused(&kbpk, &bytes));
    }
}

#[test]
fn version_a() {
    every_changed_byte_is_refused(Version::A);
}

#[test]
fn version_b() {
    every_changed_byte_is_refused(Version::B);
}

#[test]
fn version_c() {
    every_changed_byte_is_refused(Version::C);
}

#[test]
fn version_d() {
    every_changed_byte_is_refused(Version::D);
}

/// Optional blocks that change places, vanish or are added.
#[test]
fn optional_blocks_cannot_be_moved_removed_or_added() {
    for version in [Version::A, Version::B, Version::C, Version::D] {
        let (kbpk, blocks) = blocks(version);
        for block in &blocks {
            let (header, _) = unwrap(&kbpk, block).unwrap();
            let head = header.encode(0).unwrap().len();
            let payload = &block[head..];
            let mut others = vec![header.clone().with_block(OptionalBlock::new("LB", "more").unwrap())];
            if !header.optional_blocks().is_empty() {
                let mut bare = header.clone();
                bare.optional.clear();
                let mut turned = header.clone();
                turned.optional.reverse();
                others.push(bare);
                others.extend((turned != header).then_some(turned));
            }
            for other in others {
                let text = format!("{}{payload}", other.encode(payload.len()).unwrap());
                assert!(unwrap(&kbpk, &text).is_err(), "{other}");
            }
        }
    }
}

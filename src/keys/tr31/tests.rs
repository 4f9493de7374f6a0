use proptest::prelude::*;

use super::*;
use crate::crypto::rng::{Purpose, Seed};
use crate::keys::{KeyAlgorithm, KeyUse};

fn secret(hex: &str) -> Secret {
    Secret::new(crate::bytes::from_hex(hex).unwrap())
}

fn rng() -> StreamRng {
    Seed::fixed([7; 32]).named_stream(b"tr31", Purpose::TestIssuer).rng()
}

fn kbpk(version: Version) -> Secret {
    match version {
        Version::D => Secret::new((1..33).collect()),
        _ => secret("0123456789ABCDEFFEDCBA98765432101032547698BADCFE"),
    }
}

const VERSIONS: [Version; 4] = [Version::A, Version::B, Version::C, Version::D];
const CVK: &str = "4C37C8319D76ADAB58D9431543C2165B";

/// X9.143 8.1 (TR-31:2018 A.7.4): an AES key under an AES key.
#[test]
fn x9_143_example_version_d() {
    let kbpk = secret("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6");
    let block = "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34";
    let opened = open(&kbpk, block).unwrap();
    assert_eq!(opened.key, secret("3F419E1CB7079442AA37474C2EFBF8B8"));
    assert_eq!(opened.header.usage(), Usage::P0);
    assert_eq!(wrap_with_pad(&kbpk, &opened.header, &opened.key, &opened.pad).unwrap(), block);
}

/// Every character of the header, changed to every other printable character, is refused: by form or by MAC.
#[test]
fn every_changed_header_character_is_refused() {
    for version in VERSIONS {
        let kbpk = kbpk(version);
        let header = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, version)
            .with_block(OptionalBlock::new("TS", "20290615120000Z").unwrap());
        let block = wrap(&kbpk, &header, &secret(CVK), &mut rng()).unwrap();
        let head_len = header.to_string().len();
        assert!(head_len > 30);
        for at in 0..block.len() {
            // The payload: three changes a place are enough, the header: all.
            let all: Vec<u8> = (0x20..0x7F).collect();
            let tries = if at < head_len { all } else { b"0Aa".to_vec() };
            for change in tries {
                let mut bytes = block.clone().into_bytes();
                if bytes[at] == change {
                    continue;
                }
                bytes[at] = change;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(unwrap(&kbpk, &changed).is_err(), "{version}: character {at} as {change:02X}");
            }
        }
        assert!(unwrap(&kbpk, &block[..block.len() - 2]).is_err());
        assert!(unwrap(&kbpk, &format!("{block}00")).is_err());
    }
}

#[test]
fn refusals_of_protected_data_are_all_the_same() {
    let right = kbpk(Version::D);
    let header = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, Version::D);
    let block = wrap(&right, &header, &secret(CVK), &mut rng()).unwrap();
    let wrong_key = unwrap(&Secret::new(vec![9; 32]), &block).unwrap_err();
    let flip = |at: usize| {
        let mut bytes = block.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        unwrap(&right, std::str::from_utf8(&bytes).unwrap()).unwrap_err()
    };
    for at in [20, 60, block.len() - 1] {
        assert_eq!(flip(at), wrong_key);
    }
    // psec's test of a block that is authentic and states more bits than it holds.
    let odd = "D0080M3TC00E000007E81A7F29A870D4A0CD5AB27E9FEC4A8863E879B11EA3A0ADA406AD26D35B2F";
    assert_eq!(unwrap(&Secret::new(vec![0x45; 16]), odd).unwrap_err(), wrong_key);
}

#[test]
fn an_extended_length_block_round_trips() {
    for (version, len) in [(Version::B, 251), (Version::B, 252), (Version::D, 300), (Version::D, 4000)] {
        let data = "A".repeat(len);
        let header = Header::for_use(KeyUse::ImkAc, KeyAlgorithm::Tdes2, version)
            .with_block(OptionalBlock::new("CT", &data).unwrap());
        let block = wrap(&kbpk(version), &header, &secret(CVK), &mut rng()).unwrap();
        let (got, _) = unwrap(&kbpk(version), &block).unwrap();
        assert_eq!(got.optional_blocks()[0].data(), data);
        assert_eq!(block.contains("CT0004"), len > 251);
    }
    let huge = Header::for_use(KeyUse::ImkAc, KeyAlgorithm::Tdes2, Version::D)
        .with_block(OptionalBlock::new("CT", &"A".repeat(9990)).unwrap());
    assert!(wrap(&kbpk(Version::D), &huge, &secret(CVK), &mut rng()).is_err());
}

fn import(header: &Header, key: &str, policy: &Policy) -> Result<Imported> {
    let kbpk = kbpk(header.version());
    policy.import(&kbpk, &wrap(&kbpk, header, &secret(key), &mut rng()).unwrap())
}

#[test]
fn policy_lets_in_what_the_use_allows_and_nothing_else() {
    for of in KeyUse::ALL {
        let algorithm = if *of == KeyUse::Ledger { KeyAlgorithm::Hmac } else { KeyAlgorithm::Tdes2 };
        let key = if *of == KeyUse::Ledger { CVK.repeat(2) } else { CVK.to_owned() };
        let block = Header::for_use(*of, algorithm, Version::D);
        for wanted in KeyUse::ALL {
            let same = of.key_block_usages().iter().any(|u| wanted.key_block_usages().contains(u));
            let got = import(&block, &key, &Policy::for_use(*wanted));
            assert_eq!(got.is_ok(), same, "{of} as {wanted}");
        }
    }
    let verify_only = Header::new(Version::D, Usage::C0, Algorithm::TDEA, Mode::VERIFY);
    let error = import(&verify_only, CVK, &Policy::for_use(KeyUse::Cvk)).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::KeyUsage);
}

fn reason(result: Result<Imported>) -> &'static str {
    match result.unwrap_err().kind() {
        ErrorKind::KeyRefused(reason) => reason,
        _ => "another kind of error",
    }
}

#[test]
fn policy_refuses_weak_keys_and_old_versions() {
    let policy = Policy::for_use(KeyUse::Cvk);
    let d = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, Version::D);
    let weak = "01010101010101014C37C8319D76ADAB";
    assert_eq!(reason(import(&d, weak, &policy)), "a part is a weak DES key");
    let equal = "4C37C8319D76ADAB4C37C8319D76ADAB";
    assert_eq!(reason(import(&d, equal, &policy)), "two neighbouring parts are equal");
    let equal_but_parity = "4C37C8319D76ADAB4D36C9309C77ACAA";
    assert_eq!(reason(import(&d, equal_but_parity, &policy)), "two neighbouring parts are equal");
    let k3_is_k1 = "4C37C8319D76ADAB58D9431543C2165B4C37C8319D76ADAB";
    assert_eq!(import(&d, k3_is_k1, &policy).unwrap().algorithm, KeyAlgorithm::Tdes3);
    for version in [Version::A, Version::C] {
        let old = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, version);
        assert_eq!(reason(import(&old, CVK, &policy)), "key block versions A and C are deprecated");
        assert!(import(&old, CVK, &policy.clone().legacy(LegacyVersions::Accept)).is_ok());
    }
}

#[test]
fn policy_adjusts_checks_or_ignores_parity() {
    let d = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, Version::D);
    let even = "4D36C9309C77ACAA59D8421442C3175A";
    let policy = Policy::for_use(KeyUse::Cvk);
    assert_eq!(import(&d, even, &policy).unwrap().key, secret(CVK));
    assert_eq!(reason(import(&d, even, &policy.clone().parity(ParityRule::Check))), "parity");
    assert_eq!(import(&d, even, &policy.parity(ParityRule::Ignore)).unwrap().key, secret(even));
}

#[test]
fn a_protection_key_must_be_as_strong_as_the_key() {
    let b = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes3, Version::B);
    let two = secret("0123456789ABCDEFFEDCBA9876543210");
    let triple = secret("4C37C8319D76ADAB58D9431543C2165BCB97DAC8518A6845");
    let block = wrap(&two, &b, &triple, &mut rng()).unwrap();
    let refused = Policy::for_use(KeyUse::Cvk).import(&two, &block);
    assert_eq!(reason(refused), "its protection key is weaker than the key");
    let aes = Header::new(Version::D, Usage::E0, Algorithm::AES, Mode::DERIVE);
    let key = Secret::new((0..32).collect());
    for (len, good) in [(16, false), (24, false), (32, true)] {
        let kbpk = Secret::new((1..=len).collect());
        let block = wrap(&kbpk, &aes, &key, &mut rng()).unwrap();
        assert_eq!(Policy::for_use(KeyUse::ImkAc).import(&kbpk, &block).is_ok(), good);
    }
}

#[test]
fn debug_shows_no_key() {
    let d = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, Version::D);
    let text = format!("{:?}", import(&d, CVK, &Policy::for_use(KeyUse::Cvk)).unwrap());
    assert!(text.contains("Secret(16 bytes)") && text.contains("Usage(C0)"), "{text}");
}

proptest! {
    #[test]
    fn unwrap_undoes_wrap(version in prop::sample::select(VERSIONS.to_vec()), key in prop::collection::vec(any::<u8>(), 1..80),
        data in prop::collection::vec("[ -~]{0,40}", 0..4)) {
        let mut header = Header::new(version, Usage::D0, Algorithm::TDEA, Mode::ANY);
        for d in &data {
            header = header.with_block(OptionalBlock::new("KS", d).unwrap());
        }
        let key = Secret::new(key);
        let block = wrap(&kbpk(version), &header, &key, &mut rng()).unwrap();
        let (got, out) = unwrap(&kbpk(version), &block).unwrap();
        prop_assert_eq!(out, key);
        prop_assert_eq!(&got.optional_blocks()[..data.len()], header.optional_blocks());
        prop_assert_eq!(got.to_string().parse::<Header>().unwrap(), got);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ABCD][0-9]{4}[A-Z0-9]{8}0[0-9]00[ -~]{0,120}", other in ".{0,200}") {
        let _ = unwrap(&kbpk(Version::D), &text);
        let _ = unwrap(&kbpk(Version::B), &text);
        let _ = text.parse::<Header>();
        prop_assert!(unwrap(&kbpk(Version::D), &other).is_err());
        let _ = other.parse::<Header>();
    }
}

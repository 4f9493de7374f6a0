#![allow(clippy::arithmetic_side_effects, reason = "an overflow ends the test")]

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::bytes::{from_hex, hex_upper};
use crate::crypto::mac::strip_bit_padding;
use crate::crypto::tdes::TdesKey;
use crate::emv::Sfi;
use crate::issuer::KeyModule;
use crate::keys::{KeyAlgorithm, KeyIndex, KeyInfo, KeyRef, KeySource, KeyUse, OdaKeyInfo};

const TK: &str = "0123456789ABCDEFFEDCBA9876543210";
/// Clear 8000 and 9000 of a public test card (PBOC personalization scripts).
const CARD_KEYS: &str =
    "112233440066778811223344550077888B4F854F0831FBF2635A212E4DDDB92A11220044556677881122330055667788";
const CARD_KEY_KCVS: &str = "97DCB0CE4E2CB37DF3";

/// A source with one transport key that counts its calls.
#[derive(Default)]
struct OneKey(Mutex<usize>);

impl OneKey {
    fn key(&self) -> TdesKey {
        *self.0.lock().unwrap() += 1;
        TdesKey::from_bytes(&from_hex(TK).unwrap()).unwrap()
    }
}

fn name() -> KeyRef {
    KeyRef::new(KeyUse::Transport, KeyIndex(1))
}

impl KeySource for &OneKey {
    fn name(&self) -> &'static str {
        "one key"
    }

    fn keys(&self) -> Vec<KeyInfo> {
        vec![self.info(name()).unwrap()]
    }

    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        Ok(KeyInfo { key, algorithm: KeyAlgorithm::Tdes2, kcv: "08D7B4".into(), dki: None, pvki: None })
    }

    fn encrypt_ecb(&self, _: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.key().encrypt_ecb(blocks)
    }

    fn decrypt_ecb(&self, _: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.key().decrypt_ecb(blocks)
    }

    fn encrypt_ecb_left(&self, _: KeyRef, _: &mut [u8]) -> Result<()> {
        Err(ErrorKind::Unsupported("this").into())
    }

    fn encrypt_cbc(&self, _: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        let key = self.key();
        messages.iter_mut().try_for_each(|m| key.encrypt_cbc([0; 8], m))
    }

    fn oda_info(&self, _: KeyIndex) -> Result<OdaKeyInfo> {
        Err(ErrorKind::KeyUnknown.into())
    }

    fn rsa_private(&self, _: KeyIndex, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Err(ErrorKind::KeyUnknown.into())
    }
}

fn secret(bytes: &[u8], pad: PadRule) -> DgiValue {
    DgiValue::secret(Secret::copy_of(bytes), pad)
}

fn one(tag: u16, value: DgiValue) -> DgiSet {
    let mut set = DgiSet::new();
    set.push(DgiTag(tag), value).unwrap();
    set
}

#[test]
fn card_keys_under_a_transport_key() {
    // The cryptogram was computed by a separate script that also reproduces published secure-channel vectors.
    let source = OneKey::default();
    let module = KeyModule::new(&source);
    let transport = module.static_transport_key(name()).unwrap();
    let mut set = one(0x8000, secret(&from_hex(CARD_KEYS).unwrap(), PadRule::Never));
    set.push(DgiTag::CARD_KEY_KCVS, DgiValue::clear(from_hex(CARD_KEY_KCVS).unwrap())).unwrap();
    let done = set.protect(&module, &transport, ProtectMode::Ecb).unwrap();
    let keys = done.get(DgiTag::CARD_KEYS).unwrap();
    assert_eq!(keys.protection, Protection::Transport);
    assert_eq!(
        hex_upper(&keys.value),
        "9191B29DE7245AF1DB35D43D34F8E5DE3FFDBCB3F13EB0DA9CFB2AA7F26BFC83FB5E8351C801881B55D439447F908073"
    );
    let kcvs = done.get(DgiTag::CARD_KEY_KCVS).unwrap();
    assert_eq!((kcvs.protection, hex_upper(&kcvs.value).as_str()), (Protection::None, CARD_KEY_KCVS));
}

#[test]
fn the_published_check_values_are_those_of_the_published_keys() {
    // 9000 is the first three bytes of TDES of zeros under each key of 8000.
    let keys = from_hex(CARD_KEYS).unwrap();
    let kcvs: Vec<u8> = keys
        .chunks(16)
        .flat_map(|key| TdesKey::from_bytes(key).unwrap().encrypt_block([0; 8])[..3].to_vec())
        .collect();
    assert_eq!(hex_upper(&kcvs), CARD_KEY_KCVS);
}

#[test]
fn many_cards_take_one_call_and_one_bad_card_fails_alone() {
    let source = OneKey::default();
    let module = KeyModule::new(&source);
    let transport = module.static_transport_key(name()).unwrap();
    let sets = vec![
        one(0x8205, secret(&[1; 64], PadRule::Always)),
        one(0x8205, secret(&[2; 63], PadRule::Never)),
        one(0x8010, DgiValue::Cryptogram(vec![9; 8])),
        one(0x8010, DgiValue::Cryptogram(vec![9; 7])),
        one(0x8205, secret(&[3; 64], PadRule::IfNeeded)),
    ];
    *source.0.lock().unwrap() = 0;
    let done = protect_many(sets, &module, &transport, ProtectMode::Ecb).unwrap();
    assert_eq!(*source.0.lock().unwrap(), 1);
    let lens: Vec<_> = done.iter().map(|set| set.as_ref().map(|s| s.dgis()[0].value.len()).ok()).collect();
    assert_eq!(lens, [Some(72), None, Some(8), None, Some(64)]);
    let mut first = done[0].as_ref().unwrap().dgis()[0].value.clone();
    source.key().decrypt_ecb(&mut first).unwrap();
    assert_eq!(strip_bit_padding(&first).unwrap(), [1; 64]);
    let mut last = done[4].as_ref().unwrap().dgis()[0].value.clone();
    source.key().decrypt_ecb(&mut last).unwrap();
    assert_eq!(last, [3; 64]);
    assert!(done[1].as_ref().unwrap_err().to_string().starts_with("DGI 8205: "));
}

#[test]
fn a_set_refuses_duplicates_reserved_numbers_and_records_that_are_none() {
    let mut set = one(0x9010, DgiValue::clear(vec![3, 3]));
    assert!(set.push(DgiTag(0x9010), DgiValue::clear(vec![3, 3])).is_err());
    for reserved in [0x0000, 0x7FF0, 0x7FFE, 0x7FFF, 0xFFFF] {
        assert!(set.push(DgiTag(reserved), DgiValue::clear(vec![1])).is_err(), "{reserved:04X}");
    }
    assert!(set.push(DgiTag(0x0101), DgiValue::clear(vec![0x71, 0])).is_err());
    assert!(set.push(DgiTag(0x0100), DgiValue::clear(vec![0x70, 0])).is_err());
    let record = Record::verbatim(Sfi::new(1).unwrap(), 1, vec![0x70, 0]).unwrap();
    set.push_record(&record).unwrap();
    assert!(set.push_record(&record).is_err());
    set.sort_by_order(&[DgiTag(0x0101)]);
    assert_eq!(set.tags().collect::<Vec<_>>(), [DgiTag(0x0101), DgiTag(0x9010)]);
    let dgi = |tag| ProtectedDgi { tag: DgiTag(tag), value: vec![1], protection: Protection::None };
    assert!(ProtectedDgiSet::from_prepared(vec![dgi(0x9010), dgi(0x9010)]).is_err());
    assert!(ProtectedDgiSet::from_prepared(vec![dgi(0x7FF1)]).is_err());
}

#[test]
fn debug_names_no_byte() {
    let mut set = one(0x8000, secret(&[0x5A; 16], PadRule::Never));
    set.push(DgiTag(0x9200), DgiValue::clear(vec![0x5A; 3])).unwrap();
    assert_eq!(
        format!("{set:?}"),
        "DgiSet { entries: [(DgiTag(8000), Secret { plaintext: Secret(16 bytes), pad: Never }), (DgiTag(9200), Clear(3 bytes))] }"
    );
    let dgi = ProtectedDgi { tag: DgiTag(0x0101), value: vec![0x5A; 4], protection: Protection::None };
    assert_eq!(format!("{dgi:?}"), "ProtectedDgi(0101, 4 bytes, none)");
}

proptest! {
    #[test]
    fn padding_comes_off_again(value in proptest::collection::vec(any::<u8>(), 1..80), block in prop_oneof![Just(8_usize), Just(16)]) {
        let padded = apply_padding(Secret::copy_of(&value), PadRule::Always, block).unwrap();
        prop_assert!(padded.len().is_multiple_of(block) && padded.len() > value.len() && padded.len() <= value.len() + block);
        prop_assert_eq!(strip_bit_padding(padded.expose()).unwrap(), &value[..]);
        let needed = apply_padding(Secret::copy_of(&value), PadRule::IfNeeded, block).unwrap();
        prop_assert_eq!(needed.len(), value.len().next_multiple_of(block));
        let never = apply_padding(Secret::copy_of(&value), PadRule::Never, block);
        prop_assert_eq!(never.is_ok(), value.len().is_multiple_of(block));
    }
}

use proptest::prelude::*;

use super::*;
use crate::crypto::aes::AesKey;
use crate::crypto::backend::Backend;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::tdes::TdesKey;
use crate::error::{Error, ErrorKind};
use crate::keys::{KeyAlgorithm, KeyAttributes, KeySource, KeyUse, Scp02Key, Scp03Cryptogram, SoftwareRing};

const TRANSPORT: [u8; 16] = *b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\xFE\xDC\xBA\x98\x76\x54\x32\x10";

fn card_key(n: u8) -> Secret {
    Secret::new((0..16).map(|i: u8| i.wrapping_mul(13) ^ n).collect())
}

fn name(usage: KeyUse) -> KeyRef {
    KeyRef::new(usage, KeyIndex(1))
}

fn ring(algorithm: KeyAlgorithm) -> SoftwareRing {
    let mut ring = SoftwareRing::new(Backend::Portable);
    let mut add = |usage, algorithm, key| {
        ring.add_clear(name(usage), algorithm, key, KeyAttributes::default()).unwrap();
    };
    for (n, usage) in [(0x40, KeyUse::CardEnc), (0x50, KeyUse::CardMac), (0x60, KeyUse::CardDek)] {
        add(usage, algorithm, card_key(n));
    }
    add(KeyUse::Kmc, KeyAlgorithm::Tdes2, card_key(0x70));
    add(KeyUse::Transport, KeyAlgorithm::Tdes2, Secret::copy_of(&TRANSPORT));
    ring
}

fn transport() -> TransportName {
    TransportName { key: name(KeyUse::Transport), wrapped: None, mode: CipherMode::Ecb, kcv: None }
}

fn request(channel: SecureChannel) -> CardSessionRequest {
    CardSessionRequest {
        keys: CardKeys::Static { index: KeyIndex(1) },
        key_data: [7; 10],
        channel,
        transport: Some(transport()),
        new_keys: None,
    }
}

const SCP02: SecureChannel = SecureChannel::Scp02 { sequence: [0, 5], base_keys: BaseKeys::Three };

fn scp03() -> SecureChannel {
    SecureChannel::Scp03 { context: vec![3; 16] }
}

fn refusal<T: std::fmt::Debug>(result: crate::error::Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

fn enciphered(mode: CipherMode, plain: &[u8]) -> Vec<u8> {
    let key = TdesKey::new(&Secret::copy_of(&TRANSPORT)).unwrap();
    let mut value = plain.to_vec();
    match mode {
        CipherMode::Ecb => key.encrypt_ecb(&mut value).unwrap(),
        CipherMode::Cbc => key.encrypt_cbc([0; 8], &mut value).unwrap(),
    }
    value
}

fn under_session_dek(mut value: Vec<u8>) -> Vec<u8> {
    let dek = TdesKey::new(&Scp02Key::Dek.derive(&card_key(0x60), [0, 5]).unwrap()).unwrap();
    dek.decrypt_ecb(&mut value).unwrap();
    value
}

fn under_static_dek(mut value: Vec<u8>) -> Vec<u8> {
    AesKey::new(&card_key(0x60)).unwrap().decrypt_cbc([0; 16], &mut value).unwrap();
    value
}

proptest! {
    #[test]
    fn the_card_deciphers_what_was_under_the_transport_key(plain in proptest::collection::vec(any::<[u8; 8]>(), 1..12), cbc: bool) {
        let plain = plain.concat();
        let mode = if cbc { CipherMode::Cbc } else { CipherMode::Ecb };
        let session = |algorithm, channel| {
            let transport = Some(TransportName { mode, ..transport() });
            ring(algorithm).card_session(&CardSessionRequest { transport, ..request(channel) }).unwrap()
        };
        let two = session(KeyAlgorithm::Tdes2, SCP02);
        let value = enciphered(mode, &plain);
        prop_assert_eq!(under_session_dek(two.recipher(&value, &Refill::Refuse).unwrap()), plain.clone());
        let three = session(KeyAlgorithm::Aes128, scp03());
        let odd = !plain.len().is_multiple_of(16);
        prop_assert_eq!(three.recipher(&value, &Refill::Refuse).is_err(), odd);
        let filling = [9, 8, 7, 6, 5, 4, 3, 2];
        for (refill, tail) in [
            (Refill::Zeros, [0; 8]),
            (Refill::Bit, [0x80, 0, 0, 0, 0, 0, 0, 0]),
            (Refill::Bytes(filling.to_vec()), filling),
        ] {
            let expected = if odd { [&plain[..], &tail].concat() } else { plain.clone() };
            prop_assert_eq!(under_static_dek(three.recipher(&value, &refill).unwrap()), expected);
        }
    }
}

#[test]
fn a_transport_key_made_for_one_block() {
    let mut ring = ring(KeyAlgorithm::Tdes2);
    let wrapping = KeyRef::new(KeyUse::Transport, KeyIndex(2));
    let kek = Secret::new(vec![0x5A; 32]);
    ring.add_clear(wrapping, KeyAlgorithm::Aes256, kek, KeyAttributes::default()).unwrap();
    let mut random = Seed::fixed([4; 32]).named_stream(b"block", Purpose::TestIssuer).rng();
    let key = Secret::copy_of(&TRANSPORT);
    let block = ring.wrap_key(wrapping, KeyUse::Transport, KeyAlgorithm::Tdes2, &key, &mut random).unwrap();
    let open = |kcv: &str, block: &str| {
        let transport = TransportName {
            key: wrapping,
            wrapped: Some(block.to_owned()),
            mode: CipherMode::Ecb,
            kcv: Some(kcv.to_owned()),
        };
        ring.card_session(&CardSessionRequest { transport: Some(transport), ..request(SCP02) })
    };
    let value =
        open("08D7B4", &block).unwrap().recipher(&enciphered(CipherMode::Ecb, &[1; 48]), &Refill::Refuse);
    assert_eq!(under_session_dek(value.unwrap()), [1; 48]);
    assert_eq!(refusal(open("08D7B5", &block)), ErrorKind::KcvMismatch);
    assert!(open("08D7B4", &block.replace('0', "1")).is_err());
}

#[test]
fn what_is_refused() {
    let two = ring(KeyAlgorithm::Tdes2);
    let three = ring(KeyAlgorithm::Aes128);
    assert_eq!(refusal(two.card_session(&request(scp03()))), ErrorKind::KeyUsage);
    assert_eq!(refusal(three.card_session(&request(SCP02))), ErrorKind::KeyUsage);
    let short = SecureChannel::Scp03 { context: vec![0; 15] };
    assert!(matches!(refusal(three.card_session(&request(short))), ErrorKind::Length { .. }));
    let unknown = CardSessionRequest { keys: CardKeys::Static { index: KeyIndex(9) }, ..request(SCP02) };
    assert_eq!(two.card_session(&unknown).unwrap_err().to_string(), "card-enc 09: no such key");
    let kdf3 = CardKeys::Master { index: KeyIndex(1), diversification: Diversification::Kdf3 };
    let wrong = CardSessionRequest { keys: kdf3, ..request(SCP02) };
    assert!(matches!(refusal(two.card_session(&wrong)), ErrorKind::Value(_)));
    let other = TransportName { key: name(KeyUse::Kmc), ..transport() };
    let wrong = CardSessionRequest { transport: Some(other), ..request(SCP02) };
    assert_eq!(refusal(two.card_session(&wrong)), ErrorKind::KeyUsage);
    let other = TransportName { kcv: Some("000000".to_owned()), ..transport() };
    let wrong = CardSessionRequest { transport: Some(other), ..request(SCP02) };
    assert_eq!(refusal(two.card_session(&wrong)), ErrorKind::KcvMismatch);
    let none = CardSessionRequest { transport: None, ..request(SCP02) };
    let session = two.card_session(&none).unwrap();
    assert!(matches!(refusal(session.recipher(&[0; 8], &Refill::Refuse)), ErrorKind::Missing(_)));
    assert!(matches!(refusal(session.new_keys()), ErrorKind::Missing(_)));
    let session = two.card_session(&request(SCP02)).unwrap();
    assert!(matches!(refusal(session.recipher(&[], &Refill::Refuse)), ErrorKind::Missing(_)));
    assert!(matches!(refusal(session.recipher(&[0; 9], &Refill::Zeros)), ErrorKind::Length { .. }));
    assert!(matches!(refusal(session.decrypt(&[0; 8], &mut [0; 8])), ErrorKind::Unsupported(_)));
    let session = three.card_session(&request(scp03())).unwrap();
    let short = Refill::Bytes(vec![1; 7]);
    assert!(matches!(refusal(session.recipher(&[0; 8], &short)), ErrorKind::Missing(_)));
}

/// Card-manager keys give nothing out through the other methods of a source.
#[test]
fn card_keys_decipher_nothing() {
    let ring = ring(KeyAlgorithm::Tdes2);
    for usage in [KeyUse::Kmc, KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek] {
        let refused: Error = ring.decrypt_ecb(name(usage), &mut [0; 8]).unwrap_err();
        assert_eq!(refused.kind(), &ErrorKind::KeyUsage);
    }
}

#[test]
fn one_base_key_serves_for_all() {
    let ring = ring(KeyAlgorithm::Tdes2);
    let channel = SecureChannel::Scp02 { sequence: [0, 5], base_keys: BaseKeys::One };
    let session = ring.card_session(&request(channel)).unwrap();
    let mac = TdesKey::new(&Scp02Key::CMac.derive(&card_key(0x40), [0, 5]).unwrap()).unwrap();
    assert_eq!(session.encrypt_icv(&[1; 8]).unwrap(), mac.left_encrypt([1; 8]));
    assert_eq!(session.cryptogram(Scp03Cryptogram::Card, &[1], 8).unwrap().len(), 8);
}

#[test]
fn debug_names_no_key() {
    let ring = ring(KeyAlgorithm::Tdes2);
    let mut wanted = request(SCP02);
    wanted.new_keys = Some(wanted.keys);
    let session = ring.card_session(&wanted).unwrap();
    assert_eq!(format!("{session:?}"), "SoftwareSession(SCP02)");
    let text = format!("{:?}", session.new_keys().unwrap()[0]);
    assert!(text.starts_with("EncipheredKey(80, 16 bytes, "), "{text}");
}

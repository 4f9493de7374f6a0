//! Keys in a token, with a double in its place: the same cards as from the software ring, a few calls for a chunk of
//! cards, and what is wrong with a token is found when it is opened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
mod token_support;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use common::{TestIssuer, order_of, profiles};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed, StreamRng};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::error::{Error, ErrorKind};
use emv_dataprep::hsm::{Mechanism, Permission, Token, TokenProtectionKey, import_symmetric};
use emv_dataprep::issuer::KeyModule;
use emv_dataprep::keys::{
    CvvKind, KeyAlgorithm, KeyAttributes, KeyEntry, KeyIndex, KeyRef, KeySource, KeyUse, SoftwareRing,
};
use emv_dataprep::output::card_line;
use emv_dataprep::prepare::{CardRequest, Context, PreparedCard, RsaKeySupply, prepare_batch};
use emv_dataprep::secret::Secret;
use proptest::prelude::*;
use token_support::{Double, entries, entry, import, kbpk};

static ISSUER: LazyLock<TestIssuer> = LazyLock::new(TestIssuer::new);

/// One RSA key for each length, out of the golden cards: making keys is not what is looked at.
struct Supply(Vec<(Vec<u8>, Vec<u8>, u32)>);

static SUPPLY: LazyLock<Supply> = LazyLock::new(|| {
    let mut keys = Vec::new();
    for profile in profiles() {
        let text = std::fs::read_to_string(format!("vectors/cards/{profile}.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        for name in ["icc_key", "pin_key"] {
            let key = &golden["inputs"][name];
            let bytes = |part: &str| hex::decode(key[part].as_str().unwrap()).unwrap();
            if key.is_object() {
                keys.push((bytes("p"), bytes("q"), u32::try_from(key["e"].as_u64().unwrap()).unwrap()));
            }
        }
    }
    assert_eq!(keys.len(), 4);
    Supply(keys)
});

impl RsaKeySupply for Supply {
    fn take(&self, _: u64, _: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let made =
            self.0.iter().map(|(p, q, e)| RsaPrivate::from_primes(p, q, Exponent::new(*e).unwrap()).unwrap());
        made.into_iter().find(|k| k.public().bits() == spec.bits())
    }
}

/// A token with all keys of the test issuer.
fn token() -> Token<Double> {
    let double = Double::new();
    import(&double, &ISSUER);
    Token::open(double, &entries(&ISSUER), ISSUER.issuer_keys.keys().copied()).unwrap()
}

/// So many cards of each profile, each with what the profile's product lets an order ask for.
fn requests(of_each: u64) -> Vec<CardRequest> {
    let pin_key = TdesKey::from_bytes(&ISSUER.keys[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1).unwrap();
    let block = pin_key.encrypt_block([0x14, 0x12, 0x34, 1, 2, 3, 4, 5]);
    let mut requests = Vec::new();
    for (profile, start) in profiles().into_iter().zip((0..).step_by(1000)) {
        for n in 0..of_each {
            let order = order_of(profile, &format!("{profile}-{n}"), start + n);
            requests.push(ISSUER.request(&order.replace("BLOCK", &hex::encode_upper(block))));
        }
    }
    requests
}

fn prepared<S: KeySource>(
    module: &KeyModule<S>,
    requests: &[CardRequest],
) -> Result<Vec<PreparedCard>, Error> {
    let context = Context { module, ..ISSUER.context_with(Some(&*SUPPLY)) };
    Ok(prepare_batch(&context, requests)?.into_iter().map(|card| card.unwrap()).collect())
}

#[test]
fn a_chunk_of_cards_asks_a_few_times_per_key_whatever_its_size() {
    let module = KeyModule::new(token());
    let calls = |of_each: u64| {
        module.source().api().calls();
        let cards = prepared(&module, &requests(of_each)).unwrap();
        assert_eq!(cards.len() as u64, 4 * of_each);
        let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
        for call in module.source().api().calls() {
            *by_name.entry(call).or_default() += 1;
        }
        by_name
    };
    // Four profiles: 16 cards, and a chunk of 64.
    let (few, many) = (calls(4), calls(16));
    let is_rsa = |name: &str| name.starts_with("sign oda:");
    let symmetric = |counts: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        counts.iter().filter(|(name, _)| !is_rsa(name)).map(|(k, v)| (k.clone(), *v)).collect()
    };
    assert_eq!(symmetric(&few), symmetric(&many), "calls depend on the number of cards");
    for (name, count) in symmetric(&many) {
        assert!(count <= 6, "{name}: {count} calls");
    }
    assert!(symmetric(&many).values().sum::<u64>() <= 50, "{many:?}");
    // A token makes one signature a call: the certificates of a card, and nothing beside them.
    for (name, count) in many.iter().filter(|(name, _)| is_rsa(name)) {
        assert!(*count <= 3 * 16, "{name}: {count} calls");
    }
    assert_eq!(many.keys().filter(|name| is_rsa(name)).count(), 3);
}

#[test]
fn the_token_and_the_software_ring_make_the_same_cards() {
    let requests = requests(3);
    let ours = prepared(&KeyModule::new(token()), &requests).unwrap();
    let theirs = prepared(&ISSUER.module, &requests).unwrap();
    assert_eq!(ours.len(), 12);
    for (a, b) in ours.iter().zip(&theirs) {
        let all = |card: &PreparedCard| {
            serde_json::json!([hex::encode(card_line(card)), card.issuer_return, card.mailer])
        };
        assert!(all(a) == all(b), "card {} differs", a.card_id.as_str());
    }
}

#[test]
fn a_token_that_is_lost_at_any_call_stops_the_batch() {
    let module = KeyModule::new(token());
    let requests = requests(2);
    module.source().api().calls();
    prepared(&module, &requests).unwrap();
    let all = module.source().api().calls().len();
    for calls in 0..all {
        module.source().api().lose_after(calls);
        let stopped = prepared(&module, &requests).map(|_| ()).unwrap_err();
        assert!(matches!(stopped.kind(), ErrorKind::KeySourceLost(_)), "after {calls} calls: {stopped}");
        assert!(stopped.stops_batch());
    }
    module.source().api().lose_after(all);
    prepared(&module, &requests).unwrap();
}

/// Why a token with these keys is not opened.
fn refused(change: impl FnOnce(&mut Double, &mut Vec<KeyEntry>)) -> Error {
    let mut double = Double::new();
    import(&double, &ISSUER);
    let mut entries = entries(&ISSUER);
    change(&mut double, &mut entries);
    Token::open(double, &entries, ISSUER.issuer_keys.keys().copied()).map(|_| ()).unwrap_err()
}

#[test]
fn a_missing_mechanism_is_named_at_the_start() {
    for (mechanism, name, key) in [
        (Mechanism::Des3Ecb, "CKM_DES3_ECB", "imk-ac:01"),
        (Mechanism::AesEcb, "CKM_AES_ECB", "transport:02"),
        (Mechanism::RsaX509, "CKM_RSA_X_509", "oda:01"),
    ] {
        let found = refused(|d, _| d.mechanisms.retain(|m| *m != mechanism));
        assert_eq!(found.kind(), &ErrorKind::Missing(name));
        assert_eq!(found.to_string(), format!("token: {key}: {name} is missing"));
    }
}

#[test]
fn what_is_wrong_with_an_object_is_told_at_the_start() {
    let told = |change: &dyn Fn(&Double)| refused(|d, _| change(d)).to_string();
    let cvk = &ISSUER.keys[&KeyRef::new(KeyUse::Cvk, KeyIndex(1))].1;
    let tdes = KeyAlgorithm::Tdes2;
    assert_eq!(told(&|d| d.remove("cvk:01")), "token: cvk:01: no such key");
    assert_eq!(told(&|d| d.remove("cvk:01:left")), "token: cvk:01: left half: no such key");
    assert_eq!(told(&|d| d.remove("oda:02")), "token: oda:02: no such key");
    let twice = told(&|d| d.put("pin:01", &[], tdes, cvk));
    assert_eq!(twice, "token: pin:01: an object of this label stands twice");
    let other_key = told(&|d| {
        d.remove("pin:01");
        d.put("pin:01", &[], tdes, cvk);
    });
    assert_eq!(other_key, "token: pin:01: the key check value differs");
    let other_type = told(&|d| {
        d.remove("cvk:01:left");
        d.put("cvk:01:left", &[], KeyAlgorithm::Aes128, cvk);
    });
    assert_eq!(other_type, "token: cvk:01: left half: the key's usage does not allow this");
    // The whole key where its left half is expected, with the identifier of the half.
    let half: Vec<u8> = TdesKey::from_bytes(cvk).unwrap().left_encrypt([0; 8])[..3].to_vec();
    let not_the_half = told(&|d| {
        d.remove("cvk:01:left");
        d.put("cvk:01:left", &half, tdes, cvk);
    });
    assert_eq!(not_the_half, "token: cvk:01: left half: the key check value differs");
    let not_rsa = told(&|d| {
        d.remove("oda:01");
        d.put("oda:01", &[], tdes, cvk);
    });
    assert_eq!(not_rsa, "token: oda:01: the key's usage does not allow this");

    let short = refused(|_, e| e[0].kcv = "0000".parse().unwrap());
    assert_eq!(short.kind(), &ErrorKind::KcvMismatch);
    let same = refused(|d, e| {
        let (ac, smi) = (KeyRef::new(KeyUse::ImkAc, KeyIndex(1)), KeyRef::new(KeyUse::ImkSmi, KeyIndex(1)));
        let value = &ISSUER.keys[&ac].1;
        d.remove("imk-smi:01");
        d.put("imk-smi:01", &[], tdes, value);
        *e.iter_mut().find(|e| e.key == smi).unwrap() = entry(smi, tdes, value);
    });
    assert!(matches!(same.kind(), ErrorKind::KeyRefused(_)), "{same}");
}

#[test]
fn objects_may_do_what_their_use_needs_and_are_made_once() {
    let double = Double::new();
    import(&double, &ISSUER);
    let ledger = entry(KeyRef::new(KeyUse::Ledger, KeyIndex(1)), KeyAlgorithm::Hmac, &[9; 32]);
    import_symmetric(&double, &kbpk(), &ledger).unwrap();
    for (label, may) in [
        ("imk-ac:01", Permission::Encrypt),
        ("cvk:01", Permission::Encrypt),
        ("cvk:01:left", Permission::Encrypt),
        ("transport:02", Permission::Encrypt),
        ("mailer:01", Permission::Encrypt),
        ("pin:01", Permission::EncryptAndDecrypt),
        ("ledger:01", Permission::Sign),
        ("oda:01", Permission::Sign),
    ] {
        assert_eq!(double.may(label), Some(may), "{label}");
    }
    // What was interrupted can be done again: what is there stays as it is.
    let value = &ISSUER.keys[&KeyRef::new(KeyUse::Cvk, KeyIndex(1))].1;
    let cvk = entry(KeyRef::new(KeyUse::Cvk, KeyIndex(9)), KeyAlgorithm::Tdes2, value);
    let made = |entry| import_symmetric(&double, &kbpk(), entry).unwrap();
    assert_eq!(made(&ledger), 0);
    assert_eq!(made(&cvk), 2);
    double.remove("cvk:09:left");
    assert_eq!(made(&cvk), 1);
    assert_eq!(made(&cvk), 0);
    let mut wrong = entry(KeyRef::new(KeyUse::Pvk, KeyIndex(7)), KeyAlgorithm::Tdes2, value);
    wrong.kcv = "000000".parse().unwrap();
    let refused = import_symmetric(&double, &kbpk(), &wrong).unwrap_err();
    assert_eq!(refused.to_string(), "pvk:07: the key check value differs");
    assert!(double.may("pvk:07").is_none(), "nothing is made of a key that is refused");
}

fn rng() -> StreamRng {
    Seed::fixed([8; 32]).named_stream(b"token", Purpose::TestIssuer).rng()
}

/// A ring and a token with the same keys of other uses.
fn both() -> (SoftwareRing, Token<Double>) {
    let key = |usage, index| KeyRef::new(usage, KeyIndex(index));
    let value: Vec<u8> = (1..).map(|i: u8| i.wrapping_mul(37)).take(32).collect();
    let list = [
        (key(KeyUse::Transport, 2), KeyAlgorithm::Aes256),
        (key(KeyUse::Transport, 3), KeyAlgorithm::Aes128),
        (key(KeyUse::Transport, 4), KeyAlgorithm::Tdes3),
        (key(KeyUse::Pool, 1), KeyAlgorithm::Aes256),
        (key(KeyUse::Ledger, 1), KeyAlgorithm::Hmac),
        (KeyRef::cvk(KeyIndex(5), CvvKind::Cvv2), KeyAlgorithm::Tdes2),
        (key(KeyUse::Cvk, 5), KeyAlgorithm::Tdes3),
        (key(KeyUse::Pin, 9), KeyAlgorithm::Aes128),
    ];
    let mut ring = SoftwareRing::new(Backend::Portable);
    let (double, mut entries) = (Double::new(), Vec::new());
    for (n, (name, algorithm)) in (1..).zip(list) {
        let mut value: Vec<u8> =
            value[..algorithm.key_len()].iter().map(|b: &u8| b.wrapping_add(n)).collect();
        if algorithm.is_tdes() {
            emv_dataprep::crypto::tdes::adjust_parity(&mut value);
        }
        ring.add_clear(name, algorithm, Secret::copy_of(&value), KeyAttributes::default()).unwrap();
        let entry = entry(name, algorithm, &value);
        import_symmetric(&double, &kbpk(), &entry).unwrap();
        entries.push(entry);
    }
    let token = Token::open(double, &entries, []).unwrap();
    (ring, token)
}

#[test]
fn key_blocks_data_keys_and_digests_are_those_of_the_ring() {
    let (ring, token) = both();
    let key = |usage, index| KeyRef::new(usage, KeyIndex(index));
    assert_eq!(token.name(), "pkcs11");
    assert_eq!(format!("{token:?}"), "Token(8 keys, 0 issuer RSA keys)");
    for info in ring.keys() {
        assert_eq!(token.info(info.key).unwrap(), info);
    }
    let fresh = Secret::copy_of(&[0x5A; 16]);
    let wrap = |source: &dyn KeySource, under| {
        source.wrap_key(under, KeyUse::Transport, KeyAlgorithm::Aes128, &fresh, &mut rng())
    };
    for under in [key(KeyUse::Transport, 2), key(KeyUse::Transport, 3)] {
        assert_eq!(wrap(&token, under).unwrap(), wrap(&ring, under).unwrap());
    }
    assert!(wrap(&token, key(KeyUse::Transport, 4)).is_err());

    let (pool, data) = (key(KeyUse::Pool, 1), Secret::copy_of(&[0xA5; 32]));
    let block = token.wrap_data_key(pool, &data, &mut rng()).unwrap();
    assert_eq!(block, ring.wrap_data_key(pool, &data, &mut rng()).unwrap());
    assert_eq!(token.unwrap_data_key(pool, &block).unwrap(), data);
    assert!(token.unwrap_data_key(pool, &wrap(&token, key(KeyUse::Transport, 2)).unwrap()).is_err());
    assert!(token.wrap_data_key(key(KeyUse::Transport, 2), &data, &mut rng()).is_err());

    let ledger = key(KeyUse::Ledger, 1);
    let messages: [&[u8]; 3] = [b"", b"a", &[7; 200]];
    assert_eq!(token.hmac_sha256(ledger, &messages).unwrap(), ring.hmac_sha256(ledger, &messages).unwrap());
    assert!(token.hmac_sha256(pool, &messages).is_err());
}

#[test]
fn a_token_does_what_the_ring_does_and_no_more() {
    let (ring, token) = both();
    let key = |usage, index| KeyRef::new(usage, KeyIndex(index));
    for name in [
        KeyRef::cvk(KeyIndex(5), CvvKind::Cvv2),
        key(KeyUse::Cvk, 5),
        KeyRef::cvk(KeyIndex(5), CvvKind::Icvv),
    ] {
        let (mut a, mut b) = ([0x11; 64], [0x11; 64]);
        token.encrypt_ecb_left(name, &mut a).unwrap();
        ring.encrypt_ecb_left(name, &mut b).unwrap();
        assert_eq!(a, b);
    }
    let kinds = |source: &dyn KeySource| {
        let mut data = [0; 32];
        let pin = key(KeyUse::Pin, 9);
        [
            source.decrypt_ecb(pin, &mut data),
            source.decrypt_ecb(key(KeyUse::Cvk, 5), &mut data),
            source.decrypt_ecb(key(KeyUse::Ledger, 1), &mut data),
            source.encrypt_ecb(key(KeyUse::Ledger, 1), &mut data),
            source.encrypt_ecb_left(pin, &mut data),
            source.encrypt_ecb(pin, &mut data[..15]),
            source.encrypt_ecb(key(KeyUse::Cvk, 7), &mut data),
            source.encrypt_cbc(pin, &mut [vec![0; 17]]),
        ]
        .map(|r| r.err().map(|e| std::mem::discriminant(e.kind())))
    };
    assert_eq!(kinds(&token), kinds(&ring));
    assert_eq!(kinds(&token).iter().filter(|k| k.is_none()).count(), 1);
    // More than one call's worth of data.
    let mut long = vec![0x33; (1 << 16) + 64];
    let mut want = long.clone();
    token.api().calls();
    token.encrypt_ecb(key(KeyUse::Pin, 9), &mut long).unwrap();
    assert_eq!(token.api().calls().len(), 2);
    ring.encrypt_ecb(key(KeyUse::Pin, 9), &mut want).unwrap();
    assert_eq!(long, want);
}

proptest! {
    /// Few long messages go through the token's CBC, many short ones in step through ECB: both are CBC.
    #[test]
    fn cbc_is_cbc_by_either_way(
        lens in proptest::collection::vec(0..9_usize, 1..12),
        has_cbc: bool,
        key: [u8; 16],
    ) {
        let name = KeyRef::new(KeyUse::Transport, KeyIndex(1));
        let mut double = Double::new();
        if !has_cbc {
            double.mechanisms.retain(|m| *m != Mechanism::AesCbc);
        }
        let entry = entry(name, KeyAlgorithm::Aes128, &key);
        import_symmetric(&double, &kbpk(), &entry).unwrap();
        let token = Token::open(double, &[entry], []).unwrap();
        let aes = AesKey::new(&Secret::copy_of(&key)).unwrap();
        let mut messages: Vec<Vec<u8>> =
            (0..).zip(&lens).map(|(n, len)| vec![n; len * 16]).collect();
        let want: Vec<Vec<u8>> = messages.iter().map(|m| {
            let mut m = m.clone();
            aes.encrypt_cbc([0; 16], &mut m).unwrap();
            m
        }).collect();
        token.api().calls();
        token.encrypt_cbc(name, &mut messages).unwrap();
        prop_assert_eq!(messages, want);
        let steps = lens.iter().max().unwrap();
        let bound = if has_cbc { lens.len().min(*steps) } else { *steps };
        prop_assert!(token.api().calls().len() <= bound);
    }
}

#[test]
fn a_protection_key_in_a_token_opens_blocks() {
    let double = Double::new();
    double.put("kbpk", &[], KeyAlgorithm::Aes256, kbpk().expose());
    double.put("hmac", &[], KeyAlgorithm::Hmac, kbpk().expose());
    assert!(TokenProtectionKey::find(double, "hmac").is_err());
    let double = Double::new();
    double.put("kbpk", &[], KeyAlgorithm::Aes256, kbpk().expose());
    let holder = TokenProtectionKey::find(double, "kbpk").unwrap();
    assert_eq!(format!("{holder:?}"), "TokenProtectionKey(AES-256)");
    let other = entry(KeyRef::new(KeyUse::Cvk, KeyIndex(1)), KeyAlgorithm::Tdes2, &[0x31; 16]);
    let (_, opened) = emv_dataprep::keys::tr31::unwrap(&holder, &other.block).unwrap();
    assert_eq!(opened.expose(), [0x31; 16]);
    assert!(TokenProtectionKey::find(Double::new(), "kbpk").is_err());
}

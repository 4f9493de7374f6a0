//! From orders to prepared cards through the library alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{TestIssuer, order_of, profiles};
use emv_dataprep::card::Pin;
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::keys::{KeyIndex, KeyRef, KeyUse};
use emv_dataprep::perso::{DgiTag, Protection};
use emv_dataprep::prepare::{CardRequest, prepare_batch};
use emv_dataprep::profile::Issuer;

/// The order of a profile, with a PIN block where its product wants one.
fn request(issuer: &TestIssuer, profile: &str, id: &str, body: u64) -> CardRequest {
    issuer.request(&order_of(profile, id, body).replace("BLOCK", &format1_block(issuer)))
}

/// PIN 1234 as an ISO 9564 format 1 block under the issuer's `pin` key.
fn format1_block(issuer: &TestIssuer) -> String {
    let key = &issuer.keys[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1;
    let block = [0x14, 0x12, 0x34, 0x01, 0x23, 0x45, 0x67, 0x89];
    hex::encode_upper(TdesKey::from_bytes(key).unwrap().encrypt_block(block))
}

#[test]
fn every_shipped_profile_prepares() {
    let issuer = TestIssuer::new();
    let requests: Vec<_> = profiles()
        .iter()
        .enumerate()
        .map(|(i, p)| request(&issuer, p, &format!("c-{i}"), i as u64))
        .collect();
    let cards = prepare_batch(&issuer.context(), &requests).unwrap();
    for (profile, card) in profiles().iter().zip(cards) {
        let card = card.unwrap_or_else(|e| panic!("{profile}: {e}"));
        let app = &card.applications[0];
        let get = |tag: &str| app.dgis.get(tag.parse::<DgiTag>().unwrap());
        assert_eq!(get("8000").unwrap().protection, Protection::Transport, "{profile}");
        assert_eq!(get("8000").unwrap().value.len(), 48);
        assert_eq!(get("9000").unwrap().value.len(), 9);
        assert!(app.script.is_some());
        let transport = &issuer.keys[&KeyRef::new(KeyUse::Transport, KeyIndex(1))].1;
        let mut keys = get("8000").unwrap().value.clone();
        TdesKey::from_bytes(transport).unwrap().decrypt_ecb(&mut keys).unwrap();
        for (key, kcv) in keys.chunks(16).zip(get("9000").unwrap().value.chunks(3)) {
            assert_eq!(&TdesKey::from_bytes(key).unwrap().encrypt_block([0; 8])[..3], kcv);
        }
        if *profile != "online-only" {
            let mut block = get("8010").unwrap().value.clone();
            TdesKey::from_bytes(transport).unwrap().decrypt_ecb(&mut block).unwrap();
            assert_eq!(block[0], 0x24, "{profile}");
        }
    }
}

#[test]
fn a_card_depends_on_itself_alone() {
    let issuer = TestIssuer::new();
    let make = |profiles: &[&str]| -> Vec<String> {
        let requests: Vec<_> = profiles.iter().map(|p| request(&issuer, p, "c-1", 7)).collect();
        let cards = prepare_batch(&issuer.context(), &requests).unwrap();
        cards
            .into_iter()
            .map(|c| {
                format!(
                    "{:?}",
                    c.unwrap()
                        .applications
                        .iter()
                        .map(|a| a.dgis.dgis().iter().map(|d| hex::encode(&d.value)).collect::<Vec<_>>())
                        .collect::<Vec<_>>()
                )
            })
            .collect()
    };
    let alone: Vec<String> = profiles().iter().flat_map(|p| make(&[p])).collect();
    let together = make(&profiles());
    assert_eq!(alone, together);
    let mut backwards = profiles();
    backwards.reverse();
    let mut reversed = make(&backwards);
    reversed.reverse();
    assert_eq!(alone, reversed);
}

#[test]
fn a_bad_card_fails_alone() {
    let issuer = TestIssuer::new();
    let good = request(&issuer, "online-only", "c-1", 1);
    let mut bad = request(&issuer, "visa-style-dual", "c-2", 2);
    bad.keys.oda = Some(KeyIndex(2));
    let mut missing = request(&issuer, "online-only", "c-3", 3);
    missing.keys.card_verification = None;
    let cards = prepare_batch(&issuer.context(), &[bad, good, missing]).unwrap();
    let errors: Vec<String> =
        cards.iter().map(|c| c.as_ref().err().map_or(String::new(), ToString::to_string)).collect();
    assert!(errors[0].contains("order.paymentApplication.odaKeyIndex"), "{}", errors[0]);
    assert_eq!(errors[1], "");
    assert!(
        errors[2].contains("FIELD_INVALID_FORMAT in order.paymentApplication.cvKeyIndex"),
        "{}",
        errors[2]
    );
}

#[test]
fn the_mailer_has_the_pin_of_the_card_and_no_pan() {
    let issuer = TestIssuer::new();
    let requests = [request(&issuer, "visa-style-dual", "c-1", 1)];
    let card = prepare_batch(&issuer.context(), &requests).unwrap().remove(0).unwrap();
    let mailer = card.mailer.as_ref().unwrap();
    let open = |usage: KeyUse, block: &str| {
        let key = &issuer.keys[&KeyRef::new(usage, KeyIndex(1))].1;
        let mut block = hex::decode(block).unwrap();
        TdesKey::from_bytes(key).unwrap().decrypt_ecb(&mut block).unwrap();
        hex::encode_upper(block)
    };
    let in_mailer = open(KeyUse::Mailer, &mailer.pin_block);
    let on_card = card.applications[0].dgis.get("8010".parse().unwrap()).unwrap();
    let on_card = open(KeyUse::Transport, &hex::encode(&on_card.value));
    assert_eq!(in_mailer[2..6], on_card[2..6]);
    assert_eq!((&in_mailer[..2], &on_card[..2]), ("14", "24"));
    let json = serde_json::to_string(mailer).unwrap();
    assert!(!json.contains("476173"), "{json}");
    assert_eq!(card.issuer_return.mailer_reference.as_deref(), Some(mailer.reference.as_str()));
    // The PVV of the return is the PVV of that PIN.
    let digits: Vec<u8> = on_card[2..6].bytes().map(|b| b - b'0').collect();
    let pvk = TdesKey::from_bytes(&issuer.keys[&KeyRef::new(KeyUse::Pvk, KeyIndex(1))].1).unwrap();
    let pin = Pin::from_digits(&digits).unwrap();
    let pvv = emv_dataprep::issuer::pvv::compute(&pvk, &requests[0].data.pan, 1, &pin).unwrap();
    assert_eq!(card.issuer_return.pvv.as_ref().unwrap().expose(), pvv.to_text().as_str());
}

#[test]
fn a_key_whose_remainder_no_record_holds_is_refused_at_load() {
    let issuer = TestIssuer::new();
    let path = "profiles/mastercard-style-dual.toml";
    let text = String::from_utf8(issuer.files[path].clone()).unwrap();
    let without = text.replacen("\"9F47\", \"9F48\", \"9F49\"", "\"9F47\", \"9F49\"", 1);
    assert_ne!(text, without);
    let mut files = issuer.files.clone();
    files.insert(path.to_owned(), without.into_bytes());
    let found = Issuer::load(&files).unwrap_err();
    let hit = found.iter().find(|f| f.code == "afl" && f.message.contains("9F48"));
    assert!(hit.is_some_and(|f| f.file == path && f.line > 0), "{found:#?}");
}

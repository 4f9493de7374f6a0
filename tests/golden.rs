//! Golden cards: one for each shipped profile, with fixed keys, seed, order and RSA keys as inputs, every intermediate
//! value and the expected bytes. A mismatch names the step.
//!
//! `EMV_DATAPREP_GOLDEN=write cargo test --test golden` writes the files anew; read the difference before it is kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
#[cfg(feature = "pkcs11")]
mod softhsm_support;
mod token_support;

use std::collections::BTreeMap;

use common::{Scheme, TestIssuer, order_of, profiles};
use emv_dataprep::card::{Pin, ServiceCode};
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{self, Exponent, KeySpec, RsaPrivate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::emv::{Afl, Aip, Record, SdaTagList, Sfi, StaticData, Tag, tlv};
use emv_dataprep::issuer::oda::{IccCertificate, IccKeyKind};
use emv_dataprep::issuer::{SecurityModule, cvv, ibm3624, icc_key, pvv};
use emv_dataprep::keys::{KeyAlgorithm, KeyIndex, KeyRef, KeyUse};
use emv_dataprep::perso::{DgiTag, Protection};
use emv_dataprep::prepare::{CardRequest, Context, PreparedCard, RsaKeySupply, TransportKeys, prepare_batch};
use emv_dataprep::profile::{ExpiryOrder, PinVerification};
use emv_dataprep::secret::Secret;
use serde_json::{Value, json};

/// The RSA keys of the card, as the golden file gives them.
struct Fixed(BTreeMap<&'static str, (Vec<u8>, Vec<u8>, u32)>);

impl RsaKeySupply for Fixed {
    fn take(&self, _: u64, purpose: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let name = if purpose == Purpose::IccKey { "icc_key" } else { "pin_key" };
        let (p, q, e) = self.0.get(name)?;
        let key = RsaPrivate::from_primes(p, q, Exponent::new(*e).unwrap()).unwrap();
        assert_eq!(key.public().bits(), spec.bits());
        Some(key)
    }
}

fn path(profile: &str) -> String {
    format!("vectors/cards/{profile}.json")
}

/// The inputs of a new golden card.
fn inputs(profile: &str) -> Value {
    let seed = Seed::fixed([0x47; 32]);
    let keys: BTreeMap<String, String> = common::symmetric_keys(&seed)
        .into_iter()
        .map(|(k, (a, v))| (format!("{k} {a}"), hex::encode_upper(v)))
        .collect();
    let rsa_key = |name: &str, bits: usize, e: u32| {
        let stream = seed.named_stream(format!("{profile} {name}").as_bytes(), Purpose::TestIssuer);
        let key = rsa::generate(KeySpec::new(bits, Exponent::new(e).unwrap()).unwrap(), &stream).unwrap();
        json!({"p": hex::encode_upper(key.p().expose()), "q": hex::encode_upper(key.q().expose()), "e": e})
    };
    let schemes: Vec<Value> = common::SCHEMES
        .iter()
        .map(|(bin, rid, index)| {
            json!({"bin": bin, "rid": rid, "index": index, "ca": rsa_key("ca", 1984, 3), "issuer": rsa_key("issuer", 1408, 65537)})
        })
        .collect();
    let pin_key = &common::symmetric_keys(&seed)[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1;
    let block = TdesKey::from_bytes(pin_key).unwrap().encrypt_block([0x14, 0x12, 0x34, 1, 2, 3, 4, 5]);
    let order = order_of(profile, "golden-1", 10_010).replace("BLOCK", &hex::encode_upper(block));
    let mut out = json!({
        "seed": hex::encode_upper([0x47; 32]), "today": "260115", "keys": keys, "schemes": schemes,
        "order": serde_json::from_str::<Value>(&order).unwrap(),
    });
    match profile {
        "visa-style-dual" => out["icc_key"] = rsa_key("icc", 1408, 65537),
        "mastercard-style-dual" => out["icc_key"] = rsa_key("icc", 1152, 3),
        "ccd-generic" => {
            out["icc_key"] = rsa_key("icc", 1152, 3);
            out["pin_key"] = rsa_key("pin", 1024, 3);
        }
        _ => {}
    }
    out
}

fn parts(value: &Value) -> (Vec<u8>, Vec<u8>, u32) {
    let bytes = |name: &str| hex::decode(value[name].as_str().unwrap()).unwrap();
    (bytes("p"), bytes("q"), u32::try_from(value["e"].as_u64().unwrap()).unwrap())
}

fn issuer_of(inputs: &Value) -> TestIssuer {
    let seed: [u8; 32] = hex::decode(inputs["seed"].as_str().unwrap()).unwrap().try_into().unwrap();
    let mut keys = BTreeMap::new();
    for (name, value) in inputs["keys"].as_object().unwrap() {
        let words: Vec<&str> = name.split(' ').collect();
        let algorithm = match words[2] {
            "TDES-2KEY" => KeyAlgorithm::Tdes2,
            "AES-256" => KeyAlgorithm::Aes256,
            other => panic!("{other}"),
        };
        let key = KeyRef::new(words[0].parse().unwrap(), words[1].parse().unwrap());
        keys.insert(key, (algorithm, hex::decode(value.as_str().unwrap()).unwrap()));
    }
    let key = |value: &Value| {
        let (p, q, e) = parts(value);
        RsaPrivate::from_primes(&p, &q, Exponent::new(e).unwrap()).unwrap()
    };
    let schemes = inputs["schemes"].as_array().unwrap().iter().map(|s| Scheme {
        bin: s["bin"].as_str().unwrap().to_owned(),
        rid: s["rid"].as_str().unwrap().to_owned(),
        index: u8::try_from(s["index"].as_u64().unwrap()).unwrap(),
        ca: key(&s["ca"]),
        issuer: key(&s["issuer"]),
    });
    TestIssuer::from_parts(Seed::fixed(seed), keys, schemes.collect(), inputs["today"].as_str().unwrap())
}

fn prepare(issuer: &TestIssuer, module: &dyn SecurityModule, inputs: &Value) -> (CardRequest, PreparedCard) {
    let mut fixed = BTreeMap::new();
    for name in ["icc_key", "pin_key"] {
        if inputs[name].is_object() {
            fixed.insert(name, parts(&inputs[name]));
        }
    }
    let supply = Fixed(fixed);
    let request = || issuer.request(&inputs["order"].to_string());
    let transport_keys = &TransportKeys::for_block(&issuer.issuer, module, &issuer.seed, 0).unwrap();
    let context = Context { module, transport_keys, ..issuer.context_with(Some(&supply)) };
    let card = prepare_batch(&context, &[request()]).unwrap().remove(0).unwrap();
    (request(), card)
}

/// Every intermediate value, in the order in which a card is made.
fn steps(issuer: &TestIssuer, request: &CardRequest, card: &PreparedCard) -> Vec<Value> {
    let mut out = Vec::new();
    let mut step = |name: String, value: String| out.push(json!({"step": name, "value": value}));
    let hex = |b: &[u8]| hex::encode_upper(b);
    let clear = |usage: KeyUse, index: KeyIndex| &issuer.keys[&KeyRef::new(usage, index)].1;
    let tdes = |usage, index| TdesKey::from_bytes(clear(usage, index)).unwrap();
    let profile = issuer.issuer.profile(&request.profile).unwrap();
    let product = issuer.issuer.product(&request.product).unwrap();
    let data = &request.data;
    let psn = data.psn.unwrap_or_default();
    let index = request.keys.derivation.unwrap();
    for usage in profile.master_keys() {
        let block = icc_key::derivation_block(profile.derivation, &data.pan, psn);
        let imk = Secret::copy_of(clear(usage, index));
        let key = icc_key::derive(profile.derivation, &imk, &data.pan, psn).unwrap();
        step(format!("{usage}: derivation block"), hex(block.expose()));
        step(format!("{usage}: ICC master key"), hex(key.expose()));
        step(format!("{usage}: KCV"), hex(&TdesKey::new(&key).unwrap().encrypt_block([0; 8])[..3]));
    }
    let cvk = tdes(KeyUse::Cvk, request.keys.card_verification.unwrap());
    let yymm = data.expiry.yymm_digits();
    let mut cvvs = vec![("CVV1", yymm, product.service_code), ("iCVV", yymm, ServiceCode::ICVV)];
    if let Some(order) = product.cvv2 {
        let expiry = if order == ExpiryOrder::Mmyy { data.expiry.mmyy_digits() } else { yymm };
        cvvs.push(("CVV2", expiry, ServiceCode::CVV2));
    }
    for (name, expiry, service_code) in cvvs {
        let blocks = cvv::blocks(&data.pan, expiry, service_code).unwrap();
        step(format!("{name}: last block"), hex(&cvv::last_block(&cvk, &blocks)));
        step(
            name.to_owned(),
            cvv::compute(&cvk, &data.pan, expiry, service_code, 3).unwrap().to_text().to_string(),
        );
    }
    let transport = tdes(KeyUse::Transport, KeyIndex(1));
    if let Some(reference) = card.applications[0].dgis.get(DgiTag::REFERENCE_PIN) {
        let mut block = reference.value.clone();
        transport.decrypt_ecb(&mut block).unwrap();
        let len = usize::from(block[0] & 0x0F);
        let digits: Vec<u8> = block[1..].iter().flat_map(|b| [b >> 4, b & 0x0F]).take(len).collect();
        let pin = Pin::from_digits(&digits).unwrap();
        step("PIN".to_owned(), digits.iter().map(|d| char::from(b'0' + d)).collect());
        let pvk = tdes(KeyUse::Pvk, request.keys.pin_verification.unwrap());
        match &product.pin_verification {
            PinVerification::Pvv => {
                step("PVV: TSP".to_owned(), hex(pvv::tsp(&data.pan, 1, &pin).unwrap().as_slice()));
                step("PVV".to_owned(), pvv::compute(&pvk, &data.pan, 1, &pin).unwrap().to_text().to_string());
            }
            PinVerification::Offset(parameters) => {
                let validation = parameters.validation_data.apply(&data.pan).unwrap();
                let table =
                    emv_dataprep::issuer::decimal::DecimalizationTable::new(parameters.decimalization)
                        .unwrap();
                let natural = ibm3624::natural_pin(&pvk, validation, &table, pin.len()).unwrap();
                step("IBM 3624: validation data".to_owned(), hex(&validation));
                step(
                    "IBM 3624: offset".to_owned(),
                    ibm3624::offset(&natural, &pin).unwrap().to_text().to_string(),
                );
            }
            PinVerification::None => {}
        }
    }
    for application in &card.applications {
        let name = &application.aid;
        let records: Vec<Record> = application
            .dgis
            .dgis()
            .iter()
            .filter_map(|d| {
                let (sfi, number): (Sfi, u8) = d.tag.emv_record()?;
                Some(Record::verbatim(sfi, number, d.value.clone()).unwrap())
            })
            .collect();
        for dgi in
            application.dgis.dgis().iter().filter(|d| d.protection == Protection::None && !d.value.is_empty())
        {
            let Ok(Some(aip)) = tlv::find(&dgi.value, Tag::AIP) else { continue };
            let Ok(Some(afl)) = tlv::find(&dgi.value, Tag::AFL) else { continue };
            let afl = Afl::parse(afl).unwrap();
            let read: Vec<&Record> = afl
                .records()
                .map(|r| records.iter().find(|x| x.sfi() == r.sfi && x.number() == r.number).unwrap())
                .collect();
            let find = |tag: Tag| read.iter().find_map(|r| tlv::find(r.authenticated_bytes(), tag).unwrap());
            let Some(certificate) = find(Tag::ICC_CERTIFICATE) else { continue };
            let list = SdaTagList::parse(find(Tag::SDA_TAG_LIST)).unwrap();
            let signed = StaticData::build(&afl, &records, Aip::parse(aip).unwrap(), list).unwrap();
            step(format!("{name} DGI {}: static data to be authenticated", dgi.tag), hex(signed.as_bytes()));
            let icc = IccCertificate {
                certificate: certificate.to_vec(),
                remainder: find(Tag::ICC_KEY_REMAINDER).unwrap_or_default().to_vec(),
                exponent: find(Tag::ICC_KEY_EXPONENT).unwrap().to_vec(),
            };
            let oda = issuer.issuer.oda(request.keys.oda.unwrap()).unwrap();
            let recovered =
                icc.verify(&oda.certificates[0].key, IccKeyKind::Authentication, signed.as_bytes()).unwrap();
            step(format!("{name} DGI {}: ICC certificate recovered", dgi.tag), hex(&recovered.recovered));
        }
        for dgi in application.dgis.dgis().iter().filter(|d| d.protection == Protection::Transport) {
            let mut value = dgi.value.clone();
            transport.decrypt_ecb(&mut value).unwrap();
            step(format!("{name} DGI {}: plaintext", dgi.tag), hex(&value));
        }
    }
    out
}

fn golden(profile: &str, inputs: &Value) -> Value {
    let issuer = issuer_of(inputs);
    golden_from(&issuer, &issuer.module, profile, inputs)
}

fn golden_from(issuer: &TestIssuer, module: &dyn SecurityModule, profile: &str, inputs: &Value) -> Value {
    let (request, card) = prepare(issuer, module, inputs);
    let line: Value = serde_json::from_slice(&emv_dataprep::output::card_line(&card)).unwrap();
    json!({
        "id": format!("card-{profile}"), "kind": "golden_card", "source": "made here; test keys only",
        "inputs": inputs, "steps": steps(issuer, &request, &card),
        "expected": {"card": line, "return": card.issuer_return, "mailer": card.mailer},
    })
}

#[test]
fn golden_cards_come_out_byte_for_byte() {
    for profile in profiles() {
        if std::env::var("EMV_DATAPREP_GOLDEN").is_ok_and(|v| v == "write") {
            std::fs::create_dir_all("vectors/cards").unwrap();
            let text = serde_json::to_string_pretty(&golden(profile, &inputs(profile))).unwrap();
            std::fs::write(path(profile), text + "\n").unwrap();
        }
        let file: Value = serde_json::from_slice(&std::fs::read(path(profile)).unwrap()).unwrap();
        let made = golden(profile, &file["inputs"]);
        let (want, got) = (file["steps"].as_array().unwrap(), made["steps"].as_array().unwrap());
        for (want, got) in want.iter().zip(got) {
            assert_eq!(want, got, "{profile}: step {}", want["step"]);
        }
        assert_eq!(want.len(), got.len(), "{profile}: steps");
        assert!(want.len() > 12, "{profile}: {} steps", want.len());
        let dgis = |v: &Value| -> Vec<Value> {
            let apps = v["expected"]["card"]["chip"]["applications"].as_array().unwrap().clone();
            apps.iter().flat_map(|a| a["dgis"].as_array().unwrap().clone()).collect()
        };
        assert!(!dgis(&file).is_empty());
        for (want, got) in dgis(&file).iter().zip(dgis(&made)) {
            assert_eq!(*want, got, "{profile}: DGI {}", want["dgi"]);
        }
        assert_eq!(file["expected"], made["expected"], "{profile}");
    }
}

/// The issuer's keys in a double of a token, without any library.
#[test]
fn golden_cards_come_out_of_the_double_of_a_token() {
    for profile in profiles() {
        let file: Value = serde_json::from_slice(&std::fs::read(path(profile)).unwrap()).unwrap();
        let issuer = issuer_of(&file["inputs"]);
        let double = token_support::Double::new();
        assert_from_token(profile, &file, &issuer, double);
    }
}

/// The issuer's keys in SoftHSM2, non-extractable.
#[cfg(feature = "pkcs11")]
#[test]
fn golden_cards_come_out_of_a_token() {
    let test = "golden_cards_come_out_of_a_token";
    let Some(library) = softhsm_support::inside(test, &profiles()) else { return };
    for profile in profiles() {
        let file: Value = serde_json::from_slice(&std::fs::read(path(profile)).unwrap()).unwrap();
        let issuer = issuer_of(&file["inputs"]);
        let pin = Secret::copy_of(softhsm_support::PIN.as_bytes());
        let api = emv_dataprep::hsm::Pkcs11::open_to_import(&library, profile, &pin).unwrap();
        assert_from_token(profile, &file, &issuer, api);
    }
}

/// Puts the keys into the token; nothing but the token is asked after that.
fn assert_from_token(
    profile: &str,
    file: &Value,
    issuer: &TestIssuer,
    api: impl emv_dataprep::hsm::TokenApi,
) {
    token_support::import(&api, issuer);
    let oda = issuer.issuer_keys.keys().copied();
    let token = emv_dataprep::hsm::Token::open(api, &token_support::entries(issuer), oda).unwrap();
    let module = emv_dataprep::issuer::KeyModule::new(token);
    assert_eq!(module.source_name(), "pkcs11");
    let made = golden_from(issuer, &module, profile, &file["inputs"]);
    assert!(file["steps"] == made["steps"], "{profile}: steps");
    assert!(file["expected"] == made["expected"], "{profile}: the card differs");
}

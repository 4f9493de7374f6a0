//! What Debug and Display show of values that may be secret: for every public type with bytes or texts in it, one is
//! looked at here, or its module looks at it, or it is listed as public with the reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)] // a test

mod common;
mod leak_support;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};

use common::{TestIssuer, order_of};
use emv_dataprep::batch::{BlockNumber, Cards, EnvelopeKeys, Pipeline as _};
use emv_dataprep::card::{Pin, Psn};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::emv::tlv;
use emv_dataprep::issuer::{DigitValue, NaturalPinJob, SecurityModule as _, icc_key, pin_block};
use emv_dataprep::keys::{KeyIndex, KeyRef, KeyUse, PrivateJwk};
use emv_dataprep::order::{Frame, NoEnvelopeKey, RawOrder, parse_order};
use emv_dataprep::output::CardLine;
use emv_dataprep::perso::{DgiSet, DgiTag, DgiValue, PadRule, parse_dgis};
use emv_dataprep::prepare::{FirstSerial, Scripts, SensitiveText, prepare_batch};
use emv_dataprep::secret::Secret;
use emv_dataprep::store::Store;
use leak_support::Needles;

struct Watch {
    needles: Needles,
    seen: BTreeSet<String>,
}

impl Watch {
    /// Neither form of Debug shows a needle.
    fn debug<T: Debug + ?Sized>(&mut self, value: &T) {
        let whole = std::any::type_name::<T>();
        let name = whole.split('<').next().unwrap().rsplit("::").next().unwrap().to_owned();
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            assert_eq!(self.needles.find(text.as_bytes()), None, "{name}: {}", &text[..text.len().min(400)]);
            assert!(!text.is_empty());
        }
        self.seen.insert(name);
    }

    fn display<T: Display + ?Sized>(&self, value: &T) {
        let text = value.to_string();
        assert_eq!(self.needles.find(text.as_bytes()), None, "{}", std::any::type_name::<T>());
    }
}

/// Types that are looked at here.
fn looked_at() -> BTreeSet<String> {
    let issuer = TestIssuer::new();
    let mut needles = Needles::new();
    for (_, key) in issuer.keys.values() {
        needles.key("key", key);
        needles.debug_list("key", key);
    }
    let order = order_of("mastercard-style-dual", "c-1", 7);
    let pan = serde_json::from_str::<serde_json::Value>(&order).unwrap()["cardData"]["pan"]
        .as_str()
        .unwrap()
        .to_owned();
    needles.digits("PAN", &pan);
    needles.debug_list("PAN", pan.as_bytes());
    needles.debug_list("PAN", &pan.bytes().map(|b| b - b'0').collect::<Vec<_>>());
    needles.debug_list("PAN", &hex::decode(&pan).unwrap());
    needles.text("name", "Maria Muster");
    needles.text("name", "MUSTER/MARIA");
    needles.text("address", "Main Street 1");
    let pin = "123498760512";
    needles.digits("PIN", pin);
    let digits: Vec<u8> = pin.bytes().map(|b| b - b'0').collect();
    needles.debug_list("PIN", &digits);
    let clear = hex::decode(format!("1C{pin}A7")).unwrap();
    needles.bytes("PIN block", &clear);
    needles.debug_list("PIN block", &clear);
    let pin_key = TdesKey::from_bytes(&issuer.keys[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1).unwrap();
    let block = pin_key.encrypt_block(clear.try_into().unwrap());
    let order = order.replace("BLOCK", &hex::encode_upper(block));
    let mut watch = Watch { needles, seen: BTreeSet::new() };
    let w = &mut watch;

    // Values and keys.
    let master = issuer.keys[&KeyRef::new(KeyUse::ImkAc, KeyIndex(1))].1.clone();
    let long = issuer.keys[&KeyRef::new(KeyUse::Transport, KeyIndex(2))].1.clone();
    w.debug(&Secret::copy_of(&master));
    w.debug(&Pin::from_digits(&digits).unwrap());
    w.debug(&DigitValue::new(digits.clone()));
    w.debug(&SensitiveText::new(pan.clone()));
    w.debug(&TdesKey::from_bytes(&master).unwrap());
    w.debug(&AesKey::new(&Secret::copy_of(&long)).unwrap());
    w.debug(&Ed25519Private::from_seed(&Secret::copy_of(&long)).unwrap());
    let pan_value: emv_dataprep::card::Pan = pan.parse().unwrap();
    w.debug(&pan_value);
    w.display(&pan_value);
    let option = issuer.issuer.profile("visa-style-dual").unwrap().derivation;
    w.debug(&icc_key::derivation_block(option, &pan_value, Psn::default()));
    let seed = Seed::fixed(long.clone().try_into().unwrap());
    w.debug(&seed);
    let stream = seed.named_stream(b"x", Purpose::Pin);
    w.debug(&stream);
    w.debug(&stream.rng());
    let jwk = PrivateJwk::generate(&mut stream.rng());
    w.debug(&jwk);
    let mut envelopes = EnvelopeKeys::default();
    let kid = jwk.public().kid().to_owned();
    envelopes.add(&kid, jwk).unwrap();
    w.debug(&envelopes);
    w.debug(&issuer.module);
    w.debug(&issuer.transport);
    let held = issuer.module.generate_pin(12, &mut stream.rng()).unwrap();
    w.debug(&held);
    let natural = NaturalPinJob {
        key: KeyRef::new(KeyUse::Pvk, KeyIndex(1)),
        validation_data: hex::decode(&pan).unwrap().try_into().unwrap(),
        decimalization: b"0123456789012345",
        pin_len: 4,
    };
    w.debug(&natural);
    let format = emv_dataprep::issuer::PinBlockFormat::Iso0;
    let refused = pin_block::read_clear_block(format, &[0x41; 8], &pan_value).unwrap_err();
    w.debug(&refused);
    w.display(&refused);

    // An order on its way in.
    let raw = RawOrder::new(1, order.as_bytes());
    w.debug(&raw);
    let mut frame = Frame::new();
    frame.feed(order.as_bytes(), &mut Vec::new());
    w.debug(&frame);
    let mut bad = order.clone();
    bad = bad.replace(&pan, &format!("{}{}", &pan[..15], (pan.as_bytes()[15] - b'0' + 1) % 10));
    let rejected =
        parse_order(&issuer.issuer, &NoEnvelopeKey, &RawOrder::new(2, bad.as_bytes()), issuer.today);
    let rejected = rejected.unwrap_err();
    w.debug(&rejected);
    w.debug(&rejected.rejection);
    w.display(&rejected.rejection);
    let request = issuer.request(&order);
    w.debug(&request);
    w.debug(&request.data);
    w.debug(request.data.pin_block.as_ref().unwrap());
    let Some(emv_dataprep::prepare::Shipment::Individual { delivery_address }) = &request.shipment else {
        panic!("an address")
    };
    w.debug(delivery_address.as_ref());
    let phone = emv_dataprep::prepare::Phone { country_code: "+32".into(), phone_number: pan.clone() };
    w.debug(&phone);
    let design = emv_dataprep::prepare::CardDesign { custom_lines: vec![pan.clone()], ..Default::default() };
    w.debug(&design);
    let carrier =
        emv_dataprep::prepare::CarrierConfig { custom_lines: vec![pan.clone()], ..Default::default() };
    w.debug(&carrier);

    // A card.
    let context = issuer.context();
    w.debug(&context);
    let card = prepare_batch(&context, std::slice::from_ref(&request)).unwrap().remove(0).unwrap();
    w.debug(&card);
    w.debug(&card.applications);
    let application = &card.applications[0];
    w.debug(&application.dgis);
    w.debug(&application.dgis.dgis()[0]);
    w.debug(application.script.as_ref().unwrap());
    w.debug(&application.script.as_ref().unwrap().0[1]);
    w.debug(&card.magstripe);
    w.debug(&card.print);
    w.debug(&card.issuer_return);
    w.debug(&card.personalization_data());
    let record = application.dgis.dgis().iter().find(|d| d.tag.emv_record().is_some()).unwrap();
    w.debug(&tlv::parse(&record.value).unwrap());
    w.debug(&parse_dgis(&hex::decode(format!("010108{pan}")).unwrap()).unwrap()[0]);
    let mut set = DgiSet::new();
    set.push(DgiTag(0x0B01), DgiValue::clear(pan.clone().into_bytes())).unwrap();
    set.push(DgiTag(0x8000), DgiValue::secret(Secret::copy_of(&master), PadRule::Never)).unwrap();
    w.debug(&set);

    // On its way out.
    let home = "issuer".parse().unwrap();
    let pipeline = Cards {
        macs: None,
        prime_tags: None,
        issuer: &issuer.issuer,
        module: &issuer.module,
        opener: &envelopes,
        today: issuer.today,
        backend: Backend::detect(),
        scripts: Scripts::Build,
        supply: None,
        home: &home,
        first_serial: FirstSerial::default(),
        tags: None,
    };
    w.debug(&pipeline);
    let begun = pipeline.begin(&seed, BlockNumber(0)).unwrap();
    let made = pipeline.prepare(&seed, &begun, std::slice::from_ref(&request)).unwrap().remove(0).unwrap();
    w.debug(&made);
    let text = std::str::from_utf8(&made.card).unwrap();
    assert!(text.contains(&pan));
    w.debug(&CardLine::read(text).unwrap());
    w.debug(&emv_dataprep::verify::CardLine::read(text).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut file = Store::default().start(&folder.path().join("f")).unwrap();
    file.write(&made.card).unwrap();
    w.debug(&file);
    watch.seen
}

/// Types whose derived Debug shows bytes, and why that is right: nothing of them is secret.
const PUBLIC: &[(&str, &str)] = &[
    (
        "Description ServiceCode Rid Dac Ibm3624 DecimalizationTable OdaProfile Piece ValueSpec",
        "configuration",
    ),
    ("RecordTemplate Content CpsSettings KeyIdentifier OwnerId StationSettings", "configuration"),
    (
        "Selection Install ParameterPart Expected ProcessingStep",
        "commands of a script plan, from configuration",
    ),
    (
        "EcPublic DetachedSignature CaResponse Field RequestValues OdaKeyInfo",
        "public keys and what is said of them",
    ),
    ("EcIccCertificate IccCertificate IssuerCertificate CertifiedIssuerKey RecoveredSsad", "certificates"),
    ("CvvJob", "the expiry beside a masked PAN"),
    (
        "CardKeys RecordMac RecordMacKey TransportEntry DgiValue CpsRecord RecordApplication",
        "cryptograms, check values",
    ),
    ("OptionalBlock Header TransportKeyName", "headers of key blocks"),
    (
        "ScriptContext SecureChannel CardSessionRequest Refill KeyData ChannelState SessionState",
        "challenges, counters, MACs",
    ),
    ("AuditLog Written FileEntry", "digests"),
    ("OpenJob", "the job's data key, wrapped"),
    ("BatchName PrimeHistory", "batch ids, paths"),
    ("ResponseData ReadRequest", "requests and responses of a scheme"),
    ("Object", "a public modulus, a check value's plain block"),
    ("Sorter Sorted", "keyed tags with positions"),
    ("FaultKind FaultyCard Module", "the virtual card of tests"),
];

struct Found {
    file: PathBuf,
    name: String,
    derived: bool,
    own: bool,
    raw: bool,
}

/// Every public type of the library with what its text says.
fn public_types() -> Vec<Found> {
    let mut out = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "bin" && name != "tests" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && !name.contains("tests") {
                let text = std::fs::read_to_string(&path).unwrap();
                types_of(&path, text.split("#[cfg(test)]").next().unwrap(), &mut out);
            }
        }
    }
    out
}

fn types_of(path: &Path, text: &str, out: &mut Vec<Found>) {
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) else {
            continue;
        };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
        let above = lines[..at].iter().rev().take_while(|l| l.starts_with("///") || l.starts_with("#["));
        let derived = above.into_iter().any(|l| l.starts_with("#[derive(") && l.contains("Debug"));
        let end = if line.ends_with(';') || line.ends_with('}') {
            at + 1
        } else {
            at + lines[at..].iter().position(|l| l.starts_with('}') || l.starts_with(");")).unwrap()
        };
        let body: String = lines[at..end].iter().map(|l| l.split("//").next().unwrap()).collect();
        let raw = ["Vec<u8>", "Box<[u8]>", "[u8; ", "Zeroizing<"].iter().any(|t| body.contains(t));
        let own = text.lines().any(|l| {
            let subject = l.strip_prefix("impl").and_then(|l| l.split("fmt::Debug for ").nth(1));
            subject.is_some_and(|s| s.split(|c: char| !c.is_alphanumeric()).next() == Some(name.as_str()))
        });
        out.push(Found { file: path.to_owned(), name, derived, own, raw });
    }
}

/// Whether the tests of a type's module look at its Debug text.
fn looked_at_beside(found: &Found) -> bool {
    let own = std::fs::read_to_string(&found.file).unwrap();
    if own.contains(":?}") {
        return true;
    }
    let folder = found.file.parent().unwrap();
    let mut beside: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    if let Ok(tests) = std::fs::read_dir(folder.join("tests")) {
        beside.extend(tests.map(|e| e.unwrap().path()));
    }
    beside.iter().filter(|p| p.is_file() && p.to_str().unwrap().contains("tests")).any(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.contains(":?}") && text.contains(&found.name)
    })
}

/// Types with their own Debug that shows no more than a digest, a name or a count, as their code says in one line.
const PLAIN: &[&str] = &[
    "Spool",
    "Sha256Stream",
    "Aid",
    "ClearValue",
    "Aip",
    "RecoveredSdad",
    "EncipheredKey",
    "Duplicates",
    "Exchange",
    "Outcomes",
    "TagKeyFrom",
    "WeakKeyGate",
    "Token",
    "TokenProtectionKey",
    "Pkcs11",
    "RsaTrace",
    "FileReader",
    "Merge",
    "GcdTree",
    "GcdProduct",
];

#[test]
fn debug_and_display_show_no_secret() {
    let seen = looked_at();
    let types = public_types();
    assert!(types.len() > 400, "{} types were found", types.len());
    let public: BTreeSet<&str> = PUBLIC.iter().flat_map(|(names, _)| names.split(' ')).collect();
    let mut wrong = Vec::new();
    for found in &types {
        let known = seen.contains(&found.name);
        if found.derived && found.raw && !known && !public.contains(found.name.as_str()) {
            wrong.push(format!("{}: the derived Debug of {} shows bytes", found.file.display(), found.name));
        }
        let plain = PLAIN.contains(&found.name.as_str());
        if found.own && !known && !plain && !looked_at_beside(found) {
            wrong.push(format!("{}: nobody looks at the Debug text of {}", found.file.display(), found.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for name in public.iter().chain(PLAIN) {
        assert!(types.iter().any(|t| t.name == *name), "{name} is listed and there is no such type");
    }
}

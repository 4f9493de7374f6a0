//! The test issuer of `dataprep demo`: its configuration loads without an error, every order passes and every card is
//! prepared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::arithmetic_side_effects)] // a test
#![allow(dead_code, unreachable_pub, unused_imports, reason = "the module belongs to the program")]

#[path = "../src/bin/dataprep/demo/mod.rs"]
mod demo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use demo::{Contents, TestIssuer};
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{KeySpec, RsaPrivate, generate};
use emv_dataprep::issuer::KeyModule;
use emv_dataprep::keys::{PrivateJwk, SoftwareRing, jwe};
use emv_dataprep::order::{Duplicates, EnvelopeOpener, Frame, OpenError, Probe, parse_order};
use emv_dataprep::prepare::{
    CardRequest, Context, FirstSerial, PreparedCard, RsaKeySupply, Scripts, TransportKeys, prepare_batch,
};
use emv_dataprep::profile::{Issuer, Level};
use emv_dataprep::secret::Secret;
use zeroize::Zeroizing;

fn made() -> &'static TestIssuer {
    static MADE: OnceLock<TestIssuer> = OnceLock::new();
    MADE.get_or_init(|| TestIssuer::make(&Seed::fixed(demo::SEED), demo::ORDERS, &mut |_| {}).unwrap())
}

fn today() -> CardDate {
    CardDate::from_yymmdd("260115").unwrap()
}

fn issuer() -> Issuer {
    let (issuer, findings) = Issuer::check(&made().files, Some(today()));
    let bad: Vec<_> =
        findings.iter().filter(|f| f.level == Level::Error || f.code != "static-transport-of-pins").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    issuer.unwrap()
}

struct Envelope(PrivateJwk);

impl Envelope {
    fn new() -> Self {
        Self(PrivateJwk::from_json(&made().secrets["envelope.jwk"]).unwrap())
    }
}

impl EnvelopeOpener for Envelope {
    fn open(&self, compact: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (_, plain) = jwe::open(&self.0, compact).map_err(|_| OpenError::Crypto)?;
        Ok(Zeroizing::new(plain.expose().to_vec()))
    }
}

fn requests(issuer: &Issuer) -> Vec<CardRequest> {
    let mut frame = Frame::new();
    let mut raw = Vec::new();
    frame.feed(&made().orders, &mut raw);
    frame.finish(&mut raw);
    let envelope = Envelope::new();
    raw.iter().map(|r| parse_order(issuer, &envelope, r, today()).unwrap_or_else(|e| panic!("{e}"))).collect()
}

/// The same key of each size for every card: this test is not about keys.
struct OneKey(BTreeMap<(usize, u32), [Vec<u8>; 2]>);

impl OneKey {
    fn new(issuer: &Issuer) -> Self {
        let mut keys = BTreeMap::new();
        for profile in issuer.profiles() {
            let oda = profile.oda.clone().unwrap_or_default();
            for key in [oda.icc_key, oda.pin_key].into_iter().flatten() {
                let exponent = emv_dataprep::crypto::rsa::Exponent::new(key.exponent).unwrap();
                let spec = KeySpec::new(key.bits, exponent).unwrap();
                let stream = Seed::fixed([9; 32]).named_stream(b"one key", Purpose::TestIssuer);
                let made = generate(spec, &stream.sub(&[key.bits as u64])).unwrap();
                let primes = [made.p().expose().to_vec(), made.q().expose().to_vec()];
                keys.insert((key.bits, key.exponent), primes);
            }
        }
        Self(keys)
    }
}

impl RsaKeySupply for OneKey {
    fn take(&self, _: u64, _: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let [p, q] = self.0.get(&(spec.bits(), spec.exponent().get()))?;
        RsaPrivate::from_primes(p, q, spec.exponent()).ok()
    }
}

fn ring(issuer: &Issuer) -> SoftwareRing {
    let kbpk = String::from_utf8(made().secrets["kbpk.hex"].clone()).unwrap();
    let kbpk = Secret::new(hex::decode(kbpk.trim()).unwrap());
    let mut ring = SoftwareRing::new(Backend::Portable);
    for entry in issuer.key_entries() {
        ring.load(&kbpk, entry).unwrap();
    }
    let password = String::from_utf8(made().secrets["oda.pass"].clone()).unwrap();
    let password = Secret::copy_of(password.trim().as_bytes());
    for key in issuer.oda_keys() {
        let der = &made().files[&key.private_key_file];
        ring.add_oda(key.index, RsaPrivate::from_pkcs8_encrypted(der, &password).unwrap()).unwrap();
    }
    ring
}

#[test]
fn the_configuration_loads_with_the_expected_warning_alone() {
    let issuer = issuer();
    assert_eq!(issuer.products().count(), 4);
    assert_eq!(issuer.profiles().count(), 4);
}

#[test]
fn every_order_passes_and_all_parts_of_an_order_occur() {
    let issuer = issuer();
    let requests = requests(&issuer);
    assert_eq!(requests.len(), 1000);
    let mut seen = Duplicates::new(Secret::copy_of(&[1; 32]));
    assert!(requests.iter().all(|r| seen.probe(&r.card_id) == Probe::Fresh));
    let pans: BTreeSet<String> = requests.iter().map(|r| r.data.pan.to_text().to_string()).collect();
    assert_eq!(pans.len(), 1000);
    let destinations: BTreeSet<_> = requests.iter().map(|r| r.destination.to_string()).collect();
    assert_eq!(
        destinations.into_iter().collect::<Vec<_>>(),
        ["BRANCH-7", "KIOSK-PS-101", "PC1", "PC2", "THALES"]
    );
    let products: BTreeSet<_> = requests.iter().map(|r| r.product.as_str()).collect();
    assert_eq!(products.len(), 4);
    let any = |what: &str, has: fn(&CardRequest) -> bool| assert!(requests.iter().any(has), "{what}");
    any("multi-card carrier", |r| r.carrier.as_ref().is_some_and(|c| c.multi_card_id.is_some()));
    any("packaging", |r| r.packaging.is_some());
    any("design", |r| r.design.is_some());
    any("bulk", |r| matches!(r.shipment, Some(emv_dataprep::prepare::Shipment::Bulk { .. })));
    any("mailer", |r| r.services.pin_mailer);
    any("alpha card", |r| r.services.alpha_card);
    any("cvv1", |r| r.data.cvv1.is_some());
    any("cvv2", |r| r.data.cvv2.is_some());
    any("pvv", |r| r.data.pvv.is_some());
    any("track 2", |r| r.data.track2.is_some());
    any("encoded name", |r| r.data.encoded_name.is_some());
    any("sequence number", |r| r.data.psn.is_some());
    any("effective date", |r| r.data.effective_date.is_some());
    any("account reference", |r| r.data.payment_account_reference.is_some());
    any("19 digits", |r| r.data.pan.len() == 19);
}

#[test]
fn every_tenth_order_carries_its_card_data_in_the_envelope_only() {
    let text = std::str::from_utf8(&made().orders).unwrap();
    for (line, n) in text.lines().zip(1..) {
        assert_eq!(line.contains("encryptedData"), n % 10 == 0, "{n}");
        assert_eq!(line.contains("cardData"), n % 10 != 0, "{n}");
    }
}

#[test]
fn every_card_is_prepared() {
    let issuer = issuer();
    let requests = requests(&issuer);
    let module = KeyModule::new(ring(&issuer));
    let seed = Seed::fixed(demo::SEED);
    let transport_keys = TransportKeys::for_block(&issuer, &module, &seed, 0).unwrap();
    let supply = OneKey::new(&issuer);
    let context = Context {
        issuer: &issuer,
        module: &module,
        seed: &seed,
        today: today(),
        backend: Backend::Portable,
        transport_keys: &transport_keys,
        scripts: Scripts::Build,
        supply: Some(&supply),
        first_serial: FirstSerial::default(),
        prime_tags: None,
    };
    let mut rejected = Vec::new();
    for chunk in requests.chunks(100) {
        for (request, outcome) in chunk.iter().zip(prepare_batch(&context, chunk).unwrap()) {
            match outcome {
                Ok(card) => check(request, &card),
                Err(e) => rejected
                    .push(format!("{} {} {}: {e}", request.position, request.product, request.channel)),
            }
        }
    }
    assert!(rejected.is_empty(), "{} rejected: {:#?}", rejected.len(), &rejected[..rejected.len().min(20)]);
}

fn check(request: &CardRequest, card: &PreparedCard) {
    assert_eq!((card.position, &card.card_id), (request.position, &request.card_id));
    assert_eq!(card.channel, request.channel);
}

#[test]
fn the_folder_holds_what_it_says_and_nothing_of_others_is_touched() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("demo");
    let folder = demo::write(&dir, demo::SEED, Contents::IssuerOnly, &mut |_| {}).unwrap();
    let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    assert_eq!(read(folder.issuer().join("issuer.toml")), made().files["issuer.toml"]);
    assert_eq!(read(folder.issuer().join("keys.toml")), made().files["keys.toml"]);
    assert!(!folder.orders().exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for name in made().secrets.keys() {
            let mode = folder.secrets().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
    // Again over our own folder, never over another's.
    std::fs::write(dir.join("issuer/stray"), "x").unwrap();
    demo::write(&dir, demo::SEED, Contents::IssuerOnly, &mut |_| {}).unwrap();
    assert!(!dir.join("issuer/stray").exists());
    let other = parent.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("precious"), "x").unwrap();
    assert!(demo::write(&other, demo::SEED, Contents::IssuerOnly, &mut |_| {}).is_err());
    assert_eq!(read(other.join("precious")), b"x");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2);
}

#[test]
fn another_seed_gives_other_keys() {
    let other = TestIssuer::make(&Seed::fixed([7; 32]), 0, &mut |_| {}).unwrap();
    assert_ne!(other.secrets["kbpk.hex"], made().secrets["kbpk.hex"]);
    assert_ne!(other.files["keys.toml"], made().files["keys.toml"]);
    assert_eq!(other.files["products/classic.toml"], made().files["products/classic.toml"]);
}

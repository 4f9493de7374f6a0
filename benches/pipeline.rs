//! The whole pipeline, one card of each shipped profile, and each of its steps on a slice of cards.
//!
//! `cargo bench --bench pipeline`. Throughput is cards per second of one core. Setup stands outside the timing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{TestIssuer, order_of, profiles};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::Purpose;
use emv_dataprep::crypto::rsa::{self, Exponent, KeySpec, RsaPrivate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::{CardKeysJob, CvvJob, DerivationOption, ProtectMode, SecurityModule};
use emv_dataprep::keys::{KeyIndex, KeyRef, KeyUse, PrivateJwk, jwe};
use emv_dataprep::order::{Frame, NoEnvelopeKey, parse_order};
use emv_dataprep::prepare::{CardRequest, RsaKeySupply, prepare_batch};

const SLICE: usize = 64;

/// Ready keys: what a pool gives.
struct Ready(Vec<(KeySpec, Vec<u8>, Vec<u8>)>);

impl RsaKeySupply for Ready {
    fn take(&self, _: u64, _: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let (_, p, q) = self.0.iter().find(|(s, ..)| *s == spec)?;
        RsaPrivate::from_primes(p, q, spec.exponent()).ok()
    }
}

fn order(issuer: &TestIssuer, profile: &str, body: u64) -> String {
    let key = &issuer.keys[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1;
    let block = TdesKey::from_bytes(key).unwrap().encrypt_block([0x14, 0x12, 0x34, 1, 2, 3, 4, 5]);
    order_of(profile, &format!("c-{body}"), body).replace("BLOCK", &hex::encode_upper(block))
}

fn requests(issuer: &TestIssuer, profile: &str, count: usize) -> Vec<CardRequest> {
    (0..count).map(|i| issuer.request(&order(issuer, profile, i as u64))).collect()
}

fn ready() -> Ready {
    let seed = emv_dataprep::crypto::rng::Seed::fixed([1; 32]);
    let specs = [(1408, 65537), (1152, 3), (1024, 3)];
    Ready(
        specs
            .iter()
            .map(|(bits, e)| {
                let spec = KeySpec::new(*bits, Exponent::new(*e).unwrap()).unwrap();
                let key = rsa::generate(spec, &seed.named_stream(b"ready", Purpose::IccKey)).unwrap();
                (spec, key.p().expose().to_vec(), key.q().expose().to_vec())
            })
            .collect(),
    )
}

fn whole(c: &mut Criterion) {
    let issuer = TestIssuer::new();
    let ready = ready();
    let mut group = c.benchmark_group("cards");
    group.sample_size(10);
    for profile in profiles() {
        let slice = requests(&issuer, profile, SLICE);
        group.throughput(Throughput::Elements(SLICE as u64));
        group.bench_function(BenchmarkId::new("fresh-keys", profile), |b| {
            b.iter(|| prepare_batch(&issuer.context(), black_box(&slice)).unwrap());
        });
        group.bench_function(BenchmarkId::new("ready-keys", profile), |b| {
            b.iter(|| prepare_batch(&issuer.context_with(Some(&ready)), black_box(&slice)).unwrap());
        });
        let one = requests(&issuer, profile, 1);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("one-ready-key", profile), |b| {
            b.iter(|| prepare_batch(&issuer.context_with(Some(&ready)), black_box(&one)).unwrap());
        });
    }
    group.finish();
}

fn steps(c: &mut Criterion) {
    let issuer = TestIssuer::new();
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(SLICE as u64));
    let slice = requests(&issuer, "visa-style-dual", SLICE);
    let text = order(&issuer, "visa-style-dual", 1);
    group.bench_function("parse-order", |b| {
        b.iter(|| {
            for _ in 0..SLICE {
                let (mut frame, mut orders) = (Frame::new(), Vec::new());
                frame.feed(black_box(text.as_bytes()), &mut orders);
                frame.finish(&mut orders);
                parse_order(&issuer.issuer, &NoEnvelopeKey, &orders[0], issuer.today).unwrap();
            }
        });
    });
    let cvk = KeyRef::new(KeyUse::Cvk, KeyIndex(1));
    let cvvs: Vec<CvvJob<'_>> = slice
        .iter()
        .map(|r| CvvJob {
            key: cvk,
            pan: &r.data.pan,
            expiry: r.data.expiry.yymm_digits(),
            service_code: "201".parse().unwrap(),
        })
        .collect();
    group.bench_function("cvv", |b| b.iter(|| issuer.module.cvv(black_box(&cvvs)).unwrap()));
    let masters = [KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc].map(|u| KeyRef::new(u, KeyIndex(1)));
    let (transport, mode) = issuer.transport.of(&"PC1".parse().unwrap()).unwrap();
    assert_eq!(mode, ProtectMode::Ecb);
    let jobs: Vec<CardKeysJob<'_>> = slice
        .iter()
        .map(|r| CardKeysJob {
            masters: &masters,
            option: DerivationOption::A,
            pan: &r.data.pan,
            psn: Default::default(),
            transport,
            mode,
        })
        .collect();
    group.bench_function("icc-master-keys", |b| b.iter(|| issuer.module.card_keys(black_box(&jobs)).unwrap()));
    let blocks: Vec<Vec<u8>> = (0..SLICE).map(|i| [vec![0x6A, 4], vec![i as u8; 173], vec![0xBC]].concat()).collect();
    group.bench_function("issuer-signature-1408", |b| {
        b.iter(|| issuer.module.sign_certificates(KeyIndex(1), black_box(&blocks)).unwrap());
    });
    let cards = prepare_batch(&issuer.context_with(Some(&ready())), &slice).unwrap();
    let card = cards[0].as_ref().unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function("card-line", |b| b.iter(|| emv_dataprep::output::card_line(black_box(card))));
    let line = emv_dataprep::output::card_line(card);
    let key = PrivateJwk::generate(&mut issuer.seed.named_stream(b"jwk", Purpose::Envelope).rng());
    let public = key.public();
    let seal = || {
        let mut rng = issuer.seed.named_stream(b"seal", Purpose::Envelope).rng();
        jwe::seal(public, &serde_json::Map::new(), &line, &mut rng).unwrap()
    };
    group.bench_function("jwe-seal-card", |b| b.iter(seal));
    let sealed = seal();
    group.bench_function("jwe-open-card", |b| b.iter(|| jwe::open(&key, black_box(&sealed)).unwrap()));
    group.finish();
}

fn keys(c: &mut Criterion) {
    let seed = emv_dataprep::crypto::rng::Seed::fixed([2; 32]);
    let mut group = c.benchmark_group("icc-key");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SLICE as u64));
    for (bits, e) in [(1152, 3), (1408, 65537)] {
        let spec = KeySpec::new(bits, Exponent::new(e).unwrap()).unwrap();
        let streams: Vec<_> =
            (0..SLICE as u64).map(|i| seed.named_stream(&i.to_be_bytes(), Purpose::IccKey)).collect();
        let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
        group.bench_function(BenchmarkId::new(format!("{bits}"), e), |b| {
            b.iter(|| rsa::generate_batch(Backend::detect(), black_box(&jobs)));
        });
    }
    group.finish();
}

criterion_group!(benches, whole, steps, keys);
criterion_main!(benches);

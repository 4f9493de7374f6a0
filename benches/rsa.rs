//! Steps of the RSA part: key generation by size and backend, signatures in groups, one public operation.
#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::unwrap_used, reason = "a bench stops where a step fails")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{CardStream, Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, generate, generate_batch, sign_batch};

const LANES: u64 = 32;

fn backends() -> impl Iterator<Item = Backend> {
    Backend::ALL.into_iter().filter(|b| b.is_available())
}

fn streams(seed: &Seed, first: u64) -> Vec<CardStream> {
    (first..first + LANES).map(|i| seed.named_stream(&i.to_be_bytes(), Purpose::TestIssuer)).collect()
}

fn keygen(c: &mut Criterion) {
    let seed = Seed::fixed([1; 32]);
    let mut group = c.benchmark_group("rsa_keygen");
    group.sample_size(10).throughput(Throughput::Elements(LANES));
    for (bits, exponent) in
        [(1024, Exponent::F4), (1408, Exponent::F4), (1408, Exponent::THREE), (1984, Exponent::F4)]
    {
        let spec = KeySpec::new(bits, exponent).unwrap();
        for backend in backends() {
            let mut first = 0;
            let id = BenchmarkId::new(backend.name(), format!("{bits} e={}", exponent.get()));
            group.bench_function(id, |b| {
                b.iter(|| {
                    first += LANES;
                    let streams = streams(&seed, first);
                    let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
                    generate_batch(backend, &jobs)
                });
            });
        }
    }
}

fn signatures(c: &mut Criterion) {
    let seed = Seed::fixed([2; 32]);
    let mut group = c.benchmark_group("rsa_sign");
    group.throughput(Throughput::Elements(LANES));
    for bits in [1408, 1984] {
        let spec = KeySpec::new(bits, Exponent::F4).unwrap();
        let key = generate(spec, &seed.named_stream(b"issuer", Purpose::TestIssuer)).unwrap();
        let blocks: Vec<_> = (0..LANES).map(|i| vec![i as u8; bits / 8]).collect();
        for backend in backends() {
            group.bench_function(BenchmarkId::new(backend.name(), bits), |b| {
                b.iter(|| sign_batch(backend, &key, black_box(&blocks)));
            });
        }
        let public = key.public().clone();
        group.bench_function(BenchmarkId::new("recover", bits), |b| {
            b.iter(|| blocks.iter().map(|block| public.apply(black_box(block))).collect::<Vec<_>>());
        });
    }
}

criterion_group!(benches, keygen, signatures);
criterion_main!(benches);

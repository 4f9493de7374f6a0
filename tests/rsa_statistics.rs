//! Keys in number: no two share a prime, their primes are spread as primes are, and other people's code accepts them.
//!
//! `EMV_DATAPREP_RSA_KEYS` sets the number of keys; `scripts/long/rsa-statistics` sets 100,000.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test stops where a step fails"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use crypto_bigint::BoxedUint;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{
    Exponent, KeySpec, RsaPrivate, RsaPublic, generate_batch, is_prime, shared_factors,
};
use rsa::pkcs8::DecodePrivateKey;

const BITS: usize = 1024;

fn count() -> usize {
    std::env::var("EMV_DATAPREP_RSA_KEYS").map_or(5_000, |n| n.parse().unwrap())
}

/// The keys of a fixed seed, on all cores.
fn keys(count: usize, spec: KeySpec) -> Vec<RsaPrivate> {
    let seed = Seed::fixed([0x57; 32]);
    let numbers: Vec<usize> = (0..count).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let parts: Vec<_> = numbers
            .chunks(count.div_ceil(threads))
            .map(|part| {
                scope.spawn(|| {
                    part.chunks(64).flat_map(|numbers| some(&seed, numbers, spec)).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn some(seed: &Seed, numbers: &[usize], spec: KeySpec) -> Vec<RsaPrivate> {
    let streams: Vec<_> =
        numbers.iter().map(|i| seed.named_stream(&i.to_be_bytes(), Purpose::TestIssuer)).collect();
    let jobs: Vec<_> = streams.iter().map(|stream| (spec, stream)).collect();
    generate_batch(Backend::detect(), &jobs).into_iter().map(Result::unwrap).collect()
}

/// Pearson's statistic in standard deviations from its mean, for classes that are equally likely.
fn deviation(classes: &[usize]) -> f64 {
    let expected = classes.iter().sum::<usize>() as f64 / classes.len() as f64;
    let statistic: f64 = classes.iter().map(|c| (*c as f64 - expected).powi(2) / expected).sum();
    let freedom = (classes.len() - 1) as f64;
    (statistic - freedom) / (2.0 * freedom).sqrt()
}

fn residue(number: &[u8], modulus: usize) -> usize {
    number.iter().fold(0, |r, b| (r << 8 | usize::from(*b)) % modulus)
}

/// How far the next prime below lies.
fn gap_before(prime: &[u8]) -> f64 {
    let mut n = prime.to_vec();
    for gap in (2_u32..).step_by(2) {
        let mut borrow = 2;
        for byte in n.iter_mut().rev() {
            let (t, under) = byte.overflowing_sub(borrow);
            *byte = t;
            borrow = u8::from(under);
        }
        if (3..200).step_by(2).all(|small| residue(&n, small) != 0) && is_prime(&n) {
            return f64::from(gap);
        }
    }
    unreachable!("there is a prime below")
}

/// All of it on one set of keys, as making them is what takes the time. The seed is fixed: a limit of five standard
/// deviations tells a fault, not bad luck.
#[test]
fn keys_in_number() {
    let count = count();
    let keys = keys(count, KeySpec::new(BITS, Exponent::F4).unwrap());
    let primes: Vec<&[u8]> = keys.iter().flat_map(|key| [key.p().expose(), key.q().expose()]).collect();

    // The six bits below the two that are set; p and q together, as p is the larger one by name.
    let mut classes = [0; 64];
    for prime in &primes {
        classes[usize::from(prime[0] & 0x3F)] += 1;
    }
    assert!(deviation(&classes) < 5.0, "top bits: {classes:?}");
    let mut classes = [0; 128];
    for prime in &primes {
        classes[usize::from(prime[BITS / 16 - 1] >> 1)] += 1;
    }
    assert!(deviation(&classes) < 5.0, "lowest bits: {classes:?}");
    for modulus in [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 257] {
        let mut classes = vec![0; modulus];
        for prime in &primes {
            classes[residue(prime, modulus)] += 1;
        }
        assert_eq!(classes[0], 0, "a multiple of {modulus}");
        assert!(deviation(&classes[1..]) < 5.0, "mod {modulus}: {classes:?}");
    }
    for prime in &primes {
        assert_ne!(residue(prime, 65537), 1);
    }

    // The gap before a random prime is 512 ln 2 = 355 in the mean and below half of that with a chance of 39 %; a
    // search in rising order finds primes after twice that, and after less than 177 with a chance of 9 %.
    let gaps: Vec<f64> = primes.iter().take(400).map(|prime| gap_before(prime)).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let short = gaps.iter().filter(|gap| **gap < 177.0).count() as f64 / gaps.len() as f64;
    assert!((310.0..450.0).contains(&mean), "{mean}");
    assert!((0.29..0.46).contains(&short), "{short}");

    // No prime twice. Then some are planted.
    let mut moduli: Vec<&RsaPublic> = keys.iter().map(RsaPrivate::public).collect();
    assert!(shared_factors(&moduli).unwrap().is_empty());
    let planted: Vec<RsaPrivate> = [(3, 7), (count / 2, count - 1)]
        .map(|(a, b)| {
            RsaPrivate::from_primes(keys[a].p().expose(), keys[b].q().expose(), Exponent::F4).unwrap()
        })
        .into();
    moduli.extend(planted.iter().map(RsaPrivate::public));
    assert_eq!(shared_factors(&moduli).unwrap(), [3, 7, count / 2, count - 1, count, count + 1]);
}

/// OpenSSL's own check where its program is there, the `rsa` crate's, and a Baillie-PSW test.
#[test]
fn other_code_accepts_a_sample() {
    let sample = (count() / 250).max(20);
    let with_openssl = Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success());
    for (bits, exponent) in
        [(704, Exponent::F4), (1024, Exponent::THREE), (1408, Exponent::F4), (1984, Exponent::THREE)]
    {
        for key in keys(sample, KeySpec::new(bits, exponent).unwrap()) {
            let der = key.to_pkcs8().unwrap();
            for prime in [key.p(), key.q()] {
                let prime = BoxedUint::from_be_slice_vartime(prime.expose());
                assert!(crypto_primes::is_prime(crypto_primes::Flavor::Any, &prime), "{bits} bits");
            }
            if bits >= 1024 {
                rsa::RsaPrivateKey::from_pkcs8_der(der.expose()).unwrap().validate().unwrap();
            }
            if with_openssl {
                let mut check = Command::new("openssl")
                    .args(["pkey", "-inform", "DER", "-check", "-noout"])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                check.stdin.take().unwrap().write_all(der.expose()).unwrap();
                assert!(check.wait().unwrap().success(), "OpenSSL refuses a key of {bits} bits");
            }
        }
    }
}

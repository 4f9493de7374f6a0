use crypto_bigint::BoxedUint;

use super::keygen::*;
use super::prime::Candidate;
use super::sample::{self, Words};
use super::*;
use crate::crypto::backend::Backend;
use crate::crypto::hash::sha256;
use crate::crypto::rng::{CardStream, Purpose, Seed};

fn stream(name: &str) -> CardStream {
    Seed::fixed([0x5A; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer)
}

fn spec(bits: usize, exponent: Exponent) -> KeySpec {
    KeySpec::new(bits, exponent).unwrap()
}

#[test]
fn the_plain_path_gives_the_same_keys() {
    let small = spec(512, Exponent::F4);
    let specs = [
        spec(512, Exponent::THREE),
        spec(528, Exponent::F4),
        spec(704, Exponent::THREE),
        small.with_sampling(Sampling::FreshCandidates),
        small,
    ];
    let stream = stream("plain");
    let jobs = specs.map(|spec| (spec, &stream));
    let keys = generate_batch(Backend::Portable, &jobs);
    for ((key, plain), spec) in keys.iter().zip(generate_batch(Backend::Plain, &jobs)).zip(specs) {
        let (key, plain) = (key.as_ref().unwrap(), plain.unwrap());
        for of in [RsaPrivate::p, RsaPrivate::q, RsaPrivate::dp, RsaPrivate::dq, RsaPrivate::qinv] {
            assert_eq!(of(key), of(&plain), "{} bits, {:?}", spec.bits(), spec.sampling());
        }
        assert_eq!(key.public(), plain.public());
        let blocks = [vec![0; plain.public().len()], vec![0x6A; plain.public().len()], vec![1; 3]];
        assert_eq!(sign_batch(Backend::Portable, key, &blocks), sign_batch(Backend::Plain, &plain, &blocks));
    }
}

#[test]
fn keys_have_the_properties_that_fips_asks_for() {
    for (bits, exponent) in [
        (512, Exponent::THREE),
        (528, Exponent::F4),
        (720, Exponent::THREE),
        (1024, Exponent::F4),
        (1408, Exponent::THREE),
    ] {
        let key = generate(spec(bits, exponent), &stream("properties")).unwrap();
        let p = BoxedUint::from_be_slice_vartime(key.p().expose());
        let q = BoxedUint::from_be_slice_vartime(key.q().expose());
        assert_eq!(key.public().bits(), bits);
        assert_eq!((p.bits(), q.bits()), (bits as u32 / 2, bits as u32 / 2));
        assert!(p > q);
        assert!(p.wrapping_sub(&q).bits() > bits as u32 / 2 - 100);
        let n = p.concatenating_mul(&q);
        assert_eq!(num::to_be(&n, bits / 8).unwrap().as_slice(), key.public().modulus());
        let d = BoxedUint::from_be_slice_vartime(key.d().unwrap().expose());
        assert!(d.bits() > bits as u32 / 2);
        for (prime, part) in [(&p, key.dp()), (&q, key.dq())] {
            let less_one = num::less_one(prime);
            let part = BoxedUint::from_be_slice_vartime(part.expose());
            let product = part.concatenating_mul(&BoxedUint::from(exponent.get()));
            assert_eq!(product.rem(&num::divisor(&less_one).unwrap()), BoxedUint::one());
            assert_eq!(d.rem(&num::divisor(&less_one).unwrap()), part);
        }
    }
}

#[test]
fn the_rsa_crate_accepts_every_key() {
    use rsa::pkcs8::DecodePrivateKey;

    for number in 0..4 {
        let exponent = if number % 2 == 0 { Exponent::THREE } else { Exponent::F4 };
        let key = generate(spec(1024 + 16 * number, exponent), &stream("peer")).unwrap();
        let peer = rsa::RsaPrivateKey::from_pkcs8_der(key.to_pkcs8().unwrap().expose()).unwrap();
        peer.validate().unwrap();
    }
}

#[test]
fn one_stream_gives_one_key_in_any_company() {
    let streams: Vec<_> = (0..3).map(|i| stream(&format!("company {i}"))).collect();
    let specs = [spec(512, Exponent::THREE), spec(512, Exponent::F4), spec(544, Exponent::THREE)];
    let jobs: Vec<_> = specs.into_iter().zip(&streams).collect();
    let alone: Vec<_> = jobs.iter().map(|(s, stream)| generate(*s, stream).unwrap()).collect();
    let together = generate_batch(Backend::Portable, &jobs);
    for (a, b) in alone.iter().zip(&together) {
        assert_eq!(a.p(), b.as_ref().unwrap().p());
        assert_eq!(a.q(), b.as_ref().unwrap().q());
    }
    assert_ne!(alone[0].p(), alone[1].p());
}

/// Pins the procedure: a change of any draw changes these keys, and every golden card with them.
#[test]
fn the_procedure_is_pinned() {
    let digest = |bits, exponent, sampling| {
        let key = generate(spec(bits, exponent).with_sampling(sampling), &stream("pinned")).unwrap();
        hex::encode_upper(&sha256(&[key.p().expose(), key.q().expose()])[..8])
    };
    let windows = Sampling::Windows;
    let digests = [
        digest(512, Exponent::F4, windows),
        digest(1024, Exponent::THREE, windows),
        digest(1408, Exponent::F4, windows),
        digest(512, Exponent::THREE, Sampling::FreshCandidates),
    ];
    assert_eq!(digests, ["B02B4230D1F110E1", "1E92D0C5FC8BF85A", "60DC479E66A344C2", "F5538854B7EFCD2B"]);
}

/// Keys of an odd number of bytes: the same on every backend, of exactly the length asked for, good for import.
#[test]
fn keys_of_any_number_of_bytes() {
    for (bits, exponent) in [(520, Exponent::F4), (1000, Exponent::THREE), (1976, Exponent::F4)] {
        let spec = KeySpec::in_bytes(bits, exponent).unwrap();
        let stream = stream("odd");
        let key = generate(spec, &stream).unwrap();
        assert_eq!((key.public().bits(), key.public().len()), (bits, bits / 8));
        assert_eq!(key.p().expose()[0] & 0xF0, 0, "half of a byte");
        key.check().unwrap();
        for backend in [Backend::Plain, Backend::Portable, Backend::detect()] {
            if bits > 1000 && backend == Backend::Plain {
                continue;
            }
            let made = generate_batch(backend, &[(spec, &stream)]).remove(0).unwrap();
            assert_eq!(made.public(), key.public(), "{backend}");
        }
    }
    assert!(KeySpec::in_bytes(516, Exponent::F4).is_err() && KeySpec::in_bytes(1992, Exponent::F4).is_err());
}

#[test]
fn sizes_and_exponents_outside_the_range_are_refused() {
    for bits in [0, 496, 520, 2000, 2048] {
        assert!(KeySpec::new(bits, Exponent::F4).is_err(), "{bits}");
    }
    assert!(KeySpec::new(1024, Exponent::new(17).unwrap()).is_err());
}

/// With h = 32: every pair of primes 2 g a + 1 for a few g, whose great common factor makes d small now and
/// then, against the private exponent itself.
#[test]
fn a_small_private_exponent_is_seen() {
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    let (mut small, mut large) = (0, 0);
    for g in [0x100_0001_u64, 0xFF_FFFD, 0x101_5A5A] {
        let primes: Vec<_> =
            (64..128).map(|a| 2 * g * a + 1).filter(|p| p >> 31 == 1 && is_prime(*p)).collect();
        for (p, q) in primes.iter().flat_map(|p| primes.iter().filter(move |q| *q < p).map(move |q| (p, q))) {
            let [p, q] = [p, q].map(|x| (*x as u32).to_be_bytes());
            let key = RsaPrivate::from_primes(&p, &q, Exponent::F4).unwrap();
            let d = key.d().unwrap().expose().iter().fold(0_u64, |d, b| d << 8 | u64::from(*b));
            if key.public().bits() == 64 {
                assert_eq!(key.has_small_d().unwrap(), d <= 1 << 32, "{d}");
                *(if d <= 1 << 32 { &mut small } else { &mut large }) += 1;
            }
        }
    }
    assert!(small > 0 && large > 0, "{small} {large}");
}

/// Primes as the search finds them: no favoured bit or residue, and no favoured gap.
#[test]
fn primes_are_spread_as_primes_are() {
    let bits = 256;
    let count = 200;
    let mut primes = Vec::new();
    for i in 0..count {
        let key = generate(spec(2 * bits, Exponent::F4), &stream(&format!("statistics {i}"))).unwrap();
        primes.extend([key.p(), key.q()].map(|p| sample::from_be(p.expose())));
    }
    let total = primes.len() as f64;
    let chi2 = |classes: &[usize]| {
        let expected = total / classes.len() as f64;
        classes.iter().map(|c| (*c as f64 - expected).powi(2) / expected).sum::<f64>()
    };
    // Bits 248 to 253 below the two set ones, bits 1 to 6 above the set one.
    for bit in (248..254).chain(1..7) {
        let mut classes = [0; 2];
        for p in &primes {
            classes[(p[bit / 64] >> (bit % 64) & 1) as usize] += 1;
        }
        // p > q by name only: both are counted, so the top bits are fair. 10.8 is 1 in 1000.
        assert!(chi2(&classes) < 10.8, "bit {bit}: {classes:?}");
    }
    for (m, limit) in [(3_usize, 10.8), (5, 16.3), (7, 20.5), (11, 29.6), (13, 32.9)] {
        let mut classes = vec![0; m];
        for p in &primes {
            let r = p.iter().rev().fold(0_u128, |r, w| ((r << 64) | u128::from(*w)) % m as u128);
            classes[r as usize] += 1;
        }
        assert_eq!(classes[0], 0);
        assert!(chi2(&classes[1..]) < limit, "mod {m}: {classes:?}");
    }
    // The mean gap before a random prime of 256 bits is 256 ln 2 = 177; a search in rising order finds primes
    // after twice that.
    let mean = primes.iter().map(gap_before).sum::<f64>() / total;
    assert!((150.0..205.0).contains(&mean), "{mean}");
}

fn gap_before(p: &Words) -> f64 {
    let mut n = *p;
    for gap in (2..).step_by(2) {
        n[0] = n[0].checked_sub(2).expect("no borrow in 64 bits for these seeds");
        if Candidate::<4>::new(&n).passes_fermat() {
            return f64::from(gap);
        }
    }
    unreachable!("there is a prime below")
}

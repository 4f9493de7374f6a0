//! What the import of keys refuses, through the public interface: each rule by a key that breaks it alone, beside the key
//! that does not. The algorithms themselves take any key of the right length (`self-test` needs that).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, RsaPublic, generate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::error::{ErrorKind, Result};
use emv_dataprep::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
use emv_dataprep::secret::Secret;
use num_bigint::BigUint;

const A: &str = "4C37C8319D76ADAB58D9431543C2165B";

fn why<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result.unwrap_err().kind() {
        ErrorKind::KeyRefused(why) => why,
        other => panic!("{other}"),
    }
}

fn rsa_key(name: &str, bits: usize) -> RsaPrivate {
    let stream = Seed::fixed([0x1A; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer);
    generate(KeySpec::new(bits, Exponent::F4).unwrap(), &stream).unwrap()
}

fn number(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

fn public(n: &BigUint, e: &[u8]) -> RsaPublic {
    RsaPublic::new(&n.to_bytes_be(), e).unwrap()
}

#[test]
fn sizes_and_exponents() {
    let good = rsa_key("sizes", 512);
    let n = number(good.public().modulus());
    for e in [vec![3], vec![1, 0, 1]] {
        public(&n, &e).check().unwrap();
    }
    for e in [vec![5], vec![17], vec![1, 1], vec![0x80, 0, 1], vec![1, 0, 0, 0, 1]] {
        assert_eq!(why(public(&n, &e).check()), "the exponent is neither 3 nor 65537");
    }
    for less in 1..8 {
        let short: BigUint = (&n >> less) | BigUint::from(1_u8);
        assert_eq!(why(public(&short, &[3]).check()), "the modulus is not a whole number of bytes");
    }
}

#[test]
fn the_form_of_weak_generators_is_refused() {
    // 65537^a mod M, M the product of the first 39 primes: every modulus of CVE-2017-15361 is a product of two such numbers.
    let primes: Vec<u32> = (2..168_u32).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    let m = primes.iter().fold(BigUint::from(1_u8), |m, p| m * *p);
    let power = |a: u32| BigUint::from(65537_u32).modpow(&BigUint::from(a), &m);
    let (p, q) = (&m * 1_234_567_891_u64 + power(4711), &m * 3_456_789_013_u64 + power(815));
    let mut n = p * q;
    // To whole bytes without a change modulo M.
    let step = &m * 2_u8;
    while !n.bits().is_multiple_of(8) {
        n += &step << (n.bits() - step.bits());
    }
    assert_eq!(why(public(&n, &[3]).check()), "the modulus has the ROCA fingerprint (CVE-2017-15361)");
    public(&(&n + 2_u8), &[3]).check().unwrap();
}

#[test]
fn primes_that_are_close_are_refused() {
    let p = number(rsa_key("close", 1024).p().expose());
    // For Fermat's method a distance of some 2^260 is as good as none.
    let near = &p + (BigUint::from(1_u8) << 200_u32);
    assert_eq!(
        why(public(&(&p * near), &[3]).check()),
        "the primes are too close: Fermat's method finds them"
    );
    // Farther than that, and nearer than FIPS 186-5 allows.
    let mut q = &p - (BigUint::from(1_u8) << 400_u32);
    while !emv_dataprep::crypto::rsa::is_prime(&q.to_bytes_be()) {
        q -= 2_u8;
    }
    let key = RsaPrivate::from_primes(&p.to_bytes_be(), &q.to_bytes_be(), Exponent::F4).unwrap();
    key.public().check().unwrap();
    assert_eq!(why(key.check()), "the primes are too close");
}

#[test]
fn a_factor_that_is_not_prime_is_refused() {
    let (good, other) = (rsa_key("factors", 1024), rsa_key("factors of a factor", 512));
    good.check().unwrap();
    // A product of two primes without a small factor: only the rounds of Miller-Rabin find it.
    let composite = other.public().modulus();
    let key = RsaPrivate::from_primes(composite, good.q().expose(), Exponent::F4).unwrap();
    if key.public().bits().is_multiple_of(8) {
        assert_eq!(why(key.check()), "a factor is not prime");
    } else {
        panic!("the test key has another size");
    }
    let mut ring = SoftwareRing::new(Backend::Portable);
    assert_eq!(why(ring.add_oda(KeyIndex(1), key)), "a factor is not prime");
    ring.add_oda(KeyIndex(1), good).unwrap();
}

/// Each member of a key file but d, which is computed again and not used: one changed byte, refused.
#[test]
fn a_key_file_whose_parts_contradict_each_other_is_refused() {
    let key = rsa_key("file", 512);
    let der = key.to_pkcs8().unwrap();
    RsaPrivate::from_pkcs8(der.expose()).unwrap().check().unwrap();
    let find = |part: &[u8]| {
        let part = &part[part.iter().take_while(|b| **b == 0).count()..];
        der.expose().windows(part.len()).position(|w| w == part).unwrap()
    };
    let members = [
        ("n", key.public().modulus()),
        ("p", key.p().expose()),
        ("q", key.q().expose()),
        ("dP", key.dp().expose()),
        ("dQ", key.dq().expose()),
        ("qInv", key.qinv().expose()),
    ];
    for (name, member) in members {
        let at = find(member);
        for place in [at + 1, at + member.len() / 2] {
            let mut changed = der.expose().to_vec();
            changed[place] ^= 0x04;
            assert!(RsaPrivate::from_pkcs8(&changed).is_err(), "{name}");
        }
    }
}

fn add(ring: &mut SoftwareRing, of: KeyUse, key: &str) -> Result<()> {
    let algorithm = match key.len() {
        32 => KeyAlgorithm::Tdes2,
        48 => KeyAlgorithm::Tdes3,
        _ => KeyAlgorithm::Aes256,
    };
    let attributes = KeyAttributes { dki: None, pvki: None };
    ring.add_clear(
        KeyRef::new(of, KeyIndex(1)),
        algorithm,
        Secret::new(hex::decode(key).unwrap()),
        attributes,
    )
}

#[test]
fn equal_card_master_keys_are_refused_whatever_their_parity_and_order() {
    const MASTERS: [KeyUse; 3] = [KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc];
    let even = "4D36C9309C77ACAA59D8421442C3175A";
    let aes = A.repeat(2);
    for first in MASTERS {
        for second in MASTERS.into_iter().filter(|u| *u != first) {
            for (one, two) in [(A, A), (A, even), (aes.as_str(), aes.as_str())] {
                let mut ring = SoftwareRing::new(Backend::Portable);
                add(&mut ring, first, one).unwrap();
                let refused = "it equals another card master key of this index";
                assert_eq!(why(add(&mut ring, second, two)), refused);
                // One bit that is no parity bit makes another key.
                let other = format!("{}B7{}", &two[..two.len() - 4], &two[two.len() - 2..]);
                add(&mut ring, second, &other).unwrap();
            }
        }
    }
}

#[test]
fn equal_and_weak_parts_are_refused() {
    let (k1, k2) = A.split_at(16);
    let turned = "4D36C9309C77ACAA";
    let refused = |key: &str| why(add(&mut SoftwareRing::new(Backend::Portable), KeyUse::Cvk, key));
    let equal = "two neighbouring parts are equal";
    for key in [k1.repeat(2), format!("{k1}{turned}"), format!("{k2}{k1}{k1}"), format!("{k1}{k1}{k2}")] {
        assert_eq!(refused(&key), equal, "{}", key.len());
        // The algorithm takes it.
        TdesKey::from_bytes(&hex::decode(&key).unwrap()).unwrap();
    }
    for weak in
        ["0101010101010101", "FEFEFEFEFEFEFEFE", "E0E0E0E0F1F1F1F1", "01FE01FE01FE01FE", "00FF00FF00FF00FF"]
    {
        for key in [format!("{weak}{k1}"), format!("{k1}{weak}"), format!("{k1}{k2}{weak}")] {
            assert_eq!(refused(&key), "a part is a weak DES key");
        }
    }
    // K1 = K3 is a double-length key written long.
    add(&mut SoftwareRing::new(Backend::Portable), KeyUse::Cvk, &format!("{A}{k1}")).unwrap();
}

//! What a key from outside must pass before it is used, and what gives weak keys away.

use crypto_bigint::BoxedUint;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use zeroize::Zeroizing;

use super::num;
use super::{Exponent, RsaPrivate, RsaPublic};
use crate::crypto::hash::sha256;
use crate::crypto::rng::{Purpose, Seed};
use crate::error::{ErrorKind, Place, Result};

/// Rounds of Miller-Rabin for a number that somebody else chose: a composite passes with a chance of at
/// most 4^-64.
const IMPORT_ROUNDS: u32 = 64;

/// Steps of Fermat's factoring method that a modulus must withstand.
const FERMAT_STEPS: u32 = 100;

/// Whether `n`, big-endian, is prime: trial division and 64 rounds of Miller-Rabin (FIPS 186-5, B.3.1).
///
/// The bases are random numbers drawn from a stream that SHA-256 of `n` seeds, so that the answer does not
/// change from call to call, and who chooses `n` cannot choose bases that suit it.
///
/// ```
/// use emv_dataprep::crypto::rsa::is_prime;
/// assert!(is_prime(&[0x01, 0x00, 0x01]));
/// assert!(!is_prime(&[0x02, 0x31])); // 561, a Carmichael number
/// ```
#[must_use]
pub fn is_prime(n: &[u8]) -> bool {
    let zeros = n.iter().take_while(|b| **b == 0).count();
    let bytes = n.get(zeros..).unwrap_or_default();
    let small = |bytes: &[u8]| bytes.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
    match bytes {
        [] => false,
        [_] | [_, _] => is_small_prime(small(bytes)),
        _ => num::from_be(bytes, 0).and_then(|n| passes_miller_rabin(&n, bytes)).unwrap_or(false),
    }
}

fn is_small_prime(n: u32) -> bool {
    n > 1 && (2..n).take_while(|d| d.saturating_mul(*d) <= n).all(|d| !n.is_multiple_of(d))
}

/// Miller-Rabin on a number above 2^16.
fn passes_miller_rabin(n: &BoxedUint, bytes: &[u8]) -> Result<bool> {
    for p in 2..256 {
        if num::rem_small(n, p)? == 0 {
            return Ok(false);
        }
    }
    let less_one = num::less_one(n);
    let twos = less_one.trailing_zeros_vartime();
    let odd_part = Zeroizing::new(less_one.wrapping_shr_vartime(twos));
    let params = BoxedMontyParams::new(num::odd(n)?);
    let mut random = Seed::fixed(sha256(&[bytes])).named_stream(b"primality", Purpose::IccKey).rng();
    let one = BoxedUint::one_with_precision(n.bits_precision());
    for _ in 0..IMPORT_ROUNDS {
        let mut draw = vec![0; bytes.len()];
        let base = loop {
            random.fill(&mut draw);
            let base = num::from_be(&draw, bytes.len())?;
            if *base > one && *base < *less_one {
                break base;
            }
        };
        let mut y = BoxedMontyForm::new((*base).clone(), &params).pow(&odd_part);
        let mut passes = y.retrieve() == one;
        for _ in 0..twos {
            passes |= y.retrieve() == *less_one;
            y = y.square();
        }
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

impl RsaPublic {
    /// The checks of a public key from outside: a size in whole bytes, e = 3 or 65537, no ROCA fingerprint,
    /// no primes so close that Fermat's method finds them.
    ///
    /// # Errors
    /// [`ErrorKind::KeyRefused`] with the rule that is broken.
    pub fn check(&self) -> Result<()> {
        let refused = |why| Err(ErrorKind::KeyRefused(why).into());
        if !self.bits().is_multiple_of(8) {
            return refused("the modulus is not a whole number of bytes");
        }
        if self.exponent() != Exponent::THREE.to_bytes() && self.exponent() != Exponent::F4.to_bytes() {
            return refused("the exponent is neither 3 nor 65537");
        }
        if self.has_roca_fingerprint() {
            return refused("the modulus has the ROCA fingerprint (CVE-2017-15361)");
        }
        if self.falls_to_fermat()? {
            return refused("the primes are too close: Fermat's method finds them");
        }
        Ok(())
    }

    /// Whether the modulus has the form of the keys of CVE-2017-15361 (ROCA): modulo each small prime it is
    /// a power of
    /// 65537. A random modulus has it with a chance below 2^-26.
    #[must_use]
    pub fn has_roca_fingerprint(&self) -> bool {
        let residue = |p: u32| self.modulus().iter().fold(0_u32, |r, b| ((r << 8) | u32::from(*b)) % p);
        (3..=167).filter(|p| is_small_prime(*p)).all(|p| {
            let (target, generator) = (residue(p), 65537 % p);
            let powers = std::iter::successors(Some(1), |x| Some(x * generator % p));
            powers.take(p as usize).any(|power| power == target)
        })
    }

    /// Whether the first steps of Fermat's method factor the modulus: a^2 - n is a square for an a just
    /// above its root.
    fn falls_to_fermat(&self) -> Result<bool> {
        // Room for a^2 after the last step.
        let n = num::from_be(self.modulus(), self.len().saturating_add(8))?;
        let mut a = n.floor_sqrt_vartime();
        for _ in 0..FERMAT_STEPS {
            a = a.wrapping_add(crypto_bigint::Limb::ONE);
            let rest = a.wrapping_mul(&a).wrapping_sub(&*n);
            let root = rest.floor_sqrt_vartime();
            if root.wrapping_mul(&root) == rest {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl RsaPrivate {
    /// The checks of a private key from outside: those of [`RsaPublic::check`], p and q prime (64 rounds),
    /// the CRT relations, |p - q| above 2^(h - 100) with h half the bits of the modulus (FIPS 186-5,
    /// A.1.3), and one operation that verifies.
    ///
    /// # Errors
    /// [`ErrorKind::KeyRefused`] with the rule that is broken.
    pub fn check(&self) -> Result<()> {
        self.public().check()?;
        for (name, prime) in [("p", self.p()), ("q", self.q())] {
            if !is_prime(prime.expose()) {
                return Err(ErrorKind::KeyRefused("a factor is not prime")).at(name);
            }
        }
        let again = Self::from_primes(self.p().expose(), self.q().expose(), self.exponent())?;
        let same = again.dp == self.dp && again.dq == self.dq && again.qinv == self.qinv;
        if !same || again.public != self.public {
            return Err(ErrorKind::KeyRefused("the parts of the key contradict each other").into());
        }
        let (p, q) = (num::from_be(self.p().expose(), 0)?, num::from_be(self.q().expose(), 0)?);
        let distance = Zeroizing::new(p.wrapping_sub(&*q));
        if (distance.bits() as usize) < (self.public().bits() / 2).saturating_sub(99) {
            return Err(ErrorKind::KeyRefused("the primes are too close").into());
        }
        let mut block = vec![0x5A; self.public().len()];
        if let Some(first) = block.first_mut() {
            *first = 0;
        }
        self.apply(&block).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rsa::{KeySpec, generate};

    fn key(name: &str, bits: usize) -> RsaPrivate {
        let stream = Seed::fixed([0x33; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer);
        generate(KeySpec::new(bits, Exponent::F4).unwrap(), &stream).unwrap()
    }

    #[test]
    fn small_numbers_agree_with_trial_division() {
        for n in 0..=0xFFFF_u32 {
            let by_division = n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0);
            if !(600..=0xFF00).contains(&n) {
                assert_eq!(is_prime(&n.to_be_bytes()), by_division, "{n}");
            }
        }
        let above: Vec<_> = (0x1_0000_u32..0x1_0080).filter(|n| is_prime(&n.to_be_bytes())).collect();
        assert_eq!(
            above,
            [
                65537, 65539, 65543, 65551, 65557, 65563, 65579, 65581, 65587, 65599, 65609, 65617, 65629,
                65633, 65647, 65651, 65657
            ]
        );
    }

    #[test]
    fn strong_pseudoprimes_are_composite() {
        // The least strong pseudoprimes to the first bases (OEIS A014233), all with factors above 255.
        for n in [
            3_215_031_751_u64,
            2_152_302_898_747,
            3_474_749_660_383,
            341_550_071_728_321,
            3_825_123_056_546_413_051,
        ] {
            assert!(!is_prime(&n.to_be_bytes()), "{n}");
        }
        assert!(is_prime(&0xFFFF_FFFF_FFFF_FFC5_u64.to_be_bytes())); // 2^64 - 59
    }

    #[test]
    fn generated_keys_pass_the_import_check() {
        key("import", 512).check().unwrap();
        key("import", 1024).check().unwrap();
    }

    #[test]
    fn each_rule_of_the_import_check() {
        let good = key("rules", 512);
        let why = |key: &RsaPrivate| match key.check().unwrap_err().kind() {
            ErrorKind::KeyRefused(why) => *why,
            other => panic!("{other}"),
        };
        // A composite near p, so that the sizes stay.
        let p = num::from_be(good.p().expose(), 0).unwrap();
        let near = (1..40_u32).map(|i| p.wrapping_sub(BoxedUint::from(2 * i)).to_be_bytes());
        let mut near = near.filter(|n| !is_prime(n));
        let bad =
            near.find_map(|n| RsaPrivate::from_primes(&n, good.q().expose(), Exponent::F4).ok()).unwrap();
        assert_eq!(why(&bad), "a factor is not prime");
        let short = RsaPrivate::from_primes(&[61], &[53], Exponent::new(17).unwrap()).unwrap();
        assert_eq!(why(&short), "the modulus is not a whole number of bytes");
        let other_e =
            RsaPrivate::from_primes(good.p().expose(), good.q().expose(), Exponent::new(257).unwrap())
                .unwrap();
        assert_eq!(why(&other_e), "the exponent is neither 3 nor 65537");
        let mut mixed = key("rules", 512);
        mixed.dp = key("other", 512).dp().duplicate();
        assert_eq!(why(&mixed), "the parts of the key contradict each other");
    }

    #[test]
    fn close_primes_are_refused() {
        let p = key("close", 512);
        let start = num::from_be(p.p().expose(), 32).unwrap();
        let next = (1_u32..).map(|i| start.wrapping_add(BoxedUint::from(2 * i)));
        let mut next = next.map(|n| n.to_be_bytes()).filter(|n| is_prime(n));
        let close =
            next.find_map(|q| RsaPrivate::from_primes(p.p().expose(), &q, Exponent::F4).ok()).unwrap();
        assert!(close.public().falls_to_fermat().unwrap());
        assert!(close.check().is_err());
        assert!(!p.public().falls_to_fermat().unwrap());
    }

    #[test]
    fn the_roca_fingerprint() {
        // A power of 65537 is one modulo every prime, by definition.
        let mut n = num::from_be(&[1], 64).unwrap();
        for _ in 0..30 {
            n = Zeroizing::new(n.wrapping_mul(BoxedUint::from(65537_u32)));
        }
        let bytes = n.to_be_bytes_trimmed_vartime();
        assert!(RsaPublic::new(&bytes, &[3]).unwrap().has_roca_fingerprint());
        let mut other = bytes.to_vec();
        *other.last_mut().unwrap() ^= 2;
        assert!(!RsaPublic::new(&other, &[3]).unwrap().has_roca_fingerprint());
        assert!(!key("roca", 512).public().has_roca_fingerprint());
    }
}

//! Moduli that share a prime: what a broken source of random numbers makes, and what gives both keys away.

use dashu_int::UBig;
use dashu_int::ops::Gcd;

use super::RsaPublic;
use crate::error::{ErrorKind, Result};

/// The positions of the moduli that share a factor with another one of the list, equal moduli among them,
/// in rising order.
///
/// Bernstein's batch gcd in quasi-linear steps, without his squares. With P the product of all moduli, D, the sum of
/// P / n over all moduli n, is the product of all others modulo each n: every other term has n as a factor. A tree up
/// gives the products and D (for two halves D = D1 P2 + D2 P1), a tree of remainders down gives D mod n, and one gcd
/// each is above one exactly for a modulus that shares a factor.
///
/// ```
/// use emv_dataprep::crypto::rsa::{RsaPublic, shared_factors};
/// let keys = [[0x0C, 0xA1], [0x14, 0x3F], [0x0E, 0x0F]]; // 53 * 61, 71 * 73, 59 * 61
/// let keys = keys.iter().map(|n| RsaPublic::new(n, &[17])).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(shared_factors(&keys.iter().collect::<Vec<_>>())?, [0, 2]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Value`] for a modulus of zero.
pub fn shared_factors(moduli: &[&RsaPublic]) -> Result<Vec<usize>> {
    let leaves: Vec<UBig> = moduli.iter().map(|key| UBig::from_be_bytes(key.modulus())).collect();
    if leaves.contains(&UBig::ZERO) {
        return Err(ErrorKind::Value("a modulus of zero").into());
    }
    let mut sums = vec![UBig::ONE; leaves.len()];
    let mut levels = vec![leaves];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let above = level.chunks(2).zip(sums.chunks(2));
        let (products, above) = above.map(|nodes| join(nodes.0, nodes.1)).unzip();
        sums = above;
        levels.push(products);
    }
    // The product of all is not needed: the sum is below it times the number of moduli.
    levels.pop();
    let mut remainders = sums;
    while let Some(level) = levels.pop() {
        let parents = remainders.iter().flat_map(|r| [r, r]);
        remainders = level.iter().zip(parents).map(|(n, parent)| parent % n).collect();
    }
    let shares = |(key, r): (&&RsaPublic, &UBig)| r.gcd(&UBig::from_be_bytes(key.modulus())) != UBig::ONE;
    let found = moduli.iter().zip(&remainders).map(shares).enumerate().filter(|(_, shares)| *shares);
    Ok(found.map(|(i, _)| i).filter(|_| moduli.len() > 1).collect())
}

/// Product and sum of one or two neighbours.
fn join(products: &[UBig], sums: &[UBig]) -> (UBig, UBig) {
    match (products, sums) {
        ([p1, p2], [d1, d2]) => (p1 * p2, d1 * p2 + d2 * p1),
        (p, d) => (p.first().cloned().unwrap_or(UBig::ONE), d.first().cloned().unwrap_or(UBig::ZERO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate};

    fn key(name: &str, bits: usize) -> RsaPrivate {
        let stream = Seed::fixed([0x33; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer);
        generate(KeySpec::new(bits, Exponent::F4).unwrap(), &stream).unwrap()
    }

    #[test]
    fn shared_primes_are_found() {
        let keys: Vec<_> = (0..9).map(|i| key(&format!("shared {i}"), 512)).collect();
        let mixed =
            RsaPrivate::from_primes(keys[2].p().expose(), keys[7].q().expose(), Exponent::F4).unwrap();
        let mut moduli: Vec<_> = keys.iter().map(RsaPrivate::public).collect();
        assert!(shared_factors(&moduli).unwrap().is_empty());
        moduli.insert(4, mixed.public());
        assert_eq!(shared_factors(&moduli).unwrap(), [2, 4, 8]);
        let twice = [keys[0].public(), keys[1].public(), keys[0].public()];
        assert_eq!(shared_factors(&twice).unwrap(), [0, 2]);
        assert!(shared_factors(&twice[..1]).unwrap().is_empty());
        assert!(shared_factors(&[]).unwrap().is_empty());
    }

    /// Against Euclid on every pair.
    #[test]
    fn small_moduli_agree_with_every_pair() {
        let odd: Vec<u32> = (0..300_u32).map(|i| 0x8001 + (i * i * 7919 + i * 34) % 0x7000 / 2 * 2).collect();
        let gcd = |mut a: u32, mut b: u32| {
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        for count in [2, 3, 5, 17, 64, 300] {
            let keys: Vec<_> =
                odd[..count].iter().map(|n| RsaPublic::new(&n.to_be_bytes()[2..], &[3]).unwrap()).collect();
            let expected: Vec<usize> =
                (0..count).filter(|i| (0..count).any(|j| j != *i && gcd(odd[*i], odd[j]) != 1)).collect();
            assert_eq!(shared_factors(&keys.iter().collect::<Vec<_>>()).unwrap(), expected, "{count}");
        }
    }
}

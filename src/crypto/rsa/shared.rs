//! Moduli that share a prime: what a broken source of random numbers makes, and what gives both keys away.

use std::fmt;

use dashu_int::UBig;
use dashu_int::ops::Gcd;

use super::RsaPublic;
use crate::error::{ErrorKind, Result};

/// The positions of the moduli that share a factor with another one of the list, equal moduli among them,
/// in rising order: the work of [`GcdTree`], one tree after the other.
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
    let trees = moduli.chunks(GcdTree::share(moduli.len())).map(GcdTree::of);
    let trees: Vec<GcdTree> = trees.collect::<Result<_>>()?;
    let products: Vec<GcdProduct> = trees.iter().map(GcdTree::product).collect();
    let shared = trees.into_iter().enumerate().flat_map(|(place, tree)| tree.shared(place, &products));
    Ok(shared.enumerate().filter(|(_, shared)| *shared).map(|(i, _)| i).collect())
}

/// One part of a batch gcd: some of the moduli, the products of neighbours, of these, and so on to one number.
///
/// Bernstein's batch gcd in quasi-linear steps, without his squares. With P the product of all moduli, D, the sum of
/// P / n over all moduli n, is the product of all others modulo each n: every other term has n as a factor. A tree up
/// gives the products and D (for two halves D = D1 P2 + D2 P1), a tree of remainders down gives D mod n, and one gcd
/// each is above one exactly for a modulus that shares a factor.
///
/// The moduli are cut into a few trees, which can grow and be searched side by side; what goes down a tree is its D times
/// the products of the other trees, modulo its own. In one tree of all the numbers at the top would be as many times
/// longer, and a product takes many times their length of memory.
///
/// ```
/// use emv_dataprep::crypto::rsa::{GcdTree, RsaPublic};
/// let keys = [[0x0C, 0xA1], [0x14, 0x3F], [0x0E, 0x0F]]; // 53 * 61, 71 * 73, 59 * 61
/// let keys = keys.iter().map(|n| RsaPublic::new(n, &[17])).collect::<Result<Vec<_>, _>>()?;
/// let trees = [GcdTree::of(&[&keys[0], &keys[1]])?, GcdTree::of(&[&keys[2]])?];
/// let products = [trees[0].product(), trees[1].product()];
/// let [first, second] = trees;
/// assert_eq!(first.shared(0, &products), [true, false]);
/// assert_eq!(second.shared(1, &products), [true]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub struct GcdTree {
    levels: Vec<Vec<UBig>>,
}

/// The product of the moduli of a tree.
pub struct GcdProduct(UBig);

impl GcdTree {
    /// Moduli of one tree when there are so many in all.
    #[must_use]
    pub const fn share(moduli: usize) -> usize {
        const TREES: usize = 8;
        let share = moduli.div_ceil(TREES);
        if share == 0 { 1 } else { share }
    }

    /// The tree above some moduli.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for a modulus of zero.
    pub fn of(moduli: &[&RsaPublic]) -> Result<Self> {
        let leaves: Vec<UBig> = moduli.iter().map(|key| UBig::from_be_bytes(key.modulus())).collect();
        if leaves.contains(&UBig::ZERO) {
            return Err(ErrorKind::Value("a modulus of zero").into());
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let products = level.chunks(2).map(product).collect();
            levels.push(products);
        }
        Ok(Self { levels })
    }

    /// The product of its moduli.
    #[must_use]
    pub fn product(&self) -> GcdProduct {
        let top = self.levels.last().and_then(|level| level.first());
        GcdProduct(top.cloned().unwrap_or(UBig::ONE))
    }

    /// For each modulus whether it shares a factor with another one of the tree, or of another tree. The products are
    /// those of all trees; this one stands at `place` among them.
    #[must_use]
    pub fn shared(self, place: usize, products: &[GcdProduct]) -> Vec<bool> {
        let mut sums: Vec<UBig> = self.levels.iter().take(1).flatten().map(|_| UBig::ONE).collect();
        for level in &self.levels {
            sums = level.chunks(2).zip(sums.chunks(2)).map(|nodes| sum(nodes.0, nodes.1)).collect();
        }
        let GcdProduct(own) = self.product();
        let others = products.iter().enumerate().filter(|(i, _)| *i != place);
        let with = |all: UBig, (_, other): (usize, &GcdProduct)| all * (&other.0 % &own) % &own;
        let mut remainders: Vec<UBig> = sums.into_iter().map(|d| others.clone().fold(d, with)).collect();
        let mut moduli = Vec::new();
        for level in self.levels.into_iter().rev() {
            let parents = remainders.iter().flat_map(|r| [r, r]);
            remainders = level.iter().zip(parents).map(|(n, parent)| parent % n).collect();
            moduli = level;
        }
        moduli.iter().zip(&remainders).map(|(n, r)| r.gcd(n) != UBig::ONE).collect()
    }
}

impl fmt::Debug for GcdTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GcdTree({} moduli)", self.levels.first().map_or(0, Vec::len))
    }
}

impl fmt::Debug for GcdProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GcdProduct({} bits)", dashu_int::ops::BitTest::bit_len(&self.0))
    }
}

/// The product of one or two neighbours.
fn product(products: &[UBig]) -> UBig {
    match products {
        [p1, p2] => p1 * p2,
        p => p.first().cloned().unwrap_or(UBig::ONE),
    }
}

/// The sum above one or two neighbours.
fn sum(products: &[UBig], sums: &[UBig]) -> UBig {
    match (products, sums) {
        ([p1, p2], [d1, d2]) => d1 * p2 + d2 * p1,
        (_, d) => d.first().cloned().unwrap_or(UBig::ZERO),
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

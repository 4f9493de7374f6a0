//! The CRT coefficient on the portable arithmetic: `crypto-bigint` inverts with temporary numbers that nobody wipes.

use zeroize::Zeroizing;

use super::mont::Mont;
use super::sign::words;

/// q^-1 mod p for q below an odd p, big-endian: q^(p - 2), by Fermat. `None` when that is no inverse, since p is not
/// prime, and for lengths without arithmetic.
pub(super) fn of_prime(p: &[u8], q: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let zeros = p.iter().take_while(|b| **b == 0).count();
    macro_rules! by_words {
        ($($n:literal)+) => {
            match p.len().saturating_sub(zeros).div_ceil(8) {
                $($n => by_fermat::<$n>(p, q),)+
                _ => None,
            }
        };
    }
    by_words!(4 5 6 7 8 9 10 11 12 13 14 15 16)
}

fn by_fermat<const N: usize>(p: &[u8], q: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (p, q) = (Zeroizing::new(words::<N>(p)), Zeroizing::new(words::<N>(q)));
    let mut exponent = p.clone();
    let mut borrow = 2;
    for word in exponent.iter_mut() {
        let (less, under) = word.overflowing_sub(borrow);
        *word = less;
        borrow = u64::from(under);
    }
    let mont = Mont::<N>::new(*p);
    let q = Zeroizing::new(mont.mul(&q, &mont.r2()));
    let inverse = Zeroizing::new(mont.pow(&q, &exponent));
    if mont.mul(&inverse, &q) != *mont.one() {
        return None;
    }
    let inverse = Zeroizing::new(mont.retrieve(&inverse));
    let mut out = Zeroizing::new(vec![0; N.saturating_mul(8)]);
    for (bytes, word) in out.rchunks_mut(8).zip(inverse.iter()) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::crypto::rsa::{Exponent, KeySpec, generate, num};

    #[test]
    fn it_is_the_inverse_that_crypto_bigint_finds() {
        for bits in [512, 1024, 1152, 1408] {
            let stream = Seed::fixed([9; 32]).named_stream(b"inverse", Purpose::IccKey);
            let key = generate(KeySpec::new(bits, Exponent::F4).unwrap(), &stream).unwrap();
            let (p, q) = (key.p().expose(), key.q().expose());
            let own = of_prime(p, q).unwrap();
            let modulus = num::odd(&num::from_be(p, 0).unwrap()).unwrap();
            let peer = num::from_be(q, 0).unwrap().invert_odd_mod(&modulus).unwrap();
            assert_eq!(own.as_slice(), num::to_be(&peer, own.len()).unwrap().as_slice());
        }
    }

    #[test]
    fn what_is_no_prime_has_none_here() {
        // 2^256 - 1 is divisible by 3.
        assert!(of_prime(&[0xFF; 32], &[7]).is_none());
        assert!(of_prime(&[61], &[53]).is_none());
        assert!(of_prime(&[0xFF; 200], &[7]).is_none());
    }
}

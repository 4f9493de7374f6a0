//! Private operations in number under one key: issuer signatures (EMV 4.4 Book 2, B2.1, Sign).

use std::cmp::Ordering;

use zeroize::{Zeroize, Zeroizing};

use super::mont::Mont;
use super::num;
use super::{Exponent, RsaPrivate, RsaPublic};
use crate::crypto::backend::Backend;
use crate::error::{ErrorKind, Result};

/// `block ^ d mod n` for each block, in order: the same bytes as [`RsaPrivate::apply`] gives, on every
/// backend.
///
/// Every result is verified with the public exponent before it is given out. [`Backend::Avx512`] and
/// [`Backend::Avx2`] sign eight blocks at a time.
///
/// ```
/// use emv_dataprep::crypto::backend::Backend;
/// use emv_dataprep::crypto::rsa::{Exponent, RsaPrivate, sign_batch};
/// let key = RsaPrivate::from_primes(&[61], &[53], Exponent::new(17)?)?;
/// let signed = sign_batch(Backend::Portable, &key, &[vec![0x0A, 0xE6]]);
/// assert_eq!(signed[0].as_ref().ok(), Some(&vec![0, 65]));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
///
/// # Errors
/// Each block by itself: as [`RsaPrivate::apply`].
#[must_use]
pub fn sign_batch(backend: Backend, key: &RsaPrivate, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
    match backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 => super::lanes::sign_batch(key, blocks),
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 => super::quads::sign_batch(key, blocks),
        Backend::Plain => blocks.iter().map(|block| key.apply_plain(block)).collect(),
        _ => portable(key, blocks),
    }
}

pub(super) fn portable(key: &RsaPrivate, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
    macro_rules! by_words {
        ($($n:literal)+) => {
            match words_of_primes(key) {
                $(Some($n) => Crt::<$n>::new(key).sign_all(key, blocks),)+
                _ => blocks.iter().map(|block| key.apply_plain(block)).collect(),
            }
        };
    }
    by_words!(4 5 6 7 8 9 10 11 12 13 14 15 16)
}

/// 64-bit words of both primes, where they have the same number.
fn words_of_primes(key: &RsaPrivate) -> Option<usize> {
    let words = |prime: &[u8]| {
        let zeros = prime.iter().take_while(|b| **b == 0).count();
        prime.len().saturating_sub(zeros).div_ceil(8)
    };
    let (p, q) = (words(key.p.expose()), words(key.q.expose()));
    (p == q).then_some(p)
}

/// Bits of both primes, when they have the same number and the lanes have room for it.
#[cfg(target_arch = "x86_64")]
pub(super) fn prime_bits(key: &RsaPrivate) -> Option<usize> {
    let bits = |prime: &[u8]| -> Option<usize> {
        let n = num::from_be(prime, 0).ok()?;
        usize::try_from(n.bits_vartime()).ok()
    };
    let (p, q) = (bits(key.p.expose())?, bits(key.q.expose())?);
    (p == q && (256..=super::sample::WORDS * 64).contains(&p) && key.public.bits() == p.saturating_mul(2))
        .then_some(p)
}

impl RsaPrivate {
    /// `block ^ d mod n` by the Chinese remainder theorem, raw: EMV's Sign function (Book 2, B2.1). It is
    /// constant time, and the result is verified with the public exponent before it is given out, so that a
    /// fault cannot give away a prime.
    ///
    /// # Errors
    /// As [`super::RsaPublic::apply`]; [`ErrorKind::Crypto`] when the result does not verify.
    pub fn apply(&self, block: &[u8]) -> Result<Vec<u8>> {
        let mut signed = portable(self, &[block.to_vec()]);
        signed.pop().unwrap_or_else(|| Err(ErrorKind::Internal("no signature for a block").into()))
    }

    /// The same over `crypto-bigint`: the plain path, and the one for primes of unequal or unusual length.
    pub(super) fn apply_plain(&self, block: &[u8]) -> Result<Vec<u8>> {
        let c = self.public.number(block)?;
        let p = num::from_be(self.p.expose(), 0)?;
        let q = num::from_be(self.q.expose(), 0)?;
        let m1 = num::pow(&c, &*num::from_be(self.dp.expose(), 0)?, &p)?;
        let m2 = num::pow(&c, &*num::from_be(self.dq.expose(), 0)?, &q)?;
        // h = qInv (m1 - m2) mod p, m = m2 + h q; q < p, so m2 is below p.
        let difference = Zeroizing::new(m1.sub_mod(&num::fit(&m2, &p), &num::divisor(&p)?));
        let qinv = num::from_be(self.qinv.expose(), 0)?;
        let h = Zeroizing::new(difference.mul_mod(&qinv, &num::divisor(&p)?));
        let hq = Zeroizing::new(crypto_bigint::ConcatenatingMul::concatenating_mul(&*h, &*q));
        let m = Zeroizing::new(hq.wrapping_add(&*m2));
        self.verified(num::to_be(&m, self.public.len())?.to_vec(), block)
    }

    /// `signature`, if it recovers to `block`: on the arithmetic of the portable backend, for the moduli of cards.
    pub(super) fn verified_fast(&self, signature: Vec<u8>, block: &[u8]) -> Result<Vec<u8>> {
        macro_rules! by_words {
            ($($n:literal)+) => {
                match self.public.len().div_ceil(8) {
                    $($n => recovers::<$n>(&self.public, self.exponent, &signature, block),)+
                    _ => return self.verified(signature, block),
                }
            };
        }
        // 1024, 1152, 1280, 1408, 1536 and 1984 bits; other sizes take the plain path.
        if !by_words!(16 18 20 22 24 31) {
            return Err(ErrorKind::Crypto("the private operation does not verify").into());
        }
        Ok(signature)
    }

    /// `signature`, if it recovers to `block`.
    pub(super) fn verified(&self, signature: Vec<u8>, block: &[u8]) -> Result<Vec<u8>> {
        if self.public.apply(&signature)?.as_slice() != block {
            return Err(ErrorKind::Crypto("the private operation does not verify").into());
        }
        Ok(signature)
    }
}

/// Whether signature ^ e mod n is `block`, for a modulus of `N` words; all of it is public.
fn recovers<const N: usize>(public: &RsaPublic, exponent: Exponent, signature: &[u8], block: &[u8]) -> bool {
    if signature.len() != public.len() || signature >= public.modulus() {
        return false;
    }
    let (mont, e) = (Mont::<N>::new(words(public.modulus())), exponent.get());
    let base = mont.mul(&words(signature), &mont.r2());
    let mut x = base;
    for i in (0..e.ilog2()).rev() {
        x = mont.mul(&x, &x);
        if e >> i & 1 == 1 {
            x = mont.mul(&x, &base);
        }
    }
    mont.retrieve(&x) == words(block)
}

/// A key made ready for private operations on primes of `N` words. Wiped when dropped.
struct Crt<const N: usize> {
    p: Half<N>,
    q: Half<N>,
    /// qInv in Montgomery form mod p.
    qinv: [u64; N],
    q_words: [u64; N],
}

/// One prime, its exponent and R^2.
struct Half<const N: usize> {
    mont: Mont<N>,
    r2: [u64; N],
    exponent: [u64; N],
}

impl<const N: usize> Half<N> {
    fn new(prime: &[u8], exponent: &[u8]) -> Self {
        let mont = Mont::new(words(prime));
        Self { r2: mont.r2(), mont, exponent: words(exponent) }
    }

    /// (low + R high) ^ exponent, in Montgomery form.
    fn power(&self, low: &[u64; N], high: &[u64; N]) -> [u64; N] {
        self.mont.pow(&self.mont.wide_to_montgomery(low, high, &self.r2), &self.exponent)
    }
}

impl<const N: usize> Crt<N> {
    fn new(key: &RsaPrivate) -> Self {
        let p = Half::<N>::new(key.p.expose(), key.dp.expose());
        let q = Half::new(key.q.expose(), key.dq.expose());
        let qinv = p.mont.mul(&words(key.qinv.expose()), &p.r2);
        Self { p, q, qinv, q_words: words(key.q.expose()) }
    }

    fn sign_all(&self, key: &RsaPrivate, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
        blocks.iter().map(|block| self.sign(key, block)).collect()
    }

    fn sign(&self, key: &RsaPrivate, block: &[u8]) -> Result<Vec<u8>> {
        if block.len() != key.public.len() || block.cmp(key.public.modulus()) != Ordering::Less {
            key.public.number(block)?;
        }
        let (high, low) = block.split_at(block.len().saturating_sub(N.saturating_mul(8)));
        let (low, high) = (words(low), words(high));
        let mut m1 = self.p.power(&low, &high);
        let m2 = self.q.power(&low, &high);
        let mut m2 = Zeroizing::new(self.q.mont.retrieve(&m2));
        // h = qInv (m1 - m2) mod p: one factor of the last product is out of Montgomery form, so the
        // product is too.
        let mut difference = self.p.mont.sub(&self.p.mont.retrieve(&m1), &m2);
        let mut h = self.p.mont.mul(&difference, &self.qinv);
        let signature = multiply_add(&h, &self.q_words, &m2, key.public.len());
        for secret in [&mut m1, &mut *m2, &mut difference, &mut h] {
            secret.zeroize();
        }
        key.verified_fast(signature, block)
    }
}

impl<const N: usize> Drop for Crt<N> {
    fn drop(&mut self) {
        self.qinv.zeroize();
        self.q_words.zeroize();
        for half in [&mut self.p, &mut self.q] {
            half.r2.zeroize();
            half.exponent.zeroize();
        }
    }
}

/// The lowest `N` words of a big-endian number.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut out = [0; N];
    for (word, chunk) in out.iter_mut().zip(bytes.rchunks(8)) {
        *word = chunk.iter().fold(0, |w, b| w << 8 | u64::from(*b));
    }
    out
}

/// a b + c as `len` bytes, big-endian.
pub(super) fn multiply_add<const N: usize>(a: &[u64; N], b: &[u64; N], c: &[u64; N], len: usize) -> Vec<u8> {
    let mut product = Zeroizing::new(vec![0_u64; N.saturating_mul(2)]);
    for (to, from) in product.iter_mut().zip(c) {
        *to = *from;
    }
    for (i, x) in a.iter().enumerate() {
        let mut carry = 0_u64;
        let row = b.iter().chain(std::iter::repeat(&0)).zip(product.iter_mut().skip(i));
        for (y, to) in row {
            // At most (2^64 - 1)^2 + 2 (2^64 - 1) = 2^128 - 1.
            let t = u128::from(*x)
                .wrapping_mul(u128::from(*y))
                .wrapping_add(u128::from(*to))
                .wrapping_add(u128::from(carry));
            let [low, high] = halves(t);
            *to = low;
            carry = high;
        }
    }
    let mut out = vec![0; len];
    for (chunk, word) in out.rchunks_mut(8).zip(product.iter()) {
        for (to, from) in chunk.iter_mut().rev().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
    out
}

#[allow(clippy::cast_possible_truncation, reason = "the two words of a double word")]
const fn halves(t: u128) -> [u64; 2] {
    [t as u64, (t >> 64) as u64]
}

/// Signs blocks in groups of `size` with `sign`, which is given those alone that are numbers below the modulus; the others
/// have their own refusals, in their places.
pub(super) fn in_groups(
    key: &RsaPrivate,
    blocks: &[Vec<u8>],
    size: usize,
    mut sign: impl FnMut(&[&Vec<u8>]) -> Vec<Result<Vec<u8>>>,
) -> Vec<Result<Vec<u8>>> {
    let mut out = Vec::with_capacity(blocks.len());
    for group in blocks.chunks(size) {
        let checks: Vec<Result<()>> = group.iter().map(|block| key.public.number(block).map(drop)).collect();
        let well: Vec<_> =
            group.iter().zip(&checks).filter(|(_, check)| check.is_ok()).map(|(block, _)| block).collect();
        let mut signed = sign(&well).into_iter();
        for check in checks {
            let none = || Err(ErrorKind::Internal("no signature for a block").into());
            out.push(check.and_then(|()| signed.next().unwrap_or_else(none)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::crypto::rsa::{Exponent, KeySpec, generate};

    fn key(bits: usize) -> RsaPrivate {
        let stream = Seed::fixed([0x44; 32]).named_stream(b"sign", Purpose::TestIssuer);
        generate(KeySpec::new(bits, Exponent::THREE).unwrap(), &stream).unwrap()
    }

    #[test]
    fn the_plain_path_gives_the_same_signature() {
        for bits in [512, 528, 1024, 1152, 1408, 1984] {
            let key = key(bits);
            let mut edge = key.public().modulus().to_vec();
            *edge.last_mut().unwrap() -= 1;
            let mut one = vec![0; edge.len()];
            *one.last_mut().unwrap() = 1;
            let blocks = [vec![0; edge.len()], one, vec![0x6A; edge.len()], edge];
            let signed = sign_batch(Backend::Portable, &key, &blocks);
            for (block, signature) in blocks.iter().zip(signed) {
                assert_eq!(signature.unwrap(), key.apply_plain(block).unwrap(), "{bits}");
            }
        }
    }

    #[test]
    fn a_bad_block_does_not_stop_its_neighbours() {
        let key = key(512);
        let good = vec![0x11; 64];
        let signed =
            sign_batch(Backend::Portable, &key, &[good.clone(), vec![0x11; 63], vec![0xFF; 64], good]);
        let well: Vec<_> = signed.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, false, false, true]);
    }

    #[test]
    fn a_fault_is_not_given_out() {
        let mut key = key(512);
        let other = Seed::fixed([0x45; 32]).named_stream(b"fault", Purpose::TestIssuer);
        key.dp = generate(KeySpec::new(512, Exponent::THREE).unwrap(), &other).unwrap().dp().duplicate();
        let error = key.apply(&[0x11; 64]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Crypto(_)));
        assert!(key.apply_plain(&[0x11; 64]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn recover_undoes_sign(mut block in prop::collection::vec(any::<u8>(), 64..=64)) {
            let key = key(512);
            block[0] &= 0x7F;
            let signature = key.apply(&block).unwrap();
            prop_assert_eq!(&key.apply_plain(&block).unwrap(), &signature);
            prop_assert_eq!(key.public().apply(&signature).unwrap(), block);
        }
    }
}

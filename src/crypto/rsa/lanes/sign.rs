//! Private operations on eight blocks: one issuer key in all lanes, or eight keys.

use zeroize::{Zeroize, Zeroizing};

use super::arith::Moduli;
use super::kernel::{Kernel, Kernels, by_limbs};
use super::wide::PublicModuli;
use super::{LANES, LIMB_BITS, Lane, Num, limb_of};
use crate::crypto::backend::Backend;
use crate::crypto::rsa::RsaPrivate;
use crate::crypto::rsa::sample::{self, Words};
use crate::crypto::rsa::sign::{in_groups, multiply_add, portable, prime_bits};
use crate::error::{ErrorKind, Result};

/// `block ^ d mod n` for each block under one key; on a machine without the instructions, and for primes of
/// unequal length, on the portable backend.
pub(in crate::crypto::rsa) fn sign_batch(key: &RsaPrivate, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
    if !Backend::Avx512.is_available() {
        return portable(key, blocks);
    }
    let Some(bits) = prime_bits(key) else { return portable(key, blocks) };
    // SAFETY: the machine has AVX-512F, DQ, VL and IFMA, as seen above.
    unsafe { by_limbs!(bits, L => sign_under_one::<L>(key, bits, blocks), portable(key, blocks)) }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn sign_under_one<const L: usize>(key: &RsaPrivate, bits: usize, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>>
where
    Kernels: Kernel<L>,
{
    let crt = Crt::<L>::new(&[key; LANES], bits);
    in_groups(key, blocks, LANES, |well| crt.sign(well))
}

/// One block under each key, all keys of one size.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn sign_each<const L: usize>(keys: &[&RsaPrivate], blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>>
where
    Kernels: Kernel<L>,
{
    let mut out = Vec::with_capacity(keys.len());
    for (keys, blocks) in keys.chunks(LANES).zip(blocks.chunks(LANES)) {
        let (Some(last), Some(bits)) = (keys.last(), keys.first().and_then(|key| prime_bits(key))) else {
            continue;
        };
        let lanes = std::array::from_fn(|lane| *keys.get(lane).unwrap_or(last));
        out.extend(Crt::<L>::new(&lanes, bits).sign(&blocks.iter().collect::<Vec<_>>()));
    }
    out
}

/// Eight keys made ready for private operations. Wiped when dropped.
struct Crt<const L: usize> {
    bits: usize,
    exponent: u32,
    p: Moduli<L>,
    q: Moduli<L>,
    dp: Zeroizing<[Words; LANES]>,
    dq: Zeroizing<[Words; LANES]>,
    q_words: Zeroizing<[Words; LANES]>,
    /// qInv in Montgomery form mod p.
    qinv: Num<L>,
    public: PublicModuli,
}

impl<const L: usize> Crt<L>
where
    Kernels: Kernel<L>,
{
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn new(keys: &[&RsaPrivate; LANES], bits: usize) -> Self {
        let part = |of: fn(&RsaPrivate) -> &[u8]| Zeroizing::new(keys.map(|key| sample::from_be(of(key))));
        let (p, q) = (part(|key| key.p.expose()), part(|key| key.q.expose()));
        let moduli = Moduli::new(&p, bits);
        let qinv = moduli.enter(&Num::pack(&part(|key| key.qinv.expose())));
        Self {
            bits,
            exponent: keys[0].exponent.get(),
            p: moduli,
            q: Moduli::new(&q, bits),
            dp: part(|key| key.dp.expose()),
            dq: part(|key| key.dq.expose()),
            q_words: q,
            qinv,
            public: PublicModuli::new(&keys.map(|key| words(key.public.modulus())), 2 * bits),
        }
    }

    /// Up to eight blocks, each below its modulus.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn sign(&self, blocks: &[&Vec<u8>]) -> Vec<Result<Vec<u8>>> {
        let Some(last) = blocks.last() else { return Vec::new() };
        let inputs: [Vec<u64>; LANES] = std::array::from_fn(|lane| words(blocks.get(lane).unwrap_or(last)));
        let half = |from: usize| {
            let mut out = Num::<L>::ZERO;
            for (i, limb) in out.0.iter_mut().enumerate() {
                *limb = Lane(std::array::from_fn(|lane| limb_of(&inputs[lane], from + i)));
            }
            out
        };
        debug_assert!(2 * self.bits <= 2 * L * LIMB_BITS);
        let (low, high) = (half(0), half(L));
        let mut m1 = self.p.leave(&self.p.power(&self.p.enter_wide(&low, &high), &self.dp, self.bits));
        let mut m2 = self.q.leave(&self.q.power(&self.q.enter_wide(&low, &high), &self.dq, self.bits));
        // h = qInv (m1 - m2) mod p; m2 < q < p. One factor is out of Montgomery form, so the product is too.
        let mut h = self.p.product(&self.p.subtract(&m1, &m2), &self.qinv);
        let signatures: Vec<Vec<u8>> = (0..LANES)
            .map(|lane| multiply_add(&h.lane(lane), &self.q_words[lane], &m2.lane(lane), self.bits / 4))
            .collect();
        for secret in [&mut m1, &mut m2, &mut h] {
            secret.zeroize();
        }
        let recovered = std::array::from_fn(|lane| words(&signatures[lane]));
        let verified = self.public.recovers(&recovered, self.exponent, &inputs);
        let refused = ErrorKind::Crypto("the private operation does not verify");
        let judge = |(lane, signature)| {
            if verified >> lane & 1 == 1 { Ok(signature) } else { Err(refused.clone().into()) }
        };
        signatures.into_iter().enumerate().take(blocks.len()).map(judge).collect()
    }
}

impl<const L: usize> Drop for Crt<L> {
    fn drop(&mut self) {
        self.qinv.zeroize();
    }
}

/// A big-endian number as 64-bit words.
fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.rchunks(8).map(|chunk| chunk.iter().fold(0, |w, b| w << 8 | u64::from(*b))).collect()
}

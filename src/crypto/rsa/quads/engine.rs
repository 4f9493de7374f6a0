//! The AVX2 kernels as the search and the signatures ask for them: the one place where the size of the primes chooses
//! a kernel.

use zeroize::{Zeroize, Zeroizing};

use super::arith::{self, fermat};
use super::kernel::{Kernel, Kernels, by_limbs};
use super::{LIMB_BITS, Num};
use crate::crypto::backend::Backend;
use crate::crypto::rsa::keygen::{KeySpec, Sampling};
use crate::crypto::rsa::sample::{self, WORDS, Window, Words};
use crate::crypto::rsa::search::{Engine, LANES, Moduli};
use crate::crypto::rsa::sign::{in_groups, multiply_add, portable, prime_bits};
use crate::crypto::rsa::{RsaPrivate, sieve};
use crate::error::{ErrorKind, Result};

/// How deep the sieve goes: a test costs more than on IFMA lanes, striking as much.
const DEPTH: u32 = 1 << 15;

/// The kernels for primes of `bits` bits, on a machine with AVX2 and FMA.
#[derive(Clone, Copy)]
pub(in crate::crypto::rsa) struct Avx2 {
    bits: usize,
}

impl Avx2 {
    /// None on another machine, and for a size without kernels.
    pub(in crate::crypto::rsa) fn for_bits(bits: usize) -> Option<Self> {
        let has_kernel = bits >= 256 && by_limbs!(bits, L => L > 0, false);
        (has_kernel && Backend::Avx2.is_available()).then_some(Self { bits })
    }
}

impl Engine for Avx2 {
    fn survivors(&self, window: &Window, spec: &KeySpec) -> Vec<u16> {
        let depth = match spec.sampling() {
            Sampling::Windows => DEPTH,
            Sampling::FreshCandidates => 1 << 11,
        };
        macro_rules! by_words {
            ($($n:literal)+) => {
                match self.bits.div_ceil(64) {
                    $($n => sieve::survivors::<$n>(window, spec, depth),)+
                    _ => sieve::survivors::<WORDS>(window, spec, depth),
                }
            };
        }
        by_words!(4 5 6 7 8 9 10 11 12 13 14 15)
    }

    fn fermat(&self, words: &[Words; LANES]) -> u8 {
        // SAFETY: the machine has the instructions, as `for_bits` saw.
        unsafe { by_limbs!(self.bits, L => fermat::<L>(words, self.bits), 0) }
    }

    fn moduli(&self, words: &[Words; LANES]) -> Box<dyn Moduli + '_> {
        by_limbs!(self.bits, L => Box::new(Ready::<L>::new(self, words)), Box::new(NoSize))
    }

    fn sign_each(&self, keys: &[&RsaPrivate], blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
        let mut out = Vec::with_capacity(keys.len());
        for (keys, blocks) in keys.chunks(LANES).zip(blocks.chunks(LANES)) {
            let Some(last) = keys.last() else { continue };
            let lanes = std::array::from_fn(|lane| *keys.get(lane).unwrap_or(last));
            out.extend(self.sign(&lanes, &blocks.iter().collect::<Vec<_>>()));
        }
        out
    }
}

impl Avx2 {
    /// Up to eight blocks, each below its modulus.
    fn sign(&self, keys: &[&RsaPrivate; LANES], blocks: &[&Vec<u8>]) -> Vec<Result<Vec<u8>>> {
        let none = || {
            blocks.iter().map(|_| Err(ErrorKind::Internal("a prime size without kernels").into())).collect()
        };
        // SAFETY: the machine has the instructions, as `for_bits` saw.
        unsafe { by_limbs!(self.bits, L => Crt::<L>::new(keys, self.bits).sign(blocks), none()) }
    }
}

/// `block ^ d mod n` for each block under one key; on a machine without the instructions, and for primes of
/// unequal length, on the portable backend.
pub(in crate::crypto::rsa) fn sign_batch(key: &RsaPrivate, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
    let Some(engine) = prime_bits(key).and_then(Avx2::for_bits) else { return portable(key, blocks) };
    // SAFETY: the machine has the instructions, as `for_bits` saw.
    unsafe {
        by_limbs!(engine.bits, L => sign_under_one::<L>(key, engine.bits, blocks), portable(key, blocks))
    }
}

#[target_feature(enable = "avx2,fma")]
fn sign_under_one<const L: usize>(key: &RsaPrivate, bits: usize, blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>>
where
    Kernels: Kernel<L>,
{
    let crt = Crt::<L>::new(&[key; LANES], bits);
    in_groups(key, blocks, LANES, |well| crt.sign(well))
}

/// Eight keys made ready for private operations. Wiped when dropped.
struct Crt<'a, const L: usize> {
    keys: [&'a RsaPrivate; LANES],
    bits: usize,
    p: arith::Moduli<L>,
    q: arith::Moduli<L>,
    p_words: Zeroizing<[Words; LANES]>,
    q_words: Zeroizing<[Words; LANES]>,
    dp: Zeroizing<[Words; LANES]>,
    dq: Zeroizing<[Words; LANES]>,
    /// qInv in Montgomery form mod p.
    qinv: Num<L>,
}

impl<'a, const L: usize> Crt<'a, L>
where
    Kernels: Kernel<L>,
{
    #[target_feature(enable = "avx2,fma")]
    fn new(keys: &[&'a RsaPrivate; LANES], bits: usize) -> Self {
        let part = |of: fn(&RsaPrivate) -> &[u8]| Zeroizing::new(keys.map(|key| sample::from_be(of(key))));
        let (p_words, q_words) = (part(|key| key.p.expose()), part(|key| key.q.expose()));
        let p = arith::Moduli::new(&p_words, bits);
        let qinv = part(|key| key.qinv.expose());
        Self {
            keys: *keys,
            bits,
            qinv: p.enter(qinv.each_ref().map(Words::as_slice)),
            p,
            q: arith::Moduli::new(&q_words, bits),
            p_words,
            q_words,
            dp: part(|key| key.dp.expose()),
            dq: part(|key| key.dq.expose()),
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn sign(&self, blocks: &[&Vec<u8>]) -> Vec<Result<Vec<u8>>> {
        let Some(last) = blocks.last() else { return Vec::new() };
        let inputs: [&Vec<u8>; LANES] = std::array::from_fn(|lane| *blocks.get(lane).unwrap_or(last));
        let halves = inputs.map(|block| halves(block, LIMB_BITS * L));
        let (low, high) =
            (halves.each_ref().map(|h| h[0].as_slice()), halves.each_ref().map(|h| h[1].as_slice()));
        let power = |moduli: &arith::Moduli<L>, exponents: &[Words; LANES]| {
            moduli.leave(&moduli.power(&moduli.enter_wide(low, high), exponents, self.bits))
        };
        let (mut m1, m2) = (power(&self.p, &self.dp), power(&self.q, &self.dq));
        // h = qInv (m1 - m2) mod p; m2 < q < p.
        for ((m1, m2), p) in m1.iter_mut().zip(m2.iter()).zip(self.p_words.iter()) {
            subtract(m1, m2, p);
        }
        let h = self.p.product(&self.qinv, &m1);
        let signed = (0..blocks.len()).map(|lane| {
            let signature = multiply_add(&h[lane], &self.q_words[lane], &m2[lane], self.bits / 4);
            self.keys[lane].verified_fast(signature, inputs[lane])
        });
        signed.collect()
    }
}

impl<const L: usize> Drop for Crt<'_, L> {
    fn drop(&mut self) {
        self.qinv.zeroize();
    }
}

/// A block below 2^(2 `bits`) as low + 2^`bits` high.
fn halves(block: &[u8], bits: usize) -> [Vec<u64>; 2] {
    let words: Vec<u64> =
        block.rchunks(8).map(|chunk| chunk.iter().fold(0, |w, b| w << 8 | u64::from(*b))).collect();
    let (at, shift) = (bits / 64, bits % 64);
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    let mut low: Vec<u64> = (0..=at).map(word).collect();
    low[at] &= (1 << shift) - 1;
    let above = |i: usize| if shift == 0 { 0 } else { word(i + 1) << (64 - shift) };
    [low, (at..words.len().max(at)).map(|i| word(i) >> shift | above(i)).collect()]
}

/// a - b mod n, for a and b below n.
fn subtract(a: &mut Words, b: &Words, n: &Words) {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (t, first) = a.overflowing_sub(*b);
        let (t, second) = t.overflowing_sub(u64::from(borrow));
        borrow = first | second;
        *a = t;
    }
    let mask = u64::from(borrow).wrapping_neg();
    let mut carry = false;
    for (a, n) in a.iter_mut().zip(n) {
        let (t, first) = a.overflowing_add(n & mask);
        let (t, second) = t.overflowing_add(u64::from(carry));
        carry = first | second;
        *a = t;
    }
}

/// Eight moduli; made by [`Avx2::moduli`] only, so on a machine with the instructions.
struct Ready<const L: usize> {
    moduli: arith::Moduli<L>,
    bits: usize,
}

impl<const L: usize> Ready<L>
where
    Kernels: Kernel<L>,
{
    fn new(engine: &Avx2, words: &[Words; LANES]) -> Self {
        let bits = engine.bits;
        // SAFETY: the machine has the instructions, as `for_bits` saw.
        let moduli = unsafe { arith::Moduli::new(words, bits) };
        Self { moduli, bits }
    }
}

impl<const L: usize> Moduli for Ready<L>
where
    Kernels: Kernel<L>,
{
    fn miller_rabin(&self, bases: &[Words; LANES]) -> u8 {
        // SAFETY: the machine has the instructions, as this type says.
        unsafe { self.moduli.miller_rabin(bases, self.bits) }
    }

    fn power(&self, bases: &[Words; LANES], exponents: &[Words; LANES]) -> Zeroizing<[Words; LANES]> {
        // SAFETY: as above.
        unsafe {
            let mut base = self.moduli.enter(bases.each_ref().map(Words::as_slice));
            let mut power = self.moduli.power(&base, exponents, self.bits);
            let out = self.moduli.leave(&power);
            base.zeroize();
            power.zeroize();
            out
        }
    }
}

/// Stands where a size has no kernel, which `for_bits` keeps out: nothing passes.
struct NoSize;

impl Moduli for NoSize {
    fn miller_rabin(&self, _: &[Words; LANES]) -> u8 {
        0
    }

    fn power(&self, _: &[Words; LANES], _: &[Words; LANES]) -> Zeroizing<[Words; LANES]> {
        Zeroizing::new([[0; WORDS]; LANES])
    }
}

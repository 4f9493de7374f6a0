//! Public operations on eight blocks: limbs of a whole modulus, too many for the registers of one kernel.

use std::arch::x86_64::*;

use super::arith::{load, negative_inverse, set1, store};
use super::{LANES, LIMB_BITS, LIMB_MASK, Lane, limb_of, limbs_for};

/// Eight public moduli of one size. R = 2^(52 limbs) >= 16 n, as for the kernels.
pub(super) struct PublicModuli {
    n: Vec<Lane>,
    n0: Lane,
    r2: Vec<Lane>,
}

impl PublicModuli {
    /// Eight odd moduli of exactly `bits` bits, in 64-bit words.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn new(moduli: &[Vec<u64>; LANES], bits: usize) -> Self {
        let n = pack(moduli, limbs_for(bits));
        let n0 = negative_inverse(&n[0]);
        let mut moduli = Self { r2: vec![Lane::default(); n.len()], n, n0 };
        // 2^(bits - 1), doubled to 2 R, then squared and doubled along the bits of 52 L: R^2.
        let exponent = LIMB_BITS * moduli.n.len();
        let mut x = vec![Lane::default(); moduli.n.len()];
        x[(bits - 1) / LIMB_BITS] = Lane([1 << ((bits - 1) % LIMB_BITS); LANES]);
        for _ in bits - 1..=exponent {
            moduli.double(&mut x);
        }
        for i in (0..exponent.ilog2()).rev() {
            x = moduli.multiply(&x, &x);
            moduli.subtract_once(&mut x);
            if exponent >> i & 1 == 1 {
                moduli.double(&mut x);
            }
        }
        moduli.r2 = x;
        moduli
    }

    /// The lanes in which `signature ^ e mod n` is `block`; the exponent is public.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn recovers(
        &self,
        signatures: &[Vec<u64>; LANES],
        exponent: u32,
        blocks: &[Vec<u64>; LANES],
    ) -> u8 {
        let limbs = self.n.len();
        let base = self.multiply(&pack(signatures, limbs), &self.r2);
        let mut x = base.clone();
        for i in (0..exponent.ilog2()).rev() {
            x = self.multiply(&x, &x);
            if exponent >> i & 1 == 1 {
                x = self.multiply(&x, &base);
            }
        }
        let mut unit = vec![Lane::default(); limbs];
        unit[0] = Lane([1; LANES]);
        let mut x = self.multiply(&x, &unit);
        self.subtract_once(&mut x);
        let wanted = pack(blocks, limbs);
        x.iter().zip(&wanted).fold(0xFF, |k, (a, b)| k & _mm512_cmpeq_epi64_mask(load(a), load(b)))
    }

    /// a b / R mod n, below 2 n for a b < 16 n^2: row by row, the accumulator in memory.
    ///
    /// A column takes four half products a row and moves down one place each row, so at most 4 L of them:
    /// below 2^59.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn multiply(&self, a: &[Lane], b: &[Lane]) -> Vec<Lane> {
        let limbs = self.n.len();
        let (n0, zero) = (load(&self.n0), _mm512_setzero_si512());
        let mut t = vec![Lane::default(); limbs + 1];
        for x in a {
            let x = load(x);
            let first = _mm512_madd52lo_epu64(load(&t[0]), x, load(&b[0]));
            let q = _mm512_madd52lo_epu64(zero, first, n0);
            let first = _mm512_madd52lo_epu64(first, q, load(&self.n[0]));
            let mut carry = _mm512_srli_epi64::<52>(first);
            let (mut below_b, mut below_n) = (load(&b[0]), load(&self.n[0]));
            for ((pair, b), n) in
                (0..limbs).zip(b.iter().skip(1).chain([&ZERO])).zip(self.n.iter().skip(1).chain([&ZERO]))
            {
                let (b, n) = (load(b), load(n));
                // Column `pair` after the move: what stood above it, the upper halves from below, the carry
                // of column 0.
                let mut c = _mm512_add_epi64(load(&t[pair + 1]), carry);
                c = _mm512_madd52hi_epu64(c, x, below_b);
                let mut d = _mm512_madd52hi_epu64(zero, q, below_n);
                c = _mm512_madd52lo_epu64(c, x, b);
                d = _mm512_madd52lo_epu64(d, q, n);
                t[pair] = store(_mm512_add_epi64(c, d));
                carry = zero;
                (below_b, below_n) = (b, n);
            }
        }
        let mask = set1(LIMB_MASK);
        let mut carry = zero;
        t.truncate(limbs);
        for limb in &mut t {
            let v = _mm512_add_epi64(load(limb), carry);
            carry = _mm512_srli_epi64::<52>(v);
            *limb = store(_mm512_and_si512(v, mask));
        }
        t
    }

    /// 2 x mod n for x below n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn double(&self, x: &mut [Lane]) {
        let mask = set1(LIMB_MASK);
        let mut carry = _mm512_setzero_si512();
        for limb in x.iter_mut() {
            let v = load(limb);
            let v = _mm512_add_epi64(_mm512_add_epi64(v, v), carry);
            carry = _mm512_srli_epi64::<52>(v);
            *limb = store(_mm512_and_si512(v, mask));
        }
        self.subtract_once(x);
    }

    /// x - n where x >= n; x below 2 n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn subtract_once(&self, x: &mut [Lane]) {
        let mask = set1(LIMB_MASK);
        let mut borrow = _mm512_setzero_si512();
        let mut difference = x.to_vec();
        for (d, n) in difference.iter_mut().zip(&self.n) {
            let t = _mm512_add_epi64(_mm512_sub_epi64(load(d), load(n)), borrow);
            borrow = _mm512_srai_epi64::<52>(t);
            *d = store(_mm512_and_si512(t, mask));
        }
        let below = _mm512_movepi64_mask(borrow);
        for (x, d) in x.iter_mut().zip(&difference) {
            *x = store(_mm512_mask_blend_epi64(below, load(d), load(x)));
        }
    }
}

static ZERO: Lane = Lane([0; LANES]);

fn pack(words: &[Vec<u64>; LANES], limbs: usize) -> Vec<Lane> {
    (0..limbs).map(|i| Lane(std::array::from_fn(|lane| limb_of(&words[lane], i)))).collect()
}

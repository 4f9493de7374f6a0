//! Montgomery arithmetic on eight moduli at a time, and the tests of primality over it.

use std::arch::x86_64::*;

use zeroize::{Zeroize, Zeroizing};

use super::kernel::{Forms, Kernel, Kernels};
use super::{LANES, LIMB_BITS, LIMB_MASK, Lane, Num};
use crate::crypto::rsa::sample::{WORDS, Words};
use crate::crypto::rsa::search::split_less_one;

/// Eight numbers as exponents: word i of each.
type Exponents = [Lane; WORDS];

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(lane: &Lane) -> __m512i {
    // SAFETY: a Lane is 64 readable bytes, aligned to 64.
    unsafe { _mm512_load_si512(std::ptr::from_ref(lane).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(v: __m512i) -> Lane {
    let mut lane = Lane::default();
    // SAFETY: a Lane is 64 writable bytes, aligned to 64.
    unsafe { _mm512_store_si512((&raw mut lane).cast(), v) };
    lane
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn set1(x: u64) -> __m512i {
    _mm512_set1_epi64(x.cast_signed())
}

/// Eight moduli with the constants of their arithmetic.
pub(super) struct Moduli<const L: usize> {
    n: Num<L>,
    /// -1/n mod 2^52.
    n0: Lane,
    /// R mod n: one in Montgomery form.
    one: Num<L>,
    /// R^2 mod n.
    r2: Num<L>,
}

/// -1/n mod 2^52, from the lowest limbs.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn negative_inverse(n: &Lane) -> Lane {
    let zero = _mm512_setzero_si512();
    let (two, mask) = (set1(2), set1(LIMB_MASK));
    let n = load(n);
    // Right to three bits for an odd n; each step doubles them.
    let mut x = n;
    for _ in 0..5 {
        let t = _mm512_madd52lo_epu64(zero, n, x);
        let u = _mm512_and_si512(_mm512_sub_epi64(two, t), mask);
        x = _mm512_madd52lo_epu64(zero, x, u);
    }
    store(_mm512_and_si512(_mm512_sub_epi64(zero, x), mask))
}

/// x - n where x >= n, x otherwise; x normalised and below 2 n.
#[target_feature(enable = "avx512f,avx512dq")]
fn subtract_once<const L: usize>(x: &Num<L>, n: &Num<L>) -> Num<L> {
    let mask = set1(LIMB_MASK);
    let mut borrow = _mm512_setzero_si512();
    let mut out = *x;
    for (o, n) in out.0.iter_mut().zip(&n.0) {
        let t = _mm512_add_epi64(_mm512_sub_epi64(load(o), load(n)), borrow);
        borrow = _mm512_srai_epi64::<52>(t);
        *o = store(_mm512_and_si512(t, mask));
    }
    let below = _mm512_movepi64_mask(borrow);
    for (o, x) in out.0.iter_mut().zip(&x.0) {
        *o = store(_mm512_mask_blend_epi64(below, load(o), load(x)));
    }
    out
}

/// a + b, normalised.
#[target_feature(enable = "avx512f,avx512dq")]
fn add<const L: usize>(a: &Num<L>, b: &Num<L>) -> Num<L> {
    let mask = set1(LIMB_MASK);
    let mut carry = _mm512_setzero_si512();
    let mut out = *a;
    for (o, b) in out.0.iter_mut().zip(&b.0) {
        let t = _mm512_add_epi64(_mm512_add_epi64(load(o), load(b)), carry);
        carry = _mm512_srli_epi64::<52>(t);
        *o = store(_mm512_and_si512(t, mask));
    }
    out
}

/// n - x, for x from 0 to n.
#[target_feature(enable = "avx512f,avx512dq")]
fn negate<const L: usize>(x: &Num<L>, n: &Num<L>) -> Num<L> {
    let mask = set1(LIMB_MASK);
    let mut borrow = _mm512_setzero_si512();
    let mut out = *n;
    for (o, x) in out.0.iter_mut().zip(&x.0) {
        let t = _mm512_add_epi64(_mm512_sub_epi64(load(o), load(x)), borrow);
        borrow = _mm512_srai_epi64::<52>(t);
        *o = store(_mm512_and_si512(t, mask));
    }
    out
}

/// The lanes in which two normalised numbers are equal.
#[target_feature(enable = "avx512f")]
fn equal<const L: usize>(a: &Num<L>, b: &Num<L>) -> u8 {
    a.0.iter().zip(&b.0).fold(0xFF, |k, (a, b)| k & _mm512_cmpeq_epi64_mask(load(a), load(b)))
}

/// The number one in every lane, not in Montgomery form.
fn unit<const L: usize>() -> Num<L> {
    let mut one = Num::ZERO;
    one.0[0] = Lane([1; LANES]);
    one
}

/// x with its doubled forms.
#[target_feature(enable = "avx512f")]
fn forms<const L: usize>(x: &Num<L>) -> Forms<L> {
    let mask = set1(LIMB_MASK);
    let mut out = Forms([*x, Num::ZERO, Num::ZERO]);
    for i in 0..L {
        let v = load(&x.0[i]);
        let double = _mm512_add_epi64(v, v);
        let double = if i < L - 1 { _mm512_and_si512(double, mask) } else { double };
        out.0[2].0[i] = store(double);
        if i > 0 {
            let carry = _mm512_srli_epi64::<51>(load(&x.0[i - 1]));
            out.0[1].0[i] = store(_mm512_or_si512(double, carry));
        }
    }
    out
}

/// 2^(bits - 1) in every lane.
fn top_bit<const L: usize>(bits: usize) -> Num<L> {
    let mut x = Num::ZERO;
    x.0[(bits - 1) / LIMB_BITS] = Lane([1 << ((bits - 1) % LIMB_BITS); LANES]);
    x
}

fn transpose(words: &[Words; LANES]) -> Exponents {
    let mut out = [Lane::default(); WORDS];
    for (lane, words) in words.iter().enumerate() {
        for (o, word) in out.iter_mut().zip(words) {
            o.0[lane] = *word;
        }
    }
    out
}

impl<const L: usize> Moduli<L>
where
    Kernels: Kernel<L>,
{
    /// The arithmetic of eight odd numbers of exactly `bits` bits.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn new(words: &[Words; LANES], bits: usize) -> Self {
        let n = Num::pack(words);
        let n0 = negative_inverse(&n.0[0]);
        let exponent = LIMB_BITS * L;
        let mut one = top_bit(bits);
        for _ in bits - 1..exponent {
            one = subtract_once(&add(&one, &one), &n);
        }
        // 2^(52 L) in Montgomery form is R^2: square and double along the bits of 52 L.
        let mut x = forms(&add(&one, &one));
        let below_top = exponent.ilog2();
        for i in (0..below_top).rev() {
            let shift = Lane([(exponent >> i & 1) as u64; LANES]);
            // SAFETY: the caller's target features are those of the kernel.
            unsafe { Kernels::square(&mut x, &n, &n0, &shift) };
        }
        // r2 R / R, to bring it below n.
        // SAFETY: as above.
        unsafe { Kernels::multiply(&mut x, &one, &n, &n0) };
        let r2 = subtract_once(&x.0[0], &n);
        Self { n, n0, one, r2 }
    }

    /// a b / R mod n, below 2 n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn multiply(&self, a: &Num<L>, b: &Num<L>) -> Num<L> {
        let mut x = Forms([*a, Num::ZERO, Num::ZERO]);
        // SAFETY: the caller's target features are those of the kernel.
        unsafe { Kernels::multiply(&mut x, b, &self.n, &self.n0) };
        x.0[0]
    }

    /// A product, brought below n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn canonical(&self, x: &Num<L>) -> Num<L> {
        subtract_once(x, &self.n)
    }

    /// x in Montgomery form, below 2 n, for any x below R.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn enter(&self, x: &Num<L>) -> Num<L> {
        self.multiply(x, &self.r2)
    }

    /// low + R high in Montgomery form, for any two values below R.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn enter_wide(&self, low: &Num<L>, high: &Num<L>) -> Num<L> {
        let high = self.enter(&self.enter(high));
        // Each summand is below 2 n.
        add(&self.enter(low), &high)
    }

    /// x out of Montgomery form, below n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn leave(&self, x: &Num<L>) -> Num<L> {
        self.product(x, &unit())
    }

    /// a b / R below n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn product(&self, a: &Num<L>, b: &Num<L>) -> Num<L> {
        self.canonical(&self.multiply(a, b))
    }

    /// a - b mod n below n, for a and b below n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn subtract(&self, a: &Num<L>, b: &Num<L>) -> Num<L> {
        subtract_once(&add(a, &negate(b, &self.n)), &self.n)
    }

    /// base^exponent in Montgomery form, lane by lane, for exponents of at most `bits` bits: windows of
    /// four bits, each read through the whole table.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn power(&self, base: &Num<L>, exponents: &[Words; LANES], bits: usize) -> Num<L> {
        let mut exponents = Zeroizing::new(transpose(exponents));
        let none = Lane::default();
        let mut table = [self.one; 16];
        for i in 1..16 {
            table[i] = self.multiply(&table[i - 1], base);
        }
        let mut x = forms(&self.one);
        let mut factor = Num::ZERO;
        for window in (0..bits.div_ceil(4)).rev() {
            let word = load(&exponents[window / 16]);
            let index = _mm512_and_si512(_mm512_srlv_epi64(word, set1((window % 16 * 4) as u64)), set1(15));
            select(&mut factor, &table, index);
            // SAFETY: the caller's target features are those of the kernels.
            unsafe {
                // A count that the compiler cannot see keeps one copy of the kernel: four do not fit the
                // cache of decoded instructions.
                for _ in 0..std::hint::black_box(4) {
                    Kernels::square(&mut x, &self.n, &self.n0, &none);
                }
                Kernels::multiply(&mut x, &factor, &self.n, &self.n0);
            }
        }
        factor.zeroize();
        let out = x.0[0];
        x.0.zeroize();
        exponents.zeroize();
        table.zeroize();
        out
    }

    /// One round of Miller-Rabin on each number, with bases from 2 to n - 2: the lanes that pass.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn miller_rabin(&self, words: &[Words; LANES], bases: &[Words; LANES], bits: usize) -> u8 {
        let mut odd_parts = Zeroizing::new(*words);
        let mut twos = [0_u32; LANES];
        for (n, twos) in odd_parts.iter_mut().zip(&mut twos) {
            *twos = split_less_one(n);
        }
        let base = self.enter(&Num::pack(bases));
        let mut y = self.canonical(&self.power(&base, &odd_parts, bits));
        let minus_one = negate(&self.one, &self.n);
        let mut passed = equal(&y, &self.one) | equal(&y, &minus_one);
        for round in 1..twos.into_iter().max().unwrap_or(0) {
            y = self.product(&y, &y);
            let due = twos.iter().rev().fold(0, |k, twos| k << 1 | u8::from(*twos > round));
            passed |= equal(&y, &minus_one) & due;
        }
        y.zeroize();
        passed
    }
}

impl<const L: usize> Drop for Moduli<L> {
    fn drop(&mut self) {
        self.n.zeroize();
        self.n0.zeroize();
        self.one.zeroize();
        self.r2.zeroize();
    }
}

/// The entry of number `index`, lane by lane; every entry is read.
#[inline]
#[target_feature(enable = "avx512f")]
fn select<const L: usize>(out: &mut Num<L>, table: &[Num<L>; 16], index: __m512i) {
    let mut limbs: [__m512i; L] = std::array::from_fn(|j| load(&table[0].0[j]));
    for (i, entry) in (1..).zip(&table[1..]) {
        let hit = _mm512_cmpeq_epi64_mask(index, set1(i));
        for (limb, entry) in limbs.iter_mut().zip(&entry.0) {
            *limb = _mm512_mask_mov_epi64(*limb, hit, load(entry));
        }
    }
    for (o, limb) in out.0.iter_mut().zip(limbs) {
        *o = store(limb);
    }
}

/// Fermat's test to base 2 on eight odd numbers of exactly `bits` bits whose two top bits are set: the
/// lanes that pass.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn fermat<const L: usize>(words: &[Words; LANES], bits: usize) -> u8
where
    Kernels: Kernel<L>,
{
    let mut n = Num::<L>::pack(words);
    let n0 = negative_inverse(&n.0[0]);
    // n - 1 = d 2^k - rest with d = floor((n - 1) / 2^k) + 1, so 2^-(n-1) is 2^-d squared k times, doubled
    // along the bits of rest. k leaves the top s bits to d: 0.75 2^s >= 52 L - bits makes 2^(52 L - d)
    // smaller than n.
    let spare = LIMB_BITS * L - bits;
    let s = (1..).find(|s| 3_usize << s >= 4 * spare).unwrap_or(1);
    let k = bits - s;
    let mut start = Num::<L>::ZERO;
    let mut rest = Zeroizing::new([Lane::default(); WORDS]);
    for (lane, n) in words.iter().enumerate() {
        let mut carry = true;
        for (i, word) in n.iter().enumerate() {
            let word = if i == 0 { word & !1 } else { *word };
            let (negative, over) = (!word).overflowing_add(u64::from(carry));
            rest[i].0[lane] = negative;
            carry = over;
        }
        let top = n[k / 64] >> (k % 64)
            | if k.is_multiple_of(64) { 0 } else { n.get(k / 64 + 1).map_or(0, |w| w << (64 - k % 64)) };
        let bit = LIMB_BITS * L - (top as usize + 1);
        start.0[bit / LIMB_BITS].0[lane] = 1 << (bit % LIMB_BITS);
    }
    let mut x = forms(&start);
    let one = set1(1);
    for i in (0..k).rev() {
        let bit = _mm512_and_si512(_mm512_srlv_epi64(load(&rest[i / 64]), set1((i % 64) as u64)), one);
        // SAFETY: the caller's target features are those of the kernel.
        unsafe { Kernels::square(&mut x, &n, &n0, &store(bit)) };
    }
    let one = unit();
    // SAFETY: as above.
    unsafe { Kernels::multiply(&mut x, &one, &n, &n0) };
    let passed = equal(&subtract_once(&x.0[0], &n), &one);
    n.zeroize();
    x.0.zeroize();
    passed
}

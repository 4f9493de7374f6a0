//! Montgomery arithmetic on eight moduli at a time, and the tests of primality over it.

use std::hint::black_box;

use zeroize::{Zeroize, Zeroizing};

use super::kernel::{Kernel, Kernels, Scratch, Shifts};
use super::{LANES, LIMB_BITS, LIMB_MASK, Lane, Num};
use crate::crypto::rsa::sample::{WORDS, Words};
use crate::crypto::rsa::search::split_less_one;

const NO_SHIFT: Shifts = Shifts([0; LANES]);

/// Eight moduli with the constants of their arithmetic. Wiped when dropped.
pub(super) struct Moduli<const L: usize> {
    words: Zeroizing<[Words; LANES]>,
    n: Num<L>,
    /// -1/n mod 2^51.
    n0: Lane,
    /// R mod n: one in Montgomery form.
    one: Num<L>,
    /// R^2 mod n.
    r2: Num<L>,
}

/// -1/n mod 2^51.
fn negative_inverse(words: &[Words; LANES]) -> Lane {
    Lane(words.map(|n| {
        let mut x = n[0];
        for _ in 0..5 {
            x = x.wrapping_mul(2_u64.wrapping_sub(n[0].wrapping_mul(x)));
        }
        (x.wrapping_neg() & LIMB_MASK) as f64
    }))
}

fn slices(words: &[Words; LANES]) -> [&[u64]; LANES] {
    words.each_ref().map(Words::as_slice)
}

/// 2 x mod n, for x below n and n below 2^1023.
fn double(x: &mut Words, n: &Words) {
    let (mut carry, mut borrow) = (0, false);
    let mut less = [0; WORDS];
    for ((x, n), less) in x.iter_mut().zip(n).zip(&mut less) {
        let doubled = *x << 1 | carry;
        carry = *x >> 63;
        *x = doubled;
        let (t, first) = doubled.overflowing_sub(*n);
        let (t, second) = t.overflowing_sub(u64::from(borrow));
        borrow = first | second;
        *less = t;
    }
    let keep = u64::from(borrow).wrapping_neg();
    for (x, less) in x.iter_mut().zip(&less) {
        *x = (*x & keep) | (less & !keep);
    }
    less.zeroize();
}

/// The number one in every lane, not in Montgomery form.
fn unit<const L: usize>() -> Num<L> {
    let mut one = Num::ZERO;
    one.0[0] = Lane([1.0; LANES]);
    one
}

/// The lanes in which x is the small number `value`.
fn is<const L: usize>(x: &Num<L>, value: f64) -> u8 {
    (0..LANES).rev().fold(0, |k, lane| {
        let differs = x.0.iter().enumerate().fold(false, |differs, (i, limb)| {
            #[allow(clippy::float_cmp, reason = "limbs are integers")]
            let other = limb.0[lane] != if i == 0 { value } else { 0.0 };
            differs | other
        });
        k << 1 | u8::from(!differs)
    })
}

impl<const L: usize> Moduli<L>
where
    Kernels: Kernel<L>,
{
    /// The arithmetic of eight odd numbers of exactly `bits` bits.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn new(words: &[Words; LANES], bits: usize) -> Self {
        let (n, n0) = (Num::pack(slices(words)), negative_inverse(words));
        let exponent = LIMB_BITS * L;
        // 2^(bits - 1) is below n; doubled up to R and 2 R.
        let mut power = Zeroizing::new([[0; WORDS]; LANES]);
        for (power, n) in power.iter_mut().zip(words) {
            power[(bits - 1) / 64] = 1 << ((bits - 1) % 64);
            for _ in bits - 1..exponent {
                double(power, n);
            }
        }
        let one = Num::pack(slices(&power));
        for (power, n) in power.iter_mut().zip(words) {
            double(power, n);
        }
        // 2^(51 L) in Montgomery form is R^2: square and double along the bits of 51 L.
        let mut r2 = Num::pack(slices(&power));
        let mut scratch = Scratch::new();
        for i in (0..exponent.ilog2()).rev() {
            let shift = Shifts([(exponent >> i & 1) as u64; LANES]);
            // SAFETY: the caller's target features are those of the kernel.
            unsafe { Kernels::square(&mut r2, &n, &n0, &shift, &mut scratch) };
        }
        Self { words: Zeroizing::new(*words), n, n0, one, r2 }
    }

    /// a b / R mod n, between -2 n and 2 n.
    #[target_feature(enable = "avx2,fma")]
    fn multiply(&self, a: &Num<L>, b: &Num<L>) -> Num<L> {
        let mut x = *a;
        // SAFETY: the caller's target features are those of the kernel.
        unsafe { Kernels::multiply(&mut x, b, &self.n, &self.n0, &mut Scratch::new()) };
        x
    }

    /// x in Montgomery form, for any x below R.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn enter(&self, x: [&[u64]; LANES]) -> Num<L> {
        self.multiply(&Num::pack(x), &self.r2)
    }

    /// low + R high in Montgomery form, for any two values below R.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn enter_wide(&self, low: [&[u64]; LANES], high: [&[u64]; LANES]) -> Num<L> {
        let mut sum = self.enter(low);
        let high = self.multiply(&self.enter(high), &self.r2);
        for (to, from) in sum.0.iter_mut().zip(&high.0) {
            for (to, from) in to.0.iter_mut().zip(&from.0) {
                *to += from;
            }
        }
        // Times one, for limbs of the right size.
        self.multiply(&sum, &self.one)
    }

    /// x out of Montgomery form, mod n.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn leave(&self, x: &Num<L>) -> Zeroizing<[Words; LANES]> {
        self.words_of(&mut self.multiply(x, &unit()))
    }

    /// a b / R mod n: the product of a number in Montgomery form and one below n that is not.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn product(&self, a: &Num<L>, b: &[Words; LANES]) -> Zeroizing<[Words; LANES]> {
        self.words_of(&mut self.multiply(&Num::pack(slices(b)), a))
    }

    fn words_of(&self, x: &mut Num<L>) -> Zeroizing<[Words; LANES]> {
        let out = Zeroizing::new(std::array::from_fn(|lane| x.lane(lane, &self.words[lane])));
        x.zeroize();
        out
    }

    /// base^exponent in Montgomery form, lane by lane, for exponents of at most `bits` bits: windows of
    /// four bits, each read through the whole table.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn power(&self, base: &Num<L>, exponents: &[Words; LANES], bits: usize) -> Num<L> {
        let mut table = [self.one; 16];
        for i in 1..16 {
            table[i] = self.multiply(&table[i - 1], base);
        }
        let (mut x, mut factor, mut scratch) = (self.one, Num::ZERO, Scratch::new());
        for window in (0..bits.div_ceil(4)).rev() {
            let index = exponents.map(|words| words[window / 16] >> (window % 16 * 4) & 15);
            select(&mut factor, &table, &index);
            // SAFETY: the caller's target features are those of the kernels.
            unsafe {
                for _ in 0..4 {
                    Kernels::square(&mut x, &self.n, &self.n0, &NO_SHIFT, &mut scratch);
                }
                Kernels::multiply(&mut x, &factor, &self.n, &self.n0, &mut scratch);
            }
        }
        factor.zeroize();
        for power in &mut table {
            power.zeroize();
        }
        x
    }

    /// One round of Miller-Rabin on each number, with bases from 2 to n - 2: the lanes that pass.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn miller_rabin(&self, bases: &[Words; LANES], bits: usize) -> u8 {
        let mut odd_parts = self.words.clone();
        let mut twos = [0_u32; LANES];
        for (n, twos) in odd_parts.iter_mut().zip(&mut twos) {
            *twos = split_less_one(n);
        }
        let mut y = self.power(&self.enter(slices(bases)), &odd_parts, bits);
        let mut value = self.multiply(&y, &unit());
        let mut passed = is(&value, 1.0) | is(&value, -1.0);
        for round in 1..twos.into_iter().max().unwrap_or(0) {
            y = self.multiply(&y, &y);
            value = self.multiply(&y, &unit());
            let due = twos.iter().rev().fold(0, |k, twos| k << 1 | u8::from(*twos > round));
            passed |= is(&value, -1.0) & due;
        }
        y.zeroize();
        value.zeroize();
        passed
    }
}

impl<const L: usize> Drop for Moduli<L> {
    fn drop(&mut self) {
        self.n.zeroize();
        self.n0.0.zeroize();
        self.one.zeroize();
        self.r2.zeroize();
    }
}

/// The entry of number `index`, lane by lane; every entry is read.
#[target_feature(enable = "avx2,fma")]
fn select<const L: usize>(out: &mut Num<L>, table: &[Num<L>; 16], index: &[u64; LANES]) {
    // The compiler must not see that each is one of two values: it could branch on it.
    let masks: [[u64; LANES]; 16] = black_box(std::array::from_fn(|i| {
        index.map(|index| {
            let differs = i as u64 ^ index;
            // All ones when equal: only zero has no top bit in itself or its negative.
            ((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1)
        })
    }));
    for (j, out) in out.0.iter_mut().enumerate() {
        let mut bits = [0; LANES];
        for (entry, mask) in table.iter().zip(&masks) {
            for ((bits, limb), mask) in bits.iter_mut().zip(&entry.0[j].0).zip(mask) {
                *bits |= limb.to_bits() & mask;
            }
        }
        out.0 = bits.map(f64::from_bits);
    }
}

/// Fermat's test to base 2 on eight odd numbers of exactly `bits` bits whose two top bits are set: the
/// lanes that pass.
///
/// As on IFMA lanes it starts at 2^-d, which in Montgomery form is the one bit 2^(51 L - d), squares, and ends at
/// 2^-(n-1).
#[target_feature(enable = "avx2,fma")]
pub(super) fn fermat<const L: usize>(words: &[Words; LANES], bits: usize) -> u8
where
    Kernels: Kernel<L>,
{
    let mut n = Num::<L>::pack(slices(words));
    let n0 = negative_inverse(words);
    // n - 1 = d 2^k - rest with d = floor((n - 1) / 2^k) + 1, so 2^-(n-1) is 2^-d squared k times, doubled
    // along the bits of rest. k leaves the top s bits to d: 0.75 2^s >= 51 L - bits makes 2^(51 L - d)
    // smaller than n.
    let spare = LIMB_BITS * L - bits;
    let s = (1..).find(|s| 3_usize << s >= 4 * spare).unwrap_or(1);
    let k = bits - s;
    let mut x = Num::<L>::ZERO;
    let mut rest = Zeroizing::new([[0; LANES]; WORDS]);
    for (lane, n) in words.iter().enumerate() {
        let mut carry = true;
        for (i, word) in n.iter().enumerate() {
            let word = if i == 0 { word & !1 } else { *word };
            let (negative, over) = (!word).overflowing_add(u64::from(carry));
            rest[i][lane] = negative;
            carry = over;
        }
        let top = n[k / 64] >> (k % 64)
            | if k.is_multiple_of(64) { 0 } else { n.get(k / 64 + 1).map_or(0, |w| w << (64 - k % 64)) };
        let bit = LIMB_BITS * L - (top as usize + 1);
        x.0[bit / LIMB_BITS].0[lane] = (1_u64 << (bit % LIMB_BITS)) as f64;
    }
    let mut scratch = Scratch::new();
    for i in (0..k).rev() {
        let shift = Shifts(rest[i / 64].map(|word| word >> (i % 64) & 1));
        // SAFETY: the caller's target features are those of the kernel.
        unsafe { Kernels::square(&mut x, &n, &n0, &shift, &mut scratch) };
    }
    // SAFETY: as above.
    unsafe { Kernels::multiply(&mut x, &unit(), &n, &n0, &mut scratch) };
    let passed = is(&x, 1.0);
    n.zeroize();
    x.zeroize();
    passed
}

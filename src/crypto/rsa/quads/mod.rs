//! Eight numbers side by side in vectors of four: AVX2 kernels that multiply in floating point.
//!
//! A fused multiply-add works on 53 bits, a 32-bit integer multiply of AVX2 on 28 at most: two of the first and a
//! subtraction do what needs three and a half of the second.
//!
//! # Representation
//!
//! A number is the sum of `L` limbs times powers of 2^51. A limb is a double that holds an integer, from -2^50 to
//! 2^50 - 1, but for the highest, which takes what is left: numbers may be negative. R = 2^(51 L). `L` is chosen so
//! that every modulus n has at most 51 L - 4 bits: R >= 16 n.
//!
//! # One product of limbs
//!
//! Let |x y| <= 2^102, C = 1.5 * 2^103, K = 1.5 * 2^52, and rounding be to nearest.
//!
//! 1. u = fma(x, y, C) lies from 2^103 to 2^104, where doubles are multiples of 2^51: u = C + m 2^51 with m the
//!    rounded x y / 2^51. As an integer the double u is that of C plus m.
//! 2. t = (C + K) - u = K - m 2^51 is exact: a multiple of 2^51 below 2^104. C + K is a double: from 2^103 to 2^51
//!    there are 53 bits.
//! 3. v = fma(x, y, t) = K + (x y - m 2^51), the last term being from -2^50 to 2^50: exact, between 2^52 and 2^53. As
//!    an integer the double v is that of K plus the term.
//!
//! So u and v are added to the sums of two columns as integers; what C and K add, over all halves of a column, is known
//! beforehand and is taken away in the number that the column's sum begins with. Sums are taken mod 2^64; a column
//! takes at most 2 L upper and 2 L lower halves below 2^51 and one carry, which is below 2^58 for L = 20, so it is
//! right as a signed number.
//!
//! Limbs of a product's two factors below 2^50 give 2^100. A squaring doubles one: 2^101. The limbs of -1/n, and those
//! of a number on its way into Montgomery form, stay below 2^51: 2^101.
//!
//! # Carries and reduction
//!
//! AVX2 shifts 64-bit integers to the right without sign only, so sums carry 2^62, and 2^50 to round the carry:
//! (c + 2^62 + 2^50) >> 51 is the carry plus 2^11, which the next column begins without. The limb is what is left.
//! Column k is made zero mod 2^51 by q = c_k (-1/n) mod 2^51, taken from -2^50 to 2^50.
//!
//! # Bounds: why nothing is subtracted at the end of a product
//!
//! The kernels give (a b + q n) / R with |q| <= R/2 (1 + 2^-50). With |a|, |b| < 2 n and R >= 16 n that is below
//! 0.26 n + 0.51 n, and below 1.6 n < 2 n when the shift of a squaring doubles it. Times one out of Montgomery form
//! it is below n, so that it is canonical once n is added to a negative one; it stands for 1 or -1 mod n only when it
//! is 1 or -1.
//!
//! The arithmetic is constant time: no branch and no address depends on a number, and no double is ever subnormal.

#![allow(unsafe_code, reason = "assembly kernels; each block states why it is sound")]
#![allow(clippy::indexing_slicing, reason = "indexes run over arrays whose length is a constant of the type")]

mod arith;
mod engine;
mod kernel;
#[cfg(test)]
mod tests;

pub(super) use engine::{Avx2, sign_batch};

use zeroize::Zeroize;

use super::sample::{WORDS, Words};
use super::search::LANES;

/// Bits of a limb.
const LIMB_BITS: usize = 51;

const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// One limb of eight numbers: two vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
struct Lane([f64; LANES]);

/// Eight numbers of `L` limbs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
struct Num<const L: usize>([Lane; L]);

impl<const L: usize> Num<L> {
    const ZERO: Self = Self([Lane([0.0; LANES]); L]);

    /// Eight numbers of 64-bit words, below 2^(51 L).
    fn pack(words: [&[u64]; LANES]) -> Self {
        let mut out = Self::ZERO;
        for (lane, words) in words.iter().enumerate() {
            let mut carry = 0;
            for (i, limb) in out.0.iter_mut().enumerate() {
                let digit = limb_of(words, i) + carry;
                // The highest limb keeps all.
                carry = if i < L - 1 { (digit + (1 << (LIMB_BITS - 1))) >> LIMB_BITS } else { 0 };
                limb.0[lane] = (digit.cast_signed() - (carry << LIMB_BITS).cast_signed()) as f64;
            }
        }
        out
    }

    /// The number of one lane mod n, for a number between -n and n.
    fn lane(&self, lane: usize, n: &Words) -> Words {
        let mut limbs = [0_i64; L];
        let mut borrow = 0;
        for (to, limb) in limbs.iter_mut().zip(&self.0) {
            let t = integer(limb.0[lane]) + borrow;
            *to = t & LIMB_MASK.cast_signed();
            borrow = t >> LIMB_BITS;
        }
        // All ones for a negative number, else zero.
        let negative = borrow.cast_unsigned();
        let mut out = [0; WORDS];
        let mut carry = 0;
        for (i, limb) in limbs.iter_mut().enumerate() {
            let t = limb.cast_unsigned() + (limb_of(n, i) & negative) + carry;
            carry = t >> LIMB_BITS;
            let value = t & LIMB_MASK;
            let (word, shift) = (i * LIMB_BITS / 64, i * LIMB_BITS % 64);
            if word < WORDS {
                out[word] |= value << shift;
            }
            if shift > 64 - LIMB_BITS && word + 1 < WORDS {
                out[word + 1] |= value >> (64 - shift);
            }
        }
        limbs.zeroize();
        out
    }
}

impl<const L: usize> Zeroize for Num<L> {
    fn zeroize(&mut self) {
        for limb in &mut self.0 {
            limb.0.zeroize();
        }
    }
}

/// The integer that a double of less than 2^51 holds.
fn integer(x: f64) -> i64 {
    const K: f64 = 1.5 * (1_u64 << 52) as f64;
    (x + K).to_bits().wrapping_sub(K.to_bits()).cast_signed()
}

/// Limb `i` of a number of 64-bit words.
fn limb_of(words: &[u64], i: usize) -> u64 {
    let (word, shift) = (i * LIMB_BITS / 64, i * LIMB_BITS % 64);
    let low = words.get(word).map_or(0, |w| w >> shift);
    let high = if shift == 0 { 0 } else { words.get(word + 1).map_or(0, |w| w << (64 - shift)) };
    (low | high) & LIMB_MASK
}

/// Limbs for numbers of `bits` bits: R >= 16 n.
const fn limbs_for(bits: usize) -> usize {
    (bits + 4).div_ceil(LIMB_BITS)
}

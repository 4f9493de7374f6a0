//! Eight numbers side by side: AVX-512 IFMA kernels for prime search and private operations.
//!
//! # Representation
//!
//! A number has `L` limbs of 52 bits; vector i holds limb i of eight numbers, one a lane. R = 2^(52 L). `L`
//! is chosen so that every modulus n has at most 52 L - 4 bits: R >= 16 n.
//!
//! # Bounds: why nothing is subtracted at the end of a product
//!
//! The kernels give a b / R + (less than n), q n being the multiple of n that clears the low half. With a,
//! b < 4 n the product is below 16 n^2 / R + n <= 2 n; doubled by the shift of a squaring it is below 4 n.
//! So values stay below 4 n < R / 4 for ever. One conditional subtraction, at the end only, makes a product
//! (below 2 n) canonical.
//!
//! # Bounds: why no column overflows
//!
//! A limb is below 2^52, so is each half product. A column takes at most 2 L of them from a b (lower and
//! upper halves) and 2 L from q n, plus a carry: less than (4 L + 2) 2^52 < 2^59 for L = 20, and below 2^60
//! after the shift.
//!
//! # Squaring
//!
//! a^2 = sum of a_i (a_i 2^(52 i) + 2 a_{i+1..}): each limb times itself and times the doubled number above
//! it. The doubled number is kept in limbs of its own (2 a)_j, which need one bit of carry from the limb
//! below. Only the limb right above i must not have it, as a_i's top bit is not part of 2 a_{i+1..}. Every
//! kernel writes its result in all three forms: a, the doubled limbs with carry, the doubled limbs without.
//!
//! # Reduction
//!
//! Column k is made zero mod 2^52 by q = c_k n0 mod 2^52, n0 = -1/n. Its low half then is 0 or 2^52, and
//! which of both is seen from c_k alone: the carry is (c_k + 2^52 - 1) >> 52.
//!
//! Fermat's test starts at 2^-d, which in Montgomery form is the one bit 2^(52 L - d), and squares: no R
//! mod n is needed. It ends at 2^-(n-1), which is one exactly when 2^(n-1) is.

#![allow(unsafe_code, reason = "assembly kernels and vector loads; each block states why it is sound")]
#![allow(clippy::indexing_slicing, reason = "indexes run over arrays whose length is a constant of the type")]

mod arith;
mod engine;
mod kernel;
mod sieve;
mod sign;
#[cfg(test)]
mod tests;
mod wide;

pub(super) use engine::Ifma;
pub(super) use sign::sign_batch;

use zeroize::Zeroize;

use super::sample::{WORDS, Words};

use super::search::LANES;

/// Bits of a limb.
const LIMB_BITS: usize = 52;

const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// One vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
struct Lane([u64; LANES]);

impl Zeroize for Lane {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Eight numbers of `L` limbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
struct Num<const L: usize>([Lane; L]);

impl<const L: usize> Num<L> {
    const ZERO: Self = Self([Lane([0; LANES]); L]);

    /// Eight numbers of 64-bit words.
    fn pack(words: &[Words; LANES]) -> Self {
        let mut out = Self::ZERO;
        for (lane, words) in words.iter().enumerate() {
            for (i, limb) in out.0.iter_mut().enumerate() {
                limb.0[lane] = limb_of(words, i);
            }
        }
        out
    }

    /// The number of one lane, as 64-bit words. Its limbs are normalised.
    fn lane(&self, lane: usize) -> Words {
        let mut out = [0; WORDS];
        for (i, limb) in self.0.iter().enumerate() {
            let (word, shift) = (i * LIMB_BITS / 64, i * LIMB_BITS % 64);
            let value = limb.0[lane];
            if word < WORDS {
                out[word] |= value << shift;
            }
            if shift > 64 - LIMB_BITS && word + 1 < WORDS {
                out[word + 1] |= value >> (64 - shift);
            }
        }
        out
    }
}

impl<const L: usize> Zeroize for Num<L> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
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

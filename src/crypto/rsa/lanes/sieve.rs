//! The sieve on eight primes at a time: the same survivors as [`crate::crypto::rsa::sieve`] gives.
//!
//! The window's start is cut into digits of 35 bits. Modulo a prime below 2^17 it is the sum of digit times
//! weight, the weight being 2^(35 i) mod p: at most 29 products below 2^52, exact in one low-half multiply
//! each, a sum below 2^57. The quotient by p is guessed in floating point: it is off by one at most, since
//! three roundings of 2^-53 each, times a quotient below 2^57 / 67, stay below one.

#![allow(clippy::cast_possible_truncation, reason = "each narrowing follows a comparison with the bound")]

use std::arch::x86_64::*;

use super::arith::{load, set1, store};
use super::{LANES, Lane};
use crate::crypto::rsa::keygen::KeySpec;
use crate::crypto::rsa::sample::{Window, Words};
use crate::crypto::rsa::sieve::{PRIMES, strike};

/// Bits of a digit.
const DIGIT_BITS: usize = 35;

/// Digits of the longest prime: 992 bits.
const DIGITS: usize = 992_usize.div_ceil(DIGIT_BITS);

/// The primes below this are struck by division: their multiples are many.
const SMALL: usize = 17;

const GROUPS: usize = (PRIMES.len() - SMALL).div_ceil(LANES);

/// Groups of the primes below 2^15: deep enough for primes of fewer than 640 bits, whose tests cost less than striking.
const FEWER_GROUPS: usize = 437;

/// Eight primes.
struct Group {
    p: [u32; LANES],
    /// 1/p.
    inverse: [f64; LANES],
    weights: [[u32; LANES]; DIGITS],
}

static TABLE: [Group; GROUPS] = table();

const fn table() -> [Group; GROUPS] {
    let mut out =
        [const { Group { p: [0; LANES], inverse: [0.0; LANES], weights: [[0; LANES]; DIGITS] } }; GROUPS];
    let mut i = 0;
    while i < GROUPS * LANES {
        // The last group is filled up with the last prime.
        let at = if SMALL + i < PRIMES.len() { SMALL + i } else { PRIMES.len() - 1 };
        let p = PRIMES[at] as u64;
        let (group, lane) = (i / LANES, i % LANES);
        out[group].p[lane] = p as u32;
        out[group].inverse[lane] = 1.0 / p as f64;
        let step = (1_u64 << DIGIT_BITS) % p;
        let (mut weight, mut digit) = (1, 0);
        while digit < DIGITS {
            out[group].weights[digit][lane] = weight as u32;
            weight = weight * step % p;
            digit += 1;
        }
        i += 1;
    }
    out
}

/// The offsets of the window that are left, in rising order.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn survivors(window: &Window, spec: &KeySpec) -> Vec<u16> {
    let size = usize::from(spec.offsets());
    let mut struck = vec![false; size];
    let e = spec.exponent().get();
    let residue = residue_of(&window.start, e);
    strike(&mut struck, e, if residue == 0 { e - 1 } else { residue - 1 });
    for p in &PRIMES[..SMALL] {
        let p = u32::from(*p);
        strike(&mut struck, p, residue_of(&window.start, p));
    }
    let digits: Vec<u64> =
        (0..spec.prime_bits().div_ceil(DIGIT_BITS)).map(|i| digit(&window.start, i)).collect();
    let depth = if spec.prime_bits() < 640 { FEWER_GROUPS } else { GROUPS };
    for group in TABLE.iter().take(depth) {
        let first = first_multiples(group, &digits);
        if group.p[0] < spec.offsets().into() {
            for (mut t, p) in first.0.into_iter().map(|t| t as usize).zip(group.p) {
                while t < size {
                    struck[t] = true;
                    t += p as usize;
                }
            }
        } else {
            let mut hits = _mm512_cmplt_epu64_mask(load(&first), set1(size as u64));
            while hits != 0 {
                let lane = hits.trailing_zeros() as usize;
                struck[first.0[lane] as usize] = true;
                hits &= hits - 1;
            }
        }
    }
    (0..spec.offsets()).filter(|t| !struck[usize::from(*t)]).collect()
}

/// For each prime of the group the least t with start + 2t = 0 mod p.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn first_multiples(group: &Group, digits: &[u64]) -> Lane {
    let zero = _mm512_setzero_si512();
    // Four sums, so that no multiply waits for the one before it.
    let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
    let (weights, last_weights) = group.weights[..digits.len()].as_chunks::<4>();
    let (digits, last_digits) = digits.as_chunks::<4>();
    for (w, x) in weights.iter().zip(digits) {
        a = _mm512_madd52lo_epu64(a, widen(&w[0]), set1(x[0]));
        b = _mm512_madd52lo_epu64(b, widen(&w[1]), set1(x[1]));
        c = _mm512_madd52lo_epu64(c, widen(&w[2]), set1(x[2]));
        d = _mm512_madd52lo_epu64(d, widen(&w[3]), set1(x[3]));
    }
    for (w, x) in last_weights.iter().zip(last_digits) {
        a = _mm512_madd52lo_epu64(a, widen(w), set1(*x));
    }
    let sum = _mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d));
    let p = widen(&group.p);
    // SAFETY: the array is 64 readable bytes; the load needs no alignment.
    let inverse = unsafe { _mm512_loadu_pd(group.inverse.as_ptr()) };
    let quotient = _mm512_cvttpd_epu64(_mm512_mul_pd(_mm512_cvtepu64_pd(sum), inverse));
    let mut r = _mm512_sub_epi64(sum, _mm512_mullo_epi64(quotient, p));
    // A negative remainder is a huge unsigned number: the smaller of both candidates is the right one.
    r = _mm512_min_epu64(r, _mm512_add_epi64(r, p));
    r = _mm512_min_epu64(r, _mm512_sub_epi64(r, p));
    // p - r, or that and p, whichever is even, halved; p stands for zero.
    let negative = _mm512_sub_epi64(p, r);
    let odd = _mm512_test_epi64_mask(negative, set1(1));
    let t = _mm512_srli_epi64::<1>(_mm512_mask_add_epi64(negative, odd, negative, p));
    store(_mm512_min_epu64(t, _mm512_sub_epi64(t, p)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn widen(x: &[u32; LANES]) -> __m512i {
    // SAFETY: the array is 32 readable bytes; the load needs no alignment.
    _mm512_cvtepu32_epi64(unsafe { _mm256_loadu_si256(x.as_ptr().cast()) })
}

/// Digit `i` of 35 bits.
fn digit(words: &Words, i: usize) -> u64 {
    let (word, shift) = (i * DIGIT_BITS / 64, i * DIGIT_BITS % 64);
    let low = words.get(word).map_or(0, |w| w >> shift);
    let high = if shift == 0 { 0 } else { words.get(word + 1).map_or(0, |w| w << (64 - shift)) };
    (low | high) & ((1 << DIGIT_BITS) - 1)
}

/// The start mod a number of at most 17 bits: 32 bits at a time.
fn residue_of(words: &Words, m: u32) -> u32 {
    let m = u64::from(m);
    let step = |r: u64, half: u64| ((r << 32) | half) % m;
    words.iter().rev().fold(0, |r, w| step(step(r, w >> 32), w & 0xFFFF_FFFF)) as u32
}

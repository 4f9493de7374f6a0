//! Probable-prime tests on one candidate, over the 64-bit Montgomery arithmetic.

use zeroize::{Zeroize, Zeroizing};

use super::mont::Mont;
use super::sample::Words;

/// Rounds of Miller-Rabin with random bases for a prime of `bits` bits that was drawn at random.
///
/// The chance that a composite passes is at most 2^-112: the average-case bound of Damgard, Landrock and
/// Pomerance (FIPS 186-5, B.3 formula) for the sizes that are listed, and between them the count of the
/// smaller size. Below 512 bits the count stands one above the bound's. Below 352 bits it is the worst-case
/// bound 4^-56.
pub(super) const fn rounds(bits: usize) -> u32 {
    match bits {
        0..352 => 56,
        352..384 => 15,
        384..448 => 13,
        448..512 => 11,
        512..576 => 10,
        576..640 => 9,
        640..704 => 8,
        704..768 => 7,
        768..992 => 6,
        _ => 5,
    }
}

/// One candidate and its arithmetic.
pub(super) struct Candidate<const N: usize> {
    mont: Mont<N>,
    /// n - 1.
    less_one: Zeroizing<[u64; N]>,
}

impl<const N: usize> Candidate<N> {
    /// The odd number in the lowest `N` words, the highest of which is not zero.
    pub(super) fn new(words: &Words) -> Self {
        let mut less_one = Zeroizing::new(lowest(words));
        let mont = Mont::new(*less_one);
        if let Some(low) = less_one.first_mut() {
            *low &= !1;
        }
        Self { mont, less_one }
    }

    /// 2^(n-1) = 1 mod n. A prime passes; a composite that passes goes on to Miller-Rabin.
    pub(super) fn passes_fermat(&self) -> bool {
        self.mont.pow_of_two(&self.less_one) == *self.mont.one()
    }

    /// One round of Miller-Rabin (FIPS 186-5, B.3.1) with a base between 2 and n - 2.
    pub(super) fn passes_miller_rabin(&self, base: &Words) -> bool {
        let mut odd_part = Zeroizing::new(*self.less_one);
        let mut twos = 0_u32;
        while odd_part.first().is_some_and(|low| low.is_multiple_of(2)) {
            halve(odd_part.as_mut_slice());
            twos = twos.saturating_add(1);
        }
        let one = self.mont.one();
        let minus_one = self.mont.negate(one);
        let mut base = self.mont.mul(&lowest(base), &self.mont.r2());
        let mut y = self.mont.pow(&base, &odd_part);
        base.zeroize();
        let mut passes = y == *one || y == minus_one;
        for _ in 1..twos {
            y = self.mont.mul(&y, &y);
            passes |= y == minus_one;
        }
        y.zeroize();
        passes
    }
}

fn lowest<const N: usize>(words: &Words) -> [u64; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(words) {
        *to = *from;
    }
    out
}

fn halve(words: &mut [u64]) {
    let mut carry = 0;
    for word in words.iter_mut().rev() {
        let out = *word << 63;
        *word = (*word >> 1) | carry;
        carry = out;
    }
}

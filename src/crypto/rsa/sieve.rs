//! The sieve: which offsets of a window have no small factor, and no common factor of e and p - 1.
//!
//! It may only skip work. An offset that it strikes is either a multiple of a prime below the depth, so
//! composite, or one that the procedure excludes because e divides the number less one.

#![allow(clippy::indexing_slicing, reason = "tables built by the compiler, indexes bounded by their lengths")]
#![allow(clippy::cast_possible_truncation, reason = "each narrowing follows a comparison with the bound")]

use crypto_bigint::{Limb, NonZero, Reciprocal, Uint};

use super::keygen::KeySpec;
use super::sample::Window;

/// The primes of the table lie below this.
pub(super) const TABLE_END: u32 = 1 << 16;

const COUNT: usize = count();
const GROUP_COUNT: usize = group_count();

pub(super) const PRIMES: [u16; COUNT] = primes();
static GROUPS: [Group; GROUP_COUNT] = groups();

/// Neighbouring primes whose product fits a word: the window's start is reduced once for all of them.
#[derive(Clone, Copy)]
struct Group {
    reciprocal: Reciprocal,
    first: u16,
    end: u16,
}

/// The offsets of the window that are left, in rising order.
pub(super) fn survivors<const N: usize>(window: &Window, spec: &KeySpec, depth: u32) -> Vec<u16> {
    let size = usize::from(spec.offsets());
    let mut struck = vec![false; size];
    let mut words = [0; N];
    for (to, from) in words.iter_mut().zip(&window.start) {
        *to = *from;
    }
    let start = Uint::<N>::from_words(words);

    // e divides start + 2t - 1.
    let e = spec.exponent().get();
    let modulus = NonZero::new(Limb::from(e)).into_option();
    let residue = modulus.map_or(0, |m| start.rem_limb(m).0 as u32);
    strike(&mut struck, e, if residue == 0 { e - 1 } else { residue - 1 });

    for group in &GROUPS {
        let primes = &PRIMES[usize::from(group.first)..usize::from(group.end)];
        if primes.first().is_none_or(|p| u32::from(*p) >= depth) {
            break;
        }
        let residue = start.rem_limb_with_reciprocal(&group.reciprocal).0;
        for p in primes {
            strike(&mut struck, u32::from(*p), (residue % u64::from(*p)) as u32);
        }
    }
    (0..spec.offsets()).filter(|t| !struck[usize::from(*t)]).collect()
}

/// Strikes the offsets t with residue + 2t = 0 mod p, for an odd p.
#[inline]
pub(super) fn strike(struck: &mut [bool], p: u32, residue: u32) {
    let negative = p - residue;
    let half = if negative.is_multiple_of(2) { negative / 2 } else { negative / 2 + p / 2 + 1 };
    let mut t = if half == p { 0 } else { half } as usize;
    while t < struck.len() {
        struck[t] = true;
        t += p as usize;
    }
}

/// Which odd numbers below [`TABLE_END`] are composite: bit i stands for 2 i + 1.
const fn composites() -> [bool; (TABLE_END / 2) as usize] {
    let mut composite = [false; (TABLE_END / 2) as usize];
    composite[0] = true;
    let mut p = 3;
    while p * p < TABLE_END as usize {
        if !composite[p / 2] {
            let mut multiple = p * p;
            while multiple < TABLE_END as usize {
                composite[multiple / 2] = true;
                multiple += 2 * p;
            }
        }
        p += 2;
    }
    composite
}

const fn count() -> usize {
    let composite = composites();
    let (mut n, mut i) = (0, 0);
    while i < composite.len() {
        n += !composite[i] as usize;
        i += 1;
    }
    n
}

const fn primes() -> [u16; COUNT] {
    let composite = composites();
    let mut out = [0; COUNT];
    let (mut n, mut i) = (0, 0);
    while i < composite.len() {
        if !composite[i] {
            out[n] = (2 * i + 1) as u16;
            n += 1;
        }
        i += 1;
    }
    out
}

/// The end of the group that begins at `first`, and its product.
const fn group_at(first: usize) -> (usize, u64) {
    let (mut end, mut product) = (first, 1_u64);
    while end < COUNT {
        match product.checked_mul(PRIMES[end] as u64) {
            Some(longer) => product = longer,
            None => break,
        }
        end += 1;
    }
    (end, product)
}

const fn group_count() -> usize {
    let (mut n, mut first) = (0, 0);
    while first < COUNT {
        first = group_at(first).0;
        n += 1;
    }
    n
}

const fn groups() -> [Group; GROUP_COUNT] {
    let filler = Group { reciprocal: Reciprocal::default(), first: 0, end: 0 };
    let mut out = [filler; GROUP_COUNT];
    let (mut n, mut first) = (0, 0);
    while first < COUNT {
        let (end, product) = group_at(first);
        let divisor = NonZero::<Limb>::new_unwrap(Limb(product));
        out[n] = Group { reciprocal: Reciprocal::new(divisor), first: first as u16, end: end as u16 };
        first = end;
        n += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::crypto::rsa::Exponent;
    use crate::crypto::rsa::sample::{Side, WindowId};

    #[test]
    fn the_table_holds_the_primes() {
        assert_eq!(COUNT, 6541);
        assert_eq!(PRIMES[..5], [3, 5, 7, 11, 13]);
        assert_eq!(PRIMES[COUNT - 1], 65521);
        assert_eq!(GROUPS.iter().map(|g| usize::from(g.end - g.first)).sum::<usize>(), COUNT);
    }

    #[test]
    fn striking_agrees_with_division() {
        let spec = KeySpec::new(1024, Exponent::THREE).unwrap();
        let stream = Seed::fixed([5; 32]).named_stream(b"sieve", Purpose::TestIssuer);
        let window = Window::draw(&spec, &stream, WindowId { side: Side::P, attempt: 0, window: 0 }).unwrap();
        let depth = 3000;
        let left = survivors::<8>(&window, &spec, depth);
        for t in 0..spec.offsets() {
            let words = window.candidate(t);
            let rem = |p: u64| {
                words.iter().rev().fold(0_u128, |r, w| ((r << 64) | u128::from(*w)) % u128::from(p)) as u64
            };
            // The last group may reach a little above the depth.
            let reach =
                GROUPS.iter().find(|g| u32::from(PRIMES[usize::from(g.first)]) >= depth).unwrap().first;
            let clean = PRIMES[..usize::from(reach)].iter().all(|p| rem(u64::from(*p)) != 0);
            assert_eq!(left.contains(&t), clean && rem(3) != 1, "offset {t}");
        }
    }
}

//! The plain path: the sampling procedure of [`super::keygen`] word for word over `crypto-bigint`, one candidate after
//! the other.
//!
//! It shares with the fast backends the draws of [`super::sample`] and nothing else: no sieve, no pre-test, no own
//! arithmetic. They are tested against it, and it can be chosen ([`Backend::Plain`]).
//!
//! [`Backend::Plain`]: crate::crypto::backend::Backend::Plain

use crypto_bigint::BoxedUint;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use zeroize::{Zeroize, Zeroizing};

use super::keygen::{self, KeySpec, MAX_ATTEMPTS};
use super::prime::rounds;
use super::sample::{self, Bases, Side, Window, WindowId, Words};
use super::{RsaPrivate, num};
use crate::crypto::rng::CardStream;
use crate::error::{ErrorKind, Result};

/// Numbers with a factor below this are left out without a test; none of them passes all rounds.
const TRIAL_DIVISION: u32 = 256;

/// The key of `stream`.
pub(super) fn generate(spec: &KeySpec, stream: &CardStream) -> Result<RsaPrivate> {
    let bits = spec.prime_bits();
    for attempt in 0..MAX_ATTEMPTS {
        let p = prime(spec, stream, Side::P, attempt)?;
        let q = prime(spec, stream, Side::Q, attempt)?;
        if !sample::far_apart(&p, &q, bits) {
            continue;
        }
        let [p, q] = [p, q].map(|words| sample::to_be(&words, bits.div_ceil(8)));
        let key = RsaPrivate::from_primes(&p, &q, spec.exponent())?;
        if !keygen::within_bounds(spec, &key)? {
            continue;
        }
        key.apply_plain(&sample::consistency_block(stream, attempt, key.public().len()))?;
        return Ok(key);
    }
    Err(ErrorKind::Internal("no key within the bound of attempts").into())
}

/// The prime of one side and attempt.
pub(super) fn prime(
    spec: &KeySpec,
    stream: &CardStream,
    side: Side,
    attempt: u64,
) -> Result<Zeroizing<Words>> {
    for window in 0..spec.max_windows() {
        let id = WindowId { side, attempt, window };
        let Some(window) = Window::draw(spec, stream, id) else { continue };
        let mut order: Vec<u16> = (0..spec.offsets()).collect();
        window.order(&mut order);
        for offset in order {
            let words = Zeroizing::new(window.candidate(offset));
            if passes(spec, &words, &mut id.bases(stream, offset))? {
                return Ok(words);
            }
        }
    }
    Err(ErrorKind::Internal("no prime within the bound of windows").into())
}

/// Whether the candidate n has gcd(e, n - 1) = 1 and passes all rounds of Miller-Rabin.
fn passes(spec: &KeySpec, words: &Words, bases: &mut Bases) -> Result<bool> {
    let bits = spec.prime_bits();
    let n = num::from_be(&sample::to_be(words, bits.div_ceil(8)), 0)?;
    let less_one = num::less_one(&n);
    if num::rem_small(&less_one, spec.exponent().get())? == 0 {
        return Ok(false);
    }
    for small in 3..TRIAL_DIVISION {
        if num::rem_small(&n, small)? == 0 {
            return Ok(false);
        }
    }
    let twos = less_one.trailing_zeros_vartime();
    let odd_part = Zeroizing::new(less_one.wrapping_shr_vartime(twos));
    let params = BoxedMontyParams::new(num::odd(&n)?);
    for _ in 0..rounds(bits) {
        let mut base = Zeroizing::new(bases.next(words, bits));
        let number = num::from_be(&sample::to_be(&base, bits.div_ceil(8)), 0)?;
        base.zeroize();
        if !round(&number, &odd_part, twos, &less_one, &params) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One round of Miller-Rabin (FIPS 186-5, B.3.1).
fn round(
    base: &BoxedUint,
    odd_part: &BoxedUint,
    twos: u32,
    less_one: &BoxedUint,
    params: &BoxedMontyParams,
) -> bool {
    let mut y = Zeroizing::new(BoxedMontyForm::new(base.clone(), params).pow(odd_part));
    let value = Zeroizing::new(y.retrieve());
    let mut passes = bool::from(value.is_one()) || *value == *less_one;
    for _ in 1..twos {
        *y = y.square();
        passes |= *Zeroizing::new(y.retrieve()) == *less_one;
    }
    passes
}

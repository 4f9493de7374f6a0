//! Key generation: the sampling procedure, and its portable form.
//!
//! # The sampling procedure
//!
//! It is fixed before any kernel, so that one stream gives one key on every backend, with any number of
//! threads and whichever other keys are made at the same time. Its form is that of FIPS 186-5, A.1.3
//! (random probable primes); EMV's sizes and e = 3 lie outside of what FIPS approves, so no approved mode
//! is claimed.
//!
//! A key has `bits` bits and the public exponent e; each prime has h = `bits` / 2 bits, a multiple of 8 (of 4 for an
//! issuer's key of an odd number of bytes: h / 8 is rounded up below, and the four highest bits drawn are cleared). S
//! is the key's stream; S(a, b, …) is its sub-stream of that path ([`CardStream::sub`]).
//!
//! **Key.** For attempt k = 0, 1, …:
//! 1. p is the prime of side 0, q the prime of side 1, of attempt k.
//! 2. If |p - q| <= 2^(h - 100), or d = e^-1 mod lcm(p - 1, q - 1) <= 2^h, both primes move to the next
//!    attempt.
//! 3. The larger prime is named p, the smaller one q.
//! 4. The pair-wise consistency test signs and verifies a block of S(2, k).
//!
//! **Prime** of side i, attempt k. For window w = 0, 1, …, with T = S(i, k, w):
//! 1. T gives h / 8 bytes: a big-endian number X, whose two highest bits and lowest bit are then set.
//! 2. T gives eight bytes for each offset t = 0 … 1023: the rank of t, a little-endian number. The
//!    permutation of the window is its offsets by rising rank (equal ranks, whose chance is 2^-45 a window,
//!    by offset). All ranks are drawn before anything is sieved.
//! 3. If X + 2·1023 has more than h bits, the next window follows.
//! 4. The prime is the first X + 2t in the order of the permutation with gcd(e, X + 2t - 1) = 1 that passes
//!    all Miller-Rabin rounds. If there is none, the next window follows.
//!
//! **Miller-Rabin** on the candidate N at offset t: the bases are ordinary integers; they are drawn one
//! round after the other from S(i, k, w, t), each as h / 8 bytes, big-endian, drawn again unless it lies from
//! 2 to N - 2.
//!
//! A backend may skip work as long as this result stays: sieve to any depth, test to base 2 first, test
//! numbers before they are due. (A composite that a pre-test removes could have passed all rounds with a
//! chance below 2^-112.)
//!
//! **Fresh candidates.** With [`Sampling::FreshCandidates`] a window has one offset, so that every
//! candidate is a fresh draw, as FIPS 186-5 has it. It costs about twice the time.
//!
//! # Why these keys are sound
//!
//! *Range.* The two highest bits are set, so each prime lies in [0.75·2^h, 2^h), within FIPS's [2^(h-1/2),
//! 2^h), and the product has exactly 2h bits.
//!
//! *Bias.* X is uniform over 2^(h-3) odd numbers. A prime P is found exactly when P lies in the window and
//! stands first among the window's primes; the permutation is uniform, so that chance is 1/(number of
//! primes in the window). The chance of P is the mean of 1/(number of primes) over the 1024 windows that
//! hold P, divided by 2^(h-13). It depends only on how many primes lie within 2048 of P; a search in rising
//! order would find P with a chance in proportion to the gap before it. That mean is at most 1, so no prime is
//! more than E / (1 - z) times likelier than the average, E = 2048 / (h ln 2) being the mean number of
//! primes in a window (4.2 for 704 bits, 11.5 for 256) and z the chance of an empty window (1.5 % for 704
//! bits): the loss of min-entropy is below 4 bits. Two primes never come from one window: the sides have
//! their own sub-streams.
//!
//! *Primality.* The number of rounds holds the chance that a composite passes below 2^-112 for candidates
//! drawn at random (see `prime::rounds`). The candidates of one window are not independent, but each one by
//! itself is uniform.
//!
//! *Randomness.* S is ChaCha20 under a key derived with HMAC-SHA-256 from a 256-bit seed, which production
//! draws from the operating system for each block and wipes with it ([`crate::crypto::rng`]). The search is
//! not constant time (how many candidates fail is independent of the prime that is found); the arithmetic
//! on each candidate is.

use zeroize::{Zeroize, Zeroizing};

use super::prime::{Candidate, rounds};
use super::sample::{self, Side, Window, WindowId, Words};
use super::{Exponent, RsaPrivate, sieve};
use crate::crypto::backend::Backend;
use crate::crypto::rng::CardStream;
use crate::error::{ErrorKind, Result};

/// Attempts for one key. A second one has a chance below 2^-90.
pub(super) const MAX_ATTEMPTS: u64 = 16;

/// Tests that one prime may take before the search is given up as broken: FIPS 186-5 allows 10 · bits, we
/// give more, as a window counts for all its offsets. A window of 1024 has no prime with a chance
/// below 6 %.
const MAX_OFFSETS: u64 = 1 << 18;

/// How candidates are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// From windows of 1024 odd numbers, in random order.
    #[default]
    Windows,
    /// Each candidate a fresh draw (FIPS 186-5, A.1.3), for those who must have it.
    FreshCandidates,
}

/// What key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeySpec {
    bits: usize,
    exponent: Exponent,
    sampling: Sampling,
}

impl KeySpec {
    /// A key of `bits` bits: 512 to 1984 in steps of 16, with e = 3 or 65537. Below 1024 bits is for
    /// tests; the caller decides whether its issuer is a test issuer.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for another size, [`ErrorKind::Value`] for another exponent.
    pub fn new(bits: usize, exponent: Exponent) -> Result<Self> {
        Self::in_steps(bits, exponent, 16, "512 to 1984 in steps of 16")
    }

    /// A key of any number of whole bytes, 512 to 1984 bits: an issuer's key, whose length its scheme sets. With an odd
    /// number of bytes no vector kernel serves it; [`generate_batch`] makes it on the portable path.
    ///
    /// # Errors
    /// As [`KeySpec::new`].
    pub fn in_bytes(bits: usize, exponent: Exponent) -> Result<Self> {
        Self::in_steps(bits, exponent, 8, "512 to 1984 in steps of 8")
    }

    fn in_steps(bits: usize, exponent: Exponent, step: usize, expected: &'static str) -> Result<Self> {
        if !(512..=1984).contains(&bits) || !bits.is_multiple_of(step) {
            return Err(ErrorKind::Length { expected, found: bits, unit: "bits" }.into());
        }
        if exponent != Exponent::THREE && exponent != Exponent::F4 {
            return Err(ErrorKind::Value("the exponent is neither 3 nor 65537").into());
        }
        Ok(Self { bits, exponent, sampling: Sampling::default() })
    }

    /// The same key, its candidates drawn as `sampling` says.
    #[must_use]
    pub const fn with_sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// Bits of the modulus.
    #[must_use]
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// The public exponent.
    #[must_use]
    pub const fn exponent(&self) -> Exponent {
        self.exponent
    }

    /// How candidates are drawn.
    #[must_use]
    pub const fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// Bits of each prime.
    pub(super) const fn prime_bits(&self) -> usize {
        self.bits / 2
    }

    /// Offsets of a window.
    pub(super) const fn offsets(&self) -> u16 {
        match self.sampling {
            Sampling::Windows => 1024,
            Sampling::FreshCandidates => 1,
        }
    }

    /// Windows that one prime may take.
    pub(super) const fn max_windows(&self) -> u64 {
        MAX_OFFSETS / self.offsets() as u64
    }
}

/// The key of `stream`, on the portable backend.
///
/// ```
/// use emv_dataprep::crypto::rng::{Purpose, Seed};
/// use emv_dataprep::crypto::rsa::{Exponent, KeySpec, generate};
/// let stream = Seed::fixed([7; 32]).named_stream(b"example", Purpose::TestIssuer);
/// let spec = KeySpec::new(512, Exponent::F4)?;
/// let key = generate(spec, &stream)?;
/// assert_eq!(key.public().bits(), 512);
/// assert_eq!(generate(spec, &stream)?.public(), key.public());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Internal`] when no key is found within the bounds or a key fails its consistency test:
/// neither is expected ever.
pub fn generate(spec: KeySpec, stream: &CardStream) -> Result<RsaPrivate> {
    for attempt in 0..MAX_ATTEMPTS {
        let p = search(&spec, stream, Side::P, attempt)?;
        let q = search(&spec, stream, Side::Q, attempt)?;
        if let Some(key) = finish(&spec, stream, attempt, &p, &q)? {
            return Ok(key);
        }
    }
    Err(ErrorKind::Internal("no key within the bound of attempts").into())
}

/// One key for each job, each from its own stream: the same keys as [`generate`] gives, on any backend and
/// in any company. [`Backend::Plain`] runs the procedure over `crypto-bigint`.
///
/// [`Backend::Avx512`] and [`Backend::Avx2`] search on eight lanes; they are at their best from four jobs of one
/// [`KeySpec`] on.
#[must_use]
pub fn generate_batch(backend: Backend, jobs: &[(KeySpec, &CardStream)]) -> Vec<Result<RsaPrivate>> {
    match backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 => super::search::generate_batch(super::lanes::Ifma::for_bits, jobs),
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 => super::search::generate_batch(super::quads::Avx2::for_bits, jobs),
        Backend::Plain => jobs.iter().map(|(spec, stream)| super::plain::generate(spec, stream)).collect(),
        _ => jobs.iter().map(|(spec, stream)| generate(*spec, stream)).collect(),
    }
}

/// Steps 2 to 4 of the key: the bounds, the parts, the consistency test. None moves on to the next attempt.
fn finish(
    spec: &KeySpec,
    stream: &CardStream,
    attempt: u64,
    p: &Words,
    q: &Words,
) -> Result<Option<RsaPrivate>> {
    let bits = spec.prime_bits();
    if !sample::far_apart(p, q, bits) {
        return Ok(None);
    }
    let len = bits.div_ceil(8);
    let key = RsaPrivate::from_primes(&sample::to_be(p, len), &sample::to_be(q, len), spec.exponent())?;
    if !within_bounds(spec, &key)? {
        return Ok(None);
    }
    key.apply(&sample::consistency_block(stream, attempt, key.public().len()))?;
    Ok(Some(key))
}

/// Whether d is large enough. The size of the modulus follows from the primes' top bits.
pub(super) fn within_bounds(spec: &KeySpec, key: &RsaPrivate) -> Result<bool> {
    if key.public().bits() != spec.bits() {
        return Err(ErrorKind::Internal("a modulus of the wrong size").into());
    }
    key.has_small_d().map(|small| !small)
}

/// The prime of one side and attempt.
fn search(spec: &KeySpec, stream: &CardStream, side: Side, attempt: u64) -> Result<Zeroizing<Words>> {
    macro_rules! by_words {
        ($($n:literal)+) => {
            match spec.prime_bits().div_ceil(64) {
                $($n => search_words::<$n>(spec, stream, side, attempt),)+
                _ => Err(ErrorKind::Internal("a prime size without arithmetic").into()),
            }
        };
    }
    by_words!(4 5 6 7 8 9 10 11 12 13 14 15 16)
}

fn search_words<const N: usize>(
    spec: &KeySpec,
    stream: &CardStream,
    side: Side,
    attempt: u64,
) -> Result<Zeroizing<Words>> {
    let bits = spec.prime_bits();
    let depth = match spec.sampling() {
        Sampling::Windows => sieve::TABLE_END,
        Sampling::FreshCandidates => 1 << 11,
    };
    for window in 0..spec.max_windows() {
        let id = WindowId { side, attempt, window };
        let Some(window) = Window::draw(spec, stream, id) else { continue };
        let mut left = sieve::survivors::<N>(&window, spec, depth);
        window.order(&mut left);
        for offset in left {
            let words = Zeroizing::new(window.candidate(offset));
            let candidate = Candidate::<N>::new(&words);
            if !candidate.passes_fermat() {
                continue;
            }
            let mut bases = id.bases(stream, offset);
            let passes = (0..rounds(bits)).all(|_| {
                let mut base = bases.next(&words, bits);
                let passes = candidate.passes_miller_rabin(&base);
                base.zeroize();
                passes
            });
            if passes {
                return Ok(words);
            }
        }
    }
    Err(ErrorKind::Internal("no prime within the bound of windows").into())
}

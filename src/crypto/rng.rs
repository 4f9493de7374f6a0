//! Random numbers: a 256-bit seed, and from it one stream for each card and purpose.
//!
//! Each card draws from its own stream, so a card's values depend on neither its neighbours, the number of
//! threads nor the order of work. Production draws a fresh seed from the operating system for every block.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use super::hash::hmac_sha256;
use crate::card::CardId;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// A 256-bit seed, wiped when dropped.
#[derive(Debug)]
pub struct Seed(Secret);

impl Seed {
    /// A fresh seed from the operating system.
    ///
    /// # Errors
    /// [`ErrorKind::Randomness`] if the operating system gives none.
    pub fn from_os() -> Result<Self> {
        let secret = Secret::filled(32, getrandom::fill).map_err(|_| ErrorKind::Randomness)?;
        Ok(Self(secret))
    }

    /// A fixed seed: only for an issuer whose environment is `test`.
    #[must_use]
    pub fn fixed(seed: [u8; 32]) -> Self {
        Self(Secret::copy_of(&seed))
    }

    /// The stream of one card for one purpose: ChaCha20 keyed with
    /// HMAC-SHA-256(seed, label ‖ purpose ‖ position ‖ cardId), lengths before texts.
    ///
    /// `position` is the 1-based count of the order in its input.
    #[must_use]
    pub fn card_stream(&self, position: u64, card: &CardId, purpose: Purpose) -> CardStream {
        self.stream(&[b"card", &position.to_be_bytes(), card.as_str().as_bytes()], purpose)
    }

    /// A stream for something that is not one card (a block's transport key, a batch id).
    #[must_use]
    pub fn named_stream(&self, name: &[u8], purpose: Purpose) -> CardStream {
        self.stream(&[b"name", name], purpose)
    }

    /// HMAC-SHA-256 under the seed: a value that only the holder of the seed can make.
    #[must_use]
    pub fn keyed_digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        hmac_sha256(&self.0, parts)
    }

    fn stream(&self, parts: &[&[u8]], purpose: Purpose) -> CardStream {
        let mut input = b"emv-dataprep/stream/1".to_vec();
        for part in std::iter::once(&purpose.label().as_bytes()).chain(parts) {
            input.extend_from_slice(&(part.len() as u64).to_be_bytes());
            input.extend_from_slice(part);
        }
        let key = Zeroizing::new(hmac_sha256(&self.0, &[&input]));
        CardStream { key }
    }
}

/// What a stream is for: no two purposes share random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The card's ODA key.
    IccKey,
    /// The card's PIN-encipherment key.
    PinEncipherKey,
    /// A PIN generated here.
    Pin,
    /// Fill of the PIN block on the card (AES: 8 random bytes).
    ReferencePinFill,
    /// Fill of the PIN-mailer's PIN block.
    MailerPinFill,
    /// Fill of the PIN block in the issuer return.
    ReturnPinFill,
    /// A transport key made for one block.
    TransportKey,
    /// Ephemeral key and IV of an envelope.
    Envelope,
    /// RSA keys made ahead for the pool.
    PoolKey,
    /// Segment keys, ids and padding of the pool.
    PoolSegment,
    /// Padding of a job's wrapped data key.
    JobKey,
    /// Data of the test issuer that `demo` makes.
    TestIssuer,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::IccKey => "icc-key",
            Self::PinEncipherKey => "pin-encipher-key",
            Self::Pin => "pin",
            Self::ReferencePinFill => "reference-pin-fill",
            Self::MailerPinFill => "mailer-pin-fill",
            Self::ReturnPinFill => "return-pin-fill",
            Self::TransportKey => "transport-key",
            Self::Envelope => "envelope",
            Self::PoolKey => "pool-key",
            Self::PoolSegment => "pool-segment",
            Self::JobKey => "job-key",
            Self::TestIssuer => "test-issuer",
        }
    }
}

/// A stream of random bytes, and the root of numbered sub-streams. Wiped when dropped.
#[derive(Clone)]
pub struct CardStream {
    key: Zeroizing<[u8; 32]>,
}

impl CardStream {
    /// A generator at the start of this stream. Two calls give the same bytes.
    #[must_use]
    pub fn rng(&self) -> StreamRng {
        StreamRng(ChaCha20Rng::from_seed(*self.key))
    }

    /// The sub-stream named by `path`, for values that must not depend on how much others have drawn.
    #[must_use]
    pub fn sub(&self, path: &[u64]) -> Self {
        let mut input = b"emv-dataprep/sub/1".to_vec();
        for step in path {
            input.extend_from_slice(&step.to_be_bytes());
        }
        Self { key: Zeroizing::new(hmac_sha256(&Secret::copy_of(self.key.as_slice()), &[&input])) }
    }
}

impl std::fmt::Debug for CardStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardStream")
    }
}

/// A generator over one [`CardStream`].
pub struct StreamRng(ChaCha20Rng);

impl StreamRng {
    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// `N` bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A number below `bound`, without bias (rejection).
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] for a bound of zero.
    pub fn below(&mut self, bound: u32) -> Result<u32> {
        let whole = u64::from(u32::MAX).saturating_add(1);
        let limit = whole
            .checked_rem(u64::from(bound))
            .map(|r| whole.saturating_sub(r))
            .ok_or(ErrorKind::Internal("a random number below zero"))?;
        loop {
            let draw = u64::from(u32::from_be_bytes(self.bytes()));
            if draw < limit {
                let value = draw.checked_rem(u64::from(bound)).unwrap_or(0);
                return Ok(u32::try_from(value).unwrap_or(0));
            }
        }
    }
}

impl std::fmt::Debug for StreamRng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamRng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u8, position: u64, card: &str, purpose: Purpose) -> [u8; 16] {
        Seed::fixed([seed; 32]).card_stream(position, &card.parse().unwrap(), purpose).rng().bytes()
    }

    #[test]
    fn every_part_of_the_name_changes_the_stream() {
        let base = draw(1, 1, "c-1", Purpose::Pin);
        assert_eq!(base, draw(1, 1, "c-1", Purpose::Pin));
        for other in [
            draw(2, 1, "c-1", Purpose::Pin),
            draw(1, 2, "c-1", Purpose::Pin),
            draw(1, 1, "c-2", Purpose::Pin),
            draw(1, 1, "c-1", Purpose::IccKey),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn sub_streams_do_not_meet() {
        let root = Seed::fixed([1; 32]).named_stream(b"x", Purpose::TestIssuer);
        let a: [u8; 16] = root.sub(&[0, 1]).rng().bytes();
        let b: [u8; 16] = root.sub(&[1, 0]).rng().bytes();
        assert_ne!(a, b);
        assert_ne!(a, root.rng().bytes());
    }

    #[test]
    fn numbers_below_a_bound_reach_all_values() {
        let mut rng = Seed::fixed([3; 32]).named_stream(b"y", Purpose::TestIssuer).rng();
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[rng.below(10).unwrap() as usize] += 1;
        }
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
        assert!(rng.below(0).is_err());
    }
}

//! Keyed tags of primes: whether two keys share one shows without keeping any.

use std::fmt;

use super::RsaPrivate;
use crate::crypto::hash::hmac_sha256;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// What a tag is of.
const CONTEXT: &[u8] = b"emv-dataprep/prime/1";

/// The first 128 bits of HMAC-SHA-256 of a prime: equal for equal primes under one [`PrimeTagKey`], and nothing that a
/// guess at a prime could be tried against without that key.
///
/// Two different primes of a billion have the same tag with a probability below 2^-68.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrimeTag([u8; PrimeTag::LEN]);

impl PrimeTag {
    /// Bytes of a tag.
    pub const LEN: usize = 16;

    /// A tag that was written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The tag to be written.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

impl fmt::Debug for PrimeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrimeTag")
    }
}

/// The key of the tags: 32 bytes.
///
/// ```
/// use emv_dataprep::crypto::rsa::{Exponent, PrimeTagKey, RsaPrivate};
/// use emv_dataprep::secret::Secret;
/// let key = PrimeTagKey::new(Secret::copy_of(&[7; 32]))?;
/// let one = RsaPrivate::from_primes(&[53], &[61], Exponent::new(17)?)?;
/// let two = RsaPrivate::from_primes(&[0, 61], &[59], Exponent::new(17)?)?;
/// assert_eq!(key.tags(&one)[0], key.tags(&two)[0]); // p = 61 of both
/// assert_ne!(key.tags(&one)[1], key.tags(&two)[1]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Debug)]
pub struct PrimeTagKey(Secret);

impl PrimeTagKey {
    /// Bytes of the key.
    pub const LEN: usize = 32;

    /// A key.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless it has 32 bytes.
    pub fn new(key: Secret) -> Result<Self> {
        if key.len() != Self::LEN {
            return Err(ErrorKind::Length { expected: "32", found: key.len(), unit: "bytes" }.into());
        }
        Ok(Self(key))
    }

    /// The tags of p and q.
    #[must_use]
    pub fn tags(&self, key: &RsaPrivate) -> [PrimeTag; 2] {
        [self.tag(key.p().expose()), self.tag(key.q().expose())]
    }

    /// The tag of one prime, big-endian; zeros before it do not count.
    #[must_use]
    pub fn tag(&self, prime: &[u8]) -> PrimeTag {
        let zeros = prime.iter().take_while(|b| **b == 0).count();
        let mac = hmac_sha256(&self.0, &[CONTEXT, prime.get(zeros..).unwrap_or_default()]);
        PrimeTag(mac.first_chunk().copied().unwrap_or_default())
    }

    /// Tells one key from another without telling it: eight bytes.
    #[must_use]
    pub fn check_value(&self) -> [u8; 8] {
        let mac = hmac_sha256(&self.0, &[b"emv-dataprep/prime-tag-key-check/1"]);
        mac.first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PrimeTagKey {
        PrimeTagKey::new(Secret::copy_of(&[byte; 32])).unwrap()
    }

    #[test]
    fn a_tag_is_the_hmac_of_the_bare_prime() {
        let expected = hmac_sha256(&Secret::copy_of(&[1; 32]), &[b"emv-dataprep/prime/1\x0B\x0D"]);
        for prime in [&[0x0B, 0x0D][..], &[0, 0, 0x0B, 0x0D]] {
            assert_eq!(key(1).tag(prime).to_bytes(), expected[..16]);
        }
        assert_ne!(key(1).tag(&[0x0B, 0x0D, 0]), key(1).tag(&[0x0B, 0x0D]));
        assert_ne!(key(1).tag(&[13]), key(2).tag(&[13]));
        assert_ne!(key(1).check_value(), key(2).check_value());
        assert!(PrimeTagKey::new(Secret::copy_of(&[1; 31])).is_err());
    }

    #[test]
    fn debug_names_no_byte() {
        assert_eq!(format!("{:?} {:?}", key(1).tag(&[13]), key(1)), "PrimeTag PrimeTagKey(Secret(32 bytes))");
    }
}

//! The one type for secret bytes: keys, PINs, PIN blocks, private key parts.
//!
//! Its contents are reached through [`Secret::expose`] alone, so that every place that reads a secret can be
//! found by name. It is redacted in Debug, compared in constant time, and wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Secret bytes: redacted, compared in constant time, wiped on drop, never cloned by accident.
///
/// ```
/// use emv_dataprep::secret::Secret;
/// let key = Secret::new(vec![0x11; 16]);
/// assert_eq!(format!("{key:?}"), "Secret(16 bytes)");
/// assert_eq!(key.expose().len(), 16);
/// ```
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes ownership of `bytes`. A vector with spare capacity is moved to a fitting allocation, and the old
    /// one is wiped.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(Zeroizing::new(bytes.into_boxed_slice()));
        }
        let fitting: Box<[u8]> = Box::from(bytes.as_slice());
        bytes.zeroize();
        Self(Zeroizing::new(fitting))
    }

    /// A copy of `bytes`; the caller remains responsible for the original.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(Box::from(bytes)))
    }

    /// `len` zero bytes, to be filled in place by `fill`.
    pub fn filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Zeroizing::new(vec![0; len].into_boxed_slice()));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The secret bytes. Every call is a place to review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes (not secret).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy, on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copy_of(self.expose())
    }

    /// The secrets of `parts` one after the other.
    #[must_use]
    pub fn concat(parts: &[&[u8]]) -> Self {
        let mut out = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
        for part in parts {
            out.extend_from_slice(part);
        }
        Self::new(out)
    }
}

/// Overwrites the part of the stack that calls made so far have left behind: what they held moves into no other value.
///
/// Functions that work on a secret by value (block ciphers, decimalization) leave copies below the caller's frame. An
/// `enum` that is made there later carries such bytes along in the room of its larger variants, and so onto the heap.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0_u8; 32 * 1024];
    below.zeroize();
    std::hint::black_box(&below);
}

impl PartialEq for Secret {
    /// Constant time in the contents; the length is not secret.
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_no_byte() {
        let text = format!("{:?}", Secret::new(b"SECRETSECRETSECR".to_vec()));
        assert_eq!(text, "Secret(16 bytes)");
    }

    #[test]
    fn a_vector_with_spare_room_is_moved_whole() {
        let mut v = Vec::with_capacity(64);
        v.extend_from_slice(&[7; 24]);
        assert_eq!(Secret::new(v), Secret::copy_of(&[7; 24]));
    }

    #[test]
    fn equality_sees_every_byte_and_the_length() {
        let a = Secret::copy_of(&[1; 16]);
        for i in 0..16 {
            let mut other = [1; 16];
            other[i] ^= 1;
            assert_ne!(a, Secret::copy_of(&other));
        }
        assert_ne!(a, Secret::copy_of(&[1; 15]));
        assert_eq!(a, a.duplicate());
    }
}

use crate::bytes::hex_upper;
use crate::crypto::hash::sha1;
use crate::crypto::mac::equal;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Result};

/// Registered application provider identifier: the five bytes that an AID begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rid(pub [u8; 5]);

impl std::fmt::Display for Rid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex_upper(&self.0))
    }
}

/// Certification authority public key index (tags 8F and 9F22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaKeyIndex(pub u8);

impl std::fmt::Display for CaKeyIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

/// A scheme's certification authority public key, named by RID and index (EMV 4.4 Book 2, 5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaPublicKey {
    rid: Rid,
    index: CaKeyIndex,
    key: RsaPublic,
}

impl CaPublicKey {
    /// A key from its parts.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] unless the top bit of the modulus is set and the exponent is 03 or 010001;
    /// [`ErrorKind::Length`] for more than 248 bytes.
    pub fn new(rid: Rid, index: CaKeyIndex, modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        Ok(Self { rid, index, key: super::check_public_key(modulus, exponent)? })
    }

    /// A key from its parts, with the checksum that came beside it.
    ///
    /// # Errors
    /// As [`CaPublicKey::new`]; [`ErrorKind::Crypto`] if the checksum differs.
    pub fn with_checksum(
        rid: Rid,
        index: CaKeyIndex,
        modulus: &[u8],
        exponent: &[u8],
        checksum: &[u8],
    ) -> Result<Self> {
        let key = Self::new(rid, index, modulus, exponent)?;
        if equal(&key.checksum(), checksum) {
            Ok(key)
        } else {
            Err(ErrorKind::Crypto("the checksum of the CA public key differs").into())
        }
    }

    /// Its RID.
    #[must_use]
    pub const fn rid(&self) -> Rid {
        self.rid
    }

    /// Its index.
    #[must_use]
    pub const fn index(&self) -> CaKeyIndex {
        self.index
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &RsaPublic {
        &self.key
    }

    /// SHA-1(RID ‖ index ‖ modulus ‖ exponent) (EMV 4.4 Book 2, 11.2.2).
    #[must_use]
    pub fn checksum(&self) -> [u8; 20] {
        checksum_of(self.rid, self.index, self.key.modulus(), self.key.exponent())
    }
}

pub(crate) fn checksum_of(rid: Rid, index: CaKeyIndex, modulus: &[u8], exponent: &[u8]) -> [u8; 20] {
    sha1(&[&rid.0, &[index.0], modulus, exponent])
}

//! Ed25519 signatures (RFC 8032): who answers for a manifest, an audit log, an issuer directory.
//!
//! The crate `ed25519-dalek` computes; here stand the two types. A signature is always over a context and a message, so
//! that one made for an audit log says nothing about a manifest.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::bytes::hex_upper;
use crate::error::{ErrorKind, Result};
use crate::secret::{Secret, wipe_stack};

/// A private key: wiped when it goes. On the heap, so that a key that moves leaves no copy behind.
pub struct Ed25519Private(Box<SigningKey>);

impl Ed25519Private {
    /// From the 32-byte seed that RFC 8032, 5.1.5 calls the private key.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for another length.
    pub fn from_seed(seed: &Secret) -> Result<Self> {
        let seed: &[u8; 32] = seed.expose().try_into().map_err(|_| ErrorKind::Length {
            expected: "32",
            found: seed.len(),
            unit: "bytes",
        })?;
        let key = Self(boxed(seed));
        wipe_stack();
        Ok(key)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> Ed25519Public {
        Ed25519Public(self.0.verifying_key())
    }

    /// Signs `context ‖ 00 ‖ message` (RFC 8032, 5.1.6). `context` holds no zero byte.
    #[must_use]
    pub fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        let signature = self.0.sign(&framed(context, message)).to_bytes();
        wipe_stack();
        signature
    }

    /// Signs the message alone, as JSON Web Signatures want it (RFC 8037, 3.1): for keys of that purpose only.
    #[must_use]
    pub(crate) fn sign_plain(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// In a frame of its own, below which nothing remains once the stack is wiped.
#[inline(never)]
fn boxed(seed: &[u8; 32]) -> Box<SigningKey> {
    Box::new(SigningKey::from_bytes(seed))
}

impl fmt::Debug for Ed25519Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Private({})", self.public())
    }
}

/// A public key: a point of the curve that is not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ed25519Public(VerifyingKey);

impl Ed25519Public {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for no point, or one under which anybody could sign.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| ErrorKind::Format("an Ed25519 public key"))?;
        if key.is_weak() {
            return Err(ErrorKind::Format("an Ed25519 public key").into());
        }
        Ok(Self(key))
    }

    /// From 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self> {
        Self::from_bytes(
            &crate::bytes::array_from_hex(text).map_err(|_| ErrorKind::Format("an Ed25519 public key"))?,
        )
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether the signature is this key's over `context ‖ 00 ‖ message`, by the strict rules: no malleable signature,
    /// no point of small order.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if it is not.
    pub fn verify(&self, context: &str, message: &[u8], signature: &[u8; 64]) -> Result<()> {
        let signature = Signature::from_bytes(signature);
        let good = self.0.verify_strict(&framed(context, message), &signature);
        good.map_err(|_| ErrorKind::Crypto("the signature is not this key's").into())
    }

    /// Whether the signature is this key's over the message alone (RFC 8037, 3.1), by the same strict rules.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if it is not.
    pub(crate) fn verify_plain(&self, message: &[u8], signature: &[u8; 64]) -> Result<()> {
        let good = self.0.verify_strict(message, &Signature::from_bytes(signature));
        good.map_err(|_| ErrorKind::Crypto("the signature is not this key's").into())
    }
}

impl std::str::FromStr for Ed25519Public {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_hex(text)
    }
}

impl fmt::Display for Ed25519Public {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_upper(&self.to_bytes()))
    }
}

impl fmt::Debug for Ed25519Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Public({self})")
    }
}

fn framed(context: &str, message: &[u8]) -> Vec<u8> {
    [context.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::array_from_hex;

    /// RFC 8032, 7.1, tests 1 and 3.
    #[test]
    fn published_keys_and_signatures() {
        for (seed, public, message, signature) in [
            (
                "9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60",
                "D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A",
                "",
                "E5564300C360AC729086E2CC806E828A84877F1EB8E5D974D873E065224901555FB8821590A33BACC61E39701CF9B46BD25BF5F0595BBE24655141438E7A100B",
            ),
            (
                "C5AA8DF43F9F837BEDB7442F31DCB7B166D38535076F094B85CE3A2E0B4458F7",
                "FC51CD8E6218A1A38DA47ED00230F0580816ED13BA3303AC5DEB911548908025",
                "AF82",
                "6291D657DEEC24024827E69C3ABE01A30CE548A284743A445E3680D7DB5AC3AC18FF9B538D16F290AE67F760984DC6594A7C15E9716ED28DC027BECEEA1EC40A",
            ),
        ] {
            let seed: [u8; 32] = array_from_hex(seed).unwrap();
            let key = Ed25519Private::from_seed(&Secret::copy_of(&seed)).unwrap();
            assert_eq!(key.public().to_string(), public);
            let message = crate::bytes::from_hex(message).unwrap();
            assert_eq!(hex_upper(&key.0.sign(&message).to_bytes()), signature);
        }
    }

    #[test]
    fn a_signature_is_for_one_context_message_and_key() {
        let key = |byte| Ed25519Private::from_seed(&Secret::copy_of(&[byte; 32])).unwrap();
        let mine = key(1);
        let signature = mine.sign("a", b"m");
        mine.public().verify("a", b"m", &signature).unwrap();
        assert!(mine.public().verify("b", b"m", &signature).is_err());
        assert!(mine.public().verify("a", b"n", &signature).is_err());
        assert!(key(2).public().verify("a", b"m", &signature).is_err());
        for bit in 0..512 {
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(mine.public().verify("a", b"m", &other).is_err(), "bit {bit}");
        }
        assert!(Ed25519Private::from_seed(&Secret::copy_of(&[1; 31])).is_err());
        assert_eq!(format!("{mine:?}"), format!("Ed25519Private({})", mine.public()));
    }

    #[test]
    fn keys_under_which_anybody_signs_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(Ed25519Public::from_bytes(&identity).is_err());
        assert!(Ed25519Public::from_bytes(&[0; 32]).is_err());
        assert!(Ed25519Public::from_hex("00").is_err());
        let good = Ed25519Private::from_seed(&Secret::copy_of(&[3; 32])).unwrap().public();
        assert_eq!(Ed25519Public::from_hex(&good.to_string()).unwrap(), good);
    }
}

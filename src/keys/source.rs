use super::{CardSession, CardSessionRequest, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse};
use crate::crypto::rng::StreamRng;
use crate::crypto::rsa::{PrimeTag, PrimeTagKey};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// What may be known of a key without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The key's name.
    pub key: KeyRef,
    /// Algorithm and length.
    pub algorithm: KeyAlgorithm,
    /// Key check value, upper-case hexadecimal, as loaded.
    pub kcv: String,
    /// The attribute `dki` of an `imk-ac` key: derivation key index in the issuer application data.
    pub dki: Option<u8>,
    /// The attribute `pvki` of a `pvk` key: one digit.
    pub pvki: Option<u8>,
}

impl KeyInfo {
    /// What is stated about a key, if it goes together: the attributes belong to the use, the algorithm too.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUsage`], [`ErrorKind::KeyRefused`] for an algorithm that is not one of the use; [`ErrorKind::Value`],
    /// [`ErrorKind::Missing`] for an attribute.
    pub(crate) fn of(
        key: KeyRef,
        algorithm: KeyAlgorithm,
        kcv: String,
        attributes: KeyAttributes,
    ) -> Result<Self> {
        if (key.usage == KeyUse::Ledger) != (algorithm == KeyAlgorithm::Hmac) {
            return Err(ErrorKind::KeyUsage.into());
        }
        if matches!(key.usage, KeyUse::Pool | KeyUse::Job) && algorithm != KeyAlgorithm::Aes256 {
            return Err(ErrorKind::KeyRefused("a key that wraps data keys is an AES-256 key").into());
        }
        if key.only.is_some() && key.usage != KeyUse::Cvk {
            return Err(ErrorKind::Value("only a cvk key can be for one value").into());
        }
        let dki = (key.usage == KeyUse::ImkAc).then(|| attributes.dki.unwrap_or(key.index.0));
        let pvki = match (key.usage, attributes.pvki) {
            (KeyUse::Pvk, None) => return Err(ErrorKind::Missing("pvki").into()),
            (KeyUse::Pvk, Some(10..)) => return Err(ErrorKind::Value("pvki is one digit").into()),
            (KeyUse::Pvk, pvki) => pvki,
            _ => None,
        };
        Ok(Self { key, algorithm, kcv, dki, pvki })
    }
}

/// What may be known of an issuer RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OdaKeyInfo {
    /// Modulus, `NI` bytes, big-endian.
    pub modulus: Vec<u8>,
    /// Public exponent, one or three bytes, big-endian.
    pub exponent: Vec<u8>,
}

/// What a token offers: batched block operations and raw RSA on a key named by use and index.
///
/// Data are whole blocks one after the other, worked on in place: thousands of blocks a call, so that a hardware
/// module is asked a few times per chunk. No call gives out key bytes.
///
/// Every method fails with [`crate::error::ErrorKind::KeyUnknown`] for a key that is not there,
/// [`crate::error::ErrorKind::Length`] for data that is not whole blocks, and
/// [`crate::error::ErrorKind::KeySourceLost`] when the source stops answering (the batch stops then).
pub trait KeySource: Send + Sync {
    /// A word for the manifest: `software`, `pkcs11`.
    fn name(&self) -> &'static str;

    /// Every symmetric key that is loaded.
    fn keys(&self) -> Vec<KeyInfo>;

    /// One symmetric key.
    fn info(&self, key: KeyRef) -> Result<KeyInfo>;

    /// ECB, enciphering, whole blocks in place.
    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()>;

    /// ECB, deciphering, whole blocks in place.
    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()>;

    /// Single DES with the left half of a TDES key (the first step of CVV), whole blocks in place.
    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()>;

    /// CBC, enciphering, each message its own chain with an all-zero IV.
    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()>;

    /// `key`, of the algorithm given, as an X9.143 version D key block under the AES key `wrapping`: key block usage and
    /// mode as `usage` demands, random padding from `random`. A token does this with its own wrapping mechanism.
    ///
    /// A source that cannot wrap says [`ErrorKind::Unsupported`]; per-block transport keys are not for it then.
    fn wrap_key(
        &self,
        wrapping: KeyRef,
        usage: KeyUse,
        algorithm: KeyAlgorithm,
        key: &Secret,
        random: &mut StreamRng,
    ) -> Result<String> {
        let _ = (wrapping, usage, algorithm, key, random);
        Err(ErrorKind::Unsupported("wrapping keys with this key source").into())
    }

    /// A data key (AES-256) of this program's own files as an X9.143 version D key block, usage D0, under a `pool` or
    /// `job` key; random padding from `random`. A source without such keys answers [`ErrorKind::Unsupported`].
    fn wrap_data_key(&self, wrapping: KeyRef, key: &Secret, random: &mut StreamRng) -> Result<String> {
        let _ = (wrapping, key, random);
        Err(ErrorKind::Unsupported("wrapping data keys with this key source").into())
    }

    /// The data key of a block that [`KeySource::wrap_data_key`] made: the one key that comes out, because it opens
    /// a file of this program and nothing else. Any other block is refused.
    fn unwrap_data_key(&self, wrapping: KeyRef, block: &str) -> Result<Secret> {
        let _ = (wrapping, block);
        Err(ErrorKind::Unsupported("unwrapping data keys with this key source").into())
    }

    /// HMAC-SHA-256 of each message under an HMAC key (the ledger's digests). A source without such keys answers
    /// [`crate::error::ErrorKind::Unsupported`].
    fn hmac_sha256(&self, _key: KeyRef, _messages: &[&[u8]]) -> Result<Vec<[u8; 32]>> {
        Err(ErrorKind::Unsupported("HMAC by this key source").into())
    }

    /// The session keys of a secure channel with one chip, in the source's keeping: see [`CardSession`]. A source without
    /// card-manager keys answers [`crate::error::ErrorKind::Unsupported`].
    fn card_session(&self, _request: &CardSessionRequest) -> Result<Box<dyn CardSession>> {
        Err(ErrorKind::Unsupported("a secure channel by this key source").into())
    }

    /// An issuer RSA key that is loaded.
    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo>;

    /// Keyed tags of the primes p and q of an issuer RSA key, for the search for shared primes. A token, which does not
    /// tell them, answers [`ErrorKind::Unsupported`]; the modulus goes through the batch gcd then.
    fn oda_prime_tags(&self, index: KeyIndex, tag_key: &PrimeTagKey) -> Result<[PrimeTag; 2]> {
        let _ = (index, tag_key);
        Err(ErrorKind::Unsupported("tags of primes by this key source").into())
    }

    /// The raw private operation `m^d mod n` on messages of `NI` bytes, each result checked with the public
    /// exponent before it is returned.
    fn rsa_private(&self, index: KeyIndex, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>>;
}

impl<S: KeySource + ?Sized> KeySource for Box<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn keys(&self) -> Vec<KeyInfo> {
        (**self).keys()
    }

    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        (**self).info(key)
    }

    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        (**self).encrypt_ecb(key, blocks)
    }

    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        (**self).decrypt_ecb(key, blocks)
    }

    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        (**self).encrypt_ecb_left(key, blocks)
    }

    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        (**self).encrypt_cbc(key, messages)
    }

    fn wrap_key(
        &self,
        wrapping: KeyRef,
        usage: KeyUse,
        algorithm: KeyAlgorithm,
        key: &Secret,
        random: &mut StreamRng,
    ) -> Result<String> {
        (**self).wrap_key(wrapping, usage, algorithm, key, random)
    }

    fn wrap_data_key(&self, wrapping: KeyRef, key: &Secret, random: &mut StreamRng) -> Result<String> {
        (**self).wrap_data_key(wrapping, key, random)
    }

    fn unwrap_data_key(&self, wrapping: KeyRef, block: &str) -> Result<Secret> {
        (**self).unwrap_data_key(wrapping, block)
    }

    fn hmac_sha256(&self, key: KeyRef, messages: &[&[u8]]) -> Result<Vec<[u8; 32]>> {
        (**self).hmac_sha256(key, messages)
    }

    fn card_session(&self, request: &CardSessionRequest) -> Result<Box<dyn CardSession>> {
        (**self).card_session(request)
    }

    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo> {
        (**self).oda_info(index)
    }

    fn oda_prime_tags(&self, index: KeyIndex, tag_key: &PrimeTagKey) -> Result<[PrimeTag; 2]> {
        (**self).oda_prime_tags(index, tag_key)
    }

    fn rsa_private(&self, index: KeyIndex, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        (**self).rsa_private(index, messages)
    }
}

use std::fmt;

use crate::crypto::rsa::{Exponent, RsaPrivate};
use crate::error::{ErrorKind, Result};
use crate::keys::{KeyAlgorithm, OdaKeyInfo};
use crate::secret::Secret;

/// A PKCS#11 mechanism that this program may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// TDES, each block on its own.
    Des3Ecb,
    /// TDES, CBC with an all-zero IV.
    Des3Cbc,
    /// AES, each block on its own.
    AesEcb,
    /// AES, CBC with an all-zero IV.
    AesCbc,
    /// HMAC-SHA-256.
    Sha256Hmac,
    /// Raw RSA.
    RsaX509,
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Self; 6] =
        [Self::Des3Ecb, Self::Des3Cbc, Self::AesEcb, Self::AesCbc, Self::Sha256Hmac, Self::RsaX509];

    /// Its name in the standard.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Des3Ecb => "CKM_DES3_ECB",
            Self::Des3Cbc => "CKM_DES3_CBC",
            Self::AesEcb => "CKM_AES_ECB",
            Self::AesCbc => "CKM_AES_CBC",
            Self::Sha256Hmac => "CKM_SHA256_HMAC",
            Self::RsaX509 => "CKM_RSA_X_509",
        }
    }

    /// ECB of an algorithm's cipher; none for HMAC.
    #[must_use]
    pub const fn ecb(algorithm: KeyAlgorithm) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 => Some(Self::Des3Ecb),
            KeyAlgorithm::Aes128 | KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => Some(Self::AesEcb),
            KeyAlgorithm::Hmac => None,
        }
    }

    /// CBC of an algorithm's cipher; none for HMAC.
    #[must_use]
    pub const fn cbc(algorithm: KeyAlgorithm) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 => Some(Self::Des3Cbc),
            KeyAlgorithm::Aes128 | KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => Some(Self::AesCbc),
            KeyAlgorithm::Hmac => None,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an object may be asked for: usage flags, no more than needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `CKA_ENCRYPT`.
    Encrypt,
    /// `CKA_ENCRYPT` and `CKA_DECRYPT`.
    EncryptAndDecrypt,
    /// `CKA_SIGN`.
    Sign,
}

/// A key object of a token.
#[derive(Clone, Debug)]
pub struct Object<H> {
    /// By which the token knows it.
    pub handle: H,
    /// `CKA_ID`: of a secret key the first three bytes of its own enciphered zeros.
    pub id: Vec<u8>,
    /// What it is.
    pub kind: ObjectKind,
}

/// What a key object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A secret key.
    Symmetric(KeyAlgorithm),
    /// An RSA private key: its public values.
    Rsa(OdaKeyInfo),
    /// Of a type that is not used here.
    Other,
}

/// What is asked of a token. One method is one call of the token: what counts calls, counts these.
///
/// Every method fails with [`crate::error::ErrorKind::KeySourceLost`] when the token stops answering, and with
/// [`crate::error::ErrorKind::KeyUsage`] when the object may not be asked for this.
pub trait TokenApi: Send + Sync {
    /// By what the token knows an object, for as long as the program runs.
    type Handle: Copy + fmt::Debug + Send + Sync;

    /// Of [`Mechanism::ALL`], those that the token has.
    ///
    /// # Errors
    /// Those of the trait.
    fn mechanisms(&self) -> Result<Vec<Mechanism>>;

    /// Every secret or private key of this `CKA_LABEL`.
    ///
    /// # Errors
    /// Those of the trait.
    fn find(&self, label: &str) -> Result<Vec<Object<Self::Handle>>>;

    /// Enciphers whole blocks in place (`C_Encrypt`).
    ///
    /// # Errors
    /// Those of the trait.
    fn encrypt(&self, mechanism: Mechanism, key: Self::Handle, data: &mut [u8]) -> Result<()>;

    /// Deciphers whole blocks in place (`C_Decrypt`).
    ///
    /// # Errors
    /// Those of the trait.
    fn decrypt(&self, mechanism: Mechanism, key: Self::Handle, data: &mut [u8]) -> Result<()>;

    /// The HMAC of a message, or the raw private operation on it (`C_Sign`).
    ///
    /// # Errors
    /// Those of the trait.
    fn sign(&self, mechanism: Mechanism, key: Self::Handle, message: &[u8]) -> Result<Vec<u8>>;

    /// Makes a secret key object that stays: sensitive, not extractable, not modifiable.
    ///
    /// # Errors
    /// Those of the trait; [`crate::error::ErrorKind::KeyRefused`] if the token does not take it.
    fn create_secret(
        &self,
        label: &str,
        id: &[u8],
        algorithm: KeyAlgorithm,
        may: Permission,
        key: &Secret,
    ) -> Result<()>;

    /// Makes an RSA private key object that stays and may sign: sensitive, not extractable, not modifiable.
    ///
    /// # Errors
    /// Those of the trait; [`crate::error::ErrorKind::KeyRefused`] if the token does not take it.
    fn create_rsa(&self, label: &str, id: &[u8], key: &RsaPrivate) -> Result<()>;

    /// Makes an RSA key pair inside the token (`CKM_RSA_PKCS_KEY_PAIR_GEN`); of the two objects the private key stays, as
    /// [`TokenApi::create_rsa`] makes one.
    ///
    /// # Errors
    /// Those of the trait; [`crate::error::ErrorKind::KeyRefused`] if the token does not make such a key;
    /// [`crate::error::ErrorKind::Unsupported`] unless this is implemented.
    fn generate_rsa(&self, label: &str, id: &[u8], bits: usize, exponent: Exponent) -> Result<()> {
        let _ = (label, id, bits, exponent);
        Err(ErrorKind::Unsupported("making RSA keys in this token").into())
    }
}

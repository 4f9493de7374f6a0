use std::fmt;

use subtle::ConstantTimeEq;

use super::KeyAlgorithm;
use crate::bytes::{from_hex, hex_upper};
use crate::crypto::aes::AesKey;
use crate::crypto::hash::hmac_sha256;
use crate::crypto::mac::{cmac_aes, cmac_tdes};
use crate::crypto::tdes::TdesKey;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How a key check value is computed: an attribute of every stored value, never guessed.
///
/// Three conventions for AES live side by side, and their values do not resemble each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KcvMethod {
    /// TDES ECB of eight zero bytes, leftmost three (X9.24-1, ISO 11568).
    Tdes,
    /// AES CMAC of sixteen zero bytes, leftmost five (X9.24-1:2017, X9.143).
    AesCmac,
    /// AES ECB of sixteen zero bytes, leftmost three (older host modules).
    AesEcb,
    /// AES ECB of sixteen bytes 01, leftmost three (GlobalPlatform Amendment D, PUT KEY).
    AesGp,
    /// TDES CMAC of eight zero bytes, leftmost five (X9.143, optional).
    TdesCmac,
    /// HMAC-SHA-256 of no data, leftmost three. No standard names a check value for HMAC keys: this is ours.
    Hmac,
}

impl KcvMethod {
    /// Every method.
    pub const ALL: &[Self] =
        &[Self::Tdes, Self::AesCmac, Self::AesEcb, Self::AesGp, Self::TdesCmac, Self::Hmac];

    /// The name in `keys.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tdes => "tdes",
            Self::AesCmac => "aes-cmac",
            Self::AesEcb => "aes-ecb",
            Self::AesGp => "aes-gp",
            Self::TdesCmac => "tdes-cmac",
            Self::Hmac => "hmac-sha-256",
        }
    }

    /// The method that standards name for keys of this algorithm.
    #[must_use]
    pub const fn usual(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 => Self::Tdes,
            KeyAlgorithm::Aes128 | KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => Self::AesCmac,
            KeyAlgorithm::Hmac => Self::Hmac,
        }
    }

    /// Bytes of such a value as it is written.
    #[must_use]
    pub const fn usual_len(self) -> usize {
        match self {
            Self::AesCmac | Self::TdesCmac => 5,
            Self::Tdes | Self::AesEcb | Self::AesGp | Self::Hmac => 3,
        }
    }

    /// The check value of a key, of the usual length.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the method is for another algorithm; [`ErrorKind::Length`] if the key has not the
    /// length of its algorithm.
    ///
    /// ```
    /// use emv_dataprep::keys::{KcvMethod, KeyAlgorithm};
    /// use emv_dataprep::secret::Secret;
    /// let key = Secret::new(hex::decode("0123456789ABCDEFFEDCBA9876543210").unwrap());
    /// assert_eq!(KcvMethod::Tdes.compute(&key, KeyAlgorithm::Tdes2)?.to_string(), "08D7B4");
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn compute(self, key: &Secret, algorithm: KeyAlgorithm) -> Result<Kcv> {
        self.longest(key, algorithm)?.cut(self.usual_len())
    }

    /// Whether `stated` (two to eight bytes) is the beginning of the key's check value. Constant time.
    ///
    /// # Errors
    /// [`ErrorKind::KcvMismatch`] if it is not; otherwise as [`KcvMethod::compute`].
    pub fn verify(self, key: &Secret, algorithm: KeyAlgorithm, stated: &Kcv) -> Result<()> {
        if self.longest(key, algorithm)?.begins_with(stated) {
            Ok(())
        } else {
            Err(ErrorKind::KcvMismatch.into())
        }
    }

    fn longest(self, key: &Secret, algorithm: KeyAlgorithm) -> Result<Kcv> {
        let of_this_algorithm = match self {
            Self::Tdes | Self::TdesCmac => algorithm.is_tdes(),
            Self::AesCmac | Self::AesEcb | Self::AesGp => {
                !algorithm.is_tdes() && algorithm != KeyAlgorithm::Hmac
            }
            Self::Hmac => algorithm == KeyAlgorithm::Hmac,
        };
        if !of_this_algorithm {
            return Err(ErrorKind::Value("the check value's method is for another algorithm").into());
        }
        if key.len() != algorithm.key_len() {
            let expected = "the length of the key's algorithm";
            return Err(ErrorKind::Length { expected, found: key.len(), unit: "bytes" }.into());
        }
        self.of_bytes(key)
    }

    /// The longest value, eight bytes, of a key of any length that the cipher takes (single DES too: published
    /// vectors have such keys).
    pub(crate) fn of_bytes(self, key: &Secret) -> Result<Kcv> {
        let long: Vec<u8> = match self {
            Self::Tdes if key.len() == 8 => {
                TdesKey::new(&Secret::concat(&[key.expose(), key.expose()]))?.encrypt_block([0; 8]).to_vec()
            }
            Self::Tdes => TdesKey::new(key)?.encrypt_block([0; 8]).to_vec(),
            Self::TdesCmac => cmac_tdes(key, &[&[0; 8]])?.to_vec(),
            Self::AesCmac => cmac_aes(key, &[&[0; 16]])?.to_vec(),
            Self::AesEcb => AesKey::new(key)?.encrypt_block([0; 16]).to_vec(),
            Self::AesGp => AesKey::new(key)?.encrypt_block([1; 16]).to_vec(),
            Self::Hmac => hmac_sha256(key, &[]).to_vec(),
        };
        Kcv::new(&long)?.cut(8)
    }
}

impl std::str::FromStr for KcvMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|m| m.name() == text);
        found.ok_or_else(|| ErrorKind::Unknown("this check value method").into())
    }
}

impl fmt::Display for KcvMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key check value: two to eight bytes, shown as upper-case hexadecimal. Not secret: it stands in files and
/// reports beside the key's index.
#[derive(Clone, Eq)]
pub struct Kcv(Vec<u8>);

impl Kcv {
    /// From bytes; more than eight are cut.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for fewer than two bytes.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < 2 {
            return Err(ErrorKind::Length { expected: "2 to 8", found: bytes.len(), unit: "bytes" }.into());
        }
        Ok(Self(bytes.get(..8).unwrap_or(bytes).to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `stated` is the beginning of this value. Constant time for a given length.
    #[must_use]
    pub fn begins_with(&self, stated: &Self) -> bool {
        self.0.get(..stated.0.len()).is_some_and(|head| head.ct_eq(&stated.0).into())
    }

    fn cut(self, len: usize) -> Result<Self> {
        Self::new(self.0.get(..len).unwrap_or(&self.0))
    }
}

impl PartialEq for Kcv {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::str::FromStr for Kcv {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = from_hex(text)?;
        if bytes.len() > 8 {
            return Err(ErrorKind::Length { expected: "2 to 8", found: bytes.len(), unit: "bytes" }.into());
        }
        Self::new(&bytes)
    }
}

impl fmt::Display for Kcv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_upper(&self.0))
    }
}

impl fmt::Debug for Kcv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kcv({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::from_hex;

    fn key(hex: &str) -> Secret {
        Secret::new(from_hex(hex).unwrap())
    }

    /// GlobalPlatformPro's default key, and the payment key of the X9.143 examples, under every AES convention.
    #[test]
    fn the_conventions_differ() {
        let k = key("404142434445464748494A4B4C4D4E4F");
        assert_eq!(KcvMethod::AesGp.compute(&k, KeyAlgorithm::Aes128).unwrap().to_string(), "504A77");
        assert_eq!(KcvMethod::Tdes.compute(&k, KeyAlgorithm::Tdes2).unwrap().to_string(), "8BAF47");
        let k = key("66F62B73B820C4A08201AFB1F2B5E059");
        assert_eq!(KcvMethod::AesCmac.compute(&k, KeyAlgorithm::Aes128).unwrap().to_string(), "7B13C4FE9B");
        assert_eq!(KcvMethod::AesEcb.compute(&k, KeyAlgorithm::Aes128).unwrap().to_string(), "17FE17");
    }

    #[test]
    fn a_stated_value_of_any_length_is_checked_whole() {
        let k = key("0123456789ABCDEFFEDCBA9876543210");
        let check = |stated: &str| KcvMethod::Tdes.verify(&k, KeyAlgorithm::Tdes2, &stated.parse().unwrap());
        assert!(check("08D7").is_ok() && check("08D7B4").is_ok() && check("08D7B4FB629D0885").is_ok());
        assert_eq!(check("08D7B5").unwrap_err().kind(), &ErrorKind::KcvMismatch);
        assert_eq!(check("08D7B4FB629D0884").unwrap_err().kind(), &ErrorKind::KcvMismatch);
        assert!("08".parse::<Kcv>().is_err() && "08D".parse::<Kcv>().is_err());
        assert!("08D7B4FB629D088500".parse::<Kcv>().is_err());
    }

    #[test]
    fn a_method_of_another_algorithm_and_a_wrong_length_are_refused() {
        let k = key("0123456789ABCDEFFEDCBA9876543210");
        for method in KcvMethod::ALL {
            assert_eq!(method.name().parse::<KcvMethod>().unwrap(), *method);
            let tdes = matches!(method, KcvMethod::Tdes | KcvMethod::TdesCmac);
            assert_eq!(method.compute(&k, KeyAlgorithm::Tdes2).is_ok(), tdes, "{method}");
            assert!(method.compute(&k, KeyAlgorithm::Aes256).is_err());
        }
        assert!("des".parse::<KcvMethod>().is_err());
    }
}

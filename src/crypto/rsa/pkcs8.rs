//! Private keys at rest: PKCS#8 (RFC 5958), in clear for tests, and encrypted with PBES2 (RFC 8018, 6.2).

use pkcs8::der::asn1::{OctetStringRef, UintRef};
use pkcs8::der::{Decode, Encode, SecretDocument};
use pkcs8::pkcs5::{EncryptionScheme, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rsa::pkcs1;
use zeroize::Zeroizing;

use super::{Exponent, RsaPrivate};
use crate::crypto::rng::StreamRng;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// PBKDF2 iterations of keys written here. The password is 256 random bits, so the count adds nothing to its
/// strength; the number is RFC 8018's least (4.2), and a reader of OpenSSL's default (2048) meets no surprise.
const ITERATIONS: u32 = 2048;

/// PBKDF2 iterations of a file that is read: three times what OWASP asks of a password. A file says its own cost, and a
/// hostile one could ask for hours.
const MOST_ITERATIONS: u32 = 2_000_000;

/// N·r·p of scrypt (RFC 7914, 2) in a file that is read: 128 bytes of memory for each, so 128 MiB. OpenSSL writes 2^17.
const MOST_SCRYPT: u64 = 1 << 20;

const MALFORMED: ErrorKind = ErrorKind::Format("an RSA private key in PKCS#8");

impl RsaPrivate {
    /// Reads a PKCS#8 key in clear. p and q are exchanged where p is below q, and the CRT parts are made anew;
    /// parts that disagree with the primes are refused. The private exponent may be e^-1 mod lcm(p - 1, q - 1)
    /// (FIPS 186-5, A.1.1) or mod (p - 1)(q - 1), as older tools write it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the bytes are not PKCS#8 with a two-prime RSA key; [`ErrorKind::KeyRefused`]
    /// when its members contradict each other; [`ErrorKind::Unsupported`] for an exponent above 32 bits.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| MALFORMED)?;
        if info.algorithm.oid != pkcs1::ALGORITHM_OID {
            return Err(MALFORMED.into());
        }
        let stored = pkcs1::RsaPrivateKeyRef::from_der(info.private_key.as_bytes()).map_err(|_| MALFORMED)?;
        if stored.other_prime_infos.is_some() {
            return Err(MALFORMED.into());
        }
        let exponent = exponent(stored.public_exponent.as_bytes())?;
        let (p, q) = (stored.prime1.as_bytes(), stored.prime2.as_bytes());
        let key = Self::from_primes(p, q, exponent)?;

        let exchanged = !same_number(p, key.p.expose());
        let (dp, dq) = if exchanged { (&key.dq, &key.dp) } else { (&key.dp, &key.dq) };
        // With p and q exchanged the coefficient of the file is p^-1 mod q: it is not kept, so not compared.
        let d = stored.private_exponent.as_bytes();
        let agrees = (same_number(d, key.d()?.expose()) | same_number(d, key.d_mod_phi()?.expose()))
            & same_number(stored.modulus.as_bytes(), key.public.modulus())
            & same_number(stored.exponent1.as_bytes(), dp.expose())
            & same_number(stored.exponent2.as_bytes(), dq.expose())
            & (exchanged | same_number(stored.coefficient.as_bytes(), key.qinv.expose()));
        if !agrees {
            return Err(ErrorKind::KeyRefused("the parts of the key contradict each other").into());
        }
        Ok(key)
    }

    /// Reads a PKCS#8 key encrypted with PBES2 (PBKDF2 or scrypt, AES-CBC).
    ///
    /// # Errors
    /// [`ErrorKind::KeyRefused`] when the file asks for more than 2,000,000 iterations of PBKDF2, or for more of scrypt
    /// than N·r·p = 2^20; [`ErrorKind::Crypto`] when the password does not open it; else as [`RsaPrivate::from_pkcs8`].
    pub fn from_pkcs8_encrypted(der: &[u8], password: &Secret) -> Result<Self> {
        let sealed = EncryptedPrivateKeyInfoRef::try_from(der)
            .map_err(|_| ErrorKind::Format("an encrypted PKCS#8 key"))?;
        if !is_affordable(&sealed.encryption_algorithm) {
            return Err(ErrorKind::KeyRefused("its file asks for too costly a password function").into());
        }
        let wrong = ErrorKind::Crypto("the password does not open the private key");
        let clear: SecretDocument = sealed.decrypt(password.expose()).map_err(|_| wrong)?;
        Self::from_pkcs8(clear.as_bytes())
    }

    /// The key as PKCS#8 in clear: for tests and for a caller that encrypts it.
    ///
    /// # Errors
    /// None for a key that was made here; the type is that of its steps.
    pub fn to_pkcs8(&self) -> Result<Secret> {
        let internal = |_| ErrorKind::Internal("a key that DER cannot hold");
        let d = self.d()?;
        let exponent = self.exponent.to_bytes();
        let key = pkcs1::RsaPrivateKeyRef {
            modulus: UintRef::new(self.public.modulus()).map_err(internal)?,
            public_exponent: UintRef::new(&exponent).map_err(internal)?,
            private_exponent: UintRef::new(d.expose()).map_err(internal)?,
            prime1: UintRef::new(self.p.expose()).map_err(internal)?,
            prime2: UintRef::new(self.q.expose()).map_err(internal)?,
            exponent1: UintRef::new(self.dp.expose()).map_err(internal)?,
            exponent2: UintRef::new(self.dq.expose()).map_err(internal)?,
            coefficient: UintRef::new(self.qinv.expose()).map_err(internal)?,
            other_prime_infos: None,
        };
        let inner = Zeroizing::new(key.to_der().map_err(internal)?);
        let octets = OctetStringRef::new(&inner).map_err(internal)?;
        let info = PrivateKeyInfoRef::new(pkcs1::ALGORITHM_ID, octets);
        info.to_der().map(Secret::new).map_err(|e| internal(e).into())
    }

    /// The key as PKCS#8 under PBES2: PBKDF2 with HMAC-SHA-256 and AES-256-CBC, salt and IV from `random`.
    ///
    /// The password is meant to be 256 random bits; a word that a person can remember is too weak for the
    /// iteration count used here.
    ///
    /// # Errors
    /// None for a key that was made here; the type is that of its steps.
    pub fn to_pkcs8_encrypted(&self, password: &Secret, random: &mut StreamRng) -> Result<Vec<u8>> {
        let internal = ErrorKind::Internal("PBES2 refuses its parameters");
        let salt: [u8; 16] = random.bytes();
        let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, random.bytes())
            .map_err(|_| internal.clone())?;
        let clear = self.to_pkcs8()?;
        let info = PrivateKeyInfoRef::try_from(clear.expose()).map_err(|_| MALFORMED)?;
        let sealed = info.encrypt_with_params(params, password.expose()).map_err(|_| internal)?;
        Ok(sealed.as_bytes().to_vec())
    }
}

/// Whether the work that a file asks for before its password can be tried is bounded.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    let Some(params) = scheme.pbes2() else { return true };
    match &params.kdf {
        pbes2::Kdf::Pbkdf2(kdf) => kdf.iteration_count <= MOST_ITERATIONS,
        pbes2::Kdf::Scrypt(kdf) => {
            let sizes = u64::from(kdf.block_size).saturating_mul(u64::from(kdf.parallelization));
            kdf.cost_parameter.saturating_mul(sizes) <= MOST_SCRYPT
        }
        // One that this program does not know: `decrypt` refuses it.
        _ => true,
    }
}

fn exponent(bytes: &[u8]) -> Result<Exponent> {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    if bytes.len() > 4 {
        return Err(ErrorKind::Unsupported("a public exponent above 32 bits").into());
    }
    Exponent::new(bytes.iter().fold(0, |e, b| e << 8 | u32::from(*b)))
}

/// Equality of numbers of any width, in constant time for one pair of widths.
fn same_number(a: &[u8], b: &[u8]) -> bool {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let (head, tail) = long.split_at(long.len().saturating_sub(short.len()));
    let differs = tail.iter().zip(short).fold(0, |d, (x, y)| d | (x ^ y));
    head.iter().fold(differs, |d, x| d | x) == 0
}

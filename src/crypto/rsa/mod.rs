//! RSA as cards use it: raw operations on whole blocks, CRT private keys, key generation.
//!
//! EMV 4.4 Book 2, Annex B2.1 names two functions over a key: `Sign(SK)[X] = X^d mod n` and
//! `Recover(PK)[S] = S^e mod n`; padding and hashes belong to the certificates, not here. Blocks, moduli and
//! parts are big-endian and keep leading zeros, so that a block has always the length of the modulus.

mod check;
mod inverse;
pub mod keygen;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod mont;
mod num;
mod pkcs8;
mod plain;
mod prime;
mod prime_tag;
#[cfg(target_arch = "x86_64")]
mod quads;
mod sample;
#[cfg(target_arch = "x86_64")]
mod search;
mod shared;
mod sieve;
mod sign;

use std::fmt;

use crypto_bigint::{ConcatenatingMul, Integer};
use num::Num;
use zeroize::Zeroizing;

pub use check::is_prime;
pub use keygen::{KeySpec, Sampling, generate, generate_batch};
pub use prime_tag::{PrimeTag, PrimeTagKey};
pub use shared::{GcdProduct, GcdTree, shared_factors};
pub use sign::sign_batch;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The longest modulus taken, in bytes. EMV allows 248.
const MAX_MODULUS: usize = 512;

/// A public exponent of at most 32 bits: odd, above one. EMV uses 3 and 65537 (Book 2, 11.1 table 43).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exponent(u32);

impl Exponent {
    /// e = 3.
    pub const THREE: Self = Self(3);
    /// e = 65537, the fourth Fermat number.
    pub const F4: Self = Self(65537);

    /// Any odd exponent above one.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for an even number or one.
    pub fn new(e: u32) -> Result<Self> {
        if e < 3 || e.is_multiple_of(2) {
            return Err(ErrorKind::Value("the exponent is not odd and above one").into());
        }
        Ok(Self(e))
    }

    /// The exponent as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The exponent without leading zeros: `03` or `010001`.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect()
    }
}

/// A public key: modulus and exponent.
///
/// ```
/// use emv_dataprep::crypto::rsa::RsaPublic;
/// let key = RsaPublic::new(&[0x0C, 0xA1], &[17])?; // 61 * 53
/// assert_eq!(key.apply(&[0, 65])?, [0x0A, 0xE6]); // 2790
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublic {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaPublic {
    /// A key from `modulus` and `exponent`, both big-endian. The modulus has no leading zero byte.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for an empty or too long modulus; [`ErrorKind::Value`] for a modulus with a
    /// leading zero byte or an even one, and for an exponent that is even, one, or not below the modulus.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        if modulus.is_empty() || modulus.len() > MAX_MODULUS {
            let found = modulus.len();
            return Err(
                Error::new(ErrorKind::Length { expected: "1 to 512", found, unit: "bytes" }).at("modulus")
            );
        }
        if modulus.first() == Some(&0) {
            return Err(ErrorKind::Value("the first byte of the modulus is zero").into());
        }
        let zeros = exponent.iter().take_while(|b| **b == 0).count();
        let exponent = exponent.get(zeros..).unwrap_or_default();
        let is_odd = |n: &[u8]| n.last().is_some_and(|b| b % 2 == 1);
        if !is_odd(modulus) {
            return Err(ErrorKind::Value("the modulus is even").into());
        }
        if !is_odd(exponent) || exponent == [1] {
            return Err(ErrorKind::Value("the exponent is not odd and above one").into());
        }
        if (exponent.len(), exponent) >= (modulus.len(), modulus) {
            return Err(ErrorKind::Value("the exponent is not below the modulus").into());
        }
        Ok(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    /// The modulus n, big-endian, without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent e, big-endian, without leading zeros.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Bytes of the modulus: the length of every block under this key.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a modulus is never empty")]
    pub fn len(&self) -> usize {
        self.modulus.len()
    }

    /// Bits of the modulus.
    #[must_use]
    pub fn bits(&self) -> usize {
        let zeros = self.modulus.first().map_or(0, |b| b.leading_zeros() as usize);
        self.modulus.len().saturating_mul(8).saturating_sub(zeros)
    }

    /// `block ^ e mod n`, raw: EMV's Recover function (Book 2, B2.1).
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `block` has the length of the modulus; [`ErrorKind::Value`] unless it is
    /// below the modulus as a number.
    pub fn apply(&self, block: &[u8]) -> Result<Vec<u8>> {
        let n = num::from_be(&self.modulus, self.len())?;
        let m = self.number(block)?;
        let power = num::pow_public(&m, &self.exponent, &n)?;
        Ok(num::to_be(&power, self.len())?.to_vec())
    }

    /// `block` as a number below the modulus.
    fn number(&self, block: &[u8]) -> Result<Num> {
        if block.len() != self.len() {
            let expected = "the length of the modulus";
            return Err(ErrorKind::Length { expected, found: block.len(), unit: "bytes" }.into());
        }
        if block >= self.modulus.as_slice() {
            return Err(ErrorKind::Value("the block is not below the modulus").into());
        }
        num::from_be(block, self.len())
    }
}

impl fmt::Debug for RsaPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublic({} bits, e = {})", self.bits(), hex::encode_upper(&self.exponent))
    }
}

/// A private key with its CRT parts, p above q.
///
/// Each part has half the length of the modulus (rounded up for an odd length), left-padded with zeros, as the
/// key DGIs 8201 to 8205 want them (EMV CPS 2.0, annex A; part order there: qInv, dQ, dP, q, p).
pub struct RsaPrivate {
    public: RsaPublic,
    exponent: Exponent,
    p: Secret,
    q: Secret,
    dp: Secret,
    dq: Secret,
    qinv: Secret,
}

impl RsaPrivate {
    /// The key of two primes, in any order, and an exponent. Whether they are prime is not tested here.
    ///
    /// ```
    /// use emv_dataprep::crypto::rsa::{Exponent, RsaPrivate};
    /// let key = RsaPrivate::from_primes(&[53], &[61], Exponent::new(17)?)?;
    /// assert_eq!(key.p().expose(), [61]);
    /// assert_eq!(key.apply(&[0x0A, 0xE6])?, [0, 65]);
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::KeyRefused`] when p = q, when one is even or below 3, or when p - 1 or q - 1 shares a
    /// factor with e.
    pub fn from_primes(p: &[u8], q: &[u8], exponent: Exponent) -> Result<Self> {
        let width = p.len().max(q.len());
        let (p, q) = (num::from_be(p, width)?, num::from_be(q, width)?);
        let (p, q) = match p.cmp(&q) {
            std::cmp::Ordering::Greater => (p, q),
            std::cmp::Ordering::Less => (q, p),
            std::cmp::Ordering::Equal => return Err(ErrorKind::KeyRefused("p equals q").into()),
        };
        let (p1, q1) = (num::less_one(&p), num::less_one(&q));
        if !bool::from(p.is_odd() & q.is_odd()) || bool::from(q1.is_zero()) {
            return Err(ErrorKind::KeyRefused("a prime is even or below 3").into());
        }
        let dp = num::inverse_of_small(exponent.get(), &p1)?;
        let dq = num::inverse_of_small(exponent.get(), &q1)?;
        let qinv = match inverse::of_prime(&num::to_be(&p, width)?, &num::to_be(&q, width)?) {
            Some(qinv) => num::from_be(&qinv, width)?,
            // Another length, or p is no prime, which whoever imports a key will see.
            None => q
                .invert_odd_mod(&num::odd(&p)?)
                .into_option()
                .map(Zeroizing::new)
                .ok_or(ErrorKind::KeyRefused("q has no inverse mod p"))?,
        };
        Self::assemble([&p, &q, &dp, &dq, &qinv], exponent)
    }

    /// The key of its CRT parts p > q, dP, dQ, qInv.
    fn assemble([p, q, dp, dq, qinv]: [&Num; 5], exponent: Exponent) -> Result<Self> {
        let width = (p.bits_precision() / 8) as usize;
        let n = num::to_be(&p.concatenating_mul(&**q), width.saturating_mul(2))?;
        let zeros = n.iter().take_while(|b| **b == 0).count();
        let public = RsaPublic::new(n.get(zeros..).unwrap_or_default(), &exponent.to_bytes())?;
        let needed = (p.bits_vartime() as usize).div_ceil(8);
        let part_len = public.len().div_ceil(2).max(needed);
        let part = |n: &Num| num::to_be(n, part_len).map(|bytes| Secret::copy_of(&bytes));
        Ok(Self {
            p: part(p)?,
            q: part(q)?,
            dp: part(dp)?,
            dq: part(dq)?,
            qinv: part(qinv)?,
            public,
            exponent,
        })
    }

    /// The key of two primes p > q whose qInv is known.
    #[cfg(target_arch = "x86_64")]
    fn from_primes_and_qinv(p: &[u8], q: &[u8], qinv: &[u8], exponent: Exponent) -> Result<Self> {
        let [p, q, qinv] = [p, q, qinv].map(|bytes| num::from_be(bytes, p.len()));
        let (p, q, qinv) = (p?, q?, qinv?);
        let dp = num::inverse_of_small(exponent.get(), &num::less_one(&p))?;
        let dq = num::inverse_of_small(exponent.get(), &num::less_one(&q))?;
        Self::assemble([&p, &q, &dp, &dq, &qinv], exponent)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &RsaPublic {
        &self.public
    }

    /// The public exponent.
    #[must_use]
    pub fn exponent(&self) -> Exponent {
        self.exponent
    }

    /// The larger prime p.
    #[must_use]
    pub fn p(&self) -> &Secret {
        &self.p
    }

    /// The smaller prime q.
    #[must_use]
    pub fn q(&self) -> &Secret {
        &self.q
    }

    /// dP = e^-1 mod (p - 1).
    #[must_use]
    pub fn dp(&self) -> &Secret {
        &self.dp
    }

    /// dQ = e^-1 mod (q - 1).
    #[must_use]
    pub fn dq(&self) -> &Secret {
        &self.dq
    }

    /// qInv = q^-1 mod p.
    #[must_use]
    pub fn qinv(&self) -> &Secret {
        &self.qinv
    }

    /// d = e^-1 mod lcm(p - 1, q - 1), of the length of the modulus (FIPS 186-5, A.1.1).
    ///
    /// # Errors
    /// None for a key that was made here; the type is that of its steps.
    pub fn d(&self) -> Result<Secret> {
        let (p1, q1) = self.primes_less_one()?;
        let gcd = Zeroizing::new(crypto_bigint::Gcd::gcd(&*p1, &*q1));
        let product = Zeroizing::new(p1.concatenating_mul(&*q1));
        self.inverse_of_exponent(&Zeroizing::new(product.div_rem(&num::divisor(&gcd)?).0))
    }

    /// e^-1 mod (p - 1)(q - 1), of the length of the modulus: the private exponent of older files, for
    /// comparison.
    ///
    /// # Errors
    /// None for a key that was made here; the type is that of its steps.
    pub fn d_mod_phi(&self) -> Result<Secret> {
        let (p1, q1) = self.primes_less_one()?;
        self.inverse_of_exponent(&Zeroizing::new(p1.concatenating_mul(&*q1)))
    }

    fn primes_less_one(&self) -> Result<(Num, Num)> {
        let less_one = |prime: &Secret| num::from_be(prime.expose(), 0).map(|n| num::less_one(&n));
        Ok((less_one(&self.p)?, less_one(&self.q)?))
    }

    fn inverse_of_exponent(&self, modulus: &Num) -> Result<Secret> {
        let d = num::inverse_of_small(self.exponent.get(), modulus)?;
        num::to_be(&d, self.public.len()).map(|bytes| Secret::copy_of(&bytes))
    }

    /// Whether d <= 2^h, h being half the bits of the modulus (FIPS 186-5, A.1.1 criterion 3), for primes
    /// of h bits each.
    ///
    /// Such a d would be below 2(p - 1) and 2(q - 1), since both primes are above 2^(h-1). So it would be
    /// dP or dP + p - 1, and dQ or dQ + q - 1; and a number that is both is d modulo the lcm. No gcd is
    /// needed.
    fn has_small_d(&self) -> Result<bool> {
        let wide = self.p.len().saturating_add(8);
        let candidates = |part: &Secret, prime: &Secret| -> Result<[Num; 2]> {
            let low = num::from_be(part.expose(), wide)?;
            let high =
                Zeroizing::new(low.wrapping_add(&*num::less_one(&*num::from_be(prime.expose(), wide)?)));
            Ok([low, high])
        };
        let (from_p, from_q) = (candidates(&self.dp, &self.p)?, candidates(&self.dq, &self.q)?);
        // 2^h: h is a multiple of 8 for every key made here.
        let mut bound = vec![0; (self.public.bits() / 16).saturating_add(1)];
        if let Some(top) = bound.first_mut() {
            *top = 1;
        }
        let bound = num::from_be(&bound, wide)?;
        Ok(from_p.iter().any(|a| from_q.iter().any(|b| **a == **b && **a <= *bound)))
    }
}

impl fmt::Debug for RsaPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivate({} bits, e = {})", self.public.bits(), self.exponent.get())
    }
}

#[cfg(test)]
mod keygen_tests;
#[cfg(test)]
mod secret_branches;
#[cfg(test)]
mod tests;

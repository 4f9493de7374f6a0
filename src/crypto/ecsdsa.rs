//! EC-SDSA in its form with the x coordinate only ("optimised", ISO/IEC 14888-3), on P-256 with SHA-256 and on P-521
//! with SHA-512: the signature of EMV's elliptic curve certificates (EMV Contactless Book E).
//!
//! Public keys are x coordinates. A key pair is chosen so that the y coordinate is the smaller of the two; a private
//! key with the other one is replaced by its negative.

use std::fmt;

use p256::elliptic_curve::ops::Reduce;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::{CurveArithmetic, FieldBytes, Group, PrimeField};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::rng::StreamRng;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Curve and hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EcCurve {
    /// P-256 with SHA-256.
    P256,
    /// P-521 with SHA-512.
    P521,
}

impl EcCurve {
    /// Bytes of a coordinate and of a number below the order (`NFIELD`).
    #[must_use]
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P521 => 66,
        }
    }

    /// Bytes of a digest (`NHASH`).
    #[must_use]
    pub const fn hash_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P521 => 64,
        }
    }

    /// Bytes of a signature.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        self.field_len().saturating_add(self.hash_len())
    }

    fn hash(self, x: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256 => Sha256::new().chain_update(x).chain_update(message).finalize().to_vec(),
            Self::P521 => Sha512::new().chain_update(x).chain_update(message).finalize().to_vec(),
        }
    }
}

/// A public key: the x coordinate of a point whose y is the smaller of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcPublic {
    curve: EcCurve,
    x: Vec<u8>,
}

impl EcPublic {
    /// From an x coordinate.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for another length, [`ErrorKind::Crypto`] if no point has this coordinate.
    pub fn new(curve: EcCurve, x: &[u8]) -> Result<Self> {
        if x.len() != curve.field_len() {
            let found = x.len();
            return Err(
                ErrorKind::Length { expected: "32 (P-256) or 66 (P-521)", found, unit: "bytes" }.into()
            );
        }
        match curve {
            EcCurve::P256 => point::<p256::NistP256>(x).map(drop)?,
            EcCurve::P521 => point::<p521::NistP521>(x).map(drop)?,
        }
        Ok(Self { curve, x: x.to_vec() })
    }

    /// Its curve.
    #[must_use]
    pub const fn curve(&self) -> EcCurve {
        self.curve
    }

    /// The x coordinate.
    #[must_use]
    pub fn x(&self) -> &[u8] {
        &self.x
    }

    /// The y coordinate: the smaller of the two.
    ///
    /// # Errors
    /// None for a key that was made here; the type is that of its steps.
    pub fn y(&self) -> Result<Vec<u8>> {
        Ok(match self.curve {
            EcCurve::P256 => point::<p256::NistP256>(&self.x)?.y().to_vec(),
            EcCurve::P521 => point::<p521::NistP521>(&self.x)?.y().to_vec(),
        })
    }

    /// Checks a signature `R ‖ S`: `K = S·G − R·Q`, and the digest of `x(K) ‖ message` must be `R`.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if it is not this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let good = match self.curve {
            EcCurve::P256 => verify::<p256::NistP256>(self, message, signature)?,
            EcCurve::P521 => verify::<p521::NistP521>(self, message, signature)?,
        };
        if good { Ok(()) } else { Err(ErrorKind::Crypto("the signature is wrong").into()) }
    }
}

/// A private key.
pub struct EcPrivate {
    public: EcPublic,
    d: Secret,
}

impl EcPrivate {
    /// From a number of `NFIELD` bytes; replaced by its negative where the y coordinate asks for it.
    ///
    /// # Errors
    /// [`ErrorKind::KeyRefused`] unless 1 to the order less one.
    pub fn new(curve: EcCurve, d: &Secret) -> Result<Self> {
        let (x, d) = match curve {
            EcCurve::P256 => normalised::<p256::NistP256>(d)?,
            EcCurve::P521 => normalised::<p521::NistP521>(d)?,
        };
        Ok(Self { public: EcPublic { curve, x }, d })
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &EcPublic {
        &self.public
    }

    /// A signature `R ‖ S` over `message`, its ephemeral number drawn from `rng`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] only if the key does not verify its own signature.
    pub fn sign(&self, message: &[u8], rng: &mut StreamRng) -> Result<Vec<u8>> {
        let curve = self.public.curve;
        loop {
            let k = Secret::filled(curve.field_len(), |k| {
                rng.fill(k);
                if let (EcCurve::P521, Some(first)) = (curve, k.first_mut()) {
                    *first &= 0x01;
                }
                Ok::<_, crate::error::Error>(())
            })?;
            if let Ok(signature) = self.sign_with(message, &k) {
                self.public
                    .verify(message, &signature)
                    .map_err(|_| ErrorKind::Internal("a signature does not verify"))?;
                return Ok(signature);
            }
        }
    }

    /// As [`EcPrivate::sign`], the ephemeral number given: for published vectors. The same number for two messages gives
    /// away the key.
    pub(crate) fn sign_with(&self, message: &[u8], k: &Secret) -> Result<Vec<u8>> {
        match self.public.curve {
            EcCurve::P256 => sign::<p256::NistP256>(self, message, k),
            EcCurve::P521 => sign::<p521::NistP521>(self, message, k),
        }
    }
}

impl fmt::Debug for EcPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcPrivate({:?})", self.public.curve)
    }
}

fn bytes_of<C: CurveArithmetic>(bytes: &[u8]) -> Result<FieldBytes<C>> {
    FieldBytes::<C>::try_from(bytes).map_err(|_| {
        ErrorKind::Length { expected: "those of a coordinate", found: bytes.len(), unit: "bytes" }.into()
    })
}

/// The point of an x coordinate whose y is the smaller of the two.
fn point<C>(x: &[u8]) -> Result<C::AffinePoint>
where
    C: CurveArithmetic,
    C::AffinePoint: DecompressPoint<C>,
{
    let one = C::AffinePoint::decompress(&bytes_of::<C>(x)?, 0.into()).into_option();
    let one = one.ok_or(ErrorKind::Crypto("no point of the curve has this x coordinate"))?;
    let other: C::AffinePoint = (-C::ProjectivePoint::from(one)).into();
    Ok(if one.y().as_slice() <= other.y().as_slice() { one } else { other })
}

/// A number of 1 to the order less one.
fn scalar<C: CurveArithmetic>(bytes: &[u8]) -> Result<C::Scalar> {
    let number = C::Scalar::from_repr(bytes_of::<C>(bytes)?).into_option();
    number
        .filter(|n| !bool::from(n.ct_eq(&C::Scalar::default())))
        .ok_or_else(|| ErrorKind::KeyRefused("the number is not 1 to the order less one").into())
}

fn normalised<C: CurveArithmetic>(d: &Secret) -> Result<(Vec<u8>, Secret)> {
    let d = scalar::<C>(d.expose())?;
    let point = C::ProjectivePoint::mul_by_generator(&d);
    let (one, other): (C::AffinePoint, C::AffinePoint) = (point.into(), (-point).into());
    let d = if one.y().as_slice() <= other.y().as_slice() { d } else { -d };
    let repr = Zeroizing::new(d.to_repr().as_slice().to_vec());
    Ok((one.x().as_slice().to_vec(), Secret::copy_of(&repr)))
}

/// `r`: the digest as a number, reduced.
fn reduced<C>(curve: EcCurve, digest: &[u8]) -> Result<C::Scalar>
where
    C: CurveArithmetic,
    C::Scalar: Reduce<FieldBytes<C>>,
{
    let mut wide = vec![0; curve.field_len().saturating_sub(digest.len())];
    wide.extend_from_slice(digest);
    Ok(C::Scalar::reduce(&bytes_of::<C>(&wide)?))
}

fn sign<C>(key: &EcPrivate, message: &[u8], k: &Secret) -> Result<Vec<u8>>
where
    C: CurveArithmetic,
    C::Scalar: Reduce<FieldBytes<C>>,
{
    let (curve, k, d) = (key.public.curve, scalar::<C>(k.expose())?, scalar::<C>(key.d.expose())?);
    let ephemeral: C::AffinePoint = C::ProjectivePoint::mul_by_generator(&k).into();
    let digest = curve.hash(ephemeral.x().as_slice(), message);
    let s = k + reduced::<C>(curve, &digest)? * d;
    Ok([digest.as_slice(), s.to_repr().as_slice()].concat())
}

fn verify<C>(key: &EcPublic, message: &[u8], signature: &[u8]) -> Result<bool>
where
    C: CurveArithmetic,
    C::Scalar: Reduce<FieldBytes<C>>,
    C::AffinePoint: DecompressPoint<C>,
{
    let Some((digest, s)) = signature
        .split_at_checked(key.curve.hash_len())
        .filter(|_| signature.len() == key.curve.signature_len())
    else {
        return Ok(false);
    };
    let Ok(s) = scalar::<C>(s) else { return Ok(false) };
    let q = C::ProjectivePoint::from(point::<C>(&key.x)?);
    let ephemeral = C::ProjectivePoint::mul_by_generator(&s) - q * reduced::<C>(key.curve, digest)?;
    if bool::from(ephemeral.is_identity()) {
        return Ok(false);
    }
    let ephemeral: C::AffinePoint = ephemeral.into();
    Ok(super::mac::equal(&key.curve.hash(ephemeral.x().as_slice(), message), digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};

    fn key(curve: EcCurve, fill: u8) -> EcPrivate {
        let mut d = vec![fill; curve.field_len()];
        d[0] = 0;
        EcPrivate::new(curve, &Secret::new(d)).unwrap()
    }

    #[test]
    fn signatures_verify_and_every_change_is_found() {
        for curve in [EcCurve::P256, EcCurve::P521] {
            let mut rng = Seed::fixed([2; 32]).named_stream(b"ec", Purpose::TestIssuer).rng();
            for fill in [1, 2, 3] {
                let key = key(curve, fill);
                let signature = key.sign(b"message", &mut rng).unwrap();
                assert_eq!(signature.len(), curve.signature_len());
                key.public().verify(b"message", &signature).unwrap();
                assert!(key.public().verify(b"massage", &signature).is_err());
                assert!(key.public().verify(b"message", &signature[1..]).is_err());
                for at in (0..signature.len()).step_by(13) {
                    let mut bad = signature.clone();
                    bad[at] ^= 4;
                    assert!(key.public().verify(b"message", &bad).is_err());
                }
                assert!(super::EcPublic::new(curve, key.public().x()).is_ok());
                assert_eq!(format!("{key:?}"), format!("EcPrivate({curve:?})"));
            }
        }
    }

    #[test]
    fn a_key_and_its_negative_are_the_same_key() {
        // The order of P-256 less 5.
        let order_less_5 = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC63254C";
        let negative = Secret::new(hex::decode(order_less_5).unwrap());
        let mut five = vec![0; 32];
        five[31] = 5;
        let (a, b) = (
            EcPrivate::new(EcCurve::P256, &Secret::new(five)).unwrap(),
            EcPrivate::new(EcCurve::P256, &negative).unwrap(),
        );
        assert_eq!(a.public(), b.public());
        assert_eq!(a.d, b.d);
        let y = a.public().y().unwrap();
        assert!(y[0] < 0x80, "the smaller y is chosen");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(EcPrivate::new(EcCurve::P256, &Secret::new(vec![0; 32])).is_err());
        assert!(EcPrivate::new(EcCurve::P256, &Secret::new(vec![0xFF; 32])).is_err());
        assert!(EcPrivate::new(EcCurve::P256, &Secret::new(vec![1; 31])).is_err());
        assert!(EcPublic::new(EcCurve::P521, &[1; 32]).is_err());
        assert!(
            (0..20_u8).any(|i| EcPublic::new(EcCurve::P256, &[i; 32]).is_err()),
            "half of all x are on no point"
        );
    }
}

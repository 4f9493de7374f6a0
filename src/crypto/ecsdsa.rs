//! EC-SDSA with keys stored as x-coordinates alone, as EMV's ECC certificates use it (ISO/IEC 14888-3; EMV
//! Contactless Book E, EMV 4.4 Book 2 annex B2.3).
//!
//! `R = H(x(kG) ‖ M)`, `s = k + R·d mod n`; the signature is `R ‖ s`. Of the two points with one x the key is the one
//! with the smaller y.

use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::ops::Reduce;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::subtle::Choice;
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytes, PrimeField, ProjectivePoint, Scalar, group::Curve as _,
};
use zeroize::Zeroizing;

use super::hash::{sha256, sha512};
use super::mac::equal;
use super::rng::StreamRng;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Curve and hash: the CA algorithm suite indicator of an ECC certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// P-256 with SHA-256: indicator 10.
    P256,
    /// P-521 with SHA-512: indicator 11.
    P521,
}

impl Suite {
    /// Bytes of a coordinate and of a number mod n (`NFIELD`).
    #[must_use]
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P521 => 66,
        }
    }

    /// Bytes of the hash (`NHASH`).
    #[must_use]
    pub const fn hash_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P521 => 64,
        }
    }

    /// The algorithm suite indicator.
    #[must_use]
    pub const fn indicator(self) -> u8 {
        match self {
            Self::P256 => 0x10,
            Self::P521 => 0x11,
        }
    }

    fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::P256 => sha256(parts).to_vec(),
            Self::P521 => sha512(parts).to_vec(),
        }
    }
}

/// A public key: an x-coordinate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcsdsaPublic {
    suite: Suite,
    x: Vec<u8>,
    y: Vec<u8>,
}

impl EcsdsaPublic {
    /// The key of an x-coordinate.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for another length than the curve's; [`ErrorKind::Value`] if no point has this x.
    pub fn from_x(suite: Suite, x: &[u8]) -> Result<Self> {
        let y = match suite {
            Suite::P256 => smaller_y::<p256::NistP256>(x)?,
            Suite::P521 => smaller_y::<p521::NistP521>(x)?,
        };
        Ok(Self { suite, x: x.to_vec(), y })
    }

    /// Curve and hash.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The x-coordinate: what a certificate carries.
    #[must_use]
    pub fn x(&self) -> &[u8] {
        &self.x
    }

    /// The smaller y-coordinate.
    #[must_use]
    pub fn y(&self) -> &[u8] {
        &self.y
    }

    /// Verifies `signature` over `message`.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`], always with the same words.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let good = match self.suite {
            Suite::P256 => verify_on::<p256::NistP256>(self.suite, &self.x, message, signature),
            Suite::P521 => verify_on::<p521::NistP521>(self.suite, &self.x, message, signature),
        };
        if good.unwrap_or(false) {
            Ok(())
        } else {
            Err(ErrorKind::Crypto("the signature does not verify").into())
        }
    }
}

/// A private key. Wiped when dropped.
///
/// ```
/// use emv_dataprep::crypto::ecsdsa::{EcsdsaPrivate, Suite};
/// use emv_dataprep::crypto::rng::{Purpose, Seed};
/// let mut rng = Seed::fixed([1; 32]).named_stream(b"example", Purpose::TestIssuer).rng();
/// let key = EcsdsaPrivate::generate(Suite::P256, &mut rng)?;
/// let signature = key.sign(b"to be signed", &mut rng)?;
/// assert_eq!(signature.len(), 64);
/// key.public().verify(b"to be signed", &signature)?;
/// assert!(key.public().verify(b"to be sighed", &signature).is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub struct EcsdsaPrivate {
    d: Secret,
    public: EcsdsaPublic,
}

impl EcsdsaPrivate {
    /// From the number d, big-endian. When its point has the larger y, the key is n − d.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for another length than the curve's; [`ErrorKind::KeyRefused`] unless d is 1 to n − 1.
    pub fn new(suite: Suite, d: &Secret) -> Result<Self> {
        let (d, x, y) = match suite {
            Suite::P256 => normalised::<p256::NistP256>(d)?,
            Suite::P521 => normalised::<p521::NistP521>(d)?,
        };
        Ok(Self { d, public: EcsdsaPublic { suite, x, y } })
    }

    /// A fresh key.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if `rng` gives no number below n for long: it is broken.
    pub fn generate(suite: Suite, rng: &mut StreamRng) -> Result<Self> {
        Self::new(suite, &random_scalar(suite, rng)?)
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &EcsdsaPublic {
        &self.public
    }

    /// `R ‖ s` over `message`, with a nonce from `rng`; verified before it is returned.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if `rng` is broken; [`ErrorKind::Crypto`] if the result does not verify.
    pub fn sign(&self, message: &[u8], rng: &mut StreamRng) -> Result<Vec<u8>> {
        self.sign_with_nonce(&random_scalar(self.public.suite, rng)?, message)
    }

    /// As [`EcsdsaPrivate::sign`] with a nonce that is given: known answers. Two messages under one nonce give away
    /// the key.
    pub(crate) fn sign_with_nonce(&self, k: &Secret, message: &[u8]) -> Result<Vec<u8>> {
        let suite = self.public.suite;
        let signature = match suite {
            Suite::P256 => sign_on::<p256::NistP256>(suite, &self.d, k, message)?,
            Suite::P521 => sign_on::<p521::NistP521>(suite, &self.d, k, message)?,
        };
        self.public.verify(message, &signature)?;
        Ok(signature)
    }
}

impl std::fmt::Debug for EcsdsaPrivate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EcsdsaPrivate({:?})", self.public.suite)
    }
}

/// A number from 1 to n − 1: drawn again when it is not. The top seven bits of a P-521 draw are cut first.
fn random_scalar(suite: Suite, rng: &mut StreamRng) -> Result<Secret> {
    for _ in 0..128 {
        let mut draw = Zeroizing::new(vec![0; suite.field_len()]);
        rng.fill(&mut draw);
        if suite == Suite::P521 {
            draw.iter_mut().take(1).for_each(|b| *b &= 1);
        }
        let good = match suite {
            Suite::P256 => scalar::<p256::NistP256>(&draw).is_ok(),
            Suite::P521 => scalar::<p521::NistP521>(&draw).is_ok(),
        };
        if good {
            return Ok(Secret::copy_of(&draw));
        }
    }
    Err(ErrorKind::Internal("no number below n was drawn").into())
}

/// What the algorithm needs of a curve.
trait Field: CurveArithmetic {}

impl<C: CurveArithmetic> Field for C {}

fn field_bytes<C: Field>(bytes: &[u8]) -> Result<FieldBytes<C>> {
    let found = bytes.len();
    let expected = "the length of the curve's field";
    FieldBytes::<C>::try_from(bytes).map_err(|_| ErrorKind::Length { expected, found, unit: "bytes" }.into())
}

/// A number from 1 to n − 1.
fn scalar<C: Field>(bytes: &[u8]) -> Result<Zeroizing<Scalar<C>>> {
    let repr = field_bytes::<C>(bytes)?;
    let refused = || ErrorKind::KeyRefused("not a number from 1 to n - 1");
    let scalar = Scalar::<C>::from_repr(repr).into_option().map(Zeroizing::new).ok_or_else(refused)?;
    if bool::from(p256::elliptic_curve::Field::is_zero(&*scalar)) {
        Err(refused().into())
    } else {
        Ok(scalar)
    }
}

fn affine_x<C: Field>(point: &ProjectivePoint<C>) -> Vec<u8> {
    point.to_affine().x().to_vec()
}

fn affine_y<C: Field>(point: &ProjectivePoint<C>) -> Vec<u8> {
    point.to_affine().y().to_vec()
}

fn point_of_x<C: Field>(x: &[u8]) -> Result<ProjectivePoint<C>>
where
    AffinePoint<C>: DecompressPoint<C>,
{
    let point = AffinePoint::<C>::decompress(&field_bytes::<C>(x)?, Choice::from(0)).into_option();
    let point: ProjectivePoint<C> = point.ok_or(ErrorKind::Value("no point has this x"))?.into();
    Ok(if affine_y::<C>(&-point) < affine_y::<C>(&point) { -point } else { point })
}

fn smaller_y<C: Field>(x: &[u8]) -> Result<Vec<u8>>
where
    AffinePoint<C>: DecompressPoint<C>,
{
    point_of_x::<C>(x).map(|p| affine_y::<C>(&p))
}

fn normalised<C: Field>(d: &Secret) -> Result<(Secret, Vec<u8>, Vec<u8>)> {
    let d = scalar::<C>(d.expose())?;
    let point = ProjectivePoint::<C>::generator() * *d;
    let larger = affine_y::<C>(&-point) < affine_y::<C>(&point);
    let (d, point) = if larger { (Zeroizing::new(-*d), -point) } else { (d, point) };
    Ok((Secret::copy_of(d.to_repr().as_ref()), affine_x::<C>(&point), affine_y::<C>(&point)))
}

/// `OS2IP(R) mod n`. A hash is never longer than a coordinate here.
fn hash_number<C: Field>(hash: &[u8]) -> Result<Scalar<C>>
where
    Scalar<C>: Reduce<FieldBytes<C>>,
{
    let mut wide = FieldBytes::<C>::default();
    let from = wide.len().checked_sub(hash.len()).ok_or(ErrorKind::Internal("a hash of this length"))?;
    if let Some(low) = wide.get_mut(from..) {
        low.copy_from_slice(hash);
    }
    Ok(<Scalar<C> as Reduce<FieldBytes<C>>>::reduce(&wide))
}

fn sign_on<C: Field>(suite: Suite, d: &Secret, k: &Secret, message: &[u8]) -> Result<Vec<u8>>
where
    Scalar<C>: Reduce<FieldBytes<C>>,
{
    let (d, k) = (scalar::<C>(d.expose())?, scalar::<C>(k.expose())?);
    let x = affine_x::<C>(&(ProjectivePoint::<C>::generator() * *k));
    let hash = suite.hash(&[&x, message]);
    let s = *k + hash_number::<C>(&hash)? * *d;
    Ok([hash.as_slice(), s.to_repr().as_ref()].concat())
}

fn verify_on<C: Field>(suite: Suite, x: &[u8], message: &[u8], signature: &[u8]) -> Result<bool>
where
    Scalar<C>: Reduce<FieldBytes<C>>,
    AffinePoint<C>: DecompressPoint<C>,
{
    let (hash, s) = signature.split_at_checked(suite.hash_len()).ok_or(ErrorKind::Format("a signature"))?;
    let (s, r) = (scalar::<C>(s)?, hash_number::<C>(hash)?);
    let k = ProjectivePoint::<C>::generator() * *s - point_of_x::<C>(x)? * r;
    if bool::from(k.is_identity()) {
        return Ok(false);
    }
    Ok(equal(&suite.hash(&[&affine_x::<C>(&k), message]), hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};

    fn rng() -> StreamRng {
        Seed::fixed([6; 32]).named_stream(b"ecsdsa", Purpose::TestIssuer).rng()
    }

    #[test]
    fn every_changed_byte_is_refused_and_x_alone_is_enough() {
        let mut rng = rng();
        for suite in [Suite::P256, Suite::P521] {
            let key = EcsdsaPrivate::generate(suite, &mut rng).unwrap();
            let public = EcsdsaPublic::from_x(suite, key.public().x()).unwrap();
            assert_eq!(&public, key.public());
            let signature = key.sign(b"message", &mut rng).unwrap();
            assert_eq!(signature.len(), suite.hash_len() + suite.field_len());
            public.verify(b"message", &signature).unwrap();
            for at in (0..signature.len()).step_by(7) {
                let mut changed = signature.clone();
                changed[at] ^= 0x20;
                assert!(public.verify(b"message", &changed).is_err());
            }
            assert!(public.verify(b"massage", &signature).is_err());
            assert!(public.verify(b"message", &signature[1..]).is_err());
            assert!(public.verify(b"message", &[]).is_err());
        }
    }

    /// d and n − d are one key: the point has the smaller y.
    #[test]
    fn a_key_and_its_negative_are_one() {
        let mut rng = rng();
        for suite in [Suite::P256, Suite::P521] {
            for _ in 0..8 {
                let d = random_scalar(suite, &mut rng).unwrap();
                let negative = match suite {
                    Suite::P256 => (-*scalar::<p256::NistP256>(d.expose()).unwrap()).to_repr().to_vec(),
                    Suite::P521 => (-*scalar::<p521::NistP521>(d.expose()).unwrap()).to_repr().to_vec(),
                };
                let (a, b) = (
                    EcsdsaPrivate::new(suite, &d).unwrap(),
                    EcsdsaPrivate::new(suite, &Secret::new(negative)).unwrap(),
                );
                assert_eq!(a.public(), b.public());
                assert_eq!(a.d, b.d);
            }
        }
    }

    #[test]
    fn wrong_numbers_are_refused_and_debug_shows_none() {
        for suite in [Suite::P256, Suite::P521] {
            let len = suite.field_len();
            for bad in [vec![0; len], vec![0xFF; len], vec![1; len - 1], vec![]] {
                assert!(EcsdsaPrivate::new(suite, &Secret::new(bad)).is_err());
            }
            assert!(EcsdsaPublic::from_x(suite, &vec![0xFF; len]).is_err());
            assert!(EcsdsaPublic::from_x(suite, &[]).is_err());
        }
        let key = EcsdsaPrivate::generate(Suite::P256, &mut rng()).unwrap();
        assert_eq!(format!("{key:?}"), "EcsdsaPrivate(P256)");
    }
}

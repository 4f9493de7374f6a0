//! Big-number steps that the key types share, over `crypto-bigint`: constant time in the values, not in
//! lengths.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Limb, NonZero, Odd, Resize};
use zeroize::Zeroizing;

use crate::error::{ErrorKind, Result};

/// A number that is wiped when dropped.
pub(super) type Num = Zeroizing<BoxedUint>;

/// `bytes`, big-endian, in a number of at least `len` bytes.
pub(super) fn from_be(bytes: &[u8], len: usize) -> Result<Num> {
    let bits = u32::try_from(len.max(bytes.len()).saturating_mul(8)).map_err(|_| TOO_LONG)?;
    BoxedUint::from_be_slice(bytes, bits).map(Zeroizing::new).map_err(|_| TOO_LONG.into())
}

/// `n` as `len` bytes, big-endian, padded on the left with zeros.
pub(super) fn to_be(n: &BoxedUint, len: usize) -> Result<Zeroizing<Vec<u8>>> {
    let all = Zeroizing::new(n.to_be_bytes());
    let mut out = Zeroizing::new(vec![0; len]);
    let cut = all.len().saturating_sub(len);
    let (above, low) = all.split_at(cut);
    if above.iter().any(|b| *b != 0) {
        return Err(TOO_LONG.into());
    }
    let from = len.saturating_sub(low.len());
    if let Some(to) = out.get_mut(from..) {
        to.copy_from_slice(low);
    }
    Ok(out)
}

/// The same value in the width of `like`; the upper part must be zero.
pub(super) fn fit(n: &BoxedUint, like: &BoxedUint) -> Num {
    Zeroizing::new(n.resize_unchecked(like.bits_precision()))
}

/// `n` less one; `n` is not zero.
pub(super) fn less_one(n: &BoxedUint) -> Num {
    Zeroizing::new(n.wrapping_sub(Limb::ONE))
}

/// `n` as a divisor.
pub(super) fn divisor(n: &BoxedUint) -> Result<NonZero<BoxedUint>> {
    n.to_nz().into_option().ok_or_else(|| ErrorKind::Value("a modulus of zero").into())
}

/// `n` as the modulus of Montgomery arithmetic.
pub(super) fn odd(n: &BoxedUint) -> Result<Odd<BoxedUint>> {
    n.to_odd().into_option().ok_or_else(|| ErrorKind::Value("an even modulus").into())
}

/// `n` mod a number of at most 32 bits.
pub(super) fn rem_small(n: &BoxedUint, m: u32) -> Result<u32> {
    let m = NonZero::new(Limb::from(m)).into_option().ok_or(ErrorKind::Value("a modulus of zero"))?;
    u32::try_from(n.rem_limb(m).0).map_err(|_| ErrorKind::Internal("a remainder above its modulus").into())
}

/// `base ^ exponent` mod the odd `modulus`, in constant time for exponents of one width.
pub(super) fn pow(base: &BoxedUint, exponent: &BoxedUint, modulus: &BoxedUint) -> Result<Num> {
    let params = BoxedMontyParams::new(odd(modulus)?);
    let reduced = base.rem(&divisor(modulus)?);
    Ok(Zeroizing::new(BoxedMontyForm::new(reduced, &params).pow(exponent).retrieve()))
}

/// `base ^ exponent` mod the odd `modulus`, for a public exponent of few bits.
pub(super) fn pow_public(base: &BoxedUint, exponent: &[u8], modulus: &BoxedUint) -> Result<BoxedUint> {
    let params = BoxedMontyParams::new_vartime(odd(modulus)?);
    let base = BoxedMontyForm::new(base.rem(&divisor(modulus)?), &params);
    let mut power = BoxedMontyForm::one(&params);
    for bit in exponent.iter().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1)) {
        power = power.square();
        if bit == 1 {
            power = &power * &base;
        }
    }
    Ok(power.retrieve())
}

/// The inverse of `e` mod `m`: (1 + k·m) / e with k = -1/m mod e.
///
/// Only `m mod e` is inverted, in the numbers below `e`.
///
/// # Errors
/// [`ErrorKind::KeyRefused`] when `e` and `m` have a common factor.
pub(super) fn inverse_of_small(e: u32, m: &BoxedUint) -> Result<Num> {
    let k = inverse_u32(rem_small(m, e)?, e)
        .ok_or(ErrorKind::KeyRefused("p - 1 or q - 1 shares a factor with e"))?;
    let k = e.saturating_sub(k);
    let wide = Zeroizing::new(m.resize_unchecked(m.bits_precision().saturating_add(64)));
    let product = Zeroizing::new(wide.wrapping_mul(BoxedUint::from(k)).wrapping_add(Limb::ONE));
    let e = NonZero::new(Limb::from(e)).into_option().ok_or(ErrorKind::Value("an exponent of zero"))?;
    let (quotient, _) = product.div_rem_limb(e);
    let quotient = Zeroizing::new(quotient);
    Ok(fit(&quotient, m))
}

/// The inverse of `a` mod `m` by Euclid, when there is one.
fn inverse_u32(a: u32, m: u32) -> Option<u32> {
    let (mut r0, mut r1) = (i64::from(m), i64::from(a));
    let (mut t0, mut t1) = (0_i64, 1_i64);
    while r1 != 0 {
        let q = r0.checked_div(r1)?;
        (r0, r1) = (r1, r0.checked_sub(q.checked_mul(r1)?)?);
        (t0, t1) = (t1, t0.checked_sub(q.checked_mul(t1)?)?);
    }
    (r0 == 1).then(|| u32::try_from(t0.rem_euclid(i64::from(m))).ok()).flatten()
}

const TOO_LONG: ErrorKind = ErrorKind::Value("a number above its width");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inverses() {
        assert_eq!(inverse_u32(2, 3), Some(2));
        assert_eq!(inverse_u32(3, 65537), Some(21846));
        assert_eq!(inverse_u32(0, 3), None);
        assert_eq!(inverse_u32(6, 9), None);
    }

    #[test]
    fn bytes_keep_their_width() {
        let n = from_be(&[1, 2], 9).unwrap();
        assert_eq!(to_be(&n, 3).unwrap().as_slice(), [0, 1, 2]);
        assert!(to_be(&n, 1).is_err());
    }

    #[test]
    fn the_textbook_key() {
        // p = 61, q = 53, e = 17: 65^17 = 2790 mod 3233; 17 * 53 = 1 mod 60.
        let n = from_be(&[0x0C, 0xA1], 2).unwrap();
        let m = from_be(&[65], 2).unwrap();
        assert_eq!(pow_public(&m, &[17], &n).unwrap(), BoxedUint::from(2790_u32));
        assert_eq!(*inverse_of_small(17, &from_be(&[60], 1).unwrap()).unwrap(), BoxedUint::from(53_u32));
        let back = pow(&BoxedUint::from(2790_u32), &BoxedUint::from(2753_u32), &n).unwrap();
        assert_eq!(*back, BoxedUint::from(65_u32));
    }
}

//! Kinds of `rsa.json`.

use std::cmp::Ordering;

use crypto_bigint::{BoxedUint, ConcatenatingMul, Gcd, Limb, NonZero, Resize};

use crate::crypto::rsa::{Exponent, RsaPrivate, RsaPublic, is_prime};
use crate::error::{ErrorKind, Result};

use super::case::{Case, Computed, Outcome, Trouble};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "primality" => primality(case),
        "rsa_public" => rsa_public(case),
        "rsa_key" => rsa_key(case),
        _ => return None,
    })
}

/// The value is in two's complement: what is negative is not prime.
fn primality(case: &Case<'_>) -> Outcome {
    let value = case.hex("value_twos_complement_be")?;
    let negative = value.first().is_some_and(|b| b & 0x80 != 0);
    Ok(Computed::new().bool("prime", !negative && is_prime(&value)))
}

fn rsa_public(case: &Case<'_>) -> Outcome {
    let key = RsaPublic::new(&case.hex("modulus")?, &case.hex("exponent")?)?;
    Ok(Computed::new().hex("output", &key.apply(&case.hex("input")?)?))
}

fn rsa_key(case: &Case<'_>) -> Outcome {
    let (n, e) = (case.hex_number("n")?, case.hex_number("e")?);
    let public = RsaPublic::new(&n, &e)?;
    if !case.has("p") && !case.has("q") {
        return Ok(Computed::new().holds("d_published", undoes(&public, case)?));
    }
    let e = e.iter().fold(0_u32, |n, b| n.wrapping_shl(8) | u32::from(*b));
    let (p, q) = (case.hex_number("p")?, case.hex_number("q")?);
    let key = RsaPrivate::from_primes(&p, &q, Exponent::new(e)?)?;
    if number(key.p().expose())? != number(&p)? {
        return Err(Trouble::Record("input p is below q".to_owned()));
    }
    let (phi, lambda) = group_orders(&p, &q)?;
    let (d_phi, d_lambda) = (inverse(e, &phi)?, inverse(e, &lambda)?);
    let mut computed = Computed::new()
        .hex_number("dp", key.dp().expose())
        .hex_number("dq", key.dq().expose())
        .hex_number("u_q_inv_mod_p", key.qinv().expose())
        .hex_number("d_phi", &d_phi)
        .hex_number("d_lcm", &d_lambda)
        .hex_number("n", key.public().modulus());
    if let Some(published) = case.expected_hex("d_published") {
        let same =
            |d: &[u8]| number(d).and_then(|d| Ok(d.cmp_vartime(number(&published)?) == Ordering::Equal));
        computed = computed.holds("d_published", same(&d_phi)? || same(&d_lambda)?);
    }
    let modulus_agrees = key.public().modulus() == public.modulus() && undoes_own(&key, &public)?;
    Ok(if modulus_agrees { computed } else { Computed::new() })
}

/// Whether `x^(e·d) = x mod n` for a few x, with the published d.
fn undoes(public: &RsaPublic, case: &Case<'_>) -> Result<bool, Trouble> {
    let d = case.expected_hex("d_published");
    let d = d.ok_or_else(|| Trouble::Record("neither primes nor d_published".to_owned()))?;
    let private = RsaPublic::new(public.modulus(), &d)?;
    let mut good = true;
    for x in [2_u8, 3, 0xA5] {
        let mut block = vec![x; public.len()];
        block.iter_mut().take(1).for_each(|b| *b = 0);
        good &= private.apply(&public.apply(&block)?)? == block;
    }
    Ok(good)
}

fn undoes_own(key: &RsaPrivate, public: &RsaPublic) -> Result<bool> {
    let mut block = vec![0x5A; public.len()];
    block.iter_mut().take(1).for_each(|b| *b = 0);
    Ok(public.apply(&key.apply(&block)?)? == block)
}

/// φ = (p − 1)(q − 1) and λ = lcm(p − 1, q − 1).
fn group_orders(p: &[u8], q: &[u8]) -> Result<(BoxedUint, BoxedUint)> {
    let less_one = |n: &[u8]| number(n).map(|n| n.wrapping_sub(Limb::ONE));
    let (p, q) = (less_one(p)?, less_one(q)?);
    let phi = p.concatenating_mul(&q);
    let common = NonZero::new(p.gcd(&q)).into_option().ok_or(ErrorKind::Value("p and q are 1"))?;
    let lambda = phi.div_rem(&common).0;
    Ok((phi, lambda))
}

/// The inverse of a small e mod m: (1 + k m) / e for the k that makes it whole.
fn inverse(e: u32, m: &BoxedUint) -> Result<Vec<u8>> {
    let divisor = NonZero::new(Limb::from(e)).into_option().ok_or(ErrorKind::Value("an exponent of zero"))?;
    let rest = u64::from(u32::try_from(m.rem_limb(divisor).0).unwrap_or(0));
    let whole = |k: &u32| u64::from(*k).wrapping_mul(rest).wrapping_add(1).is_multiple_of(u64::from(e));
    let k = (1..e).find(whole).ok_or(ErrorKind::Value("e has no inverse"))?;
    let wide = m.clone().resize(m.bits_precision().saturating_add(64));
    let product = wide.wrapping_mul(BoxedUint::from(k)).wrapping_add(Limb::ONE);
    Ok(product.div_rem_limb(divisor).0.to_be_bytes().into_vec())
}

fn number(bytes: &[u8]) -> Result<BoxedUint> {
    let bits =
        u32::try_from(bytes.len().saturating_mul(8)).map_err(|_| ErrorKind::Internal("a number's length"))?;
    BoxedUint::from_be_slice(bytes, bits).map_err(|_| ErrorKind::Internal("a number's length").into())
}

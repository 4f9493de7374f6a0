//! Kinds of `rsa.json`: primality, the public operation, the parts of a private key.

use serde_json::Value;

use crate::bytes::from_hex;
use crate::crypto::rsa::{self, Exponent, RsaPrivate, RsaPublic};

use super::case::{Case, Computed, Outcome, Trouble};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "primality" => primality(case),
        "rsa_public" => rsa_public(case),
        "rsa_key" => rsa_key(case),
        _ => return None,
    })
}

/// The value is in two's complement: one whose top bit is set is negative, so not prime.
fn primality(case: &Case<'_>) -> Outcome {
    let value = case.hex("value_twos_complement_be")?;
    let negative = value.first().is_some_and(|b| *b >= 0x80);
    Ok(Computed::new().bool("prime", !negative && rsa::is_prime(&value)))
}

fn rsa_public(case: &Case<'_>) -> Outcome {
    let key = RsaPublic::new(&case.hex("modulus")?, &case.hex("exponent")?)?;
    Ok(Computed::new().hex("output", &key.apply(&case.hex("input")?)?))
}

/// The parts of a key from its primes; without them the published exponent is tested as what it is for: it
/// undoes e.
///
/// The file writes numbers, not blocks: with or without leading zeros, so numbers are compared.
fn rsa_key(case: &Case<'_>) -> Outcome {
    let (n, e) = (number(case, "n")?, number(case, "e")?);
    let public = RsaPublic::new(&n, &e)?;
    if !case.has("p") || !case.has("q") {
        let d = case.expected("d_published").and_then(bytes_of).unwrap_or_default();
        let mut block = vec![0x5A; public.len()];
        if let Some(first) = block.first_mut() {
            *first = 0;
        }
        let back = RsaPublic::new(&n, &d)?.apply(&public.apply(&block)?)?;
        return Ok(Computed::new().holds("d_published", back == block));
    }
    let exponent = e.iter().try_fold(0_u32, |e, b| e.checked_mul(256)?.checked_add(u32::from(*b)));
    let exponent = exponent.ok_or_else(|| Trouble::Record("input e is above 32 bits".to_owned()))?;
    let key = RsaPrivate::from_primes(&number(case, "p")?, &number(case, "q")?, Exponent::new(exponent)?)?;
    if key.public() != &public {
        return Err(Trouble::Record("input n is not p times q".to_owned()));
    }
    let is = |name: &str, value: &[u8]| {
        case.expected(name).and_then(bytes_of).is_some_and(|want| trimmed(&want) == trimmed(value))
    };
    let (d, d_phi) = (key.d()?, key.d_mod_phi()?);
    let either = is("d_published", d.expose()) || is("d_published", d_phi.expose());
    Ok(Computed::new()
        .holds("dp", is("dp", key.dp().expose()))
        .holds("dq", is("dq", key.dq().expose()))
        .holds("u_q_inv_mod_p", is("u_q_inv_mod_p", key.qinv().expose()))
        .holds("d_lcm", is("d_lcm", d.expose()))
        .holds("d_phi", is("d_phi", d_phi.expose()))
        .holds("d_published", either))
}

/// An input that is a number in hexadecimal, of any number of digits.
fn number(case: &Case<'_>, name: &str) -> Result<Vec<u8>, Trouble> {
    bytes_of(case.value(name)?).ok_or_else(|| Trouble::Record(format!("input {name} is not hexadecimal")))
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?;
    let even = if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    from_hex(&even).ok().map(|bytes| trimmed(&bytes).to_vec())
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.get(bytes.iter().take_while(|b| **b == 0).count()..).unwrap_or_default()
}

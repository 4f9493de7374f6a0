//! Private key parts of a card, deciphered, against the modulus that the certificate vouches for (CPS, DGIs 8101 to
//! 8104, 8201 to 8205, 8301 to 8305).

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul, Limb, NonZero};
use zeroize::Zeroizing;

use crate::crypto::rsa::RsaPublic;
use crate::secret::Secret;

use super::chip::Chip;
use super::derive::decipher;
use super::keys::Transport;
use super::line::TransportMode;

/// The DGIs of one private key.
#[derive(Clone, Copy)]
pub(super) struct KeyDgis {
    /// Private exponent and modulus.
    plain: [u16; 2],
    /// qInv, dQ, dP, q, p.
    crt: [u16; 5],
}

/// The key of dynamic signatures.
pub(super) const SIGNATURE_KEY: KeyDgis =
    KeyDgis { plain: [0x8101, 0x8103], crt: [0x8201, 0x8202, 0x8203, 0x8204, 0x8205] };

/// The key of PIN encipherment.
pub(super) const PIN_KEY: KeyDgis =
    KeyDgis { plain: [0x8102, 0x8104], crt: [0x8301, 0x8302, 0x8303, 0x8304, 0x8305] };

impl KeyDgis {
    /// Whether any part of the key is there.
    pub(super) fn any(self, chip: &Chip<'_>) -> bool {
        self.plain.iter().chain(&self.crt).any(|tag| chip.has_dgi(*tag))
    }

    /// Whether a whole key is there.
    pub(super) fn whole(self, chip: &Chip<'_>) -> bool {
        self.crt.iter().all(|tag| chip.has_dgi(*tag)) || self.plain.iter().all(|tag| chip.has_dgi(*tag))
    }

    fn all(self) -> impl Iterator<Item = u16> {
        self.plain.into_iter().chain(self.crt)
    }
}

type Num = Zeroizing<BoxedUint>;

/// A private key that was found to fit.
pub(super) enum Private {
    Crt { p: Num, q: Num, dp: Num, dq: Num, qinv: Num },
    Plain { d: Num, n: Num },
}

impl Private {
    /// The key of qInv, dQ, dP, q and p, when they fit each other for public exponent 3 or 65537.
    pub(super) fn from_crt(parts: [&[u8]; 5]) -> Option<Self> {
        let half = parts.first()?.len();
        let [qinv, dq, dp, q, p] = parts.map(|part| number(part, half));
        let (qinv, dq, dp, q, p) = (qinv?, dq?, dp?, q?, p?);
        let odd = |part: Option<&&[u8]>| part.and_then(|p| p.last()).is_some_and(|b| b & 1 == 1);
        if !odd(parts.get(3))
            || !odd(parts.get(4))
            || *p <= *q
            || *qinv >= *p
            || product_is_one(&qinv, &q, &p) != Some(true)
        {
            return None;
        }
        let less_one = |n: &Num| Zeroizing::new(n.wrapping_sub(Limb::ONE));
        let (p1, q1) = (less_one(&p), less_one(&q));
        let fits = [&[3_u8][..], &[1, 0, 1]].into_iter().any(|e| {
            let Some(e) = number(e, 8) else { return false };
            product_is_one(&dp, &e, &p1) == Some(true) && product_is_one(&dq, &e, &q1) == Some(true)
        });
        (fits && *dp < *p1 && *dq < *q1).then_some(Self::Crt { p, q, dp, dq, qinv })
    }

    /// The key of private exponent and modulus, 80 and zeros behind each left off.
    pub(super) fn from_plain(d: &[u8], n: &[u8]) -> Option<Self> {
        let strip = |value| crate::crypto::mac::strip_bit_padding(value).unwrap_or(value);
        let n = if n.last().is_some_and(|b| b & 1 == 1) { n } else { strip(n) };
        let d = if d.len() > n.len() { d.get(..n.len())? } else { d };
        let odd = n.last().is_some_and(|b| b & 1 == 1);
        odd.then_some(Self::Plain { d: number(d, n.len())?, n: number(n, n.len())? })
    }

    /// Length of the modulus in bytes.
    pub(super) fn modulus_len(&self) -> usize {
        let bits = match self {
            Self::Plain { n, .. } => n.bits(),
            Self::Crt { p, q, .. } => p.concatenating_mul(&**q).bits(),
        };
        usize::try_from(bits.div_ceil(8)).unwrap_or(0)
    }

    /// `block ^ d mod n`, for the dynamic signature of a transaction; `None` never happens for a key that fits.
    pub(super) fn sign(&self, block: &[u8], len: usize) -> Option<Vec<u8>> {
        let c = number(block, block.len())?;
        let m = match self {
            Self::Plain { d, n } => power(&c, d, n)?,
            Self::Crt { p, q, dp, dq, qinv } => {
                // m = m2 + q (qInv (m1 - m2) mod p)
                let (m1, m2) = (power(&c, dp, p)?, power(&c, dq, q)?);
                let nz = NonZero::new((**p).clone()).into_option()?;
                let m2p = m2.rem(&nz);
                let difference = m1.sub_mod(&m2p, &nz);
                let h = difference.mul_mod(&qinv.rem(&nz), &nz);
                Zeroizing::new(h.concatenating_mul(&**q).wrapping_add(&*m2))
            }
        };
        bytes(&m, len)
    }
}

fn number(value: &[u8], len: usize) -> Option<Num> {
    let bits = u32::try_from(len.max(value.len()).checked_mul(8)?).ok()?;
    BoxedUint::from_be_slice(value, bits).ok().map(Zeroizing::new)
}

fn bytes(n: &BoxedUint, len: usize) -> Option<Vec<u8>> {
    let all = Zeroizing::new(n.to_be_bytes());
    let (above, low) = all.split_at_checked(all.len().checked_sub(len)?)?;
    above.iter().all(|b| *b == 0).then(|| low.to_vec())
}

fn power(base: &BoxedUint, exponent: &BoxedUint, modulus: &BoxedUint) -> Option<Num> {
    let params = BoxedMontyParams::new(modulus.to_odd().into_option()?);
    let reduced = base.rem(&NonZero::new(modulus.clone()).into_option()?);
    Some(Zeroizing::new(BoxedMontyForm::new(reduced, &params).pow(exponent).retrieve()))
}

/// Whether `a b` leaves 1 when divided by `m`.
fn product_is_one(a: &BoxedUint, b: &BoxedUint, m: &BoxedUint) -> Option<bool> {
    let product = Zeroizing::new(a.concatenating_mul(b));
    let left = product.rem(&NonZero::new(m.clone()).into_option()?);
    Some(bool::from(left.is_one()))
}

/// The first `len` bytes of a part when what follows is nothing, or 80 and zeros.
fn unpad(value: &Secret, len: usize) -> Option<&[u8]> {
    let (part, padding) = value.expose().split_at_checked(len)?;
    match padding {
        [] => Some(part),
        [0x80, zeros @ ..] if zeros.iter().all(|b| *b == 0) && zeros.len() < 16 => Some(part),
        _ => None,
    }
}

/// Deciphers the parts and checks them against the certified key.
pub(super) fn private_key(
    chip: &Chip<'_>,
    dgis: KeyDgis,
    transport: &Transport<'_>,
    key: &RsaPublic,
) -> Result<Private, &'static str> {
    let crt = dgis.crt.iter().all(|tag| chip.secret(*tag).is_some());
    let plain = chip.secret(dgis.plain[0]).is_some() && chip.has_dgi(dgis.plain[1]);
    let (has_crt, has_plain) =
        (dgis.crt.iter().any(|t| chip.has_dgi(*t)), dgis.plain.iter().any(|t| chip.has_dgi(*t)));
    if has_crt && !crt || has_plain && !plain {
        return Err("a part of the private key is missing or in clear");
    }
    if crt && plain || !crt && !plain {
        return Err("not one form of the private key: 8101 and 8103, or 8201 to 8205");
    }
    let block = transport.algorithm.block();
    if dgis.all().filter_map(|t| chip.secret(t)).any(|v| v.is_empty() || v.len() % block != 0) {
        return Err("a private key part is not whole cipher blocks");
    }
    let mut reason = "the private key does not fit the certified modulus";
    for mode in transport.modes() {
        let tried = if crt {
            try_crt(chip, dgis, transport, mode, key)
        } else {
            try_plain(chip, dgis, transport, mode, key)
        };
        match tried {
            Ok(private) => return Ok(private),
            Err(Mismatch::Other(why)) => reason = why,
            Err(Mismatch::Modulus) => {}
        }
    }
    Err(reason)
}

/// Why one mode of deciphering gives no key.
enum Mismatch {
    /// Not even the modulus: the mode may be wrong.
    Modulus,
    /// The modulus fits, another relation does not.
    Other(&'static str),
}

fn try_crt(
    chip: &Chip<'_>,
    dgis: KeyDgis,
    transport: &Transport<'_>,
    mode: TransportMode,
    key: &RsaPublic,
) -> Result<Private, Mismatch> {
    let half = key.len().div_ceil(2);
    let part = |tag: u16| {
        let plain = chip.secret(tag).and_then(|v| decipher(transport, mode, v))?;
        number(unpad(&plain, half)?, half)
    };
    let [qinv, dq, dp, q, p] = dgis.crt.map(part);
    let (Some(p), Some(q)) = (p, q) else { return Err(Mismatch::Modulus) };
    let product = Zeroizing::new(p.concatenating_mul(&*q));
    if bytes(&product, key.len()).as_deref() != Some(key.modulus()) {
        return Err(Mismatch::Modulus);
    }
    let (Some(qinv), Some(dq), Some(dp)) = (qinv, dq, dp) else {
        return Err(Mismatch::Other("the padding of a private key part is wrong"));
    };
    let e = number(key.exponent(), 8).ok_or(Mismatch::Modulus)?;
    let less_one = |n: &Num| Zeroizing::new(n.wrapping_sub(Limb::ONE));
    let (p1, q1) = (less_one(&p), less_one(&q));
    let relations = [
        (product_is_one(&dp, &e, &p1), *dp < *p1, "dP is not the inverse of e modulo p - 1"),
        (product_is_one(&dq, &e, &q1), *dq < *q1, "dQ is not the inverse of e modulo q - 1"),
        (product_is_one(&qinv, &q, &p), *qinv < *p, "qInv is not the inverse of q modulo p"),
    ];
    for (holds, below, why) in relations {
        if holds != Some(true) || !below {
            return Err(Mismatch::Other(why));
        }
    }
    if *p <= *q {
        return Err(Mismatch::Other("p is not above q"));
    }
    Ok(Private::Crt { p, q, dp, dq, qinv })
}

fn try_plain(
    chip: &Chip<'_>,
    dgis: KeyDgis,
    transport: &Transport<'_>,
    mode: TransportMode,
    key: &RsaPublic,
) -> Result<Private, Mismatch> {
    let len = key.len();
    let [exponent_tag, modulus_tag] = dgis.plain;
    let modulus = match chip.clear(modulus_tag) {
        Some(clear) => Some(Secret::copy_of(clear)),
        None => chip.secret(modulus_tag).and_then(|v| decipher(transport, mode, v)),
    };
    let modulus = modulus.ok_or(Mismatch::Modulus)?;
    if unpad(&modulus, len) != Some(key.modulus()) {
        return Err(Mismatch::Modulus);
    }
    let plain =
        chip.secret(exponent_tag).and_then(|v| decipher(transport, mode, v)).ok_or(Mismatch::Modulus)?;
    let d = unpad(&plain, len).and_then(|v| number(v, len));
    let d = d.ok_or(Mismatch::Other("the padding of a private key part is wrong"))?;
    let n = number(key.modulus(), len).ok_or(Mismatch::Modulus)?;
    let private = Private::Plain { d, n };
    // Without the primes, e d = 1 is seen on values: x^d^e = x for fixed x.
    for seed in [2_u8, 3, 0x5A] {
        let mut block = vec![seed; len];
        if let Some(first) = block.first_mut() {
            *first = 0;
        }
        let back = private.sign(&block, len).and_then(|s| key.apply(&s).ok());
        if back != Some(block) {
            return Err(Mismatch::Other("the private exponent does not undo the public one"));
        }
    }
    Ok(private)
}

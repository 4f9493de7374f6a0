//! Offline data authentication: certificates recovered as a terminal does it (EMV 4.4 Book 2, 5.3, 5.4, 6.3, 6.4, 7.1).

use crate::card::{CardDate, Expiry};
use crate::crypto::hash::sha1;
use crate::crypto::rsa::RsaPublic;

use super::keys::CaPublicKey;

/// A public key that a certificate vouches for.
pub(super) struct Certified {
    pub(super) key: RsaPublic,
    pub(super) expiry: Expiry,
    pub(super) serial: [u8; 3],
    /// Issuer identifier or PAN, as it stands, `F` at the end.
    pub(super) subject: Vec<u8>,
}

type Checked<T> = Result<T, &'static str>;

/// Reads the recovered data front to back.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Checked<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n).ok_or("the recovered data is too short")?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Checked<u8> {
        self.take(1).map(|b| b.first().copied().unwrap_or(0))
    }
}

/// Header 6A, format, trailer BC, hash: common to all formats. Gives what stands between format and hash.
fn recover(key: &RsaPublic, certificate: &[u8], format: u8, hashed: &[&[u8]]) -> Checked<Vec<u8>> {
    if certificate.len() != key.len() {
        return Err("the certificate has another length than its signer's modulus");
    }
    let plain = key.apply(certificate).map_err(|_| "the certificate is not below its signer's modulus")?;
    let [0x6A, found, middle @ .., 0xBC] = plain.as_slice() else {
        return Err("the recovered header or trailer is wrong");
    };
    if *found != format {
        return Err("the certificate format is wrong");
    }
    let (body, hash) = middle.split_last_chunk::<20>().ok_or("the recovered data is too short")?;
    let mut parts: Vec<&[u8]> = vec![core::slice::from_ref(found), body];
    parts.extend_from_slice(hashed);
    if sha1(&parts) != *hash {
        return Err("the hash of the certificate differs");
    }
    Ok(body.to_vec())
}

/// The common layout of formats 02 and 04 after the format byte.
fn public_key(body: &[u8], subject_len: usize, remainder: &[u8], exponent: &[u8]) -> Checked<Certified> {
    let mut fields = Fields(body);
    let subject = fields.take(subject_len)?.to_vec();
    let expiry = fields.take(2)?.try_into().map_err(|_| "the recovered data is too short")?;
    let expiry = Expiry::from_mmyy_bcd(expiry).map_err(|_| "the certificate's expiry is not a month")?;
    let serial = fields.take(3)?.try_into().map_err(|_| "the recovered data is too short")?;
    if (fields.byte()?, fields.byte()?) != (1, 1) {
        return Err("a hash or public key algorithm indicator is not 01");
    }
    let (len, exponent_len) = (usize::from(fields.byte()?), usize::from(fields.byte()?));
    let room = fields.0;
    let mut modulus = room.to_vec();
    if len <= room.len() {
        let (inside, padding) = room.split_at_checked(len).ok_or("the recovered data is too short")?;
        if padding.iter().any(|b| *b != 0xBB) {
            return Err("the padding is not BB");
        }
        if !remainder.is_empty() {
            return Err("a remainder stands beside a modulus that fits");
        }
        modulus = inside.to_vec();
    } else {
        modulus.extend_from_slice(remainder);
        if modulus.len() != len {
            return Err("the remainder has the wrong length");
        }
    }
    if exponent.len() != exponent_len || !matches!(exponent, [3] | [1, 0, 1]) {
        return Err("the exponent is not 03 or 010001 of the stated length");
    }
    if modulus.first().is_none_or(|b| b & 0x80 == 0) {
        return Err("the top bit of the modulus is not set");
    }
    let key = RsaPublic::new(&modulus, exponent).map_err(|_| "the modulus is not one of an RSA key")?;
    Ok(Certified { key, expiry, serial, subject })
}

/// Objects of an issuer or ICC certificate.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) certificate: &'a [u8],
    pub(super) remainder: Option<&'a [u8]>,
    pub(super) exponent: &'a [u8],
}

impl Parts<'_> {
    fn tail(&self) -> Checked<&[u8]> {
        match self.remainder {
            Some([]) => Err("a remainder of no bytes"),
            other => Ok(other.unwrap_or_default()),
        }
    }
}

/// Recovers the issuer public key (Book 2, table 6).
pub(super) fn issuer_key(ca: &CaPublicKey, parts: Parts<'_>, pan: &[u8]) -> Checked<Certified> {
    if !ca.checksum_is_right() {
        return Err("the checksum of the CA public key is wrong");
    }
    let ca_key =
        RsaPublic::new(&ca.modulus, &ca.exponent).map_err(|_| "the CA public key is not an RSA key")?;
    if ca_key.len() > 248 {
        return Err("a modulus is over 248 bytes");
    }
    let remainder = parts.tail()?;
    let body = recover(&ca_key, parts.certificate, 2, &[remainder, parts.exponent])?;
    let issuer = public_key(&body, 4, remainder, parts.exponent)?;
    if issuer.key.len() > ca_key.len() {
        return Err("the issuer's modulus is longer than the CA's");
    }
    let nibbles = super::derive::nibbles(&issuer.subject);
    let digits = nibbles.iter().position(|n| *n == 15).unwrap_or(nibbles.len());
    let (identifier, fill) = nibbles.split_at_checked(digits).unwrap_or_default();
    let form =
        (3..=8).contains(&digits) && identifier.iter().all(|n| *n < 10) && fill.iter().all(|n| *n == 15);
    if !form || !pan.starts_with(identifier) {
        return Err("the issuer identifier does not begin the PAN");
    }
    Ok(issuer)
}

/// Recovers an ICC public key or an ICC PIN encipherment public key (Book 2, tables 15 and 23).
pub(super) fn icc_key(
    issuer: &RsaPublic,
    parts: Parts<'_>,
    static_data: &[u8],
    pan: &[u8],
) -> Checked<Certified> {
    let remainder = parts.tail()?;
    let body = recover(issuer, parts.certificate, 4, &[remainder, parts.exponent, static_data])?;
    let icc = public_key(&body, 10, remainder, parts.exponent)?;
    if icc.key.len() > issuer.len() {
        return Err("the ICC's modulus is longer than the issuer's");
    }
    let mut expected = pan.to_vec();
    expected.resize(20, 15);
    if super::derive::nibbles(&icc.subject) != expected {
        return Err("the PAN of the certificate differs");
    }
    Ok(icc)
}

/// Checks the signed static application data; gives the data authentication code (9F45).
pub(super) fn static_signature(issuer: &RsaPublic, ssad: &[u8], static_data: &[u8]) -> Checked<[u8; 2]> {
    let body = recover(issuer, ssad, 3, &[static_data])?;
    match body.as_slice() {
        [1, d, c, padding @ ..] if padding.iter().all(|b| *b == 0xBB) => Ok([*d, *c]),
        _ => Err("the signed static data has a wrong algorithm or padding"),
    }
}

/// Checks a signed dynamic application data block (format 05); gives the ICC dynamic data.
pub(super) fn dynamic_signature(icc: &RsaPublic, sdad: &[u8], terminal_data: &[u8]) -> Checked<Vec<u8>> {
    let body = recover(icc, sdad, 5, &[terminal_data])?;
    let [1, len, rest @ ..] = body.as_slice() else {
        return Err("the dynamic signature has a wrong algorithm");
    };
    let (data, padding) = rest.split_at_checked(usize::from(*len)).ok_or("the dynamic data is too long")?;
    if padding.iter().any(|b| *b != 0xBB) {
        return Err("the padding is not BB");
    }
    Ok(data.to_vec())
}

/// Whether a certificate is good on a day; certificates are good to the last day of their month.
pub(super) fn good_on(expiry: Expiry, today: Option<CardDate>) -> bool {
    today.is_none_or(|day| expiry.covers(day))
}

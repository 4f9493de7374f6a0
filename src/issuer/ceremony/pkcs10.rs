//! Certification requests of PKCS#10 (RFC 2986) for RSA keys, `sha256WithRSAEncryption`.
//!
//! Three steps, so that the private key may be in a token: [`request_info`], a raw signature over
//! [`signature_block`], [`assemble`].

use crate::crypto::hash::sha256;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Result};

/// rsaEncryption, 1.2.840.113549.1.1.1, with its NULL parameter.
const RSA_ENCRYPTION: &[u8] =
    &[0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];
/// sha256WithRSAEncryption, 1.2.840.113549.1.1.11, with its NULL parameter.
const SHA256_WITH_RSA: &[u8] =
    &[0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B, 0x05, 0x00];
/// DigestInfo of SHA-256 up to the digest (RFC 8017, 9.2).
const DIGEST_INFO_SHA256: &[u8] = &[
    0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// Who asks: attributes of the subject name, each optional but the common name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// commonName, 1 to 64 characters.
    pub common_name: String,
    /// organizationName.
    pub organization: Option<String>,
    /// countryName, two capital letters.
    pub country: Option<String>,
}

/// The CertificationRequestInfo in DER: what is signed.
///
/// # Errors
/// [`ErrorKind::Format`] for a subject that the attributes do not take.
pub fn request_info(subject: &Subject, key: &RsaPublic) -> Result<Vec<u8>> {
    let name = name(subject)?;
    let rsa_key = der(0x30, &[&integer(key.modulus()), &integer(key.exponent())])?;
    let bits = der(0x03, &[&[0x00], &rsa_key])?;
    let spki = der(0x30, &[RSA_ENCRYPTION, &bits])?;
    let attributes = der(0xA0, &[])?;
    der(0x30, &[&[0x02, 0x01, 0x00], &name, &spki, &attributes])
}

/// The block for the raw private operation: EMSA-PKCS1-v1_5 with SHA-256 over `info`, `n` bytes.
///
/// # Errors
/// [`ErrorKind::Length`] for a modulus under 62 bytes.
pub fn signature_block(info: &[u8], n: usize) -> Result<Vec<u8>> {
    let digest = sha256(&[info]);
    let fixed = DIGEST_INFO_SHA256.len().saturating_add(digest.len()).saturating_add(3);
    let fill = n.checked_sub(fixed).filter(|f| *f >= 8).ok_or(ErrorKind::Length {
        expected: "at least 62",
        found: n,
        unit: "bytes",
    })?;
    let mut block = vec![0x00, 0x01];
    block.resize(fill.saturating_add(2), 0xFF);
    block.push(0x00);
    block.extend_from_slice(DIGEST_INFO_SHA256);
    block.extend_from_slice(&digest);
    Ok(block)
}

/// The request in DER. The signature is checked with the key inside the request's own block first.
///
/// # Errors
/// [`ErrorKind::Crypto`] if `signature` is not that of `key` over `info`.
pub fn assemble(info: &[u8], key: &RsaPublic, signature: &[u8]) -> Result<Vec<u8>> {
    if key.apply(signature)? != signature_block(info, key.len())? {
        return Err(ErrorKind::Crypto("the signature of the request is wrong").into());
    }
    let bits = der(0x03, &[&[0x00], signature])?;
    der(0x30, &[info, SHA256_WITH_RSA, &bits])
}

/// The key of a request in DER, whose signature is checked with it. The subject and the attributes are not read.
///
/// # Errors
/// [`ErrorKind::Format`] for anything but a PKCS#10 request of an RSA key with `sha256WithRSAEncryption`;
/// [`ErrorKind::Crypto`] for a wrong signature.
pub fn read(request: &[u8]) -> Result<RsaPublic> {
    let malformed = || ErrorKind::Format("a PKCS#10 request of an RSA key");
    let (whole, rest) = value(request, 0x30).ok_or_else(malformed)?;
    let (info_value, after) = value(whole, 0x30).ok_or_else(malformed)?;
    let info = whole.get(..whole.len().saturating_sub(after.len())).unwrap_or_default();
    let signature = after.strip_prefix(SHA256_WITH_RSA).and_then(|bits| value(bits, 0x03));
    let key = || {
        let (version, after) = value(info_value, 0x02)?;
        let (_, after) = value(after, 0x30)?;
        let (spki, _) = value(after, 0x30)?;
        let (bits, end) = value(spki.strip_prefix(RSA_ENCRYPTION)?, 0x03)?;
        let (key, rest) = value(bits.strip_prefix(&[0x00])?, 0x30)?;
        let (modulus, after) = value(key, 0x02)?;
        let (exponent, last) = value(after, 0x02)?;
        let good = version == [0x00] && end.is_empty() && rest.is_empty() && last.is_empty();
        good.then(|| RsaPublic::new(unsigned(modulus), unsigned(exponent)))
    };
    match (signature, key()) {
        (Some(([0x00, signature @ ..], [])), Some(key)) if rest.is_empty() => {
            let key = key?;
            // Only what this key signed is read back as the same bytes.
            assemble(info, &key, signature).map(|_| key)
        }
        _ => Err(malformed().into()),
    }
}

/// The value of the first element, of this tag, and what follows it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (len, rest) = match *rest {
        [len @ 0..=0x7F, ..] => (usize::from(len), rest.get(1..)?),
        [0x81, len @ 0x80..=0xFF, ..] => (usize::from(len), rest.get(2..)?),
        [0x82, high @ 1..=0xFF, low, ..] => (usize::from(u16::from_be_bytes([high, low])), rest.get(3..)?),
        _ => return None,
    };
    if *found == tag { rest.split_at_checked(len) } else { None }
}

/// The bytes of a positive INTEGER without its leading zero.
fn unsigned(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0x00, rest @ ..] => rest,
        all => all,
    }
}

/// The request as text: PEM with 64 characters a line (RFC 7468).
#[must_use]
pub fn to_pem(request: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    let body = Base64::encode_string(request);
    let mut out = String::from("-----BEGIN CERTIFICATE REQUEST-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END CERTIFICATE REQUEST-----\n");
    out
}

fn name(subject: &Subject) -> Result<Vec<u8>> {
    let bad = || ErrorKind::Format("a subject name (1 to 64 characters; country: two capital letters)");
    let mut parts = Vec::new();
    if let Some(country) = &subject.country {
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(bad().into());
        }
        parts.push(attribute(6, 0x13, country)?);
    }
    for (arc, text) in [(10, subject.organization.as_ref()), (3, Some(&subject.common_name))] {
        let Some(text) = text else { continue };
        if !(1..=64).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err(bad().into());
        }
        parts.push(attribute(arc, 0x0C, text)?);
    }
    let refs: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    der(0x30, &refs)
}

/// One relative distinguished name: attribute 2.5.4.`arc`.
fn attribute(arc: u8, string_tag: u8, text: &str) -> Result<Vec<u8>> {
    let value = der(string_tag, &[text.as_bytes()])?;
    let pair = der(0x30, &[&[0x06, 0x03, 0x55, 0x04, arc], &value])?;
    der(0x31, &[&pair])
}

/// INTEGER of unsigned big-endian bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let pad: &[u8] = if bytes.first().is_some_and(|b| *b >= 0x80) { &[0x00] } else { &[] };
    der(0x02, &[pad, bytes]).unwrap_or_default()
}

fn der(tag: u8, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let value = parts.concat();
    let len = u16::try_from(value.len()).map_err(|_| ErrorKind::Length {
        expected: "at most 65535",
        found: value.len(),
        unit: "bytes",
    })?;
    let [high, low] = len.to_be_bytes();
    let mut out = vec![tag];
    match len {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend_from_slice(&[0x81, low]),
        _ => out.extend_from_slice(&[0x82, high, low]),
    }
    out.extend_from_slice(&value);
    Ok(out)
}

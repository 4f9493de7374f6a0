use crate::bytes::Cursor;
use crate::card::{Expiry, Iin};
use crate::crypto::hash::sha1;
use crate::crypto::mac::equal;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};
use crate::issuer::oda::{CaKeyIndex, CaPublicKey, CertificateSerial, CertifiedIssuerKey, IssuerCertificate};

/// Whose response file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseLayout {
    /// Visa: `24 ‖ service id ‖ identifier ‖ serial ‖ MMYY ‖ remainder length ‖ remainder ‖ exponent length ‖ exponent ‖ CA
    /// index ‖ certificate ‖ detached signature` (PKCS#1 v1.5, SHA-1 with DigestInfo).
    Visa,
    /// Mastercard: `identifier ‖ issuer key index ‖ CA index ‖ remainder ‖ exponent ‖ certificate`, without length bytes.
    Mastercard,
    /// UnionPay: as Visa; the detached signature names its hash algorithm by one byte 01 instead of a DigestInfo.
    UnionPay,
}

/// The signature over the whole response (Visa, UnionPay).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachedSignature {
    /// The signature, as long as the CA modulus.
    pub signature: Vec<u8>,
    /// What it recovers to.
    pub recovered: Vec<u8>,
    /// SHA-1 over the clear part and the recovered certificate.
    pub hash: [u8; 20],
}

/// A response file, read and checked against the CA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaResponse {
    /// Service identifier (Visa, UnionPay), four bytes.
    pub service_id: Option<[u8; 4]>,
    /// Issuer public key index (Mastercard), three bytes.
    pub issuer_key_index: Option<[u8; 3]>,
    /// Index of the CA key that signed.
    pub ca_index: CaKeyIndex,
    /// What the card carries.
    pub certificate: IssuerCertificate,
    /// What the certificate says.
    pub key: CertifiedIssuerKey,
    /// The signature over the whole response (Visa, UnionPay).
    pub detached: Option<DetachedSignature>,
}

/// First byte of a Visa or UnionPay response.
pub(super) const HEADER: u8 = 0x24;

/// ASN.1 DigestInfo of SHA-1 up to the digest (RFC 8017, 9.2).
const DIGEST_INFO_SHA1: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14];

impl CaResponse {
    /// Reads a response file and checks everything in it: CA index, certificate, agreement of the clear part with the
    /// certificate, detached signature. Whether the key is the one that was sent is [`CaResponse::check_key`].
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`], [`ErrorKind::Trailing`] or [`ErrorKind::Format`] for another layout;
    /// [`ErrorKind::Crypto`] for a wrong certificate or signature; [`ErrorKind::Value`] if the parts contradict each other
    /// or the file names another CA key.
    pub fn read(layout: ResponseLayout, file: &[u8], ca: &CaPublicKey) -> Result<Self> {
        let found = match layout {
            ResponseLayout::Visa | ResponseLayout::UnionPay => read_with_lengths(layout, file, ca),
            ResponseLayout::Mastercard => read_mastercard(file, ca),
        };
        found.at("CA response file")
    }

    /// Checks that the certificate is for the key that was sent for certification.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if it is for another one.
    pub fn check_key(&self, sent: &RsaPublic) -> Result<()> {
        if self.key.key == *sent {
            Ok(())
        } else {
            Err(ErrorKind::Value("the certificate is for another key than the one sent").into())
        }
    }
}

fn check_index(index: CaKeyIndex, ca: &CaPublicKey) -> Result<()> {
    if index == ca.index() { Ok(()) } else { Err(ErrorKind::Value("the file names another CA key").into()) }
}

fn contradiction(what: &'static str) -> crate::error::Error {
    ErrorKind::Value(what).into()
}

fn read_with_lengths(layout: ResponseLayout, file: &[u8], ca: &CaPublicKey) -> Result<CaResponse> {
    let n = ca.key().len();
    let mut c = Cursor::new(file);
    if c.u8()? != HEADER {
        return Err(ErrorKind::Format("a response of this scheme (header 24)").into());
    }
    let service_id = c.array()?;
    let identifier = Iin::from_field(c.array()?)?;
    let serial = CertificateSerial(c.array()?);
    let expiry = Expiry::from_mmyy_bcd(c.array()?)?;
    let len = usize::from(c.u8()?);
    let remainder = c.take(len)?.to_vec();
    let len = usize::from(c.u8()?);
    let exponent = c.take(len)?.to_vec();
    let ca_index = CaKeyIndex(c.u8()?);
    check_index(ca_index, ca)?;
    let clear_len = file.len().saturating_sub(c.remaining());
    let certificate = IssuerCertificate { certificate: c.take(n)?.to_vec(), remainder, exponent };
    let signature = c.take(n)?.to_vec();
    c.finish()?;

    let key = certificate.verify(ca)?;
    if (key.identifier, key.serial, key.expiry) != (identifier, serial, expiry) {
        return Err(contradiction("clear part and certificate differ"));
    }
    let clear = file.get(..clear_len).unwrap_or_default();
    let hash = sha1(&[clear, &key.recovered]);
    let recovered = ca.key().apply(&signature)?;
    if !equal(&recovered, &detached_block(layout, n, &hash)) {
        return Err(ErrorKind::Crypto("the detached signature is wrong").into());
    }
    let detached = Some(DetachedSignature { signature, recovered, hash });
    Ok(CaResponse {
        service_id: Some(service_id),
        issuer_key_index: None,
        ca_index,
        certificate,
        key,
        detached,
    })
}

/// `00 01 FF…FF 00 ‖ algorithm ‖ hash`, `n` bytes.
pub(super) fn detached_block(layout: ResponseLayout, n: usize, hash: &[u8; 20]) -> Vec<u8> {
    let algorithm: &[u8] = if layout == ResponseLayout::UnionPay { &[0x01] } else { &DIGEST_INFO_SHA1 };
    let fixed = algorithm.len().saturating_add(hash.len()).saturating_add(3);
    let mut block = vec![0x00, 0x01];
    block.resize(n.saturating_sub(fixed).saturating_add(2), 0xFF);
    block.push(0x00);
    block.extend_from_slice(algorithm);
    block.extend_from_slice(hash);
    block
}

fn read_mastercard(file: &[u8], ca: &CaPublicKey) -> Result<CaResponse> {
    let n = ca.key().len();
    let mut c = Cursor::new(file);
    let identifier = Iin::from_field(c.array()?)?;
    let issuer_key_index = c.array()?;
    let ca_index = CaKeyIndex(c.u8()?);
    check_index(ca_index, ca)?;
    let between =
        c.remaining().checked_sub(n).ok_or(ErrorKind::Truncated { needed: n, left: c.remaining() })?;
    let between = c.take(between)?;
    let certificate = c.rest().to_vec();
    // No length stands in the file: the exponent has one or three bytes, and only one reading fits the certificate.
    let read = |exponent_len: usize| {
        let (remainder, exponent) = between.split_at_checked(between.len().checked_sub(exponent_len)?)?;
        let certificate = IssuerCertificate {
            certificate: certificate.clone(),
            remainder: remainder.to_vec(),
            exponent: exponent.to_vec(),
        };
        certificate.verify(ca).ok().map(|key| (certificate, key))
    };
    let (certificate, key) =
        read(1).or_else(|| read(3)).ok_or(ErrorKind::Crypto("the certificate is not this CA key's"))?;
    if key.identifier != identifier {
        return Err(contradiction("clear part and certificate differ"));
    }
    Ok(CaResponse {
        service_id: None,
        issuer_key_index: Some(issuer_key_index),
        ca_index,
        certificate,
        key,
        detached: None,
    })
}

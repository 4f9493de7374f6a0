use super::frame::{self, Frame, SignBlock};
use super::{ALGORITHMS, CaPublicKey, CertificateSerial, length_byte};
use crate::bytes::Cursor;
use crate::card::{Expiry, Iin, Pan};
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};

/// Certificate format of issuer public keys.
const FORMAT: u8 = 0x02;

/// What an issuer public key certificate says (EMV 4.4 Book 2, table 2).
#[derive(Clone, Copy, Debug)]
pub struct IssuerKeyData<'a> {
    /// The 3 to 8 digits that the PANs begin with.
    pub identifier: Iin,
    /// Month after which the certificate ends.
    pub expiry: Expiry,
    /// Serial number given by the certification authority.
    pub serial: CertificateSerial,
    /// The issuer's key.
    pub key: &'a RsaPublic,
}

/// The block that a certification authority signs (test certification authorities; real ones do it themselves).
///
/// # Errors
/// [`ErrorKind::Length`] for an issuer modulus longer than the authority's, [`ErrorKind::Value`] for one that is no EMV
/// key.
pub fn issuer_certificate_block(ca: &RsaPublic, data: &IssuerKeyData<'_>) -> Result<SignBlock> {
    super::check_public_key(ca.modulus(), ca.exponent()).at("CA public key")?;
    super::check_public_key(data.key.modulus(), data.key.exponent()).at("issuer public key")?;
    super::check_modulus_order(ca, data.key).at("issuer public key")?;
    let [m, y] = data.expiry.mmyy_bcd();
    let [i0, i1, i2, i3] = data.identifier.to_field();
    let [s0, s1, s2] = data.serial.0;
    let [hash, algorithm] = ALGORITHMS;
    let head = [
        FORMAT,
        i0,
        i1,
        i2,
        i3,
        m,
        y,
        s0,
        s1,
        s2,
        hash,
        algorithm,
        length_byte(data.key.len())?,
        length_byte(data.key.exponent().len())?,
    ];
    frame::build(ca.len(), &head, data.key.modulus(), &[data.key.exponent()])
}

/// The block of a self-certificate of an issuer key: `head` (format byte first), as much of the modulus as fits, SHA-1 over
/// both, the rest of the modulus and the exponent. For requests to a certification authority.
///
/// # Errors
/// [`ErrorKind::Length`] if the modulus has no room for the head.
pub(crate) fn self_certificate_block(key: &RsaPublic, head: &[u8]) -> Result<SignBlock> {
    frame::build(key.len(), head, key.modulus(), &[key.exponent()])
}

/// An issuer public key certificate with what goes beside it on the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerCertificate {
    /// Tag 90.
    pub certificate: Vec<u8>,
    /// Tag 92; empty where the card has none.
    pub remainder: Vec<u8>,
    /// Tag 9F32.
    pub exponent: Vec<u8>,
}

/// An issuer key as its certificate shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedIssuerKey {
    /// The digits that the PANs begin with.
    pub identifier: Iin,
    /// Month after which the certificate ends.
    pub expiry: Expiry,
    /// Serial number given by the certification authority.
    pub serial: CertificateSerial,
    /// The issuer's key.
    pub key: RsaPublic,
    /// The hash result inside.
    pub hash: [u8; 20],
    /// All recovered bytes.
    pub recovered: Vec<u8>,
}

impl IssuerCertificate {
    /// Recovers and checks the certificate (EMV 4.4 Book 2, 5.3). Revocation and today's date are the caller's.
    ///
    /// # Errors
    /// [`ErrorKind::Length`], [`ErrorKind::Crypto`] or [`ErrorKind::Format`] for a certificate that is not this
    /// authority's, or whose remainder or exponent do not fit it.
    pub fn verify(&self, ca: &CaPublicKey) -> Result<CertifiedIssuerKey> {
        self.verify_with(ca.key()).at_with(|| format!("issuer certificate under CA key {}", ca.index()))
    }

    /// As [`IssuerCertificate::verify`], under a bare key.
    pub(crate) fn verify_with(&self, ca: &RsaPublic) -> Result<CertifiedIssuerKey> {
        let frame = Frame::recover(ca, &self.certificate, FORMAT)?;
        frame.check_hash(&[&self.remainder, &self.exponent])?;
        let mut c = Cursor::new(frame.body());
        let _format = c.u8()?;
        let identifier = Iin::from_field(c.array()?)?;
        let expiry = Expiry::from_mmyy_bcd(c.array()?)?;
        let serial = CertificateSerial(c.array()?);
        if c.array::<2>()? != ALGORITHMS {
            return Err(ErrorKind::Unsupported("the algorithm of the certificate").into());
        }
        let (key_len, exponent_len) = (usize::from(c.u8()?), usize::from(c.u8()?));
        let key = frame::key_from_parts(c.rest(), key_len, &self.remainder, exponent_len, &self.exponent)?;
        let (hash, recovered) = (frame.hash(), frame.block().to_vec());
        Ok(CertifiedIssuerKey { identifier, expiry, serial, key, hash, recovered })
    }
}

impl CertifiedIssuerKey {
    /// Checks that a card of this PAN and expiry may carry the certificate: the identifier begins the PAN, and the
    /// card ends no later than the certificate.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] that names the rule.
    pub fn check_card(&self, pan: &Pan, expiry: Expiry) -> Result<()> {
        if !pan.begins_with(&self.identifier) {
            return Err(ErrorKind::Value("the PAN does not begin with the certificate's identifier").into());
        }
        if expiry > self.expiry {
            return Err(ErrorKind::Value("the card outlives its issuer certificate").into());
        }
        Ok(())
    }
}

use std::fmt;

use zeroize::Zeroizing;

use super::frame::{self, Frame, SignBlock};
use super::{ALGORITHMS, CertificateSerial, length_byte};
use crate::bytes::{Cursor, pack_digits};
use crate::card::{Expiry, Pan};
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};

/// Certificate format of ICC public keys and ICC PIN-encipherment public keys.
const FORMAT: u8 = 0x04;

/// Which key of the card a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IccKeyKind {
    /// ICC public key (9F46, 9F47, 9F48): the hash covers the static data to be authenticated.
    Authentication,
    /// ICC PIN-encipherment public key (9F2D, 9F2E, 9F2F): no static data in the hash.
    PinEncipherment,
}

/// What an ICC public key certificate says (EMV 4.4 Book 2, tables 13 and 23).
#[derive(Clone, Copy, Debug)]
pub struct IccKeyData<'a> {
    /// The card.
    pub pan: &'a Pan,
    /// The card's expiry.
    pub expiry: Expiry,
    /// Serial number given by the issuer.
    pub serial: CertificateSerial,
    /// The card's key.
    pub key: &'a RsaPublic,
}

/// The block of an ICC public key certificate under the issuer's key. `static_data` is what EMV 4.4 Book 3, 10.3 says:
/// the static data to be authenticated of the interface that reads the certificate.
///
/// # Errors
/// [`ErrorKind::Length`] for an ICC modulus longer than the issuer's, [`ErrorKind::Value`] for a key that is no EMV key.
/// Whether the certificate fits a record is another question: see
/// [`check_issuer_certifies`](super::check_issuer_certifies).
pub fn icc_certificate_block(
    issuer: &RsaPublic,
    data: &IccKeyData<'_>,
    static_data: &[u8],
) -> Result<SignBlock> {
    let pan = pan_field(data.pan);
    key_certificate_block(issuer, &pan, data.expiry, data.serial, data.key, static_data).at("ICC certificate")
}

/// The block of an ICC PIN-encipherment public key certificate: as [`icc_certificate_block`], without static data.
///
/// # Errors
/// As [`icc_certificate_block`].
pub fn pin_certificate_block(issuer: &RsaPublic, data: &IccKeyData<'_>) -> Result<SignBlock> {
    let pan = pan_field(data.pan);
    key_certificate_block(issuer, &pan, data.expiry, data.serial, data.key, &[])
        .at("ICC PIN-encipherment certificate")
}

/// Ten bytes: the PAN, padded right with `F`.
pub(crate) fn pan_field(pan: &Pan) -> Zeroizing<[u8; 10]> {
    let mut digits = Zeroizing::new([0xF; 20]);
    for (slot, d) in digits.iter_mut().zip(pan.digits()) {
        *slot = *d;
    }
    let packed = Zeroizing::new(pack_digits(digits.as_slice(), 0xF));
    let mut field = Zeroizing::new([0; 10]);
    for (slot, b) in field.iter_mut().zip(packed.iter()) {
        *slot = *b;
    }
    field
}

/// As [`icc_certificate_block`], the PAN field given.
pub(crate) fn key_certificate_block(
    issuer: &RsaPublic,
    pan: &[u8; 10],
    expiry: Expiry,
    serial: CertificateSerial,
    key: &RsaPublic,
    static_data: &[u8],
) -> Result<SignBlock> {
    super::check_public_key(issuer.modulus(), issuer.exponent()).at("issuer public key")?;
    super::check_public_key(key.modulus(), key.exponent()).at("ICC public key")?;
    super::check_modulus_order(issuer, key).at("ICC public key")?;
    let mut head = Zeroizing::new(Vec::with_capacity(20));
    head.push(FORMAT);
    head.extend_from_slice(pan);
    head.extend_from_slice(&expiry.mmyy_bcd());
    head.extend_from_slice(&serial.0);
    head.extend_from_slice(&ALGORITHMS);
    head.push(length_byte(key.len())?);
    head.push(length_byte(key.exponent().len())?);
    frame::build(issuer.len(), &head, key.modulus(), &[key.exponent(), static_data])
}

/// An ICC public key certificate with what goes beside it on the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IccCertificate {
    /// Tag 9F46 or 9F2D.
    pub certificate: Vec<u8>,
    /// Tag 9F48 or 9F2F; empty where the card has none.
    pub remainder: Vec<u8>,
    /// Tag 9F47 or 9F2E.
    pub exponent: Vec<u8>,
}

/// An ICC key as its certificate shows it. Holds the PAN: redacted in Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct CertifiedIccKey {
    /// The PAN field: ten bytes, padded right with `F`.
    pub pan_field: [u8; 10],
    /// The card's expiry.
    pub expiry: Expiry,
    /// Serial number given by the issuer.
    pub serial: CertificateSerial,
    /// The card's key.
    pub key: RsaPublic,
    /// The hash result inside.
    pub hash: [u8; 20],
    /// All recovered bytes.
    pub recovered: Vec<u8>,
}

impl IccCertificate {
    /// Recovers and checks the certificate (EMV 4.4 Book 2, 6.4 and 7.1).
    ///
    /// `static_data` enters for [`IccKeyKind::Authentication`] only.
    ///
    /// # Errors
    /// [`ErrorKind::Length`], [`ErrorKind::Crypto`] or [`ErrorKind::Format`] for a certificate that is not this
    /// issuer's, whose remainder or exponent do not fit, or that is over other static data.
    pub fn verify(
        &self,
        issuer: &RsaPublic,
        kind: IccKeyKind,
        static_data: &[u8],
    ) -> Result<CertifiedIccKey> {
        let static_data = match kind {
            IccKeyKind::Authentication => static_data,
            IccKeyKind::PinEncipherment => &[],
        };
        let (frame, found) = self.recover_frame(issuer).at("ICC certificate")?;
        frame.check_hash(&[&self.remainder, &self.exponent, static_data]).at("ICC certificate")?;
        Ok(found)
    }

    /// As [`IccCertificate::verify`] without the hash: for a certificate whose static data are not at hand. What it
    /// says is not authenticated.
    ///
    /// # Errors
    /// As [`IccCertificate::verify`].
    pub fn recover(&self, issuer: &RsaPublic) -> Result<CertifiedIccKey> {
        self.recover_frame(issuer).map(|(_, found)| found).at("ICC certificate")
    }

    fn recover_frame(&self, issuer: &RsaPublic) -> Result<(Frame, CertifiedIccKey)> {
        let frame = Frame::recover(issuer, &self.certificate, FORMAT)?;
        let mut c = Cursor::new(frame.body());
        let _format = c.u8()?;
        let pan_field = c.array()?;
        let expiry = Expiry::from_mmyy_bcd(c.array()?)?;
        let serial = CertificateSerial(c.array()?);
        if c.array::<2>()? != ALGORITHMS {
            return Err(ErrorKind::Unsupported("the algorithm of the certificate").into());
        }
        let (key_len, exponent_len) = (usize::from(c.u8()?), usize::from(c.u8()?));
        let key = frame::key_from_parts(c.rest(), key_len, &self.remainder, exponent_len, &self.exponent)?;
        let (hash, recovered) = (frame.hash(), frame.block().to_vec());
        Ok((frame, CertifiedIccKey { pan_field, expiry, serial, key, hash, recovered }))
    }
}

impl CertifiedIccKey {
    /// Whether the certificate is for this PAN.
    #[must_use]
    pub fn is_for(&self, pan: &Pan) -> bool {
        crate::crypto::mac::equal(&self.pan_field, pan_field(pan).as_slice())
    }
}

impl fmt::Debug for CertifiedIccKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertifiedIccKey(serial {}, {} bytes)", self.serial, self.key.len())
    }
}

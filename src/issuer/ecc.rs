//! Offline data authentication with elliptic curves, as far as the public worked examples of EMV Contactless Book E
//! reach: issuer certificates (format 12) and ICC certificates (format 14), signed with EC-SDSA. No profile uses it yet.
//!
//! The ICC certificate is laid out as the worked example shows it, with the algorithm suite of the ICC key after the
//! encoding byte.

use crate::bytes::{Cursor, pack_digits};
use crate::card::{CardDate, Iin};
use crate::crypto::aes::{self, AesKey};
use crate::crypto::ecsdsa::{EcCurve, EcPrivate, EcPublic};
use crate::crypto::rng::StreamRng;
use crate::error::{ErrorKind, Place, Result};
use crate::issuer::oda::{CaKeyIndex, CertificateSerial, Rid};

/// Certificate format of issuer keys.
const ISSUER: u8 = 0x12;
/// Certificate format of ICC keys.
const ICC: u8 = 0x14;
/// The only certificate encoding.
const ENCODING: u8 = 0x00;
/// ICCD hash encoding and ICCD hash algorithm of the examples: SHA-256.
const ICCD_HASH: [u8; 2] = [0x01, 0x02];

/// Algorithm suite indicator of a signing key.
#[must_use]
pub const fn suite(curve: EcCurve) -> u8 {
    match curve {
        EcCurve::P256 => 0x10,
        EcCurve::P521 => 0x11,
    }
}

fn curve_of_suite(suite: u8) -> Result<EcCurve> {
    match suite {
        0x10 => Ok(EcCurve::P256),
        0x11 => Ok(EcCurve::P521),
        _ => Err(ErrorKind::Unsupported("this algorithm suite").into()),
    }
}

/// What an issuer certificate (format 12) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcIssuerCertificate {
    /// The digits that the PANs begin with.
    pub identifier: Iin,
    /// Last day of the certificate.
    pub expiry: CardDate,
    /// Serial number given by the certification authority.
    pub serial: CertificateSerial,
    /// The scheme.
    pub rid: Rid,
    /// Index of the CA key that signs.
    pub ca_index: CaKeyIndex,
    /// The issuer's key.
    pub key: EcPublic,
}

impl EcIssuerCertificate {
    /// What is signed.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        let mut out = vec![ISSUER, ENCODING];
        let mut identifier = pack_digits(self.identifier.digits(), 0xF);
        identifier.resize(5, 0xFF);
        out.extend_from_slice(&identifier);
        out.push(suite(self.key.curve()));
        out.extend_from_slice(&date_field(self.expiry));
        out.extend_from_slice(&self.serial.0);
        out.extend_from_slice(&self.rid.0);
        out.push(self.ca_index.0);
        out.extend_from_slice(self.key.x());
        out
    }

    /// The certificate under the CA key.
    ///
    /// # Errors
    /// As [`EcPrivate::sign`].
    pub fn sign(&self, ca: &EcPrivate, rng: &mut StreamRng) -> Result<Vec<u8>> {
        let mut out = self.to_be_signed();
        let signature = ca.sign(&out, rng)?;
        out.extend_from_slice(&signature);
        Ok(out)
    }

    /// Reads and checks a certificate.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] for a wrong signature, [`ErrorKind::Format`] or [`ErrorKind::Truncated`] for another layout.
    pub fn verify(certificate: &[u8], ca: &EcPublic) -> Result<Self> {
        let signed = check_signature(certificate, ca).at("issuer certificate")?;
        read_issuer(signed).at("issuer certificate")
    }
}

fn read_issuer(signed: &[u8]) -> Result<EcIssuerCertificate> {
    let mut c = Cursor::new(signed);
    if c.array()? != [ISSUER, ENCODING] {
        return Err(ErrorKind::Format("an issuer certificate of format 12").into());
    }
    let [a, b, d, e, last] = c.array()?;
    if last != 0xFF {
        return Err(ErrorKind::Format("an issuer identifier of at most eight digits").into());
    }
    let identifier = Iin::from_field([a, b, d, e])?;
    let curve = curve_of_suite(c.u8()?)?;
    let expiry = read_date(&mut c)?;
    let (serial, rid, ca_index) = (CertificateSerial(c.array()?), Rid(c.array()?), CaKeyIndex(c.u8()?));
    let key = EcPublic::new(curve, c.rest())?;
    Ok(EcIssuerCertificate { identifier, expiry, serial, rid, ca_index, key })
}

/// What an ICC certificate (format 14) says. The PAN is not in it: the hash of the ICC data binds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcIccCertificate {
    /// Algorithm suite of the ICC key (secure channel), one byte; 00 in the worked example.
    pub suite: u8,
    /// Last day of the certificate.
    pub expiry: CardDate,
    /// Hour and minute of that day, two bytes binary-coded decimal.
    pub expiry_time: [u8; 2],
    /// Serial number given by the issuer, six bytes.
    pub serial: [u8; 6],
    /// SHA-256 of the static data to be authenticated.
    pub iccd_hash: [u8; 32],
    /// The card's key on P-256.
    pub key: EcPublic,
}

impl EcIccCertificate {
    /// What is signed.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        let mut out = vec![ICC, ENCODING, self.suite];
        out.extend_from_slice(&date_field(self.expiry));
        out.extend_from_slice(&self.expiry_time);
        out.extend_from_slice(&self.serial);
        out.extend_from_slice(&ICCD_HASH);
        out.extend_from_slice(&self.iccd_hash);
        out.extend_from_slice(self.key.x());
        out
    }

    /// The certificate under the issuer key.
    ///
    /// # Errors
    /// As [`EcPrivate::sign`].
    pub fn sign(&self, issuer: &EcPrivate, rng: &mut StreamRng) -> Result<Vec<u8>> {
        let mut out = self.to_be_signed();
        let signature = issuer.sign(&out, rng)?;
        out.extend_from_slice(&signature);
        Ok(out)
    }

    /// Reads and checks a certificate.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] for a wrong signature, [`ErrorKind::Format`] or [`ErrorKind::Truncated`] for another layout.
    pub fn verify(certificate: &[u8], issuer: &EcPublic) -> Result<Self> {
        let signed = check_signature(certificate, issuer).at("ICC certificate")?;
        read_icc(signed).at("ICC certificate")
    }
}

fn read_icc(signed: &[u8]) -> Result<EcIccCertificate> {
    let mut c = Cursor::new(signed);
    if c.array()? != [ICC, ENCODING] {
        return Err(ErrorKind::Format("an ICC certificate of format 14").into());
    }
    let suite = c.u8()?;
    let expiry = read_date(&mut c)?;
    let (expiry_time, serial) = (c.array()?, c.array()?);
    if c.array()? != ICCD_HASH {
        return Err(ErrorKind::Unsupported("this hash of the ICC data").into());
    }
    let iccd_hash = c.array()?;
    let key = EcPublic::new(EcCurve::P256, c.rest())?;
    Ok(EcIccCertificate { suite, expiry, expiry_time, serial, iccd_hash, key })
}

/// The signed part of a certificate whose signature is good.
fn check_signature<'a>(certificate: &'a [u8], signer: &EcPublic) -> Result<&'a [u8]> {
    let len = signer.curve().signature_len();
    let at = certificate
        .len()
        .checked_sub(len)
        .ok_or(ErrorKind::Truncated { needed: len, left: certificate.len() })?;
    let (signed, signature) = certificate.split_at_checked(at).unwrap_or_default();
    signer.verify(signed, signature)?;
    Ok(signed)
}

/// YYYYMMDD, four bytes.
fn date_field(day: CardDate) -> [u8; 4] {
    let [y, m, d] = day.bcd();
    [0x20, y, m, d]
}

fn read_date(c: &mut Cursor<'_>) -> Result<CardDate> {
    let [century, y, m, d] = c.array()?;
    if century != 0x20 {
        return Err(ErrorKind::Format("a day of the years 2000 to 2099").into());
    }
    CardDate::from_yymmdd(&format!("{y:02X}{m:02X}{d:02X}"))
}

/// Record confidentiality of Book E: AES in counter mode, `start` the first counter block, data of any length.
#[must_use]
pub fn aes_ctr(key: &AesKey, start: [u8; aes::BLOCK], data: &[u8]) -> Vec<u8> {
    let mut counter = u128::from_be_bytes(start);
    let mut out = Vec::with_capacity(data.len());
    for chunk in data.chunks(aes::BLOCK) {
        let stream = key.encrypt_block(counter.to_be_bytes());
        out.extend(chunk.iter().zip(stream).map(|(a, b)| a ^ b));
        counter = counter.wrapping_add(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::secret::Secret;

    fn private(curve: EcCurve, fill: u8) -> EcPrivate {
        let mut d = vec![fill; curve.field_len()];
        d[0] = 0;
        EcPrivate::new(curve, &Secret::new(d)).unwrap()
    }

    #[test]
    fn the_worked_example_of_an_issuer_certificate() {
        // EMV Contactless Book E, worked examples, as reprinted by Digrol/Denom.
        let signed = "120054133390FF1020301231123456A000000004E0CD7400578B1164FEA954658C763C5A94FB3514FA89DB5B3B447AE8F4D5DF870A";
        let signature = "739061ADBC6FC71C8864EA9D3D6BAB5C9501C058D895FE0F69D92E22412953DC1ACCCBBE60809C5694C739CA54CC3FF4CF0964E1B946C3ED00C4E572A5021988";
        let ca_x = hex::decode("F60DAECD42B48FCCA547D942204D6098F1A353A5CD25CBDF2EC1ABFD0170E0FC").unwrap();
        let ca = EcPublic::new(EcCurve::P256, &ca_x).unwrap();
        let certificate = hex::decode(format!("{signed}{signature}")).unwrap();
        let found = EcIssuerCertificate::verify(&certificate, &ca).unwrap();
        assert_eq!(found.identifier.to_string(), "54133390");
        assert_eq!(found.expiry.bcd(), [0x30, 0x12, 0x31]);
        assert_eq!((found.rid.to_string(), found.ca_index.0), ("A000000004".into(), 0xE0));
        assert_eq!(hex::encode_upper(found.to_be_signed()), signed);
        let mut bad = certificate.clone();
        bad[20] ^= 1;
        assert!(EcIssuerCertificate::verify(&bad, &ca).is_err());
        assert!(EcIssuerCertificate::verify(&certificate[..40], &ca).is_err());
    }

    #[test]
    fn the_layout_of_the_worked_example_of_an_icc_certificate() {
        let signed = "140000202912312359987654321000010260D3FB0E45A5E64834880571152BE93E241D216D407F6F000C263B1CC87517AF43CA1837F6B4321CA70262902037EFCE790DC583828AEA628FFAAEFC08618658";
        let bytes = hex::decode(signed).unwrap();
        let found = read_icc(&bytes).unwrap();
        assert_eq!((found.suite, found.expiry_time), (0, [0x23, 0x59]));
        assert_eq!(hex::encode_upper(found.serial), "987654321000");
        assert_eq!(found.to_be_signed(), bytes);
    }

    #[test]
    fn certificates_read_back() {
        let mut rng = Seed::fixed([6; 32]).named_stream(b"ecc", Purpose::TestIssuer).rng();
        for signer in [EcCurve::P256, EcCurve::P521] {
            let ca = private(signer, 7);
            for curve in [EcCurve::P256, EcCurve::P521] {
                let certificate = EcIssuerCertificate {
                    identifier: "476173".parse().unwrap(),
                    expiry: CardDate::from_yymmdd("311231").unwrap(),
                    serial: CertificateSerial([1, 2, 3]),
                    rid: Rid([0xA0, 0, 0, 0, 3]),
                    ca_index: CaKeyIndex(0x20),
                    key: private(curve, 9).public().clone(),
                };
                let bytes = certificate.sign(&ca, &mut rng).unwrap();
                assert_eq!(EcIssuerCertificate::verify(&bytes, ca.public()).unwrap(), certificate);
                assert!(EcIccCertificate::verify(&bytes, ca.public()).is_err());
            }
            let icc = EcIccCertificate {
                suite: 0,
                expiry: CardDate::from_yymmdd("290630").unwrap(),
                expiry_time: [0x23, 0x59],
                serial: [1, 2, 3, 4, 5, 6],
                iccd_hash: [8; 32],
                key: private(EcCurve::P256, 5).public().clone(),
            };
            let bytes = icc.sign(&ca, &mut rng).unwrap();
            assert_eq!(EcIccCertificate::verify(&bytes, ca.public()).unwrap(), icc);
        }
    }

    #[test]
    fn counter_mode_undoes_itself_and_wraps() {
        let key = AesKey::from_bytes(&[3; 16]).unwrap();
        let data: Vec<u8> = (0..45).collect();
        let out = aes_ctr(&key, [0xFF; 16], &data);
        assert_eq!(aes_ctr(&key, [0xFF; 16], &out), data);
    }
}

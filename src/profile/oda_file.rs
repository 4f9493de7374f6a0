//! `oda/XX/oda.toml`: the issuer's RSA key of one `odaKeyIndex` and its certificates from the scheme CA.

use serde::Deserialize;
use toml::Spanned;

use super::finding::Source;
use crate::card::{Expiry, Iin, Pan};
use crate::crypto::rsa::RsaPublic;
use crate::issuer::oda::{CaKeyIndex, CaPublicKey, IssuerCertificate, Rid};
use crate::keys::KeyIndex;

/// One issuer RSA key with its certificates, checked against the CA key.
#[derive(Clone, Debug)]
pub struct OdaKey {
    /// `odaKeyIndex`.
    pub index: KeyIndex,
    /// Registered application provider identifier of the scheme.
    pub rid: Rid,
    /// Where the private key stands, relative to the issuer directory (PKCS#8 PBES2, PEM or DER).
    pub private_key_file: String,
    /// Last month of the CA key, when the file says it.
    pub ca_expiry: Option<Expiry>,
    /// One for each issuer identifier, longest identifier first.
    pub certificates: Vec<OdaCertificate>,
}

/// One issuer public key certificate.
#[derive(Clone, Debug)]
pub struct OdaCertificate {
    /// The digits that PANs of this certificate begin with.
    pub identifier: Iin,
    /// CA public key index (tag 8F).
    pub ca_index: u8,
    /// CA public key, as the certificate was checked with.
    pub ca: CaPublicKey,
    /// Tags 90, 92 and 9F32.
    pub certificate: IssuerCertificate,
    /// The issuer's public key, recovered.
    pub key: RsaPublic,
    /// Expiry, recovered.
    pub expiry: Expiry,
}

impl OdaKey {
    /// The certificate with the longest identifier that begins the PAN.
    #[must_use]
    pub fn certificate_for(&self, pan: &Pan) -> Option<&OdaCertificate> {
        self.certificates.iter().find(|c| pan.begins_with(&c.identifier))
    }

    /// Modulus of the issuer key, bytes.
    #[must_use]
    pub fn modulus_len(&self) -> usize {
        self.certificates.first().map_or(0, |c| c.key.len())
    }

    /// Modulus of the CA key, bytes.
    #[must_use]
    pub fn ca_modulus_len(&self) -> usize {
        self.certificates.first().map_or(0, |c| c.ca.key().len())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    rid: Spanned<String>,
    ca_modulus: Spanned<String>,
    ca_exponent: Spanned<String>,
    ca_expiry: Option<Spanned<String>>,
    private_key: Spanned<String>,
    #[serde(rename = "certificate")]
    certificates: Vec<Spanned<Certificate>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    issuer_identifier: Spanned<String>,
    ca_index: Spanned<String>,
    certificate: Spanned<String>,
    #[serde(default)]
    remainder: Option<Spanned<String>>,
    exponent: Spanned<String>,
}

/// Reads one `oda.toml`. `today` (when known) turns keys that have ended, or end within so many `months`, into findings.
pub(super) fn read(
    source: &mut Source<'_>,
    index: KeyIndex,
    today: Option<crate::card::CardDate>,
    months: u16,
) -> Option<OdaKey> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    let Ok(rid) = crate::bytes::array_from_hex::<5>(file.rid.get_ref()).map(Rid) else {
        source.error(file.rid.span().start, "value", "rid: five bytes");
        return None;
    };
    let modulus = source.hex("ca_modulus", &file.ca_modulus)?;
    let exponent = source.hex("ca_exponent", &file.ca_exponent)?;
    let ca_expiry = file.ca_expiry.as_ref().and_then(|text| {
        let at = text.span().start;
        match Expiry::from_yymm(text.get_ref()) {
            Err(e) => {
                source.error(at, "value", format!("ca_expiry: {e}"));
                None
            }
            Ok(end) => {
                match today {
                    Some(today) if !end.covers(today) => source.warning(at, "ca-key", "the CA key has ended"),
                    Some(today) if months_between(today, end) <= i32::from(months) => {
                        source.warning(at, "ca-key", format!("the CA key ends within {months} months"));
                    }
                    _ => {}
                }
                Some(end)
            }
        }
    });
    let mut certificates = Vec::new();
    for raw in &file.certificates {
        let at = raw.span().start;
        let raw = raw.get_ref();
        let identifier: Iin = source.value("issuer_identifier", &raw.issuer_identifier)?;
        let ca_index = source.value::<KeyIndex>("ca_index", &raw.ca_index)?.0;
        let certificate = source.hex("certificate", &raw.certificate)?;
        let remainder = match &raw.remainder {
            Some(text) => source.hex("remainder", text)?,
            None => Vec::new(),
        };
        let key_exponent = source.hex("exponent", &raw.exponent)?;
        let ca = match CaPublicKey::new(rid, CaKeyIndex(ca_index), &modulus, &exponent) {
            Ok(ca) => ca,
            Err(e) => {
                source.error(file.ca_modulus.span().start, "ca-key", format!("CA public key: {e}"));
                return None;
            }
        };
        let certificate = IssuerCertificate { certificate, remainder, exponent: key_exponent };
        let read = match certificate.verify(&ca) {
            Ok(read) => read,
            Err(e) => {
                source.error(at, "issuer-certificate", format!("issuer certificate: {e}"));
                continue;
            }
        };
        if read.identifier != identifier {
            source.error(at, "issuer-certificate", "issuer_identifier differs from the certificate's");
        }
        if certificates.iter().any(|c: &OdaCertificate| c.identifier == identifier) {
            source.error(at, "issuer-certificate", "this issuer identifier stands twice");
        }
        if ca_expiry.is_some_and(|end| read.expiry > end) {
            source.error(at, "issuer-certificate", "the issuer certificate outlives its CA key");
        }
        if let Some(today) = today {
            if !read.expiry.covers(today) {
                source.warning(at, "issuer-certificate", "the issuer certificate has ended");
            } else if months_between(today, read.expiry) <= i32::from(months) {
                let text = format!("the issuer certificate ends within {months} months");
                source.warning(at, "issuer-certificate", text);
            }
        }
        certificates.push(OdaCertificate {
            identifier,
            ca_index,
            ca,
            certificate,
            key: read.key,
            expiry: read.expiry,
        });
    }
    if certificates.iter().any(|c| Some(c.key.modulus()) != certificates.first().map(|f| f.key.modulus())) {
        source.error(0, "issuer-certificate", "the certificates are for different keys");
    }
    if certificates.is_empty() {
        source.error(0, "issuer-certificate", "there is no certificate that can be used");
        return None;
    }
    certificates.sort_by_key(|c| std::cmp::Reverse(c.identifier.digits().len()));
    let private_key_file = format!("oda/{index}/{}", file.private_key.get_ref());
    if file.private_key.get_ref().contains(['/', '\\']) {
        source.error(file.private_key.span().start, "value", "private_key: a file name in the same folder");
    }
    Some(OdaKey { index, rid, private_key_file, ca_expiry, certificates })
}

fn months_between(today: crate::card::CardDate, end: Expiry) -> i32 {
    let months = |year: u8, month: u8| i32::from(year).saturating_mul(12).saturating_add(i32::from(month));
    months(end.year(), end.month()).saturating_sub(months(today.year(), today.month()))
}

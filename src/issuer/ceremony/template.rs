//! Request files in an order of fields that the issuer writes down from its scheme's manual.
//!
//! A template is a list of field names. The same template serves the request file and, with other fields, the file of its
//! hash. A self-certificate is described by the fields of its head; its frame is that of all EMV certificates
//! (`6A ‖ head ‖ leftmost modulus bytes ‖ SHA-1 ‖ BC`).

use crate::bytes::{from_hex, hex_upper};
use crate::card::{Expiry, Iin};
use crate::crypto::hash::sha1;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};
use crate::issuer::oda::{SignBlock, self_certificate_block};

/// One field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `constant:22`: these bytes.
    Constant(Vec<u8>),
    /// `identifier:N`: the issuer identifier, padded right with `F` to `N` bytes.
    Identifier(usize),
    /// `service-id`: four bytes.
    ServiceId,
    /// `tracking`: three bytes.
    Tracking,
    /// `key-index`: three bytes, the issuer's own number of the key.
    KeyIndex,
    /// `serial`: three bytes.
    Serial,
    /// `expiry`: MMYY, two bytes.
    Expiry,
    /// `modulus-length:N`: in `N` bytes (1 or 2).
    ModulusLength(usize),
    /// `modulus`: all of it.
    Modulus,
    /// `modulus-left`: what the self-certificate holds of it.
    ModulusLeft,
    /// `remainder`: what the self-certificate does not hold of it.
    Remainder,
    /// `exponent-length`: one byte.
    ExponentLength,
    /// `exponent`: one or three bytes.
    Exponent,
    /// `self-certificate`: as long as the modulus.
    SelfCertificate,
    /// `sha1`: over all fields before it in the same list.
    Sha1,
}

impl std::str::FromStr for Field {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || ErrorKind::Unknown("this field of a request");
        let (name, argument) = text.split_once(':').map_or((text, None), |(n, a)| (n, Some(a)));
        let count = |allowed: std::ops::RangeInclusive<usize>| {
            let n: Option<usize> = argument.and_then(|a| a.parse().ok());
            n.filter(|n| allowed.contains(n)).ok_or(ErrorKind::Format("a field with its number of bytes"))
        };
        Ok(match (name, argument) {
            ("constant", Some(hex)) => Self::Constant(from_hex(hex)?),
            ("identifier", _) => Self::Identifier(count(3..=8)?),
            ("modulus-length", _) => Self::ModulusLength(count(1..=2)?),
            ("service-id", None) => Self::ServiceId,
            ("tracking", None) => Self::Tracking,
            ("key-index", None) => Self::KeyIndex,
            ("serial", None) => Self::Serial,
            ("expiry", None) => Self::Expiry,
            ("modulus", None) => Self::Modulus,
            ("modulus-left", None) => Self::ModulusLeft,
            ("remainder", None) => Self::Remainder,
            ("exponent-length", None) => Self::ExponentLength,
            ("exponent", None) => Self::Exponent,
            ("self-certificate", None) => Self::SelfCertificate,
            ("sha1", None) => Self::Sha1,
            _ => return Err(unknown().into()),
        })
    }
}

/// Fields in their order.
///
/// ```
/// use emv_dataprep::issuer::ceremony::template::RequestTemplate;
/// let hash_file: RequestTemplate = "identifier:4 key-index constant:01 sha1".parse()?;
/// assert_eq!(hash_file.fields().len(), 4);
/// assert!("identifier:4 unheard-of".parse::<RequestTemplate>().is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTemplate(pub(super) Vec<Field>);

impl std::str::FromStr for RequestTemplate {
    type Err = crate::error::Error;

    /// Field names with white space between.
    fn from_str(text: &str) -> Result<Self> {
        text.split_whitespace().map(str::parse).collect::<Result<_>>().map(Self).at("request template")
    }
}

/// What a request says.
#[derive(Clone, Copy, Debug)]
pub struct RequestValues<'a> {
    /// The digits that the PANs begin with.
    pub identifier: Iin,
    /// Service identifier of the scheme's product.
    pub service_id: [u8; 4],
    /// Number of the request.
    pub tracking: [u8; 3],
    /// The issuer's own number of the key.
    pub key_index: [u8; 3],
    /// Serial number of the self-certificate.
    pub serial: [u8; 3],
    /// Month after which the certificate should end.
    pub expiry: Expiry,
    /// The issuer's key.
    pub key: &'a RsaPublic,
}

impl RequestTemplate {
    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// The block of the self-certificate whose head these fields are (format byte first).
    ///
    /// # Errors
    /// [`ErrorKind::Length`] if the modulus has no room for the head, [`ErrorKind::Value`] for a head that names the
    /// self-certificate.
    pub fn self_certificate(&self, values: &RequestValues<'_>) -> Result<SignBlock> {
        let head = self.render(values, None).at("self-certificate")?;
        self_certificate_block(values.key, &head)
    }

    /// The file. `signed`: the self-certificate's block and its signature, for templates that name them.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for a field of the self-certificate without one, [`ErrorKind::Value`] for a value that a
    /// field does not hold; what [`SignBlock::confirm`] says of a wrong signature.
    pub fn render(&self, values: &RequestValues<'_>, signed: Option<(&SignBlock, &[u8])>) -> Result<Vec<u8>> {
        if let Some((block, signature)) = signed {
            block.confirm(values.key, signature)?;
        }
        let signed = || signed.ok_or(ErrorKind::Missing("the self-certificate"));
        let modulus = values.key.modulus();
        let mut out = Vec::new();
        for field in &self.0 {
            match field {
                Field::Constant(bytes) => out.extend_from_slice(bytes),
                Field::Identifier(n) => out.extend_from_slice(&padded_identifier(&values.identifier, *n)?),
                Field::ServiceId => out.extend_from_slice(&values.service_id),
                Field::Tracking => out.extend_from_slice(&values.tracking),
                Field::KeyIndex => out.extend_from_slice(&values.key_index),
                Field::Serial => out.extend_from_slice(&values.serial),
                Field::Expiry => out.extend_from_slice(&values.expiry.mmyy_bcd()),
                Field::ModulusLength(n) => {
                    let len = u16::try_from(modulus.len()).unwrap_or(u16::MAX).to_be_bytes();
                    match (n, len) {
                        (1, [0, low]) => out.push(low),
                        (2, both) => out.extend_from_slice(&both),
                        _ => return Err(ErrorKind::Value("the modulus length does not fit its field").into()),
                    }
                }
                Field::Modulus => out.extend_from_slice(modulus),
                Field::ModulusLeft => {
                    let left = modulus.len().saturating_sub(signed()?.0.remainder().len());
                    out.extend_from_slice(modulus.get(..left).unwrap_or_default());
                }
                Field::Remainder => out.extend_from_slice(signed()?.0.remainder()),
                Field::ExponentLength => {
                    out.push(u8::try_from(values.key.exponent().len()).unwrap_or(u8::MAX));
                }
                Field::Exponent => out.extend_from_slice(values.key.exponent()),
                Field::SelfCertificate => out.extend_from_slice(signed()?.1),
                Field::Sha1 => {
                    let hash = sha1(&[&out]);
                    out.extend_from_slice(&hash);
                }
            }
        }
        Ok(out)
    }
}

fn padded_identifier(iin: &Iin, bytes: usize) -> Result<Vec<u8>> {
    if iin.digits().len() > bytes.saturating_mul(2) {
        return Err(ErrorKind::Value("the issuer identifier does not fit its field").into());
    }
    let mut out = crate::bytes::pack_digits(iin.digits(), 0xF);
    out.resize(bytes, 0xFF);
    Ok(out)
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant(bytes) => write!(f, "constant:{}", hex_upper(bytes)),
            Self::Identifier(n) => write!(f, "identifier:{n}"),
            Self::ModulusLength(n) => write!(f, "modulus-length:{n}"),
            Self::ServiceId => f.write_str("service-id"),
            Self::Tracking => f.write_str("tracking"),
            Self::KeyIndex => f.write_str("key-index"),
            Self::Serial => f.write_str("serial"),
            Self::Expiry => f.write_str("expiry"),
            Self::Modulus => f.write_str("modulus"),
            Self::ModulusLeft => f.write_str("modulus-left"),
            Self::Remainder => f.write_str("remainder"),
            Self::ExponentLength => f.write_str("exponent-length"),
            Self::Exponent => f.write_str("exponent"),
            Self::SelfCertificate => f.write_str("self-certificate"),
            Self::Sha1 => f.write_str("sha1"),
        }
    }
}

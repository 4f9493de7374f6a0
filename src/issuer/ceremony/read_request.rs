//! A request file read with the template that it was written by: what a certification authority does with it.

use super::template::{Field, RequestTemplate};
use crate::bytes::{Cursor, hex_upper};
use crate::card::{Expiry, Iin};
use crate::crypto::hash::sha1;
use crate::crypto::rsa::RsaPublic;
use crate::error::{ErrorKind, Place, Result};
use crate::issuer::oda::self_certificate_block;

/// What a request says; a field that its template does not have is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The digits that the PANs begin with.
    pub identifier: Option<Iin>,
    /// Service identifier of the scheme's product.
    pub service_id: Option<[u8; 4]>,
    /// Number of the request.
    pub tracking: Option<[u8; 3]>,
    /// The issuer's own number of the key.
    pub key_index: Option<[u8; 3]>,
    /// Serial number of the self-certificate.
    pub serial: Option<[u8; 3]>,
    /// Month after which the certificate should end.
    pub expiry: Option<Expiry>,
    /// The issuer's key.
    pub key: RsaPublic,
}

impl ReadRequest {
    /// A request that says no more than the key (PKCS#10).
    #[must_use]
    pub const fn of_key(key: RsaPublic) -> Self {
        Self {
            identifier: None,
            service_id: None,
            tracking: None,
            key_index: None,
            serial: None,
            expiry: None,
            key,
        }
    }
}

/// Bytes of a frame that are neither head nor key: header, hash, trailer.
const AROUND: usize = 22;

/// The lengths that no field says by itself.
#[derive(Clone, Copy)]
struct Sizes {
    modulus: usize,
    exponent: usize,
    head: usize,
}

/// Values as they are found; a value that stands twice must be the same.
#[derive(Default)]
struct Found<'a> {
    identifier: Option<Iin>,
    service_id: Option<[u8; 4]>,
    tracking: Option<[u8; 3]>,
    key_index: Option<[u8; 3]>,
    serial: Option<[u8; 3]>,
    expiry: Option<Expiry>,
    modulus: Option<&'a [u8]>,
    left: Option<&'a [u8]>,
    remainder: Option<&'a [u8]>,
    exponent: Option<&'a [u8]>,
    self_certificate: Option<&'a [u8]>,
}

impl RequestTemplate {
    /// Reads a file that was rendered by this template; `head` is that of its self-certificate, if it has one. Every length
    /// of key that fits the file is tried, so a template need not name it. A self-certificate is recovered with the key of
    /// the file and compared byte for byte.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a file that the template does not describe, or that contradicts itself.
    pub fn read(&self, file: &[u8], head: Option<&Self>) -> Result<ReadRequest> {
        let head_len = match head {
            None => 0,
            Some(head) => {
                let none = Sizes { modulus: 0, exponent: 0, head: 0 };
                head.0.iter().map(|field| width(field, none)).sum()
            }
        };
        let sizes = (64..=248_usize)
            .flat_map(|modulus| [1, 3].map(|exponent| Sizes { modulus, exponent, head: head_len }));
        let fits =
            |sizes: &Sizes| self.0.iter().map(|field| width(field, *sizes)).sum::<usize>() == file.len();
        let mut read = sizes.filter(fits).filter_map(|sizes| self.read_sized(file, head, sizes).ok());
        let other = ErrorKind::Format("a request of this template");
        read.next().ok_or(other).at("request")
    }

    fn read_sized(&self, file: &[u8], head: Option<&Self>, sizes: Sizes) -> Result<ReadRequest> {
        let contradiction = || ErrorKind::Format("a request whose parts agree");
        let mut found = Found::default();
        found.take(&self.0, file, sizes)?;
        let whole = match (found.modulus, found.left, found.remainder) {
            (Some(modulus), None, None) => modulus.to_vec(),
            (None, Some(left), remainder) => [left, remainder.unwrap_or_default()].concat(),
            _ => return Err(contradiction().into()),
        };
        let exponent = found.exponent.ok_or_else(contradiction)?;
        let key = crate::issuer::oda::check_public_key(&whole, exponent)?;
        let recovered;
        if let Some(signature) = found.self_certificate {
            recovered = key.apply(signature)?;
            let said = recovered.get(1..sizes.head.saturating_add(1)).ok_or_else(contradiction)?;
            found.take(&head.ok_or_else(contradiction)?.0, said, sizes)?;
            self_certificate_block(&key, said)?.confirm(&key, signature)?;
        }
        let Found { identifier, service_id, tracking, key_index, serial, expiry, .. } = found;
        Ok(ReadRequest { identifier, service_id, tracking, key_index, serial, expiry, key })
    }
}

/// Bytes of a field.
const fn width(field: &Field, sizes: Sizes) -> usize {
    match field {
        Field::Constant(bytes) => bytes.len(),
        Field::Identifier(n) | Field::ModulusLength(n) => *n,
        Field::ServiceId => 4,
        Field::Tracking | Field::KeyIndex | Field::Serial => 3,
        Field::Expiry => 2,
        Field::Modulus | Field::SelfCertificate => sizes.modulus,
        Field::ModulusLeft => sizes.modulus.saturating_sub(sizes.head.saturating_add(AROUND)),
        Field::Remainder => sizes.head.saturating_add(AROUND),
        Field::ExponentLength => 1,
        Field::Exponent => sizes.exponent,
        Field::Sha1 => 20,
    }
}

impl<'a> Found<'a> {
    fn take(&mut self, fields: &[Field], bytes: &'a [u8], sizes: Sizes) -> Result<()> {
        let mut c = Cursor::new(bytes);
        for field in fields {
            let before = bytes.len().saturating_sub(c.remaining());
            let value = c.take(width(field, sizes))?;
            let agrees = match field {
                Field::Constant(expected) => value == expected.as_slice(),
                Field::Identifier(_) => once(&mut self.identifier, identifier(value)?),
                Field::ServiceId => once(&mut self.service_id, array(value)),
                Field::Tracking => once(&mut self.tracking, array(value)),
                Field::KeyIndex => once(&mut self.key_index, array(value)),
                Field::Serial => once(&mut self.serial, array(value)),
                Field::Expiry => once(&mut self.expiry, Expiry::from_mmyy_bcd(array(value))?),
                Field::ModulusLength(_) => number(value) == sizes.modulus,
                Field::ExponentLength => number(value) == sizes.exponent,
                Field::Modulus => once(&mut self.modulus, value),
                Field::ModulusLeft => once(&mut self.left, value),
                Field::Remainder => once(&mut self.remainder, value),
                Field::Exponent => once(&mut self.exponent, value),
                Field::SelfCertificate => once(&mut self.self_certificate, value),
                Field::Sha1 => sha1(&[bytes.get(..before).unwrap_or_default()]) == array::<20>(value),
            };
            if !agrees {
                return Err(ErrorKind::Format("a request whose parts agree").into());
            }
        }
        c.finish()
    }
}

fn once<T: PartialEq + Copy>(place: &mut Option<T>, value: T) -> bool {
    *place.get_or_insert_with(|| value) == value
}

/// A field of `N` bytes; its width was taken from the template.
fn array<const N: usize>(value: &[u8]) -> [u8; N] {
    value.try_into().unwrap_or([0; N])
}

fn number(value: &[u8]) -> usize {
    value.iter().fold(0, |n, b| n << 8 | usize::from(*b))
}

/// Digits, filled right with F.
fn identifier(value: &[u8]) -> Result<Iin> {
    hex_upper(value).trim_end_matches('F').parse()
}

//! The scheme's side of a ceremony, for test schemes: a response as a certification authority writes it.

use super::ResponseLayout;
use super::response::{HEADER, detached_block};
use crate::crypto::hash::sha1;
use crate::error::{ErrorKind, Place, Result};
use crate::issuer::oda::{CaPublicKey, IssuerKeyData, issuer_certificate_block};

/// What a response says beside the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseData {
    /// Service identifier (Visa, UnionPay).
    pub service_id: [u8; 4],
    /// Issuer public key index (Mastercard).
    pub issuer_key_index: [u8; 3],
}

/// A response file in a layout of [`ResponseLayout`]; `sign` is the raw private operation of the CA key on blocks of its
/// length. What is written is read back by [`CaResponse::read`](super::CaResponse::read).
///
/// # Errors
/// What [`issuer_certificate_block`] says of the keys, what `sign` says, [`ErrorKind::Crypto`] if a signature is not the
/// CA key's.
pub fn response(
    layout: ResponseLayout,
    ca: &CaPublicKey,
    issuer: &IssuerKeyData<'_>,
    data: &ResponseData,
    mut sign: impl FnMut(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut signed = |block: &[u8]| -> Result<Vec<u8>> {
        let signature = sign(block)?;
        if ca.key().apply(&signature)? == block {
            return Ok(signature);
        }
        Err(ErrorKind::Crypto("the signature is not the CA key's").into())
    };
    let block = issuer_certificate_block(ca.key(), issuer)?;
    let certificate = signed(block.block()).at("certificate")?;
    let exponent = issuer.key.exponent();
    let identifier = issuer.identifier.to_field();
    if layout == ResponseLayout::Mastercard {
        let index = [ca.index().0];
        let parts =
            [&identifier[..], &data.issuer_key_index, &index, block.remainder(), exponent, &certificate];
        return Ok(parts.concat());
    }
    let length = |bytes: &[u8]| -> Result<u8> {
        let found = bytes.len();
        let long = ErrorKind::Length { expected: "at most 255", found, unit: "bytes" };
        u8::try_from(found).map_err(|_| long.into())
    };
    let mut out = vec![HEADER];
    out.extend_from_slice(&data.service_id);
    out.extend_from_slice(&identifier);
    out.extend_from_slice(&issuer.serial.0);
    out.extend_from_slice(&issuer.expiry.mmyy_bcd());
    out.push(length(block.remainder())?);
    out.extend_from_slice(block.remainder());
    out.push(length(exponent)?);
    out.extend_from_slice(exponent);
    out.push(ca.index().0);
    let hash = sha1(&[&out, block.block()]);
    let detached = signed(&detached_block(layout, ca.key().len(), &hash)).at("detached signature")?;
    out.extend_from_slice(&certificate);
    out.extend_from_slice(&detached);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::Expiry;
    use crate::crypto::rng::{Purpose, Seed};
    use crate::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate};
    use crate::issuer::ceremony::CaResponse;
    use crate::issuer::oda::{CaKeyIndex, CertificateSerial, Rid};

    fn key(name: &str, bits: usize, exponent: Exponent) -> RsaPrivate {
        let stream = Seed::fixed([0x44; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer);
        generate(KeySpec::in_bytes(bits, exponent).unwrap(), &stream).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_response_reads_back(layout in 0_usize..3, shorter in 0_usize..3, f4: bool, serial: [u8; 3]) {
            let layout = [ResponseLayout::Visa, ResponseLayout::Mastercard, ResponseLayout::UnionPay][layout];
            let exponent = if f4 { Exponent::F4 } else { Exponent::THREE };
            let ca = key("ca", 1024, Exponent::THREE);
            let issuer = key("issuer", 1024 - [0, 8, 400][shorter], exponent);
            let public = ca.public();
            let ca_public =
                CaPublicKey::new(Rid([0xF0, 0, 0, 0, 1]), CaKeyIndex(0xF1), public.modulus(), public.exponent()).unwrap();
            let data = IssuerKeyData {
                identifier: "99123456".parse().unwrap(),
                expiry: Expiry::from_yymm("3112").unwrap(),
                serial: CertificateSerial(serial),
                key: issuer.public(),
            };
            let more = ResponseData { service_id: [0x10, 0x10, 0, 0], issuer_key_index: [0, 0, 7] };
            let file = response(layout, &ca_public, &data, &more, |m| ca.apply(m)).unwrap();
            let read = CaResponse::read(layout, &file, &ca_public).unwrap();
            read.check_key(issuer.public()).unwrap();
            prop_assert_eq!((read.key.identifier, read.key.expiry), (data.identifier, data.expiry));
            prop_assert_eq!(read.key.serial, data.serial);
            if layout == ResponseLayout::Mastercard {
                prop_assert_eq!(read.issuer_key_index, Some([0, 0, 7]));
            } else {
                prop_assert_eq!(read.service_id, Some([0x10, 0x10, 0, 0]));
            }
        }
    }

    #[test]
    fn a_signature_of_another_key_is_refused() {
        let (ca, other) = (key("ca", 1024, Exponent::THREE), key("other", 1024, Exponent::THREE));
        let issuer = key("issuer", 1024, Exponent::F4);
        let public = ca.public();
        let ca_public =
            CaPublicKey::new(Rid([0xF0, 0, 0, 0, 1]), CaKeyIndex(1), public.modulus(), public.exponent())
                .unwrap();
        let data = IssuerKeyData {
            identifier: "991234".parse().unwrap(),
            expiry: Expiry::from_yymm("3112").unwrap(),
            serial: CertificateSerial([0, 0, 1]),
            key: issuer.public(),
        };
        let more = ResponseData::default();
        assert!(response(ResponseLayout::Visa, &ca_public, &data, &more, |m| other.apply(m)).is_err());
    }
}

//! What a key officer brings from outside: response files of a certification authority, private keys, certificates with
//! elliptic curves.

use std::sync::OnceLock;

use emv_dataprep::crypto::ecsdsa::{EcCurve, EcPrivate};
use emv_dataprep::crypto::hash::sha1;
use emv_dataprep::crypto::rsa::RsaPrivate;
use emv_dataprep::issuer::ceremony::{CaResponse, ResponseLayout};
use emv_dataprep::issuer::ecc::{EcIccCertificate, EcIssuerCertificate};
use emv_dataprep::issuer::oda::{CaKeyIndex, CaPublicKey, Rid};
use emv_dataprep::secret::Secret;

use super::{Accepted, Reached, Refused, rng, signer};

/// A response file. The first byte says the layout (modulo 3), and whether the rest is the file (below 128) or what
/// stands in a certificate (others): a file is made around it and signed. What is read is written again.
pub fn ca_response(data: &[u8]) -> Reached {
    let Some((kind, rest)) = data.split_first() else { return Refused };
    let layout = match kind % 3 {
        0 => ResponseLayout::Visa,
        1 => ResponseLayout::Mastercard,
        _ => ResponseLayout::UnionPay,
    };
    let public = signer().public();
    let ca = CaPublicKey::new(Rid([0xA0, 0, 0, 0, 3]), CaKeyIndex(1), public.modulus(), public.exponent())
        .expect("the signer's key");
    let file = if *kind < 128 { rest.to_vec() } else { response_around(layout, rest) };
    let Ok(found) = CaResponse::read(layout, &file, &ca) else { return Refused };
    assert_eq!(found.ca_index, ca.index());
    assert!(found.key.key.modulus().ends_with(&found.certificate.remainder));
    assert_eq!(found.key.key.exponent(), found.certificate.exponent);
    assert!(found.check_key(&found.key.key).is_ok() && found.check_key(public).is_err());
    let detached = found.detached.as_ref().map(|d| d.signature.as_slice());
    let written = write(
        layout,
        &[
            &found.service_id.unwrap_or_default(),
            &found.key.identifier.to_field(),
            &found.issuer_key_index.unwrap_or_default(),
            &found.key.serial.0,
            &found.key.expiry.mmyy_bcd(),
        ],
        &found.certificate.remainder,
        &found.certificate.exponent,
    );
    let whole = [&written, &found.certificate.certificate, detached.unwrap_or_default()].concat();
    assert_eq!(whole, file);
    Accepted
}

/// The clear part. `fields`: service identifier, issuer identifier, issuer key index, serial, expiry.
fn write(layout: ResponseLayout, fields: &[&[u8]; 5], remainder: &[u8], exponent: &[u8]) -> Vec<u8> {
    let [service, identifier, index, serial, expiry] = fields;
    let len = |bytes: &[u8]| [bytes.len() as u8];
    match layout {
        ResponseLayout::Mastercard => [*identifier, *index, &[1], remainder, exponent].concat(),
        _ => [
            &[0x24][..],
            service,
            identifier,
            serial,
            expiry,
            &len(remainder),
            remainder,
            &len(exponent),
            exponent,
            &[1],
        ]
        .concat(),
    }
}

/// A file whose certificate holds `body` from the format byte on; what finds no room is the remainder.
fn response_around(layout: ResponseLayout, body: &[u8]) -> Vec<u8> {
    let key = signer();
    let n = key.public().len();
    let (inside, remainder) = body.split_at(body.len().min(n - 22));
    let exponent = [3];
    let mut block = vec![0x6A];
    block.extend_from_slice(inside);
    block.resize(n - 21, 0xBB);
    let hash = sha1(&[&block[1..], remainder, &exponent]);
    block.extend_from_slice(&hash);
    block.push(0xBC);
    let fields: [&[u8]; 5] = [&[0x10, 0x10, 0, 0], &block[2..6], &[0, 0, 1], &block[8..11], &block[6..8]];
    let clear = write(layout, &fields, remainder, &exponent);
    let certificate = key.apply(&block).expect("smaller than the modulus");
    if layout == ResponseLayout::Mastercard {
        return [clear, certificate].concat();
    }
    let hash = sha1(&[&clear, &block]);
    // DigestInfo of SHA-1, or one byte.
    let algorithm: &[u8] = match layout {
        ResponseLayout::Visa => {
            &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14]
        }
        _ => &[0x01],
    };
    let mut detached = vec![0, 1];
    detached.resize(n - 21 - algorithm.len(), 0xFF);
    detached.push(0);
    detached.extend_from_slice(algorithm);
    detached.extend_from_slice(&hash);
    [clear, certificate, key.apply(&detached).expect("smaller than the modulus")].concat()
}

/// A private key as PKCS#8: written again it is read as the same key.
pub fn private_key(data: &[u8]) -> Reached {
    let Ok(key) = RsaPrivate::from_pkcs8(data) else { return Refused };
    let again = key.to_pkcs8().expect("its own form");
    let read = RsaPrivate::from_pkcs8(again.expose()).expect("its own form");
    assert!(read.public() == key.public() && read.p() == key.p() && read.q() == key.q());
    assert!(read.dp() == key.dp() && read.dq() == key.dq() && read.qinv() == key.qinv());
    Accepted
}

fn ec_signer() -> &'static EcPrivate {
    static KEY: OnceLock<EcPrivate> = OnceLock::new();
    KEY.get_or_init(|| EcPrivate::new(EcCurve::P256, &Secret::new(vec![0x46; 32])).expect("a key"))
}

/// Certificates with elliptic curves: the first byte says whether the rest is the certificate (0) or what is signed
/// (others). What is read is written again.
pub fn ec_certificate(data: &[u8]) -> Reached {
    let Some((kind, rest)) = data.split_first() else { return Refused };
    let key = ec_signer();
    let certificate =
        if *kind == 0 { rest.to_vec() } else { [rest, &key.sign(rest, &mut rng()).expect("signs")].concat() };
    let signed = &certificate[..certificate.len().saturating_sub(64)];
    let mut reached = Refused;
    if let Ok(found) = EcIssuerCertificate::verify(&certificate, key.public()) {
        assert_eq!(found.to_be_signed(), signed);
        reached = Accepted;
    }
    if let Ok(found) = EcIccCertificate::verify(&certificate, key.public()) {
        assert_eq!(found.to_be_signed(), signed);
        reached = Accepted;
    }
    reached
}

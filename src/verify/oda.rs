//! Offline data authentication: certificates recovered as a terminal does it (EMV 4.4 Book 2, 5.3, 5.4, 6.3, 6.4, 7.1).

use crate::card::{CardDate, Expiry};
use crate::crypto::hash::sha1;
use crate::crypto::rsa::RsaPublic;

use super::keys::CaPublicKey;

/// A public key that a certificate vouches for.
pub(super) struct Certified {
    pub(super) key: RsaPublic,
    pub(super) expiry: Expiry,
    pub(super) serial: [u8; 3],
    /// Issuer identifier or PAN, as it stands, `F` at the end.
    pub(super) subject: Vec<u8>,
}

type Checked<T> = Result<T, &'static str>;

/// Reads the recovered data front to back.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Checked<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n).ok_or("the recovered data is too short")?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Checked<u8> {
        self.take(1).map(|b| b.first().copied().unwrap_or(0))
    }
}

/// Header 6A, format, trailer BC, hash: common to all formats. Gives what stands between format and hash.
fn recover(key: &RsaPublic, certificate: &[u8], format: u8, hashed: &[&[u8]]) -> Checked<Vec<u8>> {
    if certificate.len() != key.len() {
        return Err("the certificate has another length than its signer's modulus");
    }
    let plain = key.apply(certificate).map_err(|_| "the certificate is not below its signer's modulus")?;
    let [0x6A, found, middle @ .., 0xBC] = plain.as_slice() else {
        return Err("the recovered header or trailer is wrong");
    };
    if *found != format {
        return Err("the certificate format is wrong");
    }
    let (body, hash) = middle.split_last_chunk::<20>().ok_or("the recovered data is too short")?;
    let mut parts: Vec<&[u8]> = vec![core::slice::from_ref(found), body];
    parts.extend_from_slice(hashed);
    if sha1(&parts) != *hash {
        return Err("the hash of the certificate differs");
    }
    Ok(body.to_vec())
}

/// The common layout of formats 02 and 04 after the format byte.
fn public_key(body: &[u8], subject_len: usize, remainder: &[u8], exponent: &[u8]) -> Checked<Certified> {
    let mut fields = Fields(body);
    let subject = fields.take(subject_len)?.to_vec();
    let expiry = fields.take(2)?.try_into().map_err(|_| "the recovered data is too short")?;
    let expiry = Expiry::from_mmyy_bcd(expiry).map_err(|_| "the certificate's expiry is not a month")?;
    let serial = fields.take(3)?.try_into().map_err(|_| "the recovered data is too short")?;
    if (fields.byte()?, fields.byte()?) != (1, 1) {
        return Err("a hash or public key algorithm indicator is not 01");
    }
    let (len, exponent_len) = (usize::from(fields.byte()?), usize::from(fields.byte()?));
    let room = fields.0;
    let mut modulus = room.to_vec();
    if len <= room.len() {
        let (inside, padding) = room.split_at_checked(len).ok_or("the recovered data is too short")?;
        if padding.iter().any(|b| *b != 0xBB) {
            return Err("the padding is not BB");
        }
        if !remainder.is_empty() {
            return Err("a remainder stands beside a modulus that fits");
        }
        modulus = inside.to_vec();
    } else {
        modulus.extend_from_slice(remainder);
        if modulus.len() != len {
            return Err("the remainder has the wrong length");
        }
    }
    if exponent.len() != exponent_len || !matches!(exponent, [3] | [1, 0, 1]) {
        return Err("the exponent is not 03 or 010001 of the stated length");
    }
    if modulus.first().is_none_or(|b| b & 0x80 == 0) {
        return Err("the top bit of the modulus is not set");
    }
    let key = RsaPublic::new(&modulus, exponent).map_err(|_| "the modulus is not one of an RSA key")?;
    Ok(Certified { key, expiry, serial, subject })
}

/// Objects of an issuer or ICC certificate.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) certificate: &'a [u8],
    pub(super) remainder: Option<&'a [u8]>,
    pub(super) exponent: &'a [u8],
}

impl Parts<'_> {
    fn tail(&self) -> Checked<&[u8]> {
        match self.remainder {
            Some([]) => Err("a remainder of no bytes"),
            other => Ok(other.unwrap_or_default()),
        }
    }
}

/// Recovers the issuer public key (Book 2, table 6).
pub(super) fn issuer_key(ca: &CaPublicKey, parts: Parts<'_>, pan: &[u8]) -> Checked<Certified> {
    if !ca.checksum_is_right() {
        return Err("the checksum of the CA public key is wrong");
    }
    let ca_key =
        RsaPublic::new(&ca.modulus, &ca.exponent).map_err(|_| "the CA public key is not an RSA key")?;
    if ca_key.len() > 248 {
        return Err("a modulus is over 248 bytes");
    }
    let remainder = parts.tail()?;
    let body = recover(&ca_key, parts.certificate, 2, &[remainder, parts.exponent])?;
    let issuer = public_key(&body, 4, remainder, parts.exponent)?;
    if issuer.key.len() > ca_key.len() {
        return Err("the issuer's modulus is longer than the CA's");
    }
    let nibbles = super::derive::nibbles(&issuer.subject);
    let digits = nibbles.iter().position(|n| *n == 15).unwrap_or(nibbles.len());
    let (identifier, fill) = nibbles.split_at_checked(digits).unwrap_or_default();
    let form =
        (3..=8).contains(&digits) && identifier.iter().all(|n| *n < 10) && fill.iter().all(|n| *n == 15);
    if !form || !pan.starts_with(identifier) {
        return Err("the issuer identifier does not begin the PAN");
    }
    Ok(issuer)
}

/// Recovers an ICC public key or an ICC PIN encipherment public key (Book 2, tables 15 and 23).
pub(super) fn icc_key(
    issuer: &RsaPublic,
    parts: Parts<'_>,
    static_data: &[u8],
    pan: &[u8],
) -> Checked<Certified> {
    let remainder = parts.tail()?;
    let body = recover(issuer, parts.certificate, 4, &[remainder, parts.exponent, static_data])?;
    let icc = public_key(&body, 10, remainder, parts.exponent)?;
    if icc.key.len() > issuer.len() {
        return Err("the ICC's modulus is longer than the issuer's");
    }
    let mut expected = pan.to_vec();
    expected.resize(20, 15);
    if super::derive::nibbles(&icc.subject) != expected {
        return Err("the PAN of the certificate differs");
    }
    Ok(icc)
}

/// Checks the signed static application data; gives the data authentication code (9F45).
pub(super) fn static_signature(issuer: &RsaPublic, ssad: &[u8], static_data: &[u8]) -> Checked<[u8; 2]> {
    let body = recover(issuer, ssad, 3, &[static_data])?;
    match body.as_slice() {
        [1, d, c, padding @ ..] if padding.iter().all(|b| *b == 0xBB) => Ok([*d, *c]),
        _ => Err("the signed static data has a wrong algorithm or padding"),
    }
}

/// Checks a signed dynamic application data block (format 05); gives the ICC dynamic data.
pub(super) fn dynamic_signature(icc: &RsaPublic, sdad: &[u8], terminal_data: &[u8]) -> Checked<Vec<u8>> {
    let body = recover(icc, sdad, 5, &[terminal_data])?;
    let [1, len, rest @ ..] = body.as_slice() else {
        return Err("the dynamic signature has a wrong algorithm");
    };
    let (data, padding) = rest.split_at_checked(usize::from(*len)).ok_or("the dynamic data is too long")?;
    if padding.iter().any(|b| *b != 0xBB) {
        return Err("the padding is not BB");
    }
    Ok(data.to_vec())
}

/// Whether a certificate is good on a day; certificates are good to the last day of their month.
pub(super) fn good_on(expiry: Expiry, today: Option<CardDate>) -> bool {
    today.is_none_or(|day| expiry.covers(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A published contact test card, binaryfoo/emv-bertlv, src/test/resources/cases/contact-upi-in.txt.
    const CA_MODULUS: &str = concat!(
        "EB374DFC5A96B71D2863875EDA2EAFB96B1B439D3ECE0B1826A2672EEEFA7990286776F8BD989A15141A75C384DFC14F",
        "EF9243AAB32707659BE9E4797A247C2F0B6D99372F384AF62FE23BC54BCDC57A9ACD1D5585C303F201EF4E8B806AFB80",
        "9DB1A3DB1CD112AC884F164A67B99C7D6E5A8A6DF1D3CAE6D7ED3D5BE725B2DE4ADE23FA679BF4EB15A93D8A6E29C7FF",
        "A1A70DE2E54F593D908A3BF9EBBD760BBFDC8DB8B54497E6C5BE0E4A4DAC29E5",
    );
    const TAG_90: &str = concat!(
        "9401D74DAE33CF028845A9F4277C19CA003C8A8E95A00CF6A88CC64F10DBFC5E90DEE965224C945EBBBA12EF3D0A648F",
        "9992E1D653F911BABBE1406E3B97EEA468C113454D78C8A565339E1EE1C67B847E58793C3EC8F542011600A54435004B",
        "C57C8201F0180F6A451B672405DE3F312A44D27BB359466D96319BF735402CD38A3661E9AE2D3FC4F1A4B29D22608A75",
        "2A31FE63607D8513EF4D4695EA3E76365C06660FCA44FABCD05503E1C2D7D04B",
    );
    const TAG_92: &str = "9876E27A8C9DF0056BD6270367EB2994B5D338DDB5443681E127F86F4DFAF3337CBBECB1";
    const TAG_93: &str = concat!(
        "7FDA0E5F859F59C91103707F2F49B93D00648C5918A05D3732F9953841865BEEBB21635F914BF1C192AEDFA7138F4FA4",
        "1CEFB7A1C949E5F82525A56458E9FCDAC9798773F9EE2748B5C8FC2234F8975479D94CA95A637592A559BA4472FB6D8C",
        "FD37F7368D4C77E6D971AA6DCB6E0B8C667A4BA27D640A49C60932862BEEAD471689F18B99E4334077FEB828201BA99D",
        "8E9371386537C4BF4E052330A3C1AA59B557F138BBE7CE2B6F805254ABD1CF7F",
    );
    const STATIC_DATA: &str = concat!(
        "5F24033010315A0862109480000000115F3401019F0702FF008E0E00000000000000005E0342031F009F0D05D8609CA8",
        "009F0E0500100000009F0F05D8689CF8005F280201568C1E9F02069F03069F1A0295055F2A029A039C019F37049F2103",
        "9F4E149F34038D1C8A029F02069F03069F1A0295055F2A029A039C019F37049F21039B029F4A01827C00",
    );
    const TAG_9F46: &str = concat!(
        "032EC93EF022299080E099AA0869FB6820ABA12A3B83F839261A8BFA562F385E95E32F2D3EDCD1F34D76B46A36EC84F5",
        "40D2B6A6B5DC1F78A2A834B29459062A8E16F86D141EF88D3ABF57A1AB49925682BAA7A3074E918448889820E7209727",
        "059987F2CEAED39B23304D8A2BF52E532D36583F611FEEC09099EA01D4057A4F85408C87572885F767F5AA8989B33376",
        "DF45758B90B9BC735EAFC2EFB91786171282385258C282B962B2CDD799601200",
    );
    const TAG_9F48: &str =
        "BE5E4213706106D4F32861D52BDF8F3D35419A5441EE069BCF439B2DF42F0254C369128493DD305B1BED";
    const SDAD: &str = concat!(
        "352B18497D05FA834B99349185EE0AE2C710F41AC81E6CB0931388C3560B225B3D63DF203473E800D5A9EA206F163182",
        "6CE9B5A95807935E1991117A6292899365F2F93E9A8D8377679B24B38E91EA43D56A512B968B484D8959B5135CC536B0",
        "5A8DBA5CFA59AA0624D01CA982A3A1846F1F87362CF00A164D48FA03754C58F30857CD079B56359C9E6DDCAEFBACBF5A",
        "7B39ADD00C7A44977AC61D85C90F3429424656B9E486F4A936E61171FAA8E636",
    );
    const PAN: &str = "6210948000000011";

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn pan() -> Vec<u8> {
        PAN.bytes().map(|b| b & 15).collect()
    }

    fn ca() -> CaPublicKey {
        CaPublicKey {
            rid: [0xA0, 0, 0, 3, 0x33],
            index: 9,
            modulus: unhex(CA_MODULUS),
            exponent: vec![3],
            checksum: None,
            expires: None,
        }
    }

    fn issuer_with(certificate: &[u8], remainder: Option<&[u8]>, exponent: &[u8]) -> Checked<Certified> {
        issuer_key(&ca(), Parts { certificate, remainder, exponent }, &pan())
    }

    fn issuer() -> Certified {
        issuer_with(&unhex(TAG_90), Some(&unhex(TAG_92)), &[3]).unwrap()
    }

    #[test]
    fn a_published_card_is_recovered_from_ca_to_signature() {
        let issuer = issuer();
        assert_eq!(hex::encode_upper(issuer.serial), "001156");
        assert_eq!(hex::encode_upper(&issuer.subject), "621094FF");
        assert_eq!(issuer.expiry.mmyy_bcd(), [0x12, 0x30]);
        let data = unhex(STATIC_DATA);
        assert_eq!(static_signature(&issuer.key, &unhex(TAG_93), &data), Ok([0xDA, 0xC5]));
        let (certificate, remainder) = (unhex(TAG_9F46), unhex(TAG_9F48));
        let parts = Parts { certificate: &certificate, remainder: Some(&remainder), exponent: &[1, 0, 1] };
        let icc = icc_key(&issuer.key, parts, &data, &pan()).unwrap();
        let dynamic = dynamic_signature(&icc.key, &unhex(SDAD), &unhex("7863AFC6")).unwrap();
        assert_eq!(hex::encode_upper(dynamic), "07000659A2F145F4");
        // Other static data, another PAN, another challenge.
        let mut other = data.clone();
        other[3] ^= 1;
        assert!(static_signature(&issuer.key, &unhex(TAG_93), &other).is_err());
        assert!(icc_key(&issuer.key, parts, &other, &pan()).is_err());
        assert!(icc_key(&issuer.key, parts, &data, &pan()[1..]).is_err());
        assert!(dynamic_signature(&icc.key, &unhex(SDAD), &[0; 4]).is_err());
    }

    #[test]
    fn every_part_of_an_issuer_certificate_counts() {
        let (certificate, remainder) = (unhex(TAG_90), unhex(TAG_92));
        for at in 0..certificate.len() {
            let mut other = certificate.clone();
            other[at] ^= 0x10;
            assert!(issuer_with(&other, Some(&remainder), &[3]).is_err(), "{at}");
        }
        for at in 0..remainder.len() {
            let mut other = remainder.clone();
            other[at] ^= 0x10;
            assert!(issuer_with(&certificate, Some(&other), &[3]).is_err(), "{at}");
        }
        assert!(issuer_with(&certificate, None, &[3]).is_err());
        assert!(issuer_with(&certificate, Some(&[]), &[3]).is_err());
        assert!(issuer_with(&certificate, Some(&remainder), &[1, 0, 1]).is_err());
        assert!(issuer_with(&certificate[1..], Some(&remainder), &[3]).is_err());
        let parts = Parts { certificate: &certificate, remainder: Some(&remainder), exponent: &[3] };
        let wrong = CaPublicKey { checksum: Some([0; 20]), ..ca() };
        assert_eq!(
            issuer_key(&wrong, parts, &pan()).err(),
            Some("the checksum of the CA public key is wrong")
        );
        let identifier = issuer_key(&ca(), parts, &[4, 7, 6]).err();
        assert_eq!(identifier, Some("the issuer identifier does not begin the PAN"));
    }
}

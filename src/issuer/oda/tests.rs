use proptest::prelude::*;

use super::*;
use crate::card::{Expiry, Iin, Pan};
use crate::crypto::rsa::{Exponent, RsaPrivate};
use crate::error::ErrorKind;

/// Two published 576-bit primes: the test CA key of sasc999/javaemvreader, TEST_CA_A123456789_RSA_KeyPair.txt.
const P: &str = "E67D4CBC4A35BF67D547AF9046248180E520ED4771D9CD993F9D3B073F87FA0A59C2E50B5299E57AE095DA4DF777025560952926A7F10CD5860FC11E7FA7F4904BF8E9A06708836F";
const Q: &str = "BA38BF7C2495DD0DAA728ECEECA93B46CD8E4A8F6CD063E7CFB93674B4AC598BA83E8DAEA1D9AB810AB9C13AF11A63E64673F0A0D381C5F9A8D8C28891D32F029AE102491B067513";

fn signer() -> RsaPrivate {
    let part = |hex: &str| hex::decode(hex).unwrap();
    RsaPrivate::from_primes(&part(P), &part(Q), Exponent::THREE).unwrap()
}

fn ca() -> CaPublicKey {
    let key = signer();
    let (n, e) = (key.public().modulus(), key.public().exponent());
    CaPublicKey::new(Rid([0xA1, 0x23, 0x45, 0x67, 0x89]), CaKeyIndex(0xD1), n, e).unwrap()
}

/// A public key of `len` bytes; certificates do not ask whether anyone holds its private key.
fn certified(len: usize, exponent: &[u8]) -> RsaPublic {
    let mut modulus: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(37)).collect();
    modulus[0] |= 0x80;
    modulus[len - 1] |= 1;
    check_public_key(&modulus, exponent).unwrap()
}

fn pan() -> Pan {
    "4761739001010010".parse().unwrap()
}

fn issuer_data(key: &RsaPublic) -> IssuerKeyData<'_> {
    IssuerKeyData {
        identifier: "476173".parse().unwrap(),
        expiry: Expiry::from_yymm("2912").unwrap(),
        serial: CertificateSerial([1, 2, 3]),
        key,
    }
}

fn issue(key: &RsaPublic) -> IssuerCertificate {
    let block = issuer_certificate_block(ca().key(), &issuer_data(key)).unwrap();
    let certificate = signer().apply(block.block()).unwrap();
    block.confirm(signer().public(), &certificate).unwrap();
    IssuerCertificate {
        certificate,
        remainder: block.remainder().to_vec(),
        exponent: key.exponent().to_vec(),
    }
}

#[test]
fn the_remainder_exists_only_when_it_is_needed() {
    for (len, remainder) in [(107, 0), (108, 0), (109, 1), (144, 36)] {
        let cert = issue(&certified(len, &[3]));
        assert_eq!(cert.remainder.len(), remainder, "NI = {len}");
        let found = cert.verify(&ca()).unwrap();
        assert_eq!(found.key.len(), len);
        assert_eq!(found.identifier, "476173".parse::<Iin>().unwrap());
        assert_eq!(found.serial, CertificateSerial([1, 2, 3]));
    }
    let issuer = signer();
    for (len, remainder) in [(101, 0), (102, 0), (103, 1), (144, 42)] {
        let data = IccKeyData {
            pan: &pan(),
            expiry: Expiry::from_yymm("2906").unwrap(),
            serial: CertificateSerial([0, 0, 9]),
            key: &certified(len, &[1, 0, 1]),
        };
        let block = icc_certificate_block(issuer.public(), &data, b"static").unwrap();
        assert_eq!(block.remainder().len(), remainder, "NIC = {len}");
    }
}

#[test]
fn a_remainder_too_many_or_too_few_is_refused() {
    let mut none = issue(&certified(108, &[3]));
    none.remainder = vec![0xBB];
    assert!(none.verify(&ca()).is_err());
    let mut one = issue(&certified(109, &[3]));
    one.remainder.clear();
    assert!(one.verify(&ca()).is_err());
    let mut exponent = issue(&certified(109, &[3]));
    exponent.exponent = vec![0, 0, 3];
    assert!(exponent.verify(&ca()).is_err());
}

#[test]
fn every_flipped_bit_of_a_certificate_is_found() {
    let good = issue(&certified(120, &[1, 0, 1]));
    let bits = |bytes: &[u8]| bytes.len() * 8;
    for bit in (0..bits(&good.certificate)).step_by(11) {
        let mut bad = good.clone();
        bad.certificate[bit / 8] ^= 1 << (bit % 8);
        assert!(bad.verify(&ca()).is_err(), "certificate bit {bit}");
    }
    for bit in 0..bits(&good.remainder) {
        let mut bad = good.clone();
        bad.remainder[bit / 8] ^= 1 << (bit % 8);
        assert!(bad.verify(&ca()).is_err(), "remainder bit {bit}");
    }
    for bit in 0..bits(&good.exponent) {
        let mut bad = good.clone();
        bad.exponent[bit / 8] ^= 1 << (bit % 8);
        assert!(bad.verify(&ca()).is_err(), "exponent bit {bit}");
    }
    assert!(good.verify(&ca()).is_ok());
}

#[test]
fn a_card_must_fit_its_issuer_certificate() {
    let found = issue(&certified(120, &[3])).verify(&ca()).unwrap();
    let date = |yymm| Expiry::from_yymm(yymm).unwrap();
    assert!(found.check_card(&pan(), date("2912")).is_ok());
    let late = found.check_card(&pan(), date("3001")).unwrap_err();
    assert_eq!(late.to_string(), "the card outlives its issuer certificate");
    let other = Pan::without_check("5413330089010434").unwrap();
    assert!(found.check_card(&other, date("2812")).is_err());
}

#[test]
fn keys_that_emv_does_not_allow_are_refused() {
    let ca = signer();
    let refused = |key: &RsaPublic| {
        issuer_certificate_block(ca.public(), &issuer_data(key)).unwrap_err().kind().clone()
    };
    let long = certified(145, &[3]);
    assert!(matches!(refused(&long), ErrorKind::Length { found: 145, .. }));
    let low = RsaPublic::new(&[0x7F; 100], &[3]).unwrap();
    assert_eq!(refused(&low), ErrorKind::Value("the top bit of the modulus is not set"));
    let five = RsaPublic::new(&[0x8F; 100], &[5]).unwrap();
    assert_eq!(refused(&five), ErrorKind::Value("the public exponent is neither 3 nor 65537"));
    assert!(check_public_key(&[0xFF; 249], &[3]).is_err());

    let issuer = certified(248, &[3]);
    assert!(matches!(
        check_issuer_certifies(&issuer).unwrap_err().kind(),
        ErrorKind::Length { found: 248, .. }
    ));
    assert!(check_issuer_certifies(&certified(247, &[3])).is_ok());
    assert!(ssad_block(&issuer, Dac([0; 2]), &[]).is_ok());
    assert_eq!(cda_max_icc_modulus(7), 230);
}

#[test]
fn checksum_of_a_published_ca_key() {
    // Test CA of javaemvreader has no published checksum; this is Visa's 92 key, EMV CA public key list.
    let n = "996AF56F569187D09293C14810450ED8EE3357397B18A2458EFAA92DA3B6DF6514EC060195318FD43BE9B8F0CC669E3F844057CBDDF8BDA191BB64473BC8DC9A730DB8F6B4EDE3924186FFD9B8C7735789C23A36BA0B8AF65372EB57EA5D89E7D14E9C7B6B557460F10885DA16AC923F15AF3758F0F03EBD3C5C2C949CBA306DB44E6A2C076C5F67E281D7EF56785DC4D75945E491F01918800A9E2DC66F60080566CE0DAF8D17EAD46AD8E30A247C9F";
    let checksum = "429C954A3859CEF91295F663C963E582ED6EB253";
    let rid = Rid([0xA0, 0, 0, 0, 3]);
    let n = hex::decode(n).unwrap();
    let sum = hex::decode(checksum).unwrap();
    let key = CaPublicKey::with_checksum(rid, CaKeyIndex(0x92), &n, &[3], &sum).unwrap();
    assert_eq!(hex::encode_upper(key.checksum()), checksum);
    assert!(CaPublicKey::with_checksum(rid, CaKeyIndex(0x93), &n, &[3], &sum).is_err());
}

#[test]
fn debug_tells_no_pan() {
    let issuer = signer();
    let data = IccKeyData {
        pan: &pan(),
        expiry: Expiry::from_yymm("2906").unwrap(),
        serial: CertificateSerial([0, 0, 9]),
        key: &certified(80, &[3]),
    };
    let block = icc_certificate_block(issuer.public(), &data, b"static").unwrap();
    assert_eq!(format!("{block:?}"), "SignBlock(144 bytes, remainder 0)");
    assert!(!format!("{data:?}").contains("900101"));
    let cert = IccCertificate {
        certificate: issuer.apply(block.block()).unwrap(),
        remainder: Vec::new(),
        exponent: vec![3],
    };
    let found = cert.verify(issuer.public(), IccKeyKind::Authentication, b"static").unwrap();
    assert_eq!(format!("{found:?}"), "CertifiedIccKey(serial 000009, 80 bytes)");
}

#[test]
fn dynamic_data_of_cda_parse() {
    let mut data = vec![8];
    data.extend_from_slice(&[7; 8]);
    data.push(0x80);
    data.extend_from_slice(&[1; 8]);
    data.extend_from_slice(&sdad::transaction_hash(b"pdol", b"cdol", b"", b"response"));
    let parsed = sdad::CdaDynamicData::parse(&data).unwrap();
    assert_eq!((parsed.cid, parsed.cryptogram, parsed.dynamic_number.len()), (0x80, [1; 8], 8));
    parsed.check_transaction(&sdad::transaction_hash(b"pdol", b"cdol", b"", b"response")).unwrap();
    assert!(parsed.check_transaction(&sdad::transaction_hash(b"pdol", b"cdol", b"x", b"response")).is_err());
    assert_eq!(format!("{parsed:?}"), "CdaDynamicData(CID 80)");
    assert!(sdad::CdaDynamicData::parse(&data[..37]).is_err());
    data.push(0);
    assert!(sdad::CdaDynamicData::parse(&data).is_err());
    assert!(sdad::dynamic_number(&[1, 0]).is_err());
    assert_eq!(sdad::dynamic_number(&[2, 5, 6]).unwrap(), [5, 6]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn recovery_undoes_issuance(len in 64_usize..=144, big: bool, p in "[0-9]{12,19}", serial: [u8; 3], statics in prop::collection::vec(any::<u8>(), 0..300), flip: u16) {
        let issuer = signer();
        let key = certified(len, if big { &[1, 0, 1] } else { &[3] });
        let pan = Pan::without_check(&p).unwrap();
        let data = IccKeyData { pan: &pan, expiry: Expiry::from_yymm("3111").unwrap(), serial: CertificateSerial(serial), key: &key };
        for kind in [IccKeyKind::Authentication, IccKeyKind::PinEncipherment] {
            let block = match kind {
                IccKeyKind::Authentication => icc_certificate_block(issuer.public(), &data, &statics).unwrap(),
                IccKeyKind::PinEncipherment => pin_certificate_block(issuer.public(), &data).unwrap(),
            };
            let cert = IccCertificate {
                certificate: issuer.apply(block.block()).unwrap(),
                remainder: block.remainder().to_vec(),
                exponent: key.exponent().to_vec(),
            };
            block.confirm(issuer.public(), &cert.certificate).unwrap();
            let found = cert.verify(issuer.public(), kind, &statics).unwrap();
            prop_assert!(found.is_for(&pan));
            prop_assert_eq!((found.expiry, found.serial), (data.expiry, data.serial));
            prop_assert_eq!(&found.key, &key);
            // Other static data matter for the one kind and not for the other.
            let mut other = statics.clone();
            other.push(0);
            prop_assert_eq!(cert.verify(issuer.public(), kind, &other).is_ok(), kind == IccKeyKind::PinEncipherment);
            let mut bad = cert.certificate.clone();
            let at = usize::from(flip) % (bad.len() * 8);
            bad[at / 8] ^= 1 << (at % 8);
            prop_assert!(block.confirm(issuer.public(), &bad).is_err());
        }
    }

    #[test]
    fn signed_data_recover(dac: [u8; 2], statics in prop::collection::vec(any::<u8>(), 0..300), dynamic in prop::collection::vec(any::<u8>(), 0..100)) {
        let key = signer();
        let block = ssad_block(key.public(), Dac(dac), &statics).unwrap();
        let tag_93 = key.apply(block.block()).unwrap();
        prop_assert_eq!(verify_ssad(key.public(), &tag_93, &statics).unwrap().dac, Dac(dac));
        let mut other = statics.clone();
        other.push(1);
        prop_assert!(verify_ssad(key.public(), &tag_93, &other).is_err());

        let block = sdad::block(key.public(), &dynamic, &statics).unwrap();
        let tag_9f4b = key.apply(block.block()).unwrap();
        prop_assert_eq!(sdad::verify(key.public(), &tag_9f4b, &statics).unwrap().dynamic_data, dynamic);
        prop_assert!(sdad::verify(key.public(), &tag_9f4b, &other).is_err());
        // A signature of one format is none of the other.
        prop_assert!(verify_ssad(key.public(), &tag_9f4b, &statics).is_err());
    }
}

use proptest::prelude::*;

use super::pkcs10::{Subject, assemble, request_info, signature_block, to_pem};
use super::template::{Field, RequestTemplate, RequestValues};
use super::*;
use crate::card::Expiry;
use crate::crypto::hash::sha1;
use crate::crypto::rsa::{Exponent, RsaPrivate};
use crate::issuer::oda::{
    CaKeyIndex, CaPublicKey, CertificateSerial, IssuerKeyData, Rid, issuer_certificate_block,
};

/// Two published 576-bit primes: the test CA key of sasc999/javaemvreader, TEST_CA_A123456789_RSA_KeyPair.txt.
const P: &str = "E67D4CBC4A35BF67D547AF9046248180E520ED4771D9CD993F9D3B073F87FA0A59C2E50B5299E57AE095DA4DF777025560952926A7F10CD5860FC11E7FA7F4904BF8E9A06708836F";
const Q: &str = "BA38BF7C2495DD0DAA728ECEECA93B46CD8E4A8F6CD063E7CFB93674B4AC598BA83E8DAEA1D9AB810AB9C13AF11A63E64673F0A0D381C5F9A8D8C28891D32F029AE102491B067513";

fn private() -> RsaPrivate {
    let part = |hex: &str| hex::decode(hex).unwrap();
    RsaPrivate::from_primes(&part(P), &part(Q), Exponent::THREE).unwrap()
}

fn ca() -> CaPublicKey {
    let key = private();
    let (n, e) = (key.public().modulus().to_vec(), key.public().exponent().to_vec());
    CaPublicKey::new(Rid([0xA0, 0, 0, 0, 3]), CaKeyIndex(0xD1), &n, &e).unwrap()
}

/// A Visa or UnionPay response made here, field by field.
fn response(union_pay: bool, ni: usize) -> Vec<u8> {
    let mut n = vec![0xC3; ni];
    n[ni - 1] |= 1;
    let issuer = crate::issuer::oda::check_public_key(&n, &[1, 0, 1]).unwrap();
    let data = IssuerKeyData {
        identifier: "476173".parse().unwrap(),
        expiry: Expiry::from_yymm("2912").unwrap(),
        serial: CertificateSerial([1, 2, 3]),
        key: &issuer,
    };
    let block = issuer_certificate_block(ca().key(), &data).unwrap();
    let mut file = hex::decode("2410100000476173FF0102031229").unwrap();
    file.push(block.remainder().len() as u8);
    file.extend_from_slice(block.remainder());
    file.extend_from_slice(&[3, 1, 0, 1, 0xD1]);
    let hash = sha1(&[&file, block.block()]);
    let tail = if union_pay { "01".to_owned() } else { "3021300906052B0E03021A05000414".to_owned() };
    let tail = [hex::decode(tail).unwrap(), hash.to_vec()].concat();
    let mut detached = vec![0, 1];
    detached.resize(144 - tail.len() - 1, 0xFF);
    detached.push(0);
    detached.extend_from_slice(&tail);
    file.extend_from_slice(&private().apply(block.block()).unwrap());
    file.extend_from_slice(&private().apply(&detached).unwrap());
    file
}

#[test]
fn a_response_is_read_and_its_scheme_matters() {
    for (union_pay, layout, other) in [
        (false, ResponseLayout::Visa, ResponseLayout::UnionPay),
        (true, ResponseLayout::UnionPay, ResponseLayout::Visa),
    ] {
        for ni in [100, 109, 144] {
            let file = response(union_pay, ni);
            let found = CaResponse::read(layout, &file, &ca()).unwrap();
            assert_eq!(found.key.key.len(), ni);
            assert_eq!(found.service_id, Some([0x10, 0x10, 0, 0]));
            assert!(CaResponse::read(other, &file, &ca()).is_err());
            assert!(CaResponse::read(ResponseLayout::Mastercard, &file, &ca()).is_err());
            found.check_key(&found.key.key).unwrap();
            assert!(found.check_key(ca().key()).is_err());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_response_is_found() {
    let good = response(false, 109);
    for bit in (0..good.len() * 8).step_by(7) {
        // The service identifier is only under the detached signature; it must be found too.
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(CaResponse::read(ResponseLayout::Visa, &bad, &ca()).is_err(), "bit {bit}");
    }
    assert!(CaResponse::read(ResponseLayout::Visa, &good[..good.len() - 1], &ca()).is_err());
    let mut long = good;
    long.push(0);
    assert!(CaResponse::read(ResponseLayout::Visa, &long, &ca()).is_err());
}

fn values(key: &crate::crypto::rsa::RsaPublic) -> RequestValues<'_> {
    RequestValues {
        identifier: "476173".parse().unwrap(),
        service_id: [0x10, 0x10, 0, 0],
        tracking: [0x96, 0, 0x97],
        key_index: [0, 0, 1],
        serial: [0, 0, 2],
        expiry: Expiry::from_yymm("3112").unwrap(),
        key,
    }
}

#[test]
fn a_request_from_templates() {
    let key = private();
    let values = values(key.public());
    let head: RequestTemplate =
        "constant:11 identifier:4 expiry serial constant:0101 modulus-length:1 exponent-length"
            .parse()
            .unwrap();
    let block = head.self_certificate(&values).unwrap();
    let signature = key.apply(block.block()).unwrap();
    let recovered = key.public().apply(&signature).unwrap();
    assert_eq!(hex::encode_upper(&recovered[..15]), "6A11476173FF123100000201019001");
    assert_eq!(recovered[15..123], key.public().modulus()[..108]);
    assert_eq!(recovered[143], 0xBC);

    let clear: RequestTemplate =
        "identifier:4 key-index constant:01 modulus-length:2 exponent-length modulus-left remainder exponent self-certificate"
            .parse()
            .unwrap();
    let file = clear.render(&values, Some((&block, &signature))).unwrap();
    let want = [
        hex::decode("476173FF000001010090").unwrap(),
        vec![1],
        key.public().modulus().to_vec(),
        vec![3],
        signature.clone(),
    ]
    .concat();
    assert_eq!(file, want);
    let read = clear.read(&file, Some(&head)).unwrap();
    assert_eq!(
        (&read.key, read.identifier, read.key_index),
        (key.public(), Some(values.identifier), Some([0, 0, 1]))
    );
    // The self-certificate says these two.
    assert_eq!((read.expiry, read.serial), (Some(values.expiry), Some([0, 0, 2])));
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x01;
        // Of the clear part the number of the key alone stands nowhere else.
        assert!(clear.read(&bad, Some(&head)).is_err() || (4..7).contains(&at), "byte {at}");
    }
    assert!(clear.read(&file[1..], Some(&head)).is_err());
    assert!(clear.render(&values, None).is_err());
    let mut wrong = signature;
    wrong[100] ^= 1;
    assert!(clear.render(&values, Some((&block, &wrong))).is_err());

    let hash: RequestTemplate = "identifier:4 key-index constant:01 sha1".parse().unwrap();
    let file = hash.render(&values, None).unwrap();
    assert_eq!(file[8..], sha1(&[&hex::decode("476173FF00000101").unwrap()]));
}

#[test]
fn field_names_read_back() {
    let all = "constant:22 identifier:5 service-id tracking key-index serial expiry modulus-length:2 modulus \
               modulus-left remainder exponent-length exponent self-certificate sha1";
    let template: RequestTemplate = all.parse().unwrap();
    let shown: Vec<String> = template.fields().iter().map(Field::to_string).collect();
    assert_eq!(shown.join(" "), all.split_whitespace().collect::<Vec<_>>().join(" "));
    for bad in [
        "identifier",
        "identifier:9",
        "identifier:x",
        "modulus-length:3",
        "constant",
        "constant:2",
        "sha1:1",
        "",
    ] {
        assert!(bad.parse::<Field>().is_err(), "{bad}");
    }
    let key = private();
    let long = RequestValues { identifier: "47617390".parse().unwrap(), ..values(key.public()) };
    let short: RequestTemplate = "identifier:3".parse().unwrap();
    assert!(short.render(&long, None).is_err());
}

#[test]
fn a_pkcs10_request_is_signed_and_reads_back() {
    let key = private();
    let subject = Subject {
        common_name: "Issuer 476173".into(),
        organization: Some("Test Bank".into()),
        country: Some("FR".into()),
    };
    let info = request_info(&subject, key.public()).unwrap();
    let signature = key.apply(&signature_block(&info, 144).unwrap()).unwrap();
    let request = assemble(&info, key.public(), &signature).unwrap();
    // SEQUENCE with a two-byte length, around everything.
    assert_eq!(request[..2], [0x30, 0x82]);
    assert_eq!(usize::from(u16::from_be_bytes([request[2], request[3]])), request.len() - 4);
    assert_eq!(request[4..4 + info.len()], info);
    assert!(to_pem(&request).lines().all(|l| l.len() <= 64));
    assert_eq!(super::pkcs10::read(&request).unwrap(), *key.public());
    for at in 0..request.len() {
        let mut bad = request.clone();
        bad[at] ^= 0x01;
        assert!(super::pkcs10::read(&bad).is_err(), "byte {at}");
    }
    assert!(super::pkcs10::read(&[request.clone(), vec![0]].concat()).is_err());
    assert!(assemble(&info, key.public(), &[0; 144]).is_err());
    assert!(signature_block(&info, 61).is_err());
    for bad in [
        Subject { common_name: String::new(), ..Subject::default() },
        Subject { common_name: "a".into(), country: Some("fr".into()), ..Subject::default() },
        Subject { common_name: "a\nb".into(), ..Subject::default() },
        Subject { common_name: "x".repeat(65), ..Subject::default() },
    ] {
        assert!(request_info(&bad, key.public()).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(file in prop::collection::vec(any::<u8>(), 0..400), header: bool) {
        let mut file = file;
        if let (true, Some(first)) = (header, file.first_mut()) {
            *first = 0x24;
        }
        for layout in [ResponseLayout::Visa, ResponseLayout::Mastercard, ResponseLayout::UnionPay] {
            prop_assert!(CaResponse::read(layout, &file, &ca()).is_err());
        }
    }
}

//! The outside witness: a terminal that other people wrote (the `emv` crate, a development dependency) derives, checks
//! and recovers what this library makes. Random cases, the same ones in every run; how many: `plain::cases`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;

use std::sync::OnceLock;

use emv::core::application_cryptogram as their_ac;
use emv::core::ec_sdsa::{constrain_long_term_private_key_p256, ec_sdsa_p256_sign, ec_sdsa_p256_verify};
use emv::core::ecc_oda::{EccCaPublicKey, recover_issuer_public_key_ecc};
use emv::core::issuer_authentication as their_arpc;
use emv::core::master_key_derivation as their_keys;
use emv::core::oda::{self as their_oda, CaPublicKey as TheirCa};
use emv::core::secure_messaging as their_sm;
use emv_dataprep::card::{CardDate, Expiry, Pan};
use emv_dataprep::crypto::ecsdsa::{EcCurve, EcPrivate, EcPublic};
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::ecc::EcIssuerCertificate;
use emv_dataprep::issuer::oda::{
    CaKeyIndex, CertificateSerial, Dac, IccKeyData, IssuerKeyData, Rid, icc_certificate_block,
    issuer_certificate_block, pin_certificate_block, sdad, ssad_block,
};
use emv_dataprep::issuer::script::{self, DataEncipherment};
use emv_dataprep::issuer::{DerivationOption, cryptogram, icc_key, session_key};
use emv_dataprep::secret::Secret;
use plain::cases::{Cases, each, each_slow, unhex};

/// Their derived keys keep the parity that the cipher gives.
fn odd(mut key: Vec<u8>) -> Vec<u8> {
    for b in &mut key {
        *b = (*b & 0xFE) | u8::from((*b >> 1).count_ones() % 2 == 0);
    }
    key
}

fn compressed(digits: &str) -> Vec<u8> {
    unhex(&if digits.len() % 2 == 1 { format!("{digits}F") } else { digits.to_owned() })
}

#[test]
fn icc_master_keys() {
    each("their-mk", |cases| {
        let (pan, psn, imk): (_, _, [u8; 16]) = (cases.pan(), cases.digits(2), cases.array());
        let (field, psn_byte) = (compressed(&pan), unhex(&psn)[0]);
        let card = Pan::without_check(&pan).unwrap();
        let ours = |option, imk: &[u8]| {
            let key = icc_key::derive(option, &Secret::copy_of(imk), &card, psn.parse().unwrap());
            key.unwrap().expose().to_vec()
        };
        let a = their_keys::derive_master_key_option_a(&imk, &field, Some(psn_byte)).unwrap();
        assert_eq!(ours(DerivationOption::A, &imk), odd(a.to_vec()));
        let b = their_keys::derive_master_key_option_b(&imk, &field, Some(psn_byte)).unwrap();
        assert_eq!(ours(DerivationOption::B, &imk), odd(b.to_vec()));
        let len = cases.one_of(&[16, 24, 32]);
        let aes = cases.bytes(len);
        let c = their_keys::derive_master_key_option_c(&aes, &field, Some(psn_byte)).unwrap();
        assert_eq!(ours(DerivationOption::C, &aes), c);
    });
}

#[test]
fn session_keys_and_cryptograms() {
    each("their-cryptograms", |cases| {
        let (mk, atc, data): ([u8; 16], [u8; 2], _) = (cases.array(), cases.array(), cases.up_to(60));
        let len = cases.one_of(&[16, 24, 32]);
        let aes = cases.bytes(len);
        let counter = u16::from_be_bytes(atc);
        let theirs =
            their_sm::derive_session_key_tdes(&mk, &their_sm::diversification_for_ac_session_key(counter));
        let sk = session_key::common_tdes(&Secret::copy_of(&mk), session_key::diversifier_tdes(atc)).unwrap();
        assert_eq!(sk.expose(), odd(theirs.to_vec()));
        let theirs_aes = their_sm::derive_session_key_aes(
            &aes,
            &their_sm::diversification_for_ac_session_key_aes(counter),
        );
        let sk_aes =
            session_key::common_aes(&Secret::copy_of(&aes), session_key::diversifier_aes(atc)).unwrap();
        assert_eq!(sk_aes.expose(), theirs_aes.unwrap());

        let key = TdesKey::new(&sk).unwrap();
        let ac = cryptogram::application_cryptogram(&key, Padding::Bit, &data);
        assert_eq!(ac, their_ac::application_cryptogram(&theirs, &data));
        let ac_aes = cryptogram::application_cryptogram_aes(&sk_aes, &data).unwrap();
        assert_eq!(ac_aes, their_ac::application_cryptogram_aes(sk_aes.expose(), &data).unwrap());

        let (arc, csu, more): ([u8; 2], [u8; 4], _) = (cases.array(), cases.array(), cases.up_to(9));
        assert_eq!(cryptogram::arpc_method_1(&key, ac, arc), their_arpc::arpc_method1(ac, arc, &theirs));
        let two = cryptogram::arpc_method_2(&key, ac, csu, &more).unwrap();
        assert_eq!(two, their_arpc::arpc_method2(ac, csu, &more, &theirs).unwrap());
        let one = cryptogram::arpc_method_1_aes(&sk_aes, ac, arc).unwrap();
        assert_eq!(one, their_arpc::arpc_method1_aes(ac, arc, sk_aes.expose()).unwrap());
        let two = cryptogram::arpc_method_2_aes(&sk_aes, ac, csu, &more).unwrap();
        assert_eq!(two, their_arpc::arpc_method2_aes(ac, csu, &more, sk_aes.expose()).unwrap());
    });
}

/// Secure messaging format 1: the command that they build carries our data object and our MAC.
#[test]
fn secure_messaging() {
    let object =
        |tag: u8, value: &[u8]| [&[tag], &emv::core::tlv::encode_length(value.len())[..], value].concat();
    each("their-sm", |cases| {
        let (enc, mac): ([u8; 16], [u8; 16]) = (cases.array(), cases.array());
        let len = cases.one_of(&[16, 24, 32]);
        let (aes_enc, aes_mac) = (cases.bytes(len), cases.bytes(len));
        let count = 1 + cases.below(60) as usize;
        let data = cases.bytes(count);
        let (ins, p1, p2): (u8, u8, u8) = (cases.next() as u8, cases.next() as u8, cases.next() as u8);
        let wanted = 4 + cases.below(5) as usize;
        let chained = cases.below(2) == 1;
        let (chain, long): (Option<[u8; 8]>, Option<[u8; 16]>) =
            if chained { (Some(cases.array()), Some(cases.array())) } else { (None, None) };
        let with_mac = |object: &[u8], mac: &[u8]| [object, &[0x8E, mac.len() as u8], mac].concat();
        let code = emv::core::apdu::Ins(ins);
        let header = |cla: u8| [cla, ins, p1, p2];

        let key = TdesKey::from_bytes(&mac).unwrap();
        let command =
            their_sm::wrap_format_1_integrity_only(code, p1, p2, &data, false, &mac, wanted, chain.as_ref());
        let command = command.unwrap();
        let clear = object(0x81, &data);
        let ours = script::mac_format_1(&key, header(command.cla.0), &clear, chain, wanted).unwrap();
        assert_eq!(command.data, with_mac(&clear, &ours));
        let command = their_sm::wrap_format_1_with_confidentiality(
            code,
            p1,
            p2,
            &data,
            false,
            &enc,
            &mac,
            wanted,
            chain.as_ref(),
        );
        let command = command.unwrap();
        let cipher = TdesKey::from_bytes(&enc).unwrap();
        let hidden = script::encipher(&cipher, DataEncipherment::Ccd, &data).unwrap();
        let hidden = object(0x87, &[&[0x01], &hidden[..]].concat());
        let ours = script::mac_format_1(&key, header(command.cla.0), &hidden, chain, wanted).unwrap();
        assert_eq!(command.data, with_mac(&hidden, &ours));

        let key = Secret::copy_of(&aes_mac);
        let command = their_sm::wrap_format_1_integrity_only_aes(
            code,
            p1,
            p2,
            &data,
            false,
            &aes_mac,
            wanted,
            long.as_ref(),
        );
        let command = command.unwrap();
        let ours = script::mac_format_1_aes(&key, header(command.cla.0), &clear, long, wanted).unwrap();
        assert_eq!(command.data, with_mac(&clear, &ours));
        let command = their_sm::wrap_format_1_with_confidentiality_aes(
            code,
            p1,
            p2,
            &data,
            false,
            &aes_enc,
            &aes_mac,
            wanted,
            long.as_ref(),
        );
        let command = command.unwrap();
        let hidden = script::encipher_aes(&Secret::copy_of(&aes_enc), &data).unwrap();
        let hidden = object(0x87, &[&[0x01], &hidden[..]].concat());
        let ours = script::mac_format_1_aes(&key, header(command.cla.0), &hidden, long, wanted).unwrap();
        assert_eq!(command.data, with_mac(&hidden, &ours));
    });
}

/// CA, issuer and ICC keys: every card takes one of each, the longer signing the shorter.
fn keys() -> &'static [Vec<RsaPrivate>; 3] {
    static KEYS: OnceLock<[Vec<RsaPrivate>; 3]> = OnceLock::new();
    KEYS.get_or_init(|| {
        [[1408, 1984], [1152, 1408], [768, 1024]].map(|sizes| {
            let made = sizes.iter().flat_map(|bits| [(bits, Exponent::THREE), (bits, Exponent::F4)]);
            made.map(|(bits, e)| {
                let name = [(bits / 8) as u8, e.get() as u8, (e.get() >> 16) as u8];
                let stream = Seed::fixed([0x7E; 32]).named_stream(&name, Purpose::TestIssuer);
                generate(KeySpec::new(*bits, e).unwrap(), &stream).unwrap()
            })
            .collect()
        })
    })
}

/// A remainder that is not there is no data object.
fn present(remainder: &[u8]) -> Option<&[u8]> {
    (!remainder.is_empty()).then_some(remainder)
}

/// A whole card: its chain is recovered, its static and dynamic signatures are accepted; a changed bit is not.
#[test]
fn offline_data_authentication() {
    // The first month that two digits can say.
    let today = [0x01, 0x00];
    let [cas, issuers, iccs] = keys();
    each_slow("their-oda", |cases| {
        let at = |cases: &mut Cases| cases.below(4) as usize;
        let (ca, issuer, icc) = (&cas[at(cases)], &issuers[at(cases)], &iccs[at(cases)]);
        let (pan, digits) = (cases.pan(), 3 + cases.below(6) as usize);
        let field = compressed(&pan);
        let (year, month) = (cases.digits(2), format!("{:02}", 1 + cases.below(12)));
        let expiry = Expiry::from_yymm(&format!("{year}{month}")).unwrap();
        let (serial, dac): ([u8; 3], [u8; 2]) = (cases.array(), cases.array());
        let static_data = cases.up_to(250);
        let serial_number = CertificateSerial(serial);
        let issuer_data = IssuerKeyData {
            identifier: pan[..digits].parse().unwrap(),
            expiry,
            serial: serial_number,
            key: issuer.public(),
        };
        let block = issuer_certificate_block(ca.public(), &issuer_data).unwrap();
        let certificate = ca.apply(block.block()).unwrap();
        let their_ca = TheirCa {
            rid: [0xA0, 0, 0, 0, 3],
            index: 1,
            modulus: ca.public().modulus().to_vec(),
            exponent: ca.public().exponent().to_vec(),
        };
        let recover_issuer = |certificate: &[u8]| {
            let (remainder, exponent) = (present(block.remainder()), issuer.public().exponent());
            their_oda::recover_issuer_public_key(&their_ca, certificate, remainder, exponent, &field, today)
        };
        let their_issuer = recover_issuer(&certificate).unwrap();
        assert_eq!(their_issuer.modulus, issuer.public().modulus());
        assert_eq!((their_issuer.serial_number, their_issuer.expiration_mmyy), (serial, expiry.mmyy_bcd()));
        let changed = |bytes: &[u8], cases: &mut Cases| {
            let mut out = bytes.to_vec();
            let at = cases.below(out.len() as u64) as usize;
            out[at] ^= 1 << cases.below(8);
            out
        };
        assert!(recover_issuer(&changed(&certificate, cases)).is_err());

        let signed =
            issuer.apply(ssad_block(issuer.public(), Dac(dac), &static_data).unwrap().block()).unwrap();
        assert_eq!(their_oda::verify_sda(&their_issuer, &signed, &static_data).unwrap(), dac);
        assert!(their_oda::verify_sda(&their_issuer, &changed(&signed, cases), &static_data).is_err());

        let held = Pan::without_check(&pan).unwrap();
        let icc_data = IccKeyData { pan: &held, expiry, serial: serial_number, key: icc.public() };
        let block = icc_certificate_block(issuer.public(), &icc_data, &static_data).unwrap();
        let certificate = issuer.apply(block.block()).unwrap();
        let exponent = icc.public().exponent();
        let remainder = present(block.remainder());
        let their_icc = their_oda::recover_icc_public_key(
            &their_issuer,
            &certificate,
            remainder,
            exponent,
            &static_data,
            &field,
            today,
        );
        let their_icc = their_icc.unwrap();
        assert_eq!(their_icc.modulus, icc.public().modulus());
        let pin_block = pin_certificate_block(issuer.public(), &icc_data).unwrap();
        let pin_key = their_oda::recover_icc_pin_encipherment_public_key(
            &their_issuer,
            &issuer.apply(pin_block.block()).unwrap(),
            present(pin_block.remainder()),
            exponent,
            &field,
            today,
        );
        assert_eq!(pin_key.unwrap().modulus, icc.public().modulus());

        // The card's side, with our frames.
        let number_len = 2 + cases.below(7) as usize;
        let (number, un, ac): (_, [u8; 4], [u8; 8]) = (cases.bytes(number_len), cases.array(), cases.array());
        let dynamic = [&[number_len as u8], &number[..]].concat();
        let signed = icc.apply(sdad::block(icc.public(), &dynamic, &un).unwrap().block()).unwrap();
        assert_eq!(their_oda::verify_dda(&their_icc, &signed, &un).unwrap(), number);
        let (cid, transaction) = (cases.one_of(&[0x40, 0x80]), cases.up_to(120));
        let hash = sdad::transaction_hash(&transaction, &[], &[], &[]);
        let dynamic = [&dynamic[..], &[cid], &ac, &hash].concat();
        let signed = icc.apply(sdad::block(icc.public(), &dynamic, &un).unwrap().block()).unwrap();
        let found = their_oda::verify_cda(&their_icc, &signed, un, &transaction, cid).unwrap();
        assert_eq!((found.icc_dynamic_number, found.application_cryptogram), (number, ac));
        let wrong = changed(&signed, cases);
        assert!(their_oda::verify_cda(&their_icc, &wrong, un, &transaction, cid).is_err());
    });
}

/// EC-SDSA on P-256 and issuer certificates of format 12. Their reader of format 14 wants 00 where the worked examples of
/// Book E have 01 as the hash encoding, so format 14 is left to `second_ecc`.
#[test]
fn elliptic_curves() {
    let mut rng = Seed::fixed([0x7E; 32]).named_stream(b"their ecc", Purpose::TestIssuer).rng();
    each_slow("their-ecc", |cases| {
        let (mut d, mut k): ([u8; 32], [u8; 32]) = (cases.array(), cases.array());
        // Below the order.
        (d[0], k[0]) = (d[0] & 0x7F, k[0] & 0x7F);
        let message = cases.up_to(100);
        let private = EcPrivate::new(EcCurve::P256, &Secret::copy_of(&d)).unwrap();
        let x: [u8; 32] = private.public().x().try_into().unwrap();
        let signature = private.sign(&message, &mut rng).unwrap();
        assert!(ec_sdsa_p256_verify(0x10, &x, &message, &signature).unwrap());
        let turned = constrain_long_term_private_key_p256(&d).unwrap();
        let theirs = ec_sdsa_p256_sign(0x10, &turned, &k, &message).unwrap();
        private.public().verify(&message, &theirs).unwrap();

        let (pan, digits) = (cases.pan(), 3 + cases.below(6) as usize);
        let (rid, index): ([u8; 5], u8) = (cases.array(), cases.next() as u8);
        let certified = EcPrivate::new(EcCurve::P256, &Secret::copy_of(&k)).unwrap();
        let certificate = EcIssuerCertificate {
            identifier: pan[..digits].parse().unwrap(),
            expiry: CardDate::from_yymmdd("311231").unwrap(),
            serial: CertificateSerial(cases.array()),
            rid: Rid(rid),
            ca_index: CaKeyIndex(index),
            key: EcPublic::new(EcCurve::P256, certified.public().x()).unwrap(),
        };
        let bytes = certificate.sign(&private, &mut rng).unwrap();
        let ca = EccCaPublicKey { rid, index, x_coord: x.to_vec(), algorithm_suite: 0x10 };
        let today = [0x20, 0x26, 0x01, 0x15];
        let found = recover_issuer_public_key_ecc(&ca, &bytes, &compressed(&pan), today).unwrap();
        assert_eq!(found.x_coord, certified.public().x());
        let mut wrong = bytes;
        let at = cases.below(wrong.len() as u64) as usize;
        wrong[at] ^= 1 << cases.below(8);
        assert!(recover_issuer_public_key_ecc(&ca, &wrong, &compressed(&pan), today).is_err());
    });
}

//! RSA a second time with plain integers (`num-bigint`) and the hash of `tests/plain`: private operations, certificates
//! and signatures both ways, and what a generated key must be.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]
#![allow(clippy::print_stderr, reason = "a witness that is not installed is named")]

mod plain;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use emv_dataprep::card::{Expiry, Pan};
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{
    Exponent, KeySpec, RsaPrivate, RsaPublic, Sampling, generate, generate_batch, sign_batch,
};
use emv_dataprep::issuer::ceremony::pkcs10::{Subject, assemble, request_info, signature_block};
use emv_dataprep::issuer::ceremony::{CaResponse, ResponseLayout};
use emv_dataprep::issuer::oda::{
    CaKeyIndex, CaPublicKey, CertificateSerial, Dac, IccCertificate, IccKeyData, IccKeyKind,
    IssuerCertificate, IssuerKeyData, Rid, icc_certificate_block, issuer_certificate_block,
    pin_certificate_block, sdad, ssad_block, verify_ssad,
};
use num_bigint::BigUint;
use plain::cases::{Cases, each_slow, hex, key_count, unhex};
use plain::sha::sha1;

fn number(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

fn padded(n: &BigUint, len: usize) -> Vec<u8> {
    let bytes = n.to_bytes_be();
    [vec![0; len - bytes.len()], bytes].concat()
}

/// A key with its private exponent, computed here from the primes.
struct Signer {
    key: RsaPrivate,
    n: BigUint,
    d: BigUint,
}

impl Signer {
    fn len(&self) -> usize {
        self.key.public().len()
    }

    fn sign(&self, block: &[u8]) -> Vec<u8> {
        padded(&number(block).modpow(&self.d, &self.n), self.len())
    }

    fn recover(&self, signature: &[u8]) -> Vec<u8> {
        let e = number(self.key.public().exponent());
        padded(&number(signature).modpow(&e, &self.n), self.len())
    }
}

/// A few signers of the sizes in use and around them.
fn signers() -> &'static [Signer] {
    static KEYS: OnceLock<Vec<Signer>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let sizes = [(768, 3), (896, 65537), (1024, 65537), (1152, 3), (1408, 65537), (1984, 3)];
        sizes
            .map(|(bits, e)| {
                let stream = Seed::fixed([0x77; 32]).named_stream(&[bits as u8], Purpose::TestIssuer);
                let key = generate(KeySpec::new(bits, Exponent::new(e).unwrap()).unwrap(), &stream).unwrap();
                let one = BigUint::from(1_u8);
                let (p, q) = (number(key.p().expose()), number(key.q().expose()));
                let phi = (&p - &one) * (&q - &one);
                let d = BigUint::from(e).modinv(&phi).unwrap();
                Signer { n: p * q, d, key }
            })
            .into()
    })
}

fn signer(cases: &mut Cases) -> &'static Signer {
    &signers()[cases.below(6) as usize]
}

/// A public key that is nobody's: a modulus of `len` bytes and either exponent.
fn public(cases: &mut Cases, len: usize) -> RsaPublic {
    let mut modulus = cases.bytes(len);
    modulus[0] |= 0x80;
    modulus[len - 1] |= 1;
    let exponent: &[u8] = cases.one_of(&[&[3], &[1, 0, 1]]);
    RsaPublic::new(&modulus, exponent).unwrap()
}

/// `6A ‖ body ‖ hash ‖ BC` around a head and a key, as tables 6, 7, 14 and 17 of Book 2 print it.
fn plain_frame(n: usize, head: &str, key: &[u8], hashed: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let room = n - 22 - head.len() / 2;
    let inside = &key[..key.len().min(room)];
    let remainder = key[inside.len()..].to_vec();
    let body = format!("{head}{:B<1$}", hex(inside), room * 2);
    let hash = sha1(&[&unhex(&body)[..], &remainder, hashed].concat());
    (unhex(&format!("6A{body}{}BC", hex(&hash))), remainder)
}

#[test]
fn private_operations() {
    each_slow("rsa-private", |cases| {
        let signer = signer(cases);
        let mut block = cases.bytes(signer.len());
        block[0] &= 0x7F;
        let want = signer.sign(&block);
        assert_eq!(signer.key.apply(&block).unwrap(), want);
        let signed = sign_batch(Backend::detect(), &signer.key, &[block.clone()]);
        assert_eq!(signed[0].as_ref().unwrap(), &want);
        assert_eq!(signer.key.public().apply(&want).unwrap(), block);
        assert_eq!(signer.recover(&want), block);
    });
}

#[test]
fn issuer_certificates_both_ways() {
    each_slow("issuer-certificate", |cases| {
        let ca = signer(cases);
        // Around the length at which a remainder begins, and anywhere.
        let edge = ca.len() - 36;
        let anywhere = 40 + cases.below(ca.len() as u64 - 39) as usize;
        let len = cases.one_of(&[edge - 1, edge, edge + 1, ca.len(), anywhere]);
        let key = public(cases, len);
        let digits = 3 + cases.below(6) as usize;
        let identifier = cases.digits(digits);
        let (year, month) = (cases.digits(2), format!("{:02}", 1 + cases.below(12)));
        let serial: [u8; 3] = cases.array();
        let data = IssuerKeyData {
            identifier: identifier.parse().unwrap(),
            expiry: Expiry::from_yymm(&format!("{year}{month}")).unwrap(),
            serial: CertificateSerial(serial),
            key: &key,
        };
        let head = format!(
            "02{identifier:F<8}{month}{year}{}0101{len:02X}{:02X}",
            hex(&serial),
            key.exponent().len()
        );
        let (block, remainder) = plain_frame(ca.len(), &head, key.modulus(), key.exponent());
        let made = issuer_certificate_block(ca.key.public(), &data).unwrap();
        assert_eq!((made.block(), made.remainder()), (&block[..], &remainder[..]));
        // The other way: what the plain computation signs is read.
        let certificate = ca.sign(&block);
        assert_eq!(ca.recover(&certificate), block);
        let public = ca.key.public();
        let given =
            CaPublicKey::new(Rid([0xA0, 0, 0, 0, 4]), CaKeyIndex(7), public.modulus(), public.exponent());
        let given = given.unwrap();
        let checksum = sha1(&[&[0xA0, 0, 0, 0, 4, 7], public.modulus(), public.exponent()].concat());
        assert_eq!(given.checksum().to_vec(), checksum);
        let exponent = key.exponent().to_vec();
        let mut read = IssuerCertificate { certificate, remainder, exponent };
        let found = read.verify(&given).unwrap();
        assert_eq!((&found.key, found.serial), (&key, CertificateSerial(serial)));
        assert_eq!((found.identifier, found.expiry), (data.identifier, data.expiry));
        let at = cases.below(ca.len() as u64) as usize;
        read.certificate[at] ^= 1 << cases.below(8);
        assert!(read.verify(&given).is_err());
    });
}

#[test]
fn icc_and_pin_certificates_both_ways() {
    each_slow("icc-certificate", |cases| {
        let issuer = signer(cases);
        let edge = issuer.len() - 42;
        let anywhere = 40 + cases.below(issuer.len() as u64 - 39) as usize;
        let len = cases.one_of(&[edge - 1, edge, edge + 1, issuer.len(), anywhere]);
        let key = public(cases, len);
        let (pan, static_data) = (cases.pan(), cases.up_to(200));
        let (year, month) = (cases.digits(2), format!("{:02}", 1 + cases.below(12)));
        let serial: [u8; 3] = cases.array();
        let held = Pan::without_check(&pan).unwrap();
        let data = IccKeyData {
            pan: &held,
            expiry: Expiry::from_yymm(&format!("{year}{month}")).unwrap(),
            serial: CertificateSerial(serial),
            key: &key,
        };
        let head =
            format!("04{pan:F<20}{month}{year}{}0101{len:02X}{:02X}", hex(&serial), key.exponent().len());
        let public = issuer.key.public();
        for (kind, data_hashed) in
            [(IccKeyKind::Authentication, &static_data[..]), (IccKeyKind::PinEncipherment, &[])]
        {
            let hashed = [key.exponent(), data_hashed].concat();
            let (block, remainder) = plain_frame(issuer.len(), &head, key.modulus(), &hashed);
            let made = match kind {
                IccKeyKind::Authentication => icc_certificate_block(public, &data, &static_data),
                IccKeyKind::PinEncipherment => pin_certificate_block(public, &data),
            };
            let made = made.unwrap();
            assert_eq!((made.block(), made.remainder()), (&block[..], &remainder[..]));
            let (certificate, exponent) = (issuer.sign(&block), key.exponent().to_vec());
            let read = IccCertificate { certificate, remainder, exponent };
            let found = read.verify(public, kind, &static_data).unwrap();
            assert_eq!(
                (&found.key, found.serial, found.expiry),
                (&key, CertificateSerial(serial), data.expiry)
            );
            assert_eq!(hex(&found.pan_field), format!("{pan:F<20}"));
            let other = [&static_data[..], &[0]].concat();
            let verified = read.verify(public, kind, &other);
            assert_eq!(verified.is_err(), kind == IccKeyKind::Authentication);
        }
    });
}

#[test]
fn signed_static_data_both_ways() {
    each_slow("ssad", |cases| {
        let issuer = signer(cases);
        let (dac, static_data): ([u8; 2], _) = (cases.array(), cases.up_to(200));
        let (block, _) = plain_frame(issuer.len(), &format!("0301{}", hex(&dac)), &[], &static_data);
        let public = issuer.key.public();
        assert_eq!(ssad_block(public, Dac(dac), &static_data).unwrap().block(), block);
        let signature = issuer.sign(&block);
        assert_eq!(verify_ssad(public, &signature, &static_data).unwrap().dac, Dac(dac));
        assert!(verify_ssad(public, &signature, &[&static_data[..], &[0]].concat()).is_err());
    });
}

#[test]
fn signed_dynamic_data_both_ways() {
    each_slow("sdad", |cases| {
        let icc = signer(cases);
        let number_len = 2 + cases.below(7) as usize;
        let (dynamic_number, terminal_data) = (cases.bytes(number_len), cases.up_to(40));
        let (cid, ac, pdol): (u8, [u8; 8], _) = (cases.next() as u8, cases.array(), cases.up_to(30));
        let (cdol1, cdol2, response) = (cases.up_to(40), cases.up_to(30), cases.up_to(60));
        let public = icc.key.public();
        // CDA: the hash of the transaction is inside; DDA: the number alone.
        let transaction = sha1(&[&pdol[..], &cdol1, &cdol2, &response].concat());
        let hash = sdad::transaction_hash(&pdol, &cdol1, &cdol2, &response);
        assert_eq!(hash.to_vec(), transaction);
        let dda = [&[number_len as u8], &dynamic_number[..]].concat();
        let cda = [&dda[..], &[cid], &ac, &transaction].concat();
        for dynamic in [&dda, &cda] {
            let head = format!("0501{:02X}{}", dynamic.len(), hex(dynamic));
            let (block, _) = plain_frame(icc.len(), &head, &[], &terminal_data);
            assert_eq!(sdad::block(public, dynamic, &terminal_data).unwrap().block(), block);
            let signature = icc.sign(&block);
            let found = sdad::verify(public, &signature, &terminal_data).unwrap();
            assert_eq!(&found.dynamic_data, dynamic);
            assert_eq!(sdad::dynamic_number(&found.dynamic_data).unwrap(), dynamic_number);
            assert!(sdad::verify(public, &signature, &[&terminal_data[..], &[1]].concat()).is_err());
        }
        let parsed = sdad::CdaDynamicData::parse(&cda).unwrap();
        assert_eq!((parsed.cid, parsed.cryptogram), (cid, ac));
        parsed.check_transaction(&hash).unwrap();
    });
}

/// Response files of the schemes, made field by field and signed plainly: every field is read, a changed bit is not.
#[test]
fn scheme_response_files() {
    each_slow("responses", |cases| {
        let ca = signer(cases);
        let (n, public) = (ca.len(), ca.key.public());
        let edge = n - 36;
        let len = cases.one_of(&[edge - 1, edge, edge + 1, n]);
        let key = self::public(cases, len);
        let digits = 3 + cases.below(6) as usize;
        let (identifier, serial): (_, [u8; 3]) = (cases.digits(digits), cases.array());
        let expiry = format!("{:02}{}", 1 + cases.below(12), cases.digits(2));
        let (service, index): ([u8; 4], [u8; 3]) = (cases.array(), cases.array());
        let (exponent, ca_index) = (key.exponent(), cases.next() as u8);
        let (id, serial_text) = (format!("{identifier:F<8}"), hex(&serial));
        let head = format!("02{id}{expiry}{serial_text}0101{len:02X}{:02X}", exponent.len());
        let (block, remainder) = plain_frame(n, &head, key.modulus(), exponent);
        let certificate = ca.sign(&block);
        let given = CaPublicKey::new(
            Rid([0xA0, 0, 0, 0, 3]),
            CaKeyIndex(ca_index),
            public.modulus(),
            public.exponent(),
        );
        let given = given.unwrap();
        let layout =
            cases.one_of(&[ResponseLayout::Visa, ResponseLayout::Mastercard, ResponseLayout::UnionPay]);
        let file = if layout == ResponseLayout::Mastercard {
            let clear = format!("{id}{}{ca_index:02X}{}{}", hex(&index), hex(&remainder), hex(exponent));
            [unhex(&clear), certificate].concat()
        } else {
            let clear = unhex(&format!(
                "24{}{id}{serial_text}{expiry}{:02X}{}{:02X}{}{ca_index:02X}",
                hex(&service),
                remainder.len(),
                hex(&remainder),
                exponent.len(),
                hex(exponent)
            ));
            let algorithm =
                if layout == ResponseLayout::Visa { "3021300906052B0E03021A05000414" } else { "01" };
            let tail = format!("00{algorithm}{}", hex(&sha1(&[&clear[..], &block].concat())));
            let detached = unhex(&format!("0001{}{tail}", "F".repeat(n * 2 - 4 - tail.len())));
            [clear, certificate, ca.sign(&detached)].concat()
        };
        let found = CaResponse::read(layout, &file, &given).unwrap();
        assert_eq!((&found.key.key, found.key.serial), (&key, CertificateSerial(serial)));
        assert_eq!(found.key.identifier, identifier.parse().unwrap());
        found.check_key(&key).unwrap();
        match layout {
            ResponseLayout::Mastercard => assert_eq!(found.issuer_key_index, Some(index)),
            _ => assert_eq!(found.service_id, Some(service)),
        }
        let mut wrong = file;
        // Mastercard's key index is nowhere else in the file.
        let from = if layout == ResponseLayout::Mastercard { 7 } else { 0 };
        let at = from + cases.below((wrong.len() - from) as u64) as usize;
        wrong[at] ^= 1 << cases.below(8);
        assert!(CaResponse::read(layout, &wrong, &given).is_err(), "byte {at}");
    });
}

/// Miller-Rabin with plain integers, bases that follow from the number.
fn is_prime(n: &BigUint) -> bool {
    let (zero, one) = (BigUint::from(0_u8), BigUint::from(1_u8));
    if (3_u32..2000).any(|d| n % d == zero) || n % 2_u8 == zero {
        return false;
    }
    let less_one = n - &one;
    let twos = less_one.trailing_zeros().unwrap();
    let odd = &less_one >> twos;
    let mut seed = sha1(&n.to_bytes_be());
    (0..20).all(|_| {
        seed = sha1(&seed);
        let mut x = number(&seed).modpow(&odd, n);
        (0..twos).any(|_| {
            let witness = x == one || x == less_one;
            x = if x == less_one { x.clone() } else { (&x * &x) % n };
            witness
        }) || x == less_one
    })
}

/// FIPS 186-5, A.1.1 and A.1.3, on numbers; and what EMV asks of a key.
fn check_key(key: &RsaPrivate, bits: u64, e: u32) {
    let one = BigUint::from(1_u8);
    let [p, q, dp, dq, qinv] =
        [key.p(), key.q(), key.dp(), key.dq(), key.qinv()].map(|part| number(part.expose()));
    let (n, e) = (number(key.public().modulus()), BigUint::from(e));
    assert_eq!(number(key.public().exponent()), e);
    assert_eq!((n.bits(), p.bits(), q.bits()), (bits, bits / 2, bits / 2));
    assert_eq!(&p * &q, n);
    assert!(p > q && is_prime(&p) && is_prime(&q));
    // Both primes are at least sqrt(2) * 2^(h - 1).
    assert!(&q * &q >= &one << (bits - 1));
    assert!((&p - &q).bits() > bits / 2 - 100);
    assert_eq!((&e * &dp) % (&p - &one), one);
    assert_eq!((&e * &dq) % (&q - &one), one);
    assert_eq!((&qinv * &q) % &p, one);
    let d = number(key.d().unwrap().expose());
    assert!(d.bits() > bits / 2);
    let message = number(&[0x42; 40]);
    assert_eq!(message.modpow(&e, &n).modpow(&d, &n), message);
}

#[test]
fn generated_keys() {
    let mut cases = Cases::new("generated");
    for i in 0..key_count() {
        let bits = 512 + 16 * cases.below(93) as usize;
        let e = cases.one_of(&[3, 65537]);
        let sampling = cases.one_of(&[Sampling::Windows, Sampling::FreshCandidates]);
        let spec = KeySpec::new(bits, Exponent::new(e).unwrap()).unwrap().with_sampling(sampling);
        let stream = Seed::fixed(cases.array()).named_stream(&i.to_be_bytes(), Purpose::TestIssuer);
        let key = generate(spec, &stream).unwrap();
        check_key(&key, bits as u64, e);
        let batch = generate_batch(Backend::detect(), &[(spec, &stream)]);
        assert_eq!(batch[0].as_ref().unwrap().public(), key.public());
    }
}

/// What OpenSSL says to `input`; nothing when it refuses.
fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    if out.status.success() { String::from_utf8_lossy(&said).into_owned() } else { String::new() }
}

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        eprintln!("openssl is not installed: the plain checks stand alone");
    }
    found
}

/// Requests are signed as OpenSSL expects it; with another signature they are not.
#[test]
fn openssl_verifies_requests() {
    if !has_openssl() {
        return;
    }
    for signer in signers() {
        let subject = Subject {
            common_name: "Issuer 476173".into(),
            organization: Some("Test Bank".into()),
            country: Some("FR".into()),
        };
        let public = signer.key.public();
        let info = request_info(&subject, public).unwrap();
        let block = signature_block(&info, signer.len()).unwrap();
        let request = assemble(&info, public, &signer.sign(&block)).unwrap();
        let verifies = |der: &[u8]| {
            openssl(&["req", "-inform", "DER", "-verify", "-noout"], der).to_lowercase().contains("verify ok")
        };
        assert!(verifies(&request), "{} bytes", signer.len());
        let mut wrong = request;
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        assert!(!verifies(&wrong));
    }
}

/// The same keys as OpenSSL sees them, where its program is installed: `openssl rsa -check` tests primes and parts.
#[test]
fn openssl_accepts_generated_keys() {
    if !has_openssl() {
        return;
    }
    let checked =
        |der: &[u8]| openssl(&["rsa", "-inform", "DER", "-check", "-noout"], der).contains("RSA key ok");
    for i in 0..key_count().div_ceil(5) {
        let bits = [768, 1024, 1152, 1408, 1984][i % 5];
        let exponent = if i % 2 == 0 { Exponent::THREE } else { Exponent::F4 };
        let stream = Seed::fixed([0x0E; 32]).named_stream(&i.to_be_bytes(), Purpose::TestIssuer);
        let key = generate(KeySpec::new(bits, exponent).unwrap(), &stream).unwrap();
        assert!(checked(key.to_pkcs8().unwrap().expose()), "{bits} bits");
        // The check can fail: a key with a composite in the place of a prime.
        if i == 0 {
            let composite = number(key.p().expose()) * 3_u8 - 2_u8;
            let other = RsaPrivate::from_primes(&composite.to_bytes_be(), key.q().expose(), Exponent::F4);
            if let Ok(other) = other {
                assert!(!checked(other.to_pkcs8().unwrap().expose()));
            }
        }
    }
}

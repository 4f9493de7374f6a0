//! The whole of a card, order text in and sealed lines out, with this program's RSA and with OpenSSL's at the same two
//! places: the supply of ICC keys and the private operation of the key source.

use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed, StreamRng};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate};
use emv_dataprep::error::Result;
use emv_dataprep::issuer::{KeyModule, SecurityModule};
use emv_dataprep::keys::{
    KeyAlgorithm, KeyIndex, KeyInfo, KeyRef, KeySource, KeyUse, OdaKeyInfo, PrivateJwk, SoftwareRing, jwe,
};
use emv_dataprep::order::{Frame, NoEnvelopeKey, parse_order};
use emv_dataprep::output::card_line;
use emv_dataprep::prepare::{Context, RsaKeySupply, prepare_batch};
use emv_dataprep::profile::Issuer;
use emv_dataprep::secret::Secret;

use crate::common::{SCHEMES, TestIssuer, order_of};
use crate::{Tool, compare, openssl};

/// Cards at a time: of this program, and with OpenSSL, which gains nothing from company.
const SLICE: usize = 64;
const SLICE_OF_OPENSSL: usize = 8;

/// The interfaces of the card.
#[derive(Clone, Copy, PartialEq)]
enum Interfaces {
    /// One application with one ICC certificate.
    Contact,
    /// The shipped profile: two certificates, PPSE.
    Dual,
}

/// ICC keys of `EVP_PKEY_keygen`.
struct FreshFromOpenSsl;

impl RsaKeySupply for FreshFromOpenSsl {
    fn take(&self, _: u64, _: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let [p, q] = openssl::Key::generate(spec.bits(), spec.exponent().get()).primes();
        Some(RsaPrivate::from_primes(&p, &q, spec.exponent()).expect("a key"))
    }
}

/// The software ring with OpenSSL's private operation.
struct SignsWithOpenSsl<'a> {
    ring: &'a SoftwareRing,
    issuer: openssl::Key,
}

impl KeySource for SignsWithOpenSsl<'_> {
    fn name(&self) -> &'static str {
        "openssl"
    }
    fn keys(&self) -> Vec<KeyInfo> {
        self.ring.keys()
    }
    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        self.ring.info(key)
    }
    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.ring.encrypt_ecb(key, blocks)
    }
    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.ring.decrypt_ecb(key, blocks)
    }
    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.ring.encrypt_ecb_left(key, blocks)
    }
    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        self.ring.encrypt_cbc(key, messages)
    }
    fn wrap_key(
        &self,
        wrapping: KeyRef,
        usage: KeyUse,
        algorithm: KeyAlgorithm,
        key: &Secret,
        random: &mut StreamRng,
    ) -> Result<String> {
        self.ring.wrap_key(wrapping, usage, algorithm, key, random)
    }
    fn hmac_sha256(&self, key: KeyRef, messages: &[&[u8]]) -> Result<Vec<[u8; 32]>> {
        self.ring.hmac_sha256(key, messages)
    }
    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo> {
        self.ring.oda_info(index)
    }
    fn rsa_private(&self, _: KeyIndex, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Ok(self.issuer.sign(messages))
    }
}

/// The test issuer with the profile of the measurement.
fn issuer(interfaces: Interfaces, exponent: Exponent) -> TestIssuer {
    let mut test = TestIssuer::new();
    let profile = test.files.get_mut("profiles/visa-style-dual.toml").expect("the shipped profile");
    let mut text = String::from_utf8(profile.clone()).expect("text");
    text = text.replace("exponent = 65537", &format!("exponent = {}", exponent.get()));
    if interfaces == Interfaces::Contact {
        let contactless =
            text.find("[[application.interface]]\nname = \"contactless\"").expect("the interface");
        let after = text.find("[[application.dgi]]").expect("the DGIs");
        text.replace_range(contactless..after, "");
        let ppse = text.find("[[application]]\nkind = \"ppse\"").expect("the directory");
        text.truncate(ppse);
    }
    *profile = text.into_bytes();
    let (issuer, findings) = Issuer::check(&test.files, Some(test.today));
    test.issuer = issuer.unwrap_or_else(|| panic!("{findings:#?}"));
    test
}

/// Cards a second, order text in, one sealed envelope for each slice out.
pub fn measure(seconds: f64) {
    // The shipped profiles are read from the root of the repository.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).expect("the repository");
    for (interfaces, exponent) in [
        (Interfaces::Contact, Exponent::F4),
        (Interfaces::Contact, Exponent::THREE),
        (Interfaces::Dual, Exponent::F4),
    ] {
        let test = issuer(interfaces, exponent);
        let signer =
            KeyModule::new(SignsWithOpenSsl { ring: test.module.source(), issuer: issuer_key(&test) });
        let destination = PrivateJwk::generate(&mut test.seed.named_stream(b"jwk", Purpose::Envelope).rng());
        let (test, signer, destination) = (&test, &signer, &destination);
        let mut tools: Vec<Tool<'_>> = vec![(
            "OpenSSL's RSA".into(),
            Box::new(move || {
                let context = test.context_with(Some(&FreshFromOpenSsl));
                let context = Context { module: signer as &dyn SecurityModule, ..context };
                cards(test, &context, destination, SLICE_OF_OPENSSL)
            }),
        )];
        for backend in [Backend::Portable, Backend::Avx2, Backend::Avx512] {
            if backend.is_available() {
                tools.push((
                    backend.to_string(),
                    Box::new(move || {
                        // A fresh seed each time, as in production.
                        let seed = Seed::from_os().expect("random numbers");
                        let context = Context { backend, seed: &seed, ..test.context() };
                        cards(test, &context, destination, SLICE)
                    }),
                ));
            }
        }
        let name = if interfaces == Interfaces::Contact { "contact" } else { "dual" };
        compare(&format!("card, {name}, ICC 1408 e={}", exponent.get()), seconds, tools);
    }
}

/// The issuer key of the profile's scheme, made again from the test issuer's seed.
fn issuer_key(test: &TestIssuer) -> openssl::Key {
    let stream = test.seed.named_stream(format!("issuer{}", SCHEMES[0].1).as_bytes(), Purpose::TestIssuer);
    let key = generate(KeySpec::new(1408, Exponent::F4).expect("a size"), &stream).expect("a key");
    assert_eq!(
        key.public().modulus(),
        test.module.source().oda_info(KeyIndex(SCHEMES[0].2)).expect("the issuer key").modulus
    );
    crate::peer_of(&key)
}

fn cards(test: &TestIssuer, context: &Context<'_>, destination: &PrivateJwk, count: usize) -> usize {
    let (mut frame, mut orders) = (Frame::new(), Vec::new());
    for i in 0..count {
        let order = order_of("visa-style-dual", &format!("c-{i}"), i as u64);
        frame.feed(order.as_bytes(), &mut orders);
        frame.feed(b"\n", &mut orders);
    }
    frame.finish(&mut orders);
    let requests: Vec<_> = orders
        .iter()
        .map(|order| parse_order(&test.issuer, &NoEnvelopeKey, order, test.today).expect("a good order"))
        .collect();
    let mut lines = Vec::new();
    for card in prepare_batch(context, &requests).expect("a batch") {
        lines.extend_from_slice(&card_line(&card.expect("a card")));
    }
    let mut random = context.seed.named_stream(b"seal", Purpose::Envelope).rng();
    jwe::seal(destination.public(), &serde_json::Map::new(), &lines, &mut random).expect("an envelope");
    requests.len()
}

//! A test issuer in memory: the shipped profiles and products, keys from a fixed seed, a test scheme CA.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

use emv_dataprep::card::{CardDate, Expiry, Iin};
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{self, Exponent, KeySpec, RsaPrivate};
use emv_dataprep::crypto::tdes;
use emv_dataprep::issuer::KeyModule;
use emv_dataprep::issuer::oda::{CertificateSerial, IssuerKeyData, issuer_certificate_block};
use emv_dataprep::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
use emv_dataprep::order::{NoEnvelopeKey, parse_order};
use emv_dataprep::prepare::{CardRequest, Context, FirstSerial, RsaKeySupply, Scripts, TransportKeys};
use emv_dataprep::profile::{Finding, Issuer};
use emv_dataprep::secret::Secret;

/// Everything that a context borrows.
pub struct TestIssuer {
    pub files: BTreeMap<String, Vec<u8>>,
    pub issuer: Issuer,
    pub findings: Vec<Finding>,
    pub module: KeyModule<SoftwareRing>,
    /// Clear keys by use and index: for whoever checks.
    pub keys: BTreeMap<KeyRef, (KeyAlgorithm, Vec<u8>)>,
    /// Issuer RSA keys by `odaKeyIndex`: for whoever puts them elsewhere.
    pub issuer_keys: BTreeMap<KeyIndex, RsaPrivate>,
    /// CA keys by RID and the one index `F1`.
    pub ca: BTreeMap<[u8; 5], RsaPrivate>,
    pub seed: Seed,
    pub transport: TransportKeys,
    pub today: CardDate,
}

pub const CA_INDEX: u8 = 0xF1;

/// BIN, RID, `odaKeyIndex` of the three schemes of the shipped profiles.
pub const SCHEMES: [(&str, &str, u8); 3] =
    [("476173", "A000000003", 1), ("541333", "A000000004", 2), ("672345", "F000000001", 3)];

/// A scheme of the test issuer: its CA key and the issuer's key.
pub struct Scheme {
    pub bin: String,
    pub rid: String,
    pub index: u8,
    pub ca: RsaPrivate,
    pub issuer: RsaPrivate,
}

impl TestIssuer {
    /// A whole issuer. The CA and issuer keys are made from the fixed seed.
    pub fn new() -> Self {
        let seed = Seed::fixed([0x42; 32]);
        let schemes = SCHEMES
            .iter()
            .map(|(bin, rid, index)| {
                let make = |name: &str, bits, e| {
                    let stream = seed.named_stream(format!("{name}{rid}").as_bytes(), Purpose::TestIssuer);
                    rsa::generate(KeySpec::new(bits, Exponent::new(e).unwrap()).unwrap(), &stream).unwrap()
                };
                let (ca, issuer) = (make("ca", 1984, 3), make("issuer", 1408, 65537));
                Scheme { bin: (*bin).to_owned(), rid: (*rid).to_owned(), index: *index, ca, issuer }
            })
            .collect();
        let keys = symmetric_keys(&seed);
        Self::from_parts(seed, keys, schemes, "260115")
    }

    /// An issuer with keys that are given.
    pub fn from_parts(
        seed: Seed,
        keys: BTreeMap<KeyRef, (KeyAlgorithm, Vec<u8>)>,
        schemes: Vec<Scheme>,
        today: &str,
    ) -> Self {
        let mut files = BTreeMap::new();
        let mut ring = SoftwareRing::new(Backend::detect());
        let mut text = "version = 1\n".to_owned();
        for (key, (algorithm, value)) in &keys {
            let pvki = (key.usage == KeyUse::Pvk).then_some(1);
            let attributes = KeyAttributes { pvki, dki: None };
            ring.add_clear(*key, *algorithm, Secret::copy_of(value), attributes).unwrap();
            // The block itself is not opened here: the ring has the clear key.
            text += &format!(
                "[[key]]\nuse = \"{}\"\nindex = \"{}\"\nblock = \"-\"\nkcv = \"000000\"\nkcv_method = \"tdes\"\n{}\n",
                key.usage,
                key.index,
                pvki.map_or(String::new(), |p| format!("pvki = {p}"))
            );
        }
        files.insert("keys.toml".to_owned(), text.into_bytes());
        let (mut ca, mut issuer_keys) = (BTreeMap::new(), BTreeMap::new());
        for scheme in schemes {
            let rid: [u8; 5] = hex::decode(&scheme.rid).unwrap().try_into().unwrap();
            let toml = oda_toml(&scheme.rid, &scheme.bin, &scheme.ca, &scheme.issuer);
            files.insert(format!("oda/{:02X}/oda.toml", scheme.index), toml.into_bytes());
            let own = &scheme.issuer;
            let copy = RsaPrivate::from_primes(own.p().expose(), own.q().expose(), own.exponent()).unwrap();
            issuer_keys.insert(KeyIndex(scheme.index), copy);
            ring.add_oda(KeyIndex(scheme.index), scheme.issuer).unwrap();
            ca.insert(rid, scheme.ca);
        }
        files.insert("issuer.toml".to_owned(), ISSUER.as_bytes().to_vec());
        for folder in ["profiles", "products", "scripts"] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|e| e != "toml") {
                    continue;
                }
                let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
                files.insert(name, std::fs::read(path).unwrap());
            }
        }
        let today = CardDate::from_yymmdd(today).unwrap();
        let (issuer, findings) = Issuer::check(&files, Some(today));
        let issuer = issuer.unwrap_or_else(|| panic!("{findings:#?}"));
        let module = KeyModule::new(ring);
        let transport = TransportKeys::for_block(&issuer, &module, &seed, 0).unwrap();
        Self { files, issuer, findings, module, keys, issuer_keys, ca, seed, transport, today }
    }

    /// The context of block 0, without a supply of ready keys.
    pub fn context(&self) -> Context<'_> {
        self.context_with(None)
    }

    /// The context of block 0.
    pub fn context_with<'a>(&'a self, supply: Option<&'a dyn RsaKeySupply>) -> Context<'a> {
        Context {
            issuer: &self.issuer,
            module: &self.module,
            seed: &self.seed,
            today: self.today,
            backend: Backend::detect(),
            transport_keys: &self.transport,
            scripts: Scripts::Build,
            supply,
            first_serial: FirstSerial::default(),
            prime_tags: None,
        }
    }

    /// The request of one JSON order, which must be good.
    pub fn request(&self, json: &str) -> CardRequest {
        let mut frame = emv_dataprep::order::Frame::new();
        let mut orders = Vec::new();
        frame.feed(json.as_bytes(), &mut orders);
        frame.finish(&mut orders);
        let order = orders.pop().unwrap();
        parse_order(&self.issuer, &NoEnvelopeKey, &order, self.today)
            .unwrap_or_else(|e| panic!("{e}: {json}"))
    }
}

/// One good order for each shipped profile, in the order of [`profiles`].
pub fn order_of(profile: &str, card_id: &str, body: u64) -> String {
    let (bin, oda, index, extra, data) = match profile {
        "visa-style-dual" => ("476173", Some("01"), "01", r#","pinMailer":true"#, String::new()),
        "mastercard-style-dual" => {
            let pin = r#","pinBlock":{"format":"ISO-1","keyIndex":"01","value":"BLOCK"}"#;
            ("541333", Some("02"), "02", "", pin.to_owned())
        }
        "ccd-generic" => ("672345", Some("03"), "03", "", String::new()),
        "online-only" => ("672345", None, "04", "", String::new()),
        other => panic!("{other}"),
    };
    let pan = with_check_digit(&format!("{bin}{body:09}"));
    let oda = oda.map_or(String::new(), |i| format!(r#""odaKeyIndex":"{i}","#));
    format!(
        r#"{{"cardId":"{card_id}","order":{{"distributionChannel":"CENTRAL","services":{{"issuance":"CREATION"{extra}}},"encryptedData":"x","shipment":{{"type":"INDIVIDUAL","deliveryAddress":{{"lastName":"Muster","line1":"Main Street 1","zipCode":"1000","city":"Brussels","countryCode":"BE"}}}},"paymentApplication":{{"config":"{profile}",{oda}"derivationKeyIndex":"{index}","pvKeyIndex":"01","cvKeyIndex":"01"}}}},"cardData":{{"pan":"{pan}","exp":"2906","name":"Maria Muster"{data}}}}}"#
    )
}

/// The four shipped profiles.
pub const fn profiles() -> [&'static str; 4] {
    ["visa-style-dual", "mastercard-style-dual", "ccd-generic", "online-only"]
}

/// The digits with their Luhn check digit.
pub fn with_check_digit(body: &str) -> String {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let d = u32::from(b - b'0');
            if i % 2 == 0 { if d < 5 { 2 * d } else { 2 * d - 9 } } else { d }
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

pub fn symmetric_keys(seed: &Seed) -> BTreeMap<KeyRef, (KeyAlgorithm, Vec<u8>)> {
    let mut keys = BTreeMap::new();
    let mut add = |usage: KeyUse, index: u8, algorithm: KeyAlgorithm| {
        let key = KeyRef::new(usage, KeyIndex(index));
        let mut value = vec![0; algorithm.key_len()];
        seed.named_stream(format!("key {key}").as_bytes(), Purpose::TestIssuer).rng().fill(&mut value);
        if algorithm.is_tdes() {
            tdes::adjust_parity(&mut value);
        }
        keys.insert(key, (algorithm, value));
    };
    for index in 1..=4 {
        for usage in [KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc] {
            add(usage, index, KeyAlgorithm::Tdes2);
        }
    }
    add(KeyUse::ImkIdn, 2, KeyAlgorithm::Tdes2);
    add(KeyUse::ImkCvc3, 2, KeyAlgorithm::Tdes2);
    for usage in [KeyUse::Cvk, KeyUse::Pvk, KeyUse::Pin, KeyUse::Transport, KeyUse::Mailer] {
        add(usage, 1, KeyAlgorithm::Tdes2);
    }
    add(KeyUse::Transport, 2, KeyAlgorithm::Aes256);
    keys
}

fn oda_toml(rid: &str, bin: &str, ca: &RsaPrivate, issuer: &RsaPrivate) -> String {
    let identifier: Iin = bin.parse().unwrap();
    let data = IssuerKeyData {
        identifier,
        expiry: Expiry::from_yymm("3112").unwrap(),
        serial: CertificateSerial([0, 0, 1]),
        key: issuer.public(),
    };
    let block = issuer_certificate_block(ca.public(), &data).unwrap();
    let certificate = ca.apply(block.block()).unwrap();
    format!(
        "version = 1\nrid = \"{rid}\"\nca_modulus = \"{}\"\nca_exponent = \"{}\"\nca_expiry = \"3212\"\n\
         private_key = \"issuer.p8\"\n\n[[certificate]]\nissuer_identifier = \"{bin}\"\nca_index = \"{CA_INDEX:02X}\"\n\
         certificate = \"{}\"\nremainder = \"{}\"\nexponent = \"{}\"\n",
        hex::encode_upper(ca.public().modulus()),
        hex::encode_upper(ca.public().exponent()),
        hex::encode_upper(certificate),
        hex::encode_upper(block.remainder()),
        hex::encode_upper(issuer.public().exponent()),
    )
}

const ISSUER: &str = r#"
version = 1
issuer_id = "TESTISSUER"
environment = "test"
default_central_destination = "PC1"
pin_mailer_destination = "mailer"
issuer_return_destination = "issuer"

[secrets]
key_block_protection_key = "../secrets/kbpk.hex"

[[destination]]
id = "THALES"
channel = "THALES"
transport_key = { index = "01", mode = "CBC", kind = "static" }

[[destination]]
id = "PC1"
channel = "CENTRAL"
transport_key = { index = "01", mode = "ECB", kind = "static" }

[[destination]]
id = "PC2"
channel = "CENTRAL"
transport_key = { index = "02", mode = "CBC", kind = "per-block", algorithm = "AES-256" }

[[destination]]
id = "KIOSK-PS-101"
channel = "INSTANT"
transport_key = { index = "01", mode = "ECB", kind = "static" }

[[destination]]
id = "mailer"
pin_key = "01"

[[destination]]
id = "issuer"
pin_key = "01"

[identifiers]
issuance = ["CREATION", "RENEWAL", "REPLACEMENT"]
"#;

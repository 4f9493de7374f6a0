//! A production issuer whose keys nobody knows: the demo of a random seed, under a BIN of its own, with officers.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test file uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::Expiry;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, generate};
use emv_dataprep::issuer::oda::{CertificateSerial, IssuerKeyData, issuer_certificate_block};
use emv_dataprep::keys::{PrivateJwk, jwe};
use emv_dataprep::secret::Secret;
use serde_json::{Value, json};

use crate::cli_support::{dataprep, expect};

/// A BIN that is no published test one.
pub(crate) const BIN: &str = "412345";

/// What the issuer accepts by name.
pub(crate) const ACCEPT: &str = r#"["static-transport-of-pins", "software-key-source", "pins-outside-hsm"]"#;

pub(crate) struct Production {
    pub(crate) folder: tempfile::TempDir,
    seed: Seed,
}

impl Production {
    /// A whole issuer, signed by ann and bob.
    pub(crate) fn new() -> Self {
        let own = Self::unsigned();
        own.sign("ann");
        own.sign("bob");
        own
    }

    /// A whole issuer that no officer has signed.
    pub(crate) fn unsigned() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seed = Seed::from_os().unwrap();
        let own = Self { folder, seed };
        let drawn = hex_upper(&own.seed.keyed_digest(&[b"production test"]));
        expect(0, dataprep().arg("demo").arg(own.root()).args(["--empty", "--seed", &drawn]));
        std::fs::remove_dir_all(own.path("issuer/oda/02")).unwrap();
        own.issuer_key("01", "A000000003");
        let output = expect(
            0,
            dataprep()
                .args(["keys", "output-signing", "--out"])
                .arg(own.path("secrets/output.hex"))
                .arg("--public")
                .arg(own.path("output-signing.jwk")),
        );
        let output = String::from_utf8(output).unwrap();
        own.configure(|text| {
            let secrets = format!("{output}\n[secrets]\noutput_signing_key = \"../secrets/output.hex\"\n");
            let text = text.replacen("[secrets]\n", &secrets, 1);
            let production = format!("environment = \"production\"\nsequence = 1\naccept = {ACCEPT}");
            let text = text.replacen("environment = \"test\"", &production, 1);
            format!("{text}\n[ledger]\nfile = \"../ledger.sqlite\"\n")
        });
        let mut officers = "version = 1\nthreshold = 2\n".to_owned();
        for name in ["ann", "bob", "carl"] {
            let key = own.path(&format!("{name}.hex"));
            let line = expect(0, dataprep().args(["keys", "signing", "--out"]).arg(&key));
            let line = String::from_utf8(line).unwrap().replace("signing_public_key", "public_key");
            officers += &format!("\n[[officer]]\nname = \"{name}\"\n{line}");
        }
        std::fs::write(own.officers(), officers).unwrap();
        own
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("bank")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn officers(&self) -> PathBuf {
        self.path("officers.toml")
    }

    /// Changes `issuer.toml`; signatures are of another state then.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let path = self.path("issuer/issuer.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed);
        std::fs::write(path, changed).unwrap();
    }

    pub(crate) fn sign(&self, officer: &str) {
        let mut command = dataprep();
        command.args(["officers", "sign", "--name", officer, "--issuer"]).arg(self.path("issuer"));
        expect(
            0,
            command
                .arg("--key")
                .arg(self.path(&format!("{officer}.hex")))
                .arg("--officers")
                .arg(self.officers()),
        );
    }

    /// An issuer RSA key with a certificate of a scheme CA, all of it new.
    fn issuer_key(&self, index: &str, rid: &str) {
        let stream =
            |what: &str| self.seed.named_stream(format!("{what} {index}").as_bytes(), Purpose::TestIssuer);
        let ca = generate(KeySpec::new(1984, Exponent::F4).unwrap(), &stream("ca")).unwrap();
        let issuer = generate(KeySpec::new(1408, Exponent::F4).unwrap(), &stream("issuer")).unwrap();
        let password = std::fs::read_to_string(self.path("secrets/oda.pass")).unwrap();
        let password = Secret::copy_of(password.trim().as_bytes());
        let sealed = issuer.to_pkcs8_encrypted(&password, &mut stream("file").rng()).unwrap();
        let data = IssuerKeyData {
            identifier: BIN.parse().unwrap(),
            expiry: Expiry::from_yymm("3512").unwrap(),
            serial: CertificateSerial([0, 0, 1]),
            key: issuer.public(),
        };
        let block = issuer_certificate_block(ca.public(), &data).unwrap();
        let certificate = ca.apply(block.block()).unwrap();
        assert!(block.remainder().is_empty());
        let text = format!(
            "version = 1\nrid = \"{rid}\"\nca_modulus = \"{}\"\nca_exponent = \"{}\"\nca_expiry = \"3612\"\nprivate_key = \"issuer-key.der\"\n\n\
             [[certificate]]\nissuer_identifier = \"{BIN}\"\nca_index = \"09\"\ncertificate = \"{}\"\nexponent = \"{}\"\n",
            hex_upper(ca.public().modulus()),
            hex_upper(ca.public().exponent()),
            hex_upper(&certificate),
            hex_upper(issuer.public().exponent()),
        );
        std::fs::write(self.path(&format!("issuer/oda/{index}/oda.toml")), text).unwrap();
        std::fs::write(self.path(&format!("issuer/oda/{index}/issuer-key.der")), sealed).unwrap();
    }

    /// An order whose card data are sealed for the issuer.
    pub(crate) fn order(&self, number: u64) -> Value {
        let data = json!({ "pan": pan(BIN, number), "exp": "2906", "name": "Maria Muster" });
        self.order_with(number, &data)
    }

    pub(crate) fn order_with(&self, number: u64, data: &Value) -> Value {
        let key = std::fs::read(self.path("secrets/envelope.jwk")).unwrap();
        let key = PrivateJwk::from_json(&key).unwrap();
        let mut rng = self.seed.named_stream(format!("order {number}").as_bytes(), Purpose::Envelope).rng();
        let sealed =
            jwe::seal(key.public(), &serde_json::Map::new(), data.to_string().as_bytes(), &mut rng).unwrap();
        json!({"cardId": format!("c-{number}"), "order": {
            "distributionChannel": "CENTRAL",
            "services": { "issuance": "CREATION", "pinMailer": true },
            "encryptedData": sealed,
            "shipment": { "type": "INDIVIDUAL", "deliveryAddress": { "lastName": "Muster", "line1": "Main Street 1",
                "zipCode": "1000", "city": "Paris", "countryCode": "FR" } },
            "paymentApplication": { "config": "visa-style-dual", "odaKeyIndex": "01", "derivationKeyIndex": "01",
                "pvKeyIndex": "01", "cvKeyIndex": "01" } } })
    }

    pub(crate) fn write_orders(&self, name: &str, orders: &[Value]) -> PathBuf {
        let path = self.path(name);
        let text: String = orders.iter().map(|o| format!("{o}\n")).collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `prepare` without `--officers`.
    pub(crate) fn bare(&self, orders: &Path, out: &str, more: &[&str]) -> Command {
        let mut command = dataprep();
        command.arg("prepare").arg("--issuer").arg(self.path("issuer")).arg("--orders").arg(orders);
        command.arg("--out").arg(self.path(out)).args(more);
        command
    }

    pub(crate) fn prepare(&self, orders: &Path, out: &str, more: &[&str]) -> Command {
        let mut command = self.bare(orders, out, more);
        command.arg("--officers").arg(self.officers());
        command
    }

    /// `officers approve` for an hour, or until a time.
    pub(crate) fn approve(&self, officer: &str, out: &str, until: &str, file: &str) -> Command {
        let mut command = dataprep();
        command.args(["officers", "approve", "--name", officer, "--until", until]);
        command.arg("--out").arg(self.path(out)).arg("--file").arg(self.path(file));
        command.arg("--key").arg(self.path(&format!("{officer}.hex")));
        command
    }
}

/// A PAN of 16 digits.
pub(crate) fn pan(bin: &str, number: u64) -> String {
    let body = format!("{bin}{number:09}");
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

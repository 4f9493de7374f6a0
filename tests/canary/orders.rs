//! An issuer of its own, and orders with values that stand nowhere else.

use std::path::{Path, PathBuf};

use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::keys::tr31;
use emv_dataprep::secret::Secret;

use crate::cli_support::{dataprep, expect};
use crate::common::with_check_digit;
use crate::leak_support::Needles;
use crate::order_support::corpus;

/// A test issuer in a folder, without orders.
pub struct TestFolder {
    pub folder: tempfile::TempDir,
}

impl TestFolder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        expect(0, dataprep().arg("demo").arg(folder.path().join("demo")).arg("--empty"));
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("demo").join(name)
    }

    /// Every symmetric key, in clear, by use and index; the key-block protection key first.
    pub fn keys(&self) -> Vec<(String, Vec<u8>)> {
        let kbpk = std::fs::read_to_string(self.path("secrets/kbpk.hex")).unwrap();
        let kbpk = hex::decode(kbpk.trim()).unwrap();
        let text = std::fs::read_to_string(self.path("issuer/keys.toml")).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let protection = Secret::copy_of(&kbpk);
        let mut out = vec![("kbpk".to_owned(), kbpk)];
        for entry in file["key"].as_array().unwrap() {
            let (_, key) = tr31::unwrap(&protection, entry["block"].as_str().unwrap()).unwrap();
            let name = format!("{} {}", entry["use"].as_str().unwrap(), entry["index"].as_str().unwrap());
            out.push((name, key.expose().to_vec()));
        }
        assert!(out.len() > 10);
        out
    }

    fn pin_key(&self) -> TdesKey {
        let key = self.keys().into_iter().find(|(name, _)| name == "pin 01").unwrap().1;
        TdesKey::from_bytes(&key).unwrap()
    }
}

/// Six letters that no other order has.
fn letters(n: u64) -> String {
    let mut rest = (n + 77) * 104_729 % 26_u64.pow(6);
    let mut out = String::new();
    for _ in 0..6 {
        out.push(char::from(b'A' + u8::try_from(rest % 26).unwrap()));
        rest /= 26;
    }
    out
}

/// Orders that are good, as lines of JSON, and what is planted in them.
pub fn good(issuer: &TestFolder, count: u64, needles: &mut Needles) -> String {
    let pin_key = issuer.pin_key();
    let mut out = String::new();
    for n in 0..count {
        let (config, oda, index, pvk, bin) = match n % 8 {
            0 => ("visa-style-dual", r#""odaKeyIndex":"01","#, "01", r#""pvKeyIndex":"01","#, "47617390"),
            1 => {
                ("mastercard-style-dual", r#""odaKeyIndex":"02","#, "02", r#""pvKeyIndex":"01","#, "54133390")
            }
            2 => ("ccd-generic", r#""odaKeyIndex":"03","#, "03", r#""pvKeyIndex":"02","#, "99123411"),
            _ => ("online-only", "", "04", "", "67717901"),
        };
        let pan = with_check_digit(&format!("{bin}{:07}", (n * 7_654_321 + 1_234_567) % 10_000_000));
        needles.digits("PAN", &pan);
        let name = format!("{} Xanthor", letters(n));
        needles.text("name", &name);
        needles.text("name", &format!("XANTHOR/{}", letters(n)));
        let (mut extra, mut services) = (String::new(), String::new());
        match n % 8 {
            0 => services = r#","pinMailer":true"#.to_owned(),
            1 => {
                // Twelve digits: short PINs stand everywhere.
                let pin = format!("{:012}", (n + 3) * 982_451_653 % 1_000_000_000_000);
                needles.digits("PIN", &pin);
                let clear = hex::decode(format!("1C{pin}A7")).unwrap();
                needles.bytes("PIN block", &clear);
                let block = hex::encode_upper(pin_key.encrypt_block(clear.try_into().unwrap()));
                extra = format!(r#","pinBlock":{{"format":"ISO-1","keyIndex":"01","value":"{block}"}}"#);
            }
            3 => {
                // A CVV has three digits; with those around it, it is found.
                let rest = format!("{:010}", (n + 5) * 334_214_467 % 10_000_000_000);
                needles.digits("CVV with its neighbours", &rest);
                extra = format!(r#","trackData":{{"track2":"{pan}=2906221{rest}"}}"#);
            }
            _ => {}
        }
        let channel = if n.is_multiple_of(3) { "THALES" } else { "CENTRAL" };
        let city = format!("{} City", letters(n + 1_000_000));
        needles.text("address", &city);
        out += &format!(
            r#"{{"cardId":"canary-{n}","order":{{"distributionChannel":"{channel}","services":{{"issuance":"CREATION"{services}}},"encryptedData":"x","shipment":{{"type":"INDIVIDUAL","deliveryAddress":{{"lastName":"Muster","line1":"Main Street 1","zipCode":"1000","city":"{city}","countryCode":"FR"}}}},"paymentApplication":{{"config":"{config}",{oda}"derivationKeyIndex":"{index}",{pvk}"cvKeyIndex":"01"}}}},"cardData":{{"pan":"{pan}","exp":"2906","name":"{name}"{extra}}}}}"#
        );
        out.push('\n');
    }
    out
}

/// The malformed corpus as input lines, and what is planted there: runs of digits as long as a PAN, and names.
pub fn malformed(needles: &mut Needles) -> Vec<u8> {
    let mut out = Vec::new();
    for case in corpus::cases() {
        for text in corpus::texts(&case).into_values() {
            let whole = String::from_utf8_lossy(&text).into_owned();
            for run in whole.split(|c: char| !c.is_ascii_digit()).filter(|run| (13..=19).contains(&run.len()))
            {
                needles.digits("PAN of a malformed order", run);
            }
            out.extend_from_slice(&text);
            out.push(b'\n');
        }
    }
    for name in ["O'Brien", "OBRIEN/"] {
        needles.text("name of a malformed order", name);
    }
    assert!(out.len() > 100_000);
    out
}

/// Keys of the issuer that no output may hold.
pub fn keys(issuer: &TestFolder, needles: &mut Needles) {
    for (_, key) in issuer.keys() {
        needles.key("key", &key);
    }
    let password = std::fs::read_to_string(issuer.path("secrets/oda.pass")).unwrap();
    needles.text("password", password.trim());
    for entry in std::fs::read_dir(issuer.path("secrets")).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("jwk") => {
                use base64ct::Encoding as _;
                let key: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                let d = key["d"].as_str().unwrap();
                needles.text("private JWK", d);
                needles.number("private JWK", &base64ct::Base64UrlUnpadded::decode_vec(d).unwrap());
            }
            Some("hex") => {
                let text = std::fs::read_to_string(&path).unwrap();
                needles.key("secret file", &hex::decode(text.trim()).unwrap());
            }
            _ => {}
        }
    }
}

/// Every file below a folder that holds a needle, with what it is.
pub fn found_below(root: &Path, needles: &Needles) -> Vec<String> {
    let mut found = Vec::new();
    for (path, bytes) in crate::cli_support::all_files(root) {
        if let Some((at, kind, how)) = needles.find(&bytes) {
            found.push(format!("{}: {kind} ({how}) before byte {at}", path.display()));
        }
    }
    found
}

//! The shipped profiles and products load without a finding that is an error, and broken ones are refused by line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use emv_dataprep::profile::{Finding, Issuer, Level};

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
id = "PC1"
channel = "CENTRAL"
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

fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("issuer.toml".to_owned(), ISSUER.as_bytes().to_vec());
    let mut keys = "version = 1\n".to_owned();
    for usage in
        ["imk-ac", "imk-smi", "imk-smc", "imk-idn", "imk-cvc3", "cvk", "pvk", "pin", "transport", "mailer"]
    {
        let pvki = if usage == "pvk" { "pvki = 1\n" } else { "" };
        keys += &format!(
            "[[key]]\nuse = \"{usage}\"\nindex = \"01\"\nblock = \"D\"\nkcv = \"08D7B4\"\nkcv_method = \"tdes\"\n{pvki}"
        );
    }
    files.insert("keys.toml".to_owned(), keys.into_bytes());
    for folder in ["profiles", "products"] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            files.insert(name, std::fs::read(path).unwrap());
        }
    }
    files
}

fn errors(files: &BTreeMap<String, Vec<u8>>) -> Vec<Finding> {
    Issuer::check(files, None).1.into_iter().filter(|f| f.level == Level::Error).collect()
}

#[test]
fn the_shipped_profiles_and_products_load() {
    let found = errors(&files());
    assert!(found.is_empty(), "{found:#?}");
}

/// A profile with one thing broken: what is replaced, by what, and the code of the finding.
#[test]
fn profiles_that_cannot_work_are_refused_by_name_and_line() {
    let cases = [
        (
            "visa-style-dual",
            "afl = \"08010100 10010300 18010202\"",
            "afl = \"08010200 10010300 18010202\"",
            "afl",
        ),
        ("visa-style-dual", "icc_key = { bits = 1408, exponent = 65537 }", "", "aip"),
        ("visa-style-dual", "reference_pin = \"iso-2\"", "fields = [\"00\"]", "cvm"),
        ("visa-style-dual", "\"50\" = { text = \"TEST CREDIT\" }", "", "fci"),
        ("visa-style-dual", "dgi = \"9103\"", "dgi = \"9102\"", "dgi"),
        ("online-only", "tags = [\"8C\", \"8D\"", "tags = [\"8C\"", "afl"),
        ("online-only", "9F42\", \"9F24\"]", "9F42\", \"9F24\", \"9F42\"]", "record"),
        ("ccd-generic", "dac = \"DAC1\"", "", "aip"),
        ("ccd-generic", "tags = [\"93\"]", "tags = [\"9F49\"]", "aip"),
        ("ccd-generic", "derivation = \"B\"", "derivation = \"D\"", "value"),
        ("ccd-generic", "kcvs_of = \"8000\"", "kcvs_of = \"8001\"", "dgi"),
        // A record of the other interface: its certificate signs other static data, and tags are read twice.
        (
            "visa-style-dual",
            "afl = \"08010100 10010300 18010202\"",
            "afl = \"08010100 10010400 18010202\"",
            "afl",
        ),
        ("visa-style-dual", "\"9F49\" = \"9F3704\"", "\"9F49\" = \"9F37\"", "value"),
        ("visa-style-dual", "dgi = \"9010\"", "dgi = \"9011\"", "cvm"),
        ("ccd-generic", "tags = [\"9F2D\"]", "tags = [\"9F05\"]", "cvm"),
        ("online-only", "\"5F34\", \"9F07\"", "\"5F34\", \"9F46\", \"9F07\"", "record"),
        ("mastercard-style-dual", "kind = \"ppse\"", "kind = \"pps\"", "value"),
        ("mastercard-style-dual", "version = 1", "version = 2", "version"),
        ("mastercard-style-dual", "title =", "titel =", "syntax"),
    ];
    for (profile, from, to, code) in cases {
        let path = format!("profiles/{profile}.toml");
        let mut files = files();
        let text = String::from_utf8(files[&path].clone()).unwrap();
        assert!(text.contains(from), "{profile}: {from}");
        files.insert(path.clone(), text.replacen(from, to, 1).into_bytes());
        let found = errors(&files);
        let hit = found.iter().find(|f| f.file == path && f.code == code);
        let hit = hit.unwrap_or_else(|| panic!("{profile}: {to:?} gives {found:#?}"));
        assert!(hit.line > 0, "{hit:?}");
    }
}

#[test]
fn a_record_over_254_bytes_is_refused() {
    let mut files = files();
    let path = "profiles/online-only.toml";
    let text = String::from_utf8(files[path].clone()).unwrap();
    let long = format!("\"9F08\" = \"{}\"", "00".repeat(200));
    files.insert(path.to_owned(), text.replacen("\"9F08\" = \"0001\"", &long, 1).into_bytes());
    let found = errors(&files);
    assert!(found.iter().any(|f| f.code == "record" && f.line > 0), "{found:#?}");
}

#[test]
fn products_that_cannot_work_are_refused() {
    let cases = [
        ("classic", "return_format = \"iso-0\"", "return_format = \"iso-2\"", "value"),
        // A PVV does not give the PIN back.
        ("classic", "mailer = true\nreturn_format = \"iso-0\"", "mailer = false", "pin"),
        ("classic", "verification = \"pvv\"", "verification = \"none\"", "pin"),
        ("classic", "cvv2_expiry = \"MMYY\"", "", "cvv2"),
        ("classic", "policy = \"random\"", "policy = \"none\"", "pin"),
        ("classic", "pvki|pvv|cvv|00", "pvki|pvv|cvv|00000000", "track"),
        ("classic", "pvki|pvv|cvv|00", "pvki|pvv|cvv2|00", "value"),
        ("classic", "[\"visa-style-dual\"]", "[\"visa\"]", "profile"),
        ("ccd-debit", "validation_data = \"right-12-pad-F\"", "", "pin"),
        ("ccd-debit", "0123456789012345", "0000000000000000", "pin"),
    ];
    for (product, from, to, code) in cases {
        let path = format!("products/{product}.toml");
        let mut files = files();
        let text = String::from_utf8(files[&path].clone()).unwrap();
        assert!(text.contains(from), "{product}: {from}");
        files.insert(path.clone(), text.replacen(from, to, 1).into_bytes());
        let found = errors(&files);
        assert!(found.iter().any(|f| f.file == path && f.code == code), "{product}: {to:?} gives {found:#?}");
    }
}

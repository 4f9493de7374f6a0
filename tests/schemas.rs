//! The JSON Schemas, the loader and the documents say the same of every member.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use emv_dataprep::keys::{KcvMethod, KeyUse};
use emv_dataprep::keys::{KeyIndex, KeyRef};
use emv_dataprep::output::{RecordMacKey, card_line_with, mailer_line_with, return_line_with};
use emv_dataprep::prepare::{CarriedNames, prepare_batch};
use emv_dataprep::profile::format::{Charset, Checksum, Encoding, FieldSource};
use emv_dataprep::profile::{CardSource, Channel, Issuer, PrintField};
use jsonschema::Validator;
use serde_json::{Value, json};

/// Schema, the source files of its members, the kind of file.
const CONFIGURATION: [(&str, &[&str]); 7] = [
    ("issuer", &["issuer_file", "envelope_file", "identifier", "key_source_file", "protection_file"]),
    ("keys", &["keys_file"]),
    ("oda", &["oda_file"]),
    ("product", &["product_file", "identifier"]),
    ("profile", &["profile_file"]),
    ("script-plan", &["plan_file"]),
    ("format", &["format_file"]),
];
const OUTPUT: [&str; 6] = ["card-line", "mailer", "return", "batch", "status", "rejected"];
const GUIDE: &str = "docs/issuer-directory.md";
const PLAN_GUIDE: &str = "docs/script-plans.md";
const OUTPUT_GUIDE: &str = "docs/output.md";
const FORMATS_GUIDE: &str = "docs/formats.md";

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&read(&format!("schemas/{name}.schema.json"))).unwrap()
}

fn validator(name: &str) -> Validator {
    let schema = schema(name);
    assert!(jsonschema::meta::is_valid(&schema), "{name} is no schema");
    jsonschema::draft202012::new(&schema).unwrap()
}

fn to_json(toml: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(toml).unwrap()).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, value: &Value, what: &str) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

/// The fenced blocks of a document in `language` whose first line is a comment that names a file.
fn examples(document: &str, language: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for part in document.split("\n```").skip(1).step_by(2) {
        let Some(body) = part.strip_prefix(language).and_then(|b| b.strip_prefix('\n')) else { continue };
        if let Some(name) = body.lines().next().and_then(|l| l.strip_prefix("# file ")) {
            assert!(out.insert(name.trim().to_owned(), body.to_owned()).is_none(), "{name} stands twice");
        }
    }
    out
}

/// The documents' issuer directory, with every shipped profile, product and format.
fn directory() -> BTreeMap<String, String> {
    let mut files = examples(&read(GUIDE), "toml");
    files.extend(examples(&read(PLAN_GUIDE), "toml"));
    files.extend(examples(&read(FORMATS_GUIDE), "toml"));
    for folder in ["profiles", "products", "scripts", "formats"] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path().to_str().unwrap().to_owned();
            if !path.ends_with(".toml") {
                continue;
            }
            files.insert(path.clone(), read(&path));
        }
    }
    files
}

fn schema_of(path: &str) -> &'static str {
    match path.split('/').next().unwrap() {
        "issuer.toml" => "issuer",
        "keys.toml" => "keys",
        "oda" => "oda",
        "products" => "product",
        "profiles" => "profile",
        "scripts" => "script-plan",
        "formats" => "format",
        other => panic!("{other}"),
    }
}

/// Findings as `(file, code)`.
fn findings(files: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    let files = files.iter().map(|(k, v)| (k.clone(), v.clone().into_bytes())).collect();
    let (_, found) = Issuer::check(&files, None);
    found.into_iter().map(|f| (f.file, f.code.to_owned())).collect()
}

#[test]
fn every_shipped_file_and_every_example_fits_its_schema() {
    let files = directory();
    let kinds: BTreeSet<&str> = files.keys().map(|p| schema_of(p)).collect();
    assert_eq!(kinds.len(), CONFIGURATION.len(), "an example of each kind of file");
    assert!(files.len() >= 4 + 4 + 3, "{:?}", files.keys());
    for (path, text) in &files {
        assert_valid(&validator(schema_of(path)), &to_json(text), path);
    }
}

#[test]
fn the_examples_load() {
    // The certificate of the example is cut short for reading, so everything that rests on it is left out.
    let mut files = directory();
    files.retain(|path, _| !path.starts_with("oda/"));
    let bytes = files.iter().map(|(k, v)| (k.clone(), v.clone().into_bytes())).collect();
    let (issuer, found) = Issuer::check(&bytes, None);
    assert!(issuer.is_some(), "{found:#?}");
}

/// JSON pointers of every object of a document.
fn objects(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            out.push(at.to_owned());
            for (name, member) in members {
                objects(member, &format!("{at}/{name}"), out);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                objects(item, &format!("{at}/{i}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_member_is_refused_by_schema_and_loader() {
    let files = directory();
    let before = findings(&files);
    let mut tried = 0;
    for (path, text) in &files {
        let validator = validator(schema_of(path));
        let base = to_json(text);
        let mut places = Vec::new();
        objects(&base, "", &mut places);
        // Key ids are the issuer's words, and a JWK may have members that nobody knows (RFC 7517, section 4).
        places.retain(|p| !p.ends_with("/envelope") && !p.ends_with("/public_key"));
        for place in places {
            let mut changed = base.clone();
            let object = changed.pointer_mut(&place).unwrap().as_object_mut().unwrap();
            object.insert("no_such_member".to_owned(), json!("00"));
            assert!(!validator.is_valid(&changed), "{path}{place}: the schema takes it");
            let mut files = files.clone();
            files.insert(path.clone(), toml::to_string(&changed).unwrap());
            let after = findings(&files);
            let code = if place.ends_with("/values") { "value" } else { "syntax" };
            let finding = (path.clone(), code.to_owned());
            assert!(!before.contains(&finding), "{path}: {code} before");
            assert!(after.contains(&finding), "{path}{place}: the loader takes it");
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

/// A file and a change: the schema and the loader both refuse the result.
#[test]
fn wrong_values_are_refused_by_schema_and_loader() {
    let kbpk = "key_block_protection_key = \"../secrets/kbpk.hex\"";
    let cases: [(&str, &str, &str); 45] = [
        ("issuer.toml", kbpk, "key_block_protection_key = \"\""),
        ("issuer.toml", kbpk, "key_block_protection_key = \"a\"\nkey_block_protection_kcv = \"08\""),
        ("issuer.toml", kbpk, "key_block_protection_key = \"a\"\nkey_block_protection_algorithm = \"AES\""),
        (
            "issuer.toml",
            kbpk,
            "key_block_protection_key = \"a\"\nnext = { key_block_protection_kcv = \"080808\" }",
        ),
        ("keys.toml", "dki = \"01\"", "retired = \"2031-1-1\""),
        ("issuer.toml", "version = 1", "version = 2"),
        ("issuer.toml", "issuer_id = \"TESTISSUER\"", "issuer_id = \"TEST\""),
        ("issuer.toml", "environment = \"test\"", "environment = \"trial\""),
        ("issuer.toml", "version = 1", "version = 1\npool = \"products\""),
        ("issuer.toml", "until = \"2026-03-31\"", "until = \"31.3.2026\""),
        ("issuer.toml", "version = 1", "version = 1\noutput_signing_public_key = \"00\""),
        ("issuer.toml", "id = \"PC1\"", "id = \"../PC1\""),
        ("issuer.toml", "channel = \"CENTRAL\"", "channel = \"central\""),
        ("issuer.toml", "mode = \"CBC\"", "mode = \"CTR\""),
        ("issuer.toml", "kind = \"per-block\", algorithm = \"AES-256\"", "kind = \"per-block\""),
        ("issuer.toml", "kind = \"static\"", "kind = \"static\", algorithm = \"AES-128\""),
        ("issuer.toml", "pin_key = \"01\"", "pin_key = \"1\""),
        ("keys.toml", "use = \"imk-ac\"", "use = \"imk\""),
        ("keys.toml", "pvki = 1", "pvki = 10"),
        ("keys.toml", "pvki = 1\n", ""),
        ("keys.toml", "for = \"cvv2\"", "for = \"cvc\""),
        ("keys.toml", "dki = \"01\"", "pvki = 1"),
        ("keys.toml", "kcv_method = \"tdes\"", "kcv_method = \"des\""),
        ("keys.toml", "kcv = \"08D7B4\"", "kcv = \"08\""),
        ("products/classic.toml", "\"INSTANT\"", "\"STATION\""),
        ("products/classic.toml", "service_code = \"201\"", "service_code = \"20\""),
        ("products/classic.toml", "pvki|pvv|cvv|00", "pvki|pvv|cvv2|00"),
        ("products/classic.toml", "policy = \"random\"", "policy = \"fixed\""),
        ("products/classic.toml", "digits = 4", "digits = 3"),
        ("products/ccd-debit.toml", "right-12-pad-F", "right-12"),
        ("products/ccd-debit.toml", "return_format = \"iso-0\"", "return_format = \"iso-2\""),
        ("products/standard.toml", "block_formats = [\"iso-0\", \"iso-1\", \"iso-3\", \"iso-4\"]", ""),
        ("profiles/visa-style-dual.toml", "bits = 1408", "bits = 1400"),
        ("profiles/visa-style-dual.toml", "exponent = 65537", "exponent = 17"),
        ("profiles/visa-style-dual.toml", "aip = \"3900\"", "aip = \"39\""),
        ("profiles/visa-style-dual.toml", "keys = [\"ac\", \"smi\", \"smc\"]", "keys = [\"ac\", \"mac\"]"),
        ("profiles/visa-style-dual.toml", "{dki}{cvn}", "{dki}{atc}"),
        ("profiles/visa-style-dual.toml", "icc_key = \"qinv\"", "icc_key = \"qinv\"\nfields = [\"00\"]"),
        ("scripts/generic-gp.toml", "\"scp02-15\"", "\"scp02-1A\""),
        ("scripts/generic-gp.toml", "level = \"03\"", "level = \"02\""),
        ("scripts/generic-gp.toml", "route = \"security-domain\"\n", ""),
        ("scripts/generic-gp.toml", "tolerate = [\"6A88\"]", "tolerate = [\"6a88\"]"),
        ("scripts/generic-gp.toml", "module = \"F0454D560101\"", "module = \"F0\""),
        ("scripts/generic-gp.toml", "state = \"0F\"", "state = \"F\""),
        ("scripts/generic-gp.toml", "action = \"store-data\"", "action = \"store-data\"\nmax_data = 0"),
    ];
    for (path, from, to) in cases {
        let mut files = directory();
        let text = files[path].clone();
        assert!(text.contains(from), "{path}: {from}");
        let changed = text.replacen(from, to, 1);
        assert!(
            !validator(schema_of(path)).is_valid(&to_json(&changed)),
            "{path}: {to:?}: the schema takes it"
        );
        let before = findings(&files);
        files.insert(path.to_owned(), changed);
        assert_ne!(before, findings(&files), "{path}: {to:?}: the loader takes it");
    }
}

/// Every member that a schema names under `properties`.
fn members(schema: &Value, out: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                out.extend(properties.keys().cloned());
            }
            object.values().for_each(|v| members(v, out));
        }
        Value::Array(items) => items.iter().for_each(|v| members(v, out)),
        _ => {}
    }
}

#[test]
fn every_member_is_in_the_document() {
    let (guide, plans, output) = (read(GUIDE), read(PLAN_GUIDE), read(OUTPUT_GUIDE));
    let formats = read(FORMATS_GUIDE);
    let of = |name: &str| match name {
        "script-plan" => &plans,
        "format" => &formats,
        _ => &guide,
    };
    let all =
        CONFIGURATION.iter().map(|(name, _)| (*name, of(name))).chain(OUTPUT.map(|name| (name, &output)));
    for (name, document) in all {
        let mut names = BTreeSet::new();
        members(&schema(name), &mut names);
        assert!(names.len() > 5, "{name}");
        let missing: Vec<_> = names.iter().filter(|n| !document.contains(&format!("`{n}`"))).collect();
        assert!(missing.is_empty(), "{name}: not in the document: {missing:?}");
    }
}

/// Members of the structs of a source file that are read with unknown members denied.
fn serde_members(source: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for part in source.split("#[serde(deny_unknown_fields").skip(1) {
        let body = part.split_once("{\n").unwrap().1.split_once("\n}").unwrap().0;
        let mut rename = None;
        for line in body.lines().map(str::trim) {
            if let Some((_, after)) = line.split_once("rename = \"") {
                rename = after.split('"').next().map(ToOwned::to_owned);
            }
            if line.starts_with("#[") || line.starts_with("//") {
                continue;
            }
            if let Some((name, _)) = line.split_once(": ") {
                out.insert(
                    rename.take().unwrap_or_else(|| name.trim_start_matches("pub(super) ").to_owned()),
                );
            }
        }
    }
    out
}

#[test]
fn schemas_and_loader_have_the_same_members() {
    for (name, sources) in CONFIGURATION {
        let mut by_loader = BTreeSet::new();
        for source in sources {
            by_loader.extend(serde_members(&read(&format!("src/profile/{source}.rs"))));
        }
        let mut by_schema = BTreeSet::new();
        members(&schema(name), &mut by_schema);
        if name == "issuer" {
            // The loader hands a JWK on as it is.
            for member in ["kty", "crv", "kid", "x", "y", "use", "alg"] {
                assert!(by_schema.remove(member), "{member}");
            }
        }
        if name == "script-plan" {
            // The word that says which step it is.
            assert!(by_schema.remove("action"));
        }
        assert_eq!(by_schema, by_loader, "{name}");
    }
}

/// The `enum` at a JSON pointer of a schema.
fn words(name: &str, pointer: &str) -> BTreeSet<String> {
    let schema = schema(name);
    let list = schema.pointer(pointer).unwrap_or_else(|| panic!("{name}{pointer}")).as_array().unwrap();
    list.iter().filter_map(|v| v.as_str()).map(ToOwned::to_owned).collect()
}

#[test]
fn schemas_and_loader_have_the_same_words() {
    let set = |names: Vec<&str>| names.into_iter().map(ToOwned::to_owned).collect::<BTreeSet<String>>();
    let entry = "/properties/key/items/properties";
    assert_eq!(
        words("keys", &format!("{entry}/use/enum")),
        set(KeyUse::ALL.iter().map(|u| u.name()).collect())
    );
    assert_eq!(
        words("keys", &format!("{entry}/kcv_method/enum")),
        set(KcvMethod::ALL.iter().map(|m| m.name()).collect())
    );
    assert_eq!(
        words("profile", "/$defs/value/oneOf/1/properties/card/enum"),
        set(CardSource::ALL.iter().map(|s| s.name()).collect())
    );
    assert_eq!(
        words("product", "/properties/print/properties/fields/items/enum"),
        set(PrintField::ALL.iter().map(|f| f.name()).collect())
    );
    let channels = set(Channel::ALL.iter().map(|c| c.name()).collect());
    assert_eq!(words("product", "/properties/channels/items/enum"), channels);
    for name in ["status", "card-line"] {
        assert_eq!(words(name, "/properties/channel/enum"), channels);
    }
    let field = "/$defs/field/properties";
    let sources = words("format", &format!("{field}/value/enum"));
    assert_eq!(sources, set(FieldSource::ALL.iter().map(|s| s.name()).collect()));
    let sums = words("format", &format!("{field}/checksum/enum"));
    assert_eq!(sums, set(Checksum::ALL.iter().map(|c| c.name()).collect()));
    let charsets = words("format", "/properties/template/properties/charset/enum");
    assert_eq!(charsets, set(Charset::ALL.iter().map(|c| c.name()).collect()));
    let encodings = words("format", &format!("{field}/encoding/enum"));
    assert_eq!(encodings, set(Encoding::ALL.iter().map(|e| e.name()).collect()));
    let formats = read(FORMATS_GUIDE);
    for word in sources.iter().chain(&sums).chain(&charsets).chain(&encodings) {
        assert!(formats.contains(&format!("`{word}`")), "{word} is not in {FORMATS_GUIDE}");
    }
    let guide = read(GUIDE);
    let named = [
        words("profile", "/$defs/value/oneOf/1/properties/card/enum"),
        words("keys", &format!("{entry}/use/enum")),
    ];
    for word in named.iter().flatten() {
        assert!(guide.contains(&format!("`{word}`")), "{word} is not in {GUIDE}");
    }
}

/// Every code of a finding stands in the document, and the document names no other.
#[test]
fn every_finding_is_in_the_document() {
    let call = regex::Regex::new(r#"\.(?:error|warning)\(\s*[^,"]+,\s*"([a-z0-9-]+)""#).unwrap();
    let field = regex::Regex::new(r#"code: "([a-z0-9-]+)""#).unwrap();
    let mut codes = BTreeSet::new();
    for entry in std::fs::read_dir("src/profile").unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What `officers` finds is in a file that is no configuration.
            continue;
        }
        let source = read(path.to_str().unwrap());
        for pattern in [&call, &field] {
            codes.extend(pattern.captures_iter(&source).map(|c| c[1].to_owned()));
        }
    }
    // The program adds what it finds when keys are opened.
    let program = read("src/bin/dataprep/check.rs");
    codes.extend(field.captures_iter(&program).map(|c| c[1].to_owned()));
    assert!(codes.len() > 25, "{codes:?}");
    let guide = read(GUIDE);
    let table = guide.split_once("## Findings").unwrap().1;
    let row = regex::Regex::new(r"(?m)^\| `([a-z0-9-]+)`").unwrap();
    let documented: BTreeSet<String> = row.captures_iter(table).map(|c| c[1].to_owned()).collect();
    assert_eq!(documented, codes);
}

#[test]
fn every_member_of_every_schema_is_described() {
    fn check(schema: &Value, at: &str) {
        if let Some(Value::Object(properties)) = schema.get("properties")
            && schema.get("type").is_some()
        {
            for (name, member) in properties {
                let described = member.get("description").is_some() || member.get("$ref").is_some();
                assert!(described || at.ends_with("/address") || at.contains("mobilePhone"), "{at}/{name}");
            }
        }
        match schema {
            Value::Object(object) => object.iter().for_each(|(k, v)| check(v, &format!("{at}/{k}"))),
            Value::Array(items) => items.iter().for_each(|v| check(v, at)),
            _ => {}
        }
    }
    for name in CONFIGURATION.iter().map(|(n, _)| *n).chain(OUTPUT) {
        check(&schema(name), name);
    }
}

/// The lines that `docs/output.md` shows fit their schemas; changed ones do not.
#[test]
fn the_examples_of_output_fit() {
    let document = read(OUTPUT_GUIDE);
    let examples = examples(&document, "text");
    for name in OUTPUT {
        let validator = validator(name);
        let body = examples[name].split_once('\n').unwrap().1;
        let docs: Vec<Value> =
            serde_json::Deserializer::from_str(body).into_iter().map(Result::unwrap).collect();
        assert!(!docs.is_empty(), "{name}");
        for document in docs {
            assert_valid(&validator, &document, name);
            for member in document.as_object().unwrap().keys() {
                let mut renamed = document.clone();
                let object = renamed.as_object_mut().unwrap();
                let value = object.remove(member).unwrap();
                object.insert(format!("x{member}"), value);
                assert!(!validator.is_valid(&renamed), "{name}: {member}");
            }
        }
    }
}

/// Cards of every shipped profile, as they leave.
#[test]
fn prepared_cards_fit() {
    let issuer = common::TestIssuer::new();
    let key = &issuer.keys[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1;
    let block = [0x14, 0x12, 0x34, 0x01, 0x23, 0x45, 0x67, 0x89];
    let block =
        hex::encode_upper(emv_dataprep::crypto::tdes::TdesKey::from_bytes(key).unwrap().encrypt_block(block));
    let requests: Vec<_> = common::profiles()
        .iter()
        .zip(1..)
        .map(|(p, n)| {
            let order = common::order_of(p, &format!("c-{n}"), n).replace("BLOCK", &block);
            // The second destination of the channel has a fresh key for every block.
            let center = format!(r#""persoCenter":"PC{}","services""#, n % 2 + 1);
            issuer.request(&order.replace(r#""services""#, &center))
        })
        .collect();
    let (mut mailers, mut wrapped) = (0, 0);
    for (request, card) in requests.iter().zip(prepare_batch(&issuer.context(), &requests).unwrap()) {
        let card = card.unwrap_or_else(|e| panic!("{e}"));
        let check = |schema: &str, line: &[u8]| {
            let line: Value = serde_json::from_slice(line).unwrap();
            assert_valid(&validator(schema), &line, schema);
            line
        };
        let key = RecordMacKey::of_job(&emv_dataprep::secret::Secret::copy_of(&[7; 32]));
        let macs = key.macs(request, &CarriedNames::of(&issuer.issuer, request).unwrap());
        let line = check("card-line", &card_line_with(&card, Some(macs.card)));
        wrapped += usize::from(line["transportKey"].get("wrapped").is_some());
        check("return", &return_line_with(&card.issuer_return, &request.data, Some(macs.issuer_return)));
        if let Some(mailer) = &card.mailer {
            check("mailer", &mailer_line_with(mailer, Some(macs.mailer)));
            mailers += 1;
        }
    }
    assert_eq!((mailers, wrapped), (1, 2));
}

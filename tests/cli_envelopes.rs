//! Envelopes from the command line: hostile orders, keys that change, senders that sign.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)] // a test

mod cli_support;
mod envelope_support;

use base64ct::{Base64UrlUnpadded, Encoding};
use cli_support::{dataprep, expect, ran, text, tree};
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::keys::{PrivateJwk, PublicJwk, SigningPublicJwk};
use envelope_support::{Own, clear_orders, sealed, with_envelope};
use serde_json::Value;

fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The envelope with another header; nothing else is changed.
fn reheaded(envelope: &str, change: impl FnOnce(&mut Value)) -> String {
    let (header, rest) = envelope.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(header).unwrap()).unwrap();
    change(&mut header);
    format!("{}.{rest}", b64(header.to_string().as_bytes()))
}

/// Every envelope of an attacker costs its own order only, and all are refused with the same words.
#[test]
fn hostile_envelopes_cost_their_own_order_only() {
    let own = Own::new();
    let envelope = own.envelope();
    let to = envelope.public();
    let honest = |data: &Value, n: usize| sealed(to, data.to_string().as_bytes(), &format!("order {n}"));
    let orders = clear_orders(60);
    let good = honest(&orders[0]["cardData"], 0);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, iv, data, tag] = [parts[0], parts[2], parts[3], parts[4]];
    let whole_tag = Base64UrlUnpadded::decode_vec(tag).unwrap();
    let stranger =
        PrivateJwk::generate(&mut Seed::fixed([9; 32]).named_stream(b"x", Purpose::Envelope).rng());
    let same_name =
        PrivateJwk::generate(&mut Seed::fixed([8; 32]).named_stream(b"x", Purpose::Envelope).rng())
            .with_kid(to.kid())
            .unwrap();
    let head = |name: &str, value: &str| {
        let value: Value = serde_json::from_str(value).unwrap();
        reheaded(&good, |header| header[name] = value)
    };
    let point = |name: &str, value: &str| reheaded(&good, |header| header["epk"][name] = Value::from(value));
    let zeros = b64(&[0; 32]);
    let hostile = vec![
        ("another key", sealed(stranger.public(), b"{}", "a")),
        ("another key of the same name", sealed(same_name.public(), b"{}", "b")),
        ("no envelope", "no envelope".to_owned()),
        ("four parts", format!("{header}.{iv}.{data}.{tag}")),
        ("six parts", format!("{good}.AA")),
        ("an encrypted key", format!("{header}.AAAA.{iv}.{data}.{tag}")),
        ("a cut tag", format!("{header}..{iv}.{data}.{}", b64(&whole_tag[..12]))),
        ("no tag", format!("{header}..{iv}.{data}.")),
        ("a longer tag", format!("{header}..{iv}.{data}.{}", b64(&[&whole_tag[..], &[0]].concat()))),
        ("another IV", format!("{header}..{}.{data}.{tag}", b64(&[0; 12]))),
        ("an IV of 16", format!("{header}..{}.{data}.{tag}", b64(&[0; 16]))),
        ("no ciphertext", format!("{header}..{iv}..{tag}")),
        ("padding", format!("{header}..{iv}.{data}.{tag}==")),
        ("dir", head("alg", "\"dir\"")),
        ("none", head("alg", "\"none\"")),
        ("RSA-OAEP", head("alg", "\"RSA-OAEP\"")),
        ("ECDH-ES+A128KW", head("alg", "\"ECDH-ES+A128KW\"")),
        ("A128GCM", head("enc", "\"A128GCM\"")),
        ("zip", head("zip", "\"DEF\"")),
        ("crit", head("crit", "[\"exp\"]")),
        ("apu", head("apu", "\"QWxpY2U\"")),
        ("another kid", head("kid", "\"nobody\"")),
        ("kid is a number", head("kid", "7")),
        ("a huge header", reheaded(&good, |header| header["x"] = Value::from("x".repeat(3000)))),
        (
            "0, 0",
            reheaded(&good, |h| {
                (h["epk"]["x"], h["epk"]["y"]) = (zeros.clone().into(), zeros.clone().into())
            }),
        ),
        ("y of zero", point("y", &zeros)),
        ("x above the prime", point("x", &b64(&[0xFF; 32]))),
        ("P-384", point("crv", "P-384")),
        ("compressed", point("x", &b64(&[2; 33]))),
        ("a private part in epk", point("d", &zeros)),
    ];
    // Plaintexts that open and are no card data: the reader of JSON says so.
    let unreadable: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("cut", br#"{"pan":"4761"#),
        ("not UTF-8", b"{\"pan\":\"\xFF\"}"),
        ("words", b"hello"),
    ];

    let mut batch = Vec::new();
    let mut expected = Vec::new();
    let mut rest = orders.iter().enumerate();
    let mut neighbour = |batch: &mut Vec<Value>, expected: &mut Vec<(String, Option<&str>)>| {
        let (n, order) = rest.next().unwrap();
        let sealed =
            if n % 2 == 0 { with_envelope(order, &honest(&order["cardData"], n)) } else { order.clone() };
        batch.push(sealed);
        expected.push(("a neighbour".to_owned(), None));
    };
    for (n, (what, envelope)) in hostile.iter().enumerate() {
        neighbour(&mut batch, &mut expected);
        let mut order = with_envelope(&orders[0], envelope);
        order["cardId"] = Value::from(format!("hostile-{n}"));
        order["issuerRequestId"] = Value::from(format!("hostile-{n}"));
        batch.push(order);
        expected.push(((*what).to_owned(), Some("CRYPTO_ERROR")));
    }
    for (n, (what, plaintext)) in unreadable.iter().enumerate() {
        let mut order = with_envelope(&orders[0], &sealed(to, plaintext, what));
        order["cardId"] = Value::from(format!("unreadable-{n}"));
        order["issuerRequestId"] = Value::from(format!("unreadable-{n}"));
        batch.push(order);
        expected.push(((*what).to_owned(), Some("PARSING_ERROR")));
    }
    neighbour(&mut batch, &mut expected);

    let (code, _, stderr) = ran(&mut own.prepare(&batch, "out"));
    assert_eq!(code, 3, "{stderr}");
    let statuses = own.statuses("out");
    assert_eq!(statuses.len(), expected.len());
    for (status, (what, error)) in statuses.iter().zip(&expected) {
        assert_eq!(status["errorCode"].as_str(), *error, "{what}: {status}");
        if *error == Some("CRYPTO_ERROR") {
            let said = (status["field"].as_str(), status["reason"].as_str());
            assert_eq!(said, (Some("order.encryptedData"), Some("the envelope does not open")), "{what}");
        }
    }
}

fn new_key(own: &Own, kid: &str) -> PublicJwk {
    let path = own.path(&format!("secrets/{kid}.jwk"));
    let mut command = dataprep();
    command.args(["keys", "envelope", "new", "--kid", kid, "--out"]).arg(&path);
    let public = PublicJwk::from_json(&expect(0, &mut command)).unwrap();
    assert_eq!(PrivateJwk::from_json(&std::fs::read(&path).unwrap()).unwrap().public(), &public);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    expect(1, &mut command);
    public
}

/// The new key is there before D1 uses it; the old one opens up to its last day.
#[test]
fn keys_change_by_kid() {
    let own = Own::new();
    let old = own.envelope();
    let new = new_key(&own, "orders-2026");
    let kid = old.public().kid();
    own.configure(
        &format!("{kid:?} = \"../secrets/envelope.jwk\""),
        &format!(
            "{kid:?} = {{ file = \"../secrets/envelope.jwk\", until = \"2026-03-31\" }}\norders-2026 = \"../secrets/orders-2026.jwk\""
        ),
    );
    let orders = clear_orders(3);
    let data = |n: usize| orders[n]["cardData"].to_string();
    let batch = [
        with_envelope(&orders[0], &sealed(old.public(), data(0).as_bytes(), "old")),
        with_envelope(&orders[1], &sealed(&new, data(1).as_bytes(), "new")),
        orders[2].clone(),
    ];
    expect(0, &mut own.prepare_on(&batch, "before", "2026-03-31T23:00:00Z"));
    expect(3, &mut own.prepare_on(&batch, "after", "2026-04-01T00:00:00Z"));
    let codes: Vec<_> =
        own.statuses("after").iter().map(|s| s["errorCode"].as_str().map(str::to_owned)).collect();
    assert_eq!(codes, [Some("CRYPTO_ERROR".to_owned()), None, None]);
    // The day is that of the start, also for a batch that is taken up again later.
    let mut again = own.prepare_on(&batch, "before", "2026-03-31T23:00:00Z");
    expect(0, again.arg("--resume"));
    own.configure("2026-03-31", "31.3.2026");
    let (code, _, stderr) = ran(&mut own.prepare_on(&batch, "bad", "2026-03-31T23:00:00Z"));
    assert_eq!(code, 1);
    assert!(stderr.contains("until: a day"), "{stderr}");
}

#[test]
fn a_partners_key_is_shown_as_issuer_toml_writes_it() {
    let own = Own::new();
    let (a, b) = (new_key(&own, "center-2025"), new_key(&own, "center-2026"));
    let set = own.path("center.jwks");
    std::fs::write(
        &set,
        format!(r#"{{"keys":[{},{},{{"kty":"RSA","kid":"c"}}]}}"#, a.to_json(), b.to_json()),
    )
    .unwrap();
    let show = |file: &std::path::Path, more: &[&str]| {
        let mut command = dataprep();
        command.args(["keys", "envelope", "public"]).arg(file).args(more);
        command
    };
    let line = text(&expect(0, &mut show(&set, &["--kid", "center-2026"])));
    let table: toml::Table = line.parse().unwrap();
    assert_eq!(table["public_key"]["kid"].as_str(), Some("center-2026"));
    let json = serde_json::to_string(&table["public_key"]).unwrap();
    assert_eq!(PublicJwk::from_json(json.as_bytes()).unwrap(), b);
    expect(1, &mut show(&set, &[]));
    expect(1, &mut show(&set, &["--kid", "c"]));
    let private = own.path("secrets/center-2025.jwk");
    let shown = expect(0, &mut show(&private, &["--jwk"]));
    assert_eq!(PublicJwk::from_json(&shown).unwrap(), a, "and nothing of the private part");
    std::fs::write(&set, format!(r#"{{"keys":[{}]}}"#, std::fs::read_to_string(private).unwrap())).unwrap();
    expect(1, &mut show(&set, &[]));
}

const CARDS: &str = "prepared/CENTRAL/PC1/cards-000000.jwe";

#[test]
fn signed_files_open_for_those_who_know_the_sender() {
    let own = Own::new();
    let orders = clear_orders(30);
    expect(0, &mut own.prepare(&orders, "unsigned"));
    let sender = own.sign();
    expect(0, &mut own.prepare(&orders, "out"));
    expect(0, own.prepare(&orders, "again").args(["--block", "7"]));
    expect(0, own.prepare(&orders, "threads").args(["--threads", "1"]));
    assert!(tree(&own.path("out")) == tree(&own.path("threads")), "a seed makes the signatures, too");

    let key = own.path("secrets/PC1.jwk");
    let jwk = own.path("output.pub.jwk");
    let open = |batch: &str, more: &[&str]| {
        let mut command = dataprep();
        command.arg("open").arg(own.path(batch).join(CARDS)).arg("--key").arg(&key).args(more);
        command
    };
    let lines = expect(0, &mut open("out", &["--signer", &sender]));
    assert_eq!(lines, expect(0, &mut open("out", &["--signer", jwk.to_str().unwrap()])));
    assert_eq!(lines, expect(0, &mut open("out", &[])), "who knows no sender opens it as before");
    assert_eq!(lines, expect(0, &mut open("unsigned", &[])));
    let station = own.path("secrets/BRANCH-7.jwk");
    assert_eq!(lines, expect(0, &mut open("out", &["--key", station.to_str().unwrap()])), "two keys");
    let other = Own::new().sign();
    let (code, stdout, stderr) = ran(&mut open("out", &["--signer", &other]));
    assert!(code == 1 && stdout.is_empty() && stderr.contains("another sender"), "{code} {stderr}");
    let (code, stdout, stderr) = ran(&mut open("unsigned", &["--signer", &sender]));
    assert!(code == 1 && stdout.is_empty() && stderr.contains("not signed"), "{code} {stderr}");
    let read = SigningPublicJwk::from_json(&std::fs::read(&jwk).unwrap()).unwrap();
    let (_, _, stderr) = ran(&mut open("out", &["--signer", &sender]));
    assert!(stderr.contains(&format!("signed by {}", read.kid())), "{stderr}");

    // The issuer directory knows its sender: verify and convert ask for it.
    let verify = |out: &str| {
        let mut command = dataprep();
        command.arg("verify").arg(own.path(out)).arg("--issuer").arg(own.path("issuer")).arg("--json");
        for entry in std::fs::read_dir(own.path("secrets")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "jwk") {
                command.arg("--key").arg(path);
            }
        }
        command
    };
    let report: Value = serde_json::from_slice(&expect(0, &mut verify("out"))).unwrap();
    assert!(report["checks"]["envelope"]["passed"].as_u64().unwrap() > 3);
    let report: Value = serde_json::from_slice(&expect(3, &mut verify("unsigned"))).unwrap();
    let reasons = report["failures"].as_array().unwrap().iter().filter_map(|f| f["reason"].as_str());
    assert!(reasons.filter(|r| r.ends_with("the file is not signed by the issuer's output key")).count() > 3);
    let convert = |batch: &str, to: Option<&std::path::Path>| {
        let mut command = dataprep();
        command.arg("convert").arg(own.path(batch).join(CARDS)).arg("--key").arg(&key).args(["--to", "json"]);
        command.arg("--issuer").arg(own.path("issuer"));
        to.map(|path| command.arg("--out").arg(path));
        command
    };
    assert_eq!(lines, expect(0, &mut convert("out", None)));
    expect(1, &mut convert("unsigned", None));
    let made = own.path("made.jwe");
    expect(0, &mut convert("out", Some(&made)));
    let mut command = dataprep();
    command.arg("open").arg(&made).arg("--key").arg(&key).args(["--signer", &sender]);
    assert_eq!(lines, expect(0, &mut command), "what convert seals is signed");
}

/// A file that an outsider seals with the destination's public key, as anybody can.
#[test]
fn a_forged_file_is_refused_by_those_who_ask_for_the_sender() {
    let own = Own::new();
    let sender = own.sign();
    expect(0, &mut own.prepare(&clear_orders(20), "out"));
    let path = own.path("out").join(CARDS);
    let key = own.path("secrets/PC1.jwk");
    let holder = PrivateJwk::from_json(&std::fs::read(&key).unwrap()).unwrap();
    let honest = std::fs::read_to_string(&path).unwrap();
    let (mut header, contents) = emv_dataprep::keys::jwe::open(&holder, &honest).unwrap();
    let signed: Vec<&[u8]> = contents.expose().split(|b| *b == b'.').collect();
    let payload = Base64UrlUnpadded::decode_vec(std::str::from_utf8(signed[1]).unwrap()).unwrap();
    let mut rng = Seed::fixed([5; 32]).named_stream(b"forger", Purpose::Envelope).rng();
    let mut seal = |header: &serde_json::Map<String, Value>, contents: &[u8]| {
        emv_dataprep::keys::jwe::seal(holder.public(), header, contents, &mut rng).unwrap()
    };
    let signed_again = seal(&header, contents.expose());
    let none = format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(&payload));
    let with_none = seal(&header, none.as_bytes());
    header.remove("cty");
    let bare = seal(&header, &payload);
    let opened = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let mut command = dataprep();
        command.arg("open").arg(&path).arg("--key").arg(&key).args(more);
        ran(&mut command).0
    };
    assert_eq!(opened(&bare, &[]), 0, "ECDH-ES alone proves no sender");
    assert_eq!(opened(&bare, &["--signer", &sender]), 1);
    assert_eq!(opened(&with_none, &["--signer", &sender]), 1);
    assert_eq!(opened(&with_none, &[]), 1);
    assert_eq!(opened(&signed_again, &["--signer", &sender]), 0, "the same contents for the same holder");
    assert_eq!(opened(&honest, &["--signer", &sender]), 0);
    // Under the name of another block.
    let other = path.with_file_name("cards-000001.jwe");
    std::fs::copy(&path, &other).unwrap();
    let mut command = dataprep();
    command.arg("open").arg(&other).arg("--key").arg(&key).args(["--signer", &sender]);
    expect(1, &mut command);
}

#[test]
fn production_signs_what_it_seals() {
    let own = Own::new();
    own.configure("environment = \"test\"", "environment = \"production\"");
    let codes = |own: &Own| {
        let mut check = dataprep();
        check.arg("check").arg("--issuer").arg(own.path("issuer")).arg("--json");
        let (_, stdout, _) = ran(&mut check);
        let report: Value = serde_json::from_slice(&stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(codes(&own).contains(&"output-signing-key".to_owned()));
    let public = own.sign();
    assert!(!codes(&own).contains(&"output-signing-key".to_owned()));
    // One without the other; one key for two purposes; a key that is not that of the file.
    let own = Own::new();
    own.configure("\n[secrets]\n", &format!("\noutput_signing_public_key = \"{public}\"\n[secrets]\n"));
    assert!(codes(&own).contains(&"output-signing-key".to_owned()));
    own.configure("[secrets]\n", "[secrets]\noutput_signing_key = \"../secrets/signing.hex\"\n");
    assert!(!codes(&own).contains(&"output-signing-key".to_owned()));
    let (code, _, stderr) = ran(&mut own.prepare(&clear_orders(1), "out"));
    assert!(code == 1 && stderr.contains("is not the key of output_signing_public_key"), "{stderr}");
    let path = own.path("issuer/issuer.toml");
    let toml: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    own.configure(&public, toml["signing_public_key"].as_str().unwrap());
    assert!(codes(&own).contains(&"output-signing-key".to_owned()));
}

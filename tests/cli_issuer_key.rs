//! The ceremony of an issuer key, through the program: new, request, a test CA's answer, import, cards.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use cli_support::{dataprep, expect, ran, text};

const TEMPLATE: &str = "version = 1\n\
    self_certificate = \"constant:11 identifier:4 expiry serial constant:0101 modulus-length:1 exponent-length\"\n\
    request = \"constant:22 service-id identifier:4 tracking key-index modulus-length:2 exponent-length modulus-left remainder exponent self-certificate\"\n\
    hash = \"identifier:4 key-index constant:01 sha1\"\n";

/// An issuer of its own and a test CA of the scheme of profile ccd-generic.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(rid: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        expect(0, dataprep().args(["demo", "--empty"]).arg(scene.path("demo")));
        expect(0, scene.ca("ca", rid, "3612").arg("--exponent-three"));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self, name: &str, rid: &str, expiry: &str) -> Command {
        let mut command = dataprep();
        command.args(["test-ca", "new", "--rid", rid, "--index", "F7", "--bits", "1408", "--expiry", expiry]);
        command.arg("--out").arg(self.path(name));
        command
    }

    fn issuer_key(&self, word: &str, index: &str) -> Command {
        let mut command = dataprep();
        command.args(["issuer-key", word, "--index", index, "--issuer"]).arg(self.path("demo/issuer"));
        command
    }

    fn make(&self, index: &str, rid: &str, bits: &str, exponent: &str) {
        let mut command = self.issuer_key("new", index);
        expect(0, command.args(["--rid", rid, "--bits", bits, "--exponent", exponent]));
    }

    fn request(&self, index: &str, identifier: &str, out: &Path, more: &[&str]) {
        let mut command = self.issuer_key("request", index);
        command.args(["--identifier", identifier, "--expiry", "3512"]).args(more).arg("--out").arg(out);
        expect(0, &mut command);
    }

    fn sign(&self, ca: &str, request: &Path, layout: &str, out: &Path, more: &[&str]) {
        let mut command = dataprep();
        command.args(["test-ca", "sign", "--layout", layout]).arg("--ca").arg(self.path(ca)).args(more);
        expect(0, command.arg("--request").arg(request).arg("--out").arg(out));
    }

    fn import(&self, index: &str, ca: &str, layout: &str, response: &Path) -> Command {
        let mut command = self.issuer_key("import", index);
        command.arg("--ca").arg(self.path(ca).join("ca.toml")).args(["--layout", layout]);
        command.arg("--response").arg(response);
        command
    }

    /// A request and its answer.
    fn answered(&self, index: &str, identifier: &str, layout: &str) -> PathBuf {
        let (request, response) = (self.path(&format!("{index}.pem")), self.path(&format!("{index}.bin")));
        self.request(index, identifier, &request, &["--common-name", "Test issuer"]);
        self.sign("ca", &request, layout, &response, &["--identifier", identifier, "--expiry", "3512"]);
        response
    }

    /// The message with which a command is refused.
    fn refused(command: &mut Command) -> String {
        let (code, _, message) = ran(command);
        assert_eq!(code, 1, "{command:?}\n{message}");
        message
    }
}

const RID: &str = "F000000001";

#[test]
fn a_key_is_made_certified_and_certifies_cards() {
    let scene = Scene::new(RID);
    scene.make("0A", RID, "1400", "65537");
    // It waits, and the directory is good without it.
    expect(0, dataprep().args(["check", "--issuer"]).arg(scene.path("demo/issuer")));
    let status = || {
        let mut command = dataprep();
        command.args(["issuer-key", "status", "--json", "--issuer"]).arg(scene.path("demo/issuer"));
        let (code, out, _) = ran(&mut command);
        (code, serde_json::from_slice::<serde_json::Value>(&out).unwrap())
    };
    let of = |value: &serde_json::Value| {
        value["keys"].as_array().unwrap().iter().find(|k| k["index"] == "0A").unwrap().clone()
    };
    let (_, before) = status();
    assert_eq!(
        (of(&before)["bits"].as_u64(), of(&before)["certificates"].as_array().unwrap().len()),
        (Some(1400), 0)
    );
    let response = scene.answered("0A", "991234", "visa");
    assert_eq!(of(&status().1)["requests"][0]["identifier"], "991234");
    expect(0, &mut scene.import("0A", "ca", "visa", &response));
    let (code, after) = status();
    assert_eq!(code, 0);
    let key = of(&after);
    assert_eq!(
        (&key["caIndex"], &key["caExpiry"], &key["requests"]),
        (&"F7".into(), &"3612".into(), &serde_json::json!([]))
    );
    assert_eq!(
        key["certificates"][0],
        serde_json::json!({"identifier": "991234", "expiry": "3512", "state": "good"})
    );
    // Ends within a hundred years: soon.
    let mut soon = dataprep();
    soon.args(["issuer-key", "status", "--months", "1200", "--issuer"]).arg(scene.path("demo/issuer"));
    expect(3, &mut soon);
    assert!(!scene.path("demo/issuer/oda/0A/pending.toml").exists());

    // A second identifier, by a template, from another layout; both stand.
    let template = scene.path("template.toml");
    std::fs::write(&template, TEMPLATE).unwrap();
    let (request, response) = (scene.path("second.req"), scene.path("second.bin"));
    scene.request(
        "0A",
        "99123456",
        &request,
        &["--template", template.to_str().unwrap(), "--service-id", "10100000"],
    );
    assert_eq!(std::fs::read(scene.path("second.req.hash")).unwrap().len(), 4 + 3 + 1 + 20);
    scene.sign("ca", &request, "mastercard", &response, &["--template", template.to_str().unwrap()]);
    expect(0, &mut scene.import("0A", "ca", "mastercard", &response));
    assert_eq!(of(&status().1)["certificates"].as_array().unwrap().len(), 2);

    // Cards under the new key pass the second witness.
    let demo = cli_support::demo();
    let orders = std::fs::read_to_string(demo.path("orders.jsonl")).unwrap();
    let ccd: String = orders
        .lines()
        .filter(|l| l.contains("\"ccd-generic\""))
        .take(3)
        .map(|l| {
            let mut order: serde_json::Value = serde_json::from_str(l).unwrap();
            order["order"]["paymentApplication"]["odaKeyIndex"] = "0A".into();
            format!("{order}\n")
        })
        .collect();
    assert_eq!(ccd.lines().count(), 3);
    let (file, out) = (scene.path("orders.jsonl"), scene.path("out"));
    std::fs::write(&file, ccd).unwrap();
    let mut prepare = dataprep();
    prepare.arg("prepare").arg("--issuer").arg(scene.path("demo/issuer")).arg("--orders").arg(&file);
    let (code, _, message) = ran(prepare.arg("--out").arg(&out).args(["--now", cli_support::NOW]));
    let rejected = std::fs::read_to_string(out.join("rejected.jsonl")).unwrap_or_default();
    assert_eq!(code, 0, "{message}\n{rejected}");
    let mut verify = dataprep();
    verify.arg("verify").arg(&out).arg("--issuer").arg(scene.path("demo/issuer")).arg("--json");
    for entry in std::fs::read_dir(scene.path("demo/secrets")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jwk") {
            verify.arg("--key").arg(path);
        }
    }
    let report: serde_json::Value = serde_json::from_slice(&expect(0, &mut verify)).unwrap();
    assert_eq!((report["passed"].as_u64(), report["failed"].as_u64()), (Some(3), Some(0)));
}

#[test]
fn every_layout_and_length() {
    let scene = Scene::new(RID);
    for (index, bits, exponent, layout) in
        [("10", "1408", "3", "visa"), ("11", "1384", "65537", "mastercard"), ("12", "1272", "3", "unionpay")]
    {
        scene.make(index, RID, bits, exponent);
        let response = scene.answered(index, "991234", layout);
        expect(0, &mut scene.import(index, "ca", layout, &response));
    }
    expect(0, dataprep().args(["check", "--issuer"]).arg(scene.path("demo/issuer")));
}

#[test]
fn what_is_wrong_with_a_response_is_named() {
    let scene = Scene::new(RID);
    scene.make("0A", RID, "1408", "3");
    scene.make("0B", RID, "1280", "3");
    let good = scene.answered("0A", "991234", "visa");
    let other = scene.answered("0B", "991234", "visa");
    let import = |response: &Path| scene.import("0A", "ca", "visa", response);
    let says = |command: &mut Command, what: &str| {
        let message = Scene::refused(command);
        assert!(message.contains(what), "{what}: {message}");
    };
    says(&mut import(&other), "another key");
    says(&mut scene.import("0A", "ca", "unionpay", &good), "detached signature");
    says(&mut scene.import("0A", "ca", "mastercard", &good), "CA response file");
    // Damaged, cut, longer.
    let bytes = std::fs::read(&good).unwrap();
    let bad = scene.path("bad.bin");
    for at in (0..bytes.len()).step_by(41) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&bad, damaged).unwrap();
        Scene::refused(&mut import(&bad));
    }
    std::fs::write(&bad, &bytes[..bytes.len() - 1]).unwrap();
    Scene::refused(&mut import(&bad));
    std::fs::write(&bad, [bytes.as_slice(), &[0]].concat()).unwrap();
    Scene::refused(&mut import(&bad));
    // A CA of another scheme, with another key, with a wrong checksum.
    expect(0, &mut scene.ca("foreign", "F000000002", "3612"));
    Scene::refused(&mut scene.import("0A", "foreign", "visa", &good));
    says(import(&good).args(["--ca-checksum", &"00".repeat(20)]), "checksum");
    let file = std::fs::read_to_string(scene.path("ca/ca.toml")).unwrap();
    std::fs::create_dir(scene.path("renamed")).unwrap();
    let renamed = file.replace(RID, "F000000002");
    std::fs::write(scene.path("renamed/ca.toml"), renamed).unwrap();
    says(&mut scene.import("0A", "renamed", "visa", &good), "checksum");
    let none: String =
        file.lines().filter(|l| !l.starts_with("checksum")).map(|l| format!("{l}\n")).collect();
    std::fs::write(scene.path("renamed/ca.toml"), none).unwrap();
    says(&mut scene.import("0A", "renamed", "visa", &good), "no checksum");
    // Ended, outliving its CA, for an identifier that nobody asked for.
    let request = scene.path("0A.pem");
    for (name, identifier, expiry, what) in [
        ("ended", "991234", "2001", "has ended"),
        ("late", "991234", "3701", "outlives"),
        ("foreign-identifier", "991299", "3512", "no request"),
    ] {
        let response = scene.path(&format!("{name}.bin"));
        scene.sign("ca", &request, "visa", &response, &["--identifier", identifier, "--expiry", expiry]);
        says(&mut import(&response), what);
    }
    assert!(!scene.path("demo/issuer/oda/0A/oda.toml").exists());
    // After all this the good one goes in, once.
    expect(0, &mut import(&good));
    Scene::refused(&mut import(&good));
    // A key that is too short for the cards of a profile is refused with the reason, and the directory stays good.
    scene.make("0C", RID, "768", "3");
    let short = scene.answered("0C", "991234", "visa");
    says(&mut scene.import("0C", "ca", "visa", &short), "the ICC key is longer than the issuer key");
    expect(0, dataprep().args(["check", "--issuer"]).arg(scene.path("demo/issuer")));
    // A request file is never overwritten, nor a key.
    let mut again = scene.issuer_key("request", "0A");
    again.args(["--identifier", "991234", "--expiry", "3512", "--common-name", "x", "--out"]).arg(&request);
    says(&mut again, "exists");
    says(scene.issuer_key("new", "0A").args(["--rid", RID, "--bits", "1408", "--exponent", "3"]), "already");
}

#[test]
fn a_certificate_of_a_new_ca_key_replaces_the_old_ones() {
    let scene = Scene::new(RID);
    scene.make("0A", RID, "1280", "3");
    expect(0, &mut scene.import("0A", "ca", "visa", &scene.answered("0A", "991234", "visa")));
    expect(0, &mut scene.ca("next", RID, "3812"));
    let (request, response) = (scene.path("next.pem"), scene.path("next.bin"));
    scene.request("0A", "991234", &request, &["--common-name", "Test issuer"]);
    scene.sign("next", &request, "visa", &response, &["--identifier", "991234", "--expiry", "3712"]);
    let mut import = scene.import("0A", "next", "visa", &response);
    assert!(Scene::refused(&mut import).contains("--replace"));
    expect(0, import.arg("--replace"));
    expect(0, dataprep().args(["check", "--issuer"]).arg(scene.path("demo/issuer")));
    let text = std::fs::read_to_string(scene.path("demo/issuer/oda/0A/oda.toml")).unwrap();
    assert_eq!((text.matches("[[certificate]]").count(), text.contains("ca_expiry = \"3812\"")), (1, true));
}

#[test]
fn a_registered_rid_is_meant_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene { folder };
    assert!(Scene::refused(&mut scene.ca("ca", "A000000003", "3612")).contains("--registered-rid"));
    expect(0, scene.ca("ca", "A000000003", "3612").arg("--registered-rid"));
}

/// OpenSSL makes a key that is adopted, and reads the request.
#[test]
fn openssl_is_the_other_side() {
    let scene = Scene::new(RID);
    let openssl =
        |args: &[&str]| Command::new("openssl").args(args).current_dir(scene.folder.path()).output();
    let made = openssl(&["genrsa", "-traditional", "-out", "pkcs1.pem", "1024"]);
    let Ok(made) = made.map_err(|_| assert!(std::env::var_os("CI").is_none(), "CI has openssl")) else {
        return;
    };
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(
        openssl(&["pkcs8", "-topk8", "-in", "pkcs1.pem", "-passout", "pass:word", "-out", "pkcs8.pem"])
            .unwrap()
            .status
            .success()
    );
    std::fs::write(scene.path("word"), "word\n").unwrap();
    for name in ["pkcs1.pem", "pkcs8.pem", "word"] {
        Command::new("chmod").arg("600").arg(scene.path(name)).status().unwrap();
    }
    expect(0, scene.issuer_key("new", "0A").args(["--rid", RID, "--adopt"]).arg(scene.path("pkcs1.pem")));
    let mut sealed = scene.issuer_key("new", "0B");
    sealed
        .args(["--rid", RID, "--adopt"])
        .arg(scene.path("pkcs8.pem"))
        .arg("--adopt-password")
        .arg(scene.path("word"));
    expect(0, &mut sealed);
    let request = scene.path("0A.pem");
    scene.request(
        "0A",
        "991234",
        &request,
        &["--common-name", "Test issuer", "--organization", "Bank", "--country", "FR"],
    );
    let read = openssl(&["req", "-in", "0A.pem", "-verify", "-noout", "-subject", "-modulus"]).unwrap();
    assert!(read.status.success(), "{}", text(&read.stderr));
    let of_key = openssl(&["rsa", "-in", "pkcs1.pem", "-noout", "-modulus"]).unwrap();
    let modulus = text(&of_key.stdout);
    assert!(modulus.starts_with("Modulus=") && text(&read.stdout).contains(modulus.trim()));
    assert!(text(&read.stdout).contains("Test issuer"));
}

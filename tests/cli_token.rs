//! The program with the issuer's keys in SoftHSM2: the walk-through of docs/pkcs11.md, the same bytes as from memory, a
//! token that is lost in the middle of a batch.
#![cfg(feature = "pkcs11")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;
mod softhsm_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cli_support::{NOW, SEED, dataprep};

/// A demo as `scripts/softhsm-demo` makes it.
struct TokenDemo {
    folder: tempfile::TempDir,
}

/// The demo, or nothing where there is no SoftHSM2.
fn demo() -> Option<&'static TokenDemo> {
    static DEMO: OnceLock<TokenDemo> = OnceLock::new();
    softhsm_support::library()?;
    Some(DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Command::new("scripts/softhsm-demo");
        script.arg(folder.path().join("demo")).env("DATAPREP", env!("CARGO_BIN_EXE_dataprep"));
        let out = script.output().unwrap();
        assert!(out.status.success(), "{}", words(&out));
        assert!(words(&out).contains("issuer RSA keys checked"), "{}", words(&out));
        let made = TokenDemo { folder };
        // The same issuer with its keys in memory.
        let memory = made.path("in-memory");
        copy(&made.path("issuer"), &memory);
        let text = std::fs::read_to_string(memory.join("issuer.toml")).unwrap();
        let (head, _) = text.split_once("[key_source]").unwrap();
        std::fs::write(memory.join("issuer.toml"), head).unwrap();
        // Tokens that one test takes away, while nothing writes into them.
        copy(&made.path("tokens"), &made.path("lost/tokens"));
        made
    }))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_owned();
            (path, to.join(name))
        };
        if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}

fn words(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

impl TokenDemo {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("demo").join(name)
    }

    fn command(&self) -> Command {
        let mut command = dataprep();
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command
    }

    fn orders(&self, count: usize) -> PathBuf {
        let all = std::fs::read_to_string(self.path("orders.jsonl")).unwrap();
        let path = self.path(&format!("orders-{count}.jsonl"));
        std::fs::write(&path, all.lines().take(count).map(|l| format!("{l}\n")).collect::<String>()).unwrap();
        path
    }

    fn prepare(&self, issuer: &str, orders: &Path, out: &Path, more: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["prepare", "--plain", "--seed", SEED, "--now", NOW, "--progress", "none"]).args(more);
        command.arg("--issuer").arg(self.path(issuer)).arg("--orders").arg(orders).arg("--out").arg(out);
        command
    }
}

/// What a seed makes equal: every file that holds cards or outcomes.
fn results(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(out).unwrap().to_str().unwrap().to_owned();
            let is_result = ["prepared", "pin-mailers", "issuer-return", "status.jsonl", "rejected.jsonl"]
                .iter()
                .any(|r| name.starts_with(r));
            if path.is_dir() {
                folders.push(path);
            } else if is_result {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (results(a), results(b));
    assert!(a.len() > 4, "{:?}", a.keys());
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

#[test]
fn the_token_makes_the_bytes_that_memory_makes() {
    let Some(demo) = demo() else { return };
    let orders = demo.orders(60);
    let (token, memory) = (demo.path("out-token"), demo.path("out-memory"));
    for (issuer, out) in [("issuer", &token), ("in-memory", &memory)] {
        let done = demo.prepare(issuer, &orders, out, &[]).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    }
    assert_same(&token, &memory);
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(token.join("batch.json")).unwrap()).unwrap();
    let keys = manifest["keys"].as_array().unwrap();
    assert!(keys.len() > 20 && keys.iter().all(|k| k["source"] == "pkcs11"), "{keys:?}");
    assert!(keys.iter().any(|k| k["use"] == "oda"));
    let check = demo.command().args(["check", "--issuer"]).arg(demo.path("issuer")).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", words(&check));
    let mut verify = demo.command();
    verify.arg("verify").arg(&token).arg("--issuer").arg(demo.path("issuer"));
    let verified = verify.output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", words(&verified));
}

#[test]
fn a_token_that_is_lost_stops_the_batch_and_resume_completes_it() {
    let Some(demo) = demo() else { return };
    let orders = demo.orders(200);
    // Tokens of its own: the other tests go on with theirs.
    let folder = demo.path("lost");
    let conf = folder.join("softhsm2.conf");
    std::fs::write(
        &conf,
        format!("directories.tokendir = {}\nobjectstore.backend = file\n", folder.join("tokens").display()),
    )
    .unwrap();
    let out = folder.join("out");
    let block = ["--block", "5", "--threads", "1"];
    let run = demo
        .prepare("issuer", &orders, &out, &block)
        .env("SOFTHSM2_CONF", &conf)
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut run = run.unwrap();
    let started = Instant::now();
    while !has_cards(&out) {
        assert!(started.elapsed() < Duration::from_secs(120), "no block was committed");
        assert!(run.try_wait().unwrap().is_none(), "{}", words(&run.wait_with_output().unwrap()));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::rename(folder.join("tokens"), folder.join("away")).unwrap();
    let stopped = run.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(4), "{}", words(&stopped));
    assert!(words(&stopped).contains("the key source does not answer"), "{}", words(&stopped));
    assert!(!out.join("batch.json").exists());
    std::fs::rename(folder.join("away"), folder.join("tokens")).unwrap();
    let more = ["--block", "5", "--resume"];
    let resumed = demo.prepare("issuer", &orders, &out, &more).env("SOFTHSM2_CONF", &conf).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", words(&resumed));
    let undisturbed = folder.join("undisturbed");
    let done = demo.prepare("in-memory", &orders, &undisturbed, &["--block", "5"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    assert_same(&out, &undisturbed);
}

/// Whether a block stands under its final name.
fn has_cards(out: &Path) -> bool {
    let mut folders = vec![out.join("prepared")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                return true;
            }
        }
    }
    false
}

#[test]
fn what_is_wrong_with_the_token_is_told_before_the_first_card() {
    let Some(demo) = demo() else { return };
    let orders = demo.orders(3);
    let issuer = demo.path("wrong");
    copy(&demo.path("issuer"), &issuer);
    let good = std::fs::read_to_string(issuer.join("issuer.toml")).unwrap();
    let pin = demo.path("secrets/wrong.pin");
    std::fs::write(&pin, "11111111\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600)).unwrap();
    let open = demo.path("secrets/open.pin");
    std::fs::copy(demo.path("secrets/token.pin"), &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (from, to, exit, told) in [
        ("token = \"demo\"", "token = \"other\"", 4, "no token has this label"),
        ("token.pin", "wrong.pin", 1, "does not take this PIN"),
        ("token.pin", "open.pin", 1, "others may read this secret"),
        ("libsofthsm2.so", "libno.so", 4, "the PKCS#11 library cannot be loaded"),
        ("kind = \"pkcs11\"", "kind = \"hsm\"", 1, "kind: software or pkcs11"),
    ] {
        assert!(good.contains(from));
        std::fs::write(issuer.join("issuer.toml"), good.replace(from, to)).unwrap();
        let out = demo.path("out-wrong");
        let refused = demo.prepare("wrong", &orders, &out, &[]).output().unwrap();
        assert_eq!(refused.status.code(), Some(exit), "{to}: {}", words(&refused));
        assert!(words(&refused).contains(told), "{to}: {}", words(&refused));
        assert!(!words(&refused).contains("11111111"));
        assert!(!out.join("prepared").exists());
    }
    // A key that keys.toml has and the token has not.
    std::fs::write(issuer.join("issuer.toml"), &good).unwrap();
    let keys = std::fs::read_to_string(issuer.join("keys.toml")).unwrap();
    let at = keys.find("[[key]]").unwrap();
    let more = format!(
        "{}[[key]]\nuse = \"pin\"\nindex = \"EE\"\nblock = \"-\"\nkcv = \"000000\"\nkcv_method = \"tdes\"\n\n{}",
        &keys[..at],
        &keys[at..]
    );
    std::fs::write(issuer.join("keys.toml"), more).unwrap();
    let refused = demo.prepare("wrong", &orders, &demo.path("out-wrong"), &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", words(&refused));
    assert!(words(&refused).contains("pin:EE: no such key"), "{}", words(&refused));
}

#[test]
fn a_protection_key_in_the_token_opens_the_blocks_of_keys_in_memory() {
    let Some(demo) = demo() else { return };
    let orders = demo.orders(12);
    let hex_key = std::fs::read_to_string(demo.path("secrets/kbpk.hex")).unwrap();
    let file = demo.path("secrets/kbpk.bin");
    std::fs::write(&file, hex::decode(hex_key.trim()).unwrap()).unwrap();
    let pin = std::fs::read_to_string(demo.path("secrets/token.pin")).unwrap();
    let mut tool = Command::new("softhsm2-util");
    tool.arg("--import").arg(&file).args(["--aes", "--token", "demo", "--label", "kbpk", "--id", "A1"]);
    tool.args(["--pin", pin.trim()]).env("SOFTHSM2_CONF", demo.path("softhsm2.conf"));
    let made = tool.output().unwrap();
    assert!(made.status.success(), "{}", words(&made));
    let issuer = demo.path("token-kbpk");
    copy(&demo.path("issuer"), &issuer);
    let text = std::fs::read_to_string(issuer.join("issuer.toml")).unwrap();
    let text = text.replace("kind = \"pkcs11\"", "kind = \"software\"");
    let text = text.replace("\"../secrets/kbpk.hex\"", "\"pkcs11:object=kbpk\"");
    std::fs::write(issuer.join("issuer.toml"), text).unwrap();
    let (ours, memory) = (demo.path("out-kbpk"), demo.path("out-kbpk-memory"));
    for (issuer, out) in [("token-kbpk", &ours), ("in-memory", &memory)] {
        let done = demo.prepare(issuer, &orders, out, &[]).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    }
    assert_same(&ours, &memory);
    assert!(std::fs::read_to_string(ours.join("batch.json")).unwrap().contains("software"));
}

/// A key that the token makes signs its request there, is certified, and certifies cards; it is in no file.
#[test]
fn an_issuer_key_is_made_in_the_token() {
    let Some(demo) = demo() else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = TokenDemo { folder };
    copy(&demo.path(""), &own.path(""));
    let conf = std::fs::read_to_string(own.path("softhsm2.conf")).unwrap();
    let here = |text: &str| {
        text.replace(
            demo.path("").to_str().unwrap().trim_end_matches('/'),
            own.path("").to_str().unwrap().trim_end_matches('/'),
        )
    };
    std::fs::write(own.path("softhsm2.conf"), here(&conf)).unwrap();
    let issuer = own.path("issuer");
    let run = |code: i32, words_of: &str| {
        let mut command = own.command();
        command.current_dir(own.path("")).args(words_of.split_whitespace());
        let out = command.output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{words_of}\n{}", words(&out));
    };
    for (index, bits, exponent) in [("0A", "1408", "3"), ("0B", "1280", "65537")] {
        run(
            0,
            &format!(
                "issuer-key new --issuer issuer --index {index} --rid F000000001 --bits {bits} --exponent {exponent}"
            ),
        );
        run(
            1,
            &format!(
                "issuer-key new --issuer issuer --index {index} --rid F000000001 --bits {bits} --exponent {exponent}"
            ),
        );
        run(
            0,
            &format!(
                "issuer-key request --issuer issuer --index {index} --identifier 991234 --expiry 3512 --common-name Test --out {index}.pem"
            ),
        );
    }
    run(0, "test-ca new --out ca --rid F000000001 --index F7 --bits 1408 --expiry 3612");
    run(
        0,
        "test-ca sign --ca ca --request 0A.pem --identifier 991234 --expiry 3512 --layout visa --out 0A.bin",
    );
    run(1, "issuer-key import --issuer issuer --index 0B --ca ca/ca.toml --layout visa --response 0A.bin");
    run(0, "issuer-key import --issuer issuer --index 0A --ca ca/ca.toml --layout visa --response 0A.bin");
    run(0, "check --issuer issuer");
    let names: Vec<_> =
        std::fs::read_dir(issuer.join("oda/0A")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["oda.toml"]);
    let orders: String = std::fs::read_to_string(own.path("orders.jsonl"))
        .unwrap()
        .lines()
        .filter(|l| l.contains("\"ccd-generic\""))
        .take(3)
        .map(|l| l.replace("\"odaKeyIndex\":\"03\"", "\"odaKeyIndex\":\"0A\"") + "\n")
        .collect();
    assert_eq!(orders.matches("\"0A\"").count(), 3);
    std::fs::write(own.path("three.jsonl"), orders).unwrap();
    run(0, &format!("prepare --issuer issuer --orders three.jsonl --out made --plain --now {NOW}"));
    run(0, "verify made --issuer issuer");
    // What the token has already stays when the others go in again.
    run(0, "keys to-token --issuer issuer");
}

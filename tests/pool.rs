//! The key pool through the program: filling, counting, preparing out of it, and kills at any time.
//!
//! `POOL_KILLS=N` sets how many kills the kill test makes; `scripts/long/pool-kills` runs it with many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{all_files, dataprep, demo, expect, ran, text};
use emv_dataprep::crypto::rsa::RsaPublic;
use emv_dataprep::profile::{Files, Issuer};
use serde_json::Value;

/// An issuer directory of one's own beside the demo's secrets, so that tests do not share a pool.
struct Own {
    folder: tempfile::TempDir,
}

impl Own {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["issuer", "secrets"] {
            for (path, bytes) in all_files(&demo().path(name)) {
                let to = folder.path().join(name).join(path);
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                write_private(&to, &bytes);
            }
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pool(&self, command: &str, more: &[&str]) -> Command {
        let mut program = dataprep();
        program.args(["pool", command, "--issuer"]).arg(self.path("issuer")).args(more);
        program
    }

    fn fill(&self, bits: &str, exponent: &str, count: &str) -> Command {
        self.pool("fill", &["--bits", bits, "--exponent", exponent, "--count", count, "--json"])
    }

    fn prepare(&self, orders: &Path, out: &Path, more: &[&str]) -> Command {
        let mut program = dataprep();
        program.arg("prepare").arg("--issuer").arg(self.path("issuer")).arg("--orders").arg(orders);
        program.arg("--out").arg(out).args(["--plain", "--pool", "--json"]).args(more);
        program
    }

    /// Available and burnt keys by size and exponent.
    fn status(&self) -> BTreeMap<(u64, u64), (u64, u64)> {
        let status: Value =
            serde_json::from_slice(&expect(0, &mut self.pool("status", &["--json"]))).unwrap();
        let number = |pool: &Value, name: &str| pool[name].as_u64().unwrap();
        let pools = status["pools"].as_array().unwrap();
        let one =
            |p| ((number(p, "bits"), number(p, "exponent")), (number(p, "available"), number(p, "burnt")));
        pools.iter().map(one).collect()
    }

    fn issuer(&self) -> Issuer {
        let files: Files = all_files(&self.path("issuer"))
            .into_iter()
            .map(|(path, bytes)| (path.to_str().unwrap().to_owned(), bytes))
            .filter(|(path, _)| !path.starts_with("pool/"))
            .collect();
        Issuer::load(&files).unwrap()
    }
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).unwrap().write_all(bytes).unwrap();
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The moduli of all certified card keys of a finished batch, as far as the certificates hold them, with the card.
///
/// They are recovered from tags 9F46 and 9F2D with the issuer public keys, as a terminal does (EMV 4.4 Book 2, 6.4);
/// what a certificate does not hold of a modulus is its end, which no two keys need to tell them apart.
fn moduli(issuer: &Issuer, out: &Path) -> Vec<(Vec<u8>, String)> {
    let issuer_keys: Vec<RsaPublic> =
        issuer.oda_keys().flat_map(|k| &k.certificates).map(|c| c.key.clone()).collect();
    let mut found = Vec::new();
    for (name, bytes) in all_files(&out.join("prepared")) {
        for line in text(&bytes).lines() {
            let card: Value = serde_json::from_str(line).unwrap();
            let id = format!("{} {}", name.display(), card["cardId"].as_str().unwrap());
            let before = found.len();
            for application in card["chip"]["applications"].as_array().unwrap() {
                for dgi in application["dgis"].as_array().unwrap() {
                    let value = hex::decode(dgi["value"].as_str().unwrap()).unwrap();
                    for at in 0..value.len().saturating_sub(4) {
                        if [[0x9F, 0x46, 0x81], [0x9F, 0x2D, 0x81]].contains(&[
                            value[at],
                            value[at + 1],
                            value[at + 2],
                        ]) {
                            let end = at + 4 + usize::from(value[at + 3]);
                            let certificate = value.get(at + 4..end).unwrap_or_default();
                            found.extend(recovered(&issuer_keys, certificate).map(|n| (n, id.clone())));
                        }
                    }
                }
            }
            let wants_key = card["profile"] != "online-only";
            assert_eq!(found.len() > before, wants_key, "{id}");
        }
    }
    found
}

/// The part of a card's modulus that a certificate holds.
fn recovered(issuer_keys: &[RsaPublic], certificate: &[u8]) -> Option<Vec<u8>> {
    issuer_keys.iter().filter(|k| k.len() == certificate.len()).find_map(|key| {
        let block = key.apply(certificate).ok()?;
        let good = block.starts_with(&[0x6A, 0x04]) && block.last() == Some(&0xBC);
        // Header, format, PAN (10), expiry (2), serial (3), two algorithms, length of modulus and of exponent.
        good.then(|| block[21..block.len() - 21].iter().take(usize::from(block[19])).copied().collect())
    })
}

/// No key stands in two cards.
fn assert_used_once(moduli: &[(Vec<u8>, String)]) -> usize {
    let mut seen: BTreeMap<&[u8], &str> = BTreeMap::new();
    for (modulus, card) in moduli {
        assert!(modulus.len() >= 100, "{} bytes", modulus.len());
        let before = seen.insert(modulus, card);
        // Both interfaces of one card certify one key.
        assert!(before.is_none_or(|b| b == card), "a key stands in {before:?} and {card}");
    }
    seen.len()
}

#[test]
fn filled_counted_used_and_given_back() {
    let own = Own::new();
    assert_eq!(json(&expect(0, &mut own.pool("status", &["--json"])))["pools"], Value::Array(Vec::new()));
    let filled = json(&expect(0, &mut own.fill("1408", "65537", "12")));
    assert_eq!(filled, serde_json::json!({"made": 12, "bits": 1408, "exponent": 65537, "available": 12}));
    let more = json(&expect(0, own.fill("1408", "65537", "3").args(["--threads", "2"])));
    assert_eq!((&more["made"], &more["available"]), (&3.into(), &15.into()));
    expect(0, &mut own.fill("1152", "3", "40"));
    // A pool is no configuration.
    let check = json(&expect(0, dataprep().args(["check", "--json", "--issuer"]).arg(own.path("issuer"))));
    assert!(!check["findings"].to_string().contains("pool"), "{check}");

    let orders = demo().orders(60, own.folder.path());
    let out = own.path("out");
    let batch = json(&expect(0, &mut own.prepare(&orders, &out, &[])));
    let (used, fresh) = (batch["pool"]["used"].as_u64().unwrap(), batch["pool"]["fresh"].as_u64().unwrap());
    let keys = assert_used_once(&moduli(&own.issuer(), &out));
    assert_eq!(keys as u64, used + fresh);
    let status = own.status();
    let burnt: u64 = status.values().map(|(_, burnt)| burnt).sum();
    assert_eq!(burnt, used);
    assert_eq!(status[&(1408, 65537)], (0, 15));
    assert_eq!(status[&(1152, 3)].0 + status[&(1152, 3)].1, 40);
    assert!(fresh > 0, "{batch}");
    let verify = dataprep().arg("verify").arg(&out).arg("--issuer").arg(own.path("issuer")).output().unwrap();
    assert_eq!(verify.status.code(), Some(0), "{}", text(&verify.stderr));

    // Done already: nothing more is taken.
    expect(0, &mut own.prepare(&orders, &out, &["--resume"]));
    assert_eq!(own.status(), status);
    // Without a pool the manifest has no such member.
    let none = demo().prepare_unseeded(&orders, &own.path("none"), &["--json"]).output().unwrap();
    assert!(json(&none.stdout).get("pool").is_none());
}

#[test]
fn what_is_refused() {
    let own = Own::new();
    let orders = demo().orders(3, own.folder.path());
    let seed = cli_support::SEED;
    expect(2, &mut own.prepare(&orders, &own.path("out"), &["--seed", seed]));
    expect(2, own.fill("1408", "3", "1").args(["--seed", seed]));
    expect(2, &mut own.fill("1400", "3", "1"));
    expect(2, &mut own.fill("1408", "17", "1"));
    expect(2, &mut own.fill("1408", "3", "0"));
    assert!(!own.path("out").exists());
    // No pool yet: all keys are made.
    let batch = json(&expect(0, &mut own.prepare(&orders, &own.path("out"), &[])));
    assert_eq!(batch["pool"]["used"], 0);
    assert!(!own.path("issuer/pool").exists());

    // The pool may stand elsewhere; the loader says where not.
    let file = own.path("issuer/issuer.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, toml.replacen("environment", "pool = \"../keys ahead\"\nenvironment", 1)).unwrap();
    expect(0, &mut own.fill("512", "3", "2"));
    assert!(own.path("keys ahead/512-3/ready").is_dir() && !own.path("issuer/pool").exists());
    std::fs::write(&file, toml.replacen("environment", "pool = \"products\"\nenvironment", 1)).unwrap();
    expect(1, &mut own.pool("status", &[]));
    // Small keys are for test issuers.
    std::fs::write(&file, toml.replacen("\"test\"", "\"production\"", 1)).unwrap();
    expect(1, &mut own.fill("512", "3", "1"));

    // Without a key of use pool nothing is sealed.
    std::fs::write(&file, &toml).unwrap();
    let keys = own.path("issuer/keys.toml");
    let text = std::fs::read_to_string(&keys).unwrap();
    let kept: Vec<&str> = text.split("\n[[key]]").filter(|k| !k.contains("use = \"pool\"")).collect();
    std::fs::write(&keys, kept.join("\n[[key]]")).unwrap();
    let (code, _, words) = ran(&mut own.fill("512", "3", "1"));
    assert!(code == 1 && words.contains("use pool"), "{code} {words}");
    expect(1, &mut own.prepare(&orders, &own.path("again"), &[]));
}

#[test]
fn a_damaged_segment_is_named_and_the_batch_goes_on() {
    let own = Own::new();
    for _ in 0..2 {
        expect(0, &mut own.fill("1408", "65537", "4"));
    }
    let ready = own.path("issuer/pool/1408-65537/ready");
    let path = std::fs::read_dir(&ready).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, stdout, words) = ran(&mut own.pool("status", &["--json"]));
    assert_eq!((code, json(&stdout)["pools"][0]["available"].as_u64()), (3, Some(4)));
    assert!(words.contains(path.to_str().unwrap()), "{words}");
    let orders = demo().orders(30, own.folder.path());
    let (code, stdout, words) = ran(&mut own.prepare(&orders, &own.path("out"), &[]));
    assert!(code == 0 && words.contains(path.to_str().unwrap()), "{code} {words}");
    assert_eq!(json(&stdout)["pool"]["used"], 4);
}

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills it after a while, unless it ends before. Whether it was killed.
fn kill_after(child: &mut Child, after: Duration) -> bool {
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    running
}

/// Fill and prepare are killed at all times, with a second prepare beside them: no RSA key stands in two cards, and the
/// counts fit.
#[test]
fn killed_at_any_time_no_key_is_used_twice() {
    let kills: u32 = std::env::var("POOL_KILLS").map_or(20, |n| n.parse().unwrap());
    let own = Own::new();
    let orders = demo().orders(60, own.folder.path());
    let out = |n: u32| own.path(&format!("out-{n}"));
    let block = ["--block", "10", "--resume"];
    let fill = || own.fill("1408", "65537", "8");
    expect(0, &mut fill());
    let begun = Instant::now();
    expect(0, &mut own.prepare(&orders, &out(0), &block));
    let whole = begun.elapsed();
    // A fixed sequence of instants without a pattern, so that a failure can be tried again.
    let mut state = 7_u64;
    let mut instant = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        whole.mul_f64((state >> 40) as f64 / (1_u64 << 24) as f64)
    };
    let (mut killed, mut outs, mut fills) = (0, 1, 1);
    while killed < kills {
        expect(0, &mut fill());
        fills += 1;
        let mut filling = quiet(&mut fill());
        let mut one = quiet(&mut own.prepare(&orders, &out(outs), &block));
        let mut two = quiet(&mut own.prepare(&orders, &out(outs + 1), &block));
        killed += u32::from(kill_after(&mut one, instant()));
        killed += u32::from(kill_after(&mut filling, instant() / 4));
        killed += u32::from(kill_after(&mut two, instant() / 4));
        expect(0, &mut own.prepare(&orders, &out(outs), &block));
        expect(0, &mut own.prepare(&orders, &out(outs + 1), &block));
        outs += 2;
        assert!(
            begun.elapsed() < Duration::from_secs(30 * u64::from(kills)),
            "only {killed} kills met a program"
        );
    }
    let issuer = own.issuer();
    let (mut all, mut used, mut total) = (Vec::new(), 0, 0);
    for n in 0..outs {
        let batch = json(&std::fs::read(out(n).join("batch.json")).unwrap());
        let cards = moduli(&issuer, &out(n));
        let keys = assert_used_once(&cards) as u64;
        let (ready, fresh) =
            (batch["pool"]["used"].as_u64().unwrap(), batch["pool"]["fresh"].as_u64().unwrap());
        assert_eq!(ready + fresh, keys, "out-{n}");
        used += ready;
        total += keys as usize;
        all.extend(cards.into_iter().map(|(modulus, card)| (modulus, format!("out-{n} {card}"))));
    }
    assert_eq!(assert_used_once(&all), total);
    assert!(used > 0);
    // What is used is burnt; a kill may have burnt more. A fill puts all of its eight keys there or none, and no key is
    // lost to the counts.
    let (available, burnt) = own.status()[&(1408, 65537)];
    assert!(burnt >= used, "{burnt} burnt, {used} used");
    let made = available + burnt;
    assert!(made % 8 == 0 && made >= 8 * fills, "{made} keys, {fills} fills that ended");
    let left = std::fs::read_dir(own.path("issuer/pool")).unwrap();
    let left: Vec<_> =
        left.map(|e| e.unwrap().file_name()).filter(|n| n.to_str().unwrap().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_signal_ends_a_fill_with_what_is_made() {
    let own = Own::new();
    let mut child = quiet(&mut own.fill("512", "3", "1000000"));
    let ready = own.path("issuer/pool/512-3/ready");
    let begun = Instant::now();
    while std::fs::read_dir(&ready).map_or(0, Iterator::count) == 0 && begun.elapsed().as_secs() < 120 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let (available, burnt) = own.status()[&(512, 3)];
    assert!(available >= 256 && burnt == 0, "{available} {burnt}");
}

//! What the program says and writes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::orders::{TestFolder, found_below, good, keys, malformed};
use crate::cli_support::{dataprep, ran};
use crate::leak_support::Needles;

fn count() -> u64 {
    let named = std::env::var("CANARY_ORDERS").ok().and_then(|n| n.parse().ok());
    named.unwrap_or(if cfg!(debug_assertions) { 200 } else { 10_000 })
}

/// `prepare` as talkative as it can be.
fn prepare(issuer: &TestFolder, orders: &Path, work: &Path, out: &str) -> Command {
    let mut command = dataprep();
    command.arg("prepare").arg("--issuer").arg(issuer.path("issuer")).arg("--orders").arg(orders);
    command.arg("--out").arg(work.join(out)).arg("--ledger").arg(work.join("ledger.sqlite"));
    command.args(["--json", "--progress", "json", "--operator", "Ann"]);
    command.env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace").env("TMPDIR", work.join("tmp"));
    command
}

#[test]
fn nothing_planted_stands_in_any_output() {
    let issuer = TestFolder::new();
    let mut needles = Needles::new();
    let mut text = good(&issuer, count(), &mut needles).into_bytes();
    let first_lines: Vec<u8> = text.split_inclusive(|b| *b == b'\n').take(16).flatten().copied().collect();
    keys(&issuer, &mut needles);
    text.extend(malformed(&mut needles));
    let input = tempfile::tempdir().unwrap();
    let orders = input.path().join("orders.jsonl");
    std::fs::write(&orders, &text).unwrap();
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    std::fs::create_dir(work.join("tmp")).unwrap();

    let clean = |what: &str, code: i32, command: &mut Command| -> Vec<u8> {
        let (found, stdout, stderr) = ran(command);
        let place = needles.find(&stdout).or_else(|| needles.find(stderr.as_bytes()));
        assert_eq!(place, None, "{what}");
        assert_eq!(found, code, "{what}: {stderr}");
        stdout
    };
    let manifest = clean("prepare", 3, prepare(&issuer, &orders, work, "out").args(["--block", "500"]));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert!(manifest["counts"]["prepared"].as_u64().unwrap() >= count(), "{}", manifest["counts"]);
    assert!(manifest["counts"]["rejected"].as_u64().unwrap() >= 300, "{}", manifest["counts"]);
    assert_eq!(found_below(work, &needles), [""; 0]);

    // The same without a folder in its way, and what reads the batch afterwards.
    clean("again", 2, &mut prepare(&issuer, &orders, work, "out"));
    clean(
        "audit",
        0,
        dataprep().args(["audit", "verify"]).arg(work.join("out")).arg("--issuer").arg(issuer.path("issuer")),
    );
    clean("check", 0, dataprep().args(["check", "--json", "--issuer"]).arg(issuer.path("issuer")));
    let broken = input.path().join("broken.jsonl");
    std::fs::write(&broken, &text[..text.len() / 2]).unwrap();
    clean("another input", 1, prepare(&issuer, &broken, work, "out").arg("--resume"));
    assert_eq!(found_below(work, &needles), [""; 0]);

    // The search finds what is there: card lines that are asked for in clear.
    let plain = tempfile::tempdir().unwrap();
    let few = plain.path().join("few.jsonl");
    std::fs::write(&few, first_lines).unwrap();
    std::fs::create_dir(plain.path().join("tmp")).unwrap();
    clean("plain", 0, prepare(&issuer, &few, plain.path(), "out").arg("--plain"));
    let found = found_below(&plain.path().join("out"), &needles).concat();
    for kind in ["prepared/", "PAN ("] {
        assert!(found.contains(kind), "{kind}: {found}");
    }
}

#[test]
fn what_a_kill_leaves_holds_nothing_either() {
    let issuer = TestFolder::new();
    let mut needles = Needles::new();
    let text = good(&issuer, 160, &mut needles);
    keys(&issuer, &mut needles);
    let input = tempfile::tempdir().unwrap();
    let orders = input.path().join("orders.jsonl");
    std::fs::write(&orders, text).unwrap();
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    std::fs::create_dir(work.join("tmp")).unwrap();
    // Once from a file, once from standard input with a seed, which keeps the orders aside.
    for stdin in [false, true] {
        let out = format!("out-{stdin}");
        let source = if stdin { Path::new("-") } else { orders.as_path() };
        let mut command = prepare(&issuer, source, work, &out);
        command.args(["--block", "4", "--threads", "1"]);
        if stdin {
            command.stdin(std::fs::File::open(&orders).unwrap());
            command.args(["--seed", crate::cli_support::SEED, "--now", crate::cli_support::NOW]);
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let records = work.join(&out).join(".job/records");
        while std::fs::read_dir(&records).map_or(0, Iterator::count) < 3 && begun.elapsed().as_secs() < 60 {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(std::fs::read_dir(&records).map_or(0, Iterator::count) >= 3, "the batch does not begin");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!work.join(&out).join("batch.json").exists(), "it was to be killed before its end");
        assert_eq!(found_below(work, &needles), [""; 0]);
        assert_eq!(std::fs::read_dir(work.join("tmp")).unwrap().count(), 0, "a temporary file remains");
    }
}

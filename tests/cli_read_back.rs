//! Cards that are read back: while they are made (`prepare --verify`), and a part of them afterwards (`verify --sample`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cli_support;

use std::path::Path;

use cli_support::{NOW, SEED, dataprep, demo, expect, ran, tree};
use serde_json::Value;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn cards_that_are_read_back_are_the_same_cards() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(60, folder.path());
    let (plain, checked) = (folder.path().join("plain"), folder.path().join("checked"));
    let more = ["--block", "10", "--json"];
    let without = json(&expect(0, &mut demo().prepare(&orders, &plain, &more)));
    assert_eq!(without.get("verification"), None);
    let with = json(&expect(0, demo().prepare(&orders, &checked, &more).arg("--verify")));
    assert!(tree(&plain) == tree(&checked), "other bytes");
    let found = &with["verification"];
    assert_eq!((&found["cards"], &found["failed"]), (&60.into(), &0.into()));
    for check in ["order", "form", "afl", "transaction", "issuer-return", "kcv"] {
        assert_eq!(found["checks"][check]["passed"], 60, "{check}");
    }
    // What stands beside a card is read too, where it has one.
    for check in ["pin-mailer", "pvv", "reference-pin", "icc-certificate"] {
        let counts = &found["checks"][check];
        assert!(counts["passed"].as_u64().unwrap() > 5 && counts["failed"] == 0, "{check}");
        assert_eq!(counts["passed"].as_u64().unwrap() + counts["notApplicable"].as_u64().unwrap(), 60);
    }
    let report = std::fs::read_to_string(checked.join("report.html")).unwrap();
    assert!(report.contains("<h2>Cards read back</h2>") && report.contains("<code>icc-certificate</code>"));
    expect(0, &mut demo().verify(&checked));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn issuer_toml_may_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = folder.path().join("issuer");
    copy(&demo().path("issuer"), &issuer);
    copy(&demo().path("secrets"), &folder.path().join("secrets"));
    let file = issuer.join("issuer.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let set = |word: &str| {
        std::fs::write(&file, text.replace("\n[secrets]", &format!("verify = \"{word}\"\n\n[secrets]")))
            .unwrap();
    };
    let orders = demo().orders(6, folder.path());
    let prepare = |out: &str, more: &[&str]| {
        let mut command = dataprep();
        command.arg("prepare").arg("--issuer").arg(&issuer).arg("--orders").arg(&orders);
        command
            .arg("--out")
            .arg(folder.path().join(out))
            .args(["--seed", SEED, "--now", NOW, "--json"])
            .args(more);
        command
    };
    set("all");
    assert_eq!(json(&expect(0, &mut prepare("a", &[])))["verification"]["cards"], 6);
    assert_eq!(json(&expect(0, &mut prepare("b", &["--no-verify"]))).get("verification"), None);
    assert_eq!(ran(&mut prepare("c", &["--no-verify", "--verify"])).0, 2);
    set("none");
    assert_eq!(json(&expect(0, &mut prepare("d", &[]))).get("verification"), None);
    set("some");
    let (code, _, words) = ran(&mut prepare("e", &[]));
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("verify: all or none [value]"), "{words}");
}

#[test]
fn a_sample_reads_some_cards_and_every_digest() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(60, folder.path());
    let out = folder.path().join("out");
    expect(0, &mut demo().prepare(&orders, &out, &["--block", "5"]));
    let sample = |cards: &str| {
        let (code, stdout, words) = ran(demo().verify(&out).args(["--json", "--sample", cards]));
        assert!(!stdout.is_empty(), "{words}");
        (code, json(&stdout))
    };
    for (asked, least, most) in
        [("1", 1, 5), ("15", 11, 15), ("59", 56, 60), ("60", 60, 60), ("1000", 60, 60)]
    {
        let (code, report) = sample(asked);
        assert_eq!(code, 0, "{asked}: {report}");
        let cards = report["cards"].as_u64().unwrap();
        assert!((least..=most).contains(&cards), "{asked}: {cards}");
        assert_eq!(report["checks"]["one-outcome"]["passed"], 1);
        let files = report["checks"]["file-digest"]["passed"].as_u64().unwrap();
        assert!(files > 30, "{files}");
    }
    // A file whose cards are not among the sample, changed: its digest says so.
    let file = std::fs::read_dir(out.join("prepared/THALES/THALES")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, report) = sample("1");
    assert_eq!((code, &report["checks"]["file-digest"]["failed"]), (3, &1.into()));
}

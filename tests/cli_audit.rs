//! The audit log of a batch, from the command line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cli_support;

use cli_support::{dataprep, demo, expect, ran, text};

#[test]
fn starts_restarts_and_the_end_are_told_and_signed() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let orders = demo.orders(40, folder.path());
    let arguments = ["--block", "10", "--operator", "Ann", "--json"];
    let manifest = expect(0, &mut demo.prepare_unseeded(&orders, &out, &arguments));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["audit"]["entries"], 1);
    assert!(manifest["signature"]["value"].is_string());

    // A batch whose manifest a kill took away, with the entry that tells of it.
    let log = std::fs::read_to_string(out.join("audit.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(entries.len(), 2);
    assert_eq!((&entries[0]["event"], &entries[0]["who"]), (&"batch-started".into(), &"Ann".into()));
    assert_eq!(entries[1]["event"], "batch-finished");
    assert_eq!(entries[1]["facts"]["manifest"], manifest["manifestSha256"]);
    assert_eq!(entries[1]["facts"]["prepared"], "40");

    let issuer = demo.path("issuer");
    let verify = || {
        let mut command = dataprep();
        command.args(["audit", "verify"]).arg(&out).arg("--issuer").arg(&issuer).arg("--json");
        command
    };
    let report: serde_json::Value = serde_json::from_slice(&expect(0, &mut verify())).unwrap();
    assert_eq!((&report["passed"], &report["signed"]), (&true.into(), &true.into()));
    std::fs::write(out.join("audit.jsonl"), log.replace("Ann", "Bob")).unwrap();
    expect(3, &mut verify());
    // Nothing is added to a log that was changed.
    let (code, _, words) = ran(&mut demo.prepare_unseeded(&orders, &out, &["--resume"]));
    assert_eq!(code, 1, "{words}");
    std::fs::write(out.join("audit.jsonl"), &log).unwrap();
    expect(0, &mut verify());
    std::fs::remove_file(out.join("audit-head.json")).unwrap();
    expect(1, &mut verify());
}

#[test]
fn a_restart_says_who_and_why() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let orders = demo.orders(300, folder.path());
    let start = || demo.prepare_unseeded(&orders, &out, &["--block", "5", "--operator", "Ann"]);
    let mut child =
        start().stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = std::time::Instant::now();
    while std::fs::read_dir(out.join(".job/records")).map_or(0, Iterator::count) < 2
        && begun.elapsed().as_secs() < 60
    {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resume = ["--block", "5", "--resume", "--operator", "Bob", "--reason", "power cut"];
    expect(0, &mut demo.prepare_unseeded(&orders, &out, &resume));
    let log = std::fs::read_to_string(out.join("audit.jsonl")).unwrap();
    let resumed = log.lines().find(|l| l.contains("batch-resumed")).unwrap();
    assert!(resumed.contains("\"who\":\"Bob\"") && resumed.contains("\"reason\":\"power cut\""), "{resumed}");
    expect(0, dataprep().args(["audit", "verify"]).arg(&out).arg("--issuer").arg(demo.path("issuer")));
    // A reason is for a restart, and no place for a card number.
    let other = folder.path().join("other");
    expect(2, &mut demo.prepare_unseeded(&orders, &other, &["--reason", "why"]));
    let (code, _, words) =
        ran(&mut demo.prepare_unseeded(&orders, &other, &["--operator", "4761739001010119"]));
    assert_eq!(code, 2);
    assert!(!text(words.as_bytes()).contains("4761739001010119"), "{words}");
}

#[test]
fn a_signing_key_is_made_once_and_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.hex");
    let line = expect(0, dataprep().args(["keys", "signing", "--out"]).arg(&path));
    let line = text(&line);
    let public = line.trim().strip_prefix("signing_public_key = \"").unwrap().strip_suffix('"').unwrap();
    assert_eq!(public.len(), 64);
    // The file alone gives the public key: RFC 8032 by the library.
    let seed = std::fs::read_to_string(&path).unwrap();
    let seed = emv_dataprep::secret::Secret::new(emv_dataprep::bytes::from_hex(seed.trim()).unwrap());
    let key = emv_dataprep::crypto::ed25519::Ed25519Private::from_seed(&seed).unwrap();
    assert_eq!(key.public().to_string(), public);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Never over a key that is there, and another each time.
    expect(1, dataprep().args(["keys", "signing", "--out"]).arg(&path));
    let other = expect(0, dataprep().args(["keys", "signing", "--out"]).arg(folder.path().join("other")));
    assert_ne!(text(&other), line);
}

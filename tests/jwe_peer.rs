//! Python's jwcrypto on the other side: it seals orders that `prepare` takes, and opens what `prepare` seals and signs.
//!
//! `.ci/run` gives the interpreter that has it: `DATAPREP_PEER_PYTHON=venv/bin/python cargo test --test jwe_peer -- --ignored`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)] // a test

mod cli_support;
mod envelope_support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use cli_support::{dataprep, expect, text};
use envelope_support::{Own, clear_orders, with_envelope};
use serde_json::Value;

fn peer() -> Command {
    let python = std::env::var("DATAPREP_PEER_PYTHON").expect("DATAPREP_PEER_PYTHON: a Python with jwcrypto");
    let mut command = Command::new(python);
    command.arg("scripts/jwe-peer.py");
    command
}

fn sealed_by_peer(public: &Path, lines: &str) -> Vec<String> {
    let mut child =
        peer().arg("seal").arg(public).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    text(&out.stdout).lines().map(str::to_owned).collect()
}

/// What `prepare` makes of envelopes of the peer is what it makes of the same card data in clear.
#[test]
#[ignore = "needs Python's jwcrypto: .ci/run peers"]
fn orders_that_the_peer_seals_are_prepared() {
    let own = Own::new();
    let public = own.path("envelope.pub.jwk");
    std::fs::write(&public, own.envelope().public().to_json()).unwrap();
    let orders = clear_orders(20);
    let lines: String = orders.iter().map(|o| format!("{}\n", o["cardData"])).collect();
    let envelopes = sealed_by_peer(&public, &lines);
    let sealed: Vec<Value> = orders.iter().zip(&envelopes).map(|(o, e)| with_envelope(o, e)).collect();
    expect(0, own.prepare(&orders, "clear").arg("--plain"));
    expect(0, own.prepare(&sealed, "sealed").arg("--plain"));
    assert_eq!(own.statuses("clear"), own.statuses("sealed"));
    let cards = |out: &str| {
        let folder = own.path(out).join("prepared");
        let files = cli_support::all_files(&folder);
        assert!(!files.is_empty());
        files
    };
    assert!(cards("clear") == cards("sealed"), "the same cards");
    // One changed character of each.
    let spoilt: Vec<Value> = orders
        .iter()
        .zip(&envelopes)
        .enumerate()
        .map(|(n, (o, e))| {
            let mut bytes = e.clone().into_bytes();
            let at = (n * 97 + 5) % bytes.len();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            with_envelope(o, &String::from_utf8(bytes).unwrap())
        })
        .collect();
    expect(3, own.prepare(&spoilt, "spoilt").arg("--plain"));
    assert!(own.statuses("spoilt").iter().all(|s| s["errorCode"] == "CRYPTO_ERROR"));
}

/// Every sealed file, unsigned and signed, whole and a line each, opens at the peer to what `open` gives.
#[test]
#[ignore = "needs Python's jwcrypto: .ci/run peers"]
fn files_that_are_sealed_and_signed_open_at_the_peer() {
    let own = Own::new();
    let orders = clear_orders(40);
    expect(0, &mut own.prepare(&orders, "unsigned"));
    own.sign();
    expect(0, &mut own.prepare(&orders, "signed"));
    let signer = own.path("output.pub.jwk");
    let mut files = 0;
    for batch in ["unsigned", "signed"] {
        for (file, _) in cli_support::all_files(&own.path(batch)) {
            if file.extension().is_none_or(|e| e != "jwe") {
                continue;
            }
            let parts: Vec<&str> = file.iter().map(|p| p.to_str().unwrap()).collect();
            let holder = match parts[0] {
                "issuer-return" => "issuer",
                "pin-mailers" => parts[1],
                _ => parts[2],
            };
            let key = own.path(&format!("secrets/{holder}.jwk"));
            let sealed = own.path(batch).join(&file);
            let ours = expect(0, dataprep().arg("open").arg(&sealed).arg("--key").arg(&key));
            let mut theirs = peer();
            theirs.arg("open").arg(&key).arg(&sealed);
            if batch == "signed" {
                theirs.arg(&signer);
            }
            assert_eq!(expect(0, &mut theirs), ours, "{batch} {}", file.display());
            files += 1;
            if batch == "unsigned" {
                expect(1, theirs.arg(&signer));
            }
        }
    }
    assert!(files >= 10, "{files}");
}

/// A key pair of `keys envelope new` and one of `keys output-signing` are keys to the peer, by the same thumbprints.
#[test]
#[ignore = "needs Python's jwcrypto: .ci/run peers"]
fn the_peer_reads_our_keys() {
    let own = Own::new();
    own.sign();
    let private = own.path("secrets/new.jwk");
    let public = expect(0, dataprep().args(["keys", "envelope", "new", "--out"]).arg(&private));
    std::fs::write(own.path("new.pub.jwk"), &public).unwrap();
    let python = std::env::var("DATAPREP_PEER_PYTHON").unwrap();
    let script = "import sys\nfrom jwcrypto import jwk\nfor path in sys.argv[1:]:\n    key = jwk.JWK.from_json(open(path).read())\n    assert key.thumbprint() == key['kid'], path\n    print(key.has_private)\n";
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(&private).arg(own.path("new.pub.jwk")).arg(own.path("output.pub.jwk"));
    assert_eq!(text(&expect(0, &mut command)), "True\nFalse\nFalse\n");
}

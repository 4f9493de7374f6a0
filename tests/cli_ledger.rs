//! The ledger, from the command line: nothing is made twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cli_support;

use std::path::Path;
use std::process::Command;

use cli_support::{all_files, demo, expect, ran};
use serde_json::{Value, json};

/// Orders of the demo as values.
fn orders(count: usize, folder: &Path) -> Vec<Value> {
    let path = demo().orders(count, folder);
    std::fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn prepare(folder: &Path, name: &str, orders: &[Value], more: &[&str]) -> Command {
    let path = folder.join(format!("{name}.jsonl"));
    let lines: String = orders.iter().map(|o| format!("{o}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    let ledger = folder.join("ledger.sqlite");
    let mut command = demo().prepare_unseeded(&path, &folder.join(name), &["--json", "--block", "10"]);
    command.arg("--ledger").arg(ledger).args(more);
    command
}

fn counts(stdout: &[u8]) -> (u64, u64, u64) {
    let manifest: Value = serde_json::from_slice(stdout).unwrap();
    let count = |name: &str| manifest["counts"][name].as_u64().unwrap_or(0);
    (count("prepared"), count("rejected"), count("repeated"))
}

fn statuses(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name).join("status.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn an_order_is_prepared_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = orders(30, folder);
    assert_eq!(counts(&expect(0, &mut prepare(folder, "a", &first, &[]))), (30, 0, 0));

    // The same file again: every order is answered with its earlier outcome, and nothing is made.
    assert_eq!(counts(&expect(0, &mut prepare(folder, "b", &first, &[]))), (0, 0, 30));
    for status in statuses(folder, "b") {
        assert_eq!(status["earlier"], true);
        assert_ne!(status["status"], "DATA_EXCEPTION");
    }
    let made =
        |name: &str| all_files(&folder.join(name)).keys().filter(|p| p.components().count() > 1).count();
    assert_eq!(made("b"), 0);
    expect(0, &mut demo().verify(&folder.join("b")));

    // Other orders for the same cards: refused, unless they replace them.
    let change = |order: &Value, id: &str, issuance: &str| {
        let mut order = order.clone();
        order["cardId"] = json!(id);
        if order.get("issuerRequestId").is_some() {
            order["issuerRequestId"] = json!(id);
        }
        // D1's own form has the order's members beside the cardId.
        let members = if order.get("order").is_some() { &mut order["order"] } else { &mut order };
        if members.get("issuerRequestId").is_some() {
            members["issuerRequestId"] = json!(id);
        }
        members["services"]["issuance"] = json!(issuance);
        order
    };
    let mut other: Vec<Value> =
        first.iter().enumerate().map(|(i, o)| change(o, &format!("other-{i}"), "CREATION")).collect();
    other.truncate(10);
    other.extend(
        first[10..20].iter().enumerate().map(|(i, o)| change(o, &format!("again-{i}"), "REPLACEMENT")),
    );
    let (code, stdout, words) = ran(&mut prepare(folder, "c", &other, &[]));
    assert_eq!(code, 3, "{words}");
    let refused: Vec<Value> =
        statuses(folder, "c").into_iter().skip(10).filter(|s| s["errorCode"].is_string()).collect();
    assert_eq!(counts(&stdout), (10, 10, 0), "{refused:?}");
    for status in &statuses(folder, "c")[..10] {
        assert_eq!(
            (&status["errorCode"], &status["field"]),
            (&json!("OPERATION_NOT_ALLOWED"), &json!("order.services.issuance"))
        );
    }
    expect(0, &mut demo().verify(&folder.join("c")));

    // The same issuerRequestId for something else.
    let with_request = first.iter().find(|o| o["issuerRequestId"].is_string()).unwrap();
    let mut changed = with_request.clone();
    changed["cardId"] = json!("changed");
    let (code, ..) = ran(&mut prepare(folder, "d", &[changed], &[]));
    assert_eq!(code, 3);
    assert_eq!(statuses(folder, "d")[0]["field"], "issuerRequestId");
}

#[test]
fn a_rejected_order_may_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = orders(5, folder);
    let mut bad = good.clone();
    // The product is unknown: found after the ledger was asked or before, the order is not remembered.
    bad[2]["order"]["cardProductId"] = json!("no-such-product");
    assert_eq!(ran(&mut prepare(folder, "a", &bad, &[])).0, 3);
    assert_eq!(counts(&expect(0, &mut prepare(folder, "b", &good, &[]))), (1, 0, 4));
}

#[test]
fn a_killed_batch_does_not_meet_its_own_entries() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let all = orders(200, folder);
    let ledger = folder.join("ledger.sqlite");
    for round in 0..4_u64 {
        let mut child = prepare(folder, "a", &all, &["--resume"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150 + round * 90));
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert_eq!(counts(&expect(0, &mut prepare(folder, "a", &all, &["--resume"]))), (200, 0, 0));
    expect(0, &mut demo().verify(&folder.join("a")));
    assert!(ledger.exists());
    assert_eq!(counts(&expect(0, &mut prepare(folder, "b", &all, &[]))), (0, 0, 200));
}

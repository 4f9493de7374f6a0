//! `report.html` and the progress of a batch, from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::path::Path;

use cli_support::{dataprep, demo, expect, ran, text};
use serde_json::Value;

/// Orders of which every third is wrong, each in its own way.
fn mixed(folder: &Path) -> std::path::PathBuf {
    let good = std::fs::read_to_string(demo().orders(12, folder)).unwrap();
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    lines[2] = "{\"cardId\":".to_owned();
    lines[5] = lines[4].clone();
    let mut order: Value = serde_json::from_str(&lines[8]).unwrap();
    order["cardId"] = "</td><script>alert(1)</script>".into();
    lines[8] = order.to_string();
    let path = folder.join("mixed.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

#[test]
fn the_report_says_what_became_of_the_orders_and_nothing_of_the_cards() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = mixed(folder.path());
    let out = folder.path().join("out");
    let manifest = expect(3, &mut demo.prepare_unseeded(&orders, &out, &["--block", "4", "--json"]));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    for part in
        ["PARSING_ERROR", "FIELD_INVALID_VALUE", "FIELD_INVALID_FORMAT", ">3<", "6 (", "dataprep verify"]
    {
        assert!(report.contains(part), "{part}");
    }
    assert!(report.contains(manifest["batch"].as_str().unwrap()));
    for key in manifest["keys"].as_array().unwrap() {
        assert!(report.contains(key["kcv"].as_str().unwrap()));
    }
    // Every destination and every profile that has a card.
    for file in manifest["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        if let Some(rest) = path.strip_prefix("prepared/") {
            assert!(report.contains(&format!("<td>{}</td>", rest.split('/').nth(1).unwrap())), "{path}");
        }
    }
    assert!(!report.contains("<script") && !report.contains("//"));
    // No value of a card: every PAN of the input, and every name.
    let mut looked = 0;
    for line in std::fs::read_to_string(&orders).unwrap().lines() {
        let Ok(order) = serde_json::from_str::<Value>(line) else { continue };
        for member in ["pan", "name"] {
            if let Some(value) = order["cardData"][member].as_str() {
                looked += 1;
                assert!(!report.contains(value), "{member}");
            }
        }
    }
    assert!(looked > 10, "{looked}");

    // The manifest knows it, and so does the witness.
    let entry = manifest["files"].as_array().unwrap().iter().find(|f| f["path"] == "report.html").unwrap();
    assert_eq!(entry["bytes"], report.len());
    expect(0, &mut demo.verify(&out));
    expect(3, &mut demo.prepare_unseeded(&orders, &out, &["--block", "4", "--resume"]));
    assert_eq!(std::fs::read_to_string(out.join("report.html")).unwrap(), report);
    std::fs::write(out.join("report.html"), report.replace("12", "13")).unwrap();
    expect(3, &mut demo.verify(&out));
    expect(1, &mut demo.prepare_unseeded(&orders, &out, &["--resume"]));
}

#[test]
fn progress_is_what_was_asked_for() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(40, folder.path());
    let run = |name: &str, progress: &[&str]| {
        let more = [&["--block", "10"], progress].concat();
        let (code, _, stderr) = ran(&mut demo.prepare(&orders, &folder.path().join(name), &more));
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let lines = |stderr: &str| -> Vec<Value> {
        stderr.lines().filter(|l| l.starts_with('{')).map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    // Standard error is no terminal here.
    let silent = run("default", &[]);
    assert!(lines(&silent).is_empty() && !silent.contains('\r'), "{silent}");
    let none = run("none", &["--progress", "none"]);
    assert!(lines(&none).is_empty() && !none.contains('\r'), "{none}");
    let json = lines(&run("json", &["--progress", "json"]));
    let last = json.last().unwrap();
    assert_eq!(
        last.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["orders", "prepared", "rate", "rejected", "secondsLeft", "share"]
    );
    assert_eq!((&last["orders"], &last["prepared"], &last["rejected"]), (&40.into(), &40.into(), &0.into()));
    assert_eq!((&last["share"], &last["secondsLeft"]), (&1.0.into(), &0.into()));
    assert!(last["rate"].as_f64().unwrap() > 0.0);
    assert!(json.len() < 60);
    // Of a standard input that is not read ahead, nobody knows the length.
    let mut fed = demo.prepare_unseeded("-".as_ref(), &folder.path().join("fed"), &["--progress", "json"]);
    let (code, _, stderr) = ran(fed.stdin(std::fs::File::open(&orders).unwrap()));
    assert_eq!(code, 0, "{stderr}");
    assert!(lines(&stderr).last().unwrap()["share"].is_null());
    let (code, _, stderr) = ran(dataprep().args(["prepare", "--progress", "loud"]));
    assert_eq!(code, 2, "{}", text(stderr.as_bytes()));
}

//! The weak-key gate, from the command line: a pool that was restored from a copy is found out before the manifest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cli_support;

use std::path::Path;
use std::process::Command;

use cli_support::{all_files, dataprep, demo, expect, ran};
use serde_json::Value;

/// The demo's directories, to be changed.
fn copy(from: &Path, to: &Path) {
    for (path, bytes) in all_files(from) {
        let to = to.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(&to, bytes).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&to, mode).unwrap();
    }
}

/// Orders of the demo from one line on, in a file.
fn orders(folder: &Path, name: &str, skip: usize, take: usize) -> std::path::PathBuf {
    let all = std::fs::read_to_string(demo().path("orders.jsonl")).unwrap();
    let path = folder.join(format!("{name}.jsonl"));
    std::fs::write(&path, all.lines().skip(skip).take(take).map(|l| format!("{l}\n")).collect::<String>())
        .unwrap();
    path
}

#[test]
fn a_pool_that_was_restored_is_found_by_the_next_batch() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let issuer = folder.join("issuer");
    copy(&demo().path("issuer"), &issuer);
    copy(&demo().path("secrets"), &folder.join("secrets"));
    for (bits, exponent) in [("1408", "65537"), ("1152", "3"), ("1152", "65537"), ("1024", "65537")] {
        let mut fill = dataprep();
        fill.args(["pool", "fill", "--bits", bits, "--exponent", exponent, "--count", "8", "--issuer"])
            .arg(&issuer);
        expect(0, &mut fill);
    }
    let kept = folder.join("kept");
    copy(&issuer.join("pool"), &kept);
    let prepare = |name: &str, skip: usize, more: &[&str]| -> Command {
        let mut command = dataprep();
        let orders = orders(folder, name, skip, 40);
        command.arg("prepare").arg("--issuer").arg(&issuer).arg("--orders").arg(orders);
        command.arg("--out").arg(folder.join(name)).args(["--plain", "--json", "--block", "10"]).args(more);
        command.arg("--ledger").arg(folder.join("ledger.sqlite"));
        command
    };
    let first: Value = serde_json::from_slice(&expect(0, &mut prepare("a", 0, &["--pool"]))).unwrap();
    let (used, found) = (&first["pool"], &first["weakKeys"]);
    assert!(used["used"].as_u64().unwrap() > 0, "{used}");
    let keys = used["used"].as_u64().unwrap() + used["fresh"].as_u64().unwrap();
    assert_eq!((found["primes"].as_u64(), found["history"].as_u64()), (Some(2 * keys), Some(0)));
    assert!(found["pool"].as_u64().unwrap() > 0 && found["issuer"].as_u64().unwrap() > 0, "{found}");
    assert!(found["moduli"].as_u64().unwrap() > keys, "{found}");
    let verify =
        |name: &str| expect(0, dataprep().arg("verify").arg(folder.join(name)).arg("--issuer").arg(&issuer));
    verify("a");

    std::fs::remove_dir_all(issuer.join("pool")).unwrap();
    copy(&kept, &issuer.join("pool"));
    for more in [&["--pool"][..], &["--pool", "--resume"], &["--resume"]] {
        let (code, _, words) = ran(&mut prepare("b", 40, more));
        assert_eq!(code, 1, "{words}");
        assert!(words.contains("met more than once") && words.contains("with an earlier batch ("), "{words}");
        assert!(words.contains("not signed") && !folder.join("b/batch.json").exists());
    }
    // Its neighbour without the pool is none the worse, and is compared with both.
    let third: Value = serde_json::from_slice(&expect(0, &mut prepare("c", 80, &[]))).unwrap();
    assert!(third["weakKeys"]["history"].as_u64().unwrap() > 2 * keys, "{third}");
    verify("c");
    // The manifest says it, and verify reads it: without a word of it a batch with RSA keys does not pass.
    let entries = std::fs::read_dir(folder.join("ledger.sqlite.primes")).unwrap().count();
    assert_eq!(entries, 3);
    assert!(!folder.join("c/.job").exists());
    // The cards of the refused batch are destroyed, the ledger forgets them, and the same orders are made again: with other primes.
    let wipe = |name: &str, more: &[&str]| -> Command {
        let mut command = dataprep();
        command.arg("wipe").arg(folder.join(name)).arg("--issuer").arg(&issuer);
        command.args(["--yes", "--release", "--ledger"]);
        command.arg(folder.join("ledger.sqlite")).args(more);
        command
    };
    let sure = ["--unfinished", "--reason", "primes of the restored pool"];
    expect(2, &mut wipe("b", &sure[..1]));
    expect(2, &mut wipe("b", &sure[1..]));
    let (code, _, words) = ran(&mut wipe("a", &sure));
    assert!(code == 1 && words.contains("was finished") && folder.join("a/prepared").exists(), "{words}");
    let prepared_again =
        |name: &str| -> Value { serde_json::from_slice(&expect(0, &mut prepare(name, 40, &[]))).unwrap() };
    assert_eq!(prepared_again("d")["counts"]["repeated"], 40);
    let (code, _, words) = ran(&mut wipe("b", &sure));
    assert!(code == 0 && words.contains("the ledger forgot 40 cards"), "{words}");
    assert!(!folder.join("b/prepared").exists());
    let log = std::fs::read_to_string(folder.join("b/audit.jsonl")).unwrap();
    let events: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let [.., started, released, wiped] = &events[..] else { panic!("{log}") };
    assert_eq!((&started["event"], &wiped["event"]), (&"wipe-started".into(), &"batch-wiped".into()));
    assert_eq!((&released["event"], &released["facts"]["cards"]), (&"ledger-released".into(), &"40".into()));
    assert_eq!(released["facts"]["reason"], sure[2]);
    // Nor is a finished batch released whose manifest is gone, or its log too.
    let kept = std::fs::read(folder.join("c/batch.json")).unwrap();
    std::fs::remove_file(folder.join("c/batch.json")).unwrap();
    let (code, _, words) = ran(&mut wipe("c", &sure));
    assert!(code == 1 && words.contains("was finished"), "{words}");
    let log = std::fs::read(folder.join("c/audit.jsonl")).unwrap();
    std::fs::remove_file(folder.join("c/audit.jsonl")).unwrap();
    let (code, _, words) = ran(&mut wipe("c", &sure));
    assert!(code == 1 && words.contains("the audit log is gone"), "{words}");
    std::fs::write(folder.join("c/audit.jsonl"), log).unwrap();
    std::fs::write(folder.join("c/batch.json"), kept).unwrap();
    verify("c");
    // Once more does nothing, and says so.
    let (code, _, words) = ran(&mut wipe("b", &sure));
    assert!(code == 0 && words.contains("the ledger forgot 0 cards"), "{words}");
    let again = prepared_again("e");
    assert_eq!((&again["counts"]["prepared"], &again["counts"]["repeated"]), (&40.into(), &Value::Null));
    verify("e");
}

#[test]
fn a_seed_is_compared_with_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let orders = orders(folder, "orders", 0, 20);
    let ledger = folder.join("ledger.sqlite");
    let ledger = ["--ledger", ledger.to_str().unwrap(), "--json"];
    let seeded: Value =
        serde_json::from_slice(&expect(0, &mut demo().prepare(&orders, &folder.join("a"), &ledger))).unwrap();
    let found = &seeded["weakKeys"];
    assert!(found["primes"].as_u64().unwrap() > 0 && found["history"] == 0, "{found}");
    assert!(!folder.join("ledger.sqlite.primes").exists());
}

//! The program from outside: exit codes, inputs, outputs, what is verified and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::io::Write;
use std::process::Stdio;

use cli_support::{NOW, SEED, all_files, dataprep, demo, expect, ran, text, tree};

#[test]
fn threads_backend_and_the_way_in_change_no_byte() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(120, folder.path());
    let out = |name: &str| folder.path().join(name);
    expect(0, &mut demo.prepare(&orders, &out("a"), &["--block", "25", "--threads", "1"]));
    let expected = tree(&out("a"));
    assert!(expected.len() > 10, "{:?}", expected.keys());
    for threads in ["2", "7"] {
        expect(0, &mut demo.prepare(&orders, &out(threads), &["--block", "25", "--threads", threads]));
        assert_eq!(tree(&out(threads)), expected, "{threads} threads");
    }
    let mut portable = demo.prepare(&orders, &out("p"), &["--block", "25"]);
    expect(0, portable.env("DATAPREP_BACKEND", "portable"));
    assert_eq!(tree(&out("p")), expected, "another backend");
    let mut fed = demo.prepare("-".as_ref(), &out("s"), &["--block", "25"]);
    expect(0, fed.stdin(std::fs::File::open(&orders).unwrap()));
    assert_eq!(tree(&out("s")), expected, "standard input");
    // The batch id binds to the bytes of the input as they came, so a compressed input is another batch.
    let gz = folder.path().join("orders.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&gz).unwrap(), flate2::Compression::fast());
    encoder.write_all(&std::fs::read(&orders).unwrap()).unwrap();
    encoder.finish().unwrap();
    expect(0, &mut demo.prepare(&gz, &out("z"), &["--plain"]));
    expect(0, &mut demo.prepare(&orders, &out("y"), &["--plain"]));
    assert_eq!(tree(&out("z")), tree(&out("y")), "gzip");
    // Nothing is left behind, hidden or not.
    assert!(all_files(&out("a")).keys().all(|p| !p.to_str().unwrap().contains(".job/")));
    assert!(!out("a").join(".job").exists());
}

#[test]
fn a_batch_is_verified_and_every_changed_file_is_seen() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let orders = demo.orders(60, folder.path());
    let manifest = expect(0, &mut demo.prepare_unseeded(&orders, &out, &["--json", "--block", "30"]));
    assert_eq!(manifest, std::fs::read(out.join("batch.json")).unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["counts"]["prepared"], 60);
    assert!(manifest["seedCommitment"].is_null());

    let report = expect(0, demo.verify(&out).arg("--json"));
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["cards"], &report["failed"]), (&60.into(), &0.into()));
    assert!(report["checks"]["icc-keys"]["passed"].as_u64().unwrap() > 0);
    for (name, bytes) in all_files(&out) {
        let path = out.join(&name);
        if bytes.is_empty() {
            continue;
        }
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let (code, stdout, stderr) = ran(demo.verify(&out).arg("--json"));
        assert_eq!(code, 3, "{}: {}{stderr}", name.display(), text(&stdout));
        std::fs::write(&path, &bytes).unwrap();
    }
    // A file that is gone, one that was added, one that stands in another's place.
    let status = std::fs::read(out.join("status.jsonl")).unwrap();
    std::fs::remove_file(out.join("status.jsonl")).unwrap();
    expect(3, &mut demo.verify(&out));
    std::fs::write(out.join("status.jsonl"), status).unwrap();
    let stranger = out.join("issuer-return/stranger");
    std::fs::write(&stranger, "x").unwrap();
    expect(3, &mut demo.verify(&out));
    std::fs::remove_file(stranger).unwrap();
    expect(0, &mut demo.verify(&out));

    // No key, no manifest.
    let mut no_key = dataprep();
    expect(1, no_key.arg("verify").arg(&out).arg("--issuer").arg(demo.path("issuer")));
    std::fs::remove_file(out.join("batch.json")).unwrap();
    expect(1, &mut demo.verify(&out));
}

#[test]
fn a_sealed_file_opens_for_its_holder_under_its_name() {
    let demo = demo();
    let out = demo.path("out");
    let file = out.join("prepared/CENTRAL/PC1/cards-000000.jwe");
    let key = demo.path("secrets/PC1.jwk");
    let cards = expect(0, dataprep().arg("open").arg(&file).arg("--key").arg(&key));
    assert!(text(&cards).lines().all(|l| l.starts_with("{\"format\":\"emv-dataprep/card/1\"")));
    expect(1, dataprep().arg("open").arg(&file).arg("--key").arg(demo.path("secrets/PC2.jwk")));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("cards-000001.jwe");
    std::fs::copy(&file, &copy).unwrap();
    expect(1, dataprep().arg("open").arg(&copy).arg("--key").arg(&key));
    let copy = folder.path().join("cards-000000.jwe");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    std::fs::write(&copy, bytes).unwrap();
    expect(1, dataprep().arg("open").arg(&copy).arg("--key").arg(&key));
    // A secret that others may read is refused.
    use std::os::unix::fs::PermissionsExt;
    let loose = folder.path().join("loose.jwk");
    std::fs::copy(&key, &loose).unwrap();
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, stderr) = ran(dataprep().arg("open").arg(&file).arg("--key").arg(&loose));
    assert!(code == 1 && stderr.contains("0600"), "{code} {stderr}");
}

#[test]
fn a_place_on_a_shared_carrier_is_taken_once() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let all = std::fs::read_to_string(demo.path("orders.jsonl")).unwrap();
    let family = all.lines().find(|l| l.contains("multiCardOrder")).unwrap();
    let mut second: serde_json::Value = serde_json::from_str(family).unwrap();
    second["cardId"] = "another-card".into();
    let mut third = second.clone();
    third["cardId"] = "a-third-card".into();
    third["order"]["cardCarrierConfig"]["multiCardOrder"] = "6".into();
    let orders = folder.path().join("family.jsonl");
    std::fs::write(&orders, format!("{family}\n{second}\n{third}\n")).unwrap();
    let out = folder.path().join("out");
    expect(3, &mut demo.prepare(&orders, &out, &["--block", "1"]));
    let rejected = std::fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    assert_eq!(rejected.lines().count(), 1, "{rejected}");
    assert!(rejected.contains("another-card"), "{rejected}");
    assert!(rejected.contains("order.cardCarrierConfig.multiCardOrder"), "{rejected}");
}

#[test]
fn a_folder_that_lost_its_records_is_not_resumed() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(3, folder.path());
    let out = folder.path().join("out");
    expect(0, &mut demo.prepare_unseeded(&orders, &out, &[]));
    let manifest = std::fs::read(out.join("batch.json")).unwrap();
    std::fs::remove_file(out.join("batch.json")).unwrap();
    // Fresh random numbers would give other PINs than the mailers that stand there.
    expect(1, &mut demo.prepare_unseeded(&orders, &out, &["--resume"]));
    std::fs::write(out.join("batch.json"), manifest).unwrap();
    expect(0, &mut demo.prepare_unseeded(&orders, &out, &["--resume"]));
    std::fs::write(out.join("status.jsonl"), "cut").unwrap();
    expect(1, &mut demo.prepare_unseeded(&orders, &out, &["--resume"]));
}

#[test]
fn bad_orders_stop_nobody_and_say_why() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(demo.orders(3, folder.path())).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let orders = folder.path().join("mixed.jsonl");
    // A duplicate, a line that is no JSON, bytes that are no UTF-8.
    let mut bytes = format!("{}\n{}\n{{\"cardId\":\n{}\n", lines[0], lines[1], lines[0]).into_bytes();
    bytes.extend_from_slice(b"{\"cardId\":\"\xFF\"}\n");
    bytes.extend_from_slice(lines[2].as_bytes());
    std::fs::write(&orders, bytes).unwrap();
    let out = folder.path().join("out");
    let manifest = expect(3, &mut demo.prepare(&orders, &out, &["--json", "--block", "2"]));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        manifest["counts"]["byError"],
        serde_json::json!({"FIELD_INVALID_VALUE": 1, "PARSING_ERROR": 2})
    );
    let rejected = std::fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    let rejected: Vec<serde_json::Value> =
        rejected.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let seen: Vec<_> = rejected
        .iter()
        .map(|r| {
            (r["position"].as_u64().unwrap(), r["errorCode"].as_str().unwrap(), r["field"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        seen,
        [(3, "PARSING_ERROR", ""), (4, "FIELD_INVALID_VALUE", "cardId"), (5, "PARSING_ERROR", "")]
    );
    assert_eq!(std::fs::read_to_string(out.join("status.jsonl")).unwrap().lines().count(), 6);
    expect(0, &mut demo.verify(&out));
    // Resuming what is finished ends as the run did.
    expect(3, &mut demo.prepare(&orders, &out, &["--block", "2", "--resume"]));
    expect(1, &mut demo.prepare(&orders, &out, &["--block", "2", "--resume", "--plain"]));
    expect(1, &mut demo.prepare_unseeded(&orders, &out, &["--block", "2", "--resume"]));
    expect(1, &mut demo.prepare(&demo.orders(3, folder.path()), &out, &["--block", "2", "--resume"]));
}

#[test]
fn the_command_line_and_the_folders_are_checked() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(2, folder.path());
    let out = folder.path().join("out");
    expect(2, &mut demo.prepare(&orders, &out, &["--threads", "0"]));
    expect(2, &mut demo.prepare_unseeded(&orders, &out, &["--seed", "07"]));
    expect(2, &mut demo.prepare_unseeded(&orders, &out, &["--now", "yesterday"]));
    expect(2, dataprep().arg("prepare"));
    expect(2, dataprep().arg("nothing").stdin(Stdio::null()));
    expect(0, dataprep().arg("--help"));
    for command in ["demo", "prepare", "open", "check", "verify", "inspect", "self-test", "keys"] {
        let help = text(&expect(0, dataprep().arg(command).arg("--help")));
        assert!(help.contains("Example: "), "{command}");
    }
    expect(1, demo.prepare(&orders, &out, &[]).env("DATAPREP_BACKEND", "abacus"));
    expect(4, &mut demo.prepare(&folder.path().join("none.jsonl"), &out, &[]));
    assert!(!out.exists());
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("mine"), "x").unwrap();
    expect(2, &mut demo.prepare(&orders, &out, &[]));
    expect(2, &mut demo.prepare(&orders, &out, &["--resume"]));
    assert_eq!(all_files(&out).len(), 1);
    expect(2, dataprep().arg("demo").arg(&out));
    // A folder that cannot be written to.
    expect(4, &mut demo.prepare(&orders, "/proc/dataprep-out".as_ref(), &[]));
}

#[test]
fn a_production_issuer_takes_no_seed_no_time_and_no_plain_cards() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let issuer = folder.path().join("demo/issuer");
    expect(0, dataprep().arg("demo").arg(folder.path().join("demo")).arg("--empty"));
    let path = issuer.join("issuer.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    assert!(config.contains("environment = \"test\""));
    let config = config.replace("environment = \"test\"", "environment = \"production\"");
    std::fs::write(&path, config).unwrap();
    let orders = demo.orders(1, folder.path());
    for asked in [&["--seed", SEED][..], &["--now", NOW], &["--plain"]] {
        let mut command = dataprep();
        command.arg("prepare").arg("--issuer").arg(&issuer).arg("--orders").arg(&orders);
        command.arg("--out").arg(folder.path().join("out")).args(asked);
        expect(1, &mut command);
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn check_and_self_test_answer_in_json() {
    let demo = demo();
    let issuer = demo.path("issuer");
    let found = expect(0, dataprep().arg("check").arg("--issuer").arg(&issuer).arg("--json"));
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    assert_eq!(found["errors"], 0, "{found}");
    let report = expect(0, dataprep().args(["self-test", "--json"]));
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert!(report["failed"] == 0 && report["passed"].as_u64().unwrap() > 0);
    let folder = tempfile::tempdir().unwrap();
    let vectors = folder.path().join("v.json");
    expect(1, dataprep().arg("self-test").arg(&vectors));
    std::fs::write(&vectors, "[]").unwrap();
    expect(3, dataprep().arg("self-test").arg(&vectors));
}

#[test]
fn a_wrapped_key_loads() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("demo");
    expect(0, dataprep().arg("demo").arg(&root).arg("--empty"));
    let issuer = root.join("issuer");
    let mut command = dataprep();
    command.args(["keys", "wrap", "--use", "cvk", "--index", "7F", "--issuer"]).arg(&issuer);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"0123456789ABCDEFFEDCBA9876543210\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    let entry = text(&out.stdout);
    assert!(entry.contains("kcv = \"08D7B4\"") && !entry.contains("0123456789ABCDEF"), "{entry}");
    let path = issuer.join("keys.toml");
    let keys = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{keys}{entry}")).unwrap();
    expect(0, dataprep().arg("check").arg("--issuer").arg(&issuer));
    // A second key of that name, and a check value that is another key's.
    std::fs::write(&path, format!("{keys}{entry}{entry}")).unwrap();
    expect(1, dataprep().arg("check").arg("--issuer").arg(&issuer));
    std::fs::write(&path, format!("{keys}{}", entry.replace("08D7B4", "08D7B5"))).unwrap();
    let (code, stdout, _) = ran(dataprep().arg("check").arg("--issuer").arg(&issuer).arg("--json"));
    assert!(code == 1 && text(&stdout).contains("cvk 7F"), "{code} {}", text(&stdout));
}

//! The data key of a job: the MACs of its records, its end, and the list of jobs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cli_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cli_support::{all_files, dataprep, demo, expect, ran, text};
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::output::Manifest;
use serde_json::{Value, json};

const ORDERS: usize = 60;

/// A plain batch of the demo's orders.
fn plain(orders: &Path, out: &Path) {
    expect(0, &mut demo().prepare(orders, out, &["--plain", "--block", "20"]));
}

type Lines = BTreeMap<u64, (PathBuf, Value)>;

/// The lines of a kind of file by position (mailers: by their count).
fn lines(out: &Path, folder: &str) -> Lines {
    let mut found = Lines::new();
    for (path, bytes) in all_files(out).into_iter().filter(|(path, _)| path.starts_with(folder)) {
        for line in text(&bytes).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let at = line["position"].as_u64().unwrap_or(found.len() as u64 + 1);
            found.insert(at, (path.clone(), line));
        }
    }
    found
}

/// Writes lines back, and puts the digests of the files and the manifest right.
fn put(out: &Path, lines: &Lines) {
    let mut files: BTreeMap<&PathBuf, String> = BTreeMap::new();
    for (path, line) in lines.values() {
        *files.entry(path).or_default() += &format!("{line}\n");
    }
    let path = out.join("batch.json");
    let mut manifest = Manifest::read(&fs::read(&path).unwrap()).unwrap();
    for (name, text) in files {
        let file = manifest.files.iter_mut().find(|f| Path::new(&f.path) == name.as_path()).unwrap();
        (file.sha256, file.bytes) = (hex_upper(&sha256(&[text.as_bytes()])), text.len() as u64);
        fs::write(out.join(name), text).unwrap();
    }
    fs::write(&path, manifest.to_json()).unwrap();
}

/// What `verify` says of single cards: failures by check.
fn failures(out: &Path) -> BTreeMap<String, u64> {
    let (code, json, words) = ran(demo().verify(out).arg("--json"));
    assert!(code == 0 || code == 3, "{words}");
    let report: Value = serde_json::from_slice(&json).unwrap();
    let mut found = BTreeMap::new();
    for failure in report["failures"].as_array().unwrap().iter().filter(|f| !f["position"].is_null()) {
        *found.entry(failure["check"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

fn swap(out: &Path, folder: &str, members: &[&str], pick: impl Fn(&Value) -> bool) -> (Value, Value) {
    let mut all = lines(out, folder);
    let picked: Vec<u64> = all.iter().filter(|(_, (_, v))| pick(v)).map(|(at, _)| *at).take(2).collect();
    let [a, b] = picked[..] else { panic!("two lines of {folder}") };
    let (one, two) = (all[&a].1.clone(), all[&b].1.clone());
    for member in members {
        all.get_mut(&a).unwrap().1[*member] = two[*member].clone();
        all.get_mut(&b).unwrap().1[*member] = one[*member].clone();
    }
    put(out, &all);
    (one, two)
}

#[test]
fn whatever_a_card_has_of_its_neighbour_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(ORDERS, folder.path());
    let out = folder.path().join("out");
    plain(&orders, &out);
    let good = all_files(&out);
    assert_eq!(failures(&out), BTreeMap::new());
    let whole =
        ["maskedPan", "transportKey", "chip", "magstripe", "print", "carrier", "packaging", "shipment"];
    let one_profile = |card: &Value| card["profile"] == "visa-style-dual";
    let any = |_: &Value| true;
    type Case<'a> = (&'a str, &'a [&'a str], &'a dyn Fn(&Value) -> bool);
    let cases: [Case<'_>; 9] = [
        ("prepared", &["print"], &one_profile),
        ("prepared", &["magstripe"], &one_profile),
        ("prepared", &["chip"], &one_profile),
        ("prepared", &whole, &one_profile),
        ("prepared", &["recordMac"], &any),
        ("prepared", &["cardId"], &any),
        ("issuer-return", &["recordMac"], &any),
        ("pin-mailers", &["reference"], &any),
        ("pin-mailers", &["name"], &any),
    ];
    for (kind, members, pick) in cases {
        let (one, two) = swap(&out, kind, members, pick);
        assert!(members.iter().any(|m| one[*m] != two[*m]), "{kind} {members:?}");
        let found = failures(&out);
        assert_eq!(found.get("record-mac"), Some(&2), "{kind} {members:?}: {found:?}");
        for (path, bytes) in &good {
            fs::write(out.join(path), bytes).unwrap();
        }
    }
    // The printed name alone.
    let mut all = lines(&out, "prepared");
    let named: Vec<u64> =
        all.iter().filter(|(_, (_, v))| v["print"]["name"].is_string()).map(|(at, _)| *at).take(2).collect();
    let names = [&all[&named[0]], &all[&named[1]]].map(|(_, v)| v["print"]["name"].clone());
    assert_ne!(names[0], names[1]);
    all.get_mut(&named[0]).unwrap().1["print"]["name"] = names[1].clone();
    all.get_mut(&named[1]).unwrap().1["print"]["name"] = names[0].clone();
    put(&out, &all);
    assert_eq!(failures(&out).get("record-mac"), Some(&2));
    // A line without its MAC.
    let mut all = lines(&out, "issuer-return");
    all.get_mut(&7).unwrap().1.as_object_mut().unwrap().remove("recordMac");
    put(&out, &all);
    assert_eq!(failures(&out).get("record-mac"), Some(&3));
}

/// The incident: names come from a file that is shifted by one line. Every card is consistent in itself, so nothing but
/// the MAC, which knows the order, can see it.
#[test]
fn a_shifted_name_file_is_found_by_nothing_but_the_mac() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(ORDERS, folder.path());
    let right = folder.path().join("right");
    plain(&orders, &right);

    let mut all: Vec<Value> =
        fs::read_to_string(&orders).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let clear: Vec<usize> = (0..all.len()).filter(|i| all[*i]["cardData"]["name"].is_string()).collect();
    assert!(clear.len() > ORDERS / 2);
    let names: Vec<Value> = clear.iter().map(|i| all[*i]["cardData"]["name"].clone()).collect();
    let mut shifted = 0;
    for (at, name) in clear.iter().zip(names.iter().cycle().skip(1)) {
        let data = all[*at]["cardData"].as_object_mut().unwrap();
        data.remove("encodedName");
        shifted += u64::from(data["name"] != *name);
        data.insert("name".into(), name.clone());
    }
    let wrong_orders = folder.path().join("shifted.jsonl");
    fs::write(&wrong_orders, all.iter().map(|o| format!("{o}\n")).collect::<String>()).unwrap();
    let wrong = folder.path().join("wrong");
    plain(&wrong_orders, &wrong);
    assert_eq!(failures(&wrong), BTreeMap::new(), "its own orders");

    for kind in ["prepared", "issuer-return", "pin-mailers"] {
        let macs = lines(&right, kind);
        let mut lines = lines(&wrong, kind);
        assert_eq!(macs.len(), lines.len());
        for (at, (_, line)) in &mut lines {
            line["recordMac"] = macs[at].1["recordMac"].clone();
        }
        put(&wrong, &lines);
    }
    let found = failures(&wrong);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["record-mac"], "{found:?}");
    assert!(shifted > 30 && found["record-mac"] >= shifted, "{shifted} of {found:?}");
}

#[test]
fn no_clear_file_holds_a_mac_or_a_plain_digest() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(ORDERS, folder.path());
    let (clear, sealed) = (folder.path().join("clear"), folder.path().join("sealed"));
    plain(&orders, &clear);
    expect(0, &mut demo().prepare(&orders, &sealed, &["--block", "20"]));
    let mut secrets = Vec::new();
    for kind in ["prepared", "issuer-return", "pin-mailers"] {
        for (_, line) in lines(&clear, kind).values() {
            secrets.push(line["recordMac"].as_str().unwrap().to_owned());
            if let Some(pan) = line["print"]["pan"].as_str() {
                secrets.push(pan.to_owned());
                secrets.push(hex_upper(&sha256(&[pan.as_bytes()])));
            }
        }
    }
    for (_, bytes) in all_files(&clear).iter().filter(|(p, _)| p.starts_with("prepared")) {
        secrets.push(hex_upper(&sha256(&[bytes])));
        secrets.extend(text(bytes).lines().map(|line| hex_upper(&sha256(&[line.as_bytes()]))));
    }
    assert!(secrets.len() > 4 * ORDERS);
    secrets.sort();
    secrets.dedup();
    for (path, bytes) in all_files(&sealed) {
        let text = text(&bytes);
        let found = secrets.iter().find(|s| text.contains(s.as_str()));
        assert!(found.is_none(), "{}", path.display());
    }
}

#[test]
fn lines_do_not_depend_on_how_the_orders_were_packed() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(20, folder.path());
    let packed = folder.path().join("packed.json");
    let all: Vec<Value> =
        fs::read_to_string(&orders).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    fs::write(&packed, json!({ "cards": all }).to_string()).unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    plain(&orders, &one);
    plain(&packed, &two);
    for kind in ["prepared", "issuer-return", "pin-mailers"] {
        assert_eq!(lines(&one, kind), lines(&two, kind));
    }
    assert_eq!(fs::read(one.join("job.key")).unwrap(), fs::read(two.join("job.key")).unwrap());
}

#[test]
fn the_manifest_counts_what_is_there_and_verify_adds_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    plain(&demo().orders(ORDERS, folder.path()), &out);
    let manifest: Value = serde_json::from_slice(&fs::read(out.join("batch.json")).unwrap()).unwrap();
    let sum = |kind: &str| -> u64 {
        manifest["counts"][kind].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
    };
    assert_eq!((sum("byDestination"), sum("byProfile")), (ORDERS as u64, ORDERS as u64));
    let program = fs::read(env!("CARGO_BIN_EXE_dataprep")).unwrap();
    assert_eq!(manifest["engineSha256"], hex_upper(&sha256(&[&program])));
    assert!(manifest["files"].as_array().unwrap().iter().any(|f| f["path"] == "job.key"));

    let good = fs::read(out.join("batch.json")).unwrap();
    let check = |change: &dyn Fn(&mut Manifest), name: &str| {
        let mut manifest = Manifest::read(&good).unwrap();
        change(&mut manifest);
        fs::write(out.join("batch.json"), manifest.to_json()).unwrap();
        let report: Value = serde_json::from_slice(&expect(3, demo().verify(&out).arg("--json"))).unwrap();
        assert_eq!(report["checks"][name]["failed"], 1, "{name}");
    };
    let renamed = |counts: &mut BTreeMap<String, u64>| {
        let (_, n) = counts.pop_first().unwrap();
        counts.insert("other".to_owned(), n);
    };
    check(&|m| renamed(&mut m.counts.by_profile), "recount");
    check(&|m| renamed(&mut m.counts.by_destination), "counts");
    check(&|m| *m.counts.by_profile.values_mut().next().unwrap() += 1, "counts");
}

#[test]
fn a_job_key_that_is_missing_or_another_stops_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(20, folder.path());
    let (out, other) = (folder.path().join("out"), folder.path().join("other"));
    for out in [&out, &other] {
        expect(0, &mut demo().prepare_unseeded(&orders, out, &[]));
    }
    let key = fs::read(out.join("job.key")).unwrap();
    assert_ne!(key, fs::read(other.join("job.key")).unwrap());
    let resume = || ran(&mut demo().prepare_unseeded(&orders, &out, &["--resume"]));
    fs::copy(other.join("job.key"), out.join("job.key")).unwrap();
    let (code, _, words) = resume();
    assert!(code == 1 && words.contains("is not the key that this job was started with"), "{words}");
    fs::remove_file(out.join("job.key")).unwrap();
    let (code, _, words) = resume();
    assert!(code == 1 && words.contains("the key of this job is missing"), "{words}");
    fs::write(out.join("job.key"), &key).unwrap();
    assert_eq!(resume().0, 0);
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in all_files(from) {
        let to = to.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&to, bytes).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_test_issuer_works_without_a_job_key_and_production_does_not() {
    let folder = tempfile::tempdir().unwrap();
    copy(&demo().path("issuer"), &folder.path().join("issuer"));
    copy(&demo().path("secrets"), &folder.path().join("secrets"));
    let issuer = folder.path().join("issuer");
    let keys = fs::read_to_string(issuer.join("keys.toml")).unwrap();
    let without: Vec<&str> = keys.split("[[key]]").filter(|k| !k.contains("use = \"job\"")).collect();
    fs::write(issuer.join("keys.toml"), without.join("[[key]]")).unwrap();
    let out = folder.path().join("out");
    let orders = demo().orders(20, folder.path());
    let prepare = || {
        let mut command = dataprep();
        command
            .arg("prepare")
            .arg("--issuer")
            .arg(&issuer)
            .arg("--orders")
            .arg(&orders)
            .arg("--out")
            .arg(&out);
        command
    };
    expect(0, prepare().arg("--plain"));
    assert!(!out.join("job.key").exists());
    assert!(lines(&out, "prepared").values().all(|(_, line)| line.get("recordMac").is_none()));
    let verified =
        dataprep().arg("verify").arg(&out).arg("--issuer").arg(&issuer).arg("--json").output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stderr));
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(report["checks"]["record-mac"]["notApplicable"], 20);

    let check = |code: i32| {
        let json = expect(code, dataprep().arg("check").arg("--issuer").arg(&issuer).arg("--json"));
        let report: Value = serde_json::from_slice(&json).unwrap();
        let found = report["findings"].as_array().unwrap().iter().find(|f| f["code"] == "job-key").cloned();
        found.unwrap()["level"].clone()
    };
    assert_eq!(check(0), "warning");
    let toml = fs::read_to_string(issuer.join("issuer.toml")).unwrap();
    fs::write(issuer.join("issuer.toml"), toml.replace("\"test\"", "\"production\"")).unwrap();
    assert_eq!(check(1), "error");
    fs::remove_dir_all(&out).unwrap();
    let (code, _, words) = ran(&mut prepare());
    assert!(code == 1 && words.contains("no key of use job"), "{words}");
    assert!(!out.exists());
}

fn wipe(out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = dataprep();
    command.arg("wipe").arg(out).arg("--issuer").arg(demo().path("issuer")).args(more);
    command
}

#[test]
fn a_wiped_job_keeps_its_proof_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(20, folder.path());
    let out = folder.path().join("jobs/out");
    fs::create_dir(folder.path().join("jobs")).unwrap();
    expect(0, &mut demo().prepare_unseeded(&orders, &out, &[]));
    let before = all_files(&out);
    expect(2, &mut wipe(&out, &[]));
    expect(1, dataprep().arg("wipe").arg(&out).arg("--yes"));
    assert_eq!(all_files(&out), before, "nothing was touched");
    let reason = ["--yes", "--operator", "Ann", "--reason", "retention is over"];
    expect(0, &mut wipe(&out, &reason));
    let left: Vec<PathBuf> = all_files(&out).into_keys().collect();
    let kept = [
        "audit-head.json",
        "audit.jsonl",
        "batch.json",
        "job.json",
        "rejected.jsonl",
        "report.html",
        "status.jsonl",
    ];
    assert_eq!(left, kept.map(PathBuf::from));
    let log = fs::read_to_string(out.join("audit.jsonl")).unwrap();
    for event in ["wipe-started", "batch-wiped"] {
        let entry: Value = serde_json::from_str(log.lines().find(|l| l.contains(event)).unwrap()).unwrap();
        assert_eq!((&entry["who"], &entry["facts"]["reason"]), (&"Ann".into(), &"retention is over".into()));
    }
    expect(0, dataprep().args(["audit", "verify"]).arg(&out).arg("--issuer").arg(demo().path("issuer")));
    let (code, _, words) = ran(&mut demo().verify(&out));
    assert!(code == 1 && words.contains("this job was wiped") && words.contains("Ann"), "{words}");
    let (code, _, words) = ran(&mut demo().prepare_unseeded(&orders, &out, &["--resume"]));
    assert!(code == 1 && words.contains("was wiped"), "{words}");
    // Again: nothing to do, nothing told twice.
    expect(0, &mut wipe(&out, &reason));
    assert_eq!(fs::read_to_string(out.join("audit.jsonl")).unwrap(), log);
    expect(0, &mut wipe(&out, &["--yes", "--all"]));
    assert!(!out.exists());
    expect(1, &mut wipe(&out, &["--yes"]));
}

#[test]
fn jobs_are_listed_with_their_state_and_age() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(300, folder.path());
    let root = folder.path().join("jobs");
    fs::create_dir(&root).unwrap();
    let [done, half, gone] = ["done", "half", "gone"].map(|name| root.join(name));
    for out in [&done, &gone] {
        expect(0, &mut demo().prepare_unseeded(&orders, out, &[]));
    }
    expect(0, &mut wipe(&gone, &["--yes"]));
    let mut child = demo()
        .prepare(&orders, &half, &["--block", "5"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while fs::read_dir(half.join(".job/records")).map_or(0, Iterator::count) < 2
        && begun.elapsed().as_secs() < 60
    {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let list = |code: i32, more: &[&str]| -> BTreeMap<String, Value> {
        let json = expect(code, dataprep().arg("jobs").arg(&root).args(more).arg("--json"));
        let report: Value = serde_json::from_slice(&json).unwrap();
        let rows = report["jobs"].as_array().unwrap().iter();
        rows.map(|r| {
            (
                Path::new(r["folder"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned(),
                r.clone(),
            )
        })
        .collect()
    };
    let rows = list(0, &[]);
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows["done"]["state"], &rows["done"]["orders"]), (&"finished".into(), &300.into()));
    assert_eq!((&rows["gone"]["state"], &rows["gone"]["orders"]), (&"wiped".into(), &300.into()));
    assert_eq!(rows["half"]["state"], "unfinished");
    assert!(rows["half"]["orders"].as_u64().unwrap() >= 10);
    assert!(rows.values().all(|row| row["past"] == false));
    // The unfinished one was started in January (--now): it is past; the wiped one never is.
    let rows = list(3, &["--days", "30"]);
    assert_eq!(["done", "gone", "half"].map(|name| rows[name]["past"] == true), [false, false, true]);
    assert!(rows["half"]["ageDays"].as_i64().unwrap() > 30);
    // A batch that is not finished is wiped only when that is meant.
    expect(1, &mut wipe(&half, &["--yes"]));
    expect(0, &mut wipe(&half, &["--yes", "--unfinished"]));
    assert_eq!(list(0, &["--days", "30"])["half"]["state"], "wiped");
    let (code, _, words) = ran(&mut demo().verify(&half));
    assert!(code == 1 && words.contains("wiped"), "{words}");
    expect(1, dataprep().arg("jobs").arg(folder.path().join("none")));
}

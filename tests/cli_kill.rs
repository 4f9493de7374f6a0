//! Kills and signals: whatever they leave, `--resume` completes it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{Demo, dataprep, demo, expect, text, tree};

/// Starts a command and kills it after a while. Whether it was killed.
fn killed(command: &mut Command, after: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    running
}

/// Instants that spread over a run, without a pattern: a fixed sequence, so that a failure can be tried again.
fn instants(seed: u64, whole: Duration) -> impl Iterator<Item = Duration> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        whole.mul_f64((state >> 40) as f64 / (1u64 << 24) as f64)
    })
}

/// Kills that meet a running program, and the jobs over which they spread. `KILLS=1000 JOBS=50` is the long form.
fn wanted() -> (u32, u32) {
    let number = |name, default| std::env::var(name).ok().map_or(default, |n| n.parse().unwrap());
    (number("KILLS", 15), number("JOBS", 3))
}

#[test]
fn a_killed_batch_is_completed_to_the_same_bytes() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(150, folder.path());
    let begun = Instant::now();
    let calm = folder.path().join("calm");
    expect(0, &mut demo.prepare(&orders, &calm, &["--block", "10"]));
    let mut whole = begun.elapsed();
    let expected = tree(&calm);
    let (wanted, jobs) = wanted();
    for job in 0..jobs {
        let out = folder.path().join(format!("job-{job}"));
        let mut draws = instants(u64::from(job) + 1, Duration::from_secs(1));
        let mut kills = 0;
        while kills < wanted.div_ceil(jobs) {
            let after = whole.mul_f64(draws.next().unwrap().as_secs_f64());
            if killed(&mut demo.prepare(&orders, &out, &["--block", "10", "--resume"]), after) {
                kills += 1;
            } else {
                // The job was done before: the next begins anew, and sooner.
                whole = whole.mul_f64(0.9).max(Duration::from_millis(5));
                expect(0, &mut demo.prepare(&orders, &out, &["--resume", "--block", "10"]));
                assert_eq!(tree(&out).keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
                std::fs::remove_dir_all(&out).unwrap();
            }
        }
        expect(0, &mut demo.prepare(&orders, &out, &["--resume", "--block", "10"]));
        assert!(tree(&out) == expected, "job {job}: other bytes");
        assert!(!out.join(".job").exists());
        expect(0, dataprep().args(["audit", "verify"]).arg(&out).arg("--issuer").arg(demo.path("issuer")));
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// The lines of all files below a folder, opened.
fn opened(demo: &Demo, out: &Path, folder: &str) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    for (name, _) in cli_support::all_files(&out.join(folder)) {
        let path = out.join(folder).join(name);
        let destination = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let key = if folder == "issuer-return" { "issuer" } else { destination };
        let key = demo.path(&format!("secrets/{key}.jwk"));
        let plain = expect(0, dataprep().arg("open").arg(&path).arg("--key").arg(key));
        lines.extend(text(&plain).lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()));
    }
    lines
}

/// With fresh random numbers for every attempt, and through a ledger: cards, mailers and returns of a block come from one
/// attempt. The witness compares the PIN of the card with the mailer's and the PVV of the return.
#[test]
fn a_killed_batch_mixes_no_attempts() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(150, folder.path());
    let begun = Instant::now();
    expect(0, &mut demo.prepare_unseeded(&orders, &folder.path().join("calm"), &["--block", "10"]));
    let mut whole = begun.elapsed();
    let (wanted, jobs) = wanted();
    // A prime under the transport key: equal primes are equal cryptograms there. Over all jobs and all that was killed.
    let mut primes: BTreeMap<String, (u32, u64)> = BTreeMap::new();
    for job in 0..jobs {
        let out = folder.path().join(format!("job-{job}"));
        let ledger = folder.path().join(format!("ledger-{job}.sqlite"));
        let command = |out: &Path, more: &[&str]| {
            let mut command = demo.prepare_unseeded(&orders, out, &["--block", "10"]);
            command.arg("--ledger").arg(&ledger).args(more);
            command
        };
        let mut kills = 0;
        for after in instants(u64::from(job) + 9, Duration::from_secs(1)) {
            if kills == wanted.div_ceil(jobs) {
                break;
            }
            if killed(&mut command(&out, &["--resume"]), whole.mul_f64(after.as_secs_f64())) {
                kills += 1;
            } else {
                // It was done: with its output and its ledger gone the next kills meet a new batch, and sooner.
                whole = whole.mul_f64(0.9).max(Duration::from_millis(5));
                expect(0, &mut command(&out, &["--resume"]));
                std::fs::remove_dir_all(&out).unwrap();
                for end in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(folder.path().join(format!("ledger-{job}.sqlite{end}")));
                }
            }
        }
        expect(0, &mut command(&out, &["--resume"]));
        let report = expect(0, demo.verify(&out).arg("--json"));
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        for check in ["pin-mailer", "pvv", "issuer-return", "one-outcome", "known-file", "card-key-unique"] {
            assert!(report["checks"][check]["passed"].as_u64().unwrap() > 0, "job {job}: {check}");
        }
        // No RSA key is used twice.
        let mut found = 0;
        for card in opened(demo, &out, "prepared") {
            let position = card["position"].as_u64().unwrap();
            for application in card["chip"]["applications"].as_array().unwrap() {
                for dgi in application["dgis"].as_array().unwrap() {
                    // PC2 has a transport key for each block, under which equal primes would not be equal.
                    if dgi["dgi"] == "8205" && card["destination"] != "PC2" {
                        found += 1;
                        let before = primes.insert(dgi["value"].to_string(), (job, position));
                        assert!(
                            before.is_none_or(|b| b == (job, position)),
                            "{before:?} and {job}, {position}"
                        );
                    }
                }
            }
        }
        assert!(found > 50, "{found}");
        assert_eq!(opened(demo, &out, "issuer-return").len(), 150);
        // The ledger knows every card, once.
        let again = folder.path().join(format!("again-{job}"));
        let manifest = expect(0, &mut command(&again, &["--json"]));
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let counts = &manifest["counts"];
        assert_eq!((&counts["repeated"], &counts["prepared"]), (&150.into(), &0.into()), "job {job}");
        std::fs::remove_dir_all(&again).unwrap();
        std::fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_signal_stops_at_a_block_boundary() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(1000, folder.path());
    let out = folder.path().join("out");
    for signal in ["INT", "TERM"] {
        // A block that this process commits says that it listens to signals.
        let records = || std::fs::read_dir(out.join(".job/records")).map_or(0, Iterator::count);
        let before = records();
        let mut command = demo.prepare(&orders, &out, &["--block", "5", "--threads", "1", "--resume"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while records() <= before && begun.elapsed().as_secs() < 60 {
            std::thread::sleep(Duration::from_millis(2));
        }
        let sent =
            Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(4), "{signal}");
        assert!(!out.join("batch.json").exists());
    }
    expect(0, &mut demo.prepare(&orders, &out, &["--block", "5", "--resume"]));
    expect(0, &mut demo.verify(&out));
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let demo = demo();
    let folder = tempfile::tempdir().unwrap();
    let orders = demo.orders(100, folder.path());
    let out = folder.path().join("out");
    let start = || {
        let mut command = demo.prepare(&orders, &out, &["--block", "10", "--resume"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut children: Vec<_> = (0..3).map(|_| start()).collect();
    let codes: Vec<_> = children.iter_mut().map(|c| c.wait().unwrap().code().unwrap()).collect();
    // One works; another is told that the folder is taken, or comes when all is done.
    assert!(codes.contains(&0) && codes.iter().all(|c| [0, 4].contains(c)), "{codes:?}");
    expect(0, &mut demo.verify(&out));
}

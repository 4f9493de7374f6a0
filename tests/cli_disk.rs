//! Real disks that fail: full at every size, without inodes, read-only; inputs that vanish or never end.
//!
//! Small file systems are mounted where that is permitted; in CI, as root, it must be.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod cli_support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{dataprep, demo, expect, ran, tree};

/// A file system of its own, in memory.
struct Tmpfs {
    folder: tempfile::TempDir,
}

impl Tmpfs {
    /// Mounts one. None where this is not permitted, which is told.
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).output();
        let why = match mounted {
            Ok(out) if out.status.success() => return Some(Self { folder }),
            Ok(out) => cli_support::text(&out.stderr),
            Err(e) => e.to_string(),
        };
        let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
        assert!(!(root && std::env::var("CI").is_ok_and(|ci| ci == "true")), "mount: {why}");
        println!("left out, a file system cannot be mounted here: {why}");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        expect(0, Command::new("mount").args(["-o", &options]).arg(self.folder.path()));
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

const SMALL: &[&str] = &["--block", "3", "--threads", "1"];

/// A dozen orders and the files of an undisturbed run.
fn calm(folder: &Path) -> (PathBuf, BTreeMap<PathBuf, Vec<u8>>) {
    let orders = demo().orders(12, folder);
    let out = folder.join("calm");
    expect(0, &mut demo().prepare(&orders, &out, SMALL));
    let files = tree(&out);
    (orders, files)
}

/// What stands under a final name is whole, and nothing says that the batch is done.
fn nothing_is_half(out: &Path, expected: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(!out.join("batch.json").exists());
    for (name, bytes) in tree(out) {
        if !name.starts_with(".job") && !name.to_str().unwrap().ends_with(".new") {
            assert!(expected[&name] == bytes, "{} is not whole", name.display());
        }
    }
}

fn resume(orders: &Path, out: &Path, expected: &BTreeMap<PathBuf, Vec<u8>>) {
    expect(0, demo().prepare(orders, out, SMALL).arg("--resume"));
    assert!(tree(out) == *expected, "other bytes");
    expect(0, dataprep().args(["audit", "verify"]).arg(out).arg("--issuer").arg(demo().path("issuer")));
}

/// Runs on file systems that grow until one is large enough; each that is not is enlarged and the batch resumed. So the
/// disk is full at a write of every kind: job, audit log, cards, statuses, records, report, manifest.
fn until_it_fits(options: impl Fn(u64) -> String, enough: &str, first: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (orders, expected) = calm(folder.path());
    let (mut size, mut failures) = (first, 0);
    loop {
        let Some(disk) = Tmpfs::mount(&options(size)) else { return };
        let out = disk.path().join("out");
        let (code, _, words) = ran(&mut demo().prepare(&orders, &out, SMALL));
        if code == 0 {
            assert!(tree(&out) == expected);
            break;
        }
        assert_eq!(code, 4, "{size}: {words}");
        assert!(words.contains("No space left on device"), "{size}: {words}");
        if out.exists() {
            nothing_is_half(&out, &expected);
        }
        // On the disk that is still full it stops again, and spoils nothing.
        if failures % 4 == 0 {
            assert_eq!(ran(demo().prepare(&orders, &out, SMALL).arg("--resume")).0, 4, "{size}");
        }
        disk.remount(enough);
        resume(&orders, &out, &expected);
        failures += 1;
        size += 1 + size / 10;
        assert!(size < 10_000, "never large enough");
    }
    assert!(failures > 10, "only {failures} failures");
}

#[test]
fn a_disk_that_is_full_at_any_size_is_resumed() {
    until_it_fits(|pages| format!("size={}k", 4 * pages), "size=64m", 2);
}

#[test]
fn a_disk_without_inodes_is_resumed() {
    until_it_fits(|inodes| format!("size=64m,nr_inodes={inodes}"), "size=64m,nr_inodes=10000", 2);
}

#[test]
fn a_ledger_on_a_full_disk_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let orders = demo().orders(12, folder.path());
    let (mut pages, mut failures) = (1_u64, 0);
    loop {
        let Some(disk) = Tmpfs::mount(&format!("size={}k", 4 * pages)) else { return };
        let ledger = disk.path().join("ledger.sqlite");
        let out = folder.path().join(format!("out-{pages}"));
        let prepare = |out: &Path, more: &[&str]| {
            let mut command = demo().prepare_unseeded(&orders, out, SMALL);
            command.arg("--ledger").arg(&ledger).args(more);
            command
        };
        let (code, _, words) = ran(&mut prepare(&out, &[]));
        if code == 0 {
            break;
        }
        assert_eq!(code, 4, "{pages}: {words}");
        assert!(!out.join("batch.json").exists());
        disk.remount("size=64m");
        expect(0, &mut prepare(&out, &["--resume"]));
        expect(0, &mut demo().verify(&out));
        // Every card is in the ledger, once.
        let again = expect(0, &mut prepare(&folder.path().join(format!("again-{pages}")), &["--json"]));
        let manifest: serde_json::Value = serde_json::from_slice(&again).unwrap();
        assert_eq!(manifest["counts"]["repeated"], 12, "{pages}");
        failures += 1;
        pages += 1 + pages / 4;
        assert!(pages < 10_000, "never large enough");
    }
    assert!(failures > 3, "only {failures} failures");
}

#[test]
fn a_disk_that_becomes_read_only_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (orders, expected) = calm(folder.path());
    let Some(disk) = Tmpfs::mount("size=160k") else { return };
    let out = disk.path().join("out");
    let (code, _, words) = ran(&mut demo().prepare(&orders, &out, SMALL));
    assert_eq!(code, 4, "{words}");
    disk.remount("ro,size=64m");
    for (name, more) in [("out", &["--resume"] as &[&str]), ("new", &[])] {
        let (code, _, words) = ran(demo().prepare(&orders, &disk.path().join(name), SMALL).args(more));
        assert_eq!(code, 4, "{name}: {words}");
        assert!(words.contains("Read-only file system"), "{words}");
    }
    disk.remount("rw,size=64m");
    resume(&orders, &out, &expected);
}

#[test]
fn a_manifest_that_cannot_be_told_is_there_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (orders, expected) = calm(folder.path());
    let out = folder.path().join("out");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = demo().prepare(&orders, &out, SMALL);
    let child = command.arg("--json").stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(child.code(), Some(4));
    resume(&orders, &out, &expected);
}

/// Orders with so much white space that they are not read at once.
fn wide(count: usize, folder: &Path) -> PathBuf {
    let path = demo().orders(count, folder);
    let text = fs::read_to_string(&path).unwrap();
    let lines: String =
        text.lines().map(|l| format!("{}{}}}\n", &l[..l.len() - 1], " ".repeat(20_000))).collect();
    fs::write(&path, lines).unwrap();
    path
}

/// Waits until a batch has committed some blocks.
fn wait_for_records(out: &Path, count: usize) {
    let begun = Instant::now();
    while fs::read_dir(out.join(".job/records")).map_or(0, Iterator::count) < count {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is committed");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_input_that_is_cut_while_it_is_read_is_refused_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let orders = wide(60, folder.path());
    let whole = fs::read(&orders).unwrap();
    let calm = folder.path().join("calm");
    let one = ["--block", "1", "--threads", "1"];
    expect(0, &mut demo().prepare(&orders, &calm, &one));
    let out = folder.path().join("out");
    let mut command = demo().prepare(&orders, &out, &one);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_records(&out, 1);
    // In the middle of a line.
    let middle = whole.len() as u64 / 3 * 2;
    File::options().write(true).open(&orders).unwrap().set_len(middle).unwrap();
    let ended = child.wait_with_output().unwrap();
    let words = cli_support::text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{words}");
    assert!(words.contains("changed while it was read"), "{words}");
    assert!(!out.join("batch.json").exists());
    // Gone: the environment's fault. Still cut: another input. Whole again: what was committed is still good.
    let resume = || demo().prepare(&orders, &out, &["--block", "1", "--resume"]);
    assert_eq!(ran(&mut resume()).0, 1);
    fs::remove_file(&orders).unwrap();
    assert_eq!(ran(&mut resume()).0, 4);
    fs::write(&orders, whole).unwrap();
    expect(0, &mut resume());
    assert!(tree(&out) == tree(&calm), "other bytes");
}

#[test]
fn an_input_that_loses_its_name_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let orders = wide(40, folder.path());
    let out = folder.path().join("out");
    let mut command = demo().prepare(&orders, &out, &["--block", "1", "--threads", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_records(&out, 1);
    fs::remove_file(&orders).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    expect(0, &mut demo().verify(&out));
}

/// `/dev/full` is read as zeros without an end and without a line.
#[test]
fn an_input_without_an_end_does_not_hold_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = demo().prepare_unseeded(Path::new("/dev/full"), &out, &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !out.join("audit-head.json").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    expect(0, Command::new("kill").arg("-TERM").arg(child.id().to_string()));
    let begun = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if begun.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            panic!("still running");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(code, Some(4));
    assert!(!out.join("batch.json").exists());
}

//! What the tests of the program share: one demo for each test file, and ways to call the program.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Seed and time that the tests give.
pub(crate) const SEED: &str = "0707070707070707070707070707070707070707070707070707070707070707";
pub(crate) const NOW: &str = "2026-01-15T00:00:00Z";

/// A demo issuer with its orders, written once.
pub(crate) struct Demo {
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = dataprep().arg("demo").arg(folder.path().join("demo")).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        Demo { folder }
    })
}

impl Demo {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("demo").join(name)
    }

    /// The first orders of the demo, in a file.
    pub(crate) fn orders(&self, count: usize, folder: &Path) -> PathBuf {
        let all = std::fs::read_to_string(self.path("orders.jsonl")).unwrap();
        let path = folder.join(format!("orders-{count}.jsonl"));
        let text: String = all.lines().take(count).map(|l| format!("{l}\n")).collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `prepare` with the seed of the tests.
    pub(crate) fn prepare(&self, orders: &Path, out: &Path, more: &[&str]) -> Command {
        let mut command = self.prepare_unseeded(orders, out, more);
        command.args(["--seed", SEED, "--now", NOW]);
        command
    }

    /// `prepare` without a seed.
    pub(crate) fn prepare_unseeded(&self, orders: &Path, out: &Path, more: &[&str]) -> Command {
        let mut command = dataprep();
        command.arg("prepare").arg("--issuer").arg(self.path("issuer"));
        command.arg("--orders").arg(orders).arg("--out").arg(out).args(more);
        command
    }

    /// Every private key, as `--key` arguments.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(self.path("secrets")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "jwk") {
                keys.extend(["--key".to_owned(), path.to_str().unwrap().to_owned()]);
            }
        }
        keys
    }

    pub(crate) fn verify(&self, out: &Path) -> Command {
        let mut command = dataprep();
        command.arg("verify").arg(out).arg("--issuer").arg(self.path("issuer")).args(self.keys());
        command
    }
}

pub(crate) fn dataprep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataprep"));
    command.stdin(Stdio::null()).env_remove("DATAPREP_BACKEND");
    command
}

/// Exit code and standard output of a command; standard error for the message of a test that fails.
pub(crate) fn ran(command: &mut Command) -> (i32, Vec<u8>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap_or(-1), stdout, text(&stderr))
}

/// Runs a command and expects an exit code.
pub(crate) fn expect(code: i32, command: &mut Command) -> Vec<u8> {
    let (found, stdout, stderr) = ran(command);
    assert_eq!(found, code, "{command:?}\n{stderr}");
    stdout
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every file below but those that hold times, with its bytes.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = all_files(root);
    for name in ["batch.json", "job.json", "audit.jsonl", "audit-head.json", "report.html"] {
        out.remove(Path::new(name));
    }
    out
}

/// Every file below.
pub(crate) fn all_files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

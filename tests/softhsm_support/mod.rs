//! SoftHSM2 for tests: where it is, and a process of its own with tokens of its own.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "each test file uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The user PIN of a test's tokens.
pub(crate) const PIN: &str = "98765432";
const INSIDE: &str = "EMV_DATAPREP_SOFTHSM";

/// The library of Debian's package. Without it a test ends with a line that says so; under CI it fails.
pub(crate) fn library() -> Option<PathBuf> {
    let places =
        ["/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm", "/usr/lib/softhsm"];
    let found = places.iter().map(|p| Path::new(p).join("libsofthsm2.so")).find(|p| p.exists());
    let has_tool = Command::new("softhsm2-util").arg("--version").output().is_ok();
    if found.is_none() || !has_tool {
        assert!(std::env::var("CI").is_err(), "SoftHSM2 is not installed");
        eprintln!("skipped: SoftHSM2 is not installed (apt-get install softhsm2)");
        return None;
    }
    found
}

/// Empty tokens of these labels in a folder: the configuration file to be named in `SOFTHSM2_CONF`.
pub(crate) fn tokens(folder: &Path, labels: &[&str]) -> PathBuf {
    let tokens = folder.join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    let conf = folder.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    for label in labels {
        let mut tool = Command::new("softhsm2-util");
        tool.args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "87654321"]);
        let made = tool.env("SOFTHSM2_CONF", &conf).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    conf
}

/// The library, in a process that has tokens of these labels. The process outside runs `test` again inside, checks how
/// it ends, and gets `None`: the library reads its configuration from the environment, which a running test cannot
/// change.
#[track_caller]
pub(crate) fn inside(test: &str, labels: &[&str]) -> Option<PathBuf> {
    if let Ok(library) = std::env::var(INSIDE) {
        return Some(library.into());
    }
    let library = library()?;
    let folder = tempfile::tempdir().unwrap();
    let conf = tokens(folder.path(), labels);
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    let out = again.env("SOFTHSM2_CONF", conf).env(INSIDE, library).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    None
}

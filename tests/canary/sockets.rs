//! The program opens no socket.

use std::path::Path;
use std::process::Command;

use super::orders::{TestFolder, good};
use crate::absent;
use crate::leak_support::Needles;

/// Runs the program under strace: the system calls about sockets that it and its threads make.
fn network_calls(log: &Path, arguments: &[&std::ffi::OsStr]) -> Option<String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qqq", "-e", "trace=%network", "-e", "signal=none", "-o"]).arg(log);
    command.arg(env!("CARGO_BIN_EXE_dataprep")).args(arguments);
    command.stdin(std::process::Stdio::null());
    let done = command.output().ok()?;
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    if words.contains("ptrace") {
        return None;
    }
    assert!(matches!(done.status.code(), Some(0 | 3)), "{arguments:?}: {words}");
    Some(std::fs::read_to_string(log).unwrap())
}

#[test]
fn no_command_opens_a_socket() {
    let issuer = TestFolder::new();
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders.jsonl");
    std::fs::write(&orders, good(&issuer, 16, &mut Needles::new())).unwrap();
    let (dir, out) = (issuer.path("issuer"), folder.path().join("out"));
    let keys = issuer.path("secrets/PC1.jwk");
    let sealed = out.join("prepared/CENTRAL/PC1/cards-000000.jwe");
    let log = folder.path().join("calls");
    let ledger = folder.path().join("ledger.sqlite");
    let demo = folder.path().join("demo");
    let w = std::ffi::OsStr::new;
    let commands: [&[&std::ffi::OsStr]; 8] = [
        &[w("demo"), demo.as_os_str(), w("--empty")],
        &[w("check"), w("--issuer"), dir.as_os_str()],
        &[
            w("prepare"),
            w("--issuer"),
            dir.as_os_str(),
            w("--orders"),
            orders.as_os_str(),
            w("--out"),
            out.as_os_str(),
            w("--ledger"),
            ledger.as_os_str(),
        ],
        &[w("open"), sealed.as_os_str(), w("--key"), keys.as_os_str()],
        &[w("verify"), out.as_os_str(), w("--issuer"), dir.as_os_str(), w("--key"), keys.as_os_str()],
        &[w("self-test")],
        &[w("audit"), w("verify"), out.as_os_str(), w("--issuer"), dir.as_os_str()],
        &[w("pool"), w("status"), w("--issuer"), dir.as_os_str()],
    ];
    for arguments in commands {
        let Some(calls) = network_calls(&log, arguments) else {
            assert!(absent("strace"));
            return;
        };
        assert_eq!(calls, "", "{arguments:?}");
    }
}

#[test]
fn the_watch_sees_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let open = "import socket; socket.socket()";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qqq", "-e", "trace=%network", "-o"]).arg(&log);
    let Ok(done) = strace.args(["python3", "-c", open]).output() else {
        assert!(absent("strace"));
        return;
    };
    if done.status.success() {
        assert!(std::fs::read_to_string(&log).unwrap().contains("socket("));
    } else {
        assert!(absent("strace or python3"));
    }
}

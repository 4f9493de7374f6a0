//! The program opens no socket.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::orders::{TestFolder, good};
use crate::absent;
use crate::leak_support::Needles;

/// Runs the program under strace: the system calls about sockets that it and its threads make.
fn network_calls(log: &Path, arguments: &[OsString]) -> Option<String> {
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
    let key = issuer.path("secrets/PC1.jwk");
    let sealed = out.join("prepared/CENTRAL/PC1/cards-000000.jwe");
    let log = folder.path().join("calls");
    let ledger = folder.path().join("ledger.sqlite");
    let demo = folder.path().join("demo");
    let mut all_keys: Vec<OsString> = Vec::new();
    for entry in std::fs::read_dir(issuer.path("secrets")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jwk") {
            all_keys.extend(["--key".into(), path.into()]);
        }
    }
    let words = |parts: &[&dyn AsRef<OsStr>]| -> Vec<OsString> {
        parts.iter().map(|part| (*part).as_ref().to_owned()).collect()
    };
    let commands = [
        words(&[&"demo", &demo, &"--empty"]),
        words(&[&"check", &"--issuer", &dir]),
        words(&[&"prepare", &"--issuer", &dir, &"--orders", &orders, &"--out", &out, &"--ledger", &ledger]),
        words(&[&"open", &sealed, &"--key", &key]),
        [words(&[&"verify", &out, &"--issuer", &dir]), all_keys].concat(),
        words(&[&"self-test"]),
        words(&[&"audit", &"verify", &out, &"--issuer", &dir]),
        words(&[&"pool", &"status", &"--issuer", &dir]),
    ];
    for arguments in commands {
        let Some(calls) = network_calls(&log, &arguments) else {
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

#[test]
fn no_source_names_a_socket() {
    let mut folders = vec![std::path::PathBuf::from("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["std::net", "unix::net", "rustix::net", "TcpStream", "UdpSocket", "UnixStream"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
    assert!(files > 300);
}

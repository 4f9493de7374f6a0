//! The memory of the program: after a batch, and when it is killed.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::orders::{TestFolder, good, keys};
use crate::absent;
use crate::cli_support::dataprep;
use crate::leak_support::Needles;

/// A line of `/proc/PID/status` or of another file of the process.
fn line_of(child: &Child, file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).ok()?;
    text.lines().find(|l| l.starts_with(name)).map(str::to_owned)
}

/// Every place of the writable memory of a process, its heaps and stacks, where a needle stands.
fn scan(child: &Child, needles: &Needles) -> std::io::Result<Vec<String>> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id()))?;
    let mut memory = std::fs::File::open(format!("/proc/{}/mem", child.id()))?;
    let mut found = Vec::new();
    let mut read = 0;
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [range, rights, ..] = words.as_slice() else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(address(to) - address(from)).unwrap()];
        memory.seek(SeekFrom::Start(address(from)))?;
        if memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        read += bytes.len();
        let mut at = 0;
        while let Some((end, kind, how)) = needles.find(&bytes[at..]) {
            let name = words.get(5).copied().unwrap_or("anonymous");
            let stop = at + end;
            let before = String::from_utf8_lossy(&bytes[stop.saturating_sub(60)..stop]).into_owned();
            found.push(format!("{name} {range}: {kind} ({how}) at {stop:#x}: {before:?}"));
            at = stop;
        }
    }
    assert!(read > 1 << 20, "{read} bytes of memory were read");
    Ok(found)
}

#[test]
fn after_a_batch_no_heap_holds_what_was_planted() {
    let issuer = TestFolder::new();
    let mut needles = Needles::new();
    let text = good(&issuer, if cfg!(debug_assertions) { 120 } else { 2000 }, &mut needles);
    keys(&issuer, &mut needles);
    // Names and addresses are outside this test.
    needles.skip("name");
    needles.skip("address");
    let input = tempfile::tempdir().unwrap();
    let orders = input.path().join("orders.jsonl");
    std::fs::write(&orders, text).unwrap();

    // Standard output is full: the program stands still when it has done all and wants to say so.
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b' '; 65536]).unwrap();
    let mut child = dataprep()
        .arg("prepare")
        .arg("--issuer")
        .arg(issuer.path("issuer"))
        .arg("--orders")
        .arg(&orders)
        .arg("--out")
        .arg(input.path().join("out"))
        .args(["--json", "--block", "50"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        words += &line.unwrap();
        if words.contains("report: ") {
            break;
        }
    }
    assert!(words.contains("report: "), "{words}");
    std::thread::sleep(Duration::from_millis(300));
    let found = scan(&child, &needles);
    // The search finds what is there: an argument of the command.
    let mut argument = Needles::new();
    argument.text("an argument", orders.to_str().unwrap());
    let control = scan(&child, &argument);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(rest.len() > 65536, "the manifest follows");
    match found {
        Ok(found) => {
            assert!(!control.unwrap().is_empty());
            assert!(found.is_empty(), "{} places:\n{}", found.len(), found[..found.len().min(40)].join("\n"))
        }
        // The program forbids it; only a system administrator may look.
        Err(e) => assert!(absent(&format!("memory of a process that forbids it: {e}"))),
    }
}

#[test]
fn an_abort_leaves_no_core_file() {
    let issuer = TestFolder::new();
    let mut needles = Needles::new();
    let text = good(&issuer, 16, &mut needles);
    let folder = tempfile::tempdir().unwrap();
    // A shell that allows core files as large as they may be.
    let mut child = Command::new("sh")
        .args([
            "-c",
            "ulimit -c unlimited 2>/dev/null; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_dataprep"),
            "prepare",
        ])
        .args(["--orders", "-", "--block", "2", "--issuer"])
        .arg(issuer.path("issuer"))
        .arg("--out")
        .arg(folder.path().join("out"))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Not closed: the program waits for more orders.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    stdin.flush().unwrap();
    let begun = Instant::now();
    while !folder.path().join("out/.job").exists() {
        assert!(begun.elapsed().as_secs() < 60, "the batch does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    let core = line_of(&child, "limits", "Max core file size");
    assert!(core.as_ref().is_none_or(|l| l.split_whitespace().nth(4) == Some("0")), "{core:?}");
    let filter = std::fs::read_to_string(format!("/proc/{}/coredump_filter", child.id()));
    assert!(filter.is_err() || filter.unwrap().trim().chars().all(|c| c == '0'));
    let capabilities = line_of(&child, "status", "CapEff:").unwrap();
    let capabilities = u64::from_str_radix(capabilities.trim_start_matches("CapEff:").trim(), 16).unwrap();
    if capabilities >> 14 & 1 == 1 {
        let locked = line_of(&child, "status", "VmLck:").unwrap();
        assert_ne!(locked.split_whitespace().nth(1), Some("0"), "who may lock memory does");
    }
    let aborted = Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap();
    assert!(aborted.success());
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped());
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["out"], "a core file");
}

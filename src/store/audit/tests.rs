use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::crypto::ed25519::Ed25519Private;
use crate::secret::Secret;
use crate::store::{OsDisk, Store};

fn key(byte: u8) -> Ed25519Private {
    Ed25519Private::from_seed(&Secret::copy_of(&[byte; 32])).unwrap()
}

fn store() -> Store {
    Store::new(Arc::new(OsDisk))
}

fn clock() -> String {
    "2026-11-21T00:00:00Z".to_owned()
}

fn who() -> Text {
    "an officer".parse().unwrap()
}

/// A log of so many entries and its head.
fn made(entries: u64) -> (tempfile::TempDir, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (store, key) = (store(), key(1));
    let mut log = AuditLog::open(&store, folder.path(), Some(&key), who(), clock).unwrap();
    for i in 0..entries {
        let event = if i == 0 { Event::BatchStarted } else { Event::BatchResumed };
        log.add(event, [("orders", i.to_string())]).unwrap();
    }
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    let (text, head) = (read(AuditLog::LOG), read(AuditLog::HEAD));
    (folder, text, head)
}

#[test]
fn a_log_is_read_back() {
    let (_folder, log, head) = made(5);
    let entries = check(&log, &head, Some(&key(1).public())).unwrap();
    assert_eq!(entries.len(), 5);
    assert_eq!((entries[0].event, entries[4].event), (Event::BatchStarted, Event::BatchResumed));
    assert_eq!((entries[3].who.as_str(), entries[3].facts["orders"].as_str()), ("an officer", "3"));
    assert!(check(&log, &head, Some(&key(2).public())).is_err());
    check(&log, &head, None).unwrap();
}

/// One way to change a log.
fn tamper(log: &[u8], head: &[u8], how: u8, a: usize, b: usize, byte: u8) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut lines: Vec<Vec<u8>> = log.split_inclusive(|c| *c == b'\n').map(<[u8]>::to_vec).collect();
    let (i, j) = (a % lines.len(), b % lines.len());
    let mut head = head.to_vec();
    let flat = |lines: Vec<Vec<u8>>| lines.concat();
    let changed = match how {
        0 => {
            let mut text = log.to_vec();
            let at = a % text.len();
            text[at] ^= byte.max(1);
            text
        }
        1 => {
            lines.remove(i);
            flat(lines)
        }
        2 => {
            lines.swap(i, j);
            flat(lines)
        }
        3 => {
            let copy = lines[i].clone();
            lines.insert(j, copy);
            flat(lines)
        }
        4 => log[..a % log.len()].to_vec(),
        5 => {
            let mut text = log.to_vec();
            text.insert(a % (log.len() + 1), byte);
            text
        }
        6 => {
            let at = a % head.len();
            head[at] ^= byte.max(1);
            log.to_vec()
        }
        _ => {
            let mut text = log.to_vec();
            text.remove(a % log.len());
            text
        }
    };
    (changed != log || how == 6).then_some((changed, head))
}

/// Ten thousand random edits, removals, insertions and swaps: every one is found.
#[test]
fn every_change_is_found() {
    let (_folder, log, head) = made(12);
    let public = key(1).public();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let draw = (0_u8..8, any::<usize>(), any::<usize>(), any::<u8>());
    let mut tried = 0;
    while tried < 10_000 {
        let (how, a, b, byte) = draw.new_tree(&mut runner).unwrap().current();
        if let Some((log, head)) = tamper(&log, &head, how, a, b, byte) {
            assert!(check(&log, &head, Some(&public)).is_err(), "change {how} at {a}, {b}, byte {byte}");
            tried += 1;
        }
    }
}

#[test]
fn a_chain_made_anew_has_no_signature() {
    let (_folder, log, head) = made(3);
    let shorter: Vec<u8> = log.split_inclusive(|c| *c == b'\n').take(2).flatten().copied().collect();
    let forged = Head::new(
        2,
        &crate::bytes::array_from_hex(
            &Entry::read(shorter.split(|c| *c == b'\n').nth(1).unwrap()).unwrap().digest,
        )
        .unwrap(),
        Some(&key(9)),
    );
    assert!(check(&shorter, forged.to_json().as_bytes(), Some(&key(1).public())).is_err());
    assert!(check(&shorter, &head, Some(&key(1).public())).is_err());
    let unsigned = Head::new(3, &[0; 32], None);
    assert!(check(&log, unsigned.to_json().as_bytes(), Some(&key(1).public())).is_err());
}

#[test]
fn what_a_kill_left_is_repaired_and_told() {
    let (store, signer) = (store(), key(1));
    // Between the log and its head.
    let (folder, log, head) = made(3);
    let (_f, _, older) = made(2);
    std::fs::write(folder.path().join(AuditLog::HEAD), &older).unwrap();
    let mut opened = AuditLog::open(&store, folder.path(), Some(&signer), who(), clock).unwrap();
    assert_eq!(opened.state().0, 3);
    assert_eq!(std::fs::read(folder.path().join(AuditLog::HEAD)).unwrap(), head);
    opened.add(Event::BatchFinished, []).unwrap();
    // Inside an entry.
    let (folder, ..) = made(3);
    std::fs::write(folder.path().join(AuditLog::LOG), [&log[..], b"{\"entry\":4"].concat()).unwrap();
    let opened = AuditLog::open(&store, folder.path(), Some(&signer), who(), clock).unwrap();
    assert_eq!((opened.state().0, opened.last_event()), (4, Some(Event::LogRepaired)));
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    check(&read(AuditLog::LOG), &read(AuditLog::HEAD), Some(&signer.public())).unwrap();
    // A log that was changed is not written to.
    let (folder, log, _) = made(3);
    std::fs::write(folder.path().join(AuditLog::LOG), &log[1..]).unwrap();
    let refused = AuditLog::open(&store, folder.path(), Some(&signer), who(), clock);
    assert!(matches!(refused, Err(AuditError::Changed { .. })));
    std::fs::remove_file(folder.path().join(AuditLog::LOG)).unwrap();
    let refused = AuditLog::open(&store, folder.path(), Some(&signer), who(), clock);
    assert!(matches!(refused, Err(AuditError::Changed { .. })), "a log that is gone, with its head here");
}

#[test]
fn people_give_names_and_reasons_not_card_numbers() {
    for good in ["ann", "Disk full; restarted after clean-up (ticket 4711)"] {
        assert_eq!(good.parse::<Text>().unwrap().to_string(), good);
    }
    for bad in ["", "a\nb", "4761739001010119", "4761 7390 0101 0119", "4761-7390-0101", &"x".repeat(201)] {
        assert!(bad.parse::<Text>().is_err(), "{bad}");
    }
}

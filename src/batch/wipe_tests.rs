use std::fs;

use super::*;
use crate::batch::{Description, Resume, open_with_key};
use crate::store::audit::Text;

/// A folder as a finished batch leaves it, its audit log included.
fn job(root: &Path) {
    let description = Description {
        engine: "test 1".into(),
        started: "2026-01-01T00:00:00Z".into(),
        start_is_fixed: false,
        configuration: [7; 32],
        seed_commitment: None,
        plain: false,
        block: 5,
        input: None,
    };
    let key = || Ok(Some("the key of the job\n".to_owned()));
    open_with_key(root, Store::default(), Resume::No, &description, || Ok("B".into()), key).unwrap();
    for folder in FOLDERS.iter().take(3) {
        let inside = root.join(folder).join("CENTRAL/PC1");
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join("a-000000.jwe"), "sealed").unwrap();
    }
    for name in [Layout::STATUS, Layout::REJECTED, Layout::REPORT] {
        fs::write(root.join(name), "lines\n").unwrap();
    }
    log(root, Event::BatchStarted);
}

fn log(root: &Path, event: Event) {
    let store = Store::default();
    let who: Text = "tester".parse().unwrap();
    let mut log = AuditLog::open(&store, root, None, who, || "2026-01-01T00:00:00Z".into()).unwrap();
    log.add(event, []).unwrap();
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn state(root: &Path) -> JobState {
    JobRecord::read(root, &Store::default()).unwrap().unwrap().state
}

const KEPT: [&str; 6] =
    ["audit-head.json", "audit.jsonl", "job.json", "rejected.jsonl", "report.html", "status.jsonl"];

#[test]
fn a_failure_at_any_operation_leaves_a_job_that_wiping_again_completes() {
    for dies in [false, true] {
        let mut at = 1;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("out");
            job(&root);
            assert_eq!(state(&root), JobState::Unfinished);
            log(&root, Event::WipeStarted);
            let wipe = Wipe::open(&root, crate::batch::tests::failing(at, dies)).unwrap();
            let done = wipe.destroy();
            drop(wipe);
            // The key is the first to go: while it is there, everything is.
            if root.join(Layout::KEY).exists() {
                assert!(FOLDERS.iter().all(|f| root.join(f).exists()), "operation {at}");
            }
            assert_eq!(state(&root), JobState::HalfWiped);
            if done.is_ok() {
                assert_eq!(names(&root), KEPT);
                break;
            }
            Wipe::open(&root, Store::default()).unwrap().destroy().unwrap();
            assert_eq!(names(&root), KEPT, "operation {at}");
            log(&root, Event::BatchWiped);
            assert_eq!(state(&root), JobState::Wiped);
            at += 1;
        }
        assert!(at > 6, "only {at} operations");
    }
}

#[test]
fn nothing_stays_when_all_is_to_go() {
    let mut at = 1;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("out");
        job(&root);
        Wipe::open(&root, Store::default()).unwrap().destroy().unwrap();
        let wipe = Wipe::open(&root, crate::batch::tests::failing(at, true)).unwrap();
        let manifest = root.join(Layout::MANIFEST);
        fs::write(&manifest, "not read by what removes it").unwrap();
        let done = wipe.remove_rest();
        drop(wipe);
        if done.is_ok() {
            assert!(!root.exists());
            break;
        }
        // It tells of the end of the batch as long as there is a log without it.
        assert!(manifest.exists() || !root.join(AuditLog::LOG).exists(), "operation {at}");
        let _ = fs::remove_file(&manifest);
        // Known as a job until nothing else is left.
        if root.join(Layout::JOB).exists() {
            assert!(Wipe::open(&root, Store::default()).unwrap().remove_rest().unwrap(), "operation {at}");
        } else {
            assert!(!root.exists() || names(&root).is_empty(), "operation {at}");
        }
        at += 1;
    }
    assert!(at > 6, "only {at} operations");
    let folder = tempfile::tempdir().unwrap();
    job(folder.path());
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let wipe = Wipe::open(folder.path(), Store::default()).unwrap();
    wipe.destroy().unwrap();
    assert!(!wipe.remove_rest().unwrap());
    assert_eq!(names(folder.path()), ["notes.txt"]);
}

#[test]
fn a_folder_without_a_job_is_refused_and_a_busy_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Wipe::open(folder.path(), Store::default());
    assert!(matches!(refused, Err(BatchError::Refused(_))));
    assert!(matches!(Wipe::open(&folder.path().join("none"), Store::default()), Err(BatchError::Refused(_))));
    job(folder.path());
    let held = Wipe::open(folder.path(), Store::default()).unwrap();
    assert!(matches!(Wipe::open(folder.path(), Store::default()), Err(BatchError::Busy)));
    drop(held);
}

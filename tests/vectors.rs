//! Runs the public vectors beside the repository (or in the folder that `DATAPREP_VECTORS` names) when they are
//! there, else the built-in set.
//!
//! `vectors/pending-kinds.txt` lists the kinds that are not built yet. A listed kind that has become known
//! fails here, so the list only shrinks.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]
#![allow(clippy::print_stderr, reason = "a skipped run says so")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use emv_dataprep::selftest::{self, Report};

fn pending() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/pending-kinds.txt");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn a_pending_kind_is_one_that_is_not_built() {
    let built: Vec<String> = pending().into_iter().filter(|kind| selftest::knows(kind)).collect();
    assert!(
        built.is_empty(),
        "these kinds are built now; take them out of vectors/pending-kinds.txt: {built:?}"
    );
}

#[test]
fn every_vector_agrees() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("DATAPREP_VECTORS").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("no public vectors beside the repository: the built-in set runs");
        assert!(selftest::builtin().unwrap().is_good());
        return;
    }
    let mut report = Report::default();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            report.merge(selftest::run(&std::fs::read(&path).unwrap()).unwrap());
            files += 1;
        }
    }
    assert!(files > 0 && report.passed > 0, "the folder of vectors is empty");
    let pending = pending();
    let unexpected: Vec<_> = report.failures.iter().filter(|f| !pending.contains(&f.kind)).collect();
    assert!(unexpected.is_empty(), "{} disagree: {unexpected:#?}", unexpected.len());
    let unused: Vec<_> = pending.iter().filter(|kind| !report.by_kind.contains_key(*kind)).collect();
    assert!(unused.is_empty(), "no vector is of these pending kinds: {unused:?}");
}

//! Every seed and every input that fuzzing once found runs through its target, with the stable compiler.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]
#![allow(clippy::print_stdout, reason = "the seed at which a target panics is the last line of its output")]
#![allow(unreachable_pub, reason = "the targets are a library for the fuzzer")]

use std::collections::BTreeSet;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod targets;

use targets::{Reached, TARGETS};

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new("fuzz/seeds").join(name);
    let mut out: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    out.sort();
    out
}

#[test]
fn every_seed_passes_and_each_target_accepts_and_refuses_one() {
    let mut lacking = Vec::new();
    for (name, target) in TARGETS {
        let mut reached = BTreeSet::new();
        for (path, bytes) in seeds(name) {
            // A target that panics shows this name.
            println!("{path}");
            reached.insert(target(&bytes));
        }
        if reached != BTreeSet::from([Reached::Refused, Reached::Accepted]) {
            lacking.push((name, reached));
        }
    }
    assert!(lacking.is_empty(), "{lacking:?}");
}

/// A poor fuzzer, but everywhere: each seed cut short at some places, and with some bits changed.
#[test]
fn changed_seeds_pass() {
    for (name, target) in TARGETS {
        for (path, bytes) in seeds(name) {
            println!("{path}");
            let step = bytes.len() / 16 + 1;
            for at in (0..bytes.len()).step_by(step) {
                target(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                target(&changed);
            }
        }
    }
}

#[test]
fn each_target_has_a_binary_and_seeds_and_nothing_else_has() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len());
    let list = |folder: &str| -> BTreeSet<String> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(list("fuzz/fuzz_targets"), names);
    assert_eq!(list("fuzz/seeds"), names);
    let manifest: toml::Table = toml::from_str(&std::fs::read_to_string("fuzz/Cargo.toml").unwrap()).unwrap();
    let binaries: BTreeSet<String> =
        manifest["bin"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(binaries, names);
    for name in &names {
        let text = std::fs::read_to_string(format!("fuzz/fuzz_targets/{name}.rs")).unwrap();
        assert!(text.contains(&format!("emv_dataprep_fuzz::{name}(data)")), "{name}");
    }
}

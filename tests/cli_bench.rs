//! `dataprep bench`: every figure is there and is a figure.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::collections::BTreeSet;

use cli_support::{dataprep, expect};
use serde_json::Value;

#[test]
fn every_figure_is_measured() {
    let report = expect(0, dataprep().args(["bench", "--seconds", "1", "--json"]));
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert!(["portable", "avx2", "avx512"].contains(&report["backend"].as_str().unwrap()));
    assert!(report["cores"].as_u64().unwrap() >= 1);
    let figures = report["figures"].as_array().unwrap();
    for figure in figures {
        for rate in ["oneCore", "allCores"] {
            let rate = figure[rate].as_f64().unwrap();
            assert!(rate.is_finite() && rate > 0.0, "{figure}");
        }
    }
    let names: BTreeSet<&str> = figures.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), figures.len());
    for bits in [1024, 1408, 1984] {
        for exponent in [3, 65537] {
            assert!(names.contains(format!("RSA key {bits} e={exponent}").as_str()), "{names:?}");
        }
        assert!(names.contains(format!("issuer signature {bits}, verified").as_str()), "{names:?}");
    }
    for entry in std::fs::read_dir("profiles").unwrap() {
        let profile = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let kinds: &[&str] = if profile == "online-only" { &[""] } else { &[", ready key", ", fresh key"] };
        for kind in kinds {
            assert!(names.contains(format!("card {profile}{kind}").as_str()), "{profile}{kind}: {names:?}");
        }
    }
    assert_eq!(names.iter().filter(|n| n.starts_with("JWE ")).count(), 2);
}

#[test]
fn what_is_refused() {
    expect(2, dataprep().args(["bench", "--seconds", "0"]));
    expect(1, dataprep().arg("bench").env("DATAPREP_BACKEND", "abacus"));
}

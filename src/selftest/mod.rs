//! Known-answer tests: files in the form of `vectors/` (an array of records `id, kind, source, inputs, expected`),
//! and the built-in set that every command which touches keys runs first.
//!
//! Every record counts once. An unknown kind is a failure. Every member of `expected` is compared except
//! `flags`, `uses`, `property` and the text of `error` (there the outcome must be a refusal). A record that
//! compares nothing fails.

mod case;
mod cryptogram;
mod ecc;
mod issuer;
mod keys;
mod oda;
mod pin;
mod primitives;
mod report;
mod rsa;
mod tlv;

use serde_json::{Map, Value};

use self::case::{Case, Computed, Outcome, Trouble};
pub use self::report::{Failure, Report, Tally};
use crate::error::{ErrorKind, Result};

type Area = fn(&str, &Case<'_>) -> Option<Outcome>;

/// The areas in the order in which they are asked; each knows its own kinds.
const AREAS: &[Area] = &[
    // areas
    primitives::run,
    keys::run,
    issuer::run,
    cryptogram::run,
    pin::run,
    oda::run,
    tlv::run,
    rsa::run,
    ecc::run,
];

/// The built-in set: for each area single published values with their source.
const BUILTIN: &[&str] = &[
    // areas
    include_str!("builtin/primitives.json"),
    include_str!("builtin/keys.json"),
    include_str!("builtin/tlv.json"),
    include_str!("builtin/rsa.json"),
];

/// Members of `expected` that are not values.
const NOT_COMPARED: [&str; 3] = ["flags", "uses", "property"];

/// Runs the records of one file.
///
/// # Errors
/// [`ErrorKind::Format`] if `records` is not a JSON array. A record that is not one is a failure in the report.
///
/// ```
/// let file = br#"[{"id":"a","kind":"des_ecb","source":"NESSIE","inputs":{"key":"8000000000000000",
///   "plaintext":"0000000000000000"},"expected":{"ciphertext":"95A8D72813DAA94D"}}]"#;
/// let report = emv_dataprep::selftest::run(file)?;
/// assert!(report.is_good());
/// assert_eq!(report.passed, 1);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn run(records: &[u8]) -> Result<Report> {
    let parsed: Vec<Value> =
        serde_json::from_slice(records).map_err(|_| ErrorKind::Format("a JSON array of test records"))?;
    let mut report = Report::default();
    for (at, record) in parsed.iter().enumerate() {
        run_record(at, record, &mut report);
    }
    Ok(report)
}

/// Runs the built-in set: every algorithm in use, published values, a few milliseconds.
///
/// # Errors
/// [`ErrorKind::Internal`] if the set itself is damaged.
///
/// ```
/// assert!(emv_dataprep::selftest::builtin()?.is_good());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn builtin() -> Result<Report> {
    let mut report = Report::default();
    for set in BUILTIN {
        let part =
            run(set.as_bytes()).map_err(|_| ErrorKind::Internal("the built-in test set is damaged"))?;
        report.merge(part);
    }
    Ok(report)
}

/// Whether records of this kind can be run.
#[must_use]
pub fn knows(kind: &str) -> bool {
    let nothing = Map::new();
    outcome(kind, &Case::new(&nothing, &nothing)).is_some()
}

fn outcome(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    AREAS.iter().find_map(|area| area(kind, case))
}

fn run_record(at: usize, record: &Value, report: &mut Report) {
    let text = |member: &str| record.get(member).and_then(Value::as_str);
    let object = |member: &str| record.get(member).and_then(Value::as_object);
    let id = text("id").map_or_else(|| format!("record {}", at.saturating_add(1)), str::to_owned);
    let kind = text("kind").unwrap_or("");
    let (Some(inputs), Some(expected), false, true) =
        (object("inputs"), object("expected"), kind.is_empty(), text("id").is_some())
    else {
        report.count(&id, kind, vec![("", "is not a test record".to_owned())]);
        return;
    };
    let faults = match outcome(kind, &Case::new(inputs, expected)) {
        None => vec![("", "this kind is not known".to_owned())],
        Some(outcome) => compare(outcome, expected),
    };
    report.count(&id, kind, faults);
}

/// What is wrong: (member, reason). Nothing wrong is an empty list.
fn compare(outcome: Outcome, expected: &Map<String, Value>) -> Vec<(&str, String)> {
    let computed = match outcome {
        Err(Trouble::Record(why)) => return vec![("", why)],
        Err(Trouble::Refused(_)) if expected.contains_key("error") => Computed::refusal(),
        Err(Trouble::Refused(error)) => return vec![("", format!("refused: {error}"))],
        Ok(computed) => computed,
    };
    let mut compared = 0_u32;
    let mut faults = Vec::new();
    for (member, want) in expected {
        match computed.check(member, want) {
            Some(Ok(())) => compared = compared.saturating_add(1),
            Some(Err(why)) => {
                compared = compared.saturating_add(1);
                faults.push((member.as_str(), why));
            }
            None if NOT_COMPARED.contains(&member.as_str()) => {}
            None if member == "error" => faults.push((member.as_str(), "a refusal was expected".to_owned())),
            None => faults.push((member.as_str(), "was not computed".to_owned())),
        }
    }
    if compared == 0 && faults.is_empty() {
        faults.push(("", "compares nothing".to_owned()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: &str, inputs: &str, expected: &str) -> Report {
        let text =
            format!(r#"[{{"id":"x","kind":"{kind}","source":"s","inputs":{inputs},"expected":{expected}}}]"#);
        run(text.as_bytes()).unwrap()
    }

    fn reason(report: &Report) -> &str {
        assert_eq!((report.passed, report.failed, report.failures.len()), (0, 1, 1));
        &report.failures[0].reason
    }

    const DES: &str = r#"{"key":"8000000000000000","plaintext":"0000000000000000"}"#;

    #[test]
    fn a_wrong_value_fails_and_names_its_member() {
        let report = one("des_ecb", DES, r#"{"ciphertext":"95A8D72813DAA94C"}"#);
        assert_eq!(report.failures[0].member, "ciphertext");
        assert_eq!(reason(&report), "differs");
        assert!(!report.is_good());
    }

    #[test]
    fn a_member_that_nobody_computes_fails() {
        let report = one("des_ecb", DES, r#"{"ciphertext":"95A8D72813DAA94D","more":"00"}"#);
        assert_eq!(reason(&report), "was not computed");
    }

    #[test]
    fn a_record_that_compares_nothing_fails() {
        assert_eq!(reason(&one("des_ecb", DES, "{}")), "compares nothing");
        assert_eq!(reason(&one("des_ecb", DES, r#"{"flags":["a"],"uses":"b"}"#)), "compares nothing");
    }

    #[test]
    fn an_unknown_kind_and_a_damaged_record_fail() {
        assert_eq!(reason(&one("no_such_kind", "{}", "{}")), "this kind is not known");
        assert_eq!(reason(&one("des_ecb", "{}", r#"{"ciphertext":"00"}"#)), "input key is missing");
        assert_eq!(reason(&run(b"[7]").unwrap()), "is not a test record");
        assert!(run(b"{}").is_err());
        assert!(run(b"[").is_err());
    }

    #[test]
    fn a_refusal_counts_only_where_one_is_expected() {
        let short = r#"{"key":"80","plaintext":"0000000000000000"}"#;
        assert!(one("des_ecb", short, r#"{"error":"any text"}"#).is_good());
        assert!(reason(&one("des_ecb", short, r#"{"ciphertext":"00"}"#)).starts_with("refused: "));
        assert_eq!(reason(&one("des_ecb", DES, r#"{"error":"any text"}"#)), "a refusal was expected");
        assert_eq!(reason(&one("des_ecb", "{}", r#"{"error":"any text"}"#)), "input key is missing");
    }

    #[test]
    fn every_record_counts_and_an_empty_run_is_not_good() {
        let record = format!(
            r#"{{"id":"x","kind":"des_ecb","source":"s","inputs":{DES},"expected":{{"ciphertext":"95A8D72813DAA94D"}}}}"#
        );
        let mut report = run(format!("[{record},{record}]").as_bytes()).unwrap();
        assert_eq!((report.passed, report.failed), (2, 0));
        report.merge(one("no_such_kind", "{}", "{}"));
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["by_kind"]["des_ecb"]["passed"], 2);
        assert_eq!(json["failures"][0]["kind"], "no_such_kind");
        assert_eq!(json["failed"], 1);
        assert!(!run(b"[]").unwrap().is_good());
    }

    proptest::proptest! {
        /// Any inputs to any kind: an answer, never a panic.
        #[test]
        fn any_inputs_are_run_or_refused(kind in 0..32_usize, hex in "[0-9A-F]{0,80}", text in ".{0,40}", n: u32) {
            let records: Vec<Value> = BUILTIN.iter().flat_map(|b| serde_json::from_str::<Vec<Value>>(b).unwrap()).collect();
            let mut record = records[kind % records.len()].clone();
            for value in record["inputs"].as_object_mut().unwrap().values_mut() {
                *value = match value {
                    Value::Number(_) => Value::from(n),
                    Value::String(t) if t.starts_with('{') => Value::from(text.clone()),
                    _ => Value::from(hex.clone()),
                };
            }
            let report = run(Value::Array(vec![record]).to_string().as_bytes()).unwrap();
            proptest::prop_assert_eq!(report.passed + report.failed, 1);
        }
    }

    #[test]
    fn the_built_in_set_passes() {
        let report = builtin().unwrap();
        assert!(report.is_good(), "{:?}", report.failures);
        assert!(knows("aes_ecb") && !knows("no_such_kind"));
    }
}

use std::collections::BTreeMap;

use serde::Serialize;

/// How many records of one kind passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Records whose every member agrees.
    pub passed: u64,
    /// All others.
    pub failed: u64,
}

/// One member of one record that disagrees. A record can have several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The record's id, or its place in the file.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// The member of `expected`; empty when the whole record is meant.
    pub member: String,
    /// What is wrong, without values.
    pub reason: String,
}

/// Result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records that passed.
    pub passed: u64,
    /// Records that failed.
    pub failed: u64,
    /// The same by kind.
    pub by_kind: BTreeMap<String, Tally>,
    /// Every disagreement.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Whether all passed and at least one ran.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Adds another run's counts and failures.
    pub fn merge(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        for (kind, tally) in other.by_kind {
            let sum = self.by_kind.entry(kind).or_default();
            sum.passed = sum.passed.saturating_add(tally.passed);
            sum.failed = sum.failed.saturating_add(tally.failed);
        }
        self.failures.extend(other.failures);
    }

    /// The report as one JSON object: `passed`, `failed`, `by_kind`, `failures`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    pub(super) fn count(&mut self, id: &str, kind: &str, faults: Vec<(&str, String)>) {
        let tally = self.by_kind.entry(kind.to_owned()).or_default();
        if faults.is_empty() {
            tally.passed = tally.passed.saturating_add(1);
            self.passed = self.passed.saturating_add(1);
            return;
        }
        tally.failed = tally.failed.saturating_add(1);
        self.failed = self.failed.saturating_add(1);
        self.failures.extend(faults.into_iter().map(|(member, reason)| Failure {
            id: id.to_owned(),
            kind: kind.to_owned(),
            member: member.to_owned(),
            reason,
        }));
    }
}

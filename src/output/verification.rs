use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the second witness found while the batch was prepared: it reads each card with its mailer and its return before
/// they are sealed. A card that fails a check does not leave: its order is rejected with `INTERNAL_ERROR`.
///
/// ```
/// use emv_dataprep::output::{CheckResult, Verification};
/// let mut found = Verification::default();
/// found.card([("afl", CheckResult::Passed), ("ssad", CheckResult::NotApplicable)]);
/// let mut whole = Verification::default();
/// whole.add(&found);
/// whole.add(&found);
/// assert_eq!((whole.cards, whole.checks["afl"].passed, whole.checks["ssad"].not_applicable), (2, 2, 2));
/// assert_eq!(whole.failed, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Cards that were read back.
    pub cards: u64,
    /// Cards of which a check failed: none of them left.
    pub failed: u64,
    /// Results by the name of the check.
    pub checks: BTreeMap<String, CheckCounts>,
}

/// Results of one check over the cards of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckCounts {
    /// Cards that passed.
    pub passed: u64,
    /// Cards that failed.
    pub failed: u64,
    /// Cards that the check had nothing to say about.
    pub not_applicable: u64,
}

/// What one check found on one card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// All of it is right.
    Passed,
    /// Something is wrong.
    Failed,
    /// The card has nothing of the kind, or a key that the check needs is not at hand.
    NotApplicable,
}

impl Verification {
    /// Counts one card.
    pub fn card<'a>(&mut self, results: impl IntoIterator<Item = (&'a str, CheckResult)>) {
        self.cards = self.cards.saturating_add(1);
        let mut failed = false;
        for (name, result) in results {
            let counts = match self.checks.get_mut(name) {
                Some(counts) => counts,
                None => self.checks.entry(name.to_owned()).or_default(),
            };
            let place = match result {
                CheckResult::Passed => &mut counts.passed,
                CheckResult::Failed => &mut counts.failed,
                CheckResult::NotApplicable => &mut counts.not_applicable,
            };
            *place = place.saturating_add(1);
            failed |= result == CheckResult::Failed;
        }
        self.failed = self.failed.saturating_add(u64::from(failed));
    }

    /// Adds the counts of a part.
    pub fn add(&mut self, part: &Self) {
        self.cards = self.cards.saturating_add(part.cards);
        self.failed = self.failed.saturating_add(part.failed);
        for (name, more) in &part.checks {
            let counts = self.checks.entry(name.clone()).or_default();
            counts.passed = counts.passed.saturating_add(more.passed);
            counts.failed = counts.failed.saturating_add(more.failed);
            counts.not_applicable = counts.not_applicable.saturating_add(more.not_applicable);
        }
    }
}

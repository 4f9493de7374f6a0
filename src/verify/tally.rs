//! Counts over the cards of a batch.

use serde_json::{Map, Value, json};

use super::outcomes::OrderFault;
use super::report::{CardReport, CheckName, Outcome};

/// Counts of one check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckCount {
    /// Cards that passed.
    pub passed: u64,
    /// Cards that failed.
    pub failed: u64,
    /// Cards that the check had nothing to say about.
    pub not_applicable: u64,
}

/// One failure of one card, or of the batch as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Position of the order; `None` for the batch.
    pub position: Option<u64>,
    /// Its card id.
    pub card_id: Option<String>,
    /// Name of the check.
    pub check: String,
    /// Why, without any value of the card.
    pub reason: String,
}

/// Counts over the cards of a batch, for `verify --json`. Tallies of parts of a batch add up.
///
/// ```
/// use emv_dataprep::verify::{CardContext, Keys, Tally, verify_card};
/// let mut tally = Tally::default();
/// tally.add(Some(7), Some("c-7"), &verify_card("{}", &Keys::default(), &CardContext::default()));
/// let json = tally.to_json();
/// assert_eq!((json["cards"].as_u64(), json["failed"].as_u64()), (Some(1), Some(1)));
/// assert_eq!(json["failures"][0]["check"], "form");
/// assert!(!tally.passed());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    cards: u64,
    passed: u64,
    counts: Vec<(CheckName, CheckCount)>,
    batch_checks: Vec<(&'static str, CheckCount)>,
    failures: Vec<Failure>,
}

fn count(slot: &mut CheckCount, outcome: &Outcome) {
    let place = match outcome {
        Outcome::Passed => &mut slot.passed,
        Outcome::Failed(_) => &mut slot.failed,
        Outcome::NotApplicable => &mut slot.not_applicable,
    };
    *place = place.saturating_add(1);
}

impl Tally {
    /// Adds one card.
    pub fn add(&mut self, position: Option<u64>, card_id: Option<&str>, report: &CardReport) {
        self.cards = self.cards.saturating_add(1);
        if report.passed() {
            self.passed = self.passed.saturating_add(1);
        }
        if self.counts.is_empty() {
            self.counts = CheckName::ALL.iter().map(|name| (*name, CheckCount::default())).collect();
        }
        for ((_, slot), (_, outcome)) in self.counts.iter_mut().zip(&report.checks) {
            count(slot, outcome);
        }
        for (check, reason) in report.failures() {
            self.failures.push(Failure {
                position,
                card_id: card_id.map(str::to_owned),
                check: check.name().to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// Adds the outcome of a check that is not about one card: a file's digest, the order of outcomes. `check` is a
    /// stable name in kebab-case; `place` says which file, in the reason.
    pub fn add_batch_check(&mut self, check: &'static str, place: &str, outcome: Outcome) {
        if !self.batch_checks.iter().any(|(name, _)| *name == check) {
            self.batch_checks.push((check, CheckCount::default()));
        }
        if let Some((_, slot)) = self.batch_checks.iter_mut().find(|(name, _)| *name == check) {
            count(slot, &outcome);
        }
        if let Outcome::Failed(reason) = outcome {
            let reason = if place.is_empty() { reason.to_owned() } else { format!("{place}: {reason}") };
            self.failures.push(Failure { position: None, card_id: None, check: check.to_owned(), reason });
        }
    }

    /// Adds faults of [`Outcomes::finish`].
    pub fn add_outcomes(&mut self, faults: Vec<OrderFault>) {
        if faults.is_empty() {
            self.add_batch_check("one-outcome", "", Outcome::Passed);
        }
        for fault in faults {
            let place = fault.position.map(|p| format!("position {p}")).unwrap_or_default();
            self.add_batch_check("one-outcome", &place, Outcome::Failed(fault.reason));
        }
    }

    /// Adds another tally; its failures follow.
    pub fn merge(&mut self, other: Self) {
        self.cards = self.cards.saturating_add(other.cards);
        self.passed = self.passed.saturating_add(other.passed);
        let add = |mine: &mut CheckCount, theirs: &CheckCount| {
            mine.passed = mine.passed.saturating_add(theirs.passed);
            mine.failed = mine.failed.saturating_add(theirs.failed);
            mine.not_applicable = mine.not_applicable.saturating_add(theirs.not_applicable);
        };
        if self.counts.is_empty() {
            self.counts = other.counts;
        } else {
            for ((_, mine), (_, theirs)) in self.counts.iter_mut().zip(&other.counts) {
                add(mine, theirs);
            }
        }
        for (name, theirs) in other.batch_checks {
            match self.batch_checks.iter_mut().find(|(mine, _)| *mine == name) {
                Some((_, mine)) => add(mine, &theirs),
                None => self.batch_checks.push((name, theirs)),
            }
        }
        self.failures.extend(other.failures);
    }

    /// How many cards.
    #[must_use]
    pub const fn cards(&self) -> u64 {
        self.cards
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Every failure, in the order in which they were added.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The object of `verify --json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut checks = Map::new();
        let names = self.counts.iter().map(|(name, n)| (name.name(), n));
        for (name, n) in names.chain(self.batch_checks.iter().map(|(name, n)| (*name, n))) {
            let counts = json!({"passed": n.passed, "failed": n.failed, "notApplicable": n.not_applicable});
            checks.insert(name.to_owned(), counts);
        }
        let failures: Vec<Value> = self
            .failures
            .iter()
            .map(|f| json!({"position": f.position, "cardId": f.card_id, "check": f.check, "reason": f.reason}))
            .collect();
        json!({
            "cards": self.cards,
            "passed": self.passed,
            "failed": self.cards.saturating_sub(self.passed),
            "checks": checks,
            "failures": failures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let report = |outcome| CardReport { checks: CheckName::ALL.iter().map(|n| (*n, outcome)).collect() };
        let (mut one, mut two, mut all) = (Tally::default(), Tally::default(), Tally::default());
        for (tally, outcome) in [(&mut one, Outcome::Passed), (&mut two, Outcome::Failed("x"))] {
            tally.add(Some(1), Some("a"), &report(outcome));
            all.add(Some(1), Some("a"), &report(outcome));
        }
        two.add_batch_check("digest", "f", Outcome::Failed("differs"));
        all.add_batch_check("digest", "f", Outcome::Failed("differs"));
        one.merge(two);
        assert_eq!(one, all);
        assert_eq!(one.to_json()["checks"]["afl"], json!({"passed": 1, "failed": 1, "notApplicable": 0}));
        assert_eq!(one.to_json()["failures"].as_array().unwrap().len(), CheckName::ALL.len() + 1);
        assert!(!one.passed());
    }
}

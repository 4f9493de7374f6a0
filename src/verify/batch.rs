//! A whole batch: counts over cards, one outcome per order, digests of files. No I/O: the caller reads.

use serde_json::{Map, Value, json};

use crate::crypto::hash::sha256;

use super::line::{CardLine, text};
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

/// A file of the manifest `batch.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path inside the output directory.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// How many cards it holds, where it says so.
    pub cards: Option<u64>,
}

impl FileEntry {
    /// Compares with the bytes of the file.
    #[must_use]
    pub fn check(&self, bytes: &[u8]) -> Outcome {
        self.check_digest(sha256(&[bytes]), u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// Compares with a digest and length that the caller made while reading.
    #[must_use]
    pub fn check_digest(&self, digest: [u8; 32], len: u64) -> Outcome {
        if len != self.bytes {
            Outcome::Failed("the file has another length than the manifest says")
        } else if digest != self.sha256 {
            Outcome::Failed("the file's digest is not the manifest's")
        } else {
            Outcome::Passed
        }
    }
}

/// What `verify` reads of `batch.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Orders of the input.
    pub orders: u64,
    /// Prepared cards.
    pub prepared: u64,
    /// Rejected orders.
    pub rejected: u64,
    /// Every file of the batch.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Reads `batch.json`.
    ///
    /// # Errors
    /// What is missing or has another form.
    pub fn read(text_of_file: &str) -> Result<Self, &'static str> {
        let json: Value = serde_json::from_str(text_of_file).map_err(|_| "batch.json is not JSON")?;
        let json = json.as_object().ok_or("batch.json is not an object")?;
        if text(json, "format")? != "emv-dataprep/batch/1" {
            return Err("format is not emv-dataprep/batch/1");
        }
        let number = |of: Option<&Value>, key: &str| of.and_then(|v| v.get(key)).and_then(Value::as_u64);
        let counts = json.get("counts");
        let wrong = "the counts of batch.json are missing";
        let mut files = Vec::new();
        for file in
            json.get("files").and_then(Value::as_array).ok_or("the files of batch.json are missing")?
        {
            let entry = file.as_object().ok_or("a file of batch.json is not an object")?;
            let mut sha256 = [0; 32];
            hex::decode_to_slice(text(entry, "sha256")?, &mut sha256)
                .map_err(|_| "a digest is not 32 bytes")?;
            let path = text(entry, "path")?.to_owned();
            let inside = !path.starts_with('/') && path.split('/').all(|p| !matches!(p, "" | "." | ".."));
            if !inside {
                return Err("a path leaves the batch");
            }
            let bytes = number(Some(file), "bytes").ok_or("a file without its length")?;
            files.push(FileEntry { path, sha256, bytes, cards: number(Some(file), "cards") });
        }
        let mut paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
        paths.sort_unstable();
        if paths.windows(2).any(|w| w.first() == w.last()) {
            return Err("a file stands twice in batch.json");
        }
        Ok(Self {
            orders: number(counts, "orders").ok_or(wrong)?,
            prepared: number(counts, "prepared").ok_or(wrong)?,
            rejected: number(counts, "rejected").ok_or(wrong)?,
            files,
        })
    }

    /// The counts against each other.
    #[must_use]
    pub fn check_counts(&self) -> Outcome {
        if self.prepared.checked_add(self.rejected) == Some(self.orders) {
            Outcome::Passed
        } else {
            Outcome::Failed("prepared and rejected are not all orders")
        }
    }
}

/// What is wrong with the outcome of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFault {
    /// Position of the order; `None` when the line does not say.
    pub position: Option<u64>,
    /// Why.
    pub reason: &'static str,
}

/// What `status.jsonl` says of an order, kept in 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Empty,
    /// Prepared, no card seen yet; digest of what the card must repeat.
    Prepared(u32),
    /// Rejected, no line seen yet; digest of what the line must repeat.
    Rejected(u32),
    Done,
}

/// Exactly one outcome per order: each position from 1 stands once in `status.jsonl`; a prepared one has exactly one card, a rejected one
/// exactly one line of `rejected.jsonl`. Feed all status lines first, then rejected lines and cards in any order. Memory: 8
/// bytes an order.
pub struct Outcomes {
    slots: Vec<Slot>,
    faults: Vec<OrderFault>,
}

/// More faults than this are not listed.
const MOST_FAULTS: usize = 1000;

fn digest(parts: &[Option<&str>]) -> u32 {
    let text: Vec<String> =
        parts.iter().map(|p| p.map_or_else(|| "-".to_owned(), |t| format!("+{t}"))).collect();
    let hash = sha256(&[text.join("\u{0}").as_bytes()]);
    hash.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b))
}

impl Outcomes {
    /// For a batch of this many orders.
    #[must_use]
    pub fn new(orders: u64) -> Self {
        let len = usize::try_from(orders).unwrap_or(0);
        Self { slots: vec![Slot::Empty; len], faults: Vec::new() }
    }

    fn fault(&mut self, position: Option<u64>, reason: &'static str) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(OrderFault { position, reason });
        }
    }

    fn slot(&mut self, position: u64) -> Option<&mut Slot> {
        let at = usize::try_from(position).ok()?.checked_sub(1)?;
        self.slots.get_mut(at)
    }

    /// A line of `status.jsonl`.
    pub fn status(&mut self, line: &str) {
        let Some((json, position)) = object_with_position(line) else {
            return self.fault(None, "a line of status.jsonl has no position");
        };
        let get = |key: &str| json.get(key).and_then(Value::as_str);
        let channel = get("channel");
        let expected = match channel {
            Some("THALES" | "CENTRAL") => "DATA_PREPARED",
            Some("INSTANT") => "CARD_PROD_READY",
            _ => "",
        };
        let code = get("errorCode");
        let next = match get("status") {
            Some("DATA_EXCEPTION") if code.is_some() => Slot::Rejected(digest(&[
                get("cardId"),
                get("issuerRequestId"),
                code,
                get("field"),
                get("reason"),
            ])),
            Some(status) if status == expected && code.is_none() => {
                Slot::Prepared(digest(&[get("cardId"), get("issuerRequestId"), channel, get("destination")]))
            }
            _ => return self.fault(Some(position), "the status does not fit the channel or the error"),
        };
        match self.slot(position) {
            Some(slot @ Slot::Empty) => *slot = next,
            Some(_) => self.fault(Some(position), "the position stands twice in status.jsonl"),
            None => self.fault(Some(position), "the position is beyond the orders"),
        }
    }

    /// A line of `rejected.jsonl`.
    pub fn rejected(&mut self, line: &str) {
        let Some((json, position)) = object_with_position(line) else {
            return self.fault(None, "a line of rejected.jsonl has no position");
        };
        let get = |key: &str| json.get(key).and_then(Value::as_str);
        let mine =
            digest(&[get("cardId"), get("issuerRequestId"), get("errorCode"), get("field"), get("reason")]);
        match self.slot(position) {
            Some(slot) if *slot == Slot::Rejected(mine) => *slot = Slot::Done,
            Some(Slot::Rejected(_)) => self.fault(Some(position), "rejected.jsonl and status.jsonl disagree"),
            _ => self.fault(Some(position), "a rejection that status.jsonl does not have"),
        }
    }

    /// A prepared card, with the channel and destination of the file that it stands in.
    pub fn card(&mut self, card: &CardLine) {
        let mine = digest(&[
            Some(&card.card_id),
            card.issuer_request_id.as_deref(),
            Some(&card.channel),
            Some(&card.destination),
        ]);
        match self.slot(card.position) {
            Some(slot) if *slot == Slot::Prepared(mine) => *slot = Slot::Done,
            Some(Slot::Prepared(_)) => self.fault(Some(card.position), "the card and status.jsonl disagree"),
            _ => self.fault(Some(card.position), "a card that status.jsonl does not have"),
        }
    }

    /// What is wrong, all lines having been seen. An order without its card or rejection is a fault here, so a batch of
    /// which only some files can be opened uses [`Outcomes::finish_without_cards`].
    #[must_use]
    pub fn finish(self) -> Vec<OrderFault> {
        self.close(true)
    }

    /// As [`Outcomes::finish`], prepared orders without a card being no fault: a key for their file is not given.
    #[must_use]
    pub fn finish_without_cards(self) -> Vec<OrderFault> {
        self.close(false)
    }

    fn close(mut self, cards: bool) -> Vec<OrderFault> {
        let slots = std::mem::take(&mut self.slots);
        for (position, slot) in (1_u64..).zip(slots) {
            match slot {
                Slot::Empty => self.fault(Some(position), "the order has no line in status.jsonl"),
                Slot::Prepared(_) if cards => self.fault(Some(position), "the prepared order has no card"),
                Slot::Rejected(_) => {
                    self.fault(Some(position), "the rejected order has no line in rejected.jsonl")
                }
                Slot::Prepared(_) | Slot::Done => {}
            }
        }
        self.faults
    }
}

impl std::fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outcomes({} orders, {} faults)", self.slots.len(), self.faults.len())
    }
}

fn object_with_position(line: &str) -> Option<(Value, u64)> {
    let json: Value = serde_json::from_str(line).ok()?;
    let position = json.get("position")?.as_u64()?;
    Some((json, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: [&str; 2] = [
        r#"{"position":1,"cardId":"a","issuerRequestId":null,"channel":"CENTRAL","destination":"P","status":"DATA_PREPARED"}"#,
        r#"{"position":2,"cardId":null,"issuerRequestId":null,"channel":null,"destination":null,"status":"DATA_EXCEPTION","errorCode":"PARSING_ERROR","field":"","reason":"not JSON"}"#,
    ];
    const REJECTED: &str = r#"{"position":2,"cardId":null,"issuerRequestId":null,"errorCode":"PARSING_ERROR","field":"","reason":"not JSON"}"#;

    fn card(position: u64, id: &str) -> CardLine {
        CardLine {
            position,
            card_id: id.into(),
            issuer_request_id: None,
            masked_pan: String::new(),
            channel: "CENTRAL".into(),
            destination: "P".into(),
            product: String::new(),
            profile: String::new(),
            transport_key: None,
            applications: Vec::new(),
            magstripe: Default::default(),
            print: Default::default(),
        }
    }

    fn run(orders: u64, status: &[&str], rejected: &[&str], cards: &[CardLine]) -> Vec<&'static str> {
        let mut outcomes = Outcomes::new(orders);
        status.iter().for_each(|l| outcomes.status(l));
        rejected.iter().for_each(|l| outcomes.rejected(l));
        cards.iter().for_each(|c| outcomes.card(c));
        outcomes.finish().into_iter().map(|f| f.reason).collect()
    }

    #[test]
    fn one_outcome_for_each_order() {
        assert_eq!(run(2, &STATUS, &[REJECTED], &[card(1, "a")]), [""; 0]);
        assert_eq!(run(3, &STATUS, &[REJECTED], &[card(1, "a")]), ["the order has no line in status.jsonl"]);
        assert_eq!(run(2, &STATUS, &[], &[card(1, "a")]).len(), 1);
        assert_eq!(run(2, &STATUS, &[REJECTED], &[]), ["the prepared order has no card"]);
        assert_eq!(run(2, &STATUS, &[REJECTED], &[card(1, "b")])[0], "the card and status.jsonl disagree");
        assert_eq!(run(2, &STATUS, &[REJECTED], &[card(1, "a"), card(1, "a")]).len(), 1, "a second card");
        assert_eq!(run(2, &STATUS, &[REJECTED, REJECTED], &[card(1, "a")]).len(), 1, "a second rejection");
        let twice = [STATUS[0], STATUS[1], STATUS[0]];
        assert_eq!(
            run(2, &twice, &[REJECTED], &[card(1, "a")]),
            ["the position stands twice in status.jsonl"]
        );
        assert_eq!(run(1, &STATUS, &[], &[card(1, "a")]), ["the position is beyond the orders"]);
        let wrong = STATUS[0].replace("DATA_PREPARED", "CARD_PROD_READY");
        assert_eq!(run(2, &[&wrong, STATUS[1]], &[REJECTED], &[]).len(), 2);
        let other = REJECTED.replace("PARSING", "CRYPTO");
        assert_eq!(run(2, &STATUS, &[&other], &[card(1, "a")]).len(), 2);
    }

    #[test]
    fn a_manifest_and_its_files() {
        let bytes = b"abc";
        let digest = hex::encode_upper(sha256(&[bytes]));
        let text = format!(
            r#"{{"format":"emv-dataprep/batch/1","counts":{{"orders":2,"prepared":1,"rejected":1}},
            "files":[{{"path":"prepared/CENTRAL/P/cards-000000.jsonl","sha256":"{digest}","bytes":3,"cards":1}}]}}"#
        );
        let manifest = Manifest::read(&text).unwrap();
        assert_eq!(manifest.check_counts(), Outcome::Passed);
        assert_eq!(manifest.files[0].check(bytes), Outcome::Passed);
        for bit in 0..24 {
            let mut other = *bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(manifest.files[0].check(&other), Outcome::Failed(_)));
        }
        assert!(matches!(manifest.files[0].check(b"ab"), Outcome::Failed(_)));
        assert!(Manifest::read(&text.replace("prepared/CENTRAL", "../CENTRAL")).is_err());
        assert!(Manifest::read(&text.replace("batch/1", "batch/2")).is_err());
        let off = Manifest::read(&text.replace("\"orders\":2", "\"orders\":3")).unwrap();
        assert!(matches!(off.check_counts(), Outcome::Failed(_)));
    }

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

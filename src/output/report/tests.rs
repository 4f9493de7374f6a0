use super::*;
use crate::output::{CheckResult, RejectedLine};

struct Facts {
    counts: Counts,
    by_destination: BTreeMap<(String, String), u64>,
    by_profile: BTreeMap<String, u64>,
    keys: Vec<KeyRecord>,
    causes: Causes,
    run: RunRecord,
    verification: Option<Verification>,
}

fn rejected(position: u64, id: &str, field: &str, reason: &str) -> RejectedLine {
    RejectedLine {
        position,
        card_id: Some(id.to_owned()),
        issuer_request_id: None,
        error_code: "FIELD_INVALID_VALUE".to_owned(),
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

fn facts() -> Facts {
    let mut run = RunRecord { elapsed: Duration::from_secs(20), ..RunRecord::default() };
    run.timeline.add(Duration::from_secs(10), 1000, 2);
    run.timeline.add(Duration::from_secs(20), 500, 0);
    run.steps = [1, 0, 8, 3, 2].map(Duration::from_secs);
    let mut causes = Causes::default();
    causes.add(rejected(7, "c-7", "cardData.pan", "the check digit is wrong"));
    causes.add(rejected(9, "c-9", "cardData.pan", "the check digit is wrong"));
    Facts {
        counts: Counts {
            orders: 1500,
            prepared: 1498,
            rejected: 2,
            repeated: 0,
            by_channel: [("CENTRAL".to_owned(), 1498)].into(),
            by_error: [("FIELD_INVALID_VALUE".to_owned(), 2)].into(),
            ..Counts::default()
        },
        by_destination: [(("CENTRAL".to_owned(), "PC1".to_owned()), 1498)].into(),
        by_profile: [("visa-style-dual".to_owned(), 1498)].into(),
        keys: vec![KeyRecord {
            usage: "imk-ac".to_owned(),
            index: "01".to_owned(),
            kcv: "08D7B4".to_owned(),
            source: "software".to_owned(),
        }],
        causes,
        run,
        verification: None,
    }
}

fn html(facts: &Facts, envelope: Envelope) -> String {
    let report = Report {
        engine: "emv-dataprep 0.1.0",
        batch: "B-1",
        environment: if envelope == Envelope::Plain { "test" } else { "production" },
        started: "2026-01-01T00:00:00Z",
        ended: "2026-01-01T00:00:20Z",
        input: "E3B0",
        envelope,
        counts: &facts.counts,
        by_destination: &facts.by_destination,
        by_profile: &facts.by_profile,
        pool: PoolCounts { used: 3, fresh: 1495 },
        weak_keys: Some(WeakKeys {
            primes: 2996,
            issuer: 2,
            pool: 4,
            history: 5000,
            moduli: 1500,
            repeats: 0,
        }),
        verification: facts.verification.as_ref(),
        keys: &facts.keys,
        causes: &facts.causes,
        run: &facts.run,
    };
    report.to_html()
}

#[test]
fn it_tells_what_a_person_asks() {
    let text = html(&facts(), Envelope::Sealed);
    for part in [
        "<title>Batch B-1</title>",
        "1\u{202F}498</b>cards prepared",
        "2</b>orders rejected",
        "<td>CENTRAL</td><td>PC1</td><td class=\"n\">1\u{202F}498</td>",
        "<td>visa-style-dual</td>",
        "<td>FIELD_INVALID_VALUE</td><td><code>cardData.pan</code></td><td>the check digit is wrong</td>\
         <td class=\"n\">2</td><td>7 (c-7), 9 (c-9)</td>",
        "<code>imk-ac</code></td><td><code>01</code></td><td><code>08D7B4</code>",
        "3 out of the pool, 1\u{202F}495 made",
        "No prime was met twice: 2\u{202F}996 of cards, 2 of issuer keys",
        "75 a second",
        "<td>prepare the cards</td><td class=\"n\">8.0 s</td><td class=\"n\">57 %</td>",
        "<td>compare the primes of RSA keys, after the last block</td><td class=\"n\">2.0 s</td>",
        "Orders a second over 20.0 s",
        "rejected.jsonl",
        "dataprep verify OUT",
        "--resume",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("class=\"note\""));
    let plain = html(&facts(), Envelope::Plain);
    assert!(plain.contains("A test issuer") && plain.contains("--plain"));
    let mut resumed = facts();
    resumed.run.before = 600;
    let resumed = html(&resumed, Envelope::Sealed);
    assert!(resumed.contains("600 orders had been committed by earlier runs"));
    assert!(resumed.contains("900 orders in 20.0 s: 45 a second"));
}

#[test]
fn it_tells_what_the_second_witness_found() {
    let mut facts = facts();
    assert!(!html(&facts, Envelope::Sealed).contains("<h2>Cards read back</h2>"));
    let mut found = Verification::default();
    for _ in 0..1498 {
        found.card([("afl", CheckResult::Passed), ("ssad", CheckResult::NotApplicable)]);
    }
    facts.verification = Some(found.clone());
    let whole = html(&facts, Envelope::Sealed);
    well_formed(&whole);
    let row =
        "<code>afl</code></td><td class=\"n\">1\u{202F}498</td><td class=\"n\">0</td><td class=\"n\">0</td>";
    assert!(whole.contains("<h2>Cards read back</h2>") && whole.contains(row));
    assert!(
        whole.contains("Every card was read back before it was sealed") && !whole.contains("cards failed")
    );
    // A card that failed is not among those that left: so many others were not read.
    found.card([("afl", CheckResult::Failed)]);
    facts.counts.prepared = 2000;
    facts.verification = Some(found);
    let part = html(&facts, Envelope::Sealed);
    assert!(part.contains("1 cards failed: their orders were rejected with INTERNAL_ERROR"));
    assert!(part.contains("Only 1\u{202F}498 of 2\u{202F}000 cards were read back"));
}

/// Elements that are open, in order; every element is closed by its own end.
fn well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("a < that begins no tag: {part:.40}"));
        let name = tag.split([' ', '/', '\n']).find(|n| !n.is_empty()).unwrap();
        if let Some(end) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(end), "{part:.40}");
        } else if !tag.ends_with('/') && !["!DOCTYPE", "meta"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</td><script>alert(1)</script><img src=\"http://evil.example/x\" onerror='x'>&\u{202E}";
    let mut facts = facts();
    facts.causes.add(rejected(11, hostile, hostile, hostile));
    facts.by_profile.insert(hostile.to_owned(), 1);
    facts.by_destination.insert((hostile.to_owned(), hostile.to_owned()), 1);
    facts.counts.by_error.insert(hostile.to_owned(), 1);
    facts.keys[0].source = hostile.to_owned();
    let text = html(&facts, Envelope::Plain);
    for part in ["<script", "<img", "src=\"", "\u{202E}", "onerror='"] {
        assert!(!text.contains(part), "{part}");
    }
    assert!(text.contains("&lt;script&gt;alert(1)"));
    well_formed(&text);
}

#[test]
fn it_needs_nothing_from_elsewhere() {
    let text = html(&facts(), Envelope::Sealed);
    well_formed(&text);
    for part in ["http:", "https:", "//", "url(", "@import", "<script", "<link", "<iframe", "src=", "href="] {
        assert!(!text.contains(part), "{part}");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn ten_million_rejections_make_no_longer_report() {
    let long = |n: u64| format!("order.{}[{n}]", "x".repeat(300));
    let mut facts = facts();
    facts.counts.orders = 10_000_000;
    facts.counts.rejected = 10_000_000;
    // Each order with a cause of its own, up to where causes are no longer told apart; then all the same.
    for n in 1..=1000 {
        facts.causes.add(rejected(n, &"i".repeat(48), &long(n), "a reason"));
        facts.run.timeline.add(Duration::from_secs(20 + n), 1000, 1000);
    }
    let small = html(&facts, Envelope::Sealed).len();
    let line = rejected(1, "c", &long(1), "a reason");
    for n in 1001..=1_000_000 {
        facts.causes.add(RejectedLine { position: n, ..line.clone() });
    }
    for n in 1001..=10_000 {
        facts.run.timeline.add(Duration::from_secs(20 + n), 1000, 1000);
    }
    let large = html(&facts, Envelope::Sealed).len();
    assert!(large < 100_000, "{large}");
    assert!(large < small + 8_000, "{small} {large}");
    let counted: u64 = facts.causes.rows().map(Cause::orders).sum::<u64>() + facts.causes.others();
    assert_eq!(counted, 1_000_002);
}

#[test]
fn a_batch_of_nothing_has_a_report_too() {
    let empty = Facts {
        counts: Counts::default(),
        by_destination: BTreeMap::new(),
        by_profile: BTreeMap::new(),
        keys: Vec::new(),
        causes: Causes::default(),
        run: RunRecord::default(),
        verification: None,
    };
    let text = html(&empty, Envelope::Sealed);
    well_formed(&text);
    assert!(text.contains("This run committed no block") && !text.contains("NaN"));
}

//! `report.html`: a batch at a glance, for people.
//!
//! One file that needs nothing else: its styles and its plot stand in it, it has no script, and its content policy
//! forbids a browser to fetch anything. All text is escaped. It holds no card data: counts, positions, cardIds, names
//! of destinations, profiles and keys, check values, times. Its size does not grow with the number of orders.

mod causes;
mod html;
mod plot;
mod timeline;
mod witness;

pub use causes::{Cause, Causes};
pub use timeline::Timeline;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::prepare::ErrorCode;

use super::{Counts, KeyRecord, PoolCounts, Verification, WeakKeys};
use html::{Table, escaped, number, span};

/// A step through which every block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Orders are read and checked.
    Read,
    /// cardIds, places on carriers and the ledger, one block after the other.
    OnceOnly,
    /// Cards are prepared.
    Prepare,
    /// Files are sealed, written and synced, and the block is committed.
    Write,
    /// After the last block: every prime is compared with every other.
    WeakKeys,
}

impl Step {
    /// All of them, in the order in which a batch meets them.
    pub const ALL: [Self; 5] = [Self::Read, Self::OnceOnly, Self::Prepare, Self::Write, Self::WeakKeys];

    /// What it does, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Read => "read and check the orders",
            Self::OnceOnly => "second uses of cardIds, ledger (with the wait for the block before)",
            Self::Prepare => "prepare the cards",
            Self::Write => "seal, write, sync, commit",
            Self::WeakKeys => "compare the primes of RSA keys, after the last block",
        }
    }
}

/// How the last run of a batch went.
#[derive(Clone, Debug, Default)]
pub struct RunRecord {
    /// How long it took.
    pub elapsed: Duration,
    /// Orders of blocks that an earlier run had committed.
    pub before: u64,
    /// When the orders of this run were committed.
    pub timeline: Timeline,
    /// Time that blocks spent in each step, in the order of [`Step::ALL`]; blocks run side by side.
    pub steps: [Duration; Step::ALL.len()],
}

/// Whether the files of a batch are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// For their destinations.
    Sealed,
    /// The outer envelope is left out (test issuers).
    Plain,
}

/// What the report tells.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Name and version of the engine.
    pub engine: &'a str,
    /// Batch id.
    pub batch: &'a str,
    /// `test` or `production`.
    pub environment: &'a str,
    /// Start, RFC 3339.
    pub started: &'a str,
    /// End, RFC 3339.
    pub ended: &'a str,
    /// SHA-256 of the input, hexadecimal.
    pub input: &'a str,
    /// Whether the files are sealed.
    pub envelope: Envelope,
    /// Counts.
    pub counts: &'a Counts,
    /// Cards by channel and destination.
    pub by_destination: &'a BTreeMap<(String, String), u64>,
    /// Cards by profile.
    pub by_profile: &'a BTreeMap<String, u64>,
    /// Where RSA keys come from.
    pub pool: PoolCounts,
    /// What the search for weak RSA keys looked at.
    pub weak_keys: Option<WeakKeys>,
    /// What the second witness found, when it was asked.
    pub verification: Option<&'a Verification>,
    /// Every key that was loaded.
    pub keys: &'a [KeyRecord],
    /// Why orders were rejected.
    pub causes: &'a Causes,
    /// How the run went.
    pub run: &'a RunRecord,
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<style>
:root{color-scheme:light dark;--line:#8884;--good:#2a7d4f;--bad:#c0392b}
body{font:16px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p.sub{margin:.2rem 0 1rem;opacity:.75;overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;padding:0;list-style:none}
.tiles li{border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;min-width:7rem}
.tiles b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.bad b{color:var(--bad)}.good b{color:var(--good)}
.scroll{overflow-x:auto;margin-bottom:1rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font:.9em ui-monospace,monospace;overflow-wrap:break-word}
.note{border-left:4px solid var(--bad);padding:.3rem .8rem}
svg{width:100%;height:auto;max-height:16rem}svg text{font-size:12px;fill:currentColor}
.orders{fill:var(--good);fill-opacity:.35;stroke:var(--good)}.rejected{fill:var(--bad);fill-opacity:.5;stroke:var(--bad)}
.axis{stroke:currentColor;stroke-opacity:.4}
</style>
"#;

impl Report<'_> {
    /// The file.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut out = String::from(HEAD);
        let batch = escaped(self.batch);
        out.push_str(&format!("<title>Batch {batch}</title>\n</head>\n<body>\n<h1>Batch {batch}</h1>\n"));
        out.push_str(&format!(
            "<p class=\"sub\">{}, {} issuer. Started {}, ended {}.</p>\n",
            escaped(self.engine),
            escaped(self.environment),
            escaped(self.started),
            escaped(self.ended)
        ));
        self.warnings(&mut out);
        self.tiles(&mut out);
        self.next(&mut out);
        self.rejections(&mut out);
        self.cards(&mut out);
        witness::section(self, &mut out);
        self.time(&mut out);
        self.keys(&mut out);
        out.push_str(&format!(
            "<h2>Proof</h2>\n<p>Input SHA-256: <code>{}</code>. <code>batch.json</code> beside this file has the \
             digest of every file of the batch, this one too.</p>\n</body>\n</html>\n",
            escaped(self.input)
        ));
        out
    }

    fn warnings(&self, out: &mut String) {
        if self.environment != "production" {
            out.push_str("<p class=\"note\">A test issuer: these cards are for tests only.</p>\n");
        }
        if self.envelope == Envelope::Plain {
            out.push_str(
                "<p class=\"note\">The files of this batch are not sealed (<code>--plain</code>): \
                 card lines stand readable on this disk.</p>\n",
            );
        }
    }

    fn tiles(&self, out: &mut String) {
        let Counts { orders, prepared, rejected, repeated, .. } = *self.counts;
        out.push_str("<ul class=\"tiles\">\n");
        let mut tile = |class: &str, n: u64, words: &str| {
            out.push_str(&format!("<li class=\"{class}\"><b>{}</b>{words}</li>\n", number(n)));
        };
        tile("", orders, "orders");
        tile("good", prepared, "cards prepared");
        tile(if rejected == 0 { "" } else { "bad" }, rejected, "orders rejected");
        if repeated > 0 {
            tile("", repeated, "prepared by an earlier batch");
        }
        out.push_str("</ul>\n");
    }

    fn next(&self, out: &mut String) {
        let Counts { rejected, repeated, prepared, .. } = *self.counts;
        out.push_str("<h2>What to do next</h2>\n<ul>\n");
        if rejected > 0 {
            out.push_str(&format!(
                "<li>{} orders were rejected, and no card was made for them. <code>rejected.jsonl</code> names each \
                 with its field and reason. Correct them where they come from and send them as a new order file; \
                 the others need not be sent again.</li>\n",
                number(rejected)
            ));
        }
        if repeated > 0 {
            out.push_str(&format!(
                "<li>{} orders were prepared by an earlier batch: their cards are there, not here. Nothing needs to \
                 be done.</li>\n",
                number(repeated)
            ));
        }
        if prepared > 0 {
            out.push_str(&witness::next(self));
        }
        out.push_str(
            "<li>Who started and resumed the batch stands in the audit log: <code>dataprep audit verify OUT \
             --issuer DIR</code> checks it.</li>\n\
             <li>The batch is complete. <code>dataprep prepare --resume</code> with the arguments of its start makes \
             nothing again: it compares every file with its digest.</li>\n</ul>\n",
        );
    }

    fn rejections(&self, out: &mut String) {
        if self.counts.rejected == 0 {
            return;
        }
        out.push_str("<h2>Rejected orders</h2>\n");
        let mut table = Table::new(&["errorCode", "#orders", "what to do"]);
        for (code, n) in &self.counts.by_error {
            table.row(&[escaped(code), number(*n), advice(code).to_owned()]);
        }
        out.push_str(&table.finish());
        out.push_str("<h2>Rejected orders by cause</h2>\n");
        let mut table = Table::new(&["errorCode", "field", "reason", "#orders", "positions (cardId)"]);
        for cause in self.causes.rows() {
            table.row(&[
                escaped(cause.error_code()),
                format!("<code>{}</code>", escaped(cause.field())),
                escaped(cause.reason()),
                number(cause.orders()),
                places(cause),
            ]);
        }
        let others = self.causes.others();
        if others > 0 {
            let words = "other causes, see rejected.jsonl".to_owned();
            table.row(&[String::new(), String::new(), words, number(others), String::new()]);
        }
        out.push_str(&table.finish());
    }

    fn cards(&self, out: &mut String) {
        if self.counts.prepared == 0 {
            return;
        }
        out.push_str("<h2>Prepared cards</h2>\n");
        let mut table = Table::new(&["channel", "#cards"]);
        for (channel, n) in &self.counts.by_channel {
            table.row(&[escaped(channel), number(*n)]);
        }
        out.push_str(&table.finish());
        let mut table = Table::new(&["channel", "destination", "#cards"]);
        for ((channel, destination), n) in self.by_destination {
            table.row(&[escaped(channel), escaped(destination), number(*n)]);
        }
        out.push_str(&table.finish());
        let mut table = Table::new(&["profile", "#cards"]);
        for (profile, n) in self.by_profile {
            table.row(&[escaped(profile), number(*n)]);
        }
        out.push_str(&table.finish());
        let PoolCounts { used, fresh } = self.pool;
        out.push_str(&format!(
            "<p>RSA keys of cards: {} out of the pool, {} made in the batch.</p>\n",
            number(used),
            number(fresh)
        ));
        if let Some(WeakKeys { primes, issuer, pool, history, moduli, .. }) = self.weak_keys {
            out.push_str(&format!(
                "<p>No prime was met twice: {} of cards, {} of issuer keys, {} in the pool, {} of earlier batches. \
                 No two of {} moduli share one.</p>\n",
                number(primes),
                number(issuer),
                number(pool),
                number(history),
                number(moduli)
            ));
        }
    }

    fn time(&self, out: &mut String) {
        let run = self.run;
        let made = self.counts.orders.saturating_sub(run.before);
        out.push_str(&format!("<h2>Throughput</h2>\n<p>{} orders in {}", number(made), span(run.elapsed)));
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = made as f64 / run.elapsed.as_secs_f64().max(0.001);
        out.push_str(&format!(": {rate:.0} a second.</p>\n"));
        if run.before > 0 {
            out.push_str(&format!(
                "<p class=\"note\">The batch was resumed. {} orders had been committed by earlier runs; plot and \
                 times below are of the last run alone.</p>\n",
                number(run.before)
            ));
        }
        out.push_str(&plot::svg(&run.timeline, run.elapsed));
        let mut table = Table::new(&["step", "#time", "#share"]);
        let whole: Duration = run.steps.iter().sum();
        for (step, time) in Step::ALL.into_iter().zip(run.steps) {
            let share = 100.0 * time.as_secs_f64() / whole.as_secs_f64().max(1e-9);
            table.row(&[step.words().to_owned(), span(time), format!("{share:.0} %")]);
        }
        out.push_str(&table.finish());
        out.push_str(
            "<p>Several blocks are worked on at a time, so the steps may add up to more than the run.</p>\n",
        );
    }

    fn keys(&self, out: &mut String) {
        out.push_str("<h2>Keys</h2>\n");
        let mut table = Table::new(&["use", "index", "KCV", "source"]);
        for key in self.keys {
            let code = |text: &str| format!("<code>{}</code>", escaped(text));
            table.row(&[code(&key.usage), code(&key.index), code(&key.kcv), escaped(&key.source)]);
        }
        out.push_str(&table.finish());
    }
}

/// What a person does about orders with this errorCode.
fn advice(code: &str) -> &'static str {
    match ErrorCode::ALL.into_iter().find(|c| c.name() == code) {
        Some(ErrorCode::FieldInvalidFormat) => {
            "The field is missing, or its type or pattern is wrong: correct it."
        }
        Some(ErrorCode::FieldInvalidValue) => "The value is not permitted for the field: correct it.",
        Some(ErrorCode::CryptoError) => {
            "Encrypted data or a PIN block cannot be opened: compare the key that the sender used with ours."
        }
        Some(ErrorCode::ParsingError) => {
            "The line is not one JSON document: ask the sender for the order again."
        }
        Some(ErrorCode::OperationNotAllowed) => {
            "The product or the ledger does not permit it: ask the issuer whether the order is meant."
        }
        Some(ErrorCode::InternalError) | None => {
            "Our fault: keep the input and this folder, and report it with the positions."
        }
    }
}

/// The first places of a cause, and how many more there are.
fn places(cause: &Cause) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (position, card_id) in cause.first() {
        parts.push(match card_id {
            Some(id) => format!("{position} ({})", escaped(id)),
            None => position.to_string(),
        });
    }
    let more = cause.orders().saturating_sub(cause.first().len() as u64);
    let mut text = parts.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {} more", number(more)));
    }
    text
}

#[cfg(test)]
mod tests;

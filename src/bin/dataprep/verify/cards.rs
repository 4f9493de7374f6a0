//! The cards of a batch, block by block, with their mailers and returns beside them.

use std::collections::BTreeMap;

use emv_dataprep::output::{self, Senders};
use emv_dataprep::verify::{
    CardContext, CardLine, CardReport, FileEntry, Given, IssuerReturn, Letter, Manifest, Outcome, Outcomes,
    OuterPinBlock, Tally, verify_card, verify_line,
};
use rayon::prelude::*;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::Holders;
use super::context::Facts;
use crate::failure::Failure;
use emv_dataprep::batch::Layout;
use emv_dataprep::verify::CardText;

pub struct Witness<'a> {
    pub layout: &'a Layout,
    pub batch: &'a str,
    pub holders: &'a Holders,
    pub senders: &'a Senders,
    pub facts: Facts<'a>,
    /// About how many cards are read; none for all.
    pub sample: Option<u64>,
}

/// Which cards were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Every one.
    All,
    /// Those of some blocks.
    Sample,
}

/// What stands beside the cards of a block.
#[derive(Default)]
pub struct Beside {
    /// By position.
    returns: BTreeMap<u64, Map<String, Value>>,
    /// By reference.
    mailers: BTreeMap<String, Map<String, Value>>,
}

impl Beside {
    /// A line of the issuer return.
    pub fn add_return(&mut self, record: Map<String, Value>) {
        if let Some(position) = record.get("position").and_then(Value::as_u64) {
            self.returns.insert(position, record);
        }
    }

    /// A PIN mailer.
    pub fn add_mailer(&mut self, record: Map<String, Value>) {
        if let Some(reference) = text_of(&record, "reference") {
            self.mailers.insert(reference.to_owned(), record);
        }
    }
}

impl Drop for Beside {
    /// Wiped: a return has the PVV, a mailer the PIN block.
    fn drop(&mut self) {
        let records = self.returns.values_mut().chain(self.mailers.values_mut());
        records.flat_map(|record| record.values_mut()).for_each(wipe);
    }
}

impl Witness<'_> {
    pub fn all(
        &self,
        manifest: &Manifest,
        good: &[FileEntry],
        outcomes: &mut Outcomes,
        tally: &mut Tally,
    ) -> Result<Read, Failure> {
        let mut blocks: BTreeMap<&str, Vec<&FileEntry>> = BTreeMap::new();
        for file in good {
            if let Some(number) = block_of(&file.path) {
                blocks.entry(number).or_default().push(file);
            }
        }
        let mut seen = 0_u64;
        let chosen = self.chosen(blocks.values().map(|files| cards_of(files)));
        for (files, _) in blocks.values().zip(&chosen).filter(|(_, chosen)| **chosen) {
            seen = seen.saturating_add(self.block(files, outcomes, tally)?);
        }
        if chosen.contains(&false) {
            let said = blocks.values().map(|files| cards_of(files)).fold(0, u64::saturating_add);
            let outcome = if said == manifest.prepared {
                Outcome::Passed
            } else {
                Outcome::Failed("the manifest says two numbers of cards")
            };
            tally.add_batch_check("card-count", "", outcome);
            return Ok(Read::Sample);
        }
        let outcome = if seen == manifest.prepared {
            Outcome::Passed
        } else {
            Outcome::Failed("the files hold another number of cards than the manifest says")
        };
        tally.add_batch_check("card-count", "", outcome);
        Ok(Read::All)
    }

    /// Which blocks are read: as many as hold the sample, spread evenly, the last one among them.
    fn chosen(&self, cards: impl Iterator<Item = u64> + Clone) -> Vec<bool> {
        let whole = cards.clone().fold(0, u64::saturating_add);
        let Some(sample) = self.sample.filter(|sample| *sample < whole) else {
            return cards.map(|_| true).collect();
        };
        // Blocks of the size that is usual in this batch: so many are needed.
        let size = cards.clone().max().unwrap_or(1).max(1);
        let blocks = cards.clone().count() as u64;
        let wanted = sample.div_ceil(size).clamp(1, blocks.max(1));
        (0..blocks).map(|at| (at + 1) * wanted / blocks.max(1) > at * wanted / blocks.max(1)).collect()
    }

    fn block(
        &self,
        files: &[&FileEntry],
        outcomes: &mut Outcomes,
        tally: &mut Tally,
    ) -> Result<u64, Failure> {
        let mut beside = Beside::default();
        for file in files.iter().filter(|f| !f.path.starts_with("prepared/")) {
            let Some(text) = self.text(file, tally, false)? else { continue };
            for line in text.lines() {
                let Ok(Value::Object(record)) = serde_json::from_str(line) else {
                    tally.add_batch_check(
                        "line-form",
                        &file.path,
                        Outcome::Failed("a line is not a JSON object"),
                    );
                    continue;
                };
                if file.path.starts_with("issuer-return/") {
                    beside.add_return(record);
                } else {
                    beside.add_mailer(record);
                }
            }
        }
        let mut cards = 0_u64;
        for file in files.iter().filter(|f| f.path.starts_with("prepared/")) {
            let Some(text) = self.text(file, tally, true)? else { continue };
            let lines: Vec<&str> = text.lines().collect();
            let checked: Vec<_> = lines.par_iter().map(|line| self.facts.card(line, &beside)).collect();
            for (card, report) in checked {
                cards = cards.saturating_add(1);
                match card {
                    Some(card) => {
                        tally.add(Some(card.position), Some(&card.card_id), &report);
                        let place = format!("prepared/{}/{}/", card.channel, card.destination);
                        if !file.path.starts_with(&place) {
                            tally.add_batch_check(
                                "card-place",
                                &file.path,
                                Outcome::Failed("a card of another channel or destination"),
                            );
                        }
                        outcomes.card(&card);
                    }
                    None => tally.add(None, None, &report),
                }
            }
        }
        Ok(cards)
    }
}

impl Facts<'_> {
    /// One card, with what stands beside it.
    pub fn card(&self, line: &str, beside: &Beside) -> (Option<CardLine>, CardReport) {
        match CardLine::read(line) {
            Ok(card) => {
                let context = self.context_of(&card, beside);
                let report = verify_line(&card, &self.keys, &context);
                (Some(card), report)
            }
            Err(_) => (None, verify_card(line, &self.keys, &CardContext::default())),
        }
    }

    fn context_of(&self, card: &CardLine, beside: &Beside) -> CardContext {
        let mut context = self.context(card);
        let Some(record) = beside.returns.get(&card.position) else {
            // Without the issuer's key nobody knows what the order gave, so nothing that it may have given is computed.
            context.given.extend([Given::Cvv1, Given::Cvv2, Given::Pvv, Given::Track, Given::EncodedName]);
            return context;
        };
        if text_of(record, "cardId") != Some(&card.card_id) {
            context.return_of_another = true;
            return context;
        }
        for given in record.get("given").and_then(Value::as_array).into_iter().flatten() {
            context.given.extend(match given.as_str() {
                Some("cvv1") => Some(Given::Cvv1),
                Some("cvv2") => Some(Given::Cvv2),
                Some("pvv") => Some(Given::Pvv),
                Some("track") => Some(Given::Track),
                Some("encodedName") => Some(Given::EncodedName),
                _ => None,
            });
        }
        let mailer = text_of(record, "mailerReference").and_then(|r| beside.mailers.get(r));
        // A mailer that cannot be read has no MAC, which is told.
        context.letter = mailer.map(|m| Letter::read(m).unwrap_or_default());
        context.mailer = mailer.and_then(|m| pin_block(m, "pinBlock", "pinBlockFormat", "mailer"));
        let block = record.get("pinBlock").and_then(Value::as_object);
        context.issuer_return = Some(IssuerReturn {
            psn: text_of(record, "psn").map(str::to_owned),
            pvv: text_of(record, "pvv").map(|t| CardText::new(t.to_owned())),
            pvki: record.get("pvki").and_then(Value::as_u64).and_then(|v| u8::try_from(v).ok()),
            pin_block: block.and_then(|b| pin_block(b, "value", "format", "pin")),
            mailer_reference: text_of(record, "mailerReference").map(str::to_owned),
            record_mac: text_of(record, "recordMac")
                .and_then(|t| emv_dataprep::bytes::array_from_hex(t).ok()),
            serials: record
                .get("certificateSerials")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|s| emv_dataprep::bytes::array_from_hex(s.as_str()?).ok())
                .collect(),
        });
        context
    }
}

impl Witness<'_> {
    /// The lines of a file, opened. `None` when it does not open, which is told. A key that is not given ends the
    /// command for cards, and leaves mailers and returns out.
    fn text(
        &self,
        file: &FileEntry,
        tally: &mut Tally,
        needed: bool,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        let path = self.layout.file(&file.path);
        let bytes = std::fs::read(&path);
        let bytes =
            Zeroizing::new(bytes.map_err(|e| Failure::stopped(format!("read {}: {e}", path.display())))?);
        let mut fail = |reason| {
            tally.add_batch_check("envelope", &file.path, Outcome::Failed(reason));
            Ok(None)
        };
        let Ok(text) = std::str::from_utf8(&bytes) else { return fail("the file is not text") };
        let text = if file.path.ends_with(".jwe") {
            let Ok(kid) = output::recipient(text) else { return fail("the file is not sealed") };
            let Some(key) = self.holders.get(&kid) else {
                if needed {
                    return Err(Failure::refused(format!("{}: its key is not given: --key", file.path)));
                }
                return Ok(None);
            };
            let opened = match output::open_from(key, text, self.senders) {
                Ok(opened) => opened,
                // Whoever opens it without asking for a sender is told the difference.
                Err(_) if output::open(key, text).is_ok() => {
                    return fail("the file is not signed by the issuer's output key");
                }
                Err(_) => return fail("the file does not open"),
            };
            if opened.batch != self.batch || opened.file != file.path {
                return fail("the file was sealed for another place or another batch");
            }
            let Ok(text) = String::from_utf8(opened.text.to_vec()) else {
                return fail("the contents are not text");
            };
            Zeroizing::new(text)
        } else {
            Zeroizing::new(text.to_owned())
        };
        let lines = text.lines().count() as u64;
        if file.cards.is_some_and(|cards| cards != lines) {
            return fail("the file holds another number of lines than the manifest says");
        }
        tally.add_batch_check("envelope", &file.path, Outcome::Passed);
        Ok(Some(text))
    }
}

/// Overwrites every text below.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Cards in these files, as the manifest says.
fn cards_of(files: &[&FileEntry]) -> u64 {
    let cards = files.iter().filter(|f| f.path.starts_with("prepared/"));
    cards.filter_map(|f| f.cards).fold(0, u64::saturating_add)
}

/// `NNNNNN` of `…-NNNNNN.jwe`, for files that come in blocks.
fn block_of(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    let number = name.rsplit_once('-')?.1.split('.').next()?;
    let in_blocks = ["prepared/", "pin-mailers/", "issuer-return/"].iter().any(|f| path.starts_with(f));
    (in_blocks && number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

fn text_of<'a>(record: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    record.get(name)?.as_str()
}

fn pin_block(
    record: &Map<String, Value>,
    value: &str,
    format: &str,
    usage: &'static str,
) -> Option<OuterPinBlock> {
    Some(OuterPinBlock {
        format: u8::try_from(record.get(format)?.as_u64()?).ok()?,
        usage,
        key_index: text_of(record, "keyIndex").and_then(|t| u8::from_str_radix(t, 16).ok()),
        block: emv_dataprep::bytes::from_hex(text_of(record, value)?).ok()?,
    })
}

//! `prepare --verify`: every card is read back by the second witness before it is sealed.

use std::sync::{Mutex, PoisonError};

use emv_dataprep::batch::{BlockNumber, Cards, Head, Layout, Made, Pipeline};
use emv_dataprep::card::CardId;
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::error::Result;
use emv_dataprep::order::RawOrder;
use emv_dataprep::output::{CheckResult, Verification};
use emv_dataprep::prepare::{CardRequest, Rejection, TransportKeys};
use emv_dataprep::profile::{DestinationId, VerifyCards};
use emv_dataprep::store::ledger::Claim;
use emv_dataprep::verify::{CardLine, Outcome};
use serde_json::{Map, Value};

use super::Args;
use crate::failure::Failure;
use crate::issuer_dir::IssuerDir;
use crate::verify::cards::Beside;
use crate::verify::context::Facts;

/// Who reads the cards back, if somebody is to: the command line decides, then `issuer.toml`.
pub(super) fn facts<'a>(
    args: &Args,
    dir: &'a IssuerDir,
    started: &str,
    layout: &Layout,
) -> std::result::Result<Option<Facts<'a>>, Failure> {
    let wanted = args.verify || (dir.issuer.verify() == VerifyCards::All && !args.no_verify);
    if wanted { Facts::new(dir, started, layout).map(Some) } else { Ok(None) }
}

/// Cards that are read back as they are made.
pub(super) struct Verified<'a> {
    pub(super) cards: Cards<'a>,
    pub(super) facts: Facts<'a>,
}

/// A block with what was found on its cards.
pub(super) struct CheckedBlock {
    keys: TransportKeys,
    found: Mutex<Verification>,
}

/// Name of the check that a card is that of its order.
const ORDER: &str = "order";

impl Verified<'_> {
    /// Reads one card back: the results, and the first check that failed.
    fn read(&self, made: &Made, request: &CardRequest) -> (Vec<(&'static str, CheckResult)>, Option<String>) {
        let mut beside = Beside::default();
        if let Some(record) = object(&made.issuer_return) {
            beside.add_return(record);
        }
        if let Some(record) = made.mailer.as_ref().and_then(|(_, line)| object(line)) {
            beside.add_mailer(record);
        }
        let line = String::from_utf8_lossy(&made.card);
        let (card, report) = self.facts.card(&line, &beside);
        let is_of_order = if card.is_some_and(|card| is_of(&card, made, request)) {
            CheckResult::Passed
        } else {
            CheckResult::Failed
        };
        let mut results = vec![(ORDER, is_of_order)];
        results.extend(report.checks.iter().map(|(name, outcome)| {
            let result = match outcome {
                Outcome::Passed => CheckResult::Passed,
                Outcome::Failed(_) => CheckResult::Failed,
                Outcome::NotApplicable => CheckResult::NotApplicable,
            };
            (name.name(), result)
        }));
        let reason = match report.failures().next() {
            Some((name, why)) => Some(format!("read back, the card fails {name}: {why}")),
            None if is_of_order == CheckResult::Failed => {
                Some(format!("read back, the card fails {ORDER}: it is the card of another order"))
            }
            None => None,
        };
        (results, reason)
    }
}

/// Whether the card that was read is the one that was ordered.
fn is_of(card: &CardLine, made: &Made, request: &CardRequest) -> bool {
    let id = request.issuer_request_id.as_ref().map(|id| id.as_str());
    card.position == request.position
        && card.card_id == request.card_id.as_str()
        && card.issuer_request_id.as_deref() == id
        && card.masked_pan == request.data.pan.masked()
        && card.channel == made.channel.name()
        && card.destination == made.destination.as_str()
        && made.destination == request.destination
}

fn object(line: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(line).ok()
}

impl Pipeline for Verified<'_> {
    type Request = CardRequest;
    type Block = CheckedBlock;

    fn parse(&self, order: &RawOrder) -> (Head, std::result::Result<CardRequest, Rejection>) {
        self.cards.parse(order)
    }

    fn carrier_place(&self, request: &CardRequest) -> Option<CardId> {
        self.cards.carrier_place(request)
    }

    fn claim(&self, request: &CardRequest) -> Result<Option<Claim>> {
        self.cards.claim(request)
    }

    fn begin(&self, seed: &Seed, block: BlockNumber) -> Result<CheckedBlock> {
        Ok(CheckedBlock { keys: self.cards.begin(seed, block)?, found: Mutex::default() })
    }

    fn prepare(
        &self,
        seed: &Seed,
        block: &CheckedBlock,
        requests: &[CardRequest],
    ) -> Result<Vec<std::result::Result<Made, Rejection>>> {
        let mut found = Verification::default();
        let cards = self.cards.prepare(seed, &block.keys, requests)?;
        let read = |(card, request): (std::result::Result<Made, Rejection>, &CardRequest)| {
            let made = card?;
            let (results, reason) = self.read(&made, request);
            found.card(results);
            reason.map_or(Ok(made), |reason| Err(Rejection::internal(reason)))
        };
        let out = cards.into_iter().zip(requests).map(read).collect();
        // Added at the end: a chunk that panics is worked on again, card by card.
        block.found.lock().unwrap_or_else(PoisonError::into_inner).add(&found);
        Ok(out)
    }

    fn verification(&self, block: &CheckedBlock) -> Option<Verification> {
        Some(block.found.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn issuer_return(&self) -> &DestinationId {
        self.cards.issuer_return()
    }
}

#[cfg(test)]
mod tests {
    use emv_dataprep::crypto::backend::Backend;
    use emv_dataprep::prepare::{ErrorCode, FirstSerial, Scripts};

    use super::*;
    use crate::demo::{self, Contents};
    use crate::prepare::Start;

    const ORDER: &[u8] = br#"{"cardId":"c-1","order":{"distributionChannel":"CENTRAL","cardProductId":"online-basic",
        "services":{"issuance":"CREATION","delivery":"laposte-cip"},
        "paymentApplication":{"config":"online-only","derivationKeyIndex":"04","cvKeyIndex":"01"},
        "shipment":{"type":"INDIVIDUAL","deliveryAddress":{"lastName":"TEST","line1":"1 RUE X","city":"PARIS",
        "zipCode":"75001","countryCode":"FR"}}},"cardData":{"pan":"6771790000000018","exp":"3112","name":"TEST"}}"#;

    #[test]
    fn a_card_that_fails_a_check_does_not_leave() {
        let folder = tempfile::tempdir().unwrap();
        let made =
            demo::write(&folder.path().join("demo"), demo::SEED, Contents::IssuerOnly, &mut |_| ()).unwrap();
        let dir = IssuerDir::load(&made.issuer()).unwrap();
        let keys = dir.open_keys(Backend::detect()).unwrap();
        let cards = Cards {
            macs: None,
            prime_tags: None,
            issuer: &dir.issuer,
            module: &keys.module,
            opener: &keys.envelopes,
            today: Start::read(demo::NOW).unwrap().today,
            backend: Backend::detect(),
            scripts: Scripts::Build,
            supply: None,
            home: &dir.issuer.issuer_return().unwrap().id,
            first_serial: FirstSerial::of_batch("B"),
            tags: None,
        };
        let seed = Seed::fixed([1; 32]);
        let run = |started: &str, id: Option<&str>| {
            let checked = Verified {
                cards,
                facts: Facts::new(&dir, started, &Layout::new(std::path::Path::new("no job"))).unwrap(),
            };
            let block = checked.begin(&seed, BlockNumber(0)).unwrap();
            let mut request = checked.parse(&RawOrder::new(1, ORDER)).1.unwrap();
            let mut out = checked.prepare(&seed, &block, std::slice::from_ref(&request)).unwrap();
            if let Some(id) = id {
                // The card of the order, held against another order.
                request.card_id = id.parse().unwrap();
                let reason = checked.read(out[0].as_ref().unwrap(), &request).1;
                out = vec![Err(Rejection::internal(reason.unwrap()))];
            }
            (out.remove(0).map(|_| ()), checked.verification(&block).unwrap())
        };
        let (good, found) = run(demo::NOW, None);
        assert!(good.is_ok());
        assert_eq!((found.cards, found.failed, found.checks["expiry"].passed), (1, 0, 1));
        // A witness that lives after the card's expiry.
        let (bad, found) = run("2035-01-01T00:00:00Z", None);
        let bad = bad.unwrap_err();
        assert_eq!(bad.code, ErrorCode::InternalError);
        assert!(bad.reason.starts_with("read back, the card fails expiry: "), "{}", bad.reason);
        assert_eq!((found.cards, found.failed, found.checks["expiry"].failed), (1, 1, 1));
        let (other, _) = run(demo::NOW, Some("c-2"));
        assert_eq!(
            other.unwrap_err().reason,
            "read back, the card fails order: it is the card of another order"
        );
    }
}

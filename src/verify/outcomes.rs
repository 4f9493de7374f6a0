//! Exactly one outcome for each order of a batch. No I/O: the caller reads.

use serde_json::Value;

use crate::crypto::hash::sha256;

use super::line::CardLine;
use super::manifest::CountsBy;

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
    counted: CountsBy,
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
        Self { slots: vec![Slot::Empty; len], faults: Vec::new(), counted: CountsBy::zero() }
    }

    /// What the rejected lines and the cards so far add up to.
    #[must_use]
    pub const fn counted(&self) -> &CountsBy {
        &self.counted
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
        let is_earlier = json.get("earlier").and_then(Value::as_bool) == Some(true);
        let next = match get("status") {
            // An earlier batch prepared this order: no card of this one may belong to it.
            Some(status) if is_earlier && status == expected && code.is_none() => Slot::Done,
            _ if is_earlier => {
                return self.fault(Some(position), "an order cannot be repeated and rejected");
            }
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
        if let Some(code) = get("errorCode") {
            CountsBy::add(&mut self.counted.error, code);
        }
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
        let place = format!("{}/{}", card.channel, card.destination);
        CountsBy::add(&mut self.counted.channel, &card.channel);
        CountsBy::add(&mut self.counted.destination, &place);
        CountsBy::add(&mut self.counted.profile, &card.profile);
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
            not_after: None,
            transport_key: None,
            applications: Vec::new(),
            magstripe: Default::default(),
            print: Default::default(),
            carrier_name: None,
            record_mac: None,
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
        let earlier = STATUS[0].replace("\"DATA_PREPARED\"", "\"DATA_PREPARED\",\"earlier\":true");
        assert_eq!(run(2, &[&earlier, STATUS[1]], &[REJECTED], &[]), [""; 0]);
        assert_eq!(run(2, &[&earlier, STATUS[1]], &[REJECTED], &[card(1, "a")]).len(), 1, "made again");
        let both = STATUS[1].replace("\"errorCode\"", "\"earlier\":true,\"errorCode\"");
        assert_eq!(run(2, &[STATUS[0], &both], &[REJECTED], &[card(1, "a")]).len(), 3);
        let wrong = STATUS[0].replace("DATA_PREPARED", "CARD_PROD_READY");
        assert_eq!(run(2, &[&wrong, STATUS[1]], &[REJECTED], &[]).len(), 2);
        let other = REJECTED.replace("PARSING", "CRYPTO");
        assert_eq!(run(2, &STATUS, &[&other], &[card(1, "a")]).len(), 2);
    }
}

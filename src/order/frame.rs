//! From the bytes of an input to single orders with their positions.

use std::fmt;

use zeroize::Zeroizing;

use super::document::{Document, Progress};
use super::json::{Json, Members};
use super::splitter::{Line, LineSplitter, WipedBuffer};
use crate::prepare::{ErrorCode, Rejection};

/// Most bytes of a line, and of a document over many lines: 8 MiB.
pub const MAX_LINE: usize = 8 << 20;

/// Most cards of a D1 `{"cards":[…]}` body.
pub const MAX_CARDS: usize = 1000;

/// One order as it came, with its place in the input. Its text is wiped when it goes.
pub struct RawOrder {
    position: u64,
    pub(super) text: OrderText,
}

pub(super) enum OrderText {
    /// JSON text, not looked at yet.
    Line(Zeroizing<Vec<u8>>),
    /// An item of a `cards` array.
    Item(Json),
    /// What stands here is no order.
    Refused(Rejection),
}

impl RawOrder {
    /// An order from JSON text.
    #[must_use]
    pub fn new(position: u64, json: &[u8]) -> Self {
        Self { position, text: OrderText::Line(Zeroizing::new(json.to_vec())) }
    }

    /// 1-based count of the order in its input.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }
}

impl fmt::Debug for RawOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawOrder({})", self.position)
    }
}

/// Finds the orders in a stream of bytes: JSON Lines of orders and of `{"cards":[…]}` bodies, or JSON documents
/// written over many lines. It reads nothing itself; its caller feeds it.
///
/// - Blank lines are skipped and not counted. A byte order mark at the start of the input is skipped.
/// - Every order counts, also one that is refused; a line that is not JSON or is too long counts as one order.
/// - A body whose `cards` is no array, has none or more than [`MAX_CARDS`] items, or that has other members beside it
///   (D1: `additionalProperties: false`) is one order, refused with `FIELD_INVALID_FORMAT` at `cards`.
/// - A value may span lines while every value before it did: a document that a person wrote, or a D1 request body.
///   Once a value stood on one line, every line is one value. A document that never ends, or that is longer than the
///   longest line, is read again line by line.
///
/// ```
/// use emv_dataprep::order::Frame;
/// let mut frame = Frame::new();
/// let mut orders = Vec::new();
/// frame.feed(b"{\"cardId\":\"a\"}\n\n{\"cards\":[{\"cardId\":\"b\"},{\"cardId\":\"c\"}]}\n", &mut orders);
/// frame.finish(&mut orders);
/// assert_eq!(orders.iter().map(|o| o.position()).collect::<Vec<_>>(), [1, 2, 3]);
/// ```
pub struct Frame {
    splitter: LineSplitter,
    state: State,
}

struct State {
    max: usize,
    count: u64,
    mode: Mode,
}

enum Mode {
    /// No byte has come yet.
    Start,
    /// A value may span lines.
    Documents,
    /// A value spans lines and has not ended.
    Inside { scan: Document, text: WipedBuffer },
    /// A line is a value.
    Lines,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// For lines of at most [`MAX_LINE`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_line(MAX_LINE)
    }

    /// For lines of at most `max` bytes.
    #[must_use]
    pub fn with_max_line(max: usize) -> Self {
        Self { splitter: LineSplitter::new(max), state: State { max, count: 0, mode: Mode::Start } }
    }

    /// Takes the next bytes of the input; adds the orders that they complete to `out`.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<RawOrder>) {
        let Self { splitter, state } = self;
        splitter.feed(chunk, |line| state.line(&line, out));
    }

    /// The input has ended: adds what is left to `out`.
    pub fn finish(&mut self, out: &mut Vec<RawOrder>) {
        let Self { splitter, state } = self;
        splitter.finish(|line| state.line(&line, out));
        if let Mode::Inside { text, .. } = std::mem::replace(&mut state.mode, Mode::Lines) {
            state.again(text.bytes(), out);
        }
    }

    /// How many orders have come so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.state.count
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} orders)", self.state.count)
    }
}

impl State {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<RawOrder>) {
        let Line::Whole(mut bytes) = *line else {
            if let Mode::Inside { text, .. } = std::mem::replace(&mut self.mode, Mode::Lines) {
                self.again(text.bytes(), out);
            }
            return self.push(
                OrderText::Refused(Rejection::new(ErrorCode::ParsingError, "", "the line is too long")),
                out,
            );
        };
        if matches!(self.mode, Mode::Start) {
            bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            self.mode = Mode::Documents;
        }
        match std::mem::replace(&mut self.mode, Mode::Lines) {
            Mode::Lines | Mode::Start => self.value(bytes, out),
            Mode::Documents if is_blank(bytes) => self.mode = Mode::Documents,
            Mode::Documents => self.inside(Document::default(), WipedBuffer::default(), bytes, out),
            Mode::Inside { scan, text } => self.inside(scan, text, bytes, out),
        }
    }

    /// Adds one line to a value that may span lines.
    fn inside(&mut self, mut scan: Document, mut text: WipedBuffer, line: &[u8], out: &mut Vec<RawOrder>) {
        let first = text.is_empty();
        let seen = scan.line(line);
        if first && seen != Progress::Open {
            return self.value(line, out);
        }
        let fits = text.len().saturating_add(line.len()) < self.max;
        text.push(line);
        text.push(b"\n");
        match seen {
            Progress::Open if fits => self.mode = Mode::Inside { scan, text },
            Progress::Whole if fits && Json::parse(text.bytes()).is_ok() => {
                self.value(text.bytes(), out);
                self.mode = Mode::Documents;
            }
            _ => self.again(text.bytes(), out),
        }
    }

    /// What looked like one document is lines after all.
    fn again(&mut self, text: &[u8], out: &mut Vec<RawOrder>) {
        self.mode = Mode::Lines;
        for line in text.split(|b| *b == b'\n') {
            self.value(line, out);
        }
    }

    /// One value: an order, or a body of many.
    fn value(&mut self, text: &[u8], out: &mut Vec<RawOrder>) {
        if is_blank(text) {
            return;
        }
        if !may_be_body(text) {
            return self.push(OrderText::Line(Zeroizing::new(text.to_vec())), out);
        }
        match Json::parse(text) {
            Ok(Json::Object(members)) if is_body(&members) => self.body(members, out),
            Ok(json) => self.push(OrderText::Item(json), out),
            Err(_) => self.push(OrderText::Refused(not_json()), out),
        }
    }

    fn body(&mut self, mut members: Members, out: &mut Vec<RawOrder>) {
        let reason = match members.remove("cards") {
            Some(Json::List(_)) if !members.is_empty() => "members stand beside cards",
            Some(Json::List(items)) if (1..=MAX_CARDS).contains(&items.len()) => {
                return items.into_iter().for_each(|item| self.push(OrderText::Item(item), out));
            }
            Some(Json::List(_)) => "not 1 to 1000 cards",
            _ => "not an array",
        };
        self.push(OrderText::Refused(Rejection::format("cards", reason)), out);
    }

    fn push(&mut self, text: OrderText, out: &mut Vec<RawOrder>) {
        self.count = self.count.saturating_add(1);
        out.push(RawOrder { position: self.count, text });
    }
}

pub(super) fn not_json() -> Rejection {
    Rejection::new(ErrorCode::ParsingError, "", "not one JSON value in UTF-8 with every member once")
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Whether the text can be a `cards` body: it writes the name, or may write it with an escape.
fn may_be_body(text: &[u8]) -> bool {
    let mut at = text;
    while let Some(i) = at.iter().position(|b| matches!(b, b'\\' | b'c')) {
        at = at.get(i..).unwrap_or_default();
        if at.starts_with(b"cards\"") || at.starts_with(b"\\u") {
            return true;
        }
        at = at.get(1..).unwrap_or_default();
    }
    false
}

/// A body has `cards` and nothing that only an order has; in an order an unknown member `cards` is tolerated.
fn is_body(members: &Members) -> bool {
    members.contains_key("cards")
        && !["cardId", "order", "distributionChannel"].iter().any(|name| members.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Positions and a letter each: l line, i item, r refused.
    fn shape(text: &[u8]) -> String {
        shape_max(text, MAX_LINE, 7)
    }

    fn shape_max(text: &[u8], max: usize, chunk: usize) -> String {
        let mut frame = Frame::with_max_line(max);
        let mut out = Vec::new();
        for part in text.chunks(chunk) {
            frame.feed(part, &mut out);
        }
        frame.finish(&mut out);
        assert_eq!(frame.count(), out.len() as u64);
        assert!(out.iter().zip(1..).all(|(o, n)| o.position() == n));
        out.iter()
            .map(|o| match o.text {
                OrderText::Line(_) => 'l',
                OrderText::Item(_) => 'i',
                OrderText::Refused(_) => 'r',
            })
            .collect()
    }

    #[test]
    fn lines_bodies_and_documents() {
        assert_eq!(shape(b"{\"a\":1}\n\r\n  \n{\"a\":2}"), "ll");
        assert_eq!(shape(b"\xEF\xBB\xBF{\"a\":1}\n"), "l");
        assert_eq!(shape(b"{\"cards\":[{},{},3]}\n{}\n"), "iiil");
        assert_eq!(shape(b"{\n  \"cardId\": \"x\",\n  \"order\": {}\n}\n"), "l");
        assert_eq!(shape(b"{\n \"cards\": [\n {},\n {}\n ]\n}\n"), "ii");
        assert_eq!(shape(b"{\n \"cards\": [\n {}\n ]\n}\n\n{\n\"cardId\":\"x\"\n}\n"), "il");
        assert_eq!(shape(b"{\"\\u0063ards\":[{}]}"), "i");
        assert_eq!(shape(b"{\"cardId\":\"x\",\"cards\":[{},{}]}"), "i");
    }

    #[test]
    fn a_broken_body_is_one_order() {
        for body in ["{\"cards\":[]}", "{\"cards\":{}}", "{\"cards\":null}", "{\"cards\":[{}],\"x\":1}"] {
            assert_eq!(shape(format!("{body}\n{{}}\n").as_bytes()), "rl", "{body}");
        }
        let many = |n: usize| format!("{{\"cards\":[{}]}}", vec!["{}"; n].join(","));
        assert_eq!(shape(many(1001).as_bytes()), "r");
        assert_eq!(shape(many(1000).as_bytes()).len(), 1000);
    }

    #[test]
    fn a_first_line_cut_short_does_not_swallow_its_neighbours() {
        for cut in [
            "{",
            "{\"a\":",
            "{\"a\":\"b",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":[",
            "{\"cards\":[",
            "[",
            "{\"a\":{",
        ] {
            let text = format!("{cut}\n{{\"cardId\":\"b\"}}\n{{\"cardId\":\"c\"}}\n{{\"cardId\":\"d\"}}\n");
            assert_eq!(shape(text.as_bytes()).len(), 4, "{cut}");
        }
    }

    #[test]
    fn a_line_too_long_is_one_order() {
        assert_eq!(shape_max(b"{\"a\":1}\n[1,2,3,4,5,6,7]\n{}\n", 8, 3), "lrl");
        assert_eq!(shape_max(b"{\n\"a\":1,\n\"bbbbbbbbbb\":2}\n{}\n", 8, 3), "llrl");
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_orders_for_any_chunks(
            text in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b','), Just(b':'),
                Just(b'1'), Just(b'\\'), any::<u8>()], 0..120),
            a in 1usize..30, b in 1usize..30) {
            prop_assert_eq!(shape_max(&text, 64, a), shape_max(&text, 64, b));
        }
    }
}

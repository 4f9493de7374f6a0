use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::bytes::{from_hex, hex_upper};
use crate::error::Error;
use crate::secret::Secret;

/// Why a case gave no values.
pub(super) enum Trouble {
    /// The record itself is wrong: an input is missing or has another type. Never counts as a refusal.
    Record(String),
    /// The library refused.
    Refused(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<crate::error::ErrorKind> for Trouble {
    fn from(kind: crate::error::ErrorKind) -> Self {
        Self::Refused(kind.into())
    }
}

/// What a kind gives: named values for the engine to compare, or why there are none.
pub(super) type Outcome = Result<Computed, Trouble>;

/// One record: typed access to its inputs.
pub(super) struct Case<'a> {
    inputs: &'a Map<String, Value>,
    expected: &'a Map<String, Value>,
}

#[allow(dead_code, reason = "areas use the forms that their kinds need")]
impl<'a> Case<'a> {
    pub(super) const fn new(inputs: &'a Map<String, Value>, expected: &'a Map<String, Value>) -> Self {
        Self { inputs, expected }
    }

    /// An input of any type.
    pub(super) fn value(&self, name: &str) -> Result<&'a Value, Trouble> {
        self.inputs.get(name).ok_or_else(|| Trouble::Record(format!("input {name} is missing")))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Trouble> {
        self.value(name)?.as_str().ok_or_else(|| wrong(name, "a text"))
    }

    /// Bytes, written in hexadecimal.
    pub(super) fn hex(&self, name: &str) -> Result<Vec<u8>, Trouble> {
        from_hex(self.text(name)?).map_err(|_| wrong(name, "hexadecimal"))
    }

    /// A number in hexadecimal, of any number of digits.
    pub(super) fn hex_number(&self, name: &str) -> Result<Vec<u8>, Trouble> {
        even_hex(self.text(name)?).ok_or_else(|| wrong(name, "a hexadecimal number"))
    }

    /// As [`Case::hex`], a fixed number of bytes.
    pub(super) fn array<const N: usize>(&self, name: &str) -> Result<[u8; N], Trouble> {
        self.hex(name)?.try_into().map_err(|_| wrong(name, "of the right length"))
    }

    /// A key, written in hexadecimal.
    pub(super) fn secret(&self, name: &str) -> Result<Secret, Trouble> {
        self.hex(name).map(Secret::new)
    }

    /// A number.
    pub(super) fn int(&self, name: &str) -> Result<u64, Trouble> {
        self.value(name)?.as_u64().ok_or_else(|| wrong(name, "a number"))
    }

    /// Texts of an array.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Trouble> {
        texts(self.value(name)?).ok_or_else(|| wrong(name, "an array of texts"))
    }

    /// Whether an input stands there and is not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.inputs.get(name).is_some_and(|v| !v.is_null())
    }

    /// The value that is expected: for kinds whose members are found by their names.
    pub(super) fn expected(&self, name: &str) -> Option<&'a Value> {
        self.expected.get(name)
    }

    /// The expected bytes: for properties that need them (`x^(e·d) = x`), not for plain comparison.
    pub(super) fn expected_hex(&self, name: &str) -> Option<Vec<u8>> {
        self.expected.get(name)?.as_str().and_then(|t| from_hex(t).ok())
    }
}

/// Bytes of a hexadecimal number whose leading zero may be left out.
fn even_hex(text: &str) -> Option<Vec<u8>> {
    let padded = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    from_hex(&padded).ok()
}

/// Texts of a JSON array.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn wrong(name: &str, what: &str) -> Trouble {
    Trouble::Record(format!("input {name} is not {what}"))
}

enum Form {
    Bytes(Vec<u8>),
    Prefix(Vec<u8>),
    WithoutParity(Vec<u8>),
    Number(Vec<u8>),
    Json(Value),
    Holds(bool),
}

/// Values computed by a kind, by their name in `expected`. The engine compares them.
#[derive(Default)]
pub(super) struct Computed(BTreeMap<&'static str, Form>);

#[allow(dead_code, reason = "areas use the forms that their kinds need")]
impl Computed {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A refusal where one is expected.
    pub(super) fn refusal() -> Self {
        Self::new().holds("error", true)
    }

    /// Bytes; the expected value is hexadecimal.
    pub(super) fn hex(self, name: &'static str, bytes: &[u8]) -> Self {
        self.with(name, Form::Bytes(bytes.to_vec()))
    }

    /// Bytes of which the expected value is the beginning, two bytes or more (a cut MAC, a check value).
    pub(super) fn hex_prefix(self, name: &'static str, bytes: &[u8]) -> Self {
        self.with(name, Form::Prefix(bytes.to_vec()))
    }

    /// A DES key that equals the expected one when parity bits are left aside.
    pub(super) fn hex_without_parity(self, name: &'static str, bytes: &[u8]) -> Self {
        self.with(name, Form::WithoutParity(bytes.to_vec()))
    }

    /// A number, big-endian: leading zeros do not count on either side.
    pub(super) fn hex_number(self, name: &'static str, bytes: &[u8]) -> Self {
        self.with(name, Form::Number(bytes.to_vec()))
    }

    /// A text.
    pub(super) fn text(self, name: &'static str, text: impl Into<String>) -> Self {
        self.json(name, Value::String(text.into()))
    }

    /// A number.
    pub(super) fn int(self, name: &'static str, number: u64) -> Self {
        self.json(name, Value::from(number))
    }

    /// A truth value.
    pub(super) fn bool(self, name: &'static str, truth: bool) -> Self {
        self.json(name, Value::Bool(truth))
    }

    /// Any JSON, compared whole.
    pub(super) fn json(self, name: &'static str, value: Value) -> Self {
        self.with(name, Form::Json(value))
    }

    /// A property that the kind has tested itself.
    pub(super) fn holds(self, name: &'static str, truth: bool) -> Self {
        self.with(name, Form::Holds(truth))
    }

    fn with(mut self, name: &'static str, value: Form) -> Self {
        self.0.insert(name, value);
        self
    }

    /// `None`: this member was not computed.
    pub(super) fn check(&self, name: &str, want: &Value) -> Option<Result<(), String>> {
        let found = self.0.get(name)?;
        let want_bytes = || want.as_str().and_then(|t| from_hex(t).ok());
        let good = match found {
            Form::Bytes(b) => want.as_str().is_some_and(|t| t.eq_ignore_ascii_case(&hex_upper(b))),
            Form::Prefix(b) => want_bytes().is_some_and(|w| w.len() >= 2 && b.starts_with(&w)),
            Form::WithoutParity(b) => want_bytes()
                .is_some_and(|w| w.len() == b.len() && w.iter().zip(b).all(|(x, y)| x & 0xFE == y & 0xFE)),
            Form::Number(b) => want
                .as_str()
                .and_then(even_hex)
                .is_some_and(|w| w.iter().skip_while(|x| **x == 0).eq(b.iter().skip_while(|x| **x == 0))),
            Form::Json(v) => v == want,
            Form::Holds(truth) => *truth,
        };
        Some(if good { Ok(()) } else { Err("differs".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_comparison() {
        let c =
            Computed::new().hex("h", &[0xAB]).hex_prefix("p", &[1, 2, 3]).hex_without_parity("w", &[0x11]);
        let c = c.hex_number("n", &[0, 1, 2]);
        let good = |name: &str, want: &str| matches!(c.check(name, &Value::from(want)), Some(Ok(())));
        assert!(good("h", "AB") && good("h", "ab") && !good("h", "AC") && !good("h", "AB00"));
        assert!(good("p", "0102") && good("p", "010203"));
        assert!(!good("p", "01") && !good("p", "") && !good("p", "0103") && !good("p", "01020304"));
        assert!(good("w", "10") && good("w", "11") && !good("w", "12") && !good("w", "1111"));
        assert!(good("n", "102") && good("n", "0102") && !good("n", "1020") && !good("n", ""));
        assert!(c.check("none", &Value::Null).is_none());
    }
}

//! JSON text as a tree that wipes its strings when it goes and knows no member twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A JSON value. Numbers keep no digits: no member of an order is a number.
pub(super) enum Json {
    Null,
    Bool(bool),
    Number,
    Text(Zeroizing<String>),
    List(Vec<Self>),
    Object(Members),
}

/// The members of an object, by name.
pub(super) type Members = BTreeMap<String, Json>;

/// The text is not one JSON value, is not UTF-8, nests deeper than 127 levels, or names a member of an object twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson;

impl Json {
    /// The one value of `text`.
    ///
    /// Strings without escapes are borrowed from `text`. One with escapes passes through the scratch buffer of
    /// `serde_json`, which nobody wipes; see [`Self::parse_with_escapes`].
    pub(super) fn parse(text: &[u8]) -> Result<Self, NotJson> {
        if text.contains(&b'\\') {
            return Self::parse_with_escapes(text);
        }
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Self::deserialize(&mut reader).map_err(|_| NotJson)?;
        reader.end().map_err(|_| NotJson)?;
        Ok(value)
    }

    /// Reads a string of blanks before and after the value with the same reader: the first makes the scratch buffer as
    /// large as it can become, so that it never moves, and the last overwrites what the value left in it. Text that is no
    /// JSON ends the reader before that: what the buffer held then stays in freed memory.
    fn parse_with_escapes(text: &[u8]) -> Result<Self, NotJson> {
        // An escape at the start of a string sends all of it through the buffer.
        let mut blanks = b"\"\\n".to_vec();
        blanks.resize(text.len().saturating_add(3), b' ');
        blanks.push(b'"');
        let whole = Zeroizing::new([&blanks, b" ".as_slice(), text, b" ", &blanks].concat());
        let mut reader = serde_json::Deserializer::from_slice(&whole);
        let mut next = || Self::deserialize(&mut reader).map_err(|_| NotJson);
        next()?;
        let value = next()?;
        // A second value in the text would be read here in the place of the blanks.
        let last = next()?;
        reader.end().map_err(|_| NotJson)?;
        match last {
            Self::Text(last) if last.len() == text.len().saturating_add(1) => Ok(value),
            _ => Err(NotJson),
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Object(_) => "object",
        })
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Members::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_stands_twice_is_refused_at_any_depth() {
        assert!(Json::parse(br#"{"a":1,"b":{"a":2}}"#).is_ok());
        assert!(Json::parse(br#"{"a":1,"a":1}"#).is_err());
        assert!(Json::parse(br#"[{"b":{"x":1,"\u0078":2}}]"#).is_err());
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        let bad: [&[u8]; 9] =
            [b"", b" ", b"{", b"{} {}", b"nul", b"\"\xFF\"", b"\"\\ud800\"", b"{\"a\":1,}", b"01"];
        for text in [&b"\"\\n\" \"\""[..], b"\"\\n\",", b"\\", b"\"\\", b"[\"\\n\"", b"\"\\n\"]"] {
            assert!(matches!(Json::parse(text), Err(NotJson)));
        }
        let text = Json::parse(b" [\"\\u0034761\", \"b\\n\"] ").unwrap();
        let Json::List(items) = &text else { panic!("a list") };
        let texts = items.iter().filter_map(|i| if let Json::Text(t) = i { Some(t.as_str()) } else { None });
        assert_eq!(texts.collect::<Vec<_>>(), ["4761", "b\n"]);
        for text in bad {
            assert!(matches!(Json::parse(text), Err(NotJson)));
        }
        assert!(Json::parse(&[b'['; 100_000]).is_err());
    }

    #[test]
    fn debug_names_the_type_alone() {
        assert_eq!(format!("{:?}", Json::parse(b"\"4761739001010010\"").unwrap()), "text");
        assert_eq!(format!("{:?}", Json::parse(b"{\"pan\":1}").unwrap()), "object");
    }
}

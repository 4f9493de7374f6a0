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
    /// A string with escapes passes through the scratch buffer of `serde_json`, which is freed without being wiped;
    /// strings without escapes are borrowed from `text`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, NotJson> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Self::deserialize(&mut reader).map_err(|_| NotJson)?;
        reader.end().map_err(|_| NotJson)?;
        Ok(value)
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

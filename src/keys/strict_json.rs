//! JSON objects of key and envelope headers: a member that stands twice is refused, at every depth.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{ErrorKind, Result};

/// The one object that `text` holds.
///
/// # Errors
/// [`ErrorKind::Format`] for anything else, and for a member that stands twice.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice::<Strict>(text) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        _ => Err(ErrorKind::Format("one JSON object without repeated members").into()),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> std::result::Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_u64<E>(self, v: u64) -> std::result::Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_f64<E>(self, v: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> std::result::Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(Strict(v)) = seq.next_element()? {
            out.push(v);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if out.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_as_json_is_or_refused(text in r#"\{("[ab]":([1-9][0-9]{0,2}|-?[0-9]\.[0-9]e-?[0-9]|true|null|"[ -!#-\[\]-~]{0,4}"|\[\]|\{"c":[0-9]\}),){0,1}"d":\[1,\{\}\]\}"#, bytes: Vec<u8>) {
            let plain: Value = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), plain);
            proptest::prop_assert_eq!(object(&bytes).is_ok(), serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok());
        }
    }

    #[test]
    fn a_repeated_member_is_refused_at_every_depth() {
        let good = br#"{"a":1,"b":{"a":[null,true,-1,1.5,"x"]}}"#;
        assert_eq!(Value::Object(object(good).unwrap()), serde_json::from_slice::<Value>(good).unwrap());
        for bad in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"b":{"a":1,"a":2}}"#,
            br#"{"b":[{"a":1,"\u0061":2}]}"#,
            b"[]",
            b"{} x",
            b"{",
            b"\xFF",
        ] {
            assert!(object(bad).is_err());
        }
    }
}

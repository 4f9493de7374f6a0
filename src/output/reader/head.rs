//! The first member of a line says what the line is, before anything else is read.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::error::{Error, ErrorKind, Result};

/// Checks that `text` is one object whose first member is `format` with the value `expected`.
///
/// # Errors
/// [`ErrorKind::Format`] if it is not one object or begins otherwise, [`ErrorKind::Unknown`] for another format.
pub(in crate::output) fn check(text: &str, expected: &str) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let known = reader.deserialize_map(Head(expected)).and_then(|known| reader.end().map(|()| known));
    match known {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(ErrorKind::Unknown("this format of a line")).at("format")),
        Err(_) => Err(ErrorKind::Format("a JSON object that begins with its format").into()),
    }
}

struct Head<'a>(&'a str);

impl<'de> Visitor<'de> for Head<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<bool, A::Error> {
        if members.next_key::<String>()?.as_deref() != Some("format") {
            return Err(A::Error::custom("format stands first"));
        }
        let known = members.next_value::<String>()? == self.0;
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(known)
    }
}

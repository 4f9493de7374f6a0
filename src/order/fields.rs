//! Members of an object, read with their place.

use std::fmt;
use std::fmt::Write as _;

use super::json::{Json, Members};
use super::pattern::Pattern;
use crate::keys::KeyIndex;
use crate::prepare::Rejection;

/// Result of reading a field.
pub(super) type Field<T> = Result<T, Rejection>;

/// The place of a field: names of the schema and array positions, never text of the order.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    outer: Option<&'a Place<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'a> Place<'a> {
    pub(super) const fn root(name: &'static str) -> Self {
        Self { outer: None, name, index: None }
    }

    pub(super) const fn member(&'a self, name: &'static str) -> Self {
        Self { outer: Some(self), name, index: None }
    }

    const fn item(&self, index: usize) -> Self {
        Self { index: Some(index), ..*self }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            outer.fmt(f)?;
            if !outer.name.is_empty() {
                f.write_char('.')?;
            }
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |i| write!(f, "[{i}]"))
    }
}

/// An object and its place.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) members: &'a Members,
    pub(super) place: Place<'a>,
}

impl<'a> Object<'a> {
    /// The value as an object.
    pub(super) fn from(value: &'a Json, place: Place<'a>) -> Field<Self> {
        match value {
            Json::Object(members) => Ok(Self { members, place }),
            _ => Err(Rejection::format(place.to_string(), "not an object")),
        }
    }

    /// The dotted path of a member.
    pub(super) fn path(&self, name: &'static str) -> String {
        self.place.member(name).to_string()
    }

    /// The dotted path of an item of a member.
    pub(super) fn item_path(&self, name: &'static str, index: usize) -> String {
        self.place.member(name).item(index).to_string()
    }

    pub(super) fn missing<T>(&self, name: &'static str, reason: &'static str) -> Field<T> {
        Err(Rejection::format(self.path(name), reason))
    }

    /// A text that any characters may make up.
    pub(super) fn text(&self, name: &'static str) -> Field<Option<&'a str>> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Rejection::format(self.path(name), "not a string")),
        }
    }

    /// A text of a pattern.
    pub(super) fn matching(&self, name: &'static str, pattern: &Pattern) -> Field<Option<&'a str>> {
        match self.text(name)? {
            Some(text) if !pattern.matches(text) => {
                Err(Rejection::format(self.path(name), "does not match the pattern"))
            }
            found => Ok(found),
        }
    }

    /// A text of a pattern, required.
    pub(super) fn required(&self, name: &'static str, pattern: &Pattern) -> Field<&'a str> {
        self.matching(name, pattern)?.map_or_else(|| self.missing(name, "missing"), Ok)
    }

    /// A text of a pattern, owned.
    pub(super) fn owned(&self, name: &'static str, pattern: &Pattern) -> Field<Option<String>> {
        Ok(self.matching(name, pattern)?.map(str::to_owned))
    }

    /// A boolean; absent is false.
    pub(super) fn flag(&self, name: &'static str) -> Field<bool> {
        match self.members.get(name) {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(Rejection::format(self.path(name), "not a boolean")),
        }
    }

    /// At most `max` texts of a pattern; absent is none.
    pub(super) fn list(&self, name: &'static str, max: usize, pattern: &Pattern) -> Field<Vec<String>> {
        let items = match self.members.get(name) {
            None => return Ok(Vec::new()),
            Some(Json::List(items)) if items.len() <= max => items,
            Some(Json::List(_)) => return Err(Rejection::format(self.path(name), "too many items")),
            Some(_) => return Err(Rejection::format(self.path(name), "not an array")),
        };
        let item = |(i, item): (usize, &Json)| match item {
            Json::Text(text) if pattern.matches(text) => Ok(text.to_string()),
            Json::Text(_) => Err(Rejection::format(self.item_path(name, i), "does not match the pattern")),
            _ => Err(Rejection::format(self.item_path(name, i), "not a string")),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A key index.
    pub(super) fn key_index(&self, name: &'static str) -> Field<Option<KeyIndex>> {
        let text = self.matching(name, &super::pattern::KEY_INDEX)?;
        text.map(|t| t.parse().map_err(|_| Rejection::format(self.path(name), "not a key index"))).transpose()
    }
}

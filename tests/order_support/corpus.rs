//! The malformed orders of `tests/corpus`, in every form in which they come.
#![allow(clippy::panic, missing_docs)] // a test

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{base, flat, sealed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub id: String,
    pub base: Option<String>,
    #[serde(default)]
    pub set: Map<String, Value>,
    #[serde(default)]
    pub remove: Vec<String>,
    pub cut: Option<isize>,
    pub raw: Option<String>,
    pub orders: Option<usize>,
    pub code: Option<String>,
    pub field: Option<String>,
    pub forms: Option<BTreeSet<String>>,
}

const FILES: [(&str, &str); 13] = [
    ("text", include_str!("../corpus/text.jsonl")),
    ("identity", include_str!("../corpus/identity.jsonl")),
    ("channel", include_str!("../corpus/channel.jsonl")),
    ("services", include_str!("../corpus/services.jsonl")),
    ("application", include_str!("../corpus/application.jsonl")),
    ("shipment", include_str!("../corpus/shipment.jsonl")),
    ("design", include_str!("../corpus/design.jsonl")),
    ("envelope", include_str!("../corpus/envelope.jsonl")),
    ("card-data", include_str!("../corpus/card-data.jsonl")),
    ("tracks", include_str!("../corpus/tracks.jsonl")),
    ("pin", include_str!("../corpus/pin.jsonl")),
    ("first-error", include_str!("../corpus/first-error.jsonl")),
    ("accepted", include_str!("../corpus/accepted.jsonl")),
];

pub fn cases() -> Vec<Case> {
    let lines = FILES.iter().flat_map(|(name, text)| text.lines().map(move |l| (name, l)));
    lines.map(|(name, l)| serde_json::from_str(l).unwrap_or_else(|e| panic!("{name}: {e}: {l}"))).collect()
}

/// The place of a dotted path, made where it is absent.
fn place<'a>(order: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(order, |at, name| at.as_object_mut().unwrap().entry(name).or_insert(Value::Null))
}

pub fn changed(case: &Case) -> Value {
    let mut order = base(case.base.as_deref().unwrap());
    for path in &case.remove {
        let (outer, name) = path.rsplit_once('.').unwrap_or(("", path));
        let outer = if outer.is_empty() { &mut order } else { place(&mut order, outer) };
        assert!(outer.as_object_mut().unwrap().remove(name).is_some(), "{}: nothing at {path}", case.id);
    }
    for (path, value) in &case.set {
        *place(&mut order, path) = value.clone();
    }
    order
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            out.push(*first);
        } else if let Some(behind) = rest.strip_prefix(b"\\") {
            out.push(b'\\');
            rest = behind;
        } else {
            out.extend(hex::decode(&rest[1..3]).unwrap());
            rest = &rest[3..];
        }
    }
    out
}

/// The texts in which a case runs, by form.
pub fn texts(case: &Case) -> BTreeMap<&'static str, Vec<u8>> {
    if let Some(raw) = &case.raw {
        return [("raw", unescape(raw))].into();
    }
    if let Some(cut) = case.cut {
        let text = base(case.base.as_deref().unwrap()).to_string();
        let end = if cut < 0 { text.len().checked_add_signed(cut).unwrap() } else { cut.unsigned_abs() };
        return [("cut", text.as_bytes()[..end].to_vec())].into();
    }
    let wrapped = changed(case);
    let forms = [
        ("flat", flat(&wrapped)),
        ("sealed", sealed(&wrapped)),
        ("body", Some(serde_json::json!({ "cards": [wrapped] }))),
        ("wrapped", Some(wrapped)),
    ];
    let wanted = |form: &str| case.forms.as_ref().is_none_or(|f| f.contains(form));
    let texts = forms.into_iter().filter(|(form, _)| wanted(form));
    texts.filter_map(|(form, value)| Some((form, value?.to_string().into_bytes()))).collect()
}

//! Kinds of `tlv.json`: BER-TLV, its lengths, records taken apart, lengths of data groupings.

use serde_json::{Value, json};

use super::case::{Case, Computed, Outcome, Trouble};
use crate::bytes::{from_hex, hex_upper};
use crate::emv::Tag;
use crate::emv::tlv::{self, Rules};
use crate::perso::dgi_length;

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "ber_tlv_decode" => decode(case),
        "ber_tlv_encode" => encode(case),
        "ber_tlv_encode_tree" => encode_tree(case),
        "ber_tlv_reject" => reject(case),
        "ber_length" => length(case).map(|len| Computed::new().hex("hex", &tlv::length(len))),
        "cps_dgi_length" => length(case).and_then(|len| Ok(Computed::new().hex("hex", &dgi_length(len)?))),
        "record_flatten" => flatten(case),
        _ => return None,
    })
}

fn tag(text: &str) -> Result<Tag, Trouble> {
    text.parse().map_err(|_| Trouble::Record("an input is not a tag".to_owned()))
}

fn length(case: &Case<'_>) -> Result<usize, Trouble> {
    usize::try_from(case.int("length")?).map_err(|_| Trouble::Record("input length is too large".to_owned()))
}

fn decode(case: &Case<'_>) -> Outcome {
    let bytes = case.hex("hex")?;
    let object = tlv::parse_one(&bytes, Rules::Ber)?;
    Ok(Computed::new().text("tag", object.tag.to_string()).hex("value", object.value))
}

fn encode(case: &Case<'_>) -> Outcome {
    let (tag, value) = (tag(case.text("tag")?)?, case.hex("value")?);
    let bytes = tlv::encode(tag, &value);
    let back = tlv::parse_one(&bytes, Rules::Canonical)?;
    if back.tag != tag || back.value != value {
        return Err(Trouble::Record("reading does not give back what was written".to_owned()));
    }
    Ok(Computed::new().hex("hex", &bytes))
}

fn encode_tree(case: &Case<'_>) -> Outcome {
    let outer = tag(case.text("tag")?)?;
    let wrong = || Trouble::Record("input children is not a list of tags and values".to_owned());
    let mut inner = Vec::new();
    for child in case.value("children")?.as_array().ok_or_else(wrong)? {
        let [t, v] = child.as_array().map(Vec::as_slice).ok_or_else(wrong)? else { return Err(wrong()) };
        let value = from_hex(v.as_str().ok_or_else(wrong)?).map_err(|_| wrong())?;
        tlv::push(&mut inner, tag(t.as_str().ok_or_else(wrong)?)?, &value);
    }
    Ok(Computed::new().hex("hex", &tlv::encode(outer, &inner)))
}

fn reject(case: &Case<'_>) -> Outcome {
    let bytes = case.hex("hex")?;
    // The canonical rules refuse at least what the lenient ones refuse.
    if tlv::tree(&bytes, Rules::Canonical).is_ok() {
        return Err(Trouble::Record("the canonical rules take it".to_owned()));
    }
    tlv::tree(&bytes, Rules::Ber)?;
    Ok(Computed::new())
}

fn flatten(case: &Case<'_>) -> Outcome {
    let bytes = case.hex("hex")?;
    let nodes = tlv::tree(&bytes, Rules::Ber)?;
    let flat: Vec<Value> = nodes
        .iter()
        .flat_map(tlv::Node::flatten)
        .map(|(_, object)| json!([object.tag.to_string(), hex_upper(object.value)]))
        .collect();
    Ok(Computed::new().json("flat", Value::Array(flat)))
}

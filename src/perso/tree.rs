//! Data groupings and prepared cards as a readable tree.
//!
//! What is under the transport key is never printed, only its length. Card values in clear are masked unless asked for.

use serde_json::{Map, Value};

use super::names::{self, Content};
use super::{DgiTag, parse_dgis};
use crate::bytes::{from_hex, hex_upper};
use crate::emv::describe::{Masking, hidden, mask_digits};
use crate::emv::tree as emv_tree;
use crate::error::{Error, ErrorKind, Place, Result};

/// Format of a prepared card line that can be read.
pub const CARD_FORMAT: &str = "emv-dataprep/card/1";

/// Renders groupings that stand one after the other, with what each is.
///
/// # Errors
/// As [`parse_dgis`].
///
/// ```
/// use emv_dataprep::emv::describe::Masking;
/// use emv_dataprep::perso::tree;
/// let text = tree::render_dgis(&[0x90, 0x10, 0x02, 0x03, 0x03], Masking::Masked)?;
/// assert_eq!(text, "DGI 9010 PIN try counter and limit (2 bytes)\n  3 of 3 tries left\n");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn render_dgis(bytes: &[u8], masking: Masking) -> Result<String> {
    let mut out = String::new();
    for dgi in parse_dgis(bytes)? {
        push_clear(dgi.tag, dgi.value, masking, 0, &mut out);
    }
    Ok(out)
}

fn push_clear(tag: DgiTag, value: &[u8], masking: Masking, depth: usize, out: &mut String) {
    let (name, content) = names::describe(tag);
    line(depth, &format!("DGI {tag} {name} ({} bytes)", value.len()), out);
    let below = depth.saturating_add(1);
    if value.is_empty() {
        return;
    }
    match content {
        Content::Tlv => match emv_tree::render(value, masking, below) {
            Ok(text) => out.push_str(&text),
            Err(e) => {
                line(below, &format!("no data objects: {e}"), out);
                line(below, &opaque(value, masking), out);
            }
        },
        Content::KeyCheckValues => {
            let kcvs: Vec<_> = value.chunks(3).map(hex_upper).collect();
            line(below, &kcvs.join(" "), out);
        }
        Content::PinTries => match value {
            [counter, limit] => line(below, &format!("{counter} of {limit} tries left"), out),
            _ => line(below, &opaque(value, masking), out),
        },
        Content::Opaque => line(below, &opaque(value, masking), out),
    }
}

fn opaque(value: &[u8], masking: Masking) -> String {
    if masking == Masking::Unmasked { hex_upper(value) } else { hidden(value.len()) }
}

/// Writes one line. Control characters, which a terminal would obey, are replaced.
fn line(depth: usize, text: &str, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
    out.extend(text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }));
    out.push('\n');
}

/// Renders one line of a prepared-card file.
///
/// # Errors
/// [`ErrorKind::Format`] unless it is a JSON object, [`ErrorKind::Unknown`] for another format,
/// [`ErrorKind::Missing`] or [`ErrorKind::Format`] for a member of the chip data that cannot be read.
pub fn render_card_line(text: &str, masking: Masking) -> Result<String> {
    let card: Value = serde_json::from_str(text).map_err(|_| ErrorKind::Format("a JSON object"))?;
    let card = card.as_object().ok_or(ErrorKind::Format("a JSON object"))?;
    if text_of(card, "format") != Some(CARD_FORMAT) {
        return Err(Error::new(ErrorKind::Unknown("the format of this card line")).at("format"));
    }
    let mut out = String::new();
    line(
        0,
        &format!("Card {}, position {}", plain(card.get("cardId")), plain(card.get("position"))),
        &mut out,
    );
    for member in ["issuerRequestId", "maskedPan", "channel", "destination", "product", "profile"] {
        if let Some(value) = card.get(member).filter(|v| !v.is_null()) {
            line(1, &format!("{member}: {}", plain(Some(value))), &mut out);
        }
    }
    if let Some(key) = card.get("transportKey").and_then(Value::as_object) {
        let part = |name| plain(key.get(name));
        line(
            1,
            &format!("transport key: {} {}, KCV {}", part("algorithm"), part("index"), part("kcv")),
            &mut out,
        );
    }
    let applications = card.get("chip").and_then(|c| c.get("applications")).and_then(Value::as_array);
    for application in applications.into_iter().flatten() {
        render_application(application, masking, &mut out).at("chip.applications")?;
    }
    if let Some(stripe) = card.get("magstripe").and_then(Value::as_object) {
        line(0, "Magnetic stripe", &mut out);
        for (name, value) in stripe {
            if let Some(track) = value.as_str() {
                line(1, &format!("{name}: {}", track_text(track, masking)), &mut out);
            }
        }
    }
    for (member, title) in
        [("print", "Print"), ("carrier", "Carrier"), ("packaging", "Packaging"), ("shipment", "Shipment")]
    {
        if let Some(value) = card.get(member).filter(|v| !v.is_null()) {
            line(0, title, &mut out);
            push_member(value, masking, 1, &mut out);
        }
    }
    Ok(out)
}

fn text_of<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(n)) => n.to_string(),
        Some(Value::Bool(b)) => b.to_string(),
        _ => "-".to_owned(),
    }
}

fn render_application(application: &Value, masking: Masking, out: &mut String) -> Result<()> {
    let object = application.as_object().ok_or(ErrorKind::Format("a list of objects"))?;
    let aid = text_of(object, "aid").ok_or(ErrorKind::Missing("aid"))?;
    let interfaces: Vec<_> = object
        .get("interfaces")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    line(0, &format!("Application {aid} {}({})", aid_words(aid), interfaces.join(", ")), out);
    let dgis = object.get("dgis").and_then(Value::as_array).ok_or(ErrorKind::Missing("dgis"))?;
    for dgi in dgis {
        render_card_dgi(dgi, masking, out)?;
    }
    if let Some(steps) = object.get("script").and_then(Value::as_array) {
        line(1, &format!("Script, {} steps", steps.len()), out);
        for step in steps {
            line(2, &step_words(step, masking), out);
        }
    }
    Ok(())
}

fn aid_words(aid: &str) -> String {
    let bytes = from_hex(aid).unwrap_or_default();
    let printable = !bytes.is_empty() && bytes.iter().all(|b| (0x20..0x7F).contains(b));
    if printable { format!("\"{}\" ", String::from_utf8_lossy(&bytes)) } else { String::new() }
}

fn render_card_dgi(dgi: &Value, masking: Masking, out: &mut String) -> Result<()> {
    let object = dgi.as_object().ok_or(ErrorKind::Format("a list of objects")).at("dgis")?;
    let tag: DgiTag = text_of(object, "dgi").ok_or(ErrorKind::Missing("dgi"))?.parse()?;
    let place = || format!("DGI {tag}");
    let value = text_of(object, "value").ok_or(ErrorKind::Missing("value")).at_with(place)?;
    let bytes = from_hex(value).at_with(place)?;
    match text_of(object, "protection") {
        Some("none") => push_clear(tag, &bytes, masking, 1, out),
        Some("transport") => {
            let (name, _) = names::describe(tag);
            line(1, &format!("DGI {tag} {name} ({} bytes under the transport key)", bytes.len()), out);
        }
        _ => return Err(Error::new(ErrorKind::Unknown("this protection")).at(place())),
    }
    Ok(())
}

fn step_words(step: &Value, masking: Masking) -> String {
    if let Some(data) = step.get("storeData").and_then(Value::as_object) {
        let dgis: Vec<_> = data
            .get("dgis")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        return format!(
            "STORE DATA P1 {} P2 {}: {}, first from the transport key to the session key",
            plain(data.get("p1")),
            plain(data.get("p2")),
            dgis.join(" ")
        );
    }
    let Some(apdu) = step.get("apdu").and_then(Value::as_str).and_then(|t| from_hex(t).ok()) else {
        return "a step that cannot be read".to_owned();
    };
    let words = match *apdu.as_slice() {
        [0x00, 0xA4, 0x04, 0x00, lc, ref rest @ ..] => {
            return format!("SELECT {}", hex_upper(rest.get(..usize::from(lc)).unwrap_or(rest)));
        }
        [0x80, 0xE2, p1, p2, ..] => format!("STORE DATA P1 {p1:02X} P2 {p2:02X}"),
        _ => "command".to_owned(),
    };
    if masking == Masking::Unmasked {
        format!("{words}: {}", hex_upper(&apdu))
    } else {
        format!("{words}, {} bytes", apdu.len().saturating_sub(5))
    }
}

/// A track in JSON form: PAN masked, the rest hidden.
fn track_text(track: &str, masking: Masking) -> String {
    if masking == Masking::Unmasked {
        return track.to_owned();
    }
    let (start, rest) = track.strip_prefix('B').map_or(("", track), |rest| ("B", rest));
    match rest.split_once(['^', '=', 'D']) {
        Some((pan, after)) if pan.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{start}{} and {} characters hidden", mask_digits(pan), after.chars().count())
        }
        _ => format!("({} characters hidden)", track.chars().count()),
    }
}

/// Members whose values say nothing of a person or a card.
const OPEN_MEMBERS: [&str; 9] =
    ["type", "expiry", "id", "reference", "priority", "deliveryMode", "language", "country", "service"];

fn push_member(value: &Value, masking: Masking, depth: usize, out: &mut String) {
    let below = depth.saturating_add(1);
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                push_named(name, value, masking, depth, out);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                line(depth, &format!("[{i}]"), out);
                push_member(item, masking, below, out);
            }
        }
        other => line(depth, &shown_text("", other, masking), out),
    }
}

fn push_named(name: &str, value: &Value, masking: Masking, depth: usize, out: &mut String) {
    match value {
        Value::Null => {}
        Value::Object(_) | Value::Array(_) => {
            line(depth, name, out);
            push_member(value, masking, depth.saturating_add(1), out);
        }
        leaf => line(depth, &format!("{name}: {}", shown_text(name, leaf, masking)), out),
    }
}

fn shown_text(name: &str, leaf: &Value, masking: Masking) -> String {
    let text = plain(Some(leaf));
    if masking == Masking::Unmasked || OPEN_MEMBERS.contains(&name) {
        return text;
    }
    let digits: String = text.chars().filter(|c| *c != ' ').collect();
    if name == "pan" && digits.bytes().all(|b| b.is_ascii_digit()) {
        return mask_digits(&digits);
    }
    format!("({} characters hidden)", text.chars().count())
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;

//! The chip of a card as one line of JSON: the shape that CPS records, scripts and DGI lines are read into.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::chip_text::{CardReader, mode, mode_name, tag};
use crate::bytes::hex_upper;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::output::reader::{head, upper_hex};
use crate::perso::Protection;
use crate::perso::record::ChipCard;

/// Value of the member `format` of a chip line.
pub const CHIP_FORMAT: &str = "emv-dataprep/chip/1";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Card {
    format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    masked_pan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport_key: Option<Key>,
    applications: Vec<Application>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kcv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    aid: String,
    dgis: Vec<Dgi>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dgi {
    dgi: String,
    value: Wiped,
    protection: String,
}

/// Hexadecimal that is wiped when it goes.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Wiped(String);

impl Drop for Wiped {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// The line of a card, without its end.
#[must_use]
pub fn write(card: &ChipCard) -> Zeroizing<Vec<u8>> {
    let key = card.transport.as_ref().map(|key| Key {
        index: key.index.map(|i| i.to_string()),
        kcv: key.kcv.clone(),
        algorithm: key.algorithm.map(|a| a.name().to_owned()),
        mode: key.mode.map(|m| mode_name(m).to_owned()),
        wrapped: key.wrapped.clone(),
    });
    let dgi = |d: &crate::perso::ProtectedDgi| Dgi {
        dgi: d.tag.to_string(),
        value: Wiped(hex_upper(&d.value)),
        protection: d.protection.name().to_owned(),
    };
    let applications = card
        .applications
        .iter()
        .map(|a| Application { aid: a.aid.to_string(), dgis: a.dgis.dgis().iter().map(dgi).collect() });
    let line = Card {
        format: CHIP_FORMAT.to_owned(),
        card_id: card.reference.clone(),
        position: card.position,
        masked_pan: card.masked_pan.clone(),
        transport_key: key,
        applications: applications.collect(),
    };
    let values = card.applications.iter().flat_map(|a| a.dgis.dgis());
    let room: usize = values.map(|d| d.value.len().saturating_mul(2).saturating_add(64)).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(room.saturating_add(1024)));
    let written = serde_json::to_writer(&mut *out, &line);
    debug_assert!(written.is_ok(), "a chip line is always JSON");
    out
}

/// Reads one line.
///
/// # Errors
/// [`ErrorKind::Format`] for text that is no such object, [`ErrorKind::Unknown`] for another format, and with the
/// member as their place those of the values.
///
/// ```
/// use emv_dataprep::output::formats::chip_json;
/// let text = r#"{"format":"emv-dataprep/chip/1","cardId":"c-1","applications":[{"aid":"A0000000031010","dgis":[
///   {"dgi":"9010","value":"0303","protection":"none"}]}]}"#;
/// let card = chip_json::read(text)?;
/// assert_eq!(chip_json::read(std::str::from_utf8(&chip_json::write(&card)).unwrap())?, card);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn read(text: &str) -> Result<ChipCard> {
    head::check(text, CHIP_FORMAT)?;
    let line: Card = serde_json::from_str(text)
        .map_err(|e| Error::new(ErrorKind::Format("a chip line")).at(format!("column {}", e.column())))?;
    let mut card = CardReader::default();
    let mut head = |word: &str, value: Option<String>| match value {
        Some(value) => card.head(word, &value).map(|_| ()).at_with(|| word.to_owned()),
        None => Ok(()),
    };
    head("reference", line.card_id)?;
    head("position", line.position.map(|p| p.to_string()))?;
    head("pan", line.masked_pan)?;
    if let Some(key) = line.transport_key {
        head("transport-key", Some(String::new()))?;
        head("transport-key-index", key.index)?;
        head("transport-key-algorithm", key.algorithm)?;
        head("transport-key-kcv", key.kcv)?;
        head("transport-key-wrapped", key.wrapped)?;
        if let Some(name) = &key.mode {
            mode(name).at("transport-key-mode")?;
        }
        head("transport-key-mode", key.mode)?;
    }
    for (application, i) in line.applications.into_iter().zip(0_usize..) {
        let place = || format!("applications[{i}]");
        card.application(&application.aid).at("aid").at_with(place)?;
        for (dgi, n) in application.dgis.into_iter().zip(0_usize..) {
            let here = || format!("applications[{i}].dgis[{n}]");
            let tag = tag(&dgi.dgi).at("dgi").at_with(here)?;
            let value = upper_hex(&dgi.value.0).at("value").at_with(here)?;
            let known = [Protection::None, Protection::Transport];
            let protection = known.into_iter().find(|p| p.name() == dgi.protection);
            let protection = protection.ok_or(ErrorKind::Unknown("this protection")).at_with(here)?;
            card.dgi(tag, value, protection).at_with(here)?;
        }
    }
    card.finish()
}

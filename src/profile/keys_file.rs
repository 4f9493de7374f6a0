//! `keys.toml`: key blocks by use and index. Only names, attributes and sealed blocks: no key is opened here.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::finding::Source;
use super::keys_edit::KeyLine;
use crate::card::CardDate;
use crate::keys::{CvvKind, Kcv, KcvMethod, KeyAttributes, KeyEntry, KeyIndex, KeyRef, KeyUse};

/// Days of a key, as `keys.toml` says them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyDates {
    /// When it was loaded.
    pub loaded: Option<CardDate>,
    /// The last day on which it serves new cards: the end of its cryptoperiod.
    pub expires: Option<CardDate>,
    /// The first day on which it does not serve new cards any more.
    pub retired: Option<CardDate>,
}

/// Whether a key serves new cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Active,
    /// Its cryptoperiod is over.
    Expired,
    /// It was retired.
    Retired,
}

impl KeyDates {
    /// What a key is on this day.
    #[must_use]
    pub fn state(self, today: CardDate) -> KeyState {
        if self.retired.is_some_and(|from| from <= today) {
            KeyState::Retired
        } else if self.expires.is_some_and(|last| last < today) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}

/// Whether keys of a use have an end that this program keeps. A `pool` or `ledger` key is needed as long as what it
/// made: a pool key of a higher index takes over, a ledger has one key.
pub(super) const fn may_end(usage: KeyUse) -> bool {
    !matches!(usage, KeyUse::Pool | KeyUse::Ledger)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    #[serde(default, rename = "key")]
    keys: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "use")]
    usage: Spanned<String>,
    index: Spanned<String>,
    block: Spanned<String>,
    kcv: Spanned<String>,
    kcv_method: Spanned<String>,
    #[serde(rename = "for")]
    only: Option<Spanned<String>>,
    pvki: Option<Spanned<u8>>,
    dki: Option<Spanned<String>>,
    loaded: Option<Spanned<String>>,
    expires: Option<Spanned<String>>,
    retired: Option<Spanned<String>>,
    #[serde(default)]
    note: String,
}

/// Reads `keys.toml`.
pub(super) fn read(source: &mut Source<'_>) -> Vec<KeyLine> {
    let Some(file) = source.parse::<File>() else { return Vec::new() };
    source.check_version(&file.version);
    let mut entries = BTreeMap::new();
    for raw in &file.keys {
        if let Some(entry) = one(source, raw)
            && entries.insert(entry.entry.key, entry).is_some()
        {
            source.error(raw.span().start, "duplicate-key", "this use and index stand twice");
        }
    }
    entries.into_values().collect()
}

fn one(source: &mut Source<'_>, raw: &Spanned<Entry>) -> Option<KeyLine> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let usage: Option<KeyUse> = source.value("use", &raw.usage);
    let index: Option<KeyIndex> = source.value("index", &raw.index);
    let kcv_method: Option<KcvMethod> = source.value("kcv_method", &raw.kcv_method);
    let only = match &raw.only {
        None => None,
        Some(text) => match text.get_ref().as_str() {
            "cvv1" => Some(CvvKind::Cvv1),
            "icvv" => Some(CvvKind::Icvv),
            "cvv2" => Some(CvvKind::Cvv2),
            _ => {
                source.error(text.span().start, "value", "for: cvv1, icvv or cvv2 is expected");
                return None;
            }
        },
    };
    let usage = usage?;
    if let Some(text) = &raw.only
        && usage != KeyUse::Cvk
    {
        source.error(text.span().start, "member", "for belongs to a cvk key");
    }
    let dki = match &raw.dki {
        None => None,
        Some(text) => Some(source.value::<KeyIndex>("dki", text)?.0),
    };
    if let Some(text) = &raw.dki
        && usage != KeyUse::ImkAc
    {
        source.error(text.span().start, "member", "dki belongs to an imk-ac key");
    }
    match (&raw.pvki, usage) {
        (None, KeyUse::Pvk) => source.error(at, "member", "a pvk key needs pvki, one digit"),
        (Some(pvki), KeyUse::Pvk) if *pvki.get_ref() > 9 => {
            source.error(pvki.span().start, "value", "pvki is one digit");
        }
        (Some(pvki), other) if other != KeyUse::Pvk => {
            source.error(pvki.span().start, "member", "pvki belongs to a pvk key");
        }
        _ => {}
    }
    let kcv: Kcv = source.value("kcv", &raw.kcv)?;
    if kcv.bytes().len() < 3 {
        source.error(raw.kcv.span().start, "value", "kcv: three bytes or more");
    }
    let entry = KeyEntry {
        key: KeyRef { usage, index: index?, only },
        block: raw.block.get_ref().clone(),
        kcv,
        kcv_method: kcv_method?,
        attributes: KeyAttributes { dki, pvki: raw.pvki.as_ref().map(|p| *p.get_ref()) },
    };
    Some(KeyLine {
        entry,
        dates: dates(source, raw, usage),
        note: raw.note.clone(),
        line: source.line_of(at),
        index_end: raw.index.span().end,
        block_at: raw.block.span(),
    })
}

fn dates(source: &mut Source<'_>, raw: &Entry, usage: KeyUse) -> KeyDates {
    let mut day = |name: &str, text: &Option<Spanned<String>>| {
        let text = text.as_ref()?;
        let at = text.span().start;
        if name != "loaded" && !may_end(usage) {
            source.error(at, "member", format!("{name} does not belong to a {usage} key"));
        }
        let day = CardDate::from_iso(text.get_ref());
        day.map_err(|e| source.error(at, "value", format!("{name}: {e}"))).ok()
    };
    KeyDates {
        loaded: day("loaded", &raw.loaded),
        expires: day("expires", &raw.expires),
        retired: day("retired", &raw.retired),
    }
}

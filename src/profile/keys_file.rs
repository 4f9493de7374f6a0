//! `keys.toml`: key blocks by use and index. Only names, attributes and sealed blocks: no key is opened here.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::finding::Source;
use crate::keys::{CvvKind, Kcv, KcvMethod, KeyAttributes, KeyEntry, KeyIndex, KeyRef, KeyUse};

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
    #[serde(default)]
    #[allow(dead_code, reason = "a remark for people")]
    note: String,
}

/// Reads `keys.toml`.
pub(super) fn read(source: &mut Source<'_>) -> Vec<KeyEntry> {
    let Some(file) = source.parse::<File>() else { return Vec::new() };
    source.check_version(&file.version);
    let mut entries = BTreeMap::new();
    for raw in &file.keys {
        if let Some(entry) = one(source, raw)
            && entries.insert(entry.key, entry).is_some()
        {
            source.error(raw.span().start, "duplicate-key", "this use and index stand twice");
        }
    }
    entries.into_values().collect()
}

fn one(source: &mut Source<'_>, raw: &Spanned<Entry>) -> Option<KeyEntry> {
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
    Some(KeyEntry {
        key: KeyRef { usage, index: index?, only },
        block: raw.block.get_ref().clone(),
        kcv,
        kcv_method: kcv_method?,
        attributes: KeyAttributes { dki, pvki: raw.pvki.as_ref().map(|p| *p.get_ref()) },
    })
}

//! Changes to the text of `keys.toml`: everything else in it stays as people wrote it.

use std::collections::BTreeMap;

use super::finding::{Finding, Source};
use super::keys_file::{self, KeyDates};
use crate::card::CardDate;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{CvvKind, KeyEntry, KeyRef};

/// One key of `keys.toml`, with what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    /// The key.
    pub entry: KeyEntry,
    /// Its dates.
    pub dates: KeyDates,
    /// The remark for people.
    pub note: String,
    /// 1-based line of its entry.
    pub line: usize,
    /// Where the text of its index ends, and where its block stands with its quotes.
    pub(super) index_end: usize,
    pub(super) block_at: std::ops::Range<usize>,
}

/// `keys.toml`, read, with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysFile {
    text: String,
    keys: Vec<KeyLine>,
}

impl KeysFile {
    /// Reads the file.
    ///
    /// # Errors
    /// Every finding.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let keys = Source::new("keys.toml", bytes, &mut findings).map(|mut s| keys_file::read(&mut s));
        match (keys, std::str::from_utf8(bytes)) {
            (Some(keys), Ok(text)) if findings.is_empty() => Ok(Self { text: text.to_owned(), keys }),
            _ => Err(findings),
        }
    }

    /// Every key, by name.
    #[must_use]
    pub fn keys(&self) -> &[KeyLine] {
        &self.keys
    }

    /// The key of exactly this name.
    #[must_use]
    pub fn find(&self, key: KeyRef) -> Option<&KeyLine> {
        self.keys.iter().find(|k| k.entry.key == key)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file with one more key at its end.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] for a name that is there; [`ErrorKind::Value`] when the file would not read as it should.
    pub fn with_key(&self, entry: &KeyEntry, dates: KeyDates, note: &str) -> Result<Self> {
        if self.find(entry.key).is_some() {
            return Err(ErrorKind::Duplicate("this use and index").into());
        }
        let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let changed = Self::again(format!("{}{end}{}", self.text, entry_text(entry, dates, note)))?;
        let others = changed.keys.iter().filter(|k| k.entry.key != entry.key).map(KeyLine::facts);
        let same = others.eq(self.keys.iter().map(KeyLine::facts));
        match changed.find(entry.key) {
            Some(found) if same && found.facts() == (entry, dates, note) => Ok(changed),
            _ => Err(not_as_meant()),
        }
    }

    /// The file with a day from which a key serves no new card.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnknown`]; [`ErrorKind::Duplicate`] for a key that has such a day;
    /// [`ErrorKind::Value`] when its entry is not written line by line.
    pub fn with_retired(&self, key: KeyRef, from: CardDate) -> Result<Self> {
        let line = self.find(key).ok_or(ErrorKind::KeyUnknown)?;
        if line.dates.retired.is_some() {
            return Err(ErrorKind::Duplicate("retired").into());
        }
        let (before, after) = self.text.split_at_checked(line.index_end).ok_or_else(not_as_meant)?;
        let rest_of_line = after.split('\n').next().unwrap_or_default();
        if !rest_of_line.trim_start().starts_with('#') && !rest_of_line.trim().is_empty() {
            return Err(not_as_meant());
        }
        let (rest_of_line, after) = after.split_at_checked(rest_of_line.len()).ok_or_else(not_as_meant)?;
        let changed = Self::again(format!("{before}{rest_of_line}\nretired = \"{}\"{after}", from.iso()))?;
        let dates = |k: &KeyLine| {
            if k.entry.key == key { KeyDates { retired: Some(from), ..k.dates } } else { k.dates }
        };
        let meant = self.keys.iter().map(|k| (&k.entry, dates(k), k.note.as_str()));
        if meant.eq(changed.keys.iter().map(KeyLine::facts)) { Ok(changed) } else { Err(not_as_meant()) }
    }

    /// The file with other key blocks for all of its keys.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnknown`] for a key without a new block; [`ErrorKind::Value`] when the file would not read as it
    /// should.
    pub fn with_blocks(&self, blocks: &BTreeMap<KeyRef, String>) -> Result<Self> {
        let mut places: Vec<(&std::ops::Range<usize>, &String)> = Vec::new();
        for key in &self.keys {
            places.push((&key.block_at, blocks.get(&key.entry.key).ok_or(ErrorKind::KeyUnknown)?));
        }
        // From the end, so that places before a change stay where they are.
        places.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
        let mut text = self.text.clone();
        for (at, block) in places {
            if text.get(at.clone()).is_none() {
                return Err(not_as_meant());
            }
            text.replace_range(at.clone(), &format!("\"{block}\""));
        }
        let changed = Self::again(text)?;
        let as_meant = |(old, new): (&KeyLine, &KeyLine)| {
            let meant =
                blocks.get(&old.entry.key).map(|b| KeyEntry { block: b.clone(), ..old.entry.clone() });
            meant.as_ref() == Some(&new.entry) && old.dates == new.dates && old.note == new.note
        };
        let same = self.keys.len() == changed.keys.len() && self.keys.iter().zip(&changed.keys).all(as_meant);
        if same { Ok(changed) } else { Err(not_as_meant()) }
    }

    fn again(text: String) -> Result<Self> {
        Self::read(text.as_bytes()).map_err(|_| not_as_meant())
    }
}

impl KeyLine {
    fn facts(&self) -> (&KeyEntry, KeyDates, &str) {
        (&self.entry, self.dates, &self.note)
    }
}

fn not_as_meant() -> Error {
    ErrorKind::Value(
        "keys.toml cannot be changed by program: write each key as a [[key]] table, line by line",
    )
    .into()
}

/// The text of an entry, an empty line before it.
#[must_use]
pub fn entry_text(entry: &KeyEntry, dates: KeyDates, note: &str) -> String {
    let mut out = format!("\n[[key]]\nuse = \"{}\"\nindex = \"{}\"\n", entry.key.usage, entry.key.index);
    let mut add = |name: &str, value: String| out.push_str(&format!("{name} = {value}\n"));
    if let Some(only) = entry.key.only {
        add("for", format!("\"{}\"", cvv_word(only)));
    }
    if let Some(pvki) = entry.attributes.pvki {
        add("pvki", pvki.to_string());
    }
    if let Some(dki) = entry.attributes.dki {
        add("dki", format!("\"{dki:02X}\""));
    }
    add("block", format!("\"{}\"", entry.block));
    add("kcv", format!("\"{}\"", entry.kcv));
    add("kcv_method", format!("\"{}\"", entry.kcv_method));
    for (name, day) in [("loaded", dates.loaded), ("expires", dates.expires), ("retired", dates.retired)] {
        if let Some(day) = day {
            add(name, format!("\"{}\"", day.iso()));
        }
    }
    if !note.is_empty() {
        add("note", toml::Value::String(note.to_owned()).to_string());
    }
    out
}

/// The word of `for`.
#[must_use]
pub const fn cvv_word(only: CvvKind) -> &'static str {
    match only {
        CvvKind::Cvv1 => "cvv1",
        CvvKind::Icvv => "icvv",
        CvvKind::Cvv2 => "cvv2",
    }
}

#[cfg(test)]
#[path = "keys_edit_tests.rs"]
mod tests;

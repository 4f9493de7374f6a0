use super::*;
use crate::keys::{KcvMethod, KeyAttributes, KeyIndex, KeyUse};

const FILE: &str = "# Keys of the bank.\nversion = 1\n\n[[key]] # the first\nuse = \"cvk\"\nindex = \"01\" # D1's\nblock = \"D0\"\nkcv = \"08D7B4\"\nkcv_method = \"tdes\"\nnote = \"CVV # 1\"\n\n[[key]]\nkcv_method = \"tdes\"\nblock   = 'E0'\nuse = \"pvk\"\npvki = 3\nindex = \"0A\"\nkcv = \"08D7B4\"\n# the end";

fn day(text: &str) -> CardDate {
    CardDate::from_iso(text).unwrap()
}

fn entry(usage: KeyUse, index: u8) -> KeyEntry {
    KeyEntry {
        key: KeyRef::new(usage, KeyIndex(index)),
        block: "D1".to_owned(),
        kcv: "08D7B4".parse().unwrap(),
        kcv_method: KcvMethod::Tdes,
        attributes: KeyAttributes::default(),
    }
}

fn file(text: &str) -> KeysFile {
    KeysFile::read(text.as_bytes()).unwrap()
}

#[test]
fn a_key_is_added_at_the_end_and_nothing_else_changes() {
    let before = file(FILE);
    assert_eq!(before.keys().len(), 2);
    let mut new = entry(KeyUse::ImkAc, 7);
    new.attributes.dki = Some(0x0B);
    let dates = KeyDates { loaded: Some(day("2026-03-01")), expires: Some(day("2029-12-31")), retired: None };
    let note = "a \"quoted\" remark\\";
    let after = before.with_key(&new, dates, note).unwrap();
    let added = after.text().strip_prefix(FILE).unwrap();
    assert!(added.contains("dki = \"0B\"\n") && added.contains("expires = \"2029-12-31\"\n"), "{added}");
    let found = after.find(new.key).unwrap();
    assert_eq!((&found.entry, found.dates, found.note.as_str()), (&new, dates, note));
    // Only once.
    assert!(matches!(after.with_key(&new, dates, "").unwrap_err().kind(), ErrorKind::Duplicate(_)));
    let only = KeyEntry { key: KeyRef::cvk(KeyIndex(1), CvvKind::Icvv), ..entry(KeyUse::Cvk, 1) };
    let again = after.with_key(&only, KeyDates::default(), "").unwrap();
    assert!(again.text().ends_with(
        "index = \"01\"\nfor = \"icvv\"\nblock = \"D1\"\nkcv = \"08D7B4\"\nkcv_method = \"tdes\"\n"
    ));
}

#[test]
fn a_day_is_added_to_one_key() {
    let (cvk, pvk) = (KeyRef::new(KeyUse::Cvk, KeyIndex(1)), KeyRef::new(KeyUse::Pvk, KeyIndex(10)));
    let from = day("2027-01-01");
    let once = file(FILE).with_retired(cvk, from).unwrap();
    assert_eq!(once.text(), FILE.replace("# D1's\n", "# D1's\nretired = \"2027-01-01\"\n"));
    let twice = once.with_retired(pvk, from).unwrap();
    assert_eq!(
        twice.text(),
        once.text().replace("index = \"0A\"\n", "index = \"0A\"\nretired = \"2027-01-01\"\n")
    );
    assert!(twice.with_retired(pvk, from).is_err());
    let unknown = file(FILE).with_retired(KeyRef::new(KeyUse::Pvk, KeyIndex(1)), from).unwrap_err();
    assert_eq!(unknown.kind(), &ErrorKind::KeyUnknown);
}

#[test]
fn blocks_change_in_their_places() {
    let before = file(FILE);
    let blocks: BTreeMap<KeyRef, String> =
        before.keys().iter().map(|k| (k.entry.key, format!("NEW-{}", k.entry.key.index))).collect();
    let after = before.with_blocks(&blocks).unwrap();
    assert_eq!(after.text(), FILE.replace("\"D0\"", "\"NEW-01\"").replace("'E0'", "\"NEW-0A\""));
    let mut one_missing = blocks;
    one_missing.pop_first();
    assert!(before.with_blocks(&one_missing).is_err());
}

#[test]
fn what_cannot_be_changed_line_by_line_is_refused_whole() {
    let inline = "version = 1\nkey = [{use=\"cvk\", index=\"01\", block=\"D0\", kcv=\"08D7B4\", kcv_method=\"tdes\"}]\n";
    let before = file(inline);
    assert!(before.with_key(&entry(KeyUse::Pin, 1), KeyDates::default(), "").is_err());
    assert!(before.with_retired(KeyRef::new(KeyUse::Cvk, KeyIndex(1)), day("2027-01-01")).is_err());
    assert!(KeysFile::read(b"version = 1\nnonsense = 2\n").is_err());
    assert!(KeysFile::read(b"version = 1\nnote = \"\xFF\"\n").is_err());
}

#[test]
fn the_days_on_which_a_key_serves() {
    let dates = KeyDates { loaded: None, expires: Some(day("2026-06-30")), retired: Some(day("2026-03-01")) };
    let serves = |dates: KeyDates, on: &str| dates.state(day(on)) == super::keys_file::KeyState::Active;
    assert!(serves(dates, "2026-02-28") && !serves(dates, "2026-03-01"));
    let dates = KeyDates { retired: None, ..dates };
    assert!(serves(dates, "2026-06-30") && !serves(dates, "2026-07-01"));
    assert!(serves(KeyDates::default(), "2099-12-31"));
}

//! `dataprep convert` from the command line: every format and back, sealed again, and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)] // a test

mod cli_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use cli_support::{dataprep, demo, expect, ran, text};
use emv_dataprep::output::CardLine;
use emv_dataprep::output::formats::{apdu, chip_json, dgi_lines};

/// Sealed cards of the destination whose transport key is static.
fn sealed() -> PathBuf {
    demo().path("out/prepared/CENTRAL/PC1/cards-000000.jwe")
}

fn convert(file: &Path, to: &str, more: &[&str]) -> Command {
    let mut command = dataprep();
    command.arg("convert").arg(file).args(["--to", to]).args(more);
    command
}

fn open_with(mut command: Command, key: &str) -> Command {
    command.arg("--key").arg(demo().path(key));
    command
}

fn with_issuer(mut command: Command) -> Command {
    command.arg("--issuer").arg(demo().path("issuer"));
    command
}

const PC1: &str = "secrets/PC1.jwk";

#[test]
fn every_format_leads_back_to_the_chip() {
    let lines = expect(0, &mut open_with(convert(&sealed(), "json", &[]), PC1));
    let mut open = dataprep();
    open.arg("open").arg(sealed()).arg("--key").arg(demo().path(PC1));
    assert!(lines == expect(0, &mut open), "json is what open gives");
    let cards: Vec<CardLine> = text(&lines).lines().map(|l| CardLine::read(l).unwrap()).collect();
    assert!(cards.len() > 100);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let clear = file("cards.jsonl", &lines);
    let chip = expect(0, &mut convert(&clear, "chip", &[]));
    let chips: Vec<_> = text(&chip).lines().map(|l| chip_json::read(l).unwrap()).collect();
    assert!(chips == cards.iter().map(CardLine::chip).collect::<Vec<_>>());
    let dgi = expect(0, &mut convert(&clear, "dgi", &[]));
    assert!(dgi_lines::read(&text(&dgi)).unwrap() == chips);
    let script = expect(0, &mut convert(&clear, "apdu", &[]));
    for (read, card) in apdu::read(&text(&script)).unwrap().iter().zip(&cards) {
        let scripts = card.applications.iter().map(|a| a.script.clone().unwrap());
        assert!(read.scripts == scripts.collect::<Vec<_>>() && read.card == card.chip());
    }
    let cps = expect(0, &mut with_issuer(convert(&clear, "cps:emboss-line", &[])));
    assert!(cps.starts_with(b"EMV00"));
    for (name, bytes, from) in [("a", &dgi, "dgi"), ("b", &script, "apdu"), ("c", &chip, "chip")] {
        let path = file(name, bytes);
        for (to, expected) in [("chip", &chip), ("dgi", &dgi)] {
            assert!(expect(0, &mut convert(&path, to, &["--from", from])) == *expected, "{from} to {to}");
        }
        let again = expect(0, &mut with_issuer(convert(&path, "cps:emboss-line", &["--from", from])));
        assert!(again == cps, "{from} to cps");
    }
    let path = file("cards.cps", &cps);
    let back = expect(0, &mut with_issuer(convert(&path, "chip", &["--from", "cps:emboss-line"])));
    for (line, chip) in text(&back).lines().zip(&chips) {
        let read = chip_json::read(line).unwrap();
        assert!(read.applications == chip.applications && read.reference == chip.reference);
    }
    // The default settings are other ones.
    assert_eq!(ran(&mut convert(&path, "chip", &["--from", "cps"])).0, 1);
    assert!(expect(0, &mut convert(&clear, "cps", &[])).starts_with(b"02.1"));
}

#[test]
fn a_machine_record_is_sealed_for_the_destination_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("cards-000000.jwe");
    let to_template =
        |more: &[&str]| with_issuer(open_with(convert(&sealed(), "template:emboss-line", more), PC1));
    expect(0, &mut to_template(&["--out", out.to_str().unwrap()]));
    let bytes = std::fs::read(&out).unwrap();
    assert!(bytes.is_ascii() && bytes.iter().filter(|b| **b == b'.').count() == 4, "one compact JWE");
    let mut open = dataprep();
    open.arg("open").arg(&out).arg("--key").arg(demo().path(PC1));
    let records = expect(0, &mut open);
    assert!(records.starts_with(b"H1PC1 "));
    let from = &["--from", "template:emboss-line"];
    let fields = expect(0, &mut with_issuer(open_with(convert(&out, "fields", from), PC1)));
    let lines = text(&expect(0, &mut open_with(convert(&sealed(), "json", &[]), PC1)));
    let fields: Vec<serde_json::Value> =
        text(&fields).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((&fields[0]["record"], fields.len()), (&"header".into(), lines.lines().count() + 2));
    for (line, fields) in lines.lines().zip(&fields[1..]) {
        let card = CardLine::read(line).unwrap();
        assert_eq!(fields["fields"]["card"], card.card_id.as_str());
        assert!(fields["fields"]["track-2"] == card.magstripe.track2.as_ref().unwrap().expose(), "track 2");
    }
    // A file that is there is left alone; the wrong key opens nothing.
    assert_eq!(ran(&mut to_template(&["--out", out.to_str().unwrap()])).0, 2);
    let other = with_issuer(open_with(convert(&out, "fields", from), "secrets/PC2.jwk"));
    assert_eq!(ran(&mut { other }).0, 1);
    let plain = folder.path().join("plain");
    expect(0, &mut to_template(&["--out", plain.to_str().unwrap(), "--plain"]));
    assert!(std::fs::read(&plain).unwrap() == records);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&plain).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_record_mac_is_made_with_the_issuers_keys() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = folder.path().join("issuer");
    copy(&demo().path("issuer"), &issuer);
    copy(&demo().path("secrets"), &folder.path().join("secrets"));
    std::fs::write(issuer.join("formats/mac.toml"), "version = 1\n[cps]\nmac = \"section\"\n").unwrap();
    let run = |to: &str| {
        let mut command = open_with(convert(&sealed(), to, &[]), PC1);
        command.arg("--issuer").arg(&issuer);
        expect(0, &mut command)
    };
    std::fs::write(issuer.join("formats/none.toml"), "version = 1\n").unwrap();
    let (with, without) = (run("cps:mac"), run("cps:none"));
    let cards = text(&expect(0, &mut open_with(convert(&sealed(), "chip", &[]), PC1)));
    let applications: usize = cards.lines().map(|l| chip_json::read(l).unwrap().applications.len()).sum();
    assert_eq!(with.len(), without.len() + 24 * applications);
    assert!(with != run("cps:mac"), "a fresh MAC key each time");
    std::fs::write(issuer.join("formats/mac.toml"), "version = 1\n[cps]\nmac = \"all\"\n").unwrap();
    let check = expect(1, dataprep().arg("check").arg("--issuer").arg(&issuer).arg("--json"));
    let check: serde_json::Value = serde_json::from_slice(&check).unwrap();
    let finding = &check["findings"][0];
    assert_eq!((&finding["file"], &finding["line"]), (&"formats/mac.toml".into(), &3.into()));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let code = |command: Command| ran(&mut { command }).0;
    // Usage: formats that lead nowhere, names without an issuer, sealing without one.
    assert_eq!(code(convert(&sealed(), "xml", &[])), 2);
    assert_eq!(code(convert(&sealed(), "json", &["--from", "dgi"])), 2);
    assert_eq!(code(convert(&sealed(), "fields", &[])), 2);
    assert_eq!(code(open_with(convert(&sealed(), "cps:emboss-line", &[]), PC1)), 2);
    assert_eq!(code(convert(&sealed(), "json", &["--out", "x"])), 2);
    assert_eq!(code(with_issuer(convert(&sealed(), "json", &["--plain"]))), 2);
    // Refused: no such format, no cards, a sealed file without its key, a key that no record can carry.
    assert_eq!(code(with_issuer(open_with(convert(&sealed(), "cps:no-such", &[]), PC1))), 1);
    assert_eq!(code(convert(&sealed(), "json", &[])), 1);
    let per_block = demo().path("out/prepared/CENTRAL/PC2/cards-000000.jwe");
    let (exit, out, words) = ran(&mut open_with(convert(&per_block, "cps", &[]), "secrets/PC2.jwk"));
    assert_eq!((exit, out.len()), (1, 0));
    assert!(words.contains("a transport key made for one block"), "{words}");
    expect(0, &mut open_with(convert(&per_block, "dgi", &[]), "secrets/PC2.jwk"));
    // A changed line is refused, with its place and none of its values.
    let folder = tempfile::tempdir().unwrap();
    let lines = text(&expect(0, &mut open_with(convert(&sealed(), "json", &[]), PC1)));
    let path = folder.path().join("cards.jsonl");
    std::fs::write(&path, lines.replacen("\"protection\":\"transport\"", "\"protection\":\"other\"", 1))
        .unwrap();
    let (exit, out, words) = ran(&mut convert(&path, "dgi", &[]));
    assert_eq!((exit, out.len()), (1, 0));
    assert!(words.contains("line 1: chip.applications[0]: dgis["), "{words}");
}

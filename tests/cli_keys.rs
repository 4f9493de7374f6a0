//! `dataprep keys`: keys come in, are listed, checked, given out, retired, and put under another protection key.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;
mod keys_support;

use std::fs;

use cli_support::{NOW, SEED, dataprep, expect, ran, text};
use emv_dataprep::keys::tr31::{Exportability, Header, OptionalBlock, Usage, Version};
use emv_dataprep::keys::{KeyAlgorithm, KeyUse};
use emv_dataprep::secret::Secret;
use keys_support::{Bank, CVK, CVK_KCV, secret, unwrapped, wrapped};

fn exportable(version: Version) -> Header {
    Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, version).exportable(Exportability::Exportable)
}

#[test]
fn a_key_comes_in_is_listed_and_goes_out() {
    let bank = Bank::new();
    let kek = bank.key("transport", "02");
    let created = OptionalBlock::new("TC", "20260102030405Z").unwrap();
    let block = wrapped(&kek, &exportable(Version::D).with_block(created), &secret(CVK));
    let more = ["--expires", "2031-12-31", "--note", "from the \"scheme\"", "--operator", "A. Officer"];
    let (code, stdout, stderr) =
        bank.import(&block, &["--use", "cvk", "--index", "0A", "--kcv", CVK_KCV], &more);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.is_empty() && stderr.contains(CVK_KCV) && !stderr.contains(CVK), "{stderr}");

    let list = bank.json(&["list"]);
    let key = list["keys"].as_array().unwrap().iter().find(|k| k["index"] == "0A").unwrap();
    assert_eq!(key["use"], "cvk");
    assert_eq!((&key["kcv"], &key["kcvMethod"]), (&CVK_KCV.into(), &"tdes".into()));
    assert_eq!((&key["algorithm"], &key["state"]), (&"TDES".into(), &"active".into()));
    assert_eq!((&key["created"], &key["expires"]), (&"2026-01-02".into(), &"2031-12-31".into()));
    assert_eq!(key["note"], "from the \"scheme\"");
    let of_block =
        serde_json::json!({"version":"D","usage":"C0","mode":"C","keyVersion":"00","exportability":"E"});
    assert_eq!(key["keyBlock"], of_block);
    let table = text(&expect(0, dataprep().args(["keys", "list", "--issuer"]).arg(&bank.issuer)));
    assert!(
        table.lines().any(|l| l.starts_with("cvk") && l.contains("0A") && l.contains("D C0 C E")),
        "{table}"
    );

    // The key itself is what was wrapped, under another key now.
    assert_eq!(bank.key("cvk", "0A"), secret(CVK));
    assert!(!fs::read_to_string(bank.issuer.join("keys.toml")).unwrap().contains(CVK));
    let check = bank.json(&["check"]);
    assert_eq!((&check["errors"], &check["warnings"]), (&0.into(), &0.into()), "{check}");

    let out = expect(
        0,
        &mut bank.command(&[
            "export",
            "--use",
            "cvk",
            "--index",
            "0A",
            "--under",
            "02",
            "--operator",
            "B. Officer",
        ]),
    );
    let (header, key) = unwrapped(&kek, text(&out).trim());
    assert_eq!(key, secret(CVK));
    assert_eq!((header.exportability(), header.usage()), (Exportability::Exportable, Usage::C0));
    assert!(header.optional_blocks().iter().any(|b| b.id() == "TC"));

    let log = fs::read_to_string(bank.issuer.join("key-log/audit.jsonl")).unwrap();
    assert!(log.contains("key-imported") && log.contains("key-exported") && log.contains("B. Officer"));
    assert!(!log.contains(CVK));
    let of_log = ["audit", "verify"];
    expect(0, dataprep().args(of_log).arg(bank.issuer.join("key-log")).arg("--issuer").arg(&bank.issuer));
}

#[test]
fn what_is_not_what_it_should_be_does_not_come_in() {
    let bank = Bank::new();
    let kek = bank.key("transport", "02");
    let good = wrapped(&kek, &exportable(Version::D), &secret(CVK));
    let other = |usage: Usage| wrapped(&kek, &exportable(Version::D).with_usage(usage), &secret(CVK));
    let weak = wrapped(&kek, &exportable(Version::D), &secret("01010101010101014C37C8319D76ADAB"));
    let equal = wrapped(&kek, &exportable(Version::D), &secret("4C37C8319D76ADAB4C37C8319D76ADAB"));
    let as_imk = {
        let header = Header::for_use(KeyUse::ImkAc, KeyAlgorithm::Tdes2, Version::D);
        wrapped(&kek, &header, &bank.key("cvk", "01"))
    };
    let cvk = ["--use", "cvk", "--index", "0A", "--kcv", CVK_KCV];
    let cases: [(&str, &str, &[&str]); 11] = [
        ("another check value", &good, &["--use", "cvk", "--index", "0A", "--kcv", "08D7B4"]),
        ("a check value that is too short", &good, &["--use", "cvk", "--index", "0A", "--kcv", "0102"]),
        ("another purpose", &good, &["--use", "imk-ac", "--index", "0A", "--kcv", CVK_KCV]),
        ("another usage", &other(Usage::P0), &cvk),
        ("a name that is taken", &good, &["--use", "cvk", "--index", "01", "--kcv", CVK_KCV]),
        ("a weak part", &weak, &cvk),
        ("equal parts", &equal, &cvk),
        ("a changed header", &good.replacen("C0TC00E", "C0TC00S", 1), &cvk),
        (
            "a key of another use",
            &as_imk,
            &["--use", "imk-ac", "--index", "0A", "--kcv", &bank.kcv("cvk", "01")],
        ),
        ("a pvk key without pvki", &other(Usage::V2), &["--use", "pvk", "--index", "0A", "--kcv", CVK_KCV]),
        ("no key block", "D0112", &cvk),
    ];
    let before = bank.files();
    for (what, block, name) in cases {
        let (code, stdout, stderr) = bank.import(block, name, &[]);
        assert!(matches!(code, 1 | 2) && stdout.is_empty(), "{what}: {code} {stderr}");
        assert!(!stderr.contains(CVK), "{what}: {stderr}");
        assert_eq!(bank.files(), before, "{what}");
    }
    // A transport key that only enciphers data, and one that is not there.
    for under in ["01", "7F"] {
        let mut command = bank.command(&["import", "--under", under, "--operator", "x"]);
        let (code, _, stderr) = ran(command.args(cvk).arg(bank.block_file(&good)));
        assert_eq!(code, 1, "{under}: {stderr}");
    }
    assert_eq!(bank.import(&good, &cvk, &[]).0, 0);
}

#[test]
fn deprecated_versions_come_in_by_name_only() {
    let bank = Bank::new();
    let zmk = secret("89E8BCF7931544F3B5BD7547FC3F380C1C2C3C4C5C6C7C8D");
    let kek = bank.secret_file("zmk.hex", &zmk);
    for (version, index) in [(Version::A, "0A"), (Version::B, "0B"), (Version::C, "0C")] {
        let block = wrapped(&zmk, &exportable(version), &secret(CVK));
        let import = |more: &[&str]| {
            let mut command = bank.command(&["import", "--use", "cvk", "--index", index, "--kcv", CVK_KCV]);
            command.arg("--kek").arg(&kek).args(more).arg(bank.block_file(&block));
            ran(&mut command)
        };
        let (code, _, stderr) = import(&[]);
        assert_eq!(code, if version == Version::B { 0 } else { 1 }, "{stderr}");
        if version != Version::B {
            assert!(stderr.contains("--allow-legacy"), "{stderr}");
            assert_eq!(import(&["--allow-legacy"]).0, 0);
        }
        // It rests as version D, whatever it came as.
        assert_eq!(bank.key("cvk", index), secret(CVK));
    }
    assert_eq!(fs::read_to_string(bank.issuer.join("keys.toml")).unwrap().matches("block = \"D").count(), 33);
}

#[test]
fn a_key_goes_out_only_if_its_block_says_so_and_only_under_a_stronger_one() {
    let bank = Bank::new();
    let export = |key: &[&str], under: &str| {
        let mut command = bank.command(&["export", "--under", under]);
        ran(command.args(key))
    };
    let (code, stdout, stderr) = export(&["--use", "cvk", "--index", "01"], "02");
    assert!(code == 1 && stdout.is_empty() && stderr.contains("not exportable"), "{stderr}");
    let kek = bank.key("transport", "02");
    let aes =
        Header::for_use(KeyUse::Pin, KeyAlgorithm::Aes128, Version::D).exportable(Exportability::Sensitive);
    let block = wrapped(&kek, &aes, &secret("7C3A1E5D9B20486FA1C3E5072946B8D0"));
    let kcv = "4E8E4F3B5C";
    let (code, _, stderr) = bank.import(&block, &["--use", "pin", "--index", "0A", "--kcv", kcv], &[]);
    assert_eq!(code, 1, "{stderr}");
    let kcv = keys_support::aes_kcv(&secret("7C3A1E5D9B20486FA1C3E5072946B8D0"));
    assert_eq!(bank.import(&block, &["--use", "pin", "--index", "0A", "--kcv", &kcv], &[]).0, 0);
    assert_eq!(export(&["--use", "pin", "--index", "0A"], "02").0, 0);
    // An AES key under a TDES transport key that may wrap keys.
    let (code, stdout, stderr) = export(&["--use", "pin", "--index", "0A"], "03");
    assert!(code == 1 && stdout.is_empty() && stderr.contains("weaker"), "{stderr}");
}

#[test]
fn a_retired_key_is_as_a_key_that_is_not_there() {
    let bank = Bank::with_orders();
    let prepare = |out: &str| {
        let mut command = dataprep();
        command
            .arg("prepare")
            .arg("--issuer")
            .arg(&bank.issuer)
            .arg("--orders")
            .arg(bank.path("orders.jsonl"));
        command.arg("--out").arg(bank.path(out)).args(["--seed", SEED, "--now", NOW, "--plain"]);
        ran(&mut command)
    };
    let (code, _, stderr) = prepare("before");
    assert_eq!(code, 0, "{stderr}");
    let retire = |key: &[&str], from: &str| ran(bank.command(&["retire", "--from", from]).args(key));
    let cvk = ["--use", "cvk", "--index", "01"];
    assert_eq!(retire(&cvk, "2026-01-16").0, 0);
    assert_eq!(retire(&cvk, "2026-01-17").0, 1, "twice");
    assert_eq!(retire(&["--use", "pool", "--index", "01"], "2026-01-16").0, 1);
    assert_eq!(retire(&["--use", "cvk", "--index", "55"], "2026-01-16").0, 1);
    // The batch is of the 15th.
    let (code, _, stderr) = prepare("the-day-before");
    assert_eq!(code, 0, "{stderr}");
    let path = bank.issuer.join("keys.toml");
    let keys = fs::read_to_string(&path).unwrap();
    fs::write(&path, keys.replace("2026-01-16", "2026-01-15")).unwrap();
    assert_eq!(prepare("on-the-day").0, 3);
    let rejected = fs::read_to_string(bank.path("on-the-day/rejected.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(rejected.lines().next().unwrap()).unwrap();
    assert_eq!(line["errorCode"], "FIELD_INVALID_VALUE");
    assert_eq!(line["field"], "order.paymentApplication.cvKeyIndex");
    // What was made before is still verified with it.
    let verify = |out: &str| {
        ran(dataprep().arg("verify").arg(bank.path(out)).arg("--issuer").arg(&bank.issuer).arg("--json"))
    };
    let (code, stdout, stderr) = verify("before");
    let report: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert!(code == 0 && report["failed"] == 0, "{code} {stderr}");
    let list = bank.json(&["list"]);
    let is_retired = |k: &&serde_json::Value| k["use"] == "cvk" && k["state"] == "retired";
    assert_eq!(list["keys"].as_array().unwrap().iter().filter(is_retired).count(), 1);
    // A key that a destination needs: the batch does not start.
    assert_eq!(retire(&["--use", "transport", "--index", "01"], "2026-01-15").0, 0);
    let (code, _, stderr) = prepare("no-transport");
    assert!(code == 1 && stderr.contains("transport 01"), "{code} {stderr}");
}

#[test]
fn every_key_goes_under_another_protection_key_and_stays_what_it_is() {
    let bank = Bank::new();
    let rotate = || ran(&mut bank.command(&["rotate", "--operator", "A. Officer"]));
    assert_eq!(rotate().0, 1, "no next key");
    let next = Secret::new((0..32).map(|i| i * 7 + 3).collect());
    bank.secret_file("kbpk-2.hex", &next);
    let path = bank.issuer.join("issuer.toml");
    let old_text = fs::read_to_string(&path).unwrap();
    let line = "key_block_protection_key = \"../secrets/kbpk.hex\"\n";
    let kcv = keys_support::aes_kcv(&next);
    let both = format!(
        "{line}next = {{ key_block_protection_key = \"../secrets/kbpk-2.hex\", key_block_protection_kcv = \"{kcv}\" }}\n"
    );
    fs::write(&path, old_text.replace(line, &both)).unwrap();
    let before = fs::read_to_string(bank.issuer.join("keys.toml")).unwrap();
    let clear = bank.all_keys();
    expect(0, dataprep().args(["check", "--issuer"]).arg(&bank.issuer));
    let (code, _, stderr) = rotate();
    assert!(code == 0 && stderr.contains("30 keys"), "{stderr}");
    let after = fs::read_to_string(bank.issuer.join("keys.toml")).unwrap();
    let without_blocks = |text: &str| {
        text.lines().filter(|l| !l.starts_with("block = ")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_blocks(&before), without_blocks(&after), "only blocks change");
    assert_ne!(before, after);
    // At this point both keys are named, and everything works: a kill here loses nothing.
    expect(0, dataprep().args(["check", "--issuer"]).arg(&bank.issuer));
    let check = bank.json(&["check"]);
    assert!(check["findings"].to_string().contains("rotation"), "{check}");
    assert_eq!(rotate().0, 0, "again is fine");
    // A key that comes in now comes under the next key, too.
    let kek = clear[&("transport".to_owned(), "02".to_owned(), None)].duplicate();
    let block = wrapped(&kek, &exportable(Version::D), &secret(CVK));
    assert_eq!(bank.import(&block, &["--use", "cvk", "--index", "0A", "--kcv", CVK_KCV], &[]).0, 0);
    // The rotation ends, and the old key is gone.
    fs::write(&path, old_text.replace("kbpk.hex", "kbpk-2.hex")).unwrap();
    fs::remove_file(bank.path("secrets/kbpk.hex")).unwrap();
    let check = bank.json(&["check"]);
    assert_eq!((&check["errors"], &check["warnings"]), (&0.into(), &0.into()), "{check}");
    let mut found = bank.all_keys();
    assert_eq!(found.remove(&("cvk".to_owned(), "0A".to_owned(), None)), Some(secret(CVK)));
    assert_eq!(found, clear);
    // The old file no longer opens.
    fs::write(bank.issuer.join("keys.toml"), before).unwrap();
    expect(1, dataprep().args(["check", "--issuer"]).arg(&bank.issuer));
}

#[test]
fn a_next_key_that_is_the_same_or_weaker_is_refused() {
    let bank = Bank::new();
    let path = bank.issuer.join("issuer.toml");
    let old_text = fs::read_to_string(&path).unwrap();
    let before = bank.files();
    let weaker = bank.secret_file("weak.hex", &secret("7C3A1E5D9B20486FA1C3E5072946B8D0"));
    let weaker = weaker.to_str().unwrap();
    for (next, why) in [("../secrets/kbpk.hex", "not another key"), (weaker, "weaker")] {
        let next = format!("[secrets]\nnext = {{ key_block_protection_key = \"{next}\" }}\n");
        fs::write(&path, old_text.replace("[secrets]\n", &next)).unwrap();
        let (code, _, stderr) = ran(&mut bank.command(&["rotate"]));
        assert!(code == 1 && stderr.contains(why), "{stderr}");
    }
    fs::write(&path, old_text).unwrap();
    assert_eq!(bank.files(), before);
}

#[test]
fn check_tells_each_problem_with_its_line() {
    let bank = Bank::new();
    let path = bank.issuer.join("keys.toml");
    let good = fs::read_to_string(&path).unwrap();
    let kbpk = bank.kbpk();
    let entry = |usage: KeyUse, index: &str, key: &Secret, kcv: &str, more: &str| {
        let block = wrapped(&kbpk, &Header::for_use(usage, KeyAlgorithm::Tdes2, Version::D), key);
        format!(
            "\n[[key]]\nuse = \"{usage}\"\nindex = \"{index}\"\nblock = \"{block}\"\nkcv = \"{kcv}\"\nkcv_method = \"tdes\"\n{more}"
        )
    };
    let known = secret("0123456789ABCDEFFEDCBA9876543210");
    let cases = [
        ("key-refused", entry(KeyUse::Pin, "0A", &secret(CVK), "08D7B4", "")),
        ("key-refused", entry(KeyUse::Cvk, "0A", &secret(CVK), CVK_KCV, "").replace("\"cvk\"", "\"pin\"")),
        ("known-test-key", entry(KeyUse::Pin, "0A", &known, "08D7B4", "")),
        ("equal-keys", entry(KeyUse::Pin, "0A", &bank.key("cvk", "01"), &bank.kcv("cvk", "01"), "")),
        ("key-ends", entry(KeyUse::Pin, "0A", &secret(CVK), CVK_KCV, "expires = \"2020-01-01\"\n")),
        ("key-ends", entry(KeyUse::Pin, "0A", &secret(CVK), CVK_KCV, "retired = \"2020-01-01\"\n")),
    ];
    let line = good.lines().count() + 2;
    for (code, entry) in cases {
        fs::write(&path, format!("{good}{entry}")).unwrap();
        let check = bank.json_of(&["check"]).1;
        let found = check["findings"].as_array().unwrap();
        let told = found.iter().any(|f| f["code"] == code && f["line"] == line && f["file"] == "keys.toml");
        assert!(told, "{code} at {line}: {check}");
    }
    let twice = entry(KeyUse::Pin, "01", &secret(CVK), CVK_KCV, "");
    fs::write(&path, format!("{good}{twice}")).unwrap();
    let (code, _, stderr) = ran(&mut bank.command(&["check"]));
    assert!(code == 1 && stderr.contains("duplicate-key"), "{stderr}");
    // A method of another algorithm, and an unknown one: the value is never guessed.
    for method in ["aes-cmac", "tdes-cmac"] {
        let entry =
            entry(KeyUse::Pin, "0A", &secret(CVK), CVK_KCV, "").replace("\"tdes\"", &format!("\"{method}\""));
        fs::write(&path, format!("{good}{entry}")).unwrap();
        let (code, check) = bank.json_of(&["check"]);
        assert!(code == 1 && check["errors"] == 1, "{method}: {check}");
    }
}

#[test]
fn a_log_that_was_changed_stops_changes_and_a_file_changed_by_hand_is_told() {
    let bank = Bank::new();
    let retire = |index: &str| {
        ran(&mut bank.command(&["retire", "--use", "imk-ac", "--index", index, "--from", "2040-01-01"])).0
    };
    assert_eq!(retire("01"), 0);
    let path = bank.issuer.join("keys.toml");
    let keys = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{keys}# by hand\n")).unwrap();
    assert!(bank.json(&["check"])["findings"].to_string().contains("key-log"));
    assert_eq!(retire("02"), 0);
    assert_eq!(bank.json(&["check"])["warnings"], 0);
    let log = bank.issuer.join("key-log/audit.jsonl");
    let told = fs::read_to_string(&log).unwrap();
    fs::write(&log, told.replacen("2040-01-01", "2041-01-01", 1)).unwrap();
    assert_eq!(bank.json_of(&["check"]).0, 1);
    let before = bank.files();
    assert_eq!(retire("03"), 1);
    assert_eq!(bank.files(), before);
}

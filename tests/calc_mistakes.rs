//! `dataprep calc`: the mistake behind a value that does not match; where secrets may come from; exit codes.
//!
//! A wrong value is made by the program itself with the mistake in its arguments, so no answer is written down here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;
mod production_support;

use std::io::Write;
use std::process::Stdio;

use cli_support::{dataprep, demo, ran, text};
use production_support::Production;
use serde_json::Value;

const K: &str = "0123456789ABCDEFFEDCBA9876543210";
const SWAPPED: &str = "FEDCBA98765432100123456789ABCDEF";

fn run(words: &str) -> (i32, String, String) {
    let (code, stdout, stderr) = ran(dataprep().arg("calc").args(words.split_whitespace()));
    (code, text(&stdout), stderr)
}

fn json(words: &str) -> (i32, Value) {
    let (code, stdout, stderr) = run(&format!("{words} --json"));
    (code, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{words}\n{stderr}")))
}

/// The result `name` of the words.
fn value(words: &str, name: &str) -> String {
    let (code, answer) = json(words);
    assert_eq!(code, 0, "{words}");
    answer["results"][name].as_str().unwrap().to_owned()
}

/// What `mistaken` computes, checked by `right`, is found to be exactly the mistakes named.
fn is_found(right: &str, mistaken: &str, name: &str, mistakes: &[&str]) {
    let wrong = value(mistaken, name);
    let (code, answer) = json(&format!("{right} --check {wrong}"));
    assert_eq!(code, 3, "{right}");
    assert_eq!(answer["check"]["match"], false);
    let sets = answer["check"]["mistakes"].as_array().unwrap();
    let told = |set: &Value| {
        let set: Vec<&str> = set.as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
        set.len() == mistakes.len() && mistakes.iter().all(|m| set.iter().any(|s| s.contains(m)))
    };
    assert!(sets.iter().any(told), "{mistakes:?} of {wrong}: {sets:?}");
    // The right value matches.
    let (code, answer) = json(&format!("{right} --check {}", value(right, name)));
    assert_eq!((code, &answer["check"]["match"]), (0, &Value::Bool(true)));
}

#[test]
fn mistakes_of_card_verification_values() {
    let cvv = |key: &str, order: &str, code: &str| {
        format!(
            "cvv --test-key {key} --pan 4761739001010010 --expiry 2906 --expiry-order {order} --service-code {code}"
        )
    };
    let right = cvv(K, "yymm", "201");
    for (wrong, mistakes) in [
        (cvv(K, "mmyy", "201"), vec!["enters as MMYY"]),
        (cvv(K, "yymm", "999"), vec!["it is an iCVV"]),
        (cvv(K, "yymm", "000"), vec!["it is a CVV2"]),
        (cvv(K, "yymm", "101"), vec!["service code is 101"]),
        (cvv(SWAPPED, "yymm", "201"), vec!["K1 and K2 are swapped"]),
        (cvv("0123456789ABCDEF0123456789ABCDEF", "yymm", "201"), vec!["left half"]),
        (cvv(K, "mmyy", "000"), vec!["enters as MMYY", "it is a CVV2"]),
    ] {
        // Eight digits: no wrong reading gives them by chance.
        is_found(&format!("{right} --digits 8"), &format!("{wrong} --digits 8"), "CVV", &mistakes);
    }
    // Three digits can match by chance, and the answer says so.
    let other = value(&cvv(K, "mmyy", "201"), "CVV");
    let (code, shown, _) = run(&format!("{right} --check {other}"));
    assert_eq!(code, 3);
    assert!(
        shown.contains("enters as MMYY, not YYMM") && shown.contains("by chance once in 1000"),
        "{shown}"
    );
}

#[test]
fn mistakes_of_pins_and_keys() {
    let pvv = |key: &str, pvki: u8| {
        format!("pvv --test-key {key} --pan 4761739001010010 --pvki {pvki} --test-pin 4524")
    };
    is_found(&pvv(K, 1), &pvv(K, 3), "PVV", &["the PVKI is 3"]);
    is_found(&pvv(K, 1), &pvv(SWAPPED, 1), "PVV", &["K1 and K2 are swapped"]);
    let ibm = |more: &str| format!("pin --test-key {K} --pan 4761739001010010 --test-pin 452419 {more}");
    is_found(&ibm(""), &ibm("--pad 0"), "offset", &["then 0"]);
    is_found(&ibm("--table 8351296477461538"), &ibm(""), "offset", &["usual one"]);
    let cvc3 = |more: &str| {
        format!(
            "cvc3 --test-key {K} --pan 4761739001010010 --track 4761739001010010D29062010000000000000F --un 00000899 {more}"
        )
    };
    is_found(&cvc3("--atc 0007"), &cvc3("--atc 0008"), "CVC3", &["the ATC is 0008"]);
    let key = |more: &str| format!("icc-key --test-key {K} --pan 47617390010100101 {more}");
    is_found(&key(""), &key("--psn 01"), "ICC master key KCV", &["sequence number is 01"]);
    is_found(&key(""), &key("--derivation b"), "ICC master key KCV", &["option is B"]);
}

const TERMINAL: &str = "0000000040000000000000000124800004800001241911050152BF4585";

/// An ARQC of some version; `more` stands at the end.
fn arqc(key: &str, cvn: &str, psn: &str, more: &str) -> String {
    format!(
        "arqc --test-key {key} --cvn {cvn} --pan 47617390010100101 --psn {psn} --data {TERMINAL} --aip 1800 \
         --iad 06010A03A0601001020304050607080910 {more}"
    )
}

#[test]
fn mistakes_of_application_cryptograms() {
    const AC: &str = "application cryptogram";
    let usual = |cvn: &str| arqc(K, cvn, "00", "--atc 001C");
    let right = usual("12");
    for (wrong, mistakes) in [
        (arqc(K, "12", "01", "--atc 001C"), vec!["sequence number is 01, not 00"]),
        (arqc(K, "12", "00", "--atc 001C --derivation b"), vec!["option is B"]),
        (arqc(K, "12", "00", "--atc 001C --session mk"), vec!["the ICC master key itself"]),
        (arqc(K, "12", "00", "--atc 001C --session skd"), vec!["(SKD)"]),
        (arqc(K, "12", "00", "--atc 001C --session tree8"), vec!["tree of height 8"]),
        (arqc(K, "12", "00", "--atc 001C --padding zeros"), vec!["method 1"]),
        (arqc(SWAPPED, "12", "00", "--atc 001C"), vec!["K1 and K2 are swapped"]),
        (arqc(K, "12", "00", "--atc 001D"), vec!["the ATC is 001D"]),
        (usual("0A"), vec!["version is Visa 0A"]),
        (usual("10"), vec!["version is M/Chip 10"]),
        (usual("visa:11"), vec!["version is Visa 11"]),
        (arqc(K, "10", "02", "--atc 001C"), vec!["version is M/Chip 10", "sequence number is 02"]),
        (arqc(K, "12", "00", "--atc 001C --key-is mk"), vec!["an ICC master key, not an issuer master key"]),
        (arqc(K, "12", "00", "--atc 001C --key-is sk"), vec!["a session key, not an issuer master key"]),
        (right.replace("--aip 1800", "--aip 0000"), vec!["82 Application Interchange Profile is zeros"]),
        (
            right.replace("0124800004800001241911", "0124000000000001241911"),
            vec!["95 Terminal Verification Results is zeros"],
        ),
        (
            arqc(K, "12", "03", "--atc 001B --padding zeros"),
            vec!["sequence number is 03", "the ATC is 001B", "method 1"],
        ),
    ] {
        is_found(&right, &wrong, AC, &mistakes);
    }
    // The whole input is given: an issuer application data that was cut.
    let whole = |tail: &str| {
        format!(
            "arqc --test-key {K} --cvn 12 --pan 4761739001010010 --atc 001C --input {TERMINAL}1800001C{tail}"
        )
    };
    is_found(&whole("06010A03A06010"), &whole("06010A03"), AC, &["the last 3 bytes are left out"]);
    // The method is right, the data differ: bits of the TVR, a counter far off, another currency.
    let tvr = right.replace("0124800004800001241911", "0124800004080001241911");
    is_found(&right, &tvr, AC, &["95 Terminal Verification Results is 8000040800, not 8000048000"]);
    is_found(&right, &arqc(K, "12", "00", "--atc 01F7"), AC, &["(ATC) is 01F7, not 001C"]);
    let currency = right.replace("48000012419", "48000097819");
    is_found(&right, &currency, AC, &["5F2A Transaction Currency Code is 0978, not 0124"]);
    // Nothing that was tried: that is said too.
    let (code, shown, _) = run(&format!("{right} --check 0000000000000000"));
    assert_eq!(code, 3);
    assert!(shown.contains("No mistake that was tried gives it"), "{shown}");
}

#[test]
fn mistakes_of_response_cryptograms_and_script_macs() {
    let arpc = |cvn: &str, more: &str| {
        format!(
            "arpc --test-key {K} --pan 4761739001010010 --cvn {cvn} --arqc 29CCA15AE665FA2E --atc 001C {more}"
        )
    };
    let right = arpc("0A", "--arc 3030");
    is_found(&right, &arpc("0A", "--arc 3035"), "ARPC", &["response code is 3035"]);
    is_found(&right, &arpc("0A", "--arc 0000"), "ARPC", &["0000, binary"]);
    is_found(&right, &arpc("0A", "--arc 3030 --session csk"), "ARPC", &["common session key (TDES)"]);
    is_found(&right, &arpc("0A", "--arc 3030 --psn 01"), "ARPC", &["sequence number is 01"]);
    is_found(
        &right,
        &arpc("0A", "--csu 00820000 --session mk"),
        "ARPC",
        &["method 2 with card status update 00820000"],
    );
    let two = arpc("12", "--csu 00820000");
    is_found(&two, &arpc("12", "--csu 00008200"), "ARPC", &["reversed"]);
    is_found(&two, &arpc("12", "--csu 00820000 --session mk"), "ARPC", &["the ICC master key itself"]);
    is_found(
        &two,
        &arpc("12", "--csu 00820000 --proprietary 0000000000000000"),
        "ARPC",
        &["eight zero bytes"],
    );
    let aes = |more: &str| {
        format!("arpc --test-key {K} --pan 4761739001010010 --arqc 29CCA15AE665FA2E --atc 001C {more}")
    };
    let right = aes("--cvn A6 --csu 00820000");
    is_found(&right, &aes("--cvn A6 --csu 00008200"), "ARPC", &["reversed"]);
    is_found(&right, &aes("--cvn A6 --csu 00820000 --psn 02"), "ARPC", &["sequence number is 02"]);
    is_found(&right, &aes("--cvn A5 --csu 00820000"), "ARPC", &["common session key (TDES)"]);
    // A key of AES for a method of TDES is a contradiction, not another value.
    let (code, _, stderr) = run(&aes("--cvn 12 --csu 00820000 --derivation c"));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--derivation c"), "{stderr}");

    let script = |cvn: &str, more: &str| {
        format!(
            "script-mac --test-key {K} --pan 4761739001010010 --cvn {cvn} --ac D17B15836FAB99A2 --atc 0016 --data AB926022634A4AA1 {more}"
        )
    };
    let right = script("22", "--header 8424000210");
    is_found(&right, &script("22", "--header 8424000208"), "MAC", &["Lc counts the data alone"]);
    is_found(&right, &script("22", "--header 8424000210 --command-only"), "MAC", &["header and data alone"]);
    is_found(&right, &script("12", "--header 8424000210"), "MAC", &["Visa's secure messaging key"]);
    is_found(
        &right,
        &script("22", "--header 8424000210 --session csk"),
        "MAC",
        &["common session key (TDES)"],
    );
}

const CVV: &str = "--pan 4761739001010010 --expiry 2906 --expiry-order yymm --service-code 201";

/// A secret in a file.
fn secret(folder: &std::path::Path, secret: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(format!("secret-{mode:o}"));
    std::fs::write(&path, secret).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn secrets_come_from_files_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let want = value(&format!("cvv --test-key {K} {CVV}"), "CVV");
    let file = secret(folder.path(), K, 0o600);
    assert_eq!(value(&format!("cvv --key-file {file} {CVV}"), "CVV"), want);
    // A file that others may read is refused.
    let open = secret(folder.path(), K, 0o644);
    assert_eq!(run(&format!("cvv --key-file {open} {CVV}")).0, 1);
    let mut child = dataprep();
    child.args(["calc", "cvv", "--key-stdin", "--json"]).args(CVV.split_whitespace());
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(K.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["results"]["CVV"], want);
    let pin = secret(folder.path(), "4524\n", 0o600);
    let pvv = format!("pvv --test-key {K} --pan 4761739001010010 --pvki 1");
    assert_eq!(
        value(&format!("{pvv} --pin-file {pin}"), "PVV"),
        value(&format!("{pvv} --test-pin 4524"), "PVV")
    );
    assert_eq!(run("pvv --key-stdin --pin-stdin --pan 4761739001010010 --pvki 1").0, 2);
    // A file without an end is refused, not read.
    if std::path::Path::new("/dev/zero").exists() {
        let (code, _, stderr) = run(&format!("kcv --test-key {K} --check @/dev/zero"));
        let (other, _, _) =
            run(&format!("arqc --key-is sk --session mk --padding bit --test-key {K} --input @/dev/zero"));
        assert_eq!((code, other), (1, 1), "{stderr}");
    }
}

#[test]
fn a_key_on_the_command_line_is_refused_unless_it_is_said_to_be_a_test_key() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = folder.path().to_str().unwrap();
    for words in [
        format!("cvv {CVV}"),
        format!("cvv --key {K} {CVV}"),
        format!("cvv --issuer {issuer} {CVV}"),
        format!("cvv --issuer {issuer} --key {K} {CVV}"),
        format!("cvv {K} {CVV}"),
        format!("cvv --test-key {K} --key-stdin {CVV}"),
        format!("pvv --test-key {K} --pan 4761739001010010 --pvki 1 --pin 1234"),
        format!("pvv --test-key {K} --pan 4761739001010010 --pvki 1"),
    ] {
        let (code, stdout, _) = run(&words);
        assert_eq!((code, stdout.as_str()), (2, ""), "{words}");
    }
    // Our own messages never repeat what stands in the wrong place.
    let (_, _, stderr) = run(&format!("cvv --issuer {issuer} --key {K} {CVV}"));
    assert!(stderr.contains("--test-key") && !stderr.contains(K), "{stderr}");
    let (code, _, stderr) =
        run(&format!("cvv --test-key {K} {}", CVV.replace("4761739001010010", "47617390O1010010")));
    assert_eq!(code, 2);
    assert!(stderr.contains("--pan") && !stderr.contains("476173"), "{stderr}");
    // A key that nobody published gets a warning.
    let (code, _, stderr) = run(&format!("cvv --test-key 4C37C8319D76ADAB58D9431543C2165B {CVV}"));
    assert!(code == 0 && stderr.contains("warning"), "{stderr}");
    assert!(!run(&format!("cvv --test-key {K} {CVV}")).2.contains("warning"));
}

#[test]
fn keys_of_an_issuer_directory() {
    let issuer = demo().path("issuer");
    let issuer = issuer.to_str().unwrap();
    let (code, answer) = json(&format!("cvv --issuer {issuer} --key cvk:01 {CVV} --explain"));
    assert_eq!(code, 0);
    let keys = std::fs::read_to_string(demo().path("issuer/keys.toml")).unwrap();
    let kcv = answer["results"]["key KCV"].as_str().unwrap();
    assert!(keys.contains(&format!("kcv = \"{kcv}\"")));
    // One key, one use; an index that is not there.
    assert_eq!(run(&format!("cvv --issuer {issuer} --key imk-ac:01 {CVV}")).0, 1);
    assert_eq!(run(&format!("cvv --issuer {issuer} --key cvk:7F {CVV}")).0, 1);
    assert_eq!(run(&format!("cvv --issuer {issuer} --key cvk:1 {CVV}")).0, 2);
}

/// A production issuer's keys answer, and nothing that is secret itself is shown.
#[test]
fn production_keys_are_not_explained() {
    let own = Production::new();
    let (issuer, officers) = (own.path("issuer"), own.officers());
    assert_eq!(run(&format!("cvv --issuer {} --key cvk:01 {CVV}", issuer.to_str().unwrap())).0, 1);
    let issuer = format!("{} --officers {}", issuer.to_str().unwrap(), officers.to_str().unwrap());

    let (code, stdout, stderr) = run(&format!("cvv --issuer {issuer} --key cvk:01 {CVV} --explain"));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("--explain is for test keys"), "{stderr}");
    assert_eq!(run(&format!("cvv --issuer {issuer} --key cvk:01 {CVV}")).0, 0);
    let (code, answer) = json(&format!("icc-key --issuer {issuer} --key imk-ac:01 --pan 4761739001010010"));
    assert_eq!(code, 0);
    assert!(answer["results"].get("ICC master key").is_none());
    assert_eq!(run(&format!("pin --issuer {issuer} --key pvk:01 --pan 4761739001010010")).0, 1);
}

#[test]
fn the_pan_is_masked_without_steps() {
    let words = format!("cvv --test-key {K} {CVV}");
    let (_, shown, _) = run(&words);
    assert!(shown.contains("476173******0010") && !shown.contains("4761739001010010"), "{shown}");
    let (_, short) = json(&words);
    assert!(short.get("steps").is_none() && !short.to_string().contains("4761739001010010"));
    assert_eq!(short["calculator"], "cvv");
    let (_, long) = json(&format!("{words} --explain"));
    let step = &long["steps"][0];
    assert!(step["name"].is_string() && step["clause"].is_string() && step["gives"].is_string());
    assert_eq!(step["inputs"][0]["value"], "4761739001010010");
}

//! `dataprep calc`: every calculator on published values, with the steps that lead to them.
//!
//! Each value stands with its source. The steps must end in the value; the value is the library's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use cli_support::{dataprep, ran, text};
use serde_json::Value;

const K: &str = "0123456789ABCDEFFEDCBA9876543210";
const JPOS: &str = "12345678123456781234567812345678";

/// Runs `dataprep calc` with words.
fn calc(words: &str) -> (i32, String, String) {
    let (code, stdout, stderr) = ran(dataprep().arg("calc").args(words.split_whitespace()));
    (code, text(&stdout), stderr)
}

fn json(words: &str) -> (i32, Value) {
    let (code, stdout, stderr) = calc(&format!("{words} --json --explain"));
    let value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{words}\n{stderr}"));
    (code, value)
}

/// The result `name` is `want`, and a step ends in it.
fn gives(words: &str, name: &str, want: &str) -> Value {
    let (code, answer) = json(words);
    assert_eq!(code, 0, "{words}");
    assert_eq!(answer["results"][name], want, "{words}");
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["value"], want, "{words}");
    assert!(steps.iter().all(|s| !s["clause"].as_str().unwrap().is_empty()));
    answer
}

#[test]
fn card_verification_values() {
    // Visa's test data, as reprinted in public regulation texts and in ilya-dubinsky/cfpp.
    let visa = format!(
        "cvv --test-key {K} --pan 4123456789012 --expiry 8701 --expiry-order yymm --service-code 101"
    );
    let answer = gives(&visa, "CVV", "370");
    assert_eq!(answer["steps"][3]["value"], "3F701E36ADA990CE");
    // Computed edge cases on which two implementations agree: MMYY, 999, second pass.
    let key = "E65B701970A734F1CE62767FE576B9C1";
    gives(
        &format!("cvv --kind cvv2 --test-key {key} --pan 495127350405 --expiry 3206 --expiry-order mmyy"),
        "CVV2",
        "767",
    );
    gives(
        &format!("cvv --kind icvv --test-key {key} --pan 495127350405 --expiry 4006 --expiry-order yymm"),
        "iCVV",
        "177",
    );
    let second = "cvv --test-key D9017FFBD920A28CF24A67C415750226 --pan 4889683344104303 --expiry 2712 --expiry-order yymm --service-code 101";
    let answer = gives(second, "CVV", "383");
    assert_eq!(answer["steps"][3]["value"], "DD3ADFABAEEADA8A");
    assert_eq!(answer["steps"][5]["value"], "33035010440300");
    // jPOS, testVerifyDCVVImpl.
    let dcvv = format!(
        "cvv --kind dcvv --test-key {JPOS} --pan 1234567890123456 --psn 00 --expiry 1310 --expiry-order yymm --service-code 226 --atc 3210"
    );
    gives(&dcvv, "dCVV", "422");
    let from_mk = dcvv.replace(JPOS, "DCE992BCE398C264F7858AFD4C4A324A --key-is mk");
    gives(&from_mk, "dCVV", "422");
}

#[test]
fn cvc3_of_both_kinds() {
    // jPOS, testVerifyCVC3Impl1 and Impl3.
    let track = "--track 1234567890123456D12012061000110000000F";
    let run = format!("cvc3 --test-key {JPOS} --pan 1234567890123456 {track} --un 00002710 --atc 2710");
    let answer = gives(&format!("{run} --digits 3"), "CVC3", "464");
    assert_eq!(answer["results"]["IVCVC3"], "CD76");
    gives(&run, "CVC3", "39464");
    let kd =
        "cvc3 --test-key DCE992BCE398C264F7858AFD4C4A324A --key-is mk --ivcvc3 CD76 --un 00002710 --atc 2710";
    gives(kd, "CVC3", "39464");
    gives(&format!("cvc3 --test-key {JPOS} --pan 1234567890123456 {track}"), "IVCVC3", "CD76");
}

#[test]
fn pins() {
    // psec, tests/test_pin.py.
    let pvv = format!("pvv --test-key {K} --pan 1122334455667788 --pvki 1 --test-pin 4524");
    let answer = gives(&pvv, "PVV", "8523");
    assert_eq!(answer["steps"][0]["value"], "3344556677814524");
    // A computed edge case of two implementations: second pass.
    let second =
        "pvv --test-key 0E1C25E53B6D7A0E079210A4191A627F --pan 4904338508250084 --pvki 2 --test-pin 7319";
    gives(second, "PVV", "8490");
    let ibm = format!("pin --test-key {K} --table 1234567890123456 --pan 1122334455667788 --layout sixteen");
    gives(&format!("{ibm} --test-pin 4524"), "offset", "0000");
    gives(&ibm, "natural PIN", "4524");
    gives(&format!("{ibm} --offset 1111"), "PIN", "5635");
    gives(
        &format!("pin --test-key {K} --table 1234567890123456 --validation-data 1122334455667788"),
        "natural PIN",
        "4524",
    );
}

#[test]
fn pin_blocks() {
    // psec and openemv/pinblock; format 4 is the example of ep2.
    gives(
        "pinblock --format 0 --pan 5555555551234567 --test-pin 1234",
        "clear PIN block",
        "041261AAAAEDCBA9",
    );
    gives("pinblock --format 2 --test-pin 1234", "clear PIN block", "241234FFFFFFFFFF");
    gives("pinblock --format 3 --pan 5555555551234567 --block 341261AAAAEDCBA9", "PIN", "1234");
    gives("pinblock --format 1 --block 1512345EDCBA9876", "PIN", "12345");
    let four = "pinblock --format 4 --test-key 00112233445566778899AABBCCDDEEFF --pan 1234567890123456789";
    let answer = gives(&format!("{four} --block 28B41FDDD29B743E93124BD8E32D921E"), "PIN", "1234");
    assert_eq!(answer["steps"][0]["value"], "441234AAAAAAAAAAFFFFFFFFFFFFFFFF");
    // jPOS, testExportPINImpl: the PAN's twelve digits are 123456789012.
    let jpos = format!("pinblock --format 0 --test-key {JPOS} --pan 1234567890120");
    gives(&format!("{jpos} --test-pin 1234"), "PIN block", "3C0CA40863092C3A");
    gives(&format!("{jpos} --block 3C0CA40863092C3A"), "PIN", "1234");
    // Built with random fill, read again.
    for format in ["1", "3", "4"] {
        let key = "--test-key 00112233445566778899AABBCCDDEEFF --pan 5555555551234567";
        let (code, built) = json(&format!("pinblock --format {format} {key} --test-pin 98765"));
        assert_eq!(code, 0);
        let block = built["results"]["PIN block"].as_str().unwrap();
        gives(&format!("pinblock --format {format} {key} --block {block}"), "PIN", "98765");
    }
    // A refusal names the format that the block has.
    let (code, answer) = json("pinblock --format 0 --pan 5555555551234567 --block 2C123456789012FF");
    assert_eq!(code, 3);
    assert!(answer["notes"].to_string().contains("read as format 2"), "{answer}");
}

#[test]
fn check_values_by_every_method() {
    let (code, answer) = json(&format!("kcv --test-key {K}"));
    assert_eq!(code, 0);
    assert_eq!(answer["results"]["tdes"], "08D7B4");
    // openemv/tr31, an X9.143 example; GlobalPlatformPro, TestPlaintextKeys.
    let (_, answer) = json("kcv --test-key 3F419E1CB7079442AA37474C2EFBF8B8 --check 08793E");
    assert_eq!(answer["results"]["aes-cmac"].as_str().unwrap()[..6], *"08793E");
    assert!(answer["notes"].to_string().contains("by aes-cmac"));
    let (_, answer) = json("kcv --test-key 404142434445464748494A4B4C4D4E4F");
    assert_eq!(answer["results"]["aes-gp"], "504A77");
    assert_eq!(calc(&format!("kcv --test-key {K} --check 08D7B5")).0, 3);
}

#[test]
fn icc_master_keys() {
    // pyemv's documentation; a computed case of two implementations for the second pass; ilya-dubinsky/cfpp for option C.
    for (option, imk, pan, psn, y, mk) in [
        ("a", K, "99012345678901234", "45", "1234567890123445", "67F8292358083E5EA7AB7FDA58D53B6B"),
        ("b", K, "12345678901234567", "01", "4201892658095334", "AD406D7F6D7570916D75E5DCAB8CF737"),
        (
            "B",
            "765DB61C94912C9746D9BC1F987AC123",
            "48369073396822307",
            "03",
            "1346690196976740",
            "867A91AB4A92D3BCEA328FDAFE492A92",
        ),
        (
            "c",
            "DFADBFEF0123456789866443DFADBFEF",
            "9012345432101232",
            "01",
            "00000000000000901234543210123201",
            "3AD95FE6AD75062DFCF19D834504AC23",
        ),
    ] {
        let words = format!("icc-key --derivation {option} --test-key {imk} --pan {pan} --psn {psn}");
        let answer = gives(&words, "ICC master key", mk);
        assert!(answer["steps"].as_array().unwrap().iter().any(|s| s["value"] == y), "{words}");
    }
    // A PSN that is absent is 00.
    let absent = json(&format!("icc-key --test-key {K} --pan 4761739001010010")).1;
    assert_eq!(
        absent["results"],
        json(&format!("icc-key --test-key {K} --pan 4761739001010010 --psn 00")).1["results"]
    );
}

#[test]
fn session_keys() {
    // pyemv (documentation, tests/test_kd_hsm.py), jPOS (MCHIP), cfpp (AES).
    for (words, mk, want) in [
        ("--session csk --atc 001C", K, "E9FB384AF807B940FEDCEA613461B0C4"),
        ("--cvn 12 --atc 001C", K, "E9FB384AF807B940FEDCEA613461B0C4"),
        ("--session visa-sm --atc 001C", K, "0123456789ABCDF2FEDCBA987654CDF2"),
        (
            "--session skd --atc 3456 --un 11111111",
            "DCE992BCE398C264F7858AFD4C4A324A",
            "68E9A15BBCF283EF0164F7E6C44C4325",
        ),
        (
            "--session csk-aes --derivation c --atc 0001",
            "3AD95FE6AD75062DFCF19D834504AC23",
            "2AAAA9CF4708A113C3E7F06B429CC35B",
        ),
        (
            "--session tree8 --atc 0000",
            "0123456789ABCDEF0123456789ABCDEF",
            "80BF3145AECB948A5201DAB9EF469875",
        ),
        (
            "--session tree16 --atc FFFF --iv F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0",
            "0123456789ABCDEF0123456789ABCDEF",
            "73E3B0A1406E5E4908D5804C4970E520",
        ),
    ] {
        gives(&format!("session-key --key-is mk --test-key {mk} {words}"), "session key", want);
    }
    // From the issuer master key: the same as from the ICC master key of it.
    let imk = format!("session-key --test-key {K} --pan 1234567890123456 --psn 00 --session csk --atc 001C");
    let mk = "session-key --key-is mk --test-key 154F349D8585CB7F6B0798E9839B10C1 --session csk --atc 001C";
    assert_eq!(json(&imk).1["results"]["session key"], json(mk).1["results"]["session key"]);
    // 32 bytes: the second half of the steps.
    let long = "session-key --key-is mk --session csk-aes --atc 0001 --test-key 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
    assert_eq!(json(long).1["results"]["session key"].as_str().unwrap().len(), 64);
}

#[test]
fn application_cryptograms() {
    // pyemv, tests/test_cvn_hsm.py: the same cryptogram from whole input, from CDOL data, from a DOL and from values.
    let head = format!("arqc --cvn 0A --test-key {K} --pan 1234567890123456 --psn 00");
    let terminal = "0000000040000000000000000124800004800001241911050152BF4585";
    let tail = "--aip 1800 --atc 001C --iad 06010A03A06010";
    let want = "29CCA15AE665FA2E";
    gives(&format!("{head} --input {terminal}1800001C03A06010"), "application cryptogram", want);
    gives(&format!("{head} --data {terminal} {tail}"), "application cryptogram", want);
    let dol = "--dol 9F02069F03069F1A0295055F2A029A039C019F3704";
    gives(&format!("{head} {dol} --data {terminal} {tail}"), "application cryptogram", want);
    let values = "--value 9F37=52BF4585 --value 9F02=000000004000 --value 9F03=000000000000 --value 9F1A=0124 \
                  --value 95=8000048000 --value 5F2A=0124 --value 9A=191105 --value 9C=01 --value 82=1800 \
                  --value 9F36=001C --value 9F10=06010A03A06010";
    gives(&format!("{head} {}", values.replace('\\', "")), "application cryptogram", want);
    // More in the CDOL than the version signs.
    let longer = format!("{head} {dol}9F3501 --data {terminal}22 {tail}");
    gives(&longer, "application cryptogram", want);
    // futehkao/elements, simulator tests: VisaCVN18 and VerifyARQC (M/Chip 10).
    let visa = format!(
        "arqc --cvn 12 --test-key {K} --pan 5555550000000002 --psn 01 --data 000000012300000000000000084080000100000840200106009BADBCAB \
         --aip 0000 --atc 0102 --iad 06011203A00000"
    );
    gives(&visa.replace('\\', ""), "application cryptogram", "9DA57063E9BF4757");
    let mchip = format!(
        "arqc --cvn 10 --test-key {K} --pan 5555550000000002 --psn 00 --data 000000001000000000000000084000000000000840180222002AC2443E \
         --aip 5800 --atc 0012 --iad 0110250000044000"
    );
    gives(&mchip.replace('\\', ""), "application cryptogram", "CAFD4EAC190E5BFD");
    // jPOS: session keys and paddings that no version of ours bundles, and option B.
    let data = "--input 000000010000000000001000084000000010800840980704001111111158003456A08003242000 --atc 3456 --un 11111111";
    for (words, pan, want) in [
        ("--session mk --padding zeros", "1234567890123456", "26C8A1042D1CAF3E"),
        ("--session skd --padding zeros", "1234567890123456", "9FFD1D52AE0EC0F3"),
        ("--session skd --padding bit", "1234567890123456", "AC8074C9E62EE6EF"),
        ("--session csk --padding bit", "1234567890123456", "55BE45DD2C9E0CBF"),
        ("--session csk --padding zeros", "8901234567890123456", "36DBEE15F36B1E7F"),
        ("--session csk --padding bit --derivation b", "8901234567890123456", "78289F2805494561"),
    ] {
        gives(&format!("arqc --test-key {JPOS} --pan {pan} {words} {data}"), "application cryptogram", want);
    }
    // cfpp: AES, 128 and 256 bits.
    let input = "--key-is sk --session csk-aes --padding bit --input 00000000084000000000000840181200010601120300000000";
    gives(
        &format!("arqc --test-key 2AAAA9CF4708A113C3E7F06B429CC35B {input}"),
        "application cryptogram",
        "EBB468693B346136",
    );
    let long = "2D73A588935ADE29B5EAF15A64C15EA90A7B1A079B67D44B7CC0007D65E75BAA";
    gives(&format!("arqc --test-key {long} {input}"), "application cryptogram", "FF1F2EBB16EF49E0");
}

#[test]
fn response_cryptograms_and_script_macs() {
    // jPOS: VSDC_M1, MCHIP_M1, CSKD_M2.
    let mk = "--key-is mk --test-key DCE992BCE398C264F7858AFD4C4A324A";
    gives(&format!("arpc {mk} --cvn 0A --arqc 26C8A1042D1CAF3E --arc 3030"), "ARPC", "98DE7C7B3D80A831");
    gives(&format!("arpc {mk} --cvn 10 --arqc AC8074C9E62EE6EF --arc 0012"), "ARPC", "5B5B712F9A644774");
    gives(
        &format!("arpc {mk} --cvn 12 --atc 3456 --arqc 55BE45DD2C9E0CBF --csu 00120000"),
        "ARPC",
        "B4C698B6",
    );
    gives(
        &format!("arpc --test-key {JPOS} --pan 1234567890123456 --cvn 0A --arqc 26C8A1042D1CAF3E --arc 3030"),
        "ARPC",
        "98DE7C7B3D80A831",
    );
    // Under AES nothing is published: computed with OpenSSL for the session key of cfpp and its cryptogram.
    let aes = "arpc --key-is sk --test-key 2AAAA9CF4708A113C3E7F06B429CC35B --arqc EBB468693B346136";
    gives(&format!("{aes} --session csk-aes --arc 3030"), "ARPC", "EAB59D73205DA62A");
    gives(&format!("{aes} --cvn A6 --csu 00820000"), "ARPC", "064EC29D");
    gives(&format!("{aes} --cvn A6 --csu 00820000 --proprietary 0102030405060708"), "ARPC", "9C93B281");
    let mk =
        "arpc --key-is mk --test-key 3AD95FE6AD75062DFCF19D834504AC23 --arqc EBB468693B346136 --atc 0001";
    gives(&format!("{mk} --cvn A6 --csu 00820000"), "ARPC", "064EC29D");
    // futehkao/elements, PINChangeScriptTest.
    let script = "script-mac --key-is sk --test-key 9B7640FBC1F892D3838631328C7932F4 --cvn 22 --header 8424000210 --atc 0016 \
                  --ac D17B15836FAB99A2 --data AB926022634A4AA1";
    let script = script.replace('\\', "");
    gives(&script, "MAC", "0E90902E98339EBB");
    gives(&format!("{script} --len 4"), "MAC", "0E90902E");
    // Under AES: the common session key of OpenSSL (its ECB of the cryptogram and eight zero bytes) and OpenSSL's CMAC.
    let aes = "script-mac --key-is mk --test-key 3AD95FE6AD75062DFCF19D834504AC23 --cvn A6 --header 8424000210 --atc 0016 \
               --ac D17B15836FAB99A2 --data AB926022634A4AA1";
    gives(&aes.replace('\\', ""), "MAC", "C652AEB3DFB9448E");
}

#[test]
fn pin_change_blocks() {
    // pyemv/sm.py, format_vis_pin_block.
    let block = format!("pin-change --key-is mk --test-key {K} --test-pin 1234");
    gives(&block, "clear PIN-change block", "041234FF76543210");
    gives(&format!("{block} --current-test-pin 1234"), "clear PIN-change block", "162634FF76543210");
    // futehkao/elements, PINChangeScriptTest: a block of format 2 as command data, and pyemv's.
    let smc = "pin-change --key-is sk --session csk-sm --test-key FBA2F15704B0CEDAF75D260B16AEAE7A";
    gives(&format!("{smc} --data 241234FFFFFFFFFF --encipher plain"), "command data", "AB926022634A4AA1");
    let smc = format!("pin-change --key-is sk --session csk-sm --test-key {K} --data 241234FFFFFFFFFF");
    gives(&format!("{smc} --encipher mastercard"), "command data", "9859240AE52820C3");
    // OpenSSL, des-ede and des-ede-cbc of the padded data; AES, 128 bits, CBC.
    gives(&format!("{smc} --encipher visa"), "command data", "41355BA9B7939D773A8AE1947D2AD964");
    gives(&format!("{smc} --encipher ccd"), "command data", "9859240AE52820C33DDFF809F93875E5");
    let aes =
        "pin-change --key-is sk --cvn A6 --test-key 2AAAA9CF4708A113C3E7F06B429CC35B --data 241234FFFFFFFFFF";
    gives(aes, "command data", "E902CBEFD54B7F622F60CE797E7E69F4");

    for wrong in [
        smc.as_str(),
        "pin-change --key-is sk --test-key 0123456789ABCDEFFEDCBA9876543210 --test-pin 1234",
        "pin-change --key-is mk --test-key 0123456789ABCDEFFEDCBA9876543210",
        "pin-change --key-is mk --session csk --atc 0001 --test-key 0123456789ABCDEFFEDCBA9876543210 --test-pin 1234",
    ] {
        let (code, stdout, _) = calc(wrong);
        assert_eq!((code, stdout.as_str()), (2, ""), "{wrong}");
    }
}

#[test]
fn key_blocks() {
    // TR-31:2018 examples and openemv/tr31.
    let long = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6";
    for (kbpk, block, key, usage) in [
        (
            "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB",
            "A0088M3TC00E000062C2C14D8785A01A9E8283525CA96F490D0CC6346FC7C2AC1E6FF354468910379AA5BBA6",
            "EEEEEEEEEEEEEEEE",
            "M3",
        ),
        (
            "1D22BF32387C600AD97F9B97A51311AC",
            "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
            "E8BC63E5479455E26577F715D587FE68",
            "B0",
        ),
        (
            long,
            "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34",
            "3F419E1CB7079442AA37474C2EFBF8B8",
            "P0",
        ),
    ] {
        let (code, answer) = json(&format!("tr31 --test-key {kbpk} {block}"));
        assert_eq!(code, 0, "{block}");
        assert_eq!(answer["results"]["key"], key);
        assert_eq!(answer["results"]["key usage"].as_str().unwrap()[..2], *usage);
        assert_eq!(answer["check"]["match"], true);
        assert!(
            block.ends_with(answer["steps"].as_array().unwrap().last().unwrap()["value"].as_str().unwrap())
        );
        // The header alone needs no key; a changed header byte is found out.
        assert_eq!(json(&format!("tr31 {block}")).0, 0);
        let changed = block.replacen("00E", "00N", 1).replacen("12S", "12N", 1);
        let (code, answer) = json(&format!("tr31 --test-key {kbpk} {changed}"));
        assert_eq!(code, 3);
        assert!(answer["check"]["mistakes"].to_string().contains("exportability"), "{answer}");
    }
    // The key of another key than a test key stays hidden, its steps too.
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path(), long);
    let block = "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34";
    let (code, shown, _) = calc(&format!("tr31 --explain --key-file {file} {block}"));
    assert_eq!(code, 0);
    assert!(!shown.contains("3F419E1CB7079442AA37474C2EFBF8B8") && !shown.contains(long), "{shown}");
    assert!(shown.contains("08793E"));
}

/// A secret in a file of mode 0600.
fn secret(folder: &std::path::Path, secret: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("secret");
    std::fs::write(&path, secret).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

// A chain of 1152, 864 and 576 bits, a PIN certificate (computed edge cases of two implementations), and the signature of
// a card (openemv/emv-utils, tests/emv_rsa_test.c).
const CA: &str = concat!(
    "E6BFC4111F635917FFB76B2F9E633150E018C61C5812755BEF8F5A8B13A5FCE6768361AC4D61BA5FBF48159AD63C4527",
    "A0289510E752806E7DE5ECB1F49798626CD487F3ED3278444C7A304C359CE5C4D5148DFE24AA271BF96BAA3677E6C091",
    "1F547FB1B2D4452A3C8F3CBED327E2466AC385F4194DF4FE4D65871530AF7E65599719D5736BE36C0F98D1CDF72B7693",
);
const TAG_90: &str = concat!(
    "55C00B18D2FAE746C53E11BA7DD498E5DC40DB222BE3666E52B690D69F11BD7CC41E311A26D71A4E7A546FF6531407BE",
    "E2F86283DCE980AF7FA1139F94B32A0D89B521CCFED8522C5FCD43DC0FE4CC6407C60CF7E993881324EEF243300ED549",
    "C6BC73B486D7D05ADB2A216394EF07E3CFF8882E0417E8BC14EF1E4CCF342C738DA6971A04D5D8051CB75D31B8C7A0B7",
);
const ISSUER: &str = concat!(
    "C853C7CB3717C3EE95C39528F1242D09D408FFFD88B711288E15C1B55791B8E8D8A421E9FDC4AD0EBC5B9F7E450A20AB",
    "3DC71B7D287279549A2FB2740A6D7E1D459FD9C14CC4FB2FECDCD6B3BD19FB5D13B8AC20274903DEADD9E9C4B11376E1",
    "27BE35018C299D2A902D0281",
);
const TAG_9F46: &str = concat!(
    "133F6DF5E2353CD7E69BF02FFC2751DD2FBDEA1EEAE856B116A496E49B55F9BB9B75E3DCEE6CC11B78C035863516592A",
    "F2114D37EF07B6054F83C36B4C2E9E375A364BEFF6251FE3C28F8095590D41A7858CB581B6C0B575B5A2BD562ACA7339",
    "59FAC915445DA82E755EC8C8",
);
const TAG_9F48: &str = "827B19421E41";
const TAG_93: &str = concat!(
    "112832D18AA40D5CCACB4C49AA1AA01C5771EA56F04B84607A2DB732C37FDAD9D6E18D488D04D449FBF3C92927B6D02A",
    "367DD7CD58F2B30A7C1A733154DD69A70BF0489847A9AD5C05E7E7297B25CE06808CAADAAAAC96C6935FB21FB8ED8133",
    "B6BA01CAEB425C106686BD03",
);
const STATIC_DATA: &str = concat!(
    "5A0A4672575791655684752F5F24033012315F25032401019F0702FF005F280208408C159F02069F03069F1A0295055F",
    "2A029A039C019F37041980",
);
const PIN_ISSUER: &str = concat!(
    "ADCE99F81F2CA2266344247CCC04355F39048676086BB086E5812840C7A6F988EC30178FFBAF82B77CF489EB32D57C05",
    "F82DDB3F663FF5A95610B87FF05AA1142BE6DB781BCA300CD12B332765E71B56E0DE9BC4A0CF3B3FB7CFC43253BC68E8",
    "C04FF2DD46ABB04A85E13C66E4F975B3B89AA462C0F1CE4F127CBF966C329C41A904BC0DD7D6834115DAB40604748587",
);
const TAG_9F2D: &str = concat!(
    "88EC11E7A3D76E5482C9E80B197A76546AE1D4B0387A5EFA0B11833B03E18EEC5CBF7F2943089AC7E168545A720708A8",
    "A211F8EAAA168DF86CE80FB7186B870A49E47AAC45AF5805D7B25D71E1F02C96E7C6C83AE1C6701382309E5D42495EFE",
    "4D2DD34A5C55EA7EA02F167C571CDAF7BB7E9B4AAF3BBB5EE054BC1308722B0224B286FFD1B85BAFDB64EE1280890864",
);
const ICC: &str = concat!(
    "AB02DC02F1CB7D30113FE87A17D38D67A47CA6EC7A7AE10E6FE5B7D5800547B1B21A2413DD18136126D8B00F021DC7E1",
    "9CF513DD87149673B3764FF701454347CCA9C8E310F9DB651DFDC9364F121002E5A795E3ECFB50678177CF4C15A11067",
    "C1006E13AE77122934A38C11F429137A9AA9AF98610BC8B4979B3FC6BC85C34CAFA2E1B818F54DD8A50B21B9CBF62BFA",
    "D4BB3F4CF6B5239F3FD23F8B93E96C84C9CE67DFD70359153855A8F735CAFBE5",
);
const TAG_9F4B: &str = concat!(
    "7207EF0CB50E15CCA221CB77E81B7BCE11730216436CC828F0A9D72A16BCF1A0B736768308CDD816872457CE835AF450",
    "BD6378F17A45C0861DB8D61208F1C394FD08F1719492F281970A424546A564FD825C83CEE6F8F4987EFC431A641248C6",
    "466296CBAE8ED35CE0286A5810792B0E99E575BBDBEA8F6979165097A3C6851A12022E5B7A6F0A8AC41E794E6AF0CACF",
    "700BD7E045E103A62294F074E7E55A82FC9EE7E8B8711A5D524667361941C1C9",
);

#[test]
fn certificates() {
    for (words, field, want) in [
        (format!("issuer --modulus {CA} --certificate {TAG_90}"), "issuer identifier", "46725757"),
        (
            format!(
                "icc --modulus {ISSUER} --certificate {TAG_9F46} --remainder {TAG_9F48} --data {STATIC_DATA}"
            ),
            "PAN",
            "4672575791655684752F",
        ),
        (format!("pin --modulus {PIN_ISSUER} --certificate {TAG_9F2D}"), "serial number", "7FD7FB"),
    ] {
        let (code, answer) = json(&format!("cert {words} --exponent 03 --key-exponent 03"));
        assert_eq!(code, 0, "{field}: {}", answer["notes"]);
        assert_eq!(answer["results"][field], want);
        assert_eq!(answer["results"]["verified"], "yes");
        assert_eq!(answer["results"]["hash"], answer["steps"].as_array().unwrap().last().unwrap()["value"]);
        // Another exponent beside it: the hash differs, and the search says why.
        let (code, answer) = json(&format!("cert {words} --exponent 03 --key-exponent 010001"));
        assert_eq!(code, 3);
        assert_eq!(answer["check"]["mistakes"][0][0], "the exponent of the key is 03");
    }
    let ssad = format!("cert ssad --modulus {ISSUER} --exponent 03 --certificate {TAG_93}");
    let (code, answer) = json(&format!("{ssad} --data {STATIC_DATA}"));
    assert_eq!((code, &answer["results"]["data authentication code"]), (0, &Value::from("DAC1")));
    let (code, answer) = json(&format!("{ssad} --data {STATIC_DATA}1800"));
    assert_eq!(code, 3);
    assert!(answer["check"]["mistakes"][0][0].as_str().unwrap().contains("AIP"));
    let sdad = format!("cert sdad --modulus {ICC} --exponent 03 --certificate {TAG_9F4B}");
    let (code, answer) = json(&format!("{sdad} --data 7FBC4049"));
    assert_eq!((code, &answer["results"]["ICC dynamic data"]), (0, &Value::from("0200AE")));
    assert_eq!(json(&format!("{sdad} --data 7FBC404A")).0, 3);
    // Another key: nothing is recovered; another kind: the format says so.
    let (code, answer) =
        json(&format!("cert ssad --modulus {ISSUER} --exponent 03 --certificate {TAG_9F46}"));
    assert_eq!(code, 3);
    assert!(answer["notes"].to_string().contains("another kind"));
    // The PAN is masked unless the steps are asked for.
    let icc = format!(
        "cert icc --modulus {ISSUER} --exponent 03 --key-exponent 03 --certificate {TAG_9F46} --remainder {TAG_9F48}"
    );
    let (code, shown, _) = calc(&format!("{icc} --data {STATIC_DATA}"));
    assert_eq!(code, 0);
    assert!(shown.contains("467257*********4752F") && !shown.contains("4672575791655684752"), "{shown}");
}

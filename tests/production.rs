//! The rules of production, each broken and each kept, from the command line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod cli_support;
mod production_support;

use std::path::Path;
use std::process::{Command, Stdio};

use cli_support::{dataprep, demo, expect, ran, text};
use emv_dataprep::profile::officers::{Officers, Role};
use emv_dataprep::profile::{Guarded, Issuer, Level, Risk};
use production_support::{BIN, Production, pan};
use serde_json::{Value, json};

fn value(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).unwrap_or_else(|e| panic!("{e}: {}", text(stdout)))
}

/// Exit code 1, and words that say why.
#[track_caller]
fn refused(command: &mut Command, why: &str) {
    let (code, stdout, words) = ran(command);
    assert!(code == 1 && words.contains(why), "{command:?}: {code}, {why:?} in {words}");
    assert!(stdout.is_empty(), "{}", text(&stdout));
}

fn rejections(own: &Production, out: &str) -> Vec<(String, String, u64)> {
    let lines = std::fs::read_to_string(own.path(out).join("rejected.jsonl")).unwrap();
    let of = |v: &Value, name: &str| v[name].as_str().unwrap().to_owned();
    lines
        .lines()
        .map(|l| value(l.as_bytes()))
        .map(|v| (of(&v, "errorCode"), of(&v, "field"), v["position"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_production_issuer_prepares_cards_end_to_end() {
    let own = Production::new();
    let mut orders: Vec<Value> = (1..=12).map(|n| own.order(n)).collect();
    // What one order does wrong stops no other.
    let data = json!({ "pan": pan(BIN, 20), "exp": "2906", "name": "Maria Muster" });
    orders[3]["cardData"] = data;
    let with_pan =
        |n: u64, pan: &str| own.order_with(n, &json!({ "pan": pan, "exp": "2906", "name": "Maria Muster" }));
    orders[5] = with_pan(6, "4761739001010010");
    orders[7] = with_pan(8, "4111111111111111");
    orders.truncate(8);
    let orders = own.write_orders("orders.jsonl", &orders);
    let (code, stdout, words) = ran(&mut own.prepare(&orders, "out", &["--json", "--operator", "ann"]));
    assert_eq!(code, 3, "{words}");
    let not_allowed = ("OPERATION_NOT_ALLOWED".to_owned(), "cardData".to_owned(), 4);
    let test_pan = |at| ("FIELD_INVALID_VALUE".to_owned(), "cardData.pan".to_owned(), at);
    assert_eq!(rejections(&own, "out"), [not_allowed, test_pan(6), test_pan(8)]);

    let manifest = value(&stdout);
    assert_eq!(manifest["counts"]["prepared"], 5);
    assert_eq!(
        (&manifest["environment"], &manifest["keySource"]),
        (&json!("production"), &json!("software"))
    );
    assert_eq!(
        manifest["accepted"],
        json!(["pins-outside-hsm", "software-key-source", "static-transport-of-pins"])
    );
    let digest = expect(0, dataprep().args(["officers", "digest", "--issuer"]).arg(own.path("issuer")));
    let officers = json!({ "digest": text(&digest).trim(), "sequence": 1, "names": ["ann", "bob"] });
    assert_eq!(manifest["officers"], officers);
    assert!(manifest["signature"]["value"].is_string());

    let mut verify = dataprep();
    verify.arg("verify").arg(own.path("out")).arg("--issuer").arg(own.path("issuer")).arg("--json");
    for name in ["PC1", "mailer", "issuer"] {
        verify.arg("--key").arg(own.path(&format!("secrets/{name}.jwk")));
    }
    refused(&mut verify, "--officers");
    let verdict = value(&expect(0, verify.arg("--officers").arg(own.officers())));
    assert_eq!((&verdict["cards"], &verdict["failed"]), (&json!(5), &json!(0)));
}

#[test]
fn the_directory_must_be_signed_by_enough_officers() {
    let own = Production::unsigned();
    let issuer = own.path("issuer");
    let orders = own.write_orders("orders.jsonl", &[own.order(1)]);
    let with = |words: &[&str]| {
        let mut command = dataprep();
        command.args(words).arg("--issuer").arg(&issuer);
        command
    };
    // No command that loads the directory for work gets past it.
    refused(&mut own.bare(&orders, "out", &[]), "needs --officers");
    refused(&mut own.prepare(&orders, "out", &[]), "0 of 2 officers");
    refused(&mut with(&["pool", "status"]), "needs --officers");
    refused(
        &mut with(&["pool", "fill", "--bits", "1408", "--exponent", "3", "--count", "1"]),
        "needs --officers",
    );
    refused(&mut with(&["audit", "verify", "nowhere"]), "needs --officers");
    refused(&mut with(&["convert", "nowhere", "--to", "dgi"]), "needs --officers");
    assert!(!own.path("out").exists());
    let check = |more: &[&str]| {
        let (code, stdout, _) = ran(with(&["check", "--json"]).args(more));
        let found = value(&stdout)["findings"].clone();
        let levels: Vec<Value> = found
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["code"] == "officers")
            .map(|f| f["level"].clone())
            .collect();
        (code, levels)
    };
    let officers = own.officers();
    let officers = officers.to_str().unwrap();
    assert_eq!(check(&[]), (0, vec![json!("warning")]));
    assert_eq!(check(&["--officers", officers]), (1, vec![json!("error")]));

    own.sign("ann");
    refused(&mut own.prepare(&orders, "out", &[]), "1 of 2 officers");
    own.sign("ann");
    refused(&mut own.prepare(&orders, "out", &[]), "1 of 2 officers");
    let state = || {
        let (code, stdout, _) =
            ran(with(&["officers", "check", "--json", "--officers", officers]).args([] as [&str; 0]));
        let told = value(&stdout);
        (code, told["accepted"].as_bool().unwrap(), told["signatures"].as_array().unwrap().len())
    };
    assert_eq!(state(), (1, false, 1));
    own.sign("carl");
    assert_eq!(state(), (0, true, 2));
    assert_eq!(check(&["--officers", officers]), (0, vec![]));
    expect(0, &mut own.prepare(&orders, "out", &[]));

    // A name that is not the key's; a digest that was not reviewed.
    let mut sign = with(&["officers", "sign", "--name", "bob", "--officers", officers]);
    refused(sign.arg("--key").arg(own.path("carl.hex")), "is not the key of bob");
    let mut sign = with(&["officers", "sign", "--name", "bob", "--digest", &"0".repeat(64)]);
    refused(sign.arg("--key").arg(own.path("bob.hex")), "is not the one of --digest");

    // Every file counts: a destination, a product, an issuer key; the change is told.
    for name in ["issuer.toml", "products/classic.toml", "oda/01/oda.toml", "keys.toml"] {
        let path = issuer.join(name);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{before}# changed\n")).unwrap();
        refused(&mut own.prepare(&orders, "other", &[]), "signed another state");
        let told = value(&expect(0, &mut with(&["officers", "digest", "--json"])));
        assert_eq!(told["changes"], json!([{ "path": name, "change": "changed" }]));
        std::fs::write(&path, before).unwrap();
    }
    std::fs::write(issuer.join("products/more.toml.bak"), "").unwrap();
    refused(&mut own.prepare(&orders, "other", &[]), "signed another state");
    std::fs::remove_file(issuer.join("products/more.toml.bak")).unwrap();

    // The officers' file stands outside, and others cannot change it.
    std::fs::copy(own.officers(), issuer.join(".officers.toml")).unwrap();
    refused(own.bare(&orders, "other", &[]).arg("--officers").arg(issuer.join(".officers.toml")), "outside");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(officers, std::fs::Permissions::from_mode(0o664)).unwrap();
        refused(&mut own.prepare(&orders, "other", &[]), "others may change");
        std::fs::set_permissions(officers, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn an_earlier_signed_state_is_refused() {
    let own = Production::new();
    let first = own.write_orders("first.jsonl", &[own.order(1)]);
    expect(0, &mut own.prepare(&first, "a", &[]));
    let issuer = own.path("issuer");
    let kept = own.path("kept");
    let copy = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
        assert!(done.success());
    };
    std::fs::create_dir(&kept).unwrap();
    copy(&issuer, &kept);
    own.configure(|text| text.replacen("sequence = 1", "sequence = 2", 1));
    own.sign("ann");
    own.sign("bob");
    let second = own.write_orders("second.jsonl", &[own.order(2)]);
    expect(0, &mut own.prepare(&second, "b", &[]));
    // The earlier state with its good signatures.
    copy(&kept, &issuer);
    let third = own.write_orders("third.jsonl", &[own.order(3)]);
    refused(
        &mut own.prepare(&third, "c", &[]),
        "is an earlier state: its sequence is 1, and the ledger has seen 2",
    );
}

#[test]
fn a_restart_needs_an_operator_and_another_officer() {
    let own = Production::new();
    let orders: Vec<Value> = (1..=300).map(|n| own.order(n)).collect();
    let orders = own.write_orders("orders.jsonl", &orders);
    let block = ["--block", "5", "--threads", "1"];
    let mut child = own
        .prepare(&orders, "out", &[&block[..], &["--operator", "ann"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let records = own.path("out/.job/records");
    let begun = std::time::Instant::now();
    while std::fs::read_dir(&records).map_or(0, Iterator::count) < 2 && begun.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!own.path("out/batch.json").exists(), "the kill came too late");

    // Nor does the ledger forget it without somebody's name.
    let mut wipe = dataprep();
    wipe.arg("wipe").arg(own.path("out")).arg("--issuer").arg(own.path("issuer"));
    wipe.arg("--officers").arg(own.officers());
    wipe.args(["--yes", "--unfinished", "--release", "--reason", "not wanted"]);
    refused(&mut wipe, "--release: a production issuer asks for --operator");
    assert!(own.path("out/prepared").exists());

    let far = "2099-01-01T00:00:00Z";
    let resume = |operator: Option<&str>, approval: Option<&str>| {
        let mut command = own.prepare(&orders, "out", &[&block[..], &["--resume", "--json"]].concat());
        command.args(operator.iter().flat_map(|o| ["--operator", o]));
        if let Some(approval) = approval {
            command.arg("--approval").arg(own.path(approval));
        }
        command
    };
    refused(&mut resume(None, None), "--resume needs --operator");
    refused(&mut resume(Some("ann"), None), "--resume needs --approval");
    expect(0, &mut own.approve("bob", "out", far, "bob.json"));
    refused(&mut resume(None, Some("bob.json")), "--resume needs --operator");
    refused(&mut resume(Some("Bob"), Some("bob.json")), "the operator cannot approve");
    expect(2, &mut own.approve("bob", "out", "2026-01-01T00:00:00Z", "late.json"));
    // An approval that ends before it is used.
    let soon = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 2).unwrap().to_string();
    expect(0, &mut own.approve("carl", "out", &soon, "soon.json"));
    // A changed byte; a signature by somebody who is no officer.
    let good = std::fs::read_to_string(own.path("bob.json")).unwrap();
    std::fs::write(own.path("changed.json"), good.replace("2099", "2098")).unwrap();
    refused(&mut resume(Some("ann"), Some("changed.json")), "is not this key's");
    std::fs::copy(own.path("carl.hex"), own.path("dora.hex")).unwrap();
    expect(0, &mut own.approve("dora", "out", far, "dora.json"));
    refused(&mut resume(Some("ann"), Some("dora.json")), "is not in the officers' file");
    std::thread::sleep(std::time::Duration::from_secs(3));
    refused(&mut resume(Some("ann"), Some("soon.json")), "the approval has ended");

    let manifest = value(&expect(0, &mut resume(Some("ann"), Some("bob.json"))));
    assert_eq!(manifest["counts"]["prepared"], 300);
    let log = std::fs::read_to_string(own.path("out/audit.jsonl")).unwrap();
    let resumed: Vec<Value> =
        log.lines().map(|l| value(l.as_bytes())).filter(|e| e["event"] == "batch-resumed").collect();
    let facts = &resumed[0]["facts"];
    assert_eq!(resumed.len(), 1);
    assert_eq!(
        (&facts["operator"], &facts["approver"], &facts["restart"]),
        (&json!("ann"), &json!("bob"), &json!("1"))
    );
    assert_eq!(facts["approval"].as_str().unwrap().len(), 64);

    // Once: not again, not signed again, and the next restart has its own number.
    refused(&mut resume(Some("ann"), Some("bob.json")), "was used already");
    expect(0, &mut own.approve("carl", "out", far, "second.json"));
    expect(0, &mut resume(Some("ann"), Some("second.json")));
    refused(&mut resume(Some("ann"), Some("second.json")), "was used already");
    let mut audit = dataprep();
    audit.args(["audit", "verify"]).arg(own.path("out")).arg("--issuer").arg(own.path("issuer"));
    expect(0, audit.arg("--officers").arg(own.officers()));
    // Another batch: another id.
    let other = own.write_orders("other.jsonl", &[own.order(301)]);
    expect(0, &mut own.prepare(&other, "other", &["--operator", "ann"]));
    expect(0, &mut own.approve("bob", "other", far, "other.json"));
    refused(&mut resume(Some("ann"), Some("other.json")), "for another batch");

    // Standard input: its digest is not known before it is read, and the approval says so.
    let piped = own.write_orders("piped.jsonl", &[own.order(302)]);
    let from_pipe = |more: &[&str]| {
        let mut command = own.prepare(Path::new("-"), "piped", more);
        command.stdin(std::fs::File::open(&piped).unwrap());
        command
    };
    expect(0, &mut from_pipe(&["--operator", "ann"]));
    expect(0, &mut own.approve("bob", "piped", far, "piped.json"));
    assert!(std::fs::read_to_string(own.path("piped.json")).unwrap().contains("\"input\": null"));
    let approval = own.path("piped.json");
    expect(0, &mut from_pipe(&["--resume", "--operator", "ann", "--approval", approval.to_str().unwrap()]));
}

#[test]
fn keys_pins_and_sources_are_judged() {
    let own = Production::unsigned();
    let orders = own.write_orders("orders.jsonl", &[own.order(1)]);
    let config = std::fs::read_to_string(own.path("issuer/issuer.toml")).unwrap();
    let put = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        std::fs::write(own.path("issuer/issuer.toml"), config.replace(from, to)).unwrap();
    };
    let sign = || {
        own.sign("ann");
        own.sign("bob");
    };
    // Each risk that nobody accepts stops the start.
    put(", \"software-key-source\"", "");
    sign();
    refused(&mut own.prepare(&orders, "out", &[]), "accept software-key-source");
    put(", \"pins-outside-hsm\"", "");
    refused(&mut own.prepare(&orders, "out", &[]), "[pins-outside-hsm]");
    put("\"static-transport-of-pins\", ", "");
    refused(&mut own.prepare(&orders, "out", &[]), "[static-transport-of-pins]");
    put("\"software-key-source\"", "\"no-such-risk\"");
    refused(&mut own.prepare(&orders, "out", &[]), "[accept]");
    // A fixed seed, a fixed time, plain output; a destination that nothing is sealed for.
    put("sequence = 1", "sequence = 2");
    sign();
    for asked in [&["--seed", cli_support::SEED][..], &["--now", cli_support::NOW], &["--plain"]] {
        refused(&mut own.prepare(&orders, "out", asked), "is for an issuer whose environment is test");
    }
    let at = config.find("public_key = {").unwrap();
    let line = config[at..].lines().next().unwrap();
    put(line, "");
    refused(&mut own.prepare(&orders, "out", &[]), "[public-key]");
    // Published keys: of a destination, of the manifest's signer, the key-block protection key, an envelope key.
    let jwk = r#"public_key = { crv = "P-256", kid = "k", kty = "EC", x = "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", y = "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck" }"#;
    put(line, jwk);
    refused(&mut own.prepare(&orders, "out", &[]), "[known-test-key]");
    put("sequence = 1", "sequence = 3");
    sign();
    let envelope = own.path("secrets/envelope.jwk");
    let kept = std::fs::read(&envelope).unwrap();
    std::fs::copy(demo().path("secrets/envelope.jwk"), &envelope).unwrap();
    refused(&mut own.prepare(&orders, "out", &[]), "is a published test key");
    std::fs::write(&envelope, kept).unwrap();
    expect(0, &mut own.prepare(&orders, "out", &[]));
    // The demo of the built-in seed in production: its keys and its BINs are named.
    let mut check = dataprep();
    let issuer = own.path("demo/issuer");
    expect(0, dataprep().arg("demo").arg(own.path("demo")).arg("--empty"));
    let toml = std::fs::read_to_string(issuer.join("issuer.toml")).unwrap();
    let production = format!("environment = \"production\"\naccept = {}", production_support::ACCEPT);
    std::fs::write(issuer.join("issuer.toml"), toml.replace("environment = \"test\"", &production)).unwrap();
    let (code, stdout, _) = ran(check.args(["check", "--json", "--issuer"]).arg(&issuer));
    let found = value(&stdout);
    let count = |code: &str| {
        found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["code"] == code && f["level"] == "error")
            .count()
    };
    // Seven destinations, the signer, three issuer keys and their CA keys; three identifiers of test ranges.
    assert_eq!((code, count("known-test-key"), count("test-bin")), (1, 14, 3), "{found}");
}

#[test]
fn accepted_by_name_the_input_may_be_clear() {
    let own = Production::unsigned();
    own.configure(|t| {
        t.replacen("accept = [", "test_bins = [\"41234500\"]\naccept = [\"clear-card-data\", ", 1)
    });
    own.sign("ann");
    own.sign("bob");
    let clear = |n: u64, pan: String| {
        let mut order = own.order(n);
        order["cardData"] = json!({ "pan": pan, "exp": "2906", "name": "Maria Muster" });
        order
    };
    let orders = [clear(1, pan(BIN, 10_000_000)), clear(2, pan(BIN, 2))];
    let orders = own.write_orders("orders.jsonl", &orders);
    let (code, stdout, words) = ran(&mut own.prepare(&orders, "out", &["--json"]));
    assert_eq!(code, 3, "{words}");
    assert_eq!(value(&stdout)["counts"]["prepared"], 1);
    assert_eq!(rejections(&own, "out"), [("FIELD_INVALID_VALUE".to_owned(), "cardData.pan".to_owned(), 2)]);
}

/// A test issuer is held to the live BINs that it is told of, and to signatures and approvals when they are asked for.
#[test]
fn a_test_issuer_may_be_held_to_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("demo");
    expect(0, dataprep().arg("demo").arg(&root).arg("--empty"));
    let issuer = root.join("issuer");
    let toml = issuer.join("issuer.toml");
    let before = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, before.replacen("environment", "live_bins = [\"41234567\"]\nenvironment", 1))
        .unwrap();
    let orders = demo().orders(4, folder.path());
    let mut lines: Vec<Value> =
        std::fs::read_to_string(&orders).unwrap().lines().map(|l| value(l.as_bytes())).collect();
    let clear = lines.iter_mut().find(|o| o["cardData"]["pan"].is_string()).unwrap();
    clear["cardData"]["pan"] = json!(pan(BIN, 670_000_000));
    let path = folder.path().join("live.jsonl");
    std::fs::write(&path, lines.iter().map(|o| format!("{o}\n")).collect::<String>()).unwrap();
    let prepare = |out: &str| {
        let mut command = dataprep();
        command.arg("prepare").arg("--issuer").arg(&issuer).arg("--orders").arg(&path);
        command.arg("--out").arg(folder.path().join(out));
        command
    };
    let (code, _, words) = ran(&mut prepare("out"));
    assert_eq!(code, 3, "{words}");
    let rejected = std::fs::read_to_string(folder.path().join("out/rejected.jsonl")).unwrap();
    assert!(rejected.contains("cardData.pan") && rejected.contains("a live PAN"), "{rejected}");
    // With --officers, signatures count here, too.
    let own = Production::unsigned();
    refused(prepare("signed").arg("--officers").arg(own.officers()), "0 of 2 officers");
    for name in ["ann", "bob"] {
        let mut sign = dataprep();
        sign.args(["officers", "sign", "--name", name, "--issuer"]).arg(&issuer);
        expect(0, sign.arg("--key").arg(own.path(&format!("{name}.hex"))));
    }
    expect(3, prepare("signed").arg("--officers").arg(own.officers()));
    // A live BIN among the issuer's certificates is told.
    std::fs::write(&toml, before.replacen("environment", "live_bins = [\"476173\"]\nenvironment", 1))
        .unwrap();
    let (code, stdout, _) = ran(dataprep().args(["check", "--json", "--issuer"]).arg(&issuer));
    assert!(code == 1 && text(&stdout).contains("test-bin"), "{}", text(&stdout));
}

/// A product whose PIN comes with the order stays; the PIN block does not, unless the risk is accepted.
#[test]
fn a_pin_block_is_not_translated_outside_of_a_payment_hsm() {
    let own = Production::unsigned();
    let verdict = |accept: &str| {
        let mut files: std::collections::BTreeMap<String, Vec<u8>> =
            cli_support::all_files(&own.path("issuer"))
                .into_iter()
                .map(|(path, bytes)| (path.to_str().unwrap().to_owned(), bytes))
                .collect();
        let of_others =
            ["classic", "ccd-debit", "online-basic", "visa-style-dual", "ccd-generic", "online-only"];
        files.retain(|path, _| !of_others.iter().any(|name| path.ends_with(&format!("/{name}.toml"))));
        let toml = text(&files["issuer.toml"]).replace(", \"pins-outside-hsm\"", accept);
        files.insert("issuer.toml".to_owned(), toml.into_bytes());
        let (issuer, findings) = Issuer::check(&files, None);
        let warned = findings.iter().any(|f| f.code == "pins-outside-hsm" && f.level == Level::Warning);
        (issuer.unwrap_or_else(|| panic!("{findings:#?}")).forbids(Guarded::PinBlock).is_some(), warned)
    };
    assert_eq!(verdict(""), (true, true));
    assert_eq!(verdict(", \"pins-outside-hsm\""), (false, false));
}

/// What the guide shows is read, and it names every risk and every rule's code.
#[test]
fn the_guide_is_right() {
    let guide = std::fs::read_to_string("docs/production.md").unwrap();
    let blocks: Vec<&str> =
        guide.split("```toml\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    let officers = blocks.iter().find(|b| b.contains("[[officer]]")).unwrap();
    let officers = Officers::read("docs/production.md", officers.as_bytes()).unwrap();
    assert_eq!((officers.all().len(), officers.threshold()), (2, 2));
    for word in Risk::ALL.map(Risk::name).into_iter().chain(Role::ALL.map(Role::name)) {
        assert!(guide.contains(&format!("`{word}`")), "{word}");
    }
    for code in ["test-bin", "known-test-key", "public-key", "signing-key"] {
        assert!(guide.contains(&format!("(`{code}`)")), "{code}");
    }
    // Every command of the guide parses: what is missing is a file, never an option.
    let mut tried = 0;
    for line in guide.lines().filter(|l| l.starts_with("dataprep ")) {
        let command = line.split("   ").next().unwrap().replace("\"power cut\"", "power-cut");
        let folder = tempfile::tempdir().unwrap();
        let (code, _, words) =
            ran(dataprep().current_dir(folder.path()).args(command.split_whitespace().skip(1)));
        assert!(code != 2 && !words.contains("Usage:"), "{command}: {code} {words}");
        tried += 1;
    }
    assert!(tried >= 7, "{tried}");
}

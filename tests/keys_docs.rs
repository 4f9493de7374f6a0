//! The examples of `docs/keys.md` run, one after the other, and say what stands there; so does every `--help` end with one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use std::path::Path;
use std::process::Command;

use cli_support::{dataprep, ran, text};

#[test]
fn the_examples_of_the_document_are_what_the_program_says() {
    let document = std::fs::read_to_string("docs/keys.md").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_dataprep")).parent().unwrap().to_str().unwrap().to_owned();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut examples = 0;
    for block in document.split("\n```").skip(1).step_by(2) {
        let (head, body) = block.split_once('\n').unwrap();
        if let Some(name) = head.strip_prefix("text title=") {
            std::fs::write(folder.path().join(name), body).unwrap();
            continue;
        }
        for example in format!("\n{body}").split("\n$ ").skip(1) {
            let (command, expected) = example.split_once('\n').unwrap_or((example, ""));
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).env("PATH", &path).current_dir(folder.path());
            let (code, stdout, stderr) = ran(&mut shell);
            assert_eq!(code, 0, "{command}\n{stderr}");
            let said = format!("{}\n{stderr}", text(&stdout));
            let mut said = said.lines();
            // Every line that stands there is said, in this order; the program may say more.
            for line in expected.lines().filter(|l| !l.is_empty()) {
                assert!(said.any(|s| s.trim_end() == line), "{command}: {line}");
            }
            examples += 1;
        }
    }
    assert!(examples >= 12, "{examples} examples");
    assert!(std::fs::read_to_string(folder.path().join("out.txt")).unwrap().starts_with("D0112C0TC00E0000"));
}

#[test]
fn every_help_ends_with_an_example() {
    for command in ["list", "check", "import", "export", "retire", "rotate", "wrap", "signing", "to-token"] {
        let (code, help, _) = ran(dataprep().args(["keys", command, "--help"]));
        let help = text(&help);
        let (_, example) = help.rsplit_once("Example: ").unwrap_or_else(|| panic!("{command}"));
        assert!(code == 0 && example.contains(&format!("dataprep keys {command}")), "{command}: {example}");
    }
}

/// The codes of `keys check` stand in the document, and the document names no other.
#[test]
fn every_finding_of_keys_check_is_in_the_document() {
    let code = regex::Regex::new(r#"Level::\w+, "([a-z-]+)"|add\(level, "([a-z-]+)""#).unwrap();
    let source = std::fs::read_to_string("src/bin/dataprep/keys/check.rs").unwrap();
    let told: std::collections::BTreeSet<String> = code
        .captures_iter(&source)
        .filter_map(|c| c.get(1).or(c.get(2)).map(|m| m.as_str().to_owned()))
        .collect();
    let document = std::fs::read_to_string("docs/keys.md").unwrap();
    let table = document.split_once("## What is there").unwrap().1.split_once("## Loading").unwrap().0;
    let row = regex::Regex::new(r"(?m)^\| `([a-z-]+)`").unwrap();
    let documented = row.captures_iter(table).map(|c| c[1].to_owned()).collect();
    assert_eq!(told, documented);
}

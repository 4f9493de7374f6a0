//! The examples of `docs/calc.md` and of every `--help` of `dataprep calc` run and say what stands there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use cli_support::{dataprep, ran, text};

#[test]
fn the_examples_of_the_document_are_what_the_program_says() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/calc.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut examples = 0;
    for block in document.split("\n```").skip(1).step_by(2) {
        let (head, body) = block.split_once('\n').unwrap();
        if let Some(name) = head.strip_prefix("text title=") {
            std::fs::write(folder.path().join(name), body).unwrap();
        }
        let Some(rest) = body.strip_prefix("$ dataprep ") else { continue };
        // A command may go on after a backslash.
        let end = rest
            .match_indices('\n')
            .find(|(at, _)| !rest[..*at].ends_with('\\'))
            .map_or(rest.len(), |(at, _)| at);
        let (command, output) = rest.split_at(end);
        let words: Vec<&str> = command.split_whitespace().filter(|w| *w != "\\").collect();
        let (code, stdout, stderr) = ran(dataprep().args(&words).current_dir(folder.path()));
        assert!(matches!(code, 0 | 3), "{command}\n{stderr}");
        assert_eq!(text(&stdout).trim_end(), output.trim(), "{command}");
        examples += 1;
    }
    assert!(examples >= 12, "{examples} examples");
}

const CALCULATORS: [&str; 14] = [
    "cvv",
    "cvc3",
    "pvv",
    "pin",
    "pinblock",
    "icc-key",
    "session-key",
    "arqc",
    "arpc",
    "script-mac",
    "pin-change",
    "kcv",
    "tr31",
    "cert",
];

#[test]
fn every_help_ends_with_an_example_that_runs() {
    for calculator in CALCULATORS {
        let (code, help, _) = ran(dataprep().args(["calc", calculator, "--help"]));
        assert_eq!(code, 0);
        let help = text(&help);
        let (_, example) = help.rsplit_once("Example: dataprep ").unwrap_or_else(|| panic!("{calculator}"));
        assert!(example.starts_with(&format!("calc {calculator}")), "{calculator}");
        assert!(help.contains("--explain") && help.contains("--json"), "{calculator}");
        if !example.contains('@') {
            let (code, stdout, stderr) = ran(dataprep().args(example.split_whitespace()));
            assert_eq!(code, 0, "{calculator}: {stderr}");
            assert!(!stdout.is_empty());
        }
    }
    // The list above is the program's, and its own example runs.
    let (_, help, _) = ran(dataprep().args(["calc", "--help"]));
    let help = text(&help);
    let (_, example) = help.rsplit_once("Example: dataprep ").unwrap();
    assert_eq!(ran(dataprep().args(example.split_whitespace())).0, 0, "{example}");
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let named = commands.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   ")).count();
    assert_eq!(named, CALCULATORS.len() + 1, "{commands}");
}

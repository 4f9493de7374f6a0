//! `dataprep self-test`: known answers.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::selftest::{self, Report};

use crate::failure::{Done, Failure};
use crate::terminal;

/// Run known-answer tests: the built-in set, or every record of the files given
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep self-test --json vectors/rsa.json")]
pub struct Args {
    /// JSON arrays of records
    files: Vec<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Done {
    let mut report = Report::default();
    if args.files.is_empty() {
        report = selftest::builtin()?;
    }
    for path in &args.files {
        let at = |what: String| Failure::refused(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| at(e.to_string()))?;
        report.merge(selftest::run(&bytes).map_err(|e| at(e.to_string()))?);
    }
    for failure in &report.failures {
        let member = if failure.member.is_empty() { String::new() } else { format!("{}: ", failure.member) };
        terminal::say(&format!("{} ({}): {member}{}", failure.id, failure.kind, failure.reason));
    }
    let nothing = if report.passed == 0 && report.failed == 0 { ": no record ran" } else { "" };
    terminal::say(&format!("{} passed, {} failed{nothing}", report.passed, report.failed));
    if args.json {
        terminal::give(format!("{}\n", report.to_json()).as_bytes())?;
    }
    Ok(if report.is_good() { Exit::Done } else { Exit::Found })
}

/// The known answers that every command that touches keys asks for first.
pub fn at_start() -> Result<(), Failure> {
    match selftest::builtin() {
        Ok(report) if report.is_good() => Ok(()),
        _ => Err(Failure::refused("the self-test fails: run dataprep self-test")),
    }
}

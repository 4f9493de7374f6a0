//! `dataprep keys check`: every key opened, every problem with its line.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::tdes::has_odd_parity;
use emv_dataprep::keys::tr31::{self, Exportability, Imported, Policy};
use emv_dataprep::keys::{SoftwareRing, is_known_test_key, is_standard_test_key};
use emv_dataprep::profile::{Finding, KeyLine, KeyState, Level};
use emv_dataprep::store::Store;
use emv_dataprep::store::audit::{self, AuditLog};
use serde_json::json;

use super::file::{KEYS, Kbpk, KeyDir, digest};
use super::import::same_key;
use super::shown;
use crate::failure::{Done, Failure};
use crate::issuer_dir::KEY_LOG;
use crate::issuer_dir::protection::Which;
use crate::prepare::Start;
use crate::terminal;

/// Check keys.toml: opens every key block and tells every problem with its line
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys check --issuer demo/issuer")]
pub struct Args {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Done {
    let dir = KeyDir::open(&args.issuer)?;
    let kbpk = dir.kbpk()?;
    let mut report = Report::default();
    report.keys(&dir, &kbpk, Start::now()?.today);
    report.log(&dir)?;
    if kbpk.which == Which::Next {
        let message =
            "the key blocks are under secrets.next: make it the key-block protection key in issuer.toml";
        report.add(Level::Warning, "rotation", 0, message.to_owned());
    }
    let mut findings = report.findings;
    findings.sort_by_key(|f| f.line);
    let errors = findings.iter().filter(|f| f.level == Level::Error).count();
    let warnings = findings.len().saturating_sub(errors);
    for finding in &findings {
        terminal::say(&finding.to_string());
    }
    terminal::say(&format!("{} keys, {errors} errors, {warnings} warnings", dir.file.keys().len()));
    if args.json {
        let object = json!({"errors": errors, "warnings": warnings, "findings": findings});
        terminal::give(format!("{object}\n").as_bytes())?;
    }
    Ok(if errors == 0 { Exit::Done } else { Exit::Refused })
}

#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, level: Level, code: &'static str, line: usize, message: String) {
        self.findings.push(Finding { level, code, file: "keys.toml".to_owned(), line, message });
    }

    fn keys(&mut self, dir: &KeyDir, kbpk: &Kbpk, today: CardDate) {
        let mut ring = SoftwareRing::new(Backend::Portable);
        let mut opened: Vec<(&KeyLine, Imported)> = Vec::new();
        for line in dir.file.keys() {
            // As it is loaded for a batch: key block, usage, mode, weak and equal parts, check value, card master keys.
            if let Err(e) = ring.load(&kbpk.key, &line.entry) {
                self.add(Level::Error, "key-refused", line.line, format!("key {e}"));
            }
            let policy = Policy::for_use(line.entry.key.usage).parity(tr31::ParityRule::Ignore);
            if let Ok(imported) = policy.import(&kbpk.key, &line.entry.block) {
                self.one(dir, line, &imported);
                for (other, known) in &opened {
                    if same_key(&known.key, &imported.key, imported.algorithm) {
                        self.equal(line, other);
                    }
                }
                opened.push((line, imported));
            }
            self.dates(line, today);
        }
        for key in ring.possibly_weak_keys() {
            let line = dir.file.find(key).map_or(0, |l| l.line);
            let message = format!("key {} has a possibly weak DES part", shown(key));
            self.add(Level::Warning, "possibly-weak-key", line, message);
        }
    }

    fn one(&mut self, dir: &KeyDir, line: &KeyLine, imported: &Imported) {
        let name = shown(line.entry.key);
        // A test issuer may have the demo's keys, which everybody knows too.
        let (level, known) = if dir.is_test() {
            (Level::Warning, is_standard_test_key(&imported.key))
        } else {
            (Level::Error, is_known_test_key(&imported.key))
        };
        if known {
            self.add(level, "known-test-key", line.line, format!("key {name} is a published test key"));
        }
        if imported.algorithm.is_tdes() && !has_odd_parity(imported.key.expose()) {
            self.add(Level::Warning, "parity", line.line, format!("key {name} has not odd parity"));
        }
        let sensitive = imported.header.exportability() == Exportability::Sensitive;
        if sensitive && !dir.is_test() {
            let message = format!("key {name} may be exported under any key (S)");
            self.add(Level::Warning, "exportability", line.line, message);
        }
    }

    fn equal(&mut self, line: &KeyLine, other: &KeyLine) {
        let (a, b) = (line.entry.key, other.entry.key);
        let message = format!("key {} is the same key as {} of line {}", shown(a), shown(b), other.line);
        let level = if a.usage == b.usage { Level::Warning } else { Level::Error };
        self.add(level, "equal-keys", line.line, message);
    }

    fn dates(&mut self, line: &KeyLine, today: CardDate) {
        let name = shown(line.entry.key);
        let ends = [line.dates.expires, line.dates.retired].into_iter().flatten().min();
        let message = match (line.dates.state(today), ends) {
            (KeyState::Retired, _) => format!("key {name} is retired"),
            (KeyState::Expired, _) => format!("key {name} is expired"),
            (KeyState::Active, Some(end)) if end <= today.plus_days(90) => {
                format!("key {name} ends on {}", end.iso())
            }
            _ => return,
        };
        self.add(Level::Warning, "key-ends", line.line, message);
    }

    /// Whether the key log is whole and its last entry names this file.
    fn log(&mut self, dir: &KeyDir) -> Result<(), Failure> {
        let store = Store::default();
        let folder = dir.root().join(KEY_LOG);
        let Some(log) = store.read(&folder.join(AuditLog::LOG))? else {
            if !dir.is_test() {
                let message = "there is no key log: the keys were not loaded by this program";
                self.add(Level::Warning, "key-log", 0, message.to_owned());
            }
            return Ok(());
        };
        let head = store.read(&folder.join(AuditLog::HEAD))?.unwrap_or_default();
        match audit::check(&log, &head, dir.settings.signing_public_key.as_ref()) {
            Err(e) => self.add(Level::Error, "key-log", 0, format!("{KEY_LOG}: {e}")),
            Ok(entries) => {
                let named = entries.iter().rev().find_map(|e| e.facts.get(KEYS));
                if named.is_some_and(|named| *named != digest(&dir.file)) {
                    let message = "keys.toml is not the file that the key log names: it was changed by hand, or a change was cut short";
                    self.add(Level::Warning, "key-log", 0, message.to_owned());
                }
            }
        }
        Ok(())
    }
}

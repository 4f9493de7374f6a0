//! `dataprep check`: an issuer directory, every problem with file and line.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::profile::{Finding, Level};
use serde_json::json;

use crate::failure::Done;
use crate::issuer_dir::IssuerDir;
use crate::{issuer_dir, prepare, production, self_test, terminal};

/// Check an issuer directory: every problem with file and line
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep check --issuer demo/issuer")]
pub struct Args {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    let now = prepare::Start::now()?;
    let (dir, mut findings) = issuer_dir::findings(&args.issuer, now.today)?;
    if let Some(dir) = &dir {
        findings.extend(officers(dir));
    }
    // The keys open only when the configuration is good.
    if let Some(dir) = dir {
        let backend = prepare::backend()?;
        match dir.open_keys(backend) {
            Ok(keys) => {
                findings.extend(keys.possibly_weak.iter().map(|key| Finding {
                    level: Level::Warning,
                    code: "possibly-weak-key",
                    file: "keys.toml".to_owned(),
                    line: 0,
                    message: format!(
                        "key {key} has a possibly weak DES part (four round keys instead of sixteen)"
                    ),
                }));
            }
            Err(failure) => findings.push(Finding {
                level: Level::Error,
                code: "keys",
                file: String::new(),
                line: 0,
                message: failure.message,
            }),
        }
        if let Err(e) = emv_dataprep::output::Recipients::of(&dir.issuer) {
            findings.push(Finding {
                level: Level::Error,
                code: "public-key",
                file: "issuer.toml".to_owned(),
                line: 0,
                message: e.to_string(),
            });
        } else if let Err(failure) = dir.recipients() {
            findings.push(Finding {
                level: Level::Error,
                code: "keys",
                file: String::new(),
                line: 0,
                message: failure.message,
            });
        }
    }
    let errors = findings.iter().filter(|f| f.level == Level::Error).count();
    let warnings = findings.len().saturating_sub(errors);
    for finding in &findings {
        terminal::say(&finding.to_string());
    }
    terminal::say(&format!("{errors} errors, {warnings} warnings"));
    if args.json {
        let object = json!({"errors": errors, "warnings": warnings, "findings": findings});
        terminal::give(format!("{object}\n").as_bytes())?;
    }
    Ok(if errors == 0 { Exit::Done } else { Exit::Refused })
}

/// What the officers' signatures lack. Without `--officers` nobody can tell.
fn officers(dir: &IssuerDir) -> Option<Finding> {
    let (level, message) = match (production::officers(dir), dir.is_test()) {
        (Ok(None), true) => return None,
        (Ok(None), false) => {
            (Level::Warning, "the officers' signatures are not looked at without --officers".to_owned())
        }
        (Ok(Some(_)) | Err(_), _) => (Level::Error, production::admit(dir).err()?.message),
    };
    Some(Finding { level, code: "officers", file: String::new(), line: 0, message })
}

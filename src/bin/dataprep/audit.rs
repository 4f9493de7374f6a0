//! `dataprep audit`: the audit log of a batch.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use emv_dataprep::batch::{Exit, Layout};
use emv_dataprep::crypto::ed25519::Ed25519Public;
use emv_dataprep::output::Manifest;
use emv_dataprep::store::audit::{self, AuditLog, Entry};
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::issuer_dir::IssuerDir;
use crate::terminal;

/// The audit log of a batch
#[derive(clap::Args, Clone)]
#[command(after_help = "Example: dataprep audit verify demo/out --issuer demo/issuer")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone)]
enum Command {
    Verify(VerifyArgs),
}

/// Check that no entry of the log was changed, removed, added or moved
#[derive(clap::Args, Clone)]
#[command(after_help = "Example: dataprep audit verify demo/out --issuer demo/issuer --json")]
struct VerifyArgs {
    /// The output folder of a batch
    out: PathBuf,
    /// The issuer directory, whose issuer.toml has the public key
    #[arg(long, value_name = "DIR", required_unless_present = "public_key", conflicts_with = "public_key")]
    issuer: Option<PathBuf>,
    /// The public key, 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    public_key: Option<String>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Done {
    crate::self_test::at_start()?;
    match &args.command {
        Command::Verify(args) => verify(args),
    }
}

fn verify(args: &VerifyArgs) -> Done {
    let key = match (&args.issuer, &args.public_key) {
        (Some(dir), _) => IssuerDir::load(dir)?.issuer.signing_public_key().copied(),
        (None, Some(hex)) => {
            Some(Ed25519Public::from_hex(hex).map_err(|e| Failure::usage(format!("--public-key: {e}")))?)
        }
        (None, None) => None,
    };
    let checked = check(&args.out, key.as_ref())?;
    let signed = key.is_some();
    match &checked {
        Ok(entries) => {
            for entry in entries {
                let event = serde_json::to_value(entry.event).unwrap_or_default();
                terminal::say(&format!(
                    "{} {} {} {}",
                    entry.entry,
                    entry.time,
                    event.as_str().unwrap_or(""),
                    entry.who
                ));
            }
            let by = if signed { "signed" } else { "NOT signed: issuer.toml names no signing_public_key" };
            terminal::say(&format!("{} entries, {by}", entries.len()));
        }
        Err(reason) => terminal::say(reason),
    }
    if args.json {
        let (entries, error) = match &checked {
            Ok(entries) => (Some(entries.len()), None),
            Err(reason) => (None, Some(reason)),
        };
        let text = json!({ "passed": checked.is_ok(), "entries": entries, "signed": signed, "error": error });
        terminal::give(format!("{text}\n").as_bytes())?;
    }
    Ok(if checked.is_ok() { Exit::Done } else { Exit::Found })
}

/// Checks the log of an output folder, also against its manifest: the entries, or what is wrong.
pub fn check(out: &Path, key: Option<&Ed25519Public>) -> Result<Result<Vec<Entry>, String>, Failure> {
    let read = |name: &str| {
        let path = out.join(name);
        std::fs::read(&path).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))
    };
    let (log, head) = (read(AuditLog::LOG)?, read(AuditLog::HEAD)?);
    let entries = match audit::check(&log, &head, key) {
        Ok(entries) => entries,
        Err(e) => return Ok(Err(format!("{}: {e}", AuditLog::LOG))),
    };
    if let Ok(text) = std::fs::read(out.join(Layout::MANIFEST))
        && let Ok(manifest) = Manifest::read(&text)
        && let Err(reason) = fits(&entries, &manifest)
    {
        return Ok(Err(format!("{}: {reason}", AuditLog::LOG)));
    }
    Ok(Ok(entries))
}

/// Whether a log is the one that a manifest names, and has gone on with that manifest.
fn fits(entries: &[Entry], manifest: &Manifest) -> Result<(), &'static str> {
    let index = usize::try_from(manifest.audit.entries).unwrap_or(usize::MAX);
    let named = index.checked_sub(1).and_then(|i| entries.get(i));
    if named.is_none_or(|entry| entry.digest != manifest.audit.sha256) {
        return Err("is not the log that the manifest names");
    }
    let told = entries.iter().any(|e| e.facts.get("manifest") == Some(&manifest.manifest_sha256));
    if told {
        Ok(())
    } else {
        Err("does not tell of this manifest; prepare --resume adds what a kill left out")
    }
}

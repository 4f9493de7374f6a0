//! `dataprep officers`: who vouches for an issuer directory, and for a batch that is taken up again.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use emv_dataprep::batch::{Exit, Job, Layout};
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::profile::officers::{Approval, DirectoryState, OfficerName, OfficerSignature, Restart};
use emv_dataprep::store::Store;
use emv_dataprep::store::audit::{self, AuditLog, Event};
use jiff::Timestamp;
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::issuer_dir::{IssuerDir, read_hex_secret};
use crate::prepare::Start;
use crate::{production, self_test, terminal};

/// Signatures of officers over an issuer directory, and approvals of restarts
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep officers digest --issuer demo/issuer")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Digest(DigestArgs),
    Sign(SignArgs),
    Check(CheckArgs),
    Approve(ApproveArgs),
}

/// The digest of all files of an issuer directory, and what has changed since it was signed last
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep officers digest --issuer demo/issuer --json")]
struct DigestArgs {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Sign the issuer directory as it stands: writes DIR/.signatures/NAME.json
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep officers sign --issuer demo/issuer --key ann.hex --name ann")]
struct SignArgs {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// The officer's private key, as keys signing makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The officer's name in the officers' file
    #[arg(long, value_name = "NAME")]
    name: OfficerName,
    /// Sign only if this is the digest: the one that was reviewed
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

/// Check the signatures of an issuer directory against --officers
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep officers check --issuer demo/issuer --officers officers.toml")]
struct CheckArgs {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Approve that a stopped batch is taken up again, once: writes a file for prepare --resume --approval
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep officers approve --out out --key bob.hex --name bob --until 2026-11-22T06:00:00Z --file approval.json"
)]
struct ApproveArgs {
    /// The output folder of the batch
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The officer's private key, as keys signing makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The officer's name in the officers' file; not the operator
    #[arg(long, value_name = "NAME")]
    name: OfficerName,
    /// When the approval ends, RFC 3339
    #[arg(long, value_name = "RFC3339")]
    until: Timestamp,
    /// The new file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    match &args.command {
        Command::Digest(args) => digest(args),
        Command::Sign(args) => sign(args),
        Command::Check(args) => check(args),
        Command::Approve(args) => approve(args),
    }
}

/// The state that was signed last, by any officer whose signature can be read.
fn last_signed(root: &Path) -> Result<Option<OfficerSignature>, Failure> {
    let (mut signatures, bad) = production::signatures(root)?;
    for words in bad {
        terminal::say(&words);
    }
    signatures.sort_by(|a, b| a.date().cmp(b.date()));
    Ok(signatures.pop())
}

/// Tells the digest and what has changed; the words for programs.
fn tell(state: &DirectoryState, last: Option<&OfficerSignature>) -> serde_json::Value {
    let digest = hex_upper(&state.digest());
    let changes = last.map(|last| state.since(last.files()));
    match (last, &changes) {
        (Some(last), Some(changes)) => {
            terminal::say(&format!(
                "{} files; signed last by {} at {}: {} changed since",
                state.len(),
                last.officer(),
                last.date(),
                changes.len()
            ));
            for (change, path) in changes {
                terminal::say(&format!("  {:8} {path}", change.word()));
            }
        }
        _ => terminal::say(&format!("{} files; never signed", state.len())),
    }
    let changes: Vec<_> = changes
        .unwrap_or_default()
        .iter()
        .map(|(change, path)| json!({"path": path, "change": change.word()}))
        .collect();
    let since = last.map(|l| json!({"officer": l.officer(), "date": l.date(), "digest": l.digest()}));
    json!({"digest": digest, "sequence": state.sequence(), "files": state.len(), "since": since, "changes": changes})
}

fn digest(args: &DigestArgs) -> Done {
    let dir = IssuerDir::read(&args.issuer)?;
    let state = production::state(&dir);
    let told = tell(&state, last_signed(&dir.root)?.as_ref());
    let text = if args.json { told.to_string() } else { hex_upper(&state.digest()) };
    terminal::give(format!("{text}\n").as_bytes())?;
    Ok(Exit::Done)
}

fn private_key(path: &Path) -> Result<Ed25519Private, Failure> {
    let key = Ed25519Private::from_seed(&read_hex_secret(path)?);
    key.map_err(|e| Failure::refused(format!("{}: {e}", path.display())))
}

fn sign(args: &SignArgs) -> Done {
    let dir = IssuerDir::read(&args.issuer)?;
    let key = private_key(&args.key)?;
    if let Some(officers) = production::officers(&dir)? {
        let officer = officers.by_name(&args.name);
        if officer.is_none_or(|o| o.key != key.public()) {
            return Err(Failure::refused(format!("{}: is not the key of {}", args.key.display(), args.name)));
        }
    }
    let state = production::state(&dir);
    let digest = hex_upper(&state.digest());
    if args.digest.as_ref().is_some_and(|reviewed| !reviewed.eq_ignore_ascii_case(&digest)) {
        return Err(Failure::refused("the issuer directory is not the one of --digest"));
    }
    let last = last_signed(&dir.root)?;
    tell(&state, last.as_ref());
    if last.is_some_and(|l| l.digest() != digest && l.sequence() >= state.sequence()) {
        terminal::say(
            "warning: sequence in issuer.toml is not above that of the state that was signed last; nobody could tell which is newer",
        );
    }
    let signature = OfficerSignature::new(&args.name, &key, &Start::now()?.text, &state);
    let folder = dir.root.join(OfficerSignature::FOLDER);
    let (store, path) = (Store::default(), folder.join(signature.file_name()));
    store.create_folders(&folder)?;
    store.publish(&path.with_extension("new"), &path, signature.to_json().as_bytes())?;
    #[cfg(unix)]
    {
        // A public text: whoever prepares reads it.
        use std::os::unix::fs::PermissionsExt;
        let set = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644));
        set.map_err(|e| Failure::stopped(format!("{}: {e}", path.display())))?;
    }
    terminal::say(&format!("{}: signed by {}", path.display(), args.name));
    terminal::give(format!("{digest}\n").as_bytes())?;
    Ok(Exit::Done)
}

fn check(args: &CheckArgs) -> Done {
    let dir = IssuerDir::read(&args.issuer)?;
    let officers = production::officers(&dir)?;
    let officers = officers.ok_or_else(|| Failure::usage("--officers FILE is needed"))?;
    let state = production::state(&dir);
    let today = Start::now()?.today;
    let (signatures, bad) = production::signatures(&dir.root)?;
    let mut told = Vec::new();
    for signature in &signatures {
        let reason = signature.check(&officers, &state, today).err().map(|e| e.to_string());
        let words = reason.as_deref().unwrap_or("counts");
        terminal::say(&format!("{} at {}: {words}", signature.officer(), signature.date()));
        told.push(json!({"officer": signature.officer(), "date": signature.date(), "counts": reason.is_none(), "reason": reason}));
    }
    for words in &bad {
        terminal::say(words);
    }
    let accepted = officers.accept(&state, &signatures, today);
    match &accepted {
        Ok(signed) => terminal::say(&format!(
            "signed by {} officers; {} are needed",
            signed.officers.len(),
            officers.threshold()
        )),
        Err(refusal) => terminal::say(&refusal.to_string()),
    }
    if args.json {
        let object = json!({
            "accepted": accepted.is_ok(), "digest": hex_upper(&state.digest()), "sequence": state.sequence(),
            "threshold": officers.threshold(), "signatures": told, "damaged": bad,
        });
        terminal::give(format!("{object}\n").as_bytes())?;
    }
    Ok(if accepted.is_ok() { Exit::Done } else { Exit::Refused })
}

/// The restart that would come next in an output folder: from its job and its audit log.
pub fn next_restart(out: &Path, job: &Job) -> Result<(Restart, Vec<audit::Entry>), Failure> {
    let path = out.join(AuditLog::LOG);
    let log = match std::fs::read(&path) {
        Ok(log) => log,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Failure::refused(format!("read {}: {e}", path.display()))),
    };
    let entries = audit::entries(&log).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
    let resumed = entries.iter().filter(|e| e.event == Event::BatchResumed).count() as u64;
    let restart =
        Restart { batch: job.batch.clone(), input: job.input.clone(), count: resumed.saturating_add(1) };
    Ok((restart, entries))
}

fn approve(args: &ApproveArgs) -> Done {
    let path = args.out.join(Layout::JOB);
    let bytes = std::fs::read(&path);
    let bytes = bytes.map_err(|e| Failure::refused(format!("read {}: {e}", path.display())))?;
    let (restart, _) = next_restart(&args.out, &Job::read(&bytes)?)?;
    if args.until <= Timestamp::now() {
        return Err(Failure::usage("--until: is over already"));
    }
    let key = private_key(&args.key)?;
    let approval = Approval::new(&args.name, &key, &restart, &args.until.to_string());
    let written = Store::default().write_new(&args.file, [approval.to_json().as_bytes()]);
    written.map_err(|e| {
        let text = e.to_string();
        if e.exists() { Failure::refused(text) } else { Failure::stopped(text) }
    })?;
    terminal::say(&format!(
        "{}: {} approves restart {} of batch {} until {}",
        args.file.display(),
        args.name,
        restart.count,
        restart.batch,
        args.until
    ));
    terminal::give(format!("{}\n", approval.digest()).as_bytes())?;
    Ok(Exit::Done)
}

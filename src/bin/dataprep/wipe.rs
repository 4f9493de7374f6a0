//! `dataprep wipe`: the data key of a job is destroyed, its card data removed; of a batch that was never finished the ledger
//! can forget the cards, too.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::{BatchError, Exit, JobRecord, JobState, Wipe};
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::store::Store;
use emv_dataprep::store::audit::{self, AuditLog, Entry, Event, Head, Text};
use emv_dataprep::store::ledger::Ledger;
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::issuer_dir::IssuerDir;
use crate::journal::{self, Journal};
use crate::prepare::ledger_of;
use crate::{prepare, self_test, terminal};

/// Destroy the data key of a job and remove its cards, PIN mailers and returns
#[derive(clap::Args, Clone)]
#[command(
    after_help = "Example: dataprep wipe demo/out --issuer demo/issuer --reason \"retention is over\" --yes"
)]
pub struct Args {
    /// The output folder of a batch
    out: PathBuf,
    /// The issuer directory, whose signing key signs the audit log; needed when the log is signed
    #[arg(long, value_name = "DIR")]
    issuer: Option<PathBuf>,
    /// It cannot be undone: without this nothing is done
    #[arg(long)]
    yes: bool,
    /// Also a batch that is not finished
    #[arg(long)]
    unfinished: bool,
    /// Let the ledger forget the cards of a batch that was never finished: its orders can be prepared again. With --unfinished
    /// and --reason
    #[arg(long, requires = "unfinished", requires = "reason")]
    release: bool,
    /// The ledger of --release; default what issuer.toml names
    #[arg(long, value_name = "FILE", requires = "release")]
    ledger: Option<PathBuf>,
    /// Also manifest, statuses, rejections, report and audit log: nothing stays
    #[arg(long)]
    all: bool,
    /// Who does it, for the audit log; default the user id
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Done {
    let said = |name: &str, text: &Option<String>| {
        let parsed = text.as_ref().map(|t| t.parse::<Text>()).transpose();
        parsed.map_err(|e| Failure::usage(format!("{name}: {e}")))
    };
    let (operator, reason) = (said("--operator", &args.operator)?, said("--reason", &args.reason)?);
    if !args.yes {
        return Err(Failure::usage("nothing was wiped: it cannot be undone; --yes says that it is meant"));
    }
    self_test::at_start()?;
    let store = Store::default();
    // The folder that a kill left when all but itself was gone.
    if args.all && args.out.is_dir() && store.list(&args.out)?.is_empty() {
        store.remove_folder(&args.out)?;
        return told(args, "removed");
    }
    let wipe = Wipe::open(&args.out, store.clone())?;
    let state = wipe.record().state;
    if state == JobState::Unfinished && !args.unfinished {
        return Err(Failure::refused(format!(
            "{}: the batch is not finished; --unfinished wipes it all the same, and nothing completes it then",
            args.out.display()
        )));
    }
    let dir = args.issuer.as_deref().map(IssuerDir::load).transpose()?;
    let ledger = if args.release { Some(released(args, dir.as_ref(), &wipe)?) } else { None };
    let signer = match &dir {
        Some(dir) => dir.signing_key()?,
        None => None,
    };
    if signer.is_none() && is_signed(&args.out, &store)? {
        return Err(Failure::refused("the audit log is signed: --issuer names who signs the next entry"));
    }
    let who = journal::who(operator.as_ref())?;
    let mut journal = Journal::open(&store, &args.out, signer.as_ref(), who, prepare::clock)?;
    if ledger.is_some() {
        never_finished(&args.out, &store, signer.as_ref())?;
    }
    let facts = || {
        let record = wipe.record();
        let reason = reason.as_ref().map_or("not given", Text::as_str);
        [
            ("batch", record.job.batch.clone()),
            ("orders", record.orders.to_string()),
            ("reason", reason.to_owned()),
        ]
    };
    // Told before it is done: a log that cannot be written stops it, and a kill leaves a trace.
    if state != JobState::Wiped {
        journal.add(Event::WipeStarted, facts())?;
    }
    let stopped = |e| Failure::stopped(format!("{e}; wipe again completes it"));
    wipe.destroy().map_err(stopped)?;
    if let Some(ledger) = &ledger {
        // Only now, when nobody can make the cards any more.
        let batch = wipe.record().job.batch.as_str();
        let cards = ledger.known_of(batch).map_err(BatchError::from)?;
        let more = [("ledger", ledger.path().display().to_string()), ("cards", cards.to_string())];
        journal.add(Event::LedgerReleased, facts().into_iter().chain(more))?;
        ledger.release(batch).map_err(BatchError::from).map_err(stopped)?;
        terminal::say(&format!("{}: the ledger forgot {cards} cards", args.out.display()));
    }
    if state != JobState::Wiped {
        journal.add(Event::BatchWiped, facts())?;
    }
    if !args.all {
        return told(args, "wiped");
    }
    let gone = wipe.remove_rest().map_err(stopped)?;
    if !gone {
        terminal::say(&format!("{}: what is not of the job stays", args.out.display()));
    }
    told(args, "removed")
}

/// The ledger that is to forget the batch.
fn released(args: &Args, dir: Option<&IssuerDir>, wipe: &Wipe) -> Result<Ledger, Failure> {
    if wipe.record().manifest.is_some() {
        return Err(finished(&args.out));
    }
    // Asked before the log is opened, which would begin one.
    if !args.out.join(AuditLog::LOG).is_file() {
        return Err(Failure::refused(format!(
            "{}: the audit log is gone, and nothing else says that the batch was never finished",
            args.out.display()
        )));
    }
    if args.operator.is_none() && dir.is_some_and(|dir| !dir.is_test()) {
        return Err(Failure::refused("--release: a production issuer asks for --operator"));
    }
    let path = args.ledger.clone().or_else(|| dir.and_then(ledger_of));
    let path = path.ok_or_else(|| {
        Failure::usage("--release: name the ledger with --ledger, or --issuer whose issuer.toml does")
    })?;
    // Opening one that is not there would begin a new one.
    if !path.is_file() {
        return Err(Failure::refused(format!("{}: there is no ledger", path.display())));
    }
    Ok(Ledger::open(&path).map_err(BatchError::from)?)
}

/// Of a finished batch the ledger forgets nothing, and what is left after `wipe --all` was cut short still tells of the end.
fn never_finished(out: &Path, store: &Store, signer: Option<&Ed25519Private>) -> Result<(), Failure> {
    let read = |name| store.read(&out.join(name)).map(Option::unwrap_or_default);
    let (log, head) = (read(AuditLog::LOG)?, read(AuditLog::HEAD)?);
    let key = signer.map(Ed25519Private::public);
    let entries = audit::check(&log, &head, key.as_ref());
    let entries = entries.map_err(|e| Failure::refused(format!("{}: audit log: {e}", out.display())))?;
    match entries.iter().any(|entry| entry.event == Event::BatchFinished) {
        true => Err(finished(out)),
        false => Ok(()),
    }
}

fn finished(out: &Path) -> Failure {
    Failure::refused(format!(
        "{}: the batch was finished, so its cards may have been made: a card that is made again needs an order that says so",
        out.display()
    ))
}

fn told(args: &Args, state: &str) -> Done {
    terminal::say(&format!("{}: {state}", args.out.display()));
    if args.json {
        let text = json!({ "folder": args.out.display().to_string(), "state": state });
        terminal::give(format!("{text}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Whether the head of the folder's audit log has a signature.
fn is_signed(out: &Path, store: &Store) -> Result<bool, Failure> {
    let head = store.read(&out.join(AuditLog::HEAD))?;
    Ok(head.and_then(|bytes| Head::read(&bytes).ok()).is_some_and(|head| head.signature.is_some()))
}

/// Refuses a job that was wiped, for commands that read cards.
pub fn refuse_wiped(out: &Path) -> Result<(), Failure> {
    // A folder that cannot be read is told by whoever reads it next.
    let record = JobRecord::read(out, &Store::default()).ok().flatten();
    let Some(JobRecord { state, wiped: Some(Entry { time, who, .. }), .. }) = record else { return Ok(()) };
    let how = match state {
        JobState::HalfWiped => "is half wiped (wipe again completes it)",
        _ => "was wiped",
    };
    Err(Failure::refused(format!(
        "{}: this job {how}: {time}, {who}; its cards are gone, audit verify still checks its log",
        out.display()
    )))
}

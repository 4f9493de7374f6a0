//! `dataprep prepare`: an order stream becomes prepared cards, restartable.

mod args;
mod job_key;
mod once;
mod orders;
mod resume;
mod start;
mod weak_keys;
mod witness;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use emv_dataprep::batch::{
    self, BatchError, Cards, Description, Exit, Facts, Input, Job, KeysFrom, Layout, Resume, Settings,
};
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::output::{Manifest, Sealer};
use emv_dataprep::prepare::{FirstSerial, Scripts};
use emv_dataprep::profile::Environment;
use emv_dataprep::store::Store;
use emv_dataprep::store::audit::{Event, Text};

use crate::failure::{Done, Failure};
use crate::issuer_dir::IssuerDir;
use crate::journal::{self, Journal};
use crate::pool::PoolKeys;
use crate::progress::{self, Ticker};
use crate::{hardening, production, self_test, terminal};

pub use args::Args;
pub use once::ledger_of;
use once::{ledger, tags};
use orders::source;
pub use start::{Start, clock, now};
use witness::Verified;

/// Positions in a block when nobody says otherwise.
const BLOCK: u64 = 1000;
/// The kernels that `DATAPREP_BACKEND` names, or the best of this machine.
pub fn backend() -> Result<Backend, Failure> {
    match std::env::var("DATAPREP_BACKEND") {
        Err(std::env::VarError::NotPresent) => Ok(Backend::detect()),
        Ok(name) => {
            let backend: Result<Backend, _> = name.parse().and_then(Backend::require);
            backend.map_err(|e| Failure::refused(format!("DATAPREP_BACKEND: {e}")))
        }
        Err(_) => Err(Failure::refused("DATAPREP_BACKEND is not text")),
    }
}

pub fn run(args: &Args) -> Done {
    let manifest = prepare(args)?;
    let counts = &manifest.counts;
    terminal::say(&format!(
        "{}: {} orders, {} prepared, {} rejected",
        args.out.display(),
        counts.orders,
        counts.prepared,
        counts.rejected
    ));
    if let Some(pool) = manifest.pool {
        terminal::say(&format!("  {} keys out of the pool, {} made", pool.used, pool.fresh));
    }
    for (code, n) in &counts.by_error {
        terminal::say(&format!("  {n} {code}"));
    }
    if counts.repeated > 0 {
        terminal::say(&format!("  {} were prepared by an earlier batch", counts.repeated));
    }
    if let Some(found) = &manifest.verification {
        terminal::say(&format!("  {} cards read back, {} failed", found.cards, found.failed));
    }
    if counts.rejected > 0 {
        terminal::say(&format!("see {}", args.out.join(Layout::REJECTED).display()));
    }
    terminal::say(&format!("report: {}", args.out.join(Layout::REPORT).display()));
    if args.json {
        terminal::give(manifest.to_json().as_bytes())?;
    }
    Ok(if counts.rejected == 0 { Exit::Done } else { Exit::Found })
}

/// Runs the whole batch: its manifest.
pub fn prepare(args: &Args) -> Result<Manifest, Failure> {
    // Read here and not by the command line's parser, which repeats what it refuses.
    let said = |name: &str, text: &Option<String>| {
        let parsed = text.as_ref().map(|t| t.parse::<Text>()).transpose();
        parsed.map_err(|e| Failure::usage(format!("{name}: {e}")))
    };
    let (operator, reason) = (said("--operator", &args.operator)?, said("--reason", &args.reason)?);
    let stop = stop_on_signals()?;
    self_test::at_start()?;
    let backend = backend()?;
    let dir = IssuerDir::load(&args.issuer)?;
    production::admit_prepare(&dir, args)?;
    resume::named(args, &dir, operator.as_ref())?;
    if dir.issuer.environment() == Environment::Production {
        hardening::tell_what_is_missing();
    }
    let resume = if args.resume { Resume::Yes } else { Resume::No };
    batch::check_folder(&args.out, &Store::default(), resume)?;
    let keys = dir.open_keys(backend)?;
    let recipients = dir.recipients()?;
    job_key::require(&dir, &keys)?;
    if !args.plain
        && let Some(open) = dir.issuer.destinations().find(|d| recipients.get(&d.id).is_none())
    {
        return Err(Failure::refused(format!(
            "destination {} has no public key: --plain is needed",
            open.id
        )));
    }
    let ledger = ledger(args, &dir)?;
    production::admit_sequence(&dir, ledger.as_ref())?;
    let tags = match &ledger {
        None => None,
        Some(_) => Some(tags(&dir, &keys)?),
    };
    let home =
        dir.issuer.issuer_return().ok_or_else(|| Failure::refused("issuer.toml names no issuer return"))?;

    let seed = args.seed.map(Seed::fixed);
    let (source, known, length) = source(&args.orders, seed.is_some())?;
    let found = resume::Found::look(args);
    let configuration = dir.digests();
    let start = match args.now {
        Some(now) => Start::at(now)?,
        None => Start::now()?,
    };
    let description = Description {
        engine: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: start.text,
        start_is_fixed: args.now.is_some(),
        configuration: production::state(&dir).digest(),
        seed_commitment: seed.as_ref().map(Job::seed_commitment),
        plain: args.plain,
        block: args.block.or_else(|| block_of(&args.out, resume)).unwrap_or(BLOCK),
        input: known,
    };
    let batch_id = || Job::batch_id(seed.as_ref(), &description.configuration, known);
    let key = || job_key::make(&keys, seed.as_ref());
    let job = batch::open_with_key(&args.out, Store::default(), resume, &description, batch_id, key)?;
    let macs = job_key::macs(&job, &keys)?;
    let store = Store::default();
    let who = journal::who(operator.as_ref())?;
    let signer = dir.signing_key()?;
    let mut journal = Journal::open(&store, &args.out, signer.as_ref(), who, clock)?;
    let approved = resume::approved(args, &dir, &job, found, operator.as_ref())?;
    let size = usize::try_from(job.job.block).unwrap_or(usize::MAX);
    if let Some(manifest) = &job.finished {
        if !approved.is_empty() {
            journal.add(Event::BatchResumed, approved)?;
        }
        let read = match known {
            Some(known) => known,
            None => Input::new(source, size)?.finish()?,
        };
        if hex_upper(&read) != manifest.input.sha256 {
            return Err(Failure::refused("the batch in this folder was made from another input"));
        }
        for file in &manifest.files {
            let bytes = std::fs::read(job.layout().file(&file.path)).unwrap_or_default();
            if hex_upper(&sha256(&[&bytes])) != file.sha256 {
                return Err(Failure::refused(format!(
                    "{}: missing or changed since the batch ended",
                    file.path
                )));
            }
        }
        job.clean()?;
        journal.finished(manifest)?;
        return Ok(manifest.clone());
    }
    let supply = if args.pool { PoolKeys::open(&dir, &keys)? } else { PoolKeys::none() };
    let entries = journal.record().entries;
    let mut facts = vec![
        ("batch", job.job.batch.clone()),
        ("engine", job.job.engine.clone()),
        ("configuration", job.job.configuration.clone()),
        ("backend", backend.to_string()),
    ];
    facts.extend(approved);
    facts.extend(known.map(|digest| ("input", hex_upper(&digest))));
    if entries == 0 {
        journal.add(Event::BatchStarted, facts)?;
    } else {
        let reason = reason.as_ref().map_or("not given", Text::as_str);
        facts.push(("reason", reason.to_owned()));
        journal.add(Event::BatchResumed, facts)?;
    }
    let tag_key = weak_keys::tag_key(&job, seed.as_ref(), tags.as_ref())?;
    let compared = ledger.as_ref().filter(|_| seed.is_none());
    let gate = weak_keys::gate(&tag_key, &dir, &keys, &supply, compared)?;
    let today = Start::read(&job.job.started)?.today;
    let issuer = dir.issuer.on(today)?;
    let cards = Cards {
        issuer: &issuer,
        module: &keys.module,
        opener: &keys.envelopes.on(today),
        today,
        backend,
        scripts: Scripts::Build,
        supply: supply.as_supply(),
        home: &home.id,
        // With a seed nothing but seed and orders may show in a card: not how the input was packed, on which the batch id
        // depends.
        first_serial: seed
            .as_ref()
            .map_or_else(|| FirstSerial::of_batch(&job.job.batch), FirstSerial::of_seed),
        prime_tags: Some(&tag_key),
        tags,
        macs: macs.as_ref(),
    };
    for finding in dir.ending(Start::read(&job.job.started)?.today) {
        terminal::say(&finding.to_string());
    }
    let read_back = witness::facts(args, &dir, &job.job.started, job.layout())?;
    let ticker = Ticker::new(args.progress.unwrap_or_else(progress::Form::fitting), length);
    let settings = Settings {
        threads: args.threads.map_or(0, usize::from),
        seed: seed.as_ref(),
        sealer: (!args.plain).then_some(&recipients as &dyn Sealer),
        stop: &stop,
        progress: &ticker,
        ledger: ledger.as_ref(),
        gate: Some(&gate),
    };
    let facts = Facts {
        engine_sha256: own_digest(),
        environment: dir.issuer.environment().name().to_owned(),
        configuration,
        keys: dir.key_records(&keys),
        trust: dir.trust(&keys),
        keys_from: if args.pool { KeysFrom::Pool } else { KeysFrom::Fresh },
        audit: journal.record(),
        signer: dir.signing_key()?,
        now: Box::new(clock),
    };
    let input = Input::new(source, size)?;
    let manifest = match read_back {
        Some(witness) => batch::run(&job, &Verified { cards, facts: witness }, input, &settings, &facts),
        None => batch::run(&job, &cards, input, &settings, &facts),
    };
    ticker.end();
    drop(gate);
    supply.close();
    match manifest {
        Ok(manifest) => {
            journal.finished(&manifest)?;
            Ok(manifest)
        }
        Err(error) => {
            let failure = Failure::from(error);
            // What stopped the batch is told in any case; a log that cannot be written must not hide it.
            let _ = journal.add(Event::BatchStopped, [("exit", (failure.exit as u8).to_string())]);
            Err(failure)
        }
    }
}

/// The block size of the batch that is completed.
fn block_of(out: &Path, resume: Resume) -> Option<u64> {
    if resume == Resume::No {
        return None;
    }
    let bytes = std::fs::read(out.join(Layout::JOB)).ok()?;
    Job::read(&bytes).ok().map(|job| job.block)
}

/// SHA-256 of the running program, where the system shows it.
fn own_digest() -> Option<String> {
    batch::file_digest(Path::new("/proc/self/exe")).ok().map(|digest| hex_upper(&digest))
}

/// Becomes true when INT or TERM asks to stop; a second one ends the program at once.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let again = signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(Exit::Stopped as u8),
            Arc::clone(&stop),
        );
        let first = signal_hook::flag::register(signal, Arc::clone(&stop));
        again.and(first).map_err(|e| Failure::stopped(format!("listen for signals: {e}")))?;
    }
    Ok(stop)
}

impl From<emv_dataprep::store::StoreError> for Failure {
    fn from(error: emv_dataprep::store::StoreError) -> Self {
        BatchError::from(error).into()
    }
}

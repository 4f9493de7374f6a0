//! `dataprep verify`: the second witness over a whole batch.

pub mod cards;
pub mod context;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use emv_dataprep::batch::{Exit, Layout};
use emv_dataprep::crypto::hash::Sha256Stream;
use emv_dataprep::keys::PrivateJwk;
use emv_dataprep::output;
use emv_dataprep::store::audit::AuditLog;
use emv_dataprep::verify::{FileEntry, Manifest, Outcome, Outcomes, Tally};

use crate::audit;
use crate::failure::{Done, Failure};
use crate::issuer_dir::{self, IssuerDir, Signer};
use crate::{self_test, terminal, wipe};

/// Check every card of a batch, every file and every order, by code that shares nothing with what made them
#[derive(clap::Args, Clone)]
#[command(
    after_help = "Example: dataprep verify demo/out --issuer demo/issuer --key demo/secrets/PC1.jwk --key demo/secrets/THALES.jwk"
)]
pub struct Args {
    /// The output folder of a batch
    pub out: PathBuf,
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    pub issuer: PathBuf,
    /// Private JWK of a destination; once for each
    #[arg(long = "key", value_name = "JWK")]
    pub keys: Vec<PathBuf>,
    /// Public key of a sender of sealed files, beside the issuer directory's: public JWK, or 64 hexadecimal digits
    #[arg(long = "signer", value_name = "JWK|HEX")]
    pub signers: Vec<Signer>,
    /// Open and check about so many cards only, in blocks spread over the batch; digests and statuses are all checked
    #[arg(long, value_name = "CARDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub sample: Option<u64>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Failures that are told to people one by one.
const TOLD: usize = 20;

pub fn run(args: &Args) -> Done {
    let tally = verify(args)?;
    for failure in tally.failures().iter().take(TOLD) {
        let place = match (failure.position, &failure.card_id) {
            (Some(position), Some(id)) => format!("position {position}, card {id}: "),
            (Some(position), None) => format!("position {position}: "),
            _ => String::new(),
        };
        terminal::say(&format!("{place}{}: {}", failure.check, failure.reason));
    }
    if tally.failures().len() > TOLD {
        terminal::say(&format!("and {} more", tally.failures().len() - TOLD));
    }
    terminal::say(&format!("{} cards, {} failures", tally.cards(), tally.failures().len()));
    if args.json {
        terminal::give(format!("{}\n", tally.to_json()).as_bytes())?;
    }
    Ok(if tally.passed() { Exit::Done } else { Exit::Found })
}

/// Checks a batch: what was found.
pub fn verify(args: &Args) -> Result<Tally, Failure> {
    self_test::at_start()?;
    wipe::refuse_wiped(&args.out)?;
    let layout = Layout::new(&args.out);
    let path = layout.file(Layout::MANIFEST);
    let text = std::fs::read(&path)
        .map_err(|e| Failure::refused(format!("{}: {e}: the batch is not finished", path.display())))?;
    let dir = IssuerDir::load(&args.issuer)?;
    let mut holders = BTreeMap::new();
    for path in &args.keys {
        let key = issuer_dir::read_private_jwk(path)?;
        holders.insert(key.public().kid().to_owned(), key);
    }

    let senders = issuer_dir::senders(Some(&dir), &args.signers)?;

    let mut tally = Tally::default();
    let whole = output::Manifest::read(&text);
    let outcome = match &whole {
        Ok(_) => Outcome::Passed,
        Err(_) => Outcome::Failed("the manifest was changed"),
    };
    tally.add_batch_check("manifest", Layout::MANIFEST, outcome);
    let Ok(whole) = whole else { return Ok(tally) };
    let manifest = match Manifest::read(&String::from_utf8_lossy(&text)) {
        Ok(manifest) => manifest,
        Err(reason) => {
            tally.add_batch_check("manifest", Layout::MANIFEST, Outcome::Failed(reason));
            return Ok(tally);
        }
    };
    let public = dir.issuer.signing_public_key();
    let signed = match public {
        None => Outcome::NotApplicable,
        Some(key) if whole.check_signature(key).is_ok() => Outcome::Passed,
        Some(_) => Outcome::Failed("the manifest is not signed by the issuer's key"),
    };
    tally.add_batch_check("manifest-signature", Layout::MANIFEST, signed);
    let log = match audit::check(&args.out, public) {
        Ok(Ok(_)) => Outcome::Passed,
        Ok(Err(_)) => Outcome::Failed("the audit log was changed, or does not fit the manifest"),
        Err(_) => Outcome::Failed("the audit log is missing"),
    };
    tally.add_batch_check("audit-log", AuditLog::LOG, log);
    tally.add_batch_check("counts", Layout::MANIFEST, manifest.check_counts());
    tally.add_batch_check("weak-keys", Layout::MANIFEST, manifest.check_weak_keys());
    let good = check_files(&layout, &manifest, &mut tally);
    check_strangers(&layout, &manifest, &mut tally)?;

    let facts = context::Facts::new(&dir, &whole.started, &layout)?;
    tally.add_batch_check("job-key", Layout::KEY, facts.job);
    let mut outcomes = Outcomes::new(manifest.orders);
    each_line(&layout.file(Layout::STATUS), |line| outcomes.status(line))?;
    each_line(&layout.file(Layout::REJECTED), |line| outcomes.rejected(line))?;
    let witness = cards::Witness {
        layout: &layout,
        batch: &whole.batch,
        holders: &holders,
        senders: &senders,
        facts,
        sample: args.sample,
    };
    let read = witness.all(&manifest, &good, &mut outcomes, &mut tally)?;
    if read == cards::Read::All {
        tally.add_batch_check("recount", Layout::MANIFEST, manifest.check_counted(outcomes.counted()));
    }
    tally.add_outcomes(match read {
        cards::Read::All => outcomes.finish(),
        cards::Read::Sample => outcomes.finish_without_cards(),
    });
    Ok(tally)
}

/// Compares every file with its digest; the ones that are as the manifest says.
fn check_files(layout: &Layout, manifest: &Manifest, tally: &mut Tally) -> Vec<FileEntry> {
    let mut good = Vec::new();
    for file in &manifest.files {
        let outcome = match digest(&layout.file(&file.path)) {
            Ok((sha256, len)) => file.check_digest(sha256, len),
            Err(_) => Outcome::Failed("the file cannot be read"),
        };
        if outcome == Outcome::Passed {
            good.push(file.clone());
        }
        tally.add_batch_check("file-digest", &file.path, outcome);
    }
    good
}

/// Files in the folders of cards, mailers and returns that the manifest does not know.
fn check_strangers(layout: &Layout, manifest: &Manifest, tally: &mut Tally) -> Result<(), Failure> {
    let known: std::collections::BTreeSet<&str> = manifest.files.iter().map(|f| f.path.as_str()).collect();
    let mut folders: Vec<String> = ["prepared", "pin-mailers", "issuer-return", Layout::WORK]
        .into_iter()
        .filter(|f| layout.file(f).is_dir())
        .map(str::to_owned)
        .collect();
    let mut strangers = 0_u64;
    while let Some(folder) = folders.pop() {
        let path = layout.file(&folder);
        let at = |e: std::io::Error| Failure::stopped(format!("read {}: {e}", path.display()));
        for entry in std::fs::read_dir(&path).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(name);
            } else if !known.contains(name.as_str()) {
                strangers += 1;
                tally.add_batch_check(
                    "known-file",
                    &name,
                    Outcome::Failed("the manifest does not know this file"),
                );
            }
        }
    }
    if strangers == 0 {
        tally.add_batch_check("known-file", "", Outcome::Passed);
    }
    Ok(())
}

fn digest(path: &Path) -> std::io::Result<([u8; 32], u64)> {
    let mut file = File::open(path)?;
    let mut digest = Sha256Stream::default();
    let mut buffer = vec![0; 256 * 1024];
    let mut len = 0_u64;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((digest.digest(), len));
        }
        digest.update(buffer.get(..n).unwrap_or_default());
        len += n as u64;
    }
}

/// Gives every line of a text file. An absent file was told by its digest.
fn each_line(path: &Path, mut take: impl FnMut(&str)) -> Result<(), Failure> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = reader.read_until(b'\n', &mut line);
        let n = n.map_err(|e| Failure::stopped(format!("read {}: {e}", path.display())))?;
        if n == 0 {
            return Ok(());
        }
        take(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).as_ref());
    }
}

/// The keys of sealed files by their ids.
type Holders = BTreeMap<String, PrivateJwk>;

//! `dataprep pool`: ready RSA keys, made ahead and sealed.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::crypto::rsa::{Exponent, KeySpec};
use emv_dataprep::prepare::RsaKeySupply;
use emv_dataprep::store::pool::{Fill, FillProgress, PoolStatus, PoolSupply, Shelf};
use serde::Serialize;

use crate::failure::{Done, Failure};
use crate::issuer_dir::{IssuerDir, OpenKeys};
use crate::prepare::{backend, stop_on_signals};
use crate::{self_test, terminal};

/// The least size of a key for cards that leave.
const LEAST_BITS: usize = 1024;

/// Ready RSA keys, made ahead: fill the pool, count it
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep pool fill --issuer demo/issuer --bits 1408 --exponent 65537 --count 1000"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Fill(FillArgs),
    Status(StatusArgs),
}

/// Make keys and seal them into the issuer's pool
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep pool fill --issuer demo/issuer --bits 1408 --exponent 3 --count 256 --json"
)]
struct FillArgs {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// Bits of the modulus: 512 to 1984 in steps of 16, below 1024 for test issuers only
    #[arg(long, value_name = "B")]
    bits: usize,
    /// Public exponent: 3 or 65537
    #[arg(long, value_name = "E", value_parser = exponent)]
    exponent: Exponent,
    /// How many keys
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// Threads; default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The counts on standard output
    #[arg(long)]
    json: bool,
}

/// Count the keys of the issuer's pool
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep pool status --issuer demo/issuer --json")]
struct StatusArgs {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// The counts on standard output
    #[arg(long)]
    json: bool,
}

fn exponent(text: &str) -> Result<Exponent, String> {
    match text {
        "3" => Ok(Exponent::THREE),
        "65537" => Ok(Exponent::F4),
        _ => Err("3 or 65537".to_owned()),
    }
}

pub fn run(args: &Args) -> Done {
    match &args.command {
        Command::Fill(args) => fill(args),
        Command::Status(args) => status(args),
    }
}

#[derive(Serialize)]
struct Filled {
    made: u64,
    bits: usize,
    exponent: u32,
    available: u64,
}

fn fill(args: &FillArgs) -> Done {
    let spec = KeySpec::new(args.bits, args.exponent).map_err(|e| Failure::usage(format!("--bits: {e}")))?;
    let stop = stop_on_signals()?;
    self_test::at_start()?;
    let backend = backend()?;
    let dir = IssuerDir::load(&args.issuer)?;
    if spec.bits() < LEAST_BITS {
        dir.only_for_test("a key below 1024 bits")?;
    }
    let keys = dir.open_keys(backend)?;
    let pool = dir.pool(&keys)?;
    let told = Told { wanted: args.count };
    let threads = args.threads.map_or(0, usize::from);
    let fill = Fill { spec, count: args.count, threads, backend, stop: &stop, progress: &told };
    let made = pool.fill(&fill)?;
    let status = pool.status()?;
    // Filling is done; whether other segments are damaged is what the exit code of `status` says.
    let _ = tell_damage(&status);
    let available = status.shelves.iter().find(|s| s.spec == spec).map_or(0, |s| s.available);
    let (bits, exponent) = (spec.bits(), spec.exponent().get());
    terminal::say(&format!("{made} keys of {bits} bits, e = {exponent}, made; {available} available"));
    if args.json {
        give(&Filled { made, bits, exponent, available })?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Counts {
    bits: usize,
    exponent: u32,
    available: u64,
    burnt: u64,
}

#[derive(Serialize)]
struct Pools {
    pools: Vec<Counts>,
}

fn status(args: &StatusArgs) -> Done {
    self_test::at_start()?;
    let backend = backend()?;
    let dir = IssuerDir::load(&args.issuer)?;
    let keys = dir.open_keys(backend)?;
    let status = dir.pool(&keys)?.status()?;
    let counts = |s: &Shelf| Counts {
        bits: s.spec.bits(),
        exponent: s.spec.exponent().get(),
        available: s.available,
        burnt: s.burnt,
    };
    let pools: Vec<Counts> = status.shelves.iter().map(counts).collect();
    if pools.is_empty() {
        terminal::say("the pool is empty");
    }
    for Counts { bits, exponent, available, burnt } in &pools {
        terminal::say(&format!("{bits} bits, e = {exponent}: {available} available, {burnt} burnt"));
    }
    let exit = tell_damage(&status);
    if args.json {
        give(&Pools { pools })?;
    }
    Ok(exit)
}

/// Names every damaged file.
fn tell_damage(status: &PoolStatus) -> Exit {
    for error in &status.damaged {
        terminal::say(&format!("dataprep: {error}"));
    }
    if status.damaged.is_empty() { Exit::Done } else { Exit::Found }
}

fn give(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|_| Failure::refused("the answer cannot be written"))?;
    terminal::give(format!("{text}\n").as_bytes())
}

/// A line for people now and then.
struct Told {
    wanted: u64,
}

impl FillProgress for Told {
    fn sealed(&self, keys: u64) {
        // A line for about every 40 segments, and none for a fill of one.
        if keys < self.wanted && keys.is_multiple_of(10_240) {
            terminal::say(&format!("{keys} of {} keys", self.wanted));
        }
    }
}

/// The pool as `prepare` uses it.
pub struct PoolKeys<'a>(Option<PoolSupply<'a>>);

impl<'a> PoolKeys<'a> {
    /// No pool.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The issuer's pool. One that was never filled is no reason to stop.
    pub fn open(dir: &IssuerDir, keys: &'a OpenKeys) -> Result<Self, Failure> {
        let pool = dir.pool(keys)?;
        if !dir.pool_folder().is_dir() {
            terminal::say(&format!("{}: there is no pool; all keys are made", dir.pool_folder().display()));
            return Ok(Self::none());
        }
        Ok(Self(Some(PoolSupply::open(pool)?)))
    }

    /// What the library takes keys from.
    pub fn as_supply(&self) -> Option<&dyn RsaKeySupply> {
        self.0.as_ref().map(|s| s as &dyn RsaKeySupply)
    }

    /// The supply itself.
    pub const fn supply(&self) -> Option<&PoolSupply<'a>> {
        self.0.as_ref()
    }

    /// Gives back what nobody took, and tells what was wrong.
    pub fn close(self) {
        for error in self.0.map(PoolSupply::close).unwrap_or_default() {
            terminal::say(&format!("dataprep: {error}"));
        }
    }
}

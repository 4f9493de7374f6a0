//! `dataprep bench`: what this machine does in a second, on one core and on all of them.

mod cards;
mod rsa;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use emv_dataprep::batch::Exit;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::Seed;
use serde::Serialize;

use crate::failure::{Done, Failure};
use crate::prepare::backend;
use crate::{self_test, terminal};

/// Measure this machine: keys, signatures, cards and envelopes a second
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep bench --seconds 10 --json")]
pub struct Args {
    /// About how long it takes; each figure gets an equal share
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// The figures on standard output
    #[arg(long)]
    json: bool,
}

/// A piece of work that is done again and again: how many things one call makes. Threads call it side by side.
type Work<'a> = Box<dyn Fn() -> Result<u64, Failure> + Sync + 'a>;

/// Something to measure.
struct Measure<'a> {
    name: String,
    unit: &'static str,
    work: Work<'a>,
}

impl<'a> Measure<'a> {
    fn new(
        name: impl Into<String>,
        unit: &'static str,
        work: impl Fn() -> Result<u64, Failure> + Sync + 'a,
    ) -> Self {
        Self { name: name.into(), unit, work: Box::new(work) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figure {
    name: String,
    unit: &'static str,
    one_core: f64,
    all_cores: f64,
}

#[derive(Serialize)]
struct Report {
    engine: &'static str,
    backend: &'static str,
    cores: usize,
    seconds: u32,
    figures: Vec<Figure>,
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    let backend = backend()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    terminal::say(&format!("backend {backend}, {cores} cores; figures are of this machine, now"));
    let seed = Seed::from_os()?;
    let issuer = cards::BenchIssuer::make(backend)?;
    let mut measures = rsa::measures(backend, &seed)?;
    measures.extend(issuer.measures(&seed)?);
    let mut report = Report {
        engine: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
        backend: backend.name(),
        cores,
        seconds: args.seconds,
        figures: Vec::new(),
    };
    terminal::say(&format!("{:<42} {:>12} {:>12}  a second", "", "one core", "all cores"));
    let shares = u32::try_from(measures.len().saturating_mul(2)).unwrap_or(u32::MAX).max(1);
    let share = Duration::from_secs(u64::from(args.seconds)) / shares;
    for measure in &measures {
        let figure = Figure {
            name: measure.name.clone(),
            unit: measure.unit,
            one_core: rate(measure, 1, share)?,
            all_cores: rate(measure, cores, share)?,
        };
        terminal::say(&format!(
            "{:<42} {:>12} {:>12}  {}",
            figure.name,
            rounded(figure.one_core),
            rounded(figure.all_cores),
            figure.unit
        ));
        report.figures.push(figure);
    }
    if args.json {
        let text = serde_json::to_string(&report);
        let text = text.map_err(|_| Failure::refused("the figures cannot be written"))?;
        terminal::give(format!("{text}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Things a second of so many threads together. A thread ends the call that it is in, and its own time counts.
fn rate(measure: &Measure<'_>, threads: usize, share: Duration) -> Result<f64, Failure> {
    // Caches and clocks warm up; the first call is not counted.
    (measure.work)()?;
    let start = Barrier::new(threads);
    let one = || {
        start.wait();
        let begun = Instant::now();
        let mut made = 0_u64;
        while made == 0 || begun.elapsed() < share {
            made = made.saturating_add((measure.work)()?);
        }
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        Ok::<f64, Failure>(made as f64 / begun.elapsed().as_secs_f64().max(1e-9))
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let rates = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(Failure::refused("a measurement could not be made")))
        });
        rates.sum()
    })
}

/// Three figures that count.
fn rounded(rate: f64) -> String {
    let digits = if rate < 10.0 {
        2
    } else if rate < 100.0 {
        1
    } else {
        0
    };
    format!("{rate:.digits$}")
}

/// How many RSA operations a backend likes together.
const fn together(backend: Backend) -> usize {
    match backend {
        Backend::Avx512 | Backend::Avx2 => 8,
        Backend::Portable | Backend::Plain => 1,
    }
}

//! `dataprep jobs`: the jobs in some folders, and which are past their days.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::{Exit, JobRecord, JobState, Layout};
use emv_dataprep::store::Store;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::issuer_dir::IssuerDir;
use crate::{prepare, terminal};

/// List jobs with their state and age, and mark those past their retention
#[derive(clap::Args, Clone)]
#[command(after_help = "Example: dataprep jobs demo --issuer demo/issuer --days 90")]
pub struct Args {
    /// Output folders, or folders of output folders
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// The issuer directory, whose retention_days says what is past
    #[arg(long, value_name = "DIR")]
    issuer: Option<PathBuf>,
    /// Days that a job may stay; before what issuer.toml says
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// One job.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    folder: String,
    batch: String,
    state: &'static str,
    age_days: i64,
    orders: u64,
    past: bool,
}

const DAY: i64 = 24 * 60 * 60;

pub fn run(args: &Args) -> Done {
    let by_issuer = match &args.issuer {
        Some(dir) => IssuerDir::load(dir)?.issuer.retention_days(),
        None => None,
    };
    let days = args.days.or(by_issuer);
    let store = Store::default();
    let mut rows = Vec::new();
    for folder in &args.folders {
        let found = jobs_of(folder, &store)?;
        if found.is_empty() {
            terminal::say(&format!("{}: no job", folder.display()));
        }
        for root in found {
            rows.extend(row(&root, &store, days)?);
        }
    }
    for row in &rows {
        let past = if row.past { "  PAST ITS DAYS: dataprep wipe" } else { "" };
        terminal::say(&format!(
            "{}  {}  {}  {} days  {} orders{past}",
            row.folder, row.batch, row.state, row.age_days, row.orders
        ));
    }
    let past = rows.iter().filter(|row| row.past).count();
    if args.json {
        let text = json!({ "jobs": rows, "past": past, "days": days });
        terminal::give(format!("{text}\n").as_bytes())?;
    }
    Ok(if past == 0 { Exit::Done } else { Exit::Found })
}

/// The folder itself, when it holds a job, else the folders in it that do.
fn jobs_of(folder: &Path, store: &Store) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Err(Failure::refused(format!("{}: is not a folder", folder.display())));
    }
    let is_job = |path: &Path| path.join(Layout::JOB).is_file();
    if is_job(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let inside = store.list(folder)?.into_iter().map(|name| folder.join(name));
    Ok(inside.filter(|path| is_job(path)).collect())
}

fn row(root: &Path, store: &Store, days: Option<u32>) -> Result<Option<Row>, Failure> {
    let Some(record) = JobRecord::read(root, store)? else { return Ok(None) };
    // A finished job is as old as its manifest, any other as its start.
    let since = record.manifest.as_ref().map_or(&record.job.started, |manifest| &manifest.ended);
    let since: Timestamp = since
        .parse()
        .map_err(|_| Failure::refused(format!("{}: the time of the job cannot be read", root.display())))?;
    let age = prepare::now().as_second().saturating_sub(since.as_second());
    let is_past = |days: u32| age > i64::from(days).saturating_mul(DAY);
    Ok(Some(Row {
        folder: root.display().to_string(),
        batch: record.job.batch,
        state: record.state.name(),
        age_days: age.div_euclid(DAY),
        orders: record.orders,
        past: record.state != JobState::Wiped && days.is_some_and(is_past),
    }))
}

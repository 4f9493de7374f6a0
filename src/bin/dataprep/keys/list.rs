//! `dataprep keys list`: what there is, never bytes. No key is opened, so that it needs no secret.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::card::CardDate;
use emv_dataprep::keys::tr31::{self, Algorithm, Header};
use emv_dataprep::profile::{KeyLine, KeyState, cvv_word};
use serde_json::{Value, json};

use super::file::KeyDir;
use crate::failure::Done;
use crate::prepare::Start;
use crate::terminal;

/// List the keys: use, index, algorithm, check value, key block, dates; no key is opened
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys list --issuer demo/issuer --json")]
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
    let today = Start::now()?.today;
    let keys: Vec<Value> = dir.file.keys().iter().map(|line| object(line, today)).collect();
    if args.json {
        terminal::give(format!("{}\n", json!({ "keys": keys })).as_bytes())?;
    } else {
        terminal::give(table(&keys).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn object(line: &KeyLine, today: CardDate) -> Value {
    let entry = &line.entry;
    let header = tr31::header(&entry.block).ok();
    let day = |date: Option<CardDate>| date.map(CardDate::iso);
    let state = match line.dates.state(today) {
        KeyState::Active => "active",
        KeyState::Expired => "expired",
        KeyState::Retired => "retired",
    };
    json!({
        "use": entry.key.usage.name(),
        "index": entry.key.index.to_string(),
        "for": entry.key.only.map(cvv_word),
        "algorithm": header.as_ref().map(|h| algorithm(h.algorithm())),
        "kcv": entry.kcv.to_string(),
        "kcvMethod": entry.kcv_method.name(),
        "keyBlock": header.as_ref().map(block),
        "created": header.as_ref().and_then(|h| time(h, "TC")),
        "wrapped": header.as_ref().and_then(|h| time(h, "TS")),
        "loaded": day(line.dates.loaded),
        "expires": day(line.dates.expires),
        "retired": day(line.dates.retired),
        "state": state,
        "pvki": entry.attributes.pvki,
        "dki": entry.attributes.dki.map(|dki| format!("{dki:02X}")),
        "note": line.note,
    })
}

fn block(header: &Header) -> Value {
    json!({
        "version": header.version().to_string(),
        "usage": header.usage().to_string(),
        "mode": header.mode().to_string(),
        "keyVersion": header.key_version(),
        "exportability": char::from(header.exportability().letter()).to_string(),
    })
}

/// The key's length is hidden in a block: only opening it tells.
fn algorithm(letter: Algorithm) -> &'static str {
    match letter {
        Algorithm::TDEA => "TDES",
        Algorithm::AES => "AES",
        Algorithm::HMAC => "HMAC",
        _ => "other",
    }
}

/// The day in an optional block of a time (X9.143, 7.4): `TC`, when the key was made, or `TS`, when the block was.
fn time(header: &Header, id: &str) -> Option<String> {
    let block = header.optional_blocks().iter().find(|block| block.id() == id)?;
    let digits = block.data().get(..8).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    Some(format!("{}-{}-{}", digits.get(..4)?, digits.get(4..6)?, digits.get(6..8)?))
}

fn table(keys: &[Value]) -> String {
    let head = ["use", "index", "for", "algorithm", "kcv", "method", "block", "loaded", "ends", "state"];
    let mut rows = vec![head.map(str::to_owned)];
    for key in keys {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let of = |name: &str| text(key.get(name).unwrap_or(&Value::Null));
        let block = key.get("keyBlock").unwrap_or(&Value::Null);
        let part = |name: &str| text(block.get(name).unwrap_or(&Value::Null));
        // The earlier of the two days counts; ISO dates sort as text.
        let ends = [of("expires"), of("retired")].into_iter().filter(|d| !d.is_empty()).min();
        rows.push([
            of("use"),
            of("index"),
            of("for"),
            of("algorithm"),
            of("kcv"),
            of("kcvMethod"),
            format!("{} {} {} {}", part("version"), part("usage"), part("mode"), part("exportability")),
            of("loaded"),
            ends.unwrap_or_default(),
            of("state"),
        ]);
    }
    let mut widths = [0_usize; 10];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |row: &[String; 10]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

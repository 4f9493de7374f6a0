//! `dataprep issuer-key status`: which keys there are, and when they end.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::card::{CardDate, Expiry};
use emv_dataprep::keys::KeyIndex;
use emv_dataprep::store::Store;
use serde_json::json;

use super::folder::read_pending;
use super::request::digits;
use crate::failure::{Done, Failure};
use crate::issuer_dir::IssuerDir;
use crate::prepare::Start;
use crate::terminal;

/// Show every issuer RSA key, its certificates, what waits for one, and when they end
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep issuer-key status --issuer demo/issuer --json\n\n\
    Exit code 3: something has ended, or ends within the months that issuer.toml sets (expiry_warning_months).")]
pub(super) struct Args {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// Months before an end that count as soon; default what issuer.toml says, 6
    #[arg(long, value_name = "N")]
    months: Option<u16>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// How an end stands to today.
fn state(end: Expiry, today: CardDate, months: u16) -> &'static str {
    let day = |year: u8, month: u8| i32::from(year) * 12 + i32::from(month);
    if !end.covers(today) {
        "ended"
    } else if day(end.year(), end.month()) - day(today.year(), today.month()) <= i32::from(months) {
        "soon"
    } else {
        "good"
    }
}

pub(super) fn run(args: &Args) -> Done {
    let dir = IssuerDir::read(&args.issuer)?;
    let today = Start::now()?.today;
    let months = args.months.unwrap_or(dir.issuer.expiry_warning_months());
    let store = Store::default();
    let mut keys = Vec::new();
    let mut people = Vec::new();
    let mut all_good = true;
    for oda in dir.issuer.oda_keys() {
        let ca = oda.certificates.first().map(|c| &c.ca);
        let ca_state = oda.ca_expiry.map(|end| state(end, today, months));
        all_good &= ca_state.is_none_or(|s| s == "good");
        people.push(format!(
            "{}  {}  {} bits, CA key {}{}",
            oda.index,
            oda.rid,
            oda.modulus_len() * 8,
            ca.map(|ca| ca.index().to_string()).unwrap_or_default(),
            oda.ca_expiry
                .map(|end| format!(" ends {} ({})", end.yymm(), ca_state.unwrap_or_default()))
                .unwrap_or_default(),
        ));
        let mut certificates = Vec::new();
        for certificate in &oda.certificates {
            let state = state(certificate.expiry, today, months);
            all_good &= state == "good";
            let (identifier, end) = (digits(&certificate.identifier), certificate.expiry.yymm());
            people.push(format!("      {identifier}  ends {end} ({state})"));
            certificates.push(json!({"identifier": identifier, "expiry": end, "state": state}));
        }
        keys.push(json!({
            "index": oda.index.to_string(),
            "rid": oda.rid.to_string(),
            "bits": oda.modulus_len() * 8,
            "caIndex": ca.map(|ca| ca.index().to_string()),
            "caExpiry": oda.ca_expiry.map(Expiry::yymm),
            "caState": ca_state,
            "certificates": certificates,
            "requests": requests(&dir, &store, oda.index, &mut people)?,
        }));
    }
    for name in store.list(&dir.root.join("oda"))? {
        let Some(index) = name.to_str().and_then(|n| n.parse::<KeyIndex>().ok()) else { continue };
        if dir.issuer.oda(index).is_some() {
            continue;
        }
        let Some(pending) = read_pending(&store, &dir.root.join("oda").join(&name))? else { continue };
        people.push(format!("{index}  {}  {} bits, waits for its certificate", pending.rid, pending.bits));
        keys.push(json!({
            "index": index.to_string(),
            "rid": pending.rid,
            "bits": pending.bits,
            "certificates": [],
            "requests": requests(&dir, &store, index, &mut people)?,
        }));
    }
    for line in &people {
        terminal::say(line);
    }
    if args.json {
        let object = json!({"months": months, "keys": keys});
        terminal::give(format!("{object}\n").as_bytes())?;
    }
    Ok(if all_good { Exit::Done } else { Exit::Found })
}

fn requests(
    dir: &IssuerDir,
    store: &Store,
    index: KeyIndex,
    people: &mut Vec<String>,
) -> Result<Vec<serde_json::Value>, Failure> {
    let Some(pending) = read_pending(store, &dir.root.join("oda").join(index.to_string()))? else {
        return Ok(Vec::new());
    };
    let tell = |sent: &super::folder::Sent| {
        people.push(format!("      {}  asked for at {} ({})", sent.identifier, sent.at, sent.form));
        json!({"identifier": sent.identifier, "expiry": sent.expiry, "form": sent.form, "sha256": sent.sha256, "at": sent.at})
    };
    Ok(pending.requests.iter().map(tell).collect())
}

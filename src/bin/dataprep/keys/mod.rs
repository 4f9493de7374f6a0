//! `dataprep keys`: `keys.toml` and the key that signs.

mod check;
mod export;
mod file;
mod import;
mod list;
mod retire;
mod rotate;
mod signing;
mod to_token;
mod wrap;

use std::path::PathBuf;

use emv_dataprep::card::CardDate;
use emv_dataprep::keys::{CvvKind, KeyAlgorithm, KeyIndex, KeyRef, KeyUse};

use crate::failure::Done;
use crate::self_test;

/// Keys of an issuer: load, list, check, give out, retire; change the key-block protection key
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys list --issuer demo/issuer")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Args),
    Check(check::Args),
    Import(import::Args),
    Export(export::Args),
    Retire(retire::Args),
    Rotate(rotate::Args),
    Wrap(wrap::Args),
    Signing(signing::Args),
    #[command(flatten)]
    Envelope(crate::envelope::Command),
    ToToken(to_token::Args),
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Check(args) => check::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args),
        Command::Retire(args) => retire::run(args),
        Command::Rotate(args) => rotate::run(args),
        Command::Wrap(args) => wrap::run(args),
        Command::Signing(args) => signing::run(args),
        Command::Envelope(command) => crate::envelope::run(command),
        Command::ToToken(args) => to_token::run(args),
    }
}

/// The issuer directory, and who changes it.
#[derive(clap::Args)]
struct Where {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// Who does this, for the key log; production needs it
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
}

/// A key by its name.
#[derive(clap::Args)]
struct Name {
    /// What the key is for (imk-ac, cvk, pvk, pin, transport, …)
    #[arg(long = "use", value_name = "USE")]
    usage: KeyUse,
    /// Two upper-case hexadecimal digits
    #[arg(long)]
    index: KeyIndex,
    /// A cvk key that serves one value only: cvv1, icvv or cvv2
    #[arg(long = "for", value_name = "VALUE", value_parser = cvv_kind)]
    only: Option<CvvKind>,
}

impl Name {
    const fn key(&self) -> KeyRef {
        KeyRef { usage: self.usage, index: self.index, only: self.only }
    }
}

fn algorithm(text: &str) -> Result<KeyAlgorithm, String> {
    let all = [
        KeyAlgorithm::Tdes2,
        KeyAlgorithm::Tdes3,
        KeyAlgorithm::Aes128,
        KeyAlgorithm::Aes192,
        KeyAlgorithm::Aes256,
        KeyAlgorithm::Hmac,
    ];
    let found = all.into_iter().find(|a| a.name() == text);
    found.ok_or_else(|| format!("one of {}", all.map(KeyAlgorithm::name).join(", ")))
}

fn cvv_kind(text: &str) -> Result<CvvKind, String> {
    match text {
        "cvv1" => Ok(CvvKind::Cvv1),
        "icvv" => Ok(CvvKind::Icvv),
        "cvv2" => Ok(CvvKind::Cvv2),
        _ => Err("cvv1, icvv or cvv2".to_owned()),
    }
}

fn day(text: &str) -> Result<CardDate, String> {
    CardDate::from_iso(text).map_err(|e| e.to_string())
}

/// Use, index and the one value that a key serves.
fn shown(key: KeyRef) -> String {
    match key.only {
        None => key.to_string(),
        Some(only) => format!("{key} ({})", emv_dataprep::profile::cvv_word(only)),
    }
}

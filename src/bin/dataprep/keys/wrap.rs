//! `dataprep keys wrap`: a clear key becomes an entry for `keys.toml` (test issuers).

use std::io::Read;
use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::keys::tr31::{self, Exportability, Header};
use emv_dataprep::keys::{KcvMethod, KeyAlgorithm, KeyAttributes, KeyEntry, KeyIndex, KeyUse, SoftwareRing};
use emv_dataprep::profile::{KeyDates, entry_text};
use emv_dataprep::secret::Secret;

use super::Name;
use super::file::{Kbpk, KeyDir, fill};
use crate::failure::{Done, Failure};
use crate::{issuer_dir, terminal};

/// Wrap a key that stands on standard input in hexadecimal (test issuers): prints an entry for keys.toml
#[derive(clap::Args)]
#[command(
    after_help = "Example: echo 0123456789ABCDEFFEDCBA9876543210 | dataprep keys wrap --issuer demo/issuer --use cvk --index 0A"
)]
pub struct Args {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    #[command(flatten)]
    name: Name,
    /// TDES-2KEY, TDES-3KEY, AES-128, AES-192, AES-256 or HMAC-SHA-256; default by length: TDES for 16 and 24 bytes, AES-256 for 32
    #[arg(long, value_parser = super::algorithm)]
    algorithm: Option<KeyAlgorithm>,
    /// Whether `keys export` may give the key out
    #[arg(long)]
    exportable: bool,
    /// PIN verification key index of a pvk key, one digit
    #[arg(long)]
    pvki: Option<u8>,
    /// Derivation key index of an imk-ac key, two hexadecimal digits
    #[arg(long)]
    dki: Option<KeyIndex>,
}

pub fn run(args: &Args) -> Done {
    // The rest of the directory may be what the key is still missing from.
    let dir = KeyDir::open(&args.issuer)?;
    if !dir.is_test() {
        return Err(Failure::refused("keys wrap is for an issuer whose environment is test"));
    }
    let kbpk = dir.kbpk()?;
    let mut text = Vec::with_capacity(1024);
    let read = std::io::stdin().lock().take(1024).read_to_end(&mut text);
    let text = Secret::new(text);
    read.map_err(|e| Failure::stopped(format!("read standard input: {e}")))?;
    let key = issuer_dir::secret_from_hex(text.expose());
    let key = key.ok_or_else(|| Failure::refused("standard input is not a key in hexadecimal"))?;
    terminal::give(entry(args, &kbpk, &key)?.as_bytes())?;
    Ok(Exit::Done)
}

fn entry(args: &Args, kbpk: &Kbpk, key: &Secret) -> Result<String, Failure> {
    let usual = match (args.name.usage, key.len()) {
        (KeyUse::Ledger, _) => KeyAlgorithm::Hmac,
        (_, 16) => KeyAlgorithm::Tdes2,
        (_, 24) => KeyAlgorithm::Tdes3,
        _ => KeyAlgorithm::Aes256,
    };
    let algorithm = args.algorithm.unwrap_or(usual);
    if key.len() != algorithm.key_len() {
        return Err(Failure::refused(format!(
            "the key has {} bytes where {algorithm} has {}",
            key.len(),
            algorithm.key_len()
        )));
    }
    let exportability = if args.exportable { Exportability::Exportable } else { Exportability::Not };
    let header = Header::for_use(args.name.usage, algorithm, kbpk.version).exportable(exportability);
    let kcv_method = KcvMethod::usual(algorithm);
    let entry = KeyEntry {
        key: args.name.key(),
        block: tr31::wrap(&kbpk.key, &header, key, &mut fill("keys wrap")?)?,
        kcv: kcv_method.compute(key, algorithm)?,
        kcv_method,
        attributes: KeyAttributes { dki: args.dki.map(|i| i.0), pvki: args.pvki },
    };
    // What is printed will load.
    let mut ring = SoftwareRing::new(Backend::Portable);
    ring.load(&kbpk.key, &entry)?;
    if ring.possibly_weak_keys().next().is_some() {
        terminal::say("warning: the key has a possibly weak DES part: choose another if you can");
    }
    Ok(entry_text(&entry, KeyDates::default(), ""))
}

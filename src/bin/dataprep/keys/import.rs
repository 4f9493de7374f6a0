//! `dataprep keys import`: a key of another party comes in as a key block.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::card::CardDate;
use emv_dataprep::error::ErrorKind;
use emv_dataprep::keys::tr31::{
    self, BlockCipher, Imported, LegacyVersions, Mode, ParityRule, Policy, Version,
};
use emv_dataprep::keys::{
    Kcv, KcvMethod, KeyAlgorithm, KeyAttributes, KeyEntry, KeyIndex, is_known_test_key,
};
use emv_dataprep::profile::{KeyDates, Protection, ProtectionSource};
use emv_dataprep::secret::Secret;
use emv_dataprep::store::audit::Event;
use subtle::ConstantTimeEq;

use super::file::{Change, Kbpk, KeyDir, facts_of, fill};
use super::{Name, Where, shown};
use crate::failure::{Done, Failure};
use crate::issuer_dir::protection::{self, Protecting};
use crate::prepare::Start;
use crate::terminal;

/// Load a key that comes as a key block under a key shared with its owner
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep keys import --issuer demo/issuer --use cvk --index 0A --under 02 --kcv 08D7B4 block.txt"
)]
pub struct Args {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    name: Name,
    /// Check value that the key's owner states, three bytes or more
    #[arg(long, value_name = "HEX")]
    kcv: Kcv,
    /// How the check value is computed; default: tdes, aes-cmac or hmac-sha-256 by the key's algorithm
    #[arg(long, value_name = "METHOD")]
    kcv_method: Option<KcvMethod>,
    /// The transport key of keys.toml under which the block is
    #[arg(long, value_name = "INDEX", required_unless_present = "kek", conflicts_with = "kek")]
    under: Option<KeyIndex>,
    /// Another key under which the block is: a file, fd:N, env:NAME (test issuers) or components:2
    #[arg(long, value_name = "SOURCE")]
    kek: Option<ProtectionSource>,
    /// Check value of --kek; components need it
    #[arg(long, value_name = "HEX", requires = "kek")]
    kek_kcv: Option<Kcv>,
    /// Algorithm of --kek; default: by the block's version
    #[arg(long, value_name = "ALGORITHM", requires = "kek", value_parser = super::algorithm)]
    kek_algorithm: Option<KeyAlgorithm>,
    /// Take key blocks of the deprecated versions A and C
    #[arg(long)]
    allow_legacy: bool,
    /// PIN verification key index of a pvk key, one digit
    #[arg(long)]
    pvki: Option<u8>,
    /// Derivation key index of an imk-ac key, two hexadecimal digits
    #[arg(long)]
    dki: Option<KeyIndex>,
    /// The last day on which the key serves new cards
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = super::day)]
    expires: Option<CardDate>,
    /// A remark for people
    #[arg(long, default_value = "")]
    note: String,
    /// File with the key block; - is standard input
    #[arg(default_value = "-")]
    block: PathBuf,
}

pub fn run(args: &Args) -> Done {
    if args.kcv.bytes().len() < 3 {
        return Err(Failure::usage("--kcv: three bytes or more"));
    }
    let change = Change::begin(&args.place)?;
    let dir = &change.dir;
    let key = args.name.key();
    if dir.file.find(key).is_some() {
        return Err(Failure::refused(format!("keys.toml has a key {}", shown(key))));
    }
    let kbpk = dir.kbpk()?;
    let block = protection::read_block(&args.block)?;
    let (kek, named) = kek(args, dir, &kbpk.key, &block)?;
    let imported = import(args, &kek, &block)?;
    let method = args.kcv_method.unwrap_or(KcvMethod::usual(imported.algorithm));
    let stated = method.verify(&imported.key, imported.algorithm, &args.kcv);
    stated.map_err(|e| Failure::refused(format!("key {}: {e}: --kcv is of another key", shown(key))))?;
    refuse_known(args, dir, &kbpk, &imported)?;

    let header = imported.header.for_version(kbpk.version);
    let entry = KeyEntry {
        key,
        block: tr31::wrap(&kbpk.key, &header, &imported.key, &mut fill("keys import")?)?,
        kcv: method.compute(&imported.key, imported.algorithm)?,
        kcv_method: method,
        attributes: KeyAttributes { dki: args.dki.map(|i| i.0), pvki: args.pvki },
    };
    let dates = KeyDates { loaded: Some(Start::now()?.today), expires: args.expires, retired: None };
    let file = dir.file.with_key(&entry, dates, &args.note)?;
    let ring = KeyDir::load(&file, &kbpk.key).map_err(|e| Failure::refused(format!("keys.toml: {e}")))?;
    if ring.possibly_weak_keys().any(|k| k == key) {
        terminal::say("warning: the key has a possibly weak DES part: ask its owner for another");
    }
    let facts = facts_of(key, &entry.kcv.to_string(), &header);
    let facts = facts.into_iter().chain([("under", named), ("from", imported.header.version().to_string())]);
    change.publish(&file, Event::KeyImported, facts)?;
    terminal::say(&format!(
        "key {}: {}, check value {} ({method}), loaded",
        shown(key),
        imported.algorithm,
        entry.kcv
    ));
    Ok(Exit::Done)
}

/// The key under which the block is, and its name for the log.
fn kek(args: &Args, dir: &KeyDir, kbpk: &Protecting, block: &str) -> Result<(Protecting, String), Failure> {
    if let Some(index) = args.under {
        let (key, _) = dir.transport(kbpk, index, &[Mode::BOTH, Mode::DECRYPT, Mode::ANY])?;
        return Ok((Box::new(key), format!("transport {index}")));
    }
    let source = args.kek.clone().ok_or_else(|| Failure::usage("--under or --kek is needed"))?;
    Protection::permitted(&source, dir.settings.environment, dir.settings.accepts_components)?;
    let components = matches!(source, ProtectionSource::Components(_));
    if components && args.kek_kcv.is_none() {
        return Err(Failure::usage("components need --kek-kcv: it shows a wrong one"));
    }
    let named = match &source {
        // A path is nobody's business.
        ProtectionSource::File(_) => "file".to_owned(),
        other => other.to_string(),
    };
    let is_tdes = tr31::header(block)?.version() != Version::D;
    // The block's version tells the cipher; two keys or three, a file's length tells.
    let usual = (components && is_tdes).then_some(KeyAlgorithm::Tdes2);
    let algorithm = args.kek_algorithm.or(usual);
    let environment = dir.settings.environment;
    let key = protection::open(
        Path::new(""),
        &Protection { algorithm, ..Protection::from_source(source) },
        environment,
    )?;
    if let Some(kcv) = &args.kek_kcv {
        let cipher = if is_tdes { BlockCipher::Tdes } else { BlockCipher::Aes };
        key.verify_kcv(cipher, kcv).map_err(|e| Failure::refused(format!("--kek-kcv: {e}")))?;
    }
    Ok((key, named))
}

/// The key of the block, if its purpose allows what its header says.
fn import(args: &Args, kek: &Protecting, block: &str) -> Result<Imported, Failure> {
    let legacy = if args.allow_legacy { LegacyVersions::Accept } else { LegacyVersions::Refuse };
    let policy = Policy::for_use(args.name.usage).legacy(legacy);
    let named = |e: emv_dataprep::error::Error| {
        let hint = match e.kind() {
            ErrorKind::KeyRefused(why) if why.contains("deprecated") => " (--allow-legacy takes them)",
            ErrorKind::KeyUsage => " (key block usage or mode of use)",
            _ => "",
        };
        Failure::refused(format!("key {}: {e}{hint}", shown(args.name.key())))
    };
    match policy.clone().parity(ParityRule::Check).import(kek, block) {
        Err(e) if matches!(e.kind(), ErrorKind::KeyRefused("parity")) => {
            let imported = policy.parity(ParityRule::Adjust).import(kek, block).map_err(named)?;
            terminal::say("warning: the key has not odd parity: it is set");
            Ok(imported)
        }
        other => other.map_err(named),
    }
}

/// Refuses a key that everybody knows, and a key that stands in `keys.toml` for another purpose.
fn refuse_known(args: &Args, dir: &KeyDir, kbpk: &Kbpk, imported: &Imported) -> Result<(), Failure> {
    if is_known_test_key(&imported.key) {
        if !dir.is_test() {
            return Err(Failure::refused("the key is a published test key"));
        }
        terminal::say("warning: the key is a published test key");
    }
    for line in dir.file.keys() {
        let Ok((_, other)) = tr31::unwrap(&kbpk.key, &line.entry.block) else { continue };
        if !same_key(&other, &imported.key, imported.algorithm) {
            continue;
        }
        let name = shown(line.entry.key);
        if line.entry.key.usage != args.name.usage {
            return Err(Failure::refused(format!("the key is that of {name}: one key, one use")));
        }
        terminal::say(&format!("warning: the key is that of {name}, too"));
    }
    Ok(())
}

/// Whether two keys are equal, parity bits of DES keys left aside.
pub fn same_key(a: &Secret, b: &Secret, algorithm: KeyAlgorithm) -> bool {
    let mask = if algorithm.is_tdes() { 0xFE } else { 0xFF };
    let difference = a.expose().iter().zip(b.expose()).fold(0, |d, (x, y)| d | ((x ^ y) & mask));
    a.len() == b.len() && bool::from(difference.ct_eq(&0_u8))
}

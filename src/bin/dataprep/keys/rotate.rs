//! `dataprep keys rotate`: every key block goes under the next key-block protection key.

use std::collections::BTreeMap;

use emv_dataprep::batch::Exit;
use emv_dataprep::keys::tr31;
use emv_dataprep::store::audit::Event;

use super::file::{Change, KeyDir, fill, version_of};
use super::{Where, shown};
use crate::failure::{Done, Failure};
use crate::issuer_dir::protection::{self, Which};
use crate::terminal;

/// Put every key under the next key-block protection key, secrets.next in issuer.toml
#[derive(clap::Args)]
#[command(
    after_help = "issuer.toml names the next key under [secrets]: next = { key_block_protection_key = \"../secrets/kbpk-2.hex\" }. \
keys.toml is replaced whole, with one rename. Afterwards make the next key the current one in issuer.toml.\n\n\
Example: dataprep keys rotate --issuer demo/issuer --operator \"A. Officer\""
)]
pub struct Args {
    #[command(flatten)]
    place: Where,
}

const AFTERWARDS: &str = "now name it as key_block_protection_key in issuer.toml, remove next, and destroy the old one with its copies";

pub fn run(args: &Args) -> Done {
    let change = Change::begin(&args.place)?;
    let dir = &change.dir;
    let next = dir.settings.next.as_ref();
    let next = next.ok_or_else(|| Failure::refused("issuer.toml names no next key-block protection key"))?;
    let old = dir.kbpk()?;
    if old.which == Which::Next {
        terminal::say(&format!("the keys are under the next key already; {AFTERWARDS}"));
        return Ok(Exit::Done);
    }
    let new = protection::open(dir.root(), next, dir.settings.environment)?;
    let version = version_of(next.cipher());
    let mut blocks = BTreeMap::new();
    let mut rng = fill("keys rotate")?;
    for line in dir.file.keys() {
        let named = |what: &str| Failure::refused(format!("key {}: {what}", shown(line.entry.key)));
        if protection::opens(&new, &line.entry) {
            return Err(named("the next key opens it: it is not another key"));
        }
        let (header, key) = tr31::unwrap(&old.key, &line.entry.block).map_err(|e| named(&e.to_string()))?;
        let block = tr31::wrap(&new, &header.for_version(version), &key, &mut rng)?;
        let (_, again) = tr31::unwrap(&new, &block)?;
        if again != key {
            return Err(named("it is not the same under the next key"));
        }
        blocks.insert(line.entry.key, block);
    }
    let file = dir.file.with_blocks(&blocks)?;
    // Every check value is compared, and the next key is as strong as each of them.
    KeyDir::load(&file, &new).map_err(|e| Failure::refused(format!("under the next key: {e}")))?;
    let facts = [
        ("keyCount", blocks.len().to_string()),
        ("old", old.key.kcv(dir.settings.protection.cipher())?.to_string()),
        ("new", new.kcv(next.cipher())?.to_string()),
    ];
    change.publish(&file, Event::KeysRewrapped, facts)?;
    terminal::say(&format!("{} keys are under the next key; {AFTERWARDS}", blocks.len()));
    Ok(Exit::Done)
}

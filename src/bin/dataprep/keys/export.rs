//! `dataprep keys export`: a key goes out as a key block under a key shared with another party.

use emv_dataprep::batch::Exit;
use emv_dataprep::keys::KeyIndex;
use emv_dataprep::keys::tr31::{self, Exportability, Mode, Policy};
use emv_dataprep::store::audit::Event;

use super::file::{Change, facts_of, fill};
use super::{Name, Where, shown};
use crate::failure::{Done, Failure};
use crate::terminal;

/// Give out one key as a key block under a transport key: prints the block
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep keys export --issuer demo/issuer --use cvk --index 0A --under 02 > block.txt"
)]
pub struct Args {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    name: Name,
    /// The transport key of keys.toml under which the block is to be
    #[arg(long, value_name = "INDEX")]
    under: KeyIndex,
}

pub fn run(args: &Args) -> Done {
    let change = Change::begin(&args.place)?;
    let dir = &change.dir;
    let key = args.name.key();
    let named = |what: &str| Failure::refused(format!("key {}: {what}", shown(key)));
    let line = dir.file.find(key).ok_or_else(|| named("keys.toml has no such key"))?;
    let kbpk = dir.kbpk()?;
    let policy = Policy::for_use(key.usage);
    let opened = policy.import(&kbpk.key, &line.entry.block).map_err(|e| named(&e.to_string()))?;
    let entry = &line.entry;
    entry.kcv_method.verify(&opened.key, opened.algorithm, &entry.kcv).map_err(|e| named(&e.to_string()))?;
    // E asks for X9.143 or stronger, S for any wrapping key: a key block satisfies both.
    if opened.header.exportability() == Exportability::Not {
        return Err(named("its key block says that it is not exportable (N)"));
    }
    let (kek, version) = dir.transport(&kbpk.key, args.under, &[Mode::BOTH, Mode::ENCRYPT, Mode::ANY])?;
    let header = opened.header.for_version(version);
    let block = tr31::wrap(&kek, &header, &opened.key, &mut fill("keys export")?)?;
    // As the other side opens it: this also refuses a transport key that is weaker than the key.
    policy.import(&kek, &block).map_err(|e| named(&e.to_string()))?;
    let facts = facts_of(key, &entry.kcv.to_string(), &header);
    change
        .log(Event::KeyExported, facts.into_iter().chain([("under", format!("transport {}", args.under))]))?;
    terminal::say(&format!(
        "key {}: {}, check value {} ({}), under transport {}",
        shown(key),
        opened.algorithm,
        entry.kcv,
        entry.kcv_method,
        args.under
    ));
    terminal::give(format!("{block}\n").as_bytes())?;
    Ok(Exit::Done)
}

//! `dataprep keys retire`: a day from which a key serves no new card.

use emv_dataprep::batch::Exit;
use emv_dataprep::card::CardDate;
use emv_dataprep::keys::KeyUse;
use emv_dataprep::store::audit::Event;

use super::{Name, Where, file::Change, shown};
use crate::failure::{Done, Failure};
use crate::issuer_dir::IssuerDir;
use crate::terminal;

/// Retire a key: from a day on, an order that names it is rejected as if it were not there
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep keys retire --issuer demo/issuer --use imk-ac --index 04 --from 2031-01-01"
)]
pub struct Args {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    name: Name,
    /// The first day on which it serves no new card
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = super::day)]
    from: CardDate,
}

pub fn run(args: &Args) -> Done {
    let change = Change::begin(&args.place)?;
    let key = args.name.key();
    match key.usage {
        KeyUse::Pool => {
            return Err(Failure::refused(
                "a pool key is needed as long as its segments; one of a higher index seals in its place",
            ));
        }
        KeyUse::Ledger => return Err(Failure::refused("the ledger's key serves as long as the ledger")),
        _ => {}
    }
    let file = change.dir.file.with_retired(key, args.from);
    let file = file.map_err(|e| Failure::refused(format!("key {}: {e}", shown(key))))?;
    let facts = [("key", shown(key)), ("from", args.from.iso())];
    change.publish(&file, Event::KeyRetired, facts)?;
    terminal::say(&format!("key {}: retired from {}", shown(key), args.from.iso()));
    if let Ok(dir) = IssuerDir::load(&args.place.issuer)
        && let Err(e) = dir.issuer.on(args.from)
    {
        terminal::say(&format!("warning: from that day prepare stops: {e}"));
    }
    Ok(Exit::Done)
}

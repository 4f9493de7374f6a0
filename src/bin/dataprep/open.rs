//! `dataprep open`: a sealed file for the holder of its key.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::output::{self, Senders};

use crate::failure::{Done, Failure};
use crate::issuer_dir::{self, Signer};
use crate::{self_test, terminal};

/// Open a sealed file with its destination's private key: its lines in clear on standard output
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep open demo/out/prepared/CENTRAL/PC1/cards-000000.jwe --key demo/secrets/PC1.jwk"
)]
pub struct Args {
    /// A .jwe file of a batch
    file: PathBuf,
    /// Private JWK of the destination; several while it changes its key: the file names its own
    #[arg(long = "key", value_name = "JWK", required = true)]
    keys: Vec<PathBuf>,
    /// Refuse a file that none of these senders signed: public JWK, or 64 hexadecimal digits
    #[arg(long = "signer", value_name = "JWK|HEX")]
    signers: Vec<Signer>,
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    let keys: Result<Vec<_>, _> = args.keys.iter().map(|path| issuer_dir::read_private_jwk(path)).collect();
    let keys = keys?;
    let sealed = std::fs::read_to_string(&args.file)
        .map_err(|e| Failure::refused(format!("read {}: {e}", args.file.display())))?;
    let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", args.file.display()));
    let kid = output::recipient(&sealed).map_err(at)?;
    let key = keys.iter().find(|key| key.public().kid() == kid);
    let key = key.ok_or_else(|| {
        Failure::refused(format!("{}: is sealed for another key than the given ones", args.file.display()))
    })?;
    let senders = issuer_dir::senders(None, &args.signers)?;
    let opened = output::open_from(key, &sealed, &senders).map_err(at)?;
    if Path::new(&opened.file).file_name() != args.file.file_name() {
        return Err(Failure::refused(format!(
            "{}: the file was sealed as {}",
            args.file.display(),
            opened.file
        )));
    }
    terminal::say(&format!("{} of batch {}: {} lines", opened.file, opened.batch, opened.cards));
    match (&opened.signer, senders) {
        (Some(kid), Senders::Only(_)) => terminal::say(&format!("signed by {kid}")),
        (Some(kid), Senders::Anyone) => {
            terminal::say(&format!("it says that {kid} signed it: not checked; --signer does"));
        }
        (None, _) => {}
    }
    terminal::give(&opened.text)?;
    Ok(Exit::Done)
}

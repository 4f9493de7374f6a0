//! `dataprep open`: a sealed file for the holder of its key.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::output;

use crate::failure::{Done, Failure};
use crate::{issuer_dir, self_test, terminal};

/// Open a sealed file with its destination's private key: its lines in clear on standard output
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep open demo/out/prepared/CENTRAL/PC1/cards-000000.jwe --key demo/secrets/PC1.jwk"
)]
pub struct Args {
    /// A .jwe file of a batch
    file: PathBuf,
    /// Private JWK of the destination
    #[arg(long, value_name = "JWK")]
    key: PathBuf,
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    let key = issuer_dir::read_private_jwk(&args.key)?;
    let sealed = std::fs::read_to_string(&args.file)
        .map_err(|e| Failure::refused(format!("read {}: {e}", args.file.display())))?;
    let opened =
        output::open(&key, &sealed).map_err(|e| Failure::refused(format!("{}: {e}", args.file.display())))?;
    if Path::new(&opened.file).file_name() != args.file.file_name() {
        return Err(Failure::refused(format!(
            "{}: the file was sealed as {}",
            args.file.display(),
            opened.file
        )));
    }
    terminal::say(&format!("{} of batch {}: {} lines", opened.file, opened.batch, opened.cards));
    terminal::give(&opened.text)?;
    Ok(Exit::Done)
}

//! `dataprep keys signing`: the key of manifests and logs.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::secret::Secret;
use emv_dataprep::store::Store;
use zeroize::Zeroizing;

use crate::failure::{Done, Failure};
use crate::terminal;

/// Make the key that signs manifests and audit logs: prints the lines for issuer.toml
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys signing --out secrets/signing.hex")]
pub struct Args {
    /// The new file of the private key; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &Args) -> Done {
    let seed = Zeroizing::new(Seed::from_os()?.keyed_digest(&[b"emv-dataprep/signing-key/1"]));
    let key = Ed25519Private::from_seed(&Secret::copy_of(seed.as_slice()))?;
    let hex = Zeroizing::new(hex_upper(seed.as_slice()));
    let store = Store::default();
    let written = store.write_new(&args.out, [hex.as_bytes(), b"\n"]);
    written.map_err(|e| {
        let text = e.to_string();
        if e.exists() { Failure::refused(text) } else { Failure::stopped(text) }
    })?;
    terminal::say(&format!(
        "{}: the private key; name it as signing_key under [secrets]",
        args.out.display()
    ));
    terminal::give(format!("signing_public_key = \"{}\"\n", key.public()).as_bytes())?;
    Ok(Exit::Done)
}

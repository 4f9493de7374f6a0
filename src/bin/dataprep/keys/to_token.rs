//! `dataprep keys to-token`: the keys of an issuer directory go into the token that it names.

use std::path::PathBuf;

use crate::failure::Done;
use crate::issuer_dir::IssuerDir;

/// Put the keys of an issuer directory into its PKCS#11 token, non-extractable, and check them there
#[derive(clap::Args)]
#[command(
    after_help = "What the token has already stays as it is.\n\nExample: dataprep keys to-token --issuer demo/issuer"
)]
pub struct Args {
    /// The issuer directory; issuer.toml names the token in its table key_source
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
}

#[cfg(not(feature = "pkcs11"))]
pub fn run(args: &Args) -> Done {
    crate::issuer_dir::token::config(&IssuerDir::load(&args.issuer)?)?;
    Err(crate::issuer_dir::token::without_feature())
}

#[cfg(feature = "pkcs11")]
pub fn run(args: &Args) -> Done {
    use emv_dataprep::batch::Exit;
    use emv_dataprep::hsm::{Pkcs11, import_oda, import_symmetric};
    use emv_dataprep::keys::KeySource;

    use crate::issuer_dir::token;
    use crate::{prepare, terminal};

    let dir = IssuerDir::load(&args.issuer)?;
    let config = token::config(&dir)?;
    // All keys together pass the rules of the software ring before the first of them goes anywhere.
    let ring = dir.software_ring(prepare::backend()?)?;
    let api = token::login(&dir.root, config, Pkcs11::open_to_import)?;
    let kbpk = dir.kbpk()?;
    let mut made = 0_usize;
    for entry in dir.issuer.key_entries() {
        let new = import_symmetric(&api, &kbpk, entry).map_err(|e| token::failure(config, &e))?;
        made = made.saturating_add(new);
    }
    for (index, key) in dir.issuer_rsa_keys()? {
        let new = import_oda(&api, index, &key).map_err(|e| token::failure(config, &e))?;
        made = made.saturating_add(new);
    }
    let checked = token::open_with(&dir, api)?;
    if checked.keys() != ring.keys() {
        return Err(crate::failure::Failure::refused("the token's keys are not those of keys.toml"));
    }
    for index in dir.issuer.oda_keys().map(|oda| oda.index) {
        // One signature each: it is checked with the public exponent.
        let mut message = vec![0; checked.oda_info(index)?.modulus.len()];
        if let Some(last) = message.last_mut() {
            *last = 2;
        }
        checked.rsa_private(index, &[message]).map_err(|e| token::failure(config, &e))?;
    }
    terminal::say(&format!(
        "token {}: {made} objects made, {} keys and {} issuer RSA keys checked",
        config.token,
        checked.keys().len(),
        dir.issuer.oda_keys().count()
    ));
    Ok(Exit::Done)
}

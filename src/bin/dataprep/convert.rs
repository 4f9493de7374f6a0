//! `dataprep convert`: prepared cards in a format of a bureau, and back.

mod input;
mod shape;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::output::{Label, Sealer};
use emv_dataprep::profile::DestinationId;
use zeroize::Zeroizing;

use crate::failure::{Done, Failure};
use crate::issuer_dir::{IssuerDir, Signer};
use crate::{issuer_dir, terminal};
use shape::Shape;

/// Write prepared cards in a format of a bureau, or read one back
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep convert demo/out/prepared/CENTRAL/PC1/cards-000000.jwe --key demo/secrets/PC1.jwk \
                  --to template:emboss-line --issuer demo/issuer --out cards-000000.jwe"
)]
pub struct Args {
    /// Cards: a .jwe file of a batch with --key, or lines in clear
    file: PathBuf,
    /// json, chip, cps, cps:NAME, apdu, dgi, template:NAME (NAME: formats/NAME.toml of the issuer); fields from a template
    #[arg(long, value_name = "FORMAT")]
    to: Shape,
    /// The format of FILE
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    from: Shape,
    /// The issuer directory: formats by NAME, the transport key of a record MAC, the public key that --out is sealed for
    #[arg(long, value_name = "DIR")]
    issuer: Option<PathBuf>,
    /// Private JWK that opens FILE
    #[arg(long, value_name = "JWK")]
    key: Option<PathBuf>,
    /// Refuse a FILE that none of these senders signed: public JWK, or 64 hexadecimal digits; default what the issuer
    /// directory says
    #[arg(long = "signer", value_name = "JWK|HEX", requires = "key")]
    signers: Vec<Signer>,
    /// Write a new file, sealed for the destination of the cards; without it: clear on standard output
    #[arg(long, value_name = "FILE", requires = "issuer")]
    out: Option<PathBuf>,
    /// The destination that --out is sealed for, when FILE does not name it
    #[arg(long, value_name = "ID", requires = "out")]
    destination: Option<DestinationId>,
    /// Write --out in clear (test issuers)
    #[arg(long, requires = "out")]
    plain: bool,
}

pub fn run(args: &Args) -> Done {
    crate::self_test::at_start()?;
    args.from.leads_to(&args.to).map_err(Failure::usage)?;
    let dir = args.issuer.as_deref().map(IssuerDir::load).transpose()?;
    if let Some(dir) = dir.as_ref().filter(|_| args.plain) {
        dir.only_for_test("--plain")?;
    }
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(Failure::usage(format!("{}: the file is there already", out.display())));
    }
    let given = match &args.key {
        None => input::clear(&args.file)?,
        Some(key) => input::sealed(&args.file, key, &issuer_dir::senders(dir.as_ref(), &args.signers)?)?,
    };
    let work = shape::Work { dir: dir.as_ref(), seed: Seed::from_os()? };
    let made = work.convert(&given.text, &args.from, &args.to).map_err(|e| match e {
        shape::Stop::Failure(failure) => failure,
        shape::Stop::Data(e) => Failure::refused(format!("{}: {e}", args.file.display())),
    })?;
    let Some(path) = &args.out else {
        terminal::give(&made.bytes)?;
        return Ok(Exit::Done);
    };
    let bytes = if args.plain {
        made.bytes
    } else {
        let to = args.destination.clone().or(made.destination).ok_or_else(|| {
            Failure::usage("the cards name no destination: --destination says for whom the file is sealed")
        })?;
        sealed(dir.as_ref(), &to, &given.batch, path, &made.bytes, &work.seed)?
    };
    write_new(path, &bytes)?;
    terminal::say(&format!("{}: {} cards", path.display(), made.cards));
    Ok(Exit::Done)
}

/// One envelope around all of it. Its header counts the line ends of the contents, as `open` checks them.
fn sealed(
    dir: Option<&IssuerDir>,
    to: &DestinationId,
    batch: &str,
    path: &Path,
    bytes: &[u8],
    seed: &Seed,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let dir = dir.ok_or_else(|| Failure::usage("--out needs --issuer"))?;
    let name = path.file_name().and_then(|n| n.to_str());
    let file = name.ok_or_else(|| Failure::usage("--out: a file name in UTF-8"))?.to_owned();
    let cards = bytes.iter().filter(|b| **b == b'\n').count() as u64;
    let label = Label { batch: batch.to_owned(), file, line: None, cards };
    let text = dir.recipients()?.seal(to, &label, bytes, seed)?;
    Ok(Zeroizing::new(text.into_bytes()))
}

/// A file that nobody else reads, whole or absent.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let at = |e: std::io::Error| Failure::stopped(format!("write {}: {e}", path.display()));
    let mut file = options.open(path).map_err(at)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        let _ = std::fs::remove_file(path);
        at(e)
    })
}

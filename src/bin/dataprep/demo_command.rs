//! `dataprep demo`: writes a test issuer and its orders, prepares and verifies all of it, and says what to try next.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::{Exit, Layout};
use emv_dataprep::bytes::array_from_hex;
use emv_dataprep::output::Manifest;

use crate::demo::{self, Contents, DemoError, DemoFolder, FolderError};
use crate::failure::{Done, Failure};
use crate::{prepare, terminal, verify};

/// Make a test issuer and a thousand orders, prepare and verify them
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep demo my-demo")]
pub struct Args {
    /// A folder that is absent, empty, or was written by demo
    #[arg(default_value = "demo")]
    dir: PathBuf,
    /// Another seed than the built-in one, 64 hexadecimal digits
    #[arg(long, value_name = "H64", value_parser = seed)]
    seed: Option<[u8; 32]>,
    /// Write the issuer directory only, as the starting point for your own
    #[arg(long)]
    empty: bool,
}

fn seed(text: &str) -> Result<[u8; 32], String> {
    array_from_hex(text).map_err(|_| "64 hexadecimal digits are expected".to_owned())
}

pub fn run(args: &Args) -> Done {
    crate::self_test::at_start()?;
    let seed = args.seed.unwrap_or(demo::SEED);
    let contents = if args.empty { Contents::IssuerOnly } else { Contents::WithOrders };
    let folder = demo::write(&args.dir, seed, contents, &mut |step| terminal::say(step))?;
    let program = program();
    let issuer = quoted(&folder.issuer());
    if args.empty {
        terminal::say(&format!(
            "\nThe issuer directory is {issuer}, its secrets are in {}.\n\nTry next:\n  {program} check --issuer {issuer}\n  {program} keys wrap --help",
            quoted(&folder.secrets())
        ));
        return Ok(Exit::Done);
    }
    terminal::say("prepare the orders");
    let manifest = prepare::prepare(&prepare::Args {
        issuer: folder.issuer(),
        orders: folder.orders(),
        out: folder.out(),
        seed: Some(seed),
        now: Some(demo::NOW.parse().map_err(|_| Failure::refused("the demo's time cannot be read"))?),
        ..prepare::Args::default()
    })?;
    terminal::say("verify every card");
    let keys = card_keys(&folder)?;
    let tally = verify::verify(&verify::Args {
        out: folder.out(),
        issuer: folder.issuer(),
        keys: keys.clone(),
        signers: Vec::new(),
        sample: None,
        json: false,
    })?;
    for failure in tally.failures().iter().take(10) {
        terminal::say(&format!("{}: {}", failure.check, failure.reason));
    }
    let counts = &manifest.counts;
    terminal::say(&format!(
        "\n{} orders: {} cards prepared, {} rejected; {} cards verified, {} failures\n",
        counts.orders,
        counts.prepared,
        counts.rejected,
        tally.cards(),
        tally.failures().len()
    ));
    tell(&folder, &manifest, &program, &keys);
    Ok(if counts.rejected == 0 && tally.passed() { Exit::Done } else { Exit::Found })
}

/// Where everything is, and three commands that work.
fn tell(folder: &DemoFolder, manifest: &Manifest, program: &str, keys: &[PathBuf]) {
    let issuer = quoted(&folder.issuer());
    terminal::say(&format!(
        "  issuer directory  {issuer}\n  secrets           {}\n  orders            {}\n  prepared cards    {}\n  report            {}\n",
        quoted(&folder.secrets()),
        quoted(&folder.orders()),
        quoted(&folder.out().join("prepared")),
        quoted(&folder.out().join(Layout::REPORT))
    ));
    let file = manifest.files.iter().find(|f| f.path.starts_with("prepared/"));
    let Some(file) = file else { return };
    let destination = file.path.split('/').nth(2).unwrap_or_default();
    let key = quoted(&folder.secrets().join(format!("{destination}.jwk")));
    let open = format!("{program} open {} --key {key}", quoted(&Layout::new(&folder.out()).file(&file.path)));
    let keys: String = keys.iter().map(|k| format!(" --key {}", quoted(k))).collect();
    terminal::say(&format!(
        "Try next:\n  {open}\n  {open} | {program} inspect - --line 1\n  {program} verify {} --issuer {issuer}{keys}",
        quoted(&folder.out())
    ));
}

/// The private keys of all destinations.
fn card_keys(folder: &DemoFolder) -> Result<Vec<PathBuf>, Failure> {
    let secrets = folder.secrets();
    let at = |e: std::io::Error| Failure::stopped(format!("read {}: {e}", secrets.display()));
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(&secrets).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let is_key = path.extension().is_some_and(|e| e == "jwk");
        // The envelope key opens orders, not cards.
        if is_key && path.file_stem().is_some_and(|s| s != "envelope") {
            keys.push(path);
        }
    }
    keys.sort();
    Ok(keys)
}

/// This program, as it was called.
fn program() -> String {
    std::env::args_os().next().map_or_else(|| "dataprep".to_owned(), |p| quoted(Path::new(&p)))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        let message = error.to_string();
        match error {
            DemoError::Folder(FolderError::NotOurs(_)) => Self::usage(message),
            DemoError::Folder(FolderError::Io(..)) => Self::stopped(message),
            DemoError::Make(_) => Self::refused(message),
        }
    }
}

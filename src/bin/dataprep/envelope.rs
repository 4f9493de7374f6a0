//! `dataprep keys envelope|output-signing`: the keys of sealed files.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::keys::{PrivateJwk, PublicJwk, SigningPublicJwk};
use emv_dataprep::secret::Secret;
use emv_dataprep::store::Store;
use zeroize::Zeroizing;

use crate::failure::{Done, Failure};
use crate::{issuer_dir, terminal};

/// The commands of `dataprep keys` for sealed files.
#[derive(clap::Subcommand)]
pub enum Command {
    Envelope(Envelope),
    OutputSigning(OutputSigning),
}

/// Keys that orders and prepared cards are sealed for (ECDH-ES on P-256)
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys envelope new --kid orders-2026 --out secrets/orders-2026.jwk")]
pub struct Envelope {
    #[command(subcommand)]
    command: EnvelopeCommand,
}

#[derive(clap::Subcommand)]
enum EnvelopeCommand {
    New(New),
    Public(Public),
}

/// Make a key pair: the private JWK in a new file, the public JWK on standard output
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep keys envelope new --kid orders-2026 --out secrets/orders-2026.jwk > orders-2026.pub.jwk"
)]
struct New {
    /// The key's id, 1 to 128 characters; default its thumbprint (RFC 7638)
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// The new file of the private key; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Show a public key of a JWK, a JWK set or a private JWK as issuer.toml writes it: public_key of a destination
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys envelope public center.jwks --kid center-2026")]
struct Public {
    /// A JWK, public or private, or a JWK set {"keys":[…]} of public ones
    file: PathBuf,
    /// Which key of a set
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// The public JWK as one line of JSON
    #[arg(long)]
    jwk: bool,
}

/// Make the key that signs sealed files: prints the line for issuer.toml
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep keys output-signing --out secrets/output.hex --public output-signing.jwk"
)]
pub struct OutputSigning {
    /// The new file of the private key; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A new file of the public JWK, for those who open sealed files
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
}

pub fn run(command: &Command) -> Done {
    match command {
        Command::Envelope(Envelope { command: EnvelopeCommand::New(args) }) => new(args),
        Command::Envelope(Envelope { command: EnvelopeCommand::Public(args) }) => public(args),
        Command::OutputSigning(args) => output_signing(args),
    }
}

fn new(args: &New) -> Done {
    let mut key = PrivateJwk::generate(&mut Seed::from_os()?.named_stream(b"keys", Purpose::Envelope).rng());
    if let Some(kid) = &args.kid {
        key = key.with_kid(kid).map_err(|e| Failure::usage(format!("--kid: {e}")))?;
    }
    write_new(&args.out, key.to_json().as_bytes())?;
    let public = key.public();
    terminal::say(&format!("{}: the private key {:?}", args.out.display(), public.kid()));
    terminal::say(&format!("thumbprint {}: compare it by another way than the key's", public.thumbprint()));
    terminal::give(format!("{}\n", public.to_json()).as_bytes())?;
    Ok(Exit::Done)
}

fn public(args: &Public) -> Done {
    let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", args.file.display()));
    let text = Zeroizing::new(issuer_dir::read_bounded(&args.file)?);
    let key = match PublicJwk::choose(&text, args.kid.as_deref()) {
        Ok(key) => key,
        Err(public) => match PrivateJwk::from_json(&text) {
            Ok(key) if args.kid.as_ref().is_none_or(|kid| kid == key.public().kid()) => key.public().clone(),
            _ => return Err(at(public)),
        },
    };
    terminal::say(&format!("thumbprint {}: compare it by another way than the key's", key.thumbprint()));
    let text = if args.jwk { key.to_json() } else { format!("public_key = {}", inline(&key)?) };
    terminal::give(format!("{text}\n").as_bytes())?;
    Ok(Exit::Done)
}

/// An inline table of TOML.
fn inline(key: &PublicJwk) -> Result<String, Failure> {
    let members: std::collections::BTreeMap<String, String> = serde_json::from_str(&key.to_json())
        .map_err(|_| Failure::refused("the public key has no JSON form"))?;
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{name} = {}", toml::Value::from(value.as_str())))
        .collect();
    Ok(format!("{{ {} }}", members.join(", ")))
}

fn output_signing(args: &OutputSigning) -> Done {
    let seed = Zeroizing::new(Seed::from_os()?.keyed_digest(&[b"emv-dataprep/output-signing-key/1"]));
    let key = Ed25519Private::from_seed(&Secret::copy_of(seed.as_slice()))?;
    let hex = Zeroizing::new(hex_upper(seed.as_slice()));
    let jwk = SigningPublicJwk::new(key.public());
    write_new(&args.out, hex.as_bytes())?;
    if let Some(path) = &args.public {
        write_new(path, jwk.to_json().as_bytes())?;
    }
    terminal::say(&format!(
        "{}: the private key; name it as output_signing_key under [secrets]",
        args.out.display()
    ));
    terminal::say(&format!("thumbprint {}", jwk.kid()));
    terminal::give(format!("output_signing_public_key = \"{}\"\n", key.public()).as_bytes())?;
    Ok(Exit::Done)
}

/// A line in a new file that its owner reads, whole or absent.
fn write_new(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let written = Store::default().write_new(path, [text, b"\n"]);
    written.map(|_| ()).map_err(|e| {
        let text = e.to_string();
        if e.exists() { Failure::refused(text) } else { Failure::stopped(text) }
    })
}

//! `dataprep issuer-key`: the ceremony by which a scheme certifies an issuer's RSA key.
//!
//! A key that waits for its certificate stands in `oda/XX/` with a file `pending.toml`; with the first certificate comes
//! `oda.toml`, and orders may name the index.

mod folder;
mod import;
mod new;
mod request;
mod status;

use std::path::{Path, PathBuf};

use emv_dataprep::issuer::oda::{CaKeyIndex, CaPublicKey, Rid};
use emv_dataprep::keys::KeyIndex;

use crate::failure::{Done, Failure};
use crate::self_test;

pub use request::{TemplateFile, to_der};

/// Make an issuer RSA key, have it certified by a scheme, see when it ends
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep issuer-key status --issuer demo/issuer")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    New(new::Args),
    Request(request::Args),
    Import(import::Args),
    Status(status::Args),
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    match &args.command {
        Command::New(args) => new::run(args),
        Command::Request(args) => request::run(args),
        Command::Import(args) => import::run(args),
        Command::Status(args) => status::run(args),
    }
}

/// A registered application provider identifier on the command line: five bytes.
pub fn rid(text: &str) -> Result<Rid, String> {
    emv_dataprep::bytes::array_from_hex(text).map(Rid).map_err(|_| "five bytes in hexadecimal".to_owned())
}

/// `visa`, `mastercard` or `unionpay`.
pub fn layout(text: &str) -> Result<emv_dataprep::issuer::ceremony::ResponseLayout, String> {
    use emv_dataprep::issuer::ceremony::ResponseLayout;
    match text {
        "visa" => Ok(ResponseLayout::Visa),
        "mastercard" => Ok(ResponseLayout::Mastercard),
        "unionpay" => Ok(ResponseLayout::UnionPay),
        _ => Err("visa, mastercard or unionpay".to_owned()),
    }
}

/// A scheme's public key, as its file says it (`docs/issuer-keys.md`).
pub struct CaFile {
    pub key: CaPublicKey,
    /// Last month of the key.
    pub expiry: Option<emv_dataprep::card::Expiry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCa {
    version: u32,
    rid: String,
    index: String,
    modulus: String,
    exponent: String,
    checksum: Option<String>,
    expiry: Option<String>,
}

impl CaFile {
    /// Reads the file; the checksum that the scheme publishes must stand in it or be given beside it.
    pub fn read(path: &Path, published: Option<&str>) -> Result<Self, Failure> {
        let at = |what: String| Failure::refused(format!("{}: {what}", path.display()));
        let text = crate::issuer_dir::read_bounded(path)?;
        let text = std::str::from_utf8(&text).map_err(|_| at("is not text".to_owned()))?;
        let raw: RawCa = toml::from_str(text).map_err(|e| at(e.message().to_owned()))?;
        if raw.version != 1 {
            return Err(at("a version that this program does not know".to_owned()));
        }
        let hex = |name: &str, text: &str| {
            emv_dataprep::bytes::from_hex(text).map_err(|e| at(format!("{name}: {e}")))
        };
        let given = [raw.checksum.as_deref(), published].into_iter().flatten();
        let checksums = given.map(|text| hex("checksum", text)).collect::<Result<Vec<_>, _>>()?;
        let [first, rest @ ..] = checksums.as_slice() else {
            return Err(at(
                "no checksum: give the one that the scheme publishes with --ca-checksum".to_owned()
            ));
        };
        let rid = rid(&raw.rid).map_err(|e| at(format!("rid: {e}")))?;
        let (modulus, exponent) = (hex("modulus", &raw.modulus)?, hex("exponent", &raw.exponent)?);
        let index: KeyIndex = raw.index.parse().map_err(|e| at(format!("index: {e}")))?;
        let index = CaKeyIndex(index.0);
        let key = CaPublicKey::with_checksum(rid, index, &modulus, &exponent, first);
        let key = key.map_err(|e| at(e.to_string()))?;
        if rest.iter().any(|other| other != first) {
            return Err(at("its checksum differs from --ca-checksum".to_owned()));
        }
        let expiry = raw.expiry.as_deref().map(emv_dataprep::card::Expiry::from_yymm).transpose();
        Ok(Self { key, expiry: expiry.map_err(|e| at(format!("expiry: {e}")))? })
    }

    /// The file of a key.
    pub fn text(key: &CaPublicKey, expiry: &str) -> String {
        use emv_dataprep::bytes::hex_upper;
        format!(
            "version = 1\nrid = \"{}\"\nindex = \"{}\"\nmodulus = \"{}\"\nexponent = \"{}\"\nexpiry = \"{expiry}\"\nchecksum = \"{}\"\n",
            key.rid(),
            key.index(),
            hex_upper(key.key().modulus()),
            hex_upper(key.key().exponent()),
            hex_upper(&key.checksum()),
        )
    }
}

/// Issuer directory and index, as every command names them.
#[derive(clap::Args, Clone)]
pub struct Place {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// odaKeyIndex of the key, two upper-case hexadecimal digits
    #[arg(long)]
    index: KeyIndex,
}

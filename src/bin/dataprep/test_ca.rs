//! `dataprep test-ca`: a test scheme's certification authority, the other side of `issuer-key`.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::array_from_hex;
use emv_dataprep::card::{Expiry, Iin};
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate};
use emv_dataprep::issuer::ceremony::test_ca::{ResponseData, response};
use emv_dataprep::issuer::ceremony::{ReadRequest, ResponseLayout, pkcs10};
use emv_dataprep::issuer::oda::{CaKeyIndex, CaPublicKey, CertificateSerial, IssuerKeyData, Rid};
use emv_dataprep::keys::KeyIndex;
use emv_dataprep::store::Store;

use crate::failure::{Done, Failure};
use crate::issuer_key::{CaFile, TemplateFile, layout, rid, to_der};
use crate::{issuer_dir, self_test, terminal};

/// Play the certification authority of a test scheme
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep test-ca new --out test-ca --rid F000000001 --index F1 --expiry 3612"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    New(New),
    Sign(Sign),
}

/// Make a CA key of a test scheme: its private key and its public file
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep test-ca new --out test-ca --rid F000000001 --index F1 --expiry 3612"
)]
struct New {
    /// The new folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// RID of the scheme, five bytes; registered ones (A…, D…) need --registered-rid
    #[arg(long, value_parser = rid)]
    rid: Rid,
    /// CA public key index
    #[arg(long)]
    index: KeyIndex,
    /// Bits of the modulus
    #[arg(long, default_value_t = 1984)]
    bits: usize,
    /// Last month of the key, YYMM
    #[arg(long)]
    expiry: String,
    /// The public exponent is 3; else it is 65537
    #[arg(long)]
    exponent_three: bool,
    /// Let a test key carry the RID of a registered scheme, to test its profiles
    #[arg(long)]
    registered_rid: bool,
}

/// Certify an issuer key: a request becomes a response
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep test-ca sign --ca test-ca --request request.pem --identifier 991234 --expiry 3112 --layout visa --out response.bin"
)]
struct Sign {
    /// The folder of the CA
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The request: PKCS#10, or what --template describes
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Template of the request
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Issuer identifier; default what the request says
    #[arg(long)]
    identifier: Option<Iin>,
    /// Last month of the certificate, YYMM; default what the request says
    #[arg(long)]
    expiry: Option<String>,
    /// Serial number of the certificate, three bytes
    #[arg(long, default_value = "000001")]
    serial: String,
    /// Layout of the response: visa, mastercard or unionpay
    #[arg(long, value_parser = layout)]
    layout: ResponseLayout,
    /// The response; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const PRIVATE: &str = "ca-key.der";
const PUBLIC: &str = "ca.toml";

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    match &args.command {
        Command::New(args) => new(args),
        Command::Sign(args) => sign(args),
    }
}

fn new(args: &New) -> Done {
    // ISO/IEC 7816-5: A is the international category of registered providers, D the national one.
    if matches!(args.rid.0, [0xA0..=0xAF | 0xD0..=0xDF, ..]) && !args.registered_rid {
        return Err(Failure::refused(
            "this RID belongs to a registered scheme: --registered-rid says that it is meant",
        ));
    }
    Expiry::from_yymm(&args.expiry).map_err(|e| Failure::usage(format!("--expiry: {e}")))?;
    let exponent = if args.exponent_three { Exponent::THREE } else { Exponent::F4 };
    let spec = KeySpec::in_bytes(args.bits, exponent).map_err(|e| Failure::usage(format!("--bits: {e}")))?;
    let key = generate(spec, &Seed::from_os()?.named_stream(b"test-ca", Purpose::TestIssuer))?;
    let public = key.public();
    let named = CaPublicKey::new(args.rid, CaKeyIndex(args.index.0), public.modulus(), public.exponent())?;
    let store = Store::default();
    store.create_folders(&args.out)?;
    write(&store, &args.out.join(PRIVATE), key.to_pkcs8()?.expose())?;
    let text = format!("# A test key: no scheme knows it.\n{}", CaFile::text(&named, &args.expiry));
    write(&store, &args.out.join(PUBLIC), text.as_bytes())?;
    terminal::say(&format!("{}: a test CA key; give {PUBLIC} to issuer-key import", args.out.display()));
    Ok(Exit::Done)
}

fn sign(args: &Sign) -> Done {
    let ca = CaFile::read(&args.ca.join(PUBLIC), None)?;
    let key = RsaPrivate::from_pkcs8(issuer_dir::read_secret(&args.ca.join(PRIVATE))?.expose())?;
    let at = |what: String| Failure::refused(format!("{}: {what}", args.request.display()));
    let file = issuer_dir::read_bounded(&args.request)?;
    let request = match &args.template {
        Some(path) => {
            let template = TemplateFile::read(path)?;
            template.request.read(&file, template.head.as_ref()).map_err(|e| at(e.to_string()))?
        }
        None => {
            let der = to_der(&file).ok_or_else(|| at("is not PEM or DER".to_owned()))?;
            let key = pkcs10::read(&der).map_err(|e| at(e.to_string()))?;
            ReadRequest::of_key(key)
        }
    };
    let expiry = args.expiry.as_deref().map(Expiry::from_yymm).transpose();
    let expiry = expiry.map_err(|e| Failure::usage(format!("--expiry: {e}")))?;
    let needed = |what: &str| Failure::usage(format!("--{what}: the request does not say it"));
    let serial = array_from_hex(&args.serial).map_err(|_| Failure::usage("--serial: three bytes"))?;
    let data = IssuerKeyData {
        identifier: args.identifier.or(request.identifier).ok_or_else(|| needed("identifier"))?,
        expiry: expiry.or(request.expiry).ok_or_else(|| needed("expiry"))?,
        serial: CertificateSerial(serial),
        key: &request.key,
    };
    let more = ResponseData {
        service_id: request.service_id.unwrap_or_default(),
        issuer_key_index: request.key_index.unwrap_or_default(),
    };
    let file = response(args.layout, &ca.key, &data, &more, |block| key.apply(block))?;
    write(&Store::default(), &args.out, &file)?;
    terminal::say(&format!("{}: {} bytes", args.out.display(), file.len()));
    Ok(Exit::Done)
}

fn write(store: &Store, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = store.write_new(path, [bytes]);
    written.map(drop).map_err(|e| {
        let text = e.to_string();
        if e.exists() { Failure::refused(text) } else { Failure::stopped(text) }
    })
}

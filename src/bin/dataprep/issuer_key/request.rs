//! `dataprep issuer-key request`: the file that goes to the scheme.

use std::path::{Path, PathBuf};

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::{array_from_hex, hex_upper};
use emv_dataprep::card::{Expiry, Iin};
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::issuer::ceremony::pkcs10::{self, Subject};
use emv_dataprep::issuer::ceremony::template::{RequestTemplate, RequestValues};
use zeroize::Zeroizing;

use super::Place;
use super::folder::{Folder, IssuerKey, Pending, Sent};
use crate::failure::{Done, Failure};
use crate::prepare::Start;
use crate::{issuer_dir, terminal};

/// Write the certification request for a scheme: PKCS#10, or the fields of a template filled from the scheme's manual
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep issuer-key request --issuer demo/issuer --index 0A --identifier 476173 --expiry 3112 --common-name \"Issuer 476173\" --out request.pem"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The 3 to 8 digits that the PANs begin with
    #[arg(long)]
    identifier: Iin,
    /// Month after which the certificate should end, YYMM
    #[arg(long, value_parser = expiry)]
    expiry: Expiry,
    /// Template of the request; without one the request is PKCS#10
    #[arg(long, value_name = "FILE", conflicts_with_all = ["common_name", "organization", "country"])]
    template: Option<PathBuf>,
    /// commonName of a PKCS#10 request
    #[arg(long, value_name = "TEXT", required_unless_present = "template")]
    common_name: Option<String>,
    /// organizationName
    #[arg(long, value_name = "TEXT")]
    organization: Option<String>,
    /// countryName, two capital letters
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// Service identifier, four bytes
    #[arg(long, value_name = "HEX", default_value = "00000000", value_parser = bytes::<4>)]
    service_id: [u8; 4],
    /// Tracking number, three bytes
    #[arg(long, value_name = "HEX", default_value = "000001", value_parser = bytes::<3>)]
    tracking: [u8; 3],
    /// The issuer's own number of the key, three bytes
    #[arg(long, value_name = "HEX", default_value = "000001", value_parser = bytes::<3>)]
    key_index: [u8; 3],
    /// Serial number of the self-certificate, three bytes
    #[arg(long, value_name = "HEX", default_value = "000001", value_parser = bytes::<3>)]
    serial: [u8; 3],
    /// The request; it must not exist. The file of a hash template gets .hash behind its name
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// YYMM.
pub(super) fn expiry(text: &str) -> Result<Expiry, String> {
    Expiry::from_yymm(text).map_err(|e| e.to_string())
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], String> {
    array_from_hex(text).map_err(|_| format!("{N} bytes in hexadecimal"))
}

/// A template file: the fields of a request, of its self-certificate's head and of a file with its hash.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTemplate {
    version: u32,
    request: String,
    self_certificate: Option<String>,
    hash: Option<String>,
}

/// A template file, read.
pub struct TemplateFile {
    pub request: RequestTemplate,
    pub head: Option<RequestTemplate>,
    pub hash: Option<RequestTemplate>,
}

impl TemplateFile {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let at = |what: String| Failure::refused(format!("{}: {what}", path.display()));
        let text = issuer_dir::read_bounded(path)?;
        let text = std::str::from_utf8(&text).map_err(|_| at("is not text".to_owned()))?;
        let raw: RawTemplate = toml::from_str(text).map_err(|e| at(e.message().to_owned()))?;
        if raw.version != 1 {
            return Err(at("a version that this program does not know".to_owned()));
        }
        let parse =
            |name: &str, text: &str| text.parse::<RequestTemplate>().map_err(|e| at(format!("{name}: {e}")));
        Ok(Self {
            request: parse("request", &raw.request)?,
            head: raw.self_certificate.map(|text| parse("self_certificate", &text)).transpose()?,
            hash: raw.hash.map(|text| parse("hash", &text)).transpose()?,
        })
    }
}

pub(super) fn run(args: &Args) -> Done {
    let folder = Folder::of(&args.place)?;
    if folder.store.exists(&args.out) {
        return Err(Failure::refused(format!("{}: the file exists", args.out.display())));
    }
    let key = folder.key()?;
    let (form, request, hash) = match &args.template {
        None => ("pkcs10", pkcs10_request(args, &key)?, None),
        Some(path) => {
            let (request, hash) = from_template(args, &TemplateFile::read(path)?, &key)?;
            ("template", request, hash)
        }
    };
    let digest = hex_upper(&sha256(&[&request]));
    let now = Start::now()?.text;
    let sent = Sent {
        identifier: digits(&args.identifier),
        expiry: args.expiry.yymm(),
        form: form.to_owned(),
        sha256: digest.clone(),
        at: now.clone(),
    };
    // Written down first: a request that goes out is known here.
    let pending = folder.pending()?;
    let certified = folder.dir.issuer.oda(folder.index);
    let rid = certified.map(|oda| oda.rid.to_string()).unwrap_or_default();
    let mut pending = match pending {
        Some(pending) => pending,
        None => Pending {
            version: 1,
            rid,
            private_key: folder.private_key_name()?,
            bits: key.public().bits(),
            exponent: key.exponent(),
            created: now,
            requests: Vec::new(),
        },
    };
    pending.requests.retain(|old| old.identifier != sent.identifier);
    pending.requests.push(sent);
    folder.write_pending(&pending)?;
    let write = |path: &Path, bytes: &[u8]| {
        folder.store.write_new(path, [bytes]).map_err(|e| {
            let text = e.to_string();
            if e.exists() { Failure::refused(text) } else { Failure::stopped(text) }
        })
    };
    write(&args.out, &request)?;
    if let Some(hash) = hash {
        let mut name = args.out.clone().into_os_string();
        name.push(".hash");
        write(Path::new(&name), &hash)?;
    }
    terminal::say(&format!(
        "{}: send it to the scheme; tell it this SHA-256 by another way",
        args.out.display()
    ));
    terminal::say("next: dataprep issuer-key import, with the scheme's response");
    terminal::give(format!("{digest}\n").as_bytes())?;
    Ok(Exit::Done)
}

/// The digits of an identifier.
pub(super) fn digits(identifier: &Iin) -> String {
    identifier.digits().iter().map(|d| char::from(b'0' + d % 10)).collect()
}

fn pkcs10_request(args: &Args, key: &IssuerKey) -> Result<Vec<u8>, Failure> {
    let subject = Subject {
        common_name: args.common_name.clone().unwrap_or_default(),
        organization: args.organization.clone(),
        country: args.country.clone(),
    };
    let info = pkcs10::request_info(&subject, key.public())?;
    let signature = key.apply(&pkcs10::signature_block(&info, key.public().len())?)?;
    Ok(pkcs10::to_pem(&pkcs10::assemble(&info, key.public(), &signature)?).into_bytes())
}

type Files = (Vec<u8>, Option<Vec<u8>>);

fn from_template(args: &Args, template: &TemplateFile, key: &IssuerKey) -> Result<Files, Failure> {
    let values = RequestValues {
        identifier: args.identifier,
        service_id: args.service_id,
        tracking: args.tracking,
        key_index: args.key_index,
        serial: args.serial,
        expiry: args.expiry,
        key: key.public(),
    };
    let signed = match &template.head {
        None => None,
        Some(head) => {
            let block = head.self_certificate(&values)?;
            let signature = key.apply(block.block())?;
            Some((block, signature))
        }
    };
    let render = |template: &RequestTemplate| {
        template.render(&values, signed.as_ref().map(|(block, signature)| (block, signature.as_slice())))
    };
    let request = render(&template.request)?;
    // What was written reads back.
    template.request.read(&request, template.head.as_ref())?;
    Ok((request, template.hash.as_ref().map(render).transpose()?))
}

/// DER of a request in PEM or DER.
pub fn to_der(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    issuer_dir::der_of(bytes)
}

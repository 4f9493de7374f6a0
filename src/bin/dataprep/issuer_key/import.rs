//! `dataprep issuer-key import`: the scheme's response is checked and put in its place.

use std::fmt::Write as _;
use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::issuer::ceremony::{CaResponse, ResponseLayout};
use emv_dataprep::profile::{Issuer, Level, OdaKey};

use super::folder::Folder;
use super::request::digits;
use super::{CaFile, Place, layout};
use crate::failure::{Done, Failure};
use crate::prepare::Start;
use crate::{issuer_dir, terminal};

/// Check a scheme's response and put the certificate at its odaKeyIndex
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep issuer-key import --issuer demo/issuer --index 0A --ca ca.toml --layout visa --response response.bin"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The scheme's public key: its file (docs/issuer-keys.md)
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The checksum that the scheme publishes of its key, 20 bytes
    #[arg(long, value_name = "HEX")]
    ca_checksum: Option<String>,
    /// Layout of the response: visa, mastercard or unionpay
    #[arg(long, value_parser = layout)]
    layout: ResponseLayout,
    /// The response
    #[arg(long, value_name = "FILE")]
    response: PathBuf,
    /// Drop the certificates of another CA key, and one for the same identifier
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let folder = Folder::of(&args.place)?;
    let ca = CaFile::read(&args.ca, args.ca_checksum.as_deref())?;
    let file = issuer_dir::read_bounded(&args.response)?;
    let at = |what: String| Failure::refused(format!("{}: {what}", args.response.display()));
    let read = CaResponse::read(args.layout, &file, &ca.key).map_err(|e| at(e.to_string()))?;
    let key = folder.key()?;
    read.check_key(key.public()).map_err(|e| at(e.to_string()))?;
    let pending = folder.pending()?;
    let certified = folder.dir.issuer.oda(folder.index);
    let rid = match (&pending, certified) {
        (_, Some(oda)) => oda.rid.to_string(),
        (Some(pending), None) => pending.rid.clone(),
        (None, None) => String::new(),
    };
    if ca.key.rid().to_string() != rid {
        return Err(at(format!("the CA key is of {}, the issuer key for {rid}", ca.key.rid())));
    }
    let identifier = digits(&read.key.identifier);
    let asked = pending.as_ref().map(|p| p.requests.as_slice()).unwrap_or_default();
    if !asked.iter().any(|sent| sent.identifier == identifier) {
        return Err(at(format!("no request was written for the identifier {identifier}")));
    }
    let today = Start::now()?.today;
    if !read.key.expiry.covers(today) {
        return Err(at("the certificate has ended".to_owned()));
    }
    if ca.expiry.is_some_and(|end| !end.covers(today)) {
        return Err(Failure::refused(format!("{}: the CA key has ended", args.ca.display())));
    }
    if ca.expiry.is_some_and(|end| read.key.expiry > end) {
        return Err(at("the certificate outlives the CA key".to_owned()));
    }
    if let Some(sent) = asked.iter().find(|sent| sent.identifier == identifier)
        && sent.expiry != read.key.expiry.yymm()
    {
        let end = read.key.expiry.yymm();
        terminal::say(&format!(
            "warning: the request asked for {}, the certificate ends {end} (YYMM)",
            sent.expiry
        ));
    }
    let text = oda_text(args, &folder, &ca, &read, certified)?;
    check_directory(&folder, &text)?;
    folder.write_certified(&text)?;
    finish(&folder, &identifier)?;
    terminal::say(&format!(
        "{}: certificate for {identifier}, serial {}, ends {} (YYMM), CA key {}",
        folder.path.display(),
        read.key.serial,
        read.key.expiry.yymm(),
        ca.key.index()
    ));
    terminal::say("the issuer directory has changed: where officers sign it, it must be signed again");
    Ok(Exit::Done)
}

/// With the certificate the issuer directory must be as good as without: else nothing is written.
fn check_directory(folder: &Folder, text: &str) -> Result<(), Failure> {
    let mut files = folder.dir.files.clone();
    files.insert(format!("oda/{}/oda.toml", folder.index), text.as_bytes().to_vec());
    Issuer::load(&files).map(drop).map_err(|findings| {
        let errors = findings.iter().filter(|f| f.level == Level::Error);
        let lines: String = errors.map(|finding| format!("\n  {finding}")).collect();
        Failure::refused(format!("with this certificate the configuration would be refused:{lines}"))
    })
}

/// Takes the request from the list, and the list away with the last.
fn finish(folder: &Folder, identifier: &str) -> Result<(), Failure> {
    let Some(mut pending) = folder.pending()? else { return Ok(()) };
    pending.requests.retain(|sent| sent.identifier != identifier);
    if pending.requests.is_empty() { folder.remove_pending() } else { folder.write_pending(&pending) }
}

/// `oda.toml` with the new certificate. What people wrote into it stays where nothing is dropped.
fn oda_text(
    args: &Args,
    folder: &Folder,
    ca: &CaFile,
    read: &CaResponse,
    certified: Option<&OdaKey>,
) -> Result<String, Failure> {
    let identifier = &read.key.identifier;
    let mut kept = Vec::new();
    let mut dropped = 0_usize;
    for certificate in certified.map(|oda| oda.certificates.as_slice()).unwrap_or_default() {
        let same_ca = certificate.ca == ca.key || certificate.ca.key() == ca.key.key();
        if same_ca && certificate.identifier != *identifier {
            kept.push(certificate);
        } else if args.replace {
            dropped += 1;
        } else {
            let what = if same_ca { "for this identifier" } else { "of another CA key" };
            return Err(Failure::refused(format!(
                "{}: there is a certificate {what}: --replace drops it",
                folder.path.display()
            )));
        }
    }
    let mut text = match folder.certified_text()? {
        Some(text) if dropped == 0 => text,
        _ => head(folder, ca)?,
    };
    if dropped > 0 {
        for old in kept {
            let certificate = &old.certificate;
            table(
                &mut text,
                &digits(&old.identifier),
                &format!("{:02X}", old.ca_index),
                [&certificate.certificate, &certificate.remainder, &certificate.exponent],
            );
        }
    }
    let new = &read.certificate;
    let parts = [&new.certificate, &new.remainder, &new.exponent];
    table(&mut text, &digits(identifier), &ca.key.index().to_string(), parts);
    Ok(text)
}

fn head(folder: &Folder, ca: &CaFile) -> Result<String, Failure> {
    let mut text = format!(
        "version = 1\nrid = \"{}\"\nca_modulus = \"{}\"\nca_exponent = \"{}\"\n",
        ca.key.rid(),
        hex_upper(ca.key.key().modulus()),
        hex_upper(ca.key.key().exponent())
    );
    if let Some(end) = ca.expiry {
        let _ = writeln!(text, "ca_expiry = \"{}\"", end.yymm());
    }
    let _ = writeln!(text, "private_key = \"{}\"", folder.private_key_name()?);
    Ok(text)
}

fn table(
    text: &mut String,
    identifier: &str,
    ca_index: &str,
    [certificate, remainder, exponent]: [&Vec<u8>; 3],
) {
    let _ = write!(
        text,
        "\n[[certificate]]\nissuer_identifier = \"{identifier}\"\nca_index = \"{ca_index}\"\ncertificate = \"{}\"\n",
        hex_upper(certificate)
    );
    if !remainder.is_empty() {
        let _ = writeln!(text, "remainder = \"{}\"", hex_upper(remainder));
    }
    let _ = writeln!(text, "exponent = \"{}\"", hex_upper(exponent));
}

//! `dataprep issuer-key new`: a key is made or adopted.

use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, RsaPublic, generate};
use emv_dataprep::issuer::oda::{MAX_ISSUER_MODULUS, Rid};
use emv_dataprep::profile::KeySourceKind;
use emv_dataprep::secret::Secret;
use zeroize::Zeroizing;

use super::folder::{Folder, PRIVATE_KEY, Pending, password};
use super::{Place, rid};
use crate::failure::{Done, Failure};
use crate::issuer_dir::{IN_TOKEN, der_of, read_secret, token};
use crate::prepare::Start;
use crate::terminal;

/// Make an issuer RSA key, or adopt one, at an index that is free
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep issuer-key new --issuer demo/issuer --index 0A --rid A000000003 --bits 1408 --exponent 3"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Registered application provider identifier of the scheme, five bytes
    #[arg(long, value_parser = rid)]
    rid: Rid,
    /// Bits of the modulus, a multiple of 8
    #[arg(long, required_unless_present = "adopt")]
    bits: Option<usize>,
    /// 3 or 65537
    #[arg(long, required_unless_present = "adopt", value_parser = exponent)]
    exponent: Option<Exponent>,
    /// Adopt the key of this file: PKCS#8 or PKCS#1, PEM or DER
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bits", "exponent"])]
    adopt: Option<PathBuf>,
    /// File with the password of the adopted key
    #[arg(long, value_name = "FILE", requires = "adopt")]
    adopt_password: Option<PathBuf>,
}

fn exponent(text: &str) -> Result<Exponent, String> {
    match text {
        "3" => Ok(Exponent::THREE),
        "65537" => Ok(Exponent::F4),
        _ => Err("3 or 65537".to_owned()),
    }
}

/// The shortest key of an issuer that is not a test issuer, bits.
const SHORTEST: usize = 1024;

pub(super) fn run(args: &Args) -> Done {
    let folder = Folder::of(&args.place)?;
    if folder.is_certified() || folder.pending()?.is_some() {
        return Err(Failure::refused(format!("{}: there is a key already", folder.path.display())));
    }
    let in_token = folder.dir.issuer.key_source().kind == KeySourceKind::Pkcs11;
    let (public, private_key) = match (&args.adopt, args.bits, args.exponent) {
        (Some(_), _, _) => (in_a_file(&folder, adopted(args)?)?, PRIVATE_KEY),
        (None, Some(bits), Some(exponent)) => {
            let spec =
                KeySpec::in_bytes(bits, exponent).map_err(|e| Failure::usage(format!("--bits: {e}")))?;
            check_length(&folder, bits)?;
            if in_token {
                (token::generate(&folder.dir, folder.index, bits, exponent)?, IN_TOKEN)
            } else {
                let stream = Seed::from_os()?.named_stream(b"issuer-key new", Purpose::TestIssuer);
                (in_a_file(&folder, generate(spec, &stream)?)?, PRIVATE_KEY)
            }
        }
        _ => return Err(Failure::usage("--bits and --exponent, or --adopt")),
    };
    let exponent = public.exponent().iter().fold(0, |e, b| e << 8 | u32::from(*b));
    folder.write_pending(&Pending {
        version: 1,
        rid: args.rid.to_string(),
        private_key: private_key.to_owned(),
        bits: public.bits(),
        exponent,
        created: Start::now()?.text,
        requests: Vec::new(),
    })?;
    terminal::say(&format!(
        "{}: an issuer key of {} bits, e = {}, waits for its certificate",
        folder.path.display(),
        public.bits(),
        exponent
    ));
    terminal::say("next: dataprep issuer-key request");
    terminal::give(format!("{}\n", hex_upper(&sha256(&[public.modulus()]))).as_bytes())?;
    Ok(Exit::Done)
}

fn check_length(folder: &Folder, bits: usize) -> Result<(), Failure> {
    if bits > MAX_ISSUER_MODULUS * 8 {
        return Err(Failure::refused(format!("an issuer key has at most {} bits", MAX_ISSUER_MODULUS * 8)));
    }
    if bits < SHORTEST && !folder.dir.is_test() {
        return Err(Failure::refused(format!("an issuer key has at least {SHORTEST} bits")));
    }
    Ok(())
}

/// Checks a key and puts it into its file.
fn in_a_file(folder: &Folder, key: RsaPrivate) -> Result<RsaPublic, Failure> {
    key.check()?;
    check_length(folder, key.public().bits())?;
    let word = password(&folder.dir, &folder.store)?;
    let mut random = Seed::from_os()?.named_stream(b"issuer-key file", Purpose::TestIssuer).rng();
    let sealed = key.to_pkcs8_encrypted(&word, &mut random)?;
    // The key first: a key without pending.toml was never given to anybody, and is made anew.
    folder.publish(PRIVATE_KEY, &sealed)?;
    let written = folder.dir.oda_private_key(&folder.file(PRIVATE_KEY))?;
    if written.public() != key.public() {
        return Err(Failure::refused("the key cannot be read back"));
    }
    Ok(key.public().clone())
}

fn adopted(args: &Args) -> Result<RsaPrivate, Failure> {
    let Some(path) = &args.adopt else { return Err(Failure::usage("--adopt")) };
    let at = |e: emv_dataprep::error::Error| Failure::refused(format!("{}: {e}", path.display()));
    let file = read_secret(path)?;
    let der = der_of(file.expose())
        .ok_or_else(|| Failure::refused(format!("{}: is not PEM or DER", path.display())))?;
    if let Some(word) = &args.adopt_password {
        let word = read_secret(word)?;
        return RsaPrivate::from_pkcs8_encrypted(&der, &Secret::copy_of(word.expose().trim_ascii()))
            .map_err(at);
    }
    RsaPrivate::from_pkcs8(&der).or_else(|_| RsaPrivate::from_pkcs8(&pkcs8_of_pkcs1(&der))).map_err(at)
}

/// An RSAPrivateKey (RFC 8017, A.1.2) as PKCS#8.
fn pkcs8_of_pkcs1(key: &[u8]) -> Zeroizing<Vec<u8>> {
    /// version 0, rsaEncryption with NULL.
    const HEAD: [u8; 18] = [
        0x02, 0x01, 0x00, 0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05,
        0x00,
    ];
    let length = |len: usize| [0x82, (len >> 8) as u8, len as u8];
    let mut out = Zeroizing::new(Vec::with_capacity(key.len() + 64));
    out.push(0x30);
    out.extend_from_slice(&length(HEAD.len() + 4 + key.len()));
    out.extend_from_slice(&HEAD);
    out.push(0x04);
    out.extend_from_slice(&length(key.len()));
    out.extend_from_slice(key);
    out
}

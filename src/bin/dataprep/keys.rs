//! `dataprep keys`: key blocks for `keys.toml`, the signing key.

use std::io::Read;
use std::path::PathBuf;

use emv_dataprep::batch::Exit;
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::keys::tr31::{self, Header, Version};
use emv_dataprep::keys::{
    CvvKind, KcvMethod, KeyAlgorithm, KeyAttributes, KeyEntry, KeyIndex, KeyRef, KeyUse, SoftwareRing,
};
use emv_dataprep::secret::Secret;
use emv_dataprep::store::Store;
use zeroize::Zeroizing;

use crate::failure::{Done, Failure};
use crate::{issuer_dir, keys_to_token as to_token, self_test, terminal};

/// Key blocks for keys.toml
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys wrap --help")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Wrap(Wrap),
    Signing(Signing),
    ToToken(to_token::Args),
}

/// Make the key that signs manifests and audit logs: prints the lines for issuer.toml
#[derive(clap::Args)]
#[command(after_help = "Example: dataprep keys signing --out secrets/signing.hex")]
struct Signing {
    /// The new file of the private key; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Wrap a key that stands on standard input in hexadecimal (test issuers): prints an entry for keys.toml
#[derive(clap::Args)]
#[command(
    after_help = "Example: echo 0123456789ABCDEFFEDCBA9876543210 | dataprep keys wrap --issuer demo/issuer --use cvk --index 0A"
)]
struct Wrap {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    issuer: PathBuf,
    /// What the key is for (imk-ac, cvk, pvk, pin, transport, …)
    #[arg(long = "use", value_name = "USE")]
    usage: KeyUse,
    /// Two upper-case hexadecimal digits
    #[arg(long)]
    index: KeyIndex,
    /// TDES-2KEY, TDES-3KEY, AES-128, AES-192, AES-256 or HMAC-SHA-256; default by length: TDES for 16 and 24 bytes, AES-256 for 32
    #[arg(long, value_parser = algorithm)]
    algorithm: Option<KeyAlgorithm>,
    /// A cvk key that serves one value only: cvv1, icvv or cvv2
    #[arg(long = "for", value_name = "VALUE", value_parser = cvv_kind)]
    only: Option<CvvKind>,
    /// PIN verification key index of a pvk key, one digit
    #[arg(long)]
    pvki: Option<u8>,
    /// Derivation key index of an imk-ac key, two hexadecimal digits
    #[arg(long)]
    dki: Option<KeyIndex>,
}

fn algorithm(text: &str) -> Result<KeyAlgorithm, String> {
    let all = [
        KeyAlgorithm::Tdes2,
        KeyAlgorithm::Tdes3,
        KeyAlgorithm::Aes128,
        KeyAlgorithm::Aes192,
        KeyAlgorithm::Aes256,
        KeyAlgorithm::Hmac,
    ];
    let found = all.into_iter().find(|a| a.name() == text);
    found.ok_or_else(|| format!("one of {}", all.map(KeyAlgorithm::name).join(", ")))
}

fn cvv_kind(text: &str) -> Result<CvvKind, String> {
    match text {
        "cvv1" => Ok(CvvKind::Cvv1),
        "icvv" => Ok(CvvKind::Icvv),
        "cvv2" => Ok(CvvKind::Cvv2),
        _ => Err("cvv1, icvv or cvv2".to_owned()),
    }
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    match &args.command {
        Command::Wrap(args) => wrap_key(args),
        Command::Signing(args) => signing(args),
        Command::ToToken(args) => to_token::run(args),
    }
}

fn signing(args: &Signing) -> Done {
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

fn wrap_key(args: &Wrap) -> Done {
    let kbpk = test_kbpk(&args.issuer)?;
    let mut text = Vec::with_capacity(1024);
    let read = std::io::stdin().lock().take(1024).read_to_end(&mut text);
    let text = Secret::new(text);
    read.map_err(|e| Failure::stopped(format!("read standard input: {e}")))?;
    let key = issuer_dir::secret_from_hex(text.expose());
    let key = key.ok_or_else(|| Failure::refused("standard input is not a key in hexadecimal"))?;
    terminal::give(entry(args, &kbpk, &key)?.as_bytes())?;
    Ok(Exit::Done)
}

/// The key-block protection key. Only `issuer.toml` is read: the rest may be what the key is still missing from.
fn test_kbpk(issuer: &std::path::Path) -> Result<Secret, Failure> {
    let path = issuer.join("issuer.toml");
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|e| Failure::refused(format!("read {}: {e}", path.display())))?;
    let table: toml::Table =
        text.parse().map_err(|_| Failure::refused(format!("{}: is not TOML", path.display())))?;
    if table.get("environment").and_then(toml::Value::as_str) != Some("test") {
        return Err(Failure::refused("keys wrap is for an issuer whose environment is test"));
    }
    let file =
        table.get("secrets").and_then(|s| s.get("key_block_protection_key")).and_then(toml::Value::as_str);
    let file = file.ok_or_else(|| Failure::refused("issuer.toml names no key-block protection key"))?;
    issuer_dir::read_hex_secret(&issuer.join(file))
}

fn entry(args: &Wrap, kbpk: &Secret, key: &Secret) -> Result<String, Failure> {
    let usual = match (args.usage, key.len()) {
        (KeyUse::Ledger, _) => KeyAlgorithm::Hmac,
        (_, 16) => KeyAlgorithm::Tdes2,
        (_, 24) => KeyAlgorithm::Tdes3,
        _ => KeyAlgorithm::Aes256,
    };
    let algorithm = args.algorithm.unwrap_or(usual);
    if key.len() != algorithm.key_len() {
        return Err(Failure::refused(format!(
            "the key has {} bytes where {algorithm} has {}",
            key.len(),
            algorithm.key_len()
        )));
    }
    let kcv_method = KcvMethod::usual(algorithm);
    let kcv = kcv_method.compute(key, algorithm)?;
    let header = Header::for_use(args.usage, algorithm, Version::D);
    let mut pad = Seed::from_os()?.named_stream(b"keys wrap", Purpose::TestIssuer).rng();
    let block = tr31::wrap(kbpk, &header, key, &mut pad)?;
    let name = KeyRef { usage: args.usage, index: args.index, only: args.only };
    let attributes = KeyAttributes { dki: args.dki.map(|i| i.0), pvki: args.pvki };
    // What is printed will load.
    let loaded = KeyEntry { key: name, block: block.clone(), kcv: kcv.clone(), kcv_method, attributes };
    let mut ring = SoftwareRing::new(Backend::Portable);
    ring.load(kbpk, &loaded)?;
    if ring.possibly_weak_keys().next().is_some() {
        terminal::say("warning: the key has a possibly weak DES part: choose another if you can");
    }

    let mut out = format!(
        "\n[[key]]\nuse = \"{}\"\nindex = \"{}\"\nblock = \"{block}\"\nkcv = \"{kcv}\"\nkcv_method = \"{}\"\n",
        args.usage,
        args.index,
        kcv_method.name()
    );
    if let Some(only) = args.only {
        let word = match only {
            CvvKind::Cvv1 => "cvv1",
            CvvKind::Icvv => "icvv",
            CvvKind::Cvv2 => "cvv2",
        };
        out.push_str(&format!("for = \"{word}\"\n"));
    }
    if let Some(pvki) = args.pvki {
        out.push_str(&format!("pvki = {pvki}\n"));
    }
    if let Some(dki) = args.dki {
        out.push_str(&format!("dki = \"{dki}\"\n"));
    }
    Ok(out)
}

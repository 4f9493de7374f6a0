//! Where the prepared card comes from: a sealed INSTANT file, or a card that this program prepares and seals itself.

use std::fs;
use std::path::{Path, PathBuf};

use emv_dataprep::bytes::from_hex;
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::issuer::{KeyModule, ProtectMode};
use emv_dataprep::keys::{KeyUse, PrivateJwk, SigningPublicJwk, SoftwareRing};
use emv_dataprep::order::{Frame, NoEnvelopeKey, parse_order};
use emv_dataprep::output::{self, CardLine, Form, Recipients, Senders, Sheet};
use emv_dataprep::perso::plan::PersonalizationPlan;
use emv_dataprep::prepare::{Context, FirstSerial, Scripts, TransportKeys, prepare_one};
use emv_dataprep::profile::{Environment, Files, Issuer, SecretKind, TransportKeyConfig, plan_file};
use emv_dataprep::secret::Secret;
use zeroize::Zeroizing;

use super::reader::Failure;

/// The small test issuer of the documentation.
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // constants
mod sample {
    include!("../../docs/example_issuer.rs");

    pub(super) fn issuer_files() -> emv_dataprep::profile::Files {
        files()
    }

    pub(super) fn issuer_keys() -> SoftwareRing {
        ring()
    }
}

/// The software ring by the name that `main` uses.
pub(crate) type Ring = SoftwareRing;

const GENERIC_GP: &[u8] = include_bytes!("../../scripts/generic-gp.toml");
const PRE_PERSONALIZED: &[u8] = include_bytes!("../../scripts/pre-personalized.toml");

/// A card to be made, and the station's keys.
pub(crate) struct Job {
    pub(crate) line: CardLine,
    pub(crate) mode: ProtectMode,
    pub(crate) keys: SoftwareRing,
    pub(crate) environment: Environment,
}

/// The card that a file holds: sealed for the station, a line each, as `dataprep prepare` writes it; or in clear.
pub(crate) fn from_file(
    issuer: &Path,
    cards: &Path,
    key: Option<&Path>,
    number: std::num::NonZeroUsize,
) -> Result<Job, Failure> {
    let mut files = Files::new();
    read_folder(issuer, &PathBuf::new(), &mut files)?;
    let loaded = Issuer::load(&files).map_err(|findings| {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        format!("{}: {}", issuer.display(), lines.join("; "))
    })?;
    let bytes = fs::read(cards).map_err(|e| format!("{}: {e}", cards.display()))?;
    let sender = loaded.output_signing_public_key();
    let text = match key {
        None if sender.is_some() => {
            return Err("the issuer signs what it sends: only a sealed file is taken, with --key".into());
        }
        None => Zeroizing::new(bytes),
        Some(key) => {
            let json = Zeroizing::new(fs::read(key).map_err(|e| format!("{}: {e}", key.display()))?);
            let senders =
                sender.map_or(Senders::Anyone, |sender| Senders::Only(vec![SigningPublicJwk::new(*sender)]));
            let opened =
                output::open_from(&PrivateJwk::from_json(&json)?, std::str::from_utf8(&bytes)?, &senders)?;
            if Path::new(&opened.file).file_name() != cards.file_name() {
                return Err(format!("{}: was sealed as {}", cards.display(), opened.file).into());
            }
            opened.text
        }
    };
    let text = std::str::from_utf8(&text)?;
    let line = text.lines().nth(number.get().saturating_sub(1)).ok_or("the file has fewer cards")?;
    let line = CardLine::read(line).map_err(|e| match key {
        Some(_) => format!("{}: card {number}: {e}", cards.display()),
        None => format!("{}: card {number}: {e}; a sealed file needs --key", cards.display()),
    })?;
    let destination =
        loaded.destination(&line.destination).ok_or("the card is for an unknown destination")?;
    let mode = match destination.transport {
        Some(TransportKeyConfig::Static { mode, .. } | TransportKeyConfig::PerBlock { mode, .. }) => mode,
        None => return Err("the destination has no transport key".into()),
    };
    Ok(Job { line, mode, keys: station_keys(issuer, &loaded)?, environment: loaded.environment() })
}

/// The keys of a station: transport keys and chips' keys, nothing else of the issuer's.
fn station_keys(root: &Path, issuer: &Issuer) -> Result<SoftwareRing, Failure> {
    let file = issuer.secret_files().iter().find(|f| f.kind == SecretKind::KeyBlockProtection);
    let file = root.join(&file.ok_or("issuer.toml names no key-block protection key")?.path);
    let text = Zeroizing::new(fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?);
    let protection = Secret::new(from_hex(text.trim())?);
    let mut ring = SoftwareRing::new(Backend::detect());
    let uses = [KeyUse::Transport, KeyUse::Kmc, KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek];
    for entry in issuer.key_entries().iter().filter(|e| uses.contains(&e.key.usage)) {
        ring.load(&protection, entry)?;
    }
    Ok(ring)
}

fn read_folder(root: &Path, folder: &Path, files: &mut Files) -> Result<(), Failure> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| "a file name that is not UTF-8")?;
        let relative = folder.join(&name);
        if name.starts_with('.') || name == "secrets" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            read_folder(root, &relative, files)?;
        } else {
            let path = relative.to_string_lossy().replace('\\', "/");
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// A card of the small test issuer of the documentation: ordered, prepared, sealed for the station, opened by it.
pub(crate) fn prepared_here(today: CardDate) -> Result<Job, Failure> {
    let issuer = Issuer::load(&sample::issuer_files()).map_err(|findings| format!("{findings:?}"))?;
    let module = KeyModule::new(sample::issuer_keys());
    let year = (u16::from(today.year()) + 3) % 100;
    let order = format!(
        r#"{{"cardId":"agent-1","issuerRequestId":"r-1","order":{{"distributionChannel":"INSTANT","persoStation":"KIOSK-1",
        "services":{{"issuance":"CREATION"}},
        "paymentApplication":{{"config":"online-only","derivationKeyIndex":"01","cvKeyIndex":"01"}}}},
        "cardData":{{"pan":"4761739001010010","exp":"{year:02}12","name":"Maria Muster"}}}}"#
    );
    let mut orders = Vec::new();
    let mut frame = Frame::new();
    frame.feed(order.as_bytes(), &mut orders);
    frame.finish(&mut orders);
    let order = orders.first().ok_or("no order")?;
    let seed = Seed::from_os()?;
    let transport_keys = TransportKeys::for_block(&issuer, &module, &seed, 0)?;
    let context = Context {
        issuer: &issuer,
        module: &module,
        seed: &seed,
        today,
        backend: Backend::detect(),
        transport_keys: &transport_keys,
        scripts: Scripts::Omit,
        supply: None,
        first_serial: FirstSerial::of_seed(&seed),
        prime_tags: None,
    };
    let request = parse_order(&issuer, &NoEnvelopeKey, order, today)?;
    let card = prepare_one(&context, request)??;

    // To the station and back, as over the wire.
    let station = PrivateJwk::generate(&mut seed.named_stream(b"station", Purpose::TestIssuer).rng());
    let mut recipients = Recipients::default();
    recipients.add(card.destination.clone(), station.public().clone());
    let signer = Ed25519Private::from_seed(&Secret::copy_of(&seed.keyed_digest(&[b"agent's output key"])))?;
    let sender = SigningPublicJwk::new(signer.public());
    recipients.sign_with(signer);
    let file = format!("prepared/INSTANT/{}/cards-000000.jwe", card.destination);
    let sheet = Sheet { batch: "agent", file: &file, form: Form::EachLine };
    let line = output::card_line(&card);
    let sealed = output::seal(&recipients, &card.destination, &sheet, &[&line], &seed)?;
    let opened = output::open_from(&station, &sealed, &Senders::Only(vec![sender]))?;
    let line = CardLine::read(std::str::from_utf8(&opened.text)?.trim_end())?;
    Ok(Job { line, mode: ProtectMode::Ecb, keys: sample::issuer_keys(), environment: issuer.environment() })
}

/// A script plan: one of the shipped ones by its name, or a file.
pub(crate) fn plan(name: &str) -> Result<PersonalizationPlan, Failure> {
    let bytes = match name {
        "generic-gp" => GENERIC_GP.to_vec(),
        "pre-personalized" => PRE_PERSONALIZED.to_vec(),
        path => fs::read(path).map_err(|e| format!("{path}: {e}"))?,
    };
    let file = if name.ends_with(".toml") { name.to_owned() } else { format!("scripts/{name}.toml") };
    let (plan, findings) = plan_file::load(&file, &bytes);
    plan.ok_or_else(|| {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        lines.join("; ").into()
    })
}

//! `issuer.toml`: the issuer, where its secrets stand, its destinations, its identifiers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::bins::Bins;
use super::destination::{Channel, Destination, DestinationId, TransportKeyConfig};
use super::envelope_file::{self, RawEnvelope};
use super::finding::{Finding, Level, Source};
use super::identifier::Identifiers;
use super::issuer::Environment;
use super::key_source_file::{KeySourceConfig, RawKeySource, key_source};
use super::production::Risk;
use super::protection_file::{self, CLEAR_COMPONENTS, Protection, ProtectionSource, RawProtection};
use super::verify_file::{self, VerifyCards};
use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Public;
use crate::issuer::ProtectMode;
use crate::keys::{KeyAlgorithm, KeyIndex, PublicJwk};

/// A file outside the configuration that holds a secret, as `issuer.toml` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// What it holds.
    pub kind: SecretKind,
    /// Path, relative to the issuer directory.
    pub path: String,
}

/// What a secret file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The key-block protection key, hexadecimal.
    KeyBlockProtection,
    /// The password of the issuer RSA keys.
    OdaPassword,
    /// The Ed25519 private key that signs manifests and audit logs: 32 bytes, hexadecimal.
    Signing,
    /// The Ed25519 private key that signs what is sealed: 32 bytes, hexadecimal.
    OutputSigning,
    /// A private JWK that D1 encrypts card data for.
    Envelope {
        /// Its key id.
        kid: String,
        /// The last day on which a batch may start that opens orders with it.
        until: Option<CardDate>,
    },
}

/// Days after which a prepared card is not personalized any more, unless the destination says otherwise.
const NOT_AFTER_DAYS: u16 = 90;

/// Where the ledger is, and what it lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Path of the database, relative to the issuer directory; none when only `--ledger` may name one.
    pub file: Option<String>,
    /// Index of the key of use `ledger`.
    pub key: KeyIndex,
    /// Ids of `services.issuance` that may make a card again.
    pub reissue: BTreeSet<String>,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        let reissue = ["RENEWAL", "REPLACEMENT"].map(str::to_owned).into();
        Self { file: None, key: KeyIndex(1), reissue }
    }
}

/// The parts of `issuer.toml`.
pub(super) struct IssuerFile {
    pub(super) id: String,
    pub(super) environment: Environment,
    pub(super) destinations: BTreeMap<DestinationId, Destination>,
    pub(super) default_central: Option<DestinationId>,
    pub(super) pin_mailer: Option<DestinationId>,
    pub(super) issuer_return: Option<DestinationId>,
    pub(super) secrets: Vec<SecretFile>,
    pub(super) protection: Protection,
    pub(super) next_protection: Option<Protection>,
    pub(super) signing_public_key: Option<Ed25519Public>,
    pub(super) output_signing_public_key: Option<Ed25519Public>,
    pub(super) ledger: LedgerConfig,
    pub(super) verify: VerifyCards,
    pub(super) accepted: BTreeSet<String>,
    pub(super) bins: Bins,
    pub(super) sequence: u64,
    pub(super) identifiers: Identifiers,
    pub(super) pool: String,
    pub(super) expiry_warning_months: u16,
    pub(super) retention_days: Option<u32>,
    pub(super) key_source: KeySourceConfig,
}

/// Months before the end of an issuer certificate or a CA key from which on it is a warning.
pub(super) const EXPIRY_WARNING_MONTHS: u16 = 6;

/// Most days after which a job is to be wiped: a hundred years.
const MOST_RETENTION_DAYS: u32 = 36_500;

/// The folder of the key pool when the file names none.
const POOL: &str = "pool";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    issuer_id: Spanned<String>,
    environment: Spanned<String>,
    default_central_destination: Option<Spanned<String>>,
    pin_mailer_destination: Option<Spanned<String>>,
    issuer_return_destination: Spanned<String>,
    signing_public_key: Option<Spanned<String>>,
    output_signing_public_key: Option<Spanned<String>>,
    secrets: Spanned<Secrets>,
    /// Folder of the pool of ready RSA keys.
    pool: Option<Spanned<String>>,
    /// Months.
    expiry_warning_months: Option<Spanned<u16>>,
    retention_days: Option<Spanned<u32>>,
    /// Risks that are accepted by name.
    #[serde(default)]
    accept: Vec<Spanned<String>>,
    /// BINs that no live card has, beside the published ones.
    #[serde(default)]
    test_bins: Vec<Spanned<String>>,
    /// BINs that a test issuer refuses.
    #[serde(default)]
    live_bins: Vec<Spanned<String>>,
    /// Grows with every state of the directory that officers sign.
    #[serde(default)]
    sequence: u64,
    ledger: Option<Spanned<RawLedger>>,
    verify: Option<Spanned<String>>,
    key_source: Option<Spanned<RawKeySource>>,
    #[serde(rename = "destination")]
    destinations: Vec<Spanned<RawDestination>>,
    #[serde(default)]
    identifiers: Identifiers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    key_block_protection_key: Spanned<String>,
    key_block_protection_kcv: Option<Spanned<String>>,
    key_block_protection_algorithm: Option<Spanned<String>>,
    next: Option<RawProtection>,
    oda_password: Option<String>,
    signing_key: Option<String>,
    output_signing_key: Option<String>,
    #[serde(default)]
    envelope: BTreeMap<String, Spanned<RawEnvelope>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLedger {
    file: String,
    key: Option<Spanned<String>>,
    reissue: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDestination {
    id: Spanned<String>,
    channel: Option<Spanned<String>>,
    public_key: Option<Spanned<BTreeMap<String, String>>>,
    transport_key: Option<Spanned<RawTransport>>,
    not_after_days: Option<Spanned<u16>>,
    pin_key: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTransport {
    index: Spanned<String>,
    mode: Spanned<String>,
    kind: Spanned<String>,
    algorithm: Option<Spanned<String>>,
}

/// Reads `issuer.toml`.
pub(super) fn read(source: &mut Source<'_>) -> Option<IssuerFile> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    let id = file.issuer_id.get_ref().clone();
    if id.len() != 10 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        source.error(file.issuer_id.span().start, "value", "issuer_id: 10 characters");
    }
    for risk in &file.accept {
        if !Risk::ALL.iter().any(|r| r.name() == risk.get_ref()) {
            source.error(risk.span().start, "accept", "accept: this risk is not known");
        }
    }
    let bins = Bins::read(source, &file.test_bins, &file.live_bins);
    let environment = match file.environment.get_ref().as_str() {
        "test" => Environment::Test,
        "production" => Environment::Production,
        _ => {
            source.error(file.environment.span().start, "value", "environment: test or production");
            return None;
        }
    };
    let mut destinations = BTreeMap::new();
    let mut folded = BTreeMap::new();
    for raw in &file.destinations {
        let at = raw.span().start;
        let Some(destination) = destination(source, environment, raw) else { continue };
        // Ids are folder names: two that differ in case only would meet on some file systems.
        if folded.insert(destination.id.as_str().to_ascii_lowercase(), ()).is_some() {
            source.error(at, "destination", "this destination id stands twice");
        }
        destinations.insert(destination.id.clone(), destination);
    }
    let thales = destinations.values().filter(|d| d.channel == Some(Channel::Thales)).count();
    if thales > 1 {
        source.error(0, "destination", "more than one destination of channel THALES");
    }
    let named =
        |source: &mut Source<'_>, text: &Option<Spanned<String>>, channel: Option<Channel>, what: &str| {
            let text = text.as_ref()?;
            let id: DestinationId = source.value(what, text)?;
            match destinations.get(&id) {
                Some(d) if d.channel == channel => Some(id),
                _ => {
                    source.error(text.span().start, "destination", format!("{what}: no such destination"));
                    None
                }
            }
        };
    let default_central = named(
        source,
        &file.default_central_destination,
        Some(Channel::Central),
        "default_central_destination",
    );
    let pin_mailer = named(source, &file.pin_mailer_destination, None, "pin_mailer_destination");
    let issuer_return =
        named(source, &Some(file.issuer_return_destination), None, "issuer_return_destination");
    if pin_mailer.is_some() && pin_mailer == issuer_return {
        source.error(
            0,
            "destination",
            "PIN mailers and the issuer return go to one destination: it could join PIN and card",
        );
    }
    check_seals(source, &destinations, pin_mailer.as_ref());
    if let Some(mailer) = pin_mailer.as_ref().and_then(|id| destinations.get(id))
        && mailer.pin_key.is_none()
    {
        source.error(0, "destination", "the PIN-mailer destination needs pin_key, the index of a mailer key");
    }
    let secrets_at = file.secrets.span().start;
    let files = file.secrets.into_inner();
    let signing_public_key = match (&file.signing_public_key, &files.signing_key) {
        (None, None) => {
            if environment == Environment::Production {
                source.error(
                    secrets_at,
                    "signing-key",
                    "no signing_key: manifests and audit logs would not be signed",
                );
            }
            None
        }
        (Some(text), Some(_)) => source.value::<Ed25519Public>("signing_public_key", text),
        _ => {
            source.error(secrets_at, "signing-key", "signing_key and signing_public_key stand together");
            None
        }
    };
    let output_signing_public_key = envelope_file::output_signing(
        source,
        environment,
        file.output_signing_public_key.as_ref(),
        files.output_signing_key.as_ref(),
        secrets_at,
    );
    let ledger = match file.ledger {
        None => {
            if environment == Environment::Production {
                source.warning(secrets_at, "ledger", "no ledger: prepare asks for --ledger in production");
            }
            LedgerConfig::default()
        }
        Some(raw) => {
            let raw = raw.into_inner();
            let usual = LedgerConfig::default();
            let key = raw.key.as_ref().map_or(Some(usual.key), |text| source.value::<KeyIndex>("key", text));
            LedgerConfig {
                file: Some(raw.file),
                key: key.unwrap_or(usual.key),
                reissue: raw.reissue.unwrap_or(usual.reissue),
            }
        }
    };
    let accepts = file.accept.iter().any(|risk| risk.get_ref() == CLEAR_COMPONENTS);
    let current = RawProtection::new(
        files.key_block_protection_key,
        files.key_block_protection_kcv,
        files.key_block_protection_algorithm,
    );
    let mut protection = protection_file::read(source, environment, accepts, &current)?;
    let mut next_protection =
        files.next.and_then(|raw| protection_file::read(source, environment, accepts, &raw));
    let mut secrets = Vec::new();
    if let ProtectionSource::File(path) = &protection.source {
        secrets.push(SecretFile { kind: SecretKind::KeyBlockProtection, path: path.clone() });
    }
    secrets.extend(files.signing_key.map(|path| SecretFile { kind: SecretKind::Signing, path }));
    secrets.extend(files.oda_password.map(|path| SecretFile { kind: SecretKind::OdaPassword, path }));
    secrets.extend(files.output_signing_key.map(|path| SecretFile { kind: SecretKind::OutputSigning, path }));
    secrets.extend(envelope_file::keys(source, files.envelope));
    let pool = match file.pool {
        None => POOL.to_owned(),
        Some(path) => {
            // Elsewhere in the directory it would be read as configuration.
            let outside = path.get_ref().starts_with("../") || path.get_ref().starts_with('/');
            if path.get_ref() != POOL && !outside {
                let message = "pool: \"pool\", or a folder outside of the issuer directory (../ or /)";
                source.error(path.span().start, "value", message);
            }
            path.into_inner()
        }
    };
    let months = file.expiry_warning_months.as_ref().map_or(EXPIRY_WARNING_MONTHS, |m| *m.get_ref());
    if let Some(said) = file.expiry_warning_months.filter(|m| !(1..=120).contains(m.get_ref())) {
        source.error(said.span().start, "value", "expiry_warning_months: 1 to 120");
    }
    let retention_days = file.retention_days.map(|days| {
        if !(1..=MOST_RETENTION_DAYS).contains(days.get_ref()) {
            let message = format!("retention_days: 1 to {MOST_RETENTION_DAYS} days");
            source.error(days.span().start, "value", message);
        }
        days.into_inner()
    });
    let key_source = file.key_source.and_then(|raw| key_source(source, raw)).unwrap_or_default();
    for protection in [Some(&mut protection), next_protection.as_mut()].into_iter().flatten() {
        protection.token.clone_from(&key_source.token);
    }
    Some(IssuerFile {
        pool,
        expiry_warning_months: months,
        retention_days,
        key_source,
        id,
        environment,
        destinations,
        default_central,
        pin_mailer,
        issuer_return,
        secrets,
        protection,
        next_protection,
        signing_public_key,
        output_signing_public_key,
        ledger,
        bins,
        sequence: file.sequence,
        verify: verify_file::read(source, file.verify.as_ref()),
        accepted: file.accept.into_iter().map(Spanned::into_inner).collect(),
        identifiers: file.identifiers,
    })
}

/// PIN mailers are sealed for a key that no card destination has.
fn check_seals(
    source: &mut Source<'_>,
    destinations: &BTreeMap<DestinationId, Destination>,
    mailer: Option<&DestinationId>,
) {
    let Some(mailer) = mailer.and_then(|id| destinations.get(id)) else { return };
    // The point counts, not the key's id.
    let point = |d: &Destination| {
        d.public_key.as_ref().and_then(|k| PublicJwk::from_json(k.as_bytes()).ok()).map(|k| k.thumbprint())
    };
    let shared = destinations
        .values()
        .any(|d| d.id != mailer.id && d.public_key.is_some() && point(d) == point(mailer));
    if shared {
        source.error(
            0,
            "destination",
            "the PIN-mailer destination has the public key of another destination",
        );
    }
}

fn destination(
    source: &mut Source<'_>,
    environment: Environment,
    raw: &Spanned<RawDestination>,
) -> Option<Destination> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let id: DestinationId = source.value("id", &raw.id)?;
    let channel = match &raw.channel {
        None => None,
        Some(text) => Some(source.value::<Channel>("channel", text)?),
    };
    let public_key = raw.public_key.as_ref().and_then(|map| {
        let text = serde_json::to_string(map.get_ref()).unwrap_or_default();
        match PublicJwk::from_json(text.as_bytes()) {
            Ok(_) => Some(text),
            Err(e) => {
                source.error(map.span().start, "public-key", format!("public_key: {e}"));
                None
            }
        }
    });
    if raw.public_key.is_none() {
        let message = "a destination without public_key: only a test issuer, and only with --plain";
        match environment {
            Environment::Test => source.warning(at, "public-key", message),
            Environment::Production => source.error(at, "public-key", message),
        }
    }
    let transport = match &raw.transport_key {
        None => {
            if channel.is_some() {
                source.error(at, "transport-key", "a destination of cards needs transport_key");
            }
            None
        }
        Some(raw) => Some(transport(source, raw)?),
    };
    let pin_key = match &raw.pin_key {
        None => None,
        Some(text) => Some(source.value::<KeyIndex>("pin_key", text)?),
    };
    let not_after_days = raw.not_after_days.as_ref().map_or(NOT_AFTER_DAYS, |days| {
        if !(1..=3650).contains(days.get_ref()) {
            source.error(days.span().start, "value", "not_after_days: 1 to 3650");
        }
        *days.get_ref()
    });
    if let (Some(days), None) = (&raw.not_after_days, channel) {
        source.error(days.span().start, "member", "not_after_days belongs to a destination of cards");
    }
    Some(Destination { id, channel, public_key, transport, not_after_days, pin_key })
}

fn transport(source: &mut Source<'_>, raw: &Spanned<RawTransport>) -> Option<TransportKeyConfig> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let index: KeyIndex = source.value("index", &raw.index)?;
    let mode = match raw.mode.get_ref().as_str() {
        "ECB" => ProtectMode::Ecb,
        "CBC" => ProtectMode::Cbc,
        _ => {
            source.error(raw.mode.span().start, "value", "mode: ECB or CBC");
            return None;
        }
    };
    match (raw.kind.get_ref().as_str(), &raw.algorithm) {
        ("static", None) => Some(TransportKeyConfig::Static { index, mode }),
        ("static", Some(text)) => {
            source.error(text.span().start, "member", "algorithm belongs to kind = \"per-block\"");
            None
        }
        ("per-block", Some(text)) => {
            let found =
                [KeyAlgorithm::Tdes2, KeyAlgorithm::Tdes3, KeyAlgorithm::Aes128, KeyAlgorithm::Aes256]
                    .into_iter()
                    .find(|a| a.name() == text.get_ref());
            let Some(algorithm) = found else {
                source.error(
                    text.span().start,
                    "value",
                    "algorithm: TDES-2KEY, TDES-3KEY, AES-128 or AES-256",
                );
                return None;
            };
            Some(TransportKeyConfig::PerBlock { index, algorithm, mode })
        }
        ("per-block", None) => {
            source.error(at, "member", "kind = \"per-block\" needs algorithm");
            None
        }
        _ => {
            source.error(raw.kind.span().start, "value", "kind: static or per-block");
            None
        }
    }
}

/// What working with `keys.toml` needs of `issuer.toml`: keys can be loaded before everything else is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Test or production.
    pub environment: Environment,
    /// Where the key-block protection key comes from.
    pub protection: Protection,
    /// Where the one comes from that takes its place.
    pub next: Option<Protection>,
    /// Whether components of keys may be typed.
    pub accepts_components: bool,
    /// File of the key that signs logs, relative to the issuer directory.
    pub signing_key: Option<String>,
    /// Its public key.
    pub signing_public_key: Option<Ed25519Public>,
}

impl KeySettings {
    /// Reads `issuer.toml`.
    ///
    /// # Errors
    /// Every finding that is an error.
    pub fn read(bytes: &[u8]) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let file = Source::new("issuer.toml", bytes, &mut findings).and_then(|mut s| read(&mut s));
        findings.retain(|f| f.level == Level::Error);
        let Some(file) = file.filter(|_| findings.is_empty()) else { return Err(findings) };
        let signing = file.secrets.into_iter().find(|f| f.kind == SecretKind::Signing);
        Ok(Self {
            environment: file.environment,
            protection: file.protection,
            next: file.next_protection,
            accepts_components: file.accepted.contains(CLEAR_COMPONENTS),
            signing_key: signing.map(|f| f.path),
            signing_public_key: file.signing_public_key,
        })
    }
}

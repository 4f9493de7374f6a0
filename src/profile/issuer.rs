use std::collections::{BTreeMap, BTreeSet};

use super::bins::Bins;
use super::card_profile::Profile;
use super::finding::Finding;
use super::format::FormatFile;
use super::identifier::{self, Identifiers};
use super::issuer_file::{LedgerConfig, SecretFile};
use super::key_source_file::KeySourceConfig;
use super::keys_file::{KeyDates, KeyState};
use super::load::{self, Files};
use super::oda_file::OdaKey;
use super::protection_file::Protection;
use super::verify_file::VerifyCards;
use super::{Allowed, Channel, Destination, DestinationId, IdentifierKind, Product};
use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Public;
use crate::error::{Error, ErrorKind};
use crate::keys::{KeyEntry, KeyIndex, KeyRef};
use crate::perso::plan::PersonalizationPlan;

/// Whether the issuer's keys and cards are real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Test keys and test cards: fixed seeds, a fixed "today" and plain output may be asked for.
    Test,
    /// Everything else.
    Production,
}

impl Environment {
    /// The word in `issuer.toml` and the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

/// The issuer's configuration.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(super) id: String,
    pub(super) environment: Environment,
    pub(super) destinations: BTreeMap<DestinationId, Destination>,
    pub(super) default_central: Option<DestinationId>,
    pub(super) pin_mailer: Option<DestinationId>,
    pub(super) issuer_return: DestinationId,
    pub(super) secrets: Vec<SecretFile>,
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
    pub(super) products: BTreeMap<String, Product>,
    pub(super) profiles: BTreeMap<String, Profile>,
    pub(super) script_plans: BTreeMap<String, PersonalizationPlan>,
    pub(super) key_entries: Vec<KeyEntry>,
    pub(super) key_dates: BTreeMap<KeyRef, KeyDates>,
    pub(super) protection: Protection,
    pub(super) next_protection: Option<Protection>,
    pub(super) oda: BTreeMap<KeyIndex, OdaKey>,
    pub(super) formats: BTreeMap<String, FormatFile>,
}

impl Issuer {
    /// Reads and checks the text files of an issuer directory. No secret is among them.
    ///
    /// # Errors
    /// All findings, when one of them is an error.
    pub fn load(files: &Files) -> Result<Self, Vec<Finding>> {
        match load::load(files, None) {
            (Some(issuer), _) => Ok(issuer),
            (None, findings) => Err(findings),
        }
    }

    /// As [`Issuer::load`], with all findings; `today` turns keys and certificates that end into warnings.
    #[must_use]
    pub fn check(files: &Files, today: Option<CardDate>) -> (Option<Self>, Vec<Finding>) {
        load::load(files, today)
    }

    /// D1's issuer id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Test or production.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The public key under which manifests and audit logs are signed.
    #[must_use]
    pub const fn signing_public_key(&self) -> Option<&Ed25519Public> {
        self.signing_public_key.as_ref()
    }

    /// The public key under which the contents of sealed files are signed.
    #[must_use]
    pub const fn output_signing_public_key(&self) -> Option<&Ed25519Public> {
        self.output_signing_public_key.as_ref()
    }

    /// Where the ledger is, and what it lets pass.
    #[must_use]
    pub const fn ledger(&self) -> &LedgerConfig {
        &self.ledger
    }

    /// Which cards are read back while a batch is prepared.
    #[must_use]
    pub const fn verify(&self) -> VerifyCards {
        self.verify
    }

    /// The product of this `cardProductId`.
    #[must_use]
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.get(id)
    }

    /// Every product, by id.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    /// The profile of this `paymentApplication.config`.
    #[must_use]
    pub fn profile(&self, config: &str) -> Option<&Profile> {
        self.profiles.get(config)
    }

    /// Every profile, by id.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// The script plan of this id: `scripts/ID.toml`.
    #[must_use]
    pub fn script_plan(&self, id: &str) -> Option<&PersonalizationPlan> {
        self.script_plans.get(id)
    }

    /// Every script plan, by id.
    pub fn script_plans(&self) -> impl Iterator<Item = &PersonalizationPlan> {
        self.script_plans.values()
    }

    /// The default product of a profile: outer `None` if there is no such profile.
    #[must_use]
    pub fn default_product(&self, config: &str) -> Option<Option<&Product>> {
        let profile = self.profile(config)?;
        Some(profile.default_product.as_deref().and_then(|id| self.product(id)))
    }

    /// The format of this name (`formats/NAME.toml`).
    #[must_use]
    pub fn format(&self, name: &str) -> Option<&FormatFile> {
        self.formats.get(name)
    }

    /// Every format, by name.
    pub fn formats(&self) -> impl Iterator<Item = &FormatFile> {
        self.formats.values()
    }

    /// A destination by its id.
    #[must_use]
    pub fn destination(&self, id: &DestinationId) -> Option<&Destination> {
        self.destinations.get(id)
    }

    /// Every destination, by id.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.values()
    }

    /// Where PIN mailers go.
    #[must_use]
    pub fn pin_mailer(&self) -> Option<&Destination> {
        self.pin_mailer.as_ref().and_then(|id| self.destinations.get(id))
    }

    /// Where the issuer return goes.
    #[must_use]
    pub fn issuer_return(&self) -> Option<&Destination> {
        self.destinations.get(&self.issuer_return)
    }

    /// Where a card of this channel goes: THALES the destination of that channel, CENTRAL `name` or the default one,
    /// INSTANT `name`. `None` if there is no such destination of that channel.
    #[must_use]
    pub fn destination_for(&self, channel: Channel, name: Option<&str>) -> Option<&Destination> {
        let by_name = |n: &str| n.parse().ok().and_then(|id: DestinationId| self.destinations.get(&id));
        let found = match (channel, name) {
            (Channel::Thales, _) => self.destinations.values().find(|d| d.channel == Some(Channel::Thales)),
            (_, Some(name)) => by_name(name),
            (Channel::Central, None) => {
                self.default_central.as_ref().and_then(|id| self.destinations.get(id))
            }
            (Channel::Instant, None) => None,
        };
        found.filter(|d| d.channel == Some(channel))
    }

    /// The entries of `keys.toml`, for whoever opens the key blocks.
    #[must_use]
    pub fn key_entries(&self) -> &[KeyEntry] {
        &self.key_entries
    }

    /// The days of a key.
    #[must_use]
    pub fn key_dates(&self, key: KeyRef) -> KeyDates {
        self.key_dates.get(&key).copied().unwrap_or_default()
    }

    /// The issuer as new cards of this day see it: keys that are retired or expired are not there. The card
    /// verification keys of one index are one set: it ends when the first of them ends.
    ///
    /// # Errors
    /// [`ErrorKind::KeyRefused`] if a destination names such a key.
    pub fn on(&self, today: CardDate) -> Result<Self, Error> {
        let mut issuer = self.clone();
        let ended: BTreeSet<KeyRef> = self
            .key_entries
            .iter()
            .filter(|e| self.key_dates(e.key).state(today) != KeyState::Active)
            .map(|e| KeyRef::new(e.key.usage, e.key.index))
            .collect();
        issuer.key_entries.retain(|e| !ended.contains(&KeyRef::new(e.key.usage, e.key.index)));
        for (key, id) in load::destination_keys(&issuer) {
            if !issuer.has_key(key) {
                let e = Error::from(ErrorKind::KeyRefused("it is retired or expired"));
                return Err(e.at(key.to_string()).at(format!("destination {id}")));
            }
        }
        Ok(issuer)
    }

    /// Where the key-block protection key comes from.
    #[must_use]
    pub const fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Where the one comes from that takes its place (`secrets.next`).
    #[must_use]
    pub const fn next_protection(&self) -> Option<&Protection> {
        self.next_protection.as_ref()
    }

    /// Whether `keys.toml` has a key of this use and index (for card verification keys: for any value).
    #[must_use]
    pub fn has_key(&self, key: KeyRef) -> bool {
        self.key_entries.iter().any(|k| {
            let serves = key.only.is_none() || k.key.only.is_none() || k.key.only == key.only;
            k.key.usage == key.usage && k.key.index == key.index && serves
        })
    }

    /// The attribute `pvki` of a `pvk` key.
    #[must_use]
    pub fn pvki(&self, key: KeyRef) -> Option<u8> {
        self.key_entries.iter().find(|k| k.key == key).and_then(|k| k.attributes.pvki)
    }

    /// The derivation key index that goes into issuer application data: the attribute `dki`, else the index.
    #[must_use]
    pub fn dki(&self, index: KeyIndex) -> u8 {
        let key = KeyRef::new(crate::keys::KeyUse::ImkAc, index);
        self.key_entries.iter().find(|k| k.key == key).and_then(|k| k.attributes.dki).unwrap_or(index.0)
    }

    /// Whether `oda/XX/` is there.
    #[must_use]
    pub fn has_oda_key(&self, index: KeyIndex) -> bool {
        self.oda.contains_key(&index)
    }

    /// The issuer RSA key of an `odaKeyIndex`, with its certificates.
    #[must_use]
    pub fn oda(&self, index: KeyIndex) -> Option<&OdaKey> {
        self.oda.get(&index)
    }

    /// Every issuer RSA key.
    pub fn oda_keys(&self) -> impl Iterator<Item = &OdaKey> {
        self.oda.values()
    }

    /// The files outside the configuration that hold secrets.
    #[must_use]
    pub fn secret_files(&self) -> &[SecretFile] {
        &self.secrets
    }

    /// Months before the end of an issuer certificate or a CA key from which on it is a warning.
    #[must_use]
    pub const fn expiry_warning_months(&self) -> u16 {
        self.expiry_warning_months
    }

    /// The folder of the pool of ready RSA keys, relative to the issuer directory.
    #[must_use]
    pub fn pool_folder(&self) -> &str {
        &self.pool
    }

    /// Days after which a job is to be wiped, if the issuer says so.
    #[must_use]
    pub const fn retention_days(&self) -> Option<u32> {
        self.retention_days
    }

    /// Where the issuer's keys do their work.
    #[must_use]
    pub const fn key_source(&self) -> &KeySourceConfig {
        &self.key_source
    }

    /// Whether `issuer.toml` accepts a risk by name.
    #[must_use]
    pub fn accepts(&self, risk: &str) -> bool {
        self.accepted.contains(risk)
    }

    /// Whether an order for this product may use an identifier.
    #[must_use]
    pub fn allows(&self, product: &Product, kind: IdentifierKind, id: &str) -> Allowed {
        identifier::allowed(&self.identifiers, &product.allowed, kind, id)
    }
}

/// What a profile asks of an order's `paymentApplication`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileNeeds {
    /// Whether `odaKeyIndex` must be given.
    pub oda: bool,
    /// Whether `derivationKeyIndex` must be given.
    pub derivation: bool,
}

impl Issuer {
    /// What the profile of this `paymentApplication.config` needs; `None` if there is no such profile.
    #[must_use]
    pub fn profile_needs(&self, config: &str) -> Option<ProfileNeeds> {
        let profile = self.profile(config)?;
        Some(ProfileNeeds { oda: profile.needs_oda_key(), derivation: profile.needs_derivation_key() })
    }

    /// Whether the issuer has an identifier, whatever the product.
    #[must_use]
    pub fn knows(&self, kind: super::IdentifierKind, id: &str) -> super::Allowed {
        identifier::allowed(&self.identifiers, &Identifiers::default(), kind, id)
    }
}

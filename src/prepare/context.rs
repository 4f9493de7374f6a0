use std::collections::BTreeMap;

use crate::card::CardDate;
use crate::crypto::backend::Backend;
use crate::crypto::hash::sha256;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::rsa::{KeySpec, PrimeTagKey, RsaPrivate};
use crate::error::{Error, Result};
use crate::issuer::{ProtectMode, SecurityModule, TransportKey};
use crate::keys::{KeyRef, KeyUse};
use crate::profile::{Destination, DestinationId, Issuer, TransportKeyConfig};

/// Where ready RSA keys come from, when there are any: a pool (`store::pool`), or whatever a server
/// keeps at hand. A key that is taken is gone, whatever becomes of the card.
pub trait RsaKeySupply: Send + Sync {
    /// A key for one card, never given twice; `None`: make a fresh one.
    fn take(&self, position: u64, purpose: Purpose, spec: KeySpec) -> Option<RsaPrivate>;
}

/// All that a slice of cards needs from outside: configuration, keys, random numbers, today.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The issuer's configuration.
    pub issuer: &'a Issuer,
    /// Asked to work with keys.
    pub module: &'a dyn SecurityModule,
    /// Source of every card's random numbers.
    pub seed: &'a Seed,
    /// The day on which the batch started.
    pub today: CardDate,
    /// Which kernels work.
    pub backend: Backend,
    /// Transport keys of the destinations.
    pub transport_keys: &'a TransportKeys,
    /// Whether personalization scripts are built.
    pub scripts: Scripts,
    /// Ready RSA keys.
    pub supply: Option<&'a dyn RsaKeySupply>,
    /// Where the serial numbers of certificates begin, so that batches and calls do not all begin at the same.
    pub first_serial: FirstSerial,
    /// Makes the tags by which shared primes are found; without it prepared cards carry none.
    pub prime_tags: Option<&'a PrimeTagKey>,
}

/// Where the serial numbers of a batch's certificates begin: 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FirstSerial(u32);

impl FirstSerial {
    /// A start that follows from the name of the batch.
    #[must_use]
    pub fn of_batch(id: &str) -> Self {
        let [a, b, c, ..] = sha256(&[b"emv-dataprep/first-serial/1", id.as_bytes()]);
        Self(u32::from_be_bytes([0, a, b, c]))
    }

    /// A start that follows from the seed, for calls of the library: a fresh seed gives a fresh start.
    #[must_use]
    pub fn of_seed(seed: &Seed) -> Self {
        let [a, b, c, ..] = seed.keyed_digest(&[b"emv-dataprep/first-serial/1"]);
        Self(u32::from_be_bytes([0, a, b, c]))
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("issuer", &self.issuer.id())
            .field("today", &self.today)
            .finish_non_exhaustive()
    }
}

/// Whether personalization scripts are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// One for each application instance.
    Build,
    /// None: DGIs only.
    Omit,
}

/// The transport keys of one block: static ones by name, per-block ones made fresh.
#[derive(Debug, Default)]
pub struct TransportKeys(BTreeMap<DestinationId, (TransportKey, ProtectMode)>);

impl TransportKeys {
    /// The keys of all destinations of cards. `block` names the block, so that fresh keys differ.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::KeyUnknown`] if a key that a destination names is not loaded.
    pub fn for_block(issuer: &Issuer, module: &dyn SecurityModule, seed: &Seed, block: u64) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for destination in issuer.destinations() {
            if let Some(config) = destination.transport {
                let key = Self::one(module, seed, block, destination, config)
                    .map_err(|e| e.at(format!("transport key of destination {}", destination.id)))?;
                keys.insert(destination.id.clone(), key);
            }
        }
        Ok(Self(keys))
    }

    fn one(
        module: &dyn SecurityModule,
        seed: &Seed,
        block: u64,
        destination: &Destination,
        config: TransportKeyConfig,
    ) -> Result<(TransportKey, ProtectMode), Error> {
        Ok(match config {
            TransportKeyConfig::Static { index, mode } => {
                (module.static_transport_key(KeyRef::new(KeyUse::Transport, index))?, mode)
            }
            TransportKeyConfig::PerBlock { index, algorithm, mode } => {
                let mut name = block.to_be_bytes().to_vec();
                name.extend_from_slice(destination.id.as_str().as_bytes());
                let mut rng = seed.named_stream(&name, Purpose::TransportKey).rng();
                let wrapping = KeyRef::new(KeyUse::Transport, index);
                (module.fresh_transport_key(wrapping, algorithm, &mut rng)?, mode)
            }
        })
    }

    /// The transport key of a destination and how it enciphers.
    #[must_use]
    pub fn of(&self, id: &DestinationId) -> Option<(&TransportKey, ProtectMode)> {
        self.0.get(id).map(|(key, mode)| (key, *mode))
    }
}

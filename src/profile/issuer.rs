use std::collections::{BTreeMap, BTreeSet};

use super::identifier::{self, Identifiers};
use super::{Allowed, Channel, Destination, DestinationId, IdentifierKind, Product};
use crate::keys::{KeyIndex, KeyRef};

/// Whether the issuer's keys and cards are real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Test keys and test cards: fixed seeds, a fixed "today" and plain output may be asked for.
    Test,
    /// Everything else.
    Production,
}

/// The issuer's configuration.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(super) id: String,
    pub(super) environment: Environment,
    pub(super) destinations: BTreeMap<DestinationId, Destination>,
    pub(super) default_central: Option<DestinationId>,
    pub(super) products: BTreeMap<String, Product>,
    pub(super) identifiers: Identifiers,
    pub(super) keys: BTreeSet<KeyRef>,
    pub(super) oda: BTreeSet<KeyIndex>,
}

impl Issuer {
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

    /// The product of this `cardProductId`.
    #[must_use]
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.get(id)
    }

    /// Whether there is a profile of this `paymentApplication.config`, and its default product.
    #[must_use]
    pub fn default_product(&self, config: &str) -> Option<Option<&Product>> {
        let _ = config;
        None
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

    /// Whether `keys.toml` has a key of this use and index (for card verification keys: for any value).
    #[must_use]
    pub fn has_key(&self, key: KeyRef) -> bool {
        self.keys.iter().any(|k| k.usage == key.usage && k.index == key.index)
    }

    /// Whether `oda/XX/` is there.
    #[must_use]
    pub fn has_oda_key(&self, index: KeyIndex) -> bool {
        self.oda.contains(&index)
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
        let _ = config;
        None
    }

    /// Whether the issuer has an identifier, whatever the product.
    #[must_use]
    pub fn knows(&self, kind: super::IdentifierKind, id: &str) -> super::Allowed {
        identifier::allowed(&self.identifiers, &Identifiers::default(), kind, id)
    }
}

//! What the issuer's configuration tells the order edge.

use std::collections::BTreeSet;

use crate::issuer::PinBlockFormat;
use crate::keys::{KeyIndex, KeyRef};
use crate::profile::{
    Allowed, Channel, DestinationId, Guarded, IdentifierKind, Issuer, PinPolicy, PrintField, Product,
    ProfileNeeds,
};

/// The questions that orders raise about the issuer's configuration. [`Issuer`] answers them; a server that keeps its
/// configuration elsewhere may answer for itself.
pub trait Rules {
    /// What the profile of this `paymentApplication.config` needs; `None` if there is no such profile.
    fn needs(&self, config: &str) -> Option<ProfileNeeds>;

    /// The product of orders of this profile that name none.
    fn default_product(&self, config: &str) -> Option<ProductRules<'_>>;

    /// The product of this `cardProductId`.
    fn product(&self, id: &str) -> Option<ProductRules<'_>>;

    /// The destination that a channel, and `persoCenter` or `persoStation`, lead to.
    fn destination(&self, channel: Channel, name: Option<&str>) -> Option<&DestinationId>;

    /// Whether a key of this use and index is loaded.
    fn has_key(&self, key: KeyRef) -> bool;

    /// Whether an ODA key of this index is loaded.
    fn has_oda_key(&self, index: KeyIndex) -> bool;

    /// Whether an order for this product may use an identifier; without a product, whether the issuer has it.
    fn allows(&self, product: Option<&str>, kind: IdentifierKind, id: &str) -> Allowed;

    /// Why the issuer's environment forbids something of an order; `None` when it does not.
    fn forbids(&self, what: Guarded<'_>) -> Option<&'static str>;
}

/// What orders for one product must obey.
#[derive(Clone, Copy, Debug)]
pub struct ProductRules<'a> {
    /// `cardProductId`.
    pub id: &'a str,
    /// Channels on which it may be ordered.
    pub channels: &'a BTreeSet<Channel>,
    /// Profiles that it may be ordered with.
    pub profiles: &'a BTreeSet<String>,
    /// What is printed.
    pub print: &'a BTreeSet<PrintField>,
    /// Where the PIN comes from.
    pub pin: &'a PinPolicy,
    /// Formats of PIN block that an order may bring.
    pub pin_block_formats: &'a [PinBlockFormat],
    /// Whether `services.pinMailer` may be asked for.
    pub pin_mailer: bool,
    /// Whether `services.alphaCard` may be asked for.
    pub alpha_card: bool,
}

impl<'a> From<&'a Product> for ProductRules<'a> {
    fn from(product: &'a Product) -> Self {
        Self {
            id: &product.id,
            channels: &product.channels,
            profiles: &product.profiles,
            print: &product.print,
            pin: &product.pin,
            pin_block_formats: &product.pin_block_formats,
            pin_mailer: product.pin_mailer,
            alpha_card: product.alpha_card,
        }
    }
}

impl Rules for Issuer {
    fn needs(&self, config: &str) -> Option<ProfileNeeds> {
        self.profile_needs(config)
    }

    fn default_product(&self, config: &str) -> Option<ProductRules<'_>> {
        Self::default_product(self, config).flatten().map(ProductRules::from)
    }

    fn product(&self, id: &str) -> Option<ProductRules<'_>> {
        Self::product(self, id).map(ProductRules::from)
    }

    fn destination(&self, channel: Channel, name: Option<&str>) -> Option<&DestinationId> {
        self.destination_for(channel, name).map(|d| &d.id)
    }

    fn has_key(&self, key: KeyRef) -> bool {
        Self::has_key(self, key)
    }

    fn has_oda_key(&self, index: KeyIndex) -> bool {
        Self::has_oda_key(self, index)
    }

    fn allows(&self, product: Option<&str>, kind: IdentifierKind, id: &str) -> Allowed {
        match product.map(|p| Self::product(self, p)) {
            Some(Some(product)) => Self::allows(self, product, kind, id),
            _ => self.knows(kind, id),
        }
    }

    fn forbids(&self, what: Guarded<'_>) -> Option<&'static str> {
        Self::forbids(self, what)
    }
}

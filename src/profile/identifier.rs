use std::collections::BTreeSet;

use serde::Deserialize;

/// The kinds of identifier that an order may use once they are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierKind {
    /// `services.issuance`.
    Issuance,
    /// `services.priority`.
    Priority,
    /// `services.delivery` (`NO_SHIPMENT` is always allowed).
    Delivery,
    /// `services.packaging` (`NO_PACK` is always allowed).
    Packaging,
    /// `services.cardCarrier` (`NO_CARRIER` is always allowed).
    CardCarrier,
    /// `cardDesign.images`.
    DesignImage,
    /// `cardDesign.artworkId`.
    Artwork,
    /// `cardCarrierConfig.images`.
    CarrierImage,
    /// `packagingConfig.inserts`.
    Insert,
    /// Destination countries, ISO 3166-1 alpha-2.
    Country,
}

/// Whether an order may use an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// It may.
    Yes,
    /// The issuer has it, but not for this product.
    NotForProduct,
    /// The issuer does not have it.
    Unknown,
}

/// Lists of configured identifiers. An absent list of services allows nothing but the defaults; any other absent list
/// allows everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Identifiers {
    issuance: Option<BTreeSet<String>>,
    priority: Option<BTreeSet<String>>,
    delivery: Option<BTreeSet<String>>,
    packaging: Option<BTreeSet<String>>,
    card_carrier: Option<BTreeSet<String>>,
    design_images: Option<BTreeSet<String>>,
    artworks: Option<BTreeSet<String>>,
    carrier_images: Option<BTreeSet<String>>,
    inserts: Option<BTreeSet<String>>,
    countries: Option<BTreeSet<String>>,
}

impl Identifiers {
    pub(super) const fn list(&self, kind: IdentifierKind) -> Option<&BTreeSet<String>> {
        match kind {
            IdentifierKind::Issuance => self.issuance.as_ref(),
            IdentifierKind::Priority => self.priority.as_ref(),
            IdentifierKind::Delivery => self.delivery.as_ref(),
            IdentifierKind::Packaging => self.packaging.as_ref(),
            IdentifierKind::CardCarrier => self.card_carrier.as_ref(),
            IdentifierKind::DesignImage => self.design_images.as_ref(),
            IdentifierKind::Artwork => self.artworks.as_ref(),
            IdentifierKind::CarrierImage => self.carrier_images.as_ref(),
            IdentifierKind::Insert => self.inserts.as_ref(),
            IdentifierKind::Country => self.countries.as_ref(),
        }
    }
}

impl IdentifierKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Issuance,
        Self::Priority,
        Self::Delivery,
        Self::Packaging,
        Self::CardCarrier,
        Self::DesignImage,
        Self::Artwork,
        Self::CarrierImage,
        Self::Insert,
        Self::Country,
    ];

    /// The value that needs no configuration.
    #[must_use]
    pub const fn default_value(self) -> Option<&'static str> {
        match self {
            Self::Delivery => Some("NO_SHIPMENT"),
            Self::Packaging => Some("NO_PACK"),
            Self::CardCarrier => Some("NO_CARRIER"),
            _ => None,
        }
    }

    /// Whether an absent list allows nothing.
    #[must_use]
    pub const fn is_service(self) -> bool {
        matches!(self, Self::Issuance | Self::Priority | Self::Delivery | Self::Packaging | Self::CardCarrier)
    }
}

/// Whether `id` may be used, by the issuer's lists and the product's.
pub(super) fn allowed(
    issuer: &Identifiers,
    product: &Identifiers,
    kind: IdentifierKind,
    id: &str,
) -> Allowed {
    if kind.default_value() == Some(id) {
        return Allowed::Yes;
    }
    match issuer.list(kind) {
        Some(list) if !list.contains(id) => return Allowed::Unknown,
        None if kind.is_service() => return Allowed::Unknown,
        _ => {}
    }
    match product.list(kind) {
        Some(list) if !list.contains(id) => Allowed::NotForProduct,
        _ => Allowed::Yes,
    }
}

//! A small configuration and good orders for the tests of the order edge.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing)] // each test file uses a part of it

pub mod corpus;

use std::collections::BTreeSet;

use emv_dataprep::card::CardDate;
use emv_dataprep::issuer::PinBlockFormat;
use emv_dataprep::keys::{KeyIndex, KeyRef, KeyUse};
use emv_dataprep::order::{EnvelopeOpener, OpenError, ProductRules, RawOrder, Rules};
use emv_dataprep::prepare::Rejection;
use emv_dataprep::profile::{
    Allowed, Channel, DestinationId, Guarded, IdentifierKind, PinPolicy, PrintField, ProfileNeeds,
};
use serde_json::Value;
use zeroize::Zeroizing;

/// The day of every test.
pub fn today() -> CardDate {
    CardDate::from_yymmdd("260301").unwrap()
}

struct TestProduct {
    id: &'static str,
    channels: BTreeSet<Channel>,
    profiles: BTreeSet<String>,
    print: BTreeSet<PrintField>,
    pin: PinPolicy,
    formats: Vec<PinBlockFormat>,
    extras: bool,
}

/// Products `gold` (everything), `basic` (THALES and INSTANT, no name, no PIN, profile `online`); profiles `dual`,
/// `online` (no keys needed, default product `basic`); centers `PC1` (default) and `PC2`; station `KIOSK-PS-101`; all
/// keys at index 01, `pin` keys at 02.
pub struct TestRules {
    products: [TestProduct; 2],
    thales: DestinationId,
    centers: [DestinationId; 2],
    station: DestinationId,
    /// Whether a center serves orders that name none.
    pub default_center: bool,
    /// Whether a destination serves THALES.
    pub has_thales: bool,
}

impl Default for TestRules {
    fn default() -> Self {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Self {
            products: [
                TestProduct {
                    id: "gold",
                    channels: Channel::ALL.into(),
                    profiles: names(&["dual"]),
                    print: [PrintField::Pan, PrintField::Name].into(),
                    pin: PinPolicy::FromOrder,
                    formats: vec![PinBlockFormat::Iso0, PinBlockFormat::Iso4],
                    extras: true,
                },
                TestProduct {
                    id: "basic",
                    channels: [Channel::Thales, Channel::Instant].into(),
                    profiles: names(&["online"]),
                    print: [PrintField::Pan].into(),
                    pin: PinPolicy::None,
                    formats: vec![],
                    extras: false,
                },
            ],
            thales: "thales".parse().unwrap(),
            centers: ["PC1".parse().unwrap(), "PC2".parse().unwrap()],
            station: "KIOSK-PS-101".parse().unwrap(),
            default_center: true,
            has_thales: true,
        }
    }
}

fn rules_of(p: &TestProduct) -> ProductRules<'_> {
    ProductRules {
        id: p.id,
        channels: &p.channels,
        profiles: &p.profiles,
        print: &p.print,
        pin: &p.pin,
        pin_block_formats: &p.formats,
        pin_mailer: p.extras,
        alpha_card: p.extras,
    }
}

impl Rules for TestRules {
    fn needs(&self, config: &str) -> Option<ProfileNeeds> {
        match config {
            "dual" => Some(ProfileNeeds { oda: true, derivation: true }),
            "online" => Some(ProfileNeeds { oda: false, derivation: false }),
            _ => None,
        }
    }

    fn default_product(&self, config: &str) -> Option<ProductRules<'_>> {
        (config == "online").then(|| rules_of(&self.products[1]))
    }

    fn product(&self, id: &str) -> Option<ProductRules<'_>> {
        self.products.iter().find(|p| p.id == id).map(rules_of)
    }

    fn destination(&self, channel: Channel, name: Option<&str>) -> Option<&DestinationId> {
        match (channel, name) {
            (Channel::Thales, _) => self.has_thales.then_some(&self.thales),
            (Channel::Central, None) => self.default_center.then_some(&self.centers[0]),
            (Channel::Central, Some(name)) => self.centers.iter().find(|c| c.as_str() == name),
            (Channel::Instant, name) => Some(&self.station).filter(|s| Some(s.as_str()) == name),
        }
    }

    fn has_key(&self, key: KeyRef) -> bool {
        key.index == if key.usage == KeyUse::Pin { KeyIndex(2) } else { KeyIndex(1) }
    }

    fn has_oda_key(&self, index: KeyIndex) -> bool {
        index == KeyIndex(1)
    }

    fn forbids(&self, _: Guarded<'_>) -> Option<&'static str> {
        None
    }

    fn allows(&self, product: Option<&str>, kind: IdentifierKind, id: &str) -> Allowed {
        let (both, gold): (&[&str], &[&str]) = match kind {
            IdentifierKind::Issuance => (&["CREATION", "RENEWAL"], &["REPLACEMENT"]),
            IdentifierKind::Priority => (&["STANDARD"], &["EXPRESS"]),
            IdentifierKind::Delivery => (&["NO_SHIPMENT", "laposte-cip"], &["usps-imb"]),
            IdentifierKind::Packaging => (&["NO_PACK"], &["standard-envelope"]),
            IdentifierKind::CardCarrier => (&["NO_CARRIER", "slip"], &["letter"]),
            IdentifierKind::DesignImage | IdentifierKind::CarrierImage => (&["logo.png"], &["gold.png"]),
            IdentifierKind::Artwork => (&["art-1"], &["art-gold"]),
            IdentifierKind::Insert => (&["leaflet", "terms"], &["gold-leaflet"]),
            IdentifierKind::Country => (&["FR", "US"], &["CH"]),
        };
        if both.contains(&id) || (gold.contains(&id) && product != Some("basic")) {
            Allowed::Yes
        } else if gold.contains(&id) {
            Allowed::NotForProduct
        } else {
            Allowed::Unknown
        }
    }
}

/// Opens `open.HEX`.
pub struct HexEnvelope;

impl EnvelopeOpener for HexEnvelope {
    fn open(&self, compact: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let text = compact.strip_prefix("open.").ok_or(OpenError::Crypto)?;
        hex::decode(text).map(Zeroizing::new).map_err(|_| OpenError::Crypto)
    }
}

/// The sealed form of `plain` that [`HexEnvelope`] opens.
pub fn seal(plain: &[u8]) -> String {
    format!("open.{}", hex::encode(plain))
}

/// The good orders by channel.
pub fn base(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../corpus/base.json")).unwrap();
    all[name].clone()
}

/// The wrapped order in the flat form.
pub fn flat(wrapped: &Value) -> Option<Value> {
    let mut top = wrapped.as_object()?.clone();
    let order = top.remove("order")?;
    for (name, value) in order.as_object()? {
        if top.insert(name.clone(), value.clone()).is_some() {
            return None;
        }
    }
    Some(Value::Object(top))
}

/// The order with its card data in the envelope.
pub fn sealed(wrapped: &Value) -> Option<Value> {
    let mut order = wrapped.clone();
    let data = order.as_object_mut()?.remove("cardData")?;
    let members = order.get_mut("order")?.as_object_mut()?;
    if members.contains_key("encryptedData") {
        return None;
    }
    members.insert("encryptedData".into(), seal(data.to_string().as_bytes()).into());
    Some(order)
}

/// The order's verdict.
pub fn verdict(rules: &dyn Rules, raw: &RawOrder) -> Result<(), Rejection> {
    match emv_dataprep::order::parse_order(rules, &HexEnvelope, raw, today()) {
        Ok(_) => Ok(()),
        Err(rejected) => {
            assert_eq!(rejected.position, raw.position());
            Err(rejected.rejection)
        }
    }
}

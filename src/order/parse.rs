//! One order: the first failing field, or a card request whose every value is checked.

use std::fmt;

use zeroize::Zeroizing;

use super::card_data::{self, NameRule};
use super::fields::{Field, Object, Place};
use super::frame::{OrderText, RawOrder, not_json};
use super::fulfilment::{self, Carrier, optional};
use super::json::{Json, Members};
use super::pattern as p;
use super::rules::{ProductRules, Rules};
use crate::card::{CardDate, CardId, IssuerRequestId};
use crate::keys::{KeyIndex, KeyRef, KeyUse};
use crate::prepare::{CardRequest, ErrorCode, KeyIndexes, Rejection, Services};
use crate::profile::{Allowed, Channel, DestinationId, Guarded, IdentifierKind, PrintField};

/// Opens D1's `encryptedData`: whoever holds the private keys.
pub trait EnvelopeOpener {
    /// The plaintext of a compact JWE.
    ///
    /// # Errors
    /// [`OpenError::Crypto`], whatever is wrong: no JWE, no key of this `kid`, wrong tag.
    fn open(&self, compact: &str) -> Result<Zeroizing<Vec<u8>>, OpenError>;
}

/// Why an envelope does not open. One kind, so that nobody learns more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It does not.
    Crypto,
}

/// For an issuer without an envelope key: nothing opens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEnvelopeKey;

impl EnvelopeOpener for NoEnvelopeKey {
    fn open(&self, _: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        Err(OpenError::Crypto)
    }
}

/// A rejected order, with as much of its identity as could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRejection {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// `cardId`, if there is a good one.
    pub card_id: Option<CardId>,
    /// `issuerRequestId`, if there is a good one.
    pub issuer_request_id: Option<IssuerRequestId>,
    /// `distributionChannel`, if there is a good one.
    pub channel: Option<Channel>,
    /// Where the card would have gone, if that is known.
    pub destination: Option<DestinationId>,
    /// What is wrong.
    pub rejection: Rejection,
}

impl fmt::Display for OrderRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}: {}", self.position, self.rejection)
    }
}

impl std::error::Error for OrderRejection {}

/// Checks one order against D1's schema and the issuer's configuration.
///
/// `opener` opens `encryptedData` when the order brings no `cardData`; `today` decides whether a card has expired.
/// The [module documentation](super) says which error is the first one and how D1's contradictions are settled.
///
/// # Errors
/// The first failing field. The text of the order that failed is in none of the messages.
pub fn parse_order(
    rules: &dyn Rules,
    opener: &dyn EnvelopeOpener,
    order: &RawOrder,
    today: CardDate,
) -> Result<CardRequest, Box<OrderRejection>> {
    let position = order.position();
    let mut head = Head::default();
    let parsed;
    let json = match &order.text {
        OrderText::Refused(rejection) => return Err(head.reject(position, rejection.clone())),
        OrderText::Item(json) => json,
        OrderText::Line(text) => {
            parsed = Json::parse(text).map_err(|_| head.reject(position, not_json()))?;
            &parsed
        }
    };
    read(rules, opener, json, position, today, &mut head)
        .map_err(|rejection| head.reject(position, rejection))
}

/// The identity of an order, read leniently so that a rejection can carry it.
#[derive(Default)]
struct Head {
    card_id: Option<CardId>,
    issuer_request_id: Option<IssuerRequestId>,
    channel: Option<Channel>,
    destination: Option<DestinationId>,
}

impl Head {
    fn read(rules: &dyn Rules, top: &Members, order: Option<&Members>) -> Self {
        let request_id = text(top, "issuerRequestId").or_else(|| text(order?, "issuerRequestId"));
        let channel = order.and_then(|o| text(o, "distributionChannel")).and_then(|c| c.parse().ok());
        let name = channel.zip(order).and_then(|(c, o)| destination_name(c, o));
        Self {
            card_id: text(top, "cardId").and_then(|t| t.parse().ok()),
            issuer_request_id: request_id.and_then(|t| t.parse().ok()),
            channel,
            destination: channel.and_then(|c| rules.destination(c, name)).cloned(),
        }
    }

    fn reject(&mut self, position: u64, rejection: Rejection) -> Box<OrderRejection> {
        let Self { card_id, issuer_request_id, channel, destination } = std::mem::take(self);
        Box::new(OrderRejection { position, card_id, issuer_request_id, channel, destination, rejection })
    }
}

fn text<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    match members.get(name) {
        Some(Json::Text(text)) => Some(text),
        _ => None,
    }
}

/// The member that names the destination on this channel.
fn destination_name(channel: Channel, order: &Members) -> Option<&str> {
    match channel {
        Channel::Thales => None,
        Channel::Central => text(order, "persoCenter"),
        Channel::Instant => text(order, "persoStation"),
    }
}

/// Whether the members of the order stand in `order` or beside `cardId`.
fn is_flat(top: &Members) -> bool {
    !top.contains_key("order")
        && ["distributionChannel", "services", "encryptedData", "paymentApplication"]
            .iter()
            .any(|name| top.contains_key(*name))
}

fn read(
    rules: &dyn Rules,
    opener: &dyn EnvelopeOpener,
    json: &Json,
    position: u64,
    today: CardDate,
    head: &mut Head,
) -> Field<CardRequest> {
    let root = Place::root("");
    let top = Object::from(json, root)?;
    let flat = is_flat(top.members);
    let members = if flat { Some(json) } else { top.members.get("order") };
    let lenient = match members {
        Some(Json::Object(members)) => Some(members),
        _ => None,
    };
    *head = Head::read(rules, top.members, lenient);

    top.required("cardId", &p::ID_48)?;
    if !flat {
        top.matching("issuerRequestId", &p::ID_64)?;
    }
    let Some(members) = members else { return top.missing("order", "missing") };
    let order = Object::from(members, Place::root("order"))?;
    let ids = Ids { rules, product: product_of(rules, order.members) };

    let channel = channel(&ids, &order)?;
    let Some(services) = order.members.get("services") else { return order.missing("services", "missing") };
    let services = read_services(&ids, &Object::from(services, order.place.member("services"))?)?;
    let carrier = Carrier::of(&services);
    let encrypted = order.text("encryptedData")?;
    let clear = top.members.get("cardData");
    if encrypted.is_none() && clear.is_none() {
        return order.missing("encryptedData", "missing, and there is no cardData");
    }
    let (profile, keys) = payment_application(&ids, &order)?;
    let shipment = match (channel, order.members.get("shipment")) {
        (Channel::Instant, _) => None,
        (_, None) => return order.missing("shipment", "missing"),
        (_, Some(value)) => {
            let object = Object::from(value, order.place.member("shipment"))?;
            Some(fulfilment::shipment(&ids, &object, carrier)?)
        }
    };
    let destination = destination(rules, &order, channel)?;
    let consumer_id = order.owned("consumerId", &p::ID_64)?;
    let given = order.matching("cardProductId", &p::ID_48)?;
    let product = match (ids.product, given) {
        (Some(product), _) => product,
        (None, Some(_)) => return Err(Rejection::value(order.path("cardProductId"), "no such product")),
        (None, None) => {
            return order.missing("cardProductId", "missing, and the profile has no default product");
        }
    };
    let issuer_request_id = request_id(&top, &order, flat)?;
    let design = optional(&order, "cardDesign", |o| fulfilment::design(&ids, o))?;
    let carrier_config = optional(&order, "cardCarrierConfig", |o| fulfilment::carrier(&ids, o))?;
    let packaging = match channel {
        Channel::Thales => optional(&order, "packagingConfig", |o| fulfilment::packaging(&ids, o))?,
        Channel::Central | Channel::Instant => None,
    };

    let opened;
    let data = match (clear, encrypted) {
        (Some(clear), _) => {
            if let Some(reason) = rules.forbids(Guarded::ClearCardData) {
                return Err(Rejection::not_allowed("cardData", reason));
            }
            clear
        }
        (None, Some(encrypted)) => {
            opened = open(opener, encrypted)?;
            &opened
        }
        (None, None) => return order.missing("encryptedData", "missing"),
    };
    let name = if product.print.contains(&PrintField::Name) {
        NameRule::Printed
    } else if carrier == Carrier::Made && shipment.is_none() {
        NameRule::OnCarrier
    } else {
        NameRule::Optional
    };
    let data = Object::from(data, Place::root("cardData"))?;
    let data = card_data::read(rules, &product, &data, name, today)?;

    let id = top.required("cardId", &p::ID_48)?;
    Ok(CardRequest {
        position,
        card_id: id.parse().map_err(|_| Rejection::format("cardId", "does not match the pattern"))?,
        issuer_request_id,
        channel,
        destination,
        product: product.id.to_owned(),
        profile,
        keys,
        consumer_id,
        services,
        design,
        carrier: carrier_config,
        packaging,
        shipment,
        data,
    })
}

/// The product by `cardProductId`, or the profile's default one. Looked up first, since the checks of identifiers
/// depend on it; when there is none, that is said at its own place.
fn product_of<'a>(rules: &'a dyn Rules, order: &Members) -> Option<ProductRules<'a>> {
    match order.get("cardProductId") {
        Some(Json::Text(id)) => rules.product(id),
        Some(_) => None,
        None => match order.get("paymentApplication") {
            Some(Json::Object(application)) => rules.default_product(text(application, "config")?),
            _ => None,
        },
    }
}

/// Checks of identifiers against the issuer's and the product's lists.
pub(super) struct Ids<'a> {
    rules: &'a dyn Rules,
    product: Option<ProductRules<'a>>,
}

impl Ids<'_> {
    /// Whether the order may use `id`.
    pub(super) fn check(
        &self,
        object: &Object<'_>,
        name: &'static str,
        kind: IdentifierKind,
        id: Option<&str>,
    ) -> Field<()> {
        id.map_or(Ok(()), |id| self.verdict(kind, id, || object.path(name)))
    }

    /// Whether the order may use each of `list`; an empty id names nothing.
    pub(super) fn check_list(
        &self,
        object: &Object<'_>,
        name: &'static str,
        kind: IdentifierKind,
        list: &[String],
    ) -> Field<()> {
        let used = list.iter().enumerate().filter(|(_, id)| !id.is_empty());
        used.into_iter().try_for_each(|(i, id)| self.verdict(kind, id, || object.item_path(name, i)))
    }

    fn verdict(&self, kind: IdentifierKind, id: &str, path: impl Fn() -> String) -> Field<()> {
        match self.rules.allows(self.product.map(|p| p.id), kind, id) {
            Allowed::Yes => Ok(()),
            Allowed::NotForProduct => Err(Rejection::not_allowed(path(), "not allowed for this product")),
            Allowed::Unknown => Err(Rejection::value(path(), "not a configured identifier")),
        }
    }
}

fn channel(ids: &Ids<'_>, order: &Object<'_>) -> Field<Channel> {
    const NAME: &str = "distributionChannel";
    let Some(word) = order.text(NAME)? else { return order.missing(NAME, "missing") };
    let Ok(channel) = word.parse::<Channel>() else {
        return Err(Rejection::value(order.path(NAME), "not THALES, INSTANT or CENTRAL"));
    };
    if channel == Channel::Thales && ids.rules.destination(channel, None).is_none() {
        return Err(Rejection::value(order.path(NAME), "no destination serves this channel"));
    }
    match ids.product {
        Some(product) if !product.channels.contains(&channel) => {
            Err(Rejection::not_allowed(order.path(NAME), "not a channel of this product"))
        }
        _ => Ok(channel),
    }
}

fn read_services(ids: &Ids<'_>, object: &Object<'_>) -> Field<Services> {
    let issuance = object.required("issuance", &p::ID_64)?.to_owned();
    ids.check(object, "issuance", IdentifierKind::Issuance, Some(&issuance))?;
    let priority = object.owned("priority", &p::ID_64)?;
    ids.check(object, "priority", IdentifierKind::Priority, priority.as_deref())?;
    let with_default = |name, kind: IdentifierKind| {
        let id = object.matching(name, &p::ID_64)?.or(kind.default_value()).unwrap_or_default();
        ids.check(object, name, kind, Some(id))?;
        Ok(id.to_owned())
    };
    let delivery = with_default("delivery", IdentifierKind::Delivery)?;
    let packaging = with_default("packaging", IdentifierKind::Packaging)?;
    let card_carrier = with_default("cardCarrier", IdentifierKind::CardCarrier)?;
    let asked = |name, allowed: fn(&ProductRules<'_>) -> bool| match (object.flag(name)?, &ids.product) {
        (true, Some(product)) if !allowed(product) => {
            Err(Rejection::not_allowed(object.path(name), "not allowed for this product"))
        }
        (asked, _) => Ok(asked),
    };
    let pin_mailer = asked("pinMailer", |p| p.pin_mailer)?;
    let alpha_card = asked("alphaCard", |p| p.alpha_card)?;
    Ok(Services { issuance, priority, delivery, packaging, card_carrier, pin_mailer, alpha_card })
}

fn payment_application(ids: &Ids<'_>, order: &Object<'_>) -> Field<(String, KeyIndexes)> {
    const NAME: &str = "paymentApplication";
    let Some(value) = order.members.get(NAME) else { return order.missing(NAME, "missing") };
    let object = Object::from(value, order.place.member(NAME))?;
    let config = object.required("config", &p::ID_64)?;
    let Some(needs) = ids.rules.needs(config) else {
        return Err(Rejection::value(object.path("config"), "no such profile"));
    };
    if ids.product.is_some_and(|p| !p.profiles.contains(config)) {
        return Err(Rejection::not_allowed(object.path("config"), "not a profile of this product"));
    }
    let index = |name, needed: bool, loaded: &dyn Fn(KeyIndex) -> bool| match object.key_index(name)? {
        None if needed => object.missing(name, "missing: the profile needs it"),
        Some(index) if !loaded(index) => {
            Err(Rejection::value(object.path(name), "no key of this use and index is loaded"))
        }
        found => Ok(found),
    };
    let has = |usage| move |index| ids.rules.has_key(KeyRef::new(usage, index));
    let keys = KeyIndexes {
        oda: index("odaKeyIndex", needs.oda, &|i| ids.rules.has_oda_key(i))?,
        derivation: index("derivationKeyIndex", needs.derivation, &has(KeyUse::ImkAc))?,
        pin_verification: index("pvKeyIndex", false, &has(KeyUse::Pvk))?,
        card_verification: index("cvKeyIndex", false, &has(KeyUse::Cvk))?,
    };
    Ok((config.to_owned(), keys))
}

fn destination(rules: &dyn Rules, order: &Object<'_>, channel: Channel) -> Field<DestinationId> {
    let (field, reason) = match channel {
        Channel::Thales => ("distributionChannel", ""),
        Channel::Central => ("persoCenter", "missing, and the issuer has no default center"),
        Channel::Instant => ("persoStation", "missing"),
    };
    let name = if channel == Channel::Thales { None } else { order.text(field)? };
    match (rules.destination(channel, name), name) {
        (_, None) if channel == Channel::Instant => order.missing(field, reason),
        (Some(id), _) => Ok(id.clone()),
        (None, None) => order.missing(field, reason),
        (None, Some(_)) => Err(Rejection::value(order.path(field), "no such destination on this channel")),
    }
}

/// `issuerRequestId` beside `cardId`, else inside the order. Two that differ are refused.
fn request_id(top: &Object<'_>, order: &Object<'_>, flat: bool) -> Field<Option<IssuerRequestId>> {
    const NAME: &str = "issuerRequestId";
    let outer = top.matching(NAME, &p::ID_64)?;
    let inner = if flat { None } else { order.matching(NAME, &p::ID_64)? };
    if outer.is_some() && inner.is_some() && outer != inner {
        return Err(Rejection::value(order.path(NAME), "differs from the issuerRequestId beside cardId"));
    }
    let id = outer.or(inner).map(str::parse).transpose();
    id.map_err(|_| Rejection::format(top.path(NAME), "does not match the pattern"))
}

fn open(opener: &dyn EnvelopeOpener, encrypted: &str) -> Field<Json> {
    const FIELD: &str = "order.encryptedData";
    let text = opener
        .open(encrypted)
        .map_err(|_| Rejection::new(ErrorCode::CryptoError, FIELD, "the envelope does not open"))?;
    Json::parse(&text)
        .map_err(|_| Rejection::new(ErrorCode::ParsingError, FIELD, "the decrypted text is not JSON"))
}

//! What is printed, packed and sent: cardDesign, cardCarrierConfig, packagingConfig, shipment (d1 schema).

use std::collections::BTreeSet;

use super::fields::{Field, Object, Place};
use super::parse::Ids;
use super::pattern as p;
use crate::prepare::{
    Address, CardDesign, CarrierConfig, PackagingConfig, Phone, Rejection, Services, Shipment,
};
use crate::profile::IdentifierKind;

/// Most cards on one carrier.
const MAX_CARDS_ON_CARRIER: u8 = 6;

/// Whether a card carrier is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// `services.cardCarrier` names one.
    Made,
    /// `NO_CARRIER`.
    None,
}

impl Carrier {
    pub(super) fn of(services: &Services) -> Self {
        if Some(services.card_carrier.as_str()) == IdentifierKind::CardCarrier.default_value() {
            Self::None
        } else {
            Self::Made
        }
    }
}

pub(super) fn design(ids: &Ids<'_>, object: &Object<'_>) -> Field<CardDesign> {
    let images = object.list("images", 5, &p::IMAGE)?;
    ids.check_list(object, "images", IdentifierKind::DesignImage, &images)?;
    let custom_lines = object.list("customLines", 10, &p::CUSTOM_LINE)?;
    let card_image = object.owned("cardImage", &p::CARD_IMAGE)?;
    let artwork_id = object.owned("artworkId", &p::ID_64)?;
    ids.check(object, "artworkId", IdentifierKind::Artwork, artwork_id.as_deref())?;
    let member_id = object.owned("memberId", &p::MEMBER_ID)?;
    Ok(CardDesign { images, custom_lines, card_image, artwork_id, member_id })
}

pub(super) fn carrier(ids: &Ids<'_>, object: &Object<'_>) -> Field<CarrierConfig> {
    let language = object.owned("language", &p::TWO_CAPITALS)?;
    let images = object.list("images", 5, &p::IMAGE)?;
    ids.check_list(object, "images", IdentifierKind::CarrierImage, &images)?;
    let custom_lines = object.list("customLines", 10, &p::CUSTOM_LINE)?;
    let multi_card_id = object.owned("multiCardId", &p::ID_48)?;
    let order = object.matching("multiCardOrder", &p::MULTI_CARD_ORDER)?;
    let multi_card_order = match order.map(str::parse::<u8>) {
        None => None,
        Some(Ok(n)) if (1..=MAX_CARDS_ON_CARRIER).contains(&n) => Some(n),
        Some(_) => return Err(Rejection::value(object.path("multiCardOrder"), "not 1 to 6")),
    };
    Ok(CarrierConfig { language, images, custom_lines, multi_card_id, multi_card_order })
}

pub(super) fn packaging(ids: &Ids<'_>, object: &Object<'_>) -> Field<PackagingConfig> {
    let inserts = object.list("inserts", 10, &p::ID_48)?;
    let mut seen = BTreeSet::new();
    for (i, insert) in inserts.iter().enumerate() {
        if !seen.insert(insert) {
            return Err(Rejection::value(object.item_path("inserts", i), "an insert stands twice"));
        }
    }
    ids.check_list(object, "inserts", IdentifierKind::Insert, &inserts)?;
    Ok(PackagingConfig { inserts })
}

pub(super) fn shipment(ids: &Ids<'_>, object: &Object<'_>, carrier: Carrier) -> Field<Shipment> {
    let kind = match object.text("type")? {
        None => return object.missing("type", "missing"),
        Some(kind @ ("INDIVIDUAL" | "BULK")) => kind,
        Some(_) => return Err(Rejection::value(object.path("type"), "not INDIVIDUAL or BULK")),
    };
    let Some(delivery) = object.members.get("deliveryAddress") else {
        return object.missing("deliveryAddress", "missing");
    };
    let delivery = Object::from(delivery, object.place.member("deliveryAddress"))?;
    let delivery_address = Box::new(address(&delivery, Some(ids))?);
    if kind == "INDIVIDUAL" {
        return Ok(Shipment::Individual { delivery_address });
    }
    let individual_address = match object.members.get("individualAddress") {
        Some(value) => {
            let place = object.place.member("individualAddress");
            Some(Box::new(address(&Object::from(value, place)?, None)?))
        }
        None if carrier == Carrier::Made => {
            return object
                .missing("individualAddress", "missing: a bulk shipment with a card carrier needs it");
        }
        None => None,
    };
    let group_id = object.owned("groupId", &p::GROUP)?;
    let order_id = object.owned("orderId", &p::GROUP)?;
    Ok(Shipment::Bulk { delivery_address, individual_address, group_id, order_id })
}

/// An address; `ids` when cards are sent to it, so that its country must be a destination country.
fn address(object: &Object<'_>, ids: Option<&Ids<'_>>) -> Field<Address> {
    let title = object.owned("title", &p::NAME_40)?;
    let first_name = object.owned("firstName", &p::NAME_40)?;
    let last_name = object.required("lastName", &p::NAME_40)?.to_owned();
    let company_name = object.owned("companyName", &p::COMPANY)?;
    let line1 = object.required("line1", &p::LINE_64)?.to_owned();
    let line2 = object.owned("line2", &p::LINE_64)?;
    let line3 = object.owned("line3", &p::LINE_64)?;
    let city = object.required("city", &p::CITY)?.to_owned();
    let state = object.owned("state", &p::STATE)?;
    let zip_code = object.required("zipCode", &p::ZIP_CODE)?.to_owned();
    let country_code = object.required("countryCode", &p::TWO_CAPITALS)?.to_owned();
    if let Some(ids) = ids {
        ids.check(object, "countryCode", IdentifierKind::Country, Some(&country_code))?;
    }
    let mobile_phone_number = match object.members.get("mobilePhoneNumber") {
        None => None,
        Some(value) => Some(phone(&Object::from(value, object.place.member("mobilePhoneNumber"))?)?),
    };
    let email = object.owned("email", &p::EMAIL)?;
    Ok(Address {
        title,
        first_name,
        last_name,
        company_name,
        line1,
        line2,
        line3,
        city,
        state,
        zip_code,
        country_code,
        mobile_phone_number,
        email,
    })
}

fn phone(object: &Object<'_>) -> Field<Phone> {
    let country_code = object.required("countryCode", &p::CALLING_CODE)?.to_owned();
    let phone_number = object.required("phoneNumber", &p::PHONE)?.to_owned();
    Ok(Phone { country_code, phone_number })
}

/// The member as an object read by `read`, if it is there.
pub(super) fn optional<T>(
    order: &Object<'_>,
    name: &'static str,
    read: impl FnOnce(&Object<'_>) -> Field<T>,
) -> Field<Option<T>> {
    let place: Place<'_> = order.place.member(name);
    order.members.get(name).map(|v| read(&Object::from(v, place)?)).transpose()
}

//! The members of a card line as they stand in its text. Every object refuses a member that it does not know, and one
//! that stands twice.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::error::{ErrorKind, Place, Result};
use crate::prepare::{
    Address, CardDesign, Carrier, CarrierConfig, Magstripe, Packaging, Phone, Print, SensitiveText, Shipment,
    ShipmentRecord,
};

/// Text that is wiped when it goes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_zeroizing(self) -> Zeroizing<String> {
        Zeroizing::new(self.0)
    }
}

impl From<Text> for SensitiveText {
    fn from(text: Text) -> Self {
        Self::new(text.0)
    }
}

/// A member that must stand, and may be null.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// A member that may be absent, and is not null.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Card {
    #[serde(rename = "format")]
    _format: String,
    pub(super) position: u64,
    pub(super) card_id: String,
    #[serde(deserialize_with = "present")]
    pub(super) issuer_request_id: Option<String>,
    pub(super) masked_pan: String,
    pub(super) channel: String,
    pub(super) destination: String,
    pub(super) product: String,
    pub(super) profile: String,
    pub(super) not_after: String,
    pub(super) transport_key: TransportKey,
    pub(super) chip: Chip,
    pub(super) magstripe: Tracks,
    pub(super) print: PrintLine,
    #[serde(deserialize_with = "present")]
    pub(super) carrier: Option<CarrierLine>,
    #[serde(deserialize_with = "present")]
    pub(super) packaging: Option<PackagingLine>,
    #[serde(deserialize_with = "present")]
    pub(super) shipment: Option<ShipmentLine>,
    #[serde(default, deserialize_with = "some")]
    pub(super) record_mac: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransportKey {
    pub(super) index: String,
    pub(super) kcv: String,
    pub(super) algorithm: String,
    #[serde(default, deserialize_with = "some")]
    pub(super) mode: Option<String>,
    #[serde(default, deserialize_with = "some")]
    pub(super) wrapped: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chip {
    pub(super) applications: Vec<Application>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Application {
    pub(super) aid: String,
    pub(super) interfaces: Vec<String>,
    pub(super) dgis: Vec<Dgi>,
    #[serde(default, deserialize_with = "some")]
    pub(super) script: Option<Vec<Step>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dgi {
    pub(super) dgi: String,
    pub(super) value: Text,
    pub(super) protection: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Step {
    #[serde(default, deserialize_with = "some")]
    pub(super) apdu: Option<Text>,
    #[serde(default, deserialize_with = "some")]
    pub(super) store_data: Option<StoreData>,
    #[serde(default, deserialize_with = "some")]
    pub(super) recipher: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreData {
    pub(super) p1: String,
    pub(super) p2: String,
    pub(super) dgis: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tracks {
    track1: Option<Text>,
    track2: Option<Text>,
    track3: Option<Text>,
}

impl From<Tracks> for Magstripe {
    fn from(t: Tracks) -> Self {
        Self {
            track1: t.track1.map(Into::into),
            track2: t.track2.map(Into::into),
            track3: t.track3.map(Into::into),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PrintLine {
    pan: Option<Text>,
    name: Option<Text>,
    second_name: Option<Text>,
    expiry: Option<Text>,
    cvv2: Option<Text>,
    member_id: Option<String>,
    #[serde(default, deserialize_with = "some")]
    design: Option<Design>,
    #[serde(default)]
    alpha_card: bool,
}

impl From<PrintLine> for Print {
    fn from(p: PrintLine) -> Self {
        Self {
            pan: p.pan.map(Into::into),
            name: p.name.map(Into::into),
            second_name: p.second_name.map(Into::into),
            expiry: p.expiry.map(Into::into),
            cvv2: p.cvv2.map(Into::into),
            member_id: p.member_id,
            design: p.design.map(Into::into),
            alpha_card: p.alpha_card,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Design {
    #[serde(default)]
    images: Vec<String>,
    #[serde(default)]
    custom_lines: Vec<String>,
    #[serde(default, deserialize_with = "some")]
    card_image: Option<String>,
    #[serde(default, deserialize_with = "some")]
    artwork_id: Option<String>,
    #[serde(default, deserialize_with = "some")]
    member_id: Option<String>,
}

impl From<Design> for CardDesign {
    fn from(d: Design) -> Self {
        Self {
            images: d.images,
            custom_lines: d.custom_lines,
            card_image: d.card_image,
            artwork_id: d.artwork_id,
            member_id: d.member_id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CarrierLine {
    id: String,
    issuance: String,
    #[serde(default, deserialize_with = "some")]
    name: Option<Text>,
    #[serde(default, deserialize_with = "some")]
    language: Option<String>,
    #[serde(default)]
    images: Vec<String>,
    #[serde(default)]
    custom_lines: Vec<String>,
    #[serde(default, deserialize_with = "some")]
    multi_card_id: Option<String>,
    #[serde(default, deserialize_with = "some")]
    multi_card_order: Option<u8>,
}

impl From<CarrierLine> for Carrier {
    fn from(c: CarrierLine) -> Self {
        let config = CarrierConfig {
            language: c.language,
            images: c.images,
            custom_lines: c.custom_lines,
            multi_card_id: c.multi_card_id,
            multi_card_order: c.multi_card_order,
        };
        Self { id: c.id, issuance: c.issuance, name: c.name.map(Into::into), config }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackagingLine {
    id: String,
    #[serde(default)]
    inserts: Vec<String>,
}

impl From<PackagingLine> for Packaging {
    fn from(p: PackagingLine) -> Self {
        Self { id: p.id, inserts: p.inserts }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ShipmentLine {
    delivery: String,
    #[serde(default, deserialize_with = "some")]
    priority: Option<String>,
    #[serde(rename = "type", default, deserialize_with = "some")]
    kind: Option<ShipmentKind>,
    #[serde(default, deserialize_with = "some")]
    delivery_address: Option<AddressLine>,
    #[serde(default, deserialize_with = "some")]
    individual_address: Option<AddressLine>,
    #[serde(default, deserialize_with = "some")]
    group_id: Option<String>,
    #[serde(default, deserialize_with = "some")]
    order_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ShipmentKind {
    Individual,
    Bulk,
}

impl TryFrom<ShipmentLine> for ShipmentRecord {
    type Error = crate::error::Error;

    fn try_from(s: ShipmentLine) -> Result<Self> {
        let only_bulk = s.individual_address.is_some() || s.group_id.is_some() || s.order_id.is_some();
        let address = |a: Option<AddressLine>| {
            let address = a.ok_or(ErrorKind::Missing("the address")).at("deliveryAddress")?;
            Ok::<_, Self::Error>(Box::new(Address::from(address)))
        };
        let shipment = match s.kind {
            None if only_bulk || s.delivery_address.is_some() => {
                return Err(ErrorKind::Missing("the type").into());
            }
            None => None,
            Some(ShipmentKind::Individual) if only_bulk => {
                return Err(ErrorKind::Value("an individual shipment has one address alone").into());
            }
            Some(ShipmentKind::Individual) => {
                Some(Shipment::Individual { delivery_address: address(s.delivery_address)? })
            }
            Some(ShipmentKind::Bulk) => Some(Shipment::Bulk {
                delivery_address: address(s.delivery_address)?,
                individual_address: s.individual_address.map(|a| Box::new(a.into())),
                group_id: s.group_id,
                order_id: s.order_id,
            }),
        };
        Ok(Self { delivery: s.delivery, priority: s.priority, shipment })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddressLine {
    #[serde(default, deserialize_with = "some")]
    title: Option<String>,
    #[serde(default, deserialize_with = "some")]
    first_name: Option<String>,
    last_name: String,
    #[serde(default, deserialize_with = "some")]
    company_name: Option<String>,
    line1: String,
    #[serde(default, deserialize_with = "some")]
    line2: Option<String>,
    #[serde(default, deserialize_with = "some")]
    line3: Option<String>,
    city: String,
    #[serde(default, deserialize_with = "some")]
    state: Option<String>,
    zip_code: String,
    country_code: String,
    #[serde(default, deserialize_with = "some")]
    mobile_phone_number: Option<PhoneLine>,
    #[serde(default, deserialize_with = "some")]
    email: Option<String>,
}

impl From<AddressLine> for Address {
    fn from(a: AddressLine) -> Self {
        Self {
            title: a.title,
            first_name: a.first_name,
            last_name: a.last_name,
            company_name: a.company_name,
            line1: a.line1,
            line2: a.line2,
            line3: a.line3,
            city: a.city,
            state: a.state,
            zip_code: a.zip_code,
            country_code: a.country_code,
            mobile_phone_number: a.mobile_phone_number.map(Into::into),
            email: a.email,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PhoneLine {
    country_code: String,
    phone_number: String,
}

impl From<PhoneLine> for Phone {
    fn from(p: PhoneLine) -> Self {
        Self { country_code: p.country_code, phone_number: p.phone_number }
    }
}

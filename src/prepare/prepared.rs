use serde::{Serialize, Serializer};

use super::request::{CardDesign, CarrierConfig, SensitiveText, Shipment};
use crate::card::{CardDate, CardId, IssuerRequestId};
use crate::crypto::rsa::{PrimeTag, PrimeTagKey, RsaPrivate};
use crate::emv::Aid;
use crate::issuer::{ProtectMode, TransportKeyInfo};
use crate::keys::{CipherMode, KeyRef, KeyUse, TransportName};
use crate::perso::session::{ApplicationData, PersonalizationData};
use crate::perso::{ProtectedDgiSet, Script};
use crate::profile::{Channel, DestinationId, Interface};

/// A prepared card: everything its personalization site needs, secret DGIs under the transport key.
///
/// Debug shows ids and the masked PAN only.
pub struct PreparedCard {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// The issuer's name for the card.
    pub card_id: CardId,
    /// The issuer's correlation key.
    pub issuer_request_id: Option<IssuerRequestId>,
    /// First six and last four digits.
    pub masked_pan: String,
    /// Distribution channel.
    pub channel: Channel,
    /// Where it goes.
    pub destination: DestinationId,
    /// Product id.
    pub product: String,
    /// Profile id.
    pub profile: String,
    /// The last day on which it may be personalized: never after the card's expiry.
    pub not_after: CardDate,
    /// The transport key of its secret DGIs.
    pub transport_key: TransportKeyInfo,
    /// How that key enciphers them.
    pub transport_mode: ProtectMode,
    /// The chip's applications, in the order in which they are personalized.
    pub applications: Vec<PreparedApplication>,
    /// The stripe.
    pub magstripe: Magstripe,
    /// What is printed.
    pub print: Print,
    /// The card carrier, when there is one.
    pub carrier: Option<Carrier>,
    /// Packaging, when there is one.
    pub packaging: Option<Packaging>,
    /// Shipment, when there is one.
    pub shipment: Option<ShipmentRecord>,
    /// The PIN mailer, kept apart from the card.
    pub mailer: Option<PinMailer>,
    /// What the issuer's host needs.
    pub issuer_return: IssuerReturn,
    /// Where its RSA keys come from. No line tells of it.
    pub rsa_keys: RsaKeyCounts,
    /// What is kept of its RSA keys to find shared primes; none unless the context asks for it. No line tells of it.
    pub rsa_traces: Vec<RsaTrace>,
}

/// How many RSA keys were ready and how many were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RsaKeyCounts {
    /// From the supply of the context.
    pub ready: u64,
    /// Made for the card.
    pub fresh: u64,
}

/// What is kept of an RSA key of a card to find keys that share a prime.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaTrace {
    /// Tags of p and q.
    pub primes: [PrimeTag; 2],
    /// The modulus, big-endian.
    pub modulus: Vec<u8>,
}

impl std::fmt::Debug for RsaTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RsaTrace({} bits)", self.modulus.len().saturating_mul(8))
    }
}

impl RsaTrace {
    /// Of this key.
    #[must_use]
    pub fn of(key: &RsaPrivate, tag_key: &PrimeTagKey) -> Self {
        Self { primes: tag_key.tags(key), modulus: key.public().modulus().to_vec() }
    }
}

impl std::fmt::Debug for PreparedCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedCard")
            .field("position", &self.position)
            .field("card_id", &self.card_id)
            .field("pan", &self.masked_pan)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl PreparedCard {
    /// What a personalization session needs of the card.
    #[must_use]
    pub fn personalization_data(&self) -> PersonalizationData {
        let (key, mode) = (&self.transport_key, self.transport_mode);
        personalization_data(&self.card_id, self.not_after, key, &self.applications, mode)
    }
}

/// What a personalization session needs, from the parts of a prepared card or of its line.
pub(crate) fn personalization_data(
    card: &CardId,
    not_after: CardDate,
    transport: &TransportKeyInfo,
    applications: &[PreparedApplication],
    mode: ProtectMode,
) -> PersonalizationData {
    PersonalizationData {
        card_reference: card.clone(),
        not_after,
        transport: TransportName {
            key: KeyRef::new(KeyUse::Transport, transport.index),
            wrapped: transport.wrapped.clone(),
            mode: match mode {
                ProtectMode::Ecb => CipherMode::Ecb,
                ProtectMode::Cbc => CipherMode::Cbc,
            },
            kcv: Some(transport.kcv.clone()),
        },
        applications: applications
            .iter()
            .map(|a| ApplicationData { aid: a.aid.clone(), dgis: a.dgis.clone() })
            .collect(),
    }
}

/// One application instance, ready to be personalized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedApplication {
    /// Instance AID.
    pub aid: Aid,
    /// The interfaces it answers on.
    pub interfaces: Vec<Interface>,
    /// Its DGIs, in order.
    pub dgis: ProtectedDgiSet,
    /// Its personalization script, when asked for.
    pub script: Option<Script>,
}

/// Track data without sentinels and LRC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Magstripe {
    /// ISO/IEC 7813 track 1, format code B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track1: Option<SensitiveText>,
    /// ISO/IEC 7813 track 2, separator `=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track2: Option<SensitiveText>,
    /// ISO/IEC 4909 track 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track3: Option<SensitiveText>,
}

/// What is printed or embossed; only the fields that the product names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Print {
    /// The PAN, digits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pan: Option<SensitiveText>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SensitiveText>,
    /// The second line of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_name: Option<SensitiveText>,
    /// MM/YY.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<SensitiveText>,
    /// Three digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cvv2: Option<SensitiveText>,
    /// Member id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
    /// Images, artwork and custom lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub design: Option<CardDesign>,
    /// Whether this is a sample card.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alpha_card: bool,
}

/// The card carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Carrier {
    /// `services.cardCarrier`.
    pub id: String,
    /// `services.issuance`: with the carrier and the language it names the template.
    pub issuance: String,
    /// The name on the letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SensitiveText>,
    /// `cardCarrierConfig`.
    #[serde(flatten)]
    pub config: CarrierConfig,
}

/// Packaging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packaging {
    /// `services.packaging`.
    pub id: String,
    /// `packagingConfig.inserts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inserts: Vec<String>,
}

/// Shipment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShipmentRecord {
    /// `services.delivery`.
    pub delivery: String,
    /// `services.priority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `shipment`.
    #[serde(flatten)]
    pub shipment: Option<Shipment>,
}

/// A PIN mailer: no PAN, a reference id, the PIN under the mailer key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinMailer {
    /// Names the mailer; says nothing of the card.
    pub reference: String,
    /// ISO 9564 format 1 block with random fill under the mailer key, hexadecimal.
    pub pin_block: String,
    /// Always 1.
    pub pin_block_format: u8,
    /// Index of the mailer key.
    pub key_index: String,
    /// Its check value.
    pub key_kcv: String,
    /// The name on the letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SensitiveText>,
    /// Where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipment: Option<Shipment>,
}

/// What the issuer's host needs to authorise the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerReturn {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// The issuer's name for the card.
    #[serde(serialize_with = "text")]
    pub card_id: CardId,
    /// The issuer's correlation key.
    #[serde(serialize_with = "optional_text")]
    pub issuer_request_id: Option<IssuerRequestId>,
    /// PAN sequence number.
    pub psn: String,
    /// PIN verification key index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvki: Option<u8>,
    /// PVV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvv: Option<SensitiveText>,
    /// IBM 3624 offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<SensitiveText>,
    /// The PIN for the issuer's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_block: Option<ReturnPinBlock>,
    /// Serial numbers of the ICC certificates, hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificate_serials: Vec<String>,
    /// Reference of the PIN mailer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailer_reference: Option<String>,
}

/// A PIN block under the issuer's `pin` key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnPinBlock {
    /// 0, 1, 3 or 4.
    pub format: u8,
    /// Index of the `pin` key.
    pub key_index: String,
    /// The block, hexadecimal.
    pub value: String,
}

fn text<S: Serializer>(value: &impl std::fmt::Display, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

fn optional_text<S: Serializer>(value: &Option<IssuerRequestId>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => s.collect_str(value),
        None => s.serialize_none(),
    }
}

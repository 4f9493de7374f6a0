use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::card::{CardDate, CardId, Expiry, IssuerRequestId, Pan, Psn};
use crate::issuer::{DigitValue, PinBlockFormat};
use crate::keys::KeyIndex;
use crate::profile::{Channel, DestinationId};
use crate::secret::Secret;

/// Text of a card (a name, a track): redacted, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SensitiveText(Zeroizing<String>);

impl SensitiveText {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Every call is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SensitiveText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SensitiveText(***)")
    }
}

/// One card to prepare: a D1 order and its card data, every value checked.
#[derive(Debug)]
pub struct CardRequest {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// The issuer's name for the card.
    pub card_id: CardId,
    /// The issuer's correlation key.
    pub issuer_request_id: Option<IssuerRequestId>,
    /// `distributionChannel`.
    pub channel: Channel,
    /// The configured destination that the channel and `persoCenter` or `persoStation` lead to.
    pub destination: DestinationId,
    /// `cardProductId`, or the profile's default product.
    pub product: String,
    /// `paymentApplication.config`.
    pub profile: String,
    /// Key indexes of `paymentApplication`.
    pub keys: KeyIndexes,
    /// `consumerId`.
    pub consumer_id: Option<String>,
    /// `services`.
    pub services: Services,
    /// `cardDesign`.
    pub design: Option<CardDesign>,
    /// `cardCarrierConfig`.
    pub carrier: Option<CarrierConfig>,
    /// `packagingConfig`.
    pub packaging: Option<PackagingConfig>,
    /// `shipment`.
    pub shipment: Option<Shipment>,
    /// The decrypted card data.
    pub data: CardData,
}

impl CardRequest {
    /// All that the order says, each value behind its length: two orders that say the same have the same bytes. The
    /// position is left out, and so is the PIN block, whose fill may be random.
    #[must_use]
    pub fn said(&self) -> Zeroizing<Vec<u8>> {
        // Taken apart member by member, so that a new one cannot be forgotten.
        let Self {
            position: _,
            card_id,
            issuer_request_id,
            channel,
            destination,
            product,
            profile,
            keys,
            consumer_id,
            services,
            design,
            carrier,
            packaging,
            shipment,
            data,
        } = self;
        let mut said = Said(Zeroizing::new(Vec::with_capacity(1024)));
        said.text(Some(card_id.as_str()));
        said.text(issuer_request_id.as_ref().map(IssuerRequestId::as_str));
        said.text(Some(channel.name()));
        said.text(Some(destination.as_str()));
        said.text(Some(product));
        said.text(Some(profile));
        for index in [keys.oda, keys.derivation, keys.pin_verification, keys.card_verification] {
            said.value(index.map(|i| i.0));
        }
        said.text(consumer_id.as_deref());
        said.value(Some(services));
        said.value(design.as_ref());
        said.value(carrier.as_ref());
        said.value(packaging.as_ref());
        said.value(shipment.as_ref());
        data.say(&mut said);
        said.0
    }
}

/// Values one behind the other, each with its length; an absent one is told from an empty one.
struct Said(Zeroizing<Vec<u8>>);

impl Said {
    fn text(&mut self, text: Option<&str>) {
        self.bytes(text.map(str::as_bytes));
    }

    fn value(&mut self, value: Option<impl Serialize>) {
        let json = value.and_then(|v| serde_json::to_vec(&v).ok()).map(Zeroizing::new);
        self.bytes(json.as_ref().map(|j| j.as_slice()));
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(u64::MAX, |b| b.len() as u64);
        self.append(&length.to_be_bytes());
        self.append(bytes.unwrap_or_default());
    }

    /// A vector that grows by itself leaves its old bytes behind; here they are wiped.
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut wider = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            wider.extend_from_slice(&self.0);
            self.0 = wider;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl CardData {
    fn say(&self, said: &mut Said) {
        let Self {
            pan,
            expiry,
            name,
            second_name,
            encoded_name,
            cvv1,
            cvv2,
            pvv,
            psn,
            payment_account_reference,
            effective_date,
            track1,
            track2,
            track3,
            pin_block: _,
        } = self;
        said.text(Some(&pan.to_text()));
        said.text(Some(&expiry.yymm()));
        for text in [name, second_name, encoded_name, payment_account_reference, track1, track2, track3] {
            said.text(text.as_ref().map(SensitiveText::expose));
        }
        for digits in [cvv1, cvv2, pvv] {
            said.bytes(digits.as_ref().map(DigitValue::expose));
        }
        said.value(psn.map(Psn::bcd));
        said.bytes(effective_date.map(CardDate::bcd).as_ref().map(|d| d.as_slice()));
    }
}

/// Key indexes of D1's `paymentApplication`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyIndexes {
    /// `odaKeyIndex`: issuer RSA key and certificates.
    pub oda: Option<KeyIndex>,
    /// `derivationKeyIndex`: issuer master keys.
    pub derivation: Option<KeyIndex>,
    /// `pvKeyIndex`.
    pub pin_verification: Option<KeyIndex>,
    /// `cvKeyIndex`.
    pub card_verification: Option<KeyIndex>,
}

/// D1's CardData. Every member but the PAN and the expiry may be absent.
#[derive(Debug)]
pub struct CardData {
    /// `pan`.
    pub pan: Pan,
    /// `exp`.
    pub expiry: Expiry,
    /// `name`: printed.
    pub name: Option<SensitiveText>,
    /// `secondName`: printed.
    pub second_name: Option<SensitiveText>,
    /// `encodedName`: ISO/IEC 7813 form, for track 1 and tag 5F20 (2 to 26 characters).
    pub encoded_name: Option<SensitiveText>,
    /// `cvv1` override, three digits.
    pub cvv1: Option<DigitValue>,
    /// `cvv2` override, three digits.
    pub cvv2: Option<DigitValue>,
    /// `pvv` override, four digits.
    pub pvv: Option<DigitValue>,
    /// `panSequenceNumber`; absent means 00.
    pub psn: Option<Psn>,
    /// `paymentAccountReference`: 29 characters (tag 9F24).
    pub payment_account_reference: Option<SensitiveText>,
    /// `effectiveDate` (tag 5F25).
    pub effective_date: Option<CardDate>,
    /// `trackData.track1` override: without sentinels and LRC.
    pub track1: Option<SensitiveText>,
    /// `trackData.track2` override: without sentinels and LRC, separator `=`.
    pub track2: Option<SensitiveText>,
    /// `trackData.track3` override: without sentinels and LRC.
    pub track3: Option<SensitiveText>,
    /// `pinBlock`.
    pub pin_block: Option<OrderPinBlock>,
}

/// The PIN of an order: a block under a `pin` key.
#[derive(Debug)]
pub struct OrderPinBlock {
    /// Its format.
    pub format: PinBlockFormat,
    /// Index of the `pin` key.
    pub key: KeyIndex,
    /// The block as it came: 8 or 16 bytes.
    pub block: Secret,
}

/// `services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// Issuance id (`CREATION`, `RENEWAL`, `REPLACEMENT`, or a configured one).
    pub issuance: String,
    /// Production priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Shipment method; `NO_SHIPMENT` when absent.
    pub delivery: String,
    /// Packaging; `NO_PACK` when absent.
    pub packaging: String,
    /// Card carrier; `NO_CARRIER` when absent.
    pub card_carrier: String,
    /// Whether a PIN mailer is made.
    pub pin_mailer: bool,
    /// Whether this is a sample card.
    pub alpha_card: bool,
}

/// `cardDesign`.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CardDesign {
    /// Image ids, at most five.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Printed lines, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_lines: Vec<String>,
    /// Id of the cardholder's own image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_image: Option<String>,
    /// Artwork.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artwork_id: Option<String>,
    /// Member id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
}

/// `cardCarrierConfig`.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CarrierConfig {
    /// ISO 639-1, upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Image ids, at most five.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Printed lines, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_lines: Vec<String>,
    /// Cards with the same id share one carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_card_id: Option<String>,
    /// Position among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_card_order: Option<u8>,
}

/// `packagingConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackagingConfig {
    /// Insert ids, at most ten, each once.
    pub inserts: Vec<String>,
}

/// `shipment`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Shipment {
    /// One card, one address.
    Individual {
        /// Where it goes.
        delivery_address: Box<Address>,
    },
    /// Many cards to one address.
    Bulk {
        /// Where they go.
        delivery_address: Box<Address>,
        /// The consumer's address, when a carrier is made.
        #[serde(skip_serializing_if = "Option::is_none")]
        individual_address: Option<Box<Address>>,
        /// Same box.
        #[serde(skip_serializing_if = "Option::is_none")]
        group_id: Option<String>,
        /// Kept together.
        #[serde(skip_serializing_if = "Option::is_none")]
        order_id: Option<String>,
    },
}

/// A postal address.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: String,
    /// Company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_name: Option<String>,
    /// First line.
    pub line1: String,
    /// Second line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Third line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line3: Option<String>,
    /// City.
    pub city: String,
    /// State.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code.
    pub zip_code: String,
    /// ISO 3166-1 alpha-2.
    pub country_code: String,
    /// Mobile phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile_phone_number: Option<Phone>,
    /// E-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl fmt::Debug for Address {
    /// Names and addresses are the cardholder's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(***)")
    }
}

/// A phone number.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phone {
    /// `+` and digits.
    pub country_code: String,
    /// Digits.
    pub phone_number: String,
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(***)")
    }
}

impl fmt::Debug for CardDesign {
    /// Lines and the member id are the cardholder's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardDesign(***)")
    }
}

impl fmt::Debug for CarrierConfig {
    /// Lines are the cardholder's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarrierConfig(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_order_says_keeps_its_lengths_as_it_grows() {
        let mut said = Said(Zeroizing::new(Vec::with_capacity(1)));
        let texts = ["", "a", &"b".repeat(5000), "c"];
        for text in texts {
            said.text(Some(text));
        }
        said.text(None);
        let mut expected = Vec::new();
        for text in texts {
            expected.extend_from_slice(&(text.len() as u64).to_be_bytes());
            expected.extend_from_slice(text.as_bytes());
        }
        expected.extend_from_slice(&u64::MAX.to_be_bytes());
        assert!(*said.0 == expected);
    }
}

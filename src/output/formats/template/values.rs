//! The values of a card that fields may hold.

use zeroize::Zeroizing;

use super::FieldValue;
use crate::error::Result;
use crate::output::CardLine;
use crate::output::formats::cps::{CpsRecord, RecordMacKey};
use crate::output::formats::dgi_lines;
use crate::perso::record::CpsSettings;
use crate::prepare::{Address, SensitiveText, Shipment};
use crate::profile::format::FieldSource;

pub(super) fn value_of(
    source: FieldSource,
    card: Option<&CardLine>,
    cps: &CpsSettings,
    mac_key: Option<&RecordMacKey>,
) -> Result<FieldValue> {
    let Some(card) = card else { return Ok(text("")) };
    Ok(match source {
        FieldSource::Position => FieldValue::Number(card.position),
        FieldSource::ChipCps => {
            let record = CpsRecord::build(&card.chip(), cps, mac_key)?.encode(cps)?;
            FieldValue::Bytes(Zeroizing::new(record))
        }
        FieldSource::ChipDgiLines => {
            FieldValue::Text(SensitiveText::new(dgi_lines::write(&card.chip())?.to_string()))
        }
        other => FieldValue::Text(SensitiveText::new(text_of(other, card).unwrap_or_default())),
    })
}

pub(super) fn text(value: &str) -> FieldValue {
    FieldValue::Text(SensitiveText::new(value.to_owned()))
}

/// The text of a source; `None` where the card has none. The copy goes into a [`SensitiveText`].
fn text_of(source: FieldSource, card: &CardLine) -> Option<String> {
    use FieldSource as F;
    let own = |t: Option<&str>| t.map(str::to_owned);
    let secret = |t: &Option<SensitiveText>| t.as_ref().map(|t| t.expose().to_owned());
    let print = &card.print;
    let design = print.design.as_ref();
    let carrier = card.carrier.as_ref();
    let line = |at: usize| design.and_then(|d| d.custom_lines.get(at)).cloned();
    let address = address_of(card);
    match source {
        F::Count | F::Sequence | F::Position | F::ChipCps | F::ChipDgiLines => None,
        F::CardId => own(Some(card.card_id.as_str())),
        F::IssuerRequestId => own(card.issuer_request_id.as_ref().map(|i| i.as_str())),
        F::MaskedPan => Some(card.masked_pan.clone()),
        F::Channel => own(Some(card.channel.name())),
        F::Destination => own(Some(card.destination.as_str())),
        F::Product => Some(card.product.clone()),
        F::Profile => Some(card.profile.clone()),
        F::NotAfter => Some(card.not_after.iso()),
        F::TransportKeyIndex => Some(card.transport_key.index.to_string()),
        F::TransportKeyKcv => Some(card.transport_key.kcv.clone()),
        F::TransportKeyWrapped => card.transport_key.wrapped.clone(),
        F::Track1 => secret(&card.magstripe.track1),
        F::Track2 => secret(&card.magstripe.track2),
        F::Track3 => secret(&card.magstripe.track3),
        F::Pan => secret(&print.pan),
        F::Name => secret(&print.name),
        F::SecondName => secret(&print.second_name),
        F::Expiry => secret(&print.expiry),
        F::Cvv2 => secret(&print.cvv2),
        F::MemberId => print.member_id.clone(),
        F::ArtworkId => design.and_then(|d| d.artwork_id.clone()),
        F::CardImage => design.and_then(|d| d.card_image.clone()),
        F::CustomLine1 => line(0),
        F::CustomLine2 => line(1),
        F::CustomLine3 => line(2),
        F::CustomLine4 => line(3),
        F::CarrierId => carrier.map(|c| c.id.clone()),
        F::CarrierLanguage => carrier.and_then(|c| c.config.language.clone()),
        F::CarrierName => carrier.and_then(|c| secret(&c.name)),
        F::PackagingId => card.packaging.as_ref().map(|p| p.id.clone()),
        F::Delivery => card.shipment.as_ref().map(|s| s.delivery.clone()),
        F::Priority => card.shipment.as_ref().and_then(|s| s.priority.clone()),
        F::AddressFirstName => address.and_then(|a| a.first_name.clone()),
        F::AddressLastName => address.map(|a| a.last_name.clone()),
        F::AddressCompany => address.and_then(|a| a.company_name.clone()),
        F::AddressLine1 => address.map(|a| a.line1.clone()),
        F::AddressLine2 => address.and_then(|a| a.line2.clone()),
        F::AddressLine3 => address.and_then(|a| a.line3.clone()),
        F::AddressZipCode => address.map(|a| a.zip_code.clone()),
        F::AddressCity => address.map(|a| a.city.clone()),
        F::AddressState => address.and_then(|a| a.state.clone()),
        F::AddressCountry => address.map(|a| a.country_code.clone()),
    }
}

fn address_of(card: &CardLine) -> Option<&Address> {
    match card.shipment.as_ref()?.shipment.as_ref()? {
        Shipment::Individual { delivery_address } | Shipment::Bulk { delivery_address, .. } => {
            Some(delivery_address)
        }
    }
}

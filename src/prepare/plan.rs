//! What one request asks for, with everything it names looked up: the first failing field is named.

use super::context::Context;
use super::rejection::Rejection;
use super::request::CardRequest;
use crate::card::Pan;
use crate::crypto::rsa::{Exponent, KeySpec};
use crate::issuer::{ProtectMode, TransportKey};
use crate::keys::{CvvKind, KeyIndex, KeyRef, KeyUse};
use crate::profile::layout::{Face, faces};
use crate::profile::{
    CardRsaKey, CardSource, Discretionary, ExpiryOrder, Interface, OdaCertificate, Part, PinPolicy,
    PinVerification, PrintField, Product, Profile, ValueSpec,
};

/// A request whose names are resolved.
pub(super) struct Plan<'a> {
    pub(super) request: &'a CardRequest,
    pub(super) product: &'a Product,
    pub(super) profile: &'a Profile,
    pub(super) transport: &'a TransportKey,
    pub(super) mode: ProtectMode,
    /// The issuer key's index and the certificate for this PAN.
    pub(super) oda: Option<(KeyIndex, &'a OdaCertificate)>,
    pub(super) derivation: Option<KeyIndex>,
    pub(super) dki: u8,
    pub(super) pin: PinSource,
    /// PVV to compute: key and PVKI.
    pub(super) verification_key: Option<(KeyRef, u8)>,
    pub(super) cvv1: Option<KeyRef>,
    pub(super) icvv: Option<KeyRef>,
    pub(super) cvv2: Option<(KeyRef, ExpiryOrder)>,
}

/// Where the PIN of this card comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PinSource {
    None,
    Order,
    Random { digits: usize },
    Natural { digits: usize },
}

const ODA: &str = "order.paymentApplication.odaKeyIndex";
const DERIVATION: &str = "order.paymentApplication.derivationKeyIndex";
const PVK: &str = "order.paymentApplication.pvKeyIndex";
const CVK: &str = "order.paymentApplication.cvKeyIndex";

/// Looks everything up.
pub(super) fn plan<'a>(context: &Context<'a>, request: &'a CardRequest) -> Result<Plan<'a>, Rejection> {
    let issuer = context.issuer;
    let profile = issuer
        .profile(&request.profile)
        .ok_or_else(|| Rejection::value("order.paymentApplication.config", "no such profile"))?;
    let product = issuer
        .product(&request.product)
        .ok_or_else(|| Rejection::value("order.cardProductId", "no such product"))?;
    if !product.profiles.contains(&profile.id) {
        return Err(Rejection::not_allowed("order.paymentApplication.config", "not for this product"));
    }
    if !product.channels.contains(&request.channel) {
        return Err(Rejection::not_allowed("order.distributionChannel", "not for this product"));
    }
    let (transport, mode) = context
        .transport_keys
        .of(&request.destination)
        .ok_or_else(|| Rejection::internal("the destination has no transport key"))?;
    let oda = oda(context, request, profile)?;
    let derivation = derivation(context, request, profile)?;
    let pin = pin_source(request, product, profile)?;
    let verification_key = verification_key(context, request, product, profile, pin)?;
    if pin == PinSource::None
        && request.data.pvv.is_none()
        && pattern_needs(request, product, profile, &Part::Pvv)
    {
        return Err(Rejection::format(
            "cardData.pvv",
            "required: a track holds the PVV, and there is no PIN",
        ));
    }
    if profile.payment().any(|(_, p)| p.magstripe_mode.as_ref().is_some_and(|m| !fits(request, &m.1))) {
        return Err(Rejection::value(
            "cardData.pan",
            "too long for the track 2 data of magnetic-stripe mode",
        ));
    }
    let data = &request.data;
    let uses = |part: &Part| {
        let on1 = data.track1.is_none() && product.track1.as_ref().is_some_and(|t| t.needs(part));
        let on2 = data.track2.is_none() && product.track2.as_ref().is_some_and(|t| t.needs(part));
        on1 || on2
    };
    let cvk = |kind: CvvKind| -> Result<KeyRef, Rejection> {
        let index = request
            .keys
            .card_verification
            .ok_or_else(|| Rejection::format(CVK, "required: a card verification value is to be computed"))?;
        let key = KeyRef::cvk(index, kind);
        if issuer.has_key(key) { Ok(key) } else { Err(Rejection::value(CVK, "no such key")) }
    };
    let cvv1 = if uses(&Part::Cvv) && data.cvv1.is_none() { Some(cvk(CvvKind::Cvv1)?) } else { None };
    let icvv = if needs_icvv(profile, product) { Some(cvk(CvvKind::Icvv)?) } else { None };
    let cvv2 = match product.cvv2 {
        Some(order) if data.cvv2.is_none() && product.print.contains(&PrintField::Cvv2) => {
            Some((cvk(CvvKind::Cvv2)?, order))
        }
        _ => None,
    };
    let dki = derivation.map_or(0, |index| issuer.dki(index));
    Ok(Plan {
        request,
        product,
        profile,
        transport,
        mode,
        oda,
        derivation,
        dki,
        pin,
        verification_key,
        cvv1,
        icvv,
        cvv2,
    })
}

/// The issuer key and the certificate for this PAN; the card must not outlive it.
fn oda<'a>(
    context: &Context<'a>,
    request: &CardRequest,
    profile: &Profile,
) -> Result<Option<(KeyIndex, &'a OdaCertificate)>, Rejection> {
    if !profile.needs_oda_key() {
        return Ok(None);
    }
    let index = request.keys.oda.ok_or_else(|| Rejection::format(ODA, "required by the profile"))?;
    let key = context.issuer.oda(index).ok_or_else(|| Rejection::value(ODA, "no such key"))?;
    let same_scheme = profile.payment().all(|(a, _)| a.aid.as_bytes().starts_with(&key.rid.0));
    if !same_scheme {
        return Err(Rejection::value(ODA, "the key is certified by another scheme than the profile's"));
    }
    let certificate = certificate_for(key, &request.data.pan)?;
    if request.data.expiry > certificate.expiry {
        return Err(Rejection::value(ODA, "the card outlives its issuer certificate"));
    }
    let too_long = |k: Option<CardRsaKey>| k.is_some_and(|k| k.bits / 8 > certificate.key.len());
    if profile.oda.as_ref().is_some_and(|o| too_long(o.icc_key) || too_long(o.pin_key)) {
        return Err(Rejection::value(ODA, "the issuer key is shorter than the card's"));
    }
    Ok(Some((index, certificate)))
}

fn certificate_for<'a>(key: &'a crate::profile::OdaKey, pan: &Pan) -> Result<&'a OdaCertificate, Rejection> {
    key.certificate_for(pan)
        .ok_or_else(|| Rejection::value(ODA, "no issuer certificate for this PAN's identifier"))
}

/// The master keys that the profile derives from are all loaded.
fn derivation(
    context: &Context<'_>,
    request: &CardRequest,
    profile: &Profile,
) -> Result<Option<KeyIndex>, Rejection> {
    let uses = profile.master_keys();
    if uses.is_empty() {
        return Ok(request.keys.derivation);
    }
    let index =
        request.keys.derivation.ok_or_else(|| Rejection::format(DERIVATION, "required by the profile"))?;
    for usage in uses {
        if !context.issuer.has_key(KeyRef::new(usage, index)) {
            return Err(Rejection::value(DERIVATION, format!("no {usage} key of this index")));
        }
    }
    Ok(Some(index))
}

/// Where the PIN comes from, and whether the order may bring or need one.
fn pin_source(request: &CardRequest, product: &Product, profile: &Profile) -> Result<PinSource, Rejection> {
    let data = &request.data;
    let on_card = profile.needs_reference_pin();
    if request.services.pin_mailer && !product.pin_mailer {
        return Err(Rejection::not_allowed("order.services.pinMailer", "not for this product"));
    }
    if data.pvv.is_some() && data.pin_block.is_none() && (on_card || request.services.pin_mailer) {
        return Err(Rejection::value(
            "cardData.pvv",
            "given without the PIN that the card or the mailer needs",
        ));
    }
    if let Some(block) = &data.pin_block {
        if product.pin != PinPolicy::FromOrder {
            return Err(Rejection::not_allowed(
                "cardData.pinBlock",
                "the product's PIN does not come from the order",
            ));
        }
        if !product.pin_block_formats.contains(&block.format) {
            return Err(Rejection::not_allowed("cardData.pinBlock.format", "not for this product"));
        }
        return Ok(PinSource::Order);
    }
    Ok(match product.pin {
        PinPolicy::None => PinSource::None,
        PinPolicy::FromOrder if data.pvv.is_some() => PinSource::None,
        PinPolicy::FromOrder => {
            return Err(Rejection::format("cardData.pinBlock", "required by the product"));
        }
        PinPolicy::Random { .. } | PinPolicy::Natural { .. } if data.pvv.is_some() => PinSource::None,
        PinPolicy::Random { .. } if !request.services.pin_mailer && nobody_learns(product) => {
            return Err(Rejection::value(
                "order.services.pinMailer",
                "without a mailer nobody would learn the PIN",
            ));
        }
        PinPolicy::Random { digits } => PinSource::Random { digits },
        PinPolicy::Natural { digits } => PinSource::Natural { digits },
    })
}

/// Whether a random PIN of this product reaches nobody but by mail.
fn nobody_learns(product: &Product) -> bool {
    product.pin_return.is_none() && !matches!(product.pin_verification, PinVerification::Offset(_))
}

/// The `pvk` key: needed when a PVV, an offset or a natural PIN is to be computed, or a track names the PVKI.
fn verification_key(
    context: &Context<'_>,
    request: &CardRequest,
    product: &Product,
    profile: &Profile,
    pin: PinSource,
) -> Result<Option<(KeyRef, u8)>, Rejection> {
    let computed = pin != PinSource::None && product.pin_verification != PinVerification::None;
    if !computed && !pattern_needs(request, product, profile, &Part::Pvki) {
        return Ok(None);
    }
    let index = request
        .keys
        .pin_verification
        .ok_or_else(|| Rejection::format(PVK, "required: a PIN is to be verified"))?;
    let key = KeyRef::new(KeyUse::Pvk, index);
    let pvki = context.issuer.pvki(key).ok_or_else(|| Rejection::value(PVK, "no such key"))?;
    Ok(Some((key, pvki)))
}

/// Track 2 data of magnetic-stripe mode (tag 9F6B) holds at most 19 bytes: PAN, separator, 4, 3, discretionary data.
fn fits(request: &CardRequest, discretionary: &str) -> bool {
    request.data.pan.len() + 1 + 4 + 3 + discretionary.len() <= 38
}

/// Whether a track that is built for this card, on the stripe or in the chip, has this token.
fn pattern_needs(request: &CardRequest, product: &Product, profile: &Profile, part: &Part) -> bool {
    let has = |track: &Option<Discretionary>| track.as_ref().is_some_and(|t| t.needs(part));
    let (chip1, chip2) = tracks_on_chip(profile);
    (has(&product.track1) && (request.data.track1.is_none() || chip1))
        || (has(&product.track2) && (request.data.track2.is_none() || chip2))
}

/// Whether the chip carries track data whose pattern has the token `cvv`.
fn needs_icvv(profile: &Profile, product: &Product) -> bool {
    let (chip1, chip2) = tracks_on_chip(profile);
    let has_cvv = |track: &Option<Discretionary>| track.as_ref().is_some_and(|t| t.needs(&Part::Cvv));
    (has_cvv(&product.track2) && chip2) || (has_cvv(&product.track1) && chip1)
}

/// Whether the chip carries the discretionary data of track 1, of track 2.
fn tracks_on_chip(profile: &Profile) -> (bool, bool) {
    let on_chip = |source: CardSource| {
        [Interface::Contact, Interface::Contactless].into_iter().any(|i| {
            faces(profile, i).any(|(_, face)| {
                let tags = face
                    .interface
                    .records
                    .iter()
                    .flat_map(|r| r.tags.iter())
                    .chain(&face.interface.fci.1)
                    .chain(&face.interface.gpo.1);
                tags.into_iter().any(|t| face.spec(*t) == Some(ValueSpec::Card(source)))
            })
        })
    };
    let track2 = on_chip(CardSource::Track2Equivalent) || on_chip(CardSource::Track2Discretionary);
    (on_chip(CardSource::Track1Discretionary), track2)
}

impl Plan<'_> {
    /// Size and exponent of the card's ODA key.
    pub(super) fn icc_key(&self) -> Option<KeySpec> {
        self.profile.oda.as_ref().and_then(|o| o.icc_key).and_then(spec)
    }

    /// Size and exponent of the card's PIN-encipherment key.
    pub(super) fn pin_key(&self) -> Option<KeySpec> {
        self.profile.oda.as_ref().and_then(|o| o.pin_key).and_then(spec)
    }

    /// The payment applications on their interfaces.
    pub(super) fn faces(&self) -> impl Iterator<Item = (usize, Face<'_>)> {
        self.profile
            .payment()
            .enumerate()
            .flat_map(|(i, (_, p))| p.interfaces.iter().map(move |interface| (i, p, interface)))
            .map(|(i, application, interface)| {
                (i, Face { cryptogram_version: self.profile.cryptogram_version, application, interface })
            })
    }
}

fn spec(key: CardRsaKey) -> Option<KeySpec> {
    KeySpec::new(key.bits, Exponent::new(key.exponent).ok()?).ok()
}

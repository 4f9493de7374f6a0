//! The last phases: DGIs under the transport key, scripts, mailer, issuer return, the card as a whole.

use std::collections::BTreeMap;

use super::chip;
use super::context::{Context, Scripts};
use super::prepared::{
    Carrier, IssuerReturn, Packaging, PinMailer, PreparedApplication, PreparedCard, ReturnPinBlock, RsaTrace,
    ShipmentRecord,
};
use super::rejection::Rejection;
use super::request::SensitiveText;
use super::work::{Card, Cards, settle};
use super::{certify, consistent, pins, values};
use crate::bytes::hex_upper;
use crate::card::CardDate;
use crate::crypto::rng::Purpose;
use crate::error::{ErrorKind, Result};
use crate::issuer::PinBlockFormat;
use crate::perso::{Completion, DgiSet, ProtectedDgiSet, Script, ScriptPlan, protect_many};
use crate::profile::{Application, DestinationId};

type Outcome = std::result::Result<PreparedCard, Rejection>;

/// Turns every card that is still good into a [`PreparedCard`].
pub(super) fn finish(context: &Context<'_>, mut cards: Cards<'_>) -> Result<Vec<Outcome>> {
    let mut protected = protect(context, &mut cards)?;
    pins::export(context, &mut cards)?;
    let mut out = Vec::with_capacity(cards.len());
    for (at, card) in cards.into_iter().enumerate() {
        out.push(match card {
            Err(rejection) => Err(rejection),
            Ok(card) => match protected.remove(&at) {
                None => Err(Rejection::internal("the card has no DGIs")),
                Some(sets) => assemble(context, &card, sets)?,
            },
        });
    }
    Ok(out)
}

/// The DGIs of all cards under their transport keys: one call for each destination.
fn protect(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<BTreeMap<usize, Vec<ProtectedDgiSet>>> {
    let mut jobs: BTreeMap<DestinationId, Vec<(usize, DgiSet)>> = BTreeMap::new();
    for (at, slot) in cards.iter_mut().enumerate() {
        let Ok(card) = slot else { continue };
        let made = certify::complete(card).and_then(|()| chip::dgis(card));
        match made {
            Ok(sets) => {
                let id = card.plan.request.destination.clone();
                jobs.entry(id).or_default().extend(sets.into_iter().map(|s| (at, s)));
            }
            Err(rejection) => *slot = Err(rejection),
        }
    }
    let mut out: BTreeMap<usize, Vec<ProtectedDgiSet>> = BTreeMap::new();
    for (id, jobs) in jobs {
        let Some((transport, mode)) = context.transport_keys.of(&id) else {
            return Err(ErrorKind::Internal("a destination without a transport key").into());
        };
        let (owners, sets): (Vec<usize>, Vec<DgiSet>) = jobs.into_iter().unzip();
        let results =
            protect_many(sets, context.module, transport, mode).map_err(|e| e.at("DGI protection"))?;
        for (at, result) in owners.into_iter().zip(results) {
            match result {
                Ok(set) => out.entry(at).or_default().push(set),
                Err(e) => {
                    if let Some(slot) = cards.get_mut(at) {
                        *slot = Err(settle("DGI protection", e)?);
                    }
                }
            }
        }
    }
    Ok(out)
}

fn assemble(context: &Context<'_>, card: &Card<'_>, sets: Vec<ProtectedDgiSet>) -> Result<Outcome> {
    let plan = &card.plan;
    let request = plan.request;
    let magstripe = match values::stripe(card) {
        Ok(stripe) => stripe,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let print = values::print(card);
    if let Err(rejection) = consistent::check(card, &magstripe, &print) {
        return Ok(Err(rejection));
    }
    let mut applications = Vec::with_capacity(sets.len());
    for (application, dgis) in plan.profile.applications.iter().zip(sets) {
        let script = match context.scripts {
            Scripts::Omit => None,
            Scripts::Build => match script(application, &dgis) {
                Ok(script) => Some(script),
                Err(e) => return Ok(Err(settle("personalization script", e)?)),
            },
        };
        let interfaces = application.interfaces.clone();
        applications.push(PreparedApplication { aid: application.aid.clone(), interfaces, dgis, script });
    }
    let mailer = match mailer(context, card) {
        Ok(mailer) => mailer,
        Err(e) => return Ok(Err(settle("PIN mailer", e)?)),
    };
    let issuer_return = match issuer_return(context, card, mailer.as_ref()) {
        Ok(value) => value,
        Err(e) => return Ok(Err(settle("issuer return", e)?)),
    };
    let services = &request.services;
    let wanted = |id: &str, none: &str| (id != none).then(|| id.to_owned());
    Ok(Ok(PreparedCard {
        position: request.position,
        card_id: request.card_id.clone(),
        issuer_request_id: request.issuer_request_id.clone(),
        masked_pan: request.data.pan.masked(),
        channel: request.channel,
        destination: request.destination.clone(),
        product: plan.product.id.clone(),
        profile: plan.profile.id.clone(),
        not_after: not_after(context, card),
        transport_key: plan.transport.info().clone(),
        transport_mode: plan.mode,
        applications,
        magstripe,
        print,
        carrier: wanted(&services.card_carrier, "NO_CARRIER").map(|id| Carrier {
            id,
            issuance: services.issuance.clone(),
            name: request.data.name.clone(),
            config: request.carrier.clone().unwrap_or_default(),
        }),
        packaging: wanted(&services.packaging, "NO_PACK")
            .map(|id| Packaging { id, inserts: request.packaging.clone().unwrap_or_default().inserts }),
        shipment: (services.delivery != "NO_SHIPMENT" || request.shipment.is_some()).then(|| {
            ShipmentRecord {
                delivery: services.delivery.clone(),
                priority: services.priority.clone(),
                shipment: request.shipment.clone(),
            }
        }),
        mailer,
        issuer_return,
        rsa_keys: card.rsa_keys,
        rsa_traces: rsa_traces(context, card),
    }))
}

/// What is kept of the card's RSA keys to find shared primes.
fn rsa_traces(context: &Context<'_>, card: &Card<'_>) -> Vec<RsaTrace> {
    let Some(tag_key) = context.prime_tags else { return Vec::new() };
    [&card.icc_key, &card.pin_key].into_iter().flatten().map(|key| RsaTrace::of(key, tag_key)).collect()
}

/// The batch's day and the destination's days, at the latest the card's last day.
fn not_after(context: &Context<'_>, card: &Card<'_>) -> CardDate {
    let request = card.plan.request;
    let expiry = request.data.expiry.last_day();
    let days = context.issuer.destination(&request.destination).map_or(0, |d| d.not_after_days);
    context.today.plus_days(days).min(expiry)
}

fn script(application: &Application, dgis: &ProtectedDgiSet) -> Result<Script> {
    let plan = ScriptPlan {
        max_data: application.max_data,
        groups: Vec::new(),
        completion: Completion::LastGrouping,
    };
    Script::build(&application.aid, dgis, &plan)
}

/// The PIN mailer: no PAN, a reference that only the issuer return ties to the card.
fn mailer(context: &Context<'_>, card: &Card<'_>) -> Result<Option<PinMailer>> {
    let request = card.plan.request;
    if !request.services.pin_mailer {
        return Ok(None);
    }
    let key = pins::mailer_key(context)?;
    let block = card.mailer_block.as_ref().ok_or(ErrorKind::Missing("the PIN"))?;
    let stream = context.seed.card_stream(request.position, &request.card_id, Purpose::MailerPinFill);
    let reference: [u8; 10] = stream.sub(&[1]).rng().bytes();
    Ok(Some(PinMailer {
        reference: hex_upper(&reference),
        pin_block: hex_upper(block),
        pin_block_format: 1,
        key_index: key.index.to_string(),
        key_kcv: context.module.key_info(key)?.kcv,
        name: request.data.name.clone(),
        shipment: request.shipment.clone(),
    }))
}

/// What the issuer's host needs: how it verifies the PIN, the PIN itself where the product says, certificate serials.
fn issuer_return(context: &Context<'_>, card: &Card<'_>, mailer: Option<&PinMailer>) -> Result<IssuerReturn> {
    let plan = &card.plan;
    let request = plan.request;
    let pin_block = match (plan.product.pin_return, &card.return_block) {
        (Some(format), Some(block)) => {
            let index = pins::return_key(context)?.index;
            let number = match format {
                PinBlockFormat::Iso0 => 0,
                PinBlockFormat::Iso1 => 1,
                PinBlockFormat::Iso2 => 2,
                PinBlockFormat::Iso3 => 3,
                PinBlockFormat::Iso4 => 4,
            };
            Some(ReturnPinBlock { format: number, key_index: index.to_string(), value: hex_upper(block) })
        }
        _ => None,
    };
    let text = |d: &crate::issuer::DigitValue| SensitiveText::new(d.to_text().to_string());
    Ok(IssuerReturn {
        position: request.position,
        card_id: request.card_id.clone(),
        issuer_request_id: request.issuer_request_id.clone(),
        psn: request.data.psn.unwrap_or_default().to_string(),
        pvki: plan.verification_key.map(|(_, pvki)| pvki).filter(|_| card.pvv.is_some()),
        pvv: card.pvv.as_ref().map(text),
        offset: card.offset.as_ref().map(text),
        pin_block,
        certificate_serials: card.serials.iter().map(ToString::to_string).collect(),
        mailer_reference: mailer.map(|m| m.reference.clone()),
    })
}

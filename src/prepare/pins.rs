//! PIN phases: where it comes from, how the host verifies it, the reference PIN.

use super::context::Context;
use super::plan::PinSource;
use super::rejection::{ErrorCode, Rejection};
use super::work::{Card, Cards, phase, scatter, settle};
use crate::crypto::rng::Purpose;
use crate::error::{ErrorKind, Result};
use crate::issuer::{
    ExportPinJob, HeldPin, ImportPinJob, NaturalPinJob, PinBlockFormat, PinBlockJob, PvvJob, ReferencePinJob,
};
use crate::keys::{KeyRef, KeyUse};
use crate::profile::{DgiContent, Ibm3624, PinVerification};
use crate::secret::wipe_stack;

/// PINs from orders, random ones, natural ones.
pub(super) fn obtain(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    from_orders(context, cards)?;
    for slot in cards.iter_mut() {
        let Ok(card) = slot else { continue };
        let PinSource::Random { digits } = card.plan.pin else { continue };
        let request = card.plan.request;
        let mut rng = context.seed.card_stream(request.position, &request.card_id, Purpose::Pin).rng();
        match context.module.generate_pin(digits, &mut rng) {
            Ok(pin) => card.pin = Some(pin),
            Err(e) => *slot = Err(settle("PIN", e)?),
        }
    }
    wipe_stack();
    let natural = phase(
        "natural PIN",
        cards,
        |card| match card.plan.pin {
            PinSource::Natural { digits } => Ok(vec![natural_job(card, digits)?]),
            _ => Ok(Vec::new()),
        },
        |jobs| context.module.natural_pin(jobs),
    )?;
    scatter(cards, natural, |card, pins| card.pin = pins.into_iter().next());
    Ok(())
}

/// PIN blocks of orders: all that stand under one key are opened at once.
fn from_orders(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    let (mut owners, mut jobs) = (Vec::new(), Vec::new());
    for (at, slot) in cards.iter_mut().enumerate() {
        let Ok(card) = slot else { continue };
        let request = card.plan.request;
        let (PinSource::Order, Some(block)) = (card.plan.pin, &request.data.pin_block) else { continue };
        let key = KeyRef::new(KeyUse::Pin, block.key);
        if !context.issuer.has_key(key) {
            *slot = Err(Rejection::value("cardData.pinBlock.keyIndex", "no such key"));
            continue;
        }
        owners.push(at);
        let pan = &request.data.pan;
        jobs.push(ImportPinJob { format: block.format, key, block: block.block.expose(), pan });
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let pins = context.module.import_pins(&jobs).map_err(|e| e.at("PIN"))?;
    let mut answers = Vec::with_capacity(pins.len());
    for (at, pin) in owners.into_iter().zip(pins) {
        let answer = match pin {
            Ok(pin) => Ok(vec![pin]),
            Err(e) if e.stops_batch() => return Err(e.at("PIN")),
            Err(_) => Err(Rejection::new(
                ErrorCode::CryptoError,
                "cardData.pinBlock.value",
                "no PIN under this key in this format",
            )),
        };
        answers.push((at, answer));
    }
    scatter(cards, answers, |card, pins| card.pin = pins.into_iter().next());
    Ok(())
}

/// Visa PVV, IBM 3624 offset; a PVV of the order must agree with the PIN of the order.
pub(super) fn verify_values(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    let pvvs = phase(
        "PVV",
        cards,
        |card| {
            Ok(match (&card.plan.product.pin_verification, card.plan.verification_key, &card.pin) {
                (PinVerification::Pvv, Some((key, pvki)), Some(pin)) => {
                    vec![PvvJob { key, pvki, pan: &card.plan.request.data.pan, pin }]
                }
                _ => Vec::new(),
            })
        },
        |jobs| context.module.pvv(jobs),
    )?;
    scatter(cards, pvvs, |card, values| card.pvv = values.into_iter().next());
    let offsets = phase(
        "PIN offset",
        cards,
        |card| {
            Ok(match (&card.plan.product.pin_verification, &card.pin) {
                (PinVerification::Offset(_), Some(pin)) => vec![(natural_job(card, pin.len())?, pin)],
                _ => Vec::new(),
            })
        },
        |jobs| context.module.pin_offset(jobs),
    )?;
    scatter(cards, offsets, |card, values| card.offset = values.into_iter().next());
    for slot in cards.iter_mut() {
        let Ok(card) = slot else { continue };
        let Some(given) = &card.plan.request.data.pvv else { continue };
        match &card.pvv {
            Some(computed) if computed != given => {
                *slot = Err(Rejection::value("cardData.pvv", "differs from the PVV of the PIN given"));
            }
            _ => card.pvv = Some(given.clone()),
        }
    }
    Ok(())
}

/// The reference PINs of DGI 8010 under the transport keys.
pub(super) fn reference(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    for slot in cards.iter_mut() {
        if slot.as_ref().is_ok_and(|card| card.pin.is_none() && reference_format(card).is_some()) {
            *slot = Err(Rejection::format("cardData.pinBlock", "required: the card carries a reference PIN"));
        }
    }
    let made = phase(
        "reference PIN",
        cards,
        |card| {
            let (Some(format), Some(pin)) = (reference_format(card), &card.pin) else {
                return Ok(Vec::new());
            };
            let request = card.plan.request;
            let fill = Purpose::ReferencePinFill;
            Ok(vec![ReferencePinJob {
                transport: card.plan.transport,
                mode: card.plan.mode,
                block: PinBlockJob { format, pan: &request.data.pan, pin },
                fill: context.seed.card_stream(request.position, &request.card_id, fill),
            }])
        },
        |jobs| context.module.reference_pins(jobs),
    )?;
    scatter(cards, made, |card, blocks| card.reference_pin = blocks.into_iter().next());
    Ok(())
}

/// The format of the profile's reference PIN, if it has one.
fn reference_format(card: &Card<'_>) -> Option<PinBlockFormat> {
    card.plan.profile.payment().find_map(|(_, p)| {
        p.dgis.iter().find_map(|d| match d.content {
            DgiContent::ReferencePin(format) => Some(format),
            _ => None,
        })
    })
}

/// The PIN blocks that leave beside the card: the mailer's, and the issuer return's where the product says.
pub(super) fn export(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    let mailers = phase(
        "PIN mailer",
        cards,
        |card| {
            let request = card.plan.request;
            if !request.services.pin_mailer {
                return Ok(Vec::new());
            }
            let pin = card.pin.as_ref().ok_or(ErrorKind::Missing("the PIN"))?;
            let key = mailer_key(context)?;
            Ok(vec![export_job(context, card, PinBlockFormat::Iso1, pin, key, Purpose::MailerPinFill)])
        },
        |jobs| context.module.export_pins(jobs),
    )?;
    scatter(cards, mailers, |card, blocks| card.mailer_block = blocks.into_iter().next());
    let returns = phase(
        "issuer return",
        cards,
        |card| {
            let (Some(format), Some(pin)) = (card.plan.product.pin_return, &card.pin) else {
                return Ok(Vec::new());
            };
            let key = return_key(context)?;
            Ok(vec![export_job(context, card, format, pin, key, Purpose::ReturnPinFill)])
        },
        |jobs| context.module.export_pins(jobs),
    )?;
    scatter(cards, returns, |card, blocks| card.return_block = blocks.into_iter().next());
    Ok(())
}

fn export_job<'c>(
    context: &Context<'_>,
    card: &'c Card<'_>,
    format: PinBlockFormat,
    pin: &'c HeldPin,
    key: KeyRef,
    fill: Purpose,
) -> ExportPinJob<'c> {
    let request = card.plan.request;
    let fill = context.seed.card_stream(request.position, &request.card_id, fill);
    ExportPinJob { key, block: PinBlockJob { format, pan: &request.data.pan, pin }, fill }
}

/// The key of the printer of PIN mailers.
pub(super) fn mailer_key(context: &Context<'_>) -> Result<KeyRef> {
    let destination = context.issuer.pin_mailer().ok_or(ErrorKind::Missing("the PIN-mailer destination"))?;
    let index = destination.pin_key.ok_or(ErrorKind::Missing("the mailer key"))?;
    Ok(KeyRef::new(KeyUse::Mailer, index))
}

/// The key under which PINs go back to the issuer.
pub(super) fn return_key(context: &Context<'_>) -> Result<KeyRef> {
    let index = context.issuer.issuer_return().and_then(|d| d.pin_key);
    Ok(KeyRef::new(KeyUse::Pin, index.ok_or(ErrorKind::Missing("the return's PIN key"))?))
}

fn natural_job<'c>(card: &'c Card<'_>, pin_len: usize) -> Result<NaturalPinJob<'c>> {
    let (PinVerification::Offset(Ibm3624 { validation_data, decimalization }), Some((key, _))) =
        (&card.plan.product.pin_verification, card.plan.verification_key)
    else {
        return Err(ErrorKind::Internal("an IBM 3624 PIN without its parameters").into());
    };
    let validation_data = validation_data.apply(&card.plan.request.data.pan)?;
    Ok(NaturalPinJob { key, validation_data, decimalization, pin_len })
}

//! PIN phases: where it comes from, how the host verifies it, the reference PIN.

use super::context::Context;
use super::plan::PinSource;
use super::rejection::{ErrorCode, Rejection};
use super::work::{Card, Cards, phase, scatter, settle};
use crate::crypto::rng::Purpose;
use crate::error::{ErrorKind, Result};
use crate::issuer::{NaturalPinJob, PinBlockJob, PvvJob};
use crate::keys::{KeyRef, KeyUse};
use crate::profile::{DgiContent, Ibm3624, PinVerification};
use crate::secret::wipe_stack;

/// PINs from orders, random ones, natural ones.
pub(super) fn obtain(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    for slot in cards.iter_mut() {
        let Ok(card) = slot else { continue };
        let request = card.plan.request;
        let made = match (card.plan.pin, &request.data.pin_block) {
            (PinSource::Order, Some(block)) => {
                let key = KeyRef::new(KeyUse::Pin, block.key);
                if !context.issuer.has_key(key) {
                    Err(Rejection::value("cardData.pinBlock.keyIndex", "no such key"))
                } else {
                    match context.module.import_pin(
                        block.format,
                        key,
                        block.block.expose(),
                        &request.data.pan,
                    ) {
                        Ok(pin) => Ok(Some(pin)),
                        Err(e) if e.stops_batch() => return Err(e.at("PIN")),
                        Err(_) => Err(Rejection::new(
                            ErrorCode::CryptoError,
                            "cardData.pinBlock.value",
                            "no PIN under this key in this format",
                        )),
                    }
                }
            }
            (PinSource::Random { digits }, _) => {
                let mut rng =
                    context.seed.card_stream(request.position, &request.card_id, Purpose::Pin).rng();
                match context.module.generate_pin(digits, &mut rng) {
                    Ok(pin) => Ok(Some(pin)),
                    Err(e) => Err(settle("PIN", e)?),
                }
            }
            _ => Ok(None),
        };
        match made {
            Ok(pin) => card.pin = pin,
            Err(rejection) => *slot = Err(rejection),
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

/// The reference PIN of DGI 8010 under the transport key.
pub(super) fn reference(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    for slot in cards.iter_mut() {
        let Ok(card) = slot else { continue };
        let format = card.plan.profile.payment().find_map(|(_, p)| {
            p.dgis.iter().find_map(|d| match d.content {
                DgiContent::ReferencePin(format) => Some(format),
                _ => None,
            })
        });
        let Some(format) = format else { continue };
        let request = card.plan.request;
        let Some(pin) = &card.pin else {
            *slot = Err(Rejection::format("cardData.pinBlock", "required: the card carries a reference PIN"));
            continue;
        };
        let job = PinBlockJob { format, pan: &request.data.pan, pin };
        let stream = context.seed.card_stream(request.position, &request.card_id, Purpose::ReferencePinFill);
        let made = context.module.reference_pin(card.plan.transport, card.plan.mode, job, &mut stream.rng());
        match made {
            Ok(block) => card.reference_pin = Some(block),
            Err(e) => *slot = Err(settle("reference PIN", e)?),
        }
    }
    Ok(())
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

//! CVV family, names and the tracks.

use super::context::Context;
use super::encoded_name;
use super::prepared::{Magstripe, Print};
use super::rejection::Rejection;
use super::request::{CardData, SensitiveText};
use super::track::{self, Tokens};
use super::work::{Card, Cards, phase, scatter};
use crate::card::ServiceCode;
use crate::error::Result;
use crate::issuer::{CvvJob, DigitValue};
use crate::profile::{ExpiryOrder, NameOrder, PrintField};

/// CVV1, iCVV and CVV2, as far as each card needs them; overrides of the order as given.
pub(super) fn cvvs(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    let answers = phase(
        "CVV",
        cards,
        |card| {
            let plan = &card.plan;
            let data = &plan.request.data;
            let expiry = |order: ExpiryOrder| match order {
                ExpiryOrder::Yymm => data.expiry.yymm_digits(),
                ExpiryOrder::Mmyy => data.expiry.mmyy_digits(),
            };
            let job = |key, order, service_code| CvvJob {
                key,
                pan: &data.pan,
                expiry: expiry(order),
                service_code,
            };
            let cvv1 = plan.cvv1.map(|key| job(key, plan.product.cvv1, plan.product.service_code));
            let icvv = plan.icvv.map(|key| job(key, plan.product.cvv1, ServiceCode::ICVV));
            let cvv2 = plan.cvv2.map(|(key, order)| job(key, order, ServiceCode::CVV2));
            Ok([cvv1, icvv, cvv2].into_iter().flatten().collect())
        },
        |jobs| context.module.cvv(jobs),
    )?;
    scatter(cards, answers, |card, values| {
        let mut values = values.into_iter();
        let mut next = |wanted: bool| if wanted { values.next() } else { None };
        card.cvv1 = next(card.plan.cvv1.is_some());
        card.icvv = next(card.plan.icvv.is_some());
        card.cvv2 = next(card.plan.cvv2.is_some());
    });
    for card in cards.iter_mut().flatten() {
        let data = &card.plan.request.data;
        let or_given = |own: &mut Option<DigitValue>, given: &Option<DigitValue>| {
            if let Some(given) = given {
                *own = Some(given.clone());
            }
        };
        or_given(&mut card.cvv1, &data.cvv1);
        or_given(&mut card.cvv2, &data.cvv2);
    }
    Ok(())
}

/// The name of track 1 and tag 5F20: given, from the track 1 override, or encoded from the printed one.
pub(super) fn names(_: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    for slot in cards.iter_mut() {
        let Ok(card) = slot else { continue };
        let data = &card.plan.request.data;
        match (encoded_name_of(data, card.plan.product.name_order), &data.name) {
            (Some(name), _) => card.encoded_name = Some(name),
            (None, Some(_)) => {
                let reason = "cannot be written in the characters of the stripe: give encodedName";
                *slot = Err(Rejection::value("cardData.name", reason));
            }
            (None, None) => {
                *slot = Err(Rejection::format("cardData.name", "required for the stripe and the chip"));
            }
        }
    }
    Ok(())
}

/// The encoded name of an order, if it has one.
pub(super) fn encoded_name_of(data: &CardData, order: NameOrder) -> Option<SensitiveText> {
    let given = data.encoded_name.clone().or_else(|| data.track1.as_ref().and_then(track::name_of_track1));
    given.or_else(|| encoded_name::encode(data.name.as_ref()?.expose(), order))
}

/// Discretionary data for the chip: the product's pattern with the iCVV in the place of the CVV.
pub(super) fn chip_tokens<'c>(card: &'c Card<'_>) -> Tokens<'c> {
    Tokens {
        cvv: card.icvv.as_ref(),
        pvv: card.pvv.as_ref(),
        pvki: card.plan.verification_key.map(|(_, pvki)| pvki),
    }
}

/// The stripe: overrides as given, else from the product's patterns.
pub(super) fn stripe(card: &Card<'_>) -> std::result::Result<Magstripe, Rejection> {
    let data = &card.plan.request.data;
    let product = card.plan.product;
    let tokens = Tokens {
        cvv: card.cvv1.as_ref(),
        pvv: card.pvv.as_ref(),
        pvki: card.plan.verification_key.map(|(_, pvki)| pvki),
    };
    let missing =
        || Rejection::format("cardData.pvv", "required: a track holds the PVV, and there is no PIN");
    let name = card.encoded_name.as_ref().map_or("", SensitiveText::expose);
    let track1 = match (&data.track1, &product.track1) {
        (Some(given), _) => Some(given.clone()),
        (None, Some(pattern)) => {
            let rest = track::discretionary(pattern, tokens).ok_or_else(missing)?;
            Some(track::track1(data, product, name, &rest))
        }
        (None, None) => None,
    };
    let track2 = match (&data.track2, &product.track2) {
        (Some(given), _) => Some(given.clone()),
        (None, Some(pattern)) => {
            let rest = track::discretionary(pattern, tokens).ok_or_else(missing)?;
            Some(track::track2(data, product, &rest))
        }
        (None, None) => None,
    };
    let track3 = match (&data.track3, &product.track3) {
        (Some(given), _) => Some(given.clone()),
        (None, Some(template)) => Some(track::track3(data, product, template)),
        (None, None) => None,
    };
    Ok(Magstripe { track1, track2, track3 })
}

/// What is printed: the fields that the product names.
pub(super) fn print(card: &Card<'_>) -> Print {
    let request = card.plan.request;
    let data = &request.data;
    let has = |field: PrintField| card.plan.product.print.contains(&field);
    let text = |value: &str| SensitiveText::new(value.to_owned());
    let design = request.design.clone().map(|mut d| {
        if !has(PrintField::MemberId) {
            d.member_id = None;
        }
        d
    });
    Print {
        pan: has(PrintField::Pan).then(|| text(&data.pan.to_text())),
        name: data.name.clone().filter(|_| has(PrintField::Name)),
        second_name: data.second_name.clone().filter(|_| has(PrintField::SecondName)),
        expiry: has(PrintField::Expiry)
            .then(|| SensitiveText::new(format!("{:02}/{:02}", data.expiry.month(), data.expiry.year()))),
        cvv2: card.cvv2.as_ref().filter(|_| has(PrintField::Cvv2)).map(|c| text(&c.to_text())),
        member_id: design.as_ref().and_then(|d| d.member_id.clone()).filter(|_| has(PrintField::MemberId)),
        design: design.filter(|_| has(PrintField::Design)),
        alpha_card: request.services.alpha_card,
    }
}

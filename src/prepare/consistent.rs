//! Stripe, chip and print of one card say the same before it leaves.

use super::prepared::{Magstripe, Print};
use super::rejection::Rejection;
use super::work::Card;

/// PAN, expiry, service code and CVV2 across stripe and print; the chip is laid out from the same values.
pub(super) fn check(card: &Card<'_>, stripe: &Magstripe, print: &Print) -> Result<(), Rejection> {
    let data = &card.plan.request.data;
    let pan = data.pan.to_text();
    let expiry = data.expiry.yymm();
    let service_code = card.plan.product.service_code.to_string();
    if let Some(track) = &stripe.track1 {
        let mut fields = track.expose().split('^');
        let number = fields.next().and_then(|f| f.strip_prefix('B'));
        let name = fields.next();
        agree("cardData.trackData.track1", number, fields.next(), [&pan, &expiry, &service_code])?;
        if card.encoded_name.as_ref().is_some_and(|n| name != Some(n.expose())) {
            return Err(Rejection::value("cardData.trackData.track1", "another name than encodedName"));
        }
    }
    if let Some(track) = &stripe.track2 {
        let mut fields = track.expose().splitn(2, '=');
        let number = fields.next();
        agree("cardData.trackData.track2", number, fields.next(), [&pan, &expiry, &service_code])?;
    }
    if let (Some(cvv2), Some(cvv1)) = (&card.cvv2, &card.cvv1)
        && card.plan.request.data.cvv1.is_some()
        && card.plan.request.data.cvv2.is_some()
        && cvv1 == cvv2
    {
        // Two values that are given and equal: the CVV2 would be on the stripe.
        return Err(Rejection::value("cardData.cvv2", "equals cvv1"));
    }
    if print.pan.as_ref().is_some_and(|p| p.expose() != pan.as_str()) {
        return Err(Rejection::internal("the printed PAN differs from the chip's"));
    }
    Ok(())
}

fn agree(
    field: &'static str,
    number: Option<&str>,
    rest: Option<&str>,
    [pan, expiry, service_code]: [&str; 3],
) -> Result<(), Rejection> {
    if number != Some(pan) {
        return Err(Rejection::value(field, "another PAN than the card's"));
    }
    let Some(rest) = rest.and_then(|r| r.strip_prefix(expiry)) else {
        return Err(Rejection::value(field, "another expiry than the card's"));
    };
    if rest.starts_with(service_code) {
        Ok(())
    } else {
        Err(Rejection::value(field, "another service code than the product's, which the chip carries"))
    }
}

//! The names that a card and its letters carry, from the order alone.

use super::request::{CardRequest, SensitiveText};
use super::values::encoded_name_of;
use crate::profile::{Issuer, PrintField};

/// The cardholder's names where people and terminals will read them: what the order, the product and the profile say,
/// not what was made of them. `None`: nothing of the kind carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CarriedNames {
    /// The encoded name of track 1 and of tag 5F20.
    pub encoded: Option<SensitiveText>,
    /// The name that is printed, or stands on the card carrier.
    pub printed: Option<SensitiveText>,
    /// The second line of the printed name.
    pub second: Option<SensitiveText>,
    /// The name on the PIN mailer.
    pub letter: Option<SensitiveText>,
}

impl CarriedNames {
    /// The names of an order; `None` when its product or profile is unknown (such an order is rejected).
    #[must_use]
    pub fn of(issuer: &Issuer, request: &CardRequest) -> Option<Self> {
        let product = issuer.product(&request.product)?;
        let profile = issuer.profile(&request.profile)?;
        let data = &request.data;
        let has_track1 = data.track1.is_some() || product.track1.is_some();
        let encoded = encoded_name_of(data, product.name_order);
        let prints = |field: PrintField| product.print.contains(&field);
        let has_carrier = request.services.card_carrier != "NO_CARRIER";
        Some(Self {
            encoded: encoded.filter(|_| has_track1 || profile.carries_name()),
            printed: data.name.clone().filter(|_| prints(PrintField::Name) || has_carrier),
            second: data.second_name.clone().filter(|_| prints(PrintField::SecondName)),
            letter: data.name.clone(),
        })
    }
}

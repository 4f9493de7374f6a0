use std::collections::BTreeSet;

use super::Channel;
use super::identifier::Identifiers;
use crate::card::ServiceCode;
use crate::issuer::PinBlockFormat;

/// Order of the expiry digits in a card verification value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryOrder {
    /// Year, then month.
    Yymm,
    /// Month, then year.
    Mmyy,
}

/// Where a card's PIN comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinPolicy {
    /// The card has no PIN from here.
    None,
    /// A PIN block in the order, required.
    FromOrder,
    /// A random PIN of so many digits.
    Random {
        /// 4 to 12.
        digits: usize,
    },
    /// The IBM 3624 natural PIN.
    Natural {
        /// 4 to 12.
        digits: usize,
    },
}

/// A field of the printed card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrintField {
    /// The PAN.
    Pan,
    /// The name.
    Name,
    /// The second line of the name.
    SecondName,
    /// Expiry, MM/YY.
    Expiry,
    /// CVV2.
    Cvv2,
    /// Member id.
    MemberId,
    /// Images, artwork and custom lines of the card design.
    Design,
}

/// One card product, by `cardProductId`.
#[derive(Clone, Debug)]
pub struct Product {
    /// `cardProductId`.
    pub id: String,
    /// Channels on which it may be ordered.
    pub channels: BTreeSet<Channel>,
    /// Profiles (`paymentApplication.config`) it may be ordered with.
    pub profiles: BTreeSet<String>,
    /// Service code of tracks 1 and 2 and of the chip.
    pub service_code: ServiceCode,
    /// What is printed.
    pub print: BTreeSet<PrintField>,
    /// Where the PIN comes from.
    pub pin: PinPolicy,
    /// Formats of PIN block that an order may bring.
    pub pin_block_formats: Vec<PinBlockFormat>,
    /// Whether `services.pinMailer` may be asked for.
    pub pin_mailer: bool,
    /// Whether `services.alphaCard` (a sample card) may be asked for.
    pub alpha_card: bool,
    pub(super) allowed: Identifiers,
}

use std::collections::BTreeSet;

use super::Channel;
use super::identifier::Identifiers;
use super::track::{Discretionary, TrackTemplate};
use crate::card::ServiceCode;
use crate::issuer::PinBlockFormat;
use crate::issuer::ibm3624::ValidationLayout;

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
    /// The IBM 3624 natural PIN, of so many digits.
    Natural {
        /// 4 to 12.
        digits: usize,
    },
}

/// How the issuer's host will verify the PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinVerification {
    /// By other means.
    None,
    /// Visa PVV, under the `pvk` key of `pvKeyIndex`.
    Pvv,
    /// IBM 3624 offset, under the `pvk` key of `pvKeyIndex`.
    Offset(Ibm3624),
}

/// Parameters of IBM 3624.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ibm3624 {
    /// How the PAN becomes validation data.
    pub validation_data: ValidationLayout,
    /// One decimal digit for each hexadecimal digit.
    pub decimalization: [u8; 16],
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

impl PrintField {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pan, Self::Name, Self::SecondName, Self::Expiry, Self::Cvv2, Self::MemberId, Self::Design];

    /// The name in a product file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pan => "pan",
            Self::Name => "name",
            Self::SecondName => "second-name",
            Self::Expiry => "expiry",
            Self::Cvv2 => "cvv2",
            Self::MemberId => "member-id",
            Self::Design => "design",
        }
    }
}

/// How `name` becomes the name of track 1 and tag 5F20 when the order gives no `encodedName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    /// The last word is the surname: `JOHN A SMITH` becomes `SMITH/JOHN A`.
    GivenFirst,
    /// The first word is the surname: `SMITH JOHN` becomes `SMITH/JOHN`.
    SurnameFirst,
    /// The words as they are, behind an empty surname's separator: `JOHN SMITH` becomes `JOHN SMITH/`.
    AsGiven,
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
    /// Discretionary data of track 1; `None`: the card has no track 1.
    pub track1: Option<Discretionary>,
    /// Discretionary data of track 2; `None`: the card has no track 2.
    pub track2: Option<Discretionary>,
    /// Track 3 (ISO/IEC 4909) from a template; `None`: only from an override.
    pub track3: Option<TrackTemplate>,
    /// How a name becomes the chip's and the stripe's.
    pub name_order: NameOrder,
    /// Expiry order of the CVV2; `None`: the product has no CVV2.
    pub cvv2: Option<ExpiryOrder>,
    /// Expiry order of CVV1 and iCVV.
    pub cvv1: ExpiryOrder,
    /// What is printed.
    pub print: BTreeSet<PrintField>,
    /// Where the PIN comes from.
    pub pin: PinPolicy,
    /// How the host verifies it.
    pub pin_verification: PinVerification,
    /// The issuer return carries the PIN block.
    pub pin_return: Option<PinBlockFormat>,
    /// Formats of PIN block that an order may bring.
    pub pin_block_formats: Vec<PinBlockFormat>,
    /// Whether `services.pinMailer` may be asked for.
    pub pin_mailer: bool,
    /// Whether `services.alphaCard` (a sample card) may be asked for.
    pub alpha_card: bool,
    pub(super) allowed: Identifiers,
}

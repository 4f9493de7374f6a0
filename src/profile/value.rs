//! Where the value of a tag comes from: the profile itself, the card, or a template with slots.

use std::str::FromStr;

use zeroize::Zeroizing;

use crate::emv::Tag;
use crate::error::{Error, ErrorKind, Result};

macro_rules! card_sources {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $tag:literal,)*) => {
        /// A value that each card has its own of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CardSource { $($(#[$doc])* $variant,)* }

        impl CardSource {
            /// Every source.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in a profile.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The tag that has this source unless the profile says otherwise, as hexadecimal; empty: none.
            #[must_use]
            const fn default_tag(self) -> &'static str {
                match self { $(Self::$variant => $tag,)* }
            }
        }
    };
}

card_sources! {
    /// Tag 5A: the PAN, "cn".
    Pan = "pan" => "5A",
    /// Tag 5F24: the last day of the expiry month, YYMMDD.
    ExpirationDate = "expiration-date" => "5F24",
    /// Tag 5F25: effective date, YYMMDD; the first day of the batch's month when the order gives none.
    EffectiveDate = "effective-date" => "5F25",
    /// Tag 5F34: PAN sequence number.
    SequenceNumber = "sequence-number" => "5F34",
    /// Tag 5F20: the encoded name.
    Name = "name" => "5F20",
    /// Tag 5F30: service code.
    ServiceCode = "service-code" => "5F30",
    /// Tag 57: track 2 equivalent data, with the iCVV.
    Track2Equivalent = "track2-equivalent" => "57",
    /// Tag 9F1F: track 1 discretionary data, with the iCVV.
    Track1Discretionary = "track1-discretionary" => "9F1F",
    /// Tag 9F20: track 2 discretionary data, with the iCVV.
    Track2Discretionary = "track2-discretionary" => "9F20",
    /// Tag 9F24: payment account reference; absent when the order gives none.
    PaymentAccountReference = "payment-account-reference" => "9F24",
    /// Tag 8F: CA public key index.
    CaKeyIndex = "ca-key-index" => "8F",
    /// Tag 90: issuer public key certificate.
    IssuerCertificate = "issuer-certificate" => "90",
    /// Tag 92: issuer public key remainder; absent when empty.
    IssuerRemainder = "issuer-remainder" => "92",
    /// Tag 9F32: issuer public key exponent.
    IssuerExponent = "issuer-exponent" => "9F32",
    /// Tag 93: signed static application data of the interface.
    SignedStaticData = "signed-static-data" => "93",
    /// Tag 9F46: ICC public key certificate of the interface.
    IccCertificate = "icc-certificate" => "9F46",
    /// Tag 9F47: ICC public key exponent.
    IccExponent = "icc-exponent" => "9F47",
    /// Tag 9F48: ICC public key remainder; absent when empty.
    IccRemainder = "icc-remainder" => "9F48",
    /// Tag 9F2D: ICC PIN encipherment public key certificate.
    PinCertificate = "pin-certificate" => "9F2D",
    /// Tag 9F2E: ICC PIN encipherment public key exponent.
    PinExponent = "pin-exponent" => "9F2E",
    /// Tag 9F2F: ICC PIN encipherment public key remainder; absent when empty.
    PinRemainder = "pin-remainder" => "9F2F",
    /// Tag 82: the application interchange profile of the interface.
    Aip = "aip" => "82",
    /// Tag 94: the application file locator of the interface.
    Afl = "afl" => "94",
    /// Tag 56: track 1 data of contactless magnetic-stripe mode.
    ContactlessTrack1 = "contactless-track1" => "56",
    /// Tag 9F6B: track 2 data of contactless magnetic-stripe mode.
    ContactlessTrack2 = "contactless-track2" => "9F6B",
    /// IVCVC3 of track 1 data, two bytes.
    IvCvc3Track1 = "ivcvc3-track1" => "",
    /// IVCVC3 of track 2 data, two bytes.
    IvCvc3Track2 = "ivcvc3-track2" => "",
}

impl CardSource {
    /// The source that a tag has by its definition.
    #[must_use]
    pub fn of_tag(tag: Tag) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| !s.default_tag().is_empty() && s.default_tag().parse() == Ok(tag))
    }

    /// Whether a card may be without it, so that the tag is left out.
    #[must_use]
    pub const fn may_be_absent(self) -> bool {
        matches!(
            self,
            Self::PaymentAccountReference | Self::IssuerRemainder | Self::IccRemainder | Self::PinRemainder
        )
    }

    /// Whether it is made by the issuer's signature over static data, so it cannot be part of them.
    #[must_use]
    pub const fn is_signature(self) -> bool {
        matches!(self, Self::SignedStaticData | Self::IccCertificate | Self::IccRemainder)
    }
}

impl FromStr for CardSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|s| s.name() == text);
        found.ok_or_else(|| ErrorKind::Unknown("this card value").into())
    }
}

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Literal bytes.
    Bytes(Vec<u8>),
    /// Derivation key index, one byte.
    Dki,
    /// Cryptogram version number, one byte.
    Cvn,
}

/// How the value of a tag or field is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSpec {
    /// Literal bytes.
    Literal(Vec<u8>),
    /// A value of the card.
    Card(CardSource),
    /// Literal bytes and slots: `06{dki}{cvn}03A00000`.
    Template(Vec<Piece>),
    /// A constructed value: these tags of the same interface, one after the other.
    Tags(Vec<Tag>),
}

impl ValueSpec {
    /// A template from its text: hexadecimal with the slots `{dki}` and `{cvn}`.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] for another slot, [`ErrorKind::Format`] for text that is not hexadecimal.
    pub fn template(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = match rest.split_once('{') {
                Some((literal, after)) => (literal, Some(after)),
                None => (rest, None),
            };
            if !literal.is_empty() {
                pieces.push(Piece::Bytes(crate::bytes::from_hex(literal)?));
            }
            let Some(after) = after else { break };
            let (slot, tail) = after.split_once('}').ok_or(ErrorKind::Format("a slot in braces"))?;
            pieces.push(match slot {
                "dki" => Piece::Dki,
                "cvn" => Piece::Cvn,
                _ => return Err(ErrorKind::Unknown("this slot of a template").into()),
            });
            rest = tail;
        }
        Ok(Self::Template(pieces))
    }
}

/// What a layout asks of a card.
pub trait CardValues {
    /// The value of a source; `None` when the card has none.
    ///
    /// # Errors
    /// When the value cannot be made.
    fn card_value(&self, source: CardSource) -> Result<Option<Zeroizing<Vec<u8>>>>;

    /// Derivation key index.
    fn dki(&self) -> u8;
}

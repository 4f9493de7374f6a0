use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::issuer::ProtectMode;
use crate::keys::{KeyAlgorithm, KeyIndex};

/// D1's distribution channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Thales' own personalization center.
    Thales,
    /// A center of the issuer or a partner, by `persoCenter`.
    Central,
    /// An agent at a `persoStation`.
    Instant,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Thales, Self::Central, Self::Instant];

    /// D1's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thales => "THALES",
            Self::Central => "CENTRAL",
            Self::Instant => "INSTANT",
        }
    }

    /// D1's status of a card that is prepared (design: DATA_PREPARED for files, CARD_PROD_READY for an agent).
    #[must_use]
    pub const fn prepared_status(self) -> &'static str {
        match self {
            Self::Thales | Self::Central => "DATA_PREPARED",
            Self::Instant => "CARD_PROD_READY",
        }
    }
}

impl std::str::FromStr for Channel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|c| c.name() == text);
        found.ok_or_else(|| ErrorKind::Value("not THALES, INSTANT or CENTRAL").into())
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Id of a configured destination (`^[A-Za-z0-9_-]{1,64}$`), good as a folder name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(String);

impl DestinationId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for DestinationId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(ErrorKind::Format("1 to 64 of A-Z a-z 0-9 _ -").into())
        }
    }
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Under which key secret DGIs leave for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKeyConfig {
    /// A `transport` key that is loaded.
    Static {
        /// Its index.
        index: KeyIndex,
        /// How DGI values are enciphered.
        mode: ProtectMode,
    },
    /// A fresh key for every block, wrapped under a `transport` key that is loaded.
    PerBlock {
        /// Index of the wrapping key.
        index: KeyIndex,
        /// Algorithm of the fresh key.
        algorithm: KeyAlgorithm,
        /// How DGI values are enciphered.
        mode: ProtectMode,
    },
}

/// Where prepared cards go: a personalization center, a station, the PIN-mailer printer, or the issuer itself.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its id: the folder in the output.
    pub id: DestinationId,
    /// For cards: the channel it serves. `None` for PIN mailers and the issuer return.
    pub channel: Option<Channel>,
    /// Public JWK (EC P-256) that output is sealed for, as JSON text. `None` only with `--plain` for a test issuer.
    pub public_key: Option<String>,
    /// Transport key of secret DGIs; destinations of cards have one.
    pub transport: Option<TransportKeyConfig>,
    /// For cards: how many days after the batch's day the card may still be personalized.
    pub not_after_days: u16,
    /// Index of the key under which a PIN block leaves (`mailer` for mailers, `pin` for the issuer return).
    pub pin_key: Option<KeyIndex>,
}

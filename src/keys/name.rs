use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Key index of D1's `paymentApplication`: one byte, written as two upper-case hexadecimal digits.
///
/// ```
/// use emv_dataprep::keys::KeyIndex;
/// assert_eq!("0A".parse::<KeyIndex>()?.to_string(), "0A");
/// assert!("0a".parse::<KeyIndex>().is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIndex(pub u8);

impl std::str::FromStr for KeyIndex {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let good = text.len() == 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        let value = u8::from_str_radix(text, 16).ok().filter(|_| good);
        value.map(Self).ok_or_else(|| ErrorKind::Format("two upper-case hexadecimal digits").into())
    }
}

impl fmt::Display for KeyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

macro_rules! key_uses {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a key is for. One key, one use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum KeyUse { $($(#[$doc])* $variant,)* }

        impl KeyUse {
            /// Every use.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in `keys.toml`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

key_uses! {
    /// Issuer master key for application cryptograms (key block usage E0).
    ImkAc = "imk-ac",
    /// Issuer master key for secure messaging integrity (E2).
    ImkSmi = "imk-smi",
    /// Issuer master key for secure messaging confidentiality (E1).
    ImkSmc = "imk-smc",
    /// Issuer master key for data authentication codes (E3).
    ImkDac = "imk-dac",
    /// Issuer master key for ICC dynamic numbers (E4).
    ImkIdn = "imk-idn",
    /// Issuer master key for CVC3 (E6).
    ImkCvc3 = "imk-cvc3",
    /// Card verification key (C0).
    Cvk = "cvk",
    /// PIN verification key: Visa PVV (V2) or IBM 3624 (V1).
    Pvk = "pvk",
    /// PIN encryption key shared with the issuer's host (P0).
    Pin = "pin",
    /// Transport key between data preparation and a personalization site (K0 or D0).
    Transport = "transport",
    /// PIN encryption key of the PIN-mailer printer (P0).
    Mailer = "mailer",
    /// Key of the ledger's digests (M7, HMAC).
    Ledger = "ledger",
    /// Personalization master key KMC of a card supplier or issuer: the chips' card-manager keys derive from it (E5).
    Kmc = "kmc",
    /// Static key Key-ENC of card managers that all have the same keys (E5).
    CardEnc = "card-enc",
    /// Static key Key-MAC of such card managers (E5).
    CardMac = "card-mac",
    /// Static key Key-DEK of such card managers (E5).
    CardDek = "card-dek",
    /// Key that wraps the segment keys of the pool of ready RSA keys (K1, AES-256).
    Pool = "pool",
    /// Key that wraps the data key of each job, an output folder (K0, AES-256).
    Job = "job",
}

impl std::str::FromStr for KeyUse {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|u| u.name() == text);
        found.ok_or_else(|| ErrorKind::Unknown("this key use").into())
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which card verification value a `cvk` key is loaded for (`for` in `keys.toml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CvvKind {
    /// The stripe's: `cvv1`.
    Cvv1,
    /// The chip's track 2 equivalent: `icvv`.
    Icvv,
    /// The printed one: `cvv2`.
    Cvv2,
}

/// A key by its name: use, index, and for a card verification key that is loaded for one value only, which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRef {
    /// What it is for.
    pub usage: KeyUse,
    /// Its index.
    pub index: KeyIndex,
    /// A `cvk` key that serves one value only. A source that is asked for such a key and has none gives the `cvk`
    /// key of the same index that serves all.
    pub only: Option<CvvKind>,
}

impl KeyRef {
    /// The key of this use and index.
    #[must_use]
    pub const fn new(usage: KeyUse, index: KeyIndex) -> Self {
        Self { usage, index, only: None }
    }

    /// The card verification key of this index for one value.
    #[must_use]
    pub const fn cvk(index: KeyIndex, kind: CvvKind) -> Self {
        Self { usage: KeyUse::Cvk, index, only: Some(kind) }
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.usage, self.index)
    }
}

/// Algorithm and length of a symmetric key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// TDES, 16 bytes.
    Tdes2,
    /// TDES, 24 bytes.
    Tdes3,
    /// AES, 16 bytes.
    Aes128,
    /// AES, 24 bytes.
    Aes192,
    /// AES, 32 bytes.
    Aes256,
    /// HMAC-SHA-256, 32 bytes.
    Hmac,
}

impl KeyAlgorithm {
    /// Bytes of such a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Tdes2 | Self::Aes128 => 16,
            Self::Tdes3 | Self::Aes192 => 24,
            Self::Aes256 | Self::Hmac => 32,
        }
    }

    /// Bytes of a cipher block (HMAC: 1).
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Tdes2 | Self::Tdes3 => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::Hmac => 1,
        }
    }

    /// Whether this is DES with two or three keys.
    #[must_use]
    pub const fn is_tdes(self) -> bool {
        matches!(self, Self::Tdes2 | Self::Tdes3)
    }

    /// The name in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tdes2 => "TDES-2KEY",
            Self::Tdes3 => "TDES-3KEY",
            Self::Aes128 => "AES-128",
            Self::Aes192 => "AES-192",
            Self::Aes256 => "AES-256",
            Self::Hmac => "HMAC-SHA-256",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

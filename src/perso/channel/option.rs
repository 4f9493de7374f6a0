use super::ChannelError;
use super::Result;
use crate::emv::Aid;
use crate::keys::{BaseKeys, CardKeys, TransportName};

/// KEYDATA, the chip's key diversification data: KMC identifier (6) ‖ chip serial number (4) (CPS 1.1, 4.1). Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyData(pub [u8; 10]);

/// Option `i` of SCP02 (GPCS E.1.1), explicit initiation on the modified APDU: 04, 05, 14, 15, 24, 25 … 75.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scp02Option(u8);

impl Scp02Option {
    /// From the byte.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for a value that GPCS reserves, and for implicit initiation (0A, 0B, 1A, 1B, …): there is no
    /// INITIALIZE UPDATE then.
    pub const fn new(i: u8) -> Result<Self> {
        if i & 0x8E == 0x04 {
            Ok(Self(i))
        } else {
            Err(ChannelError::Settings("this option i of SCP02 is not supported"))
        }
    }

    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Bit 1: three base keys, or one.
    #[must_use]
    pub const fn base_keys(self) -> BaseKeys {
        if self.0 & 0x01 == 0 { BaseKeys::One } else { BaseKeys::Three }
    }

    /// Bit 5: the ICV of a C-MAC is enciphered.
    #[must_use]
    pub const fn encrypts_icv(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// Bit 6: R-MAC.
    #[must_use]
    pub const fn has_r_mac(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Bit 7: the card challenge follows from the AID.
    #[must_use]
    pub const fn pseudo_random_challenge(self) -> bool {
        self.0 & 0x40 != 0
    }
}

/// Option `i` of SCP03 (GPCS Amendment D, 5.1): 00, 10, 20, 30, 60, 70, and with bit 1 the S16 mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scp03Option(u8);

impl Scp03Option {
    /// From the byte.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for a value that Amendment D reserves: other bits, or R-ENCRYPTION without R-MAC.
    pub const fn new(i: u8) -> Result<Self> {
        if i & 0x8E == 0 && i & 0x60 != 0x40 {
            Ok(Self(i))
        } else {
            Err(ChannelError::Settings("this option i of SCP03 is not supported"))
        }
    }

    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Bytes of challenges, cryptograms and MACs: 8 (S8) or 16 (S16).
    #[must_use]
    pub const fn mac_len(self) -> usize {
        if self.0 & 0x01 == 0 { 8 } else { 16 }
    }

    /// Bit 5: the card challenge follows from sequence counter and AID.
    #[must_use]
    pub const fn pseudo_random_challenge(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// Bit 6: R-MAC.
    #[must_use]
    pub const fn has_r_mac(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Bits 6 and 7: R-ENCRYPTION.
    #[must_use]
    pub const fn has_r_encryption(self) -> bool {
        self.0 & 0x60 == 0x60
    }
}

/// Secure channel protocol and its option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelProtocol {
    /// SCP02. The card does not say its option in INITIALIZE UPDATE: it is the card's data sheet that counts.
    Scp02(Scp02Option),
    /// SCP03. A card that states another option is refused.
    Scp03(Scp03Option),
}

impl ChannelProtocol {
    /// From protocol number (02, 03) and option byte.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for another protocol, and as [`Scp02Option::new`] and [`Scp03Option::new`].
    pub fn new(protocol: u8, i: u8) -> Result<Self> {
        match protocol {
            0x02 => Scp02Option::new(i).map(Self::Scp02),
            0x03 => Scp03Option::new(i).map(Self::Scp03),
            _ => Err(ChannelError::Settings("secure channel protocols are SCP02 and SCP03")),
        }
    }

    /// Protocol number: 02, 03.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Scp02(_) => 0x02,
            Self::Scp03(_) => 0x03,
        }
    }

    /// Option byte `i`.
    #[must_use]
    pub const fn option(self) -> u8 {
        match self {
            Self::Scp02(option) => option.byte(),
            Self::Scp03(option) => option.byte(),
        }
    }

    /// Bytes of the host challenge: 8, or 16 for SCP03 in S16 mode.
    #[must_use]
    pub const fn challenge_len(self) -> usize {
        self.mac_len()
    }

    /// Bytes of a C-MAC.
    #[must_use]
    pub const fn mac_len(self) -> usize {
        match self {
            Self::Scp02(_) => 8,
            Self::Scp03(option) => option.mac_len(),
        }
    }

    /// Bytes of a cipher block: of the session's encipherment and of values under the data encipherment key.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Scp02(_) => 8,
            Self::Scp03(_) => 16,
        }
    }
}

/// Security level: P1 of EXTERNAL AUTHENTICATE (GPCS E.5.2.3, Amendment D 7.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityLevel {
    /// 00: authentication alone.
    None,
    /// 01: C-MAC.
    CMac,
    /// 03: C-DECRYPTION and C-MAC.
    CDecryption,
    /// 10: R-MAC (SCP02).
    RMac,
    /// 11: C-MAC and R-MAC.
    CMacRMac,
    /// 13: C-DECRYPTION, C-MAC and R-MAC.
    CDecryptionRMac,
    /// 33: C-DECRYPTION, R-ENCRYPTION, C-MAC and R-MAC (SCP03).
    Full,
}

impl SecurityLevel {
    /// Every level.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::CMac,
        Self::CDecryption,
        Self::RMac,
        Self::CMacRMac,
        Self::CDecryptionRMac,
        Self::Full,
    ];

    /// From the byte.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for another byte.
    pub fn from_byte(byte: u8) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|l| l.byte() == byte);
        found.ok_or(ChannelError::Settings("security levels are 00, 01, 03, 10, 11, 13 and 33"))
    }

    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::None => 0x00,
            Self::CMac => 0x01,
            Self::CDecryption => 0x03,
            Self::RMac => 0x10,
            Self::CMacRMac => 0x11,
            Self::CDecryptionRMac => 0x13,
            Self::Full => 0x33,
        }
    }

    /// Commands carry a MAC.
    #[must_use]
    pub const fn c_mac(self) -> bool {
        self.byte() & 0x01 != 0
    }

    /// Command data are enciphered.
    #[must_use]
    pub const fn c_decryption(self) -> bool {
        self.byte() & 0x02 != 0
    }

    /// Responses carry a MAC.
    #[must_use]
    pub const fn r_mac(self) -> bool {
        self.byte() & 0x10 != 0
    }

    /// Response data are enciphered.
    #[must_use]
    pub const fn r_encryption(self) -> bool {
        self.byte() & 0x20 != 0
    }

    /// Whether all that `least` asks for is given.
    #[must_use]
    pub const fn includes(self, least: Self) -> bool {
        self.byte() & least.byte() == least.byte()
    }

    /// Most data bytes of a command before it is wrapped into a short APDU: 255 without a MAC; with one, 255 less the MAC;
    /// with encipherment, one byte less than the whole blocks that fit (padding method 2 adds at least one).
    #[must_use]
    pub const fn max_plain_data(self, protocol: ChannelProtocol) -> usize {
        match (self.c_mac(), self.c_decryption(), protocol) {
            (false, _, _) => 255,
            (true, false, _) => 255_usize.saturating_sub(protocol.mac_len()),
            (true, true, ChannelProtocol::Scp02(_)) => 239,
            (true, true, ChannelProtocol::Scp03(option)) => {
                if option.mac_len() == 8 {
                    239
                } else {
                    223
                }
            }
        }
    }

    /// Whether the protocol and its option offer this level.
    #[must_use]
    pub const fn is_offered_by(self, protocol: ChannelProtocol) -> bool {
        match protocol {
            ChannelProtocol::Scp02(i) => !self.r_encryption() && (i.has_r_mac() || !self.r_mac()),
            ChannelProtocol::Scp03(i) => {
                !matches!(self, Self::RMac)
                    && (i.has_r_mac() || !self.r_mac())
                    && (i.has_r_encryption() || !self.r_encryption())
            }
        }
    }
}

/// What a channel is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSettings {
    /// Protocol and option that the card must have.
    pub protocol: ChannelProtocol,
    /// Security level.
    pub level: SecurityLevel,
    /// Key version: P1 of INITIALIZE UPDATE. 00 takes the card's first; any other must come back.
    pub key_version: u8,
    /// Where the chip's keys come from.
    pub keys: CardKeys,
    /// AID of the application that opens the channel: a pseudo-random card challenge is checked against it.
    pub aid: Option<Aid>,
    /// The key that the card's secret values come under.
    pub transport: Option<TransportName>,
    /// The chip's next keys, for PUT KEY.
    pub new_keys: Option<CardKeys>,
}

impl ChannelSettings {
    /// Settings with the card's first key version and nothing beside.
    #[must_use]
    pub const fn new(protocol: ChannelProtocol, level: SecurityLevel, keys: CardKeys) -> Self {
        Self { protocol, level, key_version: 0, keys, aid: None, transport: None, new_keys: None }
    }
}

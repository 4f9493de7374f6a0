//! All of a channel but its keys, as bytes.

use super::{ChannelError, ChannelProtocol, KeyData, Result, SecurityLevel};
use crate::bytes::Cursor;
use crate::keys::Scp03Cryptogram;

/// Version of the bytes.
const VERSION: u8 = 1;

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The card is authenticated, the host is not.
    Opened,
    /// EXTERNAL AUTHENTICATE is sent.
    Authenticating,
    /// Commands may go.
    Open,
    /// A command is sent, its response outstanding.
    Waiting,
    /// A check failed, or the card refused.
    Closed,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Opened, Self::Authenticating, Self::Open, Self::Waiting, Self::Closed];

    const fn byte(self) -> u8 {
        match self {
            Self::Opened => 0,
            Self::Authenticating => 1,
            Self::Open => 2,
            Self::Waiting => 3,
            Self::Closed => 4,
        }
    }
}

/// All of a channel but its keys: protocol, level, KEYDATA, counters, challenges and chaining values. Nothing of it is secret:
/// it has all passed over the line. Whoever keeps it between calls or processes makes the channel again with
/// [`super::Channel::resume`] and the key source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    pub(super) protocol: ChannelProtocol,
    pub(super) level: SecurityLevel,
    pub(super) phase: Phase,
    pub(super) key_version: u8,
    pub(super) key_data: KeyData,
    pub(super) host_challenge: Vec<u8>,
    /// Six bytes (SCP02), or as long as the host's (SCP03).
    pub(super) card_challenge: Vec<u8>,
    /// Two bytes (SCP02), three (SCP03 with a pseudo-random challenge), or none.
    pub(super) sequence: Vec<u8>,
    /// Last C-MAC (SCP02, eight bytes) or MAC chaining value (SCP03, sixteen).
    pub(super) chain: Vec<u8>,
    /// Last R-MAC of SCP02; zero with SCP03, whose R-MACs chain on the command.
    pub(super) response_chain: [u8; 8],
    /// Commands since EXTERNAL AUTHENTICATE (SCP03).
    pub(super) counter: u32,
}

impl ChannelState {
    /// What a cryptogram is computed over. SCP02 (GPCS E.4.2): the card's has the host challenge first, the host's last.
    /// SCP03: host challenge ‖ card challenge for both.
    pub(super) fn cryptogram_data(&self, of: Scp03Cryptogram) -> Vec<u8> {
        let (host, card): (&[u8], &[u8]) = (&self.host_challenge, &self.card_challenge);
        match (self.protocol, of) {
            (ChannelProtocol::Scp02(_), Scp03Cryptogram::Card) => [host, &self.sequence, card].concat(),
            (ChannelProtocol::Scp02(_), Scp03Cryptogram::Host) => [&self.sequence, card, host].concat(),
            (ChannelProtocol::Scp03(_), _) => [host, card].concat(),
        }
    }

    /// Protocol and option.
    #[must_use]
    pub const fn protocol(&self) -> ChannelProtocol {
        self.protocol
    }

    /// Security level.
    #[must_use]
    pub const fn level(&self) -> SecurityLevel {
        self.level
    }

    /// KEYDATA of the chip.
    #[must_use]
    pub const fn key_data(&self) -> KeyData {
        self.key_data
    }

    /// Version of the chip's key set.
    #[must_use]
    pub const fn key_version(&self) -> u8 {
        self.key_version
    }

    /// The bytes. One state has one form.
    ///
    /// `01 ‖ SCP ‖ i ‖ level ‖ phase ‖ key version ‖ KEYDATA(10) ‖ sequence counter ‖ host challenge ‖ card challenge ‖ last C-MAC
    /// ‖ last R-MAC(8) ‖ command counter(4)`; the lengths in between follow from SCP and i.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = [
            VERSION,
            self.protocol.number(),
            self.protocol.option(),
            self.level.byte(),
            self.phase.byte(),
            self.key_version,
        ];
        [
            &head[..],
            &self.key_data.0,
            &self.sequence,
            &self.host_challenge,
            &self.card_challenge,
            &self.chain,
            &self.response_chain,
            &self.counter.to_be_bytes(),
        ]
        .concat()
    }

    /// Reads the bytes of [`ChannelState::to_bytes`].
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for an unknown protocol, option, level or version, a level that the protocol does not offer,
    /// and lengths that do not fit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || ChannelError::Settings("these bytes are no state of a secure channel");
        let mut c = Cursor::new(bytes);
        let [version, scp, i, level, phase, key_version] = c.array().map_err(|_| wrong())?;
        if version != VERSION {
            return Err(wrong());
        }
        let protocol = ChannelProtocol::new(scp, i)?;
        let level = SecurityLevel::from_byte(level)?;
        if !level.is_offered_by(protocol) {
            return Err(wrong());
        }
        let (sequence, card_challenge) = match protocol {
            ChannelProtocol::Scp02(_) => (2, 6),
            ChannelProtocol::Scp03(o) if o.pseudo_random_challenge() => (3, o.mac_len()),
            ChannelProtocol::Scp03(o) => (0, o.mac_len()),
        };
        let key_data = KeyData(c.array().map_err(|_| wrong())?);
        let mut take = |len: usize| c.take(len).map(<[u8]>::to_vec).map_err(|_| wrong());
        let state = Self {
            protocol,
            level,
            phase: Phase::ALL.into_iter().find(|p| p.byte() == phase).ok_or_else(wrong)?,
            key_version,
            key_data,
            sequence: take(sequence)?,
            host_challenge: take(protocol.challenge_len())?,
            card_challenge: take(card_challenge)?,
            chain: take(protocol.block_len())?,
            response_chain: c.array().map_err(|_| wrong())?,
            counter: u32::from_be_bytes(c.array().map_err(|_| wrong())?),
        };
        c.finish().map_err(|_| wrong())?;
        Ok(state)
    }
}

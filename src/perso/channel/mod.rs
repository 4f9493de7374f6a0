//! Secure channels to a chip: SCP02 (GPCS 2.3.1, Appendix E; CPS 1.1, 5) and SCP03 (GPCS Amendment D).
//!
//! A [`Channel`] does no I/O and holds no key: the session keys stay with the key source
//! ([`crate::keys::KeySource::card_session`]). [`Channel::initialize_update`] gives the first command; its response makes the
//! channel, which gives EXTERNAL AUTHENTICATE; then commands are wrapped and responses unwrapped, one by one.
//!
//! ```
//! use emv_dataprep::crypto::backend::Backend;
//! use emv_dataprep::keys::{CardKeys, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
//! use emv_dataprep::perso::apdu::{CommandApdu, ResponseApdu};
//! use emv_dataprep::perso::channel::{Channel, ChannelProtocol, ChannelSettings, Scp02Option, SecurityLevel};
//! use emv_dataprep::secret::Secret;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ring = SoftwareRing::new(Backend::Portable);
//! for usage in [KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek] {
//!     let key = Secret::new((0x40..0x50).collect());
//!     ring.add_clear(KeyRef::new(usage, KeyIndex(1)), KeyAlgorithm::Tdes2, key, KeyAttributes::default())?;
//! }
//! let protocol = ChannelProtocol::Scp02(Scp02Option::new(0x15)?);
//! let keys = CardKeys::Static { index: KeyIndex(1) };
//! let settings = ChannelSettings::new(protocol, SecurityLevel::CMac, keys);
//! let challenge = hex::decode("D5AD539A60CA5E72")?; // random in practice
//!
//! let command = Channel::initialize_update(&settings, &challenge)?;
//! assert_eq!(command.to_bytes(), hex::decode("8050000008D5AD539A60CA5E7200")?);
//! let answer = hex::decode("000074746E6E6E6262620102069FAA2A0591E73367DD78794D04315E9000")?;
//! let mut channel = Channel::open(&settings, &ring, &challenge, &ResponseApdu::parse(&answer)?)?;
//!
//! let command = channel.external_authenticate()?;
//! assert_eq!(command.to_bytes(), hex::decode("84820100107C799B3C771DBAE6BEF49310977617BA")?);
//! channel.authenticated(&ResponseApdu::parse(&[0x90, 0x00])?)?;
//!
//! let command = channel.wrap(&CommandApdu::parse(&hex::decode("80F22002024F0000")?)?)?;
//! assert_eq!(command.to_bytes(), hex::decode("84F220020A4F00BB6E71C0EFCFCF0D00")?);
//! let response = channel.unwrap(&ResponseApdu::parse(&[0x6A, 0x88])?)?;
//! assert_eq!(response.status().to_string(), "6A88");
//! # Ok(())
//! # }
//! ```

mod error;
mod open;
mod option;
mod scp02;
mod scp03;
mod state;

pub use error::ChannelError;
pub use option::{ChannelProtocol, ChannelSettings, KeyData, Scp02Option, Scp03Option, SecurityLevel};
pub use state::ChannelState;

use zeroize::Zeroizing;

use super::apdu::{CommandApdu, ResponseApdu};
use crate::bytes::hex_upper;
use crate::keys::{CardSession, EncipheredKey, Refill};
use state::Phase;

/// Result of a channel's methods.
pub type Result<T, E = ChannelError> = std::result::Result<T, E>;

/// A secure channel to one chip, from the response to INITIALIZE UPDATE on.
///
/// Commands and responses alternate: [`Channel::wrap`], then [`Channel::unwrap`]. A response that fails its check closes
/// the channel. With transmission protocol T=0, answers 61xx and 6Cxx are dealt with outside; the channel sees the final
/// response.
#[derive(Debug)]
pub struct Channel {
    state: ChannelState,
    keys: Box<dyn CardSession>,
    /// SCP02 with R-MAC: the command without secure messaging, which the response's MAC covers.
    command: Option<Zeroizing<Vec<u8>>>,
}

impl Channel {
    /// EXTERNAL AUTHENTICATE with the host cryptogram and the first C-MAC.
    ///
    /// # Errors
    /// [`ChannelError::Order`] when it was sent already; [`ChannelError::Keys`].
    pub fn external_authenticate(&mut self) -> Result<CommandApdu> {
        if self.state.phase != Phase::Opened {
            return Err(ChannelError::Order("EXTERNAL AUTHENTICATE stands once"));
        }
        let command = match self.state.protocol {
            ChannelProtocol::Scp02(_) => scp02::external_authenticate(&mut self.state, &*self.keys)?,
            ChannelProtocol::Scp03(option) => {
                scp03::external_authenticate(&mut self.state, option, &*self.keys)?
            }
        };
        self.state.phase = Phase::Authenticating;
        Ok(command)
    }

    /// Takes the response to EXTERNAL AUTHENTICATE. The channel is open after 9000 alone.
    ///
    /// # Errors
    /// [`ChannelError::Status`] for another status word: the channel is closed then.
    pub fn authenticated(&mut self, response: &ResponseApdu) -> Result<()> {
        if self.state.phase != Phase::Authenticating {
            return Err(ChannelError::Order("this is no response to EXTERNAL AUTHENTICATE"));
        }
        self.state.phase = Phase::Closed;
        if !response.status().is_success() {
            return Err(ChannelError::Status(response.status()));
        }
        if !response.data().is_empty() {
            return Err(ChannelError::Response);
        }
        self.state.phase = Phase::Open;
        Ok(())
    }

    /// A command inside the channel, as its level says.
    ///
    /// # Errors
    /// [`ChannelError::Order`] while a response is outstanding or the channel is not open; [`ChannelError::Command`] for more
    /// data than [`Channel::max_plain_data`], or a class byte with secure messaging; [`ChannelError::Keys`].
    pub fn wrap(&mut self, command: &CommandApdu) -> Result<CommandApdu> {
        match self.state.phase {
            Phase::Open => {}
            Phase::Waiting => return Err(ChannelError::Order("a response is outstanding")),
            Phase::Opened | Phase::Authenticating => {
                return Err(ChannelError::Order("the host is not authenticated"));
            }
            Phase::Closed => return Err(ChannelError::Closed),
        }
        if command.data().len() > self.max_plain_data() {
            return Err(ChannelError::Command("has more data than the channel takes"));
        }
        if command.cla() & 0x7C != 0 {
            return Err(ChannelError::Command(
                "has a class byte of secure messaging or of a further logical channel",
            ));
        }
        let wrapped = match self.state.protocol {
            ChannelProtocol::Scp02(option) => {
                self.command = scp02::stripped(&self.state, command);
                scp02::wrap(&mut self.state, option, &*self.keys, command)
            }
            ChannelProtocol::Scp03(option) => scp03::wrap(&mut self.state, option, &*self.keys, command),
        };
        // A key source that failed half-way leaves counters that the card does not share.
        self.state.phase = if wrapped.is_ok() { Phase::Waiting } else { Phase::Closed };
        wrapped
    }

    /// The response to the command that was wrapped last: its R-MAC checked and taken off, its data deciphered.
    ///
    /// An error status comes without R-MAC (SCP03) or may come without (SCP02): such a status word is not authenticated.
    ///
    /// # Errors
    /// [`ChannelError::ResponseMac`] and [`ChannelError::Response`]: the channel is closed then. [`ChannelError::Order`] when no
    /// response is expected.
    pub fn unwrap(&mut self, response: &ResponseApdu) -> Result<ResponseApdu> {
        if self.state.phase != Phase::Waiting {
            return Err(ChannelError::Order("no response is expected"));
        }
        self.state.phase = Phase::Closed;
        let plain = match self.state.protocol {
            ChannelProtocol::Scp02(_) => {
                scp02::unwrap(&mut self.state, &*self.keys, self.command.take(), response)?
            }
            ChannelProtocol::Scp03(option) => scp03::unwrap(&self.state, option, &*self.keys, response)?,
        };
        self.state.phase = Phase::Open;
        Ok(plain)
    }

    /// Most data bytes of a command before it is wrapped: what a short APDU has room for at this level.
    #[must_use]
    pub const fn max_plain_data(&self) -> usize {
        self.state.level.max_plain_data(self.state.protocol)
    }

    /// A secret value from the transport key to the chip's data encipherment key, for STORE DATA with P1 bits 7 and 6.
    ///
    /// # Errors
    /// [`ChannelError::Keys`]: no transport key was named, the value is not whole blocks, or the key source does not answer.
    pub fn recipher(&self, value: &[u8], refill: &Refill) -> Result<Vec<u8>> {
        Ok(self.keys.recipher(value, refill)?)
    }

    /// The chip's next keys under its data encipherment key, for PUT KEY.
    ///
    /// # Errors
    /// [`ChannelError::Keys`] when the settings name no new keys.
    pub fn new_keys(&self) -> Result<Vec<EncipheredKey>> {
        Ok(self.keys.new_keys()?)
    }

    /// The data field of PUT KEY for the chip's next keys (GPCS 11.8.2.3): new key version, then of each key type, length,
    /// cryptogram and check value. DES `80 10 …`; AES `88`, length of the next two, length of the key, `…`.
    ///
    /// # Errors
    /// As [`Channel::new_keys`].
    pub fn put_key_data(&self, new_version: u8) -> Result<Vec<u8>> {
        let mut out = vec![new_version];
        for key in self.new_keys()? {
            out.push(key.key_type);
            let len = u8::try_from(key.cryptogram.len()).unwrap_or(u8::MAX);
            if key.key_type == 0x80 {
                out.push(len);
            } else {
                out.extend([len.saturating_add(1), key.key_len]);
            }
            out.extend_from_slice(&key.cryptogram);
            out.push(3);
            out.extend_from_slice(&key.kcv);
        }
        Ok(out)
    }

    /// KEYDATA of the chip.
    #[must_use]
    pub const fn key_data(&self) -> KeyData {
        self.state.key_data
    }

    /// Version of the chip's key set.
    #[must_use]
    pub const fn key_version(&self) -> u8 {
        self.state.key_version
    }

    /// The level.
    #[must_use]
    pub const fn level(&self) -> SecurityLevel {
        self.state.level
    }

    /// The protocol with its option `i`.
    #[must_use]
    pub const fn protocol(&self) -> ChannelProtocol {
        self.state.protocol
    }

    /// Whether commands can be wrapped: the host is authenticated and no check has failed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state.phase, Phase::Open | Phase::Waiting)
    }

    /// All of the channel but the keys: see [`ChannelState`].
    #[must_use]
    pub fn state(&self) -> ChannelState {
        self.state.clone()
    }
}

impl std::fmt::Display for KeyData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex_upper(&self.0))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;

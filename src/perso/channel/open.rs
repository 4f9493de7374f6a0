//! INITIALIZE UPDATE: the command, and what its response must say.

use super::state::{ChannelState, Phase};
use super::{Channel, ChannelError, ChannelProtocol, ChannelSettings, KeyData, Result};
use crate::bytes::Cursor;
use crate::crypto::mac::equal;
use crate::keys::{CardSessionRequest, KeySource, Scp03Cryptogram, SecureChannel};
use crate::perso::apdu::{CommandApdu, ResponseApdu};

impl Channel {
    /// INITIALIZE UPDATE. The host challenge is random, and new for each channel.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for a challenge of another length than [`ChannelProtocol::challenge_len`], or a level that the
    /// protocol does not offer.
    pub fn initialize_update(settings: &ChannelSettings, host_challenge: &[u8]) -> Result<CommandApdu> {
        check(settings, host_challenge)?;
        Ok(CommandApdu::new([0x80, 0x50, settings.key_version, 0x00], host_challenge.to_vec(), Some(0))?)
    }

    /// Takes the response to INITIALIZE UPDATE: checks protocol, key version, card challenge (when it follows from the AID
    /// and the settings name one) and card cryptogram, in this order.
    ///
    /// # Errors
    /// [`ChannelError::Status`], [`ChannelError::Response`], [`ChannelError::Protocol`], [`ChannelError::KeyVersion`],
    /// [`ChannelError::Challenge`], [`ChannelError::Cryptogram`]; [`ChannelError::Keys`] when the key source has not the keys;
    /// as [`Channel::initialize_update`].
    pub fn open(
        settings: &ChannelSettings,
        source: &dyn KeySource,
        host_challenge: &[u8],
        response: &ResponseApdu,
    ) -> Result<Self> {
        check(settings, host_challenge)?;
        if !response.status().is_success() {
            return Err(ChannelError::Status(response.status()));
        }
        let card = Answer::read(settings.protocol, response.data())?;
        if settings.key_version != 0 && card.key_version != settings.key_version {
            return Err(ChannelError::KeyVersion);
        }
        let chain_len = settings.protocol.block_len();
        let state = ChannelState {
            protocol: settings.protocol,
            level: settings.level,
            phase: Phase::Opened,
            key_version: card.key_version,
            key_data: card.key_data,
            host_challenge: host_challenge.to_vec(),
            card_challenge: card.challenge,
            sequence: card.sequence,
            chain: vec![0; chain_len],
            response_chain: [0; 8],
            counter: 0,
        };
        let channel = Self { keys: source.card_session(&request(settings, &state)?)?, state, command: None };
        channel.check_challenge(settings)?;
        let mac_len = settings.protocol.mac_len();
        let data = channel.state.cryptogram_data(Scp03Cryptogram::Card);
        let expected = channel.keys.cryptogram(Scp03Cryptogram::Card, &data, mac_len)?;
        if !equal(&expected, &card.cryptogram) {
            return Err(ChannelError::Cryptogram);
        }
        Ok(channel)
    }

    /// A channel out of its state: the session keys are derived again.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] when the state is of another protocol or level; [`ChannelError::Order`] when it was taken while
    /// the response to a command of SCP02 with R-MAC was outstanding, whose MAC covers the command; [`ChannelError::Keys`].
    pub fn resume(settings: &ChannelSettings, source: &dyn KeySource, state: &ChannelState) -> Result<Self> {
        check(settings, &state.host_challenge)?;
        if settings.protocol != state.protocol || settings.level != state.level {
            return Err(ChannelError::Settings("the channel's state is of other settings"));
        }
        let covers_command = matches!(state.protocol, ChannelProtocol::Scp02(_)) && state.level.r_mac();
        if covers_command && state.phase == Phase::Waiting {
            return Err(ChannelError::Order("a response was outstanding"));
        }
        let keys = source.card_session(&request(settings, state)?)?;
        Ok(Self { state: state.clone(), keys, command: None })
    }

    fn check_challenge(&self, settings: &ChannelSettings) -> Result<()> {
        let Some(aid) = &settings.aid else { return Ok(()) };
        let state = &self.state;
        let data = match settings.protocol {
            ChannelProtocol::Scp02(i) if i.pseudo_random_challenge() => aid.as_bytes().to_vec(),
            ChannelProtocol::Scp03(i) if i.pseudo_random_challenge() => {
                [&state.sequence, aid.as_bytes()].concat()
            }
            ChannelProtocol::Scp02(_) | ChannelProtocol::Scp03(_) => return Ok(()),
        };
        let expected = self.keys.card_challenge(&data, state.card_challenge.len())?;
        if equal(&expected, &state.card_challenge) { Ok(()) } else { Err(ChannelError::Challenge) }
    }
}

fn check(settings: &ChannelSettings, host_challenge: &[u8]) -> Result<()> {
    if host_challenge.len() != settings.protocol.challenge_len() {
        return Err(ChannelError::Settings("the host challenge has another length than the protocol's"));
    }
    if !settings.level.is_offered_by(settings.protocol) {
        return Err(ChannelError::Settings("the protocol does not offer this security level"));
    }
    Ok(())
}

fn request(settings: &ChannelSettings, state: &ChannelState) -> Result<CardSessionRequest> {
    let channel = match settings.protocol {
        ChannelProtocol::Scp02(option) => SecureChannel::Scp02 {
            sequence: state.sequence.as_slice().try_into().map_err(|_| ChannelError::Response)?,
            base_keys: option.base_keys(),
        },
        ChannelProtocol::Scp03(_) => SecureChannel::Scp03 {
            context: [state.host_challenge.as_slice(), &state.card_challenge].concat(),
        },
    };
    Ok(CardSessionRequest {
        keys: settings.keys,
        key_data: state.key_data.0,
        channel,
        transport: settings.transport.clone(),
        new_keys: settings.new_keys,
    })
}

/// What the card answers.
struct Answer {
    key_data: KeyData,
    key_version: u8,
    sequence: Vec<u8>,
    challenge: Vec<u8>,
    cryptogram: Vec<u8>,
}

impl Answer {
    fn read(protocol: ChannelProtocol, data: &[u8]) -> Result<Self> {
        // A card of the other protocol is told by its number, whatever the lengths.
        if data.get(11).is_some_and(|scp| *scp != protocol.number()) {
            return Err(ChannelError::Protocol);
        }
        let short = |_| ChannelError::Response;
        let mut c = Cursor::new(data);
        let key_data = KeyData(c.array().map_err(short)?);
        let [key_version, _scp] = c.array().map_err(short)?;
        let answer = match protocol {
            ChannelProtocol::Scp02(_) => Self {
                key_data,
                key_version,
                sequence: c.take(2).map_err(short)?.to_vec(),
                challenge: c.take(6).map_err(short)?.to_vec(),
                cryptogram: c.take(8).map_err(short)?.to_vec(),
            },
            ChannelProtocol::Scp03(option) => {
                if c.u8().map_err(short)? != option.byte() {
                    return Err(ChannelError::Protocol);
                }
                let challenge = c.take(option.mac_len()).map_err(short)?.to_vec();
                let cryptogram = c.take(option.mac_len()).map_err(short)?.to_vec();
                let sequence = if option.pseudo_random_challenge() { 3 } else { 0 };
                Self {
                    key_data,
                    key_version,
                    sequence: c.take(sequence).map_err(short)?.to_vec(),
                    challenge,
                    cryptogram,
                }
            }
        };
        c.finish().map_err(short)?;
        Ok(answer)
    }
}

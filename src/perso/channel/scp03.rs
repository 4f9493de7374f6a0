//! SCP03 (GPCS Amendment D, 6.2): encipherment of the command's data, then C-MAC over the result.

use zeroize::Zeroizing;

use super::state::ChannelState;
use super::{ChannelError, Result, Scp03Option};
use crate::crypto::mac::{Padding, equal, strip_bit_padding};
use crate::keys::{CardSession, Scp03Cryptogram};
use crate::perso::apdu::{CommandApdu, ResponseApdu};

/// 7.1.2: never enciphered; its C-MAC has an all-zero chaining value.
pub(super) fn external_authenticate(
    state: &mut ChannelState,
    option: Scp03Option,
    keys: &dyn CardSession,
) -> Result<CommandApdu> {
    let data = state.cryptogram_data(Scp03Cryptogram::Host);
    let cryptogram = keys.cryptogram(Scp03Cryptogram::Host, &data, option.mac_len())?;
    with_mac(state, option, keys, [0x84, 0x82, state.level.byte(), 0x00], cryptogram, None)
}

/// 6.2.4, 6.2.6.
pub(super) fn wrap(
    state: &mut ChannelState,
    option: Scp03Option,
    keys: &dyn CardSession,
    command: &CommandApdu,
) -> Result<CommandApdu> {
    // Every command counts, with data or without (Amendment D 1.1.1, 6.2.6).
    state.counter = state.counter.checked_add(1).ok_or(ChannelError::Closed)?;
    if !state.level.c_mac() {
        return Ok(command.clone());
    }
    let data = if state.level.c_decryption() && !command.data().is_empty() {
        let icv = keys.encrypt_icv(&counter_block(state.counter, 0x00))?;
        let mut padded = Zeroizing::new(Padding::Bit.pad(command.data(), 16));
        keys.encrypt(&icv, &mut padded)?;
        padded.to_vec()
    } else {
        command.data().to_vec()
    };
    let [cla, ins, p1, p2] = command.header();
    with_mac(state, option, keys, [cla | 0x04, ins, p1, p2], data, command.le())
}

/// The C-MAC is computed for logical channel 0, the number stays in the class byte that is sent.
fn with_mac(
    state: &mut ChannelState,
    option: Scp03Option,
    keys: &dyn CardSession,
    header: [u8; 4],
    mut data: Vec<u8>,
    le: Option<u8>,
) -> Result<CommandApdu> {
    let too_long = |_| ChannelError::Command("has more data than the channel takes");
    let lc = u8::try_from(data.len().saturating_add(option.mac_len())).map_err(too_long)?;
    let [cla, ins, p1, p2] = header;
    let covered = [&[cla & 0xFC, ins, p1, p2, lc][..], &data].concat();
    let chain = keys.command_mac(&state.chain, &covered)?;
    data.extend_from_slice(chain.get(..option.mac_len()).ok_or(ChannelError::Response)?);
    state.chain = chain;
    Ok(CommandApdu::new(header, data, le)?)
}

/// 6.2.5, 6.2.7: an error status has neither R-MAC nor data.
pub(super) fn unwrap(
    state: &ChannelState,
    option: Scp03Option,
    keys: &dyn CardSession,
    response: &ResponseApdu,
) -> Result<ResponseApdu> {
    if !state.level.r_mac() {
        return Ok(response.clone());
    }
    if !response.status().is_completed() {
        return if response.data().is_empty() { Ok(response.clone()) } else { Err(ChannelError::Response) };
    }
    let at = response.data().len().checked_sub(option.mac_len()).ok_or(ChannelError::Response)?;
    let (data, mac) = response.data().split_at_checked(at).ok_or(ChannelError::Response)?;
    let covered = [data, &response.status().0.to_be_bytes()].concat();
    let expected = keys.response_mac(&state.chain, &covered)?;
    if !expected.get(..option.mac_len()).is_some_and(|e| equal(e, mac)) {
        return Err(ChannelError::ResponseMac);
    }
    if !state.level.r_encryption() || data.is_empty() {
        return Ok(ResponseApdu::new(data.to_vec(), response.status()));
    }
    let icv = keys.encrypt_icv(&counter_block(state.counter, 0x80))?;
    let mut plain = Zeroizing::new(data.to_vec());
    keys.decrypt(&icv, &mut plain).map_err(|_| ChannelError::Response)?;
    let plain = strip_bit_padding(&plain).map_err(|_| ChannelError::Response)?;
    Ok(ResponseApdu::new(plain.to_vec(), response.status()))
}

fn counter_block(counter: u32, first: u8) -> [u8; 16] {
    let mut block = u128::from(counter).to_be_bytes();
    if let Some(byte) = block.first_mut() {
        *byte |= first;
    }
    block
}

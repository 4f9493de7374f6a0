//! SCP02 (GPCS 2.3.1, E.4): C-MAC over the command in clear, then encipherment of its data.

use zeroize::Zeroizing;

use super::state::ChannelState;
use super::{ChannelError, Result, Scp02Option};
use crate::crypto::mac::{Padding, equal};
use crate::keys::{CardSession, Scp03Cryptogram};
use crate::perso::apdu::{CommandApdu, ResponseApdu};

const MAC: u8 = 8;

/// E.5.2: its C-MAC has an all-zero ICV, which is never enciphered. R-MACs chain on it.
pub(super) fn external_authenticate(state: &mut ChannelState, keys: &dyn CardSession) -> Result<CommandApdu> {
    let data = state.cryptogram_data(Scp03Cryptogram::Host);
    let mut data = keys.cryptogram(Scp03Cryptogram::Host, &data, 8)?;
    let header = [0x84, 0x82, state.level.byte(), 0x00];
    let covered = [&header[..], &[0x10], &data].concat();
    state.chain = keys.command_mac(&[0; 8], &covered)?;
    state.response_chain = state.chain.as_slice().try_into().map_err(|_| ChannelError::Response)?;
    data.extend_from_slice(&state.chain);
    Ok(CommandApdu::new(header, data, None)?)
}

/// E.4.4, E.4.6.
pub(super) fn wrap(
    state: &mut ChannelState,
    option: Scp02Option,
    keys: &dyn CardSession,
    command: &CommandApdu,
) -> Result<CommandApdu> {
    if !state.level.c_mac() {
        return Ok(command.clone());
    }
    let icv = if option.encrypts_icv() { keys.encrypt_icv(&state.chain)? } else { state.chain.clone() };
    let [cla, ins, p1, p2] = command.header();
    // The MAC is that of logical channel 0; the channel's number stays in the class byte that is sent.
    let covered_header = [cla & 0xFC | 0x04, ins, p1, p2, command.lc().saturating_add(MAC)];
    let covered = Zeroizing::new([&covered_header[..], command.data()].concat());
    let mac = keys.command_mac(&icv, &covered)?;
    let mut data = if state.level.c_decryption() && !command.data().is_empty() {
        let mut padded = Zeroizing::new(Padding::Bit.pad(command.data(), 8));
        keys.encrypt(&[0; 8], &mut padded)?;
        padded.to_vec()
    } else {
        command.data().to_vec()
    };
    data.extend_from_slice(&mac);
    state.chain = mac;
    Ok(CommandApdu::new([cla | 0x04, ins, p1, p2], data, command.le())?)
}

/// The command as an R-MAC covers it (E.4.5): class byte without logical channel and secure messaging, Lc always, no Le.
pub(super) fn stripped(state: &ChannelState, command: &CommandApdu) -> Option<Zeroizing<Vec<u8>>> {
    if !state.level.r_mac() {
        return None;
    }
    let [cla, ins, p1, p2] = command.header();
    Some(Zeroizing::new([&[cla & 0xF8, ins, p1, p2, command.lc()][..], command.data()].concat()))
}

/// E.4.5: R-MAC over the stripped command, then length, data and status word of the response.
pub(super) fn unwrap(
    state: &mut ChannelState,
    keys: &dyn CardSession,
    command: Option<Zeroizing<Vec<u8>>>,
    response: &ResponseApdu,
) -> Result<ResponseApdu> {
    if !state.level.r_mac() {
        return Ok(response.clone());
    }
    if response.data().is_empty() && !response.status().is_completed() {
        return Ok(response.clone());
    }
    let mut covered = command.ok_or(ChannelError::Order("the command is not known"))?;
    let (data, mac) = response.data().split_last_chunk::<8>().ok_or(ChannelError::Response)?;
    covered.push(u8::try_from(data.len()).map_err(|_| ChannelError::Response)?);
    covered.extend_from_slice(data);
    covered.extend_from_slice(&response.status().0.to_be_bytes());
    let expected = keys.response_mac(&state.response_chain, &covered)?;
    if !equal(&expected, mac) {
        return Err(ChannelError::ResponseMac);
    }
    state.response_chain = *mac;
    Ok(ResponseApdu::new(data.to_vec(), response.status()))
}

//! SCP03, the card's side (GPCS amendment D 1.1.1; 16-byte MACs of version 1.2).

use super::command::{Command, StatusWord};
use super::keys::StaticKeys;
use crate::crypto::aes::AesKey;
use crate::crypto::mac::{Padding, cmac_aes, equal, strip_bit_padding};
use crate::error::Result;
use crate::secret::Secret;
use zeroize::Zeroizing;

/// Option `i`, bit 1: challenges, cryptograms and MACs of 16 bytes (S16).
const S16: u8 = 0x01;
/// Option `i`, bit 5: the card challenge follows from AID and sequence counter.
pub(super) const PSEUDO_RANDOM: u8 = 0x10;
/// Option `i`, bit 6: response MAC.
pub(super) const RESPONSE_MAC: u8 = 0x20;
/// Option `i`, bit 7: response encryption.
pub(super) const RESPONSE_ENCRYPTION: u8 = 0x40;

/// Which commands the encryption counter counts (amendment D 6.2.6 says every one; some cards differ).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterRule {
    /// Every command after EXTERNAL AUTHENTICATE.
    EveryCommand,
    /// Commands with data.
    CommandsWithData,
}

pub(super) const fn is_offered(i: u8) -> bool {
    let known = i & !(S16 | PSEUDO_RANDOM | RESPONSE_MAC | RESPONSE_ENCRYPTION) == 0;
    // Encryption of responses comes only with their MAC.
    known && (i & RESPONSE_ENCRYPTION == 0 || i & RESPONSE_MAC != 0)
}

/// Bytes of a challenge, cryptogram or MAC.
pub(super) const fn size(i: u8) -> usize {
    if i & S16 == 0 { 8 } else { 16 }
}

/// Key derivation in counter mode (SP 800-108; amendment D 4.1.5).
fn derive(key: &Secret, constant: u8, bytes: usize, context: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
    let bits = u16::try_from(bytes.saturating_mul(8)).unwrap_or(u16::MAX).to_be_bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(32));
    for counter in 1..=2_u8 {
        let head = [&[0; 11], &[constant, 0][..], &bits, &[counter]].concat();
        let mut parts = vec![head.as_slice()];
        parts.extend_from_slice(context);
        out.extend(cmac_aes(key, &parts)?);
    }
    out.truncate(bytes);
    Ok(out)
}

/// The card challenge of option bit 5 (amendment D 6.2.2.1).
pub(super) fn challenge(i: u8, keys: &StaticKeys, sequence: [u8; 3], aid: &[u8]) -> Result<Vec<u8>> {
    derive(&keys.enc, 2, size(i), &[&sequence, aid]).map(|c| c.to_vec())
}

/// Session keys, MAC chaining value and encryption counter.
pub(super) struct Scp03 {
    size: usize,
    counts: CounterRule,
    enc: AesKey,
    mac: Secret,
    rmac: Secret,
    pub(super) dek: AesKey,
    context: Vec<u8>,
    chain: [u8; 16],
    counter: u128,
}

impl Scp03 {
    pub(super) fn new(
        i: u8,
        counts: CounterRule,
        keys: &StaticKeys,
        host: &[u8],
        card: &[u8],
    ) -> Result<Self> {
        let session = |key: &Secret, constant| {
            derive(key, constant, key.len(), &[host, card]).map(|k| Secret::copy_of(&k))
        };
        Ok(Self {
            size: size(i),
            counts,
            enc: AesKey::new(&session(&keys.enc, 4)?)?,
            mac: session(&keys.mac, 6)?,
            rmac: session(&keys.mac, 7)?,
            dek: AesKey::new(&keys.dek)?,
            context: [host, card].concat(),
            chain: [0; 16],
            counter: 0,
        })
    }

    pub(super) fn card_cryptogram(&self) -> Result<Vec<u8>> {
        derive(&self.mac, 0, self.size, &[&self.context]).map(|c| c.to_vec())
    }

    pub(super) fn host_cryptogram(&self) -> Result<Vec<u8>> {
        derive(&self.mac, 1, self.size, &[&self.context]).map(|c| c.to_vec())
    }

    /// Checks the MAC over header, length and data as they came, and moves the chain.
    pub(super) fn check_mac(&mut self, header: [u8; 4], lc: u8, data: &[u8], mac: &[u8]) -> bool {
        let Ok(made) = cmac_aes(&self.mac, &[&self.chain, &header, &[lc], data]) else { return false };
        self.chain = made;
        made.get(..self.size).is_some_and(|made| equal(made, mac))
    }

    /// Takes secure messaging off a command.
    pub(super) fn unwrap(&mut self, command: &Command, decipher: bool) -> Result<Command, StatusWord> {
        let bad = StatusWord::SECURITY;
        let end = command.data.len().checked_sub(self.size).ok_or(bad)?;
        let (body, mac) = command.data.split_at_checked(end).ok_or(bad)?;
        let lc = u8::try_from(command.data.len()).map_err(|_| bad)?;
        if !self.check_mac(command.header(), lc, body, mac) {
            return Err(bad);
        }
        if self.counts == CounterRule::EveryCommand || !body.is_empty() {
            self.counter = self.counter.saturating_add(1);
        }
        let mut data = Zeroizing::new(body.to_vec());
        if decipher && !data.is_empty() {
            let icv = self.enc.encrypt_block(self.counter.to_be_bytes());
            self.enc.decrypt_cbc(icv, &mut data).map_err(|_| bad)?;
            let len = strip_bit_padding(&data).map_err(|_| bad)?.len();
            data.truncate(len);
        }
        Ok(Command { cla: command.cla & !4, data, ..*command })
    }

    /// Response data, enciphered when the level says so, and its MAC.
    pub(super) fn protect(&self, data: &[u8], sw: StatusWord, encipher: bool) -> Result<Vec<u8>> {
        let mut out = data.to_vec();
        if encipher && !out.is_empty() {
            out = Padding::Bit.pad(&out, 16);
            let block = self.counter | 0x80 << 120;
            self.enc.encrypt_cbc(self.enc.encrypt_block(block.to_be_bytes()), &mut out)?;
        }
        let mac = cmac_aes(&self.rmac, &[&self.chain, &out, &sw.0.to_be_bytes()])?;
        out.extend_from_slice(mac.get(..self.size).unwrap_or(&mac));
        Ok(out)
    }
}

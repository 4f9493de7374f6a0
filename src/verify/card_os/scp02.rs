//! SCP02, the card's side (GPCS, annex E): explicit initiation, C-MAC on the modified command, 16-byte keys.

use super::command::{Command, StatusWord};
use super::keys::StaticKeys;
use crate::crypto::mac::{Padding, equal, retail_mac, strip_bit_padding, tdes_cbc_mac};
use crate::crypto::tdes::TdesKey;
use crate::error::Result;
use crate::secret::Secret;
use zeroize::Zeroizing;

/// Option `i`, bit 5: the ICV of a C-MAC is enciphered.
const ENCIPHERED_ICV: u8 = 0x10;
/// Option `i`, bit 1: three base keys; one (Key-ENC here) otherwise.
const THREE_KEYS: u8 = 0x01;
/// Option `i`, bit 6: response MAC.
pub(super) const RESPONSE_MAC: u8 = 0x20;
/// Option `i`, bit 7: the card challenge follows from the AID.
pub(super) const PSEUDO_RANDOM: u8 = 0x40;
/// Bits that may be chosen; bit 3 (explicit initiation) must be set.
const CHOICES: u8 = ENCIPHERED_ICV | THREE_KEYS | RESPONSE_MAC | PSEUDO_RANDOM;

pub(super) const fn is_offered(i: u8) -> bool {
    i & !CHOICES == 0x04
}

/// Session keys and the chaining values of both directions.
pub(super) struct Scp02 {
    i: u8,
    enc: TdesKey,
    mac: TdesKey,
    rmac: TdesKey,
    pub(super) dek: TdesKey,
    last_mac: [u8; 8],
    last_rmac: [u8; 8],
    /// The running command without its secure messaging, which the response MAC covers.
    running: Zeroizing<Vec<u8>>,
}

/// TDES CBC of the derivation block (GPCS E.4.1).
fn session_key(key: &Secret, constant: u16, sequence: u16) -> Result<TdesKey> {
    let mut block = Zeroizing::new(vec![0; 16]);
    let head = [constant.to_be_bytes(), sequence.to_be_bytes()].concat();
    block.iter_mut().zip(head).for_each(|(b, h)| *b = h);
    TdesKey::new(key)?.encrypt_cbc([0; 8], &mut block)?;
    TdesKey::from_bytes(&block)
}

impl Scp02 {
    pub(super) fn new(i: u8, keys: &StaticKeys, sequence: u16) -> Result<Self> {
        let other = |key| if i & THREE_KEYS == 0 { &keys.enc } else { key };
        Ok(Self {
            i,
            enc: session_key(&keys.enc, 0x0182, sequence)?,
            mac: session_key(other(&keys.mac), 0x0101, sequence)?,
            rmac: session_key(other(&keys.mac), 0x0102, sequence)?,
            dek: session_key(other(&keys.dek), 0x0181, sequence)?,
            last_mac: [0; 8],
            last_rmac: [0; 8],
            running: Zeroizing::default(),
        })
    }

    /// The card challenge of option bit 7: over the AID of the application that opens the channel (GPCS E.4.2.3).
    pub(super) fn challenge(&self, aid: &[u8]) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = retail_mac(&self.mac, [0; 8], Padding::Bit, aid);
        [a, b, c, d, e, f]
    }

    pub(super) fn card_cryptogram(&self, host: &[u8], sequence: u16, challenge: &[u8]) -> [u8; 8] {
        let input = [host, &sequence.to_be_bytes(), challenge].concat();
        tdes_cbc_mac(&self.enc, [0; 8], Padding::Bit, &input)
    }

    pub(super) fn host_cryptogram(&self, host: &[u8], sequence: u16, challenge: &[u8]) -> [u8; 8] {
        let input = [&sequence.to_be_bytes(), challenge, host].concat();
        tdes_cbc_mac(&self.enc, [0; 8], Padding::Bit, &input)
    }

    /// Checks the MAC of EXTERNAL AUTHENTICATE: the first of the chain, ICV zero.
    pub(super) fn first_mac(&mut self, header: [u8; 4], cryptogram: &[u8], mac: &[u8]) -> bool {
        let input = [&header, &[16][..], cryptogram].concat();
        let made = retail_mac(&self.mac, [0; 8], Padding::Bit, &input);
        (self.last_mac, self.last_rmac) = (made, made);
        equal(&made, mac)
    }

    /// Takes secure messaging off a command.
    pub(super) fn unwrap(&mut self, command: &Command, decipher: bool) -> Result<Command, StatusWord> {
        let bad = StatusWord::SECURITY;
        let (body, mac) = command.data.split_last_chunk::<8>().ok_or(bad)?;
        let mut data = Zeroizing::new(body.to_vec());
        if decipher && !data.is_empty() {
            self.enc.decrypt_cbc([0; 8], &mut data).map_err(|_| bad)?;
            let len = strip_bit_padding(&data).map_err(|_| bad)?.len();
            data.truncate(len);
        }
        let lc = u8::try_from(data.len().saturating_add(8)).map_err(|_| bad)?;
        let input = Zeroizing::new([&command.header(), &[lc][..], &data].concat());
        let icv =
            if self.i & ENCIPHERED_ICV == 0 { self.last_mac } else { self.mac.left_encrypt(self.last_mac) };
        let made = retail_mac(&self.mac, icv, Padding::Bit, &input);
        self.last_mac = made;
        if !equal(&made, mac) {
            return Err(bad);
        }
        Ok(Command { cla: command.cla & !4, data, ..*command })
    }

    /// Keeps the plain command for its response MAC.
    pub(super) fn begin(&mut self, plain: &Command) {
        let lc = u8::try_from(plain.data.len()).unwrap_or(u8::MAX);
        self.running = Zeroizing::new([&plain.header(), &[lc][..], &plain.data].concat());
    }

    /// The response MAC (GPCS E.4.5).
    pub(super) fn response_mac(&mut self, data: &[u8], sw: StatusWord) -> [u8; 8] {
        let length = [data.len().to_be_bytes().last().copied().unwrap_or(0)];
        let input = Zeroizing::new([&self.running[..], &length, data, &sw.0.to_be_bytes()].concat());
        self.last_rmac = retail_mac(&self.rmac, self.last_rmac, Padding::Bit, &input);
        self.last_rmac
    }
}

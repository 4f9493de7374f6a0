//! A secure channel as the card runs it: INITIALIZE UPDATE, EXTERNAL AUTHENTICATE, then every command unwrapped and
//! every response protected as the level says.

use super::command::{Command, StatusWord};
use super::keys::StaticKeys;
use super::scp02::{self, Scp02};
use super::scp03::{self, CounterRule, Scp03};
use crate::crypto::aes::AesKey;
use crate::crypto::mac::equal;
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};

/// The secure channel protocol of a security domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SCP02 with TDES keys of 16 bytes.
    Scp02 {
        /// Option `i`: 04, 05, 14, 15 and the same with 20 (response MAC) and 40 (pseudo-random challenge).
        i: u8,
    },
    /// SCP03 with AES keys of 16, 24 or 32 bytes.
    Scp03 {
        /// Option `i`: 00, 10, 20, 30, 60, 70, and the same with 01 (S16).
        i: u8,
        /// Which commands the encryption counter counts.
        counter: CounterRule,
    },
}

impl Protocol {
    /// Whether the card offers this option, and takes keys of this length.
    pub(super) fn check(self, key: usize) -> Result<()> {
        let (offered, fits) = match self {
            Self::Scp02 { i } => (scp02::is_offered(i), key == 16),
            Self::Scp03 { i, .. } => (scp03::is_offered(i), matches!(key, 16 | 24 | 32)),
        };
        if !offered {
            return Err(ErrorKind::Unsupported("the option i of the secure channel").into());
        }
        if !fits {
            return Err(ErrorKind::Length { expected: "16 (AES: 24, 32)", found: key, unit: "bytes" }.into());
        }
        Ok(())
    }

    pub(super) const fn is_aes(self) -> bool {
        matches!(self, Self::Scp03 { .. })
    }

    /// Length of the host's challenge.
    const fn challenge_len(self) -> usize {
        match self {
            Self::Scp02 { .. } => 8,
            Self::Scp03 { i, .. } => scp03::size(i),
        }
    }
}

/// What EXTERNAL AUTHENTICATE asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) command_mac: bool,
    pub(super) command_encryption: bool,
    pub(super) response_mac: bool,
    pub(super) response_encryption: bool,
}

impl Level {
    fn read(protocol: Protocol, p1: u8) -> Option<Self> {
        let (levels, mac_bit, encryption_bit): (&[u8], u8, u8) = match protocol {
            Protocol::Scp02 { i } => (&[0, 1, 3, 0x10, 0x11, 0x13], i & scp02::RESPONSE_MAC, 0),
            Protocol::Scp03 { i, .. } => {
                (&[0, 1, 3, 0x11, 0x13, 0x33], i & scp03::RESPONSE_MAC, i & scp03::RESPONSE_ENCRYPTION)
            }
        };
        let level = Self {
            command_mac: p1 & 1 != 0,
            command_encryption: p1 & 2 != 0,
            response_mac: p1 & 0x10 != 0,
            response_encryption: p1 & 0x20 != 0,
        };
        let offered = levels.contains(&p1)
            && (!level.response_mac || mac_bit != 0)
            && (!level.response_encryption || encryption_bit != 0);
        offered.then_some(level)
    }
}

enum Scp {
    Two(Box<Scp02>),
    Three(Box<Scp03>),
}

/// The key under which a host enciphers secrets for this session: SKUDEK, or the static Key-DEK.
pub(super) enum Dek<'a> {
    /// TDES ECB.
    Tdes(&'a TdesKey),
    /// AES CBC, ICV zero.
    Aes(&'a AesKey),
}

impl Dek<'_> {
    /// Deciphers in place; `None` unless whole blocks.
    pub(super) fn decipher(&self, data: &mut [u8]) -> Option<()> {
        match self {
            Dek::Tdes(key) => key.decrypt_ecb(data).ok(),
            Dek::Aes(key) => key.decrypt_cbc([0; 16], data).ok(),
        }
    }

    pub(super) const fn is_aes(&self) -> bool {
        matches!(self, Dek::Aes(_))
    }
}

/// What INITIALIZE UPDATE works with.
pub(super) struct Opening<'a> {
    pub(super) protocol: Protocol,
    pub(super) keydata: &'a [u8; 10],
    pub(super) version: u8,
    pub(super) keys: &'a StaticKeys,
    /// AID of the application that is selected.
    pub(super) aid: &'a [u8],
    pub(super) sequence: u32,
}

/// A channel after INITIALIZE UPDATE.
pub(super) struct Pending {
    protocol: Protocol,
    scp: Scp,
    host_cryptogram: Vec<u8>,
}

impl Opening<'_> {
    /// INITIALIZE UPDATE: the response data, and the channel that waits for EXTERNAL AUTHENTICATE.
    pub(super) fn answer(
        &self,
        host: &[u8],
        random: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<(Vec<u8>, Pending), StatusWord> {
        if host.len() != self.protocol.challenge_len() {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let fault = |_| StatusWord::CONDITIONS;
        let mut out = self.keydata.to_vec();
        out.push(self.version);
        match self.protocol {
            Protocol::Scp02 { i } => {
                let sequence = u16::try_from(self.sequence).map_err(|_| StatusWord::CONDITIONS)?;
                let scp = Scp02::new(i, self.keys, sequence).map_err(fault)?;
                let challenge =
                    if i & scp02::PSEUDO_RANDOM == 0 { random(6) } else { scp.challenge(self.aid).to_vec() };
                out.push(2);
                out.extend(sequence.to_be_bytes());
                out.extend(&challenge);
                out.extend(scp.card_cryptogram(host, sequence, &challenge));
                let host_cryptogram = scp.host_cryptogram(host, sequence, &challenge).to_vec();
                Ok((out, Pending { protocol: self.protocol, scp: Scp::Two(Box::new(scp)), host_cryptogram }))
            }
            Protocol::Scp03 { i, counter } => {
                let [_, a, b, c] = self.sequence.to_be_bytes();
                let pseudo = i & scp03::PSEUDO_RANDOM != 0;
                let challenge = if pseudo {
                    scp03::challenge(i, self.keys, [a, b, c], self.aid).map_err(fault)?
                } else {
                    random(scp03::size(i))
                };
                let scp = Scp03::new(i, counter, self.keys, host, &challenge).map_err(fault)?;
                out.extend([3, i]);
                out.extend(&challenge);
                out.extend(scp.card_cryptogram().map_err(fault)?);
                if pseudo {
                    out.extend([a, b, c]);
                }
                let host_cryptogram = scp.host_cryptogram().map_err(fault)?;
                Ok((
                    out,
                    Pending { protocol: self.protocol, scp: Scp::Three(Box::new(scp)), host_cryptogram },
                ))
            }
        }
    }
}

/// An open channel.
pub(super) struct Channel {
    scp: Scp,
    pub(super) level: Level,
}

impl Pending {
    /// EXTERNAL AUTHENTICATE.
    pub(super) fn authenticate(mut self, command: &Command) -> Result<Channel, StatusWord> {
        if command.p2 != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        let level = Level::read(self.protocol, command.p1).ok_or(StatusWord::WRONG_P1_P2)?;
        let size = self.host_cryptogram.len();
        let lc = u8::try_from(command.data.len()).map_err(|_| StatusWord::WRONG_LENGTH)?;
        if command.data.len() != size.saturating_mul(2) {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let (cryptogram, mac) = command.data.split_at_checked(size).ok_or(StatusWord::WRONG_LENGTH)?;
        let known = equal(cryptogram, &self.host_cryptogram);
        let whole = match &mut self.scp {
            Scp::Two(scp) => scp.first_mac(command.header(), cryptogram, mac),
            Scp::Three(scp) => scp.check_mac(command.header(), lc, cryptogram, mac),
        };
        if !(known && whole) {
            return Err(StatusWord::AUTHENTICATION_FAILED);
        }
        Ok(Channel { scp: self.scp, level })
    }
}

impl Channel {
    /// The command in plain, when it is protected as the level asks; otherwise the channel must be closed.
    pub(super) fn unwrap(&mut self, command: Command) -> Result<Command, StatusWord> {
        let protected = command.cla & 4 != 0;
        if protected != self.level.command_mac {
            return Err(StatusWord::SECURITY);
        }
        let decipher = self.level.command_encryption;
        let plain = match &mut self.scp {
            _ if !protected => command,
            Scp::Two(scp) => scp.unwrap(&command, decipher)?,
            Scp::Three(scp) => scp.unwrap(&command, decipher)?,
        };
        if let Scp::Two(scp) = &mut self.scp {
            scp.begin(&plain);
        }
        Ok(plain)
    }

    /// Response data as it leaves the card, before the status word.
    pub(super) fn protect(&mut self, data: Vec<u8>, sw: StatusWord) -> Vec<u8> {
        if !self.level.response_mac || !sw.is_answered() {
            return data;
        }
        match &mut self.scp {
            Scp::Two(scp) => {
                let mac = scp.response_mac(&data, sw);
                [&data[..], &mac].concat()
            }
            Scp::Three(scp) => scp.protect(&data, sw, self.level.response_encryption).unwrap_or_default(),
        }
    }

    pub(super) const fn dek(&self) -> Dek<'_> {
        match &self.scp {
            Scp::Two(scp) => Dek::Tdes(&scp.dek),
            Scp::Three(scp) => Dek::Aes(&scp.dek),
        }
    }
}

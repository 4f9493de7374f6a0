//! A virtual chip: a GlobalPlatform card manager and CPS payment, PSE and PPSE applications that take INSTALL, STORE DATA and
//! the rest as a strict real card would, command by command. For tests of scripts and sessions, and for the agent
//! where no reader is. It shares no code with what makes the commands.
//!
//! What it refuses that many cards let pass: groupings that are secret but not enciphered (and the reverse), lengths in
//! another form than CPS 3.2 gives, headers cut between two commands, a last block before everything is there, CRT parts
//! that do not fit each other, a PIN block whose digits are none, check values that differ, commands without the
//! protection that the channel agreed on, extended lengths, logical channels.

mod applet;
mod channel;
mod command;
mod dgi;
mod faults;
mod keys;
mod manager;
mod reader;
mod scp02;
mod scp03;
#[cfg(test)]
mod tests;
mod use_phase;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

pub use applet::{AppletRules, AppletState, CardKeyCipher, PairOrder, RequiredLevel};
pub use channel::Protocol;
pub use command::StatusWord;
pub use faults::{Delivery, Exchange, Fault, FaultKind, FaultyCard};
pub use keys::{Diversification, StaticKeys};
pub use manager::{LifeCycle, Module};
pub use reader::{Transaction, transact};
pub use scp03::CounterRule;

use super::line::Interface;
use crate::crypto::hash::sha256;
use crate::error::Result;
use crate::secret::Secret;
use applet::Applet;
use channel::{Channel, Opening, Pending};
use command::{Answer, Command, tlv as object};
use manager::Manager;

/// What kind of card it is.
pub struct CardConfig {
    /// Secure channel protocol of the security domain.
    pub protocol: Protocol,
    /// KEYDATA: KMC identifier (6 bytes) and chip serial number (4), as INITIALIZE UPDATE and GET DATA 00CF give it.
    pub keydata: [u8; 10],
    /// Key version number of the first key set.
    pub version: u8,
    /// The first key set.
    pub keys: StaticKeys,
    /// Sequence counter that the next channel uses: two bytes in SCP02, three in SCP03.
    pub sequence: u32,
    /// AID of the issuer security domain.
    pub security_domain: Vec<u8>,
    /// State of the card.
    pub life_cycle: LifeCycle,
    /// Load files and modules that INSTALL may name.
    pub modules: Vec<Module>,
    /// Application instances that are there and selectable already.
    pub instances: Vec<Vec<u8>>,
    /// What applications insist on.
    pub rules: AppletRules,
    /// The interface over which the card speaks.
    pub interface: Interface,
    /// Where random challenges come from: the same seed gives the same challenges.
    pub seed: [u8; 16],
    /// Challenges that are used before those of the seed (published sessions).
    pub challenges: Vec<Vec<u8>>,
}

impl CardConfig {
    /// A card as a maker delivers it (INITIALIZED): one key set, version 01, sequence counter 0001, no instances, and the
    /// load file of the shipped plan for generic cards (F0454D5601) with its three modules.
    #[must_use]
    pub fn new(protocol: Protocol, keys: StaticKeys) -> Self {
        Self {
            protocol,
            keydata: [0x54, 0x13, 0x33, 0xFF, 0xFF, 0xFF, 0x01, 0x02, 0x03, 0x04],
            version: 1,
            keys,
            sequence: 1,
            security_domain: vec![0xA0, 0, 0, 1, 0x51, 0, 0, 0],
            life_cycle: LifeCycle::Initialized,
            modules: (1..=3_u8)
                .map(|n| Module {
                    load_file: vec![0xF0, 0x45, 0x4D, 0x56, 1],
                    module: vec![0xF0, 0x45, 0x4D, 0x56, 1, n],
                })
                .collect(),
            instances: Vec::new(),
            rules: AppletRules::default(),
            interface: Interface::Contact,
            seed: [0; 16],
            challenges: Vec::new(),
        }
    }
}

impl fmt::Debug for CardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardConfig").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// A chip that answers commands.
///
/// ```
/// use emv_dataprep::secret::Secret;
/// use emv_dataprep::verify::card_os::{CardConfig, Protocol, StaticKeys, VirtualCard};
/// let keys = StaticKeys::same(&Secret::copy_of(b"@ABCDEFGHIJKLMNO"));
/// let mut card = VirtualCard::new(CardConfig::new(Protocol::Scp02 { i: 0x55 }, keys))?;
/// // SELECT of the issuer security domain; an application that is not there.
/// assert!(card.transmit(&[0x00, 0xA4, 0x04, 0x00, 0x00]).ends_with(&[0x90, 0x00]));
/// assert_eq!(card.transmit(&[0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0, 0, 0, 3]), [0x6A, 0x82]);
/// // INITIALIZE UPDATE: KEYDATA, key version, protocol, counter, challenge, cryptogram.
/// let answer = card.transmit(&[0x80, 0x50, 0x00, 0x00, 0x08, 1, 2, 3, 4, 5, 6, 7, 8, 0x00]);
/// assert_eq!(answer.len(), 30);
/// assert_eq!(answer[..10], card.keydata());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub struct VirtualCard {
    protocol: Protocol,
    keydata: [u8; 10],
    key_sets: BTreeMap<u8, StaticKeys>,
    sequence: u32,
    rules: AppletRules,
    interface: Interface,
    manager: Manager,
    applets: Vec<Applet>,
    /// AID of the selected instance; the security domain when there is none.
    selected: Option<Vec<u8>>,
    pending: Option<Pending>,
    channel: Option<Channel>,
    seed: [u8; 16],
    drawn: u64,
    challenges: VecDeque<Vec<u8>>,
}

impl fmt::Debug for VirtualCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualCard({:?}, {:?}, {:?})", self.protocol, self.manager.life_cycle, self.applets)
    }
}

impl VirtualCard {
    /// A card as `config` says, powered on, its security domain selected.
    ///
    /// # Errors
    /// [`Unsupported`](crate::error::ErrorKind::Unsupported) for an option `i` that is not offered,
    /// [`Length`](crate::error::ErrorKind::Length) for keys of another length than the protocol's.
    pub fn new(config: CardConfig) -> Result<Self> {
        for key in config.keys.all() {
            config.protocol.check(key.len())?;
        }
        let manager = Manager::new(config.security_domain, config.life_cycle, config.modules);
        Ok(Self {
            protocol: config.protocol,
            keydata: config.keydata,
            key_sets: BTreeMap::from([(config.version, config.keys)]),
            sequence: config.sequence,
            rules: config.rules,
            interface: config.interface,
            manager,
            applets: config.instances.iter().map(|aid| Applet::new(aid, AppletState::Selectable)).collect(),
            selected: None,
            pending: None,
            channel: None,
            seed: config.seed,
            drawn: 0,
            challenges: config.challenges.into(),
        })
    }

    /// KEYDATA of the chip.
    #[must_use]
    pub const fn keydata(&self) -> [u8; 10] {
        self.keydata
    }

    /// State of the card.
    #[must_use]
    pub const fn life_cycle(&self) -> LifeCycle {
        self.manager.life_cycle
    }

    /// State of an application instance; `None` when it is not there.
    #[must_use]
    pub fn applet_state(&self, aid: &[u8]) -> Option<AppletState> {
        self.find(aid).map(|a| a.state)
    }

    /// What an instance holds, deciphered and without padding: data grouping identifiers with their values.
    #[must_use]
    pub fn held(&self, aid: &[u8]) -> Vec<(u16, &Secret)> {
        self.find(aid).map(|a| a.held.iter().map(|(tag, v)| (*tag, v)).collect()).unwrap_or_default()
    }

    /// Whether a secure channel is open.
    #[must_use]
    pub const fn channel_is_open(&self) -> bool {
        self.channel.is_some()
    }

    /// The interface over which the card speaks from the next SELECT on.
    pub const fn set_interface(&mut self, interface: Interface) {
        self.interface = interface;
    }

    /// Power off and on: the channel and every unfinished session are gone, the security domain is selected.
    pub fn reset(&mut self) {
        self.leave();
        self.selected = None;
    }

    /// One command APDU in, the response with its status word out.
    pub fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let (mut out, sw) = match self.answer(apdu) {
            Ok(data) => (data, StatusWord::DONE),
            Err((data, sw)) => (data, sw),
        };
        out.extend(sw.0.to_be_bytes());
        out
    }

    fn find(&self, aid: &[u8]) -> Option<&Applet> {
        self.applets.iter().find(|a| a.aid == aid)
    }

    fn find_mut(&mut self, aid: &[u8]) -> Option<&mut Applet> {
        self.applets.iter_mut().find(|a| a.aid == aid)
    }

    /// Closes the channel and what was begun in it.
    fn leave(&mut self) {
        self.close();
        self.applets.iter_mut().for_each(Applet::leave);
    }

    fn close(&mut self) {
        self.pending = None;
        self.channel = None;
        self.manager.leave();
    }

    fn answer(&mut self, apdu: &[u8]) -> Result<Vec<u8>, (Vec<u8>, StatusWord)> {
        let refuse = |sw| (Vec::new(), sw);
        let command = Command::read(apdu).map_err(refuse)?;
        if command.cla & 3 != 0 {
            return Err(refuse(StatusWord::NO_LOGICAL_CHANNEL));
        }
        if command.cla & 0x78 != 0 {
            return Err(refuse(StatusWord::NO_CLASS));
        }
        match (command.cla, command.ins) {
            (0x00, 0xA4) => return self.select(&command).map_err(refuse),
            (0x80, 0x50) => return self.initialize_update(&command).map_err(refuse),
            (0x84, 0x82) => return self.external_authenticate(&command).map_err(refuse),
            _ => {}
        }
        let Some(mut channel) = self.channel.take() else {
            if command.cla & 4 != 0 {
                self.close();
                return Err(refuse(StatusWord::SECURITY));
            }
            return self.dispatch(&command).map_err(refuse);
        };
        let plain = match channel.unwrap(command) {
            Ok(plain) => plain,
            Err(sw) => {
                self.leave();
                return Err(refuse(sw));
            }
        };
        self.channel = Some(channel);
        let (data, sw) = match self.dispatch(&plain) {
            Ok(data) => (data, StatusWord::DONE),
            Err(sw) => (Vec::new(), sw),
        };
        let data = self.channel.as_mut().map(|c| c.protect(data, sw)).unwrap_or_default();
        if sw == StatusWord::DONE { Ok(data) } else { Err((data, sw)) }
    }

    /// SELECT by name (GPCS 11.9): ends the channel, whatever comes of it.
    fn select(&mut self, command: &Command) -> Answer {
        if command.p1_p2() != 0x0400 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        self.leave();
        if command.data.is_empty() || self.manager.is(&command.data) {
            self.selected = None;
            return Ok(self.manager.fci());
        }
        let interface = self.interface;
        let selectable = self.manager.life_cycle < LifeCycle::Locked;
        let applet = self
            .find(&command.data)
            .filter(|a| selectable && matches!(a.state, AppletState::Selectable | AppletState::Personalized));
        let fci = applet.map(|a| a.fci(interface)).ok_or(StatusWord::NOT_FOUND)?;
        self.selected = Some(command.data.to_vec());
        Ok(fci)
    }

    /// INITIALIZE UPDATE (GPCS E.5.1, amendment D 7.1.1).
    fn initialize_update(&mut self, command: &Command) -> Answer {
        self.close();
        if command.p2 != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        let set = match command.p1 {
            0 => self.key_sets.first_key_value(),
            version => self.key_sets.get_key_value(&version),
        };
        let (version, keys) = set.ok_or(StatusWord::NO_DATA)?;
        let (version, keys) = (*version, keys.duplicate());
        let aid = self.selected.clone().unwrap_or_else(|| self.manager.aid().to_vec());
        let mut random = Vec::new();
        if let Some(given) = self.challenges.pop_front() {
            random = given;
        } else {
            self.drawn = self.drawn.saturating_add(1);
            random.extend(sha256(&[&self.seed, &self.drawn.to_be_bytes()]));
        }
        let opening = Opening {
            protocol: self.protocol,
            keydata: &self.keydata,
            version,
            keys: &keys,
            aid: &aid,
            sequence: self.sequence,
        };
        let (out, pending) = opening.answer(&command.data, |len| {
            random.truncate(len);
            random
        })?;
        self.pending = Some(pending);
        if self.protocol.is_aes() {
            self.count();
        }
        Ok(out)
    }

    /// EXTERNAL AUTHENTICATE (GPCS E.5.2, amendment D 7.1.2).
    fn external_authenticate(&mut self, command: &Command) -> Answer {
        self.channel = None;
        self.manager.leave();
        let pending = self.pending.take().ok_or(StatusWord::CONDITIONS)?;
        self.channel = Some(pending.authenticate(command)?);
        if !self.protocol.is_aes() {
            // The SCP02 counter moves when a host has proved itself.
            self.count();
        }
        Ok(Vec::new())
    }

    const fn count(&mut self) {
        self.sequence = self.sequence.saturating_add(1);
    }

    fn dispatch(&mut self, command: &Command) -> Answer {
        if let Some(found) = self.card_data(command) {
            return Ok(found);
        }
        let Some(aid) = self.selected.clone() else { return self.manage(command) };
        if command.ins == 0xE2 {
            return self.store(&aid, command);
        }
        let interface = self.interface;
        let Some(at) = self.applets.iter().position(|a| a.aid == aid) else {
            return Err(StatusWord::NOT_FOUND);
        };
        let rules = &self.rules;
        let applet = self.applets.get_mut(at).ok_or(StatusWord::NOT_FOUND)?;
        applet.use_command(command, interface, rules)
    }

    /// GET DATA of what every application of the card tells: KEYDATA and CPLC.
    fn card_data(&self, command: &Command) -> Option<Vec<u8>> {
        if (command.cla, command.ins) != (0x80, 0xCA) {
            return None;
        }
        match command.p1_p2() {
            0x00CF => Some(object(0xCF, &self.keydata)),
            0x9F7F => Some(object(0x9F7F, &self.manager.cplc)),
            _ => None,
        }
    }

    /// STORE DATA to an instance, over the channel that is open.
    fn store(&mut self, aid: &[u8], command: &Command) -> Answer {
        if command.cla != 0x80 {
            return Err(StatusWord::NO_CLASS);
        }
        let channel = self.channel.as_ref().ok_or(StatusWord::SECURITY)?;
        let reached = match (channel.level.command_mac, channel.level.command_encryption) {
            (true, true) => RequiredLevel::MacAndEncryption,
            (true, false) => RequiredLevel::Mac,
            _ => RequiredLevel::Authenticated,
        };
        if reached < self.rules.level {
            return Err(StatusWord::SECURITY);
        }
        let rules = self.rules.clone();
        let applet = self.applets.iter_mut().find(|a| a.aid == aid).ok_or(StatusWord::NO_DATA)?;
        applet.store(command, &channel.dek(), &rules).map(|()| Vec::new())
    }
}

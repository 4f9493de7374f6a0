//! The card manager: the issuer security domain and its commands INSTALL, DELETE, PUT KEY, SET STATUS, GET STATUS, GET DATA
//! and STORE DATA (GPCS 11).

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::applet::{Applet, AppletState};
use super::channel::Protocol;
use super::command::{Answer, Command, StatusWord, tlv as object};
use super::dgi::{Assembler, Encryption, P1};
use super::keys::{StaticKeys, check_value};
use super::{Channel, VirtualCard};
use crate::secret::Secret;
use crate::verify::tlv;

/// Life cycle of the card (GPCS 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifeCycle {
    /// 01.
    OpReady,
    /// 07.
    Initialized,
    /// 0F.
    Secured,
    /// 7F.
    Locked,
    /// FF.
    Terminated,
}

impl LifeCycle {
    const fn code(self) -> u8 {
        match self {
            Self::OpReady => 0x01,
            Self::Initialized => 0x07,
            Self::Secured => 0x0F,
            Self::Locked => 0x7F,
            Self::Terminated => 0xFF,
        }
    }

    /// The transitions of GPCS figure 5-1.
    const fn may_become(self, next: u8) -> Option<Self> {
        match (self, next) {
            (Self::OpReady, 0x07) => Some(Self::Initialized),
            (Self::Initialized, 0x0F) | (Self::Locked, 0x0F) => Some(Self::Secured),
            (Self::Secured, 0x7F) => Some(Self::Locked),
            (_, 0xFF) => Some(Self::Terminated),
            _ => None,
        }
    }
}

/// A module of a load file that is on the card: what INSTALL \[for install\] makes an instance of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// AID of the executable load file.
    pub load_file: Vec<u8>,
    /// AID of the executable module.
    pub module: Vec<u8>,
}

/// State of the card manager.
pub(super) struct Manager {
    aid: Vec<u8>,
    pub(super) life_cycle: LifeCycle,
    modules: Vec<Module>,
    /// Card production life cycle data, 42 bytes.
    pub(super) cplc: [u8; 42],
    /// Its own STORE DATA session.
    session: Assembler,
    /// Instance that INSTALL \[for personalization\] named.
    target: Option<Vec<u8>>,
}

/// Bytes of the CPLC that each of the two groupings fills, once.
const CPLC_FIELDS: [(u16, std::ops::Range<usize>); 2] = [(0x9F67, 26..34), (0x9F66, 34..42)];

impl Manager {
    pub(super) fn new(aid: Vec<u8>, life_cycle: LifeCycle, modules: Vec<Module>) -> Self {
        let mut cplc = [0; 42];
        // Fabricator, type, system, its date and level: a made-up chip.
        for (b, v) in cplc.iter_mut().zip([0x40, 0x90, 0x61, 0x64, 0x40, 0x91, 0x60, 0x13, 0x01, 0x00]) {
            *b = v;
        }
        Self { aid, life_cycle, modules, cplc, session: Assembler::default(), target: None }
    }

    pub(super) fn is(&self, aid: &[u8]) -> bool {
        self.aid == aid
    }

    pub(super) fn aid(&self) -> &[u8] {
        &self.aid
    }

    pub(super) fn leave(&mut self) {
        self.session = Assembler::default();
        self.target = None;
    }

    /// The SELECT response: name, and 255 bytes as the longest data field.
    pub(super) fn fci(&self) -> Vec<u8> {
        let data = object(0xA5, &object(0x9F65, &[0xFF]));
        object(0x6F, &[object(0x84, &self.aid), data].concat())
    }
}

/// Values with one length byte, one after the other, to the end.
fn fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut out = Vec::new();
    while let [len, rest @ ..] = bytes {
        let (value, after) = rest.split_at_checked(usize::from(*len))?;
        out.push(value);
        bytes = after;
    }
    Some(out)
}

fn is_aid(aid: &[u8]) -> bool {
    (5..=16).contains(&aid.len())
}

impl VirtualCard {
    /// A command to the security domain.
    pub(super) fn manage(&mut self, command: &Command) -> Answer {
        if command.cla != 0x80 {
            return Err(StatusWord::NO_CLASS);
        }
        if self.manager.life_cycle == LifeCycle::Terminated {
            return Err(StatusWord::CONDITIONS);
        }
        if command.ins == 0xCA {
            return self.manager_data(command);
        }
        if !matches!(command.ins, 0xE2 | 0xE4 | 0xE6 | 0xD8 | 0xF0 | 0xF2) {
            return Err(StatusWord::NO_INSTRUCTION);
        }
        if !self.channel.as_ref().is_some_and(|c| c.level.command_mac) {
            return Err(StatusWord::SECURITY);
        }
        let locked = self.manager.life_cycle == LifeCycle::Locked;
        if locked && command.ins != 0xF0 && command.ins != 0xF2 {
            return Err(StatusWord::CONDITIONS);
        }
        match command.ins {
            0xE2 => self.manager_store(command),
            0xE4 => self.delete(command),
            0xE6 => self.install(command),
            0xD8 => self.put_key(command),
            0xF0 => self.set_status(command),
            _ => self.get_status(command),
        }
    }

    fn manager_data(&self, command: &Command) -> Answer {
        match command.p1_p2() {
            0x0066 => {
                let oid = |tail: &[u8]| object(6, &[&[0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B], tail].concat());
                let (scp, i) = match self.protocol {
                    Protocol::Scp02 { i } => (2, i),
                    Protocol::Scp03 { i, .. } => (3, i),
                };
                let all = [
                    oid(&[1]),
                    object(0x60, &oid(&[2, 2, 2, 1])),
                    object(0x63, &oid(&[3])),
                    object(0x64, &oid(&[4, scp, i])),
                ];
                Ok(object(0x66, &object(0x73, &all.concat())))
            }
            0x00E0 => {
                let kind = if self.protocol.is_aes() { 0x88 } else { 0x80 };
                let mut all = Vec::new();
                for (version, keys) in &self.key_sets {
                    for (id, key) in (1_u8..).zip(keys.all()) {
                        let len = u8::try_from(key.len()).unwrap_or(u8::MAX);
                        all.extend(object(0xC0, &[id, *version, kind, len]));
                    }
                }
                Ok(object(0xE0, &all))
            }
            0x00C1 => {
                let [_, rest @ ..] = self.sequence.to_be_bytes();
                let counter = if self.protocol.is_aes() { &rest[..] } else { rest.get(1..).unwrap_or(&rest) };
                Ok(object(0xC1, counter))
            }
            _ => Err(StatusWord::NO_DATA),
        }
    }

    /// INSTALL (GPCS 11.5): \[for install\] 04, \[for make selectable\] 08, both 0C, \[for personalization\] 20.
    fn install(&mut self, command: &Command) -> Answer {
        if command.p2 != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        let all = fields(&command.data).ok_or(StatusWord::WRONG_DATA)?;
        match (command.p1, all.as_slice()) {
            (0x04 | 0x0C, [load_file, module, aid, privileges, parameters, []]) => {
                let known =
                    self.manager.modules.iter().any(|m| m.load_file == *load_file && m.module == *module);
                if !known {
                    return Err(StatusWord::NO_DATA);
                }
                let objects = tlv::objects(parameters).unwrap_or_default();
                let named = if aid.is_empty() { *module } else { *aid };
                if !is_aid(named)
                    || !matches!(privileges.len(), 1 | 3)
                    || !objects.iter().any(|o| o.tag == 0xC9)
                {
                    return Err(StatusWord::WRONG_DATA);
                }
                if self.find(named).is_some() || self.manager.is(named) {
                    return Err(StatusWord::CONDITIONS);
                }
                let state = if command.p1 == 0x0C { AppletState::Selectable } else { AppletState::Installed };
                self.applets.push(Applet::new(named, state));
                Ok(vec![0])
            }
            (0x08, [[], [], aid, privileges, _, []]) if matches!(privileges.len(), 1 | 3) => {
                let applet = self.find_mut(aid).ok_or(StatusWord::NO_DATA)?;
                if applet.state != AppletState::Installed {
                    return Err(StatusWord::CONDITIONS);
                }
                applet.state = AppletState::Selectable;
                Ok(vec![0])
            }
            (0x20, [[], [], aid, [], [], []]) => {
                self.manager.leave();
                let forwarded = self.rules.forwarded;
                let applet = self.find_mut(aid).ok_or(StatusWord::NO_DATA)?;
                applet.leave();
                if !forwarded || applet.state == AppletState::Installed || applet.state == AppletState::Locked
                {
                    return Err(StatusWord::CONDITIONS);
                }
                self.manager.target = Some(aid.to_vec());
                Ok(vec![0])
            }
            (0x04 | 0x08 | 0x0C | 0x20, _) => Err(StatusWord::WRONG_DATA),
            (0x02 | 0x10 | 0x40, _) => Err(StatusWord::NO_FUNCTION),
            _ => Err(StatusWord::WRONG_P1_P2),
        }
    }

    /// DELETE of an instance (GPCS 11.2).
    fn delete(&mut self, command: &Command) -> Answer {
        if command.p1 != 0 || command.p2 & 0x7F != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        let aid = tlv::only(&command.data, 0x4F).ok_or(StatusWord::WRONG_DATA)?;
        if self.manager.is(aid) {
            return Err(StatusWord::CONDITIONS);
        }
        let at = self.applets.iter().position(|a| a.aid == aid).ok_or(StatusWord::NO_DATA)?;
        self.applets.remove(at);
        if self.manager.target.as_deref() == Some(aid) {
            self.manager.leave();
        }
        Ok(vec![0])
    }

    /// STORE DATA (GPCS 11.11): forwarded to the instance that is being personalized, else the card's own CPLC fields.
    fn manager_store(&mut self, command: &Command) -> Answer {
        if let Some(target) = self.manager.target.clone() {
            let done = self.store(&target, command);
            let open = self.find(&target).is_some_and(|a| a.state == AppletState::Selectable);
            if !open {
                self.manager.target = None;
            }
            return done;
        }
        let p1 = P1::read(command.p1)?;
        let taken = self.manager.session.take(command, p1, |tag| CPLC_FIELDS.iter().any(|(t, _)| *t == tag));
        let done = taken.and_then(|groupings| {
            if p1.encryption != Encryption::None {
                return Err(StatusWord::WRONG_DATA);
            }
            let mut cplc = self.manager.cplc;
            for grouping in groupings {
                let field = CPLC_FIELDS.iter().find(|(tag, _)| *tag == grouping.tag);
                let field =
                    field.and_then(|(_, range)| cplc.get_mut(range.clone())).ok_or(StatusWord::NO_DATA)?;
                if grouping.value.len() != field.len() {
                    return Err(StatusWord::WRONG_DATA);
                }
                if field.iter().any(|b| *b != 0) {
                    return Err(StatusWord::CONDITIONS);
                }
                field.copy_from_slice(&grouping.value);
            }
            self.manager.cplc = cplc;
            Ok(Vec::new())
        });
        if p1.last || done.is_err() {
            self.manager.session = Assembler::default();
        }
        done
    }

    /// PUT KEY of a whole key set (GPCS 11.8): P1 00 adds, another version is replaced; P2 81.
    fn put_key(&mut self, command: &Command) -> Answer {
        if command.p2 != 0x81 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        let (version, mut rest) = command.data.split_first().ok_or(StatusWord::WRONG_DATA)?;
        let (old, version) = (command.p1, *version);
        if !(1..=0x7F).contains(&version) {
            return Err(StatusWord::WRONG_DATA);
        }
        if old != 0 && !self.key_sets.contains_key(&old) {
            return Err(StatusWord::NO_DATA);
        }
        if old != version && self.key_sets.contains_key(&version) {
            return Err(StatusWord::CONDITIONS);
        }
        let channel = self.channel.as_ref().ok_or(StatusWord::SECURITY)?;
        let (mut keys, mut values) = (Vec::new(), vec![version]);
        while !rest.is_empty() {
            let (key, value, after) = self.key_field(channel, rest)?;
            keys.push(key);
            values.extend(value);
            rest = after;
        }
        let [enc, mac, dek] = <[Secret; 3]>::try_from(keys).map_err(|_| StatusWord::WRONG_DATA)?;
        if old != 0 {
            self.key_sets.remove(&old);
        }
        self.key_sets.insert(version, StaticKeys { enc, mac, dek });
        Ok(values)
    }

    /// One key data field: type, length, (AES: length of the key), cryptogram, length and key check value.
    fn key_field<'a>(
        &self,
        channel: &Channel,
        bytes: &'a [u8],
    ) -> Result<(Secret, [u8; 3], &'a [u8]), StatusWord> {
        let wrong = StatusWord::WRONG_DATA;
        let aes = self.protocol.is_aes();
        let (kind, rest) = bytes.split_first().ok_or(wrong)?;
        if *kind != if aes { 0x88 } else { 0x80 } {
            return Err(StatusWord::NO_ALGORITHM);
        }
        let (len, rest) = rest.split_first().ok_or(wrong)?;
        let (block, rest) = rest.split_at_checked(usize::from(*len)).ok_or(wrong)?;
        let (key_len, cryptogram) = match block {
            [key_len, cryptogram @ ..] if aes => (usize::from(*key_len), cryptogram),
            all => (all.len(), all),
        };
        let fits = if aes { matches!(key_len, 16 | 24 | 32) } else { key_len == 16 };
        if !fits || cryptogram.len() != key_len.next_multiple_of(if aes { 16 } else { 8 }) {
            return Err(wrong);
        }
        let [3, a, b, c, rest @ ..] = rest else { return Err(wrong) };
        let mut clear = Zeroizing::new(cryptogram.to_vec());
        channel.dek().decipher(&mut clear).ok_or(wrong)?;
        let key = Secret::copy_of(clear.get(..key_len).ok_or(wrong)?);
        let value = check_value(&key, aes).map_err(|_| wrong)?;
        if value != [*a, *b, *c] {
            return Err(StatusWord::WRONG_KCV);
        }
        Ok((key, value, rest))
    }

    /// SET STATUS (GPCS 11.10): the card (P1 80), or an application that the security domain locks or unlocks (40).
    fn set_status(&mut self, command: &Command) -> Answer {
        match command.p1 {
            0x80 => {
                let next = self.manager.life_cycle.may_become(command.p2).ok_or(StatusWord::CONDITIONS)?;
                self.manager.life_cycle = next;
                Ok(Vec::new())
            }
            0x40 => {
                let applet = self.find_mut(&command.data).ok_or(StatusWord::NO_DATA)?;
                let lock = command.p2 & 0x80 != 0;
                match (applet.state, lock) {
                    (AppletState::Locked, false) => {
                        let whole = applet.held.contains_key(&0x9102) || applet.held.contains_key(&0x9103);
                        applet.state =
                            if whole { AppletState::Personalized } else { AppletState::Selectable };
                    }
                    (AppletState::Selectable | AppletState::Personalized, true) => {
                        applet.leave();
                        if applet.state == AppletState::Selectable {
                            applet.held.clear();
                        }
                        applet.state = AppletState::Locked;
                    }
                    // PERSONALIZED is set by the application itself at its last block, never from outside.
                    _ => return Err(StatusWord::CONDITIONS),
                }
                Ok(Vec::new())
            }
            _ => Err(StatusWord::WRONG_P1_P2),
        }
    }

    /// GET STATUS (GPCS 11.4): the security domain (80), applications (40), load files (20).
    fn get_status(&self, command: &Command) -> Answer {
        let wanted = tlv::only(&command.data, 0x4F).ok_or(StatusWord::WRONG_DATA)?;
        let mut found: BTreeMap<&[u8], u8> = BTreeMap::new();
        match command.p1 {
            0x80 => {
                found.insert(self.manager.aid(), self.manager.life_cycle.code());
            }
            0x40 => found.extend(self.applets.iter().map(|a| (a.aid.as_slice(), a.state.code()))),
            0x20 => found.extend(self.manager.modules.iter().map(|m| (m.load_file.as_slice(), 1))),
            _ => return Err(StatusWord::WRONG_P1_P2),
        }
        let mut out = Vec::new();
        for (aid, state) in found.into_iter().filter(|(aid, _)| aid.starts_with(wanted)) {
            match command.p2 {
                0 => {
                    out.push(u8::try_from(aid.len()).unwrap_or(u8::MAX));
                    out.extend_from_slice(aid);
                    out.extend([state, 0]);
                }
                2 => out.extend(object(0xE3, &[object(0x4F, aid), object(0x9F70, &[state])].concat())),
                _ => return Err(StatusWord::WRONG_P1_P2),
            }
        }
        if out.is_empty() { Err(StatusWord::NO_DATA) } else { Ok(out) }
    }
}

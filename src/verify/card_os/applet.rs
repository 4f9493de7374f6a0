//! An application instance while it is personalized: which groupings it knows, what each must hold, and what must be
//! there at the last block.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use zeroize::Zeroizing;

use super::channel::Dek;
use super::command::{Command, StatusWord};
use super::dgi::{Assembler, Encryption, Grouping, P1};
use super::keys::check_value;
use super::use_phase::Transaction;
use crate::secret::Secret;
use crate::verify::chip::{Kind, PPSE, PSE, afl_entries, gpo_response, record_of};
use crate::verify::crt::Private;
use crate::verify::tlv;

/// Life cycle of an application instance (GPCS 5.3; PERSONALIZED as payment applications set it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppletState {
    /// 03: installed, not selectable.
    Installed,
    /// 07: selectable, not personalized.
    Selectable,
    /// 0F: personalized.
    Personalized,
    /// 8x: locked by the security domain.
    Locked,
}

impl AppletState {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Installed => 0x03,
            Self::Selectable => 0x07,
            Self::Personalized => 0x0F,
            Self::Locked => 0x83,
        }
    }
}

/// The level that STORE DATA to an application needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequiredLevel {
    /// Any authenticated channel.
    Authenticated,
    /// C-MAC.
    Mac,
    /// C-MAC and C-DECRYPTION.
    MacAndEncryption,
}

/// Block cipher of the keys in 8000 and 8001; their check values follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKeyCipher {
    /// TDES, 16 bytes a key.
    Tdes,
    /// AES, 16 bytes a key.
    Aes128,
    /// AES, 32 bytes a key.
    Aes256,
}

impl CardKeyCipher {
    const fn len(self) -> usize {
        if matches!(self, Self::Aes256) { 32 } else { 16 }
    }

    pub(super) const fn is_aes(self) -> bool {
        !matches!(self, Self::Tdes)
    }
}

/// Order in which a grouping of keys or a PIN and its clear companion come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairOrder {
    /// Any order.
    Either,
    /// 8000 before 9000; 9010 before 8010.
    Strict,
}

/// What an application of this card insists on beside the standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppletRules {
    /// Level of the channel for STORE DATA.
    pub level: RequiredLevel,
    /// Cipher of the card's keys.
    pub cipher: CardKeyCipher,
    /// Order of keys and check values (8000, 9000).
    pub key_order: PairOrder,
    /// Order of PIN try counter and reference PIN (9010, 8010).
    pub pin_order: PairOrder,
    /// Groupings that this version of the application does not know.
    pub unknown: BTreeSet<u16>,
    /// Groupings that it knows beside the common ones.
    pub known: BTreeSet<u16>,
    /// Answer when a key check value differs.
    pub kcv_mismatch: StatusWord,
    /// Answer when groupings come in the wrong order.
    pub out_of_order: StatusWord,
    /// Whether the application takes data that its security domain forwards (INSTALL \[for personalization\]).
    pub forwarded: bool,
}

impl Default for AppletRules {
    fn default() -> Self {
        Self {
            level: RequiredLevel::Mac,
            cipher: CardKeyCipher::Tdes,
            key_order: PairOrder::Either,
            pin_order: PairOrder::Either,
            unknown: BTreeSet::new(),
            known: BTreeSet::new(),
            kcv_mismatch: StatusWord::SECURITY,
            out_of_order: StatusWord::CONDITIONS,
            forwarded: true,
        }
    }
}

/// Completion data; stored nowhere.
const COMPLETION: u16 = 0x7FFF;
/// GET PROCESSING OPTIONS responses, in the order in which the contactless interface prefers them.
pub(super) const GPO: [u16; 7] = [0x9117, 0x9115, 0x9116, 0x9207, 0xB104, 0x9206, 0x9104];
/// Lists of internal data objects.
pub(super) const INTERNAL: [u16; 5] = [0x9200, 0x3001, 0x3000, 0x0D01, 0x0E01];
/// qInv, dQ, dP, q, p of the two private keys.
const CRT: [[u16; 5]; 2] =
    [[0x8201, 0x8202, 0x8203, 0x8204, 0x8205], [0x8301, 0x8302, 0x8303, 0x8304, 0x8305]];
/// Exponent and modulus of the two private keys.
const PLAIN: [[u16; 2]; 2] = [[0x8101, 0x8103], [0x8102, 0x8104]];

/// One application instance.
pub(super) struct Applet {
    pub(super) aid: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) state: AppletState,
    pub(super) held: BTreeMap<u16, Secret>,
    session: Assembler,
    /// Application transaction counter.
    pub(super) atc: u16,
    /// What the terminal has done since SELECT.
    pub(super) transaction: Transaction,
    pub(super) signature_key: Option<Private>,
}

impl fmt::Debug for Applet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aid = hex::encode_upper(&self.aid);
        write!(f, "Applet({aid}, {:?}, {} groupings)", self.state, self.held.len())
    }
}

/// Whether a grouping holds a secret, so that it comes enciphered; `None` when both are practice.
fn is_secret(tag: u16) -> Option<bool> {
    match tag {
        0x8103 | 0x8104 | COMPLETION => None,
        _ => Some(tag >> 12 == 8),
    }
}

impl Applet {
    pub(super) fn new(aid: &[u8], state: AppletState) -> Self {
        let kind = match aid {
            PSE => Kind::Pse,
            PPSE => Kind::Ppse,
            _ => Kind::Payment,
        };
        Self {
            aid: aid.to_vec(),
            kind,
            state,
            held: BTreeMap::new(),
            session: Assembler::default(),
            atc: 0,
            transaction: Transaction::default(),
            signature_key: None,
        }
    }

    pub(super) fn get(&self, tag: u16) -> Option<&[u8]> {
        self.held.get(&tag).map(Secret::expose)
    }

    /// SELECT or reset: a personalization session that was open is gone, and so is a transaction.
    pub(super) fn leave(&mut self) {
        self.session = Assembler::default();
        self.transaction = Transaction::default();
    }

    fn knows(kind: Kind, rules: &AppletRules, tag: u16) -> bool {
        let record = record_of(tag).is_some();
        let common = match kind {
            Kind::Payment => {
                let listed = [0x8000, 0x8001, 0x9000, 0x9001, 0x8010, 0x9010, 0x9102, 0x9103, COMPLETION];
                record
                    || listed.contains(&tag)
                    || GPO.contains(&tag)
                    || INTERNAL.contains(&tag)
                    || CRT.iter().any(|set| set.contains(&tag))
                    || PLAIN.iter().any(|set| set.contains(&tag))
            }
            Kind::Pse => tag == 0x9102 || tag == COMPLETION || record && tag < 0x0B00,
            Kind::Ppse => tag == 0x9102 || tag == COMPLETION,
        };
        (common || rules.known.contains(&tag)) && !rules.unknown.contains(&tag)
    }

    /// STORE DATA.
    pub(super) fn store(
        &mut self,
        command: &Command,
        dek: &Dek<'_>,
        rules: &AppletRules,
    ) -> Result<(), StatusWord> {
        if self.state != AppletState::Selectable {
            return Err(StatusWord::CONDITIONS);
        }
        let p1 = P1::read(command.p1)?;
        if self.session.is_new() {
            // A session begins anew: nothing that a torn one left is kept.
            self.held.clear();
            self.signature_key = None;
        }
        let kind = self.kind;
        let done = self
            .session
            .take(command, p1, |tag| Self::knows(kind, rules, tag))
            .and_then(|groupings| self.keep(groupings, p1, dek, rules));
        match done {
            Ok(()) if p1.last => {
                self.session = Assembler::default();
                self.state = AppletState::Personalized;
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(StatusWord::NO_DATA) => Err(StatusWord::NO_DATA),
            Err(sw) => {
                // After any other refusal the session is over: the next command must be the first of a new one.
                self.session = Assembler::default();
                Err(sw)
            }
        }
    }

    /// Keeps the groupings of one command: all of them or none.
    fn keep(
        &mut self,
        groupings: Vec<Grouping>,
        p1: P1,
        dek: &Dek<'_>,
        rules: &AppletRules,
    ) -> Result<(), StatusWord> {
        let mut new = BTreeMap::new();
        for Grouping { tag, mut value } in groupings {
            let enciphered = match (p1.encryption, is_secret(tag)) {
                (Encryption::None, Some(true)) | (Encryption::All, Some(false)) => {
                    return Err(StatusWord::WRONG_DATA);
                }
                (Encryption::None, _) | (Encryption::ByGrouping, Some(false)) => false,
                (Encryption::All, _) | (Encryption::ByGrouping, _) => true,
            };
            if tag == COMPLETION {
                if !p1.last {
                    return Err(StatusWord::WRONG_DATA);
                }
                continue;
            }
            if enciphered {
                if value.is_empty() {
                    return Err(StatusWord::WRONG_DATA);
                }
                dek.decipher(&mut value).ok_or(StatusWord::WRONG_DATA)?;
                if tag == 0x8010 && dek.is_aes() {
                    // CPS 2.0: the PIN block, then eight random bytes.
                    if value.len() != 16 {
                        return Err(StatusWord::WRONG_DATA);
                    }
                    value.truncate(8);
                }
            }
            self.check_order(tag, &new, rules)?;
            if !is_well_formed(tag, &value, self, rules) {
                return Err(StatusWord::WRONG_DATA);
            }
            new.insert(tag, Secret::copy_of(&value));
        }
        let find = |tag: u16| new.get(&tag).or_else(|| self.held.get(&tag)).map(Secret::expose);
        for (keys, values) in [(0x8000, 0x9000), (0x8001, 0x9001)] {
            let changed = new.contains_key(&keys) || new.contains_key(&values);
            let (Some(keys), Some(values), true) = (find(keys), find(values), changed) else { continue };
            if !check_values_agree(keys, values, rules.cipher) {
                return Err(rules.kcv_mismatch);
            }
        }
        if p1.last {
            let parts = self.complete(&find, dek.is_aes())?;
            new.extend(parts);
        }
        self.held.extend(new);
        if p1.last {
            self.signature_key = self.private(0);
        }
        Ok(())
    }

    fn check_order(
        &self,
        tag: u16,
        new: &BTreeMap<u16, Secret>,
        rules: &AppletRules,
    ) -> Result<(), StatusWord> {
        let first = match tag {
            0x9000 | 0x9001 if rules.key_order == PairOrder::Strict => tag & 0x0FFF | 0x8000,
            0x8010 if rules.pin_order == PairOrder::Strict => 0x9010,
            _ => return Ok(()),
        };
        let there = self.held.contains_key(&first) || new.contains_key(&first);
        if there { Ok(()) } else { Err(rules.out_of_order) }
    }

    /// What must be there at the last block. Gives the private key parts without their padding.
    fn complete<'a>(
        &self,
        find: &impl Fn(u16) -> Option<&'a [u8]>,
        aes: bool,
    ) -> Result<Vec<(u16, Secret)>, StatusWord> {
        let missing = StatusWord::WRONG_DATA;
        let has = |tag| find(tag).is_some();
        match self.kind {
            Kind::Ppse => return if has(0x9102) { Ok(Vec::new()) } else { Err(missing) },
            Kind::Pse => {
                let fci = find(0x9102).ok_or(missing)?;
                let sfi = match tlv::objects(proprietary(fci).ok_or(missing)?) {
                    Some(objects) => objects.into_iter().find(|o| o.tag == 0x88).map(|o| o.value),
                    None => None,
                };
                let Some([sfi @ 1..=10]) = sfi else { return Err(missing) };
                return if has(u16::from_be_bytes([*sfi, 1])) { Ok(Vec::new()) } else { Err(missing) };
            }
            Kind::Payment => {}
        }
        let mut dynamic = false;
        let mut paths: u8 = 0;
        for tag in GPO {
            let Some((aip, afl, _)) = find(tag).and_then(|v| gpo_response(tag, v)) else { continue };
            paths = paths.saturating_add(1);
            let [first, _] = aip;
            dynamic |= first & 0x21 != 0;
            for entry in afl_entries(afl).map_err(|_| missing)? {
                let all = (entry.first..=entry.last).all(|n| has(u16::from_be_bytes([entry.sfi, n])));
                if !all {
                    return Err(missing);
                }
            }
        }
        let pin_pair = has(0x8010) == has(0x9010);
        let selected = has(0x9102) || has(0x9103);
        let keys = has(0x8000) && has(0x9000) && has(0x8001) == has(0x9001);
        if paths == 0 || !pin_pair || !selected || !keys {
            return Err(missing);
        }
        let mut trimmed = Vec::new();
        for (crt, plain) in CRT.iter().zip(&PLAIN) {
            let parts: Vec<&[u8]> = crt.iter().filter_map(|tag| find(*tag)).collect();
            match (parts.as_slice(), plain.map(find)) {
                ([], [None, None]) => {}
                ([_, _, _, _, _], [None, None]) => {
                    let len = part_len(&parts, aes).ok_or(missing)?;
                    let cut = |part: &&[u8]| part.get(..len).map(Secret::copy_of);
                    trimmed.extend(crt.iter().copied().zip(parts.iter().filter_map(cut)));
                }
                ([], [Some(_), Some(_)]) => {}
                _ => return Err(missing),
            }
        }
        let signs = has(0x8205) || has(0x8101);
        if dynamic && !signs { Err(missing) } else { Ok(trimmed) }
    }

    /// The private key of dynamic signatures (0) or of PIN encipherment (1).
    fn private(&self, which: usize) -> Option<Private> {
        let crt = CRT.get(which)?.map(|tag| self.get(tag));
        if let [Some(a), Some(b), Some(c), Some(d), Some(e)] = crt {
            return Private::from_crt([a, b, c, d, e]);
        }
        let [d, n] = PLAIN.get(which)?.map(|tag| self.get(tag));
        Private::from_plain(d?, n?)
    }
}

/// The value of A5 in a SELECT response that is A5 alone or the whole 6F.
pub(super) fn proprietary(fci: &[u8]) -> Option<&[u8]> {
    tlv::only(fci, 0xA5)
        .or_else(|| Some(tlv::objects(tlv::only(fci, 0x6F)?)?.into_iter().find(|o| o.tag == 0xA5)?.value))
}

/// Whether a whole, deciphered grouping has the form that its number asks for.
fn is_well_formed(tag: u16, value: &[u8], applet: &Applet, rules: &AppletRules) -> bool {
    let lists = |bytes: &[u8]| tlv::objects(bytes).is_some_and(|all| !all.is_empty());
    match tag {
        0x8000 | 0x8001 => {
            let count = value.len().checked_div(rules.cipher.len()).unwrap_or(0);
            value.len().is_multiple_of(rules.cipher.len()) && (1..=3).contains(&count)
        }
        0x9000 | 0x9001 => value.len().is_multiple_of(3) && (3..=9).contains(&value.len()),
        0x8010 => is_pin_block(value),
        0x9010 => matches!(value, [counter, limit] if counter <= limit && *limit <= 15),
        0x8101..=0x8104 | 0x8201..=0x8205 | 0x8301..=0x8305 => !value.is_empty() && value.len() <= 256,
        0x9102 | 0x9103 => {
            let named = match tlv::only(value, 0x6F).and_then(tlv::objects) {
                Some(all) => all.first().is_some_and(|o| o.tag == 0x84 && o.value == applet.aid),
                None => true,
            };
            named && proprietary(value).is_some_and(lists)
        }
        0x0D01 | 0x0E01 => tlv::only(value, 0x70).map_or_else(|| lists(value), lists),
        _ if INTERNAL.contains(&tag) => lists(value),
        _ if GPO.contains(&tag) => gpo_response(tag, value).is_some(),
        _ => match record_of(tag) {
            Some((1..=10, _)) => value.len() <= 254 && tlv::only(value, 0x70).is_some_and(lists),
            Some(_) => value.len() <= 254 && !value.is_empty(),
            None => true,
        },
    }
}

/// A reference PIN block of format 0 (as CPS writes it), 1 or 2: control, length, digits, and `F` fill where the format has it.
fn is_pin_block(value: &[u8]) -> bool {
    let nibbles = Zeroizing::new(value.iter().flat_map(|b| [b >> 4, b & 15]).collect::<Vec<_>>());
    let [control @ 0..=2, len @ 4..=12, rest @ ..] = nibbles.as_slice() else { return false };
    let Some((digits, fill)) = rest.split_at_checked(usize::from(*len)) else { return false };
    value.len() == 8
        && digits.iter().fold(true, |all, d| all & (*d < 10))
        && (*control == 1 || fill.iter().fold(true, |all, d| all & (*d == 15)))
}

fn check_values_agree(keys: &[u8], values: &[u8], cipher: CardKeyCipher) -> bool {
    let mut made = Vec::new();
    for key in keys.chunks(cipher.len()) {
        match check_value(&Secret::copy_of(key), cipher.is_aes()) {
            Ok(value) => made.extend(value),
            Err(_) => return false,
        }
    }
    crate::crypto::mac::equal(&made, values)
}

/// The length of private key parts before padding: the one at which the five fit each other, what follows being nothing,
/// 80 and zeros, or (AES) less than a block of anything.
fn part_len(parts: &[&[u8]], aes: bool) -> Option<usize> {
    let [a, b, c, d, e] = parts else { return None };
    let longest = parts.iter().map(|p| p.len()).min()?;
    let is_padding = |tail: &[u8]| match tail {
        [] => true,
        [0x80, zeros @ ..] if zeros.iter().all(|z| *z == 0) && tail.len() <= 16 => true,
        [0x80, ..] if aes => tail.len() <= 24,
        _ => aes && tail.len() < 16,
    };
    (longest.saturating_sub(24).max(1)..=longest).rev().find(|len| {
        let cut = [a, b, c, d, e].map(|part| part.split_at_checked(*len));
        let [Some(a), Some(b), Some(c), Some(d), Some(e)] = cut else { return false };
        let whole = [a, b, c, d, e];
        whole.iter().all(|(_, tail)| is_padding(tail))
            && Private::from_crt(whole.map(|(part, _)| part)).is_some()
    })
}

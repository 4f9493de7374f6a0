//! Personalization scripts: SELECT and the STORE DATA commands of one application instance (CPS 4.3.4; cut and counted as
//! GPCS 11.11.2).
//!
//! A card expects secrets under its session key, which is not known here. So a secret grouping is no APDU but a
//! [`ScriptStep::StoreData`] that names it: whoever holds the session deciphers it from the transport key, enciphers it
//! for the session, and cuts it. Reciphering keeps the length (both ciphers work on whole blocks of the padded value), so
//! the number of commands follows from the length that stands here, and P2 of the following steps stays right. A session
//! whose cipher has larger blocks than the transport key must build its own script from the groupings.

use zeroize::{Zeroize, Zeroizing};

use super::dgi::push_dgi;
use super::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection, parse_dgis};
use crate::bytes::Cursor;
use crate::emv::Aid;
use crate::error::{Error, ErrorKind, Place, Result};

/// P1 bit 8: last block, the application is personalized after it.
pub const P1_LAST: u8 = 0x80;
/// P1 bits 7 and 6: all groupings of the command are enciphered.
pub const P1_ENCIPHERED: u8 = 0x60;

/// One step of a script.
#[derive(Clone, PartialEq, Eq)]
pub enum ScriptStep {
    /// A command that goes to the card as it is (the session adds its secure messaging).
    Apdu(Vec<u8>),
    /// STORE DATA of secret groupings: they go from the transport key to the session's key first, then into
    /// [`commands_for`] commands, P2 counting up from `p2`; bit 8 of `p1` belongs to the last of them alone.
    StoreData {
        /// P1: 60, or E0 at the end.
        p1: u8,
        /// P2 of the first command.
        p2: u8,
        /// The groupings, in order.
        dgis: Vec<DgiTag>,
    },
}

impl Drop for ScriptStep {
    /// A command may carry the PAN or a track.
    fn drop(&mut self) {
        if let Self::Apdu(bytes) = self {
            bytes.zeroize();
        }
    }
}

impl std::fmt::Debug for ScriptStep {
    /// Header and length; the data may hold card values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Apdu(bytes) => {
                let header = crate::bytes::hex_upper(bytes.get(..4).unwrap_or_default());
                write!(f, "Apdu({header}, {} bytes)", bytes.len())
            }
            Self::StoreData { p1, p2, dgis } => write!(f, "StoreData({p1:02X} {p2:02X}, {dgis:?})"),
        }
    }
}

/// How the personalization is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completion {
    /// The last grouping carries the last-block bit.
    LastGrouping,
    /// An empty grouping 7FFF follows and carries it.
    EmptyCompletion,
}

/// How groupings are put into commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptPlan {
    /// Most data bytes of one command, before secure messaging: 1 to 255.
    pub max_data: u8,
    /// Groupings that go into one command together: each list stands in the set in this order without another between,
    /// all clear or all secret, and fits into one command.
    pub groups: Vec<Vec<DgiTag>>,
    /// How it ends.
    pub completion: Completion,
}

impl Default for ScriptPlan {
    /// One grouping a command, 239 bytes of data: what C-MAC and C-DECRYPTION leave in SCP02 and in SCP03 with 8-byte
    /// MACs.
    fn default() -> Self {
        Self { max_data: 239, groups: Vec::new(), completion: Completion::LastGrouping }
    }
}

/// How many commands `len` bytes of groupings (identifiers and lengths counted) take.
#[must_use]
pub fn commands_for(len: usize, max_data: u8) -> usize {
    len.div_ceil(usize::from(max_data.max(1))).max(1)
}

/// The script of one application instance.
///
/// ```
/// use emv_dataprep::emv::Aid;
/// use emv_dataprep::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection, Script, ScriptPlan};
/// let dgi = |tag, value, protection| ProtectedDgi { tag: DgiTag(tag), value, protection };
/// let set = ProtectedDgiSet::from_prepared(vec![
///     dgi(0x8000, vec![0x5A; 48], Protection::Transport),
///     dgi(0x9010, vec![3, 3], Protection::None),
/// ])?;
/// let script = Script::build(&"A0000000031010".parse()?, &set, &ScriptPlan::default())?;
/// let text: Vec<_> = script.0.iter().map(|step| format!("{step:?}")).collect();
/// assert_eq!(text[1], "StoreData(60 00, [DgiTag(8000)])");
/// assert_eq!(text[2], "Apdu(80E28001, 10 bytes)");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(pub Vec<ScriptStep>);

impl Script {
    /// STORE DATA commands that one personalization may have: P2 is one byte.
    pub const MAX_COMMANDS: usize = 256;

    /// SELECT, then the groupings of `set` in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for an empty set, [`ErrorKind::Value`] for `max_data` 0, for a group that is not as
    /// [`ScriptPlan::groups`] says, and for more than 256 commands.
    pub fn build(aid: &Aid, set: &ProtectedDgiSet, plan: &ScriptPlan) -> Result<Self> {
        if plan.max_data == 0 {
            return Err(ErrorKind::Value("a command has at least one byte of data").into());
        }
        let mut units = units(set.dgis(), plan)?;
        let empty = ProtectedDgi { tag: DgiTag::COMPLETION, value: Vec::new(), protection: Protection::None };
        let completion = [empty];
        if units.is_empty() {
            return Err(ErrorKind::Missing("a DGI to store").into());
        }
        if plan.completion == Completion::EmptyCompletion {
            units.push(&completion);
        }
        let mut steps = vec![ScriptStep::Apdu(select(aid))];
        let mut next = 0_usize;
        let last = units.len().saturating_sub(1);
        for (i, unit) in units.iter().enumerate() {
            let end = if i == last { P1_LAST } else { 0 };
            next = store_data(unit, next, end, plan.max_data, &mut steps)?;
        }
        Ok(Self(steps))
    }

    /// The clear groupings put together again from the STORE DATA commands: what a card would see of them.
    ///
    /// # Errors
    /// As [`parse_dgis`], and [`ErrorKind::Value`] for a step that is no command of the kinds that [`Script::build`]
    /// makes.
    pub fn clear_dgis(&self) -> Result<Vec<(DgiTag, Vec<u8>)>> {
        let room = self.0.iter().map(|s| if let ScriptStep::Apdu(a) = s { a.len() } else { 0 }).sum();
        let mut run = Zeroizing::new(Vec::with_capacity(room));
        let mut out = Vec::new();
        let mut close = |run: &mut Vec<u8>| -> Result<()> {
            out.extend(parse_dgis(run)?.iter().map(|d| (d.tag, d.value.to_vec())));
            run.clear();
            Ok(())
        };
        for (i, step) in self.0.iter().enumerate() {
            match step {
                ScriptStep::StoreData { .. } => close(&mut run)?,
                ScriptStep::Apdu(apdu) => {
                    let data = store_data_of(apdu).at_with(|| format!("step {}", i.saturating_add(1)))?;
                    run.extend_from_slice(data.unwrap_or_default());
                }
            }
        }
        close(&mut run)?;
        Ok(out)
    }
}

/// SELECT by name, first occurrence (ISO/IEC 7816-4; EMV 4.4 Book 1, 11.3).
#[must_use]
pub fn select(aid: &Aid) -> Vec<u8> {
    let name = aid.as_bytes();
    let mut apdu = vec![0x00, 0xA4, 0x04, 0x00, u8::try_from(name.len()).unwrap_or(16)];
    apdu.extend_from_slice(name);
    apdu.push(0x00);
    apdu
}

fn store_data_of(apdu: &[u8]) -> Result<Option<&[u8]>> {
    let mut cursor = Cursor::new(apdu);
    let [cla, ins, _p1, _p2, lc] = cursor.array()?;
    let data = cursor.take(usize::from(lc))?;
    match (cla, ins) {
        (0x80, 0xE2) => Ok(Some(data)),
        (0x00, 0xA4) => Ok(None),
        _ => Err(ErrorKind::Value("this command has no place in a script").into()),
    }
}

/// The groupings cut into what shares a command: a group, or one grouping alone.
fn units<'a>(dgis: &'a [ProtectedDgi], plan: &ScriptPlan) -> Result<Vec<&'a [ProtectedDgi]>> {
    let mut units = Vec::new();
    let mut rest = dgis;
    let mut used = 0_usize;
    while let Some(first) = rest.first() {
        let group = plan.groups.iter().find(|g| g.first() == Some(&first.tag));
        let len = group.map_or(1, Vec::len);
        let place = || format!("group of DGI {}", first.tag);
        let (unit, after) = rest
            .split_at_checked(len)
            .ok_or_else(|| Error::new(ErrorKind::Missing("a DGI of the group")).at(place()))?;
        if let Some(group) = group {
            check_group(unit, group, plan.max_data).at_with(place)?;
            used = used.saturating_add(1);
        }
        units.push(unit);
        rest = after;
    }
    if used != plan.groups.len() {
        return Err(ErrorKind::Value("a group of the plan does not begin anywhere in the set").into());
    }
    Ok(units)
}

fn check_group(unit: &[ProtectedDgi], group: &[DgiTag], max_data: u8) -> Result<()> {
    if !unit.iter().map(|d| d.tag).eq(group.iter().copied()) {
        return Err(ErrorKind::Value("the DGIs of a group follow each other in the set").into());
    }
    let first = unit.first().map(|d| d.protection);
    if unit.iter().any(|d| Some(d.protection) != first) {
        return Err(ErrorKind::Value("the DGIs of a group are all clear or all secret").into());
    }
    if encode_all(unit)?.len() > usize::from(max_data) {
        return Err(ErrorKind::Value("the DGIs of a group fit into one command").into());
    }
    Ok(())
}

fn encode_all(unit: &[ProtectedDgi]) -> Result<Zeroizing<Vec<u8>>> {
    // Room for all of it: a vector that grows leaves card values behind.
    let room = unit.iter().map(|dgi| dgi.value.len().saturating_add(5)).sum();
    let mut data = Zeroizing::new(Vec::with_capacity(room));
    for dgi in unit {
        push_dgi(&mut data, dgi.tag, &dgi.value)?;
    }
    Ok(data)
}

/// Appends the steps of one unit; gives the number of the next command.
fn store_data(
    unit: &[ProtectedDgi],
    first: usize,
    end: u8,
    max_data: u8,
    steps: &mut Vec<ScriptStep>,
) -> Result<usize> {
    let data = encode_all(unit)?;
    let count = commands_for(data.len(), max_data);
    let next = first.saturating_add(count);
    if next > Script::MAX_COMMANDS {
        return Err(ErrorKind::Value("a personalization has at most 256 STORE DATA commands").into());
    }
    let p2 = |n: usize| u8::try_from(n).map_err(|_| Error::new(ErrorKind::Internal("P2 of STORE DATA")));
    if unit.iter().any(|d| d.protection == Protection::Transport) {
        let dgis = unit.iter().map(|d| d.tag).collect();
        steps.push(ScriptStep::StoreData { p1: P1_ENCIPHERED | end, p2: p2(first)?, dgis });
        return Ok(next);
    }
    for (i, part) in data.chunks(usize::from(max_data)).enumerate() {
        let is_last = i.saturating_add(1) == count;
        let lc = u8::try_from(part.len()).map_err(|_| ErrorKind::Internal("Lc of STORE DATA"))?;
        let header = [0x80, 0xE2, if is_last { end } else { 0 }, p2(first.saturating_add(i))?, lc];
        let mut apdu = Vec::with_capacity(part.len().saturating_add(header.len()));
        apdu.extend_from_slice(&header);
        apdu.extend_from_slice(part);
        steps.push(ScriptStep::Apdu(apdu));
    }
    Ok(next)
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;

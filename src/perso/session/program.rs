//! A plan and a card's applications, laid out as operations in order.

use std::fmt;

use zeroize::Zeroizing;

use super::data::PersonalizationData;
use crate::crypto::hash::sha256;
use crate::emv::Aid;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::perso::apdu::{CommandApdu, StatusWord};
use crate::perso::plan::{
    CardCheck, Cplc, Expected, Install, PersonalizationPlan, Phase, PlanStep, Route, StatusScope, StoreData,
    Target,
};
use crate::perso::{DgiTag, ProtectedDgiSet};

/// A phase with its one target: what is begun and completed as a whole.
#[derive(Debug)]
pub(super) struct Unit {
    /// Phase and, for an application, its AID.
    pub(super) name: String,
    /// The application's position in the card.
    pub(super) application: Option<usize>,
    pub(super) ops: Vec<Op>,
    /// How many of the first operations only get there: reset, SELECT, channel.
    pub(super) approach: usize,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) name: String,
    pub(super) what: What,
}

/// What an operation does.
#[derive(Debug)]
pub(super) enum What {
    /// The caller resets the card.
    Reset,
    /// One command, in the channel when one is open.
    Command(Command),
    /// INITIALIZE UPDATE and EXTERNAL AUTHENTICATE.
    Open(Opening),
    /// STORE DATA of the application's groupings.
    Store(StoreData),
    /// CPLC: the date is that of the day.
    Cplc(Cplc),
    /// PUT KEY.
    PutKey { new_version: u8, replaces: u8 },
}

/// How a channel is opened.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// Its name in the plan.
    pub(super) channel: String,
    /// Who opens it, when that is known.
    pub(super) aid: Option<Aid>,
    /// The station's name of the keys that PUT KEY brings.
    pub(super) new_keys: Option<String>,
    /// Only to see which chip it is: no EXTERNAL AUTHENTICATE.
    pub(super) identify: bool,
}

/// A command and the answers that are right.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) apdu: CommandApdu,
    pub(super) good: Vec<StatusWord>,
    pub(super) data: Wanted,
    pub(super) nature: Nature,
}

/// What sending a command again does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// SELECT: no harm; it ends the channel.
    Select,
    /// It reads: no harm.
    Read,
    /// It leads to the same state.
    SameState,
    /// DELETE that takes "not there" for an answer.
    Delete,
    /// INSTALL of an instance: refused when it is there already.
    Install,
    /// DELETE that must find its instance.
    Once,
    /// INSTALL [for personalization].
    ForPersonalization,
}

/// The response data that is right.
pub(super) enum Wanted {
    Any,
    Exactly(Zeroizing<Vec<u8>>),
    /// One of these somewhere in it; none given: any.
    OneOf(Vec<Zeroizing<Vec<u8>>>),
}

impl Wanted {
    pub(super) fn holds(&self, data: &[u8]) -> bool {
        let within = |part: &[u8]| data.windows(part.len().max(1)).any(|w| w == part);
        match self {
            Self::Any => true,
            Self::Exactly(bytes) => data == bytes.as_slice(),
            Self::OneOf(parts) => parts.is_empty() || parts.iter().any(|p| within(p)),
        }
    }

    /// Whether data proves anything.
    pub(super) fn proves(&self) -> bool {
        !matches!(self, Self::Any) && !matches!(self, Self::OneOf(parts) if parts.is_empty())
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.proves() { "Wanted(some)" } else { "Wanted(any)" })
    }
}

/// Lays the plan out for the card. The units, and a digest of plan and data.
pub(super) fn lay_out(
    plan: &PersonalizationPlan,
    data: &PersonalizationData,
) -> Result<(Vec<Unit>, [u8; 32])> {
    let mut units = Vec::new();
    let mut stored = vec![0_usize; data.applications.len()];
    let aids: Vec<&Aid> = data.applications.iter().map(|a| &a.aid).collect();
    for phase in &plan.phases {
        let place = || format!("phase {}", phase.name);
        match &phase.target {
            Target::CardManager { .. } => units.push(unit(phase, None, data).at_with(place)?),
            Target::Applications { of, .. } => {
                for index in of.of(&aids) {
                    if phase.steps.iter().any(|s| matches!(s, PlanStep::StoreData(_)))
                        && let Some(count) = stored.get_mut(index)
                    {
                        *count = count.saturating_add(1);
                    }
                    units.push(unit(phase, Some(index), data).at_with(place)?);
                }
            }
        }
    }
    for (application, count) in data.applications.iter().zip(stored) {
        let place = || format!("application {}", application.aid);
        match count {
            0 => return Err(ErrorKind::Missing("its place in the plan")).at_with(place),
            1 => {}
            _ => return Err(ErrorKind::Value("the plan personalizes it twice")).at_with(place),
        }
    }
    let mut text = data.digest().to_vec();
    for unit in &units {
        put(&mut text, unit.name.as_bytes());
        for op in &unit.ops {
            put(&mut text, op.name.as_bytes());
            op.what.canonical(plan, &mut text);
        }
    }
    Ok((units, sha256(&[&text])))
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

impl What {
    /// What the digest of the plan is over.
    fn canonical(&self, plan: &PersonalizationPlan, out: &mut Vec<u8>) {
        match self {
            Self::Reset => put(out, b"reset"),
            Self::Command(command) => {
                put(out, &command.apdu.to_bytes());
                for good in &command.good {
                    put(out, &good.0.to_be_bytes());
                }
            }
            Self::Open(opening) => {
                put(out, opening.channel.as_bytes());
                if let Some(channel) = plan.channels.get(&opening.channel) {
                    put(out, channel.key_set.as_bytes());
                    put(out, &[channel.key_version, channel.level.byte()]);
                    for protocol in &channel.accept {
                        put(out, &[protocol.number(), protocol.option()]);
                    }
                }
            }
            Self::Store(store) => put(out, format!("{store:?}").as_bytes()),
            Self::Cplc(cplc) => put(out, &cplc.dgi().0.to_be_bytes()),
            Self::PutKey { new_version, replaces } => put(out, &[*new_version, *replaces]),
        }
    }
}

fn unit(phase: &Phase, application: Option<usize>, data: &PersonalizationData) -> Result<Unit> {
    let app = application.and_then(|i| data.applications.get(i));
    let name = app.map_or_else(|| phase.name.clone(), |a| format!("{} {}", phase.name, a.aid));
    let mut ops = Vec::new();
    let mut add = |text: String, what: What| ops.push(Op { name: format!("{name}: {text}"), what });
    if phase.reset {
        add("reset".to_owned(), What::Reset);
    }
    let (selected, through) = match (&phase.target, app) {
        (Target::CardManager { aid }, _) => (aid.clone(), None),
        (Target::Applications { route: Route::SecurityDomain { aid }, .. }, Some(app)) => {
            (aid.clone(), Some(app))
        }
        (Target::Applications { .. }, Some(app)) => (Some(app.aid.clone()), None),
        (Target::Applications { .. }, None) => {
            return Err(ErrorKind::Internal("a unit without its application").into());
        }
    };
    // A phase that only selects applications to look at them has no use for the card manager.
    let looks = matches!(phase.target, Target::CardManager { .. })
        && phase.channel.is_none()
        && phase.steps.iter().all(|s| matches!(s, PlanStep::Check(CardCheck::Select { .. })));
    if !looks {
        add(
            select_name(selected.as_ref()),
            What::Command(select(selected.as_ref(), Wanted::Any, &[StatusWord::SUCCESS])),
        );
    }
    if let Some(channel) = &phase.channel {
        let new_keys = phase.steps.iter().find_map(|s| match s {
            PlanStep::PutKey { new_keys, .. } => Some(new_keys.clone()),
            _ => None,
        });
        let opening = Opening { channel: channel.clone(), aid: selected, new_keys, identify: false };
        add("secure channel".to_owned(), What::Open(opening));
    }
    let mut ops_before = ops.len();
    let mut add = |text: String, what: What| ops.push(Op { name: format!("{name}: {text}"), what });
    if let Some(app) = through {
        let aid = app.aid.as_bytes();
        let body = [&[0, 0][..], &short(aid)?, &[0, 0, 0]].concat();
        let apdu = CommandApdu::new([0x80, 0xE6, 0x20, 0x00], body, Some(0))?;
        add(
            "INSTALL [for personalization]".to_owned(),
            What::Command(plain(apdu, Nature::ForPersonalization)),
        );
        ops_before = ops_before.saturating_add(1);
    }
    for (i, step) in phase.steps.iter().enumerate() {
        let made = steps(step, app.map(|a| &a.dgis), data);
        for (text, what) in made.at_with(|| format!("step {}", i.saturating_add(1)))? {
            ops.push(Op { name: format!("{name}: {text}"), what });
        }
    }
    Ok(Unit { name, application, ops, approach: ops_before })
}

fn select_name(aid: Option<&Aid>) -> String {
    aid.map_or_else(|| "SELECT card manager".to_owned(), |aid| format!("SELECT {aid}"))
}

pub(super) fn select(aid: Option<&Aid>, data: Wanted, good: &[StatusWord]) -> Command {
    Command { apdu: CommandApdu::select(aid), good: good.to_vec(), data, nature: Nature::Select }
}

/// SELECT whose answer shows that the application holds what was prepared.
pub(super) fn probe(aid: &Aid, dgis: &ProtectedDgiSet) -> Command {
    select(Some(aid), select_responses(dgis), &[StatusWord::SUCCESS])
}

fn select_responses(dgis: &ProtectedDgiSet) -> Wanted {
    let both = [DgiTag::SELECT_RESPONSE, DgiTag::SELECT_RESPONSE_CONTACTLESS];
    Wanted::OneOf(both.iter().filter_map(|t| dgis.get(*t)).map(|d| Zeroizing::new(d.value.clone())).collect())
}

fn plain(apdu: CommandApdu, nature: Nature) -> Command {
    Command { apdu, good: vec![StatusWord::SUCCESS], data: Wanted::Any, nature }
}

fn steps(
    step: &PlanStep,
    own: Option<&ProtectedDgiSet>,
    data: &PersonalizationData,
) -> Result<Vec<(String, What)>> {
    let aids: Vec<&Aid> = data.applications.iter().map(|a| &a.aid).collect();
    let named = |of: &crate::perso::plan::Selection| -> Vec<&Aid> {
        of.of(&aids).into_iter().filter_map(|i| aids.get(i).copied()).collect()
    };
    let mut out = Vec::new();
    match step {
        PlanStep::Delete { of, related, tolerate } => {
            for aid in named(of) {
                let p2 = if *related { 0x80 } else { 0x00 };
                let body = [&[0x4F][..], &short(aid.as_bytes())?].concat();
                let apdu = CommandApdu::new([0x80, 0xE4, 0x00, p2], body, Some(0))?;
                let again = tolerate.contains(&StatusWord::NOT_FOUND);
                let mut command = plain(apdu, if again { Nature::Delete } else { Nature::Once });
                command.good.extend(tolerate);
                out.push((format!("DELETE {aid}"), What::Command(command)));
            }
        }
        PlanStep::Install(install) => {
            for aid in named(&install.of) {
                let apdu = CommandApdu::new([0x80, 0xE6, 0x0C, 0x00], install_body(install, aid)?, Some(0))?;
                out.push((format!("INSTALL {aid}"), What::Command(plain(apdu, Nature::Install))));
            }
        }
        PlanStep::PutKey { new_version, replaces, .. } => {
            let what = What::PutKey { new_version: *new_version, replaces: *replaces };
            out.push((format!("PUT KEY {new_version:02X}"), what));
        }
        PlanStep::StoreData(store) => {
            let own = own.ok_or(ErrorKind::Internal("data without its application"))?;
            super::store::parts(store, own, None, 255)?;
            out.push(("STORE DATA".to_owned(), What::Store(store.clone())));
        }
        PlanStep::Cplc(cplc) => out.push((format!("STORE DATA {}", cplc.dgi()), What::Cplc(*cplc))),
        PlanStep::SetStatus { scope: StatusScope::Card, state } => {
            let apdu = CommandApdu::new([0x80, 0xF0, 0x80, *state], Vec::new(), None)?;
            out.push((format!("SET STATUS {state:02X}"), What::Command(plain(apdu, Nature::SameState))));
        }
        PlanStep::SetStatus { scope: StatusScope::Applications(of), state } => {
            for aid in named(of) {
                let apdu = CommandApdu::new([0x80, 0xF0, 0x40, *state], aid.as_bytes().to_vec(), None)?;
                let what = What::Command(plain(apdu, Nature::SameState));
                out.push((format!("SET STATUS {state:02X} {aid}"), what));
            }
        }
        PlanStep::Check(CardCheck::Select { of, status, data: expected }) => {
            for index in of.of(&aids) {
                let Some(application) = data.applications.get(index) else { continue };
                let wanted = match expected {
                    Expected::Any => Wanted::Any,
                    Expected::Bytes(bytes) => Wanted::Exactly(Zeroizing::new(bytes.clone())),
                    Expected::Prepared => select_responses(&application.dgis),
                };
                let command = select(Some(&application.aid), wanted, status);
                out.push((select_name(Some(&application.aid)), What::Command(command)));
            }
        }
        PlanStep::Check(CardCheck::GetData { tag, status, data: expected }) => {
            let value =
                u16::try_from(tag.value()).map_err(|_| ErrorKind::Value("GET DATA names two bytes"))?;
            let [high, low] = value.to_be_bytes();
            let apdu = CommandApdu::new([0x80, 0xCA, high, low], Vec::new(), Some(0))?;
            let data = match expected {
                Expected::Bytes(bytes) => Wanted::Exactly(Zeroizing::new(bytes.clone())),
                Expected::Any | Expected::Prepared => Wanted::Any,
            };
            let command = Command { apdu, good: status.clone(), data, nature: Nature::Read };
            out.push((format!("GET DATA {tag}"), What::Command(command)));
        }
        PlanStep::Check(CardCheck::ReadRecord { sfi, record, status, data: expected }) => {
            let p2 = (sfi.get() << 3) | 0x04;
            let apdu = CommandApdu::new([0x00, 0xB2, *record, p2], Vec::new(), Some(0))?;
            let data = match expected {
                Expected::Any => Wanted::Any,
                Expected::Bytes(bytes) => Wanted::Exactly(Zeroizing::new(bytes.clone())),
                Expected::Prepared => {
                    let dgi = own.and_then(|d| d.get(DgiTag::for_record(*sfi, *record).ok()?));
                    let dgi = dgi.ok_or(ErrorKind::Missing("the record that a check reads"))?;
                    Wanted::Exactly(Zeroizing::new(dgi.value.clone()))
                }
            };
            let command = Command { apdu, good: status.clone(), data, nature: Nature::Read };
            out.push((format!("READ RECORD {record} of SFI {}", sfi.get()), What::Command(command)));
        }
    }
    Ok(out)
}

/// A value behind its length in one byte.
fn short(value: &[u8]) -> Result<Vec<u8>> {
    let len = u8::try_from(value.len())
        .map_err(|_| ErrorKind::Value("a field of INSTALL has at most 255 bytes"))?;
    Ok([&[len], value].concat())
}

/// A BER length of up to 255.
fn tlv(tag: u8, value: &[u8]) -> Result<Vec<u8>> {
    let len = u8::try_from(value.len())
        .map_err(|_| Error::new(ErrorKind::Value("install parameters have at most 255 bytes")))?;
    let length = if len < 0x80 { vec![len] } else { vec![0x81, len] };
    Ok([&[tag], length.as_slice(), value].concat())
}

/// Data of INSTALL [for install and make selectable] (GPCS 11.5.2.3.2).
fn install_body(install: &Install, aid: &Aid) -> Result<Vec<u8>> {
    let mut parameters = tlv(0xC9, &install.parameters.fill(aid))?;
    if let Some(system) = &install.system_parameters {
        parameters.extend(tlv(0xEF, system)?);
    }
    let mut out = Vec::new();
    for part in [install.load_file.as_bytes(), install.module.as_bytes(), aid.as_bytes(), &install.privileges]
    {
        out.extend(short(part)?);
    }
    let length =
        u8::try_from(parameters.len()).map_err(|_| ErrorKind::Value("install parameters are too long"))?;
    if length >= 0x80 {
        out.push(0x81);
    }
    out.push(length);
    out.extend(parameters);
    out.push(0);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_install_commands() {
        // GlobalPlatformPro and public PBOC scripts: INSTALL of a PSE instance with minimal parameters.
        let install = |load_file: &str, module: &str| Install {
            of: crate::perso::plan::Selection::all(),
            load_file: load_file.parse().unwrap(),
            module: module.parse().unwrap(),
            privileges: vec![0],
            parameters: "".parse().unwrap(),
            system_parameters: None,
        };
        let body = |install: &Install| crate::bytes::hex_upper(&install_body(install, &Aid::pse()).unwrap());
        let visa = install("A00000000316", "A0000000031650");
        let pse = "0E315041592E5359532E4444463031010002C90000";
        assert_eq!(body(&visa), format!("06A0000000031607A0000000031650{pse}"));
        let pboc = install("A00000033301", "A0000003330101");
        assert_eq!(body(&pboc), format!("06A0000003330107A0000003330101{pse}"));
        // Parameters over 127 bytes have lengths of two bytes, over 255 they are refused.
        let long = Install { parameters: "AB".repeat(130).parse().unwrap(), ..visa.clone() };
        assert!(body(&long).contains("01008185C98182ABAB"));
        let over = Install { parameters: "AB".repeat(254).parse().unwrap(), ..visa };
        assert!(install_body(&over, &Aid::pse()).is_err());
    }

    #[test]
    fn what_is_wanted_is_found_or_not() {
        let part = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        let one_of = Wanted::OneOf(vec![part(&[0xA5, 0x00]), part(&[0xA5, 0x01, 0x50])]);
        assert!(one_of.holds(&[0x6F, 0x03, 0xA5, 0x01, 0x50]) && !one_of.holds(&[0x6F, 0x01, 0xA5]));
        assert!(one_of.proves() && !Wanted::OneOf(Vec::new()).proves() && !Wanted::Any.proves());
        assert!(
            Wanted::Exactly(part(&[1, 2])).holds(&[1, 2])
                && !Wanted::Exactly(part(&[1, 2])).holds(&[1, 2, 3])
        );
        assert_eq!(format!("{one_of:?}"), "Wanted(some)");
    }
}

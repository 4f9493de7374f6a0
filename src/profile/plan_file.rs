//! `scripts/*.toml`: script plans.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::finding::{Finding, Source};
use crate::emv::{Aid, Sfi, Tag};
use crate::perso::DgiTag;
use crate::perso::apdu::StatusWord;
use crate::perso::channel::{ChannelProtocol, SecurityLevel};
use crate::perso::plan::{
    AesFilling, CardCheck, ChannelPlan, Cplc, Expected, Install, InstanceKind, Packing, PersonalizationPlan,
    Phase, PlanStep, Route, Selection, StatusScope, StoreCompletion, StoreData, StoreStructure, Target,
    upper_hex_byte,
};

/// Reads and checks one script plan outside an issuer directory. `file` is `scripts/ID.toml`, as findings name it.
///
/// The plan is there when no finding is an error.
///
/// ```
/// use emv_dataprep::profile::plan_file;
/// let (plan, findings) = plan_file::load("scripts/generic-gp.toml", include_bytes!("../../scripts/generic-gp.toml"));
/// assert!(findings.is_empty());
/// assert_eq!(plan.map(|p| p.id).as_deref(), Some("generic-gp"));
/// ```
#[must_use]
pub fn load(file: &str, bytes: &[u8]) -> (Option<PersonalizationPlan>, Vec<Finding>) {
    let mut findings = Vec::new();
    let stem = file.rsplit('/').next().and_then(|name| name.strip_suffix(".toml")).unwrap_or(file);
    let plan = Source::new(file, bytes, &mut findings).and_then(|mut source| read(&mut source, stem));
    (plan.filter(|_| findings.is_empty()), findings)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    id: Spanned<String>,
    title: String,
    #[serde(default)]
    channel: BTreeMap<String, Spanned<RawChannel>>,
    #[serde(rename = "phase")]
    phases: Vec<Spanned<RawPhase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChannel {
    key_set: String,
    key_version: Option<Spanned<String>>,
    accept: Vec<Spanned<String>>,
    level: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPhase {
    name: String,
    target: Spanned<String>,
    #[serde(default)]
    reset: bool,
    aid: Option<Spanned<String>>,
    of: Option<Vec<Spanned<String>>>,
    aid_prefix: Option<Spanned<String>>,
    route: Option<Spanned<String>>,
    channel: Option<String>,
    #[serde(default, rename = "step")]
    steps: Vec<Spanned<RawStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(tag = "action", rename_all = "kebab-case")]
enum RawStep {
    Delete {
        of: Vec<String>,
        aid_prefix: Option<String>,
        #[serde(default)]
        related: bool,
        #[serde(default)]
        tolerate: Vec<String>,
    },
    Install {
        of: Vec<String>,
        aid_prefix: Option<String>,
        load_file: String,
        module: String,
        privileges: Option<String>,
        parameters: Option<String>,
        system_parameters: Option<String>,
    },
    PutKey {
        new_keys: String,
        new_version: String,
        replaces: Option<String>,
    },
    StoreData {
        #[serde(default)]
        first: Vec<String>,
        #[serde(default)]
        last: Vec<String>,
        #[serde(default)]
        groups: Vec<Vec<String>>,
        #[serde(default)]
        optional: Vec<String>,
        packing: Option<String>,
        max_data: Option<u8>,
        structure: Option<String>,
        #[serde(default)]
        le: bool,
        aes_filling: Option<String>,
        completion: Option<String>,
    },
    Cplc {
        field: String,
    },
    SetStatus {
        scope: String,
        of: Option<Vec<String>>,
        aid_prefix: Option<String>,
        state: String,
    },
    Select {
        of: Vec<String>,
        aid_prefix: Option<String>,
        status: Option<Vec<String>>,
        data: Option<String>,
    },
    GetData {
        tag: String,
        status: Option<Vec<String>>,
        data: Option<String>,
    },
    ReadRecord {
        sfi: u8,
        record: u8,
        status: Option<Vec<String>>,
        data: Option<String>,
    },
}

/// Words for people, for a member whose place is known.
type Told<T> = Result<T, String>;

/// Reads one plan.
pub(super) fn read(source: &mut Source<'_>, stem: &str) -> Option<PersonalizationPlan> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    if file.id.get_ref() != stem {
        source.error(file.id.span().start, "id", "id is the name of the file");
    }
    let mut channels = BTreeMap::new();
    for (name, raw) in &file.channel {
        if let Some(channel) = channel(source, raw) {
            channels.insert(name.clone(), channel);
        }
    }
    let complete = channels.len() == file.channel.len();
    let mut plan = PersonalizationPlan {
        id: file.id.get_ref().clone(),
        title: file.title,
        channels,
        phases: Vec::new(),
    };
    for raw in &file.phases {
        let at = raw.span().start;
        let Some(phase) = phase(source, raw.get_ref()) else { continue };
        if complete && let Err(rule) = plan.check_phase(&phase) {
            source.error(at, "script", format!("phase {}: {rule}", phase.name));
        }
        plan.phases.push(phase);
    }
    if plan.phases.len() == file.phases.len()
        && let Err(rule) = plan.check_phases()
    {
        source.error(0, "script", rule);
    }
    (plan.phases.len() == file.phases.len() && complete).then_some(plan)
}

fn channel(source: &mut Source<'_>, raw: &Spanned<RawChannel>) -> Option<ChannelPlan> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let mut accept = Vec::new();
    for text in &raw.accept {
        let Some(protocol) = protocol(text.get_ref()) else {
            let message =
                "accept: scp02-II or scp03-II, II an option i that is supported, in upper-case hexadecimal";
            source.error(text.span().start, "value", message);
            return None;
        };
        accept.push(protocol);
    }
    let key_version = match &raw.key_version {
        None => 0,
        Some(text) => hex_byte(source, "key_version", text)?,
    };
    let level = hex_byte(source, "level", &raw.level)?;
    let Ok(level) = SecurityLevel::from_byte(level) else {
        source.error(raw.level.span().start, "value", "level: 00, 01, 03, 10, 11, 13 or 33");
        return None;
    };
    let channel = ChannelPlan { key_set: raw.key_set.clone(), key_version, accept, level };
    if let Err(rule) = channel.check() {
        source.error(at, "script", rule);
        return None;
    }
    Some(channel)
}

fn protocol(text: &str) -> Option<ChannelProtocol> {
    let (name, option) = text.split_once('-')?;
    let number = match name {
        "scp02" => 0x02,
        "scp03" => 0x03,
        _ => return None,
    };
    ChannelProtocol::new(number, upper_hex_byte(option)?).ok()
}

fn hex_byte(source: &mut Source<'_>, what: &str, text: &Spanned<String>) -> Option<u8> {
    let value = upper_hex_byte(text.get_ref());
    if value.is_none() {
        source.error(
            text.span().start,
            "value",
            format!("{what}: two upper-case hexadecimal digits are expected"),
        );
    }
    value
}

fn phase(source: &mut Source<'_>, raw: &RawPhase) -> Option<Phase> {
    let at = raw.target.span().start;
    let aid = match &raw.aid {
        None => None,
        Some(text) => Some(source.value::<Aid>("aid", text)?),
    };
    let target = match raw.target.get_ref().as_str() {
        "card-manager" => {
            if raw.of.is_some() || raw.aid_prefix.is_some() || raw.route.is_some() {
                source.error(at, "member", "of, aid_prefix and route belong to target = \"applications\"");
            }
            Target::CardManager { aid }
        }
        "applications" => {
            let route = match raw.route.as_ref().map(|r| r.get_ref().as_str()) {
                Some("direct") if aid.is_some() => {
                    source.error(at, "member", "aid belongs to the card manager or a security domain");
                    return None;
                }
                Some("direct") => Route::Direct,
                Some("security-domain") => Route::SecurityDomain { aid },
                _ => {
                    source.error(at, "value", "route: direct or security-domain");
                    return None;
                }
            };
            let kinds: Option<Vec<String>> =
                raw.of.as_ref().map(|of| of.iter().map(|k| k.get_ref().clone()).collect());
            let of = selection(&kinds, raw.aid_prefix.as_ref().map(|p| p.get_ref()));
            match of {
                Ok(of) => Target::Applications { of, route },
                Err(message) => {
                    source.error(at, "value", message);
                    return None;
                }
            }
        }
        _ => {
            source.error(at, "value", "target: card-manager or applications");
            return None;
        }
    };
    let mut phase = Phase {
        name: raw.name.clone(),
        target,
        reset: raw.reset,
        channel: raw.channel.clone(),
        steps: Vec::new(),
    };
    for raw in &raw.steps {
        let at = raw.span().start;
        match step(raw.get_ref()) {
            Ok(step) => {
                if let Err(rule) = phase.check_step(&step) {
                    source.error(at, "script", rule);
                }
                phase.steps.push(step);
            }
            Err(message) => source.error(at, "value", message),
        }
    }
    (phase.steps.len() == raw.steps.len()).then_some(phase)
}

fn step(raw: &RawStep) -> Told<PlanStep> {
    let some = |of: &Vec<String>, prefix: &Option<String>| selection(&Some(of.clone()), prefix.as_ref());
    Ok(match raw {
        RawStep::Delete { of, aid_prefix, related, tolerate } => PlanStep::Delete {
            of: some(of, aid_prefix)?,
            related: *related,
            tolerate: status_words("tolerate", tolerate)?,
        },
        RawStep::Install { of, aid_prefix, load_file, module, privileges, parameters, system_parameters } => {
            PlanStep::Install(Install {
                of: some(of, aid_prefix)?,
                load_file: parse("load_file", load_file)?,
                module: parse("module", module)?,
                privileges: hex("privileges", privileges.as_deref().unwrap_or("00"))?,
                parameters: parse("parameters", parameters.as_deref().unwrap_or_default())?,
                system_parameters: match system_parameters {
                    None => None,
                    Some(text) => Some(hex("system_parameters", text)?),
                },
            })
        }
        RawStep::PutKey { new_keys, new_version, replaces } => PlanStep::PutKey {
            new_keys: new_keys.clone(),
            new_version: byte("new_version", new_version)?,
            replaces: byte("replaces", replaces.as_deref().unwrap_or("00"))?,
        },
        RawStep::StoreData {
            first,
            last,
            groups,
            optional,
            packing,
            max_data,
            structure,
            le,
            aes_filling,
            completion,
        } => PlanStep::StoreData(StoreData {
            first: dgis("first", first)?,
            last: dgis("last", last)?,
            groups: groups.iter().map(|g| dgis("groups", g)).collect::<Told<_>>()?,
            optional: dgis("optional", optional)?,
            packing: word("packing", packing, &[("single", Packing::Single), ("fill", Packing::Fill)])?,
            max_data: max_data.unwrap_or(255),
            structure: word(
                "structure",
                structure,
                &[("none", StoreStructure::None), ("dgi", StoreStructure::Dgi)],
            )?,
            le: *le,
            aes_filling: word(
                "aes_filling",
                aes_filling,
                &[("bit", AesFilling::Bit), ("zeros", AesFilling::Zeros), ("refuse", AesFilling::Refuse)],
            )?,
            completion: word(
                "completion",
                completion,
                &[
                    ("last-grouping", StoreCompletion::LastGrouping),
                    ("empty-completion", StoreCompletion::EmptyCompletion),
                ],
            )?,
        }),
        RawStep::Cplc { field } => PlanStep::Cplc(match field.as_str() {
            "9F66" => Cplc::Personalization,
            "9F67" => Cplc::PrePersonalization,
            _ => return Err("field: 9F66 or 9F67".to_owned()),
        }),
        RawStep::SetStatus { scope, of, aid_prefix, state } => PlanStep::SetStatus {
            scope: match scope.as_str() {
                "card" if of.is_none() && aid_prefix.is_none() => StatusScope::Card,
                "card" => return Err("of and aid_prefix belong to scope = \"applications\"".to_owned()),
                "applications" => StatusScope::Applications(selection(of, aid_prefix.as_ref())?),
                _ => return Err("scope: card or applications".to_owned()),
            },
            state: byte("state", state)?,
        },
        RawStep::Select { of, aid_prefix, status, data } => PlanStep::Check(CardCheck::Select {
            of: some(of, aid_prefix)?,
            status: expected_status(status)?,
            data: expected(data)?,
        }),
        RawStep::GetData { tag, status, data } => PlanStep::Check(CardCheck::GetData {
            tag: parse::<Tag>("tag", tag)?,
            status: expected_status(status)?,
            data: expected(data)?,
        }),
        RawStep::ReadRecord { sfi, record, status, data } => PlanStep::Check(CardCheck::ReadRecord {
            sfi: Sfi::new(*sfi).map_err(|e| format!("sfi: {e}"))?,
            record: *record,
            status: expected_status(status)?,
            data: expected(data)?,
        }),
    })
}

/// No list: every kind, payment applications first.
fn selection(of: &Option<Vec<String>>, prefix: Option<&String>) -> Told<Selection> {
    let kinds = match of {
        None => InstanceKind::ALL.to_vec(),
        Some(words) => words
            .iter()
            .map(|w| InstanceKind::ALL.into_iter().find(|k| k.name() == w))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| "of: payment, pse or ppse".to_owned())?,
    };
    let prefix = prefix.map_or(Ok(Vec::new()), |text| hex("aid_prefix", text))?;
    Ok(Selection { kinds, prefix })
}

fn word<T: Copy>(what: &str, text: &Option<String>, words: &[(&str, T)]) -> Told<T> {
    let found = match text {
        None => words.first(),
        Some(text) => words.iter().find(|(w, _)| w == text),
    };
    let all: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
    found.map(|(_, value)| *value).ok_or_else(|| format!("{what}: {}", all.join(" or ")))
}

fn parse<T: std::str::FromStr>(what: &str, text: &str) -> Told<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| format!("{what}: {e}"))
}

fn hex(what: &str, text: &str) -> Told<Vec<u8>> {
    crate::bytes::from_hex(text).map_err(|e| format!("{what} {e}"))
}

fn byte(what: &str, text: &str) -> Told<u8> {
    upper_hex_byte(text).ok_or_else(|| format!("{what}: two upper-case hexadecimal digits are expected"))
}

fn dgis(what: &str, texts: &[String]) -> Told<Vec<DgiTag>> {
    texts.iter().map(|t| parse(what, t)).collect()
}

fn status_words(what: &str, texts: &[String]) -> Told<Vec<StatusWord>> {
    let one = |text: &String| {
        let bytes = crate::bytes::array_from_hex::<2>(text)
            .ok()
            .filter(|_| !text.bytes().any(|b| b.is_ascii_lowercase()));
        bytes.map(|b| StatusWord(u16::from_be_bytes(b)))
    };
    let all: Option<Vec<_>> = texts.iter().map(one).collect();
    all.ok_or_else(|| format!("{what}: status words of four upper-case hexadecimal digits"))
}

fn expected_status(texts: &Option<Vec<String>>) -> Told<Vec<StatusWord>> {
    texts.as_ref().map_or_else(|| Ok(vec![StatusWord::SUCCESS]), |texts| status_words("status", texts))
}

fn expected(text: &Option<String>) -> Told<Expected> {
    Ok(match text.as_deref() {
        None => Expected::Any,
        Some("prepared") => Expected::Prepared,
        Some(text) => Expected::Bytes(hex("data", text)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERIC: &str = include_str!("../../scripts/generic-gp.toml");
    const STORE: &str = "action = \"store-data\"";
    const PRE: &str = include_str!("../../scripts/pre-personalized.toml");

    fn findings(text: &str) -> Vec<(&'static str, usize, String)> {
        let (plan, found) = load("scripts/generic-gp.toml", text.as_bytes());
        assert_eq!(plan.is_some(), found.is_empty());
        found.into_iter().map(|f| (f.code, f.line, f.message)).collect()
    }

    #[test]
    fn the_shipped_plans_hold_what_they_say() {
        let (generic, found) = load("scripts/generic-gp.toml", GENERIC.as_bytes());
        assert_eq!(found, []);
        let generic = generic.unwrap();
        generic.check().unwrap();
        assert_eq!(generic.phases.len(), 4);
        let PlanStep::Delete { of, tolerate, related } = &generic.phases[0].steps[0] else { panic!() };
        assert_eq!(
            (of.kinds.as_slice(), *related),
            (&[InstanceKind::Pse, InstanceKind::Ppse, InstanceKind::Payment][..], false)
        );
        assert_eq!(*tolerate, [StatusWord::NOT_FOUND]);
        let (pre, found) = load("scripts/pre-personalized.toml", PRE.as_bytes());
        assert_eq!(found, []);
        let pre = pre.unwrap();
        pre.check().unwrap();
        let Target::Applications { route, .. } = &pre.phases[0].target else { panic!() };
        assert_eq!((route, pre.phases[0].reset), (&Route::Direct, true));
        assert_eq!(pre.phases[0].steps, [PlanStep::StoreData(StoreData::default())]);
    }

    #[test]
    fn findings_name_line_and_code() {
        // A finding names the line of its member, or the head of its table.
        let line = |text: &str| GENERIC[..GENERIC.find(text).unwrap()].matches('\n').count() + 1;
        let table = |text: &str| {
            let before = &GENERIC[..GENERIC.find(text).unwrap()];
            before[..before.rfind("\n[").unwrap() + 1].matches('\n').count() + 1
        };
        let cases = [
            ("version = 1", "version = 2", "version", line("version = 1")),
            ("id = \"generic-gp\"", "id = \"other\"", "id", line("id = ")),
            ("scp02-15", "scp02-1A", "value", line("scp02-15")),
            ("scp02-15", "scp03-71", "script", table("scp02-15")),
            ("scp03-00", "scp02-55", "script", table("scp03-00")),
            ("level = \"03\"", "level = \"33\"", "script", table("level")),
            ("key_version = \"00\"", "key_version = \"0\"", "value", line("key_version")),
            ("tolerate = [\"6A88\"]", "tolerate = [\"6a88\"]", "value", table("tolerate")),
            ("channel = \"card\"", "channel = \"none\"", "script", table("name = \"instances\"")),
            (
                "route = \"security-domain\"",
                "route = \"somewhere\"",
                "value",
                line("target = \"applications\""),
            ),
            (STORE, "action = \"store-data\"\nmax_data = 0", "script", table(STORE)),
            (STORE, "action = \"store-data\"\ngroups = [[\"8000\"]]", "script", table(STORE)),
            (STORE, "action = \"cplc\"\nfield = \"9F66\"", "script", table(STORE)),
            ("target = \"card-manager\"", "target = \"card\"", "value", line("target = \"card-manager\"")),
            ("data = \"prepared\"", "data = \"prepare\"", "value", table("data = \"prepared\"")),
        ];
        for (from, to, code, at) in cases {
            let found = findings(&GENERIC.replacen(from, to, 1));
            assert!(found.iter().any(|(c, l, _)| *c == code && *l == at), "{to}: {at} {found:?}");
        }
        assert_eq!(
            findings(&GENERIC.replace("action = \"store-data\"", "action = \"delete\""))[0].0,
            "syntax"
        );
        let none = GENERIC.replace("action = \"store-data\"", "action = \"get-data\"\ntag = \"9F7F\"");
        assert!(findings(&none).contains(&("script", 1, "a plan stores data".to_owned())));
    }
}

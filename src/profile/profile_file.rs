//! `profiles/*.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::card_profile::{
    Application, ApplicationKind, CardRsaKey, DgiContent, DgiSpec, Interface, InterfaceProfile, OdaProfile,
    PaymentApplication, Profile, RecordSpec, RsaPart, Values,
};
use super::finding::Source;
use super::layout::FciForm;
use super::value::{CardSource, ValueSpec};
use crate::emv::{Afl, Aid, Aip, Sfi, Tag};
use crate::issuer::{DerivationOption, PinBlockFormat};
use crate::keys::{KeyIndex, KeyUse};
use crate::perso::{DgiTag, PadRule};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    id: Spanned<String>,
    title: String,
    default_product: Option<String>,
    keys: Keys,
    oda: Option<Oda>,
    #[serde(rename = "application")]
    applications: Vec<Spanned<RawApplication>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    derivation: Spanned<String>,
    cryptogram_version: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Oda {
    icc_key: Option<Spanned<RawRsaKey>>,
    pin_key: Option<Spanned<RawRsaKey>>,
    dac: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRsaKey {
    bits: usize,
    exponent: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApplication {
    kind: Spanned<String>,
    aid: Spanned<String>,
    interfaces: Option<Vec<Spanned<String>>>,
    sfi: Option<Spanned<u8>>,
    max_data: Option<Spanned<u8>>,
    fci_form: Option<Spanned<String>>,
    #[serde(default)]
    values: RawValues,
    #[serde(default, rename = "interface")]
    profiles: Vec<Spanned<RawInterface>>,
    #[serde(default, rename = "dgi")]
    dgis: Vec<Spanned<RawDgi>>,
    magstripe_mode: Option<RawMagstripeMode>,
}

type RawValues = BTreeMap<Spanned<String>, Spanned<RawValue>>;

#[derive(Deserialize)]
#[serde(untagged)]
enum RawValue {
    Hex(String),
    Form(RawForm),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForm {
    text: Option<String>,
    card: Option<String>,
    template: Option<String>,
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInterface {
    name: Spanned<String>,
    aip: Spanned<String>,
    afl: Spanned<String>,
    fci: RawResponse,
    gpo: RawResponse,
    #[serde(default)]
    values: RawValues,
    #[serde(default, rename = "record")]
    records: Vec<RawRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResponse {
    dgi: Spanned<String>,
    tags: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    sfi: Spanned<u8>,
    number: Spanned<u8>,
    tags: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMagstripeMode {
    track1_discretionary: Spanned<String>,
    track2_discretionary: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDgi {
    dgi: Spanned<String>,
    interface: Option<Spanned<String>>,
    keys: Option<Vec<Spanned<String>>>,
    kcvs_of: Option<Spanned<String>>,
    reference_pin: Option<Spanned<String>>,
    icc_key: Option<Spanned<String>>,
    pin_key: Option<Spanned<String>>,
    pad: Option<Spanned<String>>,
    tags: Option<Vec<Spanned<String>>>,
    fields: Option<Vec<Spanned<RawValue>>>,
}

/// Byte offsets of parts of a profile, for findings of checks that come later.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) oda: usize,
    pub(super) applications: Vec<ApplicationPlaces>,
}

#[derive(Debug, Default)]
pub(super) struct ApplicationPlaces {
    pub(super) at: usize,
    pub(super) interfaces: Vec<InterfacePlaces>,
    pub(super) dgis: Vec<usize>,
}

#[derive(Debug, Default)]
pub(super) struct InterfacePlaces {
    pub(super) aip: usize,
    pub(super) afl: usize,
    pub(super) fci: usize,
    pub(super) gpo: usize,
    pub(super) records: Vec<usize>,
}

/// Reads one profile.
pub(super) fn read(source: &mut Source<'_>, stem: &str) -> Option<(Profile, Places)> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    if file.id.get_ref() != stem {
        source.error(file.id.span().start, "id", "id differs from the file's name");
    }
    let derivation = match file.keys.derivation.get_ref().as_str() {
        "A" => DerivationOption::A,
        "B" => DerivationOption::B,
        "C" => DerivationOption::C,
        _ => {
            source.error(file.keys.derivation.span().start, "value", "derivation: A, B or C");
            return None;
        }
    };
    let cryptogram_version = source.value::<KeyIndex>("cryptogram_version", &file.keys.cryptogram_version)?.0;
    let mut places = Places::default();
    let oda = match &file.oda {
        None => None,
        Some(raw) => Some(oda(source, raw, &mut places)?),
    };
    let mut applications = Vec::new();
    for raw in &file.applications {
        let (application, at) = application(source, raw)?;
        applications.push(application);
        places.applications.push(at);
    }
    let profile = Profile {
        id: stem.to_owned(),
        title: file.title,
        default_product: file.default_product,
        derivation,
        cryptogram_version,
        oda,
        applications,
    };
    Some((profile, places))
}

fn oda(source: &mut Source<'_>, raw: &Oda, places: &mut Places) -> Option<OdaProfile> {
    let key = |source: &mut Source<'_>, raw: &Option<Spanned<RawRsaKey>>| -> Option<Option<CardRsaKey>> {
        let Some(raw) = raw else { return Some(None) };
        let at = raw.span().start;
        let raw = raw.get_ref();
        if !(512..=1984).contains(&raw.bits) || !raw.bits.is_multiple_of(16) {
            source.error(at, "oda", "bits: 512 to 1984, a multiple of 16");
            return None;
        }
        if raw.exponent != 3 && raw.exponent != 65537 {
            source.error(at, "oda", "exponent: 3 or 65537");
            return None;
        }
        Some(Some(CardRsaKey { bits: raw.bits, exponent: raw.exponent }))
    };
    let icc_key = key(source, &raw.icc_key)?;
    let pin_key = key(source, &raw.pin_key)?;
    places.oda = raw.icc_key.as_ref().map_or(0, |k| k.span().start);
    let dac = match &raw.dac {
        None => None,
        Some(text) => match crate::bytes::array_from_hex::<2>(text.get_ref()) {
            Ok(dac) => Some(dac),
            Err(_) => {
                source.error(text.span().start, "oda", "dac: two bytes");
                return None;
            }
        },
    };
    Some(OdaProfile { icc_key, pin_key, dac })
}

fn application(
    source: &mut Source<'_>,
    raw: &Spanned<RawApplication>,
) -> Option<(Application, ApplicationPlaces)> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let mut places = ApplicationPlaces { at, ..ApplicationPlaces::default() };
    let aid: Aid = source.value("aid", &raw.aid)?;
    let max_data = match &raw.max_data {
        None => 255,
        Some(n) if *n.get_ref() >= 16 => *n.get_ref(),
        Some(n) => {
            source.error(n.span().start, "value", "max_data: 16 to 255");
            return None;
        }
    };
    let fci_form = match raw.fci_form.as_ref().map(|f| f.get_ref().as_str()) {
        None | Some("A5") => FciForm::Proprietary,
        Some("6F") => FciForm::Whole,
        Some(_) => {
            source.error(at, "value", "fci_form: A5 or 6F");
            return None;
        }
    };
    let values = values(source, &raw.values)?;
    let (kind, interfaces) = match raw.kind.get_ref().as_str() {
        "payment" => {
            let payment = payment(source, raw, values, &mut places)?;
            let interfaces = payment.interfaces.iter().map(|i| i.interface).collect();
            (ApplicationKind::Payment(Box::new(payment)), interfaces)
        }
        "pse" => {
            let number = raw.sfi.as_ref().map_or(1, |s| *s.get_ref());
            match Sfi::new(number) {
                Ok(sfi) if number <= 10 => (ApplicationKind::Pse { sfi, values }, vec![Interface::Contact]),
                _ => {
                    source.error(at, "pse", "sfi: 1 to 10");
                    return None;
                }
            }
        }
        "ppse" => (ApplicationKind::Ppse, vec![Interface::Contactless]),
        _ => {
            source.error(raw.kind.span().start, "value", "kind: payment, pse or ppse");
            return None;
        }
    };
    let is_payment = matches!(kind, ApplicationKind::Payment(_));
    if !is_payment && (!raw.profiles.is_empty() || !raw.dgis.is_empty()) {
        source.error(at, "member", "interface and dgi belong to kind = \"payment\"");
    }
    if let Some(given) = &raw.interfaces {
        for text in given {
            match interface(source, text) {
                Some(i) if interfaces.contains(&i) => {}
                Some(_) => source.error(text.span().start, "interface", "this interface is not described"),
                None => {}
            }
        }
    }
    Some((Application { aid, interfaces, kind, fci_form, max_data }, places))
}

fn payment(
    source: &mut Source<'_>,
    raw: &RawApplication,
    values: Values,
    places: &mut ApplicationPlaces,
) -> Option<PaymentApplication> {
    let mut interfaces: Vec<InterfaceProfile> = Vec::new();
    for raw in &raw.profiles {
        let at = raw.span().start;
        let (profile, place) = interface_profile(source, raw.get_ref())?;
        if interfaces.iter().any(|i| i.interface == profile.interface) {
            source.error(at, "interface", "this interface stands twice");
        }
        interfaces.push(profile);
        places.interfaces.push(place);
    }
    let Some(first) = interfaces.first().map(|i| i.interface) else {
        source.error(places.at, "interface", "a payment application needs an interface");
        return None;
    };
    let mut dgis = Vec::new();
    for raw in &raw.dgis {
        dgis.push(dgi(source, raw, first)?);
        places.dgis.push(raw.span().start);
    }
    let magstripe_mode = match &raw.magstripe_mode {
        None => None,
        Some(mode) => {
            let digits = |source: &mut Source<'_>, text: &Spanned<String>| {
                let good = text.get_ref().len() <= 13 && text.get_ref().bytes().all(|b| b.is_ascii_digit());
                if !good {
                    source.error(text.span().start, "value", "at most 13 decimal digits");
                }
                good.then(|| text.get_ref().clone())
            };
            let track1 = digits(source, &mode.track1_discretionary)?;
            Some((track1, digits(source, &mode.track2_discretionary)?))
        }
    };
    Some(PaymentApplication { values, interfaces, dgis, magstripe_mode })
}

fn interface_profile(
    source: &mut Source<'_>,
    raw: &RawInterface,
) -> Option<(InterfaceProfile, InterfacePlaces)> {
    let interface = interface(source, &raw.name)?;
    let aip: [u8; 2] = match crate::bytes::array_from_hex(raw.aip.get_ref()) {
        Ok(aip) => aip,
        Err(_) => {
            source.error(raw.aip.span().start, "aip", "aip: two bytes");
            return None;
        }
    };
    let afl_text = raw.afl.get_ref().replace(' ', "");
    let afl = match crate::bytes::from_hex(&afl_text).and_then(|b| Afl::parse(&b)) {
        Ok(afl) => afl,
        Err(e) => {
            source.error(raw.afl.span().start, "afl", format!("afl {e}"));
            return None;
        }
    };
    let mut places = InterfacePlaces {
        aip: raw.aip.span().start,
        afl: raw.afl.span().start,
        fci: raw.fci.dgi.span().start,
        gpo: raw.gpo.dgi.span().start,
        records: Vec::new(),
    };
    let fci = (source.value("dgi", &raw.fci.dgi)?, tags(source, &raw.fci.tags)?);
    let gpo = (source.value("dgi", &raw.gpo.dgi)?, tags(source, &raw.gpo.tags)?);
    let mut records = Vec::new();
    for record in &raw.records {
        let at = record.sfi.span().start;
        let number = *record.number.get_ref();
        let Ok(sfi) = Sfi::new(*record.sfi.get_ref()) else {
            source.error(at, "record", "sfi: 1 to 30");
            return None;
        };
        if number == 0 {
            source.error(record.number.span().start, "record", "number: from 1");
        }
        records.push(RecordSpec { sfi, number, tags: tags(source, &record.tags)? });
        places.records.push(at);
    }
    let values = values(source, &raw.values)?;
    Some((InterfaceProfile { interface, aip: Aip::from_bytes(aip), afl, fci, gpo, values, records }, places))
}

fn dgi(source: &mut Source<'_>, raw: &Spanned<RawDgi>, first: Interface) -> Option<DgiSpec> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let dgi: DgiTag = source.value("dgi", &raw.dgi)?;
    let interface = match &raw.interface {
        None => first,
        Some(text) => interface(source, text)?,
    };
    let pad = match raw.pad.as_ref().map(|p| p.get_ref().as_str()) {
        None | Some("if-needed") => PadRule::IfNeeded,
        Some("always") => PadRule::Always,
        Some("never") => PadRule::Never,
        Some(_) => {
            source.error(at, "value", "pad: always, if-needed or never");
            return None;
        }
    };
    let mut contents = Vec::new();
    if let Some(uses) = &raw.keys {
        let uses = uses.iter().map(|u| card_key(source, u)).collect::<Option<Vec<_>>>()?;
        contents.push(DgiContent::CardKeys(uses));
    }
    if let Some(of) = &raw.kcvs_of {
        contents.push(DgiContent::Kcvs(source.value("kcvs_of", of)?));
    }
    if let Some(format) = &raw.reference_pin {
        let format = match format.get_ref().as_str() {
            "iso-2" => PinBlockFormat::Iso2,
            "iso-1" => PinBlockFormat::Iso1,
            _ => {
                source.error(format.span().start, "value", "reference_pin: iso-2 or iso-1");
                return None;
            }
        };
        contents.push(DgiContent::ReferencePin(format));
    }
    for (text, is_icc) in [(&raw.icc_key, true), (&raw.pin_key, false)] {
        let Some(text) = text else { continue };
        let Some(part) = RsaPart::ALL.into_iter().find(|p| p.name() == text.get_ref()) else {
            source.error(text.span().start, "value", "qinv, dq, dp, q, p, exponent or modulus");
            return None;
        };
        contents.push(if is_icc { DgiContent::IccKey(part, pad) } else { DgiContent::PinKey(part, pad) });
    }
    if let Some(list) = &raw.tags {
        contents.push(DgiContent::Tags(tags(source, list)?));
    }
    if let Some(fields) = &raw.fields {
        let fields = fields.iter().map(|f| value(source, f)).collect::<Option<Vec<_>>>()?;
        contents.push(DgiContent::Fields(fields));
    }
    if contents.len() != 1 {
        source.error(
            at,
            "dgi",
            "exactly one of keys, kcvs_of, reference_pin, icc_key, pin_key, tags and fields",
        );
        return None;
    }
    Some(DgiSpec { dgi, content: contents.pop()?, interface })
}

fn card_key(source: &mut Source<'_>, text: &Spanned<String>) -> Option<KeyUse> {
    let found = match text.get_ref().as_str() {
        "ac" => Some(KeyUse::ImkAc),
        "smi" => Some(KeyUse::ImkSmi),
        "smc" => Some(KeyUse::ImkSmc),
        "idn" => Some(KeyUse::ImkIdn),
        "dac" => Some(KeyUse::ImkDac),
        "cvc3" => Some(KeyUse::ImkCvc3),
        _ => None,
    };
    if found.is_none() {
        source.error(text.span().start, "value", "keys: ac, smi, smc, idn, dac or cvc3");
    }
    found
}

fn interface(source: &mut Source<'_>, text: &Spanned<String>) -> Option<Interface> {
    match text.get_ref().as_str() {
        "contact" => Some(Interface::Contact),
        "contactless" => Some(Interface::Contactless),
        _ => {
            source.error(text.span().start, "value", "contact or contactless");
            None
        }
    }
}

fn tags(source: &mut Source<'_>, list: &[Spanned<String>]) -> Option<Vec<Tag>> {
    list.iter().map(|t| source.value("tag", t)).collect()
}

fn values(source: &mut Source<'_>, raw: &RawValues) -> Option<Values> {
    let mut out = Values::new();
    for (tag, raw) in raw {
        let parsed: Tag = source.value("tag", tag)?;
        let spec = value(source, raw)?;
        if out.insert(parsed, spec).is_some() {
            source.error(tag.span().start, "duplicate-tag", "this tag has two values");
        }
    }
    Some(out)
}

fn value(source: &mut Source<'_>, raw: &Spanned<RawValue>) -> Option<ValueSpec> {
    let at = raw.span().start;
    let made = match raw.get_ref() {
        RawValue::Hex(text) => crate::bytes::from_hex(text).map(ValueSpec::Literal),
        RawValue::Form(RawForm { text: Some(t), card: None, template: None, tags: None }) if t.is_ascii() => {
            Ok(ValueSpec::Literal(t.clone().into_bytes()))
        }
        RawValue::Form(RawForm { text: None, card: Some(c), template: None, tags: None }) => {
            c.parse::<CardSource>().map(ValueSpec::Card)
        }
        RawValue::Form(RawForm { text: None, card: None, template: Some(t), tags: None }) => {
            ValueSpec::template(t)
        }
        RawValue::Form(RawForm { text: None, card: None, template: None, tags: Some(list) }) => {
            list.iter().map(|t| t.parse::<Tag>()).collect::<Result<Vec<_>, _>>().map(ValueSpec::Tags)
        }
        RawValue::Form(_) => {
            source.error(at, "value", "exactly one of text (ASCII), card, template and tags");
            return None;
        }
    };
    match made {
        Ok(spec) => Some(spec),
        Err(e) => {
            source.error(at, "value", format!("value: {e}"));
            None
        }
    }
}

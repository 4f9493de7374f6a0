//! `formats/*.toml`: settings of CPS records and templates of machine records.

use serde::Deserialize;
use toml::Spanned;

use super::finding::{Finding, Level, Source};
use super::format::{
    Align, Charset, Checksum, Content, Encoding, Extent, Field, FieldSource, FormatFile, Presence,
    RecordTemplate, ValueKind,
};
use crate::issuer::ProtectMode;
use crate::perso::DgiTag;
use crate::perso::record::{CipherModeCodes, CpsSettings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    #[serde(default)]
    #[allow(dead_code, reason = "a remark for people")]
    note: String,
    #[serde(default)]
    cps: Cps,
    template: Option<Spanned<Template>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cps {
    module_identifier: Option<Spanned<String>>,
    count_digits: Option<Spanned<u8>>,
    layout_version: Option<Spanned<String>>,
    reference: Option<Spanned<String>>,
    status: Option<Spanned<String>>,
    products: Option<Vec<Spanned<String>>>,
    key_layout: Option<Spanned<String>>,
    key_id: Option<Spanned<String>>,
    key_type: Option<Spanned<String>>,
    mode: Option<Spanned<String>>,
    tdes_ecb: Option<Spanned<String>>,
    tdes_cbc: Option<Spanned<String>>,
    aes_ecb: Option<Spanned<String>>,
    aes_cbc: Option<Spanned<String>>,
    owner: Option<Spanned<String>>,
    action: Option<Spanned<String>>,
    requirement: Option<Spanned<String>>,
    tag: Option<Spanned<String>>,
    pointer: Option<Spanned<String>>,
    order: Option<Vec<Vec<Spanned<String>>>>,
    version_control: Option<Vec<Spanned<String>>>,
    enciphered: Option<Spanned<String>>,
    enciphered_type: Option<Spanned<String>>,
    random: Option<Vec<Spanned<String>>>,
    groups: Option<Vec<Vec<Spanned<String>>>>,
    list_framing: Option<Spanned<String>>,
    security_level: Option<Spanned<String>>,
    update_cplc: Option<Spanned<String>>,
    log_data: Option<Spanned<String>>,
    mac: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    charset: Spanned<String>,
    record_end: Option<Spanned<String>>,
    #[serde(default)]
    header: Vec<Spanned<FieldEntry>>,
    card: Vec<Spanned<FieldEntry>>,
    #[serde(default)]
    trailer: Vec<Spanned<FieldEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    name: Spanned<String>,
    text: Option<Spanned<String>>,
    hex: Option<Spanned<String>>,
    value: Option<Spanned<String>>,
    length_of: Option<Spanned<String>>,
    checksum: Option<Spanned<String>>,
    over: Option<Spanned<[String; 2]>>,
    encoding: Option<Spanned<String>>,
    width: Option<Spanned<usize>>,
    align: Option<Spanned<String>>,
    pad: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
    group: Option<Spanned<u8>>,
    required: Option<Spanned<bool>>,
}

/// Reads a format file.
pub(super) fn read(source: &mut Source<'_>, id: &str) -> Option<FormatFile> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    let cps = cps(source, &file.cps);
    let template = match &file.template {
        Some(raw) => Some(template(source, raw)?),
        None => None,
    };
    Some(FormatFile { id: id.to_owned(), cps, template })
}

fn cps(source: &mut Source<'_>, raw: &Cps) -> CpsSettings {
    let mut s = CpsSettings::default();
    if let Some(mic) = &raw.module_identifier {
        let text = mic.get_ref();
        if text.len() > 7 || !text.bytes().all(|b| (0x20..0x7F).contains(&b)) {
            source.error(mic.span().start, "value", "module_identifier: at most 7 characters of ASCII");
        }
        s.module_identifier.clone_from(text);
    }
    if let Some(digits) = &raw.count_digits {
        if *digits.get_ref() > 9 {
            source.error(digits.span().start, "value", "count_digits: 0 to 9");
        }
        s.count_digits = *digits.get_ref();
    }
    fixed_text(source, "layout_version", raw.layout_version.as_ref(), &mut s.version);
    fixed_text(source, "status", raw.status.as_ref(), &mut s.status);
    word(source, "reference", raw.reference.as_ref(), &mut s.reference);
    if let Some(products) = &raw.products {
        s.products = products.iter().filter_map(|p| limited_hex(source, "products", p, 255)).collect();
        if products.len() > 255 {
            source.error(products.first().map_or(0, |p| p.span().start), "value", "products: at most 255");
        }
    }
    byte(source, "key_layout", raw.key_layout.as_ref(), &mut s.key_layout);
    word(source, "key_id", raw.key_id.as_ref(), &mut s.key_id);
    byte(source, "key_type", raw.key_type.as_ref(), &mut s.key_type);
    if let Some(mode) = &raw.mode {
        match mode.get_ref().as_str() {
            "ECB" => s.mode = ProtectMode::Ecb,
            "CBC" => s.mode = ProtectMode::Cbc,
            _ => source.error(mode.span().start, "value", "mode: ECB or CBC"),
        }
    }
    s.mode_codes = mode_codes(source, raw);
    word(source, "owner", raw.owner.as_ref(), &mut s.owner);
    byte(source, "action", raw.action.as_ref(), &mut s.action);
    byte(source, "requirement", raw.requirement.as_ref(), &mut s.requirement);
    byte(source, "tag", raw.tag.as_ref(), &mut s.tag);
    if let Some(tag) = &raw.tag
        && (s.tag == 0 || s.tag & 0x1F == 0x1F)
    {
        source.error(tag.span().start, "value", "tag: one byte that is a whole tag");
    }
    for (name, from, to) in
        [("pointer", &raw.pointer, &mut s.pointer), ("log_data", &raw.log_data, &mut s.log_data)]
    {
        if let Some(text) = from {
            *to = limited_hex(source, name, text, 1024).unwrap_or_default();
        }
    }
    s.order = tag_lists(source, "order", raw.order.as_deref());
    s.groups = tag_lists(source, "groups", raw.groups.as_deref());
    s.version_control = tags(source, "version_control", raw.version_control.as_deref());
    s.random = tags(source, "random", raw.random.as_deref());
    word(source, "enciphered", raw.enciphered.as_ref(), &mut s.enciphered);
    byte(source, "enciphered_type", raw.enciphered_type.as_ref(), &mut s.enciphered_type);
    word(source, "list_framing", raw.list_framing.as_ref(), &mut s.list_framing);
    word(source, "security_level", raw.security_level.as_ref(), &mut s.security_level);
    word(source, "update_cplc", raw.update_cplc.as_ref(), &mut s.update_cplc);
    if let Some(span) = &raw.mac {
        s.mac = source.value("mac", span);
    }
    s
}

fn mode_codes(source: &mut Source<'_>, raw: &Cps) -> CipherModeCodes {
    let mut codes = CipherModeCodes::default();
    byte(source, "tdes_ecb", raw.tdes_ecb.as_ref(), &mut codes.tdes_ecb);
    byte(source, "tdes_cbc", raw.tdes_cbc.as_ref(), &mut codes.tdes_cbc);
    for (name, from, to) in
        [("aes_ecb", &raw.aes_ecb, &mut codes.aes_ecb), ("aes_cbc", &raw.aes_cbc, &mut codes.aes_cbc)]
    {
        if from.is_some() {
            let mut code = 0;
            byte(source, name, from.as_ref(), &mut code);
            *to = Some(code);
        }
    }
    let set = [&raw.tdes_ecb, &raw.tdes_cbc, &raw.aes_ecb, &raw.aes_cbc];
    if let Some(first) = set.into_iter().flatten().next()
        && !codes.are_distinct()
    {
        source.error(first.span().start, "value", "one CMODE stands for ECB and for CBC");
    }
    codes
}

fn word<T: std::str::FromStr>(source: &mut Source<'_>, name: &str, from: Option<&Spanned<String>>, to: &mut T)
where
    T::Err: std::fmt::Display,
{
    if let Some(value) = from.and_then(|text| source.value(name, text)) {
        *to = value;
    }
}

fn byte(source: &mut Source<'_>, name: &str, from: Option<&Spanned<String>>, to: &mut u8) {
    if let Some(text) = from {
        match source.hex(name, text).as_deref() {
            Some([value]) => *to = *value,
            Some(_) => source.error(text.span().start, "value", format!("{name}: one byte in hexadecimal")),
            None => {}
        }
    }
}

fn fixed_text<const N: usize>(
    source: &mut Source<'_>,
    name: &str,
    from: Option<&Spanned<String>>,
    to: &mut [u8; N],
) {
    if let Some(text) = from {
        match <[u8; N]>::try_from(text.get_ref().as_bytes()) {
            Ok(bytes) if text.get_ref().is_ascii() => *to = bytes,
            _ => source.error(text.span().start, "value", format!("{name}: {N} characters of ASCII")),
        }
    }
}

fn limited_hex(source: &mut Source<'_>, name: &str, text: &Spanned<String>, most: usize) -> Option<Vec<u8>> {
    let bytes = source.hex(name, text)?;
    if bytes.len() > most {
        source.error(text.span().start, "value", format!("{name}: at most {most} bytes"));
    }
    Some(bytes)
}

fn tags(source: &mut Source<'_>, name: &str, from: Option<&[Spanned<String>]>) -> Vec<DgiTag> {
    let mut out = Vec::new();
    for text in from.unwrap_or_default() {
        if let Some(tag) = source.value::<DgiTag>(name, text) {
            if out.contains(&tag) {
                source.error(text.span().start, "value", format!("{name}: a DGI stands twice"));
            }
            out.push(tag);
        }
    }
    out
}

fn tag_lists(source: &mut Source<'_>, name: &str, from: Option<&[Vec<Spanned<String>>]>) -> Vec<Vec<DgiTag>> {
    from.unwrap_or_default().iter().map(|list| tags(source, name, Some(list))).collect()
}

fn template(source: &mut Source<'_>, raw: &Spanned<Template>) -> Option<RecordTemplate> {
    let at = raw.span().start;
    let raw = raw.get_ref();
    let charset: Charset = source.value("charset", &raw.charset)?;
    let record_end = match &raw.record_end {
        Some(text) => limited_hex(source, "record_end", text, 16)?,
        None => vec![charset.byte('\n').unwrap_or(b'\n')],
    };
    if raw.card.is_empty() {
        source.error(at, "format", "a template has fields for the card");
    }
    let header = record(source, &raw.header, charset, RecordKind::File);
    let card = record(source, &raw.card, charset, RecordKind::Card);
    let trailer = record(source, &raw.trailer, charset, RecordKind::File);
    for (field, entry) in trailer.iter().zip(&raw.trailer) {
        if matches!(field.extent, Extent::Until(_) | Extent::Counted) {
            source.error(entry.span().start, "format", "a trailer has fields of a fixed width");
        }
    }
    Some(RecordTemplate { charset, record_end, header, card, trailer })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RecordKind {
    Card,
    File,
}

fn record(
    source: &mut Source<'_>,
    raw: &[Spanned<FieldEntry>],
    charset: Charset,
    kind: RecordKind,
) -> Vec<Field> {
    let names: Vec<&str> = raw.iter().map(|f| f.get_ref().name.get_ref().as_str()).collect();
    let mut fields = Vec::new();
    for (entry, at) in raw.iter().zip(0_usize..) {
        let name = entry.get_ref().name.get_ref();
        if name.is_empty() || name == "rest" {
            source.error(entry.get_ref().name.span().start, "format", "a field has a name other than rest");
        }
        if names.get(..at).is_some_and(|before| before.contains(&name.as_str())) {
            source.error(entry.get_ref().name.span().start, "format", "the name of a field stands twice");
        }
        let counted = raw.get(..at).unwrap_or_default().iter();
        let counted = counted.filter(|f| f.get_ref().length_of.as_ref().is_some_and(|n| n.get_ref() == name));
        let one = FieldRules { names: &names, at, charset, kind, counters: counted.count() };
        if let Some(field) = one.field(source, entry) {
            fields.push(field);
        }
    }
    fields
}

struct FieldRules<'a> {
    names: &'a [&'a str],
    at: usize,
    charset: Charset,
    kind: RecordKind,
    counters: usize,
}

impl FieldRules<'_> {
    fn field(&self, source: &mut Source<'_>, entry: &Spanned<FieldEntry>) -> Option<Field> {
        let at = entry.span().start;
        let raw = entry.get_ref();
        let contents = [&raw.text, &raw.hex, &raw.value, &raw.length_of, &raw.checksum];
        if contents.into_iter().flatten().count() != 1 {
            source.error(at, "format", "a field has one of text, hex, value, length_of, checksum");
            return None;
        }
        if raw.over.is_some() && raw.checksum.is_none() {
            source.error(at, "format", "over belongs to a checksum");
        }
        if raw.value.is_none() && (raw.group.is_some() || raw.required.is_some()) {
            source.error(at, "format", "group and required belong to a value");
        }
        if self.counters > 1 || (self.counters == 1 && raw.value.is_none()) {
            source.error(at, "format", "one length stands before a value");
        }
        let encoding = match &raw.encoding {
            Some(text) => Some(source.value::<Encoding>("encoding", text)?),
            None => None,
        };
        let content = self.content(source, raw, at, encoding)?;
        let extent = self.extent(source, raw, at, &content)?;
        Some(Field { name: raw.name.get_ref().clone(), content, extent })
    }

    fn content(
        &self,
        source: &mut Source<'_>,
        raw: &FieldEntry,
        at: usize,
        encoding: Option<Encoding>,
    ) -> Option<Content> {
        let allowed = |source: &mut Source<'_>, default: Encoding, other: Option<Encoding>| {
            let found = encoding.unwrap_or(default);
            if found != default && Some(found) != other {
                source.error(at, "format", "this encoding is not for this field");
                return None;
            }
            Some(found)
        };
        if let Some(text) = &raw.text {
            allowed(source, Encoding::Text, None)?;
            if text.get_ref().chars().any(|c| self.charset.byte(c).is_none()) {
                source.error(text.span().start, "format", "text: a character outside of the character set");
            }
            return Some(Content::Text(text.get_ref().clone()));
        }
        if let Some(hex) = &raw.hex {
            allowed(source, Encoding::Binary, None)?;
            return Some(Content::Bytes(source.hex("hex", hex)?));
        }
        if let Some(of) = &raw.length_of {
            let encoding = allowed(source, Encoding::Decimal, Some(Encoding::Binary))?;
            if of.get_ref() == "rest" {
                return Some(Content::LengthOfRest(encoding));
            }
            let index = self.names.iter().position(|n| n == of.get_ref());
            let Some(index) = index.filter(|i| *i > self.at) else {
                source.error(of.span().start, "format", "length_of names a field that follows, or rest");
                return None;
            };
            return Some(Content::LengthOf(index, encoding));
        }
        if let Some(kind) = &raw.checksum {
            let encoding = allowed(source, Encoding::Binary, Some(Encoding::Hex))?;
            let kind: Checksum = source.value("checksum", kind)?;
            let before = |name: &String| self.names.iter().position(|n| n == name).filter(|i| *i < self.at);
            let span = match &raw.over {
                None => self.at.checked_sub(1).map(|last| (0, last)),
                Some(over) => {
                    let [first, last] = over.get_ref();
                    before(first).zip(before(last)).filter(|(first, last)| first <= last)
                }
            };
            let Some((first, last)) = span else {
                source.error(at, "format", "a checksum goes over fields before it, first to last");
                return None;
            };
            return Some(Content::Checksum { kind, first, last, encoding });
        }
        let value: FieldSource = source.value("value", raw.value.as_ref()?)?;
        let fits = match self.kind {
            RecordKind::Card => value != FieldSource::Count,
            RecordKind::File => value.is_of_file(),
        };
        if !fits {
            source.error(at, "format", "this value is not for this record");
        }
        let encoding = match value.kind() {
            ValueKind::Text => allowed(source, Encoding::Text, None)?,
            ValueKind::Number => allowed(source, Encoding::Decimal, Some(Encoding::Binary))?,
            ValueKind::Bytes => allowed(source, Encoding::Binary, Some(Encoding::Hex))?,
        };
        let group = raw.group.as_ref().map_or(0, |g| *g.get_ref());
        if group != 0 && value.kind() != ValueKind::Text {
            source.error(at, "format", "group is for text");
        }
        let required = raw.required.as_ref().is_some_and(|r| *r.get_ref());
        let presence = if required { Presence::Required } else { Presence::Optional };
        Some(Content::Value { source: value, encoding, presence, group })
    }

    fn extent(
        &self,
        source: &mut Source<'_>,
        raw: &FieldEntry,
        at: usize,
        content: &Content,
    ) -> Option<Extent> {
        let width = raw.width.as_ref().map(|w| *w.get_ref());
        let is_text = |encoding: &Encoding| matches!(encoding, Encoding::Text | Encoding::Hex);
        let own = match content {
            Content::Text(text) => Some(text.chars().count()),
            Content::Bytes(bytes) => Some(bytes.len()),
            Content::Checksum { kind, encoding: Encoding::Hex, .. } => Some(kind.len().saturating_mul(2)),
            Content::Checksum { kind, .. } => Some(kind.len()),
            _ => None,
        };
        let number = match content {
            Content::LengthOf(_, encoding) | Content::LengthOfRest(encoding) => Some(*encoding),
            Content::Value { source: value, encoding, .. } if value.kind() == ValueKind::Number => {
                Some(*encoding)
            }
            _ => None,
        };
        if own.is_some() || number.is_some() {
            if raw.until.is_some() || raw.align.is_some() || raw.pad.is_some() || self.counters > 0 {
                source.error(at, "format", "until, align, pad and a length before belong to text");
            }
            let most = if number == Some(Encoding::Binary) { 8 } else { 19 };
            return match (own, width) {
                (Some(own), None) => Some(Extent::Width(own)),
                (None, Some(width)) if (1..=most).contains(&width) => Some(Extent::Width(width)),
                (Some(_), Some(_)) => {
                    source.error(at, "format", "this field has the width of its content");
                    None
                }
                (None, _) => {
                    source.error(at, "format", format!("a number has a width of 1 to {most}"));
                    None
                }
            };
        }
        let Content::Value { encoding, group, .. } = content else { return None };
        let ends = [width.is_some(), raw.until.is_some(), self.counters == 1];
        if ends.into_iter().filter(|e| *e).count() != 1 {
            source.error(at, "format", "a value has a width, until, or one length before it");
            return None;
        }
        if width.is_none() && (raw.align.is_some() || raw.pad.is_some()) {
            source.error(at, "format", "align and pad belong to a width");
        }
        if let Some(width) = width {
            let align = match &raw.align {
                Some(text) => source.value("align", text)?,
                None => Align::Left,
            };
            let pad = match &raw.pad {
                Some(text) => self.character(source, "pad", text)?,
                None => ' ',
            };
            if *encoding != Encoding::Text
                || width == 0
                || width > 65_535
                || (*group > 0 && pad == ' ' && align == Align::Right)
            {
                source.error(
                    at,
                    "format",
                    "a width of 1 to 65535 is for text; grouped text stands at the left",
                );
            }
            return Some(Extent::Padded { width, align, pad });
        }
        if let Some(text) = &raw.until {
            let end = self.character(source, "until", text)?;
            if !is_text(encoding) || (*encoding == Encoding::Hex && end.is_ascii_hexdigit()) {
                source.error(at, "format", "until is for text that does not hold it");
            }
            return Some(Extent::Until(end));
        }
        Some(Extent::Counted)
    }

    fn character(&self, source: &mut Source<'_>, what: &str, text: &Spanned<String>) -> Option<char> {
        let mut chars = text.get_ref().chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if self.charset.byte(c).is_some() => Some(c),
            _ => {
                source.error(
                    text.span().start,
                    "format",
                    format!("{what}: one character of the character set"),
                );
                None
            }
        }
    }
}

impl FormatFile {
    /// A format file by itself: `id` is its name without `.toml`. It is there when no finding is an error.
    #[must_use]
    pub fn check(id: &str, bytes: &[u8]) -> (Option<Self>, Vec<Finding>) {
        let mut findings = Vec::new();
        let path = format!("formats/{id}.toml");
        let found = Source::new(&path, bytes, &mut findings).and_then(|mut source| read(&mut source, id));
        let good = !findings.iter().any(|f| f.level == Level::Error);
        (found.filter(|_| good), findings)
    }
}

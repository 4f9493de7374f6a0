//! The chip as a terminal meets it: applications, their SELECT responses, and for each GET PROCESSING OPTIONS response
//! the records that its AFL names. Built from the DGIs by code of this module alone.

use std::collections::BTreeMap;

use super::line::{Application, Interface, Protection};
use super::report::{CheckName, Findings};
use super::tlv;

/// Name of the PSE.
pub(super) const PSE: &[u8] = b"1PAY.SYS.DDF01";
/// Name of the PPSE.
pub(super) const PPSE: &[u8] = b"2PAY.SYS.DDF01";

/// What an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Payment,
    Pse,
    Ppse,
}

/// One entry of an AFL (Book 3, 10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AflEntry {
    pub(super) sfi: u8,
    pub(super) first: u8,
    pub(super) last: u8,
    pub(super) signed: u8,
}

/// What a terminal has after one GPO response and the records that it names.
pub(super) struct Path<'a> {
    pub(super) interface: Interface,
    pub(super) aip: [u8; 2],
    pub(super) afl: Vec<AflEntry>,
    /// Every primitive object of the GPO response and the records.
    pub(super) objects: BTreeMap<u32, &'a [u8]>,
    /// Static data to be authenticated: records, then the AIP when 9F4A says so (Book 2, 5.4).
    pub(super) static_data: Vec<u8>,
}

impl<'a> Path<'a> {
    pub(super) fn get(&self, tag: u32) -> Option<&'a [u8]> {
        self.objects.get(&tag).copied()
    }

    pub(super) fn has(&self, tag: u32) -> bool {
        self.objects.contains_key(&tag)
    }
}

/// One application and what could be read of it.
pub(super) struct Chip<'a> {
    pub(super) app: &'a Application,
    pub(super) kind: Kind,
    pub(super) records: BTreeMap<(u8, u8), &'a [u8]>,
    pub(super) paths: Vec<Path<'a>>,
}

/// Record DGIs: SFI 01 to 1E, record number from 1. 0D01 and 0E01 hold internal data in the Visa lineage, unless an
/// AFL names them.
pub(super) fn record_of(tag: u16) -> Option<(u8, u8)> {
    let [sfi, number] = tag.to_be_bytes();
    ((1..=30).contains(&sfi) && number > 0).then_some((sfi, number))
}

fn may_be_internal(tag: u16) -> bool {
    tag == 0x0D01 || tag == 0x0E01
}

impl<'a> Chip<'a> {
    /// Reads an application; what is wrong goes to `found`.
    pub(super) fn read(app: &'a Application, found: &mut Findings) -> Self {
        let kind = match app.aid.as_slice() {
            PSE => Kind::Pse,
            PPSE => Kind::Ppse,
            _ => Kind::Payment,
        };
        let clear = || app.dgis.iter().filter(|d| d.protection == Protection::None);
        let mut records = BTreeMap::new();
        for dgi in clear() {
            if let Some(at) = record_of(dgi.tag) {
                records.insert(at, dgi.value.as_slice());
            }
        }
        let mut chip = Self { app, kind, records, paths: Vec::new() };
        chip.check_records(found);
        for dgi in clear().filter(|d| record_of(d.tag).is_none()) {
            if let Some((aip, afl, inner)) = gpo_response(dgi.tag, &dgi.value) {
                let path = chip.walk(dgi.tag, aip, afl, inner, found);
                chip.paths.extend(path);
            }
        }
        chip.check_reach(found);
        chip
    }

    fn check_records(&self, found: &mut Findings) {
        const NAME: CheckName = CheckName::Records;
        for ((sfi, number), value) in &self.records {
            let tag = u16::from_be_bytes([*sfi, *number]);
            found.require(
                NAME,
                value.len() <= 254 && !value.is_empty(),
                "a record is empty or over 254 bytes",
            );
            if *sfi > 10 {
                continue;
            }
            let Some(inner) = tlv::only(value, 0x70) else {
                found.fail(NAME, "a record is not one template 70");
                continue;
            };
            let Some(objects) = tlv::objects(inner) else {
                found.fail(NAME, "a record is not BER-TLV");
                continue;
            };
            found.require(NAME, !objects.is_empty(), "a record is empty or over 254 bytes");
            found.require(NAME, tag != 0x0100, "a record number is zero");
            let mut tags: Vec<_> = objects.iter().map(|o| o.tag).collect();
            tags.sort_unstable();
            // A PSE's record holds several directory entries 61.
            let twice = tags.windows(2).any(|w| w.first() == w.last() && w.first() != Some(&0x61));
            found.require(NAME, !twice, "an object stands twice in a record");
            let forbidden = [0x9F4B, 0x9F26, 0x9F36, 0x9F27, 0x9F13, 0x9F17];
            let dynamic = objects.iter().any(|o| forbidden.contains(&o.tag));
            found.require(NAME, !dynamic, "a record holds a dynamic object");
        }
    }

    /// Reads the records of an AFL in order.
    fn walk(
        &self,
        gpo: u16,
        aip: [u8; 2],
        afl: &'a [u8],
        inner: Vec<tlv::Object<'a>>,
        found: &mut Findings,
    ) -> Option<Path<'a>> {
        let contact = gpo == 0x9104 && self.app.interfaces.contains(&Interface::Contact)
            || !self.app.interfaces.contains(&Interface::Contactless);
        let interface = if contact { Interface::Contact } else { Interface::Contactless };
        let entries = found.take(CheckName::Afl, afl_entries(afl))?;
        let mut path =
            Path { interface, aip, afl: entries.clone(), objects: BTreeMap::new(), static_data: Vec::new() };
        for object in inner {
            if path.objects.insert(object.tag, object.value).is_some() {
                found.fail(CheckName::MandatoryData, "an object stands twice");
            }
        }
        for entry in &entries {
            for number in entry.first..=entry.last {
                let signed = number.checked_sub(entry.first).is_some_and(|n| n < entry.signed);
                let Some(record) = self.records.get(&(entry.sfi, number)) else {
                    found.fail(CheckName::Afl, "the AFL names a record that is not there");
                    continue;
                };
                let template = tlv::only(record, 0x70);
                match (entry.sfi, template) {
                    (1..=10, Some(value)) if signed => path.static_data.extend_from_slice(value),
                    (11.., _) if signed => path.static_data.extend_from_slice(record),
                    _ => {}
                }
                for object in template.and_then(tlv::objects).unwrap_or_default() {
                    if path.objects.insert(object.tag, object.value).is_some() {
                        found.fail(CheckName::MandatoryData, "an object stands twice");
                    }
                }
            }
        }
        match path.get(0x9F4A) {
            Some([0x82]) => path.static_data.extend_from_slice(&aip),
            Some(_) => found.fail(CheckName::StaticData, "the SDA tag list is not 82 alone"),
            None => {}
        }
        Some(path)
    }

    /// Every record of a payment application is read on some path.
    fn check_reach(&self, found: &mut Findings) {
        match self.kind {
            Kind::Payment => {
                found.require(CheckName::Afl, !self.paths.is_empty(), "no GPO response with AIP");
                for at in self.records.keys() {
                    let read = self
                        .paths
                        .iter()
                        .flat_map(|p| &p.afl)
                        .any(|e| e.sfi == at.0 && (e.first..=e.last).contains(&at.1));
                    let internal = may_be_internal(u16::from_be_bytes([at.0, at.1]));
                    found.require(CheckName::Afl, read || internal, "no AFL names a record that is there");
                }
            }
            Kind::Pse | Kind::Ppse => {
                found.require(CheckName::Afl, self.paths.is_empty(), "a directory has a GPO response");
            }
        }
    }

    /// RID of the AID.
    pub(super) fn rid(&self) -> &[u8] {
        self.app.aid.get(..5).unwrap_or_default()
    }

    /// A clear DGI's value.
    pub(super) fn clear(&self, tag: u16) -> Option<&'a [u8]> {
        let dgi = self.app.dgi(tag).filter(|d| d.protection == Protection::None)?;
        Some(dgi.value.as_slice())
    }

    /// A secret DGI's cryptogram.
    pub(super) fn secret(&self, tag: u16) -> Option<&'a [u8]> {
        let dgi = self.app.dgi(tag).filter(|d| d.protection == Protection::Transport)?;
        Some(dgi.value.as_slice())
    }

    pub(super) fn has_dgi(&self, tag: u16) -> bool {
        self.app.dgi(tag).is_some()
    }
}

/// AIP, AFL and other objects when the value is a GPO response. An AFL may be absent where all data is in the
/// response itself (contactless, DGIs 91xx and 92xx).
pub(super) type Gpo<'a> = ([u8; 2], &'a [u8], Vec<tlv::Object<'a>>);

pub(super) fn gpo_response(tag: u16, value: &[u8]) -> Option<Gpo<'_>> {
    // Key check values and counters are bytes of any kind: one card in some ten thousand has check values that begin as a
    // template 80 does.
    if matches!(tag, 0x9000..=0x90FF | 0x9400..=0x94FF) {
        return None;
    }
    if let Some(flat) = tlv::only(value, 0x80) {
        let (aip, afl) = flat.split_first_chunk::<2>()?;
        return Some((*aip, afl, Vec::new()));
    }
    let inner = tlv::only(value, 0x77).unwrap_or(value);
    let objects = tlv::objects(inner)?;
    let find = |tag: u32| objects.iter().find(|o| o.tag == tag).map(|o| o.value);
    let in_range = matches!(tag, 0x9100..=0x92FF | 0xB100..=0xB1FF);
    // D8 and D9: AIP and AFL of the contactless interface among internal data (M/Chip).
    if let (Some(aip), Some(afl)) = (find(0xD8), find(0xD9)) {
        return Some((<[u8; 2]>::try_from(aip).ok()?, afl, Vec::new()));
    }
    let afl = find(0x94).or_else(|| in_range.then_some(&[][..]))?;
    let aip = <[u8; 2]>::try_from(find(0x82)?).ok()?;
    Some((aip, afl, objects.into_iter().filter(|o| !tlv::is_constructed(o.tag)).collect()))
}

pub(super) fn afl_entries(afl: &[u8]) -> Result<Vec<AflEntry>, &'static str> {
    let (entries, rest) = afl.as_chunks::<4>();
    if !rest.is_empty() || afl.len() > 252 {
        return Err("the AFL is not entries of four bytes");
    }
    let mut out: Vec<AflEntry> = Vec::new();
    for [sfi, first, last, signed] in entries {
        let entry = AflEntry { sfi: sfi >> 3, first: *first, last: *last, signed: *signed };
        if sfi & 7 != 0 || !(1..=30).contains(&entry.sfi) {
            return Err("an SFI of the AFL is not 1 to 30");
        }
        let count = last.checked_sub(*first).and_then(|n| n.checked_add(1));
        if *first == 0 || count.is_none_or(|n| *signed > n) {
            return Err("the record numbers of the AFL are wrong");
        }
        let overlaps =
            out.iter().any(|e| e.sfi == entry.sfi && e.first <= entry.last && entry.first <= e.last);
        if overlaps {
            return Err("the AFL names a record twice");
        }
        out.push(entry);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_afls() {
        let contact = afl_entries(&[8, 1, 1, 0, 0x10, 1, 2, 0, 0x18, 1, 2, 1, 0x20, 1, 3, 0]).unwrap();
        assert_eq!(contact.iter().map(|e| e.sfi).collect::<Vec<_>>(), [1, 2, 3, 4]);
        for bad in [[9, 1, 1, 0], [0, 1, 1, 0], [8, 0, 1, 0], [8, 2, 1, 0], [8, 1, 2, 3], [0xF8, 1, 1, 0]] {
            assert!(afl_entries(&bad).is_err(), "{bad:?}");
        }
        assert!(afl_entries(&[8, 1, 2, 0, 8, 2, 3, 0]).is_err());
        assert!(afl_entries(&[8, 1, 2]).is_err());
    }

    #[test]
    fn published_gpo_responses() {
        // PBOC test data, DGI 9104.
        let value = hex::decode("82027C00941008010100100102001801020120010300").unwrap();
        let (aip, afl, objects) = gpo_response(0x9104, &value).unwrap();
        assert_eq!((aip, afl.len(), objects.len()), ([0x7C, 0], 16, 2));
        assert!(gpo_response(0x9102, &hex::decode("A504500250428701").unwrap()).is_none());
        assert!(gpo_response(0x9207, &[0x82, 2, 0, 0xC0]).is_some());
        // Check values of three keys that look like a template.
        let template = [0x80, 7, 0x39, 0, 8, 1, 1, 0, 0x10];
        assert!(gpo_response(0x9104, &template).is_some());
        assert!(gpo_response(0x9000, &template).is_none() && gpo_response(0x9400, &template).is_none());
        assert!(gpo_response(0x3001, &[0x82, 2, 0, 0xC0]).is_none());
    }
}

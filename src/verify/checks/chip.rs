//! Grammar of DGIs, SELECT responses, directories, data object lists, mandatory data, AIP and CVM list.

use super::super::chip::{Chip, Kind, PPSE, PSE, Path, record_of};
use super::super::crt::{PIN_KEY, SIGNATURE_KEY};
use super::super::line::{Interface, Protection};
use super::super::report::{CheckName, Findings};
use super::super::tlv;
use super::Card;
use super::objects::{belongs, cvm_rules, data_object_list, object_form};

/// Names, protection and inner form of every DGI.
pub(in super::super) fn grammar(card: &Card<'_>, chip: &Chip<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::DgiGrammar;
    let mut tags: Vec<_> = chip.app.dgis.iter().map(|d| d.tag).collect();
    tags.sort_unstable();
    let twice = tags.windows(2).any(|w| w.first() == w.last());
    found.require(NAME, !twice, "a DGI stands twice");
    for dgi in &chip.app.dgis {
        let reserved = dgi.tag == 0 || (0x7FF0..=0x7FFE).contains(&dgi.tag);
        found.require(NAME, !reserved, "a DGI has a reserved name");
        found.require(NAME, dgi.value.len() <= 65_534, "a DGI is too long");
        // 8103 and 8104 are moduli, 8502 is a public key.
        let secret = matches!(dgi.tag, 0x8000..=0x8FFF) && !matches!(dgi.tag, 0x8103 | 0x8104 | 0x8502);
        let public = record_of(dgi.tag).is_some() || matches!(dgi.tag, 0x9000..=0x9FFF | 0x3000 | 0x3001);
        match dgi.protection {
            Protection::None => {
                found.require(NAME, !secret, "a secret DGI stands in clear");
            }
            Protection::Transport => {
                found.require(NAME, !public, "a DGI that a card needs in clear is enciphered");
                match card.line.transport_key.as_ref() {
                    Some(key) => {
                        let whole =
                            !dgi.value.is_empty() && dgi.value.len().is_multiple_of(key.algorithm.block());
                        found.require(NAME, whole, "a secret DGI is not whole cipher blocks");
                    }
                    None => found.fail(NAME, "a secret DGI without a transport key"),
                }
                continue;
            }
        }
        let tlv_form = match dgi.tag {
            0x9100..=0x92FF | 0x3000 | 0x3001 | 0x0D01 | 0x0E01 => tlv::objects(&dgi.value).is_some(),
            0x9000..=0x900F | 0x9400 => {
                !dgi.value.is_empty() && dgi.value.len().is_multiple_of(3) && dgi.value.len() <= 9
            }
            0x9010 => dgi.value.len() == 2,
            _ => true,
        };
        found.require(NAME, tlv_form, "the inner form of a DGI is wrong");
        if matches!(dgi.tag, 0x3000 | 0x3001 | 0x9200..=0x92FF) {
            for object in tlv::objects(&dgi.value).unwrap_or_default() {
                object_form(object.tag, object.value, found);
            }
        }
    }
}

/// `A5` template of a SELECT response: alone, or in 6F beside the name 84.
fn fci_proprietary<'a>(value: &'a [u8], aid: &[u8]) -> Option<Vec<tlv::Object<'a>>> {
    if let Some(inner) = tlv::only(value, 0xA5) {
        return tlv::objects(inner);
    }
    match tlv::objects(tlv::only(value, 0x6F)?)?.as_slice() {
        [name, fci] if name.tag == 0x84 && name.value == aid && fci.tag == 0xA5 => tlv::objects(fci.value),
        _ => None,
    }
}

fn find<'a>(objects: &[tlv::Object<'a>], tag: u32) -> Option<&'a [u8]> {
    objects.iter().find(|o| o.tag == tag).map(|o| o.value)
}

/// SELECT responses of one application.
pub(in super::super) fn fci(chip: &Chip<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::Fci;
    let contactless = chip.app.interfaces.contains(&Interface::Contactless);
    let contact = chip.app.interfaces.contains(&Interface::Contact);
    let (first, second) = (chip.clear(0x9102), chip.clear(0x9103));
    found.require(NAME, !contact || first.is_some(), "there is no SELECT response for contact");
    found.require(
        NAME,
        !contactless || first.or(second).is_some(),
        "there is no SELECT response for contactless",
    );
    for value in [first, second].into_iter().flatten() {
        let Some(objects) = fci_proprietary(value, &chip.app.aid) else {
            found.fail(NAME, "a SELECT response is not template A5, or 6F with this AID");
            continue;
        };
        found.require(NAME, value.len() <= 250, "a SELECT response is too long");
        let mut tags: Vec<_> = objects.iter().map(|o| o.tag).collect();
        tags.sort_unstable();
        found.require(NAME, !tags.windows(2).any(|w| w.first() == w.last()), "an object stands twice");
        for object in &objects {
            object_form(object.tag, object.value, found);
        }
        if let Some(issuer) = find(&objects, 0xBF0C) {
            found.require(NAME, tlv::objects(issuer).is_some(), "BF0C is not BER-TLV");
        }
        match chip.kind {
            Kind::Payment => {
                found.require(NAME, find(&objects, 0x50).is_some(), "the application label 50 is missing");
                if let Some(pdol) = find(&objects, 0x9F38) {
                    data_object_list(pdol, found);
                }
                let named = find(&objects, 0x9F12).is_none() || find(&objects, 0x9F11).is_some();
                found.require(NAME, named, "a preferred name without its code table 9F11");
                let known = [0x50, 0x87, 0x9F38, 0x5F2D, 0x9F11, 0x9F12, 0xBF0C, 0x9F4D, 0x9F0A];
                let only_known = objects.iter().all(|o| known.contains(&o.tag));
                found.require(NAME, only_known, "a SELECT response has an object that does not belong there");
            }
            Kind::Pse => {
                let sfi = matches!(find(&objects, 0x88), Some([1..=10]));
                found.require(NAME, sfi, "the PSE has no SFI 88 from 1 to 10");
                let only_known = objects.iter().all(|o| [0x88, 0x5F2D, 0x9F11, 0xBF0C].contains(&o.tag));
                found.require(NAME, only_known, "a SELECT response has an object that does not belong there");
            }
            Kind::Ppse => {
                found.require(NAME, find(&objects, 0xBF0C).is_some(), "the PPSE has no BF0C");
            }
        }
    }
}

/// One directory entry: AID, label, priority.
struct Entry<'a> {
    aid: &'a [u8],
    label: Option<&'a [u8]>,
    priority: Option<&'a [u8]>,
}

fn entries(value: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut out = Vec::new();
    for entry in tlv::objects(value)?.into_iter().filter(|o| o.tag == 0x61) {
        let inner = tlv::objects(entry.value)?;
        let known =
            [0x4F, 0x50, 0x87, 0x9F12, 0x73, 0x9F0A, 0x9F29, 0x9F2A, 0x42, 0x5F53, 0x5F54, 0x5F55, 0x5F56];
        inner.iter().all(|o| known.contains(&o.tag)).then_some(())?;
        out.push(Entry { aid: find(&inner, 0x4F)?, label: find(&inner, 0x50), priority: find(&inner, 0x87) });
    }
    Some(out)
}

fn pse_entries<'a>(chip: &Chip<'a>) -> Option<Vec<Entry<'a>>> {
    let fci = fci_proprietary(chip.clear(0x9102)?, PSE)?;
    let [sfi] = find(&fci, 0x88)? else { return None };
    let mut out = Vec::new();
    let mut expected = 1;
    for ((at, number), record) in &chip.records {
        if at != sfi || *number != expected {
            return None;
        }
        expected = expected.checked_add(1)?;
        out.extend(entries(tlv::only(record, 0x70)?)?);
    }
    Some(out)
}

fn ppse_entries<'a>(chip: &Chip<'a>) -> Option<Vec<Entry<'a>>> {
    let fci = fci_proprietary(chip.clear(0x9102).or_else(|| chip.clear(0x9103))?, PPSE)?;
    chip.records.is_empty().then(|| entries(find(&fci, 0xBF0C)?)).flatten()
}

/// PSE and PPSE against the applications that are there.
pub(in super::super) fn directories(card: &Card<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::PpsePse;
    let mut aids: Vec<_> = card.chips.iter().map(|c| &c.app.aid).collect();
    aids.sort_unstable();
    let twice = aids.windows(2).any(|w| w.first() == w.last());
    if twice {
        found.fail(NAME, "two applications have one AID");
    }
    let contactless = card.payment().any(|c| c.app.interfaces.contains(&Interface::Contactless));
    let ppse = card.chips.iter().any(|c| c.kind == Kind::Ppse);
    if contactless {
        found.require(NAME, ppse, "a contactless application without a PPSE");
    }
    for chip in &card.chips {
        let (listed, interface) = match chip.kind {
            Kind::Payment => continue,
            Kind::Pse => (pse_entries(chip), Interface::Contact),
            Kind::Ppse => (ppse_entries(chip), Interface::Contactless),
        };
        let on_it = chip.app.interfaces == [interface];
        found.require(NAME, on_it, "a directory is on the wrong interface");
        let Some(listed) = listed else {
            found.fail(NAME, "a directory cannot be read");
            continue;
        };
        let there = || card.payment().filter(|c| c.app.interfaces.contains(&interface));
        found.require(NAME, listed.len() == there().count(), "a directory lists more or fewer applications");
        for entry in listed {
            let Some(app) = there().find(|c| c.app.aid == entry.aid) else {
                found.fail(NAME, "a directory names an application that is not there");
                continue;
            };
            let dgi = match interface {
                Interface::Contact => app.clear(0x9102),
                Interface::Contactless => app.clear(0x9103).or_else(|| app.clear(0x9102)),
            };
            let fci = dgi.and_then(|v| fci_proprietary(v, &app.app.aid)).unwrap_or_default();
            let same =
                |mine: Option<&[u8]>, tag| mine.is_none() || find(&fci, tag).is_none_or(|v| Some(v) == mine);
            let label = interface == Interface::Contactless || entry.label.is_some();
            found.require(NAME, label, "a directory entry has no label");
            found.require(NAME, same(entry.label, 0x50), "a label differs from the application's");
            found.require(NAME, same(entry.priority, 0x87), "a priority differs from the application's");
            if let Some(label) = entry.label {
                object_form(0x50, label, found);
            }
            if let Some(priority) = entry.priority {
                object_form(0x87, priority, found);
            }
        }
    }
}

/// What a terminal needs on this path, and the forms of what it finds.
pub(in super::super) fn mandatory(path: &Path<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::MandatoryData;
    for (tag, value) in &path.objects {
        object_form(*tag, value, found);
        found.require(NAME, belongs(*tag), "an object stands where EMV does not know it");
    }
    match path.interface {
        Interface::Contact => {
            for (tag, why) in [
                (0x5A, "the PAN 5A is missing"),
                (0x5F24, "the expiry date 5F24 is missing"),
                (0x8C, "CDOL1 8C is missing"),
                (0x8D, "CDOL2 8D is missing"),
            ] {
                found.require(NAME, path.has(tag), why);
            }
        }
        Interface::Contactless => {
            let account = [0x57, 0x5A, 0x9F6B, 0x56].iter().any(|tag| path.has(*tag));
            found.require(NAME, account, "no track or PAN on a contactless path");
        }
    }
}

/// The AIP of a path against what is there.
pub(in super::super) fn aip(chip: &Chip<'_>, path: &Path<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::AipKeys;
    let [bits, second] = path.aip;
    let (sda, dynamic) = (bits & 0x40 != 0, bits & 0x21 != 0);
    let issuer = [0x8F, 0x90, 0x9F32].map(|tag| path.has(tag));
    let icc = [0x9F46, 0x9F47].map(|tag| path.has(tag));
    if sda || dynamic {
        found.require(NAME, issuer.iter().all(|h| *h), "the AIP offers ODA, an issuer key object is missing");
    } else {
        let none = !path.has(0x90) && !path.has(0x92) && !path.has(0x9F46) && !path.has(0x93);
        found.require(NAME, none, "certificates stand where the AIP offers no ODA");
    }
    found.require(NAME, sda == path.has(0x93), "the AIP's SDA bit and the signed static data 93 disagree");
    if dynamic {
        found.require(
            NAME,
            icc.iter().all(|h| *h),
            "the AIP offers DDA or CDA, an ICC key object is missing",
        );
        found.require(
            NAME,
            SIGNATURE_KEY.whole(chip),
            "the AIP offers DDA or CDA, the private key is missing",
        );
    } else {
        found.require(
            NAME,
            !path.has(0x9F46),
            "an ICC certificate stands where the AIP offers no DDA or CDA",
        );
    }
    found.require(NAME, bits & 0x80 == 0, "a reserved bit of the AIP is set");
    let cvm = bits & 0x10 != 0;
    match path.interface {
        Interface::Contact => {
            found.require(NAME, second == 0, "a reserved bit of the AIP is set");
            found.require(NAME, cvm == path.has(0x8E), "the AIP's CVM bit and the CVM list 8E disagree");
        }
        Interface::Contactless => {
            found.require(NAME, cvm || !path.has(0x8E), "the AIP's CVM bit and the CVM list 8E disagree");
        }
    }
}

/// A private key is used by an AIP; PIN encipherment keys have their certificate.
pub(in super::super) fn keys_are_used(chip: &Chip<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::AipKeys;
    let has = |tag| chip.paths.iter().any(|p| p.has(tag));
    let pin_path = has(0x9F2D);
    if SIGNATURE_KEY.any(chip) {
        let used = chip.paths.iter().any(|p| p.has(0x9F46));
        found.require(
            NAME,
            used && SIGNATURE_KEY.whole(chip),
            "a private key without certificate, or in parts",
        );
    }
    if PIN_KEY.any(chip) || pin_path {
        let both = PIN_KEY.whole(chip) && pin_path && has(0x9F2E);
        found.require(NAME, both, "PIN encipherment key and certificate do not stand together");
    }
}

/// CVM list against the reference PIN and the keys for its encipherment.
pub(in super::super) fn cvm(chip: &Chip<'_>, path: &Path<'_>, found: &mut Findings) {
    const NAME: CheckName = CheckName::CvmPin;
    let Some(list) = path.get(0x8E) else { return };
    let Some(rules) = cvm_rules(list) else {
        found.fail(NAME, "the CVM list is not amounts and rules");
        return;
    };
    let methods = || rules.iter().map(|[method, _]| method & 0x3F);
    let offline = methods().any(|m| matches!(m, 1 | 3 | 4 | 5));
    let enciphered = methods().any(|m| matches!(m, 4 | 5));
    if offline {
        let pin = chip.has_dgi(0x8010) && chip.has_dgi(0x9010);
        found.require(NAME, pin, "offline PIN is offered, 8010 or 9010 is missing");
    }
    if enciphered {
        let key = path.has(0x9F2D) && PIN_KEY.whole(chip) || path.has(0x9F46) && SIGNATURE_KEY.whole(chip);
        found.require(NAME, key, "enciphered PIN is offered, no key for it is there");
    }
    found.pass(NAME);
}

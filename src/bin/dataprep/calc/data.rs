//! The data of an application cryptogram: which elements a cryptogram version signs, and what people put instead.

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::emv::{Dol, Tag, names};
use emv_dataprep::issuer::cryptogram::CryptogramVersion;

use super::arguments;
use super::card_key::version_words;
use super::steps;
use crate::failure::Failure;

/// What is known of a transaction.
#[derive(clap::Args)]
pub struct DataArgs {
    /// The whole input of the MAC as it is, nothing added
    #[arg(long, value_name = "HEX", conflicts_with_all = ["data", "value", "dol", "aip", "iad"])]
    input: Option<String>,
    /// The data that the terminal sends for CDOL1; AIP, ATC and issuer application data are added
    #[arg(long, value_name = "HEX")]
    data: Option<String>,
    /// CDOL1 (tag 8C): names the elements of --data, or orders the values
    #[arg(long, value_name = "HEX")]
    dol: Option<String>,
    /// One element: 9F02=000000001000; may be repeated
    #[arg(long, value_name = "TAG=HEX")]
    value: Vec<String>,
    /// Application interchange profile (82)
    #[arg(long, value_name = "HEX")]
    aip: Option<String>,
    /// Application transaction counter (9F36)
    #[arg(long, value_name = "HEX")]
    atc: Option<String>,
    /// Unpredictable number (9F37), where the data do not name it
    #[arg(long, value_name = "HEX")]
    un: Option<String>,
    /// Issuer application data (9F10)
    #[arg(long, value_name = "HEX")]
    iad: Option<String>,
}

/// One element in the data.
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub value: Vec<u8>,
}

/// What the arguments give.
#[derive(Clone)]
pub struct Material {
    input: Option<Vec<u8>>,
    /// The terminal's data in their order; a name where it is known.
    terminal: Vec<Given>,
    aip: Option<Vec<u8>>,
    pub atc: Option<[u8; 2]>,
    pub un: Option<[u8; 4]>,
    iad: Option<Vec<u8>>,
}

/// A value of the terminal, with its name where it is known.
type Given = (Option<Tag>, Vec<u8>);

const AIP: u32 = 0x82;
const ATC: u32 = 0x9F36;
const UN: u32 = 0x9F37;
const IAD: u32 = 0x9F10;

/// The terminal's data of a usual CDOL1, and their bytes (EMV 4.4 Book 2, table 26).
const USUAL: [(u32, usize); 8] =
    [(0x9F02, 6), (0x9F03, 6), (0x9F1A, 2), (0x95, 5), (0x5F2A, 2), (0x9A, 3), (0x9C, 1), (UN, 4)];

impl DataArgs {
    /// The elements that the arguments give.
    pub fn material(&self) -> Result<Material, Failure> {
        let input = self.input.as_deref().map(|t| arguments::hex("input", t)).transpose()?;
        let data = self.data.as_deref().map(|t| arguments::hex("data", t)).transpose()?;
        let dol = self.dol.as_deref().map(|t| arguments::hex("dol", t)).transpose()?;
        let dol = dol
            .map(|d| Dol::parse(&d))
            .transpose()
            .map_err(|_| arguments::wrong("dol", "a data object list"))?;
        let mut values = self.value.iter().map(|v| value(v)).collect::<Result<Vec<_>, _>>()?;
        for (number, (tag, _)) in values.iter().enumerate() {
            if values.iter().skip(number.saturating_add(1)).any(|(other, _)| other == tag) {
                return Err(Failure::usage(format!("--value gives {tag} twice")));
            }
        }
        let mut take = |name: &str, tag: u32, flag: &Option<String>| -> Result<Option<Vec<u8>>, Failure> {
            let at = values.iter().position(|(t, _)| t.value() == tag);
            let named = at.map(|at| values.remove(at).1);
            match (flag, named) {
                (Some(_), Some(_)) => Err(Failure::usage(format!("--{name} and --value both give it"))),
                (Some(text), None) => arguments::hex(name, text).map(Some),
                (None, named) => Ok(named),
            }
        };
        let aip = take("aip", AIP, &self.aip)?;
        let atc = take("atc", ATC, &self.atc)?;
        let iad = take("iad", IAD, &self.iad)?;
        let terminal = terminal(data, dol.as_ref(), values)?;
        let named_un =
            terminal.iter().find(|(t, _)| t.is_some_and(|t| t.value() == UN)).map(|(_, v)| v.clone());
        let un = match (&self.un, named_un) {
            (Some(text), _) => Some(arguments::array("un", text)?),
            (None, Some(v)) => Some(v.try_into().map_err(|_| Failure::usage("9F37 has 4 bytes"))?),
            (None, None) => None,
        };
        let atc = atc
            .map(|v| v.try_into().map_err(|_| Failure::usage("the ATC (9F36) has 2 bytes")))
            .transpose()?;
        if aip.as_ref().is_some_and(|a| a.len() != 2) {
            return Err(Failure::usage("the AIP (82) has 2 bytes"));
        }
        if input.is_none() && terminal.is_empty() {
            return Err(Failure::usage("the data are needed: --input, --data, or --value for each element"));
        }
        Ok(Material { input, terminal, aip, atc, un, iad })
    }
}

fn value(text: &str) -> Result<(Tag, Vec<u8>), Failure> {
    let what = "TAG=HEX";
    let (tag, bytes) = text.split_once('=').ok_or_else(|| arguments::wrong("value", what))?;
    let tag: Tag = tag.parse().map_err(|_| arguments::wrong("value", what))?;
    let bytes = arguments::hex("value", bytes)?;
    if let Some((_, len)) = USUAL.iter().find(|(t, _)| *t == tag.value())
        && bytes.len() != *len
    {
        return Err(Failure::usage(format!("{tag} has {len} bytes, --value gives {}", bytes.len())));
    }
    Ok((tag, bytes))
}

/// The terminal's data, each with its name where that is known.
fn terminal(
    data: Option<Vec<u8>>,
    dol: Option<&Dol>,
    values: Vec<(Tag, Vec<u8>)>,
) -> Result<Vec<Given>, Failure> {
    let Some(data) = data else {
        let Some(dol) = dol else {
            return Ok(values.into_iter().map(|(t, v)| (Some(t), v)).collect());
        };
        return dol
            .entries()
            .iter()
            .map(|e| {
                let found = values.iter().find(|(t, v)| *t == e.tag && v.len() == usize::from(e.len));
                let found = found.ok_or_else(|| {
                    Failure::usage(format!(
                        "CDOL1 asks for {} bytes of {}: give them with --value",
                        e.len, e.tag
                    ))
                })?;
                Ok((Some(e.tag), found.1.clone()))
            })
            .collect();
    };
    if !values.is_empty() {
        return Err(Failure::usage("--data and --value both give the terminal's data"));
    }
    let usual: Vec<(Option<Tag>, usize)> = match dol {
        Some(dol) => dol.entries().iter().map(|e| (Some(e.tag), usize::from(e.len))).collect(),
        None if data.len() == 29 => USUAL.iter().map(|(t, l)| (Tag::new(*t).ok(), *l)).collect(),
        None => return Ok(vec![(None, data)]),
    };
    let whole = usual.iter().fold(0_usize, |sum, (_, len)| sum.saturating_add(*len));
    if whole != data.len() {
        return Err(Failure::usage(format!("CDOL1 asks for {whole} bytes, --data has {}", data.len())));
    }
    let mut rest = data.as_slice();
    let mut out = Vec::new();
    for (tag, len) in usual {
        let (head, tail) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        out.push((tag, head.to_vec()));
        rest = tail;
    }
    Ok(out)
}

fn named(tag: u32, value: Vec<u8>) -> Element {
    let name = Tag::new(tag).map_or("-", names::name_of);
    Element { name: format!("{tag:02X} {name}"), value }
}

impl Material {
    /// The same transaction with another counter.
    pub fn with_counter(&self, atc: Option<[u8; 2]>) -> Self {
        Self { atc, ..self.clone() }
    }

    /// The elements that a version signs, in its order.
    pub fn elements(&self, version: CryptogramVersion) -> Result<Vec<Element>, Failure> {
        if let Some(input) = &self.input {
            return Ok(vec![Element { name: "input of the MAC".to_owned(), value: input.clone() }]);
        }
        let missing = |what: &str| {
            Failure::usage(format!("{what} is needed for cryptogram version {}", version_words(version)))
        };
        let iad = self.iad.as_ref().ok_or_else(|| missing("--iad (9F10)"))?;
        let part = version.cryptogram_part(iad)?;
        let part_name = match version {
            CryptogramVersion::Visa0A | CryptogramVersion::MChip10 | CryptogramVersion::MChip14 => {
                "card verification results"
            }
            CryptogramVersion::MChip11 | CryptogramVersion::MChip15 => {
                "card verification results and counters"
            }
            CryptogramVersion::Visa11 => "fifth byte",
            _ => "whole",
        };
        let tail = Element { name: format!("9F10 Issuer Application Data: {part_name}"), value: part };
        let atc = named(ATC, self.atc.ok_or_else(|| missing("--atc (9F36)"))?.to_vec());
        let of_terminal = |tag: u32| self.of_terminal(tag).map(|v| named(tag, v));
        if version == CryptogramVersion::Visa11 {
            let amount = of_terminal(0x9F02).ok_or_else(|| missing("9F02"))?;
            let un = of_terminal(UN).ok_or_else(|| missing("9F37"))?;
            return Ok(vec![amount, un, atc, tail]);
        }
        let aip = named(AIP, self.aip.clone().ok_or_else(|| missing("--aip (82)"))?);
        let ccd = matches!(version, CryptogramVersion::CcdA5 | CryptogramVersion::CcdA6);
        let mut out = if ccd || self.terminal.iter().any(|(tag, _)| tag.is_none()) {
            self.all_of_terminal()
        } else {
            USUAL
                .iter()
                .map(|(tag, _)| of_terminal(*tag).ok_or_else(|| missing(&format!("{tag:02X}"))))
                .collect::<Result<Vec<_>, _>>()?
        };
        out.extend([aip, atc, tail]);
        Ok(out)
    }

    /// Whether the issuer application data name another version: its byte is the second or third one.
    pub fn contradicts(&self, version: CryptogramVersion) -> bool {
        match self.iad.as_deref() {
            Some([_, second, third, ..]) => ![*second, *third].contains(&version.byte()),
            _ => false,
        }
    }

    fn of_terminal(&self, tag: u32) -> Option<Vec<u8>> {
        let found = self.terminal.iter().find(|(t, _)| t.is_some_and(|t| t.value() == tag));
        found.map(|(_, v)| v.clone())
    }

    fn all_of_terminal(&self) -> Vec<Element> {
        let element = |(tag, value): &Given| match tag {
            Some(tag) => named(tag.value(), value.clone()),
            None => Element { name: "data of CDOL1".to_owned(), value: value.clone() },
        };
        self.terminal.iter().map(element).collect()
    }

    /// Other data that people put in, in words: always as many for one material, whatever its counter.
    pub fn others(&self, version: Option<CryptogramVersion>) -> Vec<(String, Vec<u8>)> {
        let mut out = Vec::new();
        if let Some(input) = &self.input {
            for len in 1..input.len().min(33) {
                let kept = input.get(..input.len().saturating_sub(len)).unwrap_or_default();
                let unit = if len == 1 { "byte is" } else { "bytes are" };
                out.push((format!("the last {len} {unit} left out of the input"), kept.to_vec()));
            }
            return out;
        }
        let Some(version) = version else { return out };
        let Ok(right) = self.elements(version) else { return out };
        for other in CryptogramVersion::ALL.into_iter().filter(|v| *v != version) {
            if let Ok(elements) = self.elements(other) {
                out.push((format!("the data are those of {}", version_words(other)), join(&elements)));
            }
        }
        for (number, element) in right.iter().enumerate() {
            let mut without = right.clone();
            without.remove(number);
            out.push((format!("{} is left out", element.name), join(&without)));
            let mut zeros = right.clone();
            if let Some(slot) = zeros.get_mut(number) {
                slot.value.fill(0);
            }
            out.push((format!("{} is zeros", element.name), join(&zeros)));
            let mut swapped = right.clone();
            let next = number.saturating_add(1);
            if let Some(after) = right.get(next) {
                swapped.swap(number, next);
                out.push((format!("{} stands after {}", element.name, after.name), join(&swapped)));
            }
        }
        let mut whole = self.all_of_terminal();
        if whole.len() > USUAL.len() {
            out.push(("the whole data of CDOL1 enter alone".to_owned(), join(&whole)));
            whole.extend(right.iter().rev().take(3).rev().cloned());
            out.push((
                "the whole data of CDOL1 enter, then AIP, ATC and issuer application data".to_owned(),
                join(&whole),
            ));
        }
        if let Some(iad) = &self.iad {
            let mut all = right.clone();
            if let Some(last) = all.last_mut() {
                last.value.clone_from(iad);
            }
            out.push(("the issuer application data enter whole".to_owned(), join(&all)));
        }
        out
    }
}

/// The bytes of elements one after the other.
pub fn join(elements: &[Element]) -> Vec<u8> {
    elements.iter().flat_map(|e| e.value.iter().copied()).collect()
}

/// The elements as a step.
pub fn step(elements: &[Element], clause: &'static str) -> super::answer::Step {
    let mut step = super::answer::Step::new("The data, element by element", clause);
    for element in elements {
        step = step.with(element.name.clone(), hex_upper(&element.value));
    }
    step.gives("data", steps::in_blocks(&join(elements)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> DataArgs {
        let hex = |text: &str| Some(text.to_owned());
        DataArgs {
            input: None,
            data: hex("0000000040000000000000000124800004800001241911050152BF4585"),
            dol: None,
            value: Vec::new(),
            aip: hex("1800"),
            atc: hex("001C"),
            un: None,
            iad: hex("06010A03A06010010203040506070809"),
        }
    }

    fn text(elements: &[Element]) -> String {
        hex_upper(&join(elements))
    }

    #[test]
    fn each_version_signs_its_elements() {
        let material = args().material().ok().unwrap();
        assert_eq!(material.un, Some([0x52, 0xBF, 0x45, 0x85]));
        let of = |v| material.elements(v).ok().map(|e| text(&e));
        let terminal = args().data.unwrap();
        assert_eq!(of(CryptogramVersion::Visa0A).unwrap(), format!("{terminal}1800001C03A06010"));
        assert_eq!(of(CryptogramVersion::Visa11).unwrap(), "00000000400052BF4585001CA0");
        assert_eq!(of(CryptogramVersion::MChip10).unwrap(), format!("{terminal}1800001C0A03A0601001"));
        // Too short for the counters.
        assert!(of(CryptogramVersion::MChip11).is_none());
        assert!(
            material.contradicts(CryptogramVersion::Visa12)
                && !material.contradicts(CryptogramVersion::Visa0A)
        );
    }

    #[test]
    fn a_list_names_the_elements_and_ccd_signs_all_of_them() {
        let mut with = args();
        with.dol = Some("9F02069F03069F1A0295055F2A029A039C019F37049F3501".to_owned());
        assert!(with.material().is_err(), "29 bytes where 30 are asked for");
        with.data = with.data.map(|d| d + "22");
        let material = with.material().ok().unwrap();
        let terminal = args().data.unwrap();
        let usual = material.elements(CryptogramVersion::Visa0A).ok().unwrap();
        assert_eq!(text(&usual), format!("{terminal}1800001C03A06010"));
        let all = material.elements(CryptogramVersion::CcdA5).ok().unwrap();
        assert!(text(&all).starts_with(&format!("{terminal}221800001C")));
    }

    #[test]
    fn other_data_are_as_many_for_every_counter() {
        let material = args().material().ok().unwrap();
        let of = |atc| material.with_counter(Some(atc)).others(Some(CryptogramVersion::Visa0A));
        assert_eq!(of([0, 0]).len(), of([0xFF, 0xFF]).len());
        assert!(of([0, 0x1C]).len() > 30);
    }
}

//! Groupings put into STORE DATA commands (CPS 2.0, 4.3.4; GPCS 11.11.2).

use std::collections::{BTreeSet, VecDeque};

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::keys::Refill;
use crate::perso::plan::{AesFilling, Packing, StoreCompletion, StoreData};
use crate::perso::script::{P1_ENCIPHERED, P1_LAST};
use crate::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection, dgi_length};

/// Most STORE DATA commands of one personalization: P2 is one byte.
const MAX_COMMANDS: usize = 256;

/// Groupings that go together: into one command, or one alone over as many as it needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// In order; none: the empty completion 7FFF.
    pub(super) dgis: Vec<DgiTag>,
    /// All of them secret, or all clear.
    pub(super) secret: bool,
    /// The card may answer 6A88.
    pub(super) optional: bool,
    /// Nothing comes after it.
    pub(super) last: bool,
}

impl Part {
    /// For people: the groupings.
    pub(super) fn name(&self) -> String {
        if self.dgis.is_empty() {
            return DgiTag::COMPLETION.to_string();
        }
        self.dgis.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// P1 of one of its commands; `end`: its last.
    pub(super) fn p1(&self, store: &StoreData, end: bool) -> u8 {
        let enciphered = if self.secret { P1_ENCIPHERED } else { 0 };
        let last = if end && self.last { P1_LAST } else { 0 };
        enciphered | last | store.structure.bits()
    }
}

/// Bytes of the value for the card: `block` is that of its data encipherment key, `None` when it is not known yet.
fn value_len(dgi: &ProtectedDgi, block: Option<usize>) -> usize {
    match (dgi.protection, block) {
        (Protection::Transport, Some(block)) => dgi.value.len().next_multiple_of(block.max(1)),
        _ => dgi.value.len(),
    }
}

fn encoded_len(dgi: &ProtectedDgi, block: Option<usize>) -> Result<usize> {
    let len = value_len(dgi, block);
    Ok(len.saturating_add(2).saturating_add(dgi_length(len)?.len()))
}

/// The groupings in the order of the plan.
fn ordered<'a>(store: &StoreData, set: &'a ProtectedDgiSet) -> Vec<&'a ProtectedDgi> {
    let named =
        |tags: &[DgiTag]| -> Vec<&'a ProtectedDgi> { tags.iter().filter_map(|t| set.get(*t)).collect() };
    let placed: BTreeSet<DgiTag> = store.first.iter().chain(&store.last).copied().collect();
    let mut out = named(&store.first);
    out.extend(set.dgis().iter().filter(|d| !placed.contains(&d.tag)));
    out.extend(named(&store.last));
    out
}

/// The groupings cut into parts. `max` bytes of data are in a command.
///
/// # Errors
/// [`ErrorKind::Value`] for a group that is torn apart, mixed or too long, for an end that the card may not know, and for more
/// than 256 commands.
pub(super) fn parts(
    store: &StoreData,
    set: &ProtectedDgiSet,
    block: Option<usize>,
    max: usize,
) -> Result<Vec<Part>> {
    let dgis = ordered(store, set);
    let max = max.min(usize::from(store.max_data)).max(1);
    let mut out: Vec<Part> = Vec::new();
    let mut commands = 0_usize;
    let mut at = 0_usize;
    while let Some(first) = dgis.get(at) {
        let unit = unit_at(store, dgis.get(at..).unwrap_or_default(), block, max)
            .at_with(|| format!("group of DGI {}", first.tag))?;
        let mut len = 0_usize;
        for dgi in unit {
            len = len.saturating_add(encoded_len(dgi, block)?);
        }
        commands = commands.saturating_add(len.div_ceil(max));
        out.push(Part {
            dgis: unit.iter().map(|d| d.tag).collect(),
            secret: first.protection == Protection::Transport,
            optional: unit.len() == 1 && store.optional.contains(&first.tag),
            last: false,
        });
        at = at.saturating_add(unit.len().max(1));
    }
    if store.completion == StoreCompletion::EmptyCompletion {
        out.push(Part { dgis: Vec::new(), secret: false, optional: false, last: false });
        commands = commands.saturating_add(1);
    }
    let last = out.last_mut().ok_or(ErrorKind::Missing("a DGI to store"))?;
    last.last = true;
    if last.optional {
        let rule = "the card may not know the last DGI: another one, or an empty completion, ends the personalization";
        return Err(ErrorKind::Value(rule).into());
    }
    if commands > MAX_COMMANDS {
        return Err(ErrorKind::Value("a personalization has at most 256 STORE DATA commands").into());
    }
    Ok(out)
}

/// The groupings at the beginning of `rest` that go together.
fn unit_at<'a, 'b>(
    store: &StoreData,
    rest: &'b [&'a ProtectedDgi],
    block: Option<usize>,
    max: usize,
) -> Result<&'b [&'a ProtectedDgi]> {
    let Some(first) = rest.first() else { return Ok(rest) };
    let fits = |unit: &[&ProtectedDgi]| -> Result<bool> {
        let mut len = 0_usize;
        for dgi in unit {
            len = len.saturating_add(encoded_len(dgi, block)?);
        }
        Ok(len <= max)
    };
    if let Some(group) = store.groups.iter().find(|g| g.contains(&first.tag)) {
        // Of a group those that this application has.
        let count = rest.iter().take_while(|d| group.contains(&d.tag)).count();
        let unit = rest.get(..count).unwrap_or_default();
        let apart = rest.iter().skip(count).any(|d| group.contains(&d.tag));
        if apart {
            return Err(ErrorKind::Value("the DGIs of a group follow each other").into());
        }
        if unit.iter().any(|d| d.protection != first.protection) {
            return Err(ErrorKind::Value("the DGIs of a group are all clear or all secret").into());
        }
        if count > 1 && !fits(unit)? {
            return Err(ErrorKind::Value("the DGIs of a group fit into one command").into());
        }
        return Ok(unit);
    }
    let mut count = 1_usize;
    if store.packing == Packing::Fill && !store.optional.contains(&first.tag) {
        let alone = |d: &ProtectedDgi| {
            store.optional.contains(&d.tag) || store.groups.iter().any(|g| g.contains(&d.tag))
        };
        while let Some(next) = rest.get(count) {
            let longer = rest.get(..count.saturating_add(1)).unwrap_or_default();
            if next.protection != first.protection || alone(next) || !fits(longer)? {
                break;
            }
            count = count.saturating_add(1);
        }
    }
    Ok(rest.get(..count).unwrap_or(rest))
}

/// How a value of `len` bytes grows to blocks of `block` bytes: a PIN block with random bytes (CPS 2.0), others as the plan says.
pub(super) fn refill(store: &StoreData, tag: DgiTag, random: [u8; 16], block: usize, len: usize) -> Refill {
    let missing = len.next_multiple_of(block.max(1)).saturating_sub(len);
    if missing == 0 {
        return Refill::Refuse;
    }
    match (tag, store.aes_filling) {
        (DgiTag::REFERENCE_PIN, _) => Refill::Bytes(random.get(..missing).unwrap_or_default().to_vec()),
        (_, AesFilling::Bit) => Refill::Bit,
        (_, AesFilling::Zeros) => Refill::Zeros,
        (_, AesFilling::Refuse) => Refill::Refuse,
    }
}

/// The data of a part, cut; each piece but the last is `max` bytes.
pub(super) fn cut(data: &[u8], max: usize) -> Result<VecDeque<Zeroizing<Vec<u8>>>> {
    if data.is_empty() || max == 0 {
        return Err(Error::new(ErrorKind::Internal("nothing to cut")));
    }
    Ok(data.chunks(max).map(|piece| Zeroizing::new(piece.to_vec())).collect())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

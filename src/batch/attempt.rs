use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::bytes::hex_upper;
use crate::card::CardId;
use crate::crypto::rng::Seed;
use crate::output::{Counts, FileRecord, Form, OrderOutcome, PoolCounts, Sealer, Sheet, Verification};
use crate::profile::{Channel, DestinationId};
use crate::store::Store;

use super::record::Parts;
use super::{BatchError, BlockNumber, BlockRecord, Layout, Made, WeakKeyGate, gate};

/// An order of a block with what became of it.
pub(super) type Outcome = (OrderOutcome, Option<Made>);

/// What an attempt needs to know of its batch.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) store: &'a Store,
    pub(super) layout: &'a Layout,
    pub(super) batch: &'a str,
    pub(super) sealer: Option<&'a dyn Sealer>,
    pub(super) issuer_return: &'a DestinationId,
    pub(super) gate: Option<&'a WeakKeyGate<'a>>,
    pub(super) verification: Option<&'a Verification>,
    pub(super) places: &'a [(u64, CardId)],
}

/// A file of a block before it is written.
struct Draft {
    path: String,
    parts: Vec<Zeroizing<Vec<u8>>>,
    cards: u64,
}

type Lines<'a> = Vec<&'a [u8]>;

/// Turns the outcomes of a block into files: one for each destination, sealed for it.
fn drafts(
    frame: &Frame<'_>,
    number: BlockNumber,
    seed: &Seed,
    outcomes: &[Outcome],
) -> Result<Vec<Draft>, BatchError> {
    let mut cards: BTreeMap<(Channel, &DestinationId), Lines<'_>> = BTreeMap::new();
    let mut mailers: BTreeMap<&DestinationId, Lines<'_>> = BTreeMap::new();
    let mut returns = Lines::new();
    for made in outcomes.iter().filter_map(|(_, made)| made.as_ref()) {
        cards.entry((made.channel, &made.destination)).or_default().push(&made.card);
        if let Some((to, line)) = &made.mailer {
            mailers.entry(to).or_default().push(line);
        }
        returns.push(&made.issuer_return);
    }
    let mut out = Vec::new();
    for ((channel, to), lines) in cards {
        let form = if channel == Channel::Instant { Form::EachLine } else { Form::Whole };
        let stem = format!("prepared/{channel}/{to}/cards-{number}");
        out.push(draft(frame, stem, to, form, &lines, seed)?);
    }
    for (to, lines) in mailers {
        out.push(draft(frame, format!("pin-mailers/{to}/mailers-{number}"), to, Form::Whole, &lines, seed)?);
    }
    if !returns.is_empty() {
        let stem = format!("issuer-return/return-{number}");
        out.push(draft(frame, stem, frame.issuer_return, Form::Whole, &returns, seed)?);
    }
    Ok(out)
}

fn draft(
    frame: &Frame<'_>,
    stem: String,
    to: &DestinationId,
    form: Form,
    lines: &[&[u8]],
    seed: &Seed,
) -> Result<Draft, BatchError> {
    let cards = lines.len() as u64;
    let Some(sealer) = frame.sealer else {
        let parts =
            lines.iter().flat_map(|line| [Zeroizing::new(line.to_vec()), Zeroizing::new(vec![b'\n'])]);
        return Ok(Draft { path: format!("{stem}.jsonl"), parts: parts.collect(), cards });
    };
    let path = format!("{stem}.jwe");
    let sheet = Sheet { batch: frame.batch, file: &path, form };
    let sealed = crate::output::seal(sealer, to, &sheet, lines, seed).map_err(BatchError::Lost)?;
    Ok(Draft { parts: vec![Zeroizing::new(sealed.into_bytes())], path, cards })
}

/// Writes all files of a block under names of their own, and commits them.
///
/// The record of the block: ours, or that of another attempt that came first.
pub(super) fn commit(
    frame: &Frame<'_>,
    number: BlockNumber,
    input: String,
    seed: &Seed,
    outcomes: &[Outcome],
) -> Result<BlockRecord, BatchError> {
    let drafts = drafts(frame, number, seed, outcomes)?;
    let nonce = Seed::from_os().map_err(BatchError::Lost)?.keyed_digest(&[b"attempt"]);
    let name = format!("{number}-{}", hex_upper(nonce.get(..6).unwrap_or_default()));
    let folder = frame.layout.attempt(&name);
    let store = frame.store;
    store.create_folders(&folder)?;

    let mut files = Vec::with_capacity(drafts.len());
    for (i, draft) in drafts.iter().enumerate() {
        let written = store.write_new(&folder.join(i.to_string()), &draft.parts)?;
        files.push(FileRecord {
            path: draft.path.clone(),
            sha256: hex_upper(&written.sha256),
            bytes: written.bytes,
            cards: draft.cards,
        });
    }
    let part = |name: &str, lines: Vec<String>| {
        let written = store.write_new(&folder.join(name), &lines)?;
        Ok::<_, BatchError>(FileRecord {
            path: name.to_owned(),
            sha256: hex_upper(&written.sha256),
            bytes: written.bytes,
            cards: lines.len() as u64,
        })
    };
    let status = part("status", outcomes.iter().map(|(o, _)| o.status().to_json() + "\n").collect())?;
    let rejected = part(
        "rejected",
        outcomes.iter().filter_map(|(o, _)| Some(o.rejected()?.to_json() + "\n")).collect(),
    )?;
    let keys = match frame.gate {
        Some(gate) => gate::write(gate, store, &folder, outcomes)?,
        None => None,
    };
    let record = BlockRecord::new(Parts {
        batch: frame.batch.to_owned(),
        block: number.0,
        attempt: name,
        input,
        places: frame.places.iter().map(|(position, id)| (*position, id.to_string())).collect(),
        counts: count(outcomes),
        pool: pool_counts(outcomes),
        verification: frame.verification.cloned(),
        by_profile: by_profile(outcomes),
        files,
        status,
        rejected,
        keys,
    });
    let draft_of_record = folder.join("record");
    store.write_new(&draft_of_record, [record.to_json()])?;
    store.sync_folder(&folder)?;
    match store.link(&draft_of_record, &frame.layout.record(number)) {
        Ok(()) => Ok(record),
        Err(e) if e.exists() => {
            store.remove_folder(&folder)?;
            read_record(store, frame.layout, frame.batch, number)?
                .ok_or(BatchError::Internal("a committed record is gone"))
        }
        Err(e) => Err(e.into()),
    }
}

/// The record of a block, if it is committed.
pub(super) fn read_record(
    store: &Store,
    layout: &Layout,
    batch: &str,
    number: BlockNumber,
) -> Result<Option<BlockRecord>, BatchError> {
    let path = layout.record(number);
    let Some(bytes) = store.read(&path)? else { return Ok(None) };
    let record = BlockRecord::read(&bytes);
    let record = record.map_err(|e| BatchError::Refused(format!("{}: {e}", path.display())))?;
    if record.batch != batch || record.block != number.0 {
        return Err(BatchError::Refused(format!("{}: the record of another block", path.display())));
    }
    Ok(Some(record))
}

/// Moves the files of a committed block to their final names. Doing it again does nothing.
pub(super) fn publish(store: &Store, layout: &Layout, record: &BlockRecord) -> Result<(), BatchError> {
    let folder = layout.attempt(&record.attempt);
    for (i, file) in record.files.iter().enumerate() {
        let to = layout.file(&file.path);
        if store.exists(&to) {
            continue;
        }
        if let Some(parent) = to.parent() {
            store.create_folders(parent)?;
        }
        store.rename(&folder.join(i.to_string()), &to)?;
    }
    Ok(())
}

fn pool_counts(outcomes: &[Outcome]) -> PoolCounts {
    let mut counts = PoolCounts::default();
    outcomes.iter().filter_map(|(_, made)| made.as_ref()).for_each(|made| counts.add(made.pool));
    counts
}

fn by_profile(outcomes: &[Outcome]) -> BTreeMap<String, u64> {
    let mut cards: BTreeMap<String, u64> = BTreeMap::new();
    for made in outcomes.iter().filter_map(|(_, made)| made.as_ref()) {
        let n = cards.entry(made.profile.clone()).or_default();
        *n = n.saturating_add(1);
    }
    cards
}

fn count(outcomes: &[Outcome]) -> Counts {
    let mut counts = Counts { orders: outcomes.len() as u64, ..Counts::default() };
    for (outcome, _) in outcomes {
        if outcome.earlier {
            counts.repeated = counts.repeated.saturating_add(1);
            continue;
        }
        let (total, name) = match (&outcome.rejection, outcome.channel) {
            (None, Some(channel)) => {
                counts.prepared = counts.prepared.saturating_add(1);
                (&mut counts.by_channel, channel.name())
            }
            (rejection, _) => {
                counts.rejected = counts.rejected.saturating_add(1);
                (&mut counts.by_error, rejection.as_ref().map_or("INTERNAL_ERROR", |r| r.code.name()))
            }
        };
        let n = total.entry(name.to_owned()).or_default();
        *n = n.saturating_add(1);
    }
    counts
}

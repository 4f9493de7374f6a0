//! A batch that survives: orders in, one committed block after the other, the manifest last.
//!
//! This is the only place that knows threads. The reader cuts the input into blocks of positions; a few blocks are in
//! flight at a time, each worked on in chunks over all cores, so that memory does not grow with the input.
//!
//! # Commit
//!
//! The block is the unit. An attempt writes all files of its block (cards, PIN mailers, issuer return, statuses) under
//! its own names and syncs them. One `link(2)` of the block record, which lists the files with their SHA-256, commits
//! the attempt; a name that is taken means that another attempt came first, and this one counts for nothing. The files
//! move to their final names after that; this follows from the record and can be repeated. So cards, mailers and
//! returns of a block always come from one attempt, and with them one seed.
//!
//! # What stands in the output folder while a batch runs
//!
//! | path | holds |
//! |---|---|
//! | `job.json` | start, batch id, digests of what the batch was started with |
//! | `job.key` | the job's data key, wrapped: written before `job.json`, which has its digest |
//! | `.job/attempts/NNNNNN-*/` | files of one attempt at block NNNNNN |
//! | `.job/records/NNNNNN.json` | the record that commits block NNNNNN, with the running digest of the input |
//! | `prepared/`, `pin-mailers/`, `issuer-return/` | files of committed blocks |
//! | `.job/prime-tag-key`, `.job/primes/` | key of the primes' tags; runs of their sort: see `gate` |
//! | `report.html` | the batch for people: written before the manifest, which has its digest |
//! | `batch.json` | the manifest: written last, then `.job` goes |
//!
//! # Second use of a cardId
//!
//! Blocks are parsed side by side, then pass one after the other, in input order, through the set of cardIds. A block
//! that is committed already gives its cardIds from its statuses.

mod attempt;
mod cards;
mod envelope;
mod error;
mod finish;
mod gate;
mod input;
mod job;
mod job_key;
mod layout;
mod pipeline;
mod record;
mod run;
mod seen;
#[cfg(test)]
mod tests;
mod watch;
mod wipe;

pub use cards::{Cards, LedgerTags};
pub use envelope::{EnvelopeKeys, EnvelopeKeysOn};
pub use error::{BatchError, Exit};
pub use finish::{Facts, KeysFrom};
pub use gate::{KeysPart, SAMPLE, TagKeyFrom, WeakKeyGate, tag_key};
pub use input::{Input, InputSource, Spool, file_digest};
pub use job::{Description, Job, OpenJob, Resume, check_folder, open, open_with_key};
pub use job_key::JobKey;
pub use layout::Layout;
pub use pipeline::{BlockNumber, Head, Made, Pipeline};
pub use record::BlockRecord;
pub use run::{BlockDone, Committed, NoProgress, Progress, Settings, run};
pub use wipe::{JobRecord, JobState, Wipe};

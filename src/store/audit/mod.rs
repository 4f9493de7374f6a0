//! The audit log: who did what to a batch and when, with digests and counts, never card data.
//!
//! A file of JSON Lines. Each entry holds the digest of the entry before it, so that an entry that is changed, removed,
//! added or moved breaks the chain. The head, a file beside it, holds the number of entries and the last digest under an
//! Ed25519 signature, so that the end of the log cannot be cut off and the chain cannot be made anew.
//!
//! What it cannot see: the whole log with its head put back to an earlier state. The digest of the head stands in the
//! signed manifest of a finished batch; keep that elsewhere.

mod chain;
mod log;
#[cfg(test)]
mod tests;

pub use chain::{Entry, Event, Head, Text, check, entries};
pub use log::{AuditError, AuditLog};

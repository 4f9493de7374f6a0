//! The output edge: prepared cards to bytes, and back. Pure: nothing here reads or writes a file.
//!
//! | file | written by |
//! |---|---|
//! | `prepared/<channel>/<destination>/cards-NNNNNN.*` | [`seal()`] over card lines |
//! | `pin-mailers/…`, `issuer-return/…` | [`seal()`] over their lines |
//! | `status.jsonl`, `rejected.jsonl` | [`StatusLine`], [`RejectedLine`] |
//! | `batch.json` | [`Manifest`] |

mod manifest;
mod seal;
mod status;

pub use manifest::{Counts, FileDigest, FileRecord, InputRecord, KeyRecord, MANIFEST_FORMAT, Manifest};
pub use seal::{Form, Label, Sealer, Sheet, seal};
pub use status::{DATA_EXCEPTION, OrderOutcome, RejectedLine, StatusLine};

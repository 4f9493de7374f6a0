//! The output edge: prepared cards to bytes, and back. Pure: nothing here reads or writes a file.
//!
//! | file | written by |
//! |---|---|
//! | `prepared/<channel>/<destination>/cards-NNNNNN.*` | [`seal()`] over card lines; [`CardLine`] reads one |
//! | `pin-mailers/…`, `issuer-return/…` | [`seal()`] over their lines |
//! | `status.jsonl`, `rejected.jsonl` | [`StatusLine`], [`RejectedLine`] |
//! | `batch.json` | [`Manifest`] |
//! | `report.html` | [`report::Report`] |

mod card_line;
pub mod formats;
mod manifest;
mod reader;
mod recipients;
pub mod report;
mod seal;
mod status;
mod verification;

pub use card_line::{CARD_FORMAT, MAILER_FORMAT, RETURN_FORMAT, card_line, mailer_line, return_line};
pub use manifest::{
    AuditRecord, Counts, FileDigest, FileRecord, InputRecord, KeyRecord, MANIFEST_FORMAT, Manifest,
    PoolCounts, SignatureRecord,
};
pub use reader::CardLine;
pub use recipients::{Opened, Recipients, open, recipient};
pub use seal::{Form, Label, Sealer, Sheet, seal};
pub use status::{DATA_EXCEPTION, OrderOutcome, RejectedLine, StatusLine};
pub use verification::{CheckCounts, CheckResult, Verification};

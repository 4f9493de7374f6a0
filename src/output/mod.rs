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
mod record_mac;
pub mod report;
mod seal;
mod sender;
mod status;
mod trust;
mod verification;
mod weak_keys;

pub use card_line::{
    CARD_FORMAT, MAILER_FORMAT, RETURN_FORMAT, card_line, card_line_with, mailer_line, mailer_line_with,
    return_line, return_line_with,
};
pub use manifest::{
    AuditRecord, Counts, FileDigest, FileRecord, InputRecord, KeyRecord, MANIFEST_FORMAT, Manifest,
    PoolCounts, SignatureRecord,
};
pub use reader::CardLine;
pub use recipients::{Opened, Recipients, open, open_from, recipient};
pub use record_mac::{RecordMac, RecordMacKey, RecordMacs};
pub use seal::{Form, Label, Sealer, Sheet, seal};
pub use sender::Senders;
pub use status::{DATA_EXCEPTION, OrderOutcome, RejectedLine, StatusLine};
pub use trust::{OfficersRecord, Trust};
pub use verification::{CheckCounts, CheckResult, Verification};
pub use weak_keys::WeakKeys;

//! Checked values of a card: whoever holds one of these types need not check it again.

mod date;
mod id;
mod pan;
mod pin;
mod service_code;

pub use date::{CardDate, Expiry};
pub use id::{CardId, IssuerRequestId};
pub use pan::{Iin, Pan};
pub use pin::Pin;
pub use service_code::{Psn, ServiceCode};

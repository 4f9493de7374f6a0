//! Personalization data: data groupings (DGIs), their protection under the transport key, STORE DATA scripts. EMV Card
//! Personalization Specification (CPS) 1.1 and 2.0.
//!
//! A [`DgiSet`] may hold secrets in clear; it becomes a [`ProtectedDgiSet`], which cannot, and only that one leaves.
#![deny(clippy::arithmetic_side_effects)]

pub mod apdu;
pub mod channel;
mod dgi;
pub mod names;
pub mod plan;
mod protect;
pub mod record;
pub mod script;
pub mod session;
pub mod tree;

pub use dgi::{Dgi, DgiTag, dgi_length, encode_dgi, parse_dgis, read_dgi};
pub use protect::{
    ClearValue, DgiSet, DgiValue, PadRule, ProtectedDgi, ProtectedDgiSet, Protection, protect_many,
};
pub use script::{Completion, Script, ScriptPlan, ScriptStep};

#[cfg(test)]
mod published_tests;

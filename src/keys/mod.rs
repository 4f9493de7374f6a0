//! Keys by use and index, their check values, and the source that is asked to work with them.

mod name;
mod source;

pub use name::{CvvKind, KeyAlgorithm, KeyIndex, KeyRef, KeyUse};
pub use source::{KeyInfo, KeySource, OdaKeyInfo};

//! Officers: who may vouch for an issuer directory and let a stopped batch go on.
//!
//! Their public keys stand in a file outside of the issuer directory, so that whoever changes the one cannot change the
//! other. Each signs the digest of all files of the directory ([`DirectoryState`]); so many distinct officers must have
//! signed the state that is read. Nothing here reads a file or a clock.

mod approval;
mod file;
mod state;
#[cfg(test)]
mod tests;

pub use approval::{Approval, Restart};
pub use file::{Officer, OfficerName, Officers, Role};
pub use state::{Change, DirectoryState, OfficerSignature, Refusal, Signed};

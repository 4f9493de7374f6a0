//! Certification of issuer keys by a scheme: requests out ([`pkcs10`], [`template`]), response files in ([`CaResponse`]).
//!
//! The layouts of responses are public facts, read from real files. No scheme's request layout is here: an issuer fills a
//! [`template::RequestTemplate`] from its scheme manual, or sends a PKCS#10 request.

pub mod pkcs10;
mod response;
pub mod template;
#[cfg(test)]
mod tests;

pub use response::{CaResponse, DetachedSignature, ResponseLayout};

//! Certification of issuer keys by a scheme: requests out ([`pkcs10`], [`template`]), response files in ([`CaResponse`]).
//!
//! The other side, which a test scheme plays: [`pkcs10::read`] and [`template::RequestTemplate::read`] take a request in,
//! [`test_ca`] writes the response.
//!
//! The layouts of responses are public facts, read from real files. No scheme's request layout is here: an issuer fills a
//! [`template::RequestTemplate`] from its scheme manual, or sends a PKCS#10 request.

pub mod pkcs10;
mod read_request;
mod response;
pub mod template;
pub mod test_ca;
#[cfg(test)]
mod tests;

pub use read_request::ReadRequest;
pub use response::{CaResponse, DetachedSignature, ResponseLayout};

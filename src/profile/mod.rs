//! The issuer's configuration, validated once: issuer, destinations, products, profiles.
//!
//! An [`Issuer`] comes from the bytes of the files of an issuer directory; nothing here reads a file. It holds no
//! secret: keys are named, and files that hold secrets are named.

mod destination;
mod identifier;
mod issuer;
mod product;

pub use destination::{Channel, Destination, DestinationId, TransportKeyConfig};
pub use identifier::{Allowed, IdentifierKind};
pub use issuer::{Environment, Issuer, ProfileNeeds};
pub use product::{ExpiryOrder, PinPolicy, PrintField, Product};

//! The issuer's configuration, validated once: issuer, destinations, products, profiles.
//!
//! An [`Issuer`] comes from the bytes of the files of an issuer directory; nothing here reads a file. It holds no
//! secret: keys are named, and files that hold secrets are named.

mod bins;
mod card_profile;
mod check;
mod destination;
mod envelope_file;
mod finding;
pub mod format;
mod format_file;
mod identifier;
mod issuer;
mod issuer_file;
mod key_source_file;
mod keys_edit;
mod keys_file;
pub mod layout;
mod load;
mod oda_file;
pub mod officers;
pub mod plan_file;
mod product;
mod product_file;
mod production;
mod profile_file;
mod protection_file;
mod track;
mod value;
mod verify_file;
mod widest;

pub use card_profile::{
    Application, ApplicationKind, CardRsaKey, DgiContent, DgiSpec, Interface, InterfaceProfile, OdaProfile,
    PaymentApplication, Profile, RecordSpec, RsaPart, Values,
};
pub use destination::{Channel, Destination, DestinationId, TransportKeyConfig};
pub use finding::{Finding, Level};
pub use identifier::{Allowed, IdentifierKind};
pub use issuer::{Environment, Issuer, ProfileNeeds};
pub use issuer_file::{KeySettings, LedgerConfig, SecretFile, SecretKind};
pub use key_source_file::{KeySourceConfig, KeySourceKind, PinFrom, TokenConfig};
pub use keys_edit::{KeyLine, KeysFile, cvv_word, entry_text};
pub use keys_file::{KeyDates, KeyState};
pub use load::Files;
pub use oda_file::{OdaCertificate, OdaKey};
pub use product::{ExpiryOrder, Ibm3624, NameOrder, PinPolicy, PinVerification, PrintField, Product};
pub use production::{Guarded, Risk};
pub use protection_file::{Protection, ProtectionSource};
pub use track::{Discretionary, Part, Track3Part, TrackTemplate};
pub use value::{CardSource, CardValues, Piece, ValueSpec};
pub use verify_file::VerifyCards;

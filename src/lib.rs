//! EMV data preparation: a card order, its decrypted card data and the issuer's keys go in; everything a
//! personalization site needs for that card comes out.
//!
//! # For a server
//!
//! Load the issuer once from the bytes of its directory, open its keys once, then prepare one order or a slice of a
//! thousand. Nothing here does I/O, reads a clock or keeps state.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example_issuer.rs"));
//! use emv_dataprep::card::CardDate;
//! use emv_dataprep::crypto::{backend::Backend, rng::Seed};
//! use emv_dataprep::issuer::KeyModule;
//! use emv_dataprep::order::{Frame, NoEnvelopeKey, parse_order};
//! use emv_dataprep::prepare::{Context, FirstSerial, Scripts, TransportKeys, prepare_batch};
//! use emv_dataprep::profile::Issuer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = Issuer::load(&files()).map_err(|findings| format!("{findings:?}"))?;
//! let module = KeyModule::new(ring()); // or a token behind the same trait
//!
//! let order = br#"{"cardId":"c-1","order":{"distributionChannel":"INSTANT","persoStation":"KIOSK-1",
//!   "services":{"issuance":"CREATION"},
//!   "paymentApplication":{"config":"online-only","derivationKeyIndex":"01","cvKeyIndex":"01"}},
//!   "cardData":{"pan":"4761739001010010","exp":"2906","name":"Maria Muster"}}"#;
//! let mut orders = Vec::new();
//! let mut frame = Frame::new();
//! frame.feed(order, &mut orders);
//! frame.finish(&mut orders);
//!
//! let today = CardDate::from_yymmdd("260115")?;
//! let seed = Seed::from_os()?; // fresh for every call
//! let transport_keys = TransportKeys::for_block(&issuer, &module, &seed, 0)?;
//! let context = Context {
//!     issuer: &issuer,
//!     module: &module,
//!     seed: &seed,
//!     today,
//!     backend: Backend::detect(),
//!     transport_keys: &transport_keys,
//!     scripts: Scripts::Build,
//!     supply: None,
//!     first_serial: FirstSerial::of_seed(&seed),
//!     prime_tags: None,
//! };
//! let request = parse_order(&issuer, &NoEnvelopeKey, &orders[0], today)?;
//! let card = prepare_batch(&context, &[request])?.remove(0)?;
//! assert_eq!(card.masked_pan, "476173******0010");
//! let line = emv_dataprep::output::card_line(&card); // the JSON form, to be sealed for the destination
//! # assert!(!line.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # For an instant-issuance agent
//!
//! The agent takes the script of each application: APDUs that go to the card as they are, and groupings that go from the
//! transport key to the card's session key first.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example_issuer.rs"));
//! # use emv_dataprep::card::CardDate;
//! # use emv_dataprep::crypto::{backend::Backend, rng::Seed};
//! # use emv_dataprep::issuer::KeyModule;
//! # use emv_dataprep::order::{Frame, NoEnvelopeKey, parse_order};
//! # use emv_dataprep::prepare::{Context, FirstSerial, Scripts, TransportKeys, prepare_one};
//! # use emv_dataprep::profile::Issuer;
//! use emv_dataprep::perso::ScriptStep;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let issuer = Issuer::load(&files()).map_err(|findings| format!("{findings:?}"))?;
//! # let module = KeyModule::new(ring());
//! # let order = br#"{"cardId":"c-1","order":{"distributionChannel":"INSTANT","persoStation":"KIOSK-1","services":{"issuance":"CREATION"},
//! #   "paymentApplication":{"config":"online-only","derivationKeyIndex":"01","cvKeyIndex":"01"}},
//! #   "cardData":{"pan":"4761739001010010","exp":"2906","name":"Maria Muster"}}"#;
//! # let (mut orders, mut frame) = (Vec::new(), Frame::new());
//! # frame.feed(order, &mut orders);
//! # frame.finish(&mut orders);
//! # let today = CardDate::from_yymmdd("260115")?;
//! # let seed = Seed::from_os()?;
//! # let transport_keys = TransportKeys::for_block(&issuer, &module, &seed, 0)?;
//! # let context = Context { issuer: &issuer, module: &module, seed: &seed, today, backend: Backend::detect(),
//! #     transport_keys: &transport_keys, scripts: Scripts::Build, supply: None,
//! #     first_serial: FirstSerial::of_seed(&seed), prime_tags: None };
//! # let request = parse_order(&issuer, &NoEnvelopeKey, &orders[0], today)?;
//! let card = prepare_one(&context, request)??;
//! for application in &card.applications {
//!     for step in &application.script.as_ref().ok_or("no script")?.0 {
//!         match step {
//!             // Goes to the card, inside the secure channel once it is open.
//!             ScriptStep::Apdu(apdu) => assert!(apdu.len() >= 5),
//!             // The groupings named here go from the transport key to the session key, then to the card.
//!             ScriptStep::StoreData { p1, dgis, .. } => assert!(p1 & 0x60 == 0x60 && !dgis.is_empty()),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! Lowest first; a module names only lower rows (`tests/layers.rs` checks it):
//!
//! | layer | modules |
//! |---|---|
//! | 0 | [`error`], [`bytes`], [`secret`] |
//! | 1 | [`card`], [`crypto`] |
//! | 2 | [`emv`], [`keys`] |
//! | 3 | [`issuer`] |
//! | 4 | [`perso`] |
//! | 5 | [`profile`] |
//! | 6 | [`prepare`] |
//! | 7 | [`order`], [`output`] |
//! | 8 | [`store`], [`hsm`], [`batch`] |
//! | – | [`verify`], [`selftest`] |

pub mod batch;
pub mod bytes;
pub mod card;
pub mod crypto;
pub mod emv;
pub mod error;
pub mod hsm;
pub mod issuer;
pub mod keys;
pub mod order;
pub mod output;
pub mod perso;
pub mod prepare;
pub mod profile;
pub mod secret;
pub mod selftest;
pub mod store;
pub mod verify;

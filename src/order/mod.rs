//! The input edge: bytes of D1 orders in, checked [`CardRequest`](crate::prepare::CardRequest)s out.
//!
//! [`Frame`] finds the orders in a stream of bytes and counts them; [`parse_order`] checks one; [`Duplicates`] finds a
//! second use of a cardId. Nothing here reads a file.
//!
//! An order is D1's own: the single-card body with `cardId` beside it, either flat
//! (`{cardId, distributionChannel, …, cardData?}`) or wrapped (`{cardId, issuerRequestId?, order{…}, cardData?}`).
//! A field in error is named by its dotted path in the wrapped form, whatever the form of the order.
//!
//! # Which error is the first
//!
//! The fields are checked in this order, each for its presence, type, pattern and value before the next: `cardId`,
//! `issuerRequestId` beside it (wrapped form), `distributionChannel`, `services` (issuance, priority, delivery,
//! packaging, cardCarrier, pinMailer, alphaCard), `encryptedData` (presence and type), `paymentApplication` (config,
//! odaKeyIndex, derivationKeyIndex, pvKeyIndex, cvKeyIndex), `shipment`, `persoStation` or `persoCenter`, `consumerId`,
//! `cardProductId`, `issuerRequestId`, `cardDesign`, `cardCarrierConfig`, `packagingConfig`; then, when all of the order is
//! right, the envelope is opened, and the card data follow: pan, exp, name, secondName, encodedName, cvv1, cvv2, pvv,
//! panSequenceNumber, paymentAccountReference, effectiveDate, trackData, pinBlock.
//!
//! | code | when |
//! |---|---|
//! | `PARSING_ERROR` | the line is not JSON, not UTF-8, too long, or names a member twice (field empty); the decrypted text likewise (`order.encryptedData`) |
//! | `FIELD_INVALID_FORMAT` | a required member is missing; another type; another pattern, length or number of items |
//! | `FIELD_INVALID_VALUE` | the form is right and the value is not: an enum's, an identifier, profile, product, destination or key that is not configured, Luhn, expiry, another card's track |
//! | `OPERATION_NOT_ALLOWED` | configured, but not for this product |
//! | `CRYPTO_ERROR` | the envelope does not open (`order.encryptedData`) |
//!
//! # Decisions
//!
//! Where D1's pages contradict each other or say nothing, this is what holds:
//!
//! | topic | settled |
//! |---|---|
//! | `exp` | YYMM. A value that can only be MMYY is `FIELD_INVALID_VALUE` |
//! | `distributionChannel` | required, no default |
//! | `cardProductId` | optional when the profile has a default product |
//! | `consumerId` | optional on every channel, its pattern anchored on every channel |
//! | `odaKeyIndex`, `derivationKeyIndex` | required when the profile needs them. An index that is given must name a loaded key, needed or not |
//! | `individualAddress` | read in `BULK` only, required there when `services.cardCarrier` is not `NO_CARRIER` |
//! | `cardCarrierConfig.language` | `^[A-Z]{2}$` |
//! | `issuerRequestId` | taken on every channel, beside `cardId` or inside the order; two that differ are refused |
//! | members of another channel | unknown members: ignored (`shipment` on `INSTANT`, `packagingConfig` off `THALES`, …) |
//! | `state`, `oldCardId`, `line4` | ignored, whatever their value |
//! | `null` | a value of the wrong type, not an absent member |
//! | a member that stands twice | `PARSING_ERROR`: readers disagree on which one counts |
//! | `cardData` beside `encryptedData` | `cardData` is used, the envelope is not opened |
//! | enum members | another word is `FIELD_INVALID_VALUE` |
//! | patterns | read literally, anchored, Unicode aware; lengths count characters |
//! | `name`, `secondName` | 1 to 64 letters, digits, marks and `` ,.'_#;:/&+()-`` (D1 publishes no pattern). `name` is required when the product prints it, and for a card carrier of an order without address |
//! | `encodedName` | 2 to 26 characters that track 1 can carry, without `%`, `?` and `^` |
//! | `cvv1`, `cvv2`, `pvv`, `panSequenceNumber` | 3, 3, 4 and 2 digits |
//! | `paymentAccountReference` | 29 of `A-Z0-9` (EMVCo) |
//! | `effectiveDate` | YYMMDD, or YYMM for the first day of that month; not after the expiry |
//! | `trackData` | a member of the card data. With or without both sentinels, which are taken off; no LRC. PAN and expiry must be the card's (track 3: the PAN). Both stand on tracks 1 and 2; the service code may be left out by its separator. Track 1 is format code B |
//! | `pinBlock` | ours: `format` is `iso-0`, `iso-1`, `iso-3` or `iso-4` in either case, `keyIndex` names a `pin` key, `value` is upper-case hexadecimal. Required when the product takes its PIN from the order and no `pvv` is given, refused when the product does not |
//! | `multiCardOrder` | 1 to 6 |
//! | empty image id | the pattern lets it pass; it names no image and is not looked up |
//! | `deliveryAddress.countryCode` | a configured destination country; `individualAddress` may be anywhere |

#![deny(clippy::arithmetic_side_effects)]

mod card_data;
mod document;
mod duplicates;
mod fields;
mod frame;
mod fulfilment;
mod json;
mod parse;
mod pattern;
mod rules;
mod splitter;
mod track;

pub use duplicates::{Confirmation, Duplicates, Probe};
pub use frame::{Frame, MAX_CARDS, MAX_LINE, RawOrder};
pub use parse::{EnvelopeOpener, NoEnvelopeKey, OpenError, OrderRejection, parse_order};
pub use rules::{ProductRules, Rules};
pub use splitter::{Line, LineSplitter};

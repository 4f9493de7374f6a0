//! EMV data preparation: a card order, its decrypted card data and the issuer's keys go in; everything a
//! personalization site needs for that card comes out.
//!
//! The layers, lowest first; a module names only lower rows (`tests/layers.rs` checks it):
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
//! | 8 | [`store`], [`batch`] |
//! | – | [`verify`], [`selftest`] |

pub mod batch;
pub mod bytes;
pub mod card;
pub mod crypto;
pub mod emv;
pub mod error;
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

//! One slice of card requests becomes prepared cards: pure, all keys and random numbers come in as a context.
//!
//! The steps run phase by phase over the whole slice, so that each asks the security module once for all cards:
//! plan, PINs, PVV and offsets, card verification values, names, RSA keys, ICC master keys, certificates, DGIs,
//! protection, scripts. A card that fails becomes a [`Rejection`]; its neighbours go on.

mod card_keys;
mod carried;
mod certify;
mod chip;
mod consistent;
mod context;
mod encoded_name;
mod finish;
mod pins;
mod plan;
mod prepared;
mod rejection;
mod request;
mod track;
mod values;
mod work;

pub use carried::CarriedNames;
pub use context::{Context, FirstSerial, RsaKeySupply, Scripts, TransportKeys};
pub(crate) use prepared::personalization_data;
pub use prepared::{
    Carrier, IssuerReturn, Magstripe, Packaging, PinMailer, PreparedApplication, PreparedCard, Print,
    ReturnPinBlock, RsaKeyCounts, RsaTrace, ShipmentRecord,
};
pub use rejection::{ErrorCode, Rejection};
pub use request::{
    Address, CardData, CardDesign, CardRequest, CarrierConfig, KeyIndexes, OrderPinBlock, PackagingConfig,
    Phone, SensitiveText, Services, Shipment,
};

use crate::error::{Error, ErrorKind, Result};
use crate::secret::wipe_stack;
use work::{Card, Cards};

/// Prepares a slice of cards: results stand in the order of the requests, each a card or why it is rejected.
///
/// The outcome of a card depends on its request and the context alone, not on its neighbours or on how the input is
/// cut into slices.
///
/// # Errors
/// Only what stops the whole batch: the key source is lost, or there are no random numbers
/// ([`Error::stops_batch`]).
pub fn prepare_batch(
    context: &Context<'_>,
    requests: &[CardRequest],
) -> Result<Vec<std::result::Result<PreparedCard, Rejection>>, Error> {
    let mut cards: Cards<'_> =
        requests.iter().map(|r| plan::plan(context, r).map(|p| Card::new(p, context.today))).collect();
    for step in [
        pins::obtain,
        pins::verify_values,
        values::cvvs,
        values::names,
        card_keys::rsa_keys,
        card_keys::master_keys,
        card_keys::ivcvc3,
        pins::reference,
        certify::certify,
    ] {
        step(context, &mut cards)?;
        wipe_stack();
    }
    finish::finish(context, cards)
}

/// Prepares one card: a slice of one.
///
/// # Errors
/// As [`prepare_batch`].
pub fn prepare_one(
    context: &Context<'_>,
    request: CardRequest,
) -> Result<std::result::Result<PreparedCard, Rejection>, Error> {
    let mut results = prepare_batch(context, std::slice::from_ref(&request))?;
    results.pop().ok_or_else(|| ErrorKind::Internal("a card without an outcome").into())
}

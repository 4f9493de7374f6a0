//! One slice of card requests becomes prepared cards: pure, all keys and random numbers come in as a context.

mod rejection;
mod request;

pub use rejection::{ErrorCode, Rejection};
pub use request::{
    Address, CardData, CardDesign, CardRequest, CarrierConfig, KeyIndexes, OrderPinBlock, PackagingConfig,
    Phone, SensitiveText, Services, Shipment,
};

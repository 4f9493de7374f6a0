use crate::error::Error;
use crate::perso::apdu::StatusWord;

/// Why a secure channel does not open or cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// INITIALIZE UPDATE or EXTERNAL AUTHENTICATE was refused by the card.
    #[error("the card refuses the secure channel: {}, {}", .0, .0.meaning())]
    Status(StatusWord),
    /// A response has another form than the protocol's.
    #[error("the card's answer has not the form of the secure channel")]
    Response,
    /// The card speaks another protocol or option `i` than is expected.
    #[error("the card speaks another secure channel protocol than is expected")]
    Protocol,
    /// The card used another key set than the one asked for.
    #[error("the card has another key version than is expected")]
    KeyVersion,
    /// The card cryptogram is wrong: other keys, or no card of this issuer.
    #[error("the card does not know the keys: its cryptogram is wrong")]
    Cryptogram,
    /// The card challenge is not the pseudo-random one of this application.
    #[error("the card challenge is not that of the application")]
    Challenge,
    /// A response's MAC is wrong: it was altered on its way, or the session is torn.
    #[error("the MAC of the card's answer is wrong")]
    ResponseMac,
    /// A step out of order: a fault of the caller.
    #[error("out of order: {0}")]
    Order(&'static str),
    /// A command that cannot be wrapped: a fault of the caller.
    #[error("the command {0}")]
    Command(&'static str),
    /// The channel is closed.
    #[error("the secure channel is closed")]
    Closed,
    /// The settings contradict each other, or the host challenge has another length.
    #[error("{0}")]
    Settings(&'static str),
    /// The key source refused or failed.
    #[error("{0}")]
    Keys(#[from] Error),
}

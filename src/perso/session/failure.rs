use std::fmt;

use crate::emv::Aid;
use crate::error::Error;
use crate::perso::apdu::StatusWord;
use crate::perso::channel::ChannelError;

/// Why a card was not personalized.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// The day of `notAfter` is over.
    Expired,
    /// Plan, prepared card and station do not fit together.
    Configuration(Box<Error>),
    /// The card refused a command.
    Refused,
    /// The card's answer is no response APDU, or has another form than the command asks for.
    Answer,
    /// The secure channel did not open, or broke.
    Channel(Box<ChannelError>),
    /// The key source refused or failed.
    Keys(Box<Error>),
    /// The chip is another than the one that this card was claimed for.
    ClaimedByAnotherChip,
    /// The chip is another than at the beginning of the session.
    ChipChanged,
    /// No answer came: the card was taken away, or time ran out.
    NoAnswer,
    /// A final check found something else than was stored.
    Check,
    /// What a torn session did to the card cannot be told.
    Unknown,
    /// The caller did not follow the session's steps.
    Caller(&'static str),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Present the same card again and resume.
    SameCardAgain,
    /// Present the card that was begun with.
    RightCard,
    /// Put this card aside and take a new one, with an operator's reassignment if the card was claimed.
    NewCard,
    /// Somebody must look at plan, keys or station before any card is tried again.
    CallSupport,
    /// Ask the issuer for a card prepared anew.
    PrepareAgain,
}

impl Advice {
    /// Words for the operator.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::SameCardAgain => "present the same card again and resume",
            Self::RightCard => {
                "present the card that was begun with, or have the card reassigned by an operator"
            }
            Self::NewCard => "put this card aside and take a new one",
            Self::CallSupport => "call support: plan, keys or station settings are wrong",
            Self::PrepareAgain => "ask the issuer to prepare the card again",
        }
    }
}

/// The end of a session that did not personalize its card. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: FailureReason,
    /// The step, as progress names it; empty before the first.
    pub step: String,
    /// The application that was worked on.
    pub application: Option<Aid>,
    /// The card's status word, when it answered.
    pub status: Option<StatusWord>,
}

impl Failure {
    pub(super) fn configuration(error: Error) -> Self {
        Self::new(FailureReason::Configuration(Box::new(error)))
    }

    pub(super) const fn new(reason: FailureReason) -> Self {
        Self { reason, step: String::new(), application: None, status: None }
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match &self.reason {
            FailureReason::Expired => Advice::PrepareAgain,
            FailureReason::Configuration(_) | FailureReason::Keys(_) | FailureReason::Caller(_) => {
                Advice::CallSupport
            }
            FailureReason::Channel(e) => match **e {
                ChannelError::ResponseMac | ChannelError::Response | ChannelError::Closed => {
                    Advice::SameCardAgain
                }
                ChannelError::Status(_) | ChannelError::Cryptogram | ChannelError::Challenge => {
                    Advice::NewCard
                }
                _ => Advice::CallSupport,
            },
            FailureReason::ClaimedByAnotherChip | FailureReason::ChipChanged => Advice::RightCard,
            FailureReason::NoAnswer | FailureReason::Answer => Advice::SameCardAgain,
            FailureReason::Refused | FailureReason::Check | FailureReason::Unknown => Advice::NewCard,
        }
    }

    /// Why, in words for the operator.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.reason {
            FailureReason::Expired => "the prepared card is too old: its last day is over".to_owned(),
            FailureReason::Configuration(e) => format!("plan, card and station do not fit together: {e}"),
            FailureReason::Refused => "the card refuses".to_owned(),
            FailureReason::Answer => "the card's answer cannot be understood".to_owned(),
            FailureReason::Channel(e) => e.to_string(),
            FailureReason::Keys(e) => format!("the key source: {e}"),
            FailureReason::ClaimedByAnotherChip => "this card was begun on another chip".to_owned(),
            FailureReason::ChipChanged => "another chip answers than at the beginning".to_owned(),
            FailureReason::NoAnswer => "the card does not answer any more".to_owned(),
            FailureReason::Check => "the finished card does not hold what was prepared".to_owned(),
            FailureReason::Unknown => "it cannot be told how far an earlier try came".to_owned(),
            FailureReason::Caller(what) => format!("the program does not follow the session: {what}"),
        }
    }

    /// D1's production status of the card: always `CARD_PROD_EXCEPTION`; its text is the reason.
    #[must_use]
    pub const fn production_status(&self) -> &'static str {
        "CARD_PROD_EXCEPTION"
    }
}

impl fmt::Display for Failure {
    /// Step, words, status word with its meaning, advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.step.is_empty() {
            write!(f, "{}: ", self.step)?;
        }
        write!(f, "{}", self.text())?;
        if let Some(status) = self.status {
            write!(f, " ({status}, {})", status.meaning())?;
        }
        write!(f, "; {}", self.advice().text())
    }
}

impl std::error::Error for Failure {}

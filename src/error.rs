//! One error type for the library: what went wrong ([`ErrorKind`]) and where (a path of places).
//!
//! Messages name a record, field, tag or step. They never carry a PAN, PIN, key or card value: every text in
//! an [`ErrorKind`] is `&'static str`, and places are names from the configuration or from a standard.

use std::borrow::Cow;
use std::fmt;

/// Result of the library's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, without any value of a card or key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value has another length than its definition allows.
    #[error("{found} {unit} where {expected} are expected")]
    Length {
        /// What the definition allows, in words (`"8"`, `"16 or 24"`).
        expected: &'static str,
        /// What was found.
        found: usize,
        /// The unit counted: bytes, digits, bits, characters.
        unit: &'static str,
    },
    /// The input ends before the value does.
    #[error("ends early: {needed} bytes are needed, {left} are left")]
    Truncated {
        /// Bytes that the value still needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes are left after the last value.
    #[error("{0} bytes are left after the last value")]
    Trailing(usize),
    /// Text or bytes do not have the form of the value.
    #[error("is not {0}")]
    Format(&'static str),
    /// The form is right, the value breaks the rule that is named.
    #[error("{0}")]
    Value(&'static str),
    /// Something required is absent.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Something that may stand once stands again.
    #[error("{0} stands twice")]
    Duplicate(&'static str),
    /// A name that nothing answers to.
    #[error("{0} is not known")]
    Unknown(&'static str),
    /// A choice that this version does not offer.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// No key answers to this use and index.
    #[error("no such key")]
    KeyUnknown,
    /// A key is asked to do what its usage does not allow.
    #[error("the key's usage does not allow this")]
    KeyUsage,
    /// The key check value differs from the one stated.
    #[error("the key check value differs")]
    KcvMismatch,
    /// A key is refused by policy: weak, parity, equal halves, a known test key.
    #[error("the key is refused: {0}")]
    KeyRefused(&'static str),
    /// A cryptographic check failed: MAC, tag, signature, padding, certificate.
    #[error("{0}")]
    Crypto(&'static str),
    /// The operating system gave no random numbers.
    #[error("the operating system's random numbers are not available")]
    Randomness,
    /// A hardware token or key service stopped answering: the batch stops.
    #[error("the key source does not answer: {0}")]
    KeySourceLost(&'static str),
    /// A rule of this program broke: our fault.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// An [`ErrorKind`] and the places around it, outermost first.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    places: Vec<Cow<'static, str>>,
}

impl Error {
    /// An error without a place yet; callers add places with [`Error::at`].
    #[must_use]
    pub const fn new(kind: ErrorKind) -> Self {
        Self { kind, places: Vec::new() }
    }

    /// The same error, one place further out.
    ///
    /// ```
    /// use emv_dataprep::error::{Error, ErrorKind};
    /// let e = Error::new(ErrorKind::Trailing(2)).at("tag 9F10").at("record 1 of SFI 2");
    /// assert_eq!(e.to_string(), "record 1 of SFI 2: tag 9F10: 2 bytes are left after the last value");
    /// ```
    #[must_use]
    pub fn at(mut self, place: impl Into<Cow<'static, str>>) -> Self {
        self.places.insert(0, place.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Where, outermost first.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(AsRef::as_ref)
    }

    /// Whether the whole batch must stop, not only this card.
    #[must_use]
    pub const fn stops_batch(&self) -> bool {
        matches!(self.kind, ErrorKind::Randomness | ErrorKind::KeySourceLost(_))
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.places {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}

/// Adds a place to the error of a result.
pub trait Place<T> {
    /// The same result, its error one place further out.
    ///
    /// # Errors
    /// The error of `self`, with the place added.
    fn at(self, place: impl Into<Cow<'static, str>>) -> Result<T>;

    /// As [`Place::at`], the place made only when there is an error.
    ///
    /// # Errors
    /// The error of `self`, with the place added.
    fn at_with<P: Into<Cow<'static, str>>>(self, place: impl FnOnce() -> P) -> Result<T>;
}

impl<T, E: Into<Error>> Place<T> for std::result::Result<T, E> {
    fn at(self, place: impl Into<Cow<'static, str>>) -> Result<T> {
        self.map_err(|e| e.into().at(place))
    }

    fn at_with<P: Into<Cow<'static, str>>>(self, place: impl FnOnce() -> P) -> Result<T> {
        self.map_err(|e| e.into().at(place()))
    }
}

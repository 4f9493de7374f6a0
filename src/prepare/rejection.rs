use std::borrow::Cow;
use std::fmt;

/// D1's words for what is wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// A required member is missing, or its type or pattern is wrong.
    FieldInvalidFormat,
    /// The value is not permitted for the field.
    FieldInvalidValue,
    /// Decryption of `encryptedData` or of a PIN block failed.
    CryptoError,
    /// The line or the decrypted text is not JSON.
    ParsingError,
    /// Not permitted for this card product.
    OperationNotAllowed,
    /// Our fault.
    InternalError,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::FieldInvalidFormat,
        Self::FieldInvalidValue,
        Self::CryptoError,
        Self::ParsingError,
        Self::OperationNotAllowed,
        Self::InternalError,
    ];

    /// D1's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FieldInvalidFormat => "FIELD_INVALID_FORMAT",
            Self::FieldInvalidValue => "FIELD_INVALID_VALUE",
            Self::CryptoError => "CRYPTO_ERROR",
            Self::ParsingError => "PARSING_ERROR",
            Self::OperationNotAllowed => "OPERATION_NOT_ALLOWED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why one order is rejected. The others of its batch go on.
///
/// `field` is the dotted path in the wrapped form (`cardData.pan`, `order.cardDesign.images[2]`); it is built from
/// member names that the schema knows and array positions, never from text of the order. `reason` is words for people,
/// without any card value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// D1's word.
    pub code: ErrorCode,
    /// The first field in error; empty when no field is.
    pub field: Cow<'static, str>,
    /// What is wrong, in words.
    pub reason: Cow<'static, str>,
}

impl Rejection {
    /// A rejection for a field.
    pub fn new(
        code: ErrorCode,
        field: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, field: field.into(), reason: reason.into() }
    }

    /// `FIELD_INVALID_FORMAT`.
    pub fn format(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::FieldInvalidFormat, field, reason)
    }

    /// `FIELD_INVALID_VALUE`.
    pub fn value(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::FieldInvalidValue, field, reason)
    }

    /// `OPERATION_NOT_ALLOWED`.
    pub fn not_allowed(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::OperationNotAllowed, field, reason)
    }

    /// `INTERNAL_ERROR`.
    pub fn internal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InternalError, "", reason)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.code, self.reason)
        } else {
            write!(f, "{} in {}: {}", self.code, self.field, self.reason)
        }
    }
}

impl std::error::Error for Rejection {}

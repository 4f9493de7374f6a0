use std::fmt;

use crate::error::{Error, ErrorKind, Result};

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $max:literal, $form:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let good = (1..=$max).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if good { Ok(Self(text.to_owned())) } else { Err(ErrorKind::Format($form).into()) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// D1's card id: the issuer's name for one card, not derived from the PAN (`^[A-Za-z0-9_-]{1,48}$`).
    CardId, 48, "1 to 48 of A-Z a-z 0-9 _ -"
}

identifier! {
    /// D1's issuer request id: the issuer's correlation and idempotency key (`^[A-Za-z0-9_-]{1,64}$`).
    IssuerRequestId, 64, "1 to 64 of A-Z a-z 0-9 _ -"
}

//! Arguments that calculators share. A value that is wrong is never repeated in a message: it may be a secret in the
//! wrong place.

use emv_dataprep::bytes::from_hex;
use emv_dataprep::card::{Expiry, Pan, Pin, Psn, ServiceCode};
use emv_dataprep::issuer::DerivationOption;

use super::answer::Answer;
use crate::failure::Failure;

/// What every calculator takes.
#[derive(clap::Args)]
pub struct Common {
    /// Show every step with its intermediate values (not with keys of a production issuer)
    #[arg(long)]
    pub explain: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Derivation option of ICC master keys (EMV 4.4 Book 2, A1.4).
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Derivation {
    A,
    B,
    C,
}

/// What a key of a card is given as.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyIs {
    /// Issuer master key: the ICC master key is derived first
    Imk,
    /// ICC master key
    Mk,
    /// Session key
    Sk,
}

impl From<Derivation> for DerivationOption {
    fn from(option: Derivation) -> Self {
        match option {
            Derivation::A => Self::A,
            Derivation::B => Self::B,
            Derivation::C => Self::C,
        }
    }
}

/// Refuses an argument by name.
pub fn wrong(name: &str, what: &str) -> Failure {
    Failure::usage(format!("--{name} is not {what}"))
}

/// Bytes in hexadecimal, white space aside; `@FILE` reads them from a file. For data that are not secret.
pub fn hex(name: &str, text: &str) -> Result<Vec<u8>, Failure> {
    let text = match text.strip_prefix('@') {
        Some(path) => {
            let bytes = crate::issuer_dir::read_bounded(std::path::Path::new(path))?;
            String::from_utf8(bytes).map_err(|_| wrong(name, "hexadecimal, two digits a byte"))?
        }
        None => text.to_owned(),
    };
    let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    from_hex(&packed).map_err(|_| wrong(name, "hexadecimal, two digits a byte"))
}

/// A fixed number of bytes in hexadecimal.
pub fn array<const N: usize>(name: &str, text: &str) -> Result<[u8; N], Failure> {
    hex(name, text)?.try_into().map_err(|_| wrong(name, &format!("{N} bytes in hexadecimal")))
}

/// A PAN; a wrong check digit is a note, for test PANs often have one.
pub fn pan(text: &str, answer: &mut Answer) -> Result<Pan, Failure> {
    let pan = Pan::without_check(text).map_err(|_| wrong("pan", "12 to 19 decimal digits"))?;
    if text.parse::<Pan>().is_err() {
        answer.note("the check digit of the PAN is wrong: make sure that it is the card's");
    }
    Ok(pan)
}

/// PAN sequence number; absent is 00.
pub fn psn(text: Option<&str>) -> Result<Psn, Failure> {
    text.map_or(Ok(Psn::default()), |t| t.parse().map_err(|_| wrong("psn", "two decimal digits")))
}

/// A service code.
pub fn service_code(text: &str) -> Result<ServiceCode, Failure> {
    text.parse().map_err(|_| wrong("service-code", "three decimal digits"))
}

/// An expiry, year and month, as orders give it.
pub fn expiry(text: &str) -> Result<Expiry, Failure> {
    Expiry::from_yymm(text).map_err(|_| wrong("expiry", "an expiry of year and month (YYMM)"))
}

/// Decimal digits as values 0 to 9.
pub fn digits(name: &str, text: &str) -> Result<Vec<u8>, Failure> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong(name, "decimal digits"));
    }
    Ok(text.bytes().map(|b| b.wrapping_sub(b'0')).collect())
}

/// A PIN from text that the caller wipes.
pub fn pin(text: &[u8]) -> Result<Pin, Failure> {
    let values: zeroize::Zeroizing<Vec<u8>> =
        zeroize::Zeroizing::new(text.trim_ascii().iter().map(|b| b.wrapping_sub(b'0')).collect());
    Pin::from_digits(&values).map_err(|_| Failure::refused("the PIN is not 4 to 12 decimal digits"))
}

//! Discretionary data of the stripe: patterns of D1's form, `000000|cvv|000000`.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// One part of a discretionary-data pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Literal decimal digits.
    Digits(String),
    /// CVV1, three digits.
    Cvv,
    /// PVV, four digits.
    Pvv,
    /// PIN verification key index, one digit.
    Pvki,
}

/// A discretionary-data pattern: parts joined by `|`. No token names the CVV2, so it cannot reach a track.
///
/// ```
/// use emv_dataprep::profile::Discretionary;
/// let pattern: Discretionary = "pvki|pvv|cvv|000".parse()?;
/// assert_eq!(pattern.len(), 11);
/// assert!("cvv2".parse::<Discretionary>().is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discretionary(Vec<Part>);

impl Discretionary {
    /// The parts, left to right.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Characters of the filled pattern.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Part::len).sum()
    }

    /// Whether the pattern gives nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the pattern holds the part.
    #[must_use]
    pub fn needs(&self, part: &Part) -> bool {
        self.0.contains(part)
    }
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Digits(d) => d.len(),
            Self::Cvv => 3,
            Self::Pvv => 4,
            Self::Pvki => 1,
        }
    }
}

impl FromStr for Discretionary {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split('|').map(part).collect::<Result<Vec<_>>>().map(Self)
    }
}

fn part(text: &str) -> Result<Part> {
    Ok(match text {
        "cvv" => Part::Cvv,
        "pvv" => Part::Pvv,
        "pvki" => Part::Pvki,
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Part::Digits(digits.to_owned())
        }
        _ => return Err(ErrorKind::Format("a token cvv, pvv or pvki, or decimal digits").into()),
    })
}

/// One part of a track 3 template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Track3Part {
    /// Characters of track 3: digits and `=`.
    Literal(String),
    /// The PAN.
    Pan,
    /// Expiry, YYMM.
    Expiry,
    /// PAN sequence number, two digits.
    Psn,
    /// Service code.
    ServiceCode,
}

/// Track 3 (ISO/IEC 4909) as a template: `01{pan}={expiry}…`. Its layout is the issuer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackTemplate(Vec<Track3Part>);

impl TrackTemplate {
    /// The parts, left to right.
    #[must_use]
    pub fn parts(&self) -> &[Track3Part] {
        &self.0
    }
}

impl FromStr for TrackTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_once('{').unwrap_or((rest, ""));
            if !literal.is_empty() {
                if !literal.bytes().all(|b| b.is_ascii_digit() || b == b'=') {
                    return Err(ErrorKind::Format("digits, = and slots").into());
                }
                parts.push(Track3Part::Literal(literal.to_owned()));
            }
            if after.is_empty() && literal.len() == rest.len() {
                break;
            }
            let (slot, tail) = after.split_once('}').ok_or(ErrorKind::Format("a slot in braces"))?;
            parts.push(match slot {
                "pan" => Track3Part::Pan,
                "expiry" => Track3Part::Expiry,
                "psn" => Track3Part::Psn,
                "service-code" => Track3Part::ServiceCode,
                _ => return Err(ErrorKind::Unknown("this slot of a track 3 template").into()),
            });
            rest = tail;
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_names_the_cvv2() {
        for text in ["cvv2", "CVV", "12a", "cvv||0", "|"] {
            assert!(text.parse::<Discretionary>().is_err(), "{text}");
        }
    }

    #[test]
    fn template_parts() {
        let t: TrackTemplate = "01{pan}={expiry}0".parse().unwrap();
        assert_eq!(t.parts().len(), 5);
        for bad in ["{cvv2}", "{pan", "01A"] {
            assert!(bad.parse::<TrackTemplate>().is_err(), "{bad}");
        }
    }
}

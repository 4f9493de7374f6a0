//! Which PANs are nobody's: published test numbers, and the BINs that the issuer names.

use toml::Spanned;

use super::finding::Source;
use crate::card::{Iin, Pan};

/// Ranges and numbers that stand in public test documents: no bank has a customer behind one.
///
/// * the ranges of the schemes' test cards (Visa ADVT, Mastercard M-TIP), whose PANs stand in the test-card guides of many acquirers;
/// * PayPal, "Test Credit Card Account Numbers";
/// * TabaPay, "Sandbox Test Cards", and Stripe, "Test card numbers";
/// * Access PaySuite, "Test Card Details".
const PUBLISHED: [&str; 33] = [
    "476173",
    "541333",
    // PayPal
    "378282246310005",
    "371449635398431",
    "378734493671000",
    "5610591081018250",
    "30569309025904",
    "38520000023237",
    "6011111111111117",
    "6011000990139424",
    "3530111333300000",
    "3566002020360505",
    "5555555555554444",
    "5105105105105100",
    "4111111111111111",
    "4012888888881881",
    "4222222222222",
    "5019717010103742",
    "6331101999990016",
    // TabaPay, Stripe
    "4000056655665556",
    "4005519200000004",
    "4012000077777777",
    "4242424242424242",
    "5200828282828210",
    "2223000048400011",
    "2223003122003222",
    // Access PaySuite
    "4462030000000000",
    "4543059790016721",
    "4917610000000000",
    "4444333322221111",
    "5454609899026213",
    "5573489900000028",
    "5641820000000005",
];

/// BINs that `issuer.toml` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bins {
    test: Vec<String>,
    live: Vec<String>,
}

impl Bins {
    /// Reads `test_bins` and `live_bins`.
    pub(super) fn read(source: &mut Source<'_>, test: &[Spanned<String>], live: &[Spanned<String>]) -> Self {
        let mut digits = |what: &str, list: &[Spanned<String>]| -> Vec<String> {
            let mut out = Vec::new();
            for text in list {
                let bin = text.get_ref();
                if (6..=19).contains(&bin.len()) && bin.bytes().all(|b| b.is_ascii_digit()) {
                    out.push(bin.clone());
                } else {
                    source.error(text.span().start, "value", format!("{what}: 6 to 19 digits"));
                }
            }
            out
        };
        let bins = Self { test: digits("test_bins", test), live: digits("live_bins", live) };
        for text in live {
            let bin = text.get_ref().as_str();
            if bins.test.iter().any(|t| t.starts_with(bin) || bin.starts_with(t.as_str())) {
                source.error(text.span().start, "value", "live_bins: this BIN is one of test_bins, too");
            }
        }
        bins
    }

    /// Whether a PAN is a test one.
    pub(super) fn is_test(&self, pan: &Pan) -> bool {
        self.test().any(|bin| begins(pan.digits(), bin))
    }

    /// Whether a PAN is named as a live one.
    pub(super) fn is_live(&self, pan: &Pan) -> bool {
        self.live.iter().any(|bin| begins(pan.digits(), bin))
    }

    /// Whether every PAN under an issuer identifier is a test one.
    pub(super) fn is_test_identifier(&self, identifier: &Iin) -> bool {
        self.test().any(|bin| begins(identifier.digits(), bin))
    }

    /// Whether every PAN under an issuer identifier is named as a live one.
    pub(super) fn is_live_identifier(&self, identifier: &Iin) -> bool {
        self.live.iter().any(|bin| begins(identifier.digits(), bin))
    }

    fn test(&self) -> impl Iterator<Item = &str> {
        PUBLISHED.iter().copied().chain(self.test.iter().map(String::as_str))
    }
}

/// Whether digits (values 0 to 9) begin with those of a text.
fn begins(digits: &[u8], text: &str) -> bool {
    digits.len() >= text.len() && text.bytes().zip(digits).all(|(t, d)| t.wrapping_sub(b'0') == *d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_are_test_ones() {
        let bins = Bins { test: vec!["99123456".to_owned()], live: vec!["412345".to_owned()] };
        for (pan, test, live) in [
            ("4761739001010119", true, false),
            ("5413330089010483", true, false),
            ("4111111111111111", true, false),
            ("4222222222222", true, false),
            // One off the published number.
            ("4111111111111129", false, false),
            ("9912345600000007", true, false),
            ("9912345500000007", false, false),
            ("4123450000000007", false, true),
        ] {
            let pan = Pan::without_check(pan).unwrap();
            assert_eq!((bins.is_test(&pan), bins.is_live(&pan)), (test, live), "{pan}");
        }
        let iin = |text: &str| text.parse::<Iin>().unwrap();
        assert!(bins.is_test_identifier(&iin("476173")) && bins.is_test_identifier(&iin("47617390")));
        assert!(!bins.is_test_identifier(&iin("4761")) && !bins.is_test_identifier(&iin("411111")));
        assert!(bins.is_live_identifier(&iin("41234567")) && !bins.is_live_identifier(&iin("41234")));
    }

    /// Every whole number of the list is a PAN with a right check digit, so none of them is a slip.
    #[test]
    fn the_list_is_well_formed() {
        let whole: Vec<_> = PUBLISHED.iter().filter(|b| b.len() > 8).collect();
        assert_eq!(whole.len() + 2, PUBLISHED.len());
        for pan in whole {
            assert!(pan.parse::<Pan>().is_ok(), "{pan}");
        }
    }
}

//! The text patterns of D1's schema: a character class and a number of characters each.
//!
//! A pattern such as `^[\p{L}…]{1,64}$` is kept as its class and its bounds: the bounds are counted, since an automaton
//! with a counted Unicode class is thousands of times larger than the class. The classes are the schema's, read
//! literally, Unicode aware, over the whole text.

use std::sync::LazyLock;

use regex::Regex;

/// A pattern of the schema.
pub(super) struct Pattern {
    class: LazyLock<Regex>,
    min: usize,
    max: usize,
}

impl Pattern {
    /// Whether the text matches as a whole.
    pub(super) fn matches(&self, text: &str) -> bool {
        // No text of more bytes can have so few characters: long texts are not walked.
        text.len() <= self.max.saturating_mul(4)
            && (self.min..=self.max).contains(&text.chars().count())
            && self.class.is_match(text)
    }
}

macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $class:literal, $min:literal..=$max:literal;)*) => {
        $($(#[$doc])* pub(super) static $name: Pattern = Pattern {
            class: LazyLock::new(|| compile($class)),
            min: $min,
            max: $max,
        };)*

        #[cfg(test)]
        static ALL: &[(&str, &Pattern)] = &[$((stringify!($name), &$name),)*];
    };
}

patterns! {
    /// `cardId`, `cardProductId`, `multiCardId`, inserts.
    ID_48 = r"^[A-Za-z0-9_-]*$", 1..=48;
    /// `issuerRequestId`, `consumerId`, `config`, services, `artworkId`.
    ID_64 = r"^[A-Za-z0-9_-]*$", 1..=64;
    /// Key indexes.
    KEY_INDEX = r"^[A-F0-9]*$", 2..=2;
    /// Image ids: `.-\` is a range, so a hyphen does not pass.
    IMAGE = r"^[A-Za-z0-9_.-\\\/%\^?=]*$", 0..=64;
    /// Custom lines: `\/-?` is a range, so a hyphen does not pass.
    CUSTOM_LINE = r"^[\p{L}\p{N}@ ,.'_#;:\/-?=%\\\^+&]*$", 0..=256;
    /// `cardImage`.
    CARD_IMAGE = r"^[A-Za-z0-9_\-\\\/.\^]*$", 0..=48;
    /// `memberId`.
    MEMBER_ID = r"^[A-Za-z0-9_\\\/.-]*$", 1..=48;
    /// Languages and countries.
    TWO_CAPITALS = r"^[A-Z]*$", 2..=2;
    /// `multiCardOrder`.
    MULTI_CARD_ORDER = r"^[0-9]*$", 1..=2;
    /// `groupId`, `orderId`: any characters.
    GROUP = r"(?s)^.*$", 1..=64;
    /// Names of an address.
    NAME_40 = r"^[\p{L}\p{N}\p{M} ,.'_#;:\/-]*$", 1..=40;
    /// Company: `,-\/` is a range.
    COMPANY = r"^[\p{L}\p{N}\p{M} '_#;:.,-\/+&]*$", 1..=64;
    /// Lines of an address.
    LINE_64 = r"^[\p{L}\p{N}\p{M} ,.'_#;:\/-]*$", 1..=64;
    /// City.
    CITY = r"^[\p{L}\p{N}\p{M} ,.'_#;:\/-]*$", 1..=32;
    /// State.
    STATE = r"^[\p{L}\p{N}\p{M} ,.'_#;:\/-]*$", 1..=30;
    /// Postal code.
    ZIP_CODE = r"^[0-9A-Z\- ]*$", 1..=10;
    /// Country calling code.
    CALLING_CODE = r"^\+[0-9]+$", 2..=11;
    /// Local phone number.
    PHONE = r"^[0-9]*$", 1..=14;
    /// E-mail address.
    EMAIL = r"^[a-zA-Z0-9_+&*-]+(?:\.[a-zA-Z0-9_+&*-]+)*@(?:[a-zA-Z0-9-]+\.)+[a-zA-Z]{2,15}$", 1..=255;
    /// `name`, `secondName` of the card data: ours, since D1 publishes none.
    CARD_NAME = r"^[\p{L}\p{N}\p{M} ,.'_#;:\/&+()-]*$", 1..=64;
    /// `encodedName`: the characters of track 1 (ISO/IEC 7811-6: 20 to 5F) without its sentinels and separator.
    ENCODED_NAME = r"^[ -_&&[^%?^]]*$", 2..=26;
    /// `paymentAccountReference`.
    PAR = r"^[A-Z0-9]*$", 29..=29;
    /// Track 1 without sentinels: 20 to 5F but `%` and `?`.
    TRACK1 = r"^[ -_&&[^%?]]*$", 1..=76;
    /// Track 2 without sentinels: digits and separators.
    TRACK2 = r"^[0-9=]*$", 1..=37;
    /// Track 3 without sentinels: digits and separators.
    TRACK3 = r"^[0-9=]*$", 1..=104;
}

fn compile(class: &str) -> Regex {
    // The texts are constants of this file; a test compiles each.
    Regex::new(class).unwrap_or_else(|_| unreachable!("a pattern of this file compiles"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_is_anchored() {
        for (name, pattern) in ALL {
            assert!(pattern.class.as_str().ends_with('$'), "{name}");
            assert!(!pattern.matches(&"A".repeat(300)), "{name}");
        }
    }

    #[test]
    fn quirks_of_the_schema_are_kept() {
        assert!(IMAGE.matches("a/0:;<=>?@[\\^%"));
        assert!(!IMAGE.matches("a-b"));
        assert!(IMAGE.matches(""));
        assert!(CUSTOM_LINE.matches("5 > 4? <é> 0:"));
        assert!(!CUSTOM_LINE.matches("a-b"));
        assert!(ZIP_CODE.matches("SW1A 1AA") && ZIP_CODE.matches("1000-001") && !ZIP_CODE.matches("sw1"));
        assert!(COMPANY.matches("A-B + C & D / E") && !COMPANY.matches("A*B"));
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(NAME_40.matches(&"é".repeat(40)) && !NAME_40.matches(&"é".repeat(41)));
        assert!(GROUP.matches("\n") && GROUP.matches(&"\u{1F600}".repeat(64)) && !GROUP.matches(""));
        assert!(!NAME_40.matches("\u{1F600}"));
        assert!(NAME_40.matches("e\u{301}") && !CUSTOM_LINE.matches("e\u{301}"));
    }

    #[test]
    fn a_line_feed_at_the_end_does_not_pass() {
        assert!(!ID_48.matches("a\n") && !TWO_CAPITALS.matches("A\n"));
    }
}

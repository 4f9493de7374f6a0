//! The name of track 1 and tag 5F20: ISO/IEC 7813 characters, surname, `/`, given names, 2 to 26 characters.

use super::request::SensitiveText;
use crate::profile::NameOrder;

/// Most characters of the name field (ISO/IEC 7813; tag 5F20).
pub(super) const MAX: usize = 26;

/// The encoded name of a printed one, or `None` when it has characters that cannot be written.
///
/// Letters lose their marks (`É` becomes `E`, `Ø` becomes `O`, `ß` becomes `SS`); full stops, apostrophes and hyphens
/// stay; commas become spaces. A name that is too long loses given names from the right, then characters.
pub(super) fn encode(name: &str, order: NameOrder) -> Option<SensitiveText> {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        push_folded(c, &mut plain)?;
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    let (surname, given): (&str, &[&str]) = match (order, words.as_slice()) {
        (_, []) => return None,
        (NameOrder::AsGiven, _) | (_, [_]) => {
            let joined = words.join(" ");
            return Some(fit(&joined, &[]));
        }
        (NameOrder::GivenFirst, [given @ .., surname]) => (surname, given),
        (NameOrder::SurnameFirst, [surname, given @ ..]) => (surname, given),
    };
    Some(fit(surname, given))
}

fn fit(surname: &str, given: &[&str]) -> SensitiveText {
    let mut text: String = surname.chars().take(MAX - 1).collect();
    text.push('/');
    for (i, word) in given.iter().enumerate() {
        let separator = usize::from(i > 0);
        let left = MAX.saturating_sub(text.len()).saturating_sub(separator);
        if left == 0 || (i > 0 && word.len() > left) {
            break;
        }
        if i > 0 {
            text.push(' ');
        }
        text.extend(word.chars().take(left));
    }
    SensitiveText::new(text)
}

/// Appends the characters that stand for `c` in ISO/IEC 7813 text; `None` if none do.
fn push_folded(c: char, out: &mut String) -> Option<()> {
    match c {
        'a'..='z' => out.push(c.to_ascii_uppercase()),
        'A'..='Z' | '0'..='9' | ' ' | '.' | '-' | '\'' => out.push(c),
        ',' | '_' | ';' | ':' | '/' => out.push(' '),
        _ => {
            let folded = c.to_uppercase().map(fold).collect::<Option<Vec<&str>>>()?;
            folded.into_iter().for_each(|f| out.push_str(f));
        }
    }
    Some(())
}

/// Latin letters with marks, upper case, and what they become; combining marks become nothing.
fn fold(c: char) -> Option<&'static str> {
    Some(match c {
        'À' | 'Á' | 'Â' | 'Ã' | 'Å' | 'Ā' | 'Ă' | 'Ą' | 'A' => "A",
        'Ä' | 'Æ' => "AE",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' | 'C' => "C",
        'Ď' | 'Đ' | 'Ð' => "D",
        'È' | 'É' | 'Ê' | 'Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' | 'E' => "E",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'Ĥ' | 'Ħ' => "H",
        'Ì' | 'Í' | 'Î' | 'Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' | 'I' => "I",
        'Ĵ' | 'J' => "J",
        'Ķ' => "K",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' | 'N' => "N",
        'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'Ö' | 'Œ' => "OE",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' | 'Ș' | 'S' => "S",
        'Ţ' | 'Ť' | 'Ŧ' | 'Ț' => "T",
        'Þ' => "TH",
        'Ù' | 'Ú' | 'Û' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'Ü' => "UE",
        'Ŵ' => "W",
        'Ý' | 'Ŷ' | 'Ÿ' => "Y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        '\u{0300}'..='\u{036F}' => "",
        '\u{2018}' | '\u{2019}' => "'",
        '\u{2010}' | '\u{2011}' | '\u{2013}' => "-",
        '\u{00A0}' => " ",
        _ => return None,
    })
}

/// Whether text may stand in the name field of track 1 as it is.
pub(super) fn is_encoded(text: &str) -> bool {
    (2..=MAX).contains(&text.len())
        && text.bytes().all(|b| (0x20..=0x5F).contains(&b) && !b"%^?".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(name: &str, order: NameOrder) -> Option<String> {
        encode(name, order).map(|n| n.expose().to_owned())
    }

    #[test]
    fn names_of_several_languages() {
        let first = NameOrder::GivenFirst;
        assert_eq!(encoded("John A Smith", first).unwrap(), "SMITH/JOHN A");
        assert_eq!(encoded("Zoë Brontë-O'Hara", first).unwrap(), "BRONTE-O'HARA/ZOE");
        assert_eq!(encoded("Jürgen Groß", first).unwrap(), "GROSS/JUERGEN");
        assert_eq!(encoded("Łukasz Żółć", first).unwrap(), "ZOLC/LUKASZ");
        assert_eq!(encoded("Cher", first).unwrap(), "CHER/");
        assert_eq!(encoded("SMITH JOHN", NameOrder::SurnameFirst).unwrap(), "SMITH/JOHN");
        assert_eq!(encoded("JOHN SMITH", NameOrder::AsGiven).unwrap(), "JOHN SMITH/");
        assert_eq!(encoded("山田 太郎", first), None);
        assert_eq!(encoded("  ", first), None);
    }

    #[test]
    fn long_names_lose_given_names_first() {
        let name =
            encoded("Maximiliana Wilhelmina Theodora Featherstonehaugh", NameOrder::GivenFirst).unwrap();
        assert_eq!(name, "FEATHERSTONEHAUGH/MAXIMILI");
    }

    proptest! {
        #[test]
        fn what_comes_out_may_stand_on_a_track(name in "\\PC{1,60}") {
            for order in [NameOrder::GivenFirst, NameOrder::SurnameFirst, NameOrder::AsGiven] {
                if let Some(n) = encode(&name, order) {
                    prop_assert!(is_encoded(n.expose()), "{}", n.expose());
                    prop_assert_eq!(n.expose().matches('/').count(), 1);
                }
            }
        }
    }
}

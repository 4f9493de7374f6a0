//! Checks of a track that the order brings (`trackData`): it is used as given, so it must be a track of this card.

use super::pattern as p;
use crate::card::{Expiry, Pan};

/// What is wrong with a track.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Characters, length or fields are not the track's.
    Form(&'static str),
    /// It names another PAN or expiry.
    OtherCard(&'static str),
}

/// A check of a track: gives it without its sentinels.
pub(super) type Check = for<'a> fn(&'a str, &Pan, Expiry) -> Result<&'a str, Fault>;

/// Track 1, format code B (ISO/IEC 7813): `B` PAN `^` name `^` YYMM, service code, discretionary data; at most 76
/// characters between the sentinels.
pub(super) fn track1<'a>(text: &'a str, pan: &Pan, expiry: Expiry) -> Result<&'a str, Fault> {
    let text = without_sentinels(text, '%');
    if !p::TRACK1.matches(text) {
        return Err(Fault::Form("not 1 to 76 characters of track 1"));
    }
    let mut fields = text.splitn(3, '^');
    let (first, name, rest) = (fields.next(), fields.next(), fields.next());
    let (Some(number), Some(name), Some(rest)) = (first.and_then(|f| f.strip_prefix('B')), name, rest) else {
        return Err(Fault::Form("not the fields of track 1, format code B"));
    };
    if !(2..=26).contains(&name.len()) || rest.contains('^') {
        return Err(Fault::Form("not the fields of track 1, format code B"));
    }
    same_card(number, rest, '^', pan, expiry)?;
    Ok(text)
}

/// Track 2 (ISO/IEC 7813): PAN `=` YYMM, service code, discretionary data; at most 37 characters between the sentinels.
pub(super) fn track2<'a>(text: &'a str, pan: &Pan, expiry: Expiry) -> Result<&'a str, Fault> {
    let text = without_sentinels(text, ';');
    if !p::TRACK2.matches(text) {
        return Err(Fault::Form("not 1 to 37 characters of track 2"));
    }
    let Some((number, rest)) = text.split_once('=') else {
        return Err(Fault::Form("not the fields of track 2"));
    };
    same_card(number, rest, '=', pan, expiry)?;
    Ok(text)
}

/// Track 3 (ISO/IEC 4909): two digits of format code, PAN, `=`, use and security data; at most 104 characters between
/// the sentinels. Where its expiry stands depends on optional fields, so the PAN alone is compared.
pub(super) fn track3<'a>(text: &'a str, pan: &Pan, _: Expiry) -> Result<&'a str, Fault> {
    let text = without_sentinels(text, ';');
    if !p::TRACK3.matches(text) {
        return Err(Fault::Form("not 1 to 104 characters of track 3"));
    }
    match text.split_once('=').and_then(|(first, _)| first.get(2..)) {
        Some(number) if number == pan.to_text().as_str() => Ok(text),
        Some(number) if Pan::without_check(number).is_ok() => Err(Fault::OtherCard("another PAN")),
        _ => Err(Fault::Form("not the fields of track 3")),
    }
}

/// The track without its start and end sentinel, when it has both.
fn without_sentinels(text: &str, start: char) -> &str {
    text.strip_prefix(start).and_then(|t| t.strip_suffix('?')).unwrap_or(text)
}

/// `number` is the PAN; `rest` begins with the expiry and the service code; a separator in the place of the service code
/// means that the track has none.
fn same_card(number: &str, rest: &str, separator: char, pan: &Pan, expiry: Expiry) -> Result<(), Fault> {
    if Pan::without_check(number).is_err() {
        return Err(Fault::Form("the PAN of the track is not 12 to 19 digits"));
    }
    if number != pan.to_text().as_str() {
        return Err(Fault::OtherCard("another PAN"));
    }
    let (date, behind) = rest.split_at_checked(4).unwrap_or_default();
    if !digits(date, 4) {
        return Err(Fault::Form("the expiry of the track is not four digits"));
    }
    if date != expiry.yymm() {
        return Err(Fault::OtherCard("another expiry"));
    }
    if behind.starts_with(separator) || behind.get(..3).is_some_and(|code| digits(code, 3)) {
        Ok(())
    } else {
        Err(Fault::Form("the service code of the track is not three digits"))
    }
}

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(which: Check, text: &str) -> Result<&str, Fault> {
        which(text, &"4761739001010010".parse().unwrap(), Expiry::from_yymm("2906").unwrap())
    }

    #[test]
    fn tracks_of_this_card_pass_with_and_without_sentinels() {
        let one = "B4761739001010010^DOE/JOHN^29062010000000123";
        assert_eq!(check(track1, one), Ok(one));
        assert_eq!(check(track1, &format!("%{one}?")), Ok(one));
        let two = "4761739001010010=29062010000000123";
        assert_eq!(check(track2, two), Ok(two));
        assert_eq!(check(track2, &format!(";{two}?")), Ok(two));
        let three = "014761739001010010=9789780000000000";
        assert_eq!(check(track3, three), Ok(three));
    }

    #[test]
    fn a_service_code_may_be_left_out_by_its_separator() {
        assert!(check(track2, "4761739001010010=2906=123").is_ok());
        assert!(check(track1, "B4761739001010010^DOE/JOHN^2906201").is_ok());
    }

    #[test]
    fn tracks_of_another_card_are_told_from_no_tracks() {
        let other = |r| matches!(r, Err(Fault::OtherCard(_)));
        assert!(other(check(track1, "B4761739001010028^DOE/JOHN^2906201")));
        assert!(other(check(track1, "B4761739001010010^DOE/JOHN^2907201")));
        assert!(other(check(track2, "4761739001010028=2906201")));
        assert!(other(check(track2, "4761739001010010=0629201")));
        assert!(other(check(track3, "014761739001010028=978")));
        let form = |r| matches!(r, Err(Fault::Form(_)));
        for text in ["", "A4761739001010010^DOE/JOHN^2906201", "B4761739001010010^DOE/JOHN", "B^^", "b"] {
            assert!(form(check(track1, text)), "{text}");
        }
        for text in [
            "",
            "4761739001010010",
            "4761739001010010=29",
            "4761739001010010D2906201",
            "=2906201",
            "4761739001010010==201",
        ] {
            assert!(form(check(track2, text)), "{text}");
        }
        for text in ["", "01=", "1", "é", "=="] {
            assert!(form(check(track3, text)), "{text}");
        }
        assert!(form(check(track2, &format!("4761739001010010=2906201{}", "0".repeat(14)))));
        assert!(check(track2, &format!("4761739001010010=2906201{}", "0".repeat(13))).is_ok());
    }
}

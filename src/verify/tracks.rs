//! Tracks of the stripe and their images on the chip (ISO/IEC 7813; EMV tags 57, 56, 9F6B).

use zeroize::Zeroizing;

use super::derive::{Digits, digits, nibbles};

/// The fields of a track.
pub(super) struct Track {
    pub(super) pan: Digits,
    pub(super) name: Option<Zeroizing<String>>,
    /// YYMM.
    pub(super) expiry: Digits,
    pub(super) service_code: Digits,
    pub(super) discretionary: Zeroizing<String>,
}

fn fields(pan: &str, rest: &str, name: Option<&str>) -> Option<Track> {
    let pan = digits(pan).filter(|p| (12..=19).contains(&p.len()))?;
    let (expiry, rest) = rest.split_at_checked(4)?;
    let (service_code, discretionary) = rest.split_at_checked(3)?;
    let expiry = digits(expiry)?;
    let month = match expiry.as_slice() {
        [_, _, tens, ones] => tens * 10 + ones,
        _ => 0,
    };
    (1..=12).contains(&month).then_some(())?;
    Some(Track {
        pan,
        name: name.map(|n| Zeroizing::new(n.to_owned())),
        expiry,
        service_code: digits(service_code)?,
        discretionary: Zeroizing::new(discretionary.to_owned()),
    })
}

/// Track 1, format B: at most 76 characters of the 6-bit set between the sentinels.
pub(super) fn track1(text: &str) -> Option<Track> {
    let good = text.bytes().all(|b| matches!(b, b' '..=b'_') && !b"%?!\"&*+,:;<=>@_".contains(&b));
    if !good || text.len() > 76 {
        return None;
    }
    let (pan, rest) = text.strip_prefix('B')?.split_once('^')?;
    let (name, rest) = rest.split_once('^')?;
    if !(2..=26).contains(&name.len()) || rest.contains('^') {
        return None;
    }
    fields(pan, rest, Some(name))
}

/// Track 2: at most 37 characters between the sentinels.
pub(super) fn track2(text: &str) -> Option<Track> {
    let (pan, rest) = text.split_once('=')?;
    if text.len() > 37 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    fields(pan, rest, None)
}

/// Track 3 (ISO/IEC 4909): at most 104 characters of the 4-bit set, format code first.
pub(super) fn is_track3(text: &str) -> bool {
    (3..=104).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'=')
        && text.as_bytes().first_chunk::<2>().is_some_and(|c| c.iter().all(u8::is_ascii_digit))
}

/// Track 2 equivalent data (57) and track 2 data (9F6B): `D` separates, one `F` fills.
pub(super) fn track2_equivalent(value: &[u8]) -> Option<Track> {
    let all = Zeroizing::new(nibbles(value));
    let (last, head) = all.split_last()?;
    let body = if *last == 15 { head } else { all.as_slice() };
    let text: Option<String> = body
        .iter()
        .map(|n| match n {
            0..=9 => Some(char::from(b'0' | n)),
            13 => Some('='),
            _ => None,
        })
        .collect();
    let text = Zeroizing::new(text?);
    (value.len() <= 19).then(|| track2(&text)).flatten()
}

/// Track 1 data of the contactless magnetic-stripe mode (56).
pub(super) fn track1_data(value: &[u8]) -> Option<Track> {
    core::str::from_utf8(value).ok().and_then(track1)
}

/// A pattern of discretionary data (`000000|cvv|000000`) against what stands there. `None` for a token that has no
/// value; literals and lengths count.
pub(super) fn matches_pattern(
    pattern: &str,
    found: &str,
    value_of: impl Fn(&str) -> Option<String>,
) -> Option<bool> {
    let mut left = found;
    for token in pattern.split('|') {
        let name = token.trim();
        let literal = name.bytes().all(|b| b.is_ascii_digit() || b == b' ');
        let expected = if literal { name.to_owned() } else { value_of(name)? };
        let expected = Zeroizing::new(expected);
        match left.strip_prefix(expected.as_str()) {
            Some(rest) => left = rest,
            None => return Some(false),
        }
    }
    Some(left.is_empty())
}

/// A name for comparison: without trailing spaces.
pub(super) fn trimmed(name: &str) -> &str {
    name.trim_end_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_read_strictly() {
        let t = track1("B4761739001010010^DOE/JANE^29062010000000123").unwrap();
        assert_eq!(
            (t.pan.len(), t.expiry.as_slice(), t.service_code.as_slice()),
            (16, &[2, 9, 0, 6][..], &[2, 0, 1][..])
        );
        assert_eq!(t.discretionary.as_str(), "0000000123");
        assert_eq!(t.name.as_ref().unwrap().as_str(), "DOE/JANE");
        for bad in [
            "4761739001010010^DOE/JANE^2906201",
            "B4761739001010010^doe/jane^2906201",
            "B4761739001010010^D^2906201",
            "B4761739001010010^DOE/JANE^2913201",
            "B47617390010^^2906201",
            "%B4761739001010010^DOE/JANE^2906201",
        ] {
            assert!(track1(bad).is_none(), "{bad}");
        }
        assert!(track2("4761739001010010=29062010000").is_some());
        assert!(track2("4761739001010010D29062010000").is_none());
        assert!(track2(&format!("4761739001010010=2906201{}", "0".repeat(14))).is_none());
    }

    #[test]
    fn track_2_equivalents() {
        // Wording of EMV Book 3, annex A: 57 ends in F when odd.
        let t = track2_equivalent(&hex::decode("4761739001010010D29062010000000123F0").unwrap());
        assert!(t.is_none(), "an F before the last nibble");
        let t = track2_equivalent(&hex::decode("4761739001010010D2906201000000012F").unwrap()).unwrap();
        assert_eq!(t.discretionary.as_str(), "000000012");
    }

    #[test]
    fn patterns() {
        let value = |name: &str| (name == "cvv").then(|| "123".to_owned());
        assert_eq!(matches_pattern("00|cvv|0", "001230", value), Some(true));
        assert_eq!(matches_pattern("00|cvv|0", "0012300", value), Some(false));
        assert_eq!(matches_pattern("00|cvv|0", "001240", value), Some(false));
        assert_eq!(matches_pattern("pvv|0", "12340", value), None);
    }
}

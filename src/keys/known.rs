use subtle::{Choice, ConstantTimeEq};

use crate::crypto::tdes::TdesKey;
use crate::secret::Secret;

/// Whether a key is one that everybody knows: of a standard, of the documentation of a host module or a card, of
/// an open-source test suite, of the demo, or of an obvious pattern. Production refuses such keys.
///
/// Parity bits are left aside, and every rule is looked at whatever the key is. A random TDES key is taken for a known one with a chance below 2^-20, because
/// some published keys are known by their check value only.
///
/// ```
/// use emv_dataprep::keys::is_known_test_key;
/// use emv_dataprep::secret::Secret;
/// let key = Secret::new(hex::decode("404142434445464748494A4B4C4D4E4F").unwrap());
/// assert!(is_known_test_key(&key));
/// ```
#[must_use]
pub fn is_known_test_key(key: &Secret) -> bool {
    is_standard_test_key(key) | super::published::is_published_secret(key)
}

/// As [`is_known_test_key`], the keys of the demo left aside: what the demo itself must not draw.
#[must_use]
pub fn is_standard_test_key(key: &Secret) -> bool {
    let bytes = key.expose();
    (has_pattern(bytes) | is_published(bytes) | has_published_kcv(bytes)).into()
}

/// Whether `a` and `b` are equal, parity bits left aside, all of them looked at.
fn same<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> Choice {
    pairs.fold(0, |d, (a, b)| d | ((a ^ b) & 0xFE)).ct_eq(&0)
}

/// One byte throughout, one byte per eight, or bytes that count up or down; parity bits aside where it matters.
fn has_pattern(key: &[u8]) -> Choice {
    let pairs = || key.iter().zip(key.iter().skip(1));
    let constant =
        key.chunks(8).fold(Choice::from(1), |all, part| all & same(part.iter().zip(part.iter().skip(1))));
    let steps_of =
        |step: u8| pairs().fold(0, |d, (a, b)| d | b.wrapping_sub(*a).wrapping_sub(step)).ct_eq(&0);
    constant | steps_of(1) | steps_of(0xFF) | steps_of(0x11)
}

/// The published keys, or a key made of the beginning of one, repeated.
fn is_published(key: &[u8]) -> Choice {
    let heads = PUBLISHED.iter().flat_map(|known| [8, 16].iter().filter_map(|n| known.get(..*n)));
    let fitting = heads.filter(|head| key.len().is_multiple_of(head.len()));
    fitting.fold(Choice::from(0), |found, head| found | same(key.iter().zip(head.iter().cycle())))
}

fn has_published_kcv(key: &[u8]) -> Choice {
    let Ok(cipher) = TdesKey::from_bytes(key) else { return Choice::from(0) };
    let [a, b, c, ..] = cipher.encrypt_block([0; 8]);
    Choice::from(u8::from(PUBLISHED_KCV.contains(&[a, b, c])))
}

/// Published keys of 16 bytes.
const PUBLISHED: [[u8; 16]; 8] = [
    // ISO 9797-1 annex B, most documentation
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10],
    [0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF],
    // jPOS
    [0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78],
    // FIPS 197 appendix B, RFC 4493
    [0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C],
    // X9.143 examples: a protection key and a payment key
    [0x88, 0xE1, 0xAB, 0x2A, 0x2E, 0x3D, 0xD3, 0x8C, 0x1F, 0xA0, 0x39, 0xA5, 0x36, 0x50, 0x0C, 0xC8],
    [0x3F, 0x41, 0x9E, 0x1C, 0xB7, 0x07, 0x94, 0x42, 0xAA, 0x37, 0x47, 0x4C, 0x2E, 0xFB, 0xF8, 0xB8],
    // TR-31 examples
    [0x89, 0xE8, 0x8C, 0xF7, 0x93, 0x14, 0x44, 0xF3, 0x34, 0xBD, 0x75, 0x47, 0xFC, 0x3F, 0x38, 0x0C],
    [0xF0, 0x39, 0x12, 0x1B, 0xEC, 0x83, 0xD2, 0x6B, 0x16, 0x9B, 0xDC, 0xD5, 0xB2, 0x2A, 0xAF, 0x8F],
];

/// TDES check values of published test keys.
const PUBLISHED_KCV: [[u8; 3]; 8] = [
    [0x08, 0xD7, 0xB4],
    [0x7B, 0x83, 0x58],
    [0x8B, 0xAF, 0x47],
    [0x6F, 0xB1, 0xC8],
    [0xD5, 0xD4, 0x4F],
    [0x82, 0xE1, 0x36],
    [0xD2, 0xB9, 0x1C],
    [0x8C, 0xA6, 0x4D],
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(hex: &str) -> bool {
        is_known_test_key(&Secret::new(crate::bytes::from_hex(hex).unwrap()))
    }

    #[test]
    fn published_keys_and_patterns_are_known() {
        for key in [
            "0123456789ABCDEFFEDCBA9876543210",
            "FEDCBA98765432100123456789ABCDEF",
            "0123456789ABCDEF0123456789ABCDEF",
            "0123456789ABCDEFFEDCBA98765432100123456789ABCDEF",
            "12345678123456781234567812345678",
            "00000000000000000000000000000000",
            "11111111111111111111111111111111",
            "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCC",
            "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            "00112233445566778899AABBCCDDEEFF",
            "2B7E151628AED2A6ABF7158809CF4F3C",
            "0022446688AACCEEFFDDBB9977553311",
        ] {
            assert!(known(key), "{key}");
        }
        // The first published key again, its parity bits turned.
        assert!(known("0022446688AACCEEFFDDBB9977553311"));
        assert!(!known("4C37C8319D76ADAB58D9431543C2165B"));
    }

    proptest! {
        #[test]
        fn random_keys_are_not_known(key: [u8; 16]) {
            prop_assert!(!is_known_test_key(&Secret::copy_of(&key)));
        }
    }
}

//! Session keys from ICC master keys (EMV 4.4 Book 2, A1.3, and the schemes' own methods): for verification tools and
//! calculators; a card file carries master keys only.

use zeroize::{Zeroize, Zeroizing};

use crate::crypto::aes::AesKey;
use crate::crypto::tdes::{TdesKey, adjust_parity, xor};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// `R` of the common session key for application cryptograms under TDES: ATC and six zero bytes.
#[must_use]
pub const fn diversifier_tdes(atc: [u8; 2]) -> [u8; 8] {
    let [a, b] = atc;
    [a, b, 0, 0, 0, 0, 0, 0]
}

/// `R` of the common session key for application cryptograms under AES: ATC and fourteen zero bytes.
#[must_use]
pub const fn diversifier_aes(atc: [u8; 2]) -> [u8; 16] {
    let [a, b] = atc;
    [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// EMV common session key under TDES: `E(MK)[F1] ‖ E(MK)[F2]`, parity adjusted. `F1` and `F2` are `r` with its third
/// byte F0 and 0F.
///
/// EMV 4.4 Book 2, A1.3.1. `r` is [`diversifier_tdes`] for application cryptograms, the application cryptogram for
/// secure messaging.
///
/// # Errors
/// [`ErrorKind::Length`] unless the master key is 16 or 24 bytes.
pub fn common_tdes(mk: &Secret, r: [u8; 8]) -> Result<Secret> {
    let key = TdesKey::new(mk)?;
    let with = |third: u8| {
        let [a, b, _, d, e, f, g, h] = r;
        Zeroizing::new(key.encrypt_block([a, b, third, d, e, f, g, h]))
    };
    Ok(double_length(&with(0xF0), &with(0x0F)))
}

/// EMV common session key under AES: for 128 bits `E(MK)[r]`; for 192 and 256 the leftmost bytes of
/// `E(MK)[F1] ‖ E(MK)[F2]`. No parity.
///
/// EMV 4.4 Book 2, A1.3.1.
///
/// # Errors
/// [`ErrorKind::Length`] unless the master key is 16, 24 or 32 bytes.
pub fn common_aes(mk: &Secret, r: [u8; 16]) -> Result<Secret> {
    let key = AesKey::new(mk)?;
    if mk.len() == 16 {
        return Ok(Secret::copy_of(Zeroizing::new(key.encrypt_block(r)).as_slice()));
    }
    let with = |third: u8| {
        let mut f = r;
        let [_, _, byte, ..] = &mut f;
        *byte = third;
        Zeroizing::new(key.encrypt_block(f))
    };
    let both = Secret::concat(&[with(0xF0).as_slice(), with(0x0F).as_slice()]);
    Ok(Secret::copy_of(both.expose().get(..mk.len()).unwrap_or_default()))
}

/// `R` of Mastercard's session key derivation (M/Chip 2 and 4): ATC, two zero bytes, unpredictable number.
#[must_use]
pub const fn diversifier_mastercard(atc: [u8; 2], un: [u8; 4]) -> [u8; 8] {
    let ([a, b], [u0, u1, u2, u3]) = (atc, un);
    [a, b, 0, 0, u0, u1, u2, u3]
}

/// Mastercard SKD: as [`common_tdes`] with [`diversifier_mastercard`].
///
/// # Errors
/// [`ErrorKind::Length`] unless the master key is 16 or 24 bytes.
pub fn mastercard(mk: &Secret, atc: [u8; 2], un: [u8; 4]) -> Result<Secret> {
    common_tdes(mk, diversifier_mastercard(atc, un))
}

/// Visa's secure messaging key of cryptogram versions 0A and 12: the left half exclusive-or ATC, the right half
/// exclusive-or its complement, each at the last two bytes; parity adjusted.
///
/// # Errors
/// [`ErrorKind::Length`] unless the master key is 16 bytes.
pub fn visa_secure_messaging(mk: &Secret, atc: [u8; 2]) -> Result<Secret> {
    let (left, right) = halves(mk)?;
    let [a, b] = atc;
    Ok(double_length(&xor(left, [0, 0, 0, 0, 0, 0, a, b]), &xor(right, [0, 0, 0, 0, 0, 0, !a, !b])))
}

/// Shape of the EMV2000 key tree: both give 65,536 leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tree {
    /// Height 8, branch factor 4.
    Height8,
    /// Height 16, branch factor 2.
    Height16,
}

/// Session key of the EMV2000 tree (EMV 4.1 Book 2, A1.3; legacy): the intermediate key of the leaf `atc` exclusive-or
/// that of its grandparent, parity adjusted.
///
/// Each step gives from a parent `X` and grandparent `Y` the child `j`:
/// `E(X)[YL ⊕ (j mod b)] ‖ E(X)[YR ⊕ (j mod b) ⊕ F0]`; the root is the master key, its parent `iv`.
///
/// # Errors
/// [`ErrorKind::Length`] unless the master key is 16 bytes.
pub fn emv2000(mk: &Secret, atc: [u8; 2], tree: Tree, iv: [u8; 16]) -> Result<Secret> {
    let (height, bits_per_level) = match tree {
        Tree::Height8 => (8_u32, 2_u32),
        Tree::Height16 => (16, 1),
    };
    let leaf = u16::from_be_bytes(atc);
    let mut parent = halves(mk)?;
    let mut grandparent = split(&iv);
    let mut above = grandparent;
    for level in (0..height).rev() {
        let branch = leaf.checked_shr(level.saturating_mul(bits_per_level)).unwrap_or(0);
        let branch = u64::from(branch) & 1_u64.wrapping_shl(bits_per_level).wrapping_sub(1);
        let key = TdesKey::from_bytes(Zeroizing::new([parent.0, parent.1]).as_flattened())?;
        let left = key.encrypt_block(xor(grandparent.0, branch.to_be_bytes()));
        let right = key.encrypt_block(xor(grandparent.1, (branch ^ 0xF0).to_be_bytes()));
        above = grandparent;
        grandparent = parent;
        parent = (left, right);
    }
    let key = double_length(&xor(parent.0, above.0), &xor(parent.1, above.1));
    for half in [&mut parent, &mut grandparent, &mut above] {
        half.0.zeroize();
        half.1.zeroize();
    }
    Ok(key)
}

/// Two halves of a double-length key, parity adjusted.
fn double_length(left: &[u8; 8], right: &[u8; 8]) -> Secret {
    let mut key = Zeroizing::new([0; 16]);
    for (slot, b) in key.iter_mut().zip(left.iter().chain(right)) {
        *slot = *b;
    }
    adjust_parity(key.as_mut_slice());
    Secret::copy_of(key.as_slice())
}

fn halves(mk: &Secret) -> Result<([u8; 8], [u8; 8])> {
    let wrong = || ErrorKind::Length { expected: "16", found: mk.len(), unit: "bytes" };
    let whole: &[u8; 16] = mk.expose().try_into().map_err(|_| wrong())?;
    Ok(split(whole))
}

fn split(whole: &[u8; 16]) -> ([u8; 8], [u8; 8]) {
    match whole.as_chunks::<8>().0 {
        [left, right] => (*left, *right),
        _ => ([0; 8], [0; 8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(hex: &str) -> Secret {
        Secret::new(hex::decode(hex).unwrap())
    }

    fn shown(key: &Secret) -> String {
        hex::encode_upper(key.expose())
    }

    #[test]
    fn published_keys() {
        let mk = key("0123456789ABCDEFFEDCBA9876543210");
        let csk = common_tdes(&mk, diversifier_tdes([0x00, 0x1C])).unwrap();
        assert_eq!(shown(&csk), "E9FB384AF807B940FEDCEA613461B0C4");
        let visa = visa_secure_messaging(&mk, [0x00, 0x1C]).unwrap();
        assert_eq!(shown(&visa), "0123456789ABCDF2FEDCBA987654CDF2");
        let mk = key("DCE992BCE398C264F7858AFD4C4A324A");
        let skd = mastercard(&mk, [0x34, 0x56], [0x11; 4]).unwrap();
        assert_eq!(shown(&skd), "68E9A15BBCF283EF0164F7E6C44C4325");
        let mk = key("3AD95FE6AD75062DFCF19D834504AC23");
        let aes = common_aes(&mk, diversifier_aes([0, 1])).unwrap();
        assert_eq!(shown(&aes), "2AAAA9CF4708A113C3E7F06B429CC35B");
    }

    #[test]
    fn published_leaves_of_the_tree() {
        let mk = key("0123456789ABCDEF0123456789ABCDEF");
        let leaf = |atc, tree, iv| shown(&emv2000(&mk, atc, tree, [iv; 16]).unwrap());
        assert_eq!(leaf([0, 0], Tree::Height8, 0), "80BF3145AECB948A5201DAB9EF469875");
        assert_eq!(leaf([0xFF, 0xFF], Tree::Height16, 0xF0), "73E3B0A1406E5E4908D5804C4970E520");
    }

    #[test]
    fn lengths() {
        assert!(common_tdes(&Secret::new(vec![1; 8]), [0; 8]).is_err());
        assert!(common_aes(&Secret::new(vec![1; 20]), [0; 16]).is_err());
        assert!(visa_secure_messaging(&Secret::new(vec![1; 24]), [0; 2]).is_err());
        assert!(emv2000(&Secret::new(vec![1; 24]), [0; 2], Tree::Height8, [0; 16]).is_err());
    }

    proptest! {
        #[test]
        fn keys_have_odd_parity_and_differ_by_counter(mk: [u8; 16], atc: [u8; 2], other: [u8; 2], un: [u8; 4]) {
            prop_assume!(atc != other);
            let mk = Secret::copy_of(&mk);
            for make in [
                |mk: &Secret, atc, _| common_tdes(mk, diversifier_tdes(atc)),
                |mk: &Secret, atc, un| mastercard(mk, atc, un),
                |mk: &Secret, atc, _| emv2000(mk, atc, Tree::Height8, [0; 16]),
                |mk: &Secret, atc, _| emv2000(mk, atc, Tree::Height16, [0; 16]),
            ] {
                let key = make(&mk, atc, un).unwrap();
                prop_assert!(crate::crypto::tdes::has_odd_parity(key.expose()));
                prop_assert_ne!(key, make(&mk, other, un).unwrap());
            }
        }
    }
}

use crate::crypto::tdes::adjust_parity;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// What happens to the parity bits of a combined key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Odd parity is set: DES keys.
    Adjust,
    /// Every bit stays: AES keys, and published vectors.
    Keep,
}

/// A key from its full-length components: their exclusive or (ISO 11568, X9.24-1: split knowledge).
///
/// Components need not have odd parity; the key must, for DES.
///
/// # Errors
/// [`ErrorKind::Missing`] for fewer than two components; [`ErrorKind::Length`] if they differ in length;
/// [`ErrorKind::KeyRefused`] if two are equal (one typed twice cancels out).
///
/// ```
/// use emv_dataprep::keys::{combine_components, Parity};
/// use emv_dataprep::secret::Secret;
/// let parts = [Secret::new(vec![0x0F; 16]), Secret::new(vec![0xF1; 16])];
/// assert_eq!(combine_components(&parts, Parity::Keep)?, Secret::new(vec![0xFE; 16]));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn combine_components(components: &[Secret], parity: Parity) -> Result<Secret> {
    let [first, rest @ ..] = components else { return Err(ErrorKind::Missing("a key component").into()) };
    if rest.is_empty() {
        return Err(ErrorKind::Missing("a second key component").into());
    }
    for (at, a) in components.iter().enumerate() {
        if a.len() != first.len() {
            let expected = "the length of the first component";
            return Err(ErrorKind::Length { expected, found: a.len(), unit: "bytes" }.into());
        }
        if components.iter().skip(at.saturating_add(1)).any(|b| a == b) {
            return Err(ErrorKind::KeyRefused("two components are equal").into());
        }
    }
    Secret::filled(first.len(), |key| {
        for component in components {
            key.iter_mut().zip(component.expose()).for_each(|(k, c)| *k ^= c);
        }
        if parity == Parity::Adjust {
            adjust_parity(key);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(parts: &[&[u8]]) -> Vec<Secret> {
        parts.iter().map(|p| Secret::copy_of(p)).collect()
    }

    #[test]
    fn refusals() {
        for bad in [&[][..], &[&[1; 16][..]], &[&[1; 16], &[2; 8]], &[&[1; 16], &[2; 16], &[1; 16]]] {
            assert!(combine_components(&parts(bad), Parity::Keep).is_err());
        }
    }

    proptest! {
        #[test]
        fn the_last_component_is_what_the_others_leave(key: [u8; 24], a: [u8; 24], b: [u8; 24]) {
            let last: Vec<u8> = (0..24).map(|i| key[i] ^ a[i] ^ b[i]).collect();
            prop_assume!(a != b && last != a && last != b);
            let got = combine_components(&parts(&[&a, &b, &last]), Parity::Keep).unwrap();
            prop_assert_eq!(got.expose(), &key);
        }
    }
}

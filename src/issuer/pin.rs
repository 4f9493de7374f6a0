//! PINs made here.

use zeroize::Zeroizing;

use crate::card::Pin;
use crate::crypto::rng::StreamRng;
use crate::error::{ErrorKind, Result};

/// A random PIN of `len` digits (ISO 9564-1): each digit from its own byte, bytes of 250 and more drawn again, so that
/// all PINs are equally likely.
///
/// # Errors
/// [`ErrorKind::Length`] for a length outside 4 to 12.
pub fn generate(len: usize, rng: &mut StreamRng) -> Result<Pin> {
    if !(Pin::MIN_DIGITS..=Pin::MAX_DIGITS).contains(&len) {
        return Err(ErrorKind::Length { expected: "4 to 12", found: len, unit: "digits" }.into());
    }
    let mut digits = Zeroizing::new(Vec::with_capacity(len));
    while digits.len() < len {
        let draw = Zeroizing::new(rng.bytes::<1>());
        let [byte] = *draw;
        if byte < 250 {
            digits.push(byte % 10);
        }
    }
    Pin::from_digits(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};

    #[test]
    fn digits_are_even_and_lengths_kept() {
        let mut rng = Seed::fixed([9; 32]).named_stream(b"pins", Purpose::Pin).rng();
        let mut seen = [0_u32; 10];
        for len in 4..=12 {
            for _ in 0..1_000 {
                let pin = generate(len, &mut rng).unwrap();
                assert_eq!(pin.len(), len);
                pin.expose().iter().for_each(|d| seen[usize::from(*d)] += 1);
            }
        }
        // 72,000 digits: 7,200 of each, standard deviation 80.
        assert!(seen.iter().all(|n| (6_800..7_600).contains(n)), "{seen:?}");
        assert!(generate(3, &mut rng).is_err() && generate(13, &mut rng).is_err());
    }

    #[test]
    fn the_same_stream_gives_the_same_pin() {
        let stream = Seed::fixed([1; 32]).card_stream(1, &"c-1".parse().unwrap(), Purpose::Pin);
        assert_eq!(generate(6, &mut stream.rng()).unwrap(), generate(6, &mut stream.rng()).unwrap());
    }
}

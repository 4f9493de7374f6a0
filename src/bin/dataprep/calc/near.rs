//! The data that the other side signed, when they differ a little from those given: one byte, two bits, or an element of at
//! most two bytes with any value. A terminal verification result that changed after the card signed is found so.

use emv_dataprep::bytes::hex_upper;

use super::data::{Element, join};
use super::search::Found;

/// The MAC of data; `None` when it cannot be made. The counter is given when it differs from the right one.
pub type Mac<'a> = &'a dyn Fn(&[u8], Option<[u8; 2]>) -> Option<[u8; 8]>;

/// Looks for data near `elements` whose MAC is `given`. `counter` is the element that holds the ATC.
pub fn search(elements: &[Element], counter: Option<usize>, given: [u8; 8], mac: Mac<'_>) -> Found {
    let mut look = Look { elements, data: join(elements), given, mac, tried: 0 };
    let words = look.one_byte().or_else(|| look.short_elements(counter)).or_else(|| look.two_bits());
    Found { mistakes: words.into_iter().collect(), tried: look.tried, chance: None }
}

struct Look<'a> {
    elements: &'a [Element],
    data: Vec<u8>,
    given: [u8; 8],
    mac: Mac<'a>,
    tried: usize,
}

impl Look<'_> {
    fn is_it(&mut self, data: &[u8], atc: Option<[u8; 2]>) -> bool {
        self.tried = self.tried.saturating_add(1);
        (self.mac)(data, atc) == Some(self.given)
    }

    fn one_byte(&mut self) -> Option<Vec<String>> {
        let mut data = self.data.clone();
        for at in 0..data.len() {
            for mask in 1..=0xFF_u8 {
                flip(&mut data, at, mask);
                if self.is_it(&data, None) {
                    return Some(self.words(&data));
                }
                flip(&mut data, at, mask);
            }
        }
        None
    }

    /// Any value of an element of two bytes; one of one byte is among [`Look::one_byte`].
    fn short_elements(&mut self, counter: Option<usize>) -> Option<Vec<String>> {
        let mut start = 0_usize;
        for (number, element) in self.elements.iter().enumerate() {
            let end = start.saturating_add(element.value.len());
            if element.value.len() == 2 {
                let mut data = self.data.clone();
                for value in 0..=u16::MAX {
                    let value = value.to_be_bytes();
                    if let Some(slot) = data.get_mut(start..end) {
                        slot.copy_from_slice(&value);
                    }
                    let atc = (counter == Some(number)).then_some(value);
                    if self.is_it(&data, atc) {
                        return Some(self.words(&data));
                    }
                }
            }
            start = end;
        }
        None
    }

    fn two_bits(&mut self) -> Option<Vec<String>> {
        let mut data = self.data.clone();
        let bits = data.len().saturating_mul(8);
        let bit = |n: usize| (n / 8, 0x80_u8 >> (n % 8));
        for first in 0..bits {
            let (at, mask) = bit(first);
            flip(&mut data, at, mask);
            for second in first.saturating_add(1)..bits {
                let (at, mask) = bit(second);
                flip(&mut data, at, mask);
                if self.is_it(&data, None) {
                    return Some(self.words(&data));
                }
                flip(&mut data, at, mask);
            }
            flip(&mut data, at, mask);
        }
        None
    }

    /// The elements that differ.
    fn words(&self, data: &[u8]) -> Vec<String> {
        let mut rest = data;
        let mut out = Vec::new();
        for element in self.elements {
            let (value, tail) = rest.split_at_checked(element.value.len()).unwrap_or((rest, &[]));
            rest = tail;
            if value != element.value {
                out.push(format!(
                    "{} is {}, not {}",
                    element.name,
                    hex_upper(value),
                    hex_upper(&element.value)
                ));
            }
        }
        out
    }
}

fn flip(data: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = data.get_mut(at) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emv_dataprep::crypto::mac::{Padding, retail_mac};
    use emv_dataprep::crypto::tdes::TdesKey;

    fn found(right: &[&[u8]], signed: &[&[u8]]) -> Found {
        let key = TdesKey::from_bytes(&[7; 16]).unwrap();
        let element = |(n, value): (usize, &&[u8])| Element { name: format!("e{n}"), value: value.to_vec() };
        let elements: Vec<Element> = right.iter().enumerate().map(element).collect();
        // The counter changes the key.
        let mac = |data: &[u8], atc: Option<[u8; 2]>| {
            Some(retail_mac(&key, [atc.map_or(0, |a| a[1]); 8], Padding::Bit, data))
        };
        let atc =
            (right.last() != signed.last()).then(|| <[u8; 2]>::try_from(*signed.last().unwrap()).unwrap());
        search(&elements, Some(right.len() - 1), mac(&signed.concat(), atc).unwrap(), &mac)
    }

    #[test]
    fn what_differs_is_named() {
        let right: [&[u8]; 3] = [&[1, 2, 3], &[4, 5], &[0, 9]];
        assert_eq!(
            found(&right, &[&[1, 0xFF, 3], &[4, 5], &[0, 9]]).mistakes,
            [["e0 is 01FF03, not 010203"]]
        );
        assert_eq!(found(&right, &[&[1, 2, 3], &[0xAB, 0xCD], &[0, 9]]).mistakes, [["e1 is ABCD, not 0405"]]);
        assert_eq!(found(&right, &[&[1, 2, 3], &[4, 5], &[0x12, 0x34]]).mistakes, [["e2 is 1234, not 0009"]]);
        let two = found(&right, &[&[1, 2, 2], &[0x84, 5], &[0, 9]]);
        assert_eq!(two.mistakes, [["e0 is 010202, not 010203", "e1 is 8405, not 0405"]]);
        assert!(found(&right, &[&[9, 9, 9], &[9, 9], &[0, 9]]).mistakes.is_empty());
    }
}

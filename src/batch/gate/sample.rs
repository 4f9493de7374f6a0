use std::collections::BinaryHeap;

use crate::crypto::rsa::PrimeTag;

/// Lets about the smallest tags of all that come through: what stands above as many smaller ones as the sample takes is
/// surely not in it.
#[derive(Debug)]
pub(super) struct Threshold {
    most: usize,
    smallest: BinaryHeap<PrimeTag>,
}

impl Threshold {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, smallest: BinaryHeap::new() }
    }

    /// Whether the key with this tag may be in the sample.
    pub(super) fn lets_through(&mut self, tag: PrimeTag) -> bool {
        if self.smallest.len() < self.most {
            self.smallest.push(tag);
            return true;
        }
        let is_smaller = self.smallest.peek().is_some_and(|largest| tag < *largest);
        if is_smaller {
            self.smallest.pop();
            self.smallest.push(tag);
        }
        is_smaller
    }
}

/// The keys with the smallest tags: their positions and moduli.
#[derive(Debug)]
pub(super) struct Sample {
    most: usize,
    keys: BinaryHeap<(PrimeTag, u64, Vec<u8>)>,
}

impl Sample {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, keys: BinaryHeap::new() }
    }

    pub(super) fn add(&mut self, tag: PrimeTag, position: u64, modulus: &[u8]) {
        if self.keys.len() >= self.most {
            if self.keys.peek().is_none_or(|(largest, ..)| tag >= *largest) {
                return;
            }
            self.keys.pop();
        }
        self.keys.push((tag, position, modulus.to_vec()));
    }

    pub(super) fn into_keys(self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.keys.into_iter().map(|(_, position, modulus)| (position, modulus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;
    use std::collections::BTreeSet;

    fn tag(n: u64) -> PrimeTag {
        PrimeTag::from_bytes(*sha256(&[&n.to_be_bytes()]).first_chunk().unwrap())
    }

    #[test]
    fn the_sample_is_that_of_all_keys_though_few_are_written() {
        for most in [1, 7, 100] {
            let (mut threshold, mut sample) = (Threshold::new(most), Sample::new(most));
            let mut written = 0;
            for n in 0..5_000 {
                if threshold.lets_through(tag(n)) {
                    written += 1;
                    sample.add(tag(n), n, &[1]);
                }
            }
            let mut all: Vec<_> = (0..5_000).map(|n| (tag(n), n)).collect();
            all.sort_unstable();
            let expected: BTreeSet<u64> = all[..most].iter().map(|(_, n)| *n).collect();
            assert_eq!(sample.into_keys().map(|(n, _)| n).collect::<BTreeSet<_>>(), expected);
            // most × (1 + ln(5000 / most)) are to be expected.
            assert!(written < most * 11 + 30, "{written} of {most}");
        }
        let (mut none, mut empty) = (Threshold::new(0), Sample::new(0));
        assert!(!none.lets_through(tag(1)));
        empty.add(tag(1), 1, &[1]);
        assert_eq!(empty.into_keys().count(), 0);
    }
}

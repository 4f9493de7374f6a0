//! A second use of a cardId in one batch.
//!
//! # How a batch uses it
//!
//! [`Duplicates::probe`] takes the cardId of every order in input order, also of an order that is rejected. `Fresh` is
//! certain. `Candidate` says that the 8-byte tag has been seen: nearly always the cardId itself, rarely (about once in
//! 370,000 batches of ten million cards) another cardId with the same tag. So a candidate is confirmed before it refuses: the batch puts the
//! candidates of a block into a [`Confirmation`], reads the cardIds of all earlier orders once more, from the input
//! file or from a file that it has written beside (cardIds are not secret), and asks which ones it has met.
//!
//! # Memory
//!
//! 8 bytes a tag in 4,096 segments, each an open-addressed table of its own that grows by a quarter when it is 7/8
//! full: the tables are never less than 0.69 full once a segment holds 64 tags, so at most 11.6 bytes an order, and
//! only one segment of 4,096 exists twice while it grows. The segments themselves take 128 KiB.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::card::CardId;
use crate::crypto::hash::hmac_sha256;
use crate::secret::Secret;

/// What a batch knows of a cardId.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It has not been used in this batch.
    Fresh,
    /// It has been used, or another cardId has the same tag: to be confirmed.
    Candidate,
}

/// The cardIds of a batch, each as an 8-byte keyed tag.
///
/// ```
/// use emv_dataprep::order::{Duplicates, Probe};
/// use emv_dataprep::secret::Secret;
/// let mut seen = Duplicates::new(Secret::copy_of(&[7; 32]));
/// let id = "card-1".parse()?;
/// assert_eq!(seen.probe(&id), Probe::Fresh);
/// assert_eq!(seen.probe(&id), Probe::Candidate);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub struct Duplicates {
    key: Secret,
    segments: Vec<Segment>,
    count: u64,
}

const SEGMENT_BITS: u32 = 12;

impl Duplicates {
    /// An empty set. `key` makes the tags unpredictable, so that nobody can choose cardIds that meet; it is drawn for
    /// the batch and need not be kept.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        let segments = (0..1u32 << SEGMENT_BITS).map(|_| Segment::default()).collect();
        Self { key, segments, count: 0 }
    }

    /// Notes the cardId and says whether it is the first use.
    pub fn probe(&mut self, id: &CardId) -> Probe {
        let digest = hmac_sha256(&self.key, &[id.as_str().as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = digest;
        self.probe_tag(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    fn probe_tag(&mut self, tag: u64) -> Probe {
        let segment = tag >> (u64::BITS - SEGMENT_BITS);
        let Some(segment) = usize::try_from(segment).ok().and_then(|i| self.segments.get_mut(i)) else {
            return Probe::Candidate;
        };
        // Zero marks a free place.
        if segment.insert(tag.max(1)) {
            self.count = self.count.saturating_add(1);
            Probe::Fresh
        } else {
            Probe::Candidate
        }
    }

    /// How many different tags are in the set.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the tags take, free places included.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.segments.iter().map(|s| s.places.len().saturating_mul(size_of::<u64>())).sum()
    }
}

impl fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duplicates({} tags)", self.count)
    }
}

/// An open-addressed table with linear probing.
#[derive(Default)]
struct Segment {
    places: Box<[u64]>,
    used: usize,
}

impl Segment {
    /// Whether the tag is new.
    fn insert(&mut self, tag: u64) -> bool {
        if self.used.saturating_add(1) > self.places.len().saturating_mul(7) / 8 {
            self.grow();
        }
        let start = self.start(tag);
        let (behind, ahead) = self.places.split_at_mut(start);
        for place in ahead.iter_mut().chain(behind) {
            if *place == tag {
                return false;
            }
            if *place == 0 {
                *place = tag;
                self.used = self.used.saturating_add(1);
                return true;
            }
        }
        false // never: a place is always free after `grow`
    }

    /// The place where the search begins: the bits below the segment's, scaled to the table.
    fn start(&self, tag: u64) -> usize {
        let fraction = u128::from(tag << SEGMENT_BITS);
        let len = u128::try_from(self.places.len()).unwrap_or(0);
        usize::try_from(fraction.saturating_mul(len) >> u64::BITS).unwrap_or(0)
    }

    fn grow(&mut self) {
        let len = self.places.len();
        let larger = vec![0; len.saturating_add((len / 4).max(8))].into_boxed_slice();
        let old = std::mem::replace(&mut self.places, larger);
        self.used = 0;
        for tag in old.into_iter().filter(|t| *t != 0) {
            self.insert(tag);
        }
    }
}

/// Finds out which candidates are second uses.
///
/// ```
/// use emv_dataprep::order::Confirmation;
/// let (a, b) = ("a".parse()?, "b".parse()?);
/// let mut confirmation = Confirmation::default();
/// confirmation.want(7, &a);
/// confirmation.want(8, &b);
/// confirmation.see(2, &a);
/// confirmation.see(8, &b); // the candidate itself
/// assert_eq!(confirmation.finish().into_iter().collect::<Vec<_>>(), [7]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Confirmation {
    /// By cardId: positions of the candidates, and the first position at which the cardId is seen.
    wanted: BTreeMap<CardId, (Vec<u64>, Option<u64>)>,
}

impl Confirmation {
    /// A candidate: the order at `position` has this cardId.
    pub fn want(&mut self, position: u64, id: &CardId) {
        let (positions, _) = self.wanted.entry(id.clone()).or_default();
        positions.push(position);
        self.see(position, id);
    }

    /// Whether there is nothing to confirm.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The order at `position` uses this cardId. To be called for every order before the last candidate.
    pub fn see(&mut self, position: u64, id: &CardId) {
        if let Some((_, first)) = self.wanted.get_mut(id) {
            *first = Some(first.map_or(position, |f| f.min(position)));
        }
    }

    /// Positions of the candidates whose cardId stands at an earlier position too.
    #[must_use]
    pub fn finish(self) -> BTreeSet<u64> {
        let later = |(positions, first): (Vec<u64>, Option<u64>)| {
            positions.into_iter().filter(move |p| first.is_some_and(|f| f < *p))
        };
        self.wanted.into_values().flat_map(later).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn id(n: u64) -> CardId {
        format!("card-{n}").parse().unwrap()
    }

    #[test]
    fn memory_stays_under_sixteen_bytes_an_order() {
        let mut seen = Duplicates::new(Secret::copy_of(&[1; 32]));
        for n in 0..400_000u64 {
            // Any mixing will do: the tags need only be spread and different.
            assert_eq!(seen.probe_tag(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(21)), Probe::Fresh);
            if n >= 262_144 && n % 8_192 == 0 {
                assert!(seen.table_bytes() as u64 <= seen.len() * 12, "{n}");
            }
        }
        assert_eq!(seen.len(), 400_000);
        assert_eq!(seen.probe_tag(0), Probe::Candidate);
    }

    #[test]
    fn the_key_decides_the_tag() {
        let mut one = Duplicates::new(Secret::copy_of(&[1; 32]));
        let mut other = Duplicates::new(Secret::copy_of(&[2; 32]));
        one.probe(&id(1));
        other.probe(&id(1));
        let tags = |d: &Duplicates| d.segments.iter().flat_map(|s| s.places.to_vec()).collect::<HashSet<_>>();
        assert_ne!(tags(&one), tags(&other));
    }

    #[test]
    fn equal_tags_of_other_ids_are_not_confirmed() {
        let mut confirmation = Confirmation::default();
        confirmation.want(9, &id(9));
        (1..9).for_each(|n| confirmation.see(n, &id(n)));
        assert!(confirmation.finish().is_empty());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(ids in proptest::collection::vec(0u64..60, 0..200)) {
            let mut seen = Duplicates::new(Secret::copy_of(&[3; 32]));
            let mut plain = HashSet::new();
            let mut confirmation = Confirmation::default();
            let mut expected = BTreeSet::new();
            for (n, position) in ids.iter().zip(1u64..) {
                if seen.probe(&id(*n)) == Probe::Candidate {
                    confirmation.want(position, &id(*n));
                }
                if !plain.insert(*n) {
                    expected.insert(position);
                }
            }
            for (n, position) in ids.iter().zip(1u64..) {
                confirmation.see(position, &id(*n));
            }
            prop_assert_eq!(confirmation.finish(), expected);
        }
    }
}

//! The draws of key generation: what every backend must take from the card's stream. The procedure stands in
//! [`super::keygen`].

use zeroize::{Zeroize, Zeroizing};

use super::keygen::KeySpec;
use crate::crypto::rng::{CardStream, StreamRng};

/// Words of the longest prime: 992 bits.
pub(super) const WORDS: usize = 16;

/// A prime or a candidate: 64-bit words, lowest first.
pub(super) type Words = [u64; WORDS];

/// Which of the two primes is searched: the first number of the path of its sub-streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Searched as p. It may become q in the end.
    P,
    /// Searched as q.
    Q,
}

impl Side {
    const fn number(self) -> u64 {
        match self {
            Self::P => 0,
            Self::Q => 1,
        }
    }
}

/// The path of the sub-streams that are no prime's: the block of the pair-wise consistency test.
const CONSISTENCY: u64 = 2;

/// The block that the pair-wise consistency test signs: `len` bytes, the first of them zero.
pub(super) fn consistency_block(stream: &CardStream, attempt: u64, len: usize) -> Vec<u8> {
    let mut block = vec![0; len];
    stream.sub(&[CONSISTENCY, attempt]).rng().fill(&mut block);
    if let Some(first) = block.first_mut() {
        *first = 0;
    }
    block
}

/// Where a search stands: side, attempt and window number.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowId {
    pub(super) side: Side,
    pub(super) attempt: u64,
    pub(super) window: u64,
}

impl WindowId {
    fn path(self) -> [u64; 3] {
        [self.side.number(), self.attempt, self.window]
    }

    /// The random bases of the candidate at `offset`.
    pub(super) fn bases(self, stream: &CardStream, offset: u16) -> Bases {
        let [side, attempt, window] = self.path();
        Bases(stream.sub(&[side, attempt, window, u64::from(offset)]).rng())
    }
}

/// A window: its first number and the rank of every offset. Wiped when dropped.
pub(super) struct Window {
    pub(super) start: Words,
    ranks: Vec<u64>,
}

impl Window {
    /// Draws the window `id` of `stream`. None when its last number has more bits than the prime may have.
    pub(super) fn draw(spec: &KeySpec, stream: &CardStream, id: WindowId) -> Option<Self> {
        let mut rng = stream.sub(&id.path()).rng();
        let bits = spec.prime_bits();
        let mut start = draw_words(&mut rng, bits);
        set_bit(&mut start, bits.saturating_sub(1));
        set_bit(&mut start, bits.saturating_sub(2));
        set_bit(&mut start, 0);
        let offsets = spec.offsets();
        let mut bytes = Zeroizing::new(vec![0; usize::from(offsets).saturating_mul(8)]);
        rng.fill(&mut bytes);
        let ranks = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        let window = Self { start, ranks };
        let last = Zeroizing::new(window.candidate(offsets.saturating_sub(1)));
        bit_is_set(&last, bits.saturating_sub(1)).then_some(window)
    }

    /// The number at `offset`: start + 2 offset.
    pub(super) fn candidate(&self, offset: u16) -> Words {
        let mut out = self.start;
        let mut carry = u64::from(offset).saturating_mul(2);
        for word in &mut out {
            let (sum, over) = word.overflowing_add(carry);
            *word = sum;
            carry = u64::from(over);
        }
        out
    }

    /// Puts `offsets` into the order of the window's permutation: by rank, then by offset.
    pub(super) fn order(&self, offsets: &mut [u16]) {
        offsets.sort_unstable_by_key(|t| (self.ranks.get(usize::from(*t)).copied(), *t));
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.start.zeroize();
        self.ranks.zeroize();
    }
}

/// The Miller-Rabin bases of one candidate, first round first.
pub(super) struct Bases(StreamRng);

impl Bases {
    /// The next base: an integer from 2 to `candidate` - 2, without bias.
    pub(super) fn next(&mut self, candidate: &Words, bits: usize) -> Words {
        let mut below = *candidate;
        // The candidate is odd: clearing its low bit takes one away.
        if let Some(low) = below.first_mut() {
            *low &= !1;
        }
        loop {
            let base = draw_words(&mut self.0, bits);
            let at_least_two = base.iter().skip(1).any(|w| *w != 0) || base.first().is_some_and(|w| *w > 1);
            if at_least_two && base.iter().rev().lt(below.iter().rev()) {
                below.zeroize();
                return base;
            }
        }
    }
}

/// `bits / 8` bytes, rounded up, of the stream as a big-endian number of at most `bits` bits.
fn draw_words(rng: &mut StreamRng, bits: usize) -> Words {
    let mut bytes = Zeroizing::new(vec![0; bits.div_ceil(8)]);
    rng.fill(&mut bytes);
    if let (Some(first), false) = (bytes.first_mut(), bits.is_multiple_of(8)) {
        *first &= (1 << (bits % 8)) - 1;
    }
    from_be(&bytes)
}

/// A big-endian number of at most 128 bytes as words.
pub(super) fn from_be(bytes: &[u8]) -> Words {
    let mut out = [0; WORDS];
    for (word, chunk) in out.iter_mut().zip(bytes.rchunks(8)) {
        *word = chunk.iter().fold(0, |w, b| w << 8 | u64::from(*b));
    }
    out
}

/// The lowest `len` bytes of a number, big-endian.
pub(super) fn to_be(words: &Words, len: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(vec![0; len]);
    for (chunk, word) in out.rchunks_mut(8).zip(words) {
        for (to, from) in chunk.iter_mut().rev().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
    out
}

/// Whether |a - b| > 2^(bits - 100), for two numbers of `bits` bits (FIPS 186-5, A.1.3 step 5.5).
pub(super) fn far_apart(a: &Words, b: &Words, bits: usize) -> bool {
    let (high, low) = if a.iter().rev().ge(b.iter().rev()) { (a, b) } else { (b, a) };
    let mut difference = Zeroizing::new([0_u64; WORDS]);
    let mut borrow = false;
    for ((d, x), y) in difference.iter_mut().zip(high).zip(low) {
        let (t, first) = x.overflowing_sub(*y);
        let (t, second) = t.overflowing_sub(u64::from(borrow));
        *d = t;
        borrow = first | second;
    }
    let bound = bits.saturating_sub(100);
    let mut limit = [0; WORDS];
    set_bit(&mut limit, bound);
    difference.iter().rev().gt(limit.iter().rev())
}

fn set_bit(words: &mut Words, bit: usize) {
    if let Some(word) = words.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn bit_is_set(words: &Words, bit: usize) -> bool {
    words.get(bit / 64).is_some_and(|w| w >> (bit % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_words() {
        let words = from_be(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(words[..2], [0x0203_0405_0607_0809, 1]);
        assert_eq!(to_be(&words, 10).as_slice(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn the_distance_bound_is_strict() {
        let mut a = [0; WORDS];
        set_bit(&mut a, 255);
        let mut b = a;
        assert!(!far_apart(&a, &b, 256));
        set_bit(&mut b, 156);
        assert!(!far_apart(&a, &b, 256));
        set_bit(&mut b, 0);
        assert!(far_apart(&a, &b, 256) && far_apart(&b, &a, 256));
    }
}

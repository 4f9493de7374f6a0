//! Lines out of chunks of bytes, without holding a line that is too long.

use zeroize::{Zeroize, Zeroizing};

/// One line of the input, without its line feed.
#[derive(PartialEq, Eq)]
pub enum Line<'a> {
    /// The bytes of the line.
    Whole(&'a [u8]),
    /// A line with more bytes than allowed; its bytes are gone.
    TooLong,
}

impl std::fmt::Debug for Line<'_> {
    /// A line holds card data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::TooLong => f.write_str("TooLong"),
        }
    }
}

/// Splits a stream of chunks into lines. It holds at most one unfinished line, and of a line that is too long nothing.
///
/// ```
/// use emv_dataprep::order::{Line, LineSplitter};
/// let mut splitter = LineSplitter::new(8);
/// let mut seen = Vec::new();
/// for chunk in [&b"one\ntw"[..], b"o\nmuch too long", b" indeed\nlast"] {
///     splitter.feed(chunk, |line| seen.push(format!("{line:?}")));
/// }
/// splitter.finish(|line| seen.push(format!("{line:?}")));
/// assert_eq!(seen, ["Whole(3 bytes)", "Whole(3 bytes)", "TooLong", "Whole(4 bytes)"]);
/// ```
pub struct LineSplitter {
    max: usize,
    held: WipedBuffer,
    skipping: bool,
}

impl LineSplitter {
    /// A splitter for lines of at most `max` bytes, the line feed not counted.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, held: WipedBuffer::default(), skipping: false }
    }

    /// Takes the next bytes and gives every line that they end.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Line<'_>)) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (part, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            if self.held.is_empty() && !self.skipping && part.len() <= self.max {
                each(Line::Whole(part));
                continue;
            }
            self.hold(part);
            self.give(&mut each);
        }
        self.hold(rest);
    }

    /// Gives the last line when no line feed ended it. The splitter is then as new.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if self.skipping || !self.held.is_empty() {
            self.give(&mut each);
        }
    }

    fn hold(&mut self, part: &[u8]) {
        if self.skipping {
            return;
        }
        if self.held.len().saturating_add(part.len()) > self.max {
            self.skipping = true;
            self.held.wipe();
        } else {
            self.held.push(part);
        }
    }

    fn give(&mut self, each: &mut impl FnMut(Line<'_>)) {
        each(if self.skipping { Line::TooLong } else { Line::Whole(self.held.bytes()) });
        self.skipping = false;
        self.held.wipe();
    }
}

impl std::fmt::Debug for LineSplitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LineSplitter({} bytes held)", self.held.len())
    }
}

/// Bytes that grow without leaving copies behind.
#[derive(Default)]
pub(super) struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wipes the bytes; an allocation of more than 64 KiB goes back.
    pub(super) fn wipe(&mut self) {
        if self.0.capacity() > 1 << 16 {
            self.0 = Zeroizing::new(Vec::new());
        } else {
            self.0.as_mut_slice().zeroize();
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]], max: usize) -> Vec<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let mut take = |line: Line<'_>| {
            out.push(match line {
                Line::Whole(b) => Some(b.to_vec()),
                Line::TooLong => None,
            });
        };
        let mut splitter = LineSplitter::new(max);
        for chunk in chunks {
            splitter.feed(chunk, &mut take);
        }
        splitter.finish(&mut take);
        out
    }

    proptest! {
        #[test]
        fn the_chunks_do_not_matter(text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
                                    cuts in proptest::collection::vec(1usize..20, 1..40), max in 0usize..30) {
            let mut expected: Vec<Option<Vec<u8>>> = text
                .split(|b| *b == b'\n')
                .map(|l| (l.len() <= max).then(|| l.to_vec()))
                .collect();
            if text.is_empty() || text.last() == Some(&b'\n') {
                expected.pop();
            }
            let mut chunks = Vec::new();
            let mut rest = text.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (a, b) = rest.split_at((*cut).min(rest.len()));
                chunks.push(a);
                rest = b;
            }
            prop_assert_eq!(lines(&chunks, max), expected);
        }
    }

    #[test]
    fn a_long_line_is_not_held() {
        let mut splitter = LineSplitter::new(100);
        for _ in 0..1000 {
            splitter.feed(&[b'x'; 1000], |_| panic!("no line has ended"));
            assert!(splitter.held.is_empty());
        }
        let mut seen = 0;
        splitter.feed(b"\nok\n", |line| {
            assert_eq!(line, if seen == 0 { Line::TooLong } else { Line::Whole(b"ok") });
            seen += 1;
        });
        assert_eq!(seen, 2);
    }
}

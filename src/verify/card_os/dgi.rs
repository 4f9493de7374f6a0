//! STORE DATA as the card takes it (CPS 4.3.4, GPCS 11.11): P1, the order of P2, and the grammar of data groupings.

use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

use super::command::{Command, StatusWord};

/// What bits 7 and 6 of P1 say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// 00: no grouping is enciphered.
    None,
    /// 01: the application knows which are.
    ByGrouping,
    /// 11: all are.
    All,
}

/// P1, taken apart.
#[derive(Clone, Copy)]
pub(super) struct P1 {
    pub(super) last: bool,
    pub(super) encryption: Encryption,
}

impl P1 {
    /// Bits 5 and 4: no information, or DGI format; bits 3 to 1 zero.
    pub(super) fn read(p1: u8) -> Result<Self, StatusWord> {
        let encryption = match p1 >> 5 & 3 {
            0 => Encryption::None,
            1 => Encryption::ByGrouping,
            3 => Encryption::All,
            _ => return Err(StatusWord::WRONG_P1_P2),
        };
        if p1 & 0x17 != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        Ok(Self { last: p1 & 0x80 != 0, encryption })
    }
}

/// One grouping, whole, as it came.
pub(super) struct Grouping {
    pub(super) tag: u16,
    pub(super) value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grouping({:04X}, {} bytes)", self.tag, self.value.len())
    }
}

/// A grouping whose value goes on in the next command.
struct Partial {
    tag: u16,
    len: usize,
    got: Zeroizing<Vec<u8>>,
    encryption: Encryption,
}

/// One personalization session of one application: from P2 = 00 to the last block.
#[derive(Default)]
pub(super) struct Assembler {
    /// P2 of the next command.
    next: u16,
    partial: Option<Partial>,
    seen: BTreeSet<u16>,
}

impl Assembler {
    /// Whether the next command begins the session.
    pub(super) const fn is_new(&self) -> bool {
        self.next == 0
    }

    /// Takes one command: the groupings that are whole now.
    pub(super) fn take(
        &mut self,
        command: &Command,
        p1: P1,
        known: impl Fn(u16) -> bool,
    ) -> Result<Vec<Grouping>, StatusWord> {
        if u16::from(command.p2) != self.next {
            return Err(StatusWord::WRONG_P1_P2);
        }
        self.next = self.next.saturating_add(1);
        let mut out = Vec::new();
        let mut rest = command.data.as_slice();
        if rest.is_empty() && !p1.last {
            return Err(StatusWord::WRONG_DATA);
        }
        if let Some(mut partial) = self.partial.take() {
            if partial.encryption != p1.encryption {
                return Err(StatusWord::WRONG_DATA);
            }
            let (now, after) = rest.split_at(partial.len.saturating_sub(partial.got.len()).min(rest.len()));
            partial.got.extend_from_slice(now);
            rest = after;
            if partial.got.len() < partial.len {
                self.partial = Some(partial);
            } else {
                out.push(Grouping { tag: partial.tag, value: partial.got });
            }
        }
        let mut seen = self.seen.clone();
        while !rest.is_empty() {
            let (tag, len, value) = header(rest).ok_or(StatusWord::WRONG_DATA)?;
            if !known(tag) {
                return Err(StatusWord::NO_DATA);
            }
            if !seen.insert(tag) {
                return Err(StatusWord::WRONG_DATA);
            }
            let (now, after) = value.split_at(len.min(value.len()));
            // The whole length is set aside at once, so that no copy of a part stays behind unwiped.
            let mut got = Zeroizing::new(Vec::with_capacity(len));
            got.extend_from_slice(now);
            if now.len() < len {
                self.partial = Some(Partial { tag, len, got, encryption: p1.encryption });
            } else {
                out.push(Grouping { tag, value: got });
            }
            rest = after;
        }
        if p1.last && self.partial.is_some() {
            return Err(StatusWord::WRONG_DATA);
        }
        self.seen = seen;
        Ok(out)
    }
}

/// Identifier, length (one byte to 254, else FF and two bytes) and what follows.
fn header(bytes: &[u8]) -> Option<(u16, usize, &[u8])> {
    let (tag, rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match rest {
        [0xFF, high, low, rest @ ..] => match u16::from_be_bytes([*high, *low]) {
            0..=0xFE => return None,
            len => (usize::from(len), rest),
        },
        [0xFF, ..] => return None,
        [len, rest @ ..] => (usize::from(*len), rest),
        [] => return None,
    };
    Some((u16::from_be_bytes(*tag), len, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn store(p1: u8, p2: u8, data: &[u8]) -> (P1, Command) {
        let data = Zeroizing::new(data.to_vec());
        (P1::read(p1).unwrap(), Command { cla: 0x80, ins: 0xE2, p1, p2, data })
    }

    fn feed(all: &mut Assembler, p1: u8, p2: u8, data: &[u8]) -> Result<Vec<(u16, usize)>, StatusWord> {
        let (p1, command) = store(p1, p2, data);
        let got = all.take(&command, p1, |tag| tag != 0xDEAD)?;
        Ok(got.iter().map(|g| (g.tag, g.value.len())).collect())
    }

    #[test]
    fn the_length_has_one_form() {
        // 254 bytes: FE; 255 bytes: FF00FF. A shorter length behind FF has another form and is refused.
        assert_eq!(header(&[1, 1, 0xFE, 7]).unwrap().1, 254);
        assert_eq!(header(&[1, 1, 0xFF, 0, 0xFF, 7]).unwrap().1, 255);
        assert_eq!(header(&[1, 1, 0xFF, 1, 0xAF]).unwrap().1, 431);
        assert!(header(&[1, 1, 0xFF, 0, 0xFE, 7]).is_none());
        assert!(header(&[1, 1, 0xFF, 1]).is_none());
        // 81 is a length of 129 bytes, not a BER length.
        assert_eq!(header(&[1, 1, 0x81, 0x80]).unwrap().1, 0x81);
    }

    #[test]
    fn p1_bits() {
        for (p1, want) in [(0, Encryption::None), (0x60, Encryption::All), (0xA0, Encryption::ByGrouping)] {
            let read = P1::read(p1).unwrap();
            assert_eq!((read.encryption, read.last), (want, p1 & 0x80 != 0));
        }
        assert!(P1::read(0x88).is_ok());
        for bad in [0x40, 0x10, 0x01, 0x04, 0x18] {
            assert_eq!(P1::read(bad).err(), Some(StatusWord::WRONG_P1_P2));
        }
    }

    #[test]
    fn p2_counts_from_zero() {
        let mut all = Assembler::default();
        assert_eq!(feed(&mut all, 0, 1, &[0x90, 0x10, 2, 3, 3]), Err(StatusWord::WRONG_P1_P2));
        assert_eq!(feed(&mut all, 0, 0, &[0x90, 0x10, 2, 3, 3]), Ok(vec![(0x9010, 2)]));
        assert_eq!(feed(&mut all, 0, 2, &[0x90, 0x00, 0]), Err(StatusWord::WRONG_P1_P2));
        assert_eq!(feed(&mut all, 0, 1, &[0xDE, 0xAD, 0]), Err(StatusWord::NO_DATA));
        // A grouping that the card does not know is counted all the same.
        assert_eq!(feed(&mut all, 0, 2, &[0x90, 0x00, 0]), Ok(vec![(0x9000, 0)]));
        assert_eq!(feed(&mut all, 0, 3, &[0x90, 0x10, 2, 3, 3]), Err(StatusWord::WRONG_DATA), "twice");
    }

    #[test]
    fn a_grouping_goes_on_in_the_next_command() {
        let mut all = Assembler::default();
        assert_eq!(feed(&mut all, 0x60, 0, &[0x80, 0, 4, 1]), Ok(vec![]));
        assert_eq!(feed(&mut all, 0x60, 1, &[2, 3, 4, 0x90, 0, 0]), Ok(vec![(0x8000, 4), (0x9000, 0)]));
        assert_eq!(feed(&mut all, 0, 2, &[0x01, 0x01, 2, 9]), Ok(vec![]));
        assert_eq!(feed(&mut all, 0x60, 3, &[9]), Err(StatusWord::WRONG_DATA), "other bits 7 and 6");
        let mut all = Assembler::default();
        assert_eq!(
            feed(&mut all, 0x80, 0, &[0x01, 0x01, 2, 9]),
            Err(StatusWord::WRONG_DATA),
            "last too early"
        );
        let mut all = Assembler::default();
        assert_eq!(feed(&mut all, 0, 0, &[0x01, 0x01]), Err(StatusWord::WRONG_DATA), "a header is not cut");
    }

    #[test]
    fn no_more_than_256_commands() {
        let mut all = Assembler::default();
        for n in 0..=255 {
            assert_eq!(feed(&mut all, 0, n, &[0x01, n, 0]), Ok(vec![(0x0100 | u16::from(n), 0)]));
        }
        assert_eq!(feed(&mut all, 0, 0, &[0x90, 0, 0]), Err(StatusWord::WRONG_P1_P2));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_groupings(len in 0_usize..600, second in 0_usize..300, cut in 5_usize..250) {
            let grouping = |tag: u16, len: usize| {
                let mut out = tag.to_be_bytes().to_vec();
                if len < 255 { out.push(len as u8) } else { out.extend([0xFF, (len >> 8) as u8, len as u8]) }
                out.resize(out.len() + len, 0x5A);
                out
            };
            // The second header begins a command of its own.
            let chunks: Vec<Vec<u8>> = [grouping(0x8201, len), grouping(0x8202, second)]
                .iter().flat_map(|g| g.chunks(cut).map(<[u8]>::to_vec).collect::<Vec<_>>()).collect();
            let mut all = Assembler::default();
            let mut got = Vec::new();
            for (n, chunk) in chunks.iter().enumerate() {
                let p1 = if n + 1 == chunks.len() { 0x80 } else { 0 };
                got.extend(feed(&mut all, p1, n as u8, chunk).unwrap());
            }
            prop_assert_eq!(got, vec![(0x8201, len), (0x8202, second)]);
        }
    }
}

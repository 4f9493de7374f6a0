//! A virtual card behind a bad line: at chosen commands the answer is lost, late, altered or another card's.

use std::fmt;

use super::{StatusWord, VirtualCard};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The card loses power before it sees the command; there is no answer.
    TornBefore,
    /// The card loses power after it has done the command; the answer is lost.
    TornAfter,
    /// The card answers this status word and does nothing.
    Refused(StatusWord),
    /// The card does the command and answers this status word without data.
    Answered(StatusWord),
    /// The bits of this mask are turned in this byte of the response, counted from its start.
    Altered {
        /// Position in the response; the last byte when it is shorter.
        byte: usize,
        /// Bits that turn.
        mask: u8,
    },
    /// The last byte of the response is lost.
    Cut,
    /// The card cryptogram of the next INITIALIZE UPDATE is wrong.
    BadCryptogram,
    /// The next INITIALIZE UPDATE names another key version: another master key than the host means.
    OtherVersion(u8),
    /// From here on the chip tells another KEYDATA: another card than before.
    OtherChip([u8; 10]),
    /// The answer comes when the caller does not wait any more.
    Late,
    /// 61xx: the response waits for GET RESPONSE.
    MoreData,
    /// 6Cxx: the command must come again with this expected length; it is not done.
    WrongLe,
}

/// A fault and the command at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Count of the command, from 0.
    pub at: usize,
    /// What happens.
    pub kind: FaultKind,
}

/// What reaches the caller.
#[derive(Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A response.
    Response(Vec<u8>),
    /// Nothing; the card must be reset.
    Nothing,
    /// A response after the time that a caller waits.
    Late(Vec<u8>),
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(r) => write!(f, "Response({} bytes)", r.len()),
            Self::Nothing => f.write_str("Nothing"),
            Self::Late(r) => write!(f, "Late({} bytes)", r.len()),
        }
    }
}

/// One command and what the caller saw of its response.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The command APDU.
    pub command: Vec<u8>,
    /// The response with its status word; empty when nothing came.
    pub response: Vec<u8>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = hex::encode_upper(self.command.get(..4).unwrap_or(&self.command));
        write!(f, "Exchange({header}, {} bytes, {} bytes)", self.command.len(), self.response.len())
    }
}

/// A card and the faults of its line. Every exchange is kept, so that a test can look for secrets in it.
///
/// ```
/// use emv_dataprep::secret::Secret;
/// use emv_dataprep::verify::card_os::*;
/// let keys = StaticKeys::same(&Secret::copy_of(&[0x40; 16]));
/// let card = VirtualCard::new(CardConfig::new(Protocol::Scp02 { i: 0x55 }, keys))?;
/// let mut card = FaultyCard::new(card, vec![Fault { at: 1, kind: FaultKind::TornBefore }]);
/// let select = [0x00, 0xA4, 0x04, 0x00, 0x00];
/// assert!(matches!(card.transmit(&select), Delivery::Response(_)));
/// assert_eq!(card.transmit(&select), Delivery::Nothing);
/// assert_eq!(card.exchanges().len(), 2);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultyCard {
    card: VirtualCard,
    faults: Vec<Fault>,
    exchanges: Vec<Exchange>,
    /// Faults that wait for the next INITIALIZE UPDATE.
    armed: Vec<FaultKind>,
    /// Response that GET RESPONSE fetches.
    waiting: Option<Vec<u8>>,
}

impl FaultyCard {
    /// A card whose line has these faults.
    #[must_use]
    pub const fn new(card: VirtualCard, faults: Vec<Fault>) -> Self {
        Self { card, faults, exchanges: Vec::new(), armed: Vec::new(), waiting: None }
    }

    /// One command.
    pub fn transmit(&mut self, apdu: &[u8]) -> Delivery {
        let at = self.exchanges.len();
        let kind = self.faults.iter().find(|f| f.at == at).map(|f| f.kind);
        let delivery = self.deliver(apdu, kind);
        let response = match &delivery {
            Delivery::Response(r) | Delivery::Late(r) => r.clone(),
            Delivery::Nothing => Vec::new(),
        };
        self.exchanges.push(Exchange { command: apdu.to_vec(), response });
        delivery
    }

    fn deliver(&mut self, apdu: &[u8], kind: Option<FaultKind>) -> Delivery {
        let sw = |sw: StatusWord| Delivery::Response(sw.0.to_be_bytes().to_vec());
        if let (Some(waiting), [0x00, 0xC0, 0, 0, _]) = (self.waiting.take(), apdu) {
            return Delivery::Response(waiting);
        }
        match kind {
            Some(FaultKind::TornBefore) => {
                self.card.reset();
                return Delivery::Nothing;
            }
            Some(FaultKind::TornAfter) => {
                self.card.transmit(apdu);
                self.card.reset();
                return Delivery::Nothing;
            }
            Some(FaultKind::Refused(word)) => return sw(word),
            Some(FaultKind::WrongLe) => return sw(StatusWord(0x6C00)),
            Some(
                kind @ (FaultKind::BadCryptogram | FaultKind::OtherVersion(_) | FaultKind::OtherChip(_)),
            ) => {
                self.armed.push(kind);
            }
            _ => {}
        }
        let mut response = self.card.transmit(apdu);
        if matches!(apdu, [0x80, 0x50, ..]) && response.ends_with(&[0x90, 0]) {
            for kind in std::mem::take(&mut self.armed) {
                self.initialize_update(kind, &mut response);
            }
        }
        if let ([0x80 | 0x84, 0xCA, 0, 0xCF, ..], [0xCF, 10, data @ ..]) = (apdu, response.as_mut_slice()) {
            let other = self.armed.iter().find_map(|k| match k {
                FaultKind::OtherChip(keydata) => Some(*keydata),
                _ => None,
            });
            data.iter_mut().zip(other.into_iter().flatten()).for_each(|(b, k)| *b = k);
        }
        match kind {
            Some(FaultKind::Answered(word)) => sw(word),
            Some(FaultKind::Altered { byte, mask }) => {
                let byte = byte.min(response.len().saturating_sub(1));
                if let Some(b) = response.get_mut(byte) {
                    *b ^= mask;
                }
                Delivery::Response(response)
            }
            Some(FaultKind::Cut) => {
                response.pop();
                Delivery::Response(response)
            }
            Some(FaultKind::Late) => Delivery::Late(response),
            Some(FaultKind::MoreData) if response.len() > 2 && response.len() <= 258 => {
                let len = u16::try_from(response.len().saturating_sub(2) & 0xFF).unwrap_or(0);
                self.waiting = Some(response);
                sw(StatusWord(0x6100 | len))
            }
            _ => Delivery::Response(response),
        }
    }

    /// Alters the response of INITIALIZE UPDATE: KEYDATA (10), key version, protocol, …, card cryptogram.
    fn initialize_update(&mut self, kind: FaultKind, response: &mut [u8]) {
        // SCP02: 28 bytes and the status word. SCP03: the cryptogram ends before an optional counter of three bytes.
        let cryptogram = if response.get(11) == Some(&2) { 20 } else { 21 };
        match kind {
            FaultKind::BadCryptogram => {
                if let Some(b) = response.get_mut(cryptogram) {
                    *b ^= 1;
                }
            }
            FaultKind::OtherVersion(version) => {
                if let Some(b) = response.get_mut(10) {
                    *b = version;
                }
            }
            FaultKind::OtherChip(keydata) => {
                response.iter_mut().zip(keydata).for_each(|(b, k)| *b = k);
                self.armed.push(kind);
            }
            _ => {}
        }
    }

    /// Power off and on.
    pub fn reset(&mut self) {
        self.waiting = None;
        self.card.reset();
    }

    /// The card behind the line.
    #[must_use]
    pub const fn card(&self) -> &VirtualCard {
        &self.card
    }

    /// The card alone; faults and exchanges are left behind.
    #[must_use]
    pub fn into_card(self) -> VirtualCard {
        self.card
    }

    /// All exchanges so far.
    #[must_use]
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }
}

//! What a session keeps between calls, as bytes without a secret.

use crate::bytes::Cursor;
use crate::card::CardId;
use crate::error::{ErrorKind, Result};
use crate::perso::channel::KeyData;

const MAGIC: [u8; 4] = *b"EDS\x01";

/// How far one unit (a phase with the card manager, or with one application) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing was sent.
    Untouched,
    /// Something was.
    Begun {
        /// Operations of the unit that are done.
        done: u16,
        /// A command was handed out and its answer has not come.
        in_flight: bool,
        /// The STORE DATA with the last-block bit was handed out.
        last_block: bool,
    },
    /// All of it is done and was acknowledged.
    Completed,
}

/// Where a session stands: which card, which plan and data, which chip, how far. It holds no key, no PIN and no card value,
/// only digests and KEYDATA. The caller keeps [`SessionState::to_bytes`] and gives it to [`super::Session::resume`].
///
/// `"EDS" 01 ‖ length, card reference ‖ SHA-256 of plan and data (32) ‖ flags ‖ [KEYDATA (10)] ‖ [earlier KEYDATA (10)] ‖ units (2) ‖
/// of each 00, 02, or 01 ‖ operations done (2) ‖ flags`. One state has one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionState {
    pub(super) card_reference: CardId,
    pub(super) digest: [u8; 32],
    pub(super) chip: Option<KeyData>,
    pub(super) reassigned_from: Option<KeyData>,
    pub(super) claimed: bool,
    pub(super) units: Vec<Progress>,
}

impl SessionState {
    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let name = self.card_reference.as_str().as_bytes();
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name);
        out.extend_from_slice(&self.digest);
        let flags = u8::from(self.chip.is_some())
            | (u8::from(self.reassigned_from.is_some()) << 1)
            | (u8::from(self.claimed) << 2);
        out.push(flags);
        for key_data in self.chip.iter().chain(&self.reassigned_from) {
            out.extend_from_slice(&key_data.0);
        }
        out.extend_from_slice(&u16::try_from(self.units.len()).unwrap_or(u16::MAX).to_be_bytes());
        for unit in &self.units {
            match unit {
                Progress::Untouched => out.push(0),
                Progress::Completed => out.push(2),
                Progress::Begun { done, in_flight, last_block } => {
                    out.push(1);
                    out.extend_from_slice(&done.to_be_bytes());
                    out.push(u8::from(*in_flight) | (u8::from(*last_block) << 1));
                }
            }
        }
        out
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for other bytes than [`SessionState::to_bytes`] gives, [`ErrorKind::Truncated`],
    /// [`ErrorKind::Trailing`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let form = || ErrorKind::Format("the state of a personalization session");
        let mut c = Cursor::new(bytes);
        if c.array::<4>()? != MAGIC {
            return Err(form().into());
        }
        let len = usize::from(c.u8()?);
        let name = std::str::from_utf8(c.take(len)?).map_err(|_| form())?;
        let card_reference = name.parse().map_err(|_| form())?;
        let digest = c.array()?;
        let flags = c.u8()?;
        if flags > 7 || flags & 0b101 == 0b100 {
            return Err(form().into());
        }
        let mut key_data = |bit: u8| -> Result<Option<KeyData>> {
            Ok(if flags & bit != 0 { Some(KeyData(c.array()?)) } else { None })
        };
        let (chip, reassigned_from) = (key_data(1)?, key_data(2)?);
        let count = c.u16()?;
        let mut units = Vec::new();
        for _ in 0..count {
            units.push(match c.u8()? {
                0 => Progress::Untouched,
                2 => Progress::Completed,
                1 => {
                    let done = c.u16()?;
                    let flags @ 0..=3 = c.u8()? else { return Err(form().into()) };
                    Progress::Begun { done, in_flight: flags & 1 != 0, last_block: flags & 2 != 0 }
                }
                _ => return Err(form().into()),
            });
        }
        c.finish()?;
        Ok(Self { card_reference, digest, chip, reassigned_from, claimed: flags & 4 != 0, units })
    }

    /// The card that the state is of.
    #[must_use]
    pub const fn card_reference(&self) -> &CardId {
        &self.card_reference
    }

    /// KEYDATA of the chip, once one has answered.
    #[must_use]
    pub const fn key_data(&self) -> Option<KeyData> {
        self.chip
    }

    /// Whether the chip is claimed: secrets may have gone to it.
    #[must_use]
    pub const fn is_claimed(&self) -> bool {
        self.claimed
    }

    /// Whether everything of the plan was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.units.iter().all(|u| *u == Progress::Completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit() -> impl Strategy<Value = Progress> {
        prop_oneof![
            Just(Progress::Untouched),
            Just(Progress::Completed),
            (any::<u16>(), any::<bool>(), any::<bool>()).prop_map(|(done, in_flight, last_block)| {
                Progress::Begun { done, in_flight, last_block }
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_state_has_one_form(
            digest: [u8; 32], chip: Option<[u8; 10]>, from: Option<[u8; 10]>, claimed: bool,
            units in proptest::collection::vec(unit(), 0..6)
        ) {
            let state = SessionState {
                card_reference: "card-1".parse().unwrap(), digest, chip: chip.map(KeyData),
                reassigned_from: from.map(KeyData), claimed: claimed && chip.is_some(), units,
            };
            let bytes = state.to_bytes();
            prop_assert_eq!(SessionState::parse(&bytes).unwrap(), state);
            prop_assert!(SessionState::parse(bytes.split_last().unwrap().1).is_err());
            prop_assert!(SessionState::parse(&[&bytes[..], &[0]].concat()).is_err());
        }

        #[test]
        fn any_bytes_that_are_read_are_written_alike(tail in proptest::collection::vec(any::<u8>(), 0..60)) {
            let bytes = [&MAGIC[..], &[1, b'c'], &[7; 32], &tail].concat();
            if let Ok(state) = SessionState::parse(&bytes) {
                prop_assert_eq!(state.to_bytes(), bytes);
            }
        }
    }
}

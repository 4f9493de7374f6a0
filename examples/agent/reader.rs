//! Readers: the built-in virtual card, and PC/SC with the feature `pcsc`.

use emv_dataprep::verify::card_os::VirtualCard;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// A reader with at most one card.
pub(crate) enum Reader {
    /// The virtual card in this program. It is taken away once after so many commands, when told to.
    Virtual { card: Box<VirtualCard>, tear_after: Option<u32> },
    /// A PC/SC reader.
    #[cfg(feature = "pcsc")]
    Pcsc(super::pcsc_reader::PcscReader),
}

impl Reader {
    /// Its name, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Virtual { .. } => "the built-in virtual card".to_owned(),
            #[cfg(feature = "pcsc")]
            Self::Pcsc(reader) => reader.name(),
        }
    }

    /// Waits until a card is in the reader, and powers it.
    pub(crate) fn wait_for_card(&mut self) -> Result<(), Failure> {
        match self {
            Self::Virtual { card, .. } => {
                card.reset();
                Ok(())
            }
            #[cfg(feature = "pcsc")]
            Self::Pcsc(reader) => reader.wait_for_card(),
        }
    }

    /// Powers the card off and on. `false`: it is gone.
    pub(crate) fn reset(&mut self) -> bool {
        match self {
            Self::Virtual { card, .. } => {
                card.reset();
                true
            }
            #[cfg(feature = "pcsc")]
            Self::Pcsc(reader) => reader.reset(),
        }
    }

    /// A command; `None` when no answer comes.
    pub(crate) fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Virtual { card, tear_after } => match tear_after {
                Some(0) => {
                    *tear_after = None;
                    // The command reached the card, its answer is lost.
                    card.transmit(command);
                    None
                }
                Some(left) => {
                    *left = left.saturating_sub(1);
                    Some(card.transmit(command))
                }
                None => Some(card.transmit(command)),
            },
            #[cfg(feature = "pcsc")]
            Self::Pcsc(reader) => reader.transmit(command),
        }
    }

    /// Lets the card go.
    pub(crate) fn release(&mut self) {
        match self {
            Self::Virtual { .. } => {}
            #[cfg(feature = "pcsc")]
            Self::Pcsc(reader) => reader.release(),
        }
    }
}

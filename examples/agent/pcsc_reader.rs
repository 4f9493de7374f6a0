//! A card in a PC/SC reader.

use std::ffi::{CStr, CString};
use std::time::Duration;

use pcsc::{Card, Context, Disposition, MAX_BUFFER_SIZE, Protocols, ReaderState, Scope, ShareMode, State};

use super::reader::Failure;

/// How long the agent waits for a card.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PC/SC reader and the card in it.
pub(crate) struct PcscReader {
    context: Context,
    reader: CString,
    card: Option<Card>,
}

impl PcscReader {
    /// The first reader whose name contains `name`.
    pub(crate) fn open(name: &str) -> Result<Self, Failure> {
        let context = Context::establish(Scope::User).map_err(|e| format!("PC/SC: {e}"))?;
        let names = context.list_readers_owned().map_err(|e| format!("PC/SC readers: {e}"))?;
        let found = names.iter().find(|n| n.to_string_lossy().contains(name)).cloned();
        let reader = found.ok_or_else(|| {
            let list: Vec<_> = names.iter().map(|n| n.to_string_lossy()).collect();
            format!("no reader {name:?}; there are: {}", list.join(", "))
        })?;
        Ok(Self { context, reader, card: None })
    }

    pub(crate) fn name(&self) -> String {
        self.reader.to_string_lossy().into_owned()
    }

    /// Waits for a card and takes it for this program alone.
    pub(crate) fn wait_for_card(&mut self) -> Result<(), Failure> {
        self.release();
        let until = std::time::Instant::now() + PATIENCE;
        let mut states = [ReaderState::new(self.reader.as_c_str(), State::UNAWARE)];
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            match self.context.get_status_change(left, &mut states) {
                Ok(()) | Err(pcsc::Error::Timeout) if left.is_zero() => {
                    return Err("no card was presented".into());
                }
                Ok(()) | Err(pcsc::Error::Timeout) => {}
                Err(e) => return Err(format!("PC/SC: {e}").into()),
            }
            for state in &mut states {
                state.sync_current_state();
                if state.event_state().contains(State::PRESENT)
                    && let Some(card) = connect(&self.context, &self.reader)
                {
                    self.card = Some(card);
                    return Ok(());
                }
            }
        }
    }

    pub(crate) fn reset(&mut self) -> bool {
        let Some(card) = &mut self.card else { return false };
        card.reconnect(ShareMode::Exclusive, Protocols::ANY, Disposition::ResetCard).is_ok()
    }

    pub(crate) fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [0; MAX_BUFFER_SIZE];
        self.card.as_ref()?.transmit(command, &mut buffer).ok().map(<[u8]>::to_vec)
    }

    /// Powers the card off.
    pub(crate) fn release(&mut self) {
        if let Some(card) = self.card.take() {
            let _ = card.disconnect(Disposition::UnpowerCard);
        }
    }
}

fn connect(context: &Context, reader: &CStr) -> Option<Card> {
    context.connect(reader, ShareMode::Exclusive, Protocols::ANY).ok()
}

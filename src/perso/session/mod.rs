//! A personalization session: one prepared card into one chip, command by command. No I/O, no clock, no threads.
//!
//! [`Session::next`] says what to do; the caller does it and tells the outcome; so on until [`Step::Done`] or
//! [`Step::Failed`]. A loop over any reader:
//!
//! ```
//! use emv_dataprep::perso::session::{Session, Step};
//! /// `card` sends a command and gives the response; `None`: no answer, or the card is gone.
//! fn drive(
//!     session: &mut Session,
//!     mut card: impl FnMut(&[u8]) -> Option<Vec<u8>>,
//!     mut keep: impl FnMut(Vec<u8>),
//! ) -> Result<String, String> {
//!     loop {
//!         let step = session.next();
//!         keep(session.state().to_bytes()); // durably, before anything goes to the card
//!         match step {
//!             Step::Reset => session.reset_done(),
//!             Step::Send(command) => match card(&command.apdu.to_bytes()) {
//!                 Some(response) => session.response(&response),
//!                 None => session.no_answer(),
//!             },
//!             Step::Claim(_claim) => session.claimed(), // once it is stored
//!             Step::Waiting => return Err("an outcome was not told".to_owned()),
//!             Step::Done(report) => return Ok(report.production_status().to_owned()),
//!             Step::Failed(failure) => return Err(failure.to_string()),
//!         }
//!     }
//! }
//! ```
//!
//! After a torn session the caller presents the card again and calls [`Session::resume`] with the state it kept last: what is
//! completed is looked at and skipped, an application that was begun is personalized from its beginning with the same data, and
//! what cannot be told ends with [`FailureReason::Unknown`].
//!
//! What holds in every session:
//! - a secret grouping leaves as the key source enciphered it for the chip, never as it came and never in clear;
//! - before the first secret the caller stores a [`Claim`] of card and chip; another chip is refused from then on;
//! - no command is sent twice but those that only read or SELECT (6Cxx), and GET RESPONSE follows 61xx;
//! - the last-block bit goes out with the last piece of the last grouping, after all others were answered 9000 (or 6A88 where
//!   the plan says that the card may not know a grouping).

mod answer;
mod data;
mod failure;
mod machine;
mod program;
mod resume;
mod state;
mod store;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::card::{CardDate, CardId};
use crate::crypto::rng::Seed;
use crate::error::{ErrorKind, Place};
use crate::keys::KeySource;
use crate::perso::apdu::{CommandApdu, StatusWord};
use crate::perso::channel::{Channel, ChannelSettings, KeyData};
use crate::perso::plan::PersonalizationPlan;

pub use data::{ApplicationData, Claim, PersonalizationData, Reassignment, StationSettings};
pub use failure::{Advice, Failure, FailureReason};
pub use state::SessionState;

use program::Unit;
use state::Progress;
use store::Part;

/// All that a session begins with.
#[derive(Debug)]
pub struct SessionInput {
    /// The prepared card.
    pub data: PersonalizationData,
    /// The script plan.
    pub plan: PersonalizationPlan,
    /// The station.
    pub station: StationSettings,
    /// Random bytes of the operating system, fresh for each session: host challenges and PIN fill come from them.
    pub random: Seed,
    /// The day on which this happens.
    pub today: CardDate,
    /// The chip of an earlier claim of this card, as the caller stored it.
    pub earlier_claim: Option<KeyData>,
    /// An operator's word that the card may leave that chip.
    pub reassignment: Option<Reassignment>,
}

/// A command for the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCommand {
    /// What goes to the card.
    pub apdu: CommandApdu,
    /// The step, for people: phase, application, command. Nothing secret.
    pub name: String,
    /// Operations that are done, for a progress bar.
    pub done: usize,
    /// Operations in all.
    pub total: usize,
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reset the card, then [`Session::reset_done`].
    Reset,
    /// Send the command, then [`Session::response`] or [`Session::no_answer`].
    Send(SessionCommand),
    /// Store the claim durably, then [`Session::claimed`].
    Claim(Claim),
    /// The outcome of the last step was not told.
    Waiting,
    /// The card is personalized.
    Done(Report),
    /// It is not; see [`Failure::advice`].
    Failed(Failure),
}

/// A command or event and its outcome, for the log. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The step.
    pub step: String,
    /// The card's status word, when it answered.
    pub status: Option<StatusWord>,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{}: {status}", self.step),
            None => f.write_str(&self.step),
        }
    }
}

/// A personalized card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The issuer's name for the card.
    pub card_reference: CardId,
    /// The chip that it is now, when a channel was opened.
    pub key_data: Option<KeyData>,
}

impl Report {
    /// D1's production status.
    #[must_use]
    pub const fn production_status(&self) -> &'static str {
        "CARD_PROD_DONE"
    }
}

/// A personalization session. See the module.
pub struct Session {
    input: SessionInput,
    keys: Arc<dyn KeySource>,
    units: Vec<Unit>,
    digest: [u8; 32],
    progress: Vec<Progress>,
    /// After a torn session: which chip is it, and do completed applications stand.
    preamble: Option<Unit>,
    unit: usize,
    op: usize,
    /// The unit that an earlier session began: how it goes on.
    begun: Option<resume::Begun>,
    channel: Option<Channel>,
    opening: Option<(ChannelSettings, Vec<u8>)>,
    storing: Option<Storing>,
    outstanding: Option<Outstanding>,
    /// GET RESPONSE, or the same command with another Le.
    queued: Option<CommandApdu>,
    sent: Option<CommandApdu>,
    retried: bool,
    collected: Zeroizing<Vec<u8>>,
    chip: Option<KeyData>,
    reassigned_from: Option<KeyData>,
    claimed: bool,
    drawn: u64,
    log: Vec<LogLine>,
    end: Option<Step>,
}

/// STORE DATA of one application on its way.
struct Storing {
    parts: Vec<Part>,
    at: usize,
    /// Pieces of the part that were not sent yet, first to last.
    pieces: std::collections::VecDeque<Zeroizing<Vec<u8>>>,
    /// P2 of the next command.
    block: u16,
    max: usize,
    step: crate::perso::plan::StoreData,
}

/// What an outcome is awaited of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outstanding {
    Reset,
    Claim,
    /// A command of the plan; whether it went through the channel.
    Command {
        wrapped: bool,
    },
    Initialize,
    Authenticate,
    Store,
    /// CPLC or PUT KEY.
    Written,
    /// SELECT that shows whether an application was completed.
    Probe,
}

impl Session {
    /// Begins a session with a card that nothing was done to, or that begins anew.
    ///
    /// # Errors
    /// [`FailureReason::Expired`] after `notAfter`; [`FailureReason::Configuration`] when plan, card and station do not fit
    /// together: an application that the plan does not personalize, a key set that the station has not, a group that does not
    /// fit, keys or PINs in clear.
    pub fn new(input: SessionInput, keys: Arc<dyn KeySource>) -> Result<Self, Failure> {
        if input.today > input.data.not_after {
            return Err(Failure::new(FailureReason::Expired));
        }
        let configuration = Failure::configuration;
        input.plan.check().map_err(configuration)?;
        input.data.check().map_err(configuration)?;
        check_station(&input).map_err(configuration)?;
        let (units, digest) = program::lay_out(&input.plan, &input.data).map_err(configuration)?;
        Ok(Self {
            progress: vec![Progress::Untouched; units.len()],
            input,
            keys,
            units,
            digest,
            preamble: None,
            unit: 0,
            op: 0,
            begun: None,
            channel: None,
            opening: None,
            storing: None,
            outstanding: None,
            queued: None,
            sent: None,
            retried: false,
            collected: Zeroizing::new(Vec::new()),
            chip: None,
            reassigned_from: None,
            claimed: false,
            drawn: 0,
            log: Vec::new(),
            end: None,
        })
    }

    /// Where the session stands: to be kept by the caller after each [`Session::next`], before what it says is done.
    #[must_use]
    pub fn state(&self) -> SessionState {
        SessionState {
            card_reference: self.input.data.card_reference.clone(),
            digest: self.digest,
            chip: self.chip,
            reassigned_from: self.reassigned_from,
            claimed: self.claimed,
            units: self.progress.clone(),
        }
    }

    /// KEYDATA of the chip, once its channel is open.
    #[must_use]
    pub const fn key_data(&self) -> Option<KeyData> {
        self.chip
    }

    /// What happened so far: steps and status words, nothing secret.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }
}

impl fmt::Debug for Session {
    /// The card reference and the step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("card_reference", &self.input.data.card_reference)
            .field("step", &self.op_name())
            .finish_non_exhaustive()
    }
}

/// Every key set that the plan names is there.
fn check_station(input: &SessionInput) -> crate::error::Result<()> {
    use crate::perso::plan::PlanStep;
    let channels = input.plan.phases.iter().filter_map(|p| p.channel.as_ref());
    let mut names: Vec<&String> =
        channels.filter_map(|c| Some(&input.plan.channels.get(c)?.key_set)).collect();
    names.extend(input.plan.phases.iter().flat_map(|p| &p.steps).filter_map(|s| match s {
        PlanStep::PutKey { new_keys, .. } => Some(new_keys),
        _ => None,
    }));
    for name in names {
        if !input.station.key_sets.contains_key(name) {
            return Err(ErrorKind::Missing("the key set in the station's settings"))
                .at_with(|| format!("key set {name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod card_tests;
#[cfg(test)]
mod tests;

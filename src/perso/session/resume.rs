//! How a torn session goes on.

use std::sync::Arc;

use super::program::{self, Nature, Op, Opening, Unit, What};
use super::state::Progress;
use super::{Failure, FailureReason, Session, SessionInput, SessionState};
use crate::error::{Error, ErrorKind};
use crate::keys::KeySource;
use crate::perso::apdu::StatusWord;
use crate::perso::plan::{Route, Target};

/// The unit that an earlier session had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) unit: usize,
    /// The operation to go on with, once the target is reached again.
    pub(super) from: usize,
    /// No channel is opened: the application's data is stored, only checks are left.
    pub(super) in_clear: bool,
    /// The last block was handed out and never answered: the application may be complete.
    pub(super) uncertain: bool,
}

impl Session {
    /// Goes on with a card after a torn session. `state` is what the caller kept last, `input` the same card and plan with fresh
    /// random bytes. The first step is a reset; then the chip must prove that it is the one that was begun with; completed
    /// applications are looked at and skipped; an application that was not completed is personalized from its beginning, as its
    /// session keys are new ones.
    ///
    /// # Errors
    /// As [`Session::new`]; [`FailureReason::Configuration`] when the state is of another card, plan or data, or is no state;
    /// [`FailureReason::Unknown`] when it cannot be told what the card did last and finding out could do harm: PUT KEY, or INSTALL
    /// of an instance that the plan does not delete before.
    pub fn resume(input: SessionInput, keys: Arc<dyn KeySource>, state: &[u8]) -> Result<Self, Failure> {
        let configuration = Failure::configuration;
        let state = SessionState::parse(state).map_err(configuration)?;
        let mut session = Self::new(input, keys)?;
        let other = |what| configuration(Error::new(ErrorKind::Value(what)));
        if state.card_reference != session.input.data.card_reference {
            return Err(other("the state is of another card"));
        }
        if state.digest != session.digest || state.units.len() != session.units.len() {
            return Err(other("the state is of another plan or of other data"));
        }
        session.chip = state.chip;
        session.claimed = state.claimed;
        session.reassigned_from = state.reassigned_from;
        session.progress = state.units;
        if session.progress.iter().all(|p| *p == Progress::Untouched) {
            return Ok(session);
        }
        session.go_on()?;
        session.preamble = session.preamble();
        Ok(session)
    }

    /// Where the unit that was begun goes on.
    fn go_on(&mut self) -> Result<(), Failure> {
        let found = self.progress.iter().enumerate().find_map(|(i, p)| match p {
            Progress::Begun { done, in_flight, last_block } => {
                Some((i, usize::from(*done), *in_flight, *last_block))
            }
            _ => None,
        });
        let Some((index, done, in_flight, last_block)) = found else { return Ok(()) };
        let Some(unit) = self.units.get(index) else { return Ok(()) };
        let store = unit.ops.iter().position(|op| matches!(op.what, What::Store(_)));
        let begun = match store {
            Some(store) => {
                let stored = done > store;
                Begun {
                    unit: index,
                    from: if stored { done } else { 0 },
                    in_clear: stored,
                    uncertain: last_block && !stored,
                }
            }
            None => {
                let from = restart(unit, done, in_flight).ok_or_else(|| Failure {
                    step: unit.ops.get(done).map(|op| op.name.clone()).unwrap_or_default(),
                    ..Failure::new(FailureReason::Unknown)
                })?;
                Begun { unit: index, from, in_clear: false, uncertain: false }
            }
        };
        if let Some(progress) = self.progress.get_mut(index) {
            let done = u16::try_from(begun.from).unwrap_or(u16::MAX);
            *progress = Progress::Begun { done, in_flight: false, last_block: begun.uncertain };
        }
        self.begun = Some(begun);
        Ok(())
    }

    /// Reset; the chip identifies itself; completed applications answer SELECT with what was prepared.
    fn preamble(&self) -> Option<Unit> {
        let mut ops = vec![Op { name: "resume: reset".to_owned(), what: What::Reset }];
        let mut add = |name: String, what: What| ops.push(Op { name: format!("resume: {name}"), what });
        let with_channel = self.input.plan.phases.iter().find_map(|p| Some((p, p.channel.clone()?)));
        if let (Some((phase, channel)), Some(_)) = (with_channel, self.chip) {
            let aid = match &phase.target {
                Target::CardManager { aid }
                | Target::Applications { route: Route::SecurityDomain { aid }, .. } => aid.clone(),
                Target::Applications { of, route: Route::Direct } => {
                    let aids: Vec<_> = self.input.data.applications.iter().map(|a| &a.aid).collect();
                    of.of(&aids).first().and_then(|i| aids.get(*i)).map(|aid| (*aid).clone())
                }
            };
            let command = program::select(aid.as_ref(), program::Wanted::Any, &[StatusWord::SUCCESS]);
            add("SELECT".to_owned(), What::Command(command));
            let opening = Opening { channel, aid, new_keys: None, identify: true };
            add("which chip is it".to_owned(), What::Open(opening));
        }
        let complete = self.units.iter().zip(&self.progress).filter(|(_, p)| **p == Progress::Completed);
        let stored = complete.filter(|(u, _)| u.ops.iter().any(|op| matches!(op.what, What::Store(_))));
        for application in stored.filter_map(|(u, _)| self.input.data.applications.get(u.application?)) {
            let command = program::probe(&application.aid, &application.dgis);
            add(format!("SELECT {}", application.aid), What::Command(command));
        }
        let approach = ops.len();
        Some(Unit { name: "resume".to_owned(), application: None, ops, approach })
    }
}

/// Where a unit of the card manager goes on; `None`: it cannot be told.
///
/// What is acknowledged is not done again. What was in flight may have been done: reading, selecting, setting a state and deleting
/// can be repeated. An instance that may have been installed is deleted first, with all that the plan deletes and installs there.
fn restart(unit: &Unit, done: usize, in_flight: bool) -> Option<usize> {
    let Some(op) = unit.ops.get(done).filter(|_| in_flight) else { return Some(done) };
    match &op.what {
        What::Reset | What::Open(_) | What::Cplc(_) => Some(done),
        What::PutKey { .. } | What::Store(_) => None,
        What::Command(command) => match command.nature {
            Nature::Select | Nature::Read | Nature::SameState | Nature::Delete => Some(done),
            Nature::ForPersonalization => Some(done),
            Nature::Once => None,
            Nature::Install => deletes_before(unit, done),
        },
    }
}

/// The first DELETE of the unit, when every instance installed up to `at` is deleted there and nothing else happens in between.
fn deletes_before(unit: &Unit, at: usize) -> Option<usize> {
    let nature = |i: usize| match unit.ops.get(i).map(|op| &op.what) {
        Some(What::Command(command)) => Some(command.nature),
        _ => None,
    };
    let first = (unit.approach..at).find(|i| nature(*i) == Some(Nature::Delete))?;
    if !(first..=at).all(|i| matches!(nature(i), Some(Nature::Delete | Nature::Install))) {
        return None;
    }
    let deleted = |aid: &[u8]| {
        (first..at).any(|i| match unit.ops.get(i).map(|op| &op.what) {
            Some(What::Command(c)) if c.nature == Nature::Delete => c.apdu.data().get(2..) == Some(aid),
            _ => false,
        })
    };
    let installed = (first..=at).filter_map(|i| match unit.ops.get(i).map(|op| &op.what) {
        Some(What::Command(c)) if c.nature == Nature::Install => Some(instance(c.apdu.data())),
        _ => None,
    });
    installed.into_iter().all(|aid| aid.is_some_and(deleted)).then_some(first)
}

/// The instance AID of INSTALL: the third field.
fn instance(data: &[u8]) -> Option<&[u8]> {
    let mut rest = data;
    for _ in 0..2 {
        let (len, tail) = rest.split_first()?;
        rest = tail.get(usize::from(*len)..)?;
    }
    let (len, tail) = rest.split_first()?;
    tail.get(..usize::from(*len))
}

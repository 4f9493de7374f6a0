use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::output::Counts;
use crate::output::report::{RunRecord, Step, Timeline};

use super::run::Committed;

/// Times a run, for the report: bounded memory, however long it runs.
#[derive(Debug)]
pub(super) struct Watch {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    before: u64,
    timeline: Timeline,
    steps: [Duration; Step::ALL.len()],
}

impl Watch {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    /// Does a part of a step of one block.
    pub(super) fn step<T>(&self, step: Step, work: impl FnOnce() -> T) -> T {
        let from = Instant::now();
        let done = work();
        let time = from.elapsed();
        let mut state = self.state();
        for (known, total) in Step::ALL.iter().zip(&mut state.steps) {
            if *known == step {
                *total = total.saturating_add(time);
            }
        }
        done
    }

    /// A block is committed.
    pub(super) fn block(&self, counts: &Counts, committed: Committed) {
        let at = self.started.elapsed();
        let mut state = self.state();
        match committed {
            Committed::Before => state.before = state.before.saturating_add(counts.orders),
            Committed::Now => state.timeline.add(at, counts.orders, counts.rejected),
        }
    }

    /// The run so far.
    pub(super) fn record(&self) -> RunRecord {
        let elapsed = self.started.elapsed();
        let state = self.state();
        RunRecord { elapsed, before: state.before, timeline: state.timeline.clone(), steps: state.steps }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

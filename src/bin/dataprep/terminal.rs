//! The one place that writes to standard output and standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use emv_dataprep::batch::Progress;
use emv_dataprep::output::Counts;

use crate::failure::Failure;

/// Words for people: a line on standard error. Nobody to read them is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A result: bytes on standard output.
pub fn give(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // A reader that has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Failure::stopped(format!("write standard output: {e}"))),
    }
}

/// A line on standard error that rewrites itself, when that is a terminal.
pub struct Ticker {
    terminal: bool,
    started: Instant,
    state: Mutex<(Counts, Instant)>,
}

impl Ticker {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            terminal: io::stderr().is_terminal(),
            started: now,
            state: Mutex::new((Counts::default(), now)),
        }
    }

    /// Leaves the line.
    pub fn end(&self) {
        if self.terminal {
            let _ = writeln!(io::stderr().lock());
        }
    }
}

impl Progress for Ticker {
    fn block(&self, counts: &Counts) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.add(counts);
        let now = Instant::now();
        if !self.terminal || now.duration_since(state.1) < Duration::from_millis(200) {
            return;
        }
        state.1 = now;
        let seconds = now.duration_since(self.started).as_secs_f64().max(0.001);
        let Counts { orders, rejected, .. } = state.0;
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = orders as f64 / seconds;
        let _ = write!(io::stderr().lock(), "\r{orders} orders, {rejected} rejected, {rate:.0} a second   ");
    }
}

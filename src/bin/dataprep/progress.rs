//! How a batch goes on: a line that rewrites itself, or JSON lines for a log. Counts and times only, never card data.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use emv_dataprep::batch::{BlockDone, Committed, Progress};
use serde::Serialize;

use crate::terminal;

/// The form of the progress on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Nothing
    None,
    /// A line that rewrites itself
    Bar,
    /// A JSON line a second
    Json,
}

impl Form {
    /// A bar for a person, nothing for a file.
    pub fn fitting() -> Self {
        if io::stderr().is_terminal() { Self::Bar } else { Self::None }
    }

    /// The least time between two lines.
    const fn pause(self) -> Duration {
        match self {
            Self::Json => Duration::from_secs(1),
            Self::None | Self::Bar => Duration::from_millis(200),
        }
    }
}

/// Counts blocks, and reckons what is left from the bytes of the input.
#[derive(Debug, Default)]
struct Meter {
    /// Length of the input, when it is known.
    total: Option<u64>,
    orders: u64,
    prepared: u64,
    rejected: u64,
    /// Orders of this run.
    made: u64,
    /// Bytes up to the last block that is done.
    read: u64,
    /// Bytes up to the last block that an earlier run did.
    before: u64,
    /// Whether the blocks are done.
    finishing: bool,
}

/// The state of a batch at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Look {
    orders: u64,
    prepared: u64,
    rejected: u64,
    /// Orders a second in this run.
    rate: f64,
    /// From 0 to 1; null when the length of the input is not known.
    share: Option<f64>,
    seconds_left: Option<u64>,
    /// After the last block: primes are compared, the manifest is made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    finishing: bool,
}

impl Meter {
    fn block(&mut self, done: &BlockDone<'_>) {
        let counts = done.counts;
        self.orders = self.orders.saturating_add(counts.orders);
        self.prepared = self.prepared.saturating_add(counts.prepared);
        self.rejected = self.rejected.saturating_add(counts.rejected);
        self.read = self.read.max(done.read);
        match done.committed {
            Committed::Now => self.made = self.made.saturating_add(counts.orders),
            Committed::Before => self.before = self.before.max(done.read),
        }
    }

    /// The state this long after the start of the run.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn look(&self, at: Duration) -> Look {
        let seconds = at.as_secs_f64().max(0.001);
        let rounded = |value: f64, steps: f64| (value * steps).round() / steps;
        let total = self.total.filter(|t| *t > 0);
        let share = total.map(|t| (self.read as f64 / t as f64).min(1.0));
        let gained = self.read.saturating_sub(self.before) as f64;
        let left = total.map(|t| t.saturating_sub(self.read) as f64);
        let seconds_left = left.and_then(|left| match (left, gained) {
            (0.0, _) => Some(0),
            (_, 0.0) => None,
            _ => Some((left * seconds / gained).ceil() as u64),
        });
        Look {
            orders: self.orders,
            prepared: self.prepared,
            rejected: self.rejected,
            rate: rounded(self.made as f64 / seconds, 10.0),
            share: share.map(|s| rounded(s, 10_000.0)),
            seconds_left,
            finishing: self.finishing,
        }
    }
}

impl Look {
    /// One line of at most 79 characters.
    fn bar(&self) -> String {
        const WIDTH: usize = 20;
        let mut line = String::new();
        if let Some(share) = self.share {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let full = ((share * WIDTH as f64) as usize).min(WIDTH);
            line = format!("[{}{}] {:3.0} %  ", "#".repeat(full), "-".repeat(WIDTH - full), share * 100.0);
        }
        line.push_str(&format!("{} orders", self.orders));
        if self.rejected > 0 {
            line.push_str(&format!(", {} rejected", self.rejected));
        }
        line.push_str(&format!(", {:.0}/s", self.rate));
        if self.finishing {
            line.push_str(", finishing");
        }
        if let Some(left) = self.seconds_left.filter(|left| *left > 0) {
            let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
            line.push_str(&format!(", {hours}:{minutes:02}:{seconds:02} left"));
        }
        line.chars().take(79).collect()
    }

    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Tells how a batch goes on.
pub struct Ticker {
    form: Form,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    meter: Meter,
    /// When the last line was written, after the start.
    told: Duration,
    /// Whether one was.
    drawn: bool,
}

impl Ticker {
    /// For an input of this many bytes, when that is known.
    pub fn new(form: Form, total: Option<u64>) -> Self {
        let meter = Meter { total, ..Meter::default() };
        let state = State { meter, told: Duration::ZERO, drawn: false };
        Self { form, started: Instant::now(), state: Mutex::new(state) }
    }

    /// The last line, and leaves it.
    pub fn end(&self) {
        let mut state = self.state();
        state.meter.finishing = false;
        let look = state.meter.look(self.started.elapsed());
        match self.form {
            Form::Json => terminal::say(&look.json()),
            Form::Bar if state.drawn => {
                terminal::redraw(&look.bar());
                terminal::say("");
                state.drawn = false;
            }
            Form::Bar | Form::None => {}
        }
    }

    fn tell(&self, state: &mut State, at: Duration) {
        let look = state.meter.look(at);
        match self.form {
            Form::None => return,
            Form::Json => terminal::say(&look.json()),
            Form::Bar => terminal::redraw(&look.bar()),
        }
        (state.told, state.drawn) = (at, true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Ticker {
    fn block(&self, done: &BlockDone<'_>) {
        let mut state = self.state();
        state.meter.block(done);
        let at = self.started.elapsed();
        if at.saturating_sub(state.told) >= self.form.pause() {
            self.tell(&mut state, at);
        }
    }

    fn finishing(&self) {
        let mut state = self.state();
        state.meter.finishing = true;
        self.tell(&mut state, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emv_dataprep::output::Counts;

    fn add(meter: &mut Meter, orders: u64, rejected: u64, read: u64, committed: Committed) {
        let counts = Counts { orders, rejected, prepared: orders - rejected, ..Counts::default() };
        meter.block(&BlockDone { counts: &counts, read, committed });
    }

    #[test]
    fn the_time_left_follows_from_the_bytes_of_this_run() {
        let mut meter = Meter { total: Some(1000), ..Meter::default() };
        assert_eq!(meter.look(Duration::ZERO).seconds_left, None);
        // An earlier run did half of it; that took this one no time.
        add(&mut meter, 50, 5, 500, Committed::Before);
        assert_eq!(meter.look(Duration::from_secs(1)).seconds_left, None);
        // Blocks end in any order.
        add(&mut meter, 10, 0, 600, Committed::Now);
        add(&mut meter, 10, 1, 550, Committed::Now);
        let look = meter.look(Duration::from_secs(10));
        let json = r#"{"orders":70,"prepared":64,"rejected":6,"rate":2.0,"share":0.6,"secondsLeft":40}"#;
        assert_eq!(look.json(), json);
        assert_eq!(look.bar(), "[############--------]  60 %  70 orders, 6 rejected, 2/s, 0:00:40 left");
        add(&mut meter, 30, 0, 1000, Committed::Now);
        let end = meter.look(Duration::from_secs(20));
        assert_eq!((end.share, end.seconds_left), (Some(1.0), Some(0)));
        assert!(end.bar().starts_with("[####################] 100 %"));
        assert!(!end.bar().contains("left"));
        meter.finishing = true;
        let end = meter.look(Duration::from_secs(20));
        assert!(end.bar().ends_with("2/s, finishing") && end.json().ends_with(r#","finishing":true}"#));
    }

    #[test]
    fn without_a_length_there_is_no_share() {
        let mut meter = Meter::default();
        add(&mut meter, 10, 0, 600, Committed::Now);
        let look = meter.look(Duration::from_secs(4));
        assert_eq!(
            look.json(),
            r#"{"orders":10,"prepared":10,"rejected":0,"rate":2.5,"share":null,"secondsLeft":null}"#
        );
        assert_eq!(look.bar(), "10 orders, 2/s");
        let wide = Look { orders: u64::MAX, rejected: u64::MAX, share: Some(0.5), rate: 1e12, ..look };
        assert_eq!(wide.bar().chars().count(), 79);
    }
}

use std::time::Duration;

/// Buckets of a timeline.
const BUCKETS: usize = 120;
/// Width of a bucket at the start.
const FIRST_WIDTH: Duration = Duration::from_millis(10);

/// When the orders of a run were committed, in bounded memory: buckets of equal width, which doubles when a run
/// outgrows them.
///
/// ```
/// use std::time::Duration;
/// use emv_dataprep::output::report::Timeline;
/// let mut timeline = Timeline::default();
/// timeline.add(Duration::from_secs(10), 1000, 10);
/// timeline.add(Duration::from_secs(20), 3000, 0);
/// let rates: Vec<f64> = timeline.rates(Duration::from_secs(20)).map(|rate| rate.orders).collect();
/// assert!((rates[0] - 100.0).abs() < 1.0 && (rates[rates.len() - 2] - 300.0).abs() < 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    width: Duration,
    buckets: Vec<Amount>,
    last: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    orders: f64,
    rejected: f64,
}

/// Orders a second in a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// End of the bucket.
    pub until: Duration,
    /// Orders a second.
    pub orders: f64,
    /// Rejected orders a second.
    pub rejected: f64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: FIRST_WIDTH, buckets: Vec::new(), last: Duration::ZERO }
    }
}

impl Timeline {
    /// A block was committed `at` this time after the start. Its orders spread over the time since the block before.
    #[allow(clippy::cast_precision_loss, reason = "amounts of a plot")]
    pub fn add(&mut self, at: Duration, orders: u64, rejected: u64) {
        let at = at.max(self.last);
        while self.bucket(at) >= BUCKETS {
            self.fold();
        }
        let (from, to) = (self.bucket(self.last), self.bucket(at));
        if self.buckets.len() <= to {
            self.buckets.resize(to.saturating_add(1), Amount::default());
        }
        let whole = (at - self.last).as_secs_f64();
        let width = self.width.as_secs_f64();
        for (i, bucket) in self.buckets.iter_mut().enumerate().take(to.saturating_add(1)).skip(from) {
            let begin = (i as f64 * width).max(self.last.as_secs_f64());
            let end = ((i as f64 + 1.0) * width).min(at.as_secs_f64());
            let share = if whole > 0.0 { ((end - begin) / whole).max(0.0) } else { 1.0 };
            bucket.orders += share * orders as f64;
            bucket.rejected += share * rejected as f64;
        }
        self.last = at;
    }

    /// The rates, bucket by bucket, of a run that took this time.
    pub fn rates(&self, elapsed: Duration) -> impl Iterator<Item = Rate> {
        let width = self.width.as_secs_f64();
        let end = elapsed.max(self.last).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a place on an axis")]
        let begins = (0..self.buckets.len()).map(move |i| i as f64 * width);
        begins.zip(&self.buckets).map(move |(begin, amount)| {
            // The last bucket ends with the run.
            let until = (begin + width).min(end);
            let seconds = (until - begin).max(1e-3);
            let until = Duration::try_from_secs_f64(until).unwrap_or_default();
            Rate { until, orders: amount.orders / seconds, rejected: amount.rejected / seconds }
        })
    }

    fn bucket(&self, at: Duration) -> usize {
        let index = at.as_millis().checked_div(self.width.as_millis()).unwrap_or_default();
        usize::try_from(index).unwrap_or(usize::MAX)
    }

    /// Two buckets become one.
    fn fold(&mut self) {
        let sum = |pair: &[Amount]| Amount {
            orders: pair.iter().map(|a| a.orders).sum(),
            rejected: pair.iter().map(|a| a.rejected).sum(),
        };
        self.buckets = self.buckets.chunks(2).map(sum).collect();
        self.width = self.width.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_however_long_it_runs() {
        let mut timeline = Timeline::default();
        let mut at = Duration::ZERO;
        // Some come together, some after hours.
        for n in 0..20_000_u64 {
            at += Duration::from_millis(n * n % 977 * u64::from(n % 3 > 0));
            timeline.add(at, 1000, n % 5);
        }
        timeline.add(at + Duration::from_secs(40 * 3600), 1000, 0);
        assert!(timeline.buckets.len() <= BUCKETS);
        let sum: f64 = timeline.buckets.iter().map(|b| b.orders).sum();
        assert!((sum - 20_001_000.0).abs() < 1.0, "{sum}");
        let rejected: f64 = timeline.buckets.iter().map(|b| b.rejected).sum();
        assert!((rejected - 40_000.0).abs() < 1.0, "{rejected}");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_is_no_reason_to_fail() {
        let mut timeline = Timeline::default();
        timeline.add(Duration::ZERO, 5, 0);
        timeline.add(Duration::from_secs(1), 5, 0);
        timeline.add(Duration::ZERO, 5, 5);
        let sum: f64 = timeline.buckets.iter().map(|b| b.orders).sum();
        assert!((sum - 15.0).abs() < 1e-6);
        assert!(timeline.rates(Duration::ZERO).all(|r| r.orders.is_finite()));
        timeline.add(Duration::MAX, 1, 0);
        assert!(timeline.buckets.len() <= BUCKETS);
    }
}

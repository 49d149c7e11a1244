//! The only reader of the time in this crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use tokio::time::Instant;

/// A point in time to measure from.
#[allow(clippy::disallowed_methods, reason = "this is the crate's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the epoch.
#[allow(clippy::disallowed_methods, reason = "this is the crate's clock")]
pub(crate) fn epoch_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Delays that double from `first` up to `max`, each shortened by up to a fifth so that retries of many tasks spread.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// A fresh row of delays.
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempt: 0 }
    }

    /// The next delay.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1_u32 << self.attempt.min(20));
        self.attempt = self.attempt.saturating_add(1);
        doubled.min(self.max).mul_f64(rand::rng().random_range(0.8..=1.0))
    }

    /// Starts again from the first delay.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// How many delays were given since the start or the last reset.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for expected in [100_u64, 200, 350, 350] {
            let delay = backoff.next();
            assert!(delay <= Duration::from_millis(expected), "{delay:?}");
            assert!(delay >= Duration::from_millis(expected * 8 / 10), "{delay:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}

//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from the configured wait up to 5 s, at random between half and all of it: so that tasks don't come back together.
pub(crate) struct Backoff {
    first: Duration,
    attempts: u32,
}

/// The longest wait: an Elasticsearch that is back is noticed soon.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Backoff {
    pub(crate) fn new(first: Duration) -> Self {
        Self { first, attempts: 0 }
    }

    /// The next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How many failures there were in a row.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Waits, longer each time; tells the log at the first, second, fourth, eighth … time.
    pub(crate) async fn wait(&mut self, reason: &str) {
        let wait = self.longest().mul_f64(rand::random_range(0.5..=1.0));
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts.is_power_of_two() {
            tracing::warn!(
                attempts = self.attempts,
                reason,
                "Elasticsearch did not take all of a request: trying again"
            );
        }
        tokio::time::sleep(wait).await;
    }

    fn longest(&self) -> Duration {
        let first = self.first.max(Duration::from_millis(1));
        first.saturating_mul(2_u32.saturating_pow(self.attempts)).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let longest = |attempts| Backoff { first: Duration::from_millis(100), attempts }.longest();
        assert_eq!(longest(0), Duration::from_millis(100));
        assert_eq!(longest(3), Duration::from_millis(800));
        assert_eq!(longest(6), WAIT_MAX);
        assert_eq!(longest(u32::MAX), WAIT_MAX);
    }
}

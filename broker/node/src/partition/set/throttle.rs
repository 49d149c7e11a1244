//! A bound on bytes per second, kept by waiting.

use std::time::Duration;

use tokio::time::Instant;

use super::background::Background;
use crate::clock::Clock;

/// How long what was spent may run ahead of the time: waits shorter than this are not worth it.
const AHEAD: Duration = Duration::from_millis(100);
/// A rate from which there is no bound.
const UNBOUNDED: f64 = 1e15;

/// What one thread spent, and since when.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: f64,
    since: Instant,
    spent: f64,
}

impl Throttle {
    /// Nothing is spent yet.
    pub(super) fn new(bytes_per_second: f64, now: Instant) -> Self {
        Self { bytes_per_second, since: now, spent: 0.0 }
    }

    /// Counts bytes, and returns how long to wait before the next ones.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn spend(&mut self, bytes: u64, now: Instant) -> Duration {
        if self.bytes_per_second >= UNBOUNDED {
            return Duration::ZERO;
        }
        self.spent += bytes as f64;
        let due = Duration::try_from_secs_f64(self.spent / self.bytes_per_second.max(1.0))
            .unwrap_or(Duration::from_secs(60));
        let elapsed = now.saturating_duration_since(self.since);
        if due < AHEAD && elapsed < AHEAD {
            return Duration::ZERO;
        }
        // What was not used is not saved up.
        self.since = now + due.saturating_sub(elapsed);
        self.spent = 0.0;
        due.saturating_sub(elapsed)
    }
}

impl Background {
    /// Spends bytes and waits for what that takes; false when the thread is to end, or what it works on is gone. Whoever
    /// lets it go wakes the thread.
    pub(super) fn spend(
        &self,
        throttle: &mut Throttle,
        bytes: u64,
        clock: &Clock,
        is_gone: impl Fn() -> bool,
    ) -> bool {
        let wait = throttle.spend(bytes, clock.instant());
        let until = clock.instant() + wait;
        loop {
            if self.is_stopped() || is_gone() {
                return false;
            }
            let left = until.saturating_duration_since(clock.instant());
            if left.is_zero() {
                return true;
            }
            self.pause(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_idle_time_is_not_saved_up() {
        let mut now = Clock::system().instant();
        let mut throttle = Throttle::new(1000.0, now);
        assert_eq!(throttle.spend(50, now), Duration::ZERO, "not worth a wait");
        assert_eq!(throttle.spend(450, now), Duration::from_millis(500));
        now += Duration::from_millis(500);
        assert_eq!(throttle.spend(1000, now), Duration::from_secs(1));
        now += Duration::from_secs(60);
        assert_eq!(throttle.spend(100, now), Duration::ZERO);
        assert_eq!(throttle.spend(1000, now), Duration::from_secs(1));
        assert_eq!(Throttle::new(f64::MAX, now).spend(u64::MAX, now), Duration::ZERO);
    }
}

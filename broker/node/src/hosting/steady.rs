//! The time of the machines: it starts as the wall's and then runs evenly, so that a clock that is set
//! forward does not end the sessions of all members at once.

use aquifer_broker_coordinator::Timestamp;
use tokio::time::{Duration, Instant};

use crate::clock::Clock;

/// A clock that never jumps.
#[derive(Clone, Debug)]
pub(super) struct SteadyClock {
    clock: Clock,
    origin: Instant,
    origin_ms: i64,
}

impl SteadyClock {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), origin: clock.instant(), origin_ms: clock.now_ms() }
    }

    /// Now, for decisions.
    pub(super) fn now(&self) -> Timestamp {
        let elapsed = self.clock.instant().saturating_duration_since(self.origin);
        Timestamp(self.origin_ms).plus_ms(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// The wall's time, for the timestamps of batches.
    pub(super) fn wall_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The moment that has come when `now` is at or past `deadline`.
    pub(super) fn instant_of(&self, deadline: Timestamp) -> Instant {
        let after_ms = u64::try_from(deadline.0.saturating_sub(self.origin_ms)).unwrap_or(0);
        // Far beyond any timer, and still a moment that can be computed.
        let after = Duration::from_millis(after_ms).min(Duration::from_secs(30 * 365 * 86_400));
        self.origin + after
    }
}

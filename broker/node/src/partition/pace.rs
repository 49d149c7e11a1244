//! Whether the disk takes writes without making anybody wait, as lately seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A write into the page cache takes some microseconds; one that took this long waited for the disk, or for a core.
const SLOW_WRITE: Duration = Duration::from_millis(10);
/// How long handlers leave writing to the append threads after that.
const CAUTION: Duration = Duration::from_millis(100);

/// What handlers go by before they write themselves: a reactor's thread must not wait for a disk.
#[derive(Debug)]
pub(crate) struct Pace {
    origin: Instant,
    /// Nanoseconds after `origin`; 0 as long as no write was slow.
    cautious_until: AtomicU64,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { origin: now, cautious_until: AtomicU64::new(0) }
    }

    /// Whether no write was slow lately.
    pub(crate) fn is_quick(&self, now: Instant) -> bool {
        self.nanoseconds(now) >= self.cautious_until.load(Ordering::Relaxed)
    }

    /// Takes note of a write that began at `began` and is over `now`.
    pub(crate) fn note(&self, began: Instant, now: Instant) {
        if now.duration_since(began) >= SLOW_WRITE {
            self.cautious_until.store(self.nanoseconds(now + CAUTION), Ordering::Relaxed);
        }
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_slow_write_asks_for_caution_and_a_quick_one_does_not() {
        let began = Clock::system().instant();
        let pace = Pace::new(began);
        let later = began + SLOW_WRITE;
        pace.note(began, later - Duration::from_micros(1));
        assert!(pace.is_quick(later));
        pace.note(began, later);
        assert!(!pace.is_quick(later));
        assert!(pace.is_quick(later + CAUTION));
    }
}

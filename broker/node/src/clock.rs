//! The only reader of the time in this crate.
//!
//! - `now_ms` is wall time for records and retention; `instant` is monotonic, for deadlines and timeouts.
//! - A manual clock moves only when a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

/// Where the node reads the time.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    #[cfg_attr(not(test), allow(dead_code))]
    Manual(Arc<AtomicI64>),
}

#[allow(clippy::disallowed_methods)]
impl Clock {
    /// The machine's clock.
    pub(crate) fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that stands at `now_ms` until a test moves it.
    #[cfg(test)]
    pub(crate) fn manual(now_ms: i64) -> (Self, Arc<AtomicI64>) {
        let now = Arc::new(AtomicI64::new(now_ms));
        (Self { source: Source::Manual(now.clone()) }, now)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) fn now_ms(&self) -> i64 {
        match &self.source {
            Source::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Source::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// The monotonic time that deadlines are computed from.
    pub(crate) fn instant(&self) -> tokio::time::Instant {
        tokio::time::Instant::now()
    }
}

//! The only reader of the time in this crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A point on the monotonic clock.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

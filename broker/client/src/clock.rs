//! The only reader of the time in this crate.

use std::time::Instant;

/// The monotonic time now.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

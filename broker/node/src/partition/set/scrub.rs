//! The thread that reads closed segments now and then, slowly, to find what the disk has spoilt before a consumer does.
//!
//! - It reports, and sees to it that readers are told; nothing is deleted or changed.
//! - It waits while records are written, and reads no faster than a fixed rate.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aquifer_broker_log::{LogError, LogRange};
use tokio::time::Instant;

use super::Partitions;
use super::background::{Background, step_back};
use super::throttle::Throttle;
use crate::partition::{Partition, PartitionError, Slot};
use crate::writer;

/// The first pass begins so long after the start, when what follows a start is over.
const FIRST_AFTER_MS: i64 = 600_000;
/// A pass begins so long after the last.
const EVERY_MS: i64 = 7 * 24 * 3_600_000;
/// How fast it reads.
const BYTES_PER_SECOND: f64 = 8.0 * 1024.0 * 1024.0;
/// How much is read at once.
const RANGE_BYTES: u64 = 1 << 20;
/// The broker counts as busy while more than this is written in a second.
const BUSY_BYTES_PER_SECOND: f64 = 4.0 * 1024.0 * 1024.0;
/// How often it looks whether a pass is due.
const TICK: Duration = Duration::from_secs(30);
/// How long it waits while the broker is busy.
const WAIT: Duration = Duration::from_secs(1);

/// What a pass found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::partition) struct Scrubbed {
    /// Bytes that were read.
    pub(in crate::partition) bytes: u64,
    /// Ranges with something corrupt in them.
    pub(in crate::partition) corrupt_ranges: u64,
}

/// Starts the thread. It holds no reference while it waits.
pub(super) fn start(partitions: &Arc<Partitions>) -> std::io::Result<()> {
    let weak: Weak<Partitions> = Arc::downgrade(partitions);
    let shared = Arc::clone(&partitions.shared);
    let mut due_ms = shared.clock.now_ms().saturating_add(FIRST_AFTER_MS);
    let body = {
        let shared = Arc::clone(&shared);
        move || {
            step_back();
            while shared.scrubber.pause(TICK) {
                if shared.clock.now_ms() < due_ms {
                    continue;
                }
                let scrubbed = pass(&weak, &shared.scrubber);
                due_ms = shared.clock.now_ms().saturating_add(EVERY_MS);
                tracing::info!(
                    bytes = scrubbed.bytes,
                    corrupt = scrubbed.corrupt_ranges,
                    "scrubbed"
                );
            }
        }
    };
    let thread = writer::spawn("log-scrubber".to_owned(), &partitions.fatal, body)?;
    shared.scrubber.run(thread);
    Ok(())
}

/// One pass over all partitions.
fn pass(partitions: &Weak<Partitions>, thread: &Background) -> Scrubbed {
    let mut total = Scrubbed::default();
    let Some(all) = partitions.upgrade().map(|partitions| partitions.all()) else { return total };
    for partition in all {
        if thread.is_stopped() {
            break;
        }
        match partition.scrub(thread) {
            Ok(scrubbed) => {
                total.bytes += scrubbed.bytes;
                total.corrupt_ranges += scrubbed.corrupt_ranges;
            }
            Err(err) if !partition.is_gone() => {
                tracing::warn!(topic = %partition.id.topic, partition = partition.id.partition, error = %err, "scrub failed");
            }
            Err(_) => {}
        }
    }
    total
}

/// What comes next in a log.
enum Next {
    Range(LogRange),
    /// The batch at this offset cannot even be found, so that the rest of its segment is passed over.
    Lost(LogError, i64),
    End,
}

impl Partition {
    /// Reads all closed segments once.
    pub(in crate::partition) fn scrub(
        &self,
        thread: &Background,
    ) -> Result<Scrubbed, PartitionError> {
        let mut scrubbed = Scrubbed::default();
        if self.is_gone()
            || self.log_end.load(Ordering::Acquire) == self.log_start.load(Ordering::Acquire)
        {
            return Ok(scrubbed);
        }
        let was_closed = matches!(*self.slot.lock(), Slot::Closed);
        let clock = &self.shared.clock;
        let mut throttle = Throttle::new(BYTES_PER_SECOND, clock.instant());
        let written = || self.shared.written_bytes.load(Ordering::Relaxed);
        let mut activity = Activity { since: clock.instant(), written: written(), is_busy: false };
        let mut from = self.log_start.load(Ordering::Acquire);
        loop {
            while activity.look(written(), clock.instant()) && thread.pause(WAIT) {}
            match self.next_to_scrub(from)? {
                Next::End => break,
                Next::Lost(err, next) => {
                    self.tell_corrupt(&err);
                    scrubbed.corrupt_ranges += 1;
                    from = next;
                }
                Next::Range(range) => {
                    if let Err(err) = range.check() {
                        self.tell_corrupt(&err);
                        scrubbed.corrupt_ranges += 1;
                        if let Slot::Open(log) = &mut *self.slot.lock() {
                            log.mark_unchecked(&range);
                        }
                    }
                    scrubbed.bytes += range.length;
                    from = range.next_offset_max.max(from + 1);
                    if !thread.spend(&mut throttle, range.length, clock, || self.is_gone()) {
                        break;
                    }
                }
            }
        }
        let mut slot = self.slot.lock();
        if was_closed && matches!(&*slot, Slot::Open(log) if !log.is_derived_dirty()) {
            *slot = Slot::Closed;
        }
        Ok(scrubbed)
    }

    fn next_to_scrub(&self, from: i64) -> Result<Next, PartitionError> {
        let mut slot = self.slot.lock();
        let log = self.open_log(&mut slot)?;
        let (from, end) = (from.max(log.log_start()), log.active_start());
        if from >= end {
            return Ok(Next::End);
        }
        match log.read(from, RANGE_BYTES, end) {
            Ok(Some(range)) => Ok(Next::Range(range)),
            Ok(None) => Ok(Next::End),
            Err(err @ LogError::Corrupt { .. }) => {
                Ok(Next::Lost(err, log.next_segment_start(from)))
            }
            Err(err) => Err(err.into()),
        }
    }

    fn tell_corrupt(&self, err: &LogError) {
        tracing::error!(
            topic = %self.id.topic, partition = self.id.partition, error = %err,
            "the disk has spoilt records; reading them is answered with CORRUPT_MESSAGE, restore them from a copy"
        );
    }
}

/// How much was written lately.
struct Activity {
    since: Instant,
    written: u64,
    is_busy: bool,
}

impl Activity {
    /// Whether the broker is busy, given how much was written since the last checkpoint.
    #[allow(clippy::cast_precision_loss)]
    fn look(&mut self, written: u64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WAIT {
            // A checkpoint begins the count anew.
            let bytes = if written >= self.written { written - self.written } else { written };
            let is_busy = bytes as f64 > BUSY_BYTES_PER_SECOND * elapsed.as_secs_f64();
            *self = Self { since: now, written, is_busy };
        }
        self.is_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_broker_is_busy_while_much_is_written() {
        let mut now = Clock::system().instant();
        let mut activity = Activity { since: now, written: 0, is_busy: false };
        for (seconds, written, expected) in [
            (0.5, 100 << 20, false),
            (0.5, 100 << 20, true),
            (1.0, 101 << 20, false),
            (1.0, 20 << 20, true),
            (10.0, 22 << 20, false),
        ] {
            now += Duration::from_secs_f64(seconds);
            assert_eq!(activity.look(written, now), expected, "{written}");
        }
    }
}

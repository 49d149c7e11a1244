//! Compaction: of each key the last value stays.
//!
//! - A round reads what was never compacted (the dirty part) and notes the last offset of each key in it; then it copies
//!   the log from its start, without the records that a later one of their key has made useless.
//! - Offsets and their order never change. Never compacted are the active segment and what is not durable and decided.
//! - A tombstone stays for `delete.retention.ms` after the round that removed what it deletes; a transaction's marker as
//!   long after its data is gone. When that is over stands in the batch, in the place of its base timestamp.
//! - The last batch of each known producer stays, empty if need be, and so does the last batch of each new segment.
//! - Reading and writing is done without the log; the log takes part in the beginning of a round and in each swap.
//!
//! When a round is run, and at what pace, is decided by the broker.

mod copy;
mod offset_map;
mod output;
mod range;
mod rewrite;
mod round;
pub(crate) mod swap;
mod transactions;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use range::Cleanable;
pub use round::{CleaningRound, CleaningStats};
pub use swap::CleanedSegment;

/// The memory of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CleanerLimits {
    /// `log.cleaner.dedupe.buffer.size`: what the map of keys to offsets may take, bytes.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: how full the map may become, 0 to 1.
    pub load_factor: f64,
}

impl Default for CleanerLimits {
    fn default() -> Self {
        Self { dedupe_buffer_bytes: 128 << 20, load_factor: 0.9 }
    }
}

/// Told of the bytes that were read or written since the last call, it may take its time; false ends the round.
pub type Pace<'a> = dyn FnMut(u64) -> bool + 'a;

//! What of a log may be compacted, and whether it is worth it.

use crate::log::Log;
use crate::scan::Scan;
use crate::segment::Segment;
use crate::{LogConfig, LogError};

/// The parts of a log that a round would read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanable {
    /// Where the part begins that was never compacted.
    pub first_dirty: i64,
    /// Where it ends, as far as it may be compacted; the first offset of a segment.
    pub end: i64,
    /// Bytes of segments before it.
    pub clean_bytes: u64,
    /// Its bytes.
    pub dirty_bytes: u64,
    /// Whether a record in it is older than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Cleanable {
    /// The share of bytes that were never compacted, 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn dirty_ratio(&self) -> f64 {
        self.dirty_bytes as f64 / (self.clean_bytes + self.dirty_bytes).max(1) as f64
    }

    /// Whether a round is worth it.
    #[must_use]
    pub fn is_due(&self, config: &LogConfig) -> bool {
        self.dirty_bytes > 0
            && (self.is_overdue || self.dirty_ratio() > config.min_cleanable_dirty_ratio)
    }
}

impl Log {
    /// What may be compacted of this log: after `cleaned_to`, where the last round ended, and below `stable_end`, where
    /// something is not durable or not decided. `None` when there is nothing.
    pub fn cleanable(
        &mut self,
        cleaned_to: Option<i64>,
        stable_end: i64,
        now_ms: i64,
    ) -> Result<Option<Cleanable>, LogError> {
        self.usable()?;
        if !self.config.cleanup_compact {
            return Ok(None);
        }
        let held = self.log_start..=self.log_end;
        // An end that the log does not hold is of a log that was cut: everything counts as dirty then.
        let first_dirty = cleaned_to.filter(|to| held.contains(to)).unwrap_or(self.log_start);
        let bases: Vec<i64> = self.segments.iter().map(|segment| segment.base_offset).collect();
        let config = self.config.clone();
        let mut cleanable = Cleanable {
            first_dirty,
            end: first_dirty,
            clean_bytes: 0,
            dirty_bytes: 0,
            is_overdue: false,
        };
        for (segment, &next) in self.segments.iter_mut().zip(bases.iter().skip(1)) {
            if next <= first_dirty {
                cleanable.clean_bytes += segment.size;
                continue;
            }
            if next > stable_end || is_too_new(segment, &config, now_ms)? {
                break;
            }
            cleanable.end = next;
            cleanable.dirty_bytes += segment.size;
            cleanable.is_overdue |= is_overdue(segment, &config, now_ms)?;
        }
        Ok((cleanable.end > first_dirty).then_some(cleanable))
    }
}

fn is_too_new(segment: &mut Segment, config: &LogConfig, now_ms: i64) -> Result<bool, LogError> {
    if config.min_compaction_lag_ms <= 0 {
        return Ok(false);
    }
    let newest = segment.newest()?.map_or(-1, |newest| newest.timestamp_ms);
    Ok(newest > now_ms.saturating_sub(config.min_compaction_lag_ms))
}

fn is_overdue(segment: &Segment, config: &LogConfig, now_ms: i64) -> Result<bool, LogError> {
    if config.max_compaction_lag_ms == i64::MAX {
        return Ok(false);
    }
    let file = segment.file()?;
    let first = Scan::headers(&*file, segment.path(), 0, segment.size).next()?;
    let timestamp = first.map_or(-1, |first| first.header.max_timestamp);
    Ok(timestamp > 0 && timestamp < now_ms.saturating_sub(config.max_compaction_lag_ms))
}

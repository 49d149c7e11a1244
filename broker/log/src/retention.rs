//! Deleting what is too old, too much or below the log start.
//!
//! - Only whole segments go, oldest first, and only what is durable.
//! - Age and size cut only where `cleanup.policy` names `delete`; the active segment is rolled before it goes.

use crate::LogError;
use crate::log::Log;

impl Log {
    /// One round of retention at `now_ms`; `durable_end` is the high watermark. Returns how many segments went.
    pub fn retain(&mut self, durable_end: i64, now_ms: i64) -> Result<usize, LogError> {
        self.usable()?;
        self.remove_doomed(now_ms)?;
        self.transactions().advance(durable_end);
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms);
        if let Some(active) = self.segments.last()
            && active.is_due(now_ms, &self.config)
        {
            self.roll(now_ms)?;
        }
        let mut removed = 0;
        while self.first_is_out(durable_end, now_ms)? {
            if self.segments.len() == 1 {
                self.roll(now_ms)?;
            }
            self.remove_segment(0, now_ms)?;
            removed += 1;
            let first = self.segments.first().map_or(self.log_end, |segment| segment.base_offset);
            if first > self.log_start {
                self.log_start = first;
            }
            self.epochs.truncate_start(self.log_start);
            self.derived_dirty = true;
        }
        Ok(removed)
    }

    /// Whether the oldest segment has to go.
    fn first_is_out(&mut self, durable_end: i64, now_ms: i64) -> Result<bool, LogError> {
        let total = self.size_bytes();
        let end = self.segments.get(1).map_or(self.log_end, |next| next.base_offset);
        let (log_start, config, only) =
            (self.log_start, self.config.clone(), self.segments.len() == 1);
        let Some(first) = self.segments.first_mut() else { return Ok(false) };
        if first.size == 0 && only || end > durable_end {
            return Ok(false);
        }
        if !only && end <= log_start {
            return Ok(true);
        }
        if !config.cleanup_delete {
            return Ok(false);
        }
        let too_much = !only
            && u64::try_from(config.retention_bytes)
                .is_ok_and(|max| total.saturating_sub(first.size) >= max);
        if too_much {
            return Ok(true);
        }
        let newest = first.newest()?.map_or(-1, |newest| newest.timestamp_ms);
        Ok(config.retention_ms >= 0
            && newest >= 0
            && now_ms.saturating_sub(newest) > config.retention_ms)
    }

    /// Moves the log start up to `before`, which must be within the log. Segments below it go with the next `retain`.
    pub fn delete_records(&mut self, before: i64) -> Result<i64, LogError> {
        self.usable()?;
        if before > self.log_end || before < 0 {
            return Err(LogError::OffsetOutOfRange {
                offset: before,
                log_start: self.log_start,
                log_end: self.log_end,
            });
        }
        if before > self.log_start {
            self.log_start = before;
            self.epochs.truncate_start(before);
            self.derived_dirty = true;
        }
        Ok(self.log_start)
    }

    /// Removes files whose delay has passed.
    fn remove_doomed(&mut self, now_ms: i64) -> Result<(), LogError> {
        let fs = std::sync::Arc::clone(self.files.fs());
        let mut failed = None;
        self.doomed.retain(|(due, path)| {
            if *due > now_ms {
                return true;
            }
            match fs.remove_file(path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    failed = Some(LogError::io("remove", path)(err));
                    true
                }
                _ => false,
            }
        });
        failed.map_or(Ok(()), Err)
    }
}

//! Finding batches and records in a segment: by offset, by size, by time.

use super::Segment;
use crate::index::OffsetEntry;
use crate::scan::{Located, Scan};
use crate::{LogError, TimestampOffset};

/// How much a batch may grow when a look-up opens it: many times what a producer may send.
const DECODED_BYTES_MAX: usize = 64 << 20;

/// Where a read of whole batches ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadEnd {
    /// The byte after the last batch.
    pub(crate) position: u64,
    /// No record before `position` has this offset or a later one.
    pub(crate) next_offset_max: i64,
}

impl Segment {
    pub(super) fn newest_in_index(&self) -> Result<Option<TimestampOffset>, LogError> {
        Ok(self.time_index.last()?.map(|entry| TimestampOffset {
            timestamp_ms: entry.timestamp,
            offset: self.base_offset + i64::from(entry.offset),
        }))
    }

    /// The largest timestamp in the segment and the last offset of the batch that has it.
    pub(crate) fn newest(&mut self) -> Result<Option<TimestampOffset>, LogError> {
        if self.newest.is_none() && self.size > 0 {
            let mut newest = self.newest_in_index()?;
            // What was appended behind the last entry is not in the index.
            let after = newest.map_or(self.base_offset, |newest| newest.offset + 1);
            let start = self.floor_position(after)?;
            let file = self.file()?;
            let mut scan = Scan::headers(&*file, &self.path, start, self.size);
            while let Some(located) = scan.next()? {
                if newest.is_none_or(|newest| located.header.max_timestamp > newest.timestamp_ms) {
                    newest = Some(TimestampOffset {
                        timestamp_ms: located.header.max_timestamp,
                        offset: located.header.last_offset(),
                    });
                }
            }
            self.newest = newest;
        }
        Ok(self.newest)
    }

    /// A position at or before the batch that contains `offset`.
    pub(super) fn floor_position(&self, offset: i64) -> Result<u64, LogError> {
        let relative = self.relative(offset.max(self.base_offset));
        let entry = self.offset_index.floor(|entry| entry.offset <= relative)?;
        Ok(entry.map_or(0, |entry| u64::from(entry.position)).min(self.size))
    }

    /// The first batch that holds `offset` or a later one.
    pub(crate) fn locate(&self, offset: i64) -> Result<Option<Located>, LogError> {
        let file = self.file()?;
        let search = |start| -> Result<Option<Located>, LogError> {
            let mut scan = Scan::headers(&*file, &self.path, start, self.size);
            while let Some(located) = scan.next()? {
                if located.header.last_offset() >= offset {
                    return Ok(Some(located));
                }
            }
            Ok(None)
        };
        let start = self.floor_position(offset)?;
        match search(start) {
            // An index that leads into the middle of a batch is worth a slow search, not an error.
            Err(LogError::Corrupt { .. }) if start > 0 => search(0),
            found => found,
        }
    }

    /// The end of whole batches that start at `start`, hold offsets below `bound` and take about `bytes_max`:
    /// at least one batch, if its offsets are below the bound.
    pub(crate) fn end_of_read(
        &self,
        start: &Located,
        bytes_max: u64,
        bound: Option<i64>,
    ) -> Result<ReadEnd, LogError> {
        let all = ReadEnd { position: self.size, next_offset_max: i64::MAX };
        if bound.is_some_and(|bound| start.header.base_offset >= bound) {
            return Ok(ReadEnd {
                position: start.position,
                next_offset_max: start.header.base_offset,
            });
        }
        let limit = start.position + bytes_max.max(start.header.size_bytes() as u64);
        if limit >= self.size && bound.is_none() {
            return Ok(all);
        }
        let below = |entry: &OffsetEntry| {
            u64::from(entry.position) <= limit
                && bound.is_none_or(|bound| self.base_offset + i64::from(entry.offset) < bound)
        };
        let mut end =
            ReadEnd { position: start.position, next_offset_max: start.header.base_offset };
        if let Some(entry) = self.offset_index.floor(below)?
            && u64::from(entry.position) > end.position
        {
            // The entry's batch is not part of what is read yet, so that its end is no less than what is needed.
            end.position = u64::from(entry.position);
            end.next_offset_max = self.base_offset + i64::from(entry.offset) + 1;
        }
        let file = self.file()?;
        let mut scan = Scan::headers(&*file, &self.path, end.position, self.size);
        while let Some(located) = scan.next()? {
            let visible = bound.is_none_or(|bound| located.header.base_offset < bound);
            if located.end() > limit || !visible {
                break;
            }
            end.position = located.end();
            end.next_offset_max = end.next_offset_max.max(located.header.next_offset());
        }
        Ok(end)
    }

    /// The first record at or after `timestamp_ms` with an offset from `from` on.
    /// In a compressed batch that cannot be opened, the batch's first offset and largest timestamp.
    pub(crate) fn find_timestamp(
        &self,
        timestamp_ms: i64,
        from: i64,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let entry = self.time_index.floor(|entry| entry.timestamp < timestamp_ms)?;
        let after =
            entry.map_or(self.base_offset, |entry| self.base_offset + i64::from(entry.offset));
        let start = self.floor_position(after.max(from))?;
        let file = self.file()?;
        let mut scan = Scan::contents(&*file, &self.path, start, self.size);
        while let Some(located) = scan.next()? {
            let header = located.header;
            if header.max_timestamp < timestamp_ms || header.last_offset() < from {
                continue;
            }
            let Some(found) = first_at(&mut scan, &located, timestamp_ms, from)? else { continue };
            return Ok(Some(found));
        }
        Ok(None)
    }
}

/// The first record of a batch at or after the timestamp and offset.
pub(crate) fn first_at(
    scan: &mut Scan<'_>,
    located: &Located,
    timestamp_ms: i64,
    from: i64,
) -> Result<Option<TimestampOffset>, LogError> {
    let batch = scan.batch(located)?;
    let Ok(records) = batch.decode_records(DECODED_BYTES_MAX) else {
        return Ok(Some(TimestampOffset {
            timestamp_ms: batch.max_timestamp(),
            offset: batch.base_offset().max(from),
        }));
    };
    for record in &records {
        let Ok(record) = record else { break };
        if record.timestamp_ms >= timestamp_ms && record.offset >= from {
            return Ok(Some(TimestampOffset {
                timestamp_ms: record.timestamp_ms,
                offset: record.offset,
            }));
        }
    }
    Ok(None)
}

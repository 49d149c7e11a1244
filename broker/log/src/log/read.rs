//! Reading: whole batches as ranges of files, and look-ups by time.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Log, TimestampOffset};
use crate::LogError;
use crate::file_cache::FileKey;
use crate::fs::{File, read_full};
use crate::scan::Scan;
use crate::segment::Segment;

/// Whole batches in a segment's file. The file stays readable while this is held, whatever becomes of the segment.
#[derive(Debug, Clone)]
pub struct LogRange {
    /// The segment's file.
    pub file: Arc<dyn File>,
    /// Where the first batch starts, bytes.
    pub position: u64,
    /// How many bytes the batches take; 0 when there is nothing to read yet.
    pub length: u64,
    /// No record of the batches has this offset or a later one.
    pub next_offset_max: i64,
    /// Whether this process has compared the checksums of all of it.
    pub checked: bool,
    path: PathBuf,
    segment: FileKey,
}

impl LogRange {
    /// Compares the checksum of every batch. The file is read to do so.
    pub fn check(&self) -> Result<(), LogError> {
        let mut scan =
            Scan::contents(&*self.file, &self.path, self.position, self.position + self.length);
        while let Some(located) = scan.next()? {
            scan.checked_batch(&located)?;
        }
        Ok(())
    }

    /// The bytes, read from the file.
    pub fn read(&self) -> Result<Vec<u8>, LogError> {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        let read = read_full(&*self.file, &mut bytes, self.position)
            .map_err(LogError::io("read", &self.path))?;
        if read < bytes.len() {
            return Err(LogError::Corrupt {
                path: self.path.clone(),
                position: self.position + read as u64,
                reason: "the file is shorter than its records".to_owned(),
            });
        }
        Ok(bytes)
    }
}

impl Log {
    pub(super) fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    /// Whole batches from the one that contains `from`, about `bytes_max` bytes of them but at least one, with offsets
    /// below `bound`. They come from one segment; `None` when there is nothing yet.
    pub fn read(
        &self,
        from: i64,
        bytes_max: u64,
        bound: i64,
    ) -> Result<Option<LogRange>, LogError> {
        self.usable()?;
        let bound = bound.min(self.log_end);
        if from < self.log_start || from > self.log_end {
            return Err(LogError::OffsetOutOfRange {
                offset: from,
                log_start: self.log_start,
                log_end: self.log_end,
            });
        }
        if from >= bound {
            return Ok(None);
        }
        // A compacted segment may end before the next one begins.
        for at in self.segment_of(from)..self.segments.len() {
            let segment = &self.segments[at];
            if segment.base_offset >= bound {
                break;
            }
            let Some(start) = segment.locate(from)? else { continue };
            let segment_end =
                self.segments.get(at + 1).map_or(self.log_end, |next| next.base_offset);
            let inner_bound = (bound < segment_end).then_some(bound);
            let end = segment.end_of_read(&start, bytes_max, inner_bound)?;
            let (end, next_offset_max) = (end.position, end.next_offset_max.min(segment_end));
            if end == start.position {
                break;
            }
            return Ok(Some(LogRange {
                file: segment.file()?,
                position: start.position,
                length: end - start.position,
                next_offset_max,
                checked: segment.checked.contain(start.position, end),
                path: segment.path().to_path_buf(),
                segment: segment.key(),
            }));
        }
        Ok(None)
    }

    /// Remembers that the checksums of a range were compared, so that it is not done again.
    pub fn mark_checked(&mut self, range: &LogRange) {
        // Compaction puts another file in the place of a segment, which this says nothing of.
        if let Some(segment) =
            self.segments.iter_mut().find(|segment| segment.key() == range.segment)
        {
            let end = (range.position + range.length).min(segment.size);
            segment.checked.add(range.position, end);
        }
    }

    /// Takes back that the checksums of a range were compared, because they are wrong now: whoever reads it compares them
    /// and is told so.
    pub fn mark_unchecked(&mut self, range: &LogRange) {
        if let Some(segment) =
            self.segments.iter_mut().find(|segment| segment.key() == range.segment)
        {
            segment.checked.remove(range.position, range.position + range.length);
        }
    }

    /// The first offset of the active segment, to which batches are added.
    #[must_use]
    pub fn active_start(&self) -> i64 {
        self.segments.last().map_or(self.log_end, |active| active.base_offset)
    }

    /// The first offset of the segment behind the one that has `offset`; the log end behind the last.
    #[must_use]
    pub fn next_segment_start(&self, offset: i64) -> i64 {
        let behind = self.segments.partition_point(|segment| segment.base_offset <= offset);
        self.segments.get(behind).map_or(self.log_end, |segment| segment.base_offset)
    }

    /// The first record at or after `timestamp_ms` with an offset below `bound`.
    pub fn offset_for_timestamp(
        &mut self,
        timestamp_ms: i64,
        bound: i64,
    ) -> Result<Option<TimestampOffset>, LogError> {
        self.usable()?;
        let from = self.log_start;
        for segment in &mut self.segments {
            if segment.newest()?.is_none_or(|newest| newest.timestamp_ms < timestamp_ms) {
                continue;
            }
            if let Some(found) = segment.find_timestamp(timestamp_ms, from)? {
                return Ok((found.offset < bound).then_some(found));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp of all; of several the first.
    pub fn max_timestamp(&mut self) -> Result<Option<TimestampOffset>, LogError> {
        self.usable()?;
        let mut largest: Option<(usize, i64)> = None;
        for (at, segment) in self.segments.iter_mut().enumerate() {
            if let Some(newest) = segment.newest()?
                && largest.is_none_or(|(_, timestamp)| newest.timestamp_ms > timestamp)
            {
                largest = Some((at, newest.timestamp_ms));
            }
        }
        let Some((at, timestamp)) = largest else { return Ok(None) };
        let from = self.log_start;
        self.segments
            .get(at)
            .map_or(Ok(None), |segment: &Segment| segment.find_timestamp(timestamp, from))
    }
}

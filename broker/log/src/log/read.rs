//! Reading: whole batches as ranges of files, and look-ups by time.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Log, TimestampOffset};
use crate::LogError;
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
    /// Whether this process has compared the checksums of all of it.
    pub checked: bool,
    path: PathBuf,
    segment_base: i64,
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
    fn segment_of(&self, offset: i64) -> usize {
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
            if end == start.position {
                break;
            }
            return Ok(Some(LogRange {
                file: segment.file()?,
                position: start.position,
                length: end - start.position,
                checked: segment.checked.contain(start.position, end),
                path: segment.path().to_path_buf(),
                segment_base: segment.base_offset,
            }));
        }
        Ok(None)
    }

    /// Remembers that the checksums of a range were compared, so that it is not done again.
    pub fn mark_checked(&mut self, range: &LogRange) {
        let base = range.segment_base;
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.base_offset == base)
        {
            let end = (range.position + range.length).min(segment.size);
            segment.checked.add(range.position, end);
        }
    }

    /// The first record at or after `timestamp_ms` with an offset below `bound`.
    /// A compressed batch answers as a whole: with its first offset and its largest timestamp.
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

    /// The record with the largest timestamp; of several the first.
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

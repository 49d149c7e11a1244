//! The file that takes the place of some segments, with its indexes, under names that nobody reads.
//!
//! - Files are `.cleaned` while they are written, and nothing of them counts until all of them are `.swap`.
//! - Index entries follow the rules of a segment that is appended to.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_broker_protocol::batch::BatchHeader;

use super::swap::{CLEANED, CleanedSegment, Replaced};
use crate::fs::{File, FileSystem, OpenHow};
use crate::index::{IndexEntry, OffsetEntry, TimeEntry};
use crate::segment::segment_path;
use crate::transaction_index::AbortedEntry;
use crate::{LogConfig, LogError};

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes after which the system is asked to begin writing, so that the sync at the end is short.
const WRITEBACK_BYTES: u64 = 8 << 20;

/// A segment that is being written.
pub(super) struct Output {
    fs: Arc<dyn FileSystem>,
    directory: PathBuf,
    base_offset: i64,
    index_interval_bytes: u64,
    path: PathBuf,
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    /// Bytes in the file, and in the buffer behind them.
    size: u64,
    writeback_at: u64,
    bytes_since_entry: u64,
    offsets: Entries<OffsetEntry>,
    times: Entries<TimeEntry>,
    aborted: Entries<AbortedEntry>,
    /// The largest timestamp of a record so far, and the last offset of its batch.
    newest: Option<(i64, i64)>,
    /// The same of batches without records.
    newest_empty: Option<(i64, i64)>,
}

struct Entries<E> {
    bytes: Vec<u8>,
    last: Option<E>,
}

impl<E: IndexEntry> Entries<E> {
    fn new() -> Self {
        Self { bytes: Vec::new(), last: None }
    }

    fn push(&mut self, entry: E) {
        if self.last.is_none_or(|last| entry.follows(&last)) {
            entry.encode(&mut self.bytes);
            self.last = Some(entry);
        }
    }
}

impl Output {
    /// Begins the segment that is to start at `base_offset`.
    pub(super) fn create(
        fs: &Arc<dyn FileSystem>,
        directory: &Path,
        base_offset: i64,
        config: &LogConfig,
    ) -> Result<Self, LogError> {
        let path = cleaned_path(directory, base_offset, "log");
        let file = fs.open(&path, OpenHow::Truncate).map_err(LogError::io("create", &path))?;
        Ok(Self {
            fs: Arc::clone(fs),
            directory: directory.to_path_buf(),
            base_offset,
            index_interval_bytes: config.index_interval_bytes,
            path,
            file,
            buffer: Vec::with_capacity(WRITE_BYTES),
            size: 0,
            writeback_at: WRITEBACK_BYTES,
            bytes_since_entry: 0,
            offsets: Entries::new(),
            times: Entries::new(),
            aborted: Entries::new(),
            newest: None,
            newest_empty: None,
        })
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset - self.base_offset).unwrap_or(u32::MAX)
    }

    /// Adds a batch behind the last one.
    pub(super) fn push(&mut self, batch: &[u8]) -> Result<(), LogError> {
        let header = BatchHeader::parse(batch)
            .map_err(|err| LogError::InvalidBatch(format!("after compaction: {err}")))?;
        let newest =
            if header.record_count > 0 { &mut self.newest } else { &mut self.newest_empty };
        if newest.is_none_or(|(timestamp, _)| header.max_timestamp > timestamp) {
            *newest = Some((header.max_timestamp, header.last_offset()));
        }
        if self.bytes_since_entry > self.index_interval_bytes {
            self.offsets.push(OffsetEntry {
                offset: self.relative(header.last_offset()),
                position: u32::try_from(self.size).unwrap_or(u32::MAX),
            });
            self.push_newest(self.newest);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += batch.len() as u64;
        self.size += batch.len() as u64;
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds an aborted transaction whose data is still in the log.
    pub(super) fn push_aborted(&mut self, entry: AbortedEntry) {
        self.aborted.push(entry);
    }

    /// How many aborted transactions were added.
    pub(super) fn aborted_count(&self) -> usize {
        self.aborted.bytes.len() / AbortedEntry::SIZE
    }

    fn push_newest(&mut self, newest: Option<(i64, i64)>) {
        if let Some((timestamp, offset)) = newest {
            let offset = self.relative(offset);
            self.times.push(TimeEntry { timestamp, offset });
        }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let position = self.size - self.buffer.len() as u64;
        self.file
            .write_all_at(&mut [IoSlice::new(&self.buffer)], position)
            .map_err(LogError::io("write", &self.path))?;
        self.buffer.clear();
        if self.size >= self.writeback_at {
            self.writeback_at = self.size + WRITEBACK_BYTES;
            self.file.start_writeback();
        }
        Ok(())
    }

    /// Writes what is missing and makes the files durable, their names included.
    pub(super) fn finish(mut self, replaced: Replaced) -> Result<CleanedSegment, LogError> {
        self.flush()?;
        // A segment of batches without records has to say something, or its index counts as lost.
        let newest = self.newest.or(self.newest_empty);
        self.push_newest(newest);
        self.file.sync().map_err(LogError::io("sync", &self.path))?;
        self.write_file("index", &self.offsets.bytes)?;
        self.write_file("timeindex", &self.times.bytes)?;
        if !self.aborted.bytes.is_empty() {
            self.write_file("txnindex", &self.aborted.bytes)?;
        }
        self.fs.sync_directory(&self.directory).map_err(LogError::io("sync", &self.directory))?;
        Ok(CleanedSegment {
            base_offset: self.base_offset,
            size: self.size,
            index_bytes: self.offsets.bytes.len() as u64,
            time_index_bytes: self.times.bytes.len() as u64,
            transaction_index_bytes: self.aborted.bytes.len() as u64,
            replaced,
            fs: self.fs,
            directory: self.directory,
        })
    }

    fn write_file(&self, suffix: &str, contents: &[u8]) -> Result<(), LogError> {
        let path = cleaned_path(&self.directory, self.base_offset, suffix);
        let write = || {
            let file = self.fs.open(&path, OpenHow::Truncate)?;
            if !contents.is_empty() {
                file.write_all_at(&mut [IoSlice::new(contents)], 0)?;
            }
            file.sync()
        };
        write().map_err(LogError::io("write", &path))
    }
}

/// Where a file lies while it is written.
fn cleaned_path(directory: &Path, base_offset: i64, suffix: &str) -> PathBuf {
    segment_path(directory, base_offset, &format!("{suffix}{CLEANED}"))
}

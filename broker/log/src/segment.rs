//! One segment: the records from `base_offset` up to the next segment's, with its indexes.
//!
//! - The bytes of a segment are whole batches, one behind the other, growing in offset.
//! - Indexes are hints, rebuilt from the records when they disagree.
//! - Knows nothing of what is durable or visible: that is the business of the log and of the partition.

mod look_up;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_broker_protocol::batch::{BatchHeader, StampedBatch};
use smallvec::SmallVec;

use crate::file_cache::{FileCache, FileKey};
use crate::fs::{File, OpenHow};
use crate::index::{Index, IndexEntry, OffsetEntry, TimeEntry};
use crate::ranges::Ranges;
use crate::scan::{Located, Scan};
use crate::transaction_index::AbortedEntry;
use crate::{LogConfig, LogError, TimestampOffset};

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    files: Arc<FileCache>,
    key: FileKey,
    path: PathBuf,
    pub(crate) base_offset: i64,
    /// Bytes of whole batches.
    pub(crate) size: u64,
    pub(crate) offset_index: Index<OffsetEntry>,
    pub(crate) time_index: Index<TimeEntry>,
    /// The aborted transactions whose markers are in the segment.
    pub(crate) aborted: Index<AbortedEntry>,
    bytes_since_entry: u64,
    /// The largest timestamp and the last offset of the batch that has it; unknown in a closed segment until asked.
    newest: Option<TimestampOffset>,
    /// The first batch's largest timestamp: `segment.ms` counts from it.
    first_timestamp: Option<i64>,
    /// When the segment became the active one, milliseconds.
    created_ms: i64,
    /// The bytes whose checksums this process has compared.
    pub(crate) checked: Ranges,
}

/// The suffixes of a segment's files; there is a `.txnindex` only where transactions were aborted.
pub(crate) const SUFFIXES: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

/// The path of a segment's file.
pub(crate) fn segment_path(directory: &Path, base_offset: i64, suffix: &str) -> PathBuf {
    directory.join(format!("{base_offset:020}.{suffix}"))
}

impl Segment {
    /// A new, empty segment with its file.
    pub(crate) fn create(
        files: &Arc<FileCache>,
        directory: &Path,
        base_offset: i64,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        let index = Index::empty(Arc::clone(files), segment_path(directory, base_offset, "index"));
        let time_index =
            Index::empty(Arc::clone(files), segment_path(directory, base_offset, "timeindex"));
        // Files left over from a failed attempt must not show through.
        let aborted_path = segment_path(directory, base_offset, "txnindex");
        match files.fs().remove_file(&aborted_path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(LogError::io("remove", &aborted_path)(err));
            }
            _ => {}
        }
        let aborted = Index::empty(Arc::clone(files), aborted_path);
        let indexes = (index, time_index, aborted);
        let segment = Self::new(files, directory, base_offset, indexes, 0, now_ms);
        files.get(segment.key, &segment.path, OpenHow::Truncate)?;
        Ok(segment)
    }

    /// A closed segment whose files have these sizes.
    pub(crate) fn closed(
        files: &Arc<FileCache>,
        directory: &Path,
        base_offset: i64,
        size: u64,
        (index_bytes, time_index_bytes, aborted_bytes): (u64, u64, u64),
    ) -> Self {
        let index = Index::closed(
            Arc::clone(files),
            segment_path(directory, base_offset, "index"),
            index_bytes,
        );
        let path = segment_path(directory, base_offset, "timeindex");
        let time_index = Index::closed(Arc::clone(files), path, time_index_bytes);
        let path = segment_path(directory, base_offset, "txnindex");
        let aborted = Index::closed(Arc::clone(files), path, aborted_bytes);
        Self::new(files, directory, base_offset, (index, time_index, aborted), size, 0)
    }

    /// A segment to go on writing; index entries from `trusted_offset` on are dropped.
    pub(crate) fn active(
        files: &Arc<FileCache>,
        directory: &Path,
        base_offset: i64,
        size: u64,
        trusted_offset: i64,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        let trusted = |offset: u32| base_offset + i64::from(offset) < trusted_offset;
        let index =
            Index::load(Arc::clone(files), segment_path(directory, base_offset, "index"), {
                |entry: &OffsetEntry| trusted(entry.offset) && u64::from(entry.position) < size
            })?;
        let path = segment_path(directory, base_offset, "timeindex");
        let time_index =
            Index::load(Arc::clone(files), path, |entry: &TimeEntry| trusted(entry.offset))?;
        let path = segment_path(directory, base_offset, "txnindex");
        let aborted = Index::load(Arc::clone(files), path, |entry: &AbortedEntry| {
            (base_offset..trusted_offset).contains(&entry.last_offset)
        })?;
        let indexes = (index, time_index, aborted);
        Ok(Self::new(files, directory, base_offset, indexes, size, now_ms))
    }

    fn new(
        files: &Arc<FileCache>,
        directory: &Path,
        base_offset: i64,
        (offset_index, time_index, aborted): (
            Index<OffsetEntry>,
            Index<TimeEntry>,
            Index<AbortedEntry>,
        ),
        size: u64,
        created_ms: i64,
    ) -> Self {
        Self {
            files: Arc::clone(files),
            key: files.key(),
            path: segment_path(directory, base_offset, "log"),
            base_offset,
            size,
            offset_index,
            time_index,
            aborted,
            bytes_since_entry: 0,
            newest: None,
            first_timestamp: None,
            created_ms,
            checked: Ranges::default(),
        }
    }

    /// Names the records' file.
    pub(crate) fn key(&self) -> FileKey {
        self.key
    }

    /// The records' file.
    pub(crate) fn file(&self) -> Result<Arc<dyn File>, LogError> {
        self.files.get(self.key, &self.path, OpenHow::Existing)
    }

    /// Whether the segment's indexes were closed; it takes no more batches then.
    pub(crate) fn is_closed(&self) -> bool {
        self.offset_index.is_closed()
    }

    /// The path of the records' file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset - self.base_offset).unwrap_or(u32::MAX)
    }

    /// Whether a batch has to go to a new segment, after `pending` (count, bytes) other batches went to this one.
    pub(crate) fn is_full_for(
        &self,
        batch: &BatchHeader,
        pending: (usize, u64),
        config: &LogConfig,
    ) -> bool {
        let (count, bytes) = pending;
        if self.size + bytes == 0 {
            return false;
        }
        let entries_max = |size: usize| config.segment_index_bytes / size as u64;
        let entries = |index_count: usize| (index_count + count + 1) as u64;
        self.size + bytes + batch.size_bytes() as u64
            > config.segment_bytes.min(u64::from(u32::MAX >> 1))
            || entries(self.offset_index.count()) > entries_max(OffsetEntry::SIZE)
            || entries(self.time_index.count()) > entries_max(TimeEntry::SIZE)
            || batch.last_offset() - self.base_offset > i64::from(i32::MAX)
            || self.waited_ms(batch.max_timestamp, config)
    }

    /// Whether `segment.ms` has passed at `timestamp_ms`, counted from the first record's time.
    fn waited_ms(&self, timestamp_ms: i64, config: &LogConfig) -> bool {
        let first = self.first_timestamp.unwrap_or(self.created_ms);
        self.size > 0 && timestamp_ms.saturating_sub(first) > config.segment_ms
    }

    /// Reads what an opened segment has to know before it takes more batches.
    pub(crate) fn learn(&mut self) -> Result<(), LogError> {
        self.newest()?;
        if self.first_timestamp.is_none() {
            let file = self.file()?;
            let first = Scan::headers(&*file, &self.path, 0, self.size).next()?;
            self.first_timestamp = first.map(|first| first.header.max_timestamp);
        }
        Ok(())
    }

    /// Whether an active segment with records should be rolled at `now_ms` though nothing is appended.
    pub(crate) fn is_due(&self, now_ms: i64, config: &LogConfig) -> bool {
        self.waited_ms(now_ms, config)
    }

    /// Writes batches behind the last one, in one call. After an error the file may hold a part of them.
    pub(crate) fn append(
        &mut self,
        batches: &[(BatchHeader, StampedBatch)],
        config: &LogConfig,
    ) -> Result<(), LogError> {
        let mut slices: SmallVec<[IoSlice<'_>; 8]> =
            batches.iter().flat_map(|(_, batch)| batch.pieces().map(IoSlice::new)).collect();
        let start = self.size;
        self.file()?.write_all_at(&mut slices, start).map_err(LogError::io("write", &self.path))?;
        for (header, _) in batches {
            self.note(&Located { position: self.size, header: *header }, config);
        }
        self.checked.add(start, self.size);
        Ok(())
    }

    /// Takes a batch at the end of the file into indexes and counters.
    pub(crate) fn note(&mut self, batch: &Located, config: &LogConfig) {
        let header = &batch.header;
        if self.newest.is_none_or(|newest| header.max_timestamp > newest.timestamp_ms) {
            self.newest = Some(TimestampOffset {
                timestamp_ms: header.max_timestamp,
                offset: header.last_offset(),
            });
        }
        if batch.position == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if self.bytes_since_entry > config.index_interval_bytes {
            self.offset_index.push(OffsetEntry {
                offset: self.relative(header.last_offset()),
                position: u32::try_from(batch.position).unwrap_or(u32::MAX),
            });
            self.push_newest();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_bytes() as u64;
        self.size = batch.end();
    }

    fn push_newest(&mut self) {
        if let Some(newest) = self.newest {
            let offset = self.relative(newest.offset);
            self.time_index.push(TimeEntry { timestamp: newest.timestamp_ms, offset });
        }
    }

    /// Goes on from a file: takes in the batches behind the last trusted index entry, comparing checksums.
    /// Returns what is wrong with the first batch that is not valid; the segment ends before it.
    pub(crate) fn recover(
        &mut self,
        config: &LogConfig,
        mut seen: impl FnMut(&BatchHeader),
    ) -> Result<Option<LogError>, LogError> {
        let file = self.file()?;
        let file_bytes = file.length().map_err(LogError::io("measure", &self.path))?;
        let start = self.trusted_position(&*file, file_bytes)?;
        self.newest = self.newest_in_index()?;
        self.size = start;
        // The entry that the scan starts from is due again at once.
        self.bytes_since_entry = if start > 0 { config.index_interval_bytes + 1 } else { 0 };
        let path = self.path.clone();
        let mut scan = Scan::contents(&*file, &path, start, file_bytes);
        let mut next_offset = self.base_offset;
        loop {
            let found = scan.next().and_then(|located| match located {
                Some(located) if located.header.base_offset < next_offset => {
                    Err(LogError::Corrupt {
                        path: path.clone(),
                        position: located.position,
                        reason: format!(
                            "base offset is {}, expected at least {next_offset}",
                            located.header.base_offset
                        ),
                    })
                }
                Some(located) => scan.checked_batch(&located).map(|_| Some(located)),
                None => Ok(None),
            });
            match found {
                Ok(Some(located)) => {
                    next_offset = located.header.next_offset();
                    seen(&located.header);
                    self.note(&located, config);
                }
                Ok(None) => {
                    self.checked.add(start, self.size);
                    return Ok(None);
                }
                Err(err @ LogError::Corrupt { .. }) => {
                    self.checked.add(start, self.size);
                    return Ok(Some(err));
                }
                Err(err) => return Err(err),
            }
        }
    }

    /// Where the scan starts: at the last index entry that leads to the batch it names, or at 0.
    fn trusted_position(&mut self, file: &dyn File, file_bytes: u64) -> Result<u64, LogError> {
        let Some(last) = self.offset_index.last()? else {
            self.time_index.truncate(|_| false);
            return Ok(0);
        };
        let position = u64::from(last.position);
        let found = Scan::headers(file, &self.path, position, file_bytes.max(position)).next();
        if let Ok(Some(located)) = found
            && self.relative(located.header.last_offset()) == last.offset
        {
            // The entry itself is made again by the scan, in its place.
            self.offset_index.truncate(|entry| entry.offset < last.offset);
            self.time_index.truncate(|entry| entry.offset < last.offset);
            return Ok(position);
        }
        self.offset_index.truncate(|_| false);
        self.time_index.truncate(|_| false);
        Ok(0)
    }

    /// Cuts everything from the first batch that holds `offset` or a later one.
    pub(crate) fn truncate(&mut self, offset: i64) -> Result<(), LogError> {
        let position = match self.locate(offset)? {
            Some(located) => located.position,
            None => self.size,
        };
        let relative = self.relative(offset.max(self.base_offset));
        self.offset_index
            .truncate(|entry| entry.offset < relative && u64::from(entry.position) < position);
        self.time_index.truncate(|entry| entry.offset < relative);
        self.aborted.truncate(|entry| entry.last_offset < offset);
        self.cut_file(position)?;
        self.size = position;
        self.newest = None;
        self.bytes_since_entry = 0;
        if position == 0 {
            self.first_timestamp = None;
        }
        self.checked.truncate(position);
        Ok(())
    }

    /// Cuts what lies behind the last whole batch.
    pub(crate) fn cut_tail(&self) -> Result<(), LogError> {
        self.cut_file(self.size)
    }

    fn cut_file(&self, length: u64) -> Result<(), LogError> {
        self.file()?.truncate(length).map_err(LogError::io("truncate", &self.path))
    }

    /// Ends the segment: its last time entry, its index files. Returns the files that are to be synced.
    pub(crate) fn close(&mut self) -> Result<Vec<Arc<dyn File>>, LogError> {
        let mut files = self.close_position_indexes()?;
        files.extend(self.aborted.close()?);
        Ok(files)
    }

    /// `close`, but for the index of aborted transactions, which recovery completes later.
    pub(crate) fn close_position_indexes(&mut self) -> Result<Vec<Arc<dyn File>>, LogError> {
        self.newest()?;
        self.push_newest();
        let indexes = [self.offset_index.close()?, self.time_index.close()?];
        Ok([Some(self.file()?)].into_iter().chain(indexes).flatten().collect())
    }

    /// Writes what the index files lack.
    pub(crate) fn write_indexes(&mut self) -> Result<(), LogError> {
        self.offset_index.write()?;
        self.time_index.write()?;
        self.aborted.write()
    }

    /// Renames the files to `.deleted` and returns where they lie now. Who holds the open file can go on reading it.
    pub(crate) fn mark_deleted(&self, directory: &Path) -> Result<Vec<PathBuf>, LogError> {
        self.files.forget(self.key);
        self.offset_index.forget();
        self.time_index.forget();
        self.aborted.forget();
        let mut renamed = Vec::new();
        for suffix in SUFFIXES.into_iter().chain(["snapshot"]) {
            let path = segment_path(directory, self.base_offset, suffix);
            let deleted = segment_path(directory, self.base_offset, &format!("{suffix}.deleted"));
            match self.files.fs().rename(&path, &deleted) {
                Ok(()) => renamed.push(deleted),
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                Err(err) => return Err(LogError::io("rename", &path)(err)),
            }
        }
        Ok(renamed)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.files.forget(self.key);
    }
}

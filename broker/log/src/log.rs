//! The log of one partition: segments in order, producers, leader epochs.
//!
//! - Offsets grow; the log holds `log_start..log_end`, and the last segment is the active one.
//! - `stage` gives out offsets, `write_staged` writes them all in a few calls, or takes all of them back.
//! - A batch is durable once the `SyncTargets` taken after its write are synced.
//! - Everything derived from the records (indexes, epochs, producers) is on disk before a recovery point passes it.
//!
//! Who may see what, and when to sync, is decided by the partition.

mod append;
#[cfg(test)]
mod crash_tests;
mod read;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transaction_tests;
mod transactions;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_broker_protocol::batch::{BatchHeader, StampedBatch};

use crate::epoch_cache::EpochCache;
use crate::file_cache::FileCache;
use crate::fs::{File, FileSystem};
use crate::producer_state::{ProducerState, snapshot_path};
use crate::segment::Segment;
use crate::{LogConfig, LogError, checkpoint};

pub use append::{Staged, WrittenBatch};
pub use read::LogRange;

/// A record's timestamp and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Milliseconds.
    pub timestamp_ms: i64,
    /// The record's offset.
    pub offset: i64,
}

/// What has to be synced so that the log is durable up to `end`.
#[derive(Debug, Clone)]
pub struct SyncTargets {
    /// Files whose contents are dirty.
    pub files: Vec<Arc<dyn File>>,
    /// Directories with new names.
    pub directories: Vec<PathBuf>,
    /// The log end that is durable then.
    pub end: i64,
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    pub(crate) files: Arc<FileCache>,
    pub(crate) directory: PathBuf,
    pub(crate) topic_id: [u8; 16],
    pub(crate) config: LogConfig,
    /// In order of offset; empty until the first append.
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start: i64,
    pub(crate) log_end: i64,
    pub(crate) producers: ProducerState,
    pub(crate) epochs: EpochCache,
    pub(crate) staged: Vec<(BatchHeader, StampedBatch)>,
    pub(crate) unsynced: Unsynced,
    /// Whether derived state on disk lags behind the records.
    pub(crate) derived_dirty: bool,
    /// The snapshots that were written for recovery points and not for segments, oldest first.
    pub(crate) snapshots: Vec<i64>,
    /// Files to remove, and when.
    pub(crate) doomed: Vec<(i64, PathBuf)>,
    pub(crate) offline: Option<String>,
}

/// What was written since the last sync.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    pub(crate) files: Vec<Arc<dyn File>>,
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) active: bool,
}

impl Log {
    /// A log without a directory; it appears with the first append.
    pub(crate) fn new(
        files: Arc<FileCache>,
        directory: PathBuf,
        topic_id: [u8; 16],
        config: LogConfig,
    ) -> Self {
        Self {
            epochs: EpochCache::empty(&directory),
            files,
            directory,
            topic_id,
            config,
            segments: Vec::new(),
            log_start: 0,
            log_end: 0,
            producers: ProducerState::default(),
            staged: Vec::new(),
            unsynced: Unsynced::default(),
            derived_dirty: false,
            snapshots: Vec::new(),
            doomed: Vec::new(),
            offline: None,
        }
    }

    pub(crate) fn fs(&self) -> &dyn FileSystem {
        &**self.files.fs()
    }

    /// The partition's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The topic's id, as `partition.metadata` has it.
    #[must_use]
    pub fn topic_id(&self) -> [u8; 16] {
        self.topic_id
    }

    /// The first offset held.
    #[must_use]
    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        self.log_end
    }

    /// Bytes of records.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Whether the partition has a directory.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        !self.segments.is_empty()
    }

    /// The last leader epoch that records carry.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// The largest leader epoch at or below `epoch`, and where it ends; (-1, -1) when nothing is known.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> (i32, i64) {
        self.epochs.end_offset(epoch, self.log_end)
    }

    /// Takes over changed settings.
    pub fn update_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    pub(crate) fn usable(&self) -> Result<(), LogError> {
        match &self.offline {
            Some(reason) => Err(LogError::Offline(reason.clone())),
            None => Ok(()),
        }
    }

    /// Takes what must be synced to make everything written so far durable; `None` when nothing is dirty.
    pub fn take_unsynced(&mut self) -> Result<Option<SyncTargets>, LogError> {
        let Unsynced { mut files, directories, active } = std::mem::take(&mut self.unsynced);
        if active && let Some(segment) = self.segments.last() {
            files.push(segment.file()?);
        }
        if files.is_empty() && directories.is_empty() {
            return Ok(None);
        }
        Ok(Some(SyncTargets { files, directories, end: self.log_end }))
    }

    /// Gives up what could not be synced: cuts the log to `durable_end` and goes on in a new segment.
    /// When that fails too the log is offline until it is opened again.
    pub fn give_up_unsynced(&mut self, durable_end: i64, now_ms: i64) -> Result<(), LogError> {
        let result = self.truncate(durable_end, now_ms).and_then(|()| {
            // The pages of the old file prove nothing any more: nothing is added to it.
            if self.segments.last().is_some_and(|active| active.size > 0) {
                self.roll(now_ms)
            } else {
                Ok(())
            }
        });
        if let Err(err) = &result {
            self.offline = Some(err.to_string());
        }
        result
    }

    /// Cuts the log so that it ends at `end`.
    pub fn truncate(&mut self, end: i64, now_ms: i64) -> Result<(), LogError> {
        if end >= self.log_end {
            return Ok(());
        }
        while let Some(last) = self.segments.last()
            && last.base_offset > end
            && self.segments.len() > 1
        {
            self.remove_segment(self.segments.len() - 1, now_ms)?;
        }
        self.epochs.truncate_end(end);
        self.log_end = end;
        self.log_start = self.log_start.min(end);
        if !self.segments.is_empty() {
            self.reopen_active(end, now_ms)?;
        }
        self.rebuild_producers(now_ms)?;
        self.unsynced.active = true;
        self.derived_dirty = true;
        Ok(())
    }

    /// Makes the last segment, which may have been closed, writable again and cuts it.
    fn reopen_active(&mut self, end: i64, now_ms: i64) -> Result<(), LogError> {
        let Some(last) = self.segments.pop() else { return Ok(()) };
        let mut active = last;
        if active.is_closed() {
            let (base, size) = (active.base_offset, active.size);
            active = Segment::active(&self.files, &self.directory, base, size, i64::MAX, now_ms)?;
        }
        active.truncate(end)?;
        active.learn()?;
        self.segments.push(active);
        Ok(())
    }

    /// Closes the active segment and begins a new one at the log end.
    pub(crate) fn roll(&mut self, now_ms: i64) -> Result<(), LogError> {
        if let Some(active) = self.segments.last_mut() {
            let dirty = active.close()?;
            self.unsynced.files.extend(dirty);
            self.producers.write_snapshot(&**self.files.fs(), &self.directory, self.log_end)?;
        }
        let segment = Segment::create(&self.files, &self.directory, self.log_end, now_ms)?;
        self.segments.push(segment);
        self.unsynced.directories.push(self.directory.clone());
        self.derived_dirty = true;
        Ok(())
    }

    /// Takes a segment out of the log; its files go after `file.delete.delay.ms`.
    pub(crate) fn remove_segment(&mut self, at: usize, now_ms: i64) -> Result<(), LogError> {
        let renamed = self.segments[at].mark_deleted(&self.directory)?;
        self.segments.remove(at);
        let due = now_ms.saturating_add(self.config.file_delete_delay_ms);
        self.doomed.extend(renamed.into_iter().map(|path| (due, path)));
        Ok(())
    }

    /// Whether `write_derived` has something to do.
    #[must_use]
    pub fn is_derived_dirty(&self) -> bool {
        self.derived_dirty
    }

    /// Writes indexes, epochs and producers as of now, and returns the recovery point that holds once everything
    /// on the file system is synced.
    pub fn write_derived(&mut self) -> Result<i64, LogError> {
        self.usable()?;
        let Some(active) = self.segments.last_mut() else { return Ok(self.log_end) };
        if !self.derived_dirty {
            return Ok(self.log_end);
        }
        active.write_indexes()?;
        let fs = Arc::clone(self.files.fs());
        self.epochs.write(&*fs)?;
        self.producers.write_snapshot(&*fs, &self.directory, self.log_end)?;
        self.drop_snapshots()?;
        self.derived_dirty = false;
        Ok(self.log_end)
    }

    /// Notes the snapshot at the log end, and removes those of recovery points before the last: the last is needed until
    /// the next recovery point is in its file.
    fn drop_snapshots(&mut self) -> Result<(), LogError> {
        if self.snapshots.last() != Some(&self.log_end) {
            self.snapshots.push(self.log_end);
        }
        while self.snapshots.len() > 2 {
            let old = self.snapshots.remove(0);
            if self.segments.iter().any(|segment| segment.base_offset == old) {
                continue;
            }
            let path = snapshot_path(&self.directory, old);
            match self.fs().remove_file(&path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LogError::io("remove", &path)(err));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Marks derived state as not on disk, because the sync that was to follow `write_derived` failed.
    pub fn distrust_derived(&mut self) {
        self.derived_dirty = true;
    }

    /// Makes the directory with its metadata and the first segment.
    pub(crate) fn make_directory(&mut self, now_ms: i64) -> Result<(), LogError> {
        let fs = Arc::clone(self.files.fs());
        fs.create_directory(&self.directory).map_err(LogError::io("create", &self.directory))?;
        let metadata = self.directory.join("partition.metadata");
        fs.replace_lazily(
            &metadata,
            checkpoint::print_partition_metadata(&self.topic_id).as_bytes(),
            false,
        )
        .map_err(LogError::io("write", &metadata))?;
        self.roll(now_ms)?;
        if let Ok(file) = fs.open(&metadata, crate::fs::OpenHow::Existing) {
            self.unsynced.files.push(file);
        }
        self.unsynced.directories.extend(self.directory.parent().map(Path::to_path_buf));
        Ok(())
    }
}

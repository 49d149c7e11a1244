//! What can go wrong with a log on disk.

use std::path::{Path, PathBuf};

/// Why an operation on a log failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file system refused.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Bytes on disk are not a valid record batch.
    #[error("corrupt record batch at byte {position} of {path}: {reason}")]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Where the batch starts.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch given to append is not one whole batch of magic 2.
    #[error("not a whole record batch: {0}")]
    InvalidBatch(String),
    /// The offset lies outside of what the log holds.
    #[error("offset {offset} is outside of {log_start} to {log_end}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The first offset held.
        log_start: i64,
        /// The end that the reader may see.
        log_end: i64,
    },
    /// A producer's batch or a marker does not fit what the log knows of the producer.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// A file of the data directory cannot be understood.
    #[error("{path}: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// Another process uses the data directory.
    #[error("{0} is in use by another broker")]
    InUse(PathBuf),
    /// Compaction was told to stop, or what it was working on was deleted.
    #[error("compaction was interrupted")]
    Interrupted,
    /// An earlier failure left the log in an unknown state; it has to be opened again.
    #[error("the log is offline after: {0}")]
    Offline(String),
}

impl LogError {
    /// An `Io` for `path`; meant for `map_err`.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { operation, path, source }
    }

    /// Whether the disk had no room left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        ))
    }
}

/// Why the batch of an idempotent or transactional producer, or a marker, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// A batch is missing before this one, or a new epoch does not start at 0.
    #[error(
        "out of order sequence number for producer {producer_id}: {sequence} (incoming), {last_sequence} (current end)"
    )]
    OutOfOrder {
        /// The producer.
        producer_id: i64,
        /// The sequence that came.
        sequence: i32,
        /// The last sequence the log holds, or -1.
        last_sequence: i32,
    },
    /// A newer producer with the same id has written.
    #[error(
        "epoch of producer {producer_id} is {epoch}, smaller than the last seen epoch {current}"
    )]
    OldEpoch {
        /// The producer.
        producer_id: i64,
        /// The epoch that came.
        epoch: i16,
        /// The last epoch seen.
        current: i16,
    },
    /// A batch outside of transactions while the producer's transaction is open.
    #[error(
        "expected a transactional write from producer {producer_id}, whose transaction is open since offset {first_offset}"
    )]
    TransactionOpen {
        /// The producer.
        producer_id: i64,
        /// Where its open transaction begins.
        first_offset: i64,
    },
    /// A marker of a coordinator that was replaced.
    #[error(
        "invalid coordinator epoch for producer {producer_id}: {epoch} (zombie), {current} (current)"
    )]
    CoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// The coordinator epoch that came.
        epoch: i32,
        /// The last coordinator epoch seen.
        current: i32,
    },
}

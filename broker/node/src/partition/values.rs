//! What goes into a partition and comes out of it, as values.

use std::sync::Arc;

use aquifer_broker_log::{AbortedTransaction, AppendRules, FirstSequence, MarkerEpoch};
use aquifer_broker_protocol::batch::Compression;
use bytes::Bytes;

/// A topic's name and a partition's number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TopicPartition {
    /// The topic's name.
    pub(crate) topic: Arc<str>,
    /// The partition's number, from 0.
    pub(crate) partition: i32,
}

/// When the reply to an append leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// When the records are appended (acks=1; acks=0 ignores the reply).
    Leader,
    /// When the records are durable and visible (acks=-1).
    All,
}

/// Who sent the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A Produce request: exactly one batch, no control batch, everything is checked.
    Client,
    /// The same from a client of transaction version 2 (KIP-890): a transactional producer that the partition does not know
    /// starts at sequence 0.
    ClientV2,
    /// A machine of this broker: any number of batches, control batches allowed.
    Coordinator,
    /// The coordinator of a transaction, ending it: control batches whose producer epoch is checked like this.
    Marker(MarkerEpoch),
}

impl Origin {
    /// Whether the records come from outside.
    pub(crate) fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::ClientV2)
    }

    /// What the log has to hold the records to.
    pub(super) fn rules(self) -> AppendRules {
        let rules = AppendRules::default();
        match self {
            Self::Client | Self::Coordinator => rules,
            Self::ClientV2 => AppendRules { first_sequence: FirstSequence::Zero, ..rules },
            Self::Marker(marker_epoch) => AppendRules { marker_epoch, ..rules },
        }
    }
}

/// How an append is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppendHow {
    /// When the reply leaves.
    pub(crate) acks: Acks,
    /// Who sent the records.
    pub(crate) origin: Origin,
}

/// Where appended records went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The offset of the first record. For a duplicate, the one it got the first time.
    pub(crate) base_offset: i64,
    /// The offset of the last record.
    pub(crate) last_offset: i64,
    /// The broker's time under `message.timestamp.type=LogAppendTime`, else -1; for a duplicate its largest timestamp, as
    /// Kafka answers. Milliseconds.
    pub(crate) log_append_time_ms: i64,
    /// The first offset that the partition holds.
    pub(crate) log_start_offset: i64,
}

/// Up to where a read may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadBound {
    /// Everything appended, synced or not: machines that replay, and followers.
    #[cfg_attr(not(test), expect(dead_code, reason = "there are no followers yet"))]
    LogEnd,
    /// What is durable: consumers under `read_uncommitted`.
    HighWatermark,
    /// What is durable and decided: consumers under `read_committed`.
    LastStable,
}

/// Some whole record batches: bytes in memory, or a range of a file that can go by `sendfile`.
#[derive(Debug, Clone)]
pub(crate) enum LogSlice {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a segment file.
    File(FileRange),
}

/// A range of a file that stays readable while this is held, even when the segment is deleted.
#[derive(Debug, Clone)]
pub(crate) struct FileRange {
    /// The open file; read it with `pread` or `sendfile`, never with its cursor.
    pub(crate) file: Arc<std::fs::File>,
    /// Where the range starts, bytes.
    pub(crate) position: u64,
    /// How long it is, bytes.
    pub(crate) length: u32,
}

/// What a read found.
#[derive(Debug, Clone)]
pub(crate) struct ReadResult {
    /// Whole batches, in order; the first may begin before the offset asked for. Empty: nothing there yet.
    pub(crate) slices: Vec<LogSlice>,
    /// The end of what is durable.
    pub(crate) high_watermark: i64,
    /// The first offset held.
    pub(crate) log_start_offset: i64,
    /// The end of what is durable and decided.
    pub(crate) last_stable_offset: i64,
    /// The aborted transactions with records among those found; empty unless the bound was `LastStable`.
    pub(crate) aborted: Vec<AbortedTransaction>,
}

/// The offsets of a partition, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionOffsets {
    /// The first offset held.
    pub(crate) log_start: i64,
    /// The end of what is durable.
    pub(crate) high_watermark: i64,
    /// The end of what is durable and decided; `Partition::settle` first, where it matters.
    pub(crate) last_stable: i64,
    /// The end of what is appended.
    pub(crate) log_end: i64,
}

/// A record's timestamp and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimestampOffset {
    /// Milliseconds.
    pub(crate) timestamp_ms: i64,
    /// The record's offset.
    pub(crate) offset: i64,
}

/// What a topic's configs mean to its partitions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartitionConfig {
    /// What the log itself honours: segments and retention.
    pub(crate) log: aquifer_broker_log::LogConfig,
    /// `max.message.bytes`: the largest record batch, bytes.
    pub(crate) message_bytes_max: usize,
    /// `compression.type`, and the codec's level: what batches are stored in; `None` keeps the producer's.
    pub(crate) compression: Option<(Compression, Option<i32>)>,
    /// `log.validation`.
    pub(crate) validation: Validation,
    /// `message.timestamp.type=LogAppendTime`.
    pub(crate) log_append_time: bool,
    /// `message.timestamp.before.max.ms`.
    pub(crate) timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub(crate) timestamp_after_max_ms: i64,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self {
            log: aquifer_broker_log::LogConfig::default(),
            message_bytes_max: 1_048_588,
            compression: None,
            validation: Validation::Headers,
            log_append_time: false,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
        }
    }
}

/// How much of a producer's compressed batch is looked at: `log.validation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Validation {
    /// Its header, and its records only where the topic has rules for them.
    #[default]
    Headers,
    /// All of its records, as Kafka does.
    Strict,
}

/// When records count as durable: `log.flush.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FlushMode {
    /// After fsync (group commit).
    #[default]
    Commit,
    /// When the operating system has them, as Kafka does.
    Os,
}

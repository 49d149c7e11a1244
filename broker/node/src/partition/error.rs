//! Why a partition refused, and the code that a client reads.

use aquifer_broker_log::{LogError, SequenceError};
use aquifer_broker_protocol::ErrorCode;

/// What went wrong with an append, a read or a look-up on one partition.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PartitionError {
    /// The bytes of a batch are not what its header says, from a client or on disk.
    #[error("corrupt record batch: {0}")]
    CorruptMessage(String),
    /// A batch or record breaks a rule of this topic or of the format.
    #[error("invalid record: {0}")]
    InvalidRecord(String),
    /// A batch is larger than `max.message.bytes`.
    #[error("record batch of {size} bytes is larger than max.message.bytes = {max}")]
    MessageTooLarge {
        /// The batch's size in bytes.
        size: usize,
        /// The topic's limit in bytes.
        max: usize,
    },
    /// A record's timestamp is further from the broker's time than the topic allows.
    #[error(
        "Timestamp {timestamp} is out of range. The timestamp should be within [{earliest}, {latest}]"
    )]
    InvalidTimestamp {
        /// The record's timestamp, milliseconds.
        timestamp: i64,
        /// The earliest accepted.
        earliest: i64,
        /// The latest accepted.
        latest: i64,
    },
    /// A producer's batch claims to carry the broker's time.
    #[error("a producer should not set the timestamp type to LogAppendTime")]
    InvalidTimestampType,
    /// The batch names a codec that does not exist.
    #[error("compression codec {0} does not exist")]
    UnsupportedCompression(u8),
    /// The request asks for what this broker does not do.
    #[error("{0}")]
    InvalidRequest(String),
    /// An idempotent producer's sequence or epoch does not follow what the log holds.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The offset lies outside of what the partition holds.
    #[error("offset {offset} is outside of {log_start} to {log_end}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The first offset held.
        log_start: i64,
        /// The end the reader may see.
        log_end: i64,
    },
    /// The disk failed or is full; the client may retry.
    #[error("storage: {0}")]
    Storage(String),
    /// The partition was deleted, or the broker is stopping.
    #[error("partition {0} is not hosted here any more")]
    Gone(String),
}

impl PartitionError {
    /// The code on the wire.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::CorruptMessage(_) => ErrorCode::CorruptMessage,
            Self::InvalidRecord(_) => ErrorCode::InvalidRecord,
            Self::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::InvalidTimestamp { .. } | Self::InvalidTimestampType => {
                ErrorCode::InvalidTimestamp
            }
            Self::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Self::Sequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
            Self::Sequence(SequenceError::OldEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Storage(_) => ErrorCode::KafkaStorageError,
            Self::Gone(_) => ErrorCode::NotLeaderOrFollower,
        }
    }
}

impl From<LogError> for PartitionError {
    fn from(err: LogError) -> Self {
        match err {
            LogError::OffsetOutOfRange { offset, log_start, log_end } => {
                Self::OffsetOutOfRange { offset, log_start, log_end }
            }
            LogError::Corrupt { .. } => Self::CorruptMessage(err.to_string()),
            LogError::InvalidBatch(_) => Self::CorruptMessage(err.to_string()),
            LogError::Sequence(err) => Self::Sequence(err),
            other => Self::Storage(other.to_string()),
        }
    }
}

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
    /// A producer's bytes are not one whole batch of a format that is taken.
    #[error("{0}")]
    NotOneBatch(String),
    /// A producer with an id and no epoch.
    #[error("epoch of producer {producer_id} is {epoch}, expected at least 0")]
    NegativeEpoch {
        /// The producer.
        producer_id: i64,
        /// The epoch that came.
        epoch: i16,
    },
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
    /// Records that the topic does not take; nothing of their batch is appended.
    #[error("{}", .0.message)]
    RefusedRecords(Box<RefusedRecords>),
    /// A producer's batch claims to carry the broker's time.
    #[error("a producer should not set the timestamp type to LogAppendTime")]
    InvalidTimestampType,
    /// The batch names a codec that does not exist.
    #[error("compression codec {0} does not exist")]
    UnsupportedCompression(u8),
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
    /// The topic's cleanup policy keeps what was asked to be deleted.
    #[error("records of partition {0} can not be deleted due to the configured policy")]
    PolicyViolation(String),
    /// The disk failed or is full; the client may retry.
    #[error("storage: {0}")]
    Storage(String),
    /// The partition was deleted, or the broker is stopping.
    #[error("partition {0} is not hosted here any more")]
    Gone(String),
}

/// Which records of a batch are not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedRecords {
    /// The code of the first one.
    pub(crate) code: ErrorCode,
    /// What is told of all of them.
    pub(crate) message: String,
    /// Position in the batch, and what is wrong with it.
    pub(crate) records: Vec<(i32, String)>,
}

impl PartitionError {
    /// The code on the wire.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::CorruptMessage(_) => ErrorCode::CorruptMessage,
            Self::InvalidRecord(_) | Self::NotOneBatch(_) => ErrorCode::InvalidRecord,
            Self::NegativeEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::RefusedRecords(refused) => refused.code,
            Self::InvalidTimestampType => ErrorCode::InvalidTimestamp,
            Self::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
            Self::Sequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
            Self::Sequence(SequenceError::OldEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
            Self::Sequence(SequenceError::TransactionOpen { .. }) => ErrorCode::InvalidTxnState,
            Self::Sequence(SequenceError::CoordinatorFenced { .. }) => {
                ErrorCode::TransactionCoordinatorFenced
            }
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::PolicyViolation(_) => ErrorCode::PolicyViolation,
            Self::Storage(_) => ErrorCode::KafkaStorageError,
            Self::Gone(_) => ErrorCode::NotLeaderOrFollower,
        }
    }

    /// Whether a producer is told where the partition starts: where it was the partition that refused its batch, as it is.
    pub(crate) fn tells_log_start(&self) -> bool {
        match self {
            Self::InvalidRecord(_)
            | Self::NegativeEpoch { .. }
            | Self::RefusedRecords(_)
            | Self::InvalidTimestampType
            | Self::UnsupportedCompression(_)
            | Self::Sequence(_) => true,
            Self::CorruptMessage(_)
            | Self::NotOneBatch(_)
            | Self::MessageTooLarge { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::PolicyViolation(_)
            | Self::Storage(_)
            | Self::Gone(_) => false,
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

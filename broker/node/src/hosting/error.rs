//! Why a machine has no answer.

use aquifer_broker_coordinator::RecordError;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::BatchError;

use crate::partition::PartitionError;

/// A machine that can't be brought up, or can't answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HostError {
    /// The request's records could not be written; the machine starts over from its log.
    #[error("the coordinator's log could not be written, its state is being replayed")]
    Lost,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// The machine's log holds a record that can't be read.
    #[error("{log} at offset {offset}: {source}")]
    Record {
        /// The partition.
        log: String,
        /// The record's offset.
        offset: i64,
        /// What is wrong.
        source: RecordError,
    },
    /// The machine's log holds a batch that can't be read.
    #[error("{log} at offset {offset}: {source}")]
    Batch {
        /// The partition.
        log: String,
        /// The offset that was to be read.
        offset: i64,
        /// What is wrong.
        source: BatchError,
    },
    /// The machine's log ends before its high watermark.
    #[error("{log} has no record at offset {offset}, but its high watermark is {high_watermark}")]
    Hole {
        /// The partition.
        log: String,
        /// The offset that was to be read.
        offset: i64,
        /// The end of what is durable.
        high_watermark: i64,
    },
    /// The log can't be read or written.
    #[error("{log}: {source}")]
    Partition {
        /// The partition.
        log: String,
        /// What is wrong.
        source: PartitionError,
    },
    /// A file of the log can't be read.
    #[error("{log}: {source}")]
    File {
        /// The partition.
        log: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Without the metadata log, nothing says which topics the partitions belong to; going on would delete them.
    #[error(
        "the data directory has partitions of topics ({first} and {others} others) but no metadata log: \
         restore __cluster_metadata-0, or move the partitions away"
    )]
    MetadataMissing {
        /// One of the partitions.
        first: String,
        /// How many more there are.
        others: usize,
    },
}

impl HostError {
    /// The code for requests about groups: clients look for the coordinator again, and come back.
    pub(crate) fn group_code(&self) -> ErrorCode {
        match self {
            Self::Lost | Self::Stopping => ErrorCode::NotCoordinator,
            Self::Record { .. }
            | Self::Batch { .. }
            | Self::Hole { .. }
            | Self::Partition { .. }
            | Self::File { .. }
            | Self::MetadataMissing { .. } => ErrorCode::CoordinatorLoadInProgress,
        }
    }

    /// The code for requests about topics, configs and producer ids: retriable.
    pub(crate) fn topic_code(&self) -> ErrorCode {
        match self {
            Self::Stopping => ErrorCode::NotController,
            Self::Lost
            | Self::Record { .. }
            | Self::Batch { .. }
            | Self::Hole { .. }
            | Self::Partition { .. }
            | Self::File { .. }
            | Self::MetadataMissing { .. } => ErrorCode::KafkaStorageError,
        }
    }
}

/// The code of a result on the wire.
pub(crate) fn code_of<T>(result: &Result<T, ErrorCode>) -> i16 {
    result.as_ref().err().copied().unwrap_or(ErrorCode::None).code()
}

//! Why a change of topics or configs was refused, in Kafka's words.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::primitive::Uuid;

/// A refusal; the text is what the client reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The name breaks Kafka's rules.
    #[error("Topic name is invalid: {0}")]
    InvalidName(String),
    /// Metric names mix up `.` and `_`, so that Kafka allows only one of two names that differ in them.
    #[error("Topic '{name}' collides with existing topic: {other}")]
    Collides {
        /// The name asked for.
        name: String,
        /// The topic that is there.
        other: String,
    },
    /// The topic is there.
    #[error("Topic '{0}' already exists.")]
    AlreadyExists(String),
    /// No topic has the name.
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    /// No topic has the id.
    #[error("No topic with id {0} exists.")]
    UnknownTopicId(Uuid),
    /// Fewer than one partition.
    #[error("Number of partitions was set to an invalid non-positive value: {0}")]
    InvalidPartitions(i32),
    /// More partitions than are sensible on one node.
    #[error("Excessively large number of partitions: {0}, at most {max} are allowed", max = super::PARTITIONS_MAX)]
    TooManyPartitions(i32),
}

impl TopicError {
    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidName(_) | Self::Collides { .. } => ErrorCode::InvalidTopicException,
            Self::AlreadyExists(_) => ErrorCode::TopicAlreadyExists,
            Self::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId(_) => ErrorCode::UnknownTopicId,
            Self::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
            Self::TooManyPartitions(_) => ErrorCode::PolicyViolation,
        }
    }
}

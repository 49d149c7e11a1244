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
    /// No topic has the name, where it was to be deleted.
    #[error("This server does not host this topic-partition.")]
    NotHosted,
    /// No topic has the id.
    #[error("This server does not host this topic ID.")]
    UnknownTopicId(Uuid),
    /// Fewer than one partition.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    InvalidPartitions,
    /// The topic has as many partitions as were asked for.
    #[error("Topic already has {0} partition(s).")]
    HasPartitions(i32),
    /// The topic has more partitions than were asked for.
    #[error(
        "The topic {topic} currently has {current} partition(s); {asked} would not be an increase."
    )]
    NoIncrease {
        /// The topic.
        topic: String,
        /// How many it has.
        current: i32,
        /// How many were asked for.
        asked: i32,
    },
    /// The assignment by hand is not one for each new partition.
    #[error(
        "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
    )]
    WrongAssignmentCount {
        /// How many partitions were to be added.
        added: i32,
        /// How many were assigned.
        assigned: usize,
    },
    /// More partitions than are sensible on one node.
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
}

impl TopicError {
    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidName(_) | Self::Collides { .. } => ErrorCode::InvalidTopicException,
            Self::AlreadyExists(_) => ErrorCode::TopicAlreadyExists,
            Self::UnknownTopic(_) | Self::NotHosted => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId(_) => ErrorCode::UnknownTopicId,
            Self::InvalidPartitions | Self::HasPartitions(_) | Self::NoIncrease { .. } => {
                ErrorCode::InvalidPartitions
            }
            Self::WrongAssignmentCount { .. } => ErrorCode::InvalidReplicaAssignment,
            Self::TooManyPartitions => ErrorCode::PolicyViolation,
        }
    }
}

//! CreatePartitions, v0 to v3: adds partitions to topics.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_CreatePartitions>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Adds partitions to topics.
    pub struct CreatePartitionsRequest<'a> [0..=3, flexible 2..] {
        /// The topics.
        topics: Vec<CreatePartitionsTopic<'a>> [0..],
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..],
        /// Whether to check the request and to change nothing.
        validate_only: bool [0..],
    }

    /// The partitions of one topic.
    pub struct CreatePartitionsTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Number of partitions to have in all.
        count: i32 [0..],
        /// Who holds the new partitions, null to let the broker choose.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0.., nullable 0..],
    }

    /// Who holds one new partition.
    pub struct CreatePartitionsAssignment {
        /// Ids of the brokers.
        broker_ids: Vec<i32> [0..],
    }

    /// Whether the partitions were added.
    pub struct CreatePartitionsResponse<'a> [0..=3, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<CreatePartitionsTopicResult<'a>> [0..],
    }

    /// The result of one topic.
    pub struct CreatePartitionsTopicResult<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
    }
}

//! ListPartitionReassignments, v0: asks which partitions are moving between brokers.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ListPartitionReassignments>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks which partitions are moving between brokers.
    pub struct ListPartitionReassignmentsRequest<'a> [0..=0, flexible 0..] {
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// Topics that are asked for, null for all.
        topics: Option<Vec<ListPartitionReassignmentsTopics<'a>>> [0.., nullable 0..],
    }

    /// The partitions of one topic.
    pub struct ListPartitionReassignmentsTopics<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partition_indexes: Vec<i32> [0..],
    }

    /// The partitions that are moving.
    pub struct ListPartitionReassignmentsResponse<'a> [0..=0, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// The topics.
        topics: Vec<OngoingTopicReassignment<'a>> [0..],
    }

    /// The partitions of one topic that are moving.
    pub struct OngoingTopicReassignment<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// A partition that is moving.
    pub struct OngoingPartitionReassignment {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Ids of the brokers that hold the partition.
        replicas: Vec<i32> [0..],
        /// Ids of the brokers that are being added.
        adding_replicas: Vec<i32> [0..],
        /// Ids of the brokers that are being removed.
        removing_replicas: Vec<i32> [0..],
    }
}

//! AlterPartitionReassignments, v0 and v1: moves partitions between brokers, or stops that.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_AlterPartitionReassignments>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Moves partitions between brokers, or stops that.
    pub struct AlterPartitionReassignmentsRequest<'a> [0..=1, flexible 0..] {
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// Whether the number of replicas may change. Since v1.
        allow_replication_factor_change: bool [1..] = true,
        /// The topics.
        topics: Vec<ReassignableTopic<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct ReassignableTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// A partition that is to move.
    pub struct ReassignablePartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Ids of the brokers that are to hold it, null to stop a move.
        replicas: Option<Vec<i32>> [0.., nullable 0..],
    }

    /// Whether the partitions move.
    pub struct AlterPartitionReassignmentsResponse<'a> [0..=1, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What the request said. Since v1.
        allow_replication_factor_change: bool [1.., ignorable] = true,
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// The results.
        responses: Vec<ReassignableTopicResponse<'a>> [0..],
    }

    /// The results of one topic.
    pub struct ReassignableTopicResponse<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The results per partition.
        partitions: Vec<ReassignablePartitionResponse<'a>> [0..],
    }

    /// The result of one partition.
    pub struct ReassignablePartitionResponse<'a> {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
    }
}

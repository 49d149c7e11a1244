//! OffsetFetch, v1 to v10: asks for the offsets of one group, or since v8 of several.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_OffsetFetch>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Asks for the offsets of one group, or since v8 of several.
    pub struct OffsetFetchRequest<'a> [1..=10, flexible 6..] {
        /// Id of the group. Up to v7.
        group_id: Cow<'a, str> [0..=7],
        /// Topics that are asked for, null for all that the group has committed. Up to v7.
        topics: Option<Vec<OffsetFetchRequestTopic<'a>>> [0..=7, nullable 2..=7],
        /// The groups. Since v8.
        groups: Vec<OffsetFetchRequestGroup<'a>> [8..],
        /// Whether offsets with an undecided transaction are refused instead of answered. Since v7.
        require_stable: bool [7..],
    }

    /// The partitions of one topic. Up to v7.
    pub struct OffsetFetchRequestTopic<'a> {
        /// Name of the topic. Up to v7.
        name: Cow<'a, str> [0..=7],
        /// Numbers of the partitions. Up to v7.
        partition_indexes: Vec<i32> [0..=7],
    }

    /// The topics of one group. Since v8.
    pub struct OffsetFetchRequestGroup<'a> {
        /// Id of the group. Since v8.
        group_id: Cow<'a, str> [8..],
        /// Id that the coordinator gave the member; empty when it has none yet. Since v9.
        member_id: Option<Cow<'a, str>> [9.., nullable 9.., ignorable],
        /// Epoch of the member (KIP-848), -1 if it has none. Since v9.
        member_epoch: i32 [9.., ignorable] = -1,
        /// Topics that are asked for, null for all that the group has committed. Since v8.
        topics: Option<Vec<OffsetFetchRequestTopics<'a>>> [8.., nullable 8..],
    }

    /// The partitions of one topic. Since v8.
    pub struct OffsetFetchRequestTopics<'a> {
        /// Name of the topic. Since v8. Up to v9.
        name: Cow<'a, str> [8..=9, ignorable],
        /// Id of the topic, zero if it is not known. Since v10.
        topic_id: Uuid [10.., ignorable],
        /// Numbers of the partitions. Since v8.
        partition_indexes: Vec<i32> [8..],
    }

    /// The committed offsets.
    pub struct OffsetFetchResponse<'a> [1..=10, flexible 6..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v3.
        throttle_time_ms: i32 [3.., ignorable],
        /// The topics. Up to v7.
        topics: Vec<OffsetFetchResponseTopic<'a>> [0..=7],
        /// What went wrong, 0 if nothing. Since v2. Up to v7.
        error_code: i16 [2..=7, ignorable],
        /// The groups. Since v8.
        groups: Vec<OffsetFetchResponseGroup<'a>> [8..],
    }

    /// The offsets of one topic. Up to v7.
    pub struct OffsetFetchResponseTopic<'a> {
        /// Name of the topic. Up to v7.
        name: Cow<'a, str> [0..=7],
        /// The partitions. Up to v7.
        partitions: Vec<OffsetFetchResponsePartition<'a>> [0..=7],
    }

    /// The offset of one partition. Up to v7.
    pub struct OffsetFetchResponsePartition<'a> {
        /// Number of the partition. Up to v7.
        partition_index: i32 [0..=7],
        /// The committed offset, -1 if there is none. Up to v7.
        committed_offset: i64 [0..=7],
        /// Leader epoch of the last record that was consumed, -1 if it is not known. Since v5. Up to v7.
        committed_leader_epoch: i32 [5..=7, ignorable] = -1,
        /// The text that was committed with the offset. Up to v7.
        metadata: Option<Cow<'a, str>> [0..=7, nullable 0..=7],
        /// What went wrong, 0 if nothing. Up to v7.
        error_code: i16 [0..=7],
    }

    /// The offsets of one group. Since v8.
    pub struct OffsetFetchResponseGroup<'a> {
        /// Id of the group. Since v8.
        group_id: Cow<'a, str> [8..],
        /// The topics. Since v8.
        topics: Vec<OffsetFetchResponseTopics<'a>> [8..],
        /// What went wrong, 0 if nothing. Since v8.
        error_code: i16 [8..],
    }

    /// The offsets of one topic. Since v8.
    pub struct OffsetFetchResponseTopics<'a> {
        /// Name of the topic. Since v8. Up to v9.
        name: Cow<'a, str> [8..=9, ignorable],
        /// Id of the topic, zero if it is not known. Since v10.
        topic_id: Uuid [10.., ignorable],
        /// The partitions. Since v8.
        partitions: Vec<OffsetFetchResponsePartitions<'a>> [8..],
    }

    /// The offset of one partition. Since v8.
    pub struct OffsetFetchResponsePartitions<'a> {
        /// Number of the partition. Since v8.
        partition_index: i32 [8..],
        /// The committed offset, -1 if there is none. Since v8.
        committed_offset: i64 [8..],
        /// Leader epoch of the last record that was consumed, -1 if it is not known. Since v8.
        committed_leader_epoch: i32 [8.., ignorable] = -1,
        /// The text that was committed with the offset. Since v8.
        metadata: Option<Cow<'a, str>> [8.., nullable 8..],
        /// What went wrong, 0 if nothing. Since v8.
        error_code: i16 [8..],
    }
}

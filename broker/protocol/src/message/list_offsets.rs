//! ListOffsets, v0 to v11: asks for offsets by time, or for the ends of partitions.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ListOffsets>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for offsets by time, or for the ends of partitions.
    pub struct ListOffsetsRequest<'a> [0..=11, flexible 6..] {
        /// Id of the broker that follows, -1 from a consumer.
        replica_id: i32 [0..],
        /// What of transactions is visible: 0 everything, 1 only what is committed. Since v2.
        isolation_level: i8 [2..],
        /// The topics.
        topics: Vec<ListOffsetsTopic<'a>> [0..],
        /// How long the broker may wait, in milliseconds. Since v10.
        timeout_ms: i32 [10.., ignorable],
    }

    /// The places in one topic.
    pub struct ListOffsetsTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// The place in one partition.
    pub struct ListOffsetsPartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Leader epoch that the client knows, -1 to skip the check. Since v4.
        current_leader_epoch: i32 [4.., ignorable] = -1,
        /// First offset at or after this time, in milliseconds; or -1 the end, -2 the start, -3 the largest timestamp, -4 the local start, -5 the last tiered, -6 the first not yet tiered.
        timestamp: i64 [0..],
        /// How many offsets may be answered. In v0.
        max_num_offsets: i32 [0..=0, ignorable] = 1,
    }

    /// The offsets that were found.
    pub struct ListOffsetsResponse<'a> [0..=11, flexible 6..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v2.
        throttle_time_ms: i32 [2.., ignorable],
        /// The topics.
        topics: Vec<ListOffsetsTopicResponse<'a>> [0..],
    }

    /// The offsets in one topic.
    pub struct ListOffsetsTopicResponse<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// The offset in one partition.
    pub struct ListOffsetsPartitionResponse {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// The offsets that were found, the largest first. In v0.
        old_style_offsets: Vec<i64> [0..=0, ignorable],
        /// Timestamp of the record that was found in milliseconds, -1 if none was. Since v1.
        timestamp: i64 [1.., ignorable] = -1,
        /// The offset that was found, -1 if none was. Since v1.
        offset: i64 [1.., ignorable] = -1,
        /// Epoch of the leader, -1 if it is not known. Since v4.
        leader_epoch: i32 [4..] = -1,
    }
}

//! OffsetDelete, v0: deletes offsets of a group.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_OffsetDelete>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Deletes offsets of a group.
    pub struct OffsetDeleteRequest<'a> [0..=0] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct OffsetDeleteRequestTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// A partition.
    pub struct OffsetDeleteRequestPartition {
        /// Number of the partition.
        partition_index: i32 [0..],
    }

    /// Whether the offsets were deleted.
    pub struct OffsetDeleteResponse<'a> [0..=0] {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0.., ignorable],
        /// The results.
        topics: Vec<OffsetDeleteResponseTopic<'a>> [0..],
    }

    /// The results of one topic.
    pub struct OffsetDeleteResponseTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The results per partition.
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct OffsetDeleteResponsePartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

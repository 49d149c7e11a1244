//! OffsetCommit, v1 to v10: keeps the offsets of a group.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_OffsetCommit>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Keeps the offsets of a group.
    pub struct OffsetCommitRequest<'a> [1..=10, flexible 8..] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Generation of a classic group, or epoch of the member from v9 on (KIP-848); -1 from outside a group.
        generation_id_or_member_epoch: i32 [1.., ignorable] = -1,
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [1.., ignorable],
        /// The member's name if it is static, else null. Since v7.
        group_instance_id: Option<Cow<'a, str>> [7.., nullable 7..],
        /// How long to keep the offset in milliseconds, -1 for the broker's default. Up to v4.
        retention_time_ms: i64 [2..=4, ignorable] = -1,
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic<'a>> [0..],
    }

    /// The offsets of one topic.
    pub struct OffsetCommitRequestTopic<'a> {
        /// Name of the topic. Up to v9.
        name: Cow<'a, str> [0..=9, ignorable],
        /// Id of the topic, zero if it is not known. Since v10.
        topic_id: Uuid [10.., ignorable],
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition<'a>> [0..],
    }

    /// The offset of one partition.
    pub struct OffsetCommitRequestPartition<'a> {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// The offset to commit: the next one to read.
        committed_offset: i64 [0..],
        /// Leader epoch of the last record that was consumed, -1 if it is not known. Since v6.
        committed_leader_epoch: i32 [6.., ignorable] = -1,
        /// When the offset was committed, in milliseconds; -1 for now. In v1.
        commit_timestamp: i64 [1..=1, ignorable] = -1,
        /// A text that is kept with the offset.
        committed_metadata: Option<Cow<'a, str>> [0.., nullable 0..],
    }

    /// Whether the offsets were kept.
    pub struct OffsetCommitResponse<'a> [1..=10, flexible 8..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v3.
        throttle_time_ms: i32 [3.., ignorable],
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic<'a>> [0..],
    }

    /// The results of one topic.
    pub struct OffsetCommitResponseTopic<'a> {
        /// Name of the topic. Up to v9.
        name: Cow<'a, str> [0..=9, ignorable],
        /// Id of the topic, zero if it is not known. Since v10.
        topic_id: Uuid [10.., ignorable],
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct OffsetCommitResponsePartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

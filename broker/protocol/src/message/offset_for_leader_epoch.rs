//! OffsetForLeaderEpoch, v0 to v4: asks where a leader epoch ends, to find where a log was cut.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_OffsetForLeaderEpoch>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks where a leader epoch ends, to find where a log was cut.
    pub struct OffsetForLeaderEpochRequest<'a> [0..=4, flexible 4..] {
        /// Id of the broker that follows, -1 from a consumer. Since v3.
        replica_id: i32 [3.., ignorable] = -2,
        /// The topics.
        topics: Vec<OffsetForLeaderTopic<'a>> [0..],
    }

    /// The epochs of one topic.
    pub struct OffsetForLeaderTopic<'a> {
        /// Name of the topic.
        topic: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    /// The epoch of one partition.
    pub struct OffsetForLeaderPartition {
        /// Number of the partition.
        partition: i32 [0..],
        /// Leader epoch that the client knows, -1 to skip the check. Since v2.
        current_leader_epoch: i32 [2.., ignorable] = -1,
        /// Leader epoch whose end is asked for.
        leader_epoch: i32 [0..],
    }

    /// Where the epochs end.
    pub struct OffsetForLeaderEpochResponse<'a> [0..=4, flexible 4..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v2.
        throttle_time_ms: i32 [2.., ignorable],
        /// The topics.
        topics: Vec<OffsetForLeaderTopicResult<'a>> [0..],
    }

    /// The ends in one topic.
    pub struct OffsetForLeaderTopicResult<'a> {
        /// Name of the topic.
        topic: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<EpochEndOffset> [0..],
    }

    /// A leader epoch and where it ends.
    pub struct EpochEndOffset {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Number of the partition.
        partition: i32 [0..],
        /// Epoch of the leader, -1 if it is not known. Since v1.
        leader_epoch: i32 [1.., ignorable] = -1,
        /// First offset after the epoch, -1 if it is not known.
        end_offset: i64 [0..] = -1,
    }
}

//! TxnOffsetCommit, v0 to v5: keeps offsets of a group once a transaction is committed.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_TxnOffsetCommit>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Keeps offsets of a group once a transaction is committed.
    pub struct TxnOffsetCommitRequest<'a> [0..=5, flexible 3..] {
        /// The transactional id.
        transactional_id: Cow<'a, str> [0..],
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Epoch of the producer.
        producer_epoch: i16 [0..],
        /// Generation of the group, or epoch of the member; -1 if it is not told. Since v3.
        generation_id: i32 [3..] = -1,
        /// Id that the coordinator gave the member, empty if it is not told. Since v3.
        member_id: Cow<'a, str> [3..],
        /// Name that a static member gives itself, null for others. Since v3.
        group_instance_id: Option<Cow<'a, str>> [3.., nullable 3..],
        /// The topics.
        topics: Vec<TxnOffsetCommitRequestTopic<'a>> [0..],
    }

    /// The offsets of one topic.
    pub struct TxnOffsetCommitRequestTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<TxnOffsetCommitRequestPartition<'a>> [0..],
    }

    /// The offset of one partition.
    pub struct TxnOffsetCommitRequestPartition<'a> {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// The offset to keep: of the next record to read.
        committed_offset: i64 [0..],
        /// Leader epoch of the last record that was read, -1 if it is not known. Since v2.
        committed_leader_epoch: i32 [2.., ignorable] = -1,
        /// A text that the client keeps with the offset.
        committed_metadata: Option<Cow<'a, str>> [0.., nullable 0..],
    }

    /// Whether the offsets are in the transaction.
    pub struct TxnOffsetCommitResponse<'a> [0..=5, flexible 3..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        topics: Vec<TxnOffsetCommitResponseTopic<'a>> [0..],
    }

    /// The results of one topic.
    pub struct TxnOffsetCommitResponseTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The results per partition.
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct TxnOffsetCommitResponsePartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

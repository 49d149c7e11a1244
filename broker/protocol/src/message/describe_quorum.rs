//! DescribeQuorum, v0 to v2: asks who keeps the metadata of the cluster.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeQuorum>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Asks who keeps the metadata of the cluster.
    pub struct DescribeQuorumRequest<'a> [0..=2, flexible 0..] {
        /// The topics: the one of the metadata.
        topics: Vec<TopicRequest<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct TopicRequest<'a> {
        /// Name of the topic.
        topic_name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<PartitionRequest> [0..],
    }

    /// A partition.
    pub struct PartitionRequest {
        /// Number of the partition.
        partition_index: i32 [0..],
    }

    /// Who keeps the metadata.
    pub struct DescribeQuorumResponse<'a> [0..=2, flexible 0..] {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing. Since v2.
        error_message: Option<Cow<'a, str>> [2.., nullable 2.., ignorable],
        /// The topics.
        topics: Vec<TopicData<'a>> [0..],
        /// The controllers that are named above. Since v2.
        nodes: Vec<Node<'a>> [2.., ignorable],
    }

    /// The partitions of one topic.
    pub struct TopicData<'a> {
        /// Name of the topic.
        topic_name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<PartitionData<'a>> [0..],
    }

    /// Who keeps one partition.
    pub struct PartitionData<'a> {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing. Since v2.
        error_message: Option<Cow<'a, str>> [2.., nullable 2.., ignorable],
        /// Id of the leader, -1 if there is none.
        leader_id: i32 [0..],
        /// Epoch of the leader.
        leader_epoch: i32 [0..],
        /// Offset up to which every voter's majority has the log.
        high_watermark: i64 [0..],
        /// Who votes.
        current_voters: Vec<ReplicaState> [0..],
        /// Who follows without a vote.
        observers: Vec<ReplicaState> [0..],
    }

    /// How far one replica is.
    pub struct ReplicaState {
        /// Id of the replica.
        replica_id: i32 [0..],
        /// Id of its log directory. Since v2.
        replica_directory_id: Uuid [2.., ignorable],
        /// Offset after its last record, -1 if it is not known.
        log_end_offset: i64 [0..],
        /// When it last fetched from the leader, in milliseconds; -1 for the leader itself. Since v1.
        last_fetch_timestamp: i64 [1.., ignorable] = -1,
        /// When it last had all that the leader has, in milliseconds; -1 if it is not known. Since v1.
        last_caught_up_timestamp: i64 [1.., ignorable] = -1,
    }

    /// A controller. Since v2.
    pub struct Node<'a> {
        /// Id of the controller. Since v2.
        node_id: i32 [2..],
        /// Where it can be reached. Since v2.
        listeners: Vec<Listener<'a>> [2..],
    }

    /// Where a controller can be reached. Since v2.
    pub struct Listener<'a> {
        /// Name of the listener. Since v2.
        name: Cow<'a, str> [2..],
        /// Its host. Since v2.
        host: Cow<'a, str> [2..],
        /// Its port. Since v2.
        port: u16 [2..],
    }
}

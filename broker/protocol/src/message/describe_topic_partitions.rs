//! DescribeTopicPartitions, v0: asks for the partitions of topics, a page at a time.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeTopicPartitions>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Asks for the partitions of topics, a page at a time.
    pub struct DescribeTopicPartitionsRequest<'a> [0..=0, flexible 0..] {
        /// The topics, empty for all.
        topics: Vec<TopicRequest<'a>> [0..],
        /// Number of partitions that the response may have.
        response_partition_limit: i32 [0..] = 2000,
        /// Where the page begins, null for the first one.
        cursor: Option<Box<Cursor<'a>>> [0.., nullable 0..],
    }

    /// A topic.
    pub struct TopicRequest<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
    }

    /// Where a page begins.
    pub struct Cursor<'a> {
        /// Name of its first topic.
        topic_name: Cow<'a, str> [0..],
        /// Number of its first partition.
        partition_index: i32 [0..],
    }

    /// A page of partitions.
    pub struct DescribeTopicPartitionsResponse<'a> [0..=0, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0.., ignorable],
        /// The topics.
        topics: Vec<DescribeTopicPartitionsResponseTopic<'a>> [0..],
        /// Where the next page begins, null if this is the last.
        next_cursor: Option<Box<Cursor<'a>>> [0.., nullable 0..],
    }

    /// The partitions of one topic.
    pub struct DescribeTopicPartitionsResponseTopic<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Name of the topic.
        name: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Id of the topic.
        topic_id: Uuid [0.., ignorable],
        /// Whether the broker itself keeps its state in the topic.
        is_internal: bool [0.., ignorable],
        /// The partitions.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0..],
        /// What the client may do with the topic, a bit per operation; the smallest number if it is not told.
        topic_authorized_operations: i32 [0..] = i32::MIN,
    }

    /// A partition.
    pub struct DescribeTopicPartitionsResponsePartition {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Id of the leader, -1 if there is none.
        leader_id: i32 [0..],
        /// Epoch of the leader, -1 if it is not known.
        leader_epoch: i32 [0.., ignorable] = -1,
        /// Ids of the brokers that hold the partition.
        replica_nodes: Vec<i32> [0..],
        /// Ids of the brokers that are in sync.
        isr_nodes: Vec<i32> [0..],
        /// Ids of the brokers that have all records and are not in sync, null if it is not known.
        eligible_leader_replicas: Option<Vec<i32>> [0.., nullable 0..],
        /// Ids of the brokers that had all records last, null if it is not known.
        last_known_elr: Option<Vec<i32>> [0.., nullable 0..],
        /// Ids of the brokers that hold the partition and do not live.
        offline_replicas: Vec<i32> [0.., ignorable],
    }
}

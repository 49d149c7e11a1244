//! DescribeProducers, v0: asks who writes to partitions.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeProducers>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks who writes to partitions.
    pub struct DescribeProducersRequest<'a> [0..=0, flexible 0..] {
        /// The topics.
        topics: Vec<TopicRequest<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct TopicRequest<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partition_indexes: Vec<i32> [0..],
    }

    /// Who writes to the partitions.
    pub struct DescribeProducersResponse<'a> [0..=0, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<TopicResponse<'a>> [0..],
    }

    /// The producers of one topic.
    pub struct TopicResponse<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<PartitionResponse<'a>> [0..],
    }

    /// The producers of one partition.
    pub struct PartitionResponse<'a> {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// The producers.
        active_producers: Vec<ProducerState> [0..],
    }

    /// A producer.
    pub struct ProducerState {
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Epoch of the producer.
        producer_epoch: i32 [0..],
        /// Sequence number of its last record, -1 if it has none.
        last_sequence: i32 [0..] = -1,
        /// Time of its last record in milliseconds, -1 if it has none.
        last_timestamp: i64 [0..] = -1,
        /// Epoch of the coordinator that wrote its last marker, -1 if there is none.
        coordinator_epoch: i32 [0..],
        /// First offset of its open transaction, -1 if none is open.
        current_txn_start_offset: i64 [0..] = -1,
    }
}

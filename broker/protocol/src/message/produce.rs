//! Produce, v0 to v13: record batches to append. v0 to v2 are declared so that they can be refused in words.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_Produce>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Record batches to append. v0 to v2 are declared so that they can be refused in words.
    pub struct ProduceRequest<'a> [0..=13, flexible 9..] {
        /// The producer's transactional id, null without transactions. Since v3.
        transactional_id: Option<Cow<'a, str>> [3.., nullable 3..],
        /// Acknowledgements asked for: 0 none (and no response), 1 the leader's, -1 all in-sync replicas'.
        acks: i16 [0..],
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..],
        /// The topics to write to.
        topic_data: Vec<TopicProduceData<'a>> [0..],
    }

    /// The batches of one topic.
    pub struct TopicProduceData<'a> {
        /// Name of the topic. Up to v12.
        name: Cow<'a, str> [0..=12, ignorable],
        /// Id of the topic, zero if it is not known. Since v13.
        topic_id: Uuid [13.., ignorable],
        /// The partitions to write to.
        partition_data: Vec<PartitionProduceData<'a>> [0..],
    }

    /// The batch of one partition.
    pub struct PartitionProduceData<'a> {
        /// Number of the partition.
        index: i32 [0..],
        /// One record batch, a slice of the frame.
        records: Option<&'a [u8]> [0.., nullable 0..],
    }

    /// Where the batches went. There is no response to acks=0.
    pub struct ProduceResponse<'a> [0..=13, flexible 9..] {
        /// The results.
        responses: Vec<TopicProduceResponse<'a>> [0..],
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// Where the leaders named in the response can be reached. Since v10.
        node_endpoints: Vec<NodeEndpoint<'a>> [10.., tag 0],
    }

    /// The results of one topic.
    pub struct TopicProduceResponse<'a> {
        /// Name of the topic. Up to v12.
        name: Cow<'a, str> [0..=12, ignorable],
        /// Id of the topic, zero if it is not known. Since v13.
        topic_id: Uuid [13.., ignorable],
        /// The results per partition.
        partition_responses: Vec<PartitionProduceResponse<'a>> [0..],
    }

    /// The result of one partition.
    pub struct PartitionProduceResponse<'a> {
        /// Number of the partition.
        index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Offset of the first record that was written, -1 after an error.
        base_offset: i64 [0..],
        /// When the broker appended the batch, in milliseconds, if the topic is configured so; else -1. Since v2.
        log_append_time_ms: i64 [2.., ignorable] = -1,
        /// First offset of the partition, -1 if it is not known. Since v5.
        log_start_offset: i64 [5.., ignorable] = -1,
        /// The records that made the broker refuse the batch. Since v8.
        record_errors: Vec<BatchIndexAndErrorMessage<'a>> [8.., ignorable],
        /// What went wrong, in words; null if nothing. Since v8.
        error_message: Option<Cow<'a, str>> [8.., nullable 8.., ignorable],
        /// Who leads now, so that the client need not ask. Since v10.
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// A record that was refused.
    pub struct BatchIndexAndErrorMessage<'a> {
        /// Position of the record in the batch. Since v8.
        batch_index: i32 [8..],
        /// What is wrong with the record. Since v8.
        batch_index_error_message: Option<Cow<'a, str>> [8.., nullable 8..],
    }

    /// A leader and its epoch.
    pub struct LeaderIdAndEpoch {
        /// Id of the leader, -1 if there is none. Since v10.
        leader_id: i32 [10..] = -1,
        /// Epoch of the leader, -1 if it is not known. Since v10.
        leader_epoch: i32 [10..] = -1,
    }

    /// Where a broker is.
    pub struct NodeEndpoint<'a> {
        /// Id of the broker. Since v10.
        node_id: i32 [10..],
        /// Host that clients connect to. Since v10.
        host: Cow<'a, str> [10..],
        /// Port that clients connect to. Since v10.
        port: i32 [10..],
        /// Rack of the broker, null if it has none. Since v10.
        rack: Option<Cow<'a, str>> [10.., nullable 10..],
    }
}

//! AddPartitionsToTxn, v0 to v5: adds partitions to a transaction, or since v4 to several.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_AddPartitionsToTxn>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Adds partitions to a transaction; since v4, which brokers send, to several.
    pub struct AddPartitionsToTxnRequest<'a> [0..=5, flexible 3..] {
        /// The transactions. Since v4.
        transactions: Vec<AddPartitionsToTxnTransaction<'a>> [4..],
        /// The transactional id. Up to v3.
        v3_and_below_transactional_id: Cow<'a, str> [0..=3],
        /// Id of the producer. Up to v3.
        v3_and_below_producer_id: i64 [0..=3],
        /// Epoch of the producer. Up to v3.
        v3_and_below_producer_epoch: i16 [0..=3],
        /// The topics. Up to v3.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic<'a>> [0..=3],
    }

    /// The partitions of one transaction. Since v4.
    pub struct AddPartitionsToTxnTransaction<'a> {
        /// The transactional id. Since v4.
        transactional_id: Cow<'a, str> [4..],
        /// Id of the producer. Since v4.
        producer_id: i64 [4..],
        /// Epoch of the producer. Since v4.
        producer_epoch: i16 [4..],
        /// Whether to check that the partitions are in the transaction, and to add nothing. Since v4.
        verify_only: bool [4..],
        /// The topics. Since v4.
        topics: Vec<AddPartitionsToTxnTopic<'a>> [4..],
    }

    /// The partitions of one topic.
    pub struct AddPartitionsToTxnTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }

    /// Whether the partitions are in their transactions.
    pub struct AddPartitionsToTxnResponse<'a> [0..=5, flexible 3..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing. Since v4.
        error_code: i16 [4.., ignorable],
        /// The results per transaction. Since v4.
        results_by_transaction: Vec<AddPartitionsToTxnResult<'a>> [4..],
        /// The results. Up to v3.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult<'a>> [0..=3],
    }

    /// The results of one transaction. Since v4.
    pub struct AddPartitionsToTxnResult<'a> {
        /// The transactional id. Since v4.
        transactional_id: Cow<'a, str> [4..],
        /// The results. Since v4.
        topic_results: Vec<AddPartitionsToTxnTopicResult<'a>> [4..],
    }

    /// The results of one topic.
    pub struct AddPartitionsToTxnTopicResult<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The results per partition.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct AddPartitionsToTxnPartitionResult {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        partition_error_code: i16 [0..],
    }
}

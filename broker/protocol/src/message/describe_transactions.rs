//! DescribeTransactions, v0: asks for the state of transactions.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeTransactions>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the state of transactions.
    pub struct DescribeTransactionsRequest<'a> [0..=0, flexible 0..] {
        /// The transactional ids.
        transactional_ids: Vec<Cow<'a, str>> [0..],
    }

    /// The state of the transactions.
    pub struct DescribeTransactionsResponse<'a> [0..=0, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The transactions.
        transaction_states: Vec<TransactionState<'a>> [0..],
    }

    /// The state of one transaction.
    pub struct TransactionState<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// The transactional id.
        transactional_id: Cow<'a, str> [0..],
        /// Name of the state.
        transaction_state: Cow<'a, str> [0..],
        /// How long the transaction may stay open, in milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// When the transaction began, in milliseconds; -1 if none is open.
        transaction_start_time_ms: i64 [0..],
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Epoch of the producer.
        producer_epoch: i16 [0..],
        /// What is in the transaction; while it ends, what has no marker yet.
        topics: Vec<TopicData<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct TopicData<'a> {
        /// Name of the topic.
        topic: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }
}

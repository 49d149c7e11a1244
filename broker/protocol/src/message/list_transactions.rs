//! ListTransactions, v0 to v2: asks for the transactions that this broker coordinates.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ListTransactions>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the transactions that this broker coordinates.
    pub struct ListTransactionsRequest<'a> [0..=2, flexible 0..] {
        /// Names of the states to list, empty for all.
        state_filters: Vec<Cow<'a, str>> [0..],
        /// Ids of the producers to list, empty for all.
        producer_id_filters: Vec<i64> [0..],
        /// List only what runs longer than this, in milliseconds; below 0 for all. Since v1.
        duration_filter: i64 [1..] = -1,
        /// List only transactional ids that this regular expression matches; null or empty for all. Since v2.
        transactional_id_pattern: Option<Cow<'a, str>> [2.., nullable 2..],
    }

    /// The transactions.
    pub struct ListTransactionsResponse<'a> [0..=2, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What of the request is no name of a state.
        unknown_state_filters: Vec<Cow<'a, str>> [0..],
        /// The transactions.
        transaction_states: Vec<TransactionState<'a>> [0..],
    }

    /// A transaction.
    pub struct TransactionState<'a> {
        /// The transactional id.
        transactional_id: Cow<'a, str> [0..],
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Name of the state.
        transaction_state: Cow<'a, str> [0..],
    }
}

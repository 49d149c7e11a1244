//! EndTxn, v0 to v5: commits or aborts a transaction.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_EndTxn>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Commits or aborts a transaction.
    pub struct EndTxnRequest<'a> [0..=5, flexible 3..] {
        /// The transactional id.
        transactional_id: Cow<'a, str> [0..],
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Epoch of the producer.
        producer_epoch: i16 [0..],
        /// Whether to commit; else the transaction is aborted.
        committed: bool [0..],
    }

    /// Whether the transaction ended, and since v5 with whom the next one is made (KIP-890).
    pub struct EndTxnResponse [0..=5, flexible 3..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Id of the producer for the next transaction. Since v5.
        producer_id: i64 [5.., ignorable] = -1,
        /// Epoch of the producer for the next transaction. Since v5.
        producer_epoch: i16 [5.., ignorable] = -1,
    }
}

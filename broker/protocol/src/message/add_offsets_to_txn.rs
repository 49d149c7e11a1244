//! AddOffsetsToTxn, v0 to v4: adds the offsets of a group to a transaction.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_AddOffsetsToTxn>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Adds the offsets of a group to a transaction.
    pub struct AddOffsetsToTxnRequest<'a> [0..=4, flexible 3..] {
        /// The transactional id.
        transactional_id: Cow<'a, str> [0..],
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Epoch of the producer.
        producer_epoch: i16 [0..],
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
    }

    /// Whether the group is in the transaction.
    pub struct AddOffsetsToTxnResponse [0..=4, flexible 3..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

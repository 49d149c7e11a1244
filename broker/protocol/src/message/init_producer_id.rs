//! InitProducerId, v0 to v5: asks for a producer id, or for a new epoch of one (KIP-360).
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_InitProducerId>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for a producer id, or for a new epoch of one (KIP-360).
    pub struct InitProducerIdRequest<'a> [0..=5, flexible 2..] {
        /// The producer's transactional id, null without transactions.
        transactional_id: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Idle time after which a transaction is aborted, in milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// Id of the producer. Since v3.
        producer_id: i64 [3..] = -1,
        /// Epoch of the producer, -1 if it has none. Since v3.
        producer_epoch: i16 [3..] = -1,
    }

    /// The producer's id and epoch.
    pub struct InitProducerIdResponse [0..=5, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Id of the producer.
        producer_id: i64 [0..] = -1,
        /// Epoch of the producer, -1 if it has none.
        producer_epoch: i16 [0..],
    }
}

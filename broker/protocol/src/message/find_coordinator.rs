//! FindCoordinator, v0 to v6: asks which broker coordinates a group or a transactional id.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_FindCoordinator>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks which broker coordinates a group or a transactional id.
    pub struct FindCoordinatorRequest<'a> [0..=6, flexible 3..] {
        /// The group id, or transactional id. Up to v3.
        key: Cow<'a, str> [0..=3],
        /// What the key is: 0 a group, 1 a transactional id, 2 a share group. Since v1.
        key_type: i8 [1..],
        /// The group ids, or transactional ids. Since v4.
        coordinator_keys: Vec<Cow<'a, str>> [4..],
    }

    /// The coordinators: up to v3 one in the fields of the response, since v4 a list.
    pub struct FindCoordinatorResponse<'a> [0..=6, flexible 3..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// What went wrong, 0 if nothing. Up to v3.
        error_code: i16 [0..=3],
        /// What went wrong, in words; null if nothing. Since v1. Up to v3.
        error_message: Option<Cow<'a, str>> [1..=3, nullable 1..=3, ignorable],
        /// Id of the broker. Up to v3.
        node_id: i32 [0..=3],
        /// Host that clients connect to. Up to v3.
        host: Cow<'a, str> [0..=3],
        /// Port that clients connect to. Up to v3.
        port: i32 [0..=3],
        /// The coordinators that were found. Since v4.
        coordinators: Vec<Coordinator<'a>> [4..],
    }

    /// The coordinator of one key.
    pub struct Coordinator<'a> {
        /// The group id, or transactional id. Since v4.
        key: Cow<'a, str> [4..],
        /// Id of the broker. Since v4.
        node_id: i32 [4..],
        /// Host that clients connect to. Since v4.
        host: Cow<'a, str> [4..],
        /// Port that clients connect to. Since v4.
        port: i32 [4..],
        /// What went wrong, 0 if nothing. Since v4.
        error_code: i16 [4..],
        /// What went wrong, in words; null if nothing. Since v4.
        error_message: Option<Cow<'a, str>> [4.., nullable 4.., ignorable],
    }
}

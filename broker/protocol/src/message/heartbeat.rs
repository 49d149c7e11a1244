//! Heartbeat, v0 to v4: tells that a member is alive.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_Heartbeat>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Tells that a member is alive.
    pub struct HeartbeatRequest<'a> [0..=4, flexible 4..] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Generation of the group, -1 before it has any.
        generation_id: i32 [0..],
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// The member's name if it is static, else null. Since v3.
        group_instance_id: Option<Cow<'a, str>> [3.., nullable 3..],
    }

    /// Whether the member is still in the group, or must join again.
    pub struct HeartbeatResponse [0..=4, flexible 4..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

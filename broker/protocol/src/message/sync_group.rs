//! SyncGroup, v0 to v5: brings the leader's assignments, or asks for one's own.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_SyncGroup>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Brings the leader's assignments, or asks for one's own.
    pub struct SyncGroupRequest<'a> [0..=5, flexible 4..] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Generation of the group, -1 before it has any.
        generation_id: i32 [0..],
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// The member's name if it is static, else null. Since v3.
        group_instance_id: Option<Cow<'a, str>> [3.., nullable 3..],
        /// Kind of group: `consumer` or `connect`, for example. Since v5.
        protocol_type: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
        /// Assignment protocol that the group has chosen. Since v5.
        protocol_name: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
        /// Assignments of all members from the leader; empty from others.
        assignments: Vec<SyncGroupRequestAssignment<'a>> [0..],
    }

    /// The assignment of one member.
    pub struct SyncGroupRequestAssignment<'a> {
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// Assignment of the member, opaque to the broker.
        assignment: Cow<'a, [u8]> [0..],
    }

    /// The assignment of the member.
    pub struct SyncGroupResponse<'a> [0..=5, flexible 4..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Kind of group: `consumer` or `connect`, for example. Since v5.
        protocol_type: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
        /// Assignment protocol that the group has chosen. Since v5.
        protocol_name: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
        /// Assignment of the member, opaque to the broker.
        assignment: Cow<'a, [u8]> [0..],
    }
}

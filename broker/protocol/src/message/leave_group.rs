//! LeaveGroup, v0 to v5: takes members out of a classic group: one up to v2, a list since v3.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_LeaveGroup>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Takes members out of a classic group: one up to v2, a list since v3.
    pub struct LeaveGroupRequest<'a> [0..=5, flexible 4..] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Id that the coordinator gave the member; empty when it has none yet. Up to v2.
        member_id: Cow<'a, str> [0..=2],
        /// The members. Since v3.
        members: Vec<MemberIdentity<'a>> [3..],
    }

    /// A member that leaves.
    pub struct MemberIdentity<'a> {
        /// Id of the member that leaves, empty if it is named by instance. Since v3.
        member_id: Cow<'a, str> [3..],
        /// The member's name if it is static, else null. Since v3.
        group_instance_id: Option<Cow<'a, str>> [3.., nullable 3..],
        /// Why, for the log. Since v5.
        reason: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
    }

    /// Whether the members left.
    pub struct LeaveGroupResponse<'a> [0..=5, flexible 4..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// The members. Since v3.
        members: Vec<MemberResponse<'a>> [3..],
    }

    /// Whether one member left.
    pub struct MemberResponse<'a> {
        /// Id that the coordinator gave the member; empty when it has none yet. Since v3.
        member_id: Cow<'a, str> [3..],
        /// The member's name if it is static, else null. Since v3.
        group_instance_id: Option<Cow<'a, str>> [3.., nullable 3..],
        /// What went wrong, 0 if nothing. Since v3.
        error_code: i16 [3..],
    }
}

//! JoinGroup, v0 to v9: joins a classic group.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_JoinGroup>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Joins a classic group.
    pub struct JoinGroupRequest<'a> [0..=9, flexible 6..] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Silence after which a member counts as dead, in milliseconds.
        session_timeout_ms: i32 [0..],
        /// How long a rebalance waits for the member to join again, in milliseconds. Since v1.
        rebalance_timeout_ms: i32 [1.., ignorable] = -1,
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// The member's name if it is static, else null. Since v5.
        group_instance_id: Option<Cow<'a, str>> [5.., nullable 5..],
        /// Kind of group: `consumer` or `connect`, for example.
        protocol_type: Cow<'a, str> [0..],
        /// Assignment protocols that the member knows, the preferred one first.
        protocols: Vec<JoinGroupRequestProtocol<'a>> [0..],
        /// Why, for the log. Since v8.
        reason: Option<Cow<'a, str>> [8.., nullable 8.., ignorable],
    }

    /// An assignment protocol that the member knows.
    pub struct JoinGroupRequestProtocol<'a> {
        /// Name of the protocol.
        name: Cow<'a, str> [0..],
        /// What the member tells the leader, opaque to the broker.
        metadata: Cow<'a, [u8]> [0..],
    }

    /// The generation that the member is part of.
    pub struct JoinGroupResponse<'a> [0..=9, flexible 6..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v2.
        throttle_time_ms: i32 [2.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Generation of the group, -1 before it has any.
        generation_id: i32 [0..] = -1,
        /// Kind of group: `consumer` or `connect`, for example. Since v7.
        protocol_type: Option<Cow<'a, str>> [7.., nullable 7.., ignorable],
        /// Assignment protocol that the group has chosen.
        protocol_name: Option<Cow<'a, str>> [0.., nullable 7..],
        /// Id of the member that computes the assignment.
        leader: Cow<'a, str> [0..],
        /// Whether the leader keeps the assignment and must not compute one. Since v9.
        skip_assignment: bool [9..],
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// The members, told to the leader only.
        members: Vec<JoinGroupResponseMember<'a>> [0..],
    }

    /// A member as the leader sees it.
    pub struct JoinGroupResponseMember<'a> {
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// The member's name if it is static, else null. Since v5.
        group_instance_id: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
        /// What the member told with the chosen protocol, opaque to the broker.
        metadata: Cow<'a, [u8]> [0..],
    }
}

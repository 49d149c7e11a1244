//! DescribeGroups, v0 to v6: asks for the members of classic groups.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeGroups>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the members of classic groups.
    pub struct DescribeGroupsRequest<'a> [0..=6, flexible 5..] {
        /// Ids of the groups.
        groups: Vec<Cow<'a, str>> [0..],
        /// Whether to tell what the client may do to each group. Since v3.
        include_authorized_operations: bool [3..],
    }

    /// The groups and their members.
    pub struct DescribeGroupsResponse<'a> [0..=6, flexible 5..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// The groups.
        groups: Vec<DescribedGroup<'a>> [0..],
    }

    /// A group.
    pub struct DescribedGroup<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing. Since v6.
        error_message: Option<Cow<'a, str>> [6.., nullable 6.., ignorable],
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// State of the group by name.
        group_state: Cow<'a, str> [0..],
        /// Kind of group: `consumer` or `connect`, for example.
        protocol_type: Cow<'a, str> [0..],
        /// Assignment protocol that the group has chosen.
        protocol_data: Cow<'a, str> [0..],
        /// The members.
        members: Vec<DescribedGroupMember<'a>> [0..],
        /// What the client may do to the group, one bit per operation; the lowest value if not asked for. Since v3.
        authorized_operations: i32 [3..] = i32::MIN,
    }

    /// A member.
    pub struct DescribedGroupMember<'a> {
        /// Id that the coordinator gave the member; empty when it has none yet.
        member_id: Cow<'a, str> [0..],
        /// The member's name if it is static, else null. Since v4.
        group_instance_id: Option<Cow<'a, str>> [4.., nullable 4.., ignorable],
        /// Client id of the member.
        client_id: Cow<'a, str> [0..],
        /// Address of the member.
        client_host: Cow<'a, str> [0..],
        /// What the member sent with the chosen protocol.
        member_metadata: Cow<'a, [u8]> [0..],
        /// Assignment of the member.
        member_assignment: Cow<'a, [u8]> [0..],
    }
}

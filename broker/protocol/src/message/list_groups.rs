//! ListGroups, v0 to v5: asks for the groups of this broker.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ListGroups>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the groups of this broker.
    pub struct ListGroupsRequest<'a> [0..=5, flexible 3..] {
        /// States that are asked for; empty for all. Since v4.
        states_filter: Vec<Cow<'a, str>> [4..],
        /// Group types that are asked for; empty for all. Since v5.
        types_filter: Vec<Cow<'a, str>> [5..],
    }

    /// The groups.
    pub struct ListGroupsResponse<'a> [0..=5, flexible 3..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// The groups.
        groups: Vec<ListedGroup<'a>> [0..],
    }

    /// A group.
    pub struct ListedGroup<'a> {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Kind of group: `consumer` or `connect`, for example.
        protocol_type: Cow<'a, str> [0..],
        /// State of the group by name. Since v4.
        group_state: Cow<'a, str> [4.., ignorable],
        /// Type of the group by name. Since v5.
        group_type: Cow<'a, str> [5.., ignorable],
    }
}

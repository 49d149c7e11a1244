//! DeleteGroups, v0 to v2: deletes groups that have no members.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DeleteGroups>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Deletes groups that have no members.
    pub struct DeleteGroupsRequest<'a> [0..=2, flexible 2..] {
        /// Ids of the groups.
        groups_names: Vec<Cow<'a, str>> [0..],
    }

    /// Whether the groups were deleted.
    pub struct DeleteGroupsResponse<'a> [0..=2, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<DeletableGroupResult<'a>> [0..],
    }

    /// Whether one group was deleted.
    pub struct DeletableGroupResult<'a> {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

//! ListGroups, v0–v5: all groups, filtered by state (v4, KIP-518) and type (v5, KIP-848).
//!
//! Behaviour: filters compare without regard to case.

use std::borrow::Cow;

use aquifer_broker_coordinator::group::command::ListGroups;
use aquifer_broker_protocol::message::list_groups::{
    ListGroupsRequest, ListGroupsResponse, ListedGroup,
};

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: ListGroupsRequest<'_>,
) -> ListGroupsResponse<'static> {
    let list = ListGroups {
        states: request.states_filter.iter().map(ToString::to_string).collect(),
        types: request.types_filter.iter().map(ToString::to_string).collect(),
    };
    match ctx.node.hosting.list_groups(&list).await {
        Ok(listings) => {
            let groups = listings.into_iter().map(|listing| ListedGroup {
                group_id: Cow::Owned(listing.group_id.to_string()),
                protocol_type: Cow::Owned(listing.protocol_type.to_string()),
                group_state: Cow::Borrowed(listing.state),
                group_type: Cow::Borrowed(listing.group_type.name()),
            });
            ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
        }
        Err(error) => ListGroupsResponse {
            error_code: error.group_code().code(),
            ..ListGroupsResponse::default()
        },
    }
}

//! DeleteGroups, v0–v2: removes groups without members, and their offsets.
//!
//! Behaviour: the empty name is one like any other, since offsets can be committed under it.

use aquifer_broker_coordinator::group::command::{GroupCommand, GroupReply};
use aquifer_broker_coordinator::group::id::GroupId;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use futures_util::future::join_all;

use crate::context::RequestContext;
use crate::hosting::code_of;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DeleteGroupsRequest<'a>,
) -> DeleteGroupsResponse<'a> {
    let results = request.groups_names.into_iter().map(|group_id| async move {
        let result = delete(ctx, &group_id).await;
        DeletableGroupResult { group_id, error_code: code_of(&result) }
    });
    DeleteGroupsResponse { results: join_all(results).await, ..DeleteGroupsResponse::default() }
}

async fn delete(ctx: &RequestContext, group_id: &str) -> Result<(), ErrorCode> {
    match ctx.node.hosting.ask_group(group_id, GroupCommand::Delete(GroupId::from(group_id))).await
    {
        Ok(GroupReply::Delete(result)) => result,
        Ok(_) => Err(ErrorCode::UnknownServerError),
        Err(error) => Err(error.group_code()),
    }
}

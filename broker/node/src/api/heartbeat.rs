//! Heartbeat, v0–v4: a member lives, and learns whether the group rebalances.

use aquifer_broker_coordinator::group::command::{GroupCommand, GroupReply, Heartbeat};
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use crate::context::RequestContext;
use crate::hosting::code_of;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: HeartbeatRequest<'_>,
) -> HeartbeatResponse {
    if request.group_id.is_empty() {
        let error_code = ErrorCode::InvalidGroupId.code();
        return HeartbeatResponse { error_code, ..HeartbeatResponse::default() };
    }
    let command = Heartbeat {
        group_id: GroupId::from(&*request.group_id),
        generation: request.generation_id,
        member_id: MemberId::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(InstanceId::from),
    };
    let result =
        match ctx.node.hosting.ask_group(&request.group_id, GroupCommand::Heartbeat(command)).await
        {
            Ok(GroupReply::Heartbeat(result)) => result,
            Ok(_) => Err(ErrorCode::UnknownServerError),
            Err(error) => Err(error.group_code()),
        };
    HeartbeatResponse { error_code: code_of(&result), ..HeartbeatResponse::default() }
}

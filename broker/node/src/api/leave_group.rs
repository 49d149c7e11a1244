//! LeaveGroup, v0–v5: members go, and the group rebalances at once.
//!
//! Behaviour: before v3 one member by its id; since v3 several, also static ones by name alone (KIP-345), each with
//! its own result.

use std::borrow::Cow;

use aquifer_broker_coordinator::group::command::{GroupCommand, GroupReply, LeaveGroup};
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberResponse,
};

use crate::context::RequestContext;
use crate::hosting::code_of;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: LeaveGroupRequest<'_>,
) -> LeaveGroupResponse<'static> {
    if request.group_id.is_empty() {
        let error_code = ErrorCode::InvalidGroupId.code();
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let is_single = ctx.api_version < 3;
    let members: Vec<(MemberId, Option<InstanceId>)> = if is_single {
        vec![(MemberId::from(&*request.member_id), None)]
    } else {
        let members = request.members.iter();
        let identity = members.map(|member| {
            (
                MemberId::from(&*member.member_id),
                member.group_instance_id.as_deref().map(InstanceId::from),
            )
        });
        identity.collect()
    };
    let command =
        LeaveGroup { group_id: GroupId::from(&*request.group_id), members: members.clone() };
    let results =
        match ctx.node.hosting.ask_group(&request.group_id, GroupCommand::Leave(command)).await {
            Ok(GroupReply::Leave(results)) => results,
            Ok(_) => Err(ErrorCode::UnknownServerError),
            Err(error) => Err(error.group_code()),
        };
    match results {
        Err(error) => {
            LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
        }
        Ok(results) if is_single => LeaveGroupResponse {
            error_code: results.first().map_or(ErrorCode::None.code(), code_of),
            ..LeaveGroupResponse::default()
        },
        Ok(results) => {
            let members =
                members.into_iter().zip(&results).map(|((member_id, instance_id), result)| {
                    MemberResponse {
                        member_id: Cow::Owned(member_id.to_string()),
                        group_instance_id: instance_id.map(|id| Cow::Owned(id.to_string())),
                        error_code: code_of(result),
                    }
                });
            LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
        }
    }
}

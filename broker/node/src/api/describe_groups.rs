//! DescribeGroups, v0–v6: a group's state, and its members with what they subscribe to and what they are assigned.
//!
//! Behaviour: a group that does not exist, or is not a classic one, is in state Dead, since v6 with GROUP_ID_NOT_FOUND (KIP-1043). Members'
//! metadata is shown of a Stable group only; what they are assigned, also while the group rebalances.

use std::borrow::Cow;

use aquifer_broker_coordinator::group::classic::GroupState;
use aquifer_broker_coordinator::group::command::{
    GroupCommand, GroupDescription, GroupReply, MemberDescription,
};
use aquifer_broker_coordinator::group::id::GroupId;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use futures_util::future::join_all;

use super::operations;
use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeGroupsRequest<'a>,
) -> DescribeGroupsResponse<'a> {
    let authorized_operations = if request.include_authorized_operations {
        operations::GROUP
    } else {
        operations::NOT_ASKED
    };
    let groups = request.groups.into_iter().map(|group_id| async move {
        let described = describe(ctx, group_id).await;
        if described.error_code == ErrorCode::None.code() {
            DescribedGroup { authorized_operations, ..described }
        } else {
            described
        }
    });
    DescribeGroupsResponse { groups: join_all(groups).await, ..DescribeGroupsResponse::default() }
}

async fn describe<'a>(ctx: &RequestContext, group_id: Cow<'a, str>) -> DescribedGroup<'a> {
    let refused = |group_id, error: ErrorCode| DescribedGroup {
        error_code: error.code(),
        group_id,
        ..DescribedGroup::default()
    };
    let command = GroupCommand::Describe(GroupId::from(&*group_id));
    match ctx.node.hosting.ask_group(&group_id, command).await {
        Ok(GroupReply::Description(Ok(description))) => respond(group_id, description),
        Ok(GroupReply::Description(Err(refusal))) => {
            let error =
                if ctx.api_version >= 6 { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
            DescribedGroup {
                error_message: (ctx.api_version >= 6).then_some(Cow::Owned(refusal.message)),
                group_state: Cow::Borrowed(GroupState::Dead.name()),
                ..refused(group_id, error)
            }
        }
        Ok(_) => refused(group_id, ErrorCode::UnknownServerError),
        Err(error) => refused(group_id, error.group_code()),
    }
}

fn respond(group_id: Cow<'_, str>, description: GroupDescription) -> DescribedGroup<'_> {
    DescribedGroup {
        group_id,
        group_state: Cow::Borrowed(description.state.name()),
        protocol_type: Cow::Owned(description.protocol_type.to_string()),
        protocol_data: Cow::Owned(description.protocol.to_string()),
        members: description.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: MemberDescription) -> DescribedGroupMember<'static> {
    DescribedGroupMember {
        member_id: Cow::Owned(member.member_id.to_string()),
        group_instance_id: member.instance_id.map(|id| Cow::Owned(id.to_string())),
        client_id: Cow::Owned(member.client_id.to_string()),
        client_host: Cow::Owned(member.client_host.to_string()),
        member_metadata: Cow::Owned(member.metadata.to_vec()),
        member_assignment: Cow::Owned(member.assignment.to_vec()),
    }
}

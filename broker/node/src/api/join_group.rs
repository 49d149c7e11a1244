//! JoinGroup, v0–v9: take part in a group's next generation.
//!
//! Behaviour: waits until the generation is formed. Since v4 a new member is first told its id and must come back
//! with it (KIP-394); a static member takes over its predecessor's place (KIP-345).
//! Differs: a static member that comes back with other topics starts a rebalance; Kafka waits for the next one.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_coordinator::group::command::{
    GroupCommand, GroupReply, JoinGroup, JoinReply, NewMemberRule,
};
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};
use bytes::Bytes;

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: JoinGroupRequest<'_>,
) -> JoinGroupResponse<'static> {
    let group_id = request.group_id.to_string();
    let member_id = MemberId::from(&*request.member_id);
    let reply =
        ctx.node.hosting.ask_group(&group_id, GroupCommand::Join(command(ctx, request))).await;
    let reply = match reply {
        Ok(GroupReply::Join(reply)) => reply,
        Ok(_) => JoinReply { member_id, result: Err(ErrorCode::UnknownServerError) },
        Err(error) => JoinReply { member_id, result: Err(error.group_code()) },
    };
    respond(ctx.api_version, reply)
}

fn command(ctx: &RequestContext, request: JoinGroupRequest<'_>) -> JoinGroup {
    // v0 has one timeout for both.
    let rebalance_timeout_ms = if ctx.api_version == 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    };
    // Copied: what a member sent stays with the group, the frame it came in must not.
    let protocols = request.protocols.iter();
    let protocols = protocols
        .map(|protocol| (Arc::from(&*protocol.name), Bytes::copy_from_slice(&protocol.metadata)));
    JoinGroup {
        group_id: GroupId::from(&*request.group_id),
        member_id: MemberId::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(InstanceId::from),
        unique_suffix: uuid::Uuid::new_v4().to_string(),
        client_id: Arc::from(&*ctx.client_id),
        client_host: Arc::from(format!("/{}", ctx.peer.address.ip().to_canonical())),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: Arc::from(&*request.protocol_type),
        protocols: protocols.collect(),
        new_member: if ctx.api_version >= 4 {
            NewMemberRule::MustReturnWithId
        } else {
            NewMemberRule::AcceptAtOnce
        },
        knows_skip_assignment: ctx.api_version >= 9,
    }
}

fn respond(version: i16, reply: JoinReply) -> JoinGroupResponse<'static> {
    let member_id = Cow::Owned(reply.member_id.to_string());
    let text = |text: Option<Arc<str>>| text.map(|text| Cow::Owned(text.to_string()));
    // Before v7 the name can't be null.
    let no_protocol = (version < 7).then_some(Cow::Borrowed(""));
    match reply.result {
        Err(error) => JoinGroupResponse {
            error_code: error.code(),
            member_id,
            protocol_name: no_protocol,
            ..JoinGroupResponse::default()
        },
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: text(joined.protocol_type),
            protocol_name: text(joined.protocol).or(no_protocol),
            leader: Cow::Owned(joined.leader.to_string()),
            skip_assignment: joined.skip_assignment,
            member_id,
            members: joined
                .members
                .into_iter()
                .map(|member| JoinGroupResponseMember {
                    member_id: Cow::Owned(member.member_id.to_string()),
                    group_instance_id: member.instance_id.map(|id| Cow::Owned(id.to_string())),
                    metadata: Cow::Owned(member.metadata.to_vec()),
                })
                .collect(),
            ..JoinGroupResponse::default()
        },
    }
}

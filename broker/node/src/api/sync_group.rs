//! SyncGroup, v0–v5: get the assignment of a generation; its leader brings everyone's.
//!
//! Behaviour: a follower waits for the leader; all are answered when the generation is durable. Since v5 a protocol
//! type or name that is missing or not the group's is refused (KIP-559).

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_coordinator::group::command::{GroupCommand, GroupReply, SyncGroup};
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::sync_group::{SyncGroupRequest, SyncGroupResponse};
use bytes::Bytes;

use crate::context::RequestContext;

/// The first version in which the protocol has to be named.
const PROTOCOL_SINCE_VERSION: i16 = 5;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: SyncGroupRequest<'_>,
) -> SyncGroupResponse<'static> {
    let refuse = |error: ErrorCode| SyncGroupResponse {
        error_code: error.code(),
        ..SyncGroupResponse::default()
    };
    let has_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if ctx.api_version >= PROTOCOL_SINCE_VERSION && !has_protocol {
        return refuse(ErrorCode::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let assignments = request.assignments.iter().map(|assigned| {
        (MemberId::from(&*assigned.member_id), Bytes::copy_from_slice(&assigned.assignment))
    });
    let command = SyncGroup {
        group_id: GroupId::from(&*request.group_id),
        generation: request.generation_id,
        member_id: MemberId::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(InstanceId::from),
        protocol_type: request.protocol_type.as_deref().map(Arc::from),
        protocol: request.protocol_name.as_deref().map(Arc::from),
        assignments: assignments.collect(),
    };
    match ctx.node.hosting.ask_group(&request.group_id, GroupCommand::Sync(command)).await {
        Ok(GroupReply::Sync(Ok(synced))) => SyncGroupResponse {
            protocol_type: synced.protocol_type.map(|text| Cow::Owned(text.to_string())),
            protocol_name: synced.protocol.map(|text| Cow::Owned(text.to_string())),
            assignment: Cow::Owned(synced.assignment.to_vec()),
            ..SyncGroupResponse::default()
        },
        Ok(GroupReply::Sync(Err(error))) => refuse(error),
        Ok(_) => refuse(ErrorCode::UnknownServerError),
        Err(error) => refuse(error.group_code()),
    }
}

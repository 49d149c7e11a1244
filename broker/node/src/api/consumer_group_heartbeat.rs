//! ConsumerGroupHeartbeat, v0–v1: take part in a consumer group (KIP-848).
//!
//! Behaviour: answered at once; the answer says what the member may use, if that has changed. Since v1 the client
//! makes its member id, and may subscribe by regular expression.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_coordinator::group::command::{
    ConsumerHeartbeat, GroupCommand, GroupReply, HeartbeatReply,
};
use aquifer_broker_coordinator::group::consumer::draft::Refusal;
use aquifer_broker_coordinator::group::consumer::member::Assignment;
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId, TopicName};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::consumer_group_heartbeat::{
    Assignment as WireAssignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    TopicPartitions,
};

use crate::context::RequestContext;
use crate::hosting::new_topic_id;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: ConsumerGroupHeartbeatRequest<'_>,
) -> ConsumerGroupHeartbeatResponse<'static> {
    let needs_member_id =
        ctx.api_version >= 1 || request.member_epoch > 0 || request.member_epoch == -1;
    if needs_member_id && request.member_id.is_empty() {
        return refuse(ErrorCode::InvalidRequest, "MemberId can't be empty.".to_owned());
    }
    let group_id = request.group_id.to_string();
    let command = GroupCommand::ConsumerHeartbeat(command(ctx, request));
    match ctx.node.hosting.ask_group(&group_id, command).await {
        Ok(GroupReply::ConsumerHeartbeat(Ok(reply))) => respond(reply),
        Ok(GroupReply::ConsumerHeartbeat(Err(Refusal { code, message }))) => refuse(code, message),
        Ok(_) => refuse(ErrorCode::UnknownServerError, String::new()),
        Err(error) => refuse(error.group_code(), error.to_string()),
    }
}

fn command(ctx: &RequestContext, request: ConsumerGroupHeartbeatRequest<'_>) -> ConsumerHeartbeat {
    let member_id = if request.member_id.is_empty() {
        // The form that Kafka gives to a new member's id.
        MemberId::from(new_topic_id().to_string())
    } else {
        MemberId::from(&*request.member_id)
    };
    let topics = request
        .subscribed_topic_names
        .map(|names| names.iter().map(|name| TopicName::from(&**name)).collect());
    let owned = request.topic_partitions.map(|topics| {
        let mut owned = Assignment::new();
        for topic in topics {
            owned.entry(topic.topic_id).or_default().extend(topic.partitions);
        }
        owned
    });
    ConsumerHeartbeat {
        group_id: GroupId::from(&*request.group_id),
        member_id,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id.as_deref().map(InstanceId::from),
        rack_id: request.rack_id.as_deref().map(Arc::from),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topics,
        regex: request.subscribed_topic_regex.as_deref().map(Arc::from),
        assignor: request.server_assignor.as_deref().map(Arc::from),
        owned,
        client_id: Arc::from(&*ctx.client_id),
        client_host: Arc::from(format!("/{}", ctx.peer.address.ip().to_canonical())),
    }
}

fn respond(reply: HeartbeatReply) -> ConsumerGroupHeartbeatResponse<'static> {
    let assignment = reply.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic_id, partitions)| TopicPartitions {
            topic_id,
            partitions: partitions.into_iter().collect(),
        });
        Box::new(WireAssignment { topic_partitions: topics.collect() })
    });
    ConsumerGroupHeartbeatResponse {
        member_id: Some(Cow::Owned(reply.member_id.to_string())),
        member_epoch: reply.member_epoch,
        heartbeat_interval_ms: reply.heartbeat_interval_ms,
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn refuse(code: ErrorCode, message: String) -> ConsumerGroupHeartbeatResponse<'static> {
    ConsumerGroupHeartbeatResponse {
        error_code: code.code(),
        error_message: (!message.is_empty()).then_some(Cow::Owned(message)),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

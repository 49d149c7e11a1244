//! ConsumerGroupDescribe, v0–v1: the members of consumer groups (KIP-848), what they have and are to have.
//!
//! Behaviour: a group that does not exist, or is a classic one, is answered GROUP_ID_NOT_FOUND. Since v1 a member's
//! protocol is told.

use std::borrow::Cow;

use aquifer_broker_coordinator::group::command::{GroupCommand, GroupReply};
use aquifer_broker_coordinator::group::consumer::describe::{
    ConsumerGroupDescription, ConsumerMemberDescription, NamedAssignment,
};
use aquifer_broker_coordinator::group::id::GroupId;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member, TopicPartitions,
};
use futures_util::future::join_all;

use super::operations;
use crate::context::RequestContext;

/// `member_type` of a member of the classic protocol.
const CLASSIC: i8 = 0;
/// `member_type` of a member of the consumer protocol.
const CONSUMER: i8 = 1;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: ConsumerGroupDescribeRequest<'a>,
) -> ConsumerGroupDescribeResponse<'a> {
    let authorized_operations = if request.include_authorized_operations {
        operations::GROUP
    } else {
        operations::NOT_ASKED
    };
    let groups = request.group_ids.into_iter().map(|group_id| async move {
        let described = describe(ctx, group_id).await;
        if described.error_code == ErrorCode::None.code() {
            DescribedGroup { authorized_operations, ..described }
        } else {
            described
        }
    });
    ConsumerGroupDescribeResponse {
        groups: join_all(groups).await,
        ..ConsumerGroupDescribeResponse::default()
    }
}

async fn describe<'a>(ctx: &RequestContext, group_id: Cow<'a, str>) -> DescribedGroup<'a> {
    let refused = |group_id, error: ErrorCode, message: Option<String>| DescribedGroup {
        error_code: error.code(),
        error_message: message.map(Cow::Owned),
        group_id,
        ..DescribedGroup::default()
    };
    if group_id.is_empty() {
        return refused(group_id, ErrorCode::InvalidGroupId, None);
    }
    let command = GroupCommand::DescribeConsumer(GroupId::from(&*group_id));
    match ctx.node.hosting.ask_group(&group_id, command).await {
        Ok(GroupReply::ConsumerDescription(Ok(description))) => respond(group_id, description),
        Ok(GroupReply::ConsumerDescription(Err(refusal))) => {
            refused(group_id, refusal.code, Some(refusal.message))
        }
        Ok(_) => refused(group_id, ErrorCode::UnknownServerError, None),
        Err(error) => refused(group_id, error.group_code(), None),
    }
}

fn respond(group_id: Cow<'_, str>, description: ConsumerGroupDescription) -> DescribedGroup<'_> {
    DescribedGroup {
        group_id,
        group_state: Cow::Borrowed(description.state.name()),
        group_epoch: description.epoch,
        assignment_epoch: description.assignment_epoch,
        assignor_name: Cow::Owned(description.assignor.to_string()),
        members: description.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: ConsumerMemberDescription) -> Member<'static> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    Member {
        member_id: owned(&member.member_id),
        instance_id: member.instance_id.as_deref().map(owned),
        rack_id: member.rack_id.as_deref().map(owned),
        member_epoch: member.epoch,
        client_id: owned(&member.client_id),
        client_host: owned(&member.client_host),
        subscribed_topic_names: member.topics.iter().map(|name| owned(name)).collect(),
        subscribed_topic_regex: Some(owned(member.regex.as_deref().unwrap_or_default())),
        assignment: assignment(member.assignment),
        target_assignment: assignment(member.target),
        member_type: if member.is_classic { CLASSIC } else { CONSUMER },
    }
}

fn assignment(topics: NamedAssignment) -> Assignment<'static> {
    let topics = topics.into_iter().map(|(topic_id, name, partitions)| TopicPartitions {
        topic_id,
        topic_name: Cow::Owned(name.to_string()),
        partitions,
    });
    Assignment { topic_partitions: topics.collect() }
}

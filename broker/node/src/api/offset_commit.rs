//! OffsetCommit, v1–v10: remember up to where a group has read.
//!
//! Behaviour: accepted from a member of the current generation or epoch (since v9, KIP-848), or from anyone while the group has no members;
//! answered when durable. A topic or partition that does not exist gets its own error, the others are kept. Since v10
//! topics are named by id.
//! Differs: `commit_timestamp` (v1) and `retention_time_ms` (v2–v4) are not used; offsets expire by `offsets.retention.minutes`.

use std::sync::Arc;

use aquifer_broker_coordinator::group::command::{
    CommitOffsets, GroupCommand, GroupReply, OffsetToCommit,
};
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId};
use aquifer_broker_coordinator::topic::image::TopicImage;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use crate::context::RequestContext;
use crate::hosting::code_of;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: OffsetCommitRequest<'a>,
) -> OffsetCommitResponse<'a> {
    let mut command = CommitOffsets {
        group_id: GroupId::from(&*request.group_id),
        generation: request.generation_id_or_member_epoch,
        member_id: MemberId::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(InstanceId::from),
        knows_member_epochs: ctx.api_version >= 9,
        offsets: Vec::new(),
    };
    let image = ctx.node.hosting.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let known = if ctx.api_version >= 10 {
            image.topic_by_id(&topic.topic_id).ok_or(ErrorCode::UnknownTopicId)
        } else {
            image.topic(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)
        };
        let partitions = topic.partitions.iter();
        let checked = partitions.map(|partition| {
            let result = known.and_then(|known| offset_of(known, partition));
            (partition.partition_index, result.map(|offset| command.offsets.push(offset)))
        });
        let checked = checked.collect::<Vec<_>>();
        topics.push((topic, checked));
    }
    let mut committed = commit(ctx, command).await.into_iter();
    let topics = topics.into_iter().map(|(topic, checked)| {
        // What was refused above was not sent on; the results of the others come in the order of the request.
        let results = checked.into_iter().map(|(index, result)| {
            (
                index,
                result
                    .and_then(|()| committed.next().unwrap_or(Err(ErrorCode::UnknownServerError))),
            )
        });
        respond(topic, results)
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}

fn offset_of(
    topic: &TopicImage,
    asked: &OffsetCommitRequestPartition<'_>,
) -> Result<OffsetToCommit, ErrorCode> {
    if !topic.has_partition(asked.partition_index) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(OffsetToCommit {
        topic: topic.name.clone(),
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: Arc::from(asked.committed_metadata.as_deref().unwrap_or_default()),
    })
}

/// One result per offset of the command, in order.
async fn commit(ctx: &RequestContext, command: CommitOffsets) -> Vec<Result<(), ErrorCode>> {
    let count = command.offsets.len();
    if count == 0 {
        return Vec::new();
    }
    let group_id = command.group_id.clone();
    match ctx.node.hosting.ask_group(&group_id, GroupCommand::Commit(command)).await {
        Ok(GroupReply::Commit(Ok(results))) => results,
        Ok(GroupReply::Commit(Err(error))) => vec![Err(error); count],
        Ok(_) => vec![Err(ErrorCode::UnknownServerError); count],
        Err(error) => vec![Err(error.group_code()); count],
    }
}

fn respond<'a>(
    topic: OffsetCommitRequestTopic<'a>,
    results: impl Iterator<Item = (i32, Result<(), ErrorCode>)>,
) -> OffsetCommitResponseTopic<'a> {
    let partitions = results.map(|(partition_index, result)| OffsetCommitResponsePartition {
        partition_index,
        error_code: code_of(&result),
    });
    let partitions = partitions.collect();
    OffsetCommitResponseTopic { name: topic.name, topic_id: topic.topic_id, partitions }
}

//! OffsetDelete, v0: forget the offsets of a group for partitions that it does not read any more.
//!
//! Behaviour: a topic that a member subscribes to keeps its offsets and gets GROUP_SUBSCRIBED_TO_TOPIC; a partition
//! without an offset is a success, one that does not exist is not.

use aquifer_broker_coordinator::group::command::{DeleteOffsets, GroupCommand, GroupReply};
use aquifer_broker_coordinator::group::id::{GroupId, TopicName};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use crate::context::RequestContext;
use crate::hosting::code_of;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: OffsetDeleteRequest<'a>,
) -> OffsetDeleteResponse<'a> {
    let image = ctx.node.hosting.image();
    let is_known =
        |name: &str, index: i32| image.topic(name).is_some_and(|topic| topic.has_partition(index));
    let has_known = |topic: &OffsetDeleteRequestTopic<'_>| {
        let mut partitions = topic.partitions.iter();
        partitions.any(|partition| is_known(&topic.name, partition.partition_index))
    };
    let asked = request.topics.iter().filter(|topic| has_known(topic)).map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        let partitions = partitions.filter(|index| is_known(&topic.name, *index));
        (TopicName::from(&*topic.name), partitions.collect())
    });
    let results = match delete(ctx, &request.group_id, asked.collect()).await {
        Ok(results) => results,
        Err(error) => {
            return OffsetDeleteResponse {
                error_code: error.code(),
                ..OffsetDeleteResponse::default()
            };
        }
    };
    let mut results = results.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let result = if has_known(&topic) {
            results.next().unwrap_or(Err(ErrorCode::UnknownServerError))
        } else {
            Err(ErrorCode::UnknownTopicOrPartition)
        };
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let unknown = Err(ErrorCode::UnknownTopicOrPartition);
            let result = if is_known(&topic.name, index) { result } else { unknown };
            OffsetDeleteResponsePartition { partition_index: index, error_code: code_of(&result) }
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic { name: topic.name, partitions }
    });
    let topics = topics.collect();
    OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
}

async fn delete(
    ctx: &RequestContext,
    group_id: &str,
    topics: Vec<(TopicName, Vec<i32>)>,
) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
    if group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let command =
        GroupCommand::DeleteOffsets(DeleteOffsets { group_id: GroupId::from(group_id), topics });
    match ctx.node.hosting.ask_group(group_id, command).await {
        Ok(GroupReply::OffsetsDeleted(results)) => results,
        Ok(_) => Err(ErrorCode::UnknownServerError),
        Err(error) => Err(error.group_code()),
    }
}

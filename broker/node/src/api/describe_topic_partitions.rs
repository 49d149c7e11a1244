//! DescribeTopicPartitions, v0: topics with their partitions, some at a time.
//!
//! Behaviour: topics in the order of their names, from the cursor on; no topics means all. Where the limit of the request or
//! `max.request.partition.size.limit` is reached, a cursor says where to go on. What a client may do is always told.
//!
//! References: KIP-966.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aquifer_broker_coordinator::topic::image::{MetadataImage, TopicImage};
use aquifer_broker_coordinator::topic::validate_topic_name;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::operations;
use super::target::leader_epoch;
use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: DescribeTopicPartitionsRequest<'_>,
) -> DescribeTopicPartitionsResponse<'static> {
    let image = ctx.node.hosting.image();
    let (from, first_index) = match &request.cursor {
        Some(cursor) => (&*cursor.topic_name, cursor.partition_index),
        None => ("", 0),
    };
    let asks_for_all = request.topics.is_empty();
    let is_asked_for = |name: &str| request.topics.iter().any(|topic| *topic.name == *name);
    if first_index < 0 || request.cursor.is_some() && !asks_for_all && !is_asked_for(from) {
        return refused(&request);
    }
    let names: BTreeSet<&str> = if asks_for_all {
        image.topics().map(|topic| &*topic.name).collect()
    } else {
        request.topics.iter().map(|topic| &*topic.name).collect()
    };
    let limit = request
        .response_partition_limit
        .min(ctx.node.settings.max_request_partition_size_limit)
        .max(1);
    let mut remaining = limit;
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(from..) {
        if remaining == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = image.topic(name) else {
            response.topics.push(missing(name));
            continue;
        };
        let start = if *name == from { first_index } else { 0 };
        let end = topic.partition_count().min(start.saturating_add(remaining));
        response.topics.push(found(ctx, &image, topic, start..end));
        remaining -= (end - start).max(0);
        if end < topic.partition_count() {
            response.next_cursor = Some(cursor(name, end));
            break;
        }
    }
    response
}

fn cursor(topic: &str, partition_index: i32) -> Box<Cursor<'static>> {
    Box::new(Cursor { topic_name: Cow::Owned(topic.to_owned()), partition_index })
}

/// The answer to a request with a cursor that cannot be.
fn refused(
    request: &DescribeTopicPartitionsRequest<'_>,
) -> DescribeTopicPartitionsResponse<'static> {
    let topics = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(Cow::Owned(topic.name.to_string())),
        ..DescribeTopicPartitionsResponseTopic::default()
    });
    DescribeTopicPartitionsResponse {
        topics: topics.collect(),
        ..DescribeTopicPartitionsResponse::default()
    }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic<'static> {
    let error = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(error) => error.code(),
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(Cow::Owned(name.to_owned())),
        topic_authorized_operations: operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn found(
    ctx: &RequestContext,
    image: &MetadataImage,
    topic: &TopicImage,
    indexes: std::ops::Range<i32>,
) -> DescribeTopicPartitionsResponseTopic<'static> {
    let node_id = ctx.node.settings.node_id;
    let known = topic.partitions.iter().filter(|known| indexes.contains(&known.index));
    let partitions = known.map(|partition| DescribeTopicPartitionsResponsePartition {
        partition_index: partition.index,
        leader_id: partition.leader,
        leader_epoch: leader_epoch(ctx, image, topic, partition),
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    });
    DescribeTopicPartitionsResponseTopic {
        name: Some(Cow::Owned(topic.name.to_string())),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

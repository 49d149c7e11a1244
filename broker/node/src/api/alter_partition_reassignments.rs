//! AlterPartitionReassignments, v0–v1: moves partitions between nodes, or ends such a move. There is one node.
//!
//! Behaviour: putting a partition where it is is well; any other node is not registered; nothing ever moves that could be ended.
//!
//! References: KIP-455.

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

use super::assignment::check_assignment;
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: AlterPartitionReassignmentsRequest<'a>,
) -> AlterPartitionReassignmentsResponse<'a> {
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let refusal = check(ctx, &topic.name, partition).err();
            ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
                error_message: refusal.map(|refusal| Cow::Owned(refusal.message)),
            }
        });
        ReassignableTopicResponse { partitions: partitions.collect(), name: topic.name.clone() }
    });
    AlterPartitionReassignmentsResponse {
        responses: responses.collect(),
        allow_replication_factor_change,
        ..AlterPartitionReassignmentsResponse::default()
    }
}

fn check(
    ctx: &RequestContext,
    topic: &str,
    partition: &ReassignablePartition,
) -> Result<(), TopicRefusal> {
    let refused = |code, message: String| Err(TopicRefusal { code, message });
    let image = ctx.node.hosting.image();
    let Some(known) = image.topic(topic) else {
        let message = format!("Unable to find a topic named {topic}.");
        return refused(ErrorCode::UnknownTopicOrPartition, message);
    };
    if !known.has_partition(partition.partition_index) {
        let message = format!("Unable to find partition {topic}:{}.", partition.partition_index);
        return refused(ErrorCode::UnknownTopicOrPartition, message);
    }
    match &partition.replicas {
        Some(replicas) => check_assignment(ctx.node.settings.node_id, replicas),
        None => refused(
            ErrorCode::NoReassignmentInProgress,
            "No partition reassignment is in progress.".to_owned(),
        ),
    }
}

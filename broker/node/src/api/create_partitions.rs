//! CreatePartitions, v0–v3: adds partitions to topics, or only checks that they could be added.
//!
//! Behaviour: one topic that is refused does not keep the others back; answered when the new partitions are open.
//! Differs: the internal topics keep their number, by which keys were spread; `timeout_ms` is not used.
//!
//! References: KIP-195.

use std::borrow::Cow;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::command::{AddPartitions, RunMode};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use futures_util::future::join_all;

use super::assignment::check_assignment;
use super::repeated::leave_firsts;
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    mut request: CreatePartitionsRequest<'a>,
) -> CreatePartitionsResponse<'a> {
    let mode = if request.validate_only { RunMode::ValidateOnly } else { RunMode::Apply };
    let twice = &leave_firsts(&mut request.topics, |topic| Some(topic.name.to_string()));
    let results = request.topics.into_iter().map(|topic| async move {
        let refusal = match twice.contains(&*topic.name) {
            true => Some(refusal(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            false => add(ctx, &topic, mode).await.err(),
        };
        CreatePartitionsTopicResult {
            name: topic.name,
            error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
            error_message: refusal.map(|refusal| Cow::Owned(refusal.message)),
        }
    });
    CreatePartitionsResponse {
        results: join_all(results).await,
        ..CreatePartitionsResponse::default()
    }
}

async fn add(
    ctx: &RequestContext,
    topic: &CreatePartitionsTopic<'_>,
    mode: RunMode,
) -> Result<(), TopicRefusal> {
    let image = ctx.node.hosting.image();
    let Some(known) = image.topic(&topic.name) else {
        let message = "This server does not host this topic-partition.";
        return Err(refusal(ErrorCode::UnknownTopicOrPartition, message));
    };
    if known.is_internal() && topic.count != known.partition_count() {
        let message = format!("The number of partitions of {} cannot be changed.", known.name);
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    let add = |mode| AddPartitions {
        topic: TopicName::from(&*topic.name),
        partition_count: topic.count,
        assigned: topic.assignments.as_ref().map(Vec::len),
        mode,
    };
    if let Some(assignments) = &topic.assignments {
        // Their number is looked at before what they say.
        ctx.node.hosting.create_partitions(add(RunMode::ValidateOnly)).await?;
        for assignment in assignments {
            check_assignment(ctx.node.settings.node_id, &assignment.broker_ids)?;
        }
    }
    ctx.node.hosting.create_partitions(add(mode)).await
}

fn refusal(code: ErrorCode, message: impl Into<String>) -> TopicRefusal {
    TopicRefusal { code, message: message.into() }
}

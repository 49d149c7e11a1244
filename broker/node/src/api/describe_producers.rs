//! DescribeProducers, v0: the idempotent and transactional producers that partitions know.
//!
//! Behaviour: a producer is known until it was idle for `producer.id.expiration.ms` without an open transaction.
//!
//! References: KIP-664.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::validate_topic_name;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use futures_util::future::join_all;

use super::target;
use crate::context::RequestContext;
use crate::partition::PartitionError;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeProducersRequest<'a>,
) -> DescribeProducersResponse<'a> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let asked = topic.partition_indexes.iter();
        let partitions = join_all(asked.map(|index| answer(ctx, &topic.name, *index))).await;
        topics.push(TopicResponse { name: topic.name, partitions });
    }
    DescribeProducersResponse { topics, ..DescribeProducersResponse::default() }
}

async fn answer(
    ctx: &RequestContext,
    topic: &str,
    partition_index: i32,
) -> PartitionResponse<'static> {
    match find(ctx, topic, partition_index).await {
        Ok(active_producers) => {
            PartitionResponse { partition_index, active_producers, ..PartitionResponse::default() }
        }
        Err((error, message)) => PartitionResponse {
            partition_index,
            error_code: error.code(),
            error_message: message.map(Cow::Owned),
            active_producers: Vec::new(),
        },
    }
}

async fn find(
    ctx: &RequestContext,
    topic: &str,
    partition_index: i32,
) -> Result<Vec<ProducerState>, (ErrorCode, Option<String>)> {
    validate_topic_name(topic).map_err(|error| (error.code(), Some(error.to_string())))?;
    let partition = target::partition_by_name(ctx, topic, partition_index).map_err(|error| {
        (error, Some("This server does not host this topic-partition.".to_owned()))
    })?;
    let refused = |error: PartitionError| (error.code(), Some(error.to_string()));
    let producers = partition.producers().await.map_err(refused)?;
    Ok(producers
        .into_iter()
        .map(|producer| ProducerState {
            producer_id: producer.id,
            producer_epoch: i32::from(producer.epoch),
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp_ms,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.open_transaction.unwrap_or(-1),
        })
        .collect())
}

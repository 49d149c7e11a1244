//! DescribeProducers, v0: the idempotent and transactional producers that partitions know.
//!
//! Behaviour: a producer is known until it was idle for `producer.id.expiration.ms` without an open transaction.
//!
//! References: KIP-664.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use futures_util::future::join_all;

use super::target;
use crate::context::RequestContext;

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
    let (error_code, active_producers) = match find(ctx, topic, partition_index).await {
        Ok(producers) => (ErrorCode::None, producers),
        Err(error) => (error, Vec::new()),
    };
    PartitionResponse {
        partition_index,
        error_code: error_code.code(),
        error_message: None,
        active_producers,
    }
}

async fn find(
    ctx: &RequestContext,
    topic: &str,
    partition_index: i32,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let partition = target::partition_by_name(ctx, topic, partition_index)?;
    let producers = partition.producers().await.map_err(|error| error.code())?;
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

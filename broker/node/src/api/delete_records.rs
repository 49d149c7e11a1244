//! DeleteRecords, v0–v2: deletes the records of partitions below an offset.
//!
//! Behaviour: -1 means the high watermark. The log start moves at once and is durable when the answer leaves; the space
//! comes back with the next round of retention. What is compacted only keeps its records, and so do internal topics.
//!
//! References: KIP-107, KIP-204.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use futures_util::future::join_all;

use super::target::{self, TopicKey};
use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DeleteRecordsRequest<'a>,
) -> DeleteRecordsResponse<'a> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let results = topic.partitions.iter().map(|asked| answer(ctx, &topic.name, asked));
        let partitions = join_all(results).await;
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

async fn answer(
    ctx: &RequestContext,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> DeleteRecordsPartitionResult {
    let (low_watermark, error_code) = match delete(ctx, topic, asked).await {
        Ok(log_start) => (log_start, ErrorCode::None),
        Err(error) => (-1, error),
    };
    DeleteRecordsPartitionResult {
        partition_index: asked.partition_index,
        low_watermark,
        error_code: error_code.code(),
    }
}

async fn delete(
    ctx: &RequestContext,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<i64, ErrorCode> {
    let partition = {
        let image = ctx.node.hosting.image();
        let topic = target::topic(&image, TopicKey::Name(topic))?;
        if topic.is_internal() {
            return Err(ErrorCode::InvalidTopicException);
        }
        target::partition(ctx, topic, asked.partition_index)?
    };
    partition.delete_records(asked.offset).await.map_err(|error| error.code())
}

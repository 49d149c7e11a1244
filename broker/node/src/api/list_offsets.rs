//! ListOffsets, v1–v11: the first offset at or after a timestamp, and the ends of a partition.
//!
//! Behaviour: -1 answers the end of what is durable (a sync under way is waited for), which without transactions is the
//! last stable offset too; -2 the log start; -3 the record with the highest timestamp.
//! Differs: there is no remote tier, so -4 answers the log start, and -5 and -6 answer "none".
//!
//! References: KIP-79, KIP-405, KIP-734.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use futures_util::future::join_all;

use super::target;
use crate::context::RequestContext;
use crate::partition::{PartitionError, TimestampOffset};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The first version whose answer has a place for a leader epoch.
const EPOCHS_SINCE_VERSION: i16 = 4;

/// What was found: a timestamp or -1, an offset or -1, its leader epoch or -1.
struct Found {
    timestamp: i64,
    offset: i64,
    leader_epoch: i32,
}

const NONE: Found = Found { timestamp: -1, offset: -1, leader_epoch: -1 };

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: ListOffsetsRequest<'a>,
) -> ListOffsetsResponse<'a> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions =
            join_all(topic.partitions.iter().map(|asked| answer(ctx, &topic.name, asked))).await;
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

async fn answer(
    ctx: &RequestContext,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let (error_code, found) = match find(ctx, topic, asked).await {
        Ok(found) => (ErrorCode::None, found),
        Err(error) => (error, NONE),
    };
    ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        error_code: error_code.code(),
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: if ctx.api_version < EPOCHS_SINCE_VERSION { -1 } else { found.leader_epoch },
    }
}

async fn find(
    ctx: &RequestContext,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<Found, ErrorCode> {
    if ctx.api_version < since_version(asked.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let partition = target::partition_by_name(ctx, topic, asked.partition_index)?;
    target::check_leader_epoch(&partition, asked.current_leader_epoch)?;
    let code = |error: PartitionError| error.code();
    let at = |offset: i64| Found {
        timestamp: -1,
        offset,
        leader_epoch: target::epoch_at(&partition, offset),
    };
    let timed = |found: Option<TimestampOffset>| {
        found.map_or(NONE, |found| Found { timestamp: found.timestamp_ms, ..at(found.offset) })
    };
    Ok(match asked.timestamp {
        LATEST => {
            let end = partition.synced_end().await.map_err(code)?;
            Found { timestamp: -1, offset: end, leader_epoch: partition.leader_epoch() }
        }
        EARLIEST | EARLIEST_LOCAL => at(partition.offsets().log_start),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => NONE,
        MAX_TIMESTAMP => timed(partition.max_timestamp().await.map_err(code)?),
        timestamp => timed(partition.offset_for_timestamp(timestamp).await.map_err(code)?),
    })
}

/// The version of the request since which a special timestamp has its meaning.
fn since_version(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => 0,
    }
}

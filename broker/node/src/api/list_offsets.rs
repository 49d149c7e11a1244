//! ListOffsets, v0–v11: the first offset at or after a timestamp, and the ends of a partition.
//!
//! Behaviour: -1 answers the end of what is durable (a sync under way is waited for), or under `read_committed` the last
//! stable offset; -2 the log start; -3 the record with the highest timestamp. What a reader may not see yet is not found.
//! Differs: v0 may ask for several offsets, the starts of segments, and gets one; there is no remote tier, so -4 answers the log start, and -5 and -6 answer "none".
//!
//! References: KIP-79, KIP-405, KIP-734.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use futures_util::future::join_all;

use super::repeated::leave_firsts;
use super::target;
use crate::context::RequestContext;
use crate::partition::{PartitionError, ReadBound, TimestampOffset};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The request's number for seeing only what is committed.
const READ_COMMITTED: i8 = 1;

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
    let bound = if request.isolation_level == READ_COMMITTED {
        ReadBound::LastStable
    } else {
        ReadBound::HighWatermark
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut asked = topic.partitions;
        let twice = leave_firsts(&mut asked, |asked| Some(asked.partition_index));
        let partitions = asked.iter().map(|asked| {
            let is_repeated = twice.contains(&asked.partition_index);
            answer(ctx, &topic.name, asked, bound, is_repeated)
        });
        let partitions = join_all(partitions).await;
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

async fn answer(
    ctx: &RequestContext,
    topic: &str,
    asked: &ListOffsetsPartition,
    bound: ReadBound,
    is_repeated: bool,
) -> ListOffsetsPartitionResponse {
    let found = match is_repeated {
        true => Err(ErrorCode::InvalidRequest),
        false => find(ctx, topic, asked, bound).await,
    };
    let (error_code, found) = match found {
        Ok(found) => (ErrorCode::None, found),
        Err(error) => (error, NONE),
    };
    ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        error_code: error_code.code(),
        timestamp: found.timestamp,
        offset: found.offset,
        old_style_offsets: Some(found.offset)
            .filter(|&offset| offset >= 0 && asked.max_num_offsets > 0)
            .into_iter()
            .collect(),
        leader_epoch: if ctx.api_version < EPOCHS_SINCE_VERSION { -1 } else { found.leader_epoch },
    }
}

async fn find(
    ctx: &RequestContext,
    topic: &str,
    asked: &ListOffsetsPartition,
    bound: ReadBound,
) -> Result<Found, ErrorCode> {
    if since_version(asked.timestamp).is_none_or(|since| ctx.api_version < since) {
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
            let end = partition.visible_end(bound).await.map_err(code)?;
            Found { timestamp: -1, offset: end, leader_epoch: partition.leader_epoch() }
        }
        EARLIEST | EARLIEST_LOCAL => at(partition.offsets().log_start),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => NONE,
        MAX_TIMESTAMP => timed(partition.max_timestamp(bound).await.map_err(code)?),
        timestamp => timed(partition.offset_for_timestamp(timestamp, bound).await.map_err(code)?),
    })
}

/// The version of the request since which a timestamp has its meaning; those below zero that have none are not known.
fn since_version(timestamp: i64) -> Option<i16> {
    match timestamp {
        0.. | LATEST | EARLIEST => Some(0),
        MAX_TIMESTAMP => Some(7),
        EARLIEST_LOCAL => Some(8),
        LATEST_TIERED => Some(9),
        EARLIEST_PENDING_UPLOAD => Some(11),
        _ => None,
    }
}

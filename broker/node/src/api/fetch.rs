//! Fetch, v4–v18: record batches from an offset on.
//!
//! Behaviour: whole batches, from the one that holds the offset; the first one found is sent even if it is larger than the
//! limits. With fewer than `min_bytes` the answer waits until the high watermark of one of the partitions moves, at most
//! `max_wait_ms`. No records are zero bytes, never null. A diverging epoch (KIP-595) is told where the versions have it.
//! Differs: there are no fetch sessions (every answer says session 0, which makes the next request a full one), no
//! followers and no remote tier.
//!
//! References: KIP-74, KIP-227, KIP-320, KIP-392, KIP-516.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::fetch::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    FetchableTopicResponse, PartitionData,
};
use aquifer_broker_protocol::message::{Records, RecordsPiece};
use tokio::sync::Notify;

use super::target::{self, TopicKey};
use crate::context::RequestContext;
use crate::partition::{LogSlice, Partition, PartitionError, ReadBound, ReadResult};

/// The first version that names topics by their ids.
const IDS_SINCE_VERSION: i16 = 13;
/// The request's number for reading only what is committed.
const READ_COMMITTED: i8 = 1;
/// A request for a session that goes on has a larger epoch.
const FIRST_SESSION_EPOCH: i32 = 0;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: FetchRequest<'a>,
) -> FetchResponse<'a> {
    if request.session_epoch > FIRST_SESSION_EPOCH {
        return FetchResponse {
            error_code: ErrorCode::FetchSessionIdNotFound.code(),
            ..FetchResponse::default()
        };
    }
    let deadline = ctx.node.clock.instant()
        + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());
    loop {
        let round = read_all(ctx, &request).await;
        let enough = round.is_final
            || round.bytes >= usize::try_from(request.min_bytes).unwrap_or_default()
            || round.waits_on.is_empty()
            || request.max_wait_ms <= 0;
        if enough || !wait(ctx, &round.waits_on, deadline).await {
            return respond(ctx, request, round);
        }
    }
}

/// What one look at all partitions found.
struct Round {
    /// In the order of the request.
    found: Vec<Result<Found, ErrorCode>>,
    /// The bytes of records in it.
    bytes: usize,
    /// Something in it has to be told at once.
    is_final: bool,
    /// The partitions that may have more later, and from which high watermark on.
    waits_on: Vec<(Arc<Partition>, i64)>,
}

enum Found {
    Records(ReadResult),
    Diverging { epoch: i32, end_offset: i64, high_watermark: i64, log_start: i64 },
}

async fn read_all(ctx: &RequestContext, request: &FetchRequest<'_>) -> Round {
    let bound = if request.isolation_level == READ_COMMITTED {
        ReadBound::LastStable
    } else {
        ReadBound::HighWatermark
    };
    let bytes_max = usize::try_from(request.max_bytes.min(ctx.node.settings.fetch_max_bytes))
        .unwrap_or_default();
    let mut round = Round { found: Vec::new(), bytes: 0, is_final: false, waits_on: Vec::new() };
    for topic in &request.topics {
        for asked in &topic.partitions {
            let found = match find(ctx, request, topic, asked) {
                Ok(partition) => {
                    let remaining = bytes_max.saturating_sub(round.bytes);
                    read_one(&partition, asked, remaining, round.bytes == 0, bound).await.inspect(
                        |found| {
                            if let Found::Records(read) = found {
                                round.bytes += size_of(read);
                                round.waits_on.push((partition, read.high_watermark));
                            }
                        },
                    )
                }
                Err(code) => Err(code),
            };
            round.is_final |= !matches!(found, Ok(Found::Records(_)));
            round.found.push(found);
        }
    }
    round
}

fn find(
    ctx: &RequestContext,
    request: &FetchRequest<'_>,
    topic: &FetchTopic<'_>,
    asked: &FetchPartition,
) -> Result<Arc<Partition>, ErrorCode> {
    if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let key = if ctx.api_version >= IDS_SINCE_VERSION {
        TopicKey::Id(topic.topic_id)
    } else {
        TopicKey::Name(&topic.topic)
    };
    let image = ctx.node.hosting.image();
    let partition = target::partition(ctx, target::topic(&image, key)?, asked.partition)?;
    target::check_leader_epoch(&partition, asked.current_leader_epoch)?;
    Ok(partition)
}

/// Reads one partition: at most what is left of the answer, but a first batch in any case while the answer is empty.
async fn read_one(
    partition: &Arc<Partition>,
    asked: &FetchPartition,
    remaining: usize,
    is_first: bool,
    bound: ReadBound,
) -> Result<Found, ErrorCode> {
    if let Some(diverging) = diverging(partition, asked)? {
        return Ok(diverging);
    }
    let limit = usize::try_from(asked.partition_max_bytes).unwrap_or_default().min(remaining);
    let code = |error: PartitionError| error.code();
    let mut read = partition.fetch(asked.fetch_offset, limit, bound).await.map_err(code)?;
    if !is_first && size_of(&read) > limit {
        read.slices.clear();
    }
    Ok(Found::Records(read))
}

/// Where the client's log and ours part, if they do: its last epoch ended earlier here than it believes.
fn diverging(partition: &Partition, asked: &FetchPartition) -> Result<Option<Found>, ErrorCode> {
    if asked.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let (epoch, end_offset) = target::end_of_epoch(partition, asked.last_fetched_epoch)?;
    if epoch < 0 || end_offset < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    if epoch >= asked.last_fetched_epoch && end_offset >= asked.fetch_offset {
        return Ok(None);
    }
    let offsets = partition.offsets();
    Ok(Some(Found::Diverging {
        epoch,
        end_offset,
        high_watermark: offsets.high_watermark,
        log_start: offsets.log_start,
    }))
}

/// Waits until one of the partitions has more, and tells whether to look again; not past the deadline, not when the node stops.
async fn wait(
    ctx: &RequestContext,
    on: &[(Arc<Partition>, i64)],
    deadline: tokio::time::Instant,
) -> bool {
    let notify = Arc::new(Notify::new());
    for (partition, high_watermark) in on {
        partition.notify_past(*high_watermark, &notify);
    }
    tokio::select! {
        () = notify.notified() => true,
        () = tokio::time::sleep_until(deadline) => false,
        () = ctx.node.stopping.cancelled() => false,
    }
}

fn size_of(read: &ReadResult) -> usize {
    read.slices
        .iter()
        .map(|slice| match slice {
            LogSlice::Bytes(bytes) => bytes.len(),
            LogSlice::File(range) => range.length as usize,
        })
        .sum()
}

fn respond<'a>(ctx: &RequestContext, request: FetchRequest<'a>, round: Round) -> FetchResponse<'a> {
    let committed = request.isolation_level == READ_COMMITTED;
    let mut found = round.found.into_iter();
    let responses = request.topics.into_iter().map(|topic| FetchableTopicResponse {
        partitions: topic
            .partitions
            .iter()
            .zip(&mut found)
            .map(|(asked, found)| partition_data(ctx, asked.partition, found, committed))
            .collect(),
        topic: topic.topic,
        topic_id: topic.topic_id,
    });
    FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
}

fn partition_data<'a>(
    ctx: &RequestContext,
    partition_index: i32,
    found: Result<Found, ErrorCode>,
    committed: bool,
) -> PartitionData<'a> {
    let empty = PartitionData { partition_index, high_watermark: -1, ..PartitionData::default() };
    match found {
        Err(code) => PartitionData { error_code: code.code(), ..empty },
        Ok(Found::Diverging { epoch, end_offset, high_watermark, log_start }) => PartitionData {
            high_watermark,
            last_stable_offset: high_watermark,
            log_start_offset: log_start,
            diverging_epoch: EpochEndOffset { epoch, end_offset },
            ..empty
        },
        Ok(Found::Records(read)) => PartitionData {
            high_watermark: read.high_watermark,
            last_stable_offset: read.last_stable_offset,
            log_start_offset: read.log_start_offset,
            aborted_transactions: committed.then(Vec::new),
            records: Some(Records::Chain(
                read.slices.into_iter().map(|slice| piece(ctx, slice)).collect(),
            )),
            ..empty
        },
    }
}

fn piece(ctx: &RequestContext, slice: LogSlice) -> RecordsPiece {
    match slice {
        LogSlice::Bytes(bytes) => RecordsPiece::Shared(bytes),
        LogSlice::File(range) => {
            let length = range.length;
            RecordsPiece::External { id: ctx.keep_file_range(range), length }
        }
    }
}

//! Fetch, v4–v18: record batches from an offset on.
//!
//! Behaviour: whole batches, from the one that holds the offset; the first one found is sent even if it is larger than the
//! limits. With fewer than `min_bytes` the answer waits until the high watermark of one of the partitions moves, at most
//! `max_wait_ms`. No records are zero bytes, never null. A diverging epoch (KIP-595) is told where the versions have it.
//! Since v7 a client may ask for a session: then it sends, and is told, changes only (`fetch/session.rs`).
//! Differs: there are no followers and no remote tier.
//!
//! References: KIP-74, KIP-227, KIP-320, KIP-392, KIP-516.

mod read;
mod session;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse,
    PartitionData,
};
use aquifer_broker_protocol::message::{Records, RecordsPiece};
use aquifer_broker_protocol::primitive::Uuid;
use tokio::sync::Notify;

use self::read::{Asked, Found, IDS_SINCE_VERSION, Limits, Round, read_all};
pub(crate) use self::session::FetchSessions;
use self::session::{
    Continued, FINAL_EPOCH, INITIAL_EPOCH, SessionPartition, SessionTopic, Turn, Update,
};
use crate::context::RequestContext;
use crate::partition::{LogSlice, Partition, ReadBound};

/// The request's number for reading only what is committed.
const READ_COMMITTED: i8 = 1;

/// How a request stands to its session.
enum Context {
    /// It has none.
    None,
    /// It asks for one.
    New,
    /// It goes on in one; the places of what is asked.
    Session { id: i32, turn: Turn, places: Vec<u64> },
}

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    mut request: FetchRequest<'a>,
) -> FetchResponse<'a> {
    if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
        return refuse_follower(request);
    }
    let (context, mut asked) = match begin(ctx, &mut request) {
        Ok(begun) => begun,
        Err(code) => return FetchResponse { error_code: code.code(), ..FetchResponse::default() },
    };
    let limits = Limits {
        bytes_max: usize::try_from(request.max_bytes.min(ctx.node.settings.fetch_max_bytes))
            .unwrap_or_default(),
        bound: if request.isolation_level == READ_COMMITTED {
            ReadBound::LastStable
        } else {
            ReadBound::HighWatermark
        },
    };
    let deadline = ctx.node.clock.instant()
        + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());
    loop {
        let round = read_all(ctx, &mut asked, limits).await;
        let enough = round.is_final
            || round.is_full
            || round.bytes >= usize::try_from(request.min_bytes).unwrap_or_default()
            || round.waits_on.is_empty()
            || request.max_wait_ms <= 0;
        if enough || !wait(ctx, &round.waits_on, limits.bound, deadline).await {
            let committed = request.isolation_level == READ_COMMITTED;
            return respond(ctx, context, asked, round, committed);
        }
    }
}

/// Nobody follows this node.
fn refuse_follower(request: FetchRequest<'_>) -> FetchResponse<'_> {
    let refused = |partition_index: i32| PartitionData {
        partition_index,
        error_code: ErrorCode::NotLeaderOrFollower.code(),
        high_watermark: -1,
        ..PartitionData::default()
    };
    let responses = request.topics.into_iter().map(|topic| FetchableTopicResponse {
        partitions: topic.partitions.iter().map(|asked| refused(asked.partition)).collect(),
        topic: topic.topic,
        topic_id: topic.topic_id,
    });
    FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
}

/// Takes the request into its session, and lists what is to be read.
fn begin<'a>(
    ctx: &RequestContext,
    request: &mut FetchRequest<'a>,
) -> Result<(Context, Vec<Asked<'a>>), ErrorCode> {
    let sessions = &ctx.node.fetch_sessions;
    let topics = std::mem::take(&mut request.topics);
    if matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH) {
        sessions.close(request.session_id);
        let mut asked = Vec::new();
        for topic in topics {
            asked.extend(topic.partitions.into_iter().map(|partition| Asked {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                asked: partition,
                partition: None,
            }));
        }
        let is_new = request.session_epoch == INITIAL_EPOCH;
        return Ok((if is_new { Context::New } else { Context::None }, asked));
    }
    let mut changed = Vec::new();
    for topic in topics {
        let name = SessionTopic { name: Arc::from(&*topic.topic), id: topic.topic_id };
        let partitions = topic.partitions.into_iter();
        changed.extend(partitions.map(|asked| SessionPartition::new(name.clone(), asked)));
    }
    let mut forgotten = Vec::new();
    for topic in std::mem::take(&mut request.forgotten_topics_data) {
        let name = SessionTopic { name: Arc::from(&*topic.topic), id: topic.topic_id };
        forgotten.extend(topic.partitions.into_iter().map(|index| (name.clone(), index)));
    }
    let update = Update {
        session_id: request.session_id,
        epoch: request.session_epoch,
        uses_ids: ctx.api_version >= IDS_SINCE_VERSION,
        changed,
        forgotten,
    };
    Ok(match sessions.go_on(ctx.node.clock.instant(), update)? {
        Continued::Closed => (Context::None, Vec::new()),
        Continued::Session(turn, partitions) => {
            let places = partitions.iter().map(|(place, _)| *place).collect();
            let asked = partitions.into_iter().map(|(_, partition)| Asked {
                topic: Cow::Owned(String::from(&*partition.topic.name)),
                topic_id: partition.topic.id,
                asked: partition.asked,
                partition: partition.found,
            });
            (Context::Session { id: request.session_id, turn, places }, asked.collect())
        }
    })
}

/// Waits until one of the partitions has more, and tells whether to look again; not past the deadline, not when the node stops.
async fn wait(
    ctx: &RequestContext,
    on: &[(Arc<Partition>, i64)],
    bound: ReadBound,
    deadline: tokio::time::Instant,
) -> bool {
    let notify = Arc::new(Notify::new());
    for (partition, seen) in on {
        partition.notify_past(*seen, bound, &notify);
    }
    tokio::select! {
        () = notify.notified() => true,
        () = tokio::time::sleep_until(deadline) => false,
        () = ctx.node.stopping.cancelled() => false,
    }
}

fn respond<'a>(
    ctx: &RequestContext,
    context: Context,
    asked: Vec<Asked<'a>>,
    round: Round,
    committed: bool,
) -> FetchResponse<'a> {
    let found = asked.into_iter().zip(round.found).map(|(asked, found)| {
        let has_records = matches!(&found, Ok(Found::Records(read)) if !read.slices.is_empty());
        let data = partition_data(ctx, asked.asked.partition, found, committed);
        (asked, data, has_records)
    });
    match context {
        Context::None => full(found.map(|(asked, data, _)| (asked, data)).collect(), 0),
        Context::New => {
            let found = found.map(|(asked, data, _)| (asked, data)).collect::<Vec<_>>();
            let partitions = found.iter().map(|(asked, data)| {
                let topic = SessionTopic { name: Arc::from(&*asked.topic), id: asked.topic_id };
                (SessionPartition::new(topic, asked.asked.clone()), data)
            });
            let uses_ids = ctx.api_version >= IDS_SINCE_VERSION;
            let now = ctx.node.clock.instant();
            let session_id = ctx.node.fetch_sessions.open(now, uses_ids, partitions);
            full(found, session_id)
        }
        Context::Session { id, turn, places } => {
            let found = places.into_iter().zip(found);
            let found = found.map(|(place, (asked, data, has_records))| {
                (place, asked.partition, data, has_records)
            });
            match turn.answer(found) {
                Ok(told) => {
                    let told = told.into_iter().map(|(topic, data)| {
                        (Cow::Owned(String::from(&*topic.name)), topic.id, data)
                    });
                    grouped(told, id)
                }
                Err(code) => FetchResponse {
                    error_code: code.code(),
                    session_id: id,
                    ..FetchResponse::default()
                },
            }
        }
    }
}

/// An answer that tells of every partition.
fn full<'a>(found: Vec<(Asked<'a>, PartitionData<'a>)>, session_id: i32) -> FetchResponse<'a> {
    grouped(found.into_iter().map(|(asked, data)| (asked.topic, asked.topic_id, data)), session_id)
}

/// Partitions of one topic that follow each other share an entry; their order stays.
fn grouped<'a>(
    told: impl Iterator<Item = (Cow<'a, str>, Uuid, PartitionData<'a>)>,
    session_id: i32,
) -> FetchResponse<'a> {
    let mut responses: Vec<FetchableTopicResponse<'a>> = Vec::new();
    for (topic, topic_id, data) in told {
        match responses.last_mut() {
            Some(last) if last.topic_id == topic_id && last.topic == topic => {
                last.partitions.push(data);
            }
            _ => responses.push(FetchableTopicResponse { topic, topic_id, partitions: vec![data] }),
        }
    }
    FetchResponse { session_id, responses, ..FetchResponse::default() }
}

fn partition_data<'a>(
    ctx: &RequestContext,
    partition_index: i32,
    found: Result<Found, ErrorCode>,
    committed: bool,
) -> PartitionData<'a> {
    let empty = PartitionData { partition_index, high_watermark: -1, ..PartitionData::default() };
    match found {
        Err(code) => {
            // Where Kafka does not even get to the log, the list is empty, not null.
            let unknown = [ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicId];
            let aborted_transactions = unknown.contains(&code).then(Vec::new);
            PartitionData { error_code: code.code(), aborted_transactions, ..empty }
        }
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
            aborted_transactions: committed.then(|| read.aborted.iter().map(aborted).collect()),
            records: Some(Records::Chain(
                read.slices.into_iter().map(|slice| piece(ctx, slice)).collect(),
            )),
            ..empty
        },
    }
}

fn aborted(transaction: &aquifer_broker_log::AbortedTransaction) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: transaction.producer_id,
        first_offset: transaction.first_offset,
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

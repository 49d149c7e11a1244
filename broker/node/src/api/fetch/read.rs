//! One look at all partitions of a fetch: what there is to read, and what there is to wait for.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::fetch::FetchPartition;
use aquifer_broker_protocol::primitive::Uuid;

use crate::api::target::{self, TopicKey};
use crate::context::RequestContext;
use crate::partition::{LogSlice, Partition, PartitionError, ReadBound, ReadResult};

/// The first version that names topics by their ids.
pub(super) const IDS_SINCE_VERSION: i16 = 13;

/// A partition to read.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Name of its topic; empty in versions that have ids.
    pub(super) topic: Cow<'a, str>,
    /// Id of its topic; zero in versions that have names.
    pub(super) topic_id: Uuid,
    /// Where to read, and how much.
    pub(super) asked: FetchPartition,
    /// The partition, once it was looked up.
    pub(super) partition: Option<Arc<Partition>>,
}

/// What bounds the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of records in all.
    pub(super) bytes_max: usize,
    /// Up to where a read may go.
    pub(super) bound: ReadBound,
}

/// What one look at all partitions found.
pub(super) struct Round {
    /// In the order of what was asked.
    pub(super) found: Vec<Result<Found, ErrorCode>>,
    /// The bytes of records in it.
    pub(super) bytes: usize,
    /// Something in it has to be told at once.
    pub(super) is_final: bool,
    /// The partitions that may have more later, and past which high watermark, or last stable offset.
    pub(super) waits_on: Vec<(Arc<Partition>, i64)>,
    /// Nothing more fits: what follows is not read.
    pub(super) is_full: bool,
}

/// What a partition has for the client.
pub(super) enum Found {
    /// Records, or none.
    Records(ReadResult),
    /// The client's log is not ours from here on.
    Diverging { epoch: i32, end_offset: i64, high_watermark: i64, log_start: i64 },
}

/// Looks at each partition; those that come after the answer is full are not read.
pub(super) async fn read_all(
    ctx: &RequestContext,
    asked: &mut [Asked<'_>],
    limits: Limits,
) -> Round {
    let mut round = Round {
        found: Vec::with_capacity(asked.len()),
        bytes: 0,
        is_final: false,
        waits_on: Vec::new(),
        is_full: false,
    };
    for asked in asked {
        let found = match find(ctx, asked) {
            Ok(partition) => {
                read_one(&partition, &asked.asked, limits, &mut round).await.inspect(|found| {
                    if let Found::Records(read) = found {
                        round.bytes += size_of(read);
                        let seen = match limits.bound {
                            ReadBound::LogEnd | ReadBound::HighWatermark => read.high_watermark,
                            ReadBound::LastStable => read.last_stable_offset,
                        };
                        round.waits_on.push((partition, seen));
                    }
                })
            }
            Err(code) => Err(code),
        };
        round.is_final |= !matches!(found, Ok(Found::Records(_)));
        round.found.push(found);
    }
    round
}

fn find(ctx: &RequestContext, asked: &mut Asked<'_>) -> Result<Arc<Partition>, ErrorCode> {
    // A topic that was deleted, and perhaps made anew, is looked up again.
    let known = asked.partition.take().filter(|partition| !partition.is_gone());
    let partition = match known {
        Some(partition) => partition,
        None => {
            let key = if ctx.api_version >= IDS_SINCE_VERSION {
                TopicKey::Id(asked.topic_id)
            } else {
                TopicKey::Name(&asked.topic)
            };
            let image = ctx.node.hosting.image();
            target::partition(ctx, target::topic(&image, key)?, asked.asked.partition)?
        }
    };
    asked.partition = Some(Arc::clone(&partition));
    target::check_leader_epoch(&partition, asked.asked.current_leader_epoch)?;
    Ok(partition)
}

/// Reads one partition: at most what is left of the answer, but a first batch in any case while the answer is empty.
async fn read_one(
    partition: &Arc<Partition>,
    asked: &FetchPartition,
    limits: Limits,
    round: &mut Round,
) -> Result<Found, ErrorCode> {
    if let Some(diverging) = diverging(partition, asked)? {
        return Ok(diverging);
    }
    let code = |error: PartitionError| error.code();
    if round.is_full {
        return unread(partition, asked.fetch_offset).map(Found::Records);
    }
    let remaining = limits.bytes_max.saturating_sub(round.bytes);
    let limit = usize::try_from(asked.partition_max_bytes).unwrap_or_default().min(remaining);
    let is_first = round.bytes == 0;
    let mut read = partition.fetch(asked.fetch_offset, limit, limits.bound).await.map_err(code)?;
    let bytes = size_of(&read);
    if !is_first && bytes > limit {
        read.slices.clear();
        round.is_full |= bytes > remaining;
    } else {
        round.is_full = round.bytes + bytes >= limits.bytes_max && round.bytes + bytes > 0;
    }
    Ok(Found::Records(read))
}

/// Where a partition stands, without its records.
fn unread(partition: &Partition, from: i64) -> Result<ReadResult, ErrorCode> {
    let offsets = partition.offsets();
    if partition.is_gone() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    if from < offsets.log_start || from > offsets.log_end {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(ReadResult {
        slices: Vec::new(),
        high_watermark: offsets.high_watermark,
        log_start_offset: offsets.log_start,
        last_stable_offset: offsets.last_stable,
        aborted: Vec::new(),
    })
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

fn size_of(read: &ReadResult) -> usize {
    read.slices
        .iter()
        .map(|slice| match slice {
            LogSlice::Bytes(bytes) => bytes.len(),
            LogSlice::File(range) => range.length as usize,
        })
        .sum()
}

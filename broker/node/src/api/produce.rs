//! Produce, v3–v13: appends one record batch to each partition named.
//!
//! Behaviour: acks=-1 answers when the records are durable, acks=1 when they are appended, acks=0 not at all: there an error
//! can only be told by closing the connection. All batches of a request are queued before the connection's next request is
//! looked at. v0–v2 are answered with UNSUPPORTED_VERSION; they are advertised only (see `api_versions.rs`). What lies in
//! a transaction has to be let in first (`admission.rs`). Of a partition that is named twice the last batch counts.
//!
//! References: KIP-98, KIP-467, KIP-951.

mod admission;
mod named_once;

use std::borrow::Cow;
use std::time::Duration;

use aquifer_broker_coordinator::topic::image::{MetadataImage, TopicImage};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use bytes::Bytes;

use self::admission::Admission;
use super::target::{self, TopicKey};
use crate::context::RequestContext;
use crate::partition::{
    Acks, AppendHow, Appended, Origin, Partition, PartitionError, PendingAppend,
};

/// The first version whose requests are served.
const SERVED_SINCE_VERSION: i16 = 3;
/// The first version that names topics by their ids.
const IDS_SINCE_VERSION: i16 = 13;
/// The first version whose clients number each transaction's batches from 0 (KIP-890).
const TRANSACTIONS_V2_SINCE_VERSION: i16 = 12;
/// Kafka's admin clients under this name may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Why a partition got nothing.
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    /// Where the partition starts, or -1.
    log_start_offset: i64,
    /// Position in the batch, and what is wrong there.
    records: Vec<(i32, String)>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, log_start_offset: -1, records: Vec::new() }
    }
}

impl Refusal {
    fn new(code: ErrorCode, message: String) -> Self {
        Self { message: Some(message), ..code.into() }
    }

    /// The partition did not take the batch.
    fn by(partition: &Partition, error: PartitionError) -> Self {
        let mut refusal = Self::new(error.code(), error.to_string());
        if error.tells_log_start() {
            refusal.log_start_offset = partition.offsets().log_start;
        }
        if let PartitionError::RefusedRecords(refused) = error {
            refusal.records = refused.records;
        }
        refusal
    }
}

type Queued = Result<PendingAppend, Refusal>;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    mut request: ProduceRequest<'a>,
) -> ProduceResponse<'a> {
    named_once::settle(&mut request.topic_data);
    let turn = ctx.peer.turn.take();
    let acks = request.acks;
    let image = ctx.node.hosting.image();
    let admitted = match check(ctx, &request) {
        Ok(how) => Admission::of(ctx, &image, &request).await.map(|admission| (how, admission)),
        Err(error) => Err(error),
    };
    let mut queued = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        queued.push(queue_topic(ctx, &image, topic, &admitted).await);
    }
    drop(admitted);
    drop(turn);
    let deadline = ctx.node.clock.instant()
        + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or_default());
    let mut responses = Vec::with_capacity(request.topic_data.len());
    let mut all_well = true;
    for (topic, queued) in request.topic_data.into_iter().zip(queued) {
        let mut partition_responses = Vec::with_capacity(queued.len());
        for (index, queued) in queued {
            let appended = finish(queued, acks, deadline).await;
            all_well &= appended.is_ok();
            partition_responses.push(partition_response(index, appended));
        }
        responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    if acks == 0 {
        if !all_well {
            ctx.close_connection("a produce request with acks=0 failed");
        }
        ctx.withhold_reply();
    }
    ProduceResponse { responses, ..ProduceResponse::default() }
}

/// What is wrong with the request as a whole, or how its records are to be appended.
fn check(ctx: &RequestContext, request: &ProduceRequest<'_>) -> Result<AppendHow, ErrorCode> {
    if ctx.api_version < SERVED_SINCE_VERSION {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let acks = match request.acks {
        0 | 1 => Acks::Leader,
        -1 => Acks::All,
        _ => return Err(ErrorCode::InvalidRequiredAcks),
    };
    let origin = if ctx.api_version >= TRANSACTIONS_V2_SINCE_VERSION {
        Origin::ClientV2
    } else {
        Origin::Client
    };
    Ok(AppendHow { acks, origin })
}

async fn queue_topic(
    ctx: &RequestContext,
    image: &MetadataImage,
    data: &TopicProduceData<'_>,
    admitted: &Result<(AppendHow, Admission), ErrorCode>,
) -> Vec<(i32, Queued)> {
    let topic = match admitted {
        Ok((how, admission)) => {
            target::topic(image, topic_key(ctx, data)).map(|topic| (*how, admission, topic))
        }
        Err(error) => Err(*error),
    };
    let mut queued = Vec::with_capacity(data.partition_data.len());
    for partition_data in &data.partition_data {
        let pending = match topic {
            Ok((how, admission, topic)) => queue(ctx, how, admission, topic, partition_data).await,
            Err(code) => Err(code.into()),
        };
        queued.push((partition_data.index, pending));
    }
    queued
}

async fn queue(
    ctx: &RequestContext,
    how: AppendHow,
    admission: &Admission,
    topic: &TopicImage,
    data: &PartitionProduceData<'_>,
) -> Queued {
    if topic.is_internal() && ctx.client_id != ADMIN_CLIENT_ID {
        let message = format!("Cannot append to internal topic {}", topic.name);
        return Err(Refusal::new(ErrorCode::InvalidTopicException, message));
    }
    let partition = target::partition(ctx, topic, data.index)?;
    admission.check(&topic.name, data.index)?;
    let Some(records) = records(ctx, data) else {
        return Err(Refusal::new(
            ErrorCode::InvalidRecord,
            "a produce request must have exactly one record batch per partition".to_owned(),
        ));
    };
    let queued = partition.enqueue_within(records, ctx.body.len(), how).await;
    queued.map_err(|error| Refusal::by(&partition, error))
}

/// How the request names a topic.
fn topic_key<'a>(ctx: &RequestContext, data: &'a TopicProduceData<'_>) -> TopicKey<'a> {
    if ctx.api_version >= IDS_SINCE_VERSION {
        TopicKey::Id(data.topic_id)
    } else {
        TopicKey::Name(&data.name)
    }
}

/// The records as a share of the frame; nothing is copied.
fn records(ctx: &RequestContext, data: &PartitionProduceData<'_>) -> Option<Bytes> {
    let records = data.records.filter(|records| !records.is_empty())?;
    Some(ctx.body.slice_ref(records))
}

async fn finish(
    queued: Queued,
    acks: i16,
    deadline: tokio::time::Instant,
) -> Result<Appended, Refusal> {
    let mut pending = queued?;
    let appended = if acks == -1 {
        tokio::time::timeout_at(deadline, &mut pending)
            .await
            .map_err(|_| Refusal::from(ErrorCode::RequestTimedOut))?
    } else {
        (&mut pending).await
    };
    appended.map_err(|error| Refusal::by(pending.partition(), error))
}

fn partition_response<'a>(
    index: i32,
    appended: Result<Appended, Refusal>,
) -> PartitionProduceResponse<'a> {
    match appended {
        Ok(appended) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time_ms,
            log_start_offset: appended.log_start_offset,
            ..PartitionProduceResponse::default()
        },
        Err(refusal) => PartitionProduceResponse {
            index,
            error_code: refusal.code.code(),
            base_offset: -1,
            log_start_offset: refusal.log_start_offset,
            record_errors: refusal
                .records
                .into_iter()
                .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                    batch_index,
                    batch_index_error_message: Some(Cow::Owned(message)),
                })
                .collect(),
            error_message: refusal.message.map(Cow::Owned),
            ..PartitionProduceResponse::default()
        },
    }
}

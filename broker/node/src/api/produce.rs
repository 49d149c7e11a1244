//! Produce, v3–v13: appends one record batch to each partition named.
//!
//! Behaviour: acks=-1 answers when the records are durable, acks=1 when they are appended, acks=0 not at all: there an error
//! can only be told by closing the connection. All batches of a request are queued before the connection's next request is
//! looked at. v0–v2 are answered with UNSUPPORTED_VERSION; they are advertised only (see `api_versions.rs`). What lies in
//! a transaction has to be let in first (`admission.rs`).
//!
//! References: KIP-98, KIP-467, KIP-951.

mod admission;

use std::borrow::Cow;
use std::time::Duration;

use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use bytes::Bytes;

use self::admission::Admission;
use super::target::{self, TopicKey};
use crate::context::RequestContext;
use crate::partition::{Acks, AppendHow, Appended, Origin, PartitionError, PendingAppend};

/// The first version whose requests are served.
const SERVED_SINCE_VERSION: i16 = 3;
/// The first version that names topics by their ids.
const IDS_SINCE_VERSION: i16 = 13;
/// Kafka's admin clients under this name may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Why a partition got nothing.
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    /// Position in the batch, and what is wrong there.
    records: Vec<(i32, String)>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

impl From<PartitionError> for Refusal {
    fn from(error: PartitionError) -> Self {
        let (code, message) = (error.code(), Some(error.to_string()));
        let records = match error {
            PartitionError::RefusedRecords(refused) => refused.records,
            _ => Vec::new(),
        };
        Self { code, message, records }
    }
}

type Queued = Result<PendingAppend, Refusal>;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: ProduceRequest<'a>,
) -> ProduceResponse<'a> {
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
    Ok(AppendHow { acks, origin: Origin::Client })
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
            Err(code) => Err(code.into()),
            Ok((_, _, topic)) if topic.is_internal() && ctx.client_id != ADMIN_CLIENT_ID => {
                Err(Refusal {
                    code: ErrorCode::InvalidTopicException,
                    message: Some(format!("Cannot append to internal topic {}", topic.name)),
                    records: Vec::new(),
                })
            }
            Ok((how, admission, topic)) => match target::partition(ctx, topic, partition_data.index)
                .and_then(|partition| {
                    admission.check(&topic.name, partition_data.index).map(|()| partition)
                }) {
                Err(code) => Err(code.into()),
                Ok(partition) => match records(ctx, partition_data) {
                    None => Err(Refusal {
                        code: ErrorCode::InvalidRecord,
                        message: Some(
                            "a produce request must have exactly one record batch per partition"
                                .to_owned(),
                        ),
                        records: Vec::new(),
                    }),
                    Some(records) => partition
                        .enqueue_within(records, ctx.body.len(), how)
                        .await
                        .map_err(Refusal::from),
                },
            },
        };
        queued.push((partition_data.index, pending));
    }
    queued
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
    let pending = queued?;
    if acks != -1 {
        return Ok(pending.await?);
    }
    match tokio::time::timeout_at(deadline, pending).await {
        Ok(appended) => Ok(appended?),
        Err(_) => Err(ErrorCode::RequestTimedOut.into()),
    }
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

//! Whether the batches of a Produce request may enter the transaction they claim to be part of.
//!
//! Behaviour: a transactional batch needs a transactional id whose open transaction covers its partition, and whose
//! producer id and epoch it carries. Since v12 (KIP-890) a partition that is not covered yet is added, which is durable
//! before anything is appended; before, it is refused with INVALID_TXN_STATE, or TRANSACTION_ABORTABLE since v11.
//!
//! References: KIP-98, KIP-890.

use std::collections::HashMap;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_coordinator::transaction::state::{ClientVersion, Producer};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::RecordBatch;
use aquifer_broker_protocol::message::produce::ProduceRequest;

use super::topic_key;
use crate::api::target;
use crate::api::transactional::append_code;
use crate::context::RequestContext;
use crate::hosting::{InTransaction, NotInTransaction};

/// The first version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE_VERSION: i16 = 11;
/// The first version that adds partitions to the transaction.
const ADDS_SINCE_VERSION: i16 = 12;

/// What a request may append to. Held until its batches are queued: the transaction's markers wait for that.
#[derive(Debug, Default)]
pub(super) struct Admission {
    _inside: Option<InTransaction>,
    refused: HashMap<(TopicName, i32), ErrorCode>,
}

/// The transactional batches of a request.
#[derive(Debug)]
struct Claim {
    producer: Producer,
    partitions: Vec<(TopicName, i32)>,
}

impl Admission {
    /// Enters the transaction of a request's batches, if they have one.
    pub(super) async fn of(
        ctx: &RequestContext,
        image: &MetadataImage,
        request: &ProduceRequest<'_>,
    ) -> Result<Self, ErrorCode> {
        let Some(mut claim) = Claim::of(ctx, image, request)? else { return Ok(Self::default()) };
        // Kafka has no other code for "you may not": it takes the id for one that the client has no right to.
        let id = request
            .transactional_id
            .as_deref()
            .ok_or(ErrorCode::TransactionalIdAuthorizationFailed)?;
        let client = if ctx.api_version >= ADDS_SINCE_VERSION {
            ClientVersion::V2
        } else {
            ClientVersion::V1
        };
        let hosting = &ctx.node.hosting;
        let mut refused = HashMap::new();
        loop {
            let Claim { producer, partitions } = &claim;
            match hosting.enter_transaction(id, *producer, partitions, client).await {
                Ok(inside) => return Ok(Self { _inside: Some(inside), refused }),
                Err(NotInTransaction::Refused(error)) => {
                    let error = append_code(error, client);
                    refused
                        .extend(claim.partitions.into_iter().map(|partition| (partition, error)));
                }
                Err(NotInTransaction::NotCovered(covered)) => {
                    let error = if ctx.api_version >= ABORTABLE_SINCE_VERSION {
                        ErrorCode::TransactionAbortable
                    } else {
                        ErrorCode::InvalidTxnState
                    };
                    let (mut admitted, partitions) = (Vec::new(), claim.partitions.into_iter());
                    for (partition, is_covered) in partitions.zip(covered) {
                        if is_covered {
                            admitted.push(partition);
                        } else {
                            refused.insert(partition, error);
                        }
                    }
                    claim.partitions = admitted;
                    if !claim.partitions.is_empty() {
                        continue;
                    }
                }
            }
            return Ok(Self { _inside: None, refused });
        }
    }

    /// Why nothing may be appended to the partition, if so.
    pub(super) fn check(&self, topic: &TopicName, partition: i32) -> Result<(), ErrorCode> {
        if self.refused.is_empty() {
            return Ok(());
        }
        self.refused.get(&(topic.clone(), partition)).map_or(Ok(()), |error| Err(*error))
    }
}

impl Claim {
    /// The transactional batches among those of existing partitions; all must be of one producer.
    fn of(
        ctx: &RequestContext,
        image: &MetadataImage,
        request: &ProduceRequest<'_>,
    ) -> Result<Option<Self>, ErrorCode> {
        let mut claim: Option<Self> = None;
        for data in &request.topic_data {
            let Ok(topic) = target::topic(image, topic_key(ctx, data)) else { continue };
            for partition_data in &data.partition_data {
                let batch = partition_data.records.map(RecordBatch::parse);
                // What can't be read is refused where it is appended.
                let Some(Ok((batch, _))) = batch else { continue };
                if !batch.is_transactional() || !topic.has_partition(partition_data.index) {
                    continue;
                }
                let producer = Producer { id: batch.producer_id(), epoch: batch.producer_epoch() };
                let claim = claim.get_or_insert_with(|| Self { producer, partitions: Vec::new() });
                if claim.producer != producer {
                    return Err(ErrorCode::InvalidProducerIdMapping);
                }
                claim.partitions.push((topic.name.clone(), partition_data.index));
            }
        }
        Ok(claim)
    }
}

//! AddPartitionsToTxn, v0–v5: a producer is about to write to partitions in its transaction.
//!
//! Behaviour: v0–v3 come from clients, v4–v5 from brokers, with several transactions and `verify_only`, which adds
//! nothing and answers TRANSACTION_ABORTABLE for what is not in the transaction. If one partition does not exist none is
//! added: the others are answered OPERATION_NOT_ATTEMPTED. Before v2 a fenced producer is told INVALID_PRODUCER_EPOCH.
//!
//! References: KIP-98, KIP-890.

use std::borrow::Cow;
use std::collections::HashMap;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::transaction::command::{AddPartitions, VerifyPartitions};
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::{ClientVersion, Producer};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};

use super::transactional::fenced_before_v2;
use crate::context::RequestContext;

/// The first version with several transactions.
const BATCHED_SINCE_VERSION: i16 = 4;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: AddPartitionsToTxnRequest<'a>,
) -> AddPartitionsToTxnResponse<'a> {
    if ctx.api_version < BATCHED_SINCE_VERSION {
        let one = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: answer(ctx, one).await,
            ..AddPartitionsToTxnResponse::default()
        };
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let transactional_id = transaction.transactional_id.clone();
        let topic_results = answer(ctx, transaction).await;
        results.push(AddPartitionsToTxnResult { transactional_id, topic_results });
    }
    AddPartitionsToTxnResponse {
        results_by_transaction: results,
        ..AddPartitionsToTxnResponse::default()
    }
}

async fn answer<'a>(
    ctx: &RequestContext,
    transaction: AddPartitionsToTxnTransaction<'a>,
) -> Vec<AddPartitionsToTxnTopicResult<'a>> {
    let partitions = partitions(&transaction.topics);
    let image = ctx.node.hosting.image();
    let unknown = partitions.iter().filter(|(topic, partition)| {
        !image.topic(topic).is_some_and(|topic| topic.has_partition(*partition))
    });
    let unknown = unknown.cloned().collect::<Vec<_>>();
    if !unknown.is_empty() {
        return respond(transaction.topics, |topic, partition| {
            let is_unknown =
                unknown.iter().any(|(name, index)| **name == *topic && *index == partition);
            if is_unknown {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::OperationNotAttempted
            }
        });
    }
    let transactional_id = TransactionalId::from(&*transaction.transactional_id);
    let producer = Producer { id: transaction.producer_id, epoch: transaction.producer_epoch };
    let hosting = &ctx.node.hosting;
    if !transaction.verify_only {
        let client = ClientVersion::V1;
        let added = hosting
            .add_partitions(AddPartitions { transactional_id, producer, partitions, client })
            .await;
        let error = fenced_before_v2(ctx, added.err().unwrap_or(ErrorCode::None));
        return respond(transaction.topics, |_, _| error);
    }
    let verify = VerifyPartitions { transactional_id, producer, partitions: partitions.clone() };
    match hosting.verify_partitions(verify).await {
        Err(error) => respond(transaction.topics, |_, _| error),
        Ok(covered) => {
            let covered = partitions.into_iter().zip(covered).collect::<HashMap<_, _>>();
            respond(transaction.topics, |topic, partition| {
                match covered.get(&(TopicName::from(topic), partition)) {
                    Some(true) => ErrorCode::None,
                    Some(false) | None => ErrorCode::TransactionAbortable,
                }
            })
        }
    }
}

fn partitions(topics: &[AddPartitionsToTxnTopic<'_>]) -> Vec<(TopicName, i32)> {
    let partitions = topics.iter().flat_map(|topic| {
        let name = TopicName::from(&*topic.name);
        topic.partitions.iter().map(move |partition| (name.clone(), *partition))
    });
    partitions.collect()
}

fn respond<'a>(
    topics: Vec<AddPartitionsToTxnTopic<'a>>,
    error: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult<'a>> {
    let results = topics.into_iter().map(|topic| {
        let AddPartitionsToTxnTopic { name, partitions } = topic;
        let results = partitions.into_iter().map(|partition_index| {
            let partition_error_code = error(&name, partition_index).code();
            AddPartitionsToTxnPartitionResult { partition_index, partition_error_code }
        });
        let results_by_partition = results.collect();
        AddPartitionsToTxnTopicResult { name: Cow::clone(&name), results_by_partition }
    });
    results.collect()
}

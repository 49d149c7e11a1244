//! Transactional requests as bytes: who is let in, and what each version is told.

use std::borrow::Cow;

use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use aquifer_broker_protocol::message::add_offsets_to_txn::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse,
};
use aquifer_broker_protocol::message::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
};
use aquifer_broker_protocol::message::end_txn::{EndTxnRequest, EndTxnResponse};
use aquifer_broker_protocol::message::init_producer_id::{
    InitProducerIdRequest, InitProducerIdResponse,
};
use aquifer_broker_protocol::message::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse,
};
use aquifer_broker_protocol::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse,
};
use aquifer_broker_protocol::message::produce::ProduceResponse;
use aquifer_broker_protocol::message::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
};
use aquifer_broker_protocol::{ApiKey, ErrorCode};

use super::start_node;
use super::wire::{Wire, produce_request, read};
use crate::clock::Clock;

const ID: &str = "x";

type Producer = (i64, i16);

fn batch((producer_id, producer_epoch): Producer, base_sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id,
        producer_epoch,
        base_sequence,
        transactional: true,
        ..BatchOptions::default()
    });
    let timestamp_ms = Clock::system().now_ms();
    builder.push(NewRecord { timestamp_ms, value: Some(b"v"), ..NewRecord::default() });
    builder.build().unwrap().to_vec()
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

impl Wire {
    async fn init(
        &mut self,
        version: i16,
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Result<Producer, ErrorCode> {
        let (producer_id, producer_epoch) = expected.unwrap_or((-1, -1));
        let request = InitProducerIdRequest {
            transactional_id: Some(Cow::Borrowed(ID)),
            transaction_timeout_ms: timeout_ms,
            producer_id,
            producer_epoch,
        };
        self.ask(ApiKey::InitProducerId, version, &request, |body| {
            let response = read::<InitProducerIdResponse>(body, version);
            match error(response.error_code) {
                ErrorCode::None => Ok((response.producer_id, response.producer_epoch)),
                error => Err(error),
            }
        })
        .await
    }

    async fn write(
        &mut self,
        version: i16,
        transactional_id: Option<&'static str>,
        producer: Producer,
        sequence: i32,
    ) -> ErrorCode {
        let batch = batch(producer, sequence);
        let mut request = produce_request("t", -1, &batch);
        request.transactional_id = transactional_id.map(Cow::Borrowed);
        self.ask(ApiKey::Produce, version, &request, |body| {
            let response = read::<ProduceResponse<'_>>(body, version);
            error(response.responses[0].partition_responses[0].error_code)
        })
        .await
    }

    async fn add(
        &mut self,
        version: i16,
        producer: Producer,
        topics: &[&'static str],
    ) -> Vec<ErrorCode> {
        let topics = topics.iter().map(|name| AddPartitionsToTxnTopic {
            name: Cow::Borrowed(*name),
            partitions: vec![0],
        });
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: Cow::Borrowed(ID),
            v3_and_below_producer_id: producer.0,
            v3_and_below_producer_epoch: producer.1,
            v3_and_below_topics: topics.collect(),
            ..AddPartitionsToTxnRequest::default()
        };
        self.ask(ApiKey::AddPartitionsToTxn, version, &request, |body| {
            let response = read::<AddPartitionsToTxnResponse<'_>>(body, version);
            let results = response.results_by_topic_v3_and_below.iter();
            results.map(|topic| error(topic.results_by_partition[0].partition_error_code)).collect()
        })
        .await
    }

    async fn end(
        &mut self,
        version: i16,
        producer: Producer,
        committed: bool,
    ) -> Result<Producer, ErrorCode> {
        let request = EndTxnRequest {
            transactional_id: Cow::Borrowed(ID),
            producer_id: producer.0,
            producer_epoch: producer.1,
            committed,
        };
        self.ask(ApiKey::EndTxn, version, &request, |body| {
            let response = read::<EndTxnResponse>(body, version);
            match error(response.error_code) {
                ErrorCode::None => Ok((response.producer_id, response.producer_epoch)),
                error => Err(error),
            }
        })
        .await
    }

    async fn commit_offset(&mut self, version: i16, producer: Producer, offset: i64) -> ErrorCode {
        let request = TxnOffsetCommitRequest {
            transactional_id: Cow::Borrowed(ID),
            group_id: Cow::Borrowed("g"),
            producer_id: producer.0,
            producer_epoch: producer.1,
            generation_id: -1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: Cow::Borrowed("t"),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    committed_offset: offset,
                    committed_metadata: Some(Cow::Borrowed("")),
                    ..TxnOffsetCommitRequestPartition::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        };
        self.ask(ApiKey::TxnOffsetCommit, version, &request, |body| {
            let response = read::<TxnOffsetCommitResponse<'_>>(body, version);
            error(response.topics[0].partitions[0].error_code)
        })
        .await
    }

    async fn offset(&mut self, require_stable: bool) -> Result<i64, ErrorCode> {
        let request = OffsetFetchRequest {
            group_id: Cow::Borrowed("g"),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: Cow::Borrowed("t"),
                partition_indexes: vec![0],
            }]),
            require_stable,
            ..OffsetFetchRequest::default()
        };
        self.ask(ApiKey::OffsetFetch, 7, &request, |body| {
            let response = read::<OffsetFetchResponse<'_>>(body, 7);
            let partition = &response.topics[0].partitions[0];
            match error(partition.error_code) {
                ErrorCode::None => Ok(partition.committed_offset),
                error => Err(error),
            }
        })
        .await
    }
}

#[tokio::test]
async fn an_older_client_writes_only_where_it_has_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(folder.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let producer = wire.init(4, 60_000, None).await.unwrap();
    for (version, id, expected) in [
        (9, Some(ID), ErrorCode::InvalidTxnState),
        (11, Some(ID), ErrorCode::TransactionAbortable),
        (9, None, ErrorCode::TransactionalIdAuthorizationFailed),
        (9, Some("y"), ErrorCode::InvalidProducerIdMapping),
    ] {
        assert_eq!(wire.write(version, id, producer, 0).await, expected, "v{version} {id:?}");
    }
    assert_eq!(wire.add(3, producer, &["t"]).await, [ErrorCode::None]);
    assert_eq!(wire.write(9, Some(ID), producer, 0).await, ErrorCode::None);
    assert_eq!(wire.write(9, Some(ID), producer, 0).await, ErrorCode::None, "a repeated request");
    assert_eq!(wire.end(4, producer, true).await, Ok((-1, -1)));
    // A record that comes late must not open a transaction that nobody will end.
    assert_eq!(wire.write(9, Some(ID), producer, 1).await, ErrorCode::InvalidTxnState);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_newer_client_adds_partitions_by_writing_and_goes_on_with_the_next_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(folder.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let first = wire.init(5, 60_000, None).await.unwrap();
    assert_eq!(wire.write(12, Some(ID), first, 0).await, ErrorCode::None);
    let second = wire.end(5, first, true).await.unwrap();
    assert_eq!(second, (first.0, first.1 + 1));
    assert_eq!(wire.end(5, first, true).await, Ok(second), "a repeated request");
    let late = wire.write(12, Some(ID), first, 1).await;
    assert_eq!(late, ErrorCode::InvalidProducerEpoch);
    assert_eq!(wire.write(12, Some(ID), second, 0).await, ErrorCode::None);
    assert_eq!(wire.end(5, first, true).await, Err(ErrorCode::ProducerFenced));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_fenced_producer_is_told_so_in_words_its_version_knows() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(folder.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let old = wire.init(4, 60_000, None).await.unwrap();
    wire.add(3, old, &["t"]).await;
    assert_eq!(wire.write(9, Some(ID), old, 0).await, ErrorCode::None);
    let new = wire.init(4, 60_000, None).await.unwrap();
    assert!(new.0 == old.0 && new.1 > old.1, "{new:?} after {old:?}");
    assert_eq!(wire.write(9, Some(ID), old, 1).await, ErrorCode::InvalidProducerEpoch);
    assert_eq!(wire.add(1, old, &["t"]).await, [ErrorCode::InvalidProducerEpoch]);
    assert_eq!(wire.add(2, old, &["t"]).await, [ErrorCode::ProducerFenced]);
    assert_eq!(wire.end(1, old, true).await, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(wire.end(2, old, true).await, Err(ErrorCode::ProducerFenced));
    assert_eq!(wire.init(3, 60_000, Some(old)).await, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(wire.init(4, 60_000, Some(old)).await, Err(ErrorCode::ProducerFenced));
    assert_eq!(wire.init(4, 900_001, None).await, Err(ErrorCode::InvalidTransactionTimeout));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn partitions_are_added_all_or_none_and_verified_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(folder.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    wire.create("u").await;
    let producer = wire.init(4, 60_000, None).await.unwrap();
    assert_eq!(
        wire.add(3, producer, &["t", "nowhere"]).await,
        [ErrorCode::OperationNotAttempted, ErrorCode::UnknownTopicOrPartition]
    );
    assert_eq!(wire.add(3, producer, &["t"]).await, [ErrorCode::None]);
    let topic = |name| AddPartitionsToTxnTopic { name: Cow::Borrowed(name), partitions: vec![0] };
    let request = AddPartitionsToTxnRequest {
        transactions: vec![AddPartitionsToTxnTransaction {
            transactional_id: Cow::Borrowed(ID),
            producer_id: producer.0,
            producer_epoch: producer.1,
            verify_only: true,
            topics: vec![topic("t"), topic("u")],
        }],
        ..AddPartitionsToTxnRequest::default()
    };
    let verified = wire.ask(ApiKey::AddPartitionsToTxn, 5, &request, |body| {
        let response = read::<AddPartitionsToTxnResponse<'_>>(body, 5);
        let topics = response.results_by_transaction[0].topic_results.iter();
        topics
            .map(|topic| error(topic.results_by_partition[0].partition_error_code))
            .collect::<Vec<_>>()
    });
    assert_eq!(verified.await, [ErrorCode::None, ErrorCode::TransactionAbortable]);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_of_an_open_transaction_are_not_stable_and_count_when_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(folder.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let producer = wire.init(4, 60_000, None).await.unwrap();
    assert_eq!(wire.commit_offset(3, producer, 5).await, ErrorCode::InvalidTxnState);
    assert_eq!(wire.commit_offset(4, producer, 5).await, ErrorCode::TransactionAbortable);
    let request = AddOffsetsToTxnRequest {
        transactional_id: Cow::Borrowed(ID),
        producer_id: producer.0,
        producer_epoch: producer.1,
        group_id: Cow::Borrowed("g"),
    };
    let added = wire.ask(ApiKey::AddOffsetsToTxn, 3, &request, |body| {
        error(read::<AddOffsetsToTxnResponse>(body, 3).error_code)
    });
    assert_eq!(added.await, ErrorCode::None);
    assert_eq!(wire.commit_offset(3, producer, 5).await, ErrorCode::None);
    assert_eq!(wire.offset(true).await, Err(ErrorCode::UnstableOffsetCommit));
    assert_eq!(wire.offset(false).await, Ok(-1));
    wire.end(4, producer, true).await.unwrap();
    assert_eq!(wire.offset(true).await, Ok(5));
    // A newer client needs no AddOffsetsToTxn.
    assert_eq!(wire.commit_offset(5, producer, 9).await, ErrorCode::None);
    assert_eq!(wire.offset(true).await, Err(ErrorCode::UnstableOffsetCommit));
    wire.end(5, producer, false).await.unwrap();
    assert_eq!(wire.offset(true).await, Ok(5));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn listings_name_what_is_no_state_and_refuse_what_is_no_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(folder.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.init(4, 60_000, None).await.unwrap();
    for (states, pattern, expected) in [
        (vec![], None, "x: Empty"),
        (vec!["Empty"], Some("x|y"), "x: Empty"),
        (vec!["Ongoing"], None, ""),
        (vec!["Mood"], None, "unknown Mood"),
        (vec![], Some("y"), ""),
        (vec![], Some("("), "INVALID_REGULAR_EXPRESSION"),
    ] {
        let request = ListTransactionsRequest {
            state_filters: states.into_iter().map(Cow::Borrowed).collect(),
            transactional_id_pattern: pattern.map(Cow::Borrowed),
            ..ListTransactionsRequest::default()
        };
        let listed = wire.ask(ApiKey::ListTransactions, 2, &request, |body| {
            let response = read::<ListTransactionsResponse<'_>>(body, 2);
            match error(response.error_code) {
                ErrorCode::None => {
                    let unknown = response.unknown_state_filters.iter();
                    let unknown = unknown.map(|name| format!("unknown {name}"));
                    let states = response.transaction_states.iter();
                    let states = states.map(|state| {
                        format!("{}: {}", state.transactional_id, state.transaction_state)
                    });
                    unknown.chain(states).collect::<Vec<_>>().join(", ")
                }
                error => error.name().to_owned(),
            }
        });
        assert_eq!(listed.await, expected);
    }
    node.stop().await.unwrap();
}

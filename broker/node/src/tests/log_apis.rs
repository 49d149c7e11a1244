//! What is asked of a partition's log: records deleted on request, who writes, and why records were not taken.

use std::borrow::Cow;

use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use aquifer_broker_protocol::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use aquifer_broker_protocol::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use aquifer_broker_protocol::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, TopicRequest,
};
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use aquifer_broker_protocol::message::produce::ProduceResponse;
use aquifer_broker_protocol::{ApiKey, ErrorCode};

use super::start_node;
use super::wire::{Wire, batch, produce_request, read};
use crate::clock::Clock;

async fn create(wire: &mut Wire, topic: &str, configs: &[(&'static str, &'static str)]) {
    let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: Cow::Borrowed(name),
        value: Some(Cow::Borrowed(value)),
    });
    let topic = CreatableTopic {
        name: Cow::Borrowed(topic),
        num_partitions: 1,
        replication_factor: 1,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    wire.ask(ApiKey::CreateTopics, 7, &request, |body| {
        assert_eq!(read::<CreateTopicsResponse<'_>>(body, 7).topics[0].error_code, 0);
    })
    .await;
}

/// The error and the low watermark that deleting up to `offset` is answered with.
async fn delete(wire: &mut Wire, topic: &str, offset: i64) -> (Option<ErrorCode>, i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: Cow::Borrowed(topic),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 1000,
    };
    wire.ask(ApiKey::DeleteRecords, 2, &request, |body| {
        let response = read::<DeleteRecordsResponse<'_>>(body, 2);
        let result = &response.topics[0].partitions[0];
        (ErrorCode::from_code(result.error_code), result.low_watermark)
    })
    .await
}

async fn earliest(wire: &mut Wire, topic: &str) -> i64 {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: Cow::Borrowed(topic),
            partitions: vec![ListOffsetsPartition {
                current_leader_epoch: -1,
                timestamp: -2,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    wire.ask(ApiKey::ListOffsets, 7, &request, |body| {
        read::<ListOffsetsResponse<'_>>(body, 7).topics[0].partitions[0].offset
    })
    .await
}

#[tokio::test]
async fn records_are_deleted_on_request_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    create(&mut wire, "kept", &[("cleanup.policy", "compact")]).await;
    for _ in 0..5 {
        assert_eq!(wire.produce("t", -1, &batch(&[b"x"])).await.0, 0);
    }
    let refused = |error: ErrorCode| (Some(error), -1);
    let deleted = |offset: i64| (Some(ErrorCode::None), offset);
    for (topic, offset, expected) in [
        ("t", 3, deleted(3)),
        ("t", 2, deleted(3)),
        ("t", 6, refused(ErrorCode::OffsetOutOfRange)),
        ("t", -2, refused(ErrorCode::OffsetOutOfRange)),
        ("kept", 0, refused(ErrorCode::PolicyViolation)),
        ("nothing", 0, refused(ErrorCode::UnknownTopicOrPartition)),
    ] {
        assert_eq!(delete(&mut wire, topic, offset).await, expected, "{topic} up to {offset}");
    }
    assert_eq!(earliest(&mut wire, "t").await, 3);
    for _ in 0..2 {
        node.stop().await.unwrap();
        node = start_node(dir.path(), &[]).await;
        wire = Wire::connect(&node).await;
        assert_eq!(earliest(&mut wire, "t").await, 3);
    }
    assert_eq!(delete(&mut wire, "t", -1).await, deleted(5));
    assert_eq!(wire.produce("t", -1, &batch(&[b"x"])).await, (0, 5));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn producers_are_described_as_the_partition_knows_them() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let timestamp_ms = Clock::system().now_ms() - 60_000;
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: 4000,
        producer_epoch: 3,
        base_sequence: 0,
        ..BatchOptions::default()
    });
    for _ in 0..4 {
        builder.push(NewRecord { timestamp_ms, value: Some(b"v"), ..NewRecord::default() });
    }
    assert_eq!(wire.produce("t", -1, &builder.build().unwrap()).await, (0, 0));
    let request = DescribeProducersRequest {
        topics: vec![TopicRequest { name: Cow::Borrowed("t"), partition_indexes: vec![0, 99] }],
    };
    wire.ask(ApiKey::DescribeProducers, 0, &request, |body| {
        let response = read::<DescribeProducersResponse<'_>>(body, 0);
        let [known, unknown] = &response.topics[0].partitions[..] else { panic!("{response:?}") };
        assert_eq!(known.error_code, 0);
        let [producer] = &known.active_producers[..] else { panic!("{known:?}") };
        assert_eq!(
            (producer.producer_id, producer.producer_epoch, producer.last_sequence),
            (4000, 3, 3)
        );
        assert_eq!(producer.last_timestamp, timestamp_ms);
        assert_eq!((producer.coordinator_epoch, producer.current_txn_start_offset), (-1, -1));
        let error = ErrorCode::from_code(unknown.error_code);
        assert_eq!(error, Some(ErrorCode::UnknownTopicOrPartition));
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn each_refused_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    create(&mut wire, "kept", &[("cleanup.policy", "compact")]).await;
    let request_batch = batch(&[b"no key", b"no key either"]);
    let request = produce_request("kept", -1, &request_batch);
    wire.ask(ApiKey::Produce, 9, &request, |body| {
        let response = read::<ProduceResponse<'_>>(body, 9);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(ErrorCode::from_code(partition.error_code), Some(ErrorCode::InvalidRecord));
        let named: Vec<_> = partition
            .record_errors
            .iter()
            .map(|record| (record.batch_index, record.batch_index_error_message.as_deref()))
            .collect();
        let message =
            Some("Compacted topic cannot accept message without key in topic partition kept-0");
        assert_eq!(named, [(0, message), (1, message)]);
    })
    .await;
    node.stop().await.unwrap();
}

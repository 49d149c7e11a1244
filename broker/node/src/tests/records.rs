//! Produce, Fetch and the look-ups of offsets, version by version and error by error.

use std::borrow::Cow;

use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use aquifer_broker_protocol::message::delete_topics::DeleteTopicsRequest;
use aquifer_broker_protocol::message::fetch::{FetchRequest, FetchResponse};
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use aquifer_broker_protocol::message::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};
use aquifer_broker_protocol::message::produce::{ProduceRequest, ProduceResponse};
use aquifer_broker_protocol::{ApiKey, ErrorCode, Uuid};

use super::start_node;
use super::wire::{Wire, batch, fetch_request, produce_request, read, values};

#[tokio::test]
async fn every_version_of_produce_and_fetch_carries_records() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (topic_id, _) = wire.create("t").await;
    let mut expected = Vec::new();
    for version in 3..=13 {
        let value = format!("v{version}").into_bytes();
        let batch = batch(&[&value]);
        let mut request = produce_request("t", -1, &batch);
        if version >= 13 {
            request.topic_data[0].topic_id = topic_id;
        }
        wire.ask(ApiKey::Produce, version, &request, |body| {
            let response = read::<ProduceResponse<'_>>(body, version);
            let partition = &response.responses[0].partition_responses[0];
            assert_eq!(
                (partition.error_code, partition.base_offset),
                (0, i64::from(version) - 3),
                "v{version}"
            );
        })
        .await;
        expected.push(value);
    }
    for version in 4..=18 {
        let mut request = fetch_request("t", 0);
        if version >= 13 {
            request.topics[0].topic_id = topic_id;
        }
        wire.ask(ApiKey::Fetch, version, &request, |body| {
            let response = read::<FetchResponse<'_>>(body, version);
            let data = &response.responses[0].partitions[0];
            assert_eq!(
                (response.session_id, data.error_code, data.high_watermark),
                (0, 0, 11),
                "v{version}"
            );
            assert_eq!(values(data, 0), expected, "v{version}");
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn produce_errors_are_told_per_partition() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let good = batch(&[b"x"]);
    let mut corrupt = good.clone();
    *corrupt.last_mut().unwrap() ^= 1;
    let check = async |wire: &mut Wire, request: ProduceRequest<'_>, expected: ErrorCode| {
        let code = wire
            .ask(ApiKey::Produce, 9, &request, |body| {
                read::<ProduceResponse<'_>>(body, 9).responses[0].partition_responses[0].error_code
            })
            .await;
        assert_eq!(ErrorCode::from_code(code), Some(expected));
    };
    check(&mut wire, produce_request("none", -1, &good), ErrorCode::UnknownTopicOrPartition).await;
    check(&mut wire, produce_request("t", 2, &good), ErrorCode::InvalidRequiredAcks).await;
    check(&mut wire, produce_request("t", -1, &corrupt), ErrorCode::CorruptMessage).await;
    check(&mut wire, produce_request("t", -1, b""), ErrorCode::InvalidRecord).await;
    let mut transactional = BatchBuilder::new(BatchOptions {
        producer_id: 1,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
        ..BatchOptions::default()
    });
    transactional.push(NewRecord::default());
    let transactional = transactional.build().unwrap();
    let without_id = produce_request("t", -1, &transactional);
    check(&mut wire, without_id, ErrorCode::TransactionalIdAuthorizationFailed).await;
    let huge = vec![0; 1 << 20];
    check(&mut wire, produce_request("t", -1, &batch(&[&huge])), ErrorCode::MessageTooLarge).await;
    let unknown_id = ProduceRequest { topic_data: Vec::new(), ..produce_request("t", -1, &good) };
    let mut unknown_id =
        ProduceRequest { topic_data: produce_request("", -1, &good).topic_data, ..unknown_id };
    unknown_id.topic_data[0].topic_id = Uuid([7; 16]);
    let code = wire
        .ask(ApiKey::Produce, 13, &unknown_id, |body| {
            read::<ProduceResponse<'_>>(body, 13).responses[0].partition_responses[0].error_code
        })
        .await;
    assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::UnknownTopicId));
    check(&mut wire, produce_request("t", -1, &good), ErrorCode::None).await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn fetch_errors_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (_, epoch) = wire.create("t").await;
    wire.produce("t", -1, &batch(&[b"x"])).await;
    let check = async |wire: &mut Wire, request: FetchRequest<'_>, expected: ErrorCode| {
        let code = wire.fetch(&request, |data| data.error_code).await;
        assert_eq!(ErrorCode::from_code(code), Some(expected));
    };
    check(&mut wire, fetch_request("none", 0), ErrorCode::UnknownTopicOrPartition).await;
    check(&mut wire, fetch_request("t", 2), ErrorCode::OffsetOutOfRange).await;
    check(&mut wire, fetch_request("t", -1), ErrorCode::OffsetOutOfRange).await;
    let mut ahead = fetch_request("t", 0);
    ahead.topics[0].partitions[0].current_leader_epoch = epoch + 1;
    check(&mut wire, ahead, ErrorCode::UnknownLeaderEpoch).await;
    let mut follower = fetch_request("t", 0);
    follower.replica_id = 2;
    check(&mut wire, follower, ErrorCode::NotLeaderOrFollower).await;
    let session = FetchRequest { session_id: 9, session_epoch: 3, ..fetch_request("t", 0) };
    let code = wire
        .ask(ApiKey::Fetch, 12, &session, |body| read::<FetchResponse<'_>>(body, 12).error_code)
        .await;
    assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::FetchSessionIdNotFound));
    let mut unknown_id = fetch_request("", 0);
    unknown_id.topics[0].topic_id = Uuid([7; 16]);
    let code = wire
        .ask(ApiKey::Fetch, 13, &unknown_id, |body| {
            read::<FetchResponse<'_>>(body, 13).responses[0].partitions[0].error_code
        })
        .await;
    assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::UnknownTopicId));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_fetch_at_the_end_waits_for_the_next_append_or_its_own_patience() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut reader = Wire::connect(&node).await;
    let mut writer = Wire::connect(&node).await;
    writer.create("t").await;
    let patient = FetchRequest { max_wait_ms: 60_000, ..fetch_request("t", 0) };
    let sent = reader.send(ApiKey::Fetch, 12, &patient).await;
    writer.produce("t", -1, &batch(&[b"x"])).await;
    assert_eq!(reader.receive_id().await, sent, "woken by the append, well before a minute");
    let hasty = FetchRequest { max_wait_ms: 20, ..fetch_request("t", 1) };
    reader
        .fetch(&hasty, |data| {
            assert_eq!((data.error_code, data.high_watermark), (0, 1));
            assert_eq!(
                data.records.as_ref().map(|records| records.size_bytes()),
                Some(0),
                "empty, not null"
            );
        })
        .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn min_bytes_counts_over_all_appends() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut reader = Wire::connect(&node).await;
    let mut writer = Wire::connect(&node).await;
    writer.create("t").await;
    let kilobyte = vec![b'k'; 1024];
    let greedy = FetchRequest { max_wait_ms: 60_000, min_bytes: 3000, ..fetch_request("t", 0) };
    reader.send(ApiKey::Fetch, 12, &greedy).await;
    for _ in 0..3 {
        writer.produce("t", -1, &batch(&[&kilobyte])).await;
    }
    let reply = reader.receive().await;
    assert!(reply.len() > 3000, "{}", reply.len());
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_first_batch_is_sent_whole_whatever_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let large = vec![b'x'; 100_000];
    for _ in 0..3 {
        wire.produce("t", -1, &batch(&[&large])).await;
    }
    let mut request = FetchRequest { max_bytes: 1, ..fetch_request("t", 1) };
    request.topics[0].partitions[0].partition_max_bytes = 1;
    let found = wire.fetch(&request, |data| values(data, 0)).await;
    assert_eq!(found, std::slice::from_ref(&large));
    // A second partition of the same answer gets nothing beyond the limits.
    let second = request.topics[0].clone();
    request.topics.push(second);
    wire.ask(ApiKey::Fetch, 12, &request, |body| {
        let response = read::<FetchResponse<'_>>(body, 12);
        let sizes: Vec<usize> = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|data| data.records.as_ref().unwrap().size_bytes())
            .collect();
        assert!(sizes[0] > 100_000 && sizes[1..] == [0], "{sizes:?}");
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn an_offset_within_a_batch_is_answered_with_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    wire.produce("t", -1, &batch(&[b"0", b"1", b"2"])).await;
    let found = wire.fetch(&fetch_request("t", 1), |data| values(data, 1)).await;
    assert_eq!(found, [b"1", b"2"]);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn list_offsets_knows_the_ends_and_timestamps() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let check = async |wire: &mut Wire, version: i16, timestamp: i64, expected: (i16, i64)| {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: Cow::Borrowed("t"),
                partitions: vec![ListOffsetsPartition {
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        wire.ask(ApiKey::ListOffsets, version, &request, |body| {
            let response = read::<ListOffsetsResponse<'_>>(body, version);
            let partition = &response.topics[0].partitions[0];
            assert_eq!(
                (partition.error_code, partition.offset),
                expected,
                "v{version} {timestamp}"
            );
        })
        .await;
    };
    check(&mut wire, 11, -1, (0, 0)).await;
    check(&mut wire, 11, -3, (0, -1)).await;
    wire.produce("t", -1, &batch(&[b"0", b"1"])).await;
    for version in 1..=11 {
        check(&mut wire, version, -1, (0, 2)).await;
        check(&mut wire, version, -2, (0, 0)).await;
        check(&mut wire, version, 0, (0, 0)).await;
        check(&mut wire, version, i64::MAX, (0, -1)).await;
    }
    check(&mut wire, 11, -4, (0, 0)).await;
    check(&mut wire, 11, -5, (0, -1)).await;
    check(&mut wire, 11, -6, (0, -1)).await;
    check(&mut wire, 6, -3, (ErrorCode::UnsupportedVersion.code(), -1)).await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn the_current_leader_epoch_ends_where_the_log_does() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (_, epoch) = wire.create("t").await;
    wire.produce("t", -1, &batch(&[b"0", b"1"])).await;
    let check = async |wire: &mut Wire, asked: i32, expected: (i32, i64)| {
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: Cow::Borrowed("t"),
                partitions: vec![OffsetForLeaderPartition {
                    leader_epoch: asked,
                    ..OffsetForLeaderPartition::default()
                }],
            }],
            ..OffsetForLeaderEpochRequest::default()
        };
        wire.ask(ApiKey::OffsetForLeaderEpoch, 4, &request, |body| {
            let response = read::<OffsetForLeaderEpochResponse<'_>>(body, 4);
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.leader_epoch, partition.end_offset), expected);
        })
        .await;
    };
    check(&mut wire, epoch, (epoch, 2)).await;
    check(&mut wire, epoch + 1, (-1, -1)).await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn records_outlive_a_restart_and_are_sent_from_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let large = vec![b'x'; 300_000];
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (topic_id, _) = wire.create("t").await;
    for _ in 0..4 {
        assert_eq!(wire.produce("t", -1, &batch(&[&large])).await.0, 0);
    }
    node.stop().await.unwrap();

    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (same_id, epoch) = wire.create("t").await;
    assert_eq!(same_id, topic_id);
    let mut offset = 0;
    while offset < 4 {
        let mut request = fetch_request("t", offset);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        let found = wire.fetch(&request, |data| values(data, offset)).await;
        assert!(!found.is_empty());
        for value in found {
            assert_eq!(value, large);
            offset += 1;
        }
    }
    assert_eq!(wire.produce("t", -1, &batch(&[b"next"])).await, (0, 4));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn settings_of_the_broker_reach_its_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("log.flush.mode", "os"),
        ("message.max.bytes", "1000"),
        ("log.message.timestamp.type", "LogAppendTime"),
    ];
    let node = start_node(dir.path(), &settings).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let kilobyte = vec![0; 1000];
    let (code, _) = wire.produce("t", -1, &batch(&[&kilobyte])).await;
    assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::MessageTooLarge));
    let small = batch(&[b"x"]);
    let request = produce_request("t", -1, &small);
    wire.ask(ApiKey::Produce, 9, &request, |body| {
        let response = read::<ProduceResponse<'_>>(body, 9);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, 0));
        assert!(partition.log_append_time_ms > 0, "the broker's time is told");
    })
    .await;
    assert_eq!(wire.fetch(&fetch_request("t", 0), |data| values(data, 0)).await, [b"x"]);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_deleted_ends_the_fetches_that_wait_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut reader = Wire::connect(&node).await;
    let mut other = Wire::connect(&node).await;
    let (old_id, _) = other.create("t").await;
    other.produce("t", -1, &batch(&[b"old"])).await;
    let patient = FetchRequest { max_wait_ms: 60_000, ..fetch_request("t", 1) };
    let sent = reader.send(ApiKey::Fetch, 12, &patient).await;
    let delete = DeleteTopicsRequest {
        topic_names: vec![Cow::Borrowed("t")],
        ..DeleteTopicsRequest::default()
    };
    other.ask(ApiKey::DeleteTopics, 5, &delete, |_| ()).await;
    assert_eq!(reader.receive_id().await, sent, "well before a minute");
    let (new_id, _) = other.create("t").await;
    assert_ne!(new_id, old_id);
    assert_eq!(other.produce("t", -1, &batch(&[b"new"])).await, (0, 0));
    assert_eq!(reader.fetch(&fetch_request("t", 0), |data| values(data, 0)).await, [b"new"]);
    node.stop().await.unwrap();
}

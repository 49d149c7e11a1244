//! Versions that Kafka 4 dropped: what is asked in their form is answered in their form.

use aquifer_broker_protocol::ApiKey;
use aquifer_broker_protocol::message::create_topics::{
    CreatableTopic, CreateTopicsRequest, CreateTopicsResponse,
};
use aquifer_broker_protocol::message::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use aquifer_broker_protocol::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use aquifer_broker_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use aquifer_broker_protocol::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse,
};
use aquifer_broker_protocol::message::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};

use super::start_node;
use super::wire::{Wire, batch, read};

#[tokio::test]
async fn topics_are_created_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    for (version, expected) in [(0, 0), (1, 36), (0, 36)] {
        let topic = CreatableTopic {
            name: "t".into(),
            num_partitions: 2,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        wire.ask(ApiKey::CreateTopics, version, &request, |body| {
            let response = read::<CreateTopicsResponse<'_>>(body, version);
            assert_eq!(response.topics[0].error_code, expected, "v{version}");
        })
        .await;
    }
    for expected in [0, 3] {
        let topic_names = vec!["t".into()];
        let request = DeleteTopicsRequest { topic_names, ..DeleteTopicsRequest::default() };
        wire.ask(ApiKey::DeleteTopics, 0, &request, |body| {
            let response = read::<DeleteTopicsResponse<'_>>(body, 0);
            assert_eq!(response.responses[0].error_code, expected);
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn the_oldest_form_of_list_offsets_asks_for_several_and_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    wire.produce("t", -1, &batch(&[b"0", b"1"])).await;
    let expected: [(i64, i32, &[i64]); 4] =
        [(-1, 5, &[2]), (-2, 1, &[0]), (-1, 0, &[]), (i64::MAX, 1, &[])];
    for (timestamp, max_num_offsets, offsets) in expected {
        let partition =
            ListOffsetsPartition { timestamp, max_num_offsets, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![topic],
            ..ListOffsetsRequest::default()
        };
        wire.ask(ApiKey::ListOffsets, 0, &request, |body| {
            let response = read::<ListOffsetsResponse<'_>>(body, 0);
            let partition = &response.topics[0].partitions[0];
            assert_eq!(partition.error_code, 0);
            assert_eq!(partition.old_style_offsets, offsets, "{timestamp}");
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_are_committed_with_a_time_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let partition = OffsetCommitRequestPartition {
        committed_offset: 7,
        commit_timestamp: 1000,
        committed_metadata: Some("note".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    wire.ask(ApiKey::OffsetCommit, 1, &request, |body| {
        let response = read::<OffsetCommitResponse<'_>>(body, 1);
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
    })
    .await;
    let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    };
    wire.ask(ApiKey::OffsetFetch, 1, &request, |body| {
        let response = read::<OffsetFetchResponse<'_>>(body, 1);
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.committed_offset), (0, 7));
        assert_eq!(partition.metadata.as_deref(), Some("note"));
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn configs_say_whether_they_are_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configuration_keys: Some(vec!["retention.ms".into()]),
    };
    let request =
        DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    wire.ask(ApiKey::DescribeConfigs, 0, &request, |body| {
        let response = read::<DescribeConfigsResponse<'_>>(body, 0);
        let config = &response.results[0].configs[0];
        assert_eq!((&*config.name, config.value.as_deref()), ("retention.ms", Some("604800000")));
        assert!(config.is_default);
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn the_ends_of_epochs_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (_, leader_epoch) = wire.create("t").await;
    wire.produce("t", -1, &batch(&[b"0", b"1"])).await;
    for version in [0, 1] {
        let partition =
            OffsetForLeaderPartition { leader_epoch, ..OffsetForLeaderPartition::default() };
        let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
        let request = OffsetForLeaderEpochRequest {
            topics: vec![topic],
            ..OffsetForLeaderEpochRequest::default()
        };
        wire.ask(ApiKey::OffsetForLeaderEpoch, version, &request, |body| {
            let response = read::<OffsetForLeaderEpochResponse<'_>>(body, version);
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.end_offset), (0, 2), "v{version}");
        })
        .await;
    }
    node.stop().await.unwrap();
}

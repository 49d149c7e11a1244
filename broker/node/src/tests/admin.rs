//! What admin clients ask for: partitions, configs at run time, features, and the facts of a cluster of one.

use std::borrow::Cow;

use aquifer_broker_protocol::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use aquifer_broker_protocol::message::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use aquifer_broker_protocol::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use aquifer_broker_protocol::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use aquifer_broker_protocol::message::describe_log_dirs::{
    DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use aquifer_broker_protocol::message::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, PartitionRequest, TopicRequest,
};
use aquifer_broker_protocol::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use aquifer_broker_protocol::message::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, TopicPartitions,
};
use aquifer_broker_protocol::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use aquifer_broker_protocol::message::list_config_resources::{
    ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use aquifer_broker_protocol::message::update_features::{
    FeatureUpdateKey, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use aquifer_broker_protocol::{ApiKey, ErrorCode};

use super::start_node;
use super::wire::{Wire, batch, produce_request, read};
use crate::features;

async fn create_partitions(wire: &mut Wire, topic: &str, count: i32, validate_only: bool) -> i16 {
    let topic = CreatePartitionsTopic {
        name: Cow::Borrowed(topic),
        count,
        ..CreatePartitionsTopic::default()
    };
    let request = CreatePartitionsRequest {
        topics: vec![topic],
        validate_only,
        ..CreatePartitionsRequest::default()
    };
    wire.ask(ApiKey::CreatePartitions, 3, &request, |body| {
        read::<CreatePartitionsResponse<'_>>(body, 3).results[0].error_code
    })
    .await
}

async fn produce_to(wire: &mut Wire, topic: &str, partition: i32, batch: &[u8]) -> ErrorCode {
    let mut request = produce_request(topic, -1, batch);
    request.topic_data[0].partition_data[0].index = partition;
    wire.ask(ApiKey::Produce, 9, &request, |body| {
        let response =
            read::<aquifer_broker_protocol::message::produce::ProduceResponse<'_>>(body, 9);
        ErrorCode::from_code(response.responses[0].partition_responses[0].error_code).unwrap()
    })
    .await
}

#[tokio::test]
async fn added_partitions_take_records_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let records = batch(&[b"x"]);
    assert_eq!(create_partitions(&mut wire, "t", 3, true).await, 0);
    assert_eq!(produce_to(&mut wire, "t", 2, &records).await, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(create_partitions(&mut wire, "t", 3, false).await, 0);
    assert_eq!(produce_to(&mut wire, "t", 2, &records).await, ErrorCode::None);
    let invalid = ErrorCode::InvalidPartitions.code();
    assert_eq!(create_partitions(&mut wire, "t", 3, false).await, invalid);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(create_partitions(&mut wire, "none", 3, false).await, unknown);
    node.stop().await.unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    assert_eq!(produce_to(&mut wire, "t", 1, &records).await, ErrorCode::None);
    assert_eq!(produce_to(&mut wire, "t", 2, &records).await, ErrorCode::None);
    node.stop().await.unwrap();
}

/// Sets (`Some`) or unsets a config and gives the error with its text.
async fn alter(
    wire: &mut Wire,
    resource: (i8, &str),
    name: &str,
    value: Option<&str>,
) -> (ErrorCode, String) {
    let config = AlterableConfig {
        name: Cow::Borrowed(name),
        config_operation: i8::from(value.is_none()),
        value: value.map(Cow::Borrowed),
    };
    let resource = AlterConfigsResource {
        resource_type: resource.0,
        resource_name: Cow::Borrowed(resource.1),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    wire.ask(ApiKey::IncrementalAlterConfigs, 1, &request, |body| {
        let response = read::<IncrementalAlterConfigsResponse<'_>>(body, 1);
        let told = &response.responses[0];
        let text = told.error_message.as_deref().unwrap_or_default().to_owned();
        (ErrorCode::from_code(told.error_code).unwrap(), text)
    })
    .await
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

#[tokio::test]
async fn broker_configs_take_effect_at_run_time_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("message.max.bytes", "5000")]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let large = batch(&[&[7; 3000]]);
    let well = (ErrorCode::None, String::new());
    assert_eq!(produce_to(&mut wire, "t", 0, &large).await, ErrorCode::None);
    // For all brokers, then for this one, which counts more, then for the topic, which counts most.
    assert_eq!(alter(&mut wire, (BROKER, ""), "message.max.bytes", Some("1000")).await, well);
    assert_eq!(produce_to(&mut wire, "t", 0, &large).await, ErrorCode::MessageTooLarge);
    assert_eq!(alter(&mut wire, (BROKER, "1"), "message.max.bytes", Some("4000")).await, well);
    assert_eq!(produce_to(&mut wire, "t", 0, &large).await, ErrorCode::None);
    assert_eq!(alter(&mut wire, (TOPIC, "t"), "max.message.bytes", Some("2000")).await, well);
    assert_eq!(produce_to(&mut wire, "t", 0, &large).await, ErrorCode::MessageTooLarge);
    assert_eq!(alter(&mut wire, (TOPIC, "t"), "max.message.bytes", None).await, well);
    assert_eq!(alter(&mut wire, (BROKER, "1"), "message.max.bytes", None).await, well);
    node.stop().await.unwrap();
    let node = start_node(dir.path(), &[("message.max.bytes", "5000")]).await;
    let mut wire = Wire::connect(&node).await;
    assert_eq!(produce_to(&mut wire, "t", 0, &large).await, ErrorCode::MessageTooLarge);
    assert_eq!(alter(&mut wire, (BROKER, ""), "message.max.bytes", None).await, well);
    assert_eq!(produce_to(&mut wire, "t", 0, &large).await, ErrorCode::None);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn configs_are_refused_in_kafkas_words() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let mut check = async |resource, name: &str, value, code, text: &str| {
        let told = alter(&mut wire, resource, name, Some(value)).await;
        assert_eq!(told, (code, text.to_owned()), "{name}");
    };
    let (invalid, config) = (ErrorCode::InvalidRequest, ErrorCode::InvalidConfig);
    check((TOPIC, ""), "retention.ms", "1", invalid, "Default topic resources are not allowed.")
        .await;
    check(
        (TOPIC, "none"),
        "retention.ms",
        "1",
        ErrorCode::UnknownTopicOrPartition,
        "The topic 'none' does not exist.",
    )
    .await;
    check((TOPIC, "t"), "foo", "1", config, "Unknown topic config name: foo").await;
    check(
        (BROKER, "1"),
        "num.partitions",
        "3",
        invalid,
        "Cannot update these configs dynamically: [num.partitions]",
    )
    .await;
    let other = "Unexpected broker id, expected 1, but received 5";
    check((BROKER, "5"), "log.retention.ms", "3", invalid, other).await;
    let no_number = "Node id must be an integer, but it is: x";
    check((BROKER, "x"), "log.retention.ms", "3", invalid, no_number).await;
    check((GROUP, ""), "foo", "1", invalid, "Default group resources are not allowed.").await;
    check((GROUP, "g"), "foo", "1", config, "Unknown group config name: foo").await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn topics_are_described_some_partitions_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("num.partitions", "3")]).await;
    let mut wire = Wire::connect(&node).await;
    for topic in ["b", "a"] {
        wire.create(topic).await;
    }
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor: cursor.take().map(|(topic_name, partition_index)| {
                Box::new(Cursor { topic_name: Cow::Owned(topic_name), partition_index })
            }),
            ..DescribeTopicPartitionsRequest::default()
        };
        let (page, next) = wire
            .ask(ApiKey::DescribeTopicPartitions, 0, &request, |body| {
                let response = read::<DescribeTopicPartitionsResponse<'_>>(body, 0);
                let page = response.topics.iter().flat_map(|topic| {
                    let name = topic.name.as_deref().unwrap();
                    topic
                        .partitions
                        .iter()
                        .map(move |partition| format!("{name}-{}", partition.partition_index))
                });
                let next = response.next_cursor.as_ref();
                let next =
                    next.map(|next| (next.topic_name.clone().into_owned(), next.partition_index));
                (page.collect::<Vec<_>>().join(" "), next)
            })
            .await;
        pages.push(page);
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, ["a-0 a-1", "a-2 b-0", "b-1 b-2"]);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_one_answers_what_is_asked_of_clusters() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let records = batch(&[&[7; 500]]);
    assert_eq!(produce_to(&mut wire, "t", 0, &records).await, ErrorCode::None);

    let elect = ElectLeadersRequest {
        topic_partitions: Some(vec![TopicPartitions {
            topic: Cow::Borrowed("t"),
            partitions: vec![0, 9],
        }]),
        ..ElectLeadersRequest::default()
    };
    let elected = wire
        .ask(ApiKey::ElectLeaders, 2, &elect, |body| {
            let response = read::<ElectLeadersResponse<'_>>(body, 2);
            let results = response.replica_election_results[0].partition_result.iter();
            results.map(|result| result.error_code).collect::<Vec<_>>()
        })
        .await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(elected, [ErrorCode::ElectionNotNeeded.code(), unknown]);

    let move_to = |partition_index, replicas| ReassignablePartition { partition_index, replicas };
    let reassign = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic {
            name: Cow::Borrowed("t"),
            partitions: vec![
                move_to(0, Some(vec![1])),
                move_to(0, Some(vec![2])),
                move_to(0, None),
                move_to(9, Some(vec![1])),
            ],
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let moved = wire
        .ask(ApiKey::AlterPartitionReassignments, 1, &reassign, |body| {
            let response = read::<AlterPartitionReassignmentsResponse<'_>>(body, 1);
            let partitions = response.responses[0].partitions.iter();
            partitions.map(|partition| partition.error_code).collect::<Vec<_>>()
        })
        .await;
    let expected = [
        ErrorCode::None,
        ErrorCode::InvalidReplicaAssignment,
        ErrorCode::NoReassignmentInProgress,
        ErrorCode::UnknownTopicOrPartition,
    ];
    assert_eq!(moved, expected.map(ErrorCode::code));

    let (path, size) = wire
        .ask(ApiKey::DescribeLogDirs, 4, &DescribeLogDirsRequest::default(), |body| {
            let response = read::<DescribeLogDirsResponse<'_>>(body, 4);
            let directory = &response.results[0];
            assert!(directory.total_bytes >= directory.usable_bytes && directory.usable_bytes > 0);
            let topic = directory.topics.iter().find(|topic| topic.name == "t").unwrap();
            (directory.log_dir.clone().into_owned(), topic.partitions[0].partition_size)
        })
        .await;
    assert_eq!(size, i64::try_from(records.len()).unwrap());

    for (path, partition, expected) in [
        (path.as_str(), 0, ErrorCode::None),
        (path.as_str(), 9, ErrorCode::UnknownTopicOrPartition),
        ("/elsewhere", 0, ErrorCode::LogDirNotFound),
    ] {
        let topic =
            AlterReplicaLogDirTopic { name: Cow::Borrowed("t"), partitions: vec![partition] };
        let dirs = vec![AlterReplicaLogDir { path: Cow::Borrowed(path), topics: vec![topic] }];
        let code = wire
            .ask(ApiKey::AlterReplicaLogDirs, 2, &AlterReplicaLogDirsRequest { dirs }, |body| {
                let response = read::<AlterReplicaLogDirsResponse<'_>>(body, 2);
                response.results[0].partitions[0].error_code
            })
            .await;
        assert_eq!(code, expected.code(), "{path} {partition}");
    }

    let quorum = DescribeQuorumRequest {
        topics: vec![TopicRequest {
            topic_name: Cow::Borrowed("__cluster_metadata"),
            partitions: vec![PartitionRequest::default()],
        }],
    };
    wire.ask(ApiKey::DescribeQuorum, 2, &quorum, |body| {
        let response = read::<DescribeQuorumResponse<'_>>(body, 2);
        let log = &response.topics[0].partitions[0];
        assert_eq!((log.error_code, log.leader_id, log.current_voters.len()), (0, 1, 1));
        assert_eq!(log.high_watermark, log.current_voters[0].log_end_offset);
        assert!(log.high_watermark > 0);
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn resources_with_configs_are_listed_by_kind() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let set = alter(&mut wire, (GROUP, "g"), "consumer.session.timeout.ms", Some("50000")).await;
    assert_eq!(set.0, ErrorCode::None);
    let mut list = async |version, resource_types: Vec<i8>| {
        let request = ListConfigResourcesRequest { resource_types };
        wire.ask(ApiKey::ListConfigResources, version, &request, |body| {
            let response = read::<ListConfigResourcesResponse<'_>>(body, version);
            let listed = response.config_resources.iter();
            let listed =
                listed.map(|known| format!("{}:{}", known.resource_type, known.resource_name));
            (response.error_code, listed.collect::<Vec<_>>().join(" "))
        })
        .await
    };
    assert_eq!(list(1, vec![]).await, (0, "2:t 4:1 8:1 32:g".to_owned()));
    assert_eq!(list(1, vec![GROUP]).await, (0, "32:g".to_owned()));
    assert_eq!(list(1, vec![99]).await, (ErrorCode::UnsupportedVersion.code(), String::new()));
    assert_eq!(list(0, vec![]).await, (0, String::new()));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn features_are_finalized_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let finalized = async |wire: &mut Wire| {
        let request = ApiVersionsRequest {
            client_software_name: Cow::Borrowed("test"),
            client_software_version: Cow::Borrowed("1"),
        };
        wire.ask(ApiKey::ApiVersions, 4, &request, |body| {
            let response = read::<ApiVersionsResponse<'_>>(body, 4);
            assert!(response.finalized_features_epoch >= 0);
            let levels = response.finalized_features.iter();
            levels.map(|row| (row.name.to_string(), row.max_version_level)).collect::<Vec<_>>()
        })
        .await
    };
    let mut expected: Vec<_> = features::TABLE
        .iter()
        .filter(|row| row.initial > 0)
        .map(|row| (row.name.to_owned(), row.initial))
        .collect();
    expected.sort();
    assert_eq!(finalized(&mut wire).await, expected);
    let update = |feature: &'static str, max_version_level| UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: Cow::Borrowed(feature),
            max_version_level,
            upgrade_type: 1,
            ..FeatureUpdateKey::default()
        }],
        ..UpdateFeaturesRequest::default()
    };
    let ask = async |wire: &mut Wire, request| {
        wire.ask(ApiKey::UpdateFeatures, 2, &request, |body| {
            let response = read::<UpdateFeaturesResponse<'_>>(body, 2);
            let text = response.error_message.as_deref().unwrap_or_default().to_owned();
            (ErrorCode::from_code(response.error_code).unwrap(), text)
        })
        .await
    };
    let refused = |reason: &str| {
        let text = format!(
            "The update failed for all features since the following feature had an error: {reason}"
        );
        (ErrorCode::InvalidUpdateVersion, text)
    };
    assert_eq!(
        ask(&mut wire, update("nope", 1)).await,
        refused(
            "Invalid update version 1 for feature nope. Local controller 1 does not support this feature."
        )
    );
    assert_eq!(
        ask(&mut wire, update("metadata.version", 99)).await,
        refused(
            "Invalid update version 99 for feature metadata.version. Local controller 1 only supports versions 25-25"
        )
    );
    let same = update("metadata.version", 25);
    assert_eq!(ask(&mut wire, same).await, (ErrorCode::None, String::new()));
    node.stop().await.unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    assert_eq!(finalized(&mut wire).await, expected);
    node.stop().await.unwrap();
}

//! Requests that contradict themselves or name what is not there: refused in the form that Kafka refuses them in.

use std::borrow::Cow;

use aquifer_broker_protocol::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use aquifer_broker_protocol::message::create_topics::{
    CreatableTopic, CreateTopicsRequest, CreateTopicsResponse,
};
use aquifer_broker_protocol::message::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use aquifer_broker_protocol::message::delete_topics::{
    DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use aquifer_broker_protocol::message::describe_cluster::{
    DescribeClusterRequest, DescribeClusterResponse,
};
use aquifer_broker_protocol::message::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use aquifer_broker_protocol::message::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, PartitionRequest, TopicRequest as QuorumTopic,
};
use aquifer_broker_protocol::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicRequest,
};
use aquifer_broker_protocol::message::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
use aquifer_broker_protocol::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use aquifer_broker_protocol::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use aquifer_broker_protocol::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use aquifer_broker_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use aquifer_broker_protocol::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
};
use aquifer_broker_protocol::message::sync_group::{SyncGroupRequest, SyncGroupResponse};
use aquifer_broker_protocol::{ApiKey, ErrorCode, Uuid};

use super::start_node;
use super::wire::{Wire, read};
use crate::Node;

const INVALID: i16 = ErrorCode::InvalidRequest as i16;

async fn node_with_topic(dir: &tempfile::TempDir) -> (Node, Wire, Uuid) {
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (id, _) = wire.create("t").await;
    (node, wire, id)
}

#[tokio::test]
async fn what_is_to_be_made_twice_is_refused_once() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, _) = node_with_topic(&dir).await;
    let topic = |name| CreatableTopic {
        name: Cow::Borrowed(name),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let create = CreateTopicsRequest {
        topics: vec![topic("twice"), topic("once"), topic("twice")],
        ..CreateTopicsRequest::default()
    };
    wire.ask(ApiKey::CreateTopics, 7, &create, |body| {
        let response = read::<CreateTopicsResponse<'_>>(body, 7);
        let told = response.topics.iter().map(|topic| (&*topic.name, topic.error_code));
        assert_eq!(told.collect::<Vec<_>>(), [("twice", INVALID), ("once", 0)]);
        assert_eq!(response.topics[0].configs.as_deref(), Some(&[][..]));
    })
    .await;
    let grow = CreatePartitionsTopic {
        name: Cow::Borrowed("t"),
        count: 9,
        ..CreatePartitionsTopic::default()
    };
    let grow = CreatePartitionsRequest {
        topics: vec![grow.clone(), grow],
        ..CreatePartitionsRequest::default()
    };
    wire.ask(ApiKey::CreatePartitions, 3, &grow, |body| {
        let response = read::<CreatePartitionsResponse<'_>>(body, 3);
        let told = response.results.iter().map(|topic| (&*topic.name, topic.error_code));
        assert_eq!(told.collect::<Vec<_>>(), [("t", INVALID)]);
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_to_be_deleted_twice_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, id) = node_with_topic(&dir).await;
    wire.create("other").await;
    let by_name = || DeleteTopicState { name: Some(Cow::Borrowed("t")), topic_id: Uuid::ZERO };
    let by_id = || DeleteTopicState { name: None, topic_id: id };
    let other = || DeleteTopicState { name: Some(Cow::Borrowed("other")), topic_id: Uuid::ZERO };
    let refused_name = (Some("t".to_owned()), Uuid::ZERO, INVALID);
    let refused_id = (None, id, INVALID);
    let refused_both = (Some("t".to_owned()), id, INVALID);
    for (topics, expected) in [
        (vec![by_name(), by_name(), by_name()], vec![refused_name]),
        (vec![by_id(), by_id()], vec![refused_id.clone()]),
        (vec![by_id(), by_name()], vec![refused_both.clone()]),
        (vec![by_name(), by_id()], vec![refused_both.clone()]),
        (vec![by_id(), by_name(), by_id()], vec![refused_id, refused_both]),
    ] {
        let request = DeleteTopicsRequest { topics, ..DeleteTopicsRequest::default() };
        wire.ask(ApiKey::DeleteTopics, 6, &request, |body| {
            let response = read::<DeleteTopicsResponse<'_>>(body, 6);
            let told = response.responses.into_iter();
            let told = told
                .map(|topic| (topic.name.map(Cow::into_owned), topic.topic_id, topic.error_code));
            assert_eq!(told.collect::<Vec<_>>(), expected);
        })
        .await;
    }
    // The same topic is still there, and what is beside it in a request is deleted.
    let request = DeleteTopicsRequest {
        topics: vec![by_name(), other(), by_name()],
        ..DeleteTopicsRequest::default()
    };
    wire.ask(ApiKey::DeleteTopics, 6, &request, |body| {
        let response = read::<DeleteTopicsResponse<'_>>(body, 6);
        let told = response.responses.iter();
        let told = told.map(|topic| (topic.name.as_deref().unwrap(), topic.error_code));
        assert_eq!(told.collect::<Vec<_>>(), [("t", INVALID), ("other", 0)]);
    })
    .await;
    assert_eq!(wire.create("t").await.0, id);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn metadata_of_what_has_no_name_tells_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, id) = node_with_topic(&dir).await;
    for (version, topic_id, expected) in [
        (10, id, ErrorCode::InvalidRequest),
        (11, Uuid::ZERO, ErrorCode::InvalidRequest),
        (12, Uuid::ZERO, ErrorCode::UnknownServerError),
        (13, Uuid::ZERO, ErrorCode::UnknownServerError),
    ] {
        let known = MetadataRequestTopic {
            name: Some(Cow::Borrowed("t")),
            ..MetadataRequestTopic::default()
        };
        let nameless = MetadataRequestTopic { name: None, topic_id };
        let request =
            MetadataRequest { topics: Some(vec![known, nameless]), ..MetadataRequest::default() };
        wire.ask(ApiKey::Metadata, version, &request, |body| {
            let response = read::<MetadataResponse<'_>>(body, version);
            let told =
                response.topics.iter().map(|topic| (topic.name.as_deref(), topic.error_code));
            let told = told.collect::<Vec<_>>();
            assert_eq!(told, [(Some("t"), expected.code()), (Some(""), expected.code())]);
            assert!(response.brokers.is_empty() && response.cluster_id.is_none());
            assert_eq!(response.error_code, if version < 13 { 0 } else { expected.code() });
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_cursor_has_to_stand_on_a_topic_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, _) = node_with_topic(&dir).await;
    let ask = |cursor: (&'static str, i32)| DescribeTopicPartitionsRequest {
        topics: vec![TopicRequest { name: Cow::Borrowed("t") }],
        response_partition_limit: 10,
        cursor: Some(Box::new(Cursor {
            topic_name: Cow::Borrowed(cursor.0),
            partition_index: cursor.1,
        })),
    };
    for (cursor, code, count) in [(("t", 0), 0, 1), (("t", -1), INVALID, 0), (("s", 0), INVALID, 0)]
    {
        wire.ask(ApiKey::DescribeTopicPartitions, 0, &ask(cursor), |body| {
            let response = read::<DescribeTopicPartitionsResponse<'_>>(body, 0);
            let told = response.topics.iter().map(|t| (t.error_code, t.partitions.len()));
            assert_eq!(told.collect::<Vec<_>>(), [(code, count)], "{cursor:?}");
            assert!(response.next_cursor.is_none());
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_not_asked_for_what_it_has_not() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, _) = node_with_topic(&dir).await;
    for (endpoint_type, expected) in [
        (1, ErrorCode::None),
        (2, ErrorCode::MismatchedEndpointType),
        (9, ErrorCode::UnsupportedEndpointType),
    ] {
        let request = DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
        wire.ask(ApiKey::DescribeCluster, 1, &request, |body| {
            let response = read::<DescribeClusterResponse<'_>>(body, 1);
            assert_eq!(response.error_code, expected.code());
            assert_eq!(response.brokers.is_empty(), expected != ErrorCode::None);
        })
        .await;
    }
    for (election_type, code, topics) in
        [(0, 0, vec!["t"]), (1, 0, vec!["t"]), (9, INVALID, vec![])]
    {
        let request = ElectLeadersRequest {
            election_type,
            topic_partitions: None,
            ..ElectLeadersRequest::default()
        };
        wire.ask(ApiKey::ElectLeaders, 2, &request, |body| {
            let response = read::<ElectLeadersResponse<'_>>(body, 2);
            assert_eq!(response.error_code, code);
            let told = response.replica_election_results;
            assert!(told.iter().all(|topic| topic.partition_result.is_empty()));
            assert_eq!(told.iter().map(|topic| &*topic.topic).collect::<Vec<_>>(), topics);
        })
        .await;
    }
    let request = DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic {
            topic: Cow::Borrowed("t"),
            partitions: vec![9],
        }]),
    };
    wire.ask(ApiKey::DescribeLogDirs, 4, &request, |body| {
        assert!(read::<DescribeLogDirsResponse<'_>>(body, 4).results[0].topics.is_empty());
    })
    .await;
    let topic = |topic_name, partition_index| QuorumTopic {
        topic_name: Cow::Borrowed(topic_name),
        partitions: vec![PartitionRequest { partition_index }],
    };
    for topics in [
        vec![topic("t", 0)],
        vec![topic("__cluster_metadata", 1)],
        vec![topic("__cluster_metadata", 0), topic("t", 0)],
    ] {
        wire.ask(ApiKey::DescribeQuorum, 2, &DescribeQuorumRequest { topics }, |body| {
            let response = read::<DescribeQuorumResponse<'_>>(body, 2);
            let unknown = ErrorCode::UnknownTopicOrPartition.code();
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            assert!(partitions.all(|partition| partition.error_code == unknown));
            assert!(response.nodes.is_empty() && !response.topics.is_empty());
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_are_listed_once_and_by_times_that_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, _) = node_with_topic(&dir).await;
    for (timestamps, expected) in [
        (vec![-2], ErrorCode::None),
        (vec![-7], ErrorCode::UnsupportedVersion),
        (vec![i64::MIN], ErrorCode::UnsupportedVersion),
        (vec![-1, -2], ErrorCode::InvalidRequest),
    ] {
        let partitions = timestamps
            .into_iter()
            .map(|timestamp| ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: Cow::Borrowed("t"),
                partitions: partitions.collect(),
            }],
            ..ListOffsetsRequest::default()
        };
        wire.ask(ApiKey::ListOffsets, 11, &request, |body| {
            let response = read::<ListOffsetsResponse<'_>>(body, 11);
            let told = response.topics[0].partitions.iter().map(|told| told.error_code);
            assert_eq!(told.collect::<Vec<_>>(), [expected.code()]);
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn groups_without_a_name_keep_offsets_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, _) = node_with_topic(&dir).await;
    let invalid = ErrorCode::InvalidGroupId.code();
    let beat = HeartbeatRequest::default();
    let beat =
        wire.ask(ApiKey::Heartbeat, 4, &beat, |body| read::<HeartbeatResponse>(body, 4)).await;
    assert_eq!(beat.error_code, invalid);
    wire.ask(ApiKey::LeaveGroup, 5, &LeaveGroupRequest::default(), |body| {
        let response = read::<LeaveGroupResponse<'_>>(body, 5);
        assert_eq!((response.error_code, response.members.len()), (invalid, 0));
    })
    .await;
    for (version, protocol, expected) in [
        (4, None, ErrorCode::InvalidGroupId),
        (5, None, ErrorCode::InconsistentGroupProtocol),
        (5, Some("range"), ErrorCode::InvalidGroupId),
    ] {
        let request = SyncGroupRequest {
            protocol_type: Some(Cow::Borrowed("consumer")),
            protocol_name: protocol.map(Cow::Borrowed),
            ..SyncGroupRequest::default()
        };
        wire.ask(ApiKey::SyncGroup, version, &request, |body| {
            assert_eq!(read::<SyncGroupResponse<'_>>(body, version).error_code, expected.code());
        })
        .await;
    }
    let commit = OffsetCommitRequest {
        topics: vec![OffsetCommitRequestTopic {
            name: Cow::Borrowed("t"),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    wire.ask(ApiKey::OffsetCommit, 8, &commit, |body| {
        let response = read::<OffsetCommitResponse<'_>>(body, 8);
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
    })
    .await;
    let delete = DeleteGroupsRequest { groups_names: vec![Cow::Borrowed("")] };
    for expected in [ErrorCode::None, ErrorCode::GroupIdNotFound] {
        wire.ask(ApiKey::DeleteGroups, 2, &delete, |body| {
            let response = read::<DeleteGroupsResponse<'_>>(body, 2);
            assert_eq!(response.results[0].error_code, expected.code());
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_of_a_partition_that_is_not_there_are_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (node, mut wire, _) = node_with_topic(&dir).await;
    let commit = OffsetCommitRequest {
        group_id: Cow::Borrowed("g"),
        topics: vec![OffsetCommitRequestTopic {
            name: Cow::Borrowed("t"),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    wire.ask(ApiKey::OffsetCommit, 8, &commit, |body| {
        let response = read::<OffsetCommitResponse<'_>>(body, 8);
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
    })
    .await;
    let topic = |name, partitions: &[i32]| OffsetDeleteRequestTopic {
        name: Cow::Borrowed(name),
        partitions: partitions
            .iter()
            .map(|&partition_index| OffsetDeleteRequestPartition { partition_index })
            .collect(),
    };
    let request = OffsetDeleteRequest {
        group_id: Cow::Borrowed("g"),
        topics: vec![topic("unknown", &[0]), topic("t", &[9]), topic("t", &[9, 0])],
    };
    wire.ask(ApiKey::OffsetDelete, 0, &request, |body| {
        let response = read::<OffsetDeleteResponse<'_>>(body, 0);
        assert_eq!(response.error_code, 0);
        let told = response.topics.iter().flat_map(|topic| &topic.partitions);
        let told = told.map(|partition| (partition.partition_index, partition.error_code));
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        let expected = [(0, unknown), (9, unknown), (9, unknown), (0, 0)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    })
    .await;
    node.stop().await.unwrap();
}

//! The versions that the second implementation does not know, against bytes that Kafka's own classes wrote: 4.3 for the
//! newest, 3.9 for those that Kafka 4 dropped.

use super::*;
use crate::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use crate::message::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult,
};
use crate::message::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopic, ListOffsetsTopicResponse,
};
use crate::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use crate::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopic, OffsetForLeaderTopicResult,
};
use crate::message::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopic, WritableTxnMarkerTopicResult, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use crate::primitive::Uuid;

/// Writes a message, compares, and reads it again.
macro_rules! same {
    ($message:expr, $type:ident, $version:expr, $hex:expr) => {{
        let message: $type = $message;
        let bytes = message.to_bytes($version).unwrap();
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, $hex, "{} v{}", $type::NAME, $version);
        assert_eq!($type::read_exact(&bytes, $version), Ok(message));
    }};
}

fn topic_id() -> Uuid {
    Uuid([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2])
}

#[test]
fn markers_carry_the_version_of_the_transaction() {
    let topics = vec![WritableTxnMarkerTopic { name: "t".into(), partition_indexes: vec![8, 9] }];
    let marker = WritableTxnMarker {
        producer_id: 5,
        producer_epoch: 6,
        transaction_result: true,
        topics,
        coordinator_epoch: 7,
        transaction_version: 2,
    };
    same!(
        WriteTxnMarkersRequest { markers: vec![marker] },
        WriteTxnMarkersRequest,
        2,
        "0200000000000000050006010202740300000008000000090000000007020000"
    );
    let partitions = vec![WritableTxnMarkerPartitionResult { partition_index: 8, error_code: 3 }];
    let topics = vec![WritableTxnMarkerTopicResult { name: "t".into(), partitions }];
    let marker = WritableTxnMarkerResult { producer_id: 5, topics };
    same!(
        WriteTxnMarkersResponse { markers: vec![marker] },
        WriteTxnMarkersResponse,
        2,
        "0200000000000000050202740200000008000300000000"
    );
}

#[test]
fn log_directories_may_be_cordoned() {
    let topic = DescribableLogDirTopic { topic: "t".into(), partitions: vec![1] };
    same!(
        DescribeLogDirsRequest { topics: Some(vec![topic]) },
        DescribeLogDirsRequest,
        5,
        "02027402000000010000"
    );
    let partition = DescribeLogDirsPartition {
        partition_index: 6,
        partition_size: 7,
        offset_lag: 8,
        is_future_key: true,
    };
    let result = DescribeLogDirsResult {
        error_code: 3,
        log_dir: "/d".into(),
        topics: vec![DescribeLogDirsTopic { name: "t".into(), partitions: vec![partition] }],
        total_bytes: 4,
        usable_bytes: 5,
        is_cordoned: true,
    };
    same!(
        DescribeLogDirsResponse { throttle_time_ms: 1, error_code: 2, results: vec![result] },
        DescribeLogDirsResponse,
        5,
        "000000010002020003032f64020274020000000600000000000000070000000000000008010000000000000000\
         00040000000000000005010000"
    );
}

#[test]
fn list_offsets_has_its_newest_and_its_oldest_form() {
    let request = |isolation_level, timeout_ms, partition| ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }],
        timeout_ms,
    };
    let newest = ListOffsetsPartition {
        partition_index: 2,
        current_leader_epoch: 3,
        timestamp: -6,
        ..ListOffsetsPartition::default()
    };
    same!(
        request(1, 9, newest),
        ListOffsetsRequest,
        11,
        "ffffffff01020274020000000200000003fffffffffffffffa00000000000900"
    );
    let oldest = ListOffsetsPartition {
        partition_index: 2,
        timestamp: -1,
        max_num_offsets: 3,
        ..ListOffsetsPartition::default()
    };
    same!(
        request(0, 0, oldest),
        ListOffsetsRequest,
        0,
        "ffffffff000000010001740000000100000002ffffffffffffffff00000003"
    );
    let response = |throttle_time_ms, partition| ListOffsetsResponse {
        throttle_time_ms,
        topics: vec![ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition] }],
    };
    let newest = ListOffsetsPartitionResponse {
        partition_index: 2,
        error_code: 3,
        timestamp: 4,
        offset: 5,
        leader_epoch: 6,
        ..ListOffsetsPartitionResponse::default()
    };
    same!(
        response(1, newest),
        ListOffsetsResponse,
        11,
        "00000001020274020000000200030000000000000004000000000000000500000006000000"
    );
    let oldest = ListOffsetsPartitionResponse {
        partition_index: 2,
        old_style_offsets: vec![9, 4],
        ..ListOffsetsPartitionResponse::default()
    };
    same!(
        response(0, oldest),
        ListOffsetsResponse,
        0,
        "00000001000174000000010000000200000000000200000000000000090000000000000004"
    );
}

#[test]
fn offsets_are_committed_and_fetched_in_the_newest_and_oldest_form() {
    let newest = OffsetCommitRequestPartition {
        partition_index: 1,
        committed_offset: 2,
        committed_leader_epoch: 4,
        committed_metadata: Some("x".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 3,
        member_id: "m".into(),
        ..OffsetCommitRequest::default()
    };
    let topic = OffsetCommitRequestTopic {
        topic_id: topic_id(),
        partitions: vec![newest],
        ..OffsetCommitRequestTopic::default()
    };
    same!(
        OffsetCommitRequest {
            group_instance_id: Some("i".into()),
            topics: vec![topic],
            ..request.clone()
        },
        OffsetCommitRequest,
        10,
        "026700000003026d0269020000000000000001000000000000000202000000010000000000000002000000040278\
         000000"
    );
    let oldest = OffsetCommitRequestPartition {
        partition_index: 1,
        committed_offset: 2,
        commit_timestamp: 5,
        committed_metadata: Some("x".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![oldest],
        ..OffsetCommitRequestTopic::default()
    };
    same!(
        OffsetCommitRequest { topics: vec![topic], ..request },
        OffsetCommitRequest,
        1,
        "0001670000000300016d0000000100017400000001000000010000000000000002000000000000000500\
         0178"
    );
    let partitions = vec![OffsetCommitResponsePartition { partition_index: 1, error_code: 25 }];
    let topic = OffsetCommitResponseTopic {
        name: "t".into(),
        partitions,
        ..OffsetCommitResponseTopic::default()
    };
    same!(
        OffsetCommitResponse { topics: vec![topic], ..OffsetCommitResponse::default() },
        OffsetCommitResponse,
        1,
        "0000000100017400000001000000010019"
    );
    let topic = OffsetFetchRequestTopics {
        topic_id: topic_id(),
        partition_indexes: vec![1],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        member_id: Some("m".into()),
        member_epoch: 3,
        topics: Some(vec![topic]),
    };
    same!(
        OffsetFetchRequest {
            groups: vec![group],
            require_stable: true,
            ..OffsetFetchRequest::default()
        },
        OffsetFetchRequest,
        10,
        "020267026d000000030200000000000000010000000000000002020000000100000100"
    );
}

#[test]
fn topics_are_created_and_deleted_in_the_oldest_forms() {
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 2,
        replication_factor: 1,
        configs: vec![CreatableTopicConfig { name: "k".into(), value: Some("v".into()) }],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 9, validate_only: false };
    same!(
        request.clone(),
        CreateTopicsRequest,
        0,
        "00000001000174000000020001000000000000000100016b00017600000009"
    );
    same!(
        CreateTopicsRequest { validate_only: true, ..request },
        CreateTopicsRequest,
        1,
        "00000001000174000000020001000000000000000100016b0001760000000901"
    );
    let response = |error_message| CreateTopicsResponse {
        topics: vec![CreatableTopicResult {
            name: "t".into(),
            error_code: 36,
            error_message,
            ..CreatableTopicResult::default()
        }],
        ..CreateTopicsResponse::default()
    };
    same!(response(None), CreateTopicsResponse, 0, "000000010001740024");
    same!(response(Some("no".into())), CreateTopicsResponse, 1, "00000001000174002400026e6f");
    same!(
        DeleteTopicsRequest {
            topic_names: vec!["t".into()],
            timeout_ms: 9,
            ..DeleteTopicsRequest::default()
        },
        DeleteTopicsRequest,
        0,
        "0000000100017400000009"
    );
    let result = DeletableTopicResult {
        name: Some("t".into()),
        error_code: 3,
        ..DeletableTopicResult::default()
    };
    same!(
        DeleteTopicsResponse { responses: vec![result], ..DeleteTopicsResponse::default() },
        DeleteTopicsResponse,
        0,
        "000000010001740003"
    );
}

#[test]
fn configs_are_described_in_the_oldest_form() {
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configuration_keys: Some(vec!["k".into()]),
    };
    same!(
        DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() },
        DescribeConfigsRequest,
        0,
        "00000001020001740000000100016b"
    );
    let config = DescribeConfigsResourceResult {
        name: "k".into(),
        value: Some("v".into()),
        is_default: true,
        ..DescribeConfigsResourceResult::default()
    };
    let result = DescribeConfigsResult {
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![config],
        ..DescribeConfigsResult::default()
    };
    same!(
        DescribeConfigsResponse { throttle_time_ms: 1, results: vec![result] },
        DescribeConfigsResponse,
        0,
        "00000001000000010000ffff020001740000000100016b000176000100"
    );
}

#[test]
fn ends_of_epochs_are_asked_for_in_the_oldest_forms() {
    let partition = OffsetForLeaderPartition {
        partition: 1,
        leader_epoch: 7,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest {
        topics: vec![topic],
        ..OffsetForLeaderEpochRequest::default()
    };
    for version in [0, 1] {
        same!(
            request.clone(),
            OffsetForLeaderEpochRequest,
            version,
            "00000001000174000000010000000100000007"
        );
    }
    let response = |leader_epoch| {
        let partition = EpochEndOffset {
            partition: 1,
            leader_epoch,
            end_offset: 8,
            ..EpochEndOffset::default()
        };
        let topic = OffsetForLeaderTopicResult { topic: "t".into(), partitions: vec![partition] };
        OffsetForLeaderEpochResponse {
            topics: vec![topic],
            ..OffsetForLeaderEpochResponse::default()
        }
    };
    same!(
        response(7),
        OffsetForLeaderEpochResponse,
        1,
        "0000000100017400000001000000000001000000070000000000000008"
    );
    same!(
        response(-1),
        OffsetForLeaderEpochResponse,
        0,
        "00000001000174000000010000000000010000000000000008"
    );
}

//! TABLE: which handler answers which API key.
//!
//! - The table is the only list: what is dispatched is what `ApiVersions` advertises.
//! - A handler is one file under `api/` and one line here; the match is exhaustive, so the compiler asks for the line.

mod dispatch;
mod operations;
mod target;

mod alter_configs;
mod api_versions;
mod create_topics;
mod delete_groups;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;

use aquifer_broker_protocol::ApiKey;
use aquifer_broker_protocol::message::alter_configs::AlterConfigsRequest;
use aquifer_broker_protocol::message::api_versions::ApiVersionsRequest;
use aquifer_broker_protocol::message::create_topics::CreateTopicsRequest;
use aquifer_broker_protocol::message::delete_groups::DeleteGroupsRequest;
use aquifer_broker_protocol::message::delete_topics::DeleteTopicsRequest;
use aquifer_broker_protocol::message::describe_cluster::DescribeClusterRequest;
use aquifer_broker_protocol::message::describe_configs::DescribeConfigsRequest;
use aquifer_broker_protocol::message::describe_groups::DescribeGroupsRequest;
use aquifer_broker_protocol::message::fetch::FetchRequest;
use aquifer_broker_protocol::message::find_coordinator::FindCoordinatorRequest;
use aquifer_broker_protocol::message::heartbeat::HeartbeatRequest;
use aquifer_broker_protocol::message::incremental_alter_configs::IncrementalAlterConfigsRequest;
use aquifer_broker_protocol::message::init_producer_id::InitProducerIdRequest;
use aquifer_broker_protocol::message::join_group::JoinGroupRequest;
use aquifer_broker_protocol::message::leave_group::LeaveGroupRequest;
use aquifer_broker_protocol::message::list_groups::ListGroupsRequest;
use aquifer_broker_protocol::message::list_offsets::ListOffsetsRequest;
use aquifer_broker_protocol::message::list_partition_reassignments::ListPartitionReassignmentsRequest;
use aquifer_broker_protocol::message::metadata::MetadataRequest;
use aquifer_broker_protocol::message::offset_commit::OffsetCommitRequest;
use aquifer_broker_protocol::message::offset_fetch::OffsetFetchRequest;
use aquifer_broker_protocol::message::offset_for_leader_epoch::OffsetForLeaderEpochRequest;
use aquifer_broker_protocol::message::produce::ProduceRequest;
use aquifer_broker_protocol::message::sync_group::SyncGroupRequest;

pub(crate) use dispatch::{Finished, RequestError, start};

dispatch::handlers! {
    Produce => produce, ProduceRequest;
    Fetch => fetch, FetchRequest;
    ListOffsets => list_offsets, ListOffsetsRequest;
    Metadata => metadata, MetadataRequest;
    OffsetCommit => offset_commit, OffsetCommitRequest;
    OffsetFetch => offset_fetch, OffsetFetchRequest;
    FindCoordinator => find_coordinator, FindCoordinatorRequest;
    JoinGroup => join_group, JoinGroupRequest;
    Heartbeat => heartbeat, HeartbeatRequest;
    LeaveGroup => leave_group, LeaveGroupRequest;
    SyncGroup => sync_group, SyncGroupRequest;
    DescribeGroups => describe_groups, DescribeGroupsRequest;
    ListGroups => list_groups, ListGroupsRequest;
    ApiVersions => api_versions, ApiVersionsRequest;
    CreateTopics => create_topics, CreateTopicsRequest;
    DeleteTopics => delete_topics, DeleteTopicsRequest;
    InitProducerId => init_producer_id, InitProducerIdRequest;
    OffsetForLeaderEpoch => offset_for_leader_epoch, OffsetForLeaderEpochRequest;
    DescribeConfigs => describe_configs, DescribeConfigsRequest;
    AlterConfigs => alter_configs, AlterConfigsRequest;
    DeleteGroups => delete_groups, DeleteGroupsRequest;
    IncrementalAlterConfigs => incremental_alter_configs, IncrementalAlterConfigsRequest;
    ListPartitionReassignments => list_partition_reassignments, ListPartitionReassignmentsRequest;
    DescribeCluster => describe_cluster, DescribeClusterRequest;
}

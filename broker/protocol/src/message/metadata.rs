//! Metadata, v0 to v13: asks for brokers, topics and leaders.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_Metadata>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Asks for brokers, topics and leaders.
    pub struct MetadataRequest<'a> [0..=13, flexible 9..] {
        /// Topics that are asked for. Up to v0 an empty list means all; from v1 on null means all and an empty list none.
        topics: Option<Vec<MetadataRequestTopic<'a>>> [0.., nullable 1..],
        /// Whether the broker may create topics that do not exist. Since v4.
        allow_auto_topic_creation: bool [4..] = true,
        /// Whether to tell what the client may do to the cluster. Since v8. Up to v10.
        include_cluster_authorized_operations: bool [8..=10],
        /// Whether to tell what the client may do to each topic. Since v8.
        include_topic_authorized_operations: bool [8..],
    }

    /// A topic, by name or (since v10) by id.
    pub struct MetadataRequestTopic<'a> {
        /// Id of the topic, zero if it is not known. Since v10.
        topic_id: Uuid [10.., ignorable],
        /// Name of the topic, null if it is asked for by id.
        name: Option<Cow<'a, str>> [0.., nullable 10..],
    }

    /// Brokers, topics and leaders.
    pub struct MetadataResponse<'a> [0..=13, flexible 9..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v3.
        throttle_time_ms: i32 [3.., ignorable],
        /// The brokers of the cluster.
        brokers: Vec<MetadataResponseBroker<'a>> [0..],
        /// Id of the cluster. Since v2.
        cluster_id: Option<Cow<'a, str>> [2.., nullable 2.., ignorable],
        /// Id of the broker that admin requests go to, -1 if there is none. Since v1.
        controller_id: i32 [1.., ignorable] = -1,
        /// The topics.
        topics: Vec<MetadataResponseTopic<'a>> [0..],
        /// What the client may do to the cluster, one bit per operation; the lowest value if not asked for. Since v8. Up to v10.
        cluster_authorized_operations: i32 [8..=10] = i32::MIN,
        /// What went wrong, 0 if nothing. Since v13.
        error_code: i16 [13.., ignorable],
    }

    /// A broker and where it is.
    pub struct MetadataResponseBroker<'a> {
        /// Id of the broker.
        node_id: i32 [0..],
        /// Host that clients connect to.
        host: Cow<'a, str> [0..],
        /// Port that clients connect to.
        port: i32 [0..],
        /// Rack of the broker, null if it has none. Since v1.
        rack: Option<Cow<'a, str>> [1.., nullable 1.., ignorable],
    }

    /// A topic.
    pub struct MetadataResponseTopic<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Name of the topic, null if it was asked for by id and is not known.
        name: Option<Cow<'a, str>> [0.., nullable 12..],
        /// Id of the topic, zero if it is not known. Since v10.
        topic_id: Uuid [10.., ignorable],
        /// Whether the topic is one of Kafka's own. Since v1.
        is_internal: bool [1.., ignorable],
        /// The partitions.
        partitions: Vec<MetadataResponsePartition> [0..],
        /// What the client may do to the topic, one bit per operation; the lowest value if not asked for. Since v8.
        topic_authorized_operations: i32 [8..] = i32::MIN,
    }

    /// A partition and its replicas.
    pub struct MetadataResponsePartition {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Id of the leader, -1 if there is none.
        leader_id: i32 [0..],
        /// Epoch of the leader, -1 if it is not known. Since v7.
        leader_epoch: i32 [7.., ignorable] = -1,
        /// Ids of the brokers that hold the partition.
        replica_nodes: Vec<i32> [0..],
        /// Ids of the brokers that are in sync with the leader.
        isr_nodes: Vec<i32> [0..],
        /// Ids of the brokers that hold the partition and are not there. Since v5.
        offline_replicas: Vec<i32> [5.., ignorable],
    }
}

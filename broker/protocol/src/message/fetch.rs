//! Fetch, v4 to v18: asks for record batches, and to wait until there are enough of them.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_Fetch>.

use std::borrow::Cow;

use super::Records;
use crate::message;
use crate::primitive::Uuid;

message! {
    /// Asks for record batches, and to wait until there are enough of them.
    pub struct FetchRequest<'a> [4..=18, flexible 12..] {
        /// Id of the cluster. Since v12.
        cluster_id: Option<Cow<'a, str>> [12.., nullable 12.., tag 0, ignorable],
        /// Id of the broker that follows, -1 from a consumer. Up to v14.
        replica_id: i32 [0..=14] = -1,
        /// Who follows. Since v15.
        replica_state: ReplicaState [15.., tag 1],
        /// How long the broker may wait for enough bytes, in milliseconds.
        max_wait_ms: i32 [0..],
        /// Bytes that are worth answering.
        min_bytes: i32 [0..],
        /// Bytes that the response should not exceed; its first batch may (KIP-74).
        max_bytes: i32 [3.., ignorable] = i32::MAX,
        /// What of transactions is visible: 0 everything, 1 only what is committed.
        isolation_level: i8 [4.., ignorable],
        /// Id of the fetch session, 0 for none. Since v7.
        session_id: i32 [7.., ignorable],
        /// Number of the request in its session; 0 asks for a session, -1 ends it or wants none. Since v7.
        session_epoch: i32 [7.., ignorable] = -1,
        /// The topics.
        topics: Vec<FetchTopic<'a>> [0..],
        /// Partitions to take out of the session. Since v7.
        forgotten_topics_data: Vec<ForgottenTopic<'a>> [7..],
        /// Rack of the consumer, empty if it has none. Since v11.
        rack_id: Cow<'a, str> [11.., ignorable],
    }

    /// A broker that follows.
    pub struct ReplicaState {
        /// Id of the broker that follows, -1 from a consumer. Since v15.
        replica_id: i32 [15..] = -1,
        /// Epoch of the broker that follows, -1 if it is not known. Since v15.
        replica_epoch: i64 [15..] = -1,
    }

    /// A topic to read.
    pub struct FetchTopic<'a> {
        /// Name of the topic. Up to v12.
        topic: Cow<'a, str> [0..=12, ignorable],
        /// Id of the topic, zero if it is not known. Since v13.
        topic_id: Uuid [13.., ignorable],
        /// The partitions.
        partitions: Vec<FetchPartition> [0..],
    }

    /// A partition to read.
    pub struct FetchPartition {
        /// Number of the partition.
        partition: i32 [0..],
        /// Leader epoch that the client knows, -1 to skip the check. Since v9.
        current_leader_epoch: i32 [9.., ignorable] = -1,
        /// Offset to read from.
        fetch_offset: i64 [0..],
        /// Leader epoch of the last record that was read, -1 if there is none. Since v12.
        last_fetched_epoch: i32 [12..] = -1,
        /// First offset that the follower has, -1 from a consumer. Since v5.
        log_start_offset: i64 [5.., ignorable] = -1,
        /// Bytes that this partition should not exceed; its first batch may (KIP-74).
        partition_max_bytes: i32 [0..],
        /// Directory of the broker that follows. Since v17.
        replica_directory_id: Uuid [17.., tag 0, ignorable],
        /// High watermark that the follower knows. Since v18.
        high_watermark: i64 [18.., tag 1, ignorable] = i64::MAX,
    }

    /// Partitions of a topic to take out of the session.
    pub struct ForgottenTopic<'a> {
        /// Name of the topic. Since v7. Up to v12.
        topic: Cow<'a, str> [7..=12, ignorable],
        /// Id of the topic, zero if it is not known. Since v13.
        topic_id: Uuid [13.., ignorable],
        /// Numbers of the partitions. Since v7.
        partitions: Vec<i32> [7..],
    }

    /// Record batches as they lie in the log.
    pub struct FetchResponse<'a> [4..=18, flexible 12..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [1.., ignorable],
        /// What went wrong, 0 if nothing. Since v7.
        error_code: i16 [7.., ignorable],
        /// Id of the fetch session, 0 for none. Since v7.
        session_id: i32 [7..],
        /// The results.
        responses: Vec<FetchableTopicResponse<'a>> [0..],
        /// Where the leaders named in the response can be reached. Since v16.
        node_endpoints: Vec<NodeEndpoint<'a>> [16.., tag 0],
    }

    /// The batches of one topic.
    pub struct FetchableTopicResponse<'a> {
        /// Name of the topic. Up to v12.
        topic: Cow<'a, str> [0..=12, ignorable],
        /// Id of the topic, zero if it is not known. Since v13.
        topic_id: Uuid [13.., ignorable],
        /// The partitions.
        partitions: Vec<PartitionData<'a>> [0..],
    }

    /// The batches of one partition.
    pub struct PartitionData<'a> {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Offset up to which consumers may read.
        high_watermark: i64 [0..],
        /// Offset up to which every transaction is decided.
        last_stable_offset: i64 [4.., ignorable] = -1,
        /// First offset of the partition, -1 if it is not known. Since v5.
        log_start_offset: i64 [5.., ignorable] = -1,
        /// Where the log of the client and that of the leader part, if they do. Since v12.
        diverging_epoch: EpochEndOffset [12.., tag 0],
        /// Who leads now, so that the client need not ask. Since v12.
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        /// The snapshot to read instead. Since v12.
        snapshot_id: SnapshotId [12.., tag 2],
        /// Aborted transactions within the records; null unless only committed records are visible.
        aborted_transactions: Option<Vec<AbortedTransaction>> [4.., nullable 4.., ignorable],
        /// Id of the broker to read from, -1 for the leader. Since v11.
        preferred_read_replica: i32 [11..] = -1,
        /// Record batches as they lie. Nothing to read is zero bytes, never null: librdkafka takes null for an error.
        records: Option<Records<'a>> [0.., nullable 0..] = Some(Records::EMPTY),
    }

    /// A leader epoch and where it ends.
    pub struct EpochEndOffset {
        /// The leader epoch, -1 if it is not known. Since v12.
        epoch: i32 [12..] = -1,
        /// First offset after the epoch, -1 if it is not known. Since v12.
        end_offset: i64 [12..] = -1,
    }

    /// A leader and its epoch.
    pub struct LeaderIdAndEpoch {
        /// Id of the leader, -1 if there is none. Since v12.
        leader_id: i32 [12..] = -1,
        /// Epoch of the leader, -1 if it is not known. Since v12.
        leader_epoch: i32 [12..] = -1,
    }

    /// A snapshot.
    pub struct SnapshotId {
        /// First offset after the snapshot.
        end_offset: i64 [0..] = -1,
        /// Leader epoch of its last record.
        epoch: i32 [0..] = -1,
    }

    /// A transaction whose records are not to be delivered.
    pub struct AbortedTransaction {
        /// Id of the producer.
        producer_id: i64 [4..],
        /// First offset of the transaction in this partition.
        first_offset: i64 [4..],
    }

    /// Where a broker is.
    pub struct NodeEndpoint<'a> {
        /// Id of the broker. Since v16.
        node_id: i32 [16..],
        /// Host that clients connect to. Since v16.
        host: Cow<'a, str> [16..],
        /// Port that clients connect to. Since v16.
        port: i32 [16..],
        /// Rack of the broker, null if it has none. Since v16.
        rack: Option<Cow<'a, str>> [16.., nullable 16..],
    }
}

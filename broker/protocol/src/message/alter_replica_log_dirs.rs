//! AlterReplicaLogDirs, v1 and v2: moves replicas between the log directories of a broker.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_AlterReplicaLogDirs>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Moves replicas between the log directories of a broker.
    pub struct AlterReplicaLogDirsRequest<'a> [1..=2, flexible 2..] {
        /// The directories.
        dirs: Vec<AlterReplicaLogDir<'a>> [0..],
    }

    /// What is to move into one directory.
    pub struct AlterReplicaLogDir<'a> {
        /// Absolute path of the directory.
        path: Cow<'a, str> [0..],
        /// The topics.
        topics: Vec<AlterReplicaLogDirTopic<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct AlterReplicaLogDirTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }

    /// Whether the replicas move.
    pub struct AlterReplicaLogDirsResponse<'a> [1..=2, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<AlterReplicaLogDirTopicResult<'a>> [0..],
    }

    /// The results of one topic.
    pub struct AlterReplicaLogDirTopicResult<'a> {
        /// Name of the topic.
        topic_name: Cow<'a, str> [0..],
        /// The results per partition.
        partitions: Vec<AlterReplicaLogDirPartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct AlterReplicaLogDirPartitionResult {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}

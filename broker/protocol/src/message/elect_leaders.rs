//! ElectLeaders, v0 to v2: elects leaders of partitions.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ElectLeaders>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Elects leaders of partitions.
    pub struct ElectLeadersRequest<'a> [0..=2, flexible 2..] {
        /// 0 elects the preferred replica, 1 any that lives when none is in sync. Since v1.
        election_type: i8 [1..],
        /// The topics, null for all.
        topic_partitions: Option<Vec<TopicPartitions<'a>>> [0.., nullable 0..],
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
    }

    /// The partitions of one topic.
    pub struct TopicPartitions<'a> {
        /// Name of the topic.
        topic: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }

    /// Who was elected.
    pub struct ElectLeadersResponse<'a> [0..=2, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing. Since v1.
        error_code: i16 [1..],
        /// The results.
        replica_election_results: Vec<ReplicaElectionResult<'a>> [0..],
    }

    /// The results of one topic.
    pub struct ReplicaElectionResult<'a> {
        /// Name of the topic.
        topic: Cow<'a, str> [0..],
        /// The results per partition.
        partition_result: Vec<PartitionResult<'a>> [0..],
    }

    /// The result of one partition.
    pub struct PartitionResult<'a> {
        /// Number of the partition.
        partition_id: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
    }
}

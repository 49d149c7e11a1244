//! CreateTopics, v0 to v7: creates topics.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_CreateTopics>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Creates topics.
    pub struct CreateTopicsRequest<'a> [0..=7, flexible 5..] {
        /// The topics.
        topics: Vec<CreatableTopic<'a>> [0..],
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// Whether to check and change nothing. Since v1.
        validate_only: bool [1..],
    }

    /// A topic to create.
    pub struct CreatableTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Number of partitions, -1 for the default or if the assignments say it.
        num_partitions: i32 [0..],
        /// Number of replicas per partition, -1 for the default or if the assignments say it.
        replication_factor: i16 [0..],
        /// Replicas of each partition, if the client chooses them; empty if the broker does.
        assignments: Vec<CreatableReplicaAssignment> [0..],
        /// Configs that differ from the defaults.
        configs: Vec<CreatableTopicConfig<'a>> [0..],
    }

    /// The replicas of one partition.
    pub struct CreatableReplicaAssignment {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Ids of the brokers that are to hold the partition.
        broker_ids: Vec<i32> [0..],
    }

    /// A config of a topic to create.
    pub struct CreatableTopicConfig<'a> {
        /// Key of the config.
        name: Cow<'a, str> [0..],
        /// Value of the config.
        value: Option<Cow<'a, str>> [0.., nullable 0..],
    }

    /// Whether the topics were created.
    pub struct CreateTopicsResponse<'a> [0..=7, flexible 5..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v2.
        throttle_time_ms: i32 [2.., ignorable],
        /// The topics.
        topics: Vec<CreatableTopicResult<'a>> [0..],
    }

    /// Whether one topic was created, and how it looks.
    pub struct CreatableTopicResult<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Id of the topic, zero if it is not known. Since v7.
        topic_id: Uuid [7.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing. Since v1.
        error_message: Option<Cow<'a, str>> [1.., nullable 0.., ignorable],
        /// Why the configs are not told, 0 if they are. Since v5.
        topic_config_error_code: i16 [5.., tag 0, ignorable],
        /// Number of partitions, -1 for the default or if the assignments say it. Since v5.
        num_partitions: i32 [5.., ignorable] = -1,
        /// Number of replicas per partition, -1 for the default or if the assignments say it. Since v5.
        replication_factor: i16 [5.., ignorable] = -1,
        /// Configs of the topic, null if they are not told. Since v5.
        configs: Option<Vec<CreatableTopicConfigs<'a>>> [5.., nullable 5.., ignorable],
    }

    /// A config of a topic that was created.
    pub struct CreatableTopicConfigs<'a> {
        /// Key of the config. Since v5.
        name: Cow<'a, str> [5..],
        /// Value of the config. Since v5.
        value: Option<Cow<'a, str>> [5.., nullable 5..],
        /// Whether the config cannot be changed. Since v5.
        read_only: bool [5..],
        /// Where the value comes from. Since v5.
        config_source: i8 [5.., ignorable] = -1,
        /// Whether the value is a secret, which is not told. Since v5.
        is_sensitive: bool [5..],
    }
}

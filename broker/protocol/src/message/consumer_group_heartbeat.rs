//! ConsumerGroupHeartbeat, v0 and v1: joins, keeps or leaves a consumer group (KIP-848).
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ConsumerGroupHeartbeat>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Joins, keeps or leaves a consumer group (KIP-848). What did not change since the last one may be null.
    pub struct ConsumerGroupHeartbeatRequest<'a> [0..=1, flexible 0..] {
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Id of the member; since v1 the member makes it, before that the coordinator does.
        member_id: Cow<'a, str> [0..],
        /// Epoch of the member: 0 to join, -1 to leave, -2 to leave as a static member that comes back.
        member_epoch: i32 [0..],
        /// Name that a static member gives itself.
        instance_id: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Rack of the member.
        rack_id: Option<Cow<'a, str>> [0.., nullable 0..],
        /// How long the member may take to give partitions up, in milliseconds; -1 if it did not change.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// Names of the topics it subscribes to.
        subscribed_topic_names: Option<Vec<Cow<'a, str>>> [0.., nullable 0..],
        /// Regular expression for the topics it subscribes to. Since v1.
        subscribed_topic_regex: Option<Cow<'a, str>> [1.., nullable 1..],
        /// Name of the assignor it asks for.
        server_assignor: Option<Cow<'a, str>> [0.., nullable 0..],
        /// The partitions it owns.
        topic_partitions: Option<Vec<TopicPartitions>> [0.., nullable 0..],
    }

    /// The partitions of one topic.
    pub struct TopicPartitions {
        /// Id of the topic.
        topic_id: Uuid [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }

    /// Where the member stands.
    pub struct ConsumerGroupHeartbeatResponse<'a> [0..=1, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Id of the member, null after an error.
        member_id: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Epoch of the member.
        member_epoch: i32 [0..],
        /// How long until the next heartbeat is due, in milliseconds.
        heartbeat_interval_ms: i32 [0..],
        /// What the member is to own, null if it did not change.
        assignment: Option<Box<Assignment>> [0.., nullable 0..],
    }

    /// What a member is to own.
    pub struct Assignment {
        /// The partitions that it may use at once.
        topic_partitions: Vec<TopicPartitions> [0..],
    }
}

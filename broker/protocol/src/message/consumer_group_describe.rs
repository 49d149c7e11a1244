//! ConsumerGroupDescribe, v0 and v1: asks for the members of consumer groups (KIP-848).
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ConsumerGroupDescribe>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Asks for the members of consumer groups (KIP-848).
    pub struct ConsumerGroupDescribeRequest<'a> [0..=1, flexible 0..] {
        /// Ids of the groups.
        group_ids: Vec<Cow<'a, str>> [0..],
        /// Whether to tell what the client may do with the groups.
        include_authorized_operations: bool [0..],
    }

    /// The groups.
    pub struct ConsumerGroupDescribeResponse<'a> [0..=1, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The groups.
        groups: Vec<DescribedGroup<'a>> [0..],
    }

    /// A group.
    pub struct DescribedGroup<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Id of the group.
        group_id: Cow<'a, str> [0..],
        /// Name of its state.
        group_state: Cow<'a, str> [0..],
        /// Epoch of the group.
        group_epoch: i32 [0..],
        /// Epoch of the target assignment.
        assignment_epoch: i32 [0..],
        /// Name of the assignor.
        assignor_name: Cow<'a, str> [0..],
        /// The members.
        members: Vec<Member<'a>> [0..],
        /// What the client may do with the group, a bit per operation; the smallest number if it is not told.
        authorized_operations: i32 [0..] = i32::MIN,
    }

    /// A member.
    pub struct Member<'a> {
        /// Id of the member.
        member_id: Cow<'a, str> [0..],
        /// Name that a static member gives itself, null for others.
        instance_id: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Rack of the member, null if it has none.
        rack_id: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Epoch of the member.
        member_epoch: i32 [0..],
        /// Client id of the member.
        client_id: Cow<'a, str> [0..],
        /// Host of the member.
        client_host: Cow<'a, str> [0..],
        /// Names of the topics it subscribes to.
        subscribed_topic_names: Vec<Cow<'a, str>> [0..],
        /// Regular expression for the topics it subscribes to, null if there is none.
        subscribed_topic_regex: Option<Cow<'a, str>> [0.., nullable 0..],
        /// What it owns.
        assignment: Assignment<'a> [0..],
        /// What it is to own.
        target_assignment: Assignment<'a> [0..],
        /// How it takes part: 0 by the classic protocol, 1 by that of consumer groups, -1 if it is not known. Since v1.
        member_type: i8 [1.., ignorable] = -1,
    }

    /// The partitions of a member.
    pub struct Assignment<'a> {
        /// The partitions.
        topic_partitions: Vec<TopicPartitions<'a>> [0..],
    }

    /// The partitions of one topic.
    pub struct TopicPartitions<'a> {
        /// Id of the topic.
        topic_id: Uuid [0..],
        /// Name of the topic.
        topic_name: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }
}

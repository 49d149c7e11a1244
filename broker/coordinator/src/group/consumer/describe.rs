//! A consumer group as ConsumerGroupDescribe shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;

use super::member::{Assignment, Current, without_epochs};
use super::{ConsumerGroup, ConsumerGroupState};
use crate::group::GroupSettings;
use crate::group::id::{InstanceId, MemberId, TopicName};
use crate::topic::image::MetadataImage;

/// A consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerGroupDescription {
    /// Where the group stands.
    pub state: ConsumerGroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch that the target assignment was computed for.
    pub assignment_epoch: i32,
    /// The assignor that computes it.
    pub assignor: Arc<str>,
    /// The members.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerMemberDescription {
    /// Its id.
    pub member_id: MemberId,
    /// Its static name.
    pub instance_id: Option<InstanceId>,
    /// The rack it runs in.
    pub rack_id: Option<Arc<str>>,
    /// Its epoch.
    pub epoch: i32,
    /// The client's name for itself.
    pub client_id: Arc<str>,
    /// The peer's address.
    pub client_host: Arc<str>,
    /// The topics it names.
    pub topics: Vec<TopicName>,
    /// The regular expression it subscribes to.
    pub regex: Option<Arc<str>>,
    /// What it holds, with what it has yet to give up.
    pub assignment: NamedAssignment,
    /// What it is to own.
    pub target: NamedAssignment,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

/// Partitions by topic: its id, name and partition indexes.
pub type NamedAssignment = Vec<(Uuid, TopicName, Vec<i32>)>;

/// Shows the group; topics that were deleted are left out.
pub(crate) fn describe(
    group: &ConsumerGroup,
    settings: &GroupSettings,
    topics: &MetadataImage,
) -> ConsumerGroupDescription {
    let members = group.members.iter().map(|(member_id, member)| ConsumerMemberDescription {
        member_id: member_id.clone(),
        instance_id: member.subscription.instance_id.clone(),
        rack_id: member.subscription.rack_id.clone(),
        epoch: member.current.epoch,
        client_id: Arc::clone(&member.subscription.client_id),
        client_host: Arc::clone(&member.subscription.client_host),
        topics: member.subscription.topics.iter().cloned().collect(),
        regex: member.subscription.regex.clone(),
        assignment: named(&held(&member.current), topics),
        target: named(&group.target(member_id), topics),
        is_classic: member.is_classic(),
    });
    let assignor = group.preferred_assignor().or_else(|| settings.consumer.assignors.first());
    ConsumerGroupDescription {
        state: group.state(),
        epoch: group.epoch.epoch,
        assignment_epoch: group.target_epoch.epoch,
        assignor: assignor.cloned().unwrap_or_else(|| Arc::from("")),
        members: members.collect(),
    }
}

fn held(current: &Current) -> Assignment {
    let mut held = without_epochs(&current.assigned);
    for (topic_id, partitions) in &current.revoking {
        held.entry(*topic_id).or_default().extend(partitions.keys());
    }
    held
}

fn named(assignment: &Assignment, topics: &MetadataImage) -> NamedAssignment {
    let existing = assignment.iter().filter_map(|(id, indexes)| {
        let name = topics.topic_by_id(id)?.name.clone();
        Some((name, (*id, indexes)))
    });
    let by_name = existing.collect::<BTreeMap<_, _>>().into_iter();
    by_name.map(|(name, (id, indexes))| (id, name, indexes.iter().copied().collect())).collect()
}

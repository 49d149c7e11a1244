//! The target assignment: what each member is to own, computed by an assignor for the group's epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::Draft;
use super::{ConsumerChange, TargetEpoch};
use crate::Timestamp;
use crate::assignor::{self, Assign, GroupSpec, MemberSpec};

impl Draft<'_> {
    /// Brings the target assignment up to the group's epoch, unless the last one is too recent: members that come in
    /// a row are assigned to together.
    pub(crate) fn update_target(&mut self) {
        let group = self.group();
        let interval_ms = self.context.assignment_interval_ms();
        let is_due = group.target_epoch.computed_at == Timestamp::default()
            || group.target_epoch.computed_at.plus_ms(interval_ms) <= self.context.now;
        if group.target_epoch.epoch >= group.epoch.epoch || !is_due {
            return;
        }
        let mut assignment = self.assignor()(&self.group_spec());
        let members = self.group().members.keys().cloned().collect::<Vec<_>>();
        for member_id in members {
            let target = assignment.remove(&member_id).unwrap_or_default();
            let before = self.group().targets.get(&member_id);
            if before.is_none_or(|before| **before != target) {
                self.write(ConsumerChange::Target {
                    member_id,
                    partitions: Some(Arc::new(target)),
                });
            }
        }
        let epoch = self.group().epoch.epoch;
        let target_epoch = TargetEpoch { epoch, computed_at: self.context.now };
        self.write(ConsumerChange::TargetEpoch(Some(target_epoch)));
    }

    fn assignor(&self) -> Assign {
        let settings = &self.context.settings.consumer;
        let name = self.group().preferred_assignor().or_else(|| settings.assignors.first());
        name.and_then(|name| assignor::by_name(name)).unwrap_or(assignor::uniform::assign)
    }

    fn group_spec(&self) -> GroupSpec {
        let group = self.group();
        let mut topics = BTreeMap::new();
        let members = group.members.iter().map(|(member_id, member)| {
            let subscribed = group.subscribed_topics(&member.subscription, self.context.topics);
            let counts = subscribed.iter().map(|(id, topic)| (*id, topic.partition_count()));
            topics.extend(counts);
            let spec = MemberSpec {
                instance_id: member.subscription.instance_id.clone(),
                topics: subscribed.into_keys().collect(),
                before: group.target(member_id),
            };
            (member_id.clone(), spec)
        });
        let members = members.collect();
        GroupSpec { members, topics }
    }
}

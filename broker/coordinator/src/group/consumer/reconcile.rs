//! From what a member holds towards what its target assigns: give up first, then take what others have given up.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::primitive::Uuid;

use super::ConsumerGroup;
use super::draft::Refusal;
use super::member::{Assignment, ConsumerMember, Current, MemberState, OwnedPartitions};
use crate::group::id::MemberId;

/// One step of one member.
pub(crate) struct Step<'a> {
    pub(crate) group: &'a ConsumerGroup,
    pub(crate) member_id: &'a MemberId,
    pub(crate) member: &'a ConsumerMember,
    /// The epoch of the target assignment.
    pub(crate) target_epoch: i32,
    /// The member's part of it.
    pub(crate) target: Assignment,
    /// The topics that it wants now; its target may still be of what it wanted before.
    pub(crate) subscribed: BTreeSet<Uuid>,
    /// Whether it wants other topics than at its last heartbeat.
    pub(crate) has_subscription_changed: bool,
    /// What it says that it holds; nothing if it says what it said before.
    pub(crate) owned: Option<&'a Assignment>,
}

impl Step<'_> {
    /// What the member holds after the step.
    pub(crate) fn next(self) -> Result<Current, Refusal> {
        let current = &self.member.current;
        if !self.has_subscription_changed && self.member.is_reconciled_to(self.target_epoch) {
            return Ok(current.clone());
        }
        match current.state {
            MemberState::Stable if current.epoch != self.target_epoch => {
                Ok(self.towards_target(current.epoch))
            }
            MemberState::Stable => Ok(self.without_unsubscribed()),
            MemberState::UnrevokedPartitions if self.owns_any_of(&current.revoking) => {
                if self.has_subscription_changed {
                    Ok(self.without_unsubscribed())
                } else {
                    Ok(current.clone())
                }
            }
            // It is done with its epoch. The next one is at most the target's.
            MemberState::UnrevokedPartitions => Ok(self.towards_target(current.epoch + 1)),
            MemberState::UnreleasedPartitions => Ok(self.towards_target(current.epoch)),
            MemberState::Unknown if self.owned.is_none_or(|owned| !owned.is_empty()) => {
                Err(Refusal::new(
                    ErrorCode::FencedMemberEpoch,
                    "The consumer group member is in a unknown state. \
                     The member must abandon all its partitions and rejoin.",
                ))
            }
            MemberState::Unknown => Ok(self.towards_target(self.target_epoch)),
        }
    }

    /// Whether the member may still hold one of these; what it does not deny counts as held.
    fn owns_any_of(&self, partitions: &OwnedPartitions) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|(topic_id, indexes)| {
            let among = partitions.get(topic_id);
            among.is_some_and(|among| indexes.iter().any(|index| among.contains_key(index)))
        })
    }

    /// Topics that the member has unsubscribed from are taken back at once; the target follows later.
    fn without_unsubscribed(&self) -> Current {
        let current = &self.member.current;
        let (kept, dropped): (OwnedPartitions, OwnedPartitions) = current
            .assigned
            .clone()
            .into_iter()
            .partition(|(topic_id, _)| self.subscribed.contains(topic_id));
        if dropped.is_empty() {
            return current.clone();
        }
        let mut revoking = current.revoking.clone();
        for (topic_id, partitions) in dropped {
            revoking.entry(topic_id).or_default().extend(partitions);
        }
        if self.owns_any_of(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            Current { state, assigned: kept, revoking, ..current.at_epoch(current.epoch) }
        } else {
            Current { assigned: kept, ..current.at_epoch(current.epoch) }
        }
    }

    fn towards_target(&self, epoch: i32) -> Current {
        let current = &self.member.current;
        let wanted = |topic_id: &Uuid, index: i32| {
            self.subscribed.contains(topic_id)
                && self.target.get(topic_id).is_some_and(|indexes| indexes.contains(&index))
        };
        let mut assigned = OwnedPartitions::new();
        let mut revoking = OwnedPartitions::new();
        for (topic_id, partitions) in &current.assigned {
            for (index, assigned_in) in partitions {
                let owned = if wanted(topic_id, *index) { &mut assigned } else { &mut revoking };
                owned.entry(*topic_id).or_default().insert(*index, *assigned_in);
            }
        }
        if !revoking.is_empty() && self.owns_any_of(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            return Current { state, assigned, revoking, ..current.at_epoch(epoch) };
        }
        let mut state = MemberState::Stable;
        for (topic_id, indexes) in &self.target {
            if !self.subscribed.contains(topic_id) {
                continue;
            }
            for index in indexes {
                if current.assigned.get(topic_id).is_some_and(|held| held.contains_key(index)) {
                    continue;
                }
                if self.is_held_by_another(topic_id, *index) {
                    state = MemberState::UnreleasedPartitions;
                } else {
                    let partitions = assigned.entry(*topic_id).or_default();
                    partitions.insert(*index, self.target_epoch);
                }
            }
        }
        Current {
            state,
            assigned,
            revoking: BTreeMap::new(),
            ..current.at_epoch(self.target_epoch)
        }
    }

    /// What the member itself was giving up is free for it once it has arrived here.
    fn is_held_by_another(&self, topic_id: &Uuid, index: i32) -> bool {
        self.group.holder(topic_id, index).is_some_and(|holder| holder != self.member_id)
    }
}

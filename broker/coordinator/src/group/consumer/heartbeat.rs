//! ConsumerGroupHeartbeat: a member joins, says what it wants and holds, and learns what it is to hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::draft::{Draft, Refusal};
use super::member::{
    Assignment, ConsumerMember, Current, JOIN_EPOCH, LEAVE_EPOCH, MemberState, STATIC_LEAVE_EPOCH,
    Subscription, without_epochs,
};
use super::reconcile::Step;
use super::session::revocation;
use super::{ConsumerChange, same_partitions};
use crate::group::GroupSettings;
use crate::group::command::{ConsumerHeartbeat, HeartbeatReply};
use crate::group::id::{InstanceId, MemberId};

impl ConsumerHeartbeat {
    /// Refuses what no state of the group could make right.
    pub(crate) fn validate(&self, settings: &GroupSettings) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
        if self.group_id.is_empty() {
            return invalid("GroupId can't be empty.");
        }
        if self.instance_id.as_ref().is_some_and(|id| id.is_empty()) {
            return invalid("InstanceId can't be empty.");
        }
        if self.rack_id.as_ref().is_some_and(|rack| rack.is_empty()) {
            return invalid("RackId can't be empty.");
        }
        match self.member_epoch {
            JOIN_EPOCH if self.rebalance_timeout_ms == -1 => {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            JOIN_EPOCH if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            JOIN_EPOCH if self.topics.is_none() && self.regex.is_none() => {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
            STATIC_LEAVE_EPOCH if self.instance_id.is_none() => {
                return invalid("InstanceId can't be null.");
            }
            epoch if epoch < STATIC_LEAVE_EPOCH => return invalid("MemberEpoch is invalid."),
            _ => {}
        }
        let assignors = &settings.consumer.assignors;
        match &self.assignor {
            Some(assignor) if !assignors.contains(assignor) => Err(Refusal::new(
                ErrorCode::UnsupportedAssignor,
                format!(
                    "ServerAssignor {assignor} is not supported. Supported assignors: {}.",
                    assignors.join(", ")
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn leaves(&self) -> bool {
        matches!(self.member_epoch, LEAVE_EPOCH | STATIC_LEAVE_EPOCH)
    }

    pub(crate) fn joins(&self) -> bool {
        self.member_epoch == JOIN_EPOCH
    }

    /// Says all there is to say, as after an error: then the answer does, too.
    fn is_full(&self) -> bool {
        self.joins()
            || self.rebalance_timeout_ms != -1
                && (self.topics.is_some() || self.regex.is_some())
                && self.owned.is_some()
    }

    /// What the member is and wants from now on; what it did not mention stays.
    fn subscription(&self, before: &Subscription) -> Subscription {
        let regex = match &self.regex {
            Some(regex) if regex.is_empty() => None,
            Some(regex) => Some(Arc::clone(regex)),
            None => before.regex.clone(),
        };
        let rebalance_timeout_ms = match self.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            given => given,
        };
        Subscription {
            instance_id: self.instance_id.clone().or_else(|| before.instance_id.clone()),
            rack_id: self.rack_id.clone().or_else(|| before.rack_id.clone()),
            client_id: Arc::clone(&self.client_id),
            client_host: Arc::clone(&self.client_host),
            topics: self.topics.clone().unwrap_or_else(|| before.topics.clone()),
            regex,
            rebalance_timeout_ms,
            assignor: self.assignor.clone().or_else(|| before.assignor.clone()),
            classic: None,
        }
    }
}

/// Which protocol a member joins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Classic,
    Consumer,
}

impl Draft<'_> {
    /// What a heartbeat of a member that joins or stays leads to.
    pub(crate) fn heartbeat(
        &mut self,
        beat: &ConsumerHeartbeat,
    ) -> Result<HeartbeatReply, Refusal> {
        let member_id = &beat.member_id;
        self.check_room_for(member_id)?;
        let before = match &beat.instance_id {
            None if beat.joins() => self.member(member_id).cloned().unwrap_or_default(),
            None => Arc::clone(self.known_member(member_id)?),
            Some(instance_id) if beat.joins() => {
                self.join_as_static(member_id, instance_id, Protocol::Consumer)?
            }
            Some(instance_id) => self.known_static(member_id, instance_id)?,
        };
        validate_epoch(&before.current, beat)?;
        let subscription = beat.subscription(&before.subscription);
        let has_changed = self.update_subscription(member_id, subscription)?;
        self.update_epoch(has_changed);
        self.update_target();
        let current = self.reconcile(member_id, has_changed, beat.owned.as_ref())?;
        self.keep_alive(member_id, self.context.session_timeout_ms());
        let tells = beat.is_full() || !same_partitions(&before.current.assigned, &current.assigned);
        Ok(HeartbeatReply {
            member_id: member_id.clone(),
            member_epoch: current.epoch,
            heartbeat_interval_ms: self.context.heartbeat_interval_ms(),
            assignment: tells.then(|| without_epochs(&current.assigned)),
        })
    }

    pub(crate) fn check_room_for(&self, member_id: &MemberId) -> Result<(), Refusal> {
        let size_max = self.context.settings.consumer.size_max;
        if self.group().members.len() >= size_max && self.member(member_id).is_none() {
            return Err(Refusal::new(
                ErrorCode::GroupMaxSizeReached,
                format!(
                    "The consumer group has reached its maximum capacity of {size_max} members."
                ),
            ));
        }
        Ok(())
    }

    /// A static member that joins: new, or in the place of the one that had its name.
    pub(crate) fn join_as_static(
        &mut self,
        member_id: &MemberId,
        instance_id: &InstanceId,
        protocol: Protocol,
    ) -> Result<Arc<ConsumerMember>, Refusal> {
        let Some((old_id, old)) = self.group().static_member(instance_id) else {
            return Ok(self.member(member_id).cloned().unwrap_or_default());
        };
        let (old_id, old) = (old_id.clone(), Arc::clone(old));
        if old_id == *member_id && old.current.epoch != STATIC_LEAVE_EPOCH {
            // It lost the answer to its first request, or was told to join again.
            return Ok(old);
        }
        let both_new = protocol == Protocol::Consumer && !old.is_classic();
        if both_new && old.current.epoch != STATIC_LEAVE_EPOCH {
            return Err(Refusal::new(
                ErrorCode::UnreleasedInstanceId,
                format!(
                    "Static member {member_id} with instance id {instance_id} cannot join the group \
                     because the instance id is owned by {old_id} member."
                ),
            ));
        }
        let target = self.group().target(&old_id);
        self.remove_member(&old_id);
        let current = Current { epoch: 0, previous_epoch: 0, ..old.current.clone() };
        let subscription = old.subscription.clone();
        self.write_subscription(member_id, subscription.clone());
        let partitions = Some(Arc::new(target));
        self.write(ConsumerChange::Target { member_id: member_id.clone(), partitions });
        self.write_current(member_id, current.clone());
        Ok(Arc::new(ConsumerMember { subscription, current }))
    }

    /// A static member that is in the group, under its current id.
    pub(crate) fn known_static(
        &self,
        member_id: &MemberId,
        instance_id: &InstanceId,
    ) -> Result<Arc<ConsumerMember>, Refusal> {
        let Some((current_id, member)) = self.group().static_member(instance_id) else {
            return Err(Refusal::new(
                ErrorCode::UnknownMemberId,
                format!("Instance id {instance_id} is unknown."),
            ));
        };
        if current_id != member_id {
            return Err(Refusal::new(
                ErrorCode::FencedInstanceId,
                format!(
                    "Static member {member_id} with instance id {instance_id} \
                     was fenced by member {current_id}."
                ),
            ));
        }
        Ok(Arc::clone(member))
    }

    /// Writes what the member is and wants, if that is new; answers whether it wants other topics than before.
    pub(crate) fn update_subscription(
        &mut self,
        member_id: &MemberId,
        subscription: Subscription,
    ) -> Result<bool, Refusal> {
        let member = self.member(member_id);
        let is_new = member.is_none();
        let before = member.map(|member| member.subscription.clone()).unwrap_or_default();
        let names_changed = before.topics != subscription.topics;
        let regex_changed = before.regex != subscription.regex;
        if is_new || before != subscription {
            let regex = subscription.regex.clone();
            self.write_subscription(member_id, subscription);
            if let Some(regex) = &regex {
                self.resolve_regex(regex)?;
            }
            if regex_changed && let Some(regex) = &before.regex {
                self.forget_regex_if_unused(regex);
            }
        }
        Ok(names_changed || regex_changed)
    }

    /// Raises the group's epoch if members want other topics, or what they want has changed.
    pub(crate) fn update_epoch(&mut self, has_subscription_changed: bool) {
        let is_new = self.group().target_epoch.epoch == 0;
        let mut has_changed = has_subscription_changed || is_new;
        if self.topics_seen != self.context.topics_version {
            self.topics_seen = self.context.topics_version;
            self.refresh_regexes();
            let hash = self.group().metadata_hash(self.context.topics);
            has_changed |= hash != self.group().epoch.metadata_hash;
        }
        if has_changed {
            self.raise_epoch();
        }
    }

    /// Takes the member a step towards its target; answers what it holds then.
    pub(crate) fn reconcile(
        &mut self,
        member_id: &MemberId,
        has_subscription_changed: bool,
        owned: Option<&Assignment>,
    ) -> Result<Current, Refusal> {
        let group = self.group();
        let member = Arc::clone(self.known_member(member_id)?);
        let subscribed = group.subscribed_topics(&member.subscription, self.context.topics);
        let step = Step {
            group,
            member_id,
            member: &member,
            target_epoch: group.target_epoch.epoch,
            target: group.target(member_id),
            subscribed: subscribed.into_keys().collect::<BTreeSet<_>>(),
            has_subscription_changed,
            owned,
        };
        let current = step.next()?;
        if current != member.current {
            self.write_current(member_id, current.clone());
            if !member.is_classic() {
                let mut timers = self.timers(member_id, self.context.session_timeout_ms());
                let updated = ConsumerMember {
                    subscription: member.subscription.clone(),
                    current: current.clone(),
                };
                timers.revocation = (current.state == MemberState::UnrevokedPartitions)
                    .then(|| revocation(&updated, self.context.now));
                self.set_timers(member_id, timers);
            }
        }
        Ok(current)
    }
}

/// A member must know its epoch, or the one before if it holds no more than it may: the answer that told the new
/// one may have been lost.
fn validate_epoch(current: &Current, beat: &ConsumerHeartbeat) -> Result<(), Refusal> {
    let (received, known) = (beat.member_epoch, current.epoch);
    let holds_no_more = || {
        beat.owned.as_ref().is_some_and(|owned| {
            owned.iter().all(|(topic_id, indexes)| {
                let assigned = current.assigned.get(topic_id);
                assigned.is_some_and(|assigned| {
                    indexes.iter().all(|index| assigned.contains_key(index))
                })
            })
        })
    };
    let relation = if beat.joins() || received == known {
        return Ok(());
    } else if received > known {
        "greater"
    } else if received == current.previous_epoch && holds_no_more() {
        return Ok(());
    } else {
        "smaller"
    };
    Err(Refusal::new(
        ErrorCode::FencedMemberEpoch,
        format!(
            "The consumer group member has a {relation} member epoch ({received}) than the one known by the \
             group coordinator ({known}). The member must abandon all its partitions and rejoin."
        ),
    ))
}

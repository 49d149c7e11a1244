//! The group machine's part that deals with consumer groups: which group a request is about, and what it becomes.

use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::describe::{ConsumerGroupDescription, describe};
use super::draft::{Context, Draft, Refusal};
use super::session::MemberTimers;
use super::{CONSUMER_PROTOCOL_TYPE, ConsumerChange};
use crate::group::classic::GroupState;
use crate::group::command::{
    ConsumerHeartbeat, DeleteOffsets, GroupDescription, GroupReply, Heartbeat, JoinGroup,
    JoinReply, LeaveGroup, SyncGroup,
};
use crate::group::id::{GroupId, MemberId};
use crate::group::member::subscribed_topics;
use crate::group::{Group, GroupEvent, GroupMachine, GroupRecord};
use crate::machine::{Decision, DecisionOf};
use crate::{RequestId, Timestamp};

impl GroupMachine {
    fn context<'a>(&'a self, now: Timestamp, group_id: &'a GroupId) -> Context<'a> {
        Context {
            now,
            settings: &self.settings,
            topics: &self.topics,
            topics_version: self.topics_version,
            group_id,
        }
    }

    /// The consumer group as it is.
    fn draft<'a>(&'a self, context: Context<'a>) -> Result<Draft<'a>, Refusal> {
        let group_id = context.group_id;
        let not_found = |message| Err(Refusal::new(ErrorCode::GroupIdNotFound, message));
        match self.groups.get(group_id) {
            None => not_found(format!("Group {group_id} not found.")),
            Some(Group { consumer: Some(consumer), consumer_session, .. }) => {
                Ok(Draft::of(context, consumer, consumer_session))
            }
            Some(_) => not_found(format!("Group {group_id} is not a consumer group.")),
        }
    }

    /// The consumer group for a member that joins: as it is, new, or in the place of a classic one.
    fn draft_to_join<'a>(&'a self, context: Context<'a>) -> Result<Draft<'a>, Refusal> {
        let Some(group) = self.groups.get(context.group_id) else {
            return Ok(Draft::new(context));
        };
        if group.consumer.is_some() {
            return self.draft(context);
        }
        let mut draft = Draft::new(context);
        let classic = group.classic(context.now);
        if classic.state == GroupState::Empty {
            draft.replace_empty(group.metadata.is_some());
        } else {
            draft.upgrade(&classic, group.metadata.is_some())?;
        }
        Ok(draft)
    }

    pub(crate) fn consumer_heartbeat(
        &self,
        now: Timestamp,
        request: RequestId,
        beat: &ConsumerHeartbeat,
    ) -> DecisionOf<Self> {
        let decide = || {
            beat.validate(&self.settings)?;
            let context = self.context(now, &beat.group_id);
            let mut draft = match self.groups.get(&beat.group_id) {
                _ if beat.joins() => self.draft_to_join(context)?,
                None if !beat.leaves() => {
                    let message = format!("Consumer group {} not found.", beat.group_id);
                    return Err(Refusal::new(ErrorCode::GroupIdNotFound, message));
                }
                Some(_) | None => self.draft(context)?,
            };
            let reply = if beat.leaves() { draft.leave(beat)? } else { draft.heartbeat(beat)? };
            Ok((draft, reply))
        };
        match decide() {
            Ok((draft, reply)) => finish(draft, request, GroupReply::ConsumerHeartbeat(Ok(reply))),
            Err(refusal) => Decision::reply(request, GroupReply::ConsumerHeartbeat(Err(refusal))),
        }
    }

    pub(crate) fn join_consumer(
        &self,
        now: Timestamp,
        request: RequestId,
        join: &JoinGroup,
    ) -> DecisionOf<Self> {
        let decide = || {
            let mut draft = self.draft(self.context(now, &join.group_id))?;
            let reply = draft.join_classic(join)?;
            Ok::<_, Refusal>((draft, reply))
        };
        match decide() {
            Ok((draft, reply)) => finish(draft, request, GroupReply::Join(reply)),
            Err(refusal) => {
                let member_id = join.member_id.clone();
                let reply = JoinReply { member_id, result: Err(refusal.code) };
                Decision::reply(request, GroupReply::Join(reply))
            }
        }
    }

    pub(crate) fn sync_to_consumer(
        &self,
        now: Timestamp,
        request: RequestId,
        sync: &SyncGroup,
    ) -> DecisionOf<Self> {
        let context = self.context(now, &sync.group_id);
        match self.draft(context) {
            Ok(mut draft) if !draft.group().members.is_empty() => {
                // Refused or not: what it is waited for may have changed.
                let result = draft.sync_classic(sync).map_err(|refusal| refusal.code);
                finish(draft, request, GroupReply::Sync(result))
            }
            Ok(_) | Err(_) => {
                Decision::reply(request, GroupReply::Sync(Err(ErrorCode::UnknownMemberId)))
            }
        }
    }

    pub(crate) fn heartbeat_to_consumer(
        &self,
        now: Timestamp,
        request: RequestId,
        heartbeat: &Heartbeat,
    ) -> DecisionOf<Self> {
        match self.draft(self.context(now, &heartbeat.group_id)) {
            Ok(mut draft) => {
                let result = draft.heartbeat_classic(heartbeat).map_err(|refusal| refusal.code);
                finish(draft, request, GroupReply::Heartbeat(result))
            }
            Err(_) => {
                Decision::reply(request, GroupReply::Heartbeat(Err(ErrorCode::UnknownMemberId)))
            }
        }
    }

    pub(crate) fn leave_consumer(
        &self,
        now: Timestamp,
        request: RequestId,
        leave: &LeaveGroup,
    ) -> DecisionOf<Self> {
        match self.draft(self.context(now, &leave.group_id)) {
            Ok(mut draft) => {
                let results = draft.leave_all(leave);
                finish(draft, request, GroupReply::Leave(Ok(results)))
            }
            Err(refusal) => Decision::reply(request, GroupReply::Leave(Err(refusal.code))),
        }
    }

    pub(crate) fn tick_consumer(
        &self,
        now: Timestamp,
        group_id: &GroupId,
        group: &Group,
    ) -> DecisionOf<Self> {
        let mut decision = Decision::default();
        if let Ok(mut draft) = self.draft(self.context(now, group_id)) {
            draft.tick(&group.consumer_session.timers);
            (decision.records, decision.events, decision.replies) = draft.into_parts();
        }
        decision.events.push(GroupEvent::Reschedule(group_id.clone()));
        decision
    }

    pub(crate) fn consumer_tombstones(
        &self,
        now: Timestamp,
        group_id: &GroupId,
        group: &Group,
    ) -> Vec<GroupRecord> {
        let Some(consumer) = &group.consumer else { return Vec::new() };
        let mut draft = Draft::of(self.context(now, group_id), consumer, &group.consumer_session);
        draft.write_tombstones();
        draft.records
    }

    /// DescribeGroups: classic groups only.
    pub(crate) fn describe(
        &self,
        now: Timestamp,
        group_id: &GroupId,
    ) -> Result<GroupDescription, Refusal> {
        let not_found = |message| Err(Refusal::new(ErrorCode::GroupIdNotFound, message));
        match self.groups.get(group_id) {
            None => not_found(format!("Group {group_id} not found.")),
            Some(group) if group.consumer.is_some() => {
                not_found(format!("Group {group_id} is not a classic group."))
            }
            Some(group) => Ok(group.classic(now).describe()),
        }
    }

    /// ConsumerGroupDescribe: consumer groups only.
    pub(crate) fn describe_consumer(
        &self,
        group_id: &GroupId,
    ) -> Result<ConsumerGroupDescription, Refusal> {
        let draft = self.draft(self.context(Timestamp::default(), group_id))?;
        Ok(describe(draft.group(), &self.settings, &self.topics))
    }

    /// OffsetDelete.
    pub(crate) fn delete_offsets(
        &self,
        now: Timestamp,
        request: RequestId,
        delete: &DeleteOffsets,
    ) -> DecisionOf<Self> {
        let group_id = &delete.group_id;
        let group = match self.groups.get(group_id) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) if is_in_use_by_others(group, now) => Err(ErrorCode::NonEmptyGroup),
            Some(group) => Ok(group),
        };
        let group = match group {
            Ok(group) => group,
            Err(error) => return Decision::reply(request, GroupReply::OffsetsDeleted(Err(error))),
        };
        let is_subscribed = subscriptions(group, now);
        let mut records = Vec::new();
        let results = delete.topics.iter().map(|(topic, partitions)| {
            if is_subscribed(topic) {
                return Err(ErrorCode::GroupSubscribedToTopic);
            }
            let gone = partitions.iter().filter_map(|partition| {
                group.offsets.get_key_value(&(topic.clone(), *partition)).map(|(key, _)| key)
            });
            records.extend(gone.map(|(topic, partition)| GroupRecord::Offset {
                group_id: group_id.clone(),
                topic: topic.clone(),
                partition: *partition,
                committed: None,
            }));
            Ok(())
        });
        let results = results.collect();
        Decision { records, ..Decision::reply(request, GroupReply::OffsetsDeleted(Ok(results))) }
    }

    pub(crate) fn apply_consumer(&mut self, group_id: &GroupId, change: &ConsumerChange) {
        if change.deletes() {
            let Some(group) = self.groups.get_mut(group_id) else { return };
            if matches!(change, ConsumerChange::Epoch(None)) {
                group.consumer = None;
                group.consumer_session = super::session::ConsumerSession::default();
                self.schedule(group_id);
                self.drop_if_nothing_is_left(group_id);
            } else if let Some(consumer) = &mut group.consumer {
                consumer.apply(change);
            }
        } else {
            let group = self.groups.entry(group_id.clone()).or_default();
            group.consumer.get_or_insert_default().apply(change);
        }
    }

    pub(crate) fn note_timers(
        &mut self,
        group_id: &GroupId,
        member_id: MemberId,
        timers: Option<MemberTimers>,
    ) {
        let Some(group) = self.groups.get_mut(group_id).filter(|group| group.consumer.is_some())
        else {
            return;
        };
        let is_first = match timers {
            // Where the group stands already, a tick that comes too early finds nothing to do.
            Some(timers) => {
                group.consumer_session.timers.insert(member_id, timers);
                group.scheduled.is_none_or(|scheduled| timers.next() < scheduled)
            }
            None => {
                group.consumer_session.timers.remove(&member_id);
                false
            }
        };
        if is_first {
            self.schedule(group_id);
        }
    }
}

impl ConsumerChange {
    /// Whether this is a tombstone.
    #[must_use]
    pub fn deletes(&self) -> bool {
        match self {
            Self::Epoch(epoch) => epoch.is_none(),
            Self::PartitionMetadata { exists } => !exists,
            Self::Member { subscription, .. } => subscription.is_none(),
            Self::TargetEpoch(epoch) => epoch.is_none(),
            Self::Target { partitions, .. } => partitions.is_none(),
            Self::Current { current, .. } => current.is_none(),
            Self::Regex { resolved, .. } => resolved.is_none(),
        }
    }
}

fn finish(draft: Draft<'_>, request: RequestId, reply: GroupReply) -> DecisionOf<GroupMachine> {
    let (records, events, mut replies) = draft.into_parts();
    replies.push((request, reply));
    Decision { records, events, replies }
}

/// Whether the group has members of which nobody can say what they use.
fn is_in_use_by_others(group: &Group, now: Timestamp) -> bool {
    if group.consumer.is_some() {
        return false;
    }
    let classic = group.classic(now);
    classic.state != GroupState::Empty
        && classic.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL_TYPE)
}

/// Which topics the group's members subscribe to.
fn subscriptions(group: &Group, now: Timestamp) -> impl Fn(&str) -> bool {
    let mut named = std::collections::BTreeSet::<Arc<str>>::new();
    if let Some(consumer) = &group.consumer {
        for member in consumer.members.values() {
            named.extend(consumer.wanted_topics(&member.subscription).map(|name| name.0.clone()));
        }
    } else {
        let classic = group.classic(now);
        for (_, metadata) in classic.members.values().flat_map(|member| &member.protocols) {
            let topics = subscribed_topics(metadata).unwrap_or_default();
            let topics = topics.into_iter().filter_map(|topic| std::str::from_utf8(topic).ok());
            named.extend(topics.map(Arc::from));
        }
    }
    move |topic| named.contains(topic)
}

//! A consumer group while a decision about it is made: each change is applied as it is written, so that what follows
//! sees it. The group itself is copied at the first change only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::member::{ConsumerMember, Current, Subscription};
use super::session::{ConsumerSession, MemberTimers};
use super::{ConsumerChange, ConsumerGroup, GroupEpoch};
use crate::group::id::{GroupId, MemberId};
use crate::group::{GroupEvent, GroupRecord, GroupReply, GroupSettings};
use crate::topic::image::{ConfigResource, MetadataImage};
use crate::{RequestId, Timestamp};

/// Why a request about a consumer group is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// The reason in Kafka's words, where the reply has a place for it.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a decision about a group starts from.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) topics: &'a MetadataImage,
    /// Rises with every change of `topics`.
    pub(crate) topics_version: u64,
    pub(crate) group_id: &'a GroupId,
}

impl Context<'_> {
    /// How long a member of the new protocol may be silent, in milliseconds.
    pub(crate) fn session_timeout_ms(&self) -> i32 {
        let set = self.set_for_group("consumer.session.timeout.ms");
        set.unwrap_or(self.settings.consumer.session_timeout_ms)
    }

    /// How often such a member is to send heartbeats, in milliseconds.
    pub(crate) fn heartbeat_interval_ms(&self) -> i32 {
        let set = self.set_for_group("consumer.heartbeat.interval.ms");
        set.unwrap_or(self.settings.consumer.heartbeat_interval_ms)
    }

    /// The least time between two target assignments, in milliseconds.
    pub(crate) fn assignment_interval_ms(&self) -> i64 {
        let set = self.set_for_group("consumer.assignment.interval.ms");
        set.map_or(self.settings.consumer.assignment_interval_ms, i64::from)
    }

    /// What the group sets over the broker's configuration.
    fn set_for_group(&self, key: &str) -> Option<i32> {
        let resource = ConfigResource::Group(Arc::clone(&self.group_id.0));
        self.topics.configs(&resource)?.get(key)?.trim().parse().ok()
    }
}

/// A group under decision.
pub(crate) struct Draft<'a> {
    pub(crate) context: Context<'a>,
    group: Cow<'a, ConsumerGroup>,
    session: Cow<'a, ConsumerSession>,
    timers: BTreeMap<MemberId, Option<MemberTimers>>,
    pub(crate) topics_seen: u64,
    pub(crate) records: Vec<GroupRecord>,
    pub(crate) events: Vec<GroupEvent>,
    pub(crate) replies: Vec<(RequestId, GroupReply)>,
}

impl<'a> Draft<'a> {
    /// A group as it is.
    pub(crate) fn of(
        context: Context<'a>,
        group: &'a ConsumerGroup,
        session: &'a ConsumerSession,
    ) -> Self {
        Self {
            context,
            group: Cow::Borrowed(group),
            session: Cow::Borrowed(session),
            timers: BTreeMap::new(),
            topics_seen: session.topics_seen,
            records: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// A group that does not exist yet. It begins in an epoch of its own, so that its first member is told one above
    /// the 0 that it joins with even before anything is assigned.
    pub(crate) fn new(context: Context<'a>) -> Self {
        let epoch = GroupEpoch { epoch: 1, metadata_hash: 0 };
        let group = ConsumerGroup { epoch, ..ConsumerGroup::default() };
        Self {
            context,
            group: Cow::Owned(group),
            session: Cow::Owned(ConsumerSession::default()),
            timers: BTreeMap::new(),
            topics_seen: 0,
            records: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// The group with all that was written so far.
    pub(crate) fn group(&self) -> &ConsumerGroup {
        &self.group
    }

    /// Makes a change.
    pub(crate) fn write(&mut self, change: ConsumerChange) {
        self.group.to_mut().apply(&change);
        self.write_only(change);
    }

    /// Writes a record without applying it here: for the deletion of the whole group.
    pub(crate) fn write_only(&mut self, change: ConsumerChange) {
        let group_id = self.context.group_id.clone();
        self.records.push(GroupRecord::Consumer { group_id, change });
    }

    /// Writes what a member is and wants.
    pub(crate) fn write_subscription(&mut self, member_id: &MemberId, subscription: Subscription) {
        let subscription = Some(Arc::new(subscription));
        self.write(ConsumerChange::Member { member_id: member_id.clone(), subscription });
    }

    /// Writes what a member holds.
    pub(crate) fn write_current(&mut self, member_id: &MemberId, current: Current) {
        let current = Some(Arc::new(current));
        self.write(ConsumerChange::Current { member_id: member_id.clone(), current });
    }

    /// Takes a member out, with what it holds, and no longer waits for it.
    pub(crate) fn remove_member(&mut self, member_id: &MemberId) {
        let member_id = || member_id.clone();
        self.write(ConsumerChange::Current { member_id: member_id(), current: None });
        self.write(ConsumerChange::Target { member_id: member_id(), partitions: None });
        self.write(ConsumerChange::Member { member_id: member_id(), subscription: None });
        self.timers.insert(member_id(), None);
    }

    /// Raises the group's epoch, with the hash of the topics that it now stands for.
    pub(crate) fn raise_epoch(&mut self) {
        let epoch = GroupEpoch {
            epoch: self.group.epoch.epoch.saturating_add(1),
            metadata_hash: self.group.metadata_hash(self.context.topics),
        };
        self.write(ConsumerChange::Epoch(Some(epoch)));
        if self.group.has_partition_metadata {
            self.write(ConsumerChange::PartitionMetadata { exists: false });
        }
    }

    /// The member, if there is one of this id.
    pub(crate) fn member(&self, member_id: &MemberId) -> Option<&Arc<ConsumerMember>> {
        self.group.members.get(member_id)
    }

    /// The member of this id.
    pub(crate) fn known_member(
        &self,
        member_id: &MemberId,
    ) -> Result<&Arc<ConsumerMember>, Refusal> {
        self.member(member_id).ok_or_else(|| {
            let group_id = self.context.group_id;
            Refusal::new(
                ErrorCode::UnknownMemberId,
                format!("Member {member_id} is not a member of group {group_id}."),
            )
        })
    }

    /// What the member is waited for, as changed so far; alive now if it is new.
    pub(crate) fn timers(&self, member_id: &MemberId, session_timeout_ms: i32) -> MemberTimers {
        let fresh = || MemberTimers::new(self.context.now, session_timeout_ms);
        match self.timers.get(member_id) {
            Some(timers) => timers.unwrap_or_else(fresh),
            None => self.session.timers.get(member_id).copied().unwrap_or_else(fresh),
        }
    }

    /// Changes what a member is waited for.
    pub(crate) fn set_timers(&mut self, member_id: &MemberId, timers: MemberTimers) {
        self.timers.insert(member_id.clone(), Some(timers));
    }

    /// The member was heard of.
    pub(crate) fn keep_alive(&mut self, member_id: &MemberId, session_timeout_ms: i32) {
        let timers = self.timers(member_id, session_timeout_ms);
        let session = self.context.now.plus_ms(i64::from(session_timeout_ms));
        self.set_timers(member_id, MemberTimers { session, ..timers });
    }

    /// The group has become a classic one, which waits for its members itself.
    pub(crate) fn forget_timers(&mut self) {
        self.timers.clear();
    }

    /// The events that the decision ends with: timers, and what the group now takes account of.
    pub(crate) fn into_parts(
        mut self,
    ) -> (Vec<GroupRecord>, Vec<GroupEvent>, Vec<(RequestId, GroupReply)>) {
        let group_id = self.context.group_id;
        let timers = self.timers.into_iter().map(|(member_id, timers)| GroupEvent::Timers {
            group_id: group_id.clone(),
            member_id,
            timers,
        });
        self.events.extend(timers);
        if self.topics_seen != self.session.topics_seen {
            let version = self.topics_seen;
            self.events.push(GroupEvent::TopicsSeen { group_id: group_id.clone(), version });
        }
        (self.records, self.events, self.replies)
    }
}

//! Consumer groups and their offsets: the machine over one partition of `__consumer_offsets`.
//!
//! Durable: for each group its committed offsets, and either the generation that last became Stable or Empty
//! ([`classic`]) or a consumer group with its members and assignments ([`consumer`]), in Kafka's record schemas.
//! Session: running rebalances, parked requests, deadlines, and the topics that exist, which the host notes.
//!
//! References: KIP-62, KIP-345, KIP-394, KIP-559, KIP-814, KIP-848.

pub mod classic;
pub mod command;
pub mod consumer;
pub mod id;
mod join;
mod member;
pub mod offset;
pub(crate) mod pending_offset;
mod rebalance;
mod settings;
mod sync;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use crate::machine::{
    BatchKind, Decision, DecisionOf, EncodedRecord, Machine, RequestId, Timestamp,
};
use crate::record::RecordError;
use crate::record::group::{GroupMetadata, batch_kind, decode, decode_in, encode};
use crate::topic::image::MetadataImage;
use crate::transaction::state::{Outcome, Producer};

use classic::{ClassicGroup, GroupState, Step};
use command::{
    CommitOffsets, ForgetTopics, GroupCommand, GroupListing, GroupReply, GroupType, Heartbeat,
    JoinGroup, JoinReply, ListGroups,
};
use consumer::session::{ConsumerSession, MemberTimers};
use consumer::{ConsumerChange, ConsumerGroup};
use id::{GroupId, MemberId, TopicName};
use offset::CommittedOffset;
use pending_offset::PendingOffsets;
pub use settings::{ConsumerSettings, GroupSettings};

/// A record of `__consumer_offsets`; `None` deletes (a tombstone).
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecord {
    /// The group's generation and members.
    Metadata {
        /// The group.
        group_id: GroupId,
        /// `None` deletes the group.
        metadata: Option<GroupMetadata>,
    },
    /// One committed offset.
    Offset {
        /// The group.
        group_id: GroupId,
        /// The topic.
        topic: TopicName,
        /// The partition index.
        partition: i32,
        /// `None` deletes the offset.
        committed: Option<CommittedOffset>,
    },
    /// A change of a consumer group.
    Consumer {
        /// The group.
        group_id: GroupId,
        /// What changes.
        change: ConsumerChange,
    },
    /// One offset that was committed in a transaction; it counts when the transaction is committed.
    PendingOffset {
        /// Whose transaction.
        producer: Producer,
        /// The group.
        group_id: GroupId,
        /// The topic.
        topic: TopicName,
        /// The partition index.
        partition: i32,
        /// The offset.
        committed: CommittedOffset,
    },
    /// A transaction has ended.
    EndTransaction {
        /// Whose transaction.
        producer: Producer,
        /// Whether its offsets count.
        outcome: Outcome,
        /// The leader epoch of the transaction coordinator's log.
        coordinator_epoch: i32,
    },
}

impl GroupRecord {
    pub(crate) fn metadata(group_id: &GroupId, metadata: GroupMetadata) -> Self {
        Self::Metadata { group_id: group_id.clone(), metadata: Some(metadata) }
    }
}

/// A change of session state.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupEvent {
    /// The group's session is now this one; `None` if what is written says it all.
    Session(GroupId, Option<SessionState>),
    /// A member is alive until `deadline`, if nothing more is heard of it.
    Alive {
        /// The group.
        group_id: GroupId,
        /// The member.
        member_id: MemberId,
        /// When its session ends.
        deadline: Timestamp,
    },
    /// What a member of a consumer group is waited for; `None` if it is gone.
    Timers {
        /// The group.
        group_id: GroupId,
        /// The member.
        member_id: MemberId,
        /// Its deadlines.
        timers: Option<MemberTimers>,
    },
    /// The epoch of a consumer group takes account of this version of the topics.
    TopicsSeen {
        /// The group.
        group_id: GroupId,
        /// The version, as `GroupMachine` counts them.
        version: u64,
    },
    /// The group's next deadline is to be looked for anew.
    Reschedule(GroupId),
    /// The topics that exist. Comes from the host, whenever they have changed.
    Topics(Arc<MetadataImage>),
    /// The broker's configuration. Comes from the host, whenever it has changed.
    Settings(Box<GroupSettings>),
    /// Offsets need not be looked through for expired ones before this time.
    ExpiryChecked(Timestamp),
}

/// The session state of one group, opaque to hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionState(Box<ClassicGroup>);

impl From<ClassicGroup> for SessionState {
    fn from(group: ClassicGroup) -> Self {
        Self(Box::new(group))
    }
}

/// One group: what is written, and its session if that says more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    metadata: Option<GroupMetadata>,
    /// Set if this is a consumer group; then `metadata` and `session` are not.
    consumer: Option<Box<ConsumerGroup>>,
    consumer_session: ConsumerSession,
    offsets: BTreeMap<(TopicName, i32), CommittedOffset>,
    session: Option<Box<ClassicGroup>>,
    /// Where the group stands in `GroupMachine::deadlines`: at or before its real deadline.
    scheduled: Option<Timestamp>,
}

/// What is written of one group.
#[cfg(test)]
#[derive(Debug, PartialEq)]
pub(crate) struct DurableGroup {
    pub(crate) metadata: Option<GroupMetadata>,
    pub(crate) consumer: Option<Box<ConsumerGroup>>,
    pub(crate) offsets: BTreeMap<(TopicName, i32), CommittedOffset>,
}

impl Group {
    fn exists(&self) -> bool {
        self.metadata.is_some()
            || self.consumer.is_some()
            || self.session.is_some()
            || !self.offsets.is_empty()
    }

    /// Whether there are no members to speak of; offsets may be there.
    fn is_empty(&self, now: Timestamp) -> bool {
        match &self.consumer {
            Some(consumer) => consumer.members.is_empty(),
            None => self.classic(now).state == GroupState::Empty,
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match &self.consumer {
            Some(_) => self.consumer_session.next_deadline(),
            None => self.session.as_ref().and_then(|session| session.next_deadline()),
        }
    }

    fn classic(&self, now: Timestamp) -> Cow<'_, ClassicGroup> {
        match (&self.session, &self.metadata) {
            (Some(session), _) => Cow::Borrowed(session),
            (None, Some(metadata)) => Cow::Owned(ClassicGroup::restore(metadata, now)),
            (None, None) => Cow::Owned(ClassicGroup::new(now)),
        }
    }
}

/// The groups of one `__consumer_offsets` partition.
#[derive(Clone, Debug)]
pub struct GroupMachine {
    settings: GroupSettings,
    groups: BTreeMap<GroupId, Group>,
    pending: PendingOffsets,
    deadlines: BTreeSet<(Timestamp, GroupId)>,
    expiry_check: Timestamp,
    topics: Arc<MetadataImage>,
    /// Counts the changes of `topics`.
    topics_version: u64,
}

impl GroupMachine {
    /// A machine before its log is replayed.
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            pending: PendingOffsets::default(),
            deadlines: BTreeSet::new(),
            expiry_check: Timestamp::default(),
            topics: Arc::default(),
            topics_version: 0,
        }
    }

    /// The topics that the machine knows of.
    #[must_use]
    pub fn topics(&self) -> &Arc<MetadataImage> {
        &self.topics
    }

    fn change(
        &self,
        now: Timestamp,
        group_id: &GroupId,
        change: impl FnOnce(&mut ClassicGroup, &mut Step<'_>),
    ) -> DecisionOf<Self> {
        let current = self.groups.get(group_id).map(|group| group.classic(now).into_owned());
        let mut group = current.unwrap_or_else(|| ClassicGroup::new(now));
        let mut step = Step::new(now, &self.settings, group_id);
        change(&mut group, &mut step);
        let session = (!group.is_idle()).then(|| SessionState(Box::new(group)));
        let Step { records, replies, .. } = step;
        Decision { records, events: vec![GroupEvent::Session(group_id.clone(), session)], replies }
    }

    fn join(&self, now: Timestamp, request: RequestId, join: &JoinGroup) -> DecisionOf<Self> {
        let sessions = self.settings.session_timeout_min_ms..=self.settings.session_timeout_max_ms;
        let consumer = self.groups.get(&join.group_id).and_then(|group| group.consumer.as_deref());
        let refusal = if join.group_id.is_empty() {
            Some(ErrorCode::InvalidGroupId)
        } else if !sessions.contains(&join.session_timeout_ms) {
            Some(ErrorCode::InvalidSessionTimeout)
        } else if !join.member_id.is_empty()
            && (!self.groups.contains_key(&join.group_id)
                || consumer.is_some_and(|group| group.members.is_empty()))
        {
            Some(ErrorCode::UnknownMemberId)
        } else {
            None
        };
        match refusal {
            Some(error) => {
                let reply = JoinReply { member_id: join.member_id.clone(), result: Err(error) };
                Decision::reply(request, GroupReply::Join(reply))
            }
            None if consumer.is_some_and(|group| !group.members.is_empty()) => {
                self.join_consumer(now, request, join)
            }
            None => {
                let joined = |group: &mut ClassicGroup, step: &mut Step<'_>| {
                    group.join(step, request, join);
                };
                let mut decision = self.change(now, &join.group_id, joined);
                if let Some(group) = self.groups.get(&join.group_id).filter(|_| consumer.is_some())
                {
                    // It has no members: a classic group takes its place.
                    let mut records = self.group_tombstones(now, &join.group_id, group);
                    records.append(&mut decision.records);
                    decision.records = records;
                }
                decision
            }
        }
    }

    /// The event that keeps a member alive, if `member_id` is one.
    fn alive(&self, now: Timestamp, group_id: &GroupId, member_id: &MemberId) -> Vec<GroupEvent> {
        let session = self.groups.get(group_id).and_then(|group| group.session.as_ref());
        let member = session.and_then(|session| session.members.get(member_id));
        let alive = member.map(|member| GroupEvent::Alive {
            group_id: group_id.clone(),
            member_id: member_id.clone(),
            deadline: now.plus_ms(i64::from(member.session_timeout_ms)),
        });
        alive.into_iter().collect()
    }

    fn heartbeat(
        &self,
        now: Timestamp,
        request: RequestId,
        heartbeat: &Heartbeat,
    ) -> DecisionOf<Self> {
        let group = self.groups.get(&heartbeat.group_id);
        if group.is_some_and(|group| group.consumer.is_some()) {
            return self.heartbeat_to_consumer(now, request, heartbeat);
        }
        let result = group.map_or(Err(ErrorCode::UnknownMemberId), |group| {
            group.classic(now).heartbeat(heartbeat)
        });
        let events = match result {
            Ok(()) | Err(ErrorCode::RebalanceInProgress) => {
                self.alive(now, &heartbeat.group_id, &heartbeat.member_id)
            }
            Err(_) => Vec::new(),
        };
        Decision { events, ..Decision::reply(request, GroupReply::Heartbeat(result)) }
    }

    fn commit(
        &self,
        now: Timestamp,
        request: RequestId,
        commit: &CommitOffsets,
    ) -> DecisionOf<Self> {
        let group = self.groups.get(&commit.group_id);
        let is_valid = match group.and_then(|group| group.consumer.as_deref()) {
            Some(group) => consumer::offset::validate_commit(group, commit, &self.topics),
            None => {
                let classic = group.map(|group| group.classic(now));
                offset::validate_commit(classic.as_deref(), commit)
            }
        };
        if let Err(error) = is_valid {
            return Decision::reply(request, GroupReply::Commit(Err(error)));
        }
        let mut records = Vec::with_capacity(commit.offsets.len());
        let results = commit.offsets.iter().map(|offset| {
            records.push(offset::record_for(now, &self.settings, commit, offset)?);
            Ok(())
        });
        let results = results.collect();
        let events = self.alive(now, &commit.group_id, &commit.member_id);
        Decision { records, events, replies: vec![(request, GroupReply::Commit(Ok(results)))] }
    }

    fn delete(&self, now: Timestamp, request: RequestId, group_id: &GroupId) -> DecisionOf<Self> {
        let result = match self.groups.get(group_id) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) if !group.is_empty(now) => Err(ErrorCode::NonEmptyGroup),
            Some(group) => Ok(group),
        };
        let mut decision = Decision::reply(request, GroupReply::Delete(result.map(drop)));
        if let Ok(group) = result {
            decision.records = tombstones(group_id, group, |_, _| true);
            decision.records.extend(self.pending.tombstones(|group, _| group == group_id));
            decision.records.extend(self.group_tombstones(now, group_id, group));
            decision.events.push(GroupEvent::Session(group_id.clone(), None));
        }
        decision
    }

    /// Tombstones for what is written of a group beside its offsets.
    fn group_tombstones(
        &self,
        now: Timestamp,
        group_id: &GroupId,
        group: &Group,
    ) -> Vec<GroupRecord> {
        if group.consumer.is_some() {
            return self.consumer_tombstones(now, group_id, group);
        }
        let written = group.metadata.as_ref();
        let written =
            written.map(|_| GroupRecord::Metadata { group_id: group_id.clone(), metadata: None });
        written.into_iter().collect()
    }

    fn forget_topics(&self, request: RequestId, forget: &ForgetTopics) -> DecisionOf<Self> {
        let is_gone = |topic: &TopicName| match forget {
            ForgetTopics::Deleted(topics) => topics.contains(topic),
            ForgetTopics::AllBut(topics) => !topics.contains(topic),
        };
        let records = self
            .groups
            .iter()
            .flat_map(|(id, group)| tombstones(id, group, |topic, _| is_gone(topic)));
        let pending = self.pending.tombstones(|_, topic| is_gone(topic));
        let records = records.chain(pending).collect();
        Decision { records, ..Decision::reply(request, GroupReply::Forgotten) }
    }

    fn list(&self, now: Timestamp, list: &ListGroups) -> Vec<GroupListing> {
        let listings = self.groups.iter().map(|(group_id, group)| {
            let (protocol_type, state, group_type) = match &group.consumer {
                Some(consumer) => {
                    let protocol_type = consumer::CONSUMER_PROTOCOL_TYPE.into();
                    (protocol_type, consumer.state().name(), GroupType::Consumer)
                }
                None => {
                    let classic = group.classic(now);
                    let protocol_type = classic.protocol_type.clone().unwrap_or_else(|| "".into());
                    (protocol_type, classic.state.name(), GroupType::Classic)
                }
            };
            GroupListing { group_id: group_id.clone(), protocol_type, state, group_type }
        });
        let is_among = |names: &BTreeSet<String>, name: &str| {
            names.is_empty() || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let is_wanted = |listing: &GroupListing| {
            is_among(&list.states, listing.state)
                && is_among(&list.types, listing.group_type.name())
        };
        listings.filter(is_wanted).collect()
    }

    fn expire_offsets(&self, now: Timestamp, decision: &mut DecisionOf<Self>) {
        let with_pending = self.pending.groups();
        for (group_id, group) in &self.groups {
            let is_empty = group.is_empty(now) && group.session.is_none();
            if !is_empty && group.consumer.is_none() {
                continue;
            }
            // A tombstone would also drop what an open transaction is about to commit.
            if with_pending.contains(group_id) {
                continue;
            }
            let is_expired = |topic: &TopicName, offset: &_| {
                let consumer = group.consumer.as_ref();
                !consumer.is_some_and(|consumer| consumer.is_subscribed_to(topic))
                    && offset::is_expired(now, &self.settings, group, offset)
            };
            let expired = tombstones(group_id, group, is_expired);
            let nothing_remains = expired.len() == group.offsets.len();
            decision.records.extend(expired);
            if nothing_remains && is_empty {
                decision.records.extend(self.group_tombstones(now, group_id, group));
            }
        }
        let next = now.plus_ms(self.settings.offsets_retention_check_interval_ms);
        decision.events.push(GroupEvent::ExpiryChecked(next));
    }

    fn schedule(&mut self, group_id: &GroupId) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        if let Some(before) = group.scheduled.take() {
            self.deadlines.remove(&(before, group_id.clone()));
        }
        if let Some(deadline) = group.next_deadline() {
            group.scheduled = Some(deadline);
            self.deadlines.insert((deadline, group_id.clone()));
        }
    }

    fn drop_if_nothing_is_left(&mut self, group_id: &GroupId) {
        if self.groups.get(group_id).is_some_and(|group| !group.exists())
            && let Some(group) = self.groups.remove(group_id)
            && let Some(scheduled) = group.scheduled
        {
            self.deadlines.remove(&(scheduled, group_id.clone()));
        }
    }

    /// What is written of every group: equal for a live machine and for one that replayed its log.
    #[cfg(test)]
    pub(crate) fn durable(&self) -> BTreeMap<GroupId, DurableGroup> {
        let durable = self
            .groups
            .iter()
            .filter(|(_, group)| Group { session: None, ..Group::clone(group) }.exists());
        let durable = durable.map(|(id, group)| {
            let durable = DurableGroup {
                metadata: group.metadata.clone(),
                consumer: group.consumer.clone(),
                offsets: group.offsets.clone(),
            };
            (id.clone(), durable)
        });
        durable.collect()
    }

    #[cfg(test)]
    pub(crate) fn classic(&self, group_id: &str, now: Timestamp) -> Option<ClassicGroup> {
        self.groups.get(group_id).map(|group| group.classic(now).into_owned())
    }
}

/// Tombstones for those of the group's offsets that `is_gone` names.
fn tombstones(
    group_id: &GroupId,
    group: &Group,
    is_gone: impl Fn(&TopicName, &CommittedOffset) -> bool,
) -> Vec<GroupRecord> {
    let gone = group.offsets.iter().filter(|((topic, _), committed)| is_gone(topic, committed));
    let gone = gone.map(|((topic, partition), _)| GroupRecord::Offset {
        group_id: group_id.clone(),
        topic: topic.clone(),
        partition: *partition,
        committed: None,
    });
    gone.collect()
}

impl Machine for GroupMachine {
    type Command = GroupCommand;
    type Record = GroupRecord;
    type Event = GroupEvent;
    type Reply = GroupReply;

    fn decide(
        &self,
        now: Timestamp,
        request: RequestId,
        command: &GroupCommand,
    ) -> DecisionOf<Self> {
        let is_consumer = |group_id: &GroupId| {
            self.groups.get(group_id).is_some_and(|group| group.consumer.is_some())
        };
        match command {
            GroupCommand::Join(join) => self.join(now, request, join),
            GroupCommand::Sync(sync) if is_consumer(&sync.group_id) => {
                self.sync_to_consumer(now, request, sync)
            }
            GroupCommand::Sync(sync) if !self.groups.contains_key(&sync.group_id) => {
                Decision::reply(request, GroupReply::Sync(Err(ErrorCode::UnknownMemberId)))
            }
            GroupCommand::Sync(sync) => {
                self.change(now, &sync.group_id, |group, step| group.sync(step, request, sync))
            }
            GroupCommand::Heartbeat(heartbeat) => self.heartbeat(now, request, heartbeat),
            GroupCommand::Leave(leave) if is_consumer(&leave.group_id) => {
                self.leave_consumer(now, request, leave)
            }
            GroupCommand::ConsumerHeartbeat(beat) => self.consumer_heartbeat(now, request, beat),
            GroupCommand::Leave(leave) => {
                self.change(now, &leave.group_id, |group, step| group.leave(step, request, leave))
            }
            GroupCommand::Commit(commit) => self.commit(now, request, commit),
            GroupCommand::CommitInTransaction(commit) => {
                self.commit_in_transaction(now, request, commit)
            }
            GroupCommand::EndTransaction(end) => Self::end_offsets(request, end),
            GroupCommand::FetchOffsets(fetch) => {
                let mut offsets = offset::fetch(self.groups.get(&fetch.group_id), fetch);
                if let Ok(offsets) = &mut offsets {
                    self.pending.mark(&fetch.group_id, offsets);
                }
                Decision::reply(request, GroupReply::Offsets(offsets))
            }
            GroupCommand::DeleteOffsets(delete) => self.delete_offsets(now, request, delete),
            GroupCommand::Describe(group_id) => {
                let description = self.describe(now, group_id);
                Decision::reply(request, GroupReply::Description(description))
            }
            GroupCommand::DescribeConsumer(group_id) => {
                let description = self.describe_consumer(group_id);
                Decision::reply(request, GroupReply::ConsumerDescription(description))
            }
            GroupCommand::List(list) => {
                Decision::reply(request, GroupReply::Listing(self.list(now, list)))
            }
            GroupCommand::Delete(group_id) => self.delete(now, request, group_id),
            GroupCommand::ForgetTopics(forget) => self.forget_topics(request, forget),
        }
    }

    fn tick(&self, now: Timestamp) -> DecisionOf<Self> {
        let mut decision = Decision::default();
        for (_, group_id) in self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now) {
            let part = match self.groups.get(group_id) {
                Some(group) if group.consumer.is_some() => self.tick_consumer(now, group_id, group),
                Some(_) | None => self.change(now, group_id, |group, step| group.tick(step)),
            };
            decision.records.extend(part.records);
            decision.events.extend(part.events);
            decision.replies.extend(part.replies);
        }
        if self.expiry_check <= now {
            self.expire_offsets(now, &mut decision);
        }
        decision
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let expiry_check = (!self.groups.is_empty()).then_some(self.expiry_check);
        self.deadlines.first().map(|(deadline, _)| *deadline).into_iter().chain(expiry_check).min()
    }

    fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Metadata { group_id, metadata } => {
                self.groups.entry(group_id.clone()).or_default().metadata.clone_from(metadata);
                self.drop_if_nothing_is_left(group_id);
            }
            GroupRecord::Offset { group_id, topic, partition, committed: Some(committed) } => {
                self.pending.supersede(&(group_id.clone(), topic.clone(), *partition));
                let group = self.groups.entry(group_id.clone()).or_default();
                group.offsets.insert((topic.clone(), *partition), committed.clone());
            }
            GroupRecord::Offset { group_id, topic, partition, committed: None } => {
                self.pending.supersede(&(group_id.clone(), topic.clone(), *partition));
                if let Some(group) = self.groups.get_mut(group_id) {
                    group.offsets.remove(&(topic.clone(), *partition));
                }
                self.drop_if_nothing_is_left(group_id);
            }
            GroupRecord::Consumer { group_id, change } => self.apply_consumer(group_id, change),
            GroupRecord::PendingOffset { producer, group_id, topic, partition, committed } => {
                let key = (group_id.clone(), topic.clone(), *partition);
                self.pending.insert(producer.id, key, committed.clone());
            }
            GroupRecord::EndTransaction { producer, outcome: Outcome::Abort, .. } => {
                self.pending.end(producer.id);
            }
            GroupRecord::EndTransaction { producer, outcome: Outcome::Commit, .. } => {
                for ((group_id, topic, partition), committed) in self.pending.commit(producer.id) {
                    let group = self.groups.entry(group_id).or_default();
                    group.offsets.insert((topic, partition), committed);
                }
            }
        }
    }

    fn note(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Session(group_id, session) => {
                self.groups.entry(group_id.clone()).or_default().session =
                    session.map(|state| state.0);
                self.schedule(&group_id);
                self.drop_if_nothing_is_left(&group_id);
            }
            GroupEvent::Alive { group_id, member_id, deadline } => {
                // The group stays scheduled where it is: a tick that comes too early finds nothing to do.
                let session =
                    self.groups.get_mut(&group_id).and_then(|group| group.session.as_mut());
                if let Some(member) =
                    session.and_then(|session| session.members.get_mut(&member_id))
                {
                    member.deadline = deadline;
                }
            }
            GroupEvent::Timers { group_id, member_id, timers } => {
                self.note_timers(&group_id, member_id, timers);
            }
            GroupEvent::TopicsSeen { group_id, version } => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    group.consumer_session.topics_seen = version;
                }
            }
            GroupEvent::Reschedule(group_id) => self.schedule(&group_id),
            GroupEvent::Topics(topics) => {
                self.topics = topics;
                self.topics_version += 1;
            }
            GroupEvent::Settings(settings) => self.settings = *settings,
            GroupEvent::ExpiryChecked(next) => self.expiry_check = next,
        }
    }

    fn resume(&mut self, now: Timestamp) {
        for group in self.groups.values_mut() {
            let metadata = group.metadata.as_ref().filter(|metadata| !metadata.members.is_empty());
            group.session = metadata.map(|metadata| Box::new(ClassicGroup::restore(metadata, now)));
            if let Some(consumer) = &group.consumer {
                group.consumer_session = ConsumerSession::restore(consumer, now, &self.settings);
            }
        }
        for group_id in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.schedule(&group_id);
        }
        self.expiry_check = now.plus_ms(self.settings.offsets_retention_check_interval_ms);
    }

    fn encode(record: &GroupRecord) -> EncodedRecord {
        encode(record)
    }

    fn decode(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<GroupRecord>, RecordError> {
        decode(key, value)
    }

    fn batch_kind(record: &GroupRecord) -> BatchKind {
        batch_kind(record)
    }

    fn decode_in(
        kind: BatchKind,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<GroupRecord>, RecordError> {
        decode_in(kind, key, value)
    }
}

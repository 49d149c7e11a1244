//! Consumer groups and their offsets: the machine over one partition of `__consumer_offsets`.
//!
//! Durable: for each group the generation that last became Stable or Empty, and its committed offsets, in Kafka's
//! record schemas. Session: running rebalances, parked requests and deadlines ([`classic`]).
//!
//! References: KIP-62, KIP-345, KIP-394, KIP-559, KIP-814.

pub mod classic;
pub mod command;
pub mod id;
mod join;
mod member;
pub mod offset;
mod rebalance;
mod sync;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::ErrorCode;

use crate::machine::{Decision, DecisionOf, EncodedRecord, Machine, RequestId, Timestamp};
use crate::record::RecordError;
use crate::record::group::{GroupMetadata, decode, encode};

use classic::{ClassicGroup, GroupState, Step};
use command::{
    CommitOffsets, ForgetTopics, GroupCommand, GroupListing, GroupReply, Heartbeat, JoinGroup,
    JoinReply,
};
use id::{GroupId, MemberId, TopicName};
use offset::CommittedOffset;

/// What a broker's configuration says about groups.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`, in members.
    pub group_size_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i64,
    /// How long the first JoinGroup of a member may wait, in milliseconds. Not configurable in Kafka either.
    pub new_member_join_timeout_ms: i64,
    /// `offset.metadata.max.bytes`; Kafka counts characters.
    pub offset_metadata_chars_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            group_size_max: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            // Kafka waits 3 s, which every first consumer of a small installation would feel.
            initial_rebalance_delay_ms: 0,
            new_member_join_timeout_ms: 300_000,
            offset_metadata_chars_max: 4_096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}

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
    /// Offsets need not be looked through for expired ones before this time.
    ExpiryChecked(Timestamp),
}

/// The session state of one group, opaque to hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionState(Box<ClassicGroup>);

/// One group: what is written, and its session if that says more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    metadata: Option<GroupMetadata>,
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
    pub(crate) offsets: BTreeMap<(TopicName, i32), CommittedOffset>,
}

impl Group {
    fn exists(&self) -> bool {
        self.metadata.is_some() || self.session.is_some() || !self.offsets.is_empty()
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
    deadlines: BTreeSet<(Timestamp, GroupId)>,
    expiry_check: Timestamp,
}

impl GroupMachine {
    /// A machine before its log is replayed.
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            expiry_check: Timestamp::default(),
        }
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
        let refusal = if join.group_id.is_empty() {
            Some(ErrorCode::InvalidGroupId)
        } else if !sessions.contains(&join.session_timeout_ms) {
            Some(ErrorCode::InvalidSessionTimeout)
        } else if !join.member_id.is_empty() && !self.groups.contains_key(&join.group_id) {
            Some(ErrorCode::UnknownMemberId)
        } else {
            None
        };
        match refusal {
            Some(error) => {
                let reply = JoinReply { member_id: join.member_id.clone(), result: Err(error) };
                Decision::reply(request, GroupReply::Join(reply))
            }
            None => self.change(now, &join.group_id, |group, step| group.join(step, request, join)),
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
        let classic = self.groups.get(&commit.group_id).map(|group| group.classic(now));
        if let Err(error) = offset::validate_commit(classic.as_deref(), commit) {
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
            Some(group) if group.classic(now).state != GroupState::Empty => {
                Err(ErrorCode::NonEmptyGroup)
            }
            Some(group) => Ok(group),
        };
        let mut decision = Decision::reply(request, GroupReply::Delete(result.map(drop)));
        if let Ok(group) = result {
            decision.records = tombstones(group_id, group, |_, _| true);
            if group.metadata.is_some() {
                decision
                    .records
                    .push(GroupRecord::Metadata { group_id: group_id.clone(), metadata: None });
            }
            decision.events.push(GroupEvent::Session(group_id.clone(), None));
        }
        decision
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
        Decision { records: records.collect(), ..Decision::reply(request, GroupReply::Forgotten) }
    }

    fn list(&self, now: Timestamp, states: &BTreeSet<String>) -> Vec<GroupListing> {
        let listings = self.groups.iter().map(|(group_id, group)| {
            let classic = group.classic(now);
            let protocol_type = classic.protocol_type.clone().unwrap_or_else(|| "".into());
            GroupListing { group_id: group_id.clone(), protocol_type, state: classic.state }
        });
        let is_wanted = |listing: &GroupListing| {
            states.is_empty()
                || states.iter().any(|state| state.eq_ignore_ascii_case(listing.state.name()))
        };
        listings.filter(is_wanted).collect()
    }

    fn expire_offsets(&self, now: Timestamp, decision: &mut DecisionOf<Self>) {
        for (group_id, group) in &self.groups {
            if group.classic(now).state != GroupState::Empty || group.session.is_some() {
                continue;
            }
            let is_expired =
                |_: &TopicName, offset: &_| offset::is_expired(now, &self.settings, group, offset);
            let expired = tombstones(group_id, group, is_expired);
            let nothing_remains = expired.len() == group.offsets.len();
            decision.records.extend(expired);
            if nothing_remains && group.metadata.is_some() {
                decision
                    .records
                    .push(GroupRecord::Metadata { group_id: group_id.clone(), metadata: None });
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
        if let Some(deadline) = group.session.as_ref().and_then(|session| session.next_deadline()) {
            group.scheduled = Some(deadline);
            self.deadlines.insert((deadline, group_id.clone()));
        }
    }

    fn drop_if_nothing_is_left(&mut self, group_id: &GroupId) {
        if self.groups.get(group_id).is_some_and(|group| !group.exists()) {
            self.groups.remove(group_id);
        }
    }

    /// What is written of every group: equal for a live machine and for one that replayed its log.
    #[cfg(test)]
    pub(crate) fn durable(&self) -> BTreeMap<GroupId, DurableGroup> {
        let durable = self
            .groups
            .iter()
            .filter(|(_, group)| group.metadata.is_some() || !group.offsets.is_empty());
        let durable = durable.map(|(id, group)| {
            let durable =
                DurableGroup { metadata: group.metadata.clone(), offsets: group.offsets.clone() };
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
        match command {
            GroupCommand::Join(join) => self.join(now, request, join),
            GroupCommand::Sync(sync) if !self.groups.contains_key(&sync.group_id) => {
                Decision::reply(request, GroupReply::Sync(Err(ErrorCode::UnknownMemberId)))
            }
            GroupCommand::Sync(sync) => {
                self.change(now, &sync.group_id, |group, step| group.sync(step, request, sync))
            }
            GroupCommand::Heartbeat(heartbeat) => self.heartbeat(now, request, heartbeat),
            GroupCommand::Leave(leave) => {
                self.change(now, &leave.group_id, |group, step| group.leave(step, request, leave))
            }
            GroupCommand::Commit(commit) => self.commit(now, request, commit),
            GroupCommand::FetchOffsets(fetch) => {
                let offsets = offset::fetch(self.groups.get(&fetch.group_id), fetch);
                Decision::reply(request, GroupReply::Offsets(offsets))
            }
            GroupCommand::Describe(group_id) => {
                let description =
                    self.groups.get(group_id).map(|group| group.classic(now).describe());
                Decision::reply(request, GroupReply::Description(description))
            }
            GroupCommand::List(list) => {
                Decision::reply(request, GroupReply::Listing(self.list(now, &list.states)))
            }
            GroupCommand::Delete(group_id) => self.delete(now, request, group_id),
            GroupCommand::ForgetTopics(forget) => self.forget_topics(request, forget),
        }
    }

    fn tick(&self, now: Timestamp) -> DecisionOf<Self> {
        let mut decision = Decision::default();
        for (_, group_id) in self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now) {
            let part = self.change(now, group_id, |group, step| group.tick(step));
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
                let group = self.groups.entry(group_id.clone()).or_default();
                group.offsets.insert((topic.clone(), *partition), committed.clone());
            }
            GroupRecord::Offset { group_id, topic, partition, committed: None } => {
                if let Some(group) = self.groups.get_mut(group_id) {
                    group.offsets.remove(&(topic.clone(), *partition));
                }
                self.drop_if_nothing_is_left(group_id);
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
            GroupEvent::ExpiryChecked(next) => self.expiry_check = next,
        }
    }

    fn resume(&mut self, now: Timestamp) {
        for group in self.groups.values_mut() {
            let metadata = group.metadata.as_ref().filter(|metadata| !metadata.members.is_empty());
            group.session = metadata.map(|metadata| Box::new(ClassicGroup::restore(metadata, now)));
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
}

//! A live group changes its protocol: from classic when the first consumer of KIP-848 joins, and back when the
//! last one has gone.
//!
//! Offsets stay where they are. Members of the classic protocol notice nothing but a rebalance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::draft::{Draft, Refusal};
use super::embedded::{read_assignment, read_subscription, write_assignment};
use super::member::{
    Assignment, ClassicProtocols, ConsumerMember, Current, MemberState, Subscription, with_epoch,
};
use super::session::MemberTimers;
use super::{CONSUMER_PROTOCOL_TYPE, ConsumerChange, GroupEpoch, TargetEpoch};
use crate::Timestamp;
use crate::group::classic::{ClassicGroup, GroupState, Step};
use crate::group::command::{GroupReply, JoinReply};
use crate::group::id::MemberId;
use crate::group::member::Member;
use crate::group::{GroupEvent, GroupRecord, SessionState};

/// `group.consumer.migration.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// From classic to consumer groups only.
    Upgrade,
    /// From consumer to classic groups only.
    Downgrade,
    /// Not while a group has members.
    Disabled,
}

impl MigrationPolicy {
    fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

impl Draft<'_> {
    /// Takes the place of a classic group without members.
    pub(crate) fn replace_empty(&mut self, is_written: bool) {
        let group_id = self.context.group_id.clone();
        if is_written {
            self.records.push(GroupRecord::Metadata { group_id: group_id.clone(), metadata: None });
        }
        self.events.push(GroupEvent::Session(group_id, None));
    }

    /// Takes the place of a classic group with members, which go on as classic members of this one.
    pub(crate) fn upgrade(
        &mut self,
        classic: &ClassicGroup,
        is_written: bool,
    ) -> Result<(), Refusal> {
        let settings = self.context.settings;
        let refusal = |why: &str| {
            let group_id = self.context.group_id;
            let message =
                format!("Cannot upgrade classic group {group_id} to consumer group because {why}.");
            Err(Refusal::new(ErrorCode::GroupIdNotFound, message))
        };
        if !settings.consumer.migration.upgrades() {
            return refusal("online upgrade is disabled");
        }
        if classic.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL_TYPE) {
            return refusal("the group does not use the consumer embedded protocol");
        }
        if classic.members.len() > settings.consumer.size_max {
            return refusal("the group size exceeds the consumer group maximum size");
        }
        let protocol = classic.protocol.clone().or_else(|| classic.select_protocol());
        let protocol = protocol.unwrap_or_else(|| Arc::from(""));
        let members = classic.members.iter().map(|(member_id, member)| {
            let member = self.converted(classic.generation, &protocol, member)?;
            Some((member_id.clone(), member))
        });
        let Some(members) = members.collect::<Option<BTreeMap<_, _>>>() else {
            return refusal("the embedded consumer protocol is malformed");
        };
        self.replace_empty(is_written);
        self.write_upgraded(classic, members);
        Ok(())
    }

    fn converted(
        &self,
        generation: i32,
        protocol: &str,
        member: &Member,
    ) -> Option<(Subscription, Assignment, Current)> {
        let embedded = read_subscription(&member.metadata(protocol))?;
        let assignment = read_assignment(&member.assignment, self.context.topics)?;
        let subscription = Subscription {
            instance_id: member.instance_id.clone(),
            rack_id: embedded.rack_id,
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            topics: embedded.topics,
            regex: None,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            assignor: None,
            classic: Some(ClassicProtocols {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.clone(),
            }),
        };
        let current = Current {
            epoch: generation,
            previous_epoch: generation,
            state: MemberState::Stable,
            assigned: with_epoch(&assignment, generation),
            revoking: BTreeMap::new(),
        };
        Some((subscription, assignment, current))
    }

    fn write_upgraded(
        &mut self,
        classic: &ClassicGroup,
        members: BTreeMap<MemberId, (Subscription, Assignment, Current)>,
    ) {
        // Who waits for the classic rebalance is sent into the one that follows.
        for (member_id, member) in &classic.members {
            let error = ErrorCode::RebalanceInProgress;
            if let Some(request) = member.awaiting_join {
                let reply = JoinReply { member_id: member_id.clone(), result: Err(error) };
                self.replies.push((request, GroupReply::Join(reply)));
            }
            if let Some(request) = member.awaiting_sync {
                self.replies.push((request, GroupReply::Sync(Err(error))));
            }
        }
        for (member_id, (subscription, ..)) in &members {
            self.write_subscription(member_id, subscription.clone());
        }
        let epoch = GroupEpoch { epoch: classic.generation, metadata_hash: 0 };
        self.write(ConsumerChange::Epoch(Some(epoch)));
        for (member_id, (_, assignment, _)) in &members {
            let partitions = Some(Arc::new(assignment.clone()));
            self.write(ConsumerChange::Target { member_id: member_id.clone(), partitions });
        }
        let target = TargetEpoch { epoch: classic.generation, computed_at: Timestamp::default() };
        self.write(ConsumerChange::TargetEpoch(Some(target)));
        for (member_id, (subscription, _, current)) in members {
            self.write_current(&member_id, current);
            let timeout_ms =
                subscription.classic.as_ref().map_or(0, |classic| classic.session_timeout_ms);
            self.set_timers(&member_id, MemberTimers::new(self.context.now, timeout_ms));
        }
    }

    /// Whether these members are the last that keep the group from being a classic one of those who stay.
    pub(crate) fn downgrades_without(&self, leaving: &BTreeSet<MemberId>) -> bool {
        let staying = self.group().members.len().saturating_sub(leaving.len());
        staying > 0
            && staying <= self.context.settings.group_size_max
            && self.are_last_of_their_protocol(leaving)
    }

    /// Whether the group becomes a classic one if a classic member takes this one's place.
    pub(crate) fn downgrades_in_place_of(&self, replaced: &MemberId) -> bool {
        self.group().members.len() <= self.context.settings.group_size_max
            && self.are_last_of_their_protocol(&BTreeSet::from([replaced.clone()]))
    }

    fn are_last_of_their_protocol(&self, leaving: &BTreeSet<MemberId>) -> bool {
        let mut staying = self.group().members.iter().filter(|(id, _)| !leaving.contains(*id));
        let is_classic = |id: &MemberId| self.member(id).is_some_and(|member| member.is_classic());
        self.context.settings.consumer.migration.downgrades()
            && staying.all(|(_, member)| member.is_classic())
            && !leaving.iter().all(is_classic)
    }

    /// Goes back to a classic group of those who stay, and has it rebalance; false if it can't be read as one.
    pub(crate) fn downgrade_without(&mut self, leaving: &BTreeSet<MemberId>) -> bool {
        let staying = self.group().members.iter().filter(|(id, _)| !leaving.contains(*id));
        let staying = staying.map(|(id, member)| (id.clone(), Arc::clone(member)));
        let Some(classic) = self.to_classic(staying.collect()) else { return false };
        self.write_downgraded(classic, Rebalance::Needed);
        true
    }

    /// The classic group of these members, with their parts of the target for assignments.
    pub(crate) fn to_classic(
        &self,
        members: BTreeMap<MemberId, Arc<ConsumerMember>>,
    ) -> Option<ClassicGroup> {
        let now = self.context.now;
        let mut classic = ClassicGroup::new(now);
        classic.enter(GroupState::Stable, now);
        classic.generation = self.group().epoch.epoch;
        classic.protocol_type = Some(Arc::from(CONSUMER_PROTOCOL_TYPE));
        for (member_id, member) in &members {
            let protocols = member.subscription.classic.as_ref()?;
            let mut member = Member {
                instance_id: member.subscription.instance_id.clone(),
                client_id: Arc::clone(&member.subscription.client_id),
                client_host: Arc::clone(&member.subscription.client_host),
                session_timeout_ms: protocols.session_timeout_ms,
                rebalance_timeout_ms: member.subscription.rebalance_timeout_ms,
                protocols: protocols.protocols.clone(),
                assignment: Bytes::new(),
                deadline: now,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            };
            member.extend_session(now);
            classic.add_member(member_id.clone(), member);
        }
        let protocol = classic.select_protocol()?;
        for (member_id, member) in &mut classic.members {
            let target = self.group().target(member_id);
            let subscription = member.metadata(&protocol);
            member.assignment = write_assignment(&target, &subscription, self.context.topics);
        }
        classic.protocol = Some(protocol);
        Some(classic)
    }

    /// Deletes the consumer group's records and writes those of the classic one.
    pub(crate) fn write_downgraded(&mut self, mut classic: ClassicGroup, rebalance: Rebalance) {
        self.write_tombstones();
        let mut step = Step::new(self.context.now, self.context.settings, self.context.group_id);
        step.records.push(GroupRecord::metadata(step.group_id, classic.to_metadata()));
        if rebalance == Rebalance::Needed {
            classic.prepare_rebalance(&mut step);
        }
        let Step { records, replies, .. } = step;
        self.records.extend(records);
        self.replies.extend(replies);
        self.forget_timers();
        let session = Some(SessionState::from(classic));
        self.events.push(GroupEvent::Session(self.context.group_id.clone(), session));
    }

    /// Deletes all that is written of the group but its offsets.
    pub(crate) fn write_tombstones(&mut self) {
        let group = self.group().clone();
        for member_id in group.members.keys().cloned() {
            self.write_only(ConsumerChange::Current { member_id, current: None });
        }
        for member_id in group.targets.keys().cloned() {
            self.write_only(ConsumerChange::Target { member_id, partitions: None });
        }
        self.write_only(ConsumerChange::TargetEpoch(None));
        for member_id in group.members.keys().cloned() {
            self.write_only(ConsumerChange::Member { member_id, subscription: None });
        }
        for regex in group.regexes.keys().cloned() {
            self.write_only(ConsumerChange::Regex { regex, resolved: None });
        }
        if group.has_partition_metadata {
            self.write_only(ConsumerChange::PartitionMetadata { exists: false });
        }
        self.write_only(ConsumerChange::Epoch(None));
    }
}

/// Whether the members of a group that was downgraded have to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rebalance {
    /// They do.
    Needed,
    /// What they have is what they are to have.
    NotNeeded,
}

//! One classic group: its members, its generation, and where the rebalance stands.
//!
//! This is the session side of a group. It is copied, changed step by step and adopted as a whole by an event;
//! what survives a crash is the [`GroupMetadata`] written when a generation becomes Stable or the group Empty.
//!
//! Invariants: a leader is a member; `awaiting_join` is set in PreparingRebalance only, `awaiting_sync` in
//! CompletingRebalance only; Stable means that `to_metadata` has been written.
//!
//! Differs from Kafka: there is no Dead state inside; a group without members, offsets and metadata does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::command::{
    GroupDescription, GroupReply, JoinReply, Joined, JoinedMember, MemberDescription, Synced,
};
use super::id::{GroupId, InstanceId, MemberId};
use super::member::Member;
use super::{GroupRecord, GroupSettings};
use crate::record::group::{GroupMetadata, MemberMetadata};
use crate::{RequestId, Timestamp};

/// Where a group stands. The names are Kafka's, as ListGroups and DescribeGroups spell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupState {
    /// No members; offsets may exist.
    Empty,
    /// Members are awaited for the next generation.
    PreparingRebalance,
    /// The generation is formed; its leader's assignment is awaited.
    CompletingRebalance,
    /// Every member has, or can get, its assignment.
    Stable,
    /// No such group.
    Dead,
}

impl GroupState {
    /// The state's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// The group's running state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassicGroup {
    pub(crate) state: GroupState,
    pub(crate) state_since: Timestamp,
    pub(crate) protocol_type: Option<Arc<str>>,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<MemberId>,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) static_members: BTreeMap<InstanceId, MemberId>,
    /// Ids given out with MEMBER_ID_REQUIRED and not yet used, and when they lapse.
    pub(crate) pending_members: BTreeMap<MemberId, Timestamp>,
    /// Members that have not asked for the assignment of the current generation.
    pub(crate) pending_sync: BTreeSet<MemberId>,
    /// When the wait for joins ends. Set in PreparingRebalance.
    pub(crate) join_deadline: Option<Timestamp>,
    /// When members in `pending_sync` are taken out.
    pub(crate) sync_deadline: Option<Timestamp>,
    /// Set while the first generation after Empty waits `group.initial.rebalance.delay.ms` for company.
    pub(crate) initial_delay: Option<InitialDelay>,
}

/// The progress of the initial rebalance delay, which is extended while members keep coming.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InitialDelay {
    pub(crate) new_member_added: bool,
    pub(crate) current_ms: i64,
    pub(crate) remaining_ms: i64,
}

/// What a chain of changes to one group collects: the parts of a decision.
pub(crate) struct Step<'a> {
    pub(crate) now: Timestamp,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) group_id: &'a GroupId,
    pub(crate) records: Vec<GroupRecord>,
    pub(crate) replies: Vec<(RequestId, GroupReply)>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(now: Timestamp, settings: &'a GroupSettings, group_id: &'a GroupId) -> Self {
        Self { now, settings, group_id, records: Vec::new(), replies: Vec::new() }
    }

    pub(crate) fn refuse_join(
        &mut self,
        request: RequestId,
        member_id: MemberId,
        error: ErrorCode,
    ) {
        self.replies.push((request, GroupReply::Join(JoinReply { member_id, result: Err(error) })));
    }

    pub(crate) fn refuse_sync(&mut self, request: RequestId, error: ErrorCode) {
        self.replies.push((request, GroupReply::Sync(Err(error))));
    }
}

impl ClassicGroup {
    /// A group that nobody has joined.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            state: GroupState::Empty,
            state_since: now,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            join_deadline: None,
            sync_deadline: None,
            initial_delay: None,
        }
    }

    /// The group as it was when `metadata` was written. Members get a full session timeout from now on, so that
    /// those that lived through a restart of the broker go on with a heartbeat.
    pub(crate) fn restore(metadata: &GroupMetadata, now: Timestamp) -> Self {
        let protocol = metadata.protocol.clone();
        let mut group = Self {
            state: if metadata.members.is_empty() { GroupState::Empty } else { GroupState::Stable },
            state_since: if metadata.state_since.0 < 0 { now } else { metadata.state_since },
            protocol_type: (!metadata.protocol_type.is_empty())
                .then(|| Arc::clone(&metadata.protocol_type)),
            protocol: protocol.clone(),
            generation: metadata.generation,
            leader: metadata.leader.clone(),
            ..Self::new(now)
        };
        for stored in &metadata.members {
            let mut member = Member {
                instance_id: stored.instance_id.clone(),
                client_id: Arc::clone(&stored.client_id),
                client_host: Arc::clone(&stored.client_host),
                session_timeout_ms: stored.session_timeout_ms,
                // Written by v0 of the record as nothing: Kafka takes the session timeout then.
                rebalance_timeout_ms: if stored.rebalance_timeout_ms < 0 {
                    stored.session_timeout_ms
                } else {
                    stored.rebalance_timeout_ms
                },
                protocols: protocol
                    .iter()
                    .map(|name| (Arc::clone(name), stored.subscription.clone()))
                    .collect(),
                assignment: stored.assignment.clone(),
                deadline: now,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            };
            member.extend_session(now);
            if let Some(instance_id) = &stored.instance_id {
                group.static_members.insert(instance_id.clone(), stored.member_id.clone());
            }
            group.members.insert(stored.member_id.clone(), member);
        }
        group
    }

    /// What is to be written of the group.
    pub(crate) fn to_metadata(&self) -> GroupMetadata {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(member_id, member)| MemberMetadata {
            member_id: member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        });
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since,
            members: members.collect(),
        }
    }

    /// Nothing would be lost if the session were forgotten and restored from what is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == GroupState::Empty
            && self.members.is_empty()
            && self.pending_members.is_empty()
    }

    pub(crate) fn enter(&mut self, state: GroupState, now: Timestamp) {
        self.state = state;
        self.state_since = now;
    }

    pub(crate) fn is_leader(&self, member_id: &MemberId) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    /// Refuses a member id that is not in the group, or whose static name another id has taken over.
    pub(crate) fn validate_member(
        &self,
        member_id: &MemberId,
        instance_id: Option<&InstanceId>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether a member with these protocols could be in one generation with the others.
    pub(crate) fn supports_protocols(
        &self,
        protocol_type: &str,
        protocols: &[(Arc<str>, Bytes)],
    ) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| member.supports(name)))
    }

    /// The protocol that most members prefer among those that all support; of equals, the one that sorts first.
    pub(crate) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes = BTreeMap::<&Arc<str>, usize>::new();
        for member in self.members.values() {
            let choice = member
                .protocols
                .iter()
                .find(|(name, _)| self.members.values().all(|other| other.supports(name)));
            if let Some((name, _)) = choice {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| Arc::clone(name))
    }

    pub(crate) fn has_all_members_joined(&self) -> bool {
        self.pending_members.is_empty()
            && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The longest time that any member wants to be waited for.
    pub(crate) fn rebalance_timeout_ms(&self) -> i64 {
        self.members
            .values()
            .map(|member| i64::from(member.rebalance_timeout_ms))
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn add_member(&mut self, member_id: MemberId, member: Member) {
        self.pending_members.remove(&member_id);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.clone());
        }
        self.members.insert(member_id, member);
    }

    /// Takes a member out and answers the requests it left here.
    pub(crate) fn remove_member(&mut self, step: &mut Step<'_>, member_id: &MemberId) {
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        let Some(member) = self.members.remove(member_id) else { return };
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        if let Some(request) = member.awaiting_join {
            step.refuse_join(request, MemberId::from(""), ErrorCode::UnknownMemberId);
        }
        if let Some(request) = member.awaiting_sync {
            step.refuse_sync(request, ErrorCode::UnknownMemberId);
        }
    }

    pub(crate) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let joined = self.members.iter().map(|(member_id, member)| JoinedMember {
            member_id: member_id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        joined.collect()
    }

    /// The current generation as `member_id` is told of it: only the leader sees the members.
    pub(crate) fn joined_reply(&self, member_id: &MemberId) -> GroupReply {
        let leader = self.leader.clone().unwrap_or_else(|| MemberId::from(""));
        let members = if leader == *member_id { self.joined_members() } else { Vec::new() };
        GroupReply::Join(JoinReply {
            member_id: member_id.clone(),
            result: Ok(Joined {
                generation: self.generation,
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                leader,
                skip_assignment: false,
                members,
            }),
        })
    }

    pub(crate) fn synced_reply(&self, assignment: Bytes) -> GroupReply {
        GroupReply::Sync(Ok(Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }))
    }

    /// The next moment at which time alone changes the group.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let members = self
            .members
            .values()
            .filter(|member| !member.is_excused())
            .map(|member| member.deadline);
        let pending = self.pending_members.values().copied();
        members.chain(pending).chain(self.join_deadline).chain(self.sync_deadline).min()
    }

    pub(crate) fn describe(&self) -> GroupDescription {
        let is_stable = self.state == GroupState::Stable;
        let protocol =
            if is_stable { self.protocol.clone() } else { None }.unwrap_or_else(|| Arc::from(""));
        let members = self.members.iter().map(|(member_id, member)| MemberDescription {
            member_id: member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            metadata: if is_stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: member.assignment.clone(),
        });
        let members = members.collect();
        GroupDescription {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            protocol,
            members,
        }
    }
}

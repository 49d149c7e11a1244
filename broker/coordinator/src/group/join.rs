//! JoinGroup: who may join, as whom, and whether the group has to rebalance for it.
//!
//! References: KIP-394 (member id required), KIP-345 (static members), KIP-814 (skipped assignment).

use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::GroupRecord;
use super::classic::{ClassicGroup, GroupState, Step};
use super::command::{GroupReply, JoinGroup, JoinReply, Joined, NewMemberRule};
use super::id::{InstanceId, MemberId};
use super::member::{Member, subscribed_topics};
use crate::RequestId;

impl ClassicGroup {
    pub(crate) fn join(&mut self, step: &mut Step<'_>, request: RequestId, join: &JoinGroup) {
        if !self.has_room_for(step, &join.member_id) {
            self.remove_member(step, &join.member_id);
            step.refuse_join(request, MemberId::from(""), ErrorCode::GroupMaxSizeReached);
            return self.complete_join_if_all_are_here(step);
        }
        if !self.supports_protocols(&join.protocol_type, &join.protocols) {
            return step.refuse_join(
                request,
                join.member_id.clone(),
                ErrorCode::InconsistentGroupProtocol,
            );
        }
        if !join.member_id.is_empty() {
            return self.join_known(step, request, join);
        }
        let prefix = join.instance_id.as_deref().unwrap_or(&join.client_id);
        let member_id = MemberId::from(format!("{prefix}-{}", join.unique_suffix));
        let current = join.instance_id.as_ref().and_then(|id| self.static_members.get(id).cloned());
        match (&join.instance_id, current) {
            (Some(instance_id), Some(old_id)) => {
                self.join_as_static_successor(step, request, join, instance_id, &old_id, member_id);
            }
            (None, _) if join.new_member == NewMemberRule::MustReturnWithId => {
                // If the client died here, an accepted member would hold the rebalance until its session timed
                // out, so it only gets an id and is asked to come back.
                let deadline = step.now.plus_ms(i64::from(join.session_timeout_ms));
                self.pending_members.insert(member_id.clone(), deadline);
                step.refuse_join(request, member_id, ErrorCode::MemberIdRequired);
            }
            (Some(_) | None, _) => self.add_and_rebalance(step, request, join, member_id),
        }
    }

    fn has_room_for(&self, step: &Step<'_>, member_id: &MemberId) -> bool {
        let size_max = step.settings.group_size_max;
        let member = self.members.get(member_id);
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            // Those who already wait count, not the members: the last to rejoin are the ones left out.
            GroupState::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.members.values().filter(|member| member.awaiting_join.is_some()).count()
                        < size_max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || self.members.len() < size_max
            }
        }
    }

    fn join_known(&mut self, step: &mut Step<'_>, request: RequestId, join: &JoinGroup) {
        let member_id = &join.member_id;
        if self.pending_members.contains_key(member_id) && join.instance_id.is_none() {
            return self.add_and_rebalance(step, request, join, member_id.clone());
        }
        if let Err(error) = self.validate_member(member_id, join.instance_id.as_ref()) {
            return step.refuse_join(request, member_id.clone(), error);
        }
        let is_unchanged =
            self.members.get(member_id).is_some_and(|member| member.protocols == join.protocols);
        let answers_at_once = match self.state {
            // The reply was probably lost.
            GroupState::CompletingRebalance => is_unchanged,
            // A leader that joins again wants a rebalance, for reasons that need not show in its metadata.
            GroupState::Stable => is_unchanged && !self.is_leader(member_id),
            GroupState::PreparingRebalance => false,
            GroupState::Empty | GroupState::Dead => {
                return step.refuse_join(request, member_id.clone(), ErrorCode::UnknownMemberId);
            }
        };
        if answers_at_once {
            let reply = self.joined_reply(member_id);
            if let Some(member) = self.members.get_mut(member_id) {
                member.extend_session(step.now);
            }
            step.replies.push((request, reply));
        } else {
            self.update_member(step, request, join, member_id);
            self.rebalance(step);
        }
    }

    fn add_and_rebalance(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        join: &JoinGroup,
        member_id: MemberId,
    ) {
        let member = Member {
            instance_id: join.instance_id.clone(),
            client_id: Arc::clone(&join.client_id),
            client_host: Arc::clone(&join.client_host),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            deadline: step.now.plus_ms(step.settings.new_member_join_timeout_ms),
            awaiting_join: Some(request),
            awaiting_sync: None,
            is_new: true,
        };
        if let Some(delay) = &mut self.initial_delay {
            delay.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::clone(&join.protocol_type));
        }
        self.add_member(member_id, member);
        self.rebalance(step);
    }

    fn update_member(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        join: &JoinGroup,
        member_id: &MemberId,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.protocols.clone_from(&join.protocols);
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        if let Some(superseded) = member.awaiting_join.replace(request) {
            step.refuse_join(superseded, member_id.clone(), ErrorCode::RebalanceInProgress);
        }
    }

    /// A static member came back without its id, as after a restart: it takes over what it had, under a new id.
    fn join_as_static_successor(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        join: &JoinGroup,
        instance_id: &InstanceId,
        old_id: &MemberId,
        new_id: MemberId,
    ) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        let old_leader = self.leader.clone();
        if let Some(fenced) = member.awaiting_join.take() {
            step.refuse_join(fenced, old_id.clone(), ErrorCode::FencedInstanceId);
        }
        if let Some(fenced) = member.awaiting_sync.take() {
            step.refuse_sync(fenced, ErrorCode::FencedInstanceId);
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        self.static_members.insert(instance_id.clone(), new_id.clone());
        let wants_the_same = self.wants_the_same(&member, join);
        member.is_new = false;
        member.client_id = Arc::clone(&join.client_id);
        member.client_host = Arc::clone(&join.client_host);
        self.members.insert(new_id.clone(), member);
        self.update_member(step, request, join, &new_id);
        if let Some(member) = self.members.get_mut(&new_id) {
            member.extend_session(step.now);
        }
        if self.state == GroupState::Stable
            && wants_the_same
            && self.select_protocol() == self.protocol
        {
            self.take_over(step, request, join, new_id, old_leader);
        } else {
            // In CompletingRebalance the leader may already be assigning to the old id.
            self.rebalance(step);
        }
    }

    /// Whether the successor asks for what its predecessor had. Kafka compares the selected protocol alone, so
    /// that a restart with other topics goes unnoticed there until the next rebalance.
    fn wants_the_same(&self, old: &Member, join: &JoinGroup) -> bool {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let Some((_, new_metadata)) = join.protocols.iter().find(|(name, _)| **name == *protocol)
        else {
            return false;
        };
        if self.protocol_type.as_deref() != Some("consumer") {
            return true;
        }
        let old_metadata = old.metadata(protocol);
        match (subscribed_topics(&old_metadata), subscribed_topics(new_metadata)) {
            (Some(old_topics), Some(new_topics)) => old_topics == new_topics,
            (None | Some(_), _) => old_metadata == *new_metadata,
        }
    }

    fn take_over(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        join: &JoinGroup,
        new_id: MemberId,
        old_leader: Option<MemberId>,
    ) {
        if let Some(member) = self.members.get_mut(&new_id) {
            member.awaiting_join = None;
        }
        step.records.push(GroupRecord::metadata(step.group_id, self.to_metadata()));
        let is_leader = self.is_leader(&new_id);
        // A client that doesn't know `skip_assignment` must not think that it leads: it would assign anew.
        let leader = if join.knows_skip_assignment { self.leader.clone() } else { old_leader };
        let reply = JoinReply {
            member_id: new_id,
            result: Ok(Joined {
                generation: self.generation,
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                leader: leader.unwrap_or_else(|| MemberId::from("")),
                skip_assignment: is_leader && join.knows_skip_assignment,
                members: if is_leader && join.knows_skip_assignment {
                    self.joined_members()
                } else {
                    Vec::new()
                },
            }),
        };
        step.replies.push((request, GroupReply::Join(reply)));
    }
}

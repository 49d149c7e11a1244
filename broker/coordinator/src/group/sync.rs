//! SyncGroup, Heartbeat and LeaveGroup: a member's life within and at the end of a generation.

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::GroupRecord;
use super::classic::{ClassicGroup, GroupState, Step};
use super::command::{GroupReply, Heartbeat, LeaveGroup, SyncGroup};
use super::id::{InstanceId, MemberId};
use crate::RequestId;

impl ClassicGroup {
    pub(crate) fn sync(&mut self, step: &mut Step<'_>, request: RequestId, sync: &SyncGroup) {
        if let Err(error) = self.validate_sync(sync) {
            return step.refuse_sync(request, error);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => {
                step.refuse_sync(request, ErrorCode::UnknownMemberId)
            }
            GroupState::PreparingRebalance => {
                step.refuse_sync(request, ErrorCode::RebalanceInProgress)
            }
            GroupState::CompletingRebalance => {
                self.pending_sync.remove(&sync.member_id);
                if let Some(member) = self.members.get_mut(&sync.member_id)
                    && let Some(superseded) = member.awaiting_sync.replace(request)
                {
                    step.refuse_sync(superseded, ErrorCode::RebalanceInProgress);
                }
                if self.is_leader(&sync.member_id) {
                    self.become_stable(step, sync);
                }
            }
            GroupState::Stable => {
                self.pending_sync.remove(&sync.member_id);
                let Some(member) = self.members.get_mut(&sync.member_id) else { return };
                member.extend_session(step.now);
                let assignment = member.assignment.clone();
                step.replies.push((request, self.synced_reply(assignment)));
            }
        }
        if self.pending_sync.is_empty() {
            self.sync_deadline = None;
        }
    }

    fn validate_sync(&self, sync: &SyncGroup) -> Result<(), ErrorCode> {
        self.validate_member(&sync.member_id, sync.instance_id.as_ref())?;
        if sync.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |given: &Option<_>, actual: &Option<_>| given.is_some() && given != actual;
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// The leader has assigned: the generation is written, and all who wait get their share.
    fn become_stable(&mut self, step: &mut Step<'_>, sync: &SyncGroup) {
        for (member_id, member) in &mut self.members {
            let given = sync.assignments.iter().rev().find(|(assignee, _)| assignee == member_id);
            member.assignment = given.map_or_else(Bytes::new, |(_, assignment)| assignment.clone());
        }
        self.enter(GroupState::Stable, step.now);
        step.records.push(GroupRecord::metadata(step.group_id, self.to_metadata()));
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            let Some(request) = member.awaiting_sync.take() else { continue };
            member.extend_session(step.now);
            let assignment = member.assignment.clone();
            step.replies.push((request, self.synced_reply(assignment)));
        }
    }

    /// What a heartbeat is answered. A member that may live on gets its session extended by an event.
    pub(crate) fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), ErrorCode> {
        self.validate_member(&heartbeat.member_id, heartbeat.instance_id.as_ref())?;
        if heartbeat.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::Empty | GroupState::Dead => Err(ErrorCode::UnknownMemberId),
        }
    }

    pub(crate) fn leave(&mut self, step: &mut Step<'_>, request: RequestId, leave: &LeaveGroup) {
        let size_before = self.members.len();
        let mut results = Vec::with_capacity(leave.members.len());
        for (member_id, instance_id) in &leave.members {
            results.push(self.leave_one(step, member_id, instance_id.as_ref()));
        }
        step.replies.push((request, GroupReply::Leave(Ok(results))));
        if self.members.len() < size_before {
            self.rebalance(step);
        } else {
            // A member that was only told its id may have been the last one awaited.
            self.complete_join_if_all_are_here(step);
        }
    }

    fn leave_one(
        &mut self,
        step: &mut Step<'_>,
        member_id: &MemberId,
        instance_id: Option<&InstanceId>,
    ) -> Result<(), ErrorCode> {
        let leaving = if member_id.is_empty() {
            // An administrator names a static member without knowing its id.
            instance_id
                .and_then(|id| self.static_members.get(id).cloned())
                .ok_or(ErrorCode::UnknownMemberId)?
        } else if self.pending_members.contains_key(member_id) {
            member_id.clone()
        } else {
            self.validate_member(member_id, instance_id)?;
            member_id.clone()
        };
        self.remove_member(step, &leaving);
        Ok(())
    }
}

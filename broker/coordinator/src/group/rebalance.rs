//! From one generation to the next: preparing, completing, and what time does to both.
//!
//! References: KIP-62 (rebalance timeout), KIP-134 (initial delay), KIP-814 (pending syncs).

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::GroupRecord;
use super::classic::{ClassicGroup, GroupState, InitialDelay, Step};
use super::id::MemberId;

impl ClassicGroup {
    /// A member came, went or changed: the group needs a new generation, or is already on the way to one.
    pub(crate) fn rebalance(&mut self, step: &mut Step<'_>) {
        match self.state {
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare_rebalance(step)
            }
            GroupState::PreparingRebalance | GroupState::Dead => {
                self.complete_join_if_all_are_here(step)
            }
        }
    }

    pub(crate) fn prepare_rebalance(&mut self, step: &mut Step<'_>) {
        if self.state == GroupState::CompletingRebalance {
            // Those who wait for an assignment of this generation must join the next one.
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(request) = member.awaiting_sync.take() {
                    step.refuse_sync(request, ErrorCode::RebalanceInProgress);
                    member.extend_session(step.now);
                }
            }
        }
        self.pending_sync.clear();
        self.sync_deadline = None;
        let was_empty = self.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance, step.now);
        let delay_ms = step.settings.initial_rebalance_delay_ms;
        if was_empty && delay_ms > 0 {
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.initial_delay =
                Some(InitialDelay { new_member_added: false, current_ms: delay_ms, remaining_ms });
            self.join_deadline = Some(step.now.plus_ms(delay_ms));
        } else if was_empty || self.has_all_members_joined() {
            // The first generation never waits for members that were only told their id: Kafka doesn't either.
            self.complete_join(step);
        } else {
            self.join_deadline = Some(step.now.plus_ms(self.rebalance_timeout_ms()));
        }
    }

    pub(crate) fn complete_join_if_all_are_here(&mut self, step: &mut Step<'_>) {
        if self.state == GroupState::PreparingRebalance
            && self.initial_delay.is_none()
            && self.has_all_members_joined()
        {
            self.complete_join(step);
        }
    }

    /// Ends the wait for joins: dynamic members that did not join are out, the others form the next generation.
    pub(crate) fn complete_join(&mut self, step: &mut Step<'_>) {
        self.join_deadline = None;
        self.initial_delay = None;
        let absent = self.members.iter().filter(|(_, member)| {
            // Static members are waited for until their session times out.
            member.awaiting_join.is_none() && member.instance_id.is_none()
        });
        for member_id in absent.map(|(member_id, _)| member_id.clone()).collect::<Vec<_>>() {
            self.remove_member(step, &member_id);
        }
        if self.members.is_empty() {
            self.become_empty(step);
        } else if self.elect_leader_that_joined() {
            self.begin_generation(step);
        } else {
            // Only silent static members are left: wait until they return or their sessions end.
            self.join_deadline = Some(step.now.plus_ms(self.rebalance_timeout_ms().max(1)));
        }
    }

    fn become_empty(&mut self, step: &mut Step<'_>) {
        self.generation = self.generation.wrapping_add(1);
        self.protocol = None;
        self.leader = None;
        self.pending_sync.clear();
        self.enter(GroupState::Empty, step.now);
        step.records.push(GroupRecord::metadata(step.group_id, self.to_metadata()));
    }

    fn elect_leader_that_joined(&mut self) -> bool {
        let joined = |member_id: &MemberId| {
            self.members.get(member_id).is_some_and(|member| member.awaiting_join.is_some())
        };
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let elected = self.members.keys().find(|member_id| joined(member_id)).cloned();
        if elected.is_some() {
            self.leader = elected;
            return true;
        }
        false
    }

    fn begin_generation(&mut self, step: &mut Step<'_>) {
        self.generation = self.generation.wrapping_add(1);
        self.protocol = self.select_protocol();
        self.enter(GroupState::CompletingRebalance, step.now);
        self.pending_sync = self.members.keys().cloned().collect();
        self.sync_deadline = Some(step.now.plus_ms(self.rebalance_timeout_ms()));
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            let reply = self.joined_reply(&member_id);
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.is_new = false;
            if let Some(request) = member.awaiting_join.take() {
                step.replies.push((request, reply));
                member.extend_session(step.now);
            }
        }
    }

    /// What the time does to the group.
    pub(crate) fn tick(&mut self, step: &mut Step<'_>) {
        self.expire_pending_members(step);
        self.expire_members(step);
        if self.join_deadline.is_some_and(|deadline| deadline <= step.now) {
            self.join_wait_ended(step);
        }
        if self.sync_deadline.is_some_and(|deadline| deadline <= step.now) {
            self.sync_wait_ended(step);
        }
    }

    fn expire_pending_members(&mut self, step: &mut Step<'_>) {
        let before = self.pending_members.len();
        self.pending_members.retain(|_, deadline| *deadline > step.now);
        if self.pending_members.len() != before {
            self.complete_join_if_all_are_here(step);
        }
    }

    fn expire_members(&mut self, step: &mut Step<'_>) {
        // One at a time: the first removal may change what the others are waiting for.
        loop {
            let expired = self
                .members
                .iter()
                .find(|(_, member)| member.deadline <= step.now && !member.is_excused());
            let Some(member_id) = expired.map(|(member_id, _)| member_id.clone()) else { return };
            self.remove_member(step, &member_id);
            self.rebalance(step);
        }
    }

    fn join_wait_ended(&mut self, step: &mut Step<'_>) {
        match self.initial_delay {
            Some(delay) if delay.new_member_added && delay.remaining_ms > 0 => {
                let current_ms = step.settings.initial_rebalance_delay_ms.min(delay.remaining_ms);
                let remaining_ms = (delay.remaining_ms - delay.current_ms).max(0);
                self.initial_delay =
                    Some(InitialDelay { new_member_added: false, current_ms, remaining_ms });
                self.join_deadline = Some(step.now.plus_ms(current_ms));
            }
            Some(_) | None => self.complete_join(step),
        }
    }

    fn sync_wait_ended(&mut self, step: &mut Step<'_>) {
        self.sync_deadline = None;
        let silent = std::mem::take(&mut self.pending_sync);
        if silent.is_empty() {
            return;
        }
        for member_id in &silent {
            self.remove_member(step, member_id);
        }
        self.prepare_rebalance(step);
    }
}

//! Members go: by themselves, because time has passed, or because an administrator says so.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::ErrorCode;

use super::draft::{Draft, Refusal};
use super::member::{Current, STATIC_LEAVE_EPOCH};
use super::session::MemberTimers;
use crate::group::command::{ConsumerHeartbeat, HeartbeatReply, LeaveGroup};
use crate::group::id::{InstanceId, MemberId};

impl Draft<'_> {
    /// The last heartbeat of a member.
    pub(crate) fn leave(&mut self, beat: &ConsumerHeartbeat) -> Result<HeartbeatReply, Refusal> {
        let member_id = &beat.member_id;
        let member = match &beat.instance_id {
            None => self.known_member(member_id)?.clone(),
            Some(instance_id) => self.known_static(member_id, instance_id)?,
        };
        if beat.member_epoch == STATIC_LEAVE_EPOCH {
            // It will come back: its partitions stay its own until its session ends.
            let mut assigned = member.current.assigned.clone();
            assigned.values_mut().flat_map(BTreeMap::values_mut).for_each(|epoch| *epoch = 0);
            let left = Current {
                epoch: STATIC_LEAVE_EPOCH,
                assigned,
                revoking: BTreeMap::new(),
                ..member.current.clone()
            };
            self.write_current(member_id, left);
        } else {
            self.fence(&BTreeSet::from([member_id.clone()]));
        }
        Ok(HeartbeatReply {
            member_id: member_id.clone(),
            member_epoch: beat.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// LeaveGroup: by classic members, or by an administrator about members of either protocol. One result each.
    pub(crate) fn leave_all(&mut self, leave: &LeaveGroup) -> Vec<Result<(), ErrorCode>> {
        let mut leaving = BTreeSet::new();
        let results = leave.members.iter().map(|(member_id, instance_id)| {
            let found = self.find_leaving(member_id, instance_id.as_ref());
            let found = found.map_err(|refusal| refusal.code)?;
            leaving.insert(found);
            Ok(())
        });
        let results = results.collect();
        self.fence(&leaving);
        results
    }

    fn find_leaving(
        &self,
        member_id: &MemberId,
        instance_id: Option<&InstanceId>,
    ) -> Result<MemberId, Refusal> {
        match instance_id {
            None => self.known_member(member_id).map(|_| member_id.clone()),
            Some(instance_id) if member_id.is_empty() => {
                let unknown = || {
                    Refusal::new(
                        ErrorCode::UnknownMemberId,
                        format!("Instance id {instance_id} is unknown."),
                    )
                };
                let found = self.group().static_member(instance_id);
                found.map(|(found, _)| found.clone()).ok_or_else(unknown)
            }
            Some(instance_id) => {
                self.known_static(member_id, instance_id).map(|_| member_id.clone())
            }
        }
    }

    /// Takes out the members whose time is up.
    pub(crate) fn tick(&mut self, timers: &BTreeMap<MemberId, MemberTimers>) {
        let lapsed = timers.iter().filter(|(member_id, timers)| {
            let member = self.member(member_id);
            member.is_some_and(|member| timers.has_lapsed(self.context.now, member))
        });
        let lapsed = lapsed.map(|(member_id, _)| member_id.clone()).collect::<BTreeSet<_>>();
        for (member_id, timers) in timers {
            // The member has gone on to another epoch since, and its time to give up with it.
            if timers.revocation.is_some_and(|(_, at)| at <= self.context.now) {
                self.set_timers(member_id, MemberTimers { revocation: None, ..*timers });
            }
        }
        self.fence(&lapsed);
    }

    /// Takes members out, and goes back to a classic group if those who stay are all of that protocol.
    pub(crate) fn fence(&mut self, members: &BTreeSet<MemberId>) {
        if members.is_empty() {
            return;
        }
        if self.downgrades_without(members) && self.downgrade_without(members) {
            return;
        }
        let regexes = members.iter().filter_map(|member_id| {
            self.member(member_id).and_then(|member| member.subscription.regex.clone())
        });
        let regexes = regexes.collect::<BTreeSet<_>>();
        for member_id in members {
            self.remove_member(member_id);
        }
        for regex in &regexes {
            self.forget_regex_if_unused(regex);
        }
        self.raise_epoch();
    }
}

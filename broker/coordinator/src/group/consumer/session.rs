//! The deadlines of a consumer group's members: session state, which a crash may lose.

use std::collections::BTreeMap;

use super::ConsumerGroup;
use super::member::{ConsumerMember, MemberState};
use crate::Timestamp;
use crate::group::GroupSettings;
use crate::group::id::MemberId;

/// What one member is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberTimers {
    /// It is taken for dead at this time, if nothing is heard of it.
    pub(crate) session: Timestamp,
    /// It must have given partitions up by this time, if it is still in this epoch.
    pub(crate) revocation: Option<(i32, Timestamp)>,
    /// A classic member that was told of a rebalance must join again by this time.
    pub(crate) join: Option<Timestamp>,
    /// A classic member that joined must ask for its assignment by this time.
    pub(crate) sync: Option<Timestamp>,
}

impl MemberTimers {
    /// Alive now, with nothing else to wait for.
    pub(crate) fn new(now: Timestamp, session_timeout_ms: i32) -> Self {
        let session = now.plus_ms(i64::from(session_timeout_ms));
        Self { session, revocation: None, join: None, sync: None }
    }

    /// The first of them.
    pub(crate) fn next(&self) -> Timestamp {
        let revocation = self.revocation.map(|(_, at)| at);
        let others = [revocation, self.join, self.sync].into_iter().flatten();
        others.fold(self.session, Timestamp::min)
    }

    /// Whether the member has kept the group waiting for too long.
    pub(crate) fn has_lapsed(&self, now: Timestamp, member: &ConsumerMember) -> bool {
        let is_past = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let revocation = self.revocation.filter(|(epoch, _)| *epoch == member.current.epoch);
        self.session <= now
            || is_past(revocation.map(|(_, at)| at))
            || is_past(self.join)
            || is_past(self.sync)
    }
}

/// The session state of one consumer group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConsumerSession {
    pub(crate) timers: BTreeMap<MemberId, MemberTimers>,
    /// The version of the topics that the group's epoch takes account of; see `GroupMachine::topics_version`.
    pub(crate) topics_seen: u64,
}

impl ConsumerSession {
    /// After a replay: every member has a whole session timeout to be heard of. What a group sets of its own is not
    /// looked up: the next heartbeat does.
    pub(crate) fn restore(group: &ConsumerGroup, now: Timestamp, settings: &GroupSettings) -> Self {
        let timers = group.members.iter().map(|(member_id, member)| {
            let classic = member.subscription.classic.as_ref();
            let timeout_ms = classic
                .map_or(settings.consumer.session_timeout_ms, |classic| classic.session_timeout_ms);
            let mut timers = MemberTimers::new(now, timeout_ms);
            if member.current.state == MemberState::UnrevokedPartitions {
                timers.revocation = Some(revocation(member, now));
            }
            (member_id.clone(), timers)
        });
        Self { timers: timers.collect(), topics_seen: 0 }
    }

    /// The first deadline of any member.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.values().map(MemberTimers::next).min()
    }
}

/// Until when a member may take to give partitions up.
pub(crate) fn revocation(member: &ConsumerMember, now: Timestamp) -> (i32, Timestamp) {
    let timeout_ms = i64::from(member.subscription.rebalance_timeout_ms);
    (member.current.epoch, now.plus_ms(timeout_ms))
}

//! Members of a consumer group that speak the classic protocol: their JoinGroup, SyncGroup and Heartbeat.
//!
//! A join is a full heartbeat: it says what the member wants and holds. The member is told of changes by
//! REBALANCE_IN_PROGRESS, joins again, and gets with its SyncGroup what it may use, computed by the group's
//! server-side assignor.

use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::CONSUMER_PROTOCOL_TYPE;
use super::draft::{Draft, Refusal};
use super::embedded::{read_subscription, write_assignment};
use super::heartbeat::Protocol;
use super::member::{ClassicProtocols, ConsumerMember, MemberState, Subscription, without_epochs};
use super::migration::Rebalance;
use crate::group::command::{
    Heartbeat, JoinGroup, JoinReply, Joined, NewMemberRule, SyncGroup, Synced,
};
use crate::group::id::{InstanceId, MemberId};

impl Draft<'_> {
    /// JoinGroup.
    pub(crate) fn join_classic(&mut self, join: &JoinGroup) -> Result<JoinReply, Refusal> {
        let is_unknown = join.member_id.is_empty();
        let member_id = if is_unknown {
            let prefix = join.instance_id.as_deref().unwrap_or(&join.client_id);
            MemberId::from(format!("{prefix}-{}", join.unique_suffix))
        } else {
            join.member_id.clone()
        };
        self.check_room_for(&member_id)?;
        self.check_protocols(&member_id, join)?;
        let must_return = join.new_member == NewMemberRule::MustReturnWithId;
        if is_unknown && join.instance_id.is_none() && must_return {
            return Ok(JoinReply { member_id, result: Err(ErrorCode::MemberIdRequired) });
        }
        let replaced = join.instance_id.as_ref().and_then(|id| self.group().static_members.get(id));
        let replaced = replaced.filter(|replaced| **replaced != member_id).cloned();
        // If the last member of the new protocol restarts with the old one, the group goes back with it.
        let downgrades =
            is_unknown && replaced.is_some_and(|replaced| self.downgrades_in_place_of(&replaced));
        let before = match &join.instance_id {
            None => self.member(&member_id).cloned().unwrap_or_default(),
            Some(instance_id) if is_unknown => {
                self.join_as_static(&member_id, instance_id, Protocol::Classic)?
            }
            Some(instance_id) => self.known_static(&member_id, instance_id)?,
        };
        let protocols = ClassicProtocols {
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols.clone(),
        };
        let metadata = join.protocols.first().map(|(_, metadata)| metadata.clone());
        let embedded =
            metadata.and_then(|metadata| read_subscription(&metadata)).ok_or_else(|| {
                Refusal::new(
                    ErrorCode::UnknownServerError,
                    "Malformed embedded consumer protocol in subscription deserialization.",
                )
            })?;
        let owned = embedded.owned_partitions(self.context.topics);
        let subscription = Subscription {
            instance_id: join
                .instance_id
                .clone()
                .or_else(|| before.subscription.instance_id.clone()),
            rack_id: embedded.rack_id,
            client_id: Arc::clone(&join.client_id),
            client_host: Arc::clone(&join.client_host),
            topics: embedded.topics,
            regex: None,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            assignor: before.subscription.assignor.clone(),
            classic: Some(protocols),
        };
        let has_changed = self.update_subscription(&member_id, subscription)?;
        self.update_epoch(has_changed);
        if !downgrades {
            self.update_target();
        }
        let is_behind = self.group().target_epoch.epoch < self.group().epoch.epoch;
        if !(downgrades && is_behind) {
            self.reconcile(&member_id, has_changed, Some(&owned))?;
        }
        let current = self.known_member(&member_id)?.current.clone();
        if downgrades && let Some(classic) = self.to_classic(self.group().members.clone()) {
            let rebalance = if is_behind { Rebalance::Needed } else { Rebalance::NotNeeded };
            self.write_downgraded(classic, rebalance);
        } else {
            let mut timers = self.timers(&member_id, join.session_timeout_ms);
            timers.join = None;
            timers.sync = Some(self.context.now.plus_ms(i64::from(join.rebalance_timeout_ms)));
            self.set_timers(&member_id, timers);
            self.keep_alive(&member_id, join.session_timeout_ms);
        }
        let protocol = join.protocols.first().map(|(name, _)| Arc::clone(name));
        let joined = Joined {
            generation: current.epoch,
            protocol_type: Some(Arc::from(CONSUMER_PROTOCOL_TYPE)),
            protocol,
            // Nobody leads: the assignor runs here.
            leader: MemberId::from(""),
            skip_assignment: false,
            members: Vec::new(),
        };
        Ok(JoinReply { member_id, result: Ok(joined) })
    }

    /// A member must be able to run a protocol that all classic members can.
    fn check_protocols(&self, member_id: &MemberId, join: &JoinGroup) -> Result<(), Refusal> {
        let classic_members =
            self.group().members.values().filter_map(|member| member.subscription.classic.as_ref());
        let classic_members = classic_members.collect::<Vec<_>>();
        let is_common = |name: &Arc<str>| {
            classic_members
                .iter()
                .all(|member| member.protocols.iter().any(|(known, _)| known == name))
        };
        if *join.protocol_type == *CONSUMER_PROTOCOL_TYPE
            && join.protocols.iter().any(|(name, _)| is_common(name))
        {
            return Ok(());
        }
        Err(Refusal::new(
            ErrorCode::InconsistentGroupProtocol,
            format!("Member {member_id}'s protocols are not supported."),
        ))
    }

    /// SyncGroup.
    pub(crate) fn sync_classic(&mut self, sync: &SyncGroup) -> Result<Synced, Refusal> {
        let member_id = &sync.member_id;
        let (member, protocols) =
            self.classic_member(member_id, sync.instance_id.as_ref(), sync.generation)?;
        let (name, metadata) = protocols
            .protocols
            .first()
            .cloned()
            .unwrap_or_else(|| (Arc::from(""), bytes::Bytes::new()));
        let other_type = |given: &Arc<str>| **given != *CONSUMER_PROTOCOL_TYPE;
        if sync.protocol_type.as_ref().is_some_and(other_type)
            || sync.protocol.as_ref().is_some_and(|given| *given != name)
        {
            return Err(Refusal::new(
                ErrorCode::InconsistentGroupProtocol,
                format!("The protocol from member {member_id} request is not the group's."),
            ));
        }
        let is_behind = self.group().target_epoch.epoch > member.current.epoch;
        if is_behind && member.current.state != MemberState::UnrevokedPartitions {
            self.expect_join(member_id, &member, protocols.session_timeout_ms);
            return Err(Refusal::new(
                ErrorCode::RebalanceInProgress,
                format!("A new rebalance is triggered and member {member_id} should rejoin."),
            ));
        }
        let mut timers = self.timers(member_id, protocols.session_timeout_ms);
        timers.sync = None;
        self.set_timers(member_id, timers);
        self.keep_alive(member_id, protocols.session_timeout_ms);
        let assignment = without_epochs(&member.current.assigned);
        Ok(Synced {
            protocol_type: sync.protocol_type.clone(),
            protocol: sync.protocol.clone(),
            assignment: write_assignment(&assignment, &metadata, self.context.topics),
        })
    }

    /// Heartbeat.
    pub(crate) fn heartbeat_classic(&mut self, heartbeat: &Heartbeat) -> Result<(), Refusal> {
        let member_id = &heartbeat.member_id;
        let (member, protocols) =
            self.classic_member(member_id, heartbeat.instance_id.as_ref(), heartbeat.generation)?;
        self.keep_alive(member_id, protocols.session_timeout_ms);
        let must_join = member.current.epoch < self.group().target_epoch.epoch
            || match member.current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(member_id, &member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        if must_join {
            self.expect_join(member_id, &member, protocols.session_timeout_ms);
            return Err(Refusal::new(ErrorCode::RebalanceInProgress, ""));
        }
        Ok(())
    }

    /// From now on it must join again within its rebalance timeout.
    fn expect_join(
        &mut self,
        member_id: &MemberId,
        member: &ConsumerMember,
        session_timeout_ms: i32,
    ) {
        let mut timers = self.timers(member_id, session_timeout_ms);
        let timeout_ms = i64::from(member.subscription.rebalance_timeout_ms);
        timers.join.get_or_insert(self.context.now.plus_ms(timeout_ms));
        self.set_timers(member_id, timers);
    }

    /// Whether a partition of its target is still held by another member.
    fn waits_for_others(&self, member_id: &MemberId, member: &ConsumerMember) -> bool {
        let group = self.group();
        group.target(member_id).iter().any(|(topic_id, indexes)| {
            let assigned = member.current.assigned.get(topic_id);
            indexes.iter().any(|index| {
                assigned.is_none_or(|assigned| !assigned.contains_key(index))
                    && group.holder(topic_id, *index).is_some()
            })
        })
    }

    /// The member, if it is one of the classic protocol in this generation.
    fn classic_member(
        &self,
        member_id: &MemberId,
        instance_id: Option<&InstanceId>,
        generation: i32,
    ) -> Result<(Arc<ConsumerMember>, ClassicProtocols), Refusal> {
        let member = match instance_id {
            None => Arc::clone(self.known_member(member_id)?),
            Some(instance_id) => self.known_static(member_id, instance_id)?,
        };
        let Some(protocols) = member.subscription.classic.clone() else {
            return Err(Refusal::new(
                ErrorCode::UnknownMemberId,
                format!("Member {member_id} does not use the classic protocol."),
            ));
        };
        let epoch = member.current.epoch;
        if epoch != generation {
            return Err(Refusal::new(
                ErrorCode::IllegalGeneration,
                format!(
                    "The request generation id {generation} is not equal to the member epoch {epoch} \
                     of member {member_id}."
                ),
            ));
        }
        Ok((member, protocols))
    }
}

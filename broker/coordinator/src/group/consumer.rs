//! One consumer group (KIP-848): its members, the assignment it moves towards, and who holds what meanwhile.
//!
//! This is the durable side of a group, a fold over [`ConsumerChange`]s; deadlines are session state
//! ([`session`]). Decisions are made on a [`draft::Draft`], which applies each change as it is written.
//!
//! - The group epoch rises whenever subscriptions or the topics behind them change; the target assignment is
//!   computed for an epoch; a member's epoch says which target it has arrived at.
//! - A partition has at most one holder: it is given to a member only after the one before has let go of it.
//!
//! References: KIP-848, KIP-1101 (metadata hash), KIP-1251 (assignment epochs).

pub(crate) mod classic_member;
pub(crate) mod decide;
pub mod describe;
pub mod draft;
pub(crate) mod embedded;
pub(crate) mod heartbeat;
pub(crate) mod leave;
pub mod member;
pub mod migration;
pub(crate) mod offset;
pub(crate) mod reconcile;
pub(crate) mod regex;
pub mod session;
pub(crate) mod target;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;

use super::id::{InstanceId, MemberId, TopicName};
use crate::Timestamp;
use crate::topic::image::{MetadataImage, TopicImage};
use member::{Assignment, ConsumerMember, Current, LEAVE_EPOCH, OwnedPartitions, Subscription};

/// The protocol type of consumers, in the classic protocol.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Where a consumer group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsumerGroupState {
    /// No members; offsets may exist.
    Empty,
    /// The target assignment is behind the group's epoch.
    Assigning,
    /// Members are on the way to the target assignment.
    Reconciling,
    /// Every member has what the target assigns to it.
    Stable,
}

impl ConsumerGroupState {
    /// The state's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// A durable change of a consumer group; `None` deletes (a tombstone).
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerChange {
    /// The group's epoch; `None` deletes the group.
    Epoch(Option<GroupEpoch>),
    /// The topics' metadata as Kafka 4.0 wrote it: kept in mind only so that it can be deleted.
    PartitionMetadata {
        /// Whether there is such a record.
        exists: bool,
    },
    /// What a member is and wants.
    Member {
        /// The member.
        member_id: MemberId,
        /// `None` takes the member out.
        subscription: Option<Arc<Subscription>>,
    },
    /// The epoch that the target assignment was computed for.
    TargetEpoch(Option<TargetEpoch>),
    /// What a member is to own.
    Target {
        /// The member.
        member_id: MemberId,
        /// `None` deletes it.
        partitions: Option<Arc<Assignment>>,
    },
    /// What a member holds.
    Current {
        /// The member.
        member_id: MemberId,
        /// `None` releases all it held.
        current: Option<Arc<Current>>,
    },
    /// What a regular expression stands for.
    Regex {
        /// The regular expression.
        regex: Arc<str>,
        /// `None` if nobody subscribes to it any more.
        resolved: Option<Arc<ResolvedRegex>>,
    },
}

/// The epoch of a group, and of what topics it was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupEpoch {
    /// The epoch.
    pub epoch: i32,
    /// A hash over the topics subscribed to: their ids, names and partition counts.
    pub metadata_hash: i64,
}

/// The epoch of a target assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetEpoch {
    /// The group epoch it was computed for.
    pub epoch: i32,
    /// When, or 0 if that is not known.
    pub computed_at: Timestamp,
}

/// The topics that a regular expression matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedRegex {
    /// Their names.
    pub topics: BTreeSet<TopicName>,
    /// The version of the metadata, 0 here: Kafka's coordinator resolves again what is older than its metadata.
    pub version: i64,
    /// When it was resolved.
    pub resolved_at: Timestamp,
}

/// What is written of a consumer group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConsumerGroup {
    pub(crate) epoch: GroupEpoch,
    pub(crate) target_epoch: TargetEpoch,
    pub(crate) has_partition_metadata: bool,
    pub(crate) members: BTreeMap<MemberId, Arc<ConsumerMember>>,
    pub(crate) targets: BTreeMap<MemberId, Arc<Assignment>>,
    pub(crate) regexes: BTreeMap<Arc<str>, Arc<ResolvedRegex>>,
    /// From `members`: who goes by which static name.
    pub(crate) static_members: BTreeMap<InstanceId, MemberId>,
    /// From `members`: who holds each partition.
    holders: BTreeMap<Uuid, BTreeMap<i32, MemberId>>,
}

impl ConsumerGroup {
    /// Takes a change in. Its deletion is its owner's business.
    pub(crate) fn apply(&mut self, change: &ConsumerChange) {
        match change {
            ConsumerChange::Epoch(epoch) => self.epoch = epoch.unwrap_or_default(),
            ConsumerChange::PartitionMetadata { exists } => self.has_partition_metadata = *exists,
            ConsumerChange::TargetEpoch(epoch) => self.target_epoch = epoch.unwrap_or_default(),
            ConsumerChange::Member { member_id, subscription } => {
                self.apply_subscription(member_id, subscription.as_deref());
            }
            ConsumerChange::Target { member_id, partitions: Some(partitions) } => {
                self.targets.insert(member_id.clone(), Arc::clone(partitions));
            }
            ConsumerChange::Target { member_id, partitions: None } => {
                self.targets.remove(member_id);
            }
            ConsumerChange::Current { member_id, current } => {
                self.apply_current(member_id, current.as_deref());
            }
            ConsumerChange::Regex { regex, resolved: Some(resolved) } => {
                self.regexes.insert(Arc::clone(regex), Arc::clone(resolved));
            }
            ConsumerChange::Regex { regex, resolved: None } => {
                self.regexes.remove(regex);
            }
        }
    }

    fn apply_subscription(&mut self, member_id: &MemberId, subscription: Option<&Subscription>) {
        let Some(subscription) = subscription else {
            if let Some(member) = self.members.remove(member_id) {
                self.forget_static_name(member_id, &member);
                self.release(member_id, &member.current);
            }
            return;
        };
        if let Some(before) = self.members.get(member_id).cloned() {
            self.forget_static_name(member_id, &before);
        }
        if let Some(instance_id) = &subscription.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        let member = self.members.entry(member_id.clone()).or_default();
        Arc::make_mut(member).subscription = subscription.clone();
    }

    fn apply_current(&mut self, member_id: &MemberId, current: Option<&Current>) {
        let before = self.members.get(member_id).map(|member| member.current.clone());
        if let Some(before) = &before {
            self.release(member_id, before);
        } else if current.is_none() {
            return;
        }
        let left =
            || Current { epoch: LEAVE_EPOCH, previous_epoch: LEAVE_EPOCH, ..Current::default() };
        let current = current.cloned().unwrap_or_else(left);
        for owned in [&current.assigned, &current.revoking] {
            for (topic_id, partitions) in owned {
                let holders = self.holders.entry(*topic_id).or_default();
                holders.extend(partitions.keys().map(|index| (*index, member_id.clone())));
            }
        }
        let member = self.members.entry(member_id.clone()).or_default();
        Arc::make_mut(member).current = current;
    }

    fn forget_static_name(&mut self, member_id: &MemberId, member: &ConsumerMember) {
        if let Some(instance_id) = &member.subscription.instance_id
            && self.static_members.get(instance_id) == Some(member_id)
        {
            self.static_members.remove(instance_id);
        }
    }

    fn release(&mut self, member_id: &MemberId, current: &Current) {
        for owned in [&current.assigned, &current.revoking] {
            for (topic_id, partitions) in owned {
                let Some(holders) = self.holders.get_mut(topic_id) else { continue };
                for index in partitions.keys() {
                    if holders.get(index) == Some(member_id) {
                        holders.remove(index);
                    }
                }
                if holders.is_empty() {
                    self.holders.remove(topic_id);
                }
            }
        }
    }

    /// Who holds a partition: may use it, or has not yet given it up.
    pub(crate) fn holder(&self, topic_id: &Uuid, partition: i32) -> Option<&MemberId> {
        self.holders.get(topic_id)?.get(&partition)
    }

    /// Where the group stands.
    pub(crate) fn state(&self) -> ConsumerGroupState {
        let is_reconciled =
            |member: &Arc<ConsumerMember>| member.is_reconciled_to(self.target_epoch.epoch);
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch.epoch > self.target_epoch.epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(is_reconciled) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// The member that goes by a static name.
    pub(crate) fn static_member(
        &self,
        instance_id: &InstanceId,
    ) -> Option<(&MemberId, &Arc<ConsumerMember>)> {
        let member_id = self.static_members.get(instance_id)?;
        self.members.get_key_value(member_id)
    }

    /// What the member is to own.
    pub(crate) fn target(&self, member_id: &MemberId) -> Assignment {
        self.targets.get(member_id).map(|target| Assignment::clone(target)).unwrap_or_default()
    }

    /// The topics that a subscription wants, by name; some may not exist.
    pub(crate) fn wanted_topics<'a>(
        &'a self,
        subscription: &'a Subscription,
    ) -> impl Iterator<Item = &'a TopicName> {
        let resolved = subscription.regex.as_ref().and_then(|regex| self.regexes.get(regex));
        subscription.topics.iter().chain(resolved.into_iter().flat_map(|regex| &regex.topics))
    }

    /// The topics that a subscription wants and that exist.
    pub(crate) fn subscribed_topics<'a>(
        &self,
        subscription: &Subscription,
        topics: &'a MetadataImage,
    ) -> BTreeMap<Uuid, &'a Arc<TopicImage>> {
        let existing = self.wanted_topics(subscription).filter_map(|name| topics.topic(name));
        existing.map(|topic| (topic.id, topic)).collect()
    }

    /// Whether any member wants the topic.
    pub(crate) fn is_subscribed_to(&self, topic: &TopicName) -> bool {
        let mut members = self.members.values();
        members.any(|member| self.wanted_topics(&member.subscription).any(|name| name == topic))
    }

    /// How many members subscribe to a regular expression.
    pub(crate) fn regex_subscribers(&self, regex: &str) -> usize {
        let subscribes =
            |member: &&Arc<ConsumerMember>| member.subscription.regex.as_deref() == Some(regex);
        self.members.values().filter(subscribes).count()
    }

    /// A hash over the existing topics that members want; 0 if there are none.
    pub(crate) fn metadata_hash(&self, topics: &MetadataImage) -> i64 {
        let wanted =
            self.members.values().flat_map(|member| self.wanted_topics(&member.subscription));
        let wanted = wanted.collect::<BTreeSet<_>>();
        let mut hash = Fnv::default();
        let mut is_empty = true;
        for topic in wanted.into_iter().filter_map(|name| topics.topic(name)) {
            is_empty = false;
            hash.add(&topic.id.0);
            hash.add(topic.name.as_bytes());
            hash.add(&[0]);
            hash.add(&topic.partition_count().to_be_bytes());
        }
        if is_empty { 0 } else { hash.0.cast_signed() }
    }

    /// The server-side assignor that most members ask for; of equals, the one that sorts first.
    pub(crate) fn preferred_assignor(&self) -> Option<&Arc<str>> {
        let mut votes = BTreeMap::<_, usize>::new();
        for assignor in
            self.members.values().filter_map(|member| member.subscription.assignor.as_ref())
        {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(assignor, _)| assignor)
    }
}

/// Whether two sets of partitions are the same, whatever their epochs.
pub(crate) fn same_partitions(one: &OwnedPartitions, other: &OwnedPartitions) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((id, partitions), (other_id, others))| {
            id == other_id && partitions.keys().eq(others.keys())
        })
}

/// FNV-1a. Kafka hashes the same things with XXH3; a coordinator that reads the other's hash takes the topics
/// for changed, once.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

//! Offsets that were committed in a transaction, and wait for its end.
//!
//! - They lie in the log as records of the producer's transaction; its marker makes them the group's offsets, or nothing.
//! - Of two offsets of one partition the one that was written later counts, whichever transaction ends first. So a
//!   plain commit, or a tombstone, drops what was pending before it.
//! - A commit is checked against the group's generation as far as the client tells it (KIP-447); that the producer's
//!   transaction is open is checked by who asks.
//!
//! References: KIP-98, KIP-447.

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::ErrorCode;

use super::classic::{ClassicGroup, GroupState};
use super::command::{CommitInTransaction, CommitOffsets, EndOffsets, FetchedOffset, GroupReply};
use super::consumer::ConsumerGroup;
use super::id::{GroupId, TopicName};
use super::offset::{self, CommittedOffset};
use super::{GroupMachine, GroupRecord};
use crate::machine::{Decision, DecisionOf, RequestId, Timestamp};
use crate::topic::image::MetadataImage;
use crate::transaction::state::Producer;

/// Names an offset among all groups.
pub(crate) type OffsetKey = (GroupId, TopicName, i32);

#[derive(Clone, Debug, PartialEq)]
struct Pending {
    /// Its place among all that were written.
    order: u64,
    committed: CommittedOffset,
}

/// The offsets in open transactions, by producer id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PendingOffsets {
    producers: BTreeMap<i64, BTreeMap<OffsetKey, Pending>>,
    written: u64,
}

impl PendingOffsets {
    /// Takes over an offset of an open transaction.
    pub(super) fn insert(&mut self, producer_id: i64, key: OffsetKey, committed: CommittedOffset) {
        self.written += 1;
        let pending = Pending { order: self.written, committed };
        self.producers.entry(producer_id).or_default().insert(key, pending);
    }

    /// A plain commit or a tombstone was written after all that is pending.
    pub(super) fn supersede(&mut self, key: &OffsetKey) {
        self.drop_before(key, u64::MAX);
    }

    /// Ends a producer's transaction; what it held.
    pub(super) fn end(&mut self, producer_id: i64) -> Vec<(OffsetKey, CommittedOffset)> {
        let ended = self.producers.remove(&producer_id).unwrap_or_default();
        ended.into_iter().map(|(key, pending)| (key, pending.committed)).collect()
    }

    /// `end` of a transaction that is committed: what others wrote before for the same partitions comes too late.
    pub(super) fn commit(&mut self, producer_id: i64) -> Vec<(OffsetKey, CommittedOffset)> {
        let orders = self.producers.get(&producer_id).into_iter().flatten();
        let orders = orders.map(|(key, pending)| (key.clone(), pending.order)).collect::<Vec<_>>();
        for (key, order) in orders {
            self.drop_before(&key, order);
        }
        self.end(producer_id)
    }

    fn drop_before(&mut self, key: &OffsetKey, order: u64) {
        self.producers.retain(|_, offsets| {
            if offsets.get(key).is_some_and(|pending| pending.order < order) {
                offsets.remove(key);
            }
            !offsets.is_empty()
        });
    }

    /// The groups with pending offsets.
    pub(super) fn groups(&self) -> BTreeSet<&GroupId> {
        self.producers.values().flat_map(BTreeMap::keys).map(|(group_id, ..)| group_id).collect()
    }

    /// Tombstones for those of the pending offsets that `is_gone` names.
    pub(super) fn tombstones(
        &self,
        is_gone: impl Fn(&GroupId, &TopicName) -> bool,
    ) -> Vec<GroupRecord> {
        let keys = self.producers.values().flat_map(BTreeMap::keys);
        let gone = keys.filter(|(group_id, topic, _)| is_gone(group_id, topic));
        let gone = gone.collect::<BTreeSet<_>>().into_iter();
        let gone = gone.map(|(group_id, topic, partition)| GroupRecord::Offset {
            group_id: group_id.clone(),
            topic: topic.clone(),
            partition: *partition,
            committed: None,
        });
        gone.collect()
    }

    /// Marks the offsets of a fetch that an open transaction may change.
    pub(super) fn mark(&self, group_id: &GroupId, offsets: &mut [FetchedOffset]) {
        if self.producers.is_empty() {
            return;
        }
        for offset in offsets {
            let key = (group_id.clone(), offset.topic.clone(), offset.partition);
            offset.is_pending = self.producers.values().any(|offsets| offsets.contains_key(&key));
        }
    }
}

impl GroupMachine {
    pub(super) fn commit_in_transaction(
        &self,
        now: Timestamp,
        request: RequestId,
        transactional: &CommitInTransaction,
    ) -> DecisionOf<Self> {
        let commit = &transactional.commit;
        let group = self.groups.get(&commit.group_id);
        let is_valid = match group.and_then(|group| group.consumer.as_deref()) {
            Some(consumer) => validate_consumer(consumer, commit, &self.topics),
            None => validate(group.map(|group| group.classic(now)).as_deref(), commit),
        };
        if let Err(error) = is_valid {
            return Decision::reply(request, GroupReply::Commit(Err(error)));
        }
        let mut records = Vec::with_capacity(commit.offsets.len());
        let results = commit.offsets.iter().map(|offset| {
            let plain = offset::record_for(now, &self.settings, commit, offset)?;
            records.extend(pending(transactional.producer, plain));
            Ok(())
        });
        let results = results.collect();
        let events = self.alive(now, &commit.group_id, &commit.member_id);
        Decision { records, events, replies: vec![(request, GroupReply::Commit(Ok(results)))] }
    }

    pub(super) fn end_offsets(request: RequestId, end: &EndOffsets) -> DecisionOf<Self> {
        let marker = GroupRecord::EndTransaction {
            producer: end.producer,
            outcome: end.outcome,
            coordinator_epoch: end.coordinator_epoch,
        };
        Decision { records: vec![marker], ..Decision::reply(request, GroupReply::TransactionEnded) }
    }
}

/// The same offset as a record of the producer's transaction.
pub(crate) fn pending(producer: Producer, record: GroupRecord) -> Option<GroupRecord> {
    match record {
        GroupRecord::Offset { group_id, topic, partition, committed: Some(committed) } => {
            Some(GroupRecord::PendingOffset { producer, group_id, topic, partition, committed })
        }
        GroupRecord::Offset { committed: None, .. }
        | GroupRecord::Metadata { .. }
        | GroupRecord::Consumer { .. }
        | GroupRecord::PendingOffset { .. }
        | GroupRecord::EndTransaction { .. } => None,
    }
}

/// The same for a consumer group, whose members have epochs.
fn validate_consumer(
    group: &ConsumerGroup,
    commit: &CommitOffsets,
    topics: &MetadataImage,
) -> Result<(), ErrorCode> {
    if commit.generation < 0 && commit.member_id.is_empty() && commit.instance_id.is_none() {
        return Ok(());
    }
    let valid = super::consumer::offset::validate_commit(group, commit, topics);
    valid.map_err(|error| {
        // Transactional producers don't know the codes of member epochs.
        if error == ErrorCode::StaleMemberEpoch { ErrorCode::IllegalGeneration } else { error }
    })
}

/// Refuses a commit of a member that is not of the current generation. A client that tells no member is believed:
/// older ones can't, and their producers are fenced by their transactional ids.
fn validate(group: Option<&ClassicGroup>, commit: &CommitOffsets) -> Result<(), ErrorCode> {
    let Some(group) = group else {
        return if commit.generation < 0 { Ok(()) } else { Err(ErrorCode::IllegalGeneration) };
    };
    let tells_nothing = commit.generation < 0
        && (group.state == GroupState::Empty
            || commit.member_id.is_empty() && commit.instance_id.is_none());
    if tells_nothing {
        return Ok(());
    }
    group.validate_member(&commit.member_id, commit.instance_id.as_ref())?;
    if commit.generation == group.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
}

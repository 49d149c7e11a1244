//! Offsets in transactions: when they count, and which of two does.

use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use crate::group::command::*;
use crate::group::id::{GroupId, InstanceId, MemberId, TopicName};
use crate::group::{GroupMachine, GroupSettings};
use crate::machine::{Machine, RequestId, Timestamp, take_decision};
use crate::transaction::state::{Outcome, Producer};

/// A machine, and what it has written.
struct World {
    machine: GroupMachine,
    log: Vec<crate::group::GroupRecord>,
}

impl World {
    fn new() -> Self {
        Self { machine: GroupMachine::new(GroupSettings::default()), log: Vec::new() }
    }

    fn ask(&mut self, command: &GroupCommand) -> GroupReply {
        let decision = self.machine.decide(Timestamp(1_000), RequestId(0), command);
        let (records, mut replies) = take_decision(&mut self.machine, decision);
        self.log.extend(records);
        replies.remove(0).1
    }

    fn commit_of(offset: i64, generation: i32, member_id: &str) -> CommitOffsets {
        CommitOffsets {
            group_id: GroupId::from("g"),
            generation,
            member_id: MemberId::from(member_id),
            instance_id: None::<InstanceId>,
            knows_member_epochs: false,
            offsets: vec![OffsetToCommit {
                topic: TopicName::from("t"),
                partition: 0,
                offset,
                leader_epoch: -1,
                metadata: Arc::from(""),
            }],
        }
    }

    fn commit(&mut self, offset: i64) {
        let reply = self.ask(&GroupCommand::Commit(Self::commit_of(offset, -1, "")));
        assert_eq!(reply, GroupReply::Commit(Ok(vec![Ok(())])));
    }

    fn commit_as(
        &mut self,
        producer_id: i64,
        offset: i64,
        generation: i32,
        member_id: &str,
    ) -> GroupReply {
        let commit = Self::commit_of(offset, generation, member_id);
        let producer = Producer { id: producer_id, epoch: 0 };
        self.ask(&GroupCommand::CommitInTransaction(CommitInTransaction { producer, commit }))
    }

    fn commit_in(&mut self, producer_id: i64, offset: i64) {
        let reply = self.commit_as(producer_id, offset, -1, "");
        assert_eq!(reply, GroupReply::Commit(Ok(vec![Ok(())])));
    }

    fn end(&mut self, producer_id: i64, outcome: Outcome) {
        let producer = Producer { id: producer_id, epoch: 1 };
        let end = EndOffsets { producer, outcome, coordinator_epoch: 0 };
        let reply = self.ask(&GroupCommand::EndTransaction(end));
        assert_eq!(reply, GroupReply::TransactionEnded);
    }

    /// The group's offset, and whether a transaction may change it. A replay has to lead to the same.
    fn offset(&mut self) -> (Option<i64>, bool) {
        let live = fetched(&self.machine);
        let mut replayed = GroupMachine::new(GroupSettings::default());
        for record in &self.log {
            let encoded = GroupMachine::encode(record);
            let kind = GroupMachine::batch_kind(record);
            let read =
                GroupMachine::decode_in(kind, encoded.key.as_deref(), encoded.value.as_deref());
            assert_eq!(read.as_ref(), Ok(&Some(record.clone())));
            replayed.apply(record);
        }
        assert_eq!(fetched(&replayed), live, "replay differs");
        live
    }
}

fn fetched(machine: &GroupMachine) -> (Option<i64>, bool) {
    let fetch = FetchOffsets {
        group_id: GroupId::from("g"),
        partitions: Some(vec![(TopicName::from("t"), 0)]),
        member: None,
    };
    let command = GroupCommand::FetchOffsets(fetch);
    let mut decision = machine.decide(Timestamp(1_000), RequestId(0), &command);
    match decision.replies.remove(0).1 {
        GroupReply::Offsets(Ok(offsets)) => {
            let offset = &offsets[0];
            (offset.committed.as_ref().map(|committed| committed.offset), offset.is_pending)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_offset_counts_when_its_transaction_is_committed() {
    let mut world = World::new();
    world.commit(1);
    world.commit_in(7, 5);
    assert_eq!(world.offset(), (Some(1), true));
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (Some(5), false));
    world.commit_in(7, 9);
    world.end(7, Outcome::Abort);
    assert_eq!(world.offset(), (Some(5), false));
}

#[test]
fn a_marker_ends_the_offsets_of_its_own_producer() {
    let mut world = World::new();
    world.commit_in(7, 5);
    world.end(8, Outcome::Commit);
    assert_eq!(world.offset(), (None, true));
    world.end(7, Outcome::Commit);
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (Some(5), false));
}

#[test]
fn the_offset_that_was_written_later_counts() {
    let mut world = World::new();
    world.commit_in(7, 5);
    world.commit(6);
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (Some(6), false), "a plain commit");

    let mut world = World::new();
    world.commit_in(7, 5);
    world.commit_in(8, 6);
    world.end(8, Outcome::Commit);
    assert_eq!(world.offset(), (Some(6), false));
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (Some(6), false), "another transaction");

    let mut world = World::new();
    world.commit_in(7, 5);
    world.commit_in(8, 6);
    world.end(8, Outcome::Abort);
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (Some(5), false), "one that was aborted");
}

#[test]
fn what_is_deleted_does_not_come_back_with_a_commit() {
    let mut world = World::new();
    world.commit_in(7, 5);
    let forget = ForgetTopics::Deleted([TopicName::from("t")].into());
    world.ask(&GroupCommand::ForgetTopics(forget));
    assert_eq!(world.offset(), (None, false), "the topic");
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (None, false), "the topic");

    let mut world = World::new();
    world.commit(1);
    world.commit_in(7, 5);
    let reply = world.ask(&GroupCommand::Delete(GroupId::from("g")));
    assert_eq!(reply, GroupReply::Delete(Ok(())));
    world.end(7, Outcome::Commit);
    assert_eq!(world.offset(), (None, false), "the group");
}

#[test]
fn a_member_of_another_generation_commits_nothing() {
    let mut world = World::new();
    let refused = |error| GroupReply::Commit(Err(error));
    assert_eq!(world.commit_as(7, 5, 3, "m"), refused(ErrorCode::IllegalGeneration));
    world.commit(1);
    assert_eq!(world.commit_as(7, 5, 3, "m"), refused(ErrorCode::UnknownMemberId));
    assert_eq!(world.offset(), (Some(1), false));
}

//! Transactions over real logs: what was decided is carried out, whatever stops the node in between.

use aquifer_broker_coordinator::group::command::{
    CommitInTransaction, CommitOffsets, GroupCommand, GroupReply, OffsetToCommit,
};
use aquifer_broker_coordinator::group::id::{GroupId, MemberId};
use aquifer_broker_coordinator::transaction::state::Outcome;
use aquifer_broker_log::MarkerEpoch;
use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use bytes::Bytes;

use super::super::tests::Stack;
use super::*;
use crate::partition::{Acks, AppendHow, Appended, Origin, PartitionError};

fn partition(topic: &str, partition: i32) -> (TopicName, i32) {
    (TopicName::from(topic), partition)
}

fn batch(producer: Producer, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        base_sequence: sequence,
        transactional: true,
        ..BatchOptions::default()
    });
    builder.push(NewRecord { timestamp_ms: 1, value: Some(b"v"), ..NewRecord::default() });
    builder.build().unwrap()
}

impl Stack {
    async fn init(&self, id: &str, timeout_ms: i32) -> Producer {
        let init = InitProducer {
            transactional_id: TransactionalId::from(id),
            timeout_ms,
            expected: None,
            fresh_producer_id: None,
        };
        self.hosting.init_producer(init).await.unwrap()
    }

    async fn append(
        &self,
        topic: &str,
        producer: Producer,
        sequence: i32,
    ) -> Result<Appended, PartitionError> {
        let partition = self.partitions.get(topic, 0).unwrap();
        let how = AppendHow { acks: Acks::All, origin: Origin::Client };
        partition.append(batch(producer, sequence), how).await
    }

    /// Writes one record to partition 0 of a topic in the transaction.
    async fn write(&self, id: &str, producer: Producer, topic: &str, sequence: i32) {
        let partitions = [partition(topic, 0)];
        let entered =
            self.hosting.enter_transaction(id, producer, &partitions, ClientVersion::V2).await;
        let entered = entered.unwrap();
        self.append(topic, producer, sequence).await.unwrap();
        drop(entered);
    }

    async fn end(
        &self,
        id: &str,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<Producer, ErrorCode> {
        let end = EndTransaction {
            transactional_id: TransactionalId::from(id),
            producer,
            outcome,
            client: ClientVersion::V2,
            fresh_producer_id: None,
        };
        self.hosting.end_transaction(end).await
    }

    async fn commit_offset(&self, id: &str, producer: Producer, group: &str, offset: i64) {
        let covered = [self.hosting.offsets_partition(group).await.unwrap()];
        let entered =
            self.hosting.enter_transaction(id, producer, &covered, ClientVersion::V2).await;
        let commit = CommitOffsets {
            group_id: GroupId::from(group),
            generation: -1,
            member_id: MemberId::from(""),
            instance_id: None,
            knows_member_epochs: false,
            offsets: vec![OffsetToCommit {
                topic: TopicName::from("t"),
                partition: 0,
                offset,
                leader_epoch: -1,
                metadata: Arc::from(""),
            }],
        };
        let command = GroupCommand::CommitInTransaction(CommitInTransaction { producer, commit });
        let reply = self.hosting.ask_group(group, command).await.unwrap();
        assert_eq!(reply, GroupReply::Commit(Ok(vec![Ok(())])));
        drop(entered);
    }

    /// Fixes the outcome in the log and nothing more, as a node that stops right after it.
    async fn prepare_only(&self, id: &str, outcome: Outcome) {
        let mut transaction = self.hosting.describe_transaction(id).await.unwrap().unwrap();
        assert_eq!(transaction.state, TransactionState::Ongoing);
        transaction.state = match outcome {
            Outcome::Commit => TransactionState::PrepareCommit,
            Outcome::Abort => TransactionState::PrepareAbort,
        };
        transaction.producer.epoch += 1;
        let record = TransactionRecord {
            transactional_id: TransactionalId::from(id),
            transaction: Some(*transaction),
        };
        let encoded = TransactionMachine::encode(&record);
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.push(NewRecord {
            timestamp_ms: 1,
            key: encoded.key.as_deref(),
            value: encoded.value.as_deref(),
            headers: &[],
        });
        let index = i32::try_from(partition_for(id, 50)).unwrap();
        let log = self.partitions.get(TRANSACTION_STATE, index).unwrap();
        let how = AppendHow { acks: Acks::All, origin: Origin::Coordinator };
        log.append(builder.build().unwrap(), how).await.unwrap();
    }

    /// Waits until the id's transaction is complete.
    async fn completed(&self, id: &str) -> TransactionState {
        let id = TransactionalId::from(id);
        // The machine is asked first: it has replayed its log, and begun to end what has to be ended.
        self.hosting.describe_transaction(&id).await.unwrap();
        self.hosting.markers_written(&id).await.unwrap();
        self.hosting.describe_transaction(&id).await.unwrap().unwrap().state
    }

    fn is_open(&self, topic: &str) -> bool {
        let offsets = self.partitions.get(topic, 0).unwrap().offsets();
        offsets.last_stable < offsets.log_end
    }
}

#[tokio::test]
async fn a_transaction_is_open_until_its_end_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let producer = stack.init("x", 60_000).await;
    stack.write("x", producer, "t", 0).await;
    stack.write("x", producer, "t", 1).await;
    assert!(stack.is_open("t"));
    let next = stack.end("x", producer, Outcome::Commit).await.unwrap();
    assert_eq!(next, Producer { epoch: 1, ..producer });
    assert!(!stack.is_open("t"));
    assert_eq!(stack.end("x", producer, Outcome::Commit).await, Ok(next), "a repeated request");
    stack.write("x", next, "t", 0).await;
    assert_eq!(
        stack.end("x", producer, Outcome::Commit).await,
        Err(ErrorCode::ProducerFenced),
        "it can't end the next one"
    );
    assert!(stack.is_open("t"));
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn nobody_enters_a_transaction_that_is_not_his_or_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let producer = stack.init("x", 60_000).await;
    let enter = |producer, client| {
        let hosting = Arc::clone(&stack.hosting);
        async move {
            let partitions = [partition("t", 0)];
            hosting.enter_transaction("x", producer, &partitions, client).await.map(drop)
        }
    };
    let refused = |error| Err(NotInTransaction::Refused(error));
    assert_eq!(
        enter(producer, ClientVersion::V1).await,
        Err(NotInTransaction::NotCovered(vec![false]))
    );
    assert_eq!(enter(producer, ClientVersion::V2).await, Ok(()));
    assert_eq!(enter(producer, ClientVersion::V1).await, Ok(()));
    let next = stack.end("x", producer, Outcome::Abort).await.unwrap();
    for client in [ClientVersion::V1, ClientVersion::V2] {
        assert_eq!(enter(producer, client).await, refused(ErrorCode::ProducerFenced));
    }
    assert_eq!(
        enter(next, ClientVersion::V1).await,
        Err(NotInTransaction::NotCovered(vec![false]))
    );
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn an_end_waits_for_appends_that_were_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let producer = stack.init("x", 60_000).await;
    let partitions = [partition("t", 0)];
    let hosting = Arc::clone(&stack.hosting);
    let entered =
        hosting.enter_transaction("x", producer, &partitions, ClientVersion::V2).await.unwrap();
    let mut end = Box::pin(stack.end("x", producer, Outcome::Commit));
    let waits = tokio::select! {
        biased;
        _ = &mut end => false,
        // Others are let out and in until the outcome is durable; the markers still wait.
        () = async {
            loop {
                let known = hosting.describe_transaction("x").await.unwrap().unwrap();
                if known.state == TransactionState::PrepareCommit { break }
            }
        } => true,
    };
    assert!(waits);
    let appended = stack.append("t", producer, 0).await.unwrap();
    drop(entered);
    end.await.unwrap();
    let offsets = stack.partitions.get("t", 0).unwrap().offsets();
    assert_eq!(offsets.log_end, appended.last_offset + 2, "the marker lies behind it");
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn what_a_stop_left_half_ended_is_ended_at_the_next_start() {
    for outcome in [Outcome::Commit, Outcome::Abort] {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::open(folder.path()).await.unwrap();
        stack.create("t", 1).await.unwrap();
        let producer = stack.init("x", 60_000).await;
        stack.write("x", producer, "t", 0).await;
        stack.commit_offset("x", producer, "g", 7).await;
        stack.prepare_only("x", outcome).await;
        stack.stop_uncleanly().await;

        let stack = Stack::open(folder.path()).await.unwrap();
        let (state, offsets) = match outcome {
            Outcome::Commit => (TransactionState::CompleteCommit, vec!["t@7".to_owned()]),
            Outcome::Abort => (TransactionState::CompleteAbort, Vec::new()),
        };
        assert_eq!(stack.completed("x").await, state);
        assert!(!stack.is_open("t"));
        assert_eq!(stack.committed("g").await, offsets);
        let next = Producer { epoch: 1, ..producer };
        assert_eq!(stack.end("x", producer, outcome).await, Ok(next), "a repeated request");
        stack.stop_cleanly().await;
    }
}

#[tokio::test]
async fn an_open_transaction_and_its_offsets_outlive_any_stop() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let producer = stack.init("x", 60_000).await;
    stack.write("x", producer, "t", 0).await;
    stack.commit_offset("x", producer, "g", 7).await;
    stack.stop_uncleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(stack.committed("g").await, Vec::<String>::new());
    stack.write("x", producer, "t", 1).await;
    stack.stop_cleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    stack.end("x", producer, Outcome::Commit).await.unwrap();
    assert_eq!(stack.committed("g").await, ["t@7"]);
    assert!(!stack.is_open("t"));
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn a_transaction_whose_time_is_up_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let producer = stack.init("x", 50).await;
    stack.write("x", producer, "t", 0).await;
    let partition = stack.partitions.get("t", 0).unwrap();
    let notify = Arc::new(tokio::sync::Notify::new());
    partition.notify_past(1, crate::partition::ReadBound::HighWatermark, &notify);
    notify.notified().await;
    assert_eq!(stack.completed("x").await, TransactionState::CompleteAbort);
    assert!(!stack.is_open("t"));
    assert_eq!(stack.end("x", producer, Outcome::Commit).await, Err(ErrorCode::InvalidTxnState));
    let late = stack.append("t", producer, 1).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::InvalidProducerEpoch);
    let next = Producer { epoch: producer.epoch + 1, ..producer };
    assert_eq!(stack.end("x", producer, Outcome::Abort).await, Ok(next), "it goes on");
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_in_a_transaction_does_not_hold_up_its_end() {
    use aquifer_broker_coordinator::topic::command::TopicRef;

    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    stack.create("u", 1).await.unwrap();
    let producer = stack.init("x", 60_000).await;
    stack.write("x", producer, "t", 0).await;
    stack.write("x", producer, "u", 0).await;
    stack.hosting.delete_topic(TopicRef::Name(TopicName::from("t"))).await.unwrap();
    stack.end("x", producer, Outcome::Commit).await.unwrap();
    assert!(!stack.is_open("u"));
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn a_marker_past_the_coordinator_ends_what_is_open_in_one_partition() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let producer = stack.init("x", 60_000).await;
    stack.write("x", producer, "t", 0).await;
    let marker = |epoch| Marker {
        producer: Producer { epoch, ..producer },
        outcome: Outcome::Abort,
        coordinator_epoch: 0,
        epoch: MarkerEpoch::Same,
    };
    let late = stack.hosting.write_marker("t", 0, marker(-1)).await;
    assert!(late.is_err(), "a lower epoch");
    stack.hosting.write_marker("t", 0, marker(0)).await.unwrap();
    assert!(!stack.is_open("t"));
    assert!(matches!(
        stack.hosting.write_marker("nowhere", 0, marker(0)).await,
        Err(MarkerError::NoPartition)
    ));
    stack.stop_cleanly().await;
}

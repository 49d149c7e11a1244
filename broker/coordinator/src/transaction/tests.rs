//! The transaction machine as one producer drives it, request by request.

use aquifer_broker_protocol::ErrorCode;

use super::command::*;
use super::id::TransactionalId;
use super::state::*;
use super::*;
use crate::group::id::TopicName;
use crate::machine::take_decision;

const TIMEOUT_MS: i32 = 60_000;

/// A machine, and one producer's view of it.
struct Driver {
    machine: TransactionMachine,
    now: Timestamp,
    next_producer_id: i64,
}

fn partition(topic: &str) -> (TopicName, i32) {
    (TopicName::from(topic), 0)
}

impl Driver {
    fn new() -> Self {
        let machine = TransactionMachine::new(TransactionSettings::default());
        Self { machine, now: Timestamp(1_000_000), next_producer_id: 100 }
    }

    fn ask(&mut self, command: &TransactionCommand) -> TransactionReply {
        let decision = self.machine.decide(self.now, RequestId(0), command);
        let (_, mut replies) = take_decision(&mut self.machine, decision);
        assert_eq!(replies.len(), 1);
        replies.remove(0).1
    }

    fn pass(&mut self, duration_ms: i64) {
        self.now = self.now.plus_ms(duration_ms);
        if self.machine.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            let decision = self.machine.tick(self.now);
            take_decision(&mut self.machine, decision);
        }
    }

    fn fresh(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id
    }

    fn known(&self) -> Option<&Transaction> {
        self.machine.transaction(&TransactionalId::from("x"))
    }

    /// InitProducerId, with every wait and every fresh id on the way.
    fn init(&mut self, expected: Option<(i64, i16)>) -> Result<(i64, i16), ErrorCode> {
        let mut fresh_producer_id = None;
        loop {
            let init = InitProducer {
                transactional_id: TransactionalId::from("x"),
                timeout_ms: TIMEOUT_MS,
                expected: expected.map(|(id, epoch)| Producer { id, epoch }),
                fresh_producer_id,
            };
            match self.ask(&TransactionCommand::Init(init)) {
                TransactionReply::Init(Answer::Now(producer)) => {
                    return Ok((producer.id, producer.epoch));
                }
                TransactionReply::Init(Answer::Refused(error)) => return Err(error),
                TransactionReply::Init(Answer::NeedsProducerId) => {
                    fresh_producer_id = Some(self.fresh());
                }
                TransactionReply::Init(Answer::AskAgainAfterMarkers) => self.write_markers(),
                other => panic!("{other:?}"),
            }
        }
    }

    fn add(&mut self, (id, epoch): (i64, i16), client: ClientVersion) -> Answer<()> {
        let add = AddPartitions {
            transactional_id: TransactionalId::from("x"),
            producer: Producer { id, epoch },
            partitions: vec![partition("t")],
            client,
        };
        match self.ask(&TransactionCommand::Add(add)) {
            TransactionReply::Add(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn begin_end(
        &mut self,
        (id, epoch): (i64, i16),
        client: ClientVersion,
        outcome: Outcome,
    ) -> Answer<Producer> {
        let mut fresh_producer_id = None;
        loop {
            let end = EndTransaction {
                transactional_id: TransactionalId::from("x"),
                producer: Producer { id, epoch },
                outcome,
                client,
                fresh_producer_id,
            };
            match self.ask(&TransactionCommand::End(end)) {
                TransactionReply::End(Answer::NeedsProducerId) => {
                    fresh_producer_id = Some(self.fresh());
                }
                TransactionReply::End(answer) => return answer,
                other => panic!("{other:?}"),
            }
        }
    }

    /// EndTxn, with the markers.
    fn end(
        &mut self,
        producer: (i64, i16),
        client: ClientVersion,
        outcome: Outcome,
    ) -> Result<(i64, i16), ErrorCode> {
        match self.begin_end(producer, client, outcome) {
            Answer::Now(next) => Ok((next.id, next.epoch)),
            Answer::AfterMarkers(next) => {
                self.write_markers();
                Ok((next.id, next.epoch))
            }
            Answer::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn written(&self) -> MarkersWritten {
        let known = self.known().expect("known");
        assert!(known.state.prepared().is_some(), "{known:?}");
        MarkersWritten {
            transactional_id: TransactionalId::from("x"),
            producer: known.producer,
            prepared_at: known.updated_at,
        }
    }

    fn write_markers(&mut self) {
        let written = self.written();
        assert_eq!(
            self.ask(&TransactionCommand::MarkersWritten(written)),
            TransactionReply::Completed
        );
    }

    fn state(&self) -> TransactionState {
        self.known().expect("known").state
    }

    /// Puts the epoch where a test needs it.
    fn set_epoch(&mut self, epoch: i16) {
        let mut transaction = self.known().expect("known").clone();
        transaction.producer.epoch = epoch;
        let transactional_id = TransactionalId::from("x");
        self.machine.apply(&TransactionRecord { transactional_id, transaction: Some(transaction) });
    }
}

use ClientVersion::{V1, V2};
use Outcome::{Abort, Commit};

#[test]
fn a_transaction_of_an_older_client_keeps_its_epoch() {
    let mut driver = Driver::new();
    let producer = driver.init(None).unwrap();
    assert_eq!(producer, (101, 0));
    for outcome in [Commit, Abort, Commit] {
        assert_eq!(driver.add(producer, V1), Answer::Now(()));
        assert_eq!(driver.state(), TransactionState::Ongoing);
        assert_eq!(driver.end(producer, V1, outcome), Ok(producer));
        assert!(driver.known().unwrap().partitions.is_empty());
    }
    assert_eq!(driver.state(), TransactionState::CompleteCommit);
    assert_eq!(driver.end(producer, V1, Commit), Ok(producer), "a repeated request");
    assert_eq!(driver.end(producer, V1, Abort), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn each_transaction_of_a_newer_client_raises_its_epoch() {
    let mut driver = Driver::new();
    let mut producer = driver.init(None).unwrap();
    for outcome in [Commit, Abort, Commit] {
        assert_eq!(driver.add(producer, V2), Answer::Now(()));
        let next = driver.end(producer, V2, outcome).unwrap();
        assert_eq!(next, (producer.0, producer.1 + 1));
        assert_eq!(driver.end(producer, V2, outcome), Ok(next), "a repeated request");
        producer = next;
    }
}

#[test]
fn a_late_end_of_the_last_transaction_does_not_touch_the_next_one() {
    let mut driver = Driver::new();
    let first = driver.init(None).unwrap();
    driver.add(first, V2);
    let second = driver.end(first, V2, Commit).unwrap();
    driver.add(second, V2);
    for outcome in [Commit, Abort] {
        assert_eq!(driver.end(first, V2, outcome), Err(ErrorCode::ProducerFenced));
    }
    assert_eq!(driver.state(), TransactionState::Ongoing);
}

#[test]
fn an_end_where_nothing_is_open_follows_the_table_of_kip_890() {
    let check = |before: Option<Outcome>, epoch_ago: i16, outcome: Outcome, expected: &str| {
        let mut driver = Driver::new();
        let (id, mut epoch) = driver.init(None).unwrap();
        if let Some(before) = before {
            driver.add((id, epoch), V2);
            (_, epoch) = driver.end((id, epoch), V2, before).unwrap();
        } else {
            driver.set_epoch(5);
            epoch = 5;
        }
        let answer = match driver.begin_end((id, epoch - epoch_ago), V2, outcome) {
            Answer::Now(producer) => format!("+{}", producer.epoch - epoch),
            Answer::Refused(error) => error.name().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, expected, "{before:?} {epoch_ago} {outcome:?}");
    };
    check(None, 1, Abort, "PRODUCER_FENCED");
    check(None, 0, Abort, "+1");
    check(None, 1, Commit, "PRODUCER_FENCED");
    check(None, 0, Commit, "INVALID_TXN_STATE");
    check(Some(Abort), 1, Abort, "+0");
    check(Some(Abort), 0, Abort, "+1");
    check(Some(Abort), 1, Commit, "INVALID_TXN_STATE");
    check(Some(Abort), 0, Commit, "INVALID_TXN_STATE");
    check(Some(Commit), 1, Abort, "INVALID_TXN_STATE");
    check(Some(Commit), 0, Abort, "+1");
    check(Some(Commit), 1, Commit, "+0");
    check(Some(Commit), 0, Commit, "INVALID_TXN_STATE");
}

#[test]
fn a_fenced_producer_is_not_told_its_successors_epoch() {
    let mut driver = Driver::new();
    let old = driver.init(None).unwrap();
    let new = driver.init(None).unwrap();
    assert_eq!(new, (old.0, old.1 + 1));
    // Without an epoch that rises with each transaction the old one looks like that before the new one's last.
    driver.add(new, V1);
    assert_eq!(driver.end(new, V1, Abort), Ok(new));
    assert_eq!(driver.end(old, V2, Abort), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_empty_abort_leaves_nothing_to_be_marked() {
    let mut driver = Driver::new();
    let producer = driver.init(None).unwrap();
    assert_eq!(driver.end(producer, V2, Abort), Ok((101, 1)));
    assert_eq!(driver.state(), TransactionState::CompleteAbort);
    assert_eq!(driver.end(producer, V1, Commit), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_request_during_the_end_waits_or_is_refused() {
    for client in [V1, V2] {
        let mut driver = Driver::new();
        let producer = driver.init(None).unwrap();
        driver.add(producer, client);
        let answer = driver.begin_end(producer, client, Commit);
        assert!(matches!(answer, Answer::AfterMarkers(_)), "{answer:?}");
        assert_eq!(driver.begin_end(producer, client, Commit), answer);
        let other = driver.begin_end(producer, client, Abort);
        assert_eq!(other, Answer::Refused(ErrorCode::InvalidTxnState));
        let next = match answer {
            Answer::AfterMarkers(next) => (next.id, next.epoch),
            other => panic!("{other:?}"),
        };
        assert_eq!(driver.add(next, client), Answer::AskAgainAfterMarkers);
        driver.write_markers();
        assert_eq!(driver.add(next, client), Answer::Now(()));
    }
}

#[test]
fn markers_of_an_earlier_transaction_do_not_complete_the_next_one() {
    let mut driver = Driver::new();
    let producer = driver.init(None).unwrap();
    driver.add(producer, V1);
    driver.begin_end(producer, V1, Commit);
    let first = driver.written();
    driver.write_markers();
    // Within the same millisecond, with the same epoch.
    driver.add(producer, V1);
    driver.begin_end(producer, V1, Abort);
    driver.ask(&TransactionCommand::MarkersWritten(first));
    assert_eq!(driver.state(), TransactionState::PrepareAbort);
    driver.write_markers();
    assert_eq!(driver.state(), TransactionState::CompleteAbort);
}

#[test]
fn a_new_instance_fences_the_old_one_and_aborts_its_transaction() {
    let mut driver = Driver::new();
    let old = driver.init(None).unwrap();
    driver.add(old, V1);
    let new = driver.init(None).unwrap();
    assert_eq!(new, (101, 2), "one epoch fences, the next is the new instance's");
    assert_eq!(driver.add(old, V1), Answer::Refused(ErrorCode::ProducerFenced));
    assert_eq!(driver.end(old, V1, Commit), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.end(old, V2, Commit), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.init(Some(old)), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.known().unwrap().state, TransactionState::Empty);
}

#[test]
fn a_fenced_producer_can_not_abort_its_successors_transaction() {
    let mut driver = Driver::new();
    let old = driver.init(None).unwrap();
    let new = driver.init(None).unwrap();
    driver.add(new, V1);
    assert_eq!(driver.init(Some(old)), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.state(), TransactionState::Ongoing);
}

#[test]
fn a_producer_that_goes_on_gets_the_next_epoch_once() {
    let mut driver = Driver::new();
    let first = driver.init(None).unwrap();
    let second = driver.init(Some(first)).unwrap();
    assert_eq!(second, (101, 1));
    assert_eq!(driver.init(Some(first)), Ok(second), "a repeated request");
    assert_eq!(driver.init(Some(second)), Ok((101, 2)));
    assert_eq!(driver.init(Some(first)), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.init(Some((999, 2))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_producer_that_goes_on_during_its_transaction_keeps_going() {
    let mut driver = Driver::new();
    let first = driver.init(None).unwrap();
    driver.add(first, V1);
    let second = driver.init(Some(first)).unwrap();
    assert_eq!(second, (101, 1));
    assert_eq!(driver.state(), TransactionState::Empty);
    assert_eq!(driver.init(Some(first)), Ok(second), "a repeated request");
    assert_eq!(driver.add(second, V1), Answer::Now(()));
}

#[test]
fn a_producer_id_whose_epochs_are_used_up_is_replaced() {
    let mut driver = Driver::new();
    let (id, _) = driver.init(None).unwrap();
    driver.set_epoch(EPOCH_MAX);
    let next = driver.init(Some((id, EPOCH_MAX))).unwrap();
    assert_eq!(next, (102, 0));
    assert_eq!(driver.init(Some((id, EPOCH_MAX))), Ok(next), "a repeated request");
    assert_eq!(driver.init(Some((id, 3))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn the_last_epoch_of_a_newer_client_ends_its_transaction_under_the_next_id() {
    let mut driver = Driver::new();
    let (id, _) = driver.init(None).unwrap();
    driver.set_epoch(EPOCH_MAX);
    driver.add((id, EPOCH_MAX), V2);
    let answer = driver.begin_end((id, EPOCH_MAX), V2, Commit);
    assert_eq!(answer, Answer::AfterMarkers(Producer { id: 102, epoch: 0 }));
    assert_eq!(driver.known().unwrap().producer, Producer { id, epoch: i16::MAX });
    driver.write_markers();
    assert_eq!(driver.end((id, EPOCH_MAX), V2, Commit), Ok((102, 0)), "a repeated request");
    assert_eq!(driver.end((id, EPOCH_MAX), V2, Abort), Err(ErrorCode::InvalidTxnState));
    assert_eq!(driver.add((102, 0), V2), Answer::Now(()));
    assert_eq!(
        driver.end((id, EPOCH_MAX), V2, Commit),
        Err(ErrorCode::InvalidProducerIdMapping),
        "the next transaction is open"
    );
}

#[test]
fn the_epoch_that_only_fences_is_never_given_out() {
    for expected in [None, Some((101, EPOCH_MAX))] {
        let mut driver = Driver::new();
        let (id, _) = driver.init(None).unwrap();
        driver.set_epoch(EPOCH_MAX);
        driver.add((id, EPOCH_MAX), V1);
        assert_eq!(driver.init(expected), Ok((102, 0)));
    }
}

#[test]
fn a_transaction_whose_time_is_up_is_aborted() {
    for client in [V1, V2] {
        let mut driver = Driver::new();
        let producer = driver.init(None).unwrap();
        driver.add(producer, client);
        driver.pass(i64::from(TIMEOUT_MS) - 1);
        assert_eq!(driver.state(), TransactionState::Ongoing);
        driver.pass(1);
        assert_eq!(driver.state(), TransactionState::PrepareAbort);
        // A newer client that aborts finds it done; nobody is told that the transaction was committed.
        let (commit, abort) = match client {
            V1 => (ErrorCode::ProducerFenced, Answer::Refused(ErrorCode::ProducerFenced)),
            V2 => {
                (ErrorCode::InvalidTxnState, Answer::AfterMarkers(Producer { id: 101, epoch: 1 }))
            }
        };
        assert_eq!(driver.begin_end(producer, client, Commit), Answer::Refused(commit));
        assert_eq!(driver.begin_end(producer, client, Abort), abort);
        driver.write_markers();
        assert_eq!(driver.add(producer, client), Answer::Refused(ErrorCode::ProducerFenced));
        assert_eq!(driver.end(producer, client, Commit), Err(commit));
        assert_eq!(driver.state(), TransactionState::CompleteAbort);
    }
}

#[test]
fn a_producer_goes_on_after_its_time_unless_it_was_replaced() {
    for client in [V1, V2] {
        let mut driver = Driver::new();
        let producer = driver.init(None).unwrap();
        driver.add(producer, client);
        driver.pass(i64::from(TIMEOUT_MS));
        driver.write_markers();
        for _ in 0..2 {
            assert_eq!(driver.init(Some(producer)), Ok((101, 1)));
            assert_eq!(driver.state(), TransactionState::Empty);
        }
        driver.add((101, 1), client);
        driver.pass(i64::from(TIMEOUT_MS));
        driver.write_markers();
        assert_eq!(driver.init(Some(producer)), Err(ErrorCode::ProducerFenced), "two ago");
        assert_eq!(driver.init(None), Ok((101, 3)));
        assert_eq!(driver.init(Some((101, 1))), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn a_producer_that_is_fenced_in_its_last_epoch_stays_fenced() {
    let mut driver = Driver::new();
    let (id, _) = driver.init(None).unwrap();
    driver.set_epoch(EPOCH_MAX);
    driver.add((id, EPOCH_MAX), V2);
    driver.pass(i64::from(TIMEOUT_MS));
    for outcome in [Commit, Abort] {
        assert_eq!(driver.end((id, EPOCH_MAX), V2, outcome), Err(ErrorCode::ProducerFenced));
    }
    driver.write_markers();
    assert_eq!(driver.end((id, EPOCH_MAX), V2, Abort), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.init(None), Ok((102, 0)));
}

#[test]
fn an_id_that_is_not_used_is_forgotten() {
    let mut driver = Driver::new();
    let producer = driver.init(None).unwrap();
    driver.add(producer, V2);
    let week_ms = TransactionSettings::default().id_expiration_ms;
    let next = driver.end(producer, V2, Commit).unwrap();
    driver.pass(week_ms);
    assert!(driver.known().is_some());
    driver.pass(1);
    assert!(driver.known().is_none());
    assert_eq!(driver.add(next, V2), Answer::Refused(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(driver.init(None), Ok((102, 0)));
}

#[test]
fn wrong_requests_are_refused() {
    let init = |transactional_id: &str, timeout_ms| {
        let init = InitProducer {
            transactional_id: TransactionalId::from(transactional_id),
            timeout_ms,
            expected: None,
            fresh_producer_id: Some(1),
        };
        Driver::new().ask(&TransactionCommand::Init(init))
    };
    let refused = |error| TransactionReply::Init(Answer::Refused(error));
    assert_eq!(init("", 1), refused(ErrorCode::InvalidRequest));
    for timeout_ms in [i32::MIN, 0, 900_001, i32::MAX] {
        assert_eq!(init("x", timeout_ms), refused(ErrorCode::InvalidTransactionTimeout));
    }
    let mut driver = Driver::new();
    let unknown = Answer::Refused(ErrorCode::InvalidProducerIdMapping);
    assert_eq!(driver.add((1, 0), V1), unknown);
    let producer = driver.init(None).unwrap();
    assert_eq!(driver.add((1, 0), V1), unknown);
    assert_eq!(driver.end(producer, V1, Commit), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn listings_are_filtered_by_state_producer_and_age() {
    let mut driver = Driver::new();
    let producer = driver.init(None).unwrap();
    driver.add(producer, V1);
    driver.pass(5_000);
    let mut count = |states: &[TransactionState], producer_ids: &[i64], duration_ms| {
        let list = ListTransactions {
            states: states.iter().copied().collect(),
            producer_ids: producer_ids.iter().copied().collect(),
            duration_ms,
        };
        match driver.ask(&TransactionCommand::List(list)) {
            TransactionReply::Listing(listings) => listings.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(count(&[], &[], -1), 1);
    assert_eq!(count(&[TransactionState::Ongoing], &[101], 4_999), 1);
    assert_eq!(count(&[TransactionState::Empty], &[], -1), 0);
    assert_eq!(count(&[], &[7], -1), 0);
    assert_eq!(count(&[], &[], 5_000), 0);
}

#[test]
fn what_is_written_is_read_back() {
    let mut driver = Driver::new();
    let producer = driver.init(None).unwrap();
    let mut seen = vec![driver.known().unwrap().clone()];
    driver.add(producer, V2);
    seen.push(driver.known().unwrap().clone());
    driver.set_epoch(EPOCH_MAX);
    driver.begin_end((producer.0, EPOCH_MAX), V2, Abort);
    seen.push(driver.known().unwrap().clone());
    driver.write_markers();
    seen.push(driver.known().unwrap().clone());
    let transactional_id = TransactionalId::from("x");
    for transaction in seen.into_iter().map(Some).chain([None]) {
        let record = TransactionRecord { transactional_id: transactional_id.clone(), transaction };
        let encoded = TransactionMachine::encode(&record);
        let decoded = TransactionMachine::decode(encoded.key.as_deref(), encoded.value.as_deref());
        assert_eq!(decoded, Ok(Some(record)));
    }
}

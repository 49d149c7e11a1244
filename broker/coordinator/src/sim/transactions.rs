//! Transaction machines under producers that crash, repeat and delay their requests, and a broker that crashes at
//! every point between the fixing of an outcome and its completion.
//!
//! What must hold: a transaction is committed in all partitions or in none, and as its producer was told; no marker
//! ends records of another transaction; epochs never go back and are nobody else's; everything ends.

mod log;

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::ErrorCode;

use self::log::{Appended, Log};
use super::{Dice, Host};
use crate::group::id::TopicName;
use crate::transaction::command::*;
use crate::transaction::id::TransactionalId;
use crate::transaction::state::*;
use crate::transaction::{TransactionMachine, TransactionSettings};
use crate::{Machine, Timestamp};

const PARTITIONS: usize = 3;
const IDS: usize = 2;
/// Two instances of each id at a time: one fences the other.
const CLIENTS: usize = 2 * IDS;
/// Who hears the answers to requests that were repeated behind a client's back.
const NOBODY: usize = usize::MAX;
const TIMEOUT_MS: i32 = 60_000;

/// A request as it travels.
#[derive(Clone, Debug)]
enum Request {
    Init { expected: Option<Producer> },
    Add { producer: Producer, partition: usize },
    Write { producer: Producer, partition: usize, sequence: u32, tag: u64 },
    End { producer: Producer, outcome: Outcome },
}

#[derive(Clone, Debug)]
struct Sent {
    request: Request,
    id: usize,
    version: ClientVersion,
}

/// A producer as a client library would drive it: one request at a time, repeated until it is answered.
#[derive(Debug, Default)]
struct Client {
    producer: Option<Producer>,
    is_new: bool,
    sequences: BTreeMap<usize, u32>,
    /// The open transaction.
    tag: Option<u64>,
    covered: BTreeSet<usize>,
    writes_left: u64,
    waits_for: Option<Sent>,
    is_v2: bool,
}

/// What a client knows of one of its transactions.
#[derive(Clone, Debug, Default)]
struct Told {
    acknowledged: usize,
    outcome: Option<Outcome>,
    /// Whether it was asked to be committed: only then may it be.
    asked_commit: bool,
}

/// Markers that are being written.
#[derive(Debug)]
struct Ending {
    number: u64,
    id: TransactionalId,
    transaction: Transaction,
    outcome: Outcome,
    left: Vec<usize>,
    /// Where the markers lie: not durable before so many entries are.
    written: Vec<(usize, usize)>,
    is_reported: bool,
}

struct Run {
    dice: Dice,
    host: Host<TransactionMachine>,
    logs: Vec<Log>,
    clients: Vec<Client>,
    endings: Vec<Ending>,
    endings_made: u64,
    /// What may be appended to: durable in the coordinator's log.
    open: BTreeMap<i64, (i16, BTreeSet<usize>)>,
    /// Answers that wait for the markers of an id.
    parked: Vec<(usize, usize, TransactionReply)>,
    /// What waits at the coordinator: what the client asked, and the write that follows.
    asked: BTreeMap<usize, Sent>,
    /// Writes that are appended and not durable.
    appended: Vec<(usize, usize, usize)>,
    echoes: Vec<Sent>,
    told: BTreeMap<u64, Told>,
    /// To whom each producer was given.
    given: BTreeMap<Producer, usize>,
    instances: Vec<usize>,
    instances_made: usize,
    epochs: BTreeMap<i64, i16>,
    next_producer_id: i64,
    tags: u64,
}

fn id_of(id: usize) -> TransactionalId {
    TransactionalId::from(["a", "b"][id])
}

fn partition_of(partition: usize) -> (TopicName, i32) {
    (TopicName::from("t"), i32::try_from(partition).unwrap())
}

fn known(machine: &TransactionMachine) -> Vec<(TransactionalId, Transaction)> {
    let known = machine.transactions();
    known.map(|(id, transaction)| (id.clone(), transaction.clone())).collect()
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let clients = (0..CLIENTS).map(|_| Client {
            is_v2: dice.one_in(2),
            is_new: true,
            ..Client::default()
        });
        let clients = clients.collect();
        Self {
            dice,
            host: Host::new(|| TransactionMachine::new(TransactionSettings::default())),
            logs: (0..PARTITIONS).map(|_| Log::default()).collect(),
            clients,
            endings: Vec::new(),
            endings_made: 0,
            open: BTreeMap::new(),
            parked: Vec::new(),
            asked: BTreeMap::new(),
            appended: Vec::new(),
            echoes: Vec::new(),
            told: BTreeMap::new(),
            given: BTreeMap::new(),
            instances: (0..CLIENTS).collect(),
            instances_made: CLIENTS,
            epochs: BTreeMap::new(),
            next_producer_id: 0,
            tags: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..500 {
            match self.dice.below(24) {
                0..=9 => self.act(),
                10..=13 => self.sync(),
                14..=16 => self.sync_log(),
                17..=20 => self.go_on_ending(),
                21 => {
                    let duration_ms = i64::try_from(self.dice.below(20_000)).unwrap();
                    self.host.pass(duration_ms);
                }
                22 => match self.dice.below(4) {
                    0 => self.echo(),
                    1 => self.restart_a_client(),
                    _ => {}
                },
                _ if self.dice.one_in(4) => self.crash(),
                _ => {}
            }
            self.check();
        }
        self.finish();
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(bound as u64)).unwrap()
    }

    // Clients.

    fn act(&mut self) {
        let index = self.index(CLIENTS);
        if self.clients[index].waits_for.is_some() {
            return;
        }
        let Some(producer) = self.clients[index].producer else {
            // A new instance rarely comes: it fences the other one.
            if self.clients[index].is_new && self.dice.one_in(3) {
                self.send(index, Request::Init { expected: None });
            }
            return;
        };
        let partition = self.index(PARTITIONS);
        let ends = self.clients[index].writes_left == 0 || self.dice.one_in(6);
        match self.clients[index].tag {
            None if self.dice.one_in(12) => {
                self.send(index, Request::Init { expected: Some(producer) });
            }
            None => {
                self.tags += 1;
                self.told.insert(self.tags, Told::default());
                let writes_left = 1 + self.dice.below(5);
                let client = &mut self.clients[index];
                client.tag = Some(self.tags);
                client.writes_left = writes_left;
                client.covered.clear();
            }
            Some(tag) if ends => {
                let told = self.told.get_mut(&tag).expect("begun");
                let is_empty = told.acknowledged == 0;
                // A client that wrote nothing has nothing to commit, and an older one nothing to end.
                let outcome =
                    if is_empty || self.dice.one_in(3) { Outcome::Abort } else { Outcome::Commit };
                told.asked_commit |= outcome == Outcome::Commit;
                if is_empty && !self.clients[index].is_v2 && self.clients[index].covered.is_empty()
                {
                    self.clients[index].tag = None;
                } else {
                    self.send(index, Request::End { producer, outcome });
                }
            }
            Some(tag) => {
                let client = &self.clients[index];
                if client.is_v2 || client.covered.contains(&partition) {
                    let sequence = client.sequences.get(&partition).copied().unwrap_or(0);
                    self.send(index, Request::Write { producer, partition, sequence, tag });
                } else {
                    self.send(index, Request::Add { producer, partition });
                }
            }
        }
    }

    fn send(&mut self, index: usize, request: Request) {
        let version = if self.clients[index].is_v2 { ClientVersion::V2 } else { ClientVersion::V1 };
        let sent = Sent { request, id: index / 2, version };
        // Without epochs that rise nothing tells a late request of an older client to end from the next one.
        let may_come_late =
            !matches!((&sent.request, version), (Request::End { .. }, ClientVersion::V1));
        if may_come_late && self.dice.one_in(3) {
            self.echoes.push(sent.clone());
        }
        self.clients[index].waits_for = Some(sent.clone());
        self.deliver(index, sent);
    }

    fn echo(&mut self) {
        if self.echoes.is_empty() || self.asked.contains_key(&NOBODY) {
            return;
        }
        let at = self.index(self.echoes.len());
        let sent = self.echoes[at].clone();
        self.deliver(NOBODY, sent);
    }

    fn restart_a_client(&mut self) {
        let index = self.index(CLIENTS);
        if self.clients[index].waits_for.is_none() {
            self.replace(index);
        }
    }

    /// Another instance in the client's place.
    fn replace(&mut self, index: usize) {
        let is_v2 = self.dice.one_in(2);
        self.clients[index] = Client { is_v2, is_new: true, ..Client::default() };
        self.instances[index] = self.instances_made;
        self.instances_made += 1;
    }

    // The broker.

    fn deliver(&mut self, index: usize, sent: Sent) {
        if let Request::Write { producer, partition, sequence, tag } = sent.request {
            let is_open = self.open.get(&producer.id).is_some_and(|(epoch, covered)| {
                *epoch == producer.epoch && covered.contains(&partition)
            });
            if is_open {
                match self.logs[partition].append(producer, sequence, tag) {
                    Appended::At(end) => self.appended.push((index, partition, end)),
                    Appended::Refused => self.fail(index, ErrorCode::OutOfOrderSequenceNumber),
                }
                return;
            }
        }
        self.ask(index, sent, None);
    }

    fn ask(&mut self, index: usize, sent: Sent, fresh_producer_id: Option<i64>) {
        let transactional_id = id_of(sent.id);
        let command = match sent.request {
            Request::Init { expected } => TransactionCommand::Init(InitProducer {
                transactional_id,
                timeout_ms: TIMEOUT_MS,
                expected,
                fresh_producer_id,
            }),
            Request::Write { producer, partition, .. } if sent.version == ClientVersion::V1 => {
                let partitions = vec![partition_of(partition)];
                TransactionCommand::Verify(VerifyPartitions {
                    transactional_id,
                    producer,
                    partitions,
                })
            }
            Request::Add { producer, partition } | Request::Write { producer, partition, .. } => {
                TransactionCommand::Add(AddPartitions {
                    transactional_id,
                    producer,
                    partitions: vec![partition_of(partition)],
                    client: sent.version,
                })
            }
            Request::End { producer, outcome } => TransactionCommand::End(EndTransaction {
                transactional_id,
                producer,
                outcome,
                client: sent.version,
                fresh_producer_id,
            }),
        };
        self.asked.insert(index, sent);
        self.host.ask(index, &command);
    }

    /// Makes some or all of the coordinator's log durable, and does what follows.
    fn sync(&mut self) {
        let before = self.host.durable;
        let upto = if self.dice.one_in(2) {
            usize::MAX
        } else {
            usize::try_from(self.dice.below(self.host.log.len() as u64 + 2)).unwrap()
        };
        let replies = self.host.sync(upto);
        for position in before..self.host.durable {
            self.follow(position);
        }
        for (index, reply) in replies {
            self.hear(index, reply);
        }
    }

    fn record(&self, position: usize) -> (TransactionalId, Option<Transaction>) {
        let encoded = &self.host.log[position];
        let record = TransactionMachine::decode(encoded.key.as_deref(), encoded.value.as_deref());
        let record = record.expect("readable").expect("known");
        (record.transactional_id, record.transaction)
    }

    fn follow(&mut self, position: usize) {
        let (id, Some(transaction)) = self.record(position) else { return };
        let Producer { id: producer_id, epoch } = transaction.producer;
        let before = self.epochs.entry(producer_id).or_insert(epoch);
        assert!(*before <= epoch, "the epoch of {producer_id} went back from {before} to {epoch}");
        *before = epoch;
        let is_complete_at_once = transaction.partitions.is_empty()
            && position + 1 < self.host.log.len()
            && self.record(position + 1).0 == id;
        match transaction.state.prepared() {
            Some(_) if is_complete_at_once => {}
            Some(outcome) => self.begin_ending(id, transaction, outcome),
            None => self.follow_open(&id, &transaction),
        }
    }

    fn follow_open(&mut self, id: &TransactionalId, transaction: &Transaction) {
        self.complete(id);
        if transaction.state == TransactionState::Ongoing {
            let producer = transaction.producer;
            let covered = transaction
                .partitions
                .iter()
                .map(|(_, partition)| usize::try_from(*partition).unwrap());
            self.open.insert(producer.id, (producer.epoch, covered.collect()));
        }
    }

    fn begin_ending(&mut self, id: TransactionalId, transaction: Transaction, outcome: Outcome) {
        assert!(self.endings.iter().all(|ending| ending.id != id), "two endings of {id}");
        // The gate: from here on nothing is appended in this transaction.
        self.open.remove(&transaction.producer.id);
        self.endings_made += 1;
        let left = transaction
            .partitions
            .iter()
            .map(|(_, partition)| usize::try_from(*partition).unwrap());
        self.endings.push(Ending {
            number: self.endings_made,
            id,
            outcome,
            left: left.collect(),
            transaction,
            written: Vec::new(),
            is_reported: false,
        });
    }

    fn go_on_ending(&mut self) {
        if self.endings.is_empty() {
            return;
        }
        let at = self.index(self.endings.len());
        let ending = &mut self.endings[at];
        if let Some(partition) = ending.left.pop() {
            let is_raised = ending.transaction.client_version >= 2;
            let log = &mut self.logs[partition];
            log.mark(ending.transaction.producer, ending.outcome, ending.number, is_raised);
            ending.written.push((partition, log.entries.len()));
            return;
        }
        let is_durable =
            ending.written.iter().all(|(partition, end)| self.logs[*partition].durable >= *end);
        if is_durable && !ending.is_reported {
            ending.is_reported = true;
            let written = MarkersWritten {
                transactional_id: ending.id.clone(),
                producer: ending.transaction.producer,
                prepared_at: ending.transaction.updated_at,
            };
            let id = ending.id.clone();
            self.host.ask(NOBODY, &TransactionCommand::MarkersWritten(written));
            // Completion is not waited for: a crash that loses it leads here again.
            self.complete(&id);
        }
    }

    fn complete(&mut self, id: &TransactionalId) {
        self.endings.retain(|ending| ending.id != *id);
        let (ready, parked) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|(_, parked, _)| id_of(*parked) == *id);
        self.parked = parked;
        for (index, _, reply) in Vec::from_iter::<Vec<_>>(ready) {
            self.hear_now(index, reply);
        }
    }

    fn sync_log(&mut self) {
        let partition = self.index(PARTITIONS);
        let log = &mut self.logs[partition];
        log.durable = log.entries.len();
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        let appended = std::mem::take(&mut self.appended);
        for (index, partition, end) in appended {
            if self.logs[partition].durable < end {
                self.appended.push((index, partition, end));
            } else if index != NOBODY {
                let client = &mut self.clients[index];
                let tag = client.tag.expect("open");
                *client.sequences.entry(partition).or_default() += 1;
                client.writes_left = client.writes_left.saturating_sub(1);
                client.waits_for = None;
                self.told.get_mut(&tag).expect("begun").acknowledged += 1;
            }
        }
    }

    fn crash(&mut self) {
        let waited = self.host.crash();
        for log in &mut self.logs {
            log.entries.truncate(log.durable);
        }
        let mut lost = waited.into_iter().filter(|index| *index != NOBODY).collect::<BTreeSet<_>>();
        lost.extend(self.parked.drain(..).map(|(index, ..)| index));
        lost.extend(self.appended.drain(..).map(|(index, ..)| index));
        lost.remove(&NOBODY);
        self.asked.clear();
        self.endings.clear();
        self.open.clear();
        for (id, transaction) in known(&self.host.machine) {
            match transaction.state.prepared() {
                Some(outcome) => self.begin_ending(id, transaction, outcome),
                None => self.follow_open(&id, &transaction),
            }
        }
        // The client's request times out; it asks the same again.
        for index in lost {
            let sent = self.clients[index].waits_for.clone().expect("waits");
            self.deliver(index, sent);
        }
    }

    // Answers.

    fn hear(&mut self, index: usize, reply: TransactionReply) {
        if reply == TransactionReply::Completed {
            return;
        }
        let sent = self.asked.remove(&index).expect("asked");
        let waits = matches!(
            &reply,
            TransactionReply::Init(Answer::AfterMarkers(_) | Answer::AskAgainAfterMarkers)
                | TransactionReply::End(Answer::AfterMarkers(_) | Answer::AskAgainAfterMarkers)
                | TransactionReply::Add(Answer::AskAgainAfterMarkers)
                | TransactionReply::Verify(Answer::AskAgainAfterMarkers)
        );
        let id = sent.id;
        self.asked.insert(index, sent);
        if waits && self.endings.iter().any(|ending| ending.id == id_of(id)) {
            self.parked.push((index, id, reply));
        } else {
            self.hear_now(index, reply);
        }
    }

    fn hear_now(&mut self, index: usize, reply: TransactionReply) {
        let sent = self.asked.remove(&index).expect("asked");
        match reply {
            TransactionReply::Init(Answer::AskAgainAfterMarkers)
            | TransactionReply::Add(Answer::AskAgainAfterMarkers)
            | TransactionReply::Verify(Answer::AskAgainAfterMarkers) => self.ask(index, sent, None),
            TransactionReply::Init(Answer::NeedsProducerId)
            | TransactionReply::End(Answer::NeedsProducerId) => {
                self.next_producer_id += 1;
                self.ask(index, sent, Some(self.next_producer_id));
            }
            TransactionReply::Init(Answer::Refused(error))
            | TransactionReply::Add(Answer::Refused(error))
            | TransactionReply::Verify(Answer::Refused(error))
            | TransactionReply::End(Answer::Refused(error)) => self.fail(index, error),
            TransactionReply::Verify(Answer::Now(covered)) if covered == [false] => {
                self.fail(index, ErrorCode::InvalidTxnState);
            }
            TransactionReply::Verify(Answer::Now(_)) => self.deliver(index, sent),
            TransactionReply::Add(Answer::Now(())) => match sent.request {
                Request::Write { .. } => self.deliver(index, sent),
                Request::Add { partition, .. } if index != NOBODY => {
                    self.clients[index].covered.insert(partition);
                    self.clients[index].waits_for = None;
                }
                _ => {}
            },
            TransactionReply::Init(Answer::Now(producer)) if index != NOBODY => {
                self.give(index, producer);
                let client = &mut self.clients[index];
                client.waits_for = None;
            }
            TransactionReply::End(Answer::Now(producer) | Answer::AfterMarkers(producer))
                if index != NOBODY =>
            {
                let Request::End { outcome, .. } = sent.request else { panic!("{sent:?}") };
                let tag = self.clients[index].tag.take().expect("open");
                self.told.get_mut(&tag).expect("begun").outcome = Some(outcome);
                self.clients[index].waits_for = None;
                if self.clients[index].is_v2 {
                    self.give(index, producer);
                }
            }
            _ if index == NOBODY => {}
            other => panic!("{other:?} to {sent:?}"),
        }
    }

    fn give(&mut self, index: usize, producer: Producer) {
        let instance = self.instances[index];
        let before = *self.given.entry(producer).or_insert(instance);
        assert_eq!(before, instance, "{producer:?} was given to two instances");
        let client = &mut self.clients[index];
        if client.producer != Some(producer) {
            client.sequences.clear();
        }
        client.producer = Some(producer);
    }

    fn fail(&mut self, index: usize, error: ErrorCode) {
        if index == NOBODY {
            return;
        }
        match error {
            ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::InvalidTxnState
            | ErrorCode::OutOfOrderSequenceNumber => self.replace(index),
            other => panic!("{other:?} was not to be expected"),
        }
    }

    // What must hold.

    fn check(&mut self) {
        if !self.dice.one_in(25) {
            return;
        }
        let replayed = self.host.replayed(self.host.log.len());
        assert_eq!(known(&replayed), known(&self.host.machine), "replay differs");
        let mut of_ending = BTreeMap::<u64, u64>::new();
        for (tag, end) in self.logs.iter().flat_map(Log::outcomes) {
            let Some((_, ending)) = end else { continue };
            let first = *of_ending.entry(ending).or_insert(tag);
            assert_eq!(first, tag, "one ending ended two transactions");
        }
    }

    /// With no client left alive everything ends, and as it was told.
    fn finish(&mut self) {
        self.clients.iter_mut().for_each(|client| *client = Client::default());
        for _ in 0..200 {
            self.host.pass(i64::from(TIMEOUT_MS));
            let replies = self.host.sync(usize::MAX);
            drop(replies);
            for (id, transaction) in known(&self.host.machine) {
                if let Some(outcome) = transaction.state.prepared()
                    && self.endings.iter().all(|ending| ending.id != id)
                {
                    self.begin_ending(id, transaction, outcome);
                }
            }
            self.parked.clear();
            self.go_on_ending();
            self.logs.iter_mut().for_each(|log| log.durable = log.entries.len());
        }
        let is_open = |transaction: &Transaction| {
            transaction.state == TransactionState::Ongoing || transaction.state.prepared().is_some()
        };
        let open = self.host.machine.transactions().filter(|(_, transaction)| is_open(transaction));
        assert_eq!(open.count(), 0, "a transaction that never ends");
        let mut outcomes = BTreeMap::<u64, Vec<Outcome>>::new();
        for (tag, end) in self.logs.iter().flat_map(Log::outcomes) {
            let (outcome, _) = end.expect("a record whose transaction never ends");
            outcomes.entry(tag).or_default().push(outcome);
        }
        for (tag, told) in &self.told {
            let found = outcomes.remove(tag).unwrap_or_default();
            let committed = found.iter().filter(|outcome| **outcome == Outcome::Commit).count();
            assert!(committed == 0 || committed == found.len(), "{tag} is half committed");
            assert!(committed == 0 || told.asked_commit, "nobody asked to commit {tag}");
            match told.outcome {
                Some(Outcome::Commit) => {
                    assert!(committed >= told.acknowledged, "{tag} lost records: {told:?}")
                }
                Some(Outcome::Abort) => assert_eq!(committed, 0, "{tag} was aborted"),
                None => {
                    assert!(committed == 0 || committed >= told.acknowledged, "{tag} lost records")
                }
            }
        }
        assert!(self.host.now > Timestamp(0));
    }
}

#[test]
fn transactions_survive_crashes_at_any_point() {
    for seed in 0..1_000 {
        let outcome = std::panic::catch_unwind(|| Run::new(seed).run());
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

//! Transactions: the machine over one partition of `__transaction_state`.
//!
//! - Durable: for each transactional id its producer and the state of its transaction, in Kafka's record schema; each
//!   record says all of it. Session: the epoch that a producer had before its last one, which tells a repeated
//!   InitProducerId from a fenced one and which Kafka does not write either.
//! - The outcome of a transaction is fixed by its `Prepare…` record. The host then writes the markers and reports
//!   them; after a crash it writes them again, which changes nothing where they are already there.
//! - A transaction whose time is up is aborted with a higher epoch; an id that was not used for long is forgotten.
//! - Knows nothing of the partitions' logs: which records lie in a transaction is theirs to know.
//!
//! References: KIP-98, KIP-360, KIP-588, KIP-664, KIP-890, KIP-994.

pub mod command;
mod end;
pub mod id;
mod init;
mod partitions;
pub mod state;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{Decision, DecisionOf, EncodedRecord, Machine, RequestId, Timestamp};
use crate::record::RecordError;
use crate::record::transaction::{decode, encode};

use command::{ListTransactions, TransactionCommand, TransactionListing, TransactionReply};
use id::TransactionalId;
use state::{Transaction, TransactionState};

/// What a broker's configuration says about transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionSettings {
    /// `transaction.max.timeout.ms`.
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
}

impl Default for TransactionSettings {
    fn default() -> Self {
        Self { timeout_max_ms: 900_000, id_expiration_ms: 7 * 24 * 3_600_000 }
    }
}

/// A record of `__transaction_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRecord {
    /// The id.
    pub transactional_id: TransactionalId,
    /// All that is written of it; `None` forgets the id (a tombstone).
    pub transaction: Option<Transaction>,
}

/// The epoch before a producer's last one; `None` if nobody may claim to go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEpoch {
    transactional_id: TransactionalId,
    epoch: Option<i16>,
}

#[derive(Clone, Debug)]
struct Entry {
    transaction: Transaction,
    last_epoch: Option<i16>,
    /// Where the entry stands in `TransactionMachine::deadlines`.
    deadline: Option<Timestamp>,
}

/// The transactional ids of one `__transaction_state` partition.
#[derive(Clone, Debug)]
pub struct TransactionMachine {
    settings: TransactionSettings,
    entries: BTreeMap<TransactionalId, Entry>,
    deadlines: BTreeSet<(Timestamp, TransactionalId)>,
}

/// What one command comes to.
struct Step {
    now: Timestamp,
    records: Vec<TransactionRecord>,
    events: Vec<LastEpoch>,
}

impl Step {
    fn new(now: Timestamp) -> Self {
        Self { now, records: Vec::new(), events: Vec::new() }
    }

    fn write(&mut self, transactional_id: &TransactionalId, transaction: Transaction) {
        self.records.push(TransactionRecord {
            transactional_id: transactional_id.clone(),
            transaction: Some(transaction),
        });
    }

    fn remember_epoch(&mut self, transactional_id: &TransactionalId, epoch: Option<i16>) {
        self.events.push(LastEpoch { transactional_id: transactional_id.clone(), epoch });
    }
}

impl TransactionMachine {
    /// A machine before its log is replayed.
    #[must_use]
    pub fn new(settings: TransactionSettings) -> Self {
        Self { settings, entries: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// Every id with what is written of it.
    pub fn transactions(&self) -> impl Iterator<Item = (&TransactionalId, &Transaction)> {
        self.entries.iter().map(|(id, entry)| (id, &entry.transaction))
    }

    fn transaction(&self, transactional_id: &TransactionalId) -> Option<&Transaction> {
        self.entries.get(transactional_id).map(|entry| &entry.transaction)
    }

    fn list(&self, now: Timestamp, list: &ListTransactions) -> Vec<TransactionListing> {
        let is_wanted = |transaction: &Transaction| {
            // Kafka takes an id without a transaction for one that was opened at the beginning of time.
            let started_at = transaction.started_at.map_or(-1, |at| at.0);
            (list.producer_ids.is_empty() || list.producer_ids.contains(&transaction.producer.id))
                && (list.states.is_empty() || list.states.contains(&transaction.state))
                && (list.duration_ms < 0 || now.0.saturating_sub(started_at) > list.duration_ms)
        };
        let listings = self.transactions().filter(|(_, transaction)| is_wanted(transaction));
        let listings = listings.map(|(transactional_id, transaction)| TransactionListing {
            transactional_id: transactional_id.clone(),
            producer_id: transaction.producer.id,
            state: transaction.state,
        });
        listings.collect()
    }

    fn deadline(&self, transaction: &Transaction) -> Option<Timestamp> {
        match transaction.state {
            TransactionState::Ongoing => transaction.times_out_at(),
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => None,
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => {
                Some(transaction.updated_at.plus_ms(self.settings.id_expiration_ms))
            }
        }
    }
}

impl Machine for TransactionMachine {
    type Command = TransactionCommand;
    type Record = TransactionRecord;
    type Event = LastEpoch;
    type Reply = TransactionReply;

    fn decide(
        &self,
        now: Timestamp,
        request: RequestId,
        command: &TransactionCommand,
    ) -> DecisionOf<Self> {
        let mut step = Step::new(now);
        let reply = match command {
            TransactionCommand::Init(init) => {
                let known = self.entries.get(&init.transactional_id);
                let known = known.map(|entry| (&entry.transaction, entry.last_epoch));
                TransactionReply::Init(step.init(&self.settings, init, known))
            }
            TransactionCommand::Add(add) => {
                TransactionReply::Add(step.add(add, self.transaction(&add.transactional_id)))
            }
            TransactionCommand::Verify(verify) => {
                let known = self.transaction(&verify.transactional_id);
                TransactionReply::Verify(partitions::verify(verify, known))
            }
            TransactionCommand::End(end) => {
                TransactionReply::End(step.end(end, self.transaction(&end.transactional_id)))
            }
            TransactionCommand::MarkersWritten(written) => {
                step.markers_written(written, self.transaction(&written.transactional_id));
                TransactionReply::Completed
            }
            TransactionCommand::Describe(transactional_id) => {
                let known = self.transaction(transactional_id);
                TransactionReply::Description(known.map(|known| Box::new(known.clone())))
            }
            TransactionCommand::List(list) => TransactionReply::Listing(self.list(now, list)),
        };
        let Step { records, events, .. } = step;
        Decision { records, events, replies: vec![(request, reply)] }
    }

    fn tick(&self, now: Timestamp) -> DecisionOf<Self> {
        let mut step = Step::new(now);
        let due = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        for (_, transactional_id) in due {
            let Some(transaction) = self.transaction(transactional_id) else { continue };
            if transaction.state == TransactionState::Ongoing {
                // Only the time is up: nobody took the id over, and the producer may go on with InitProducerId.
                let last_epoch = Some(transaction.producer.epoch);
                step.write(transactional_id, transaction.fenced(now));
                step.remember_epoch(transactional_id, last_epoch);
            } else {
                step.records.push(TransactionRecord {
                    transactional_id: transactional_id.clone(),
                    transaction: None,
                });
            }
        }
        let Step { records, events, .. } = step;
        Decision { records, events, replies: Vec::new() }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn apply(&mut self, record: &TransactionRecord) {
        let id = &record.transactional_id;
        let before = self.entries.remove(id);
        if let Some(deadline) = before.as_ref().and_then(|before| before.deadline) {
            self.deadlines.remove(&(deadline, id.clone()));
        }
        if let Some(transaction) = &record.transaction {
            let deadline = self.deadline(transaction);
            self.deadlines.extend(deadline.map(|deadline| (deadline, id.clone())));
            let last_epoch = before.and_then(|before| before.last_epoch);
            let entry = Entry { transaction: transaction.clone(), last_epoch, deadline };
            self.entries.insert(id.clone(), entry);
        }
    }

    fn note(&mut self, event: LastEpoch) {
        if let Some(entry) = self.entries.get_mut(&event.transactional_id) {
            entry.last_epoch = event.epoch;
        }
    }

    fn resume(&mut self, _now: Timestamp) {}

    fn encode(record: &TransactionRecord) -> EncodedRecord {
        encode(record)
    }

    fn decode(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<TransactionRecord>, RecordError> {
        decode(key, value)
    }

    fn may_lag(record: &TransactionRecord) -> bool {
        // After a crash that loses it, the markers are written again and lead here once more.
        record.transaction.as_ref().is_some_and(|transaction| {
            matches!(
                transaction.state,
                TransactionState::CompleteCommit | TransactionState::CompleteAbort
            )
        })
    }
}

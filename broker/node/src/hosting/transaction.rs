//! The transaction machines: one per partition of `__transaction_state` that is in use; what their records mean to
//! the partitions is done here.
//!
//! - When a transaction's outcome is durable its markers are written; when they are durable the machine completes it,
//!   and only then its producer is answered. So a producer's next transaction never meets the end of the last one.
//! - What is left half ended by a stop is ended when the machine's log was replayed.

mod markers;
mod open;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use aquifer_broker_coordinator::group::id::{TopicName, partition_for};
use aquifer_broker_coordinator::transaction::command::{
    AddPartitions, Answer, EndTransaction, InitProducer, ListTransactions, TransactionCommand,
    TransactionListing, TransactionReply, VerifyPartitions,
};
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::{
    ClientVersion, Outcome, Producer, Transaction, TransactionState,
};
use aquifer_broker_coordinator::transaction::{TransactionRecord, TransactionSettings};
use aquifer_broker_coordinator::{Machine, RequestId, TransactionMachine};
use aquifer_broker_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::markers::Ending;
use self::open::OpenTransactions;
use super::machine_host::{Hosted, MachineHandle, start_loading};
use super::{HostError, Hosting, TRANSACTION_STATE};
use crate::config::BrokerSettings;
use crate::partition::{Partition, Partitions};

pub(crate) use self::markers::{Marker, MarkerError};
pub(crate) use self::open::InTransaction;

/// How often a question is asked again because a transaction was being ended: each time it was another one.
const ATTEMPTS_MAX: usize = 10;

/// What the machines of all partitions share.
#[derive(Default)]
pub(super) struct Transactions {
    /// By partition of `__transaction_state`; those that were neither written nor asked for are not there.
    machines: Mutex<HashMap<i32, MachineHandle<TransactionMachine>>>,
    open: OpenTransactions,
    /// The ids whose markers are being written; cancelled when the machine has completed the transaction.
    ending: Mutex<HashMap<TransactionalId, CancellationToken>>,
}

/// One transaction machine.
struct HostedTransactions {
    settings: TransactionSettings,
    partitions: Arc<Partitions>,
    partition: i32,
    hosting: Weak<Hosting>,
    shared: Arc<Transactions>,
    endings: JoinSet<()>,
}

impl Hosted for HostedTransactions {
    type Machine = TransactionMachine;

    fn name(&self) -> String {
        format!("{TRANSACTION_STATE}-{}", self.partition)
    }

    fn fresh(&self) -> TransactionMachine {
        TransactionMachine::new(self.settings.clone())
    }

    fn partition(&self) -> Option<Arc<Partition>> {
        self.partitions.get(TRANSACTION_STATE, self.partition)
    }

    fn loaded(&mut self, machine: &TransactionMachine) {
        for (transactional_id, transaction) in machine.transactions() {
            self.follow(transactional_id, transaction);
        }
    }

    async fn durable(&mut self, _machine: &TransactionMachine, records: &[TransactionRecord]) {
        while self.endings.try_join_next().is_some() {}
        for (index, record) in records.iter().enumerate() {
            let TransactionRecord { transactional_id, transaction } = record;
            let is_last = records
                .iter()
                .skip(index + 1)
                .all(|later| later.transactional_id != *transactional_id);
            match transaction {
                // What was completed along with its end has nothing to be marked.
                Some(transaction) if transaction.state.prepared().is_some() && !is_last => {}
                Some(transaction) => self.follow(transactional_id, transaction),
                None => self.shared.completed(transactional_id),
            }
        }
    }

    async fn stopped(&mut self) {
        self.endings.shutdown().await;
    }
}

impl HostedTransactions {
    /// Does what follows from a durable state.
    fn follow(&mut self, transactional_id: &TransactionalId, transaction: &Transaction) {
        if let Some(outcome) = transaction.state.prepared() {
            self.end(transactional_id, transaction, outcome);
            return;
        }
        self.shared.completed(transactional_id);
        if transaction.state == TransactionState::Ongoing {
            let producer = transaction.producer;
            self.shared.open.cover(transactional_id, producer, &transaction.partitions);
        }
    }

    /// Has the markers written, if nobody does already.
    fn end(
        &mut self,
        transactional_id: &TransactionalId,
        transaction: &Transaction,
        outcome: Outcome,
    ) {
        let mut ending = self.shared.ending.lock();
        if ending.contains_key(transactional_id) {
            return;
        }
        let Some(hosting) = self.hosting.upgrade() else { return };
        ending.insert(transactional_id.clone(), CancellationToken::new());
        let ending = Ending {
            machine: hosting.transaction_machine(self.partition),
            hosting: Weak::clone(&self.hosting),
            transactional_id: transactional_id.clone(),
            transaction: transaction.clone(),
            outcome,
            open: self.shared.open.remove(transaction.producer.id),
        };
        self.endings.spawn(ending.run());
    }
}

impl Transactions {
    /// The id's last transaction is complete: tells who waits for it.
    fn completed(&self, transactional_id: &TransactionalId) {
        if let Some(completed) = self.ending.lock().remove(transactional_id) {
            completed.cancel();
        }
    }
}

impl Hosting {
    /// Who may write under a transactional id from now on; whoever could before is fenced.
    pub(crate) async fn init_producer(
        &self,
        mut init: InitProducer,
    ) -> Result<Producer, ErrorCode> {
        let id = init.transactional_id.clone();
        if self.create_transaction_topic().await.is_err() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        for _ in 0..ATTEMPTS_MAX {
            let command = TransactionCommand::Init(init.clone());
            let TransactionReply::Init(answer) = self.ask_transactions(&id, command).await? else {
                return Err(ErrorCode::UnknownServerError);
            };
            if let Answer::NeedsProducerId = answer {
                init.fresh_producer_id = Some(self.fresh_producer_id().await?);
            } else if let Some(producer) = self.settle(&id, answer).await? {
                return Ok(producer);
            }
        }
        Err(ErrorCode::ConcurrentTransactions)
    }

    /// Adds partitions to the producer's transaction, which begins with the first ones.
    pub(crate) async fn add_partitions(&self, add: AddPartitions) -> Result<(), ErrorCode> {
        let id = add.transactional_id.clone();
        for _ in 0..ATTEMPTS_MAX {
            let command = TransactionCommand::Add(add.clone());
            let TransactionReply::Add(answer) = self.ask_transactions(&id, command).await? else {
                return Err(ErrorCode::UnknownServerError);
            };
            if let Some(()) = self.settle(&id, answer).await? {
                return Ok(());
            }
        }
        Err(ErrorCode::ConcurrentTransactions)
    }

    /// Whether the producer's open transaction covers each of the partitions.
    pub(crate) async fn verify_partitions(
        &self,
        verify: VerifyPartitions,
    ) -> Result<Vec<bool>, ErrorCode> {
        let id = verify.transactional_id.clone();
        for _ in 0..ATTEMPTS_MAX {
            let command = TransactionCommand::Verify(verify.clone());
            let TransactionReply::Verify(answer) = self.ask_transactions(&id, command).await?
            else {
                return Err(ErrorCode::UnknownServerError);
            };
            if let Some(covered) = self.settle(&id, answer).await? {
                return Ok(covered);
            }
        }
        Err(ErrorCode::ConcurrentTransactions)
    }

    /// Ends the producer's transaction; returns when its markers are durable, with the producer of the next one.
    pub(crate) async fn end_transaction(
        &self,
        mut end: EndTransaction,
    ) -> Result<Producer, ErrorCode> {
        let id = end.transactional_id.clone();
        for _ in 0..ATTEMPTS_MAX {
            let command = TransactionCommand::End(end.clone());
            let TransactionReply::End(answer) = self.ask_transactions(&id, command).await? else {
                return Err(ErrorCode::UnknownServerError);
            };
            if let Answer::NeedsProducerId = answer {
                end.fresh_producer_id = Some(self.fresh_producer_id().await?);
            } else if let Some(producer) = self.settle(&id, answer).await? {
                return Ok(producer);
            }
        }
        Err(ErrorCode::ConcurrentTransactions)
    }

    /// Enters the producer's open transaction to append to these partitions. Under V2 what it does not cover yet is
    /// added; under V1 that is refused, with one result per partition.
    pub(crate) async fn enter_transaction(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &[(TopicName, i32)],
        client: ClientVersion,
    ) -> Result<InTransaction, NotInTransaction> {
        let id = TransactionalId::from(transactional_id);
        for _ in 0..ATTEMPTS_MAX {
            let open = &self.transactions.open;
            if let Some(entered) = open.enter(transactional_id, producer, partitions).await {
                return Ok(entered);
            }
            let (transactional_id, partitions) = (id.clone(), partitions.to_vec());
            match client {
                ClientVersion::V2 => {
                    let add = AddPartitions { transactional_id, producer, partitions, client };
                    self.add_partitions(add).await.map_err(NotInTransaction::Refused)?;
                }
                ClientVersion::V1 => {
                    let verify = VerifyPartitions { transactional_id, producer, partitions };
                    let verified = self.verify_partitions(verify).await;
                    let covered = verified.map_err(NotInTransaction::Refused)?;
                    if !covered.iter().all(|is_covered| *is_covered) {
                        return Err(NotInTransaction::NotCovered(covered));
                    }
                }
            }
        }
        Err(NotInTransaction::Refused(ErrorCode::ConcurrentTransactions))
    }

    /// What is known of a transactional id.
    pub(crate) async fn describe_transaction(
        &self,
        transactional_id: &str,
    ) -> Result<Option<Box<Transaction>>, ErrorCode> {
        let id = TransactionalId::from(transactional_id);
        let command = TransactionCommand::Describe(id.clone());
        match self.ask_transactions(&id, command).await? {
            TransactionReply::Description(description) => Ok(description),
            _ => Err(ErrorCode::UnknownServerError),
        }
    }

    /// The transactional ids of all machines.
    pub(crate) async fn list_transactions(
        &self,
        list: &ListTransactions,
    ) -> Result<Vec<TransactionListing>, ErrorCode> {
        let machines = self.transactions.machines.lock().values().cloned().collect::<Vec<_>>();
        let answers =
            machines.iter().map(|machine| machine.ask(TransactionCommand::List(list.clone())));
        let mut listings = Vec::new();
        for answer in futures_util::future::join_all(answers).await {
            match answer.map_err(|error| error.group_code())? {
                TransactionReply::Listing(transactions) => listings.extend(transactions),
                _ => return Err(ErrorCode::UnknownServerError),
            }
        }
        listings.sort_by(|one, other| one.transactional_id.cmp(&other.transactional_id));
        Ok(listings)
    }

    /// Creates `__transaction_state` if it is not there, and answers how many partitions it has.
    pub(crate) async fn create_transaction_topic(&self) -> Result<u32, HostError> {
        if let Some(count) = self.transaction_partition_count() {
            return Ok(count);
        }
        if let Err(refusal) = self.ensure_topic(TRANSACTION_STATE).await {
            tracing::error!(
                code = refusal.code.name(),
                message = refusal.message,
                "cannot create {TRANSACTION_STATE}"
            );
            return Err(HostError::Lost);
        }
        self.transaction_partition_count().ok_or(HostError::Lost)
    }

    /// The epoch that markers carry: no marker of an earlier generation may overrule a later one's.
    pub(crate) fn coordinator_epoch(&self) -> i32 {
        self.image().generation.max(0)
    }

    /// Starts the machines whose logs exist, so that open transactions time out and half-ended ones end.
    pub(super) fn resume_transactions(&self) {
        let on_disk = self.partitions.on_disk();
        for id in on_disk.iter().filter(|id| &*id.topic == TRANSACTION_STATE) {
            self.transaction_machine(id.partition);
        }
    }

    /// What an answer comes to: `None` if the question has to be asked again.
    async fn settle<T>(
        &self,
        transactional_id: &TransactionalId,
        answer: Answer<T>,
    ) -> Result<Option<T>, ErrorCode> {
        match answer {
            Answer::Now(answer) => Ok(Some(answer)),
            Answer::AfterMarkers(answer) => {
                self.markers_written(transactional_id).await?;
                Ok(Some(answer))
            }
            Answer::AskAgainAfterMarkers => {
                self.markers_written(transactional_id).await?;
                Ok(None)
            }
            Answer::NeedsProducerId => Ok(None),
            Answer::Refused(error) => Err(error),
        }
    }

    /// Waits until the transaction that is being ended is complete.
    async fn markers_written(&self, transactional_id: &TransactionalId) -> Result<(), ErrorCode> {
        let completed = self.transactions.ending.lock().get(transactional_id).cloned();
        let Some(completed) = completed else { return Ok(()) };
        tokio::select! {
            () = completed.cancelled() => Ok(()),
            () = self.stop.cancelled() => Err(ErrorCode::NotCoordinator),
        }
    }

    async fn fresh_producer_id(&self) -> Result<i64, ErrorCode> {
        self.next_producer_id().await.map_err(|error| {
            tracing::warn!(%error, "no producer id");
            ErrorCode::CoordinatorLoadInProgress
        })
    }

    async fn ask_transactions(
        &self,
        transactional_id: &str,
        command: TransactionCommand,
    ) -> Result<TransactionReply, ErrorCode> {
        let Some(partition_count) = self.transaction_partition_count() else {
            return Ok(self.answer_of_no_transactions(&command));
        };
        let partition =
            i32::try_from(partition_for(transactional_id, partition_count)).unwrap_or(0);
        let answer = self.transaction_machine(partition).ask(command).await;
        answer.map_err(|error| error.group_code())
    }

    fn transaction_partition_count(&self) -> Option<u32> {
        let image = self.image();
        image.topic(TRANSACTION_STATE).and_then(|topic| u32::try_from(topic.partition_count()).ok())
    }

    fn transaction_machine(&self, partition: i32) -> MachineHandle<TransactionMachine> {
        let mut machines = self.transactions.machines.lock();
        if let Some(machine) = machines.get(&partition) {
            return machine.clone();
        }
        let hosted = HostedTransactions {
            settings: transaction_settings(&self.settings),
            partitions: Arc::clone(&self.partitions),
            partition,
            hosting: Weak::clone(&self.me),
            shared: Arc::clone(&self.transactions),
            endings: JoinSet::new(),
        };
        let (machine, task) = start_loading(hosted, self.clock.clone(), self.stop.clone());
        machines.insert(partition, machine.clone());
        self.tasks.lock().push(task);
        machine
    }

    /// Before anything was written, every question has the answer of an empty machine.
    fn answer_of_no_transactions(&self, command: &TransactionCommand) -> TransactionReply {
        let machine = TransactionMachine::new(transaction_settings(&self.settings));
        let decision = machine.decide(self.clock.now(), RequestId(0), command);
        let answer = decision.replies.into_iter().next().map(|(_, reply)| reply);
        answer.expect("a transaction machine answers every command at once")
    }
}

/// Why a producer may not append to partitions in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotInTransaction {
    /// It has no transaction open, or is not who it says.
    Refused(ErrorCode),
    /// The transaction does not cover all partitions: whether it covers each, in the order asked.
    NotCovered(Vec<bool>),
}

fn transaction_settings(settings: &BrokerSettings) -> TransactionSettings {
    TransactionSettings {
        timeout_max_ms: settings.transaction_max_timeout_ms,
        id_expiration_ms: i64::from(settings.transactional_id_expiration_ms),
    }
}

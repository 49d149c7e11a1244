//! What a transaction machine is asked, and what it answers.

use std::collections::BTreeSet;

use aquifer_broker_protocol::ErrorCode;

use super::id::TransactionalId;
use super::state::{ClientVersion, Outcome, Producer, Transaction, TransactionState};
use crate::Timestamp;
use crate::group::id::TopicName;

/// A request to the machine of one `__transaction_state` partition.
#[derive(Clone, Debug)]
pub enum TransactionCommand {
    /// InitProducerId with a transactional id.
    Init(InitProducer),
    /// AddPartitionsToTxn, AddOffsetsToTxn, and what Produce and TxnOffsetCommit add by themselves.
    Add(AddPartitions),
    /// AddPartitionsToTxn with `verify_only`, and Produce of clients that add partitions themselves.
    Verify(VerifyPartitions),
    /// EndTxn.
    End(EndTransaction),
    /// All markers of a transaction that was being ended are durable.
    MarkersWritten(MarkersWritten),
    /// DescribeTransactions, one id.
    Describe(TransactionalId),
    /// ListTransactions.
    List(ListTransactions),
}

/// The answer to the command of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionReply {
    /// To `Init`: the producer that may write from now on.
    Init(Answer<Producer>),
    /// To `Add`.
    Add(Answer<()>),
    /// To `Verify`: whether the transaction covers each partition, in the order asked.
    Verify(Answer<Vec<bool>>),
    /// To `End`: the producer that may write the next transaction.
    End(Answer<Producer>),
    /// To `MarkersWritten`.
    Completed,
    /// To `Describe`; `None` if the id is not known.
    Description(Option<Box<Transaction>>),
    /// To `List`.
    Listing(Vec<TransactionListing>),
}

/// An answer that may have to wait for the markers of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// It is so.
    Now(T),
    /// It is so when the markers of the transaction that is being ended are written.
    AfterMarkers(T),
    /// To be asked again when those markers are written.
    AskAgainAfterMarkers,
    /// To be asked again with a fresh producer id.
    NeedsProducerId,
    /// No.
    Refused(ErrorCode),
}

/// A producer asks for its id and epoch; whoever had them before is fenced.
#[derive(Clone, Debug)]
pub struct InitProducer {
    /// The producer's lasting name.
    pub transactional_id: TransactionalId,
    /// How long its transactions may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// What the producer believes it has (KIP-360). Since v3 of InitProducerId.
    pub expected: Option<Producer>,
    /// A producer id that nobody has; used only where `NeedsProducerId` was answered.
    pub fresh_producer_id: Option<i64>,
}

/// Partitions that the producer is about to write to.
#[derive(Clone, Debug)]
pub struct AddPartitions {
    /// The producer's lasting name.
    pub transactional_id: TransactionalId,
    /// The producer.
    pub producer: Producer,
    /// The partitions; known to exist.
    pub partitions: Vec<(TopicName, i32)>,
    /// What the client knows.
    pub client: ClientVersion,
}

/// A question whether partitions are part of the producer's open transaction.
#[derive(Clone, Debug)]
pub struct VerifyPartitions {
    /// The producer's lasting name.
    pub transactional_id: TransactionalId,
    /// The producer.
    pub producer: Producer,
    /// The partitions.
    pub partitions: Vec<(TopicName, i32)>,
}

/// The producer ends its transaction.
#[derive(Clone, Debug)]
pub struct EndTransaction {
    /// The producer's lasting name.
    pub transactional_id: TransactionalId,
    /// The producer.
    pub producer: Producer,
    /// Commit or abort.
    pub outcome: Outcome,
    /// What the client knows.
    pub client: ClientVersion,
    /// A producer id that nobody has; used only where `NeedsProducerId` was answered.
    pub fresh_producer_id: Option<i64>,
}

/// Which transaction's markers are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkersWritten {
    /// The producer's lasting name.
    pub transactional_id: TransactionalId,
    /// The producer as it stands in the prepared state.
    pub producer: Producer,
    /// When the outcome was fixed: producers of version 1 keep their epoch from one transaction to the next.
    pub prepared_at: Timestamp,
}

/// Which transactions to list; an empty set means no filter.
#[derive(Clone, Debug, Default)]
pub struct ListTransactions {
    /// States.
    pub states: BTreeSet<TransactionState>,
    /// Producer ids.
    pub producer_ids: BTreeSet<i64>,
    /// Only those that were opened longer ago than this, in milliseconds; negative for all. Since v1 (KIP-994).
    pub duration_ms: i64,
}

/// A transactional id as ListTransactions shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionListing {
    /// The id.
    pub transactional_id: TransactionalId,
    /// Its producer's id.
    pub producer_id: i64,
    /// Where it stands.
    pub state: TransactionState,
}

//! One transactional id: its producer, the transaction it has open or had last, and the steps between its states.
//!
//! ```text
//! Empty | CompleteCommit | CompleteAbort --add--> Ongoing --end--> PrepareCommit | PrepareAbort --markers--> Complete…
//! ```
//! - A producer's epoch never goes back under one producer id; when epochs are used up the id changes.
//! - From `Prepare…` on the outcome is fixed: only `complete` leads out.

use std::collections::BTreeSet;

use crate::Timestamp;
use crate::group::id::TopicName;

/// Epochs up to this one are given to producers; the one above it is left to fence the last of them.
pub const EPOCH_MAX: i16 = i16::MAX - 1;

/// The transaction version written where the broker itself ends a transaction.
const BROKER_VERSION: i16 = 2;

/// A producer id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// The id.
    pub id: i64,
    /// The epoch, from 0.
    pub epoch: i16,
}

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// A producer has the id, and has opened no transaction.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The transaction will commit; its markers are being written.
    PrepareCommit,
    /// The transaction will abort; its markers are being written.
    PrepareAbort,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
}

impl TransactionState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// The name in DescribeTransactions and ListTransactions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// The number in records.
    #[must_use]
    pub fn id(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
        }
    }

    /// The state with this number; `None` also for `Dead` (6) and `PrepareEpochFence` (7), which are never written.
    #[must_use]
    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    /// How the transaction ends, while its markers are being written.
    #[must_use]
    pub fn prepared(self) -> Option<Outcome> {
        match self {
            Self::PrepareCommit => Some(Outcome::Commit),
            Self::PrepareAbort => Some(Outcome::Abort),
            Self::Empty | Self::Ongoing | Self::CompleteCommit | Self::CompleteAbort => None,
        }
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// Its records never were.
    Abort,
}

/// What a client knows of KIP-890.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVersion {
    /// Its epoch stays the same from one transaction to the next.
    V1,
    /// Its epoch rises with each transaction, and partitions are added by writing to them.
    V2,
}

impl ClientVersion {
    /// The number in records; what came before KIP-890 counts as 0.
    fn number(self) -> i16 {
        match self {
            Self::V1 => 0,
            Self::V2 => BROKER_VERSION,
        }
    }
}

/// What is written of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who may write.
    pub producer: Producer,
    /// The producer id before the last change of this state; -1 if there was none.
    pub previous_producer_id: i64,
    /// The producer id that the producer goes on with when the transaction is complete; -1 if it keeps its own.
    pub next_producer_id: i64,
    /// How long a transaction may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: TransactionState,
    /// The partitions that get a marker when the transaction ends.
    pub partitions: BTreeSet<(TopicName, i32)>,
    /// When the last transaction was opened; `None` before the first.
    pub started_at: Option<Timestamp>,
    /// When this was last written.
    pub updated_at: Timestamp,
    /// The transaction version of the client that caused this state.
    pub client_version: i16,
}

impl Transaction {
    /// A transactional id that is used for the first time.
    pub(super) fn first(producer_id: i64, timeout_ms: i32, now: Timestamp) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: 0 },
            previous_producer_id: producer_id,
            next_producer_id: -1,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started_at: None,
            updated_at: now,
            client_version: 0,
        }
    }

    /// Whether no further epoch may be given out under the producer id.
    pub(super) fn is_epoch_exhausted(&self) -> bool {
        self.producer.epoch >= EPOCH_MAX
    }

    /// Whether the transaction is open and its time is up.
    pub(super) fn times_out_at(&self) -> Option<Timestamp> {
        // Two-phase commit (KIP-939) writes the largest timeout for "none".
        if self.state != TransactionState::Ongoing || self.timeout_ms == i32::MAX {
            return None;
        }
        self.started_at.map(|started| started.plus_ms(i64::from(self.timeout_ms)))
    }

    /// The producer that may go on once the transaction is complete.
    #[must_use]
    pub fn successor(&self) -> Producer {
        if self.next_producer_id >= 0 {
            Producer { id: self.next_producer_id, epoch: 0 }
        } else {
            self.producer
        }
    }

    /// Whether the epoch rose when the transaction that stands here was ended.
    pub(super) fn raised_epoch(&self) -> bool {
        self.client_version >= BROKER_VERSION
    }

    fn changed(&self, now: Timestamp) -> Self {
        let updated_at = now.max(self.updated_at);
        Self { previous_producer_id: self.producer.id, updated_at, ..self.clone() }
    }

    /// No two transactions of an id have their outcomes fixed at the same time: it tells them apart where the epoch
    /// does not.
    fn changed_later(&self, now: Timestamp) -> Self {
        self.changed(now.max(self.updated_at.plus_ms(1)))
    }

    /// Another producer, or the same one with another epoch; no transaction is open.
    pub(super) fn with_producer(
        &self,
        now: Timestamp,
        producer: Producer,
        timeout_ms: i32,
    ) -> Self {
        Self {
            producer,
            timeout_ms,
            next_producer_id: -1,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started_at: None,
            ..self.changed(now)
        }
    }

    /// The transaction is open and covers `partitions` too.
    pub(super) fn with_partitions(
        &self,
        now: Timestamp,
        partitions: &[(TopicName, i32)],
        client: ClientVersion,
    ) -> Self {
        let mut next = self.changed(now);
        if self.state != TransactionState::Ongoing {
            next.started_at = Some(now);
            next.partitions.clear();
        }
        next.partitions.extend(partitions.iter().cloned());
        next.state = TransactionState::Ongoing;
        next.client_version = client.number();
        next
    }

    /// The outcome is fixed, by the producer. Under V2 its epoch rises; `next_producer_id` is where it goes on when
    /// its epochs are used up.
    pub(super) fn prepared(
        &self,
        now: Timestamp,
        outcome: Outcome,
        client: ClientVersion,
        next_producer_id: Option<i64>,
    ) -> Self {
        let mut next = self.changed_later(now);
        next.state = prepare_state(outcome);
        next.client_version = client.number();
        next.next_producer_id = next_producer_id.unwrap_or(-1);
        if client == ClientVersion::V2 {
            next.producer.epoch = self.producer.epoch.saturating_add(1);
        }
        if self.state != TransactionState::Ongoing {
            next.started_at = Some(now);
            next.partitions.clear();
        }
        next
    }

    /// The transaction is aborted over its producer's head, whose epoch has passed. It rises by one, as if the producer
    /// had aborted it: under V2 its own request to abort finds that done, and it goes on (KIP-588).
    pub(super) fn fenced(&self, now: Timestamp) -> Self {
        let mut next = self.changed_later(now);
        next.state = TransactionState::PrepareAbort;
        next.producer.epoch = self.producer.epoch.saturating_add(1);
        next.next_producer_id = -1;
        next.client_version = BROKER_VERSION;
        next
    }

    /// All markers are written. `None` if the transaction is not being ended.
    pub(super) fn completed(&self, now: Timestamp) -> Option<Self> {
        let outcome = self.state.prepared()?;
        let mut next = self.changed(now);
        next.state = match outcome {
            Outcome::Commit => TransactionState::CompleteCommit,
            Outcome::Abort => TransactionState::CompleteAbort,
        };
        next.producer = self.successor();
        next.next_producer_id = -1;
        next.partitions.clear();
        Some(next)
    }
}

fn prepare_state(outcome: Outcome) -> TransactionState {
    match outcome {
        Outcome::Commit => TransactionState::PrepareCommit,
        Outcome::Abort => TransactionState::PrepareAbort,
    }
}

//! Idempotence and transactions: what each producer last wrote, and whether its next batch fits.
//!
//! - A batch among a producer's last five is a duplicate and gets its first offset again.
//! - A producer that is not known may start with any sequence (it was idle for long, or the log was cut), unless its
//!   transactions are of version 2: those start at 0, so that a first batch that was lost is noticed (KIP-890).
//! - A transaction begins with its first batch and ends with a marker; a producer has one at a time.
//! - Batches and markers of coordinators carry no sequence; theirs is not checked.

mod marker;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use aquifer_broker_protocol::batch::BatchHeader;

use crate::SequenceError;
use crate::transaction_index::AbortedEntry;
use crate::transactions::Transactions;

pub(crate) use marker::Marker;
pub(crate) use snapshot::snapshot_path;

/// How many batches of a producer are remembered: as many as a client may have in flight.
const BATCHES_MAX: usize = 5;

/// One batch that a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducedBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    /// The largest timestamp, milliseconds; of a batch from a snapshot, when its producer was last heard of.
    pub(crate) max_timestamp_ms: i64,
}

impl ProducedBatch {
    pub(crate) fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn base_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        let wrapped = if first < 0 { first + i64::from(i32::MAX) + 1 } else { first };
        i32::try_from(wrapped).unwrap_or(0)
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Producer {
    epoch: i16,
    /// Oldest first; empty when only a marker is known of this epoch.
    batches: Vec<ProducedBatch>,
    /// When it last wrote, by the broker's clock, milliseconds.
    last_seen_ms: i64,
    /// The largest timestamp of its last batch or marker, milliseconds.
    last_timestamp_ms: i64,
    /// Of the last marker; -1 before the first.
    coordinator_epoch: i32,
    transaction_first_offset: Option<i64>,
}

/// A producer, as `Log::producers` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerInfo {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence of its last record; -1 when it wrote none in this epoch.
    pub last_sequence: i32,
    /// The largest timestamp of what it last wrote, milliseconds.
    pub last_timestamp_ms: i64,
    /// The epoch of the coordinator that ended its last transaction; -1 when there was none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub open_transaction: Option<i64>,
}

/// What a producer wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastWrite {
    /// Its epoch.
    pub(crate) epoch: i16,
    /// The offset of its last record; `None` when it wrote none in this epoch.
    pub(crate) data_offset: Option<i64>,
}

/// What a marker's producer epoch must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MarkerEpoch {
    /// At least that of the transaction's batches (transaction versions 0 and 1).
    #[default]
    Same,
    /// Above that of the transaction's batches, as transaction version 2 (KIP-890) raises it with each end. A marker that is
    /// repeated when no transaction is open passes.
    Raised,
}

/// Where a transactional producer may start that the partition knows nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstSequence {
    /// Anywhere: its state may have expired, or gone with its records (transaction versions 0 and 1).
    #[default]
    Any,
    /// At 0, as each transaction of version 2 (KIP-890) does: what comes first may not be what was sent first.
    Zero,
}

/// What a batch or marker has to keep, by the transaction version it comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppendRules {
    /// The epoch of a marker.
    pub marker_epoch: MarkerEpoch,
    /// The first sequence of a transactional producer.
    pub first_sequence: FirstSequence,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct ProducerState {
    producers: HashMap<i64, Producer>,
    /// Producers as they will be when what is staged is written.
    staged: HashMap<i64, Producer>,
    transactions: Arc<Transactions>,
}

impl Producer {
    fn new(batch: &BatchHeader, now_ms: i64) -> Self {
        Self {
            epoch: batch.producer_epoch,
            batches: Vec::new(),
            last_seen_ms: now_ms,
            last_timestamp_ms: batch.max_timestamp,
            coordinator_epoch: -1,
            transaction_first_offset: None,
        }
    }

    fn take_epoch(&mut self, batch: &BatchHeader, now_ms: i64) {
        if self.epoch != batch.producer_epoch {
            self.batches.clear();
            self.epoch = batch.producer_epoch;
        }
        self.last_seen_ms = now_ms;
        self.last_timestamp_ms = batch.max_timestamp;
    }

    /// Takes over a batch of records; the first offset of a transaction that begins with it.
    fn append(&mut self, batch: &BatchHeader, now_ms: i64) -> Option<i64> {
        self.take_epoch(batch, now_ms);
        if self.batches.len() == BATCHES_MAX {
            self.batches.remove(0);
        }
        self.batches.push(ProducedBatch {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: batch.last_offset_delta,
            max_timestamp_ms: batch.max_timestamp,
        });
        if !batch.is_transactional() || self.transaction_first_offset.is_some() {
            return None;
        }
        self.transaction_first_offset = Some(batch.base_offset);
        self.transaction_first_offset
    }

    /// Takes over a marker; the first offset of the transaction that ends with it.
    fn end_transaction(
        &mut self,
        batch: &BatchHeader,
        marker: &Marker,
        now_ms: i64,
    ) -> Option<i64> {
        self.take_epoch(batch, now_ms);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.transaction_first_offset.take()
    }
}

/// What the check of a batch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// It is the producer's next batch, or has no producer.
    Next,
    /// It was written before, there.
    Duplicate(ProducedBatch),
}

fn follows(last: i32, next: i32) -> bool {
    next == if last == i32::MAX { 0 } else { last + 1 }
}

impl ProducerState {
    fn known(&self, batch: &BatchHeader) -> Option<&Producer> {
        self.staged.get(&batch.producer_id).or_else(|| self.producers.get(&batch.producer_id))
    }

    /// `check_with` where a producer that is not known may start anywhere.
    #[cfg(test)]
    pub(crate) fn check(&self, batch: &BatchHeader) -> Result<SequenceCheck, SequenceError> {
        self.check_with(batch, FirstSequence::Any)
    }

    /// Whether a batch of records may be appended.
    pub(crate) fn check_with(
        &self,
        batch: &BatchHeader,
        first: FirstSequence,
    ) -> Result<SequenceCheck, SequenceError> {
        if !batch.has_producer_id() || batch.is_control() {
            return Ok(SequenceCheck::Next);
        }
        let Some(known) = self.known(batch) else {
            return if first == FirstSequence::Zero
                && batch.is_transactional()
                && batch.base_sequence > 0
            {
                Err(out_of_order(batch, -1))
            } else {
                Ok(SequenceCheck::Next)
            };
        };
        // Coordinators write without sequences; what they write for a producer is fenced by its epoch all the same.
        if batch.base_sequence >= 0
            && batch.producer_epoch == known.epoch
            && let Some(produced) = known.batches.iter().find(|produced| {
                produced.base_sequence() == batch.base_sequence
                    && produced.last_sequence == batch.last_sequence()
            })
        {
            return Ok(SequenceCheck::Duplicate(*produced));
        }
        check_epoch(batch, known)?;
        if batch.base_sequence >= 0 {
            check_sequence(batch, known)?;
        }
        match known.transaction_first_offset {
            Some(first_offset) if !batch.is_transactional() => {
                Err(SequenceError::TransactionOpen { producer_id: batch.producer_id, first_offset })
            }
            _ => Ok(SequenceCheck::Next),
        }
    }

    /// Whether a marker may be appended.
    pub(crate) fn check_marker(
        &self,
        batch: &BatchHeader,
        marker: &Marker,
        epoch: MarkerEpoch,
    ) -> Result<(), SequenceError> {
        let Some(known) = self.known(batch) else { return Ok(()) };
        check_epoch(batch, known)?;
        if epoch == MarkerEpoch::Raised
            && batch.producer_epoch == known.epoch
            && known.transaction_first_offset.is_some()
        {
            // It ended an earlier transaction, and must not end this one.
            return Err(old_epoch(batch, known));
        }
        if known.coordinator_epoch > marker.coordinator_epoch {
            return Err(SequenceError::CoordinatorFenced {
                producer_id: batch.producer_id,
                epoch: marker.coordinator_epoch,
                current: known.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Takes over a batch that was given its offset and is about to be written.
    pub(crate) fn stage(&mut self, batch: &BatchHeader, now_ms: i64) {
        if batch.has_producer_id() && !batch.is_control() {
            self.staged_producer(batch, now_ms).append(batch, now_ms);
        }
    }

    /// `stage` for a marker.
    pub(crate) fn stage_marker(&mut self, batch: &BatchHeader, marker: &Marker, now_ms: i64) {
        self.staged_producer(batch, now_ms).end_transaction(batch, marker, now_ms);
    }

    fn staged_producer(&mut self, batch: &BatchHeader, now_ms: i64) -> &mut Producer {
        let known = self.producers.get(&batch.producer_id);
        self.staged
            .entry(batch.producer_id)
            .or_insert_with(|| known.cloned().unwrap_or_else(|| Producer::new(batch, now_ms)))
    }

    /// Forgets what was staged: it was written and applied, or failed.
    pub(crate) fn clear_staged(&mut self) {
        self.staged.clear();
    }

    /// Takes over a batch of records that is in the log.
    pub(crate) fn apply(&mut self, batch: &BatchHeader, now_ms: i64) {
        if !batch.has_producer_id() || batch.is_control() {
            return;
        }
        let producer =
            self.producers.entry(batch.producer_id).or_insert_with(|| Producer::new(batch, now_ms));
        if let Some(first_offset) = producer.append(batch, now_ms) {
            self.transactions.begin(batch.producer_id, first_offset);
        }
    }

    /// Takes over a marker that is in the log; what the index has to note of the transaction, if one was aborted.
    pub(crate) fn apply_marker(
        &mut self,
        batch: &BatchHeader,
        marker: &Marker,
        now_ms: i64,
    ) -> Option<AbortedEntry> {
        let producer_id = batch.producer_id;
        let producer =
            self.producers.entry(producer_id).or_insert_with(|| Producer::new(batch, now_ms));
        let first_offset = producer.end_transaction(batch, marker, now_ms)?;
        let last_offset = batch.base_offset;
        let last_stable_offset = self.transactions.end(producer_id, first_offset, last_offset);
        if marker.committed {
            return None;
        }
        let entry = AbortedEntry { producer_id, first_offset, last_offset, last_stable_offset };
        self.transactions.note_aborted(entry);
        Some(entry)
    }

    /// Forgets producers that have been idle for `expiration_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.transaction_first_offset.is_some()
                || now_ms.saturating_sub(producer.last_seen_ms) < expiration_ms
        });
    }

    /// The producers that are known, in no order.
    pub(crate) fn list(&self) -> impl Iterator<Item = ProducerInfo> + '_ {
        self.producers.iter().map(|(id, producer)| ProducerInfo {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.last().map_or(-1, |last| last.last_sequence),
            last_timestamp_ms: producer.last_timestamp_ms,
            coordinator_epoch: producer.coordinator_epoch,
            open_transaction: producer.transaction_first_offset,
        })
    }

    /// What each known producer wrote last, for compaction to keep.
    pub(crate) fn last_writes(&self) -> HashMap<i64, LastWrite> {
        let last = |producer: &Producer| LastWrite {
            epoch: producer.epoch,
            data_offset: producer.batches.last().map(|batch| batch.last_offset),
        };
        self.producers.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// What readers see of the transactions.
    pub(crate) fn transactions(&self) -> &Arc<Transactions> {
        &self.transactions
    }

    /// Puts another state in place of this one. Readers go on with the same `Transactions`, and see one or the other.
    pub(crate) fn replace(&mut self, mut fresh: Self) {
        self.transactions.replace(&fresh.transactions);
        fresh.transactions = Arc::clone(&self.transactions);
        *self = fresh;
    }

    /// How many producers are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }
}

fn old_epoch(batch: &BatchHeader, known: &Producer) -> SequenceError {
    SequenceError::OldEpoch {
        producer_id: batch.producer_id,
        epoch: batch.producer_epoch,
        current: known.epoch,
    }
}

fn check_epoch(batch: &BatchHeader, known: &Producer) -> Result<(), SequenceError> {
    if batch.producer_epoch < known.epoch { Err(old_epoch(batch, known)) } else { Ok(()) }
}

fn check_sequence(batch: &BatchHeader, known: &Producer) -> Result<(), SequenceError> {
    // A new epoch, begun by a marker or by this batch, starts at 0.
    let last_sequence = if batch.producer_epoch == known.epoch {
        known.batches.last().map_or(-1, |last| last.last_sequence)
    } else {
        -1
    };
    if follows(last_sequence, batch.base_sequence) {
        return Ok(());
    }
    Err(out_of_order(batch, last_sequence))
}

fn out_of_order(batch: &BatchHeader, last_sequence: i32) -> SequenceError {
    SequenceError::OutOfOrder {
        producer_id: batch.producer_id,
        sequence: batch.base_sequence,
        last_sequence,
    }
}

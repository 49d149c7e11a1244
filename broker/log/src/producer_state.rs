//! Idempotence: what each producer last wrote, and whether its next batch follows.
//!
//! - A batch among a producer's last five is a duplicate and gets its first offset again.
//! - A producer that is not known may start with any sequence (it was idle for long, or the log was cut).
//! - Snapshots are Kafka's `.snapshot` files; they hold the last batch of each producer only.

use std::collections::HashMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use aquifer_broker_protocol::batch::BatchHeader;

use crate::fs::{FileSystem, OpenHow};
use crate::{LogError, SequenceError};

/// How many batches of a producer are remembered: as many as a client may have in flight.
const BATCHES_MAX: usize = 5;

/// One batch that a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducedBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
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
    /// Oldest first; never empty for an idempotent producer.
    batches: Vec<ProducedBatch>,
    /// When it last wrote, by the broker's clock, milliseconds.
    last_seen_ms: i64,
    coordinator_epoch: i32,
    transaction_first_offset: Option<i64>,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct ProducerState {
    producers: HashMap<i64, Producer>,
    /// Producers as they will be when what is staged is written.
    staged: HashMap<i64, Producer>,
}

impl Producer {
    fn new(batch: &BatchHeader, now_ms: i64) -> Self {
        Self {
            epoch: batch.producer_epoch,
            batches: Vec::new(),
            last_seen_ms: now_ms,
            coordinator_epoch: -1,
            transaction_first_offset: None,
        }
    }

    fn apply(&mut self, batch: &BatchHeader, now_ms: i64) {
        if self.epoch != batch.producer_epoch {
            self.batches.clear();
            self.epoch = batch.producer_epoch;
        }
        self.last_seen_ms = now_ms;
        if !batch.is_control() {
            if self.batches.len() == BATCHES_MAX {
                self.batches.remove(0);
            }
            self.batches.push(ProducedBatch {
                last_sequence: batch.last_sequence(),
                last_offset: batch.last_offset(),
                offset_delta: batch.last_offset_delta,
            });
        }
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
    /// Whether the batch may be appended.
    pub(crate) fn check(&self, batch: &BatchHeader) -> Result<SequenceCheck, SequenceError> {
        // Control batches are written by coordinators and carry no sequence.
        if !batch.has_producer_id() || batch.is_control() {
            return Ok(SequenceCheck::Next);
        }
        let known =
            self.staged.get(&batch.producer_id).or_else(|| self.producers.get(&batch.producer_id));
        let Some(known) = known else { return Ok(SequenceCheck::Next) };
        if batch.producer_epoch < known.epoch {
            return Err(SequenceError::OldEpoch {
                producer_id: batch.producer_id,
                epoch: batch.producer_epoch,
                current: known.epoch,
            });
        }
        let last_sequence = known.batches.last().map_or(-1, |last| last.last_sequence);
        let out_of_order = |last| SequenceError::OutOfOrder {
            producer_id: batch.producer_id,
            sequence: batch.base_sequence,
            last_sequence: last,
        };
        if batch.producer_epoch > known.epoch {
            return if batch.base_sequence == 0 {
                Ok(SequenceCheck::Next)
            } else {
                Err(out_of_order(-1))
            };
        }
        let duplicate = known.batches.iter().find(|produced| {
            produced.base_sequence() == batch.base_sequence
                && produced.last_sequence == batch.last_sequence()
        });
        match duplicate {
            Some(produced) => Ok(SequenceCheck::Duplicate(*produced)),
            None if last_sequence < 0 || follows(last_sequence, batch.base_sequence) => {
                Ok(SequenceCheck::Next)
            }
            None => Err(out_of_order(last_sequence)),
        }
    }

    /// Takes over a batch that was given its offset and is about to be written.
    pub(crate) fn stage(&mut self, batch: &BatchHeader, now_ms: i64) {
        if !batch.has_producer_id() {
            return;
        }
        let known =
            self.staged.get(&batch.producer_id).or_else(|| self.producers.get(&batch.producer_id));
        let mut producer = known.cloned().unwrap_or_else(|| Producer::new(batch, now_ms));
        producer.apply(batch, now_ms);
        self.staged.insert(batch.producer_id, producer);
    }

    /// Forgets what was staged: it was written and applied, or failed.
    pub(crate) fn clear_staged(&mut self) {
        self.staged.clear();
    }

    /// Takes over a batch that is in the log.
    pub(crate) fn apply(&mut self, batch: &BatchHeader, now_ms: i64) {
        if batch.has_producer_id() {
            let producer = self
                .producers
                .entry(batch.producer_id)
                .or_insert_with(|| Producer::new(batch, now_ms));
            producer.apply(batch, now_ms);
        }
    }

    /// Forgets producers that have been idle for `expiration_ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.transaction_first_offset.is_some()
                || now_ms.saturating_sub(producer.last_seen_ms) < expiration_ms
        });
    }

    /// How many producers are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    /// The bytes of a snapshot file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(4 + 44 * self.producers.len());
        let count = i32::try_from(self.producers.len()).unwrap_or(i32::MAX);
        body.extend_from_slice(&count.to_be_bytes());
        let mut ids: Vec<_> = self.producers.keys().collect();
        ids.sort_unstable();
        for id in ids.into_iter().take(usize::try_from(count).unwrap_or(0)) {
            let producer = &self.producers[id];
            let last = producer.batches.last();
            body.extend_from_slice(&id.to_be_bytes());
            body.extend_from_slice(&producer.epoch.to_be_bytes());
            body.extend_from_slice(&last.map_or(-1, |batch| batch.last_sequence).to_be_bytes());
            body.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
            body.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
            body.extend_from_slice(&producer.last_seen_ms.to_be_bytes());
            body.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
            body.extend_from_slice(&producer.transaction_first_offset.unwrap_or(-1).to_be_bytes());
        }
        let mut file = Vec::with_capacity(body.len() + 6);
        file.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        file.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
        file.extend_from_slice(&body);
        file
    }

    /// Reads a snapshot file; `None` when it is torn or of another version.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (head, rest) = bytes.split_first_chunk::<N>()?;
            *bytes = rest;
            Some(*head)
        }
        let mut rest = file;
        if i16::from_be_bytes(take(&mut rest)?) != SNAPSHOT_VERSION {
            return None;
        }
        if u32::from_be_bytes(take(&mut rest)?) != crc32c::crc32c(rest) {
            return None;
        }
        let count = i32::from_be_bytes(take(&mut rest)?);
        let mut producers = HashMap::new();
        for _ in 0..count {
            let id = i64::from_be_bytes(take(&mut rest)?);
            let epoch = i16::from_be_bytes(take(&mut rest)?);
            let last_sequence = i32::from_be_bytes(take(&mut rest)?);
            let last_offset = i64::from_be_bytes(take(&mut rest)?);
            let offset_delta = i32::from_be_bytes(take(&mut rest)?);
            let last_seen_ms = i64::from_be_bytes(take(&mut rest)?);
            let coordinator_epoch = i32::from_be_bytes(take(&mut rest)?);
            let first = i64::from_be_bytes(take(&mut rest)?);
            let batches = if last_offset >= 0 && last_sequence >= 0 {
                vec![ProducedBatch { last_sequence, last_offset, offset_delta }]
            } else {
                Vec::new()
            };
            let transaction_first_offset = (first >= 0).then_some(first);
            producers.insert(
                id,
                Producer {
                    epoch,
                    batches,
                    last_seen_ms,
                    coordinator_epoch,
                    transaction_first_offset,
                },
            );
        }
        rest.is_empty().then(|| Self { producers, staged: HashMap::new() })
    }

    /// Writes the snapshot for the state before `offset`. Not synced: a torn file is recognised and passed over.
    pub(crate) fn write_snapshot(
        &self,
        fs: &dyn FileSystem,
        directory: &Path,
        offset: i64,
    ) -> Result<(), LogError> {
        let path = snapshot_path(directory, offset);
        let write = || {
            let file = fs.open(&path, OpenHow::Truncate)?;
            file.write_all_at(&mut [IoSlice::new(&self.encode())], 0)
        };
        write().map_err(LogError::io("write", &path))
    }
}

const SNAPSHOT_VERSION: i16 = 1;

/// Where the snapshot of the state before `offset` lies.
pub(crate) fn snapshot_path(directory: &Path, offset: i64) -> PathBuf {
    directory.join(format!("{offset:020}.snapshot"))
}

#[cfg(test)]
mod tests;

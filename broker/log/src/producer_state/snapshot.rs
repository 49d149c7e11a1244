//! The `.snapshot` files: the last batch of each producer, its epoch and its open transaction.
//!
//! - The format is Kafka's. What it calls the timestamp is when the producer was last heard of.

use std::collections::HashMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use super::{ProducedBatch, Producer, ProducerState};
use crate::LogError;
use crate::fs::{FileSystem, OpenHow};

const SNAPSHOT_VERSION: i16 = 1;

/// Where the snapshot of the state before `offset` lies.
pub(crate) fn snapshot_path(directory: &Path, offset: i64) -> PathBuf {
    directory.join(format!("{offset:020}.snapshot"))
}

impl ProducerState {
    /// The bytes of a snapshot file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(4 + 46 * self.producers.len());
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
            let last = (last_offset >= 0).then_some(ProducedBatch {
                last_sequence,
                last_offset,
                offset_delta,
                max_timestamp_ms: last_seen_ms,
            });
            let producer = Producer {
                epoch,
                batches: last.into_iter().collect(),
                last_seen_ms,
                last_timestamp_ms: last_seen_ms,
                coordinator_epoch,
                transaction_first_offset: (first >= 0).then_some(first),
            };
            producers.insert(id, producer);
        }
        if !rest.is_empty() {
            return None;
        }
        let state = Self { producers, ..Self::default() };
        for (id, producer) in &state.producers {
            if let Some(first) = producer.transaction_first_offset {
                state.transactions.begin(*id, first);
            }
        }
        Some(state)
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

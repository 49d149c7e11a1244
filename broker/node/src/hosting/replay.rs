//! Feeds a machine the log it once wrote.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aquifer_broker_coordinator::Machine;
use aquifer_broker_coordinator::machine::BatchKind;
use aquifer_broker_protocol::batch::{BatchHeader, Record, RecordBatch};
use aquifer_broker_protocol::control::{ControlRecord, read_control};
use bytes::Bytes;

use super::HostError;
use crate::partition::{FileRange, LogSlice, Partition, ReadBound};

/// How much is read at a time.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Applies every durable record of `partition` to `machine`; answers how many there were.
pub(super) async fn replay<M: Machine>(
    partition: &Arc<Partition>,
    machine: &mut M,
) -> Result<u64, HostError> {
    let log = format!("{}-{}", partition.id().topic, partition.id().partition);
    let offsets = partition.offsets();
    let (mut offset, end) = (offsets.log_start, offsets.high_watermark);
    let mut applied = 0;
    while offset < end {
        let result = partition.fetch(offset, READ_BYTES, ReadBound::HighWatermark).await;
        let result = result.map_err(|source| HostError::Partition { log: log.clone(), source })?;
        let before = offset;
        for slice in result.slices {
            let bytes = match slice {
                LogSlice::Bytes(bytes) => bytes,
                LogSlice::File(range) => read_range(range)
                    .await
                    .map_err(|source| HostError::File { log: log.clone(), source })?,
            };
            offset = apply_batches(&log, &bytes, offset, machine, &mut applied)?;
        }
        if offset == before {
            return Err(HostError::Hole { log, offset, high_watermark: end });
        }
    }
    Ok(applied)
}

fn apply_batches<M: Machine>(
    log: &str,
    bytes: &[u8],
    from: i64,
    machine: &mut M,
    applied: &mut u64,
) -> Result<i64, HostError> {
    let mut next = from;
    for batch in RecordBatch::parse_all(bytes) {
        let broken = |source| HostError::Batch { log: log.to_owned(), offset: next, source };
        let batch = batch.map_err(broken)?;
        if batch.header().last_offset() < from {
            continue;
        }
        for record in batch.records().map_err(broken)? {
            let record = record.map_err(broken)?;
            let Some(kind) = kind(batch.header(), &record) else { continue };
            let decoded = match kind {
                BatchKind::Plain => M::decode(record.key, record.value),
                BatchKind::Transactional { .. } | BatchKind::Marker { .. } => {
                    M::decode_in(kind, record.key, record.value)
                }
            };
            let unreadable = |source| HostError::Record {
                log: log.to_owned(),
                offset: batch.header().base_offset,
                source,
            };
            if let Some(record) = decoded.map_err(unreadable)? {
                machine.apply(&record);
                *applied += 1;
            }
        }
        next = batch.header().next_offset();
    }
    Ok(next)
}

/// What kind of record this is; `None` for control records that mean nothing to a machine.
fn kind(batch: &BatchHeader, record: &Record<'_>) -> Option<BatchKind> {
    let (producer_id, producer_epoch) = (batch.producer_id, batch.producer_epoch);
    if !batch.is_control() {
        return Some(if batch.is_transactional() {
            BatchKind::Transactional { producer_id, producer_epoch }
        } else {
            BatchKind::Plain
        });
    }
    match read_control(record) {
        ControlRecord::EndTransaction(marker) => Some(BatchKind::Marker {
            producer_id,
            producer_epoch,
            commit: marker.commit,
            coordinator_epoch: marker.coordinator_epoch,
        }),
        ControlRecord::Other => None,
    }
}

async fn read_range(range: FileRange) -> std::io::Result<Bytes> {
    let read = move || {
        let mut bytes = vec![0; usize::try_from(range.length).unwrap_or(usize::MAX)];
        range.file.read_exact_at(&mut bytes, range.position)?;
        Ok(Bytes::from(bytes))
    };
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}

//! Feeds a machine the log it once wrote.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aquifer_broker_coordinator::Machine;
use aquifer_broker_protocol::batch::RecordBatch;
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
        if !batch.header().is_control() {
            for record in batch.records().map_err(broken)? {
                let record = record.map_err(broken)?;
                let unreadable = |source| HostError::Record {
                    log: log.to_owned(),
                    offset: batch.header().base_offset,
                    source,
                };
                if let Some(record) = M::decode(record.key, record.value).map_err(unreadable)? {
                    machine.apply(&record);
                    *applied += 1;
                }
            }
        }
        next = batch.header().next_offset();
    }
    Ok(next)
}

async fn read_range(range: FileRange) -> std::io::Result<Bytes> {
    let read = move || {
        let mut bytes = vec![0; usize::try_from(range.length).unwrap_or(usize::MAX)];
        range.file.read_exact_at(&mut bytes, range.position)?;
        Ok(Bytes::from(bytes))
    };
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}

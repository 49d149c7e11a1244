//! Reading a partition: batches, offsets by time and epoch, and deleting records.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aquifer_broker_log::{Log, LogRange, ProducerInfo};
use bytes::Bytes;

use super::transactions::Aborted;
use super::{
    FileRange, LogSlice, Partition, PartitionError, PartitionOffsets, ReadBound, ReadResult, Slot,
    TimestampOffset,
};

impl Partition {
    /// Whole batches from the one that contains `from`, about `bytes_max` of them, at least one. May read the disk.
    pub(crate) fn read(
        &self,
        from: i64,
        bytes_max: usize,
        bound: ReadBound,
    ) -> Result<ReadResult, PartitionError> {
        if bound == ReadBound::LastStable {
            self.settle_now()?;
        }
        match self.read_memory(from, bytes_max, bound)? {
            Memory::Found(result) => Ok(result),
            Memory::WithoutAborted { mut result, to } => {
                result.aborted = self.aborted_now(from, to, bound, &result.slices)?;
                Ok(result)
            }
            Memory::NotThere { offsets, limit } => {
                let range = self.with_log(|log| Ok(log.read(from, bytes_max as u64, limit)?))?;
                let Some(range) = range else { return Ok(result(Vec::new(), offsets)) };
                let to = range.next_offset_max.min(limit);
                let slices = vec![self.checked_slice(range)?];
                let aborted = self.aborted_now(from, to, bound, &slices)?;
                Ok(ReadResult { aborted, ..result(slices, offsets) })
            }
        }
    }

    /// `read` for handlers: what has to come from the disk and was not checked yet is read on the blocking pool.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        from: i64,
        bytes_max: usize,
        bound: ReadBound,
    ) -> Result<ReadResult, PartitionError> {
        if bound == ReadBound::LastStable {
            self.settle().await?;
        }
        match self.read_memory(from, bytes_max, bound)? {
            Memory::Found(result) => return Ok(result),
            Memory::WithoutAborted { .. } => {}
            Memory::NotThere { offsets, limit } => {
                // A writer may hold the lock while the disk is busy, and no handler waits for that.
                if let Some(mut slot) = self.slot.try_lock()
                    && let Slot::Open(log) = &mut *slot
                    && let Some(range) = log.read(from, bytes_max as u64, limit)?
                    && range.checked
                {
                    let to = range.next_offset_max.min(limit);
                    let slices = vec![slice(range)?];
                    if let Aborted::Known(aborted) = self.aborted_in(from, to, bound, &slices) {
                        return Ok(ReadResult { aborted, ..result(slices, offsets) });
                    }
                }
            }
        }
        self.on_blocking_pool(move |partition| partition.read(from, bytes_max, bound)).await
    }

    /// What can be answered without the log: nothing to read, an offset out of range, or recent records.
    fn read_memory(
        &self,
        from: i64,
        bytes_max: usize,
        bound: ReadBound,
    ) -> Result<Memory, PartitionError> {
        let offsets = self.offsets();
        if self.is_gone() {
            return Err(self.gone_error());
        }
        let limit = match bound {
            ReadBound::LogEnd => offsets.log_end,
            ReadBound::HighWatermark => offsets.high_watermark,
            ReadBound::LastStable => offsets.last_stable,
        };
        if from < offsets.log_start || from > offsets.log_end {
            let (log_start, log_end) = (offsets.log_start, limit);
            return Err(PartitionError::OffsetOutOfRange { offset: from, log_start, log_end });
        }
        if from >= limit {
            return Ok(Memory::Found(result(Vec::new(), offsets)));
        }
        let slices = self.tail.lock().read(from, bytes_max, limit);
        let Some(slices) = slices else { return Ok(Memory::NotThere { offsets, limit }) };
        Ok(match self.aborted_in(from, limit, bound, &slices) {
            Aborted::Known(aborted) => {
                Memory::Found(ReadResult { aborted, ..result(slices, offsets) })
            }
            Aborted::Unknown { to } => {
                Memory::WithoutAborted { result: result(slices, offsets), to }
            }
        })
    }

    fn checked_slice(&self, range: LogRange) -> Result<LogSlice, PartitionError> {
        if !range.checked {
            if let Err(err) = range.check() {
                tracing::error!(topic = %self.id.topic, partition = self.id.partition, error = %err, "corrupt");
                return Err(err.into());
            }
            self.with_log(|log| {
                log.mark_checked(&range);
                Ok(())
            })?;
        }
        slice(range)
    }

    pub(super) fn with_log<R>(
        &self,
        act: impl FnOnce(&mut Log) -> Result<R, PartitionError>,
    ) -> Result<R, PartitionError> {
        let mut slot = self.slot.lock();
        act(self.open_log(&mut slot)?)
    }

    pub(super) async fn on_blocking_pool<R: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Arc<Self>) -> Result<R, PartitionError> + Send + 'static,
    ) -> Result<R, PartitionError> {
        let partition = Arc::clone(self);
        match tokio::task::spawn_blocking(move || act(&partition)).await {
            Ok(result) => result,
            Err(err) => Err(PartitionError::Storage(err.to_string())),
        }
    }

    /// The first record at or after `timestamp_ms`, if it is within `bound`.
    pub(crate) async fn offset_for_timestamp(
        self: &Arc<Self>,
        timestamp_ms: i64,
        bound: ReadBound,
    ) -> Result<Option<TimestampOffset>, PartitionError> {
        self.settle().await?;
        self.on_blocking_pool(move |partition| {
            let limit = partition.limit(bound);
            partition.with_log(|log| Ok(log.offset_for_timestamp(timestamp_ms, limit)?.map(found)))
        })
        .await
    }

    /// The record with the largest timestamp of all, if it is within `bound`.
    pub(crate) async fn max_timestamp(
        self: &Arc<Self>,
        bound: ReadBound,
    ) -> Result<Option<TimestampOffset>, PartitionError> {
        // What is the newest can only be said of records that are durable.
        self.synced_end().await?;
        self.settle().await?;
        self.on_blocking_pool(move |partition| {
            let limit = partition.limit(bound);
            let newest = partition.with_log(|log| Ok(log.max_timestamp()?.map(found)))?;
            Ok(newest.filter(|newest| newest.offset < limit))
        })
        .await
    }

    /// The largest leader epoch at or below `epoch` and the offset where it ends; (-1, -1) when unknown.
    pub(crate) fn offset_for_leader_epoch(&self, epoch: i32) -> Result<(i32, i64), PartitionError> {
        if epoch >= 0 && epoch == self.leader_epoch() {
            // An epoch begins when the leader takes over, before its first record.
            return Ok((epoch, self.log_end.load(Ordering::Acquire)));
        }
        let current = self.leader_epoch();
        self.with_log(|log| {
            let answer = log.end_offset_for_epoch(epoch);
            let follows_last =
                log.latest_epoch().is_some_and(|last| epoch > last) && epoch < current;
            Ok(if follows_last {
                (log.latest_epoch().unwrap_or(-1), log.log_end())
            } else {
                answer
            })
        })
    }

    /// The producers that the log knows, by id.
    pub(crate) async fn producers(self: &Arc<Self>) -> Result<Vec<ProducerInfo>, PartitionError> {
        let found = self.on_blocking_pool(|partition| {
            partition.with_log(|log| Ok(log.producers().collect::<Vec<_>>()))
        });
        let mut producers = found.await?;
        producers.sort_unstable_by_key(|producer| producer.id);
        Ok(producers)
    }

    /// Moves the log start to `before` (-1: the high watermark) and returns it, durably.
    pub(crate) async fn delete_records(
        self: &Arc<Self>,
        before: i64,
    ) -> Result<i64, PartitionError> {
        self.on_blocking_pool(move |partition| {
            let config = partition.config.load();
            if config.log.cleanup_compact && !config.log.cleanup_delete {
                let name = format!("{}-{}", partition.id.topic, partition.id.partition);
                return Err(PartitionError::PolicyViolation(name));
            }
            let offsets = partition.offsets();
            let before = if before == -1 { offsets.high_watermark } else { before };
            if before < 0 || before > offsets.high_watermark {
                return Err(PartitionError::OffsetOutOfRange {
                    offset: before,
                    log_start: offsets.log_start,
                    log_end: offsets.high_watermark,
                });
            }
            let log_start = partition.with_log(|log| Ok(log.delete_records(before)?))?;
            partition.log_start.fetch_max(log_start, Ordering::AcqRel);
            partition.shared.data_dir.set_log_start(
                &partition.id.topic,
                partition.id.partition,
                log_start,
            );
            partition.shared.data_dir.save_log_starts()?;
            Ok(log_start)
        })
        .await
    }
}

enum Memory {
    Found(ReadResult),
    /// The records are there, but only the log knows which transactions among them, up to `to`, were aborted.
    WithoutAborted {
        result: ReadResult,
        to: i64,
    },
    NotThere {
        offsets: PartitionOffsets,
        limit: i64,
    },
}

fn found(found: aquifer_broker_log::TimestampOffset) -> TimestampOffset {
    TimestampOffset { timestamp_ms: found.timestamp_ms, offset: found.offset }
}

fn result(slices: Vec<LogSlice>, offsets: PartitionOffsets) -> ReadResult {
    ReadResult {
        slices,
        high_watermark: offsets.high_watermark,
        log_start_offset: offsets.log_start,
        last_stable_offset: offsets.last_stable,
        aborted: Vec::new(),
    }
}

fn slice(range: LogRange) -> Result<LogSlice, PartitionError> {
    match (range.file.as_std(), u32::try_from(range.length)) {
        (Some(file), Ok(length)) => {
            Ok(LogSlice::File(FileRange { file, position: range.position, length }))
        }
        _ => Ok(LogSlice::Bytes(Bytes::from(range.read()?))),
    }
}

//! The thread that moves recovery points, applies retention and watches the free space.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aquifer_broker_log::OffsetMap;

use super::Partitions;
use crate::partition::{FlushMode, Partition, PartitionError, Slot};
use crate::writer;

/// A checkpoint after so many bytes, so that little has to be read again after a crash. Where nothing else syncs, a
/// checkpoint costs a sync of everything, so that there are fewer.
pub(super) const fn checkpoint_bytes(flush_mode: FlushMode) -> u64 {
    match flush_mode {
        FlushMode::Commit => 64 << 20,
        FlushMode::Os => 1 << 30,
    }
}
/// How often the keeper looks around.
const TICK: Duration = Duration::from_secs(1);
/// A checkpoint after so many milliseconds where everything is synced anyway.
const CHECKPOINT_COMMIT_MS: i64 = 5_000;
/// A checkpoint after so many milliseconds where nothing else syncs.
const CHECKPOINT_OS_MS: i64 = 30_000;

/// Starts the thread of these partitions. It holds no reference while it waits.
pub(super) fn start(partitions: &Arc<Partitions>, retention_check_ms: i64) -> std::io::Result<()> {
    let weak: Weak<Partitions> = Arc::downgrade(partitions);
    let shared = Arc::clone(&partitions.shared);
    let (mut checkpoint_at, mut retention_at) = (shared.clock.now_ms(), shared.clock.now_ms());
    let bytes = checkpoint_bytes(shared.flush_mode);
    let interval_ms = match shared.flush_mode {
        FlushMode::Commit => CHECKPOINT_COMMIT_MS,
        FlushMode::Os => CHECKPOINT_OS_MS,
    };
    let body = {
        let shared = Arc::clone(&shared);
        move || {
            while shared.keeper.pause(TICK) {
                let Some(partitions) = weak.upgrade() else { break };
                let now_ms = shared.clock.now_ms();
                partitions.watch_free_space();
                let written = shared.written_bytes.load(Ordering::Relaxed);
                if written >= bytes || now_ms.saturating_sub(checkpoint_at) >= interval_ms {
                    checkpoint_at = now_ms;
                    if let Err(err) = partitions.checkpoint() {
                        tracing::error!(error = %err, "checkpoint failed");
                    }
                }
                if now_ms.saturating_sub(retention_at) >= retention_check_ms {
                    retention_at = now_ms;
                    partitions.retain();
                }
            }
        }
    };
    let thread = writer::spawn("log-keeper".to_owned(), &partitions.fatal, body)?;
    shared.keeper.run(thread);
    Ok(())
}

impl Partitions {
    fn watch_free_space(&self) {
        match self.shared.data_dir.free_bytes() {
            Ok(free) => {
                let low = free < self.shared.free_bytes_min;
                let before = self.shared.disk_is_low.swap(low, Ordering::Relaxed);
                if low && !before {
                    tracing::error!(
                        free,
                        min = self.shared.free_bytes_min,
                        "disk is low, produce is refused"
                    );
                } else if before && !low {
                    tracing::info!(free, "disk has room again, produce is accepted");
                }
            }
            Err(err) => tracing::warn!(error = %err, "free space is unknown"),
        }
    }

    /// Writes derived state, syncs everything and moves the recovery points.
    pub(in crate::partition) fn checkpoint(&self) -> Result<(), PartitionError> {
        let _guard = self.shared.checkpointing.lock();
        let (mut points, mut high_watermarks) = (OffsetMap::new(), OffsetMap::new());
        let mut noted: Vec<Arc<Partition>> = Vec::new();
        self.shared.written_bytes.store(0, Ordering::Relaxed);
        for partition in self.all() {
            let mut slot = partition.slot.lock();
            if let Slot::Open(log) = &mut *slot
                && log.is_derived_dirty()
                && log.is_on_disk()
            {
                let key = (partition.id.topic.to_string(), partition.id.partition);
                match log.write_derived() {
                    Ok(point) => points.insert(key.clone(), point),
                    Err(err) => {
                        log.distrust_derived();
                        tracing::error!(topic = %partition.id.topic, partition = partition.id.partition, error = %err, "checkpoint failed");
                        continue;
                    }
                };
                high_watermarks.insert(key, partition.high_watermark.load(Ordering::Acquire));
                self.shared.data_dir.set_log_start(
                    &partition.id.topic,
                    partition.id.partition,
                    log.log_start(),
                );
                drop(slot);
                noted.push(partition);
            }
        }
        if noted.is_empty() {
            return Ok(());
        }
        let saved = self.shared.data_dir.save(points, high_watermarks);
        if saved.is_err() {
            for partition in noted {
                if let Slot::Open(log) = &mut *partition.slot.lock() {
                    log.distrust_derived();
                }
            }
        }
        Ok(saved?)
    }

    /// One round of retention over all partitions.
    pub(in crate::partition) fn retain(&self) {
        for partition in self.all() {
            if let Err(err) = partition.retain() {
                tracing::error!(topic = %partition.id.topic, partition = partition.id.partition, error = %err, "retention failed");
            }
        }
    }
}

impl Partition {
    fn retain(&self) -> Result<(), PartitionError> {
        if self.is_gone()
            || self.log_end.load(Ordering::Acquire) == self.log_start.load(Ordering::Acquire)
        {
            return Ok(());
        }
        let now_ms = self.shared.clock.now_ms();
        let mut slot = self.slot.lock();
        let was_closed = matches!(*slot, Slot::Closed);
        let log = self.open_log(&mut slot)?;
        let removed = log.retain(self.high_watermark.load(Ordering::Acquire), now_ms)?;
        let (log_start, changed) = (log.log_start(), log.is_derived_dirty());
        self.log_start.fetch_max(log_start, Ordering::AcqRel);
        if was_closed && removed == 0 && !changed {
            // Nobody uses it: it need not stay in memory.
            *slot = Slot::Closed;
        }
        drop(slot);
        if removed > 0 {
            self.shared.data_dir.set_log_start(&self.id.topic, self.id.partition, log_start);
            tracing::info!(topic = %self.id.topic, partition = self.id.partition, removed, log_start, "retention");
        }
        Ok(())
    }
}

//! What the partitions of a broker share: the data directory, the time, and the bounds on memory and disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aquifer_broker_log::{DataDir, Log, LogConfig};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::background::Background;
use super::cleaner::Cleaner;
use super::keeper;
use super::{PartitionsSettings, recovery};
use crate::clock::Clock;
use crate::partition::pace::Pace;
use crate::partition::tail::TailBudget;
use crate::partition::{FlushMode, PartitionError, TopicPartition};

/// The queue's room is given out in pieces of this, so that a semaphore's count suffices.
const ROOM_UNIT_BYTES: usize = 256;

/// What all partitions share.
#[derive(Debug)]
pub(in crate::partition) struct Shared {
    pub(in crate::partition) data_dir: Arc<DataDir>,
    pub(in crate::partition) clock: Clock,
    pub(in crate::partition) flush_mode: FlushMode,
    pub(in crate::partition) tails: TailBudget,
    /// Whether handlers may write.
    pub(in crate::partition) pace: Pace,
    pub(super) room: Arc<Semaphore>,
    room_max: u32,
    pub(super) free_bytes_min: u64,
    pub(super) disk_is_low: AtomicBool,
    pub(super) written_bytes: AtomicU64,
    /// Held while recovery points are collected and saved, and while a partition is taken out: a deleted partition
    /// must not leave a recovery point to a later one of its name.
    pub(super) checkpointing: Mutex<()>,
    pub(super) keeper: Background,
    pub(super) cleaner: Cleaner,
    pub(super) scrubber: Background,
}

impl Shared {
    pub(super) fn new(data_dir: Arc<DataDir>, settings: PartitionsSettings) -> Self {
        let room_units =
            (settings.queue_bytes_max / ROOM_UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let room_max = u32::try_from(room_units).unwrap_or(u32::MAX);
        Self {
            data_dir,
            pace: Pace::new(settings.clock.instant()),
            clock: settings.clock,
            flush_mode: settings.flush_mode,
            tails: TailBudget::new(settings.tail_cache_bytes_max),
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            free_bytes_min: settings.free_bytes_min,
            disk_is_low: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
            checkpointing: Mutex::new(()),
            keeper: Background::default(),
            cleaner: Cleaner::new(settings.cleaner),
            scrubber: Background::default(),
        }
    }

    /// Ends the threads that work now and then. Blocks for what they are doing.
    pub(super) fn stop_threads(&self) {
        for thread in [&self.cleaner.thread, &self.scrubber, &self.keeper] {
            thread.stop();
        }
    }

    /// Room in the queue for so many bytes; `None` when the broker stops. One append larger than everything gets all.
    pub(in crate::partition) async fn queue_room(
        &self,
        bytes: usize,
    ) -> Option<OwnedSemaphorePermit> {
        let units =
            u32::try_from(bytes / ROOM_UNIT_BYTES + 1).unwrap_or(u32::MAX).min(self.room_max);
        Arc::clone(&self.room).acquire_many_owned(units).await.ok()
    }

    /// Refuses new records while the disk has less than its minimum free.
    pub(in crate::partition) fn refuse_when_disk_is_low(&self) -> Result<(), PartitionError> {
        if self.disk_is_low.load(Ordering::Relaxed) {
            return Err(PartitionError::Storage(format!(
                "less than {} bytes are free",
                self.free_bytes_min
            )));
        }
        Ok(())
    }

    /// A write found no room; the keeper looks again.
    pub(in crate::partition) fn note_disk_full(&self) {
        self.disk_is_low.store(true, Ordering::Relaxed);
    }

    /// Counts towards the next checkpoint.
    pub(in crate::partition) fn note_written(&self, bytes: usize) {
        let due = keeper::checkpoint_bytes(self.flush_mode);
        let before = self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before < due && before + bytes as u64 >= due {
            self.keeper.wake();
        }
    }

    /// Opens a log and makes what recovery changed durable.
    pub(in crate::partition) fn open_log(
        &self,
        id: &TopicPartition,
        topic_id: [u8; 16],
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log, PartitionError> {
        let (mut log, report) =
            self.data_dir.open_log(&id.topic, id.partition, topic_id, config, now_ms)?;
        recovery::tell(id, &report);
        if let Some(targets) = log.take_unsynced()? {
            for file in &targets.files {
                file.sync().map_err(|err| PartitionError::Storage(err.to_string()))?;
            }
            for directory in &targets.directories {
                self.data_dir.sync_directory(directory)?;
            }
        }
        Ok(log)
    }
}

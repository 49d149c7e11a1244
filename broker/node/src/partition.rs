//! One partition as the rest of the broker sees it: its log, its high watermark and who waits for it.
//!
//! - Offsets are given out in the order in which appends were queued; a producer's pipelined batches keep their order.
//! - The high watermark moves only over synced records in `log.flush.mode=commit`; readers bound by it never see more.
//! - A reply to `Acks::All` leaves when the high watermark has passed its records.
//!
//! Which topics exist, and what a client may do, is decided elsewhere.

mod append;
mod error;
mod look_up;
mod pace;
mod set;
mod tail;
#[cfg(test)]
mod tests;
mod transactions;
mod validation;
mod values;
mod waiting;

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use aquifer_broker_log::{Log, LogError, SyncTargets, Transactions};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use self::append::AppendQueue;
use self::set::Shared;
use self::tail::Tail;
use self::waiting::Waiting;
use crate::writer::Lane;

pub(crate) use self::append::PendingAppend;
pub(crate) use self::error::{PartitionError, RefusedRecords};
pub(crate) use self::set::{CleanerSettings, Partitions, PartitionsSettings};
pub(crate) use self::values::{
    Acks, AppendHow, Appended, FileRange, FlushMode, LogSlice, Origin, PartitionConfig,
    PartitionOffsets, ReadBound, ReadResult, TimestampOffset, TopicPartition, Validation,
};

/// One partition. Shared behind an `Arc`; see `Partitions` for where they come from.
#[derive(Debug)]
pub(crate) struct Partition {
    id: TopicPartition,
    topic_id: [u8; 16],
    me: Weak<Partition>,
    shared: Arc<Shared>,
    lane: Lane,
    config: ArcSwap<PartitionConfig>,
    leader_epoch: AtomicI32,
    log_start: AtomicI64,
    high_watermark: AtomicI64,
    log_end: AtomicI64,
    /// Those of the log, once it was opened.
    transactions: ArcSwapOption<Transactions>,
    /// Set when the partition was deleted or the broker stops: nothing is accepted and nobody waits any more.
    gone: AtomicBool,
    slot: Mutex<Slot>,
    tail: Mutex<Tail>,
    queue: Mutex<AppendQueue>,
    /// Whether the partition is in the queue of its sync thread.
    sync_scheduled: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// The log, once something needed it.
#[derive(Debug)]
enum Slot {
    /// Not opened; the offsets are known from a clean stop, or the partition is new.
    Closed,
    Open(Box<Log>),
}

impl Partition {
    /// Topic and number.
    pub(crate) fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// The leader epoch that new batches get.
    pub(crate) fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Acquire)
    }

    /// Log start, high watermark, last stable offset and log end.
    pub(crate) fn offsets(&self) -> PartitionOffsets {
        // Read in this order they never contradict each other.
        let log_start = self.log_start.load(Ordering::Acquire);
        let high_watermark = self.high_watermark.load(Ordering::Acquire);
        PartitionOffsets {
            log_start,
            high_watermark,
            last_stable: self.last_stable(log_start, high_watermark),
            log_end: self.log_end.load(Ordering::Acquire),
        }
    }

    /// Takes over changed topic configs.
    pub(crate) fn update_config(&self, config: PartitionConfig) {
        if let Slot::Open(log) = &mut *self.slot.lock() {
            log.update_config(config.log.clone());
        }
        self.config.store(Arc::new(config));
    }

    fn gone_error(&self) -> PartitionError {
        PartitionError::Gone(format!("{}-{}", self.id.topic, self.id.partition))
    }

    /// Whether the partition was deleted or the broker stops.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn schedule_sync(self: &Arc<Self>) {
        if !self.sync_scheduled.swap(true, Ordering::AcqRel) {
            self.lane.syncs.push(Arc::clone(self));
        }
    }

    /// Takes what is to be synced. Called by the partition's sync thread only, as the two below.
    pub(crate) fn begin_sync(&self) -> Result<Option<SyncTargets>, LogError> {
        self.sync_scheduled.store(false, Ordering::Release);
        match &mut *self.slot.lock() {
            Slot::Open(log) => log.take_unsynced(),
            Slot::Closed => Ok(None),
        }
    }

    /// Everything below `end` is durable.
    pub(crate) fn synced(&self, end: i64) {
        self.advance(end);
    }

    /// What is not durable yet never will be: the page cache proves nothing after a failed sync.
    pub(crate) fn sync_failed(&self, reason: &str) {
        let durable_end = self.high_watermark.load(Ordering::Acquire);
        tracing::error!(
            topic = %self.id.topic, partition = self.id.partition, error = reason, durable_end,
            "sync failed, giving up what is behind the high watermark"
        );
        if let Slot::Open(log) = &mut *self.slot.lock() {
            let now_ms = self.shared.clock.now_ms();
            let given_up = log.give_up_unsynced(durable_end, now_ms).and_then(|()| {
                self.shared.data_dir.lower_recovery_point(
                    &self.id.topic,
                    self.id.partition,
                    durable_end,
                )
            });
            if let Err(err) = given_up {
                tracing::error!(topic = %self.id.topic, partition = self.id.partition, error = %err, "offline");
            }
            self.log_end.store(log.log_end(), Ordering::Release);
            // Who read behind the high watermark, as followers may, has to notice.
            self.leader_epoch.fetch_add(1, Ordering::AcqRel);
            tail::clear(&self.tail, &self.shared.tails);
        }
        let ready = self.waiting.lock().give_up(&PartitionError::Storage(reason.to_owned()));
        ready.tell();
    }

    fn advance(&self, end: i64) {
        let high_watermark = self.high_watermark.fetch_max(end, Ordering::AcqRel).max(end);
        let last_stable = self.advance_decided(high_watermark);
        let ready = self.waiting.lock().advance(high_watermark, last_stable);
        ready.tell();
    }

    /// Refuses everything from now on and tells everybody who waits.
    fn close(&self) {
        self.gone.store(true, Ordering::Release);
        let pending = std::mem::take(&mut self.queue.lock().pending);
        for append in pending {
            let _ = append.reply.send(Err(self.gone_error()));
        }
        let ready = self.waiting.lock().give_up(&self.gone_error());
        ready.tell();
        tail::clear(&self.tail, &self.shared.tails);
    }

    /// The log in the slot, opened if need be.
    fn open_log<'a>(
        &self,
        slot: &'a mut MutexGuard<'_, Slot>,
    ) -> Result<&'a mut Log, PartitionError> {
        if self.is_gone() {
            return Err(self.gone_error());
        }
        if let Slot::Closed = **slot {
            let config = self.config.load();
            let now_ms = self.shared.clock.now_ms();
            let log = self.shared.open_log(&self.id, self.topic_id, config.log.clone(), now_ms)?;
            self.take_over(&log);
            **slot = Slot::Open(Box::new(log));
        }
        match &mut **slot {
            Slot::Open(log) => Ok(log),
            Slot::Closed => Err(self.gone_error()),
        }
    }

    /// Offsets and epoch from a log that was just opened and is durable as it is.
    fn take_over(&self, log: &Log) {
        let expected = self.log_end.load(Ordering::Acquire);
        if log.log_end() != expected {
            tracing::error!(
                topic = %self.id.topic, partition = self.id.partition, expected, found = log.log_end(),
                "the log does not end where the last stop said"
            );
        }
        self.log_start.store(log.log_start(), Ordering::Release);
        self.log_end.store(log.log_end(), Ordering::Release);
        self.high_watermark.store(log.log_end(), Ordering::Release);
        self.leader_epoch.fetch_max(log.latest_epoch().unwrap_or(-1), Ordering::AcqRel);
        self.transactions.store(Some(Arc::clone(log.transactions())));
    }

    /// Notifies once when the high watermark, or what else bounds a read, is past `after` (at once if it is), or the
    /// partition is gone. One `Notify` may wait on many partitions; dropping it ends the wait. A failed sync notifies too.
    pub(crate) fn notify_past(&self, after: i64, bound: ReadBound, notify: &Arc<Notify>) {
        let mut waiting = self.waiting.lock();
        if self.is_gone() || self.limit(bound) > after {
            notify.notify_one();
        } else {
            waiting.add_reader(after, bound, notify);
        }
    }

    /// The end of what was appended before the call, once it is durable.
    pub(crate) async fn synced_end(&self) -> Result<i64, PartitionError> {
        let notify = Arc::new(Notify::new());
        let mut end = self.log_end.load(Ordering::Acquire);
        loop {
            if self.is_gone() {
                return Err(self.gone_error());
            }
            // A failed sync takes the end back.
            end = end.min(self.log_end.load(Ordering::Acquire));
            if self.high_watermark.load(Ordering::Acquire) >= end {
                return Ok(self.high_watermark.load(Ordering::Acquire));
            }
            self.notify_past(end - 1, ReadBound::HighWatermark, &notify);
            notify.notified().await;
        }
    }
}

//! The thread that compacts logs: the dirtiest first, one at a time.
//!
//! - A round reads and writes beside the log, which takes appends and reads meanwhile; it is held for each swap only.
//! - A partition that fails is left alone for a while, longer each time, and the others go on.
//! - A partition is not deleted while the thread works in its directory.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aquifer_broker_log::{Cleanable, CleanerLimits, CleaningRound, CleaningStats, LogError};
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

use super::Partitions;
use super::background::{Background, step_back};
use super::throttle::Throttle;
use crate::partition::{Partition, PartitionError, Slot, TopicPartition, tail};
use crate::writer;

#[cfg(test)]
mod tests;

/// A log that nobody uses is opened to look whether it is due no more often than this, milliseconds.
const LOOK_AT_CLOSED_MS: i64 = 300_000;
/// The longest that a partition which failed is left alone, milliseconds.
const RETRY_MS_MAX: i64 = 3_600_000;

/// How logs are compacted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CleanerSettings {
    /// `log.cleaner.enable`.
    pub(crate) enabled: bool,
    /// `log.cleaner.backoff.ms`: how long to wait when nothing was due.
    pub(crate) backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size` and `log.cleaner.io.buffer.load.factor`.
    pub(crate) limits: CleanerLimits,
    /// `log.cleaner.io.max.bytes.per.second`: what may be read and written.
    pub(crate) bytes_per_second: f64,
}

impl Default for CleanerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            backoff: Duration::from_secs(15),
            limits: CleanerLimits::default(),
            bytes_per_second: f64::MAX,
        }
    }
}

/// The thread as the rest of the broker sees it.
#[derive(Debug)]
pub(in crate::partition) struct Cleaner {
    pub(super) thread: Background,
    settings: ArcSwap<CleanerSettings>,
    /// The partition that is being compacted.
    busy: Mutex<Option<TopicPartition>>,
    freed: Condvar,
}

impl Cleaner {
    pub(super) fn new(settings: CleanerSettings) -> Self {
        Self {
            thread: Background::default(),
            settings: ArcSwap::from_pointee(settings),
            busy: Mutex::new(None),
            freed: Condvar::new(),
        }
    }

    /// Waits until nothing is done in the directory of a partition that is gone; nothing begins after it.
    pub(super) fn wait_until_free(&self, id: &TopicPartition) {
        let mut busy = self.busy.lock();
        while busy.as_ref() == Some(id) {
            // It may be waiting for its rate.
            self.thread.wake();
            self.freed.wait(&mut busy);
        }
    }
}

/// What the thread remembers from one look to the next.
#[derive(Debug, Default)]
struct Memory {
    failed: HashMap<TopicPartition, Failed>,
    /// When the logs that nobody uses were looked at.
    looked_at_ms: HashMap<TopicPartition, i64>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    retry_at_ms: i64,
    wait_ms: i64,
}

/// What a round came to.
struct Cleaned {
    from: i64,
    to: i64,
    stats: CleaningStats,
}

/// Starts the thread. It holds no reference while it waits.
pub(super) fn start(partitions: &Arc<Partitions>) -> std::io::Result<()> {
    let weak: Weak<Partitions> = Arc::downgrade(partitions);
    let shared = Arc::clone(&partitions.shared);
    if !shared.cleaner.settings.load().enabled {
        return Ok(());
    }
    let body = {
        let shared = Arc::clone(&shared);
        move || {
            step_back();
            let mut memory = Memory::default();
            loop {
                let backoff = shared.cleaner.settings.load().backoff;
                if !shared.cleaner.thread.pause(backoff) {
                    break;
                }
                // As long as something was due, something else may have become due meanwhile.
                while let Some(partitions) = weak.upgrade()
                    && partitions.clean_due(&mut memory) > 0
                    && !shared.cleaner.thread.is_stopped()
                {}
            }
        }
    };
    let thread = writer::spawn("log-cleaner".to_owned(), &partitions.fatal, body)?;
    shared.cleaner.thread.run(thread);
    Ok(())
}

impl Partitions {
    /// Takes over changed settings; they count from the next round on.
    pub(crate) fn update_cleaner(&self, settings: CleanerSettings) {
        self.shared.cleaner.settings.store(Arc::new(settings));
        self.shared.cleaner.thread.wake();
    }

    /// Compacts everything that is due, once. For tests, which do not wait for the thread.
    #[cfg(test)]
    pub(in crate::partition) fn clean(&self) -> usize {
        self.clean_due(&mut Memory::default())
    }

    /// Compacts everything that is due, the dirtiest first; how many logs were.
    fn clean_due(&self, memory: &mut Memory) -> usize {
        let now_ms = self.shared.clock.now_ms();
        let mut due: Vec<(f64, Arc<Partition>)> = Vec::new();
        let all = self.all();
        memory.forget_all_but(&all);
        for partition in all {
            if !partition.config.load().log.cleanup_compact
                || memory.is_waiting(&partition.id, now_ms)
            {
                continue;
            }
            match partition.dirty_ratio_if_due(memory, now_ms) {
                Ok(Some(ratio)) => due.push((ratio, partition)),
                Ok(None) => {}
                Err(err) => self.note_failed(memory, &partition, &err),
            }
        }
        due.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let mut count = 0;
        for (_, partition) in due {
            if self.shared.cleaner.thread.is_stopped() {
                break;
            }
            match partition.compact() {
                Ok(Some(cleaned)) => {
                    memory.failed.remove(&partition.id);
                    tell(&partition.id, &cleaned);
                    count += 1;
                }
                Ok(None) => {}
                Err(err) => self.note_failed(memory, &partition, &err),
            }
        }
        count
    }

    fn note_failed(&self, memory: &mut Memory, partition: &Partition, err: &PartitionError) {
        if partition.is_gone() || self.shared.cleaner.thread.is_stopped() {
            return;
        }
        let backoff = self.shared.cleaner.settings.load().backoff;
        let least = i64::try_from(backoff.as_millis()).unwrap_or(i64::MAX).max(1000);
        let wait_ms = memory
            .failed
            .get(&partition.id)
            .map_or(least, |failed| failed.wait_ms.saturating_mul(2))
            .min(RETRY_MS_MAX);
        let retry_at_ms = self.shared.clock.now_ms().saturating_add(wait_ms);
        memory.failed.insert(partition.id.clone(), Failed { retry_at_ms, wait_ms });
        tracing::error!(
            topic = %partition.id.topic, partition = partition.id.partition, error = %err, retry_in_ms = wait_ms,
            "compaction failed; the log stays as it is"
        );
    }
}

fn tell(id: &TopicPartition, cleaned: &Cleaned) {
    let Cleaned { from, to, stats } = cleaned;
    tracing::info!(
        topic = %id.topic, partition = id.partition, from, to,
        bytes_before = stats.bytes_read, bytes_after = stats.bytes_kept,
        records_before = stats.records_read, records_after = stats.records_kept,
        "compacted"
    );
    if stats.records_without_key > 0 {
        tracing::warn!(
            topic = %id.topic, partition = id.partition, records = stats.records_without_key,
            "records without a key were removed from a compacted topic"
        );
    }
}

impl Memory {
    fn is_waiting(&self, id: &TopicPartition, now_ms: i64) -> bool {
        self.failed.get(id).is_some_and(|failed| now_ms < failed.retry_at_ms)
    }

    /// Whether a log that nobody uses was looked at lately; it counts as looked at from now on.
    fn was_looked_at(&mut self, id: &TopicPartition, now_ms: i64) -> bool {
        let before = self.looked_at_ms.get(id).copied();
        if before.is_some_and(|at| now_ms.saturating_sub(at) < LOOK_AT_CLOSED_MS) {
            return true;
        }
        self.looked_at_ms.insert(id.clone(), now_ms);
        false
    }

    fn forget_all_but(&mut self, partitions: &[Arc<Partition>]) {
        if self.failed.is_empty() && self.looked_at_ms.is_empty() {
            return;
        }
        let known: std::collections::HashSet<&TopicPartition> =
            partitions.iter().map(|partition| &partition.id).collect();
        self.failed.retain(|id, _| known.contains(id));
        self.looked_at_ms.retain(|id, _| known.contains(id));
    }
}

impl Partition {
    fn cleaned_to(&self) -> Option<i64> {
        self.shared.data_dir.cleaned_to(&self.id.topic, self.id.partition)
    }

    /// How dirty the log is, if a round is worth it.
    fn dirty_ratio_if_due(
        &self,
        memory: &mut Memory,
        now_ms: i64,
    ) -> Result<Option<f64>, PartitionError> {
        if self.is_gone()
            || self.log_end.load(Ordering::Acquire) == self.log_start.load(Ordering::Acquire)
        {
            return Ok(None);
        }
        let mut slot = self.slot.lock();
        let was_closed = matches!(*slot, Slot::Closed);
        if was_closed && memory.was_looked_at(&self.id, now_ms) {
            return Ok(None);
        }
        let due = self.cleanable_if_due(&mut slot, now_ms)?;
        if due.is_none() {
            self.close_again(&mut slot, was_closed);
        }
        Ok(due.map(|cleanable| cleanable.dirty_ratio()))
    }

    fn cleanable_if_due(
        &self,
        slot: &mut parking_lot::MutexGuard<'_, Slot>,
        now_ms: i64,
    ) -> Result<Option<Cleanable>, PartitionError> {
        let (cleaned_to, config) = (self.cleaned_to(), self.config.load());
        let log = self.open_log(slot)?;
        let stable_end = log.last_stable_offset(self.high_watermark.load(Ordering::Acquire));
        let cleanable = log.cleanable(cleaned_to, stable_end, now_ms)?;
        Ok(cleanable.filter(|cleanable| cleanable.is_due(&config.log)))
    }

    /// Lets go of a log that was opened for this only.
    fn close_again(&self, slot: &mut Slot, was_closed: bool) {
        if was_closed && matches!(slot, Slot::Open(log) if !log.is_derived_dirty()) {
            *slot = Slot::Closed;
        }
    }

    /// One round over the log, if it is still due.
    fn compact(&self) -> Result<Option<Cleaned>, PartitionError> {
        let cleaner = &self.shared.cleaner;
        *cleaner.busy.lock() = Some(self.id.clone());
        let result = self.run_round();
        *cleaner.busy.lock() = None;
        cleaner.freed.notify_all();
        result
    }

    fn run_round(&self) -> Result<Option<Cleaned>, PartitionError> {
        let settings = self.shared.cleaner.settings.load_full();
        let now_ms = self.shared.clock.now_ms();
        let (from, mut round) = {
            let mut slot = self.slot.lock();
            let Some(cleanable) = self.cleanable_if_due(&mut slot, now_ms)? else {
                return Ok(None);
            };
            let log = self.open_log(&mut slot)?;
            (cleanable.first_dirty, log.begin_cleaning(&cleanable, settings.limits, now_ms)?)
        };
        let clock = &self.shared.clock;
        let mut throttle = Throttle::new(settings.bytes_per_second, clock.instant());
        let mut pace = |bytes| {
            self.shared.cleaner.thread.spend(&mut throttle, bytes, clock, || self.is_gone())
        };
        match self.copy_and_swap(&mut round, &mut pace) {
            Err(PartitionError::Gone(_)) => return Ok(None),
            done => done?,
        }
        let (to, stats) = (round.end(), round.stats());
        self.shared.data_dir.set_cleaned_to(&self.id.topic, self.id.partition, to)?;
        Ok(Some(Cleaned { from, to, stats }))
    }

    /// `Gone` when the round was ended from outside.
    fn copy_and_swap(
        &self,
        round: &mut CleaningRound,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), PartitionError> {
        let or_gone = |err: LogError| match err {
            LogError::Interrupted => self.gone_error(),
            err => err.into(),
        };
        round.index(pace).map_err(or_gone)?;
        while let Some(cleaned) = round.next_segment(pace).map_err(or_gone)? {
            let mut slot = self.slot.lock();
            let swapped = match &mut *slot {
                Slot::Open(log) if !self.is_gone() => log.swap_in(&cleaned)?,
                Slot::Open(_) | Slot::Closed => false,
            };
            if swapped {
                // Of what is in memory the aborted records are not known any more.
                tail::clear_below(&self.tail, &self.shared.tails, cleaned.end());
            }
            drop(slot);
            if !swapped {
                cleaned.discard()?;
                return Err(self.gone_error());
            }
            cleaned.settle()?;
        }
        Ok(())
    }
}

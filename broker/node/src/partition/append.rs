//! Appending to a partition: checked by whoever asks, queued, and written by the partition's append thread; under
//! `log.flush.mode=os` written by whoever asks when nobody is before them and the disk takes writes without a wait.
//!
//! - Offsets are given out in the order of the calls, whoever writes.
//! - A handler that finds the disk slow pays for it once: for a while everything goes to the append thread.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use aquifer_broker_log::{AppendRules, Log, LogError, Staged, WrittenBatch};
use bytes::Bytes;
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::validation::Batches;
use super::waiting::Reply;
use super::{
    Acks, AppendHow, Appended, FlushMode, Partition, PartitionError, Slot, tail, validation,
};

#[derive(Debug, Default)]
pub(super) struct AppendQueue {
    pub(super) pending: VecDeque<QueuedAppend>,
    /// Whether the partition is in the queue of its append thread.
    scheduled: bool,
    /// Those who took appends out of the queue, or past it, and have not written them all yet.
    writing: u32,
}

#[derive(Debug)]
pub(super) struct QueuedAppend {
    batches: Batches,
    acks: Acks,
    rules: AppendRules,
    log_append_time_ms: i64,
    pub(super) reply: Reply,
    /// Room in the queue; given back when the records are written.
    room: OwnedSemaphorePermit,
}

/// A queued append that got its offsets, or not.
struct StagedAppend {
    acks: Acks,
    log_append_time_ms: i64,
    reply: Reply,
    result: Result<Staged, LogError>,
    /// Held until the records are written.
    _room: OwnedSemaphorePermit,
}

/// An append that was queued; completes with its reply.
#[derive(Debug)]
pub(crate) struct PendingAppend {
    reply: oneshot::Receiver<Result<Appended, PartitionError>>,
    partition: Arc<Partition>,
}

impl PendingAppend {
    /// The partition that is appended to.
    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }
}

impl Future for PendingAppend {
    type Output = Result<Appended, PartitionError>;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.reply)
            .poll(ctx)
            .map(|reply| reply.unwrap_or_else(|_| Err(self.partition.gone_error())))
    }
}

impl Partition {
    /// Checks `records`, which lie in a buffer of `buffer_bytes`, waits for room and writes or queues them in call order;
    /// await the result for the reply. A connection that pipelines awaits this before it takes its next request, and the
    /// reply later.
    pub(crate) async fn enqueue_within(
        self: &Arc<Self>,
        records: Bytes,
        buffer_bytes: usize,
        how: AppendHow,
    ) -> Result<PendingAppend, PartitionError> {
        if self.is_gone() {
            return Err(self.gone_error());
        }
        let config = self.config.load_full();
        let now_ms = self.shared.clock.now_ms();
        let topic = validation::Topic { id: &self.id, config: &config, now_ms };
        let batches = validation::validate(&records, buffer_bytes, how, &topic)?;
        let bytes = records.len();
        drop(records);
        if how.origin.is_client() {
            self.shared.refuse_when_disk_is_low()?;
        }
        let room = self.shared.queue_room(bytes).await.ok_or_else(|| self.gone_error())?;
        let stamped = config.log_append_time && how.origin.is_client();
        let (reply, receiver) = oneshot::channel();
        let append = QueuedAppend {
            batches,
            acks: how.acks,
            rules: how.origin.rules(),
            log_append_time_ms: if stamped { now_ms } else { -1 },
            reply,
            room,
        };
        self.hand_in(append)?;
        Ok(PendingAppend { reply: receiver, partition: Arc::clone(self) })
    }

    /// Writes the append when that takes no wait, or queues it. While a file is synced its writes do wait.
    fn hand_in(self: &Arc<Self>, append: QueuedAppend) -> Result<(), PartitionError> {
        let mut queue = self.queue.lock();
        // Under the lock: whoever sets `gone` empties the queue after it.
        if self.is_gone() {
            return Err(self.gone_error());
        }
        let began = self.shared.clock.instant();
        if self.shared.flush_mode == FlushMode::Os
            && queue.writing == 0
            && queue.pending.is_empty()
            && self.shared.pace.is_quick(began)
            && let Some(slot) = self.slot.try_lock()
            && matches!(&*slot, Slot::Open(log) if log.is_on_disk())
        {
            queue.writing += 1;
            drop(queue);
            self.append_all(VecDeque::from([append]), slot);
            self.shared.pace.note(began, self.shared.clock.instant());
            return Ok(());
        }
        queue.pending.push_back(append);
        let wake = !std::mem::replace(&mut queue.scheduled, true);
        drop(queue);
        if wake {
            self.lane.appends.push(Arc::clone(self));
        }
        Ok(())
    }

    /// `enqueue_within`, for records that have a buffer to themselves.
    pub(crate) async fn enqueue(
        self: &Arc<Self>,
        records: Bytes,
        how: AppendHow,
    ) -> Result<PendingAppend, PartitionError> {
        let buffer_bytes = records.len();
        self.enqueue_within(records, buffer_bytes, how).await
    }

    /// `enqueue`, then the reply.
    pub(crate) async fn append(
        self: &Arc<Self>,
        records: Bytes,
        how: AppendHow,
    ) -> Result<Appended, PartitionError> {
        self.enqueue(records, how).await?.await
    }

    /// Writes everything that is queued. Called by the partition's append thread only.
    pub(crate) fn append_queued(self: &Arc<Self>) {
        let pending = {
            let mut queue = self.queue.lock();
            queue.scheduled = false;
            queue.writing += 1;
            std::mem::take(&mut queue.pending)
        };
        self.append_all(pending, self.slot.lock());
    }

    /// Writes appends that were counted in `writing`, and replies to what needs no sync.
    fn append_all(
        self: &Arc<Self>,
        pending: VecDeque<QueuedAppend>,
        mut slot: MutexGuard<'_, Slot>,
    ) {
        let mut staged = SmallVec::with_capacity(pending.len());
        let written = self.write(pending, &mut slot, &mut staged);
        let bytes: usize = written.iter().flatten().map(|written| written.batch.size_bytes()).sum();
        let written = written.map(|written| {
            // Before anybody else can write: the tail is in order.
            tail::push(&self.me, &self.tail, &self.shared.tails, written);
        });
        drop(slot);
        self.queue.lock().writing -= 1;
        if let Err(err) = written {
            for append in staged {
                // Whoever asked may be gone; so with the other replies.
                let _ = append.reply.send(Err(err.clone()));
            }
            return;
        }
        if bytes > 0 {
            self.shared.note_written(bytes);
            match self.shared.flush_mode {
                FlushMode::Commit => self.schedule_sync(),
                FlushMode::Os => self.advance(self.log_end.load(Ordering::Acquire)),
            }
        }
        self.answer(staged);
    }

    /// Gives offsets to what is pending and writes it; on an error none of it is in the log.
    fn write(
        &self,
        pending: VecDeque<QueuedAppend>,
        slot: &mut MutexGuard<'_, Slot>,
        staged: &mut SmallVec<[StagedAppend; 1]>,
    ) -> Result<Vec<WrittenBatch>, PartitionError> {
        let now_ms = self.shared.clock.now_ms();
        let mut log = self.open_log(slot);
        let epoch = self.leader_epoch();
        for append in pending {
            let QueuedAppend { batches, acks, rules, log_append_time_ms, reply, room } = append;
            let result = match &mut log {
                Ok(log) => stage_all(log, batches, epoch, rules, now_ms),
                Err(err) => Err(LogError::Offline(err.to_string())),
            };
            staged.push(StagedAppend { acks, log_append_time_ms, reply, result, _room: room });
        }
        let log = log?;
        let written = log.write_staged(now_ms);
        self.log_end.store(log.log_end(), Ordering::Release);
        written.map_err(|err| self.note_write_failure(err))
    }

    /// Replies to what needs no sync, and puts the rest on the list.
    fn answer(&self, staged: SmallVec<[StagedAppend; 1]>) {
        let log_start_offset = self.log_start.load(Ordering::Acquire);
        let mut replies = Vec::with_capacity(staged.len());
        {
            let mut waiting = self.waiting.lock();
            for StagedAppend { acks, log_append_time_ms, reply, result, _room } in staged {
                let (base_offset, last_offset, log_append_time_ms) = match result {
                    Ok(Staged::New { base_offset, last_offset }) => {
                        (base_offset, last_offset, log_append_time_ms)
                    }
                    Ok(Staged::Duplicate { base_offset, last_offset, max_timestamp_ms }) => {
                        (base_offset, last_offset, max_timestamp_ms)
                    }
                    Err(err) => {
                        replies.push((reply, Err(err.into())));
                        continue;
                    }
                };
                let appended =
                    Appended { base_offset, last_offset, log_append_time_ms, log_start_offset };
                let end = last_offset + 1;
                // Read under the lock: whoever advances looks for waiting replies after it did.
                let durable = end <= self.high_watermark.load(Ordering::Acquire);
                if acks == Acks::Leader || durable {
                    replies.push((reply, Ok(appended)));
                } else if self.is_gone() {
                    replies.push((reply, Err(self.gone_error())));
                } else {
                    waiting.add_ack(end, reply, appended);
                }
            }
        }
        for (reply, result) in replies {
            let _ = reply.send(result);
        }
    }

    fn note_write_failure(&self, err: LogError) -> PartitionError {
        tracing::error!(topic = %self.id.topic, partition = self.id.partition, error = %err, "append failed");
        if err.is_disk_full() {
            self.shared.note_disk_full();
        }
        err.into()
    }
}

/// Stages one request's batches; the reply covers all of them.
fn stage_all(
    log: &mut Log,
    batches: Batches,
    epoch: i32,
    rules: AppendRules,
    now_ms: i64,
) -> Result<Staged, LogError> {
    let mut covered: Option<Staged> = None;
    for batch in batches {
        let staged = log.stage_with(batch, epoch, rules, now_ms)?;
        covered = Some(match (covered, staged) {
            (Some(Staged::New { base_offset, .. }), Staged::New { last_offset, .. }) => {
                Staged::New { base_offset, last_offset }
            }
            (_, staged) => staged,
        });
    }
    covered.ok_or_else(|| LogError::InvalidBatch("no batches".to_owned()))
}

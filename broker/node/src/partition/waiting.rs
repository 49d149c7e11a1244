//! Who waits for the high watermark of a partition, or its last stable offset: replies to produce requests, and fetches.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::{Notify, oneshot};

use super::{Appended, PartitionError, ReadBound};

/// Where the reply to an append goes.
pub(crate) type Reply = oneshot::Sender<Result<Appended, PartitionError>>;

/// The list of one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Replies that leave when the high watermark has reached the offset, mostly in that order.
    acks: VecDeque<(i64, Reply, Appended)>,
    readers: Readers,
    /// Those who wait for the last stable offset.
    committed_readers: Readers,
}

#[derive(Debug, Default)]
struct Readers {
    list: Vec<(i64, Weak<Notify>)>,
    /// Dead readers are swept out when the list has grown to this.
    sweep_at: usize,
}

/// Below this a list of readers is not worth sweeping.
const SWEEP_MIN: usize = 32;

impl Readers {
    fn add(&mut self, after: i64, notify: &Arc<Notify>) {
        if self.list.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.list.retain(|(_, reader)| reader.strong_count() > 0);
            self.sweep_at = self.list.len() * 2;
        }
        self.list.push((after, Arc::downgrade(notify)));
    }

    fn advance(&mut self, end: i64, ready: &mut Ready) {
        self.list.retain(|(after, reader)| {
            if *after >= end {
                return true;
            }
            ready.readers.extend(reader.upgrade());
            false
        });
    }

    fn give_up(&mut self, ready: &mut Ready) {
        ready.readers.extend(self.list.drain(..).filter_map(|(_, reader)| reader.upgrade()));
    }
}

impl Waiting {
    /// A reply that waits until everything below `end` is durable.
    pub(crate) fn add_ack(&mut self, end: i64, reply: Reply, appended: Appended) {
        self.acks.push_back((end, reply, appended));
    }

    /// A reader that waits until what bounds it is past `after`.
    pub(crate) fn add_reader(&mut self, after: i64, bound: ReadBound, notify: &Arc<Notify>) {
        match bound {
            ReadBound::LogEnd | ReadBound::HighWatermark => self.readers.add(after, notify),
            ReadBound::LastStable => self.committed_readers.add(after, notify),
        }
    }

    /// Takes what need not wait any longer.
    pub(crate) fn advance(&mut self, high_watermark: i64, last_stable: i64) -> Ready {
        let mut ready = Ready::default();
        let mut later = VecDeque::new();
        for (end, reply, appended) in self.acks.drain(..) {
            if end <= high_watermark {
                ready.acks.push((reply, Ok(appended)));
            } else {
                later.push_back((end, reply, appended));
            }
        }
        self.acks = later;
        self.readers.advance(high_watermark, &mut ready);
        self.committed_readers.advance(last_stable, &mut ready);
        ready
    }

    /// Takes everything: waiting has no sense any more. Replies carry `err`.
    pub(crate) fn give_up(&mut self, err: &PartitionError) -> Ready {
        let acks = self.acks.drain(..).map(|(_, reply, _)| (reply, Err(err.clone()))).collect();
        let mut ready = Ready { acks, readers: Vec::new() };
        self.readers.give_up(&mut ready);
        self.committed_readers.give_up(&mut ready);
        ready
    }
}

/// Those who are to be told; done without any lock.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Ready {
    acks: Vec<(Reply, Result<Appended, PartitionError>)>,
    readers: Vec<Arc<Notify>>,
}

impl Ready {
    pub(crate) fn tell(self) {
        for (reply, result) in self.acks {
            // Whoever asked may be gone.
            let _ = reply.send(result);
        }
        for reader in self.readers {
            reader.notify_one();
        }
    }
}
